//! Checks the credentials of clients without keeping other tasks waiting.

use super::authentication::Authentication;
use super::connect::Credentials;
use super::permissions::Permissions;
use crate::limits::NATS_HASHES_AT_ONCE;
use crate::tasks::Limiter;
use std::sync::Arc;
use std::time::Duration;

/// Lets in clients whose credentials are right. Comparing with a hash takes a core for a good part
/// of a second, so it happens on threads for such work.
pub(super) struct Admission {
    authentication: Arc<Authentication>,
    /// How many are hashed at once. The others wait: one for each connection, at most.
    hashing: Limiter,
    timeout: Duration,
}

/// Why a client was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its credentials are wrong.
    Unknown,
    /// Too many others asked: its credentials were not checked in time.
    OutOfTime,
}

impl Admission {
    /// Clients wait up to `timeout` for an answer.
    pub fn new(authentication: &Authentication, timeout: Duration) -> Self {
        let authentication = Arc::new(authentication.clone());
        Self { authentication, hashing: Limiter::new(NATS_HASHES_AT_ONCE), timeout }
    }

    /// What a client with these credentials may do. Cancel safe.
    pub async fn admit(&self, credentials: Credentials) -> Result<Arc<Permissions>, Refusal> {
        let admitted = if self.authentication.is_slow() {
            let authentication = self.authentication.clone();
            let compare = move || authentication.admit(&credentials);
            self.hashing.unblock(self.timeout, compare).await.ok_or(Refusal::OutOfTime)?
        } else {
            self.authentication.admit(&credentials)
        };
        admitted.ok_or(Refusal::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::super::authentication::Secret;
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    fn admission(token: &str, timeout: Duration) -> Admission {
        let authentication = Authentication { users: Vec::new(), token: Some(Secret::new(token)) };
        Admission::new(&authentication, timeout)
    }

    fn token(token: &str) -> Credentials {
        Credentials { token: Some(token.to_owned()), ..Credentials::default() }
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn only_what_is_hashed_is_compared_elsewhere() {
        let plain = admission("t", LONG);
        assert!(block_on(poll_once(plain.admit(token("t")))).unwrap().is_ok());
        assert_eq!(block_on(poll_once(plain.admit(token("x")))), Some(Err(Refusal::Unknown)));
        let hashed = admission(&bcrypt::hash("t", 4).unwrap(), LONG);
        assert!(block_on(hashed.admit(token("t"))).is_ok());
        assert_eq!(block_on(hashed.admit(token("x"))), Err(Refusal::Unknown));
    }

    #[test]
    fn a_client_that_is_not_checked_in_time_is_told() {
        let admission = admission("$2a$no worker", Duration::from_millis(1));
        let _busy: Vec<_> =
            (0..NATS_HASHES_AT_ONCE).map(|_| admission.hashing.try_acquire().unwrap()).collect();
        assert_eq!(block_on(admission.admit(token("t"))), Err(Refusal::OutOfTime));
    }

    #[test]
    fn a_client_that_leaves_holds_up_nobody() {
        let admission = admission("$2a$no worker", LONG);
        let busy: Vec<_> =
            (0..NATS_HASHES_AT_ONCE).map(|_| admission.hashing.try_acquire().unwrap()).collect();
        let mut asking: Vec<_> = (0..9).map(|_| Box::pin(admission.admit(token("t")))).collect();
        asking
            .iter_mut()
            .for_each(|asking| assert!(block_on(poll_once(asking)).is_none(), "no permit is free"));
        asking.truncate(2);
        drop(busy);
        for asking in asking {
            assert_eq!(block_on(asking), Err(Refusal::Unknown));
        }
    }
}

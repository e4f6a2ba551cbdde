//! Who asks to come in is compared with who may, without keeping others waiting.

use super::authentication::Authentication;
use super::connect::Credentials;
use super::permissions::Permissions;
use crate::limits::NATS_HASHES_AT_ONCE;
use crate::tasks::{Interrupt, Pool, PoolError};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Lets in who may come in. Hashes take a core for a good part of a second, so they have workers of
/// their own; dropped, it ends them.
pub(super) struct Admission {
    authentication: Arc<Authentication>,
    /// Where a secret is hashed. Each connection waits for its own job, so there are no more jobs
    /// than connections.
    hashing: Option<Pool<Credentials, Admitted>>,
    timeout: Duration,
}

/// What somebody may do who came in.
type Admitted = Option<Arc<Permissions>>;

/// Why somebody was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is nobody who may come in.
    Unknown,
    /// So many others ask that it was not found out in time.
    OutOfTime,
}

impl Admission {
    /// Nobody waits longer than `timeout` to be told.
    ///
    /// Fails if there are no threads for the workers.
    pub fn new(authentication: &Authentication, timeout: Duration) -> io::Result<Self> {
        let authentication = Arc::new(authentication.clone());
        let hashing = authentication.is_slow().then(|| {
            let authentication = authentication.clone();
            Pool::new("nats passwords", NATS_HASHES_AT_ONCE, move || {
                let authentication = authentication.clone();
                move |credentials: Credentials, _: &Interrupt| authentication.admit(&credentials)
            })
        });
        Ok(Self { authentication, hashing: hashing.transpose()?, timeout })
    }

    /// What somebody may do who proves itself by these. Cancel safe.
    pub async fn admit(&self, credentials: Credentials) -> Result<Arc<Permissions>, Refusal> {
        let admitted = match &self.hashing {
            None => self.authentication.admit(&credentials),
            Some(hashing) => match hashing.process_timeout(credentials, self.timeout).await {
                Ok(admitted) => admitted,
                Err(PoolError::TimedOutWaiting(_) | PoolError::TimedOut) => {
                    return Err(Refusal::OutOfTime);
                }
                Err(PoolError::Closed(_) | PoolError::Panicked(_)) => None,
            },
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
        Admission::new(&authentication, timeout).unwrap()
    }

    fn token(token: &str) -> Credentials {
        Credentials { token: Some(token.to_owned()), ..Credentials::default() }
    }

    const LONG: Duration = Duration::from_secs(3600);

    #[test]
    fn there_are_workers_only_where_something_is_hashed() {
        let plain = admission("t", LONG);
        assert!(plain.hashing.is_none());
        assert!(block_on(plain.admit(token("t"))).is_ok());
        assert_eq!(block_on(plain.admit(token("x"))), Err(Refusal::Unknown));
        let hashed = admission(&bcrypt::hash("t", 4).unwrap(), LONG);
        assert_eq!(hashed.hashing.as_ref().unwrap().size(), NATS_HASHES_AT_ONCE);
        assert!(block_on(hashed.admit(token("t"))).is_ok());
        assert_eq!(block_on(hashed.admit(token("x"))), Err(Refusal::Unknown));
    }

    /// With no worker, what would take long lasts for ever.
    #[test]
    fn who_is_not_compared_in_time_is_told_and_its_job_is_taken_back() {
        let admission = admission("$2a$no worker", Duration::from_millis(1));
        let hashing = admission.hashing.as_ref().unwrap();
        hashing.set_size(0).unwrap();
        assert_eq!(block_on(admission.admit(token("t"))), Err(Refusal::OutOfTime));
        assert_eq!(hashing.queue_len(), 0);
    }

    #[test]
    fn who_leaves_takes_its_job_along() {
        let admission = admission("$2a$no worker", LONG);
        let hashing = admission.hashing.as_ref().unwrap();
        hashing.set_size(0).unwrap();
        let mut asking: Vec<_> = (0..9).map(|_| Box::pin(admission.admit(token("t")))).collect();
        asking.iter_mut().for_each(|asking| {
            assert!(block_on(poll_once(asking)).is_none(), "the caller has its thread")
        });
        assert_eq!(hashing.queue_len(), 9);
        asking.truncate(2);
        assert_eq!(hashing.queue_len(), 2);
        hashing.close();
        for asking in asking {
            assert_eq!(block_on(asking), Err(Refusal::Unknown));
        }
    }
}

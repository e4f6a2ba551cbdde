//! Checks the credentials of clients without keeping other tasks waiting.

use super::authentication::{Authentication, Grant, Hashed, Verdict};
use super::connect::Credentials;
use super::remembered::Remembered;
use crate::connection::counted_address;
use crate::connection::turns::Turns;
use crate::limits::NATS_HASHES_AT_ONCE;
use crate::live::Live;
use crate::tasks::{Wait, timeout, waiting};
use data_encoding::BASE64URL_NOPAD;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Lets in clients whose credentials are right. Only secrets that the settings have as a hash take
/// time, a good part of a second on a core: they wait for a turn, and are compared on threads for
/// such work. A secret that was right lately does not wait.
pub(super) struct Admission {
    pub authentication: Live<Authentication>,
    remembered: Remembered,
    /// At hashing. An IPv6 address is its /64.
    turns: Turns,
    timeout: Duration,
}

/// As many as nats-server's.
const NONCE_BYTES: usize = 11;

/// Why a client was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Its credentials are wrong.
    Unknown,
    /// Its credentials were not checked: its turn did not come in time, or it left before.
    OutOfTime,
}

impl Admission {
    /// Clients wait up to `timeout` for an answer.
    pub fn new(authentication: &Authentication, timeout: Duration) -> Self {
        Self {
            authentication: Live::new(authentication.clone()),
            remembered: Remembered::new(),
            turns: Turns::new(NATS_HASHES_AT_ONCE),
            timeout,
        }
    }

    /// The nonce for a new client to sign, if some clients log in with a key.
    pub fn nonce(&self) -> Option<Box<str>> {
        let mut bytes = [0; NONCE_BYTES];
        let random = rustls::crypto::ring::default_provider().secure_random;
        let is_signed = !self.authentication.get().nkeys.is_empty();
        let is_random = is_signed && random.fill(&mut bytes).is_ok();
        is_random.then(|| BASE64URL_NOPAD.encode(&bytes).into())
    }

    /// The rights of a client at `address` that was sent this nonce and gave these credentials. If
    /// it has to wait for its turn, and `has_left` by then, nothing is hashed. Cancel safe.
    pub async fn admit(
        &self,
        authentication: &Authentication,
        (credentials, nonce): (&Credentials, &str),
        address: IpAddr,
        has_left: impl Fn() -> bool,
    ) -> Result<Grant, Refusal> {
        let hashed = match authentication.judge(credentials, nonce) {
            Verdict::Right(grant) => return Ok(grant),
            Verdict::Wrong => return Err(Refusal::Unknown),
            Verdict::Hashed(hashed) => hashed,
        };
        let digest = self.remembered.digest(&hashed.hash, &hashed.given);
        if digest.is_some_and(|digest| self.remembered.knows(&digest, Instant::now())) {
            return Ok(hashed.grant);
        }
        let grant = hashed.grant.clone();
        match timeout(self.timeout, self.compare(hashed, address, has_left)).await.flatten() {
            Some(true) => {
                digest.into_iter().for_each(|it| self.remembered.remember(it, Instant::now()));
                Ok(grant)
            }
            Some(false) => Err(Refusal::Unknown),
            None => Err(Refusal::OutOfTime),
        }
    }

    /// Whether the secret is right; nothing if the client has left.
    async fn compare(
        &self,
        hashed: Hashed,
        address: IpAddr,
        has_left: impl Fn() -> bool,
    ) -> Option<bool> {
        let turn = self.turns.ask(counted_address(address));
        if !turn.has_come() {
            turn.come().await;
            if has_left() {
                return None;
            }
        }
        let compare = blocking::unblock(move || {
            // Work that has begun runs to its end, and keeps its turn until then.
            let _turn = turn;
            hashed.is_right()
        });
        Some(waiting(Wait::fixed("a worker"), compare).await)
    }
}

#[cfg(test)]
mod tests {
    use super::super::authentication::{Secret, User};
    use super::*;
    use crate::connection::turns::Turn;
    use futures_lite::future::{block_on, poll_once};
    use std::pin::Pin;

    const LONG: Duration = Duration::from_secs(3600);
    type Admitting<'a> = Pin<Box<dyn Future<Output = Result<Grant, Refusal>> + 'a>>;

    /// Of a user with a hashed password, and one whose password is written as it is.
    fn admission(timeout: Duration) -> Admission {
        let hash = bcrypt::hash("right", 4).unwrap();
        let user = |name: &str, password: &str| User {
            name: name.to_owned(),
            password: Some(Secret::new(password)),
            grant: Grant::default(),
        };
        let users = vec![user("hashed", &hash), user("plain", "right")];
        Admission::new(&Authentication { users, ..Default::default() }, timeout)
    }

    fn address(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn admit<'a>(
        admission: &'a Admission,
        (name, password): (&str, &str),
        address: IpAddr,
    ) -> Admitting<'a> {
        let credentials = Credentials {
            user: Some(name.to_owned()),
            password: Some(password.to_owned()),
            ..Credentials::default()
        };
        Box::pin(async move {
            let authentication = admission.authentication.get();
            admission.admit(&authentication, (&credentials, ""), address, || false).await
        })
    }

    /// Takes all turns.
    fn busy(admission: &Admission) -> Vec<Turn> {
        (100..).map(address).map(|of| admission.turns.ask(of)).take(NATS_HASHES_AT_ONCE).collect()
    }

    #[test]
    fn a_secret_that_is_no_hash_is_compared_at_once_whoever_else_is_checked() {
        let admission = admission(LONG);
        let _busy = busy(&admission);
        let at_once = |name: &str, password: &str| {
            block_on(poll_once(admit(&admission, (name, password), address(1)))).unwrap()
        };
        assert!(at_once("plain", "right").is_ok());
        assert_eq!(at_once("plain", "wrong"), Err(Refusal::Unknown));
        assert_eq!(at_once("nobody", "right"), Err(Refusal::Unknown));
    }

    #[test]
    fn a_flood_of_wrong_passwords_from_one_address_keeps_no_other_address_out() {
        let admission = admission(LONG);
        let wrong = |_| admit(&admission, ("hashed", "wrong"), address(1));
        let mut flood: Vec<Admitting<'_>> = (0..200).map(wrong).collect();
        flood.retain_mut(|wrong| block_on(poll_once(wrong)).is_none());
        let given = admission.turns.given();
        let mut right = admit(&admission, ("hashed", "right"), address(2));
        let admitted = block_on(poll_once(&mut right));
        // The right one's turn, and one of the flood's if its last hash is done.
        assert!(admission.turns.given() <= given + 2);
        assert!(admitted.unwrap_or_else(|| block_on(right)).is_ok());
        for wrong in flood {
            assert_eq!(block_on(wrong), Err(Refusal::Unknown));
        }
    }

    #[test]
    fn a_secret_that_was_right_lately_does_not_wait() {
        let admission = admission(LONG);
        assert!(block_on(admit(&admission, ("hashed", "right"), address(1))).is_ok());
        let _busy = busy(&admission);
        let again = |name: &str, password: &str| {
            block_on(poll_once(admit(&admission, (name, password), address(1))))
        };
        assert!(again("hashed", "right").is_some_and(|admitted| admitted.is_ok()));
        assert_eq!(again("hashed", "wrong"), None);
    }

    #[test]
    fn a_client_that_is_not_checked_in_time_is_told() {
        let admission = admission(Duration::from_millis(1));
        let _busy = busy(&admission);
        let late = admit(&admission, ("hashed", "right"), address(1));
        assert_eq!(block_on(late), Err(Refusal::OutOfTime));
    }

    #[test]
    fn nothing_is_hashed_for_a_client_that_left_while_it_waited() {
        let admission = admission(LONG);
        let busy = busy(&admission);
        let given_turns = admission.turns.given();
        let credentials = Credentials {
            user: Some("hashed".to_owned()),
            password: Some("right".to_owned()),
            ..Credentials::default()
        };
        let authentication = admission.authentication.get();
        let given = (&credentials, "");
        let mut gone = Box::pin(admission.admit(&authentication, given, address(1), || true));
        let mut dropped: Vec<Admitting<'_>> =
            (0..9).map(|_| admit(&admission, ("hashed", "right"), address(2))).collect();
        assert!(block_on(poll_once(&mut gone)).is_none());
        for waits in &mut dropped {
            assert!(block_on(poll_once(waits)).is_none());
        }
        drop((dropped, busy));
        assert_eq!(block_on(gone), Err(Refusal::OutOfTime));
        assert_eq!(admission.turns.given(), given_turns + 1, "those that were dropped had no turn");
        assert!(block_on(admit(&admission, ("hashed", "right"), address(2))).is_ok());
    }
}

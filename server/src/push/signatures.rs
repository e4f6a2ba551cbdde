//! Checking the signatures of datagrams that were read in one go: in place if that is soon done, by
//! a worker thread if it would keep other tasks from their turn.
//!
//! There is one batch at a time, and it is waited for. So datagrams keep their order, no more are
//! held than are read in one go, and what arrives meanwhile waits in the kernel's buffer.

use super::access::Access;
use crate::codec::datagram::Signed;
use crate::limits::{PUSH_CHECKED_IN_PLACE_BYTES, PUSH_DATAGRAM_BYTES};
use crate::tasks::{Interrupt, Pool};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Datagrams that were read in one go, in their order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    datagrams: Vec<Arrived>,
    /// Of those that say they are signed.
    signed_bytes: usize,
}

#[derive(Debug)]
struct Arrived {
    /// Where it ends in the bytes; it begins where the one before it ends.
    end: usize,
    sender: SocketAddr,
}

/// What the bytes of a datagram say about who sent it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nothing: it is not signed.
    Unsigned,
    /// The holder of the key that it names.
    Signed,
    /// It is not who it says, or its key is unknown.
    Forged,
    /// It is larger than it may be.
    Oversized,
    /// It is signed in no known form.
    Malformed,
    /// Nobody was free to look.
    Unchecked,
}

impl Batch {
    pub fn push(&mut self, datagram: &[u8], sender: SocketAddr) {
        self.bytes.extend_from_slice(datagram);
        self.datagrams.push(Arrived { end: self.bytes.len(), sender });
        // Those that are too large are not looked at.
        if Signed::is_claimed(datagram) && datagram.len() <= PUSH_DATAGRAM_BYTES {
            self.signed_bytes += datagram.len();
        }
    }

    /// Each datagram and who sent it.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], SocketAddr)> {
        let mut begin = 0;
        self.datagrams.iter().map(move |arrived| {
            let datagram = &self.bytes[begin..arrived.end];
            begin = arrived.end;
            (datagram, arrived.sender)
        })
    }

    pub fn len(&self) -> usize {
        self.datagrams.len()
    }
}

/// Checks batches, one after the other.
pub(super) struct Signatures {
    access: Arc<Access>,
    /// None without keys: then nothing takes time.
    pool: Option<Pool<Arc<Batch>, Vec<Trust>>>,
    /// How long a batch may wait for its worker.
    limit: Duration,
}

impl Signatures {
    pub fn new(access: Arc<Access>, limit: Duration) -> Self {
        let of_worker = access.clone();
        let work = move || {
            let access = of_worker.clone();
            move |batch: Arc<Batch>, interrupt: &Interrupt| {
                trust_of(&access, &batch, || interrupt.is_set())
            }
        };
        let pool = access.has_keys().then(|| Pool::new("push signatures", 1, work));
        let pool = pool.transpose().unwrap_or_else(|error| {
            log::warn!("push: no thread for signatures, so they are checked where datagrams are read: {error}");
            None
        });
        Self { access, pool, limit }
    }

    /// What each datagram of a batch says about its sender, in their order.
    pub async fn check(&self, batch: &Arc<Batch>) -> Vec<Trust> {
        match &self.pool {
            Some(pool) if batch.signed_bytes > PUSH_CHECKED_IN_PLACE_BYTES => {
                let checked = pool.process_timeout(batch.clone(), self.limit).await;
                checked.unwrap_or_else(|error| {
                    log::warn!("push: {} datagrams were not checked: {error}", batch.len());
                    batch.iter().map(|(datagram, _)| unchecked(datagram)).collect()
                })
            }
            _ => trust_of(&self.access, batch, || false),
        }
    }
}

fn trust_of(access: &Access, batch: &Batch, is_over: impl Fn() -> bool) -> Vec<Trust> {
    // Nobody looks at the result of what is over.
    batch.iter().take_while(|_| !is_over()).map(|(datagram, _)| trust(access, datagram)).collect()
}

fn trust(access: &Access, datagram: &[u8]) -> Trust {
    if datagram.len() > PUSH_DATAGRAM_BYTES {
        return Trust::Oversized;
    }
    match Signed::parse(datagram) {
        Err(_) => Trust::Malformed,
        Ok(None) => Trust::Unsigned,
        Ok(Some(signed)) => match access.key(signed.key_id) {
            Some(key) if signed.is_by(key.secret.as_bytes()) => Trust::Signed,
            _ => Trust::Forged,
        },
    }
}

/// What can be said of a datagram without much work.
fn unchecked(datagram: &[u8]) -> Trust {
    match datagram.len() > PUSH_DATAGRAM_BYTES {
        true => Trust::Oversized,
        false if Signed::is_claimed(datagram) => Trust::Unchecked,
        false => Trust::Unsigned,
    }
}

#[cfg(test)]
mod tests {
    use super::super::access::Key;
    use super::*;
    use crate::codec::datagram::signed::sign;
    use crate::tasks::PoolError;
    use futures_lite::future::block_on;
    use std::sync::mpsc::sync_channel;
    use std::sync::{Arc, Mutex};

    const SECRET: &str = "0123456789abcdef";
    const FOREVER: Duration = Duration::from_secs(3600);

    fn access() -> Arc<Access> {
        let key = Key { id: "shop".into(), secret: SECRET.into(), targets: vec!["*".into()] };
        Arc::new(Access::new(vec![key], None).unwrap())
    }

    /// One of each kind, over and over, with payloads of so many bytes.
    fn batch(rounds: usize, bytes: usize) -> (Arc<Batch>, Vec<Trust>) {
        let push = [b"all ".as_slice(), &vec![b'x'; bytes]].concat();
        let signed =
            |id, secret: &str| sign(id, secret.as_bytes(), 1_800_000_000, "nonce-01", &push);
        let kinds = [
            (signed("shop", SECRET), Trust::Signed),
            (push.clone(), Trust::Unsigned),
            (signed("shop", "another secret!!"), Trust::Forged),
            (signed("nobody", SECRET), Trust::Forged),
            (b"signed rubbish".to_vec(), Trust::Malformed),
            (signed("shop", SECRET).repeat(3 + PUSH_DATAGRAM_BYTES / bytes), Trust::Oversized),
        ];
        let mut batch = Batch::default();
        let mut expected = Vec::new();
        for (datagram, trust) in kinds.iter().cycle().take(rounds * kinds.len()) {
            batch.push(datagram, ([127, 0, 0, 1], batch.len() as u16).into());
            expected.push(*trust);
        }
        (Arc::new(batch), expected)
    }

    #[test]
    fn a_batch_gives_back_what_was_put_in() {
        let (batch, _) = batch(2, 100);
        let ports: Vec<u16> = batch.iter().map(|(_, sender)| sender.port()).collect();
        assert_eq!(ports, (0..12).collect::<Vec<_>>());
        assert!(batch.iter().nth(7).unwrap().0.starts_with(b"all x"));
        assert_eq!(Batch::default().iter().count(), 0);
    }

    #[test]
    fn a_worker_says_the_same_as_whoever_looks_in_place() {
        let signatures = Signatures::new(access(), FOREVER);
        for (rounds, bytes, is_large) in [(1, 10, false), (10, 4_000, true)] {
            let (batch, expected) = batch(rounds, bytes);
            assert_eq!(batch.signed_bytes > PUSH_CHECKED_IN_PLACE_BYTES, is_large);
            assert_eq!(block_on(signatures.check(&batch)), expected);
        }
        let without_keys = Signatures::new(Arc::default(), FOREVER);
        assert!(without_keys.pool.is_none());
        let (batch, _) = batch(10, 4_000);
        assert_eq!(block_on(without_keys.check(&batch))[0], Trust::Forged);
    }

    #[test]
    fn without_a_worker_in_time_what_is_signed_is_not_taken_and_the_rest_is() {
        let (release, wait) = sync_channel::<()>(0);
        let wait = Arc::new(Mutex::new(wait));
        let stuck = move || {
            let wait = wait.clone();
            move |_: Arc<Batch>, _: &Interrupt| {
                let _ = wait.lock().unwrap().recv();
                Vec::new()
            }
        };
        let pool = Pool::new("stuck", 1, stuck).unwrap();
        let signatures =
            Signatures { access: access(), pool: Some(pool), limit: Duration::from_millis(1) };
        let (large, _) = batch(10, 4_000);
        use Trust::{Oversized, Unchecked, Unsigned};
        let expected = [Unchecked, Unsigned, Unchecked, Unchecked, Unchecked, Oversized];
        assert_eq!(block_on(signatures.check(&large))[..6], expected);
        // The worker is still at the first; and then there is none any more.
        assert_eq!(block_on(signatures.check(&large))[6..12], expected);
        let pool = signatures.pool.as_ref().unwrap();
        pool.close();
        assert!(matches!(block_on(pool.process(large.clone())), Err(PoolError::Closed(_))));
        assert_eq!(block_on(signatures.check(&large)).len(), large.len());
        // What is little is looked at in place all the same.
        let (small, of_small) = batch(1, 10);
        assert_eq!(block_on(signatures.check(&small)), of_small);
        drop(release);
        block_on(pool.closed());
    }
}

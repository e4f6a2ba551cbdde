//! Checking the signatures of datagrams that were read in one go: in place if that is quick, on
//! another thread if it would keep other tasks from their turn.
//!
//! The reader waits for each batch. So datagrams keep their order, no more are held than are read
//! in one go, and what arrives meanwhile waits in the kernel's buffer.

use super::access::Access;
use crate::codec::datagram::Signed;
use crate::counted::counted;
use crate::limits::{PUSH_CHECKED_IN_PLACE_BYTES, PUSH_DATAGRAM_BYTES};
use crate::live::Live;
use crate::tasks::Limiter;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Datagrams that were read in one go, in their order.
#[derive(Debug, Default)]
pub(super) struct Batch {
    bytes: Vec<u8>,
    datagrams: Vec<Arrived>,
    /// Bytes of the datagrams that claim to be signed.
    signed_bytes: usize,
}

#[derive(Debug)]
struct Arrived {
    /// Where the datagram ends in the bytes; it begins where the one before it ends.
    end: usize,
    sender: SocketAddr,
}

/// The proof that a datagram's bytes give of its sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Nothing: the datagram is not signed.
    Unsigned,
    /// The sender holds the key that the datagram names.
    Signed,
    /// The signature is wrong, or the key is unknown.
    Forged,
    /// The datagram is too large.
    Oversized,
    /// The signed form is wrong.
    Malformed,
    /// No thread checked it in time.
    Unchecked,
}

impl Batch {
    pub fn push(&mut self, datagram: &[u8], sender: SocketAddr) {
        self.bytes.extend_from_slice(datagram);
        self.datagrams.push(Arrived { end: self.bytes.len(), sender });
        // Datagrams that are too large are not checked.
        if Signed::is_claimed(datagram) && datagram.len() <= PUSH_DATAGRAM_BYTES {
            self.signed_bytes += datagram.len();
        }
    }

    /// Each datagram and its sender's address.
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
    access: Live<Access>,
    /// One batch at a time is checked on another thread.
    elsewhere: Limiter,
    /// How long the check of a batch may take there.
    limit: Duration,
}

impl Signatures {
    pub fn new(access: Live<Access>, limit: Duration) -> Self {
        Self { access, elsewhere: Limiter::new(1), limit }
    }

    /// The proof that each datagram of a batch gives of its sender, in their order.
    pub async fn check(&self, batch: &Arc<Batch>) -> Vec<Trust> {
        let access = self.access.get();
        // Without keys nothing takes time.
        if !access.has_keys() || batch.signed_bytes <= PUSH_CHECKED_IN_PLACE_BYTES {
            return trust_of(&access, batch);
        }
        let of_thread = batch.clone();
        let work = move || trust_of(&access, &of_thread);
        self.elsewhere.unblock(self.limit, work).await.unwrap_or_else(|| {
            log::warn!("push: not checked in time: {}", counted(batch.len(), "datagram"));
            batch.iter().map(|(datagram, _)| unchecked(datagram)).collect()
        })
    }
}

fn trust_of(access: &Access, batch: &Batch) -> Vec<Trust> {
    batch.iter().map(|(datagram, _)| trust(access, datagram)).collect()
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

/// The proof that a datagram gives, where that takes no work.
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
    use futures_lite::future::block_on;

    const SECRET: &str = "0123456789abcdef";
    const FOREVER: Duration = Duration::from_secs(3600);

    fn access() -> Arc<Access> {
        let key = Key { id: "shop".into(), secret: SECRET.into(), targets: vec!["*".into()] };
        Arc::new(Access::new(vec![key], None).unwrap())
    }

    /// Datagrams of each kind, in turn, with payloads of this many bytes.
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
    fn another_thread_says_the_same_as_a_check_in_place() {
        let signatures = Signatures::new(Live::new(access()), FOREVER);
        for (rounds, bytes, is_large) in [(1, 10, false), (10, 4_000, true)] {
            let (batch, expected) = batch(rounds, bytes);
            assert_eq!(batch.signed_bytes > PUSH_CHECKED_IN_PLACE_BYTES, is_large);
            assert_eq!(block_on(signatures.check(&batch)), expected);
        }
        let without_keys = Signatures::new(Live::default(), FOREVER);
        let (batch, _) = batch(10, 4_000);
        assert_eq!(block_on(without_keys.check(&batch))[0], Trust::Forged);
    }

    #[test]
    fn without_a_thread_in_time_what_is_signed_is_not_taken_and_the_rest_is() {
        let signatures = Signatures::new(Live::new(access()), Duration::from_millis(1));
        let _busy = signatures.elsewhere.try_acquire().unwrap();
        let (large, _) = batch(10, 4_000);
        use Trust::{Oversized, Unchecked, Unsigned};
        let expected = [Unchecked, Unsigned, Unchecked, Unchecked, Unchecked, Oversized];
        assert_eq!(block_on(signatures.check(&large))[..6], expected);
        assert_eq!(block_on(signatures.check(&large)).len(), large.len());
        // A small batch is checked in place all the same.
        let (small, of_small) = batch(1, 10);
        assert_eq!(block_on(signatures.check(&small)), of_small);
    }
}

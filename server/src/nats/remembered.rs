//! The secrets that were right lately, so that a client that comes back waits for no hash.
//!
//! What is kept is a digest with a key of this process, of the secret and of the hash that it was
//! compared with. So a secret that changes in the settings is not remembered, and whoever reads the
//! digests learns no secret from them alone.

use crate::limits::{NATS_REMEMBERED_MS, NATS_REMEMBERED_SECRETS};
use crate::locks::lock;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The digests, and when each was last used.
pub(super) struct Remembered {
    /// None if the machine has no random numbers to give: then nothing is remembered.
    key: Option<[u8; 32]>,
    used: Mutex<HashMap<Digest, Instant>>,
}

/// A keyed digest that stands for a secret and its hash.
pub(super) type Digest = [u8; 32];

impl Remembered {
    /// Nothing is remembered yet.
    pub fn new() -> Self {
        let mut key = [0; 32];
        let random = rustls::crypto::ring::default_provider().secure_random;
        let key = random.fill(&mut key).is_ok().then_some(key);
        Self { key, used: Mutex::default() }
    }

    /// The digest that stands for this secret, compared with this hash.
    pub fn digest(&self, hash: &str, secret: &str) -> Option<Digest> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key?).ok()?;
        mac.update(&hash.len().to_le_bytes());
        mac.update(hash.as_bytes());
        mac.update(secret.as_bytes());
        Some(mac.finalize().into_bytes().into())
    }

    /// Whether it was right lately. If it was, it stays known.
    pub fn knows(&self, digest: &Digest, now: Instant) -> bool {
        let mut used = lock(&self.used);
        let Some(last) = used.get_mut(digest).filter(|last| is_recent(**last, now)) else {
            return false;
        };
        *last = now;
        true
    }

    /// It was right just now.
    pub fn remember(&self, digest: Digest, now: Instant) {
        let mut used = lock(&self.used);
        used.retain(|_, last| is_recent(*last, now));
        if used.len() >= NATS_REMEMBERED_SECRETS
            && let Some(oldest) = used.iter().min_by_key(|(_, last)| **last).map(|(key, _)| *key)
        {
            used.remove(&oldest);
        }
        used.insert(digest, now);
    }
}

fn is_recent(last: Instant, now: Instant) -> bool {
    now.saturating_duration_since(last) < Duration::from_millis(NATS_REMEMBERED_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_known_for_a_while_and_for_its_hash_alone() {
        let remembered = Remembered::new();
        let digest = |hash: &str, secret: &str| remembered.digest(hash, secret).unwrap();
        let (now, while_ms) = (Instant::now(), Duration::from_millis(NATS_REMEMBERED_MS));
        let right = digest("$2a$04$one", "secret");
        assert!(!remembered.knows(&right, now));
        remembered.remember(right, now);
        for other in [digest("$2a$04$two", "secret"), digest("$2a$04$one", "secre")] {
            assert!(!remembered.knows(&other, now));
        }
        assert_ne!(right, Remembered::new().digest("$2a$04$one", "secret").unwrap());
        let late = now + while_ms - Duration::from_millis(1);
        assert!(remembered.knows(&right, late), "and stays known for as long again");
        assert!(remembered.knows(&right, late + while_ms / 2));
        assert!(!remembered.knows(&right, late + while_ms * 2));
    }

    #[test]
    fn the_one_that_was_used_least_lately_is_forgotten_first() {
        let remembered = Remembered::new();
        let digest = |index: usize| remembered.digest("", &index.to_string()).unwrap();
        let start = Instant::now();
        let at = |index: usize| start + Duration::from_micros(index as u64);
        (0..NATS_REMEMBERED_SECRETS)
            .for_each(|index| remembered.remember(digest(index), at(index)));
        assert!(remembered.knows(&digest(0), at(NATS_REMEMBERED_SECRETS)));
        remembered.remember(digest(NATS_REMEMBERED_SECRETS), at(NATS_REMEMBERED_SECRETS));
        let known = |index: usize| remembered.knows(&digest(index), at(NATS_REMEMBERED_SECRETS));
        assert!(known(0) && !known(1) && known(2) && known(NATS_REMEMBERED_SECRETS));
        assert_eq!(lock(&remembered.used).len(), NATS_REMEMBERED_SECRETS);
    }
}

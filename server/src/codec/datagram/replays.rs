//! Signed datagrams that were taken already, so that none is taken twice.

use super::Signed;
use crate::limits::PUSH_REMEMBERED_SIGNATURES;
use std::collections::{BTreeMap, HashSet};
use std::fmt;

/// Remembers each datagram for as long as it would not be stale; so whatever was taken is refused
/// for ever. By the MAC, which no two datagrams share: the nonce makes it another for two that say
/// the same within a second.
#[derive(Debug)]
pub struct Replays {
    age_s: u64,
    taken_max: usize,
    /// By the second in which they were sent, so that those of a whole second are forgotten at
    /// once.
    taken: BTreeMap<u64, HashSet<u128>>,
    count: usize,
    /// What was sent before this second is forgotten, and so it is stale for ever, even if our
    /// clock is set back.
    forgotten_before_s: u64,
}

/// Why a datagram that is signed as it should be is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// Its time is too far from ours.
    Stale {
        /// By how many seconds it may differ.
        age_s: u64,
    },
    /// It was taken before.
    Replayed,
    /// As many are remembered as can be.
    Full,
}

impl fmt::Display for ReplayError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stale { age_s } => {
                write!(out, "stale: its time differs from ours by more than {age_s} s")
            }
            Self::Replayed => write!(out, "replayed: it was taken before"),
            Self::Full => write!(out, "too many signed datagrams; try again later"),
        }
    }
}

impl std::error::Error for ReplayError {}

impl Replays {
    /// Takes datagrams whose time differs by no more than `age_s` seconds.
    pub fn new(age_s: u64) -> Self {
        Self::with_bound(age_s, PUSH_REMEMBERED_SIGNATURES)
    }

    /// The same, remembering at most so many.
    pub fn with_bound(age_s: u64, taken_max: usize) -> Self {
        Self { age_s, taken_max, taken: BTreeMap::new(), count: 0, forgotten_before_s: 0 }
    }

    /// Takes a datagram whose signature was found right; `now_s` is in seconds since 1970. On an
    /// error nothing has changed.
    ///
    /// # Errors
    /// See [`ReplayError`].
    pub fn take(&mut self, signed: &Signed<'_>, now_s: u64) -> Result<(), ReplayError> {
        self.forget_stale(now_s);
        if signed.time_s.abs_diff(now_s) > self.age_s || signed.time_s < self.forgotten_before_s {
            return Err(ReplayError::Stale { age_s: self.age_s });
        }
        let fingerprint = signed.fingerprint();
        if self.taken.get(&signed.time_s).is_some_and(|taken| taken.contains(&fingerprint)) {
            return Err(ReplayError::Replayed);
        }
        if self.count >= self.taken_max {
            return Err(ReplayError::Full);
        }
        self.taken.entry(signed.time_s).or_default().insert(fingerprint);
        self.count += 1;
        Ok(())
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none is remembered.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn forget_stale(&mut self, now_s: u64) {
        self.forgotten_before_s = self.forgotten_before_s.max(now_s.saturating_sub(self.age_s));
        while let Some(first) = self.taken.first_entry()
            && *first.key() < self.forgotten_before_s
        {
            self.count -= first.remove().len();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::signed::sign;
    use super::*;

    const NOW_S: u64 = 1_800_000_000;

    fn take(
        replays: &mut Replays,
        time_s: u64,
        nonce: &str,
        now_s: u64,
    ) -> Result<(), ReplayError> {
        let datagram = sign("k", b"key", time_s, nonce, b"all x");
        replays.take(&Signed::parse(&datagram).unwrap().unwrap(), now_s)
    }

    #[test]
    fn a_datagram_is_taken_once_and_while_it_is_fresh() {
        let mut replays = Replays::new(30);
        assert_eq!(take(&mut replays, NOW_S, "nonce--1", NOW_S), Ok(()));
        assert_eq!(take(&mut replays, NOW_S, "nonce--2", NOW_S), Ok(()));
        for now_s in NOW_S..=NOW_S + 30 {
            assert_eq!(
                take(&mut replays, NOW_S, "nonce--1", now_s),
                Err(ReplayError::Replayed),
                "{now_s}"
            );
        }
        let stale = Err(ReplayError::Stale { age_s: 30 });
        assert_eq!(take(&mut replays, NOW_S, "nonce--1", NOW_S + 31), stale);
        assert_eq!(take(&mut replays, NOW_S, "nonce--3", NOW_S - 31), stale);
        assert_eq!(take(&mut replays, u64::MAX, "nonce--3", NOW_S), stale);
        assert_eq!(take(&mut replays, 0, "nonce--3", NOW_S), stale);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_only_what_is_stale() {
        let mut replays = Replays::with_bound(30, 2);
        assert_eq!(take(&mut replays, NOW_S, "nonce--1", NOW_S), Ok(()));
        assert_eq!(take(&mut replays, NOW_S + 1, "nonce--2", NOW_S), Ok(()));
        assert_eq!(take(&mut replays, NOW_S, "nonce--3", NOW_S), Err(ReplayError::Full));
        assert_eq!(take(&mut replays, NOW_S, "nonce--1", NOW_S), Err(ReplayError::Replayed));
        assert_eq!(take(&mut replays, NOW_S + 31, "nonce--3", NOW_S + 31), Ok(()));
        assert_eq!(replays.len(), 2);
        assert_eq!(
            take(&mut replays, NOW_S + 1, "nonce--2", NOW_S + 31),
            Err(ReplayError::Replayed)
        );
    }

    #[test]
    fn a_clock_that_is_set_back_forgets_nothing() {
        let mut replays = Replays::new(30);
        assert_eq!(take(&mut replays, NOW_S, "nonce--1", NOW_S), Ok(()));
        assert!(take(&mut replays, NOW_S, "nonce--1", NOW_S - 100).is_err());
        assert_eq!(take(&mut replays, NOW_S, "nonce--1", NOW_S), Err(ReplayError::Replayed));
        assert!(take(&mut replays, NOW_S, "nonce--1", NOW_S + 100).is_err());
        assert_eq!(
            take(&mut replays, NOW_S, "nonce--1", NOW_S),
            Err(ReplayError::Stale { age_s: 30 })
        );
    }
}

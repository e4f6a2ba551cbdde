//! Remembers signed datagrams, so that none is accepted twice.

use super::Signed;
use crate::limits::{PUSH_FORGOTTEN_SPANS, PUSH_REMEMBERED_SIGNATURES};
use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::time::Instant;

/// Datagrams that earlier servers accepted, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Each by the second in which it was sent and its fingerprint.
    pub taken: Vec<(u64, u128)>,
    /// Spans of seconds, first and last, of which nothing is accepted any more.
    pub forgotten: Vec<(u64, u64)>,
    /// The second from which on no datagram is missing here. `None` if nobody knows.
    pub complete_from_s: Option<u64>,
}

/// Remembers each accepted datagram while its time is close to ours, and then only the second in
/// which it was sent. So nothing is accepted twice, however our clock is set, and once a wrong
/// clock is corrected, new datagrams are accepted again.
///
/// A datagram is remembered by its MAC. No two share one: the nonce tells apart two equal pushes in
/// one second.
#[derive(Debug)]
pub struct Replays {
    age_s: u64,
    taken_max: usize,
    /// When this was created. An earlier process may have accepted whatever was sent before.
    started: Instant,
    /// The second from which on what an earlier process accepted is known.
    complete_from_s: Option<u64>,
    /// MACs by the second in which the datagram was sent, so a whole second is forgotten at once.
    taken: BTreeMap<u64, HashSet<u128>>,
    count: usize,
    forgotten: Spans,
}

/// The local clocks when a datagram arrives.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// Milliseconds since 1970, by the clock that an administrator can set.
    pub wall_ms: u64,
    /// The clock that only goes forward.
    pub instant: Instant,
}

/// Why a correctly signed datagram is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// Its time is too far from ours, or too old to know what was accepted then.
    Stale,
    /// It was sent before this server started, by our present clock.
    BeforeStart,
    /// The datagram was accepted before.
    Replayed,
    /// No more datagrams can be remembered.
    Full,
}

impl Replays {
    /// Accepts datagrams that were sent after `started` and whose time differs from ours by at most
    /// `age_s` seconds.
    pub fn new(age_s: u64, started: Instant) -> Self {
        Self::with_bound(age_s, started, PUSH_REMEMBERED_SIGNATURES)
    }

    /// Goes on from what earlier servers accepted.
    pub fn resume(age_s: u64, started: Instant, remembered: Remembered) -> Self {
        let mut replays = Self::new(age_s, started);
        for (time_s, fingerprint) in remembered.taken {
            replays.count +=
                usize::from(replays.taken.entry(time_s).or_default().insert(fingerprint));
        }
        replays.complete_from_s = remembered.complete_from_s;
        replays.forgotten = Spans(remembered.forgotten.iter().map(|(a, b)| *a..=*b).collect());
        replays
    }

    /// [`new`](Self::new) with a bound of `taken_max` remembered datagrams.
    pub fn with_bound(age_s: u64, started: Instant, taken_max: usize) -> Self {
        Self {
            age_s,
            taken_max,
            started,
            complete_from_s: None,
            taken: BTreeMap::new(),
            count: 0,
            forgotten: Spans::default(),
        }
    }

    /// Accepts a datagram whose signature has been verified, or refuses it with an error.
    pub fn take(&mut self, signed: &Signed<'_>, now: Now) -> Result<(), ReplayError> {
        let (time_s, now_s) = (signed.time_s, now.wall_ms / 1000);
        self.forget_stale(now_s);
        if time_s.abs_diff(now_s) > self.age_s || self.forgotten.have(time_s) {
            return Err(ReplayError::Stale);
        }
        let fingerprint = signed.fingerprint();
        if self.taken.get(&time_s).is_some_and(|taken| taken.contains(&fingerprint)) {
            return Err(ReplayError::Replayed);
        }
        if time_s < self.complete_from_s(now) {
            return Err(ReplayError::BeforeStart);
        }
        if self.count >= self.taken_max {
            self.forget_far_ahead(now_s);
        }
        if self.count >= self.taken_max {
            return Err(ReplayError::Full);
        }
        self.taken.entry(time_s).or_default().insert(fingerprint);
        self.count += 1;
        Ok(())
    }

    /// The second from which on every accepted datagram is known: the one after the start, unless
    /// earlier servers have left all that they accepted.
    pub fn complete_from_s(&self, now: Now) -> u64 {
        // By the present clock. If the clock was ahead at the start, there is no reason to wait
        // until then.
        let uptime = now.instant.saturating_duration_since(self.started);
        let uptime_ms = u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX);
        let after_start_s = now.wall_ms.saturating_sub(uptime_ms) / 1000 + 1;
        self.complete_from_s.map_or(after_start_s, |second| second.min(after_start_s))
    }

    /// The first and the last second of which datagrams are remembered one by one.
    pub fn seconds(&self) -> (u64, u64) {
        let first = self.taken.first_key_value().map_or(0, |(second, _)| *second);
        (first, self.taken.last_key_value().map_or(0, |(second, _)| *second))
    }

    /// Spans of seconds, first and last, of which nothing is accepted any more.
    pub fn forgotten(&self) -> Vec<(u64, u64)> {
        self.forgotten.0.iter().map(|span| (*span.start(), *span.end())).collect()
    }

    /// The number of datagrams remembered.
    pub fn count(&self) -> usize {
        self.count
    }

    fn forget_stale(&mut self, now_s: u64) {
        let earliest_s = now_s.saturating_sub(self.age_s);
        while let Some(first) = self.taken.first_entry()
            && *first.key() < earliest_s
        {
            self.forgotten.add(*first.key());
            self.count -= first.remove().len();
        }
    }

    /// Makes room after the clock was set back: seconds far ahead would otherwise stay until they
    /// come.
    fn forget_far_ahead(&mut self, now_s: u64) {
        let latest_s = now_s.saturating_add(self.age_s);
        while let Some(last) = self.taken.last_entry()
            && *last.key() > latest_s
        {
            self.forgotten.add(*last.key());
            self.count -= last.remove().len();
        }
    }
}

/// Seconds whose datagrams were accepted and are forgotten. Each large change of the clock begins
/// another span. There are few, since the two closest spans are merged.
#[derive(Debug, Default)]
struct Spans(Vec<RangeInclusive<u64>>);

impl Spans {
    fn have(&self, second: u64) -> bool {
        self.0.iter().any(|span| span.contains(&second))
    }

    fn add(&mut self, second: u64) {
        if self.have(second) {
            return;
        }
        let at = self.0.partition_point(|span| *span.end() < second);
        self.0.insert(at, second..=second);
        let gap = |at: &usize| self.0[at + 1].start() - self.0[*at].end();
        let closest = (0..self.0.len() - 1).min_by_key(gap);
        if let Some(at) = closest.filter(|_| self.0.len() > PUSH_FORGOTTEN_SPANS) {
            let next = self.0.remove(at + 1);
            self.0[at] = *self.0[at].start()..=*next.end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::signed::sign;
    use super::*;
    use std::time::Duration;

    const NOW_S: u64 = 1_800_000_000;

    /// Started long ago.
    fn replays(taken_max: usize) -> Replays {
        let started = Instant::now();
        Replays::with_bound(30, started, taken_max)
    }

    fn take(
        replays: &mut Replays,
        time_s: u64,
        nonce: &str,
        now_s: u64,
    ) -> Result<(), ReplayError> {
        take_after(replays, Duration::from_secs(1_000_000), time_s, nonce, now_s * 1000)
    }

    fn take_after(
        replays: &mut Replays,
        uptime: Duration,
        time_s: u64,
        nonce: &str,
        wall_ms: u64,
    ) -> Result<(), ReplayError> {
        let datagram = sign("k", b"key", time_s, nonce, b"all x");
        let now = Now { wall_ms, instant: replays.started + uptime };
        replays.take(&Signed::parse(&datagram).unwrap().unwrap(), now)
    }

    #[test]
    fn a_datagram_is_taken_once_and_while_it_is_fresh() {
        let mut replays = replays(100);
        assert_eq!(take(&mut replays, NOW_S, "nonce--1", NOW_S), Ok(()));
        assert_eq!(take(&mut replays, NOW_S, "nonce--2", NOW_S), Ok(()));
        for now_s in NOW_S..=NOW_S + 30 {
            assert_eq!(
                take(&mut replays, NOW_S, "nonce--1", now_s),
                Err(ReplayError::Replayed),
                "{now_s}"
            );
        }
        let stale = Err(ReplayError::Stale);
        assert_eq!(take(&mut replays, NOW_S, "nonce--1", NOW_S + 31), stale);
        assert_eq!(take(&mut replays, NOW_S, "nonce--3", NOW_S - 31), stale);
        assert_eq!(take(&mut replays, u64::MAX, "nonce--3", NOW_S), stale);
        assert_eq!(take(&mut replays, 0, "nonce--3", NOW_S), stale);
    }

    #[test]
    fn the_table_is_bounded_and_forgets_only_what_is_stale() {
        let mut replays = replays(2);
        assert_eq!(take(&mut replays, NOW_S, "nonce--1", NOW_S), Ok(()));
        assert_eq!(take(&mut replays, NOW_S + 1, "nonce--2", NOW_S), Ok(()));
        assert_eq!(take(&mut replays, NOW_S, "nonce--3", NOW_S), Err(ReplayError::Full));
        assert_eq!(take(&mut replays, NOW_S, "nonce--1", NOW_S), Err(ReplayError::Replayed));
        assert_eq!(take(&mut replays, NOW_S + 31, "nonce--3", NOW_S + 31), Ok(()));
        assert_eq!(replays.count(), 2);
        assert_eq!(
            take(&mut replays, NOW_S + 1, "nonce--2", NOW_S + 31),
            Err(ReplayError::Replayed)
        );
    }

    #[test]
    fn a_clock_that_is_set_back_forgets_nothing() {
        let mut replays = replays(100);
        assert_eq!(take(&mut replays, NOW_S, "nonce--1", NOW_S), Ok(()));
        assert!(take(&mut replays, NOW_S, "nonce--1", NOW_S - 100).is_err());
        assert_eq!(take(&mut replays, NOW_S, "nonce--1", NOW_S), Err(ReplayError::Replayed));
        assert!(take(&mut replays, NOW_S, "nonce--1", NOW_S + 100).is_err());
        assert_eq!(take(&mut replays, NOW_S, "nonce--1", NOW_S), Err(ReplayError::Stale));
    }

    #[test]
    fn a_clock_that_was_ahead_keeps_nothing_out_once_it_is_right() {
        const AHEAD_S: u64 = 86_400;
        // So few that datagrams accepted with a wrong time have to make room.
        let mut replays = replays(40);
        assert_eq!(take(&mut replays, NOW_S, "nonce--1", NOW_S), Ok(()));
        // A sender on the same machine has the same clock.
        for second in 0..100 {
            let ahead_s = NOW_S + AHEAD_S + second;
            assert_eq!(take(&mut replays, ahead_s, "nonce--2", ahead_s), Ok(()));
        }
        let stale = Err(ReplayError::Stale);
        for second in 1..100 {
            let now_s = NOW_S + second;
            assert_eq!(take(&mut replays, now_s, "nonce--3", now_s), Ok(()), "{second}");
            assert!(take(&mut replays, NOW_S, "nonce--1", now_s).is_err(), "{second}");
        }
        // A datagram accepted then is not accepted again when that time comes.
        for second in 0..100 {
            let ahead_s = NOW_S + AHEAD_S + second;
            assert_eq!(take(&mut replays, ahead_s, "nonce--2", ahead_s), stale, "{second}");
        }
    }

    #[test]
    fn a_clock_that_is_set_again_and_again_is_remembered_in_bounded_room() {
        let mut replays = replays(100);
        for jump in 0..1_000 {
            let now_s = NOW_S + jump * 3_600;
            assert_eq!(take(&mut replays, now_s, "nonce--1", now_s), Ok(()));
        }
        assert!(replays.forgotten.0.len() <= PUSH_FORGOTTEN_SPANS);
        for jump in 0..1_000 {
            let now_s = NOW_S + jump * 3_600;
            assert!(take(&mut replays, now_s, "nonce--1", now_s).is_err());
        }
    }

    #[test]
    fn a_datagram_that_an_earlier_server_accepted_is_refused() {
        let now = |replays: &Replays| Now { wall_ms: NOW_S * 1000, instant: replays.started };
        let mut first = replays(100);
        assert_eq!(take(&mut first, NOW_S - 100, "nonce--0", NOW_S - 100), Ok(()));
        assert_eq!(take(&mut first, NOW_S, "nonce--1", NOW_S), Ok(()));
        let datagram = sign("k", b"key", NOW_S, "nonce--1", b"all x");
        let fingerprint = Signed::parse(&datagram).unwrap().unwrap().fingerprint();
        let left = |complete_from_s| Remembered {
            taken: vec![(NOW_S, fingerprint)],
            forgotten: first.forgotten(),
            complete_from_s,
        };
        assert_eq!(first.seconds(), (NOW_S, NOW_S));
        for (complete_from_s, another) in
            [(None, Err(ReplayError::BeforeStart)), (Some(NOW_S - 200), Ok(()))]
        {
            let mut next = Replays::resume(30, Instant::now(), left(complete_from_s));
            let just_started = Duration::ZERO;
            let mut take = |time_s, nonce, wall_s: u64| {
                take_after(&mut next, just_started, time_s, nonce, wall_s * 1000)
            };
            assert_eq!(take(NOW_S, "nonce--1", NOW_S), Err(ReplayError::Replayed));
            assert_eq!(take(NOW_S, "nonce--2", NOW_S), another);
            // The clock was set back while no server ran.
            let stale = Err(ReplayError::Stale);
            assert_eq!(take(NOW_S - 100, "nonce--0", NOW_S - 100), stale);
            let from_s = complete_from_s.unwrap_or(NOW_S + 1);
            assert_eq!(next.complete_from_s(now(&next)), from_s);
        }
    }

    #[test]
    fn datagrams_sent_before_the_start_are_refused() {
        let mut replays = replays(100);
        let started_ms = NOW_S * 1000 + 300;
        let mut take = |uptime_ms, time_s, wall_ms| {
            take_after(&mut replays, Duration::from_millis(uptime_ms), time_s, "nonce--1", wall_ms)
        };
        let before = Err(ReplayError::BeforeStart);
        // The second of the start included: an earlier process may have accepted it.
        assert_eq!(take(100, NOW_S, started_ms + 100), before);
        assert_eq!(take(10_000, NOW_S, started_ms + 10_000), before);
        assert_eq!(take(10_000, NOW_S - 5, started_ms + 10_000), before);
        assert_eq!(take(700, NOW_S + 1, started_ms + 700), Ok(()));
        // The clock was a day ahead at the start, and is set right.
        let right_ms = started_ms - 86_400_000;
        assert_eq!(take(60_000, NOW_S - 86_400 + 59, right_ms + 60_000), Ok(()));
        assert_eq!(take(20_000, NOW_S - 86_400, right_ms + 20_000), before);
    }
}

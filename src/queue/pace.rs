//! How long a receiver that reads is worth waiting for.
//!
//! What a receiver takes pays for the time in which publishers wait for it, at the slowest rate
//! worth waiting for: that many bytes buy one second. A receiver of at least that rate never runs
//! out, however full its queue is. One that takes nothing soon has used up what it had.
//!
//! Nobody reads a clock for this while messages flow: the account is made up when a publisher has
//! waited.

use crate::limits::PACE_AHEAD_MAX;
use crate::load::Load;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};

/// How much waiting one receiver has earned by reading.
pub(super) struct Pace {
    /// Bytes a second that are worth waiting for.
    slowest: NonZeroU32,
    /// Until when publishers wait.
    paid_until: Instant,
    /// The progress when the account was last made up.
    seen: Progress,
}

/// How much a receiver has taken so far.
#[derive(Clone, Copy, Default)]
pub(super) struct Progress {
    /// Messages and bytes, each modulo 2^32.
    pub consumed: Load,
    /// Messages.
    pub received: u64,
}

impl Pace {
    pub fn new(slowest: NonZeroU32, now: Instant) -> Self {
        Self { slowest, paid_until: now, seen: Progress::default() }
    }

    /// Settles the account and returns until when it is worth waiting: not after `now` if nothing
    /// is left.
    pub fn paid_until(&mut self, progress: Progress, now: Instant) -> Instant {
        let bytes = progress.bytes_since(self.seen);
        self.seen = progress;
        let earned = Duration::from_secs_f64(bytes as f64 / f64::from(self.slowest.get()));
        // Time in which nobody was waiting is not owed, and not saved up for long.
        self.paid_until = (self.paid_until + earned).min(now + PACE_AHEAD_MAX);
        let paid_until = self.paid_until;
        self.paid_until = paid_until.max(now);
        paid_until
    }
}

impl Progress {
    /// Bytes taken since `earlier`. After 4 GiB that nobody looked at, at least as many as
    /// messages.
    fn bytes_since(self, earlier: Self) -> u64 {
        let bytes = u64::from(self.consumed.minus(earlier.consumed).bytes);
        bytes.max(self.received.saturating_sub(earlier.received))
    }
}

#[cfg(all(test, not(fanfare_loom)))]
mod tests {
    use super::*;

    const SLOWEST: NonZeroU32 = NonZeroU32::new(1000).unwrap();

    fn taken(bytes: u32) -> Progress {
        Progress { consumed: Load { messages: 1, bytes }, received: 1 }
    }

    #[test]
    fn a_receiver_of_the_slowest_rate_is_waited_for_without_end() {
        let mut now = Instant::now();
        let mut pace = Pace::new(SLOWEST, now);
        for tenths in 1..1000 {
            now += Duration::from_millis(100);
            assert!(pace.paid_until(taken(100 * tenths), now) >= now, "after {tenths} tenths");
        }
    }

    #[test]
    fn a_slower_one_is_waited_for_as_long_as_what_it_takes_is_worth() {
        let mut now = Instant::now();
        let mut pace = Pace::new(SLOWEST, now);
        let mut waited = Duration::ZERO;
        for seconds in 1..=100 {
            now += Duration::from_secs(1);
            waited += pace.paid_until(taken(100 * seconds), now).saturating_duration_since(now);
        }
        assert_eq!(waited, Duration::ZERO, "a tenth of the rate never catches up with the clock");
    }

    #[test]
    fn reading_long_ago_is_worth_no_more_than_the_cap() {
        let begun = Instant::now();
        let mut pace = Pace::new(SLOWEST, begun);
        let now = begun + Duration::from_secs(1);
        assert_eq!(pace.paid_until(taken(1 << 30), now), now + PACE_AHEAD_MAX);
        let later = now + PACE_AHEAD_MAX;
        assert_eq!(pace.paid_until(taken(1 << 30), later), later, "it took nothing more");
    }

    #[test]
    fn a_count_that_has_gone_round_is_still_progress() {
        let begun = Instant::now();
        let mut pace = Pace::new(SLOWEST, begun);
        let now = begun + Duration::from_millis(1);
        let once_round = Progress { consumed: Load { messages: 0, bytes: 0 }, received: 1 << 32 };
        assert_eq!(pace.paid_until(once_round, now), now + PACE_AHEAD_MAX);
    }
}

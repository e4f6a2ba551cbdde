//! Measures polls without reading the exact clock twice for each, which would cost more than
//! everything else that is noted.
//!
//! The coarse clock costs a few nanoseconds and moves every few milliseconds. It dates everything.
//! The exact one is read for a task's first polls, and then for each sixteenth, which counts for
//! all sixteen.

use std::time::{Duration, Instant};

/// How many first polls of a task are all measured. Of the later ones, one in as many is.
const MEASURED: u64 = 16;

/// A poll that took this long by the coarse clock counts by itself. It is twice that clock's step.
const LONG: Duration = Duration::from_millis(8);

/// Nanoseconds since some moment before the program began, a few milliseconds behind.
#[cfg(target_os = "linux")]
pub(super) fn coarse_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::MonotonicCoarse);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Nanoseconds since the first call. There is no coarse clock that every system has.
#[cfg(not(target_os = "linux"))]
pub(super) fn coarse_ns() -> u64 {
    static EPOCH: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    // Never zero, which stands for never.
    EPOCH.elapsed().as_nanos() as u64 + 1
}

/// The time that one poll takes.
pub(super) struct PollTime {
    pub coarse_ns: u64,
    /// Set if this poll is measured, with the number of polls it counts for.
    exact: Option<(Instant, u64)>,
}

impl PollTime {
    /// Begins a poll, after `polls_before` others.
    pub fn begin(polls_before: u64) -> Self {
        let weight = match polls_before {
            before if before < MEASURED => 1,
            before if before % MEASURED == 0 => MEASURED,
            _ => 0,
        };
        Self { coarse_ns: coarse_ns(), exact: (weight > 0).then(|| (Instant::now(), weight)) }
    }

    /// How many nanoseconds the poll took, as far as known, and how many polls it counts for.
    pub fn took(&self, now_coarse_ns: u64) -> (u64, u64) {
        let took_coarse_ns = now_coarse_ns.saturating_sub(self.coarse_ns);
        let exact = self.exact.map(|(began, weight)| (began.elapsed().as_nanos() as u64, weight));
        match exact {
            Some((took_ns, _)) if took_coarse_ns >= LONG.as_nanos() as u64 => (took_ns, 1),
            Some((took_ns, weight)) => (took_ns, weight),
            None if took_coarse_ns >= LONG.as_nanos() as u64 => (took_coarse_ns, 1),
            None => (0, 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn the_first_polls_count_for_themselves_and_later_one_for_sixteen() {
        let weights: Vec<u64> = (0..64).map(|before| PollTime::begin(before).took(0).1).collect();
        assert_eq!(weights[..17], [[1; 16].as_slice(), &[16]].concat());
        assert_eq!(weights[17..32], [0; 15]);
        assert_eq!(weights.iter().sum::<u64>(), 64);
    }

    #[test]
    fn a_long_poll_counts_as_it_is_whether_it_is_measured_or_not() {
        let unmeasured = PollTime::begin(17);
        assert_eq!(unmeasured.took(unmeasured.coarse_ns + 9 * MS), (9 * MS, 1));
        assert_eq!(unmeasured.took(unmeasured.coarse_ns + 7 * MS), (0, 0));
        let measured = PollTime::begin(16);
        assert_eq!(measured.took(measured.coarse_ns + 7 * MS).1, 16);
        let (took_ns, weight) = measured.took(measured.coarse_ns + 900_000 * MS);
        assert!(took_ns < 900_000 * MS && weight == 1, "the exact time, not the coarse: {took_ns}");
    }

    #[test]
    fn the_coarse_clock_goes_on() {
        let began_ns = coarse_ns();
        assert!(began_ns > 0);
        while coarse_ns() == began_ns {}
        assert!(coarse_ns() > began_ns);
    }
}

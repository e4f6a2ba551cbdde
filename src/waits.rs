//! How long publishers wait for room.

use crate::limits::WAIT_BUCKETS_US;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// Publishes that waited for room, by the time they waited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WaitStats {
    /// Publishes that wait at this moment.
    pub waiting: usize,
    /// How many waited at most so long, and longer than the one before; the last one counts those
    /// that waited longer than all others.
    pub by_duration: Vec<(Duration, u64)>,
    /// How long all of them waited together.
    pub total: Duration,
}

/// Counted when a publish waits, which costs it a timer anyway; other publishes never come here.
#[derive(Default)]
pub(super) struct Waits {
    waiting: AtomicUsize,
    counts: [AtomicU64; WAIT_BUCKETS_US.len() + 1],
    total_ns: AtomicU64,
}

impl Waits {
    pub fn begin(&self) -> Instant {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Instant::now()
    }

    pub fn end(&self, began: Instant) {
        let waited = began.elapsed();
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let waited_us = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        let place = WAIT_BUCKETS_US.partition_point(|upper_us| *upper_us < waited_us);
        self.counts[place].fetch_add(1, Ordering::Relaxed);
        self.total_ns
            .fetch_add(u64::try_from(waited.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub fn stats(&self) -> WaitStats {
        let uppers = WAIT_BUCKETS_US
            .iter()
            .map(|upper_us| Duration::from_micros(*upper_us))
            .chain([Duration::MAX]);
        WaitStats {
            waiting: self.waiting.load(Ordering::Relaxed),
            by_duration: uppers
                .zip(self.counts.iter().map(|count| count.load(Ordering::Relaxed)))
                .collect(),
            total: Duration::from_nanos(self.total_ns.load(Ordering::Relaxed)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_counted_once_where_it_belongs() {
        let waits = Waits::default();
        let began = waits.begin();
        assert_eq!(waits.stats().waiting, 1);
        waits.end(began - Duration::from_millis(3));
        let hour_ago = waits.begin() - Duration::from_secs(3600);
        waits.end(hour_ago);
        let stats = waits.stats();
        let counted: Vec<_> = stats.by_duration.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [&(Duration::from_millis(5), 1), &(Duration::MAX, 1)]);
        assert!(stats.waiting == 0 && stats.total >= Duration::from_secs(3600), "{stats:?}");
    }
}

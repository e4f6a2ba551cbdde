//! The counters behind the statistics.

use crate::limits::WAIT_BUCKETS_US;
use crate::policy::Receipt;
use crate::stats::DropCounts;
use crate::sync::lock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Why a message was dropped; the fields of [`DropCounts`] but for the last, which is derived.
#[derive(Clone, Copy)]
pub(crate) enum DropReason {
    Full,
    Oldest,
    TimedOut,
    Probation,
    TooHeavy,
    Cancelled,
}

#[derive(Default)]
pub(crate) struct Drops([AtomicU64; 6]);

impl Drops {
    pub fn add(&self, reason: DropReason, count: u64) {
        self.0[reason as usize].fetch_add(count, Ordering::AcqRel);
    }

    pub fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize].load(Ordering::Acquire)
    }

    pub fn total(&self) -> u64 {
        self.0.iter().map(|count| count.load(Ordering::Acquire)).sum()
    }

    pub fn counts(&self) -> DropCounts {
        DropCounts {
            full: self.get(DropReason::Full),
            oldest: self.get(DropReason::Oldest),
            timed_out: self.get(DropReason::TimedOut),
            probation: self.get(DropReason::Probation),
            too_heavy: self.get(DropReason::TooHeavy),
            cancelled: self.get(DropReason::Cancelled),
            ended: 0,
        }
    }
}

/// Counters that one publisher, or one topic, adds to.
#[derive(Default)]
pub(crate) struct Tally {
    published: AtomicU64,
    matched: AtomicU64,
    waited: AtomicU64,
    dropped: AtomicU64,
    disconnected: AtomicU64,
    waits: AtomicU64,
}

impl Tally {
    /// Adds where others add too.
    pub fn add(&self, published: u64, receipt: &Receipt) {
        self.add_with(published, receipt, |counter, more| {
            counter.fetch_add(more, Ordering::Relaxed);
        });
    }

    /// Adds where nobody else does, which costs less.
    pub fn add_alone(&self, published: u64, receipt: &Receipt) {
        self.add_with(published, receipt, |counter, more| {
            counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
        });
    }

    #[inline]
    fn add_with(&self, published: u64, receipt: &Receipt, add: impl Fn(&AtomicU64, u64)) {
        for (counter, more) in [
            (&self.published, published),
            (&self.matched, receipt.matched),
            (&self.waited, receipt.waited),
            (&self.dropped, receipt.dropped),
            (&self.disconnected, receipt.disconnected),
        ] {
            if more > 0 {
                add(counter, more);
            }
        }
        if receipt.waited > 0 {
            add(&self.waits, 1);
        }
    }

    /// Counts one message that this many queues got, where others count too.
    #[inline]
    pub fn count(&self, queued: u64) {
        self.published.fetch_add(1, Ordering::Relaxed);
        self.matched.fetch_add(queued, Ordering::Relaxed);
    }

    /// [`count`](Self::count) where nobody else does.
    #[inline]
    pub fn count_alone(&self, queued: u64) {
        let add = |counter: &AtomicU64, more| {
            counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
        };
        add(&self.published, 1);
        if queued > 0 {
            add(&self.matched, queued);
        }
    }

    pub fn add_all(&self, other: &Self) {
        for (counter, more) in self.counters().into_iter().zip(other.counters()) {
            counter.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn counters(&self) -> [&AtomicU64; 6] {
        [
            &self.published,
            &self.matched,
            &self.waited,
            &self.dropped,
            &self.disconnected,
            &self.waits,
        ]
    }

    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    pub fn deliveries(&self) -> Receipt {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (matched, waited) = (get(&self.matched), get(&self.waited));
        let (dropped, disconnected) = (get(&self.dropped), get(&self.disconnected));
        Receipt {
            matched,
            queued: matched.saturating_sub(dropped + disconnected),
            waited,
            dropped,
            disconnected,
            remote: 0,
        }
    }
}

/// The counters of all publishers.
#[derive(Default)]
pub(crate) struct Tallies {
    live: Mutex<Vec<Arc<Tally>>>,
    past: Tally,
}

impl Tallies {
    pub fn begin(&self) -> Arc<Tally> {
        let tally = Arc::<Tally>::default();
        lock(&self.live).push(tally.clone());
        tally
    }

    pub fn end(&self, tally: &Arc<Tally>) {
        let mut live = lock(&self.live);
        // The youngest first: publishers for one message end soon.
        if let Some(index) = live.iter().rposition(|other| Arc::ptr_eq(other, tally)) {
            live.swap_remove(index);
            self.past.add_all(tally);
        }
        if live.capacity() > 4 * live.len() + 16 {
            let target = 2 * live.len();
            live.shrink_to(target);
        }
    }

    /// The sum, and how many publishers live.
    pub fn sum(&self) -> (Tally, usize) {
        let live = lock(&self.live);
        let sum = Tally::default();
        sum.add_all(&self.past);
        live.iter().for_each(|tally| sum.add_all(tally));
        (sum, live.len())
    }
}

/// Publishes that waited for room, by the time they waited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct WaitStats {
    /// Publishes that are waiting now.
    pub waiting: usize,
    /// For each duration, how many publishes waited that long at most, and longer than the one
    /// before. The last entry counts all that waited longer.
    pub by_duration: Vec<(Duration, u64)>,
    /// How long all of them waited, summed.
    pub total: Duration,
}

/// Counted when a publish waits, which costs it a timer anyway; other publishes never come here.
#[derive(Default)]
pub(crate) struct Waits {
    waiting: AtomicUsize,
    counts: [AtomicU64; WAIT_BUCKETS_US.len() + 1],
    total_ns: AtomicU64,
}

impl Waits {
    pub fn begin(&self) -> Instant {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        Instant::now()
    }

    /// Counts a wait that is over.
    pub fn end(&self, waited: Duration) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        let waited_us = u64::try_from(waited.as_micros()).unwrap_or(u64::MAX);
        let index = WAIT_BUCKETS_US.partition_point(|upper_us| *upper_us < waited_us);
        self.counts[index].fetch_add(1, Ordering::Relaxed);
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
        waits.begin();
        waits.begin();
        assert_eq!(waits.stats().waiting, 2);
        waits.end(Duration::from_millis(3));
        waits.end(Duration::from_secs(3600));
        let stats = waits.stats();
        let counted: Vec<_> = stats.by_duration.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [&(Duration::from_millis(5), 1), &(Duration::MAX, 1)]);
        assert!(stats.waiting == 0 && stats.total >= Duration::from_secs(3600), "{stats:?}");
    }
}

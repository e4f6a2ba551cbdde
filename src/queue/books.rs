//! The account of a queue.

use super::{PROBATION, Queue};
use crate::stats::tally::DropReason;
use crate::stats::{Books, DropCounts, EndReason, QueueStats, SubscriptionStats};
use std::sync::atomic::Ordering;
use std::time::Duration;

impl<M> Queue<M> {
    pub fn received(&self) -> u64 {
        self.reader.received.load(Ordering::Acquire)
    }

    /// All messages that it is told are missing, or will be.
    pub fn lost(&self) -> u64 {
        self.books().dropped + self.lost_elsewhere.load(Ordering::Acquire)
    }

    /// Consistent: all figures are of one moment, however busy the queue is.
    pub fn books(&self) -> Books {
        loop {
            let is_ended = self.is_ended();
            let before = self.reader.consumed.messages();
            let received = self.received();
            let passed_over = self.publishers.drops.get(DropReason::Oldest);
            let dropped = self.publishers.drops.total();
            let queued = u64::from(self.queued().messages);
            // What was consumed is what was received or passed over: if the sum is that of before
            // and after, nothing moved in between.
            let is_settled = before == self.reader.consumed.messages()
                && (received + passed_over) as u32 == before;
            if is_settled && dropped == self.publishers.drops.total() {
                // After its end what was queued is gone, and counts as dropped.
                let (queued, lost) = if is_ended { (0, queued) } else { (queued, 0) };
                let dropped = dropped + lost;
                return Books { offered: received + queued + dropped, received, queued, dropped };
            }
            std::hint::spin_loop();
        }
    }

    /// Everything that is known of it.
    pub fn stats(&self) -> SubscriptionStats {
        let (books, end_reason) = (self.books(), self.end_reason());
        SubscriptionStats {
            id: self.terms.id,
            interest: self.terms.wanted.interest(),
            group: self
                .terms
                .wanted
                .group(self.terms.id)
                .map(|membership| membership.group.clone()),
            when_full: self.terms.when_full,
            bound_messages: self.terms.bounds.messages as usize,
            bound_bytes: self.terms.bounds.bytes as usize,
            books,
            queued_bytes: if end_reason.is_some() { 0 } else { self.queued().bytes as usize },
            high_water_messages: if end_reason.is_some() {
                self.reader.high_water.load(Ordering::Relaxed)
            } else {
                self.raise_high_water()
            } as usize,
            waited_for: Duration::from_nanos(self.waited_for_ns.load(Ordering::Relaxed)),
            drops: self.by_reason(books.dropped),
            on_probation: self.attends(PROBATION),
            end_reason,
        }
    }

    /// Dropped messages, by reason. Like [`add_to`](Self::add_to) this looks at much less than
    /// [`stats`](Self::stats): a dashboard asks ten thousand queues for both every second.
    pub fn drops(&self) -> DropCounts {
        self.count_written_off();
        self.by_reason(if self.is_ended() { self.books().dropped } else { 0 })
    }

    /// What was dropped for no other reason was still queued at the end.
    fn by_reason(&self, dropped: u64) -> DropCounts {
        let mut drops = self.publishers.drops.counts();
        drops.ended = dropped.saturating_sub(self.publishers.drops.total());
        drops
    }

    /// Adds what is queued to the sums.
    pub fn add_to(&self, sums: &mut QueueStats) {
        if self.is_ended() {
            return;
        }
        let (queued, bounds) = (self.queued(), self.terms.bounds);
        sums.messages += u64::from(queued.messages);
        sums.bytes += u64::from(queued.bytes);
        sums.longest_messages = sums.longest_messages.max(queued.messages.into());
        sums.high_water_messages = sums.high_water_messages.max(self.raise_high_water().into());
        let is_half = |queued: u32, bound: u32| 2 * u64::from(queued) >= u64::from(bound.max(1));
        let is_half_full =
            is_half(queued.messages, bounds.messages) || is_half(queued.bytes, bounds.bytes);
        match self.attends(PROBATION) {
            true => sums.on_probation += 1,
            false => sums.half_full += usize::from(is_half_full),
        }
    }

    pub fn end_reason(&self) -> Option<EndReason> {
        self.end.get().copied()
    }
}

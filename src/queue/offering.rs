//! Queueing what was admitted, and doing what the policy says with what was not.

use super::{ENDED, PROBATION, Queue};
use crate::log::Segment;
use crate::log::deferred::Deferred;
use crate::policy::WhenFull;
use crate::queue::cursor::{Cursor, Most, Taken};
use crate::queue::entries::{Entry, INTERRUPTED};
use crate::queue::wait_queue::Pending;
use crate::stats::tally::DropReason;
use crate::sync::lock;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

/// The outcome of offering messages to a queue that had no room at first.
#[derive(Default)]
pub(crate) struct Offered {
    pub queued: u32,
    pub dropped: u32,
    pub disconnected: u32,
    /// Messages in the wait queue; [`Pending`] tells what becomes of them.
    pub parked: u32,
    /// The subscription must be ended for being full.
    pub must_end: bool,
}

impl<M> Queue<M> {
    /// Whether publishers may wait for this subscription.
    pub fn may_be_waited_for(&self) -> bool {
        match self.terms.when_full {
            WhenFull::Wait(wait) => !wait.is_zero() && !self.attends(PROBATION),
            WhenFull::Disconnect { after } => !after.is_zero(),
            WhenFull::Block => true,
            WhenFull::DropNewest | WhenFull::DropOldest => false,
        }
    }

    /// Queues what was admitted.
    #[inline]
    pub fn push(&self, entry: Entry<M>, deferred: &mut Deferred<M>) {
        self.count_written_off();
        if self.gap.load(Ordering::SeqCst) == 0 {
            self.entries.push(entry);
        } else {
            // Under the lock, so that whoever dropped messages before finds its gap either still
            // here, or queued.
            let _wait_queue = lock(&self.wait_queue);
            self.send_behind_gap(entry);
        }
        deferred.wake(self.receiver.take());
    }

    /// Does what the policy says with messages that had no room. A publisher that can wait gives
    /// `pending`.
    pub fn offer(
        &self,
        mut entry: Entry<M>,
        pending: Option<&Arc<Pending>>,
        deferred: &mut Deferred<M>,
    ) -> Offered {
        let mut offered = Offered::default();
        if let Some(cursor) =
            self.shared_cursor().filter(|_| self.terms.when_full == WhenFull::DropOldest)
        {
            self.offer_over_oldest(cursor, &entry, deferred, &mut offered);
            return offered;
        }
        let mut wait_queue = lock(&self.wait_queue);
        if self.attends(ENDED) {
            offered.disconnected = entry.messages();
            return offered;
        }
        if wait_queue.is_empty() {
            self.let_in(&mut entry, &mut offered, deferred);
        }
        if entry.messages() == 0 {
            return offered;
        }
        match pending.filter(|_| self.may_be_waited_for()) {
            Some(pending) => {
                self.drop_too_heavy(&mut entry, &mut offered, deferred);
                self.park(&mut wait_queue, entry, pending, &mut offered, deferred);
            }
            None => self.refuse(entry.messages(), &mut offered, deferred),
        }
        offered
    }

    /// Counts messages that this subscription does not get, and places the gap.
    pub fn note_dropped(&self, count: u32, reason: DropReason, deferred: &mut Deferred<M>) {
        let _wait_queue = lock(&self.wait_queue);
        self.count_dropped(count, reason, deferred);
    }

    /// Places a gap of messages that were never offered to this subscription; 0: of unknown size.
    pub fn interrupt(&self, count: u32, deferred: &mut Deferred<M>) {
        let _wait_queue = lock(&self.wait_queue);
        self.lost_elsewhere.fetch_add(count.into(), Ordering::SeqCst);
        let before = match count {
            0 => self.gap.fetch_or(INTERRUPTED, Ordering::SeqCst),
            _ => self.gap.fetch_add(count.into(), Ordering::SeqCst),
        };
        if before == 0 {
            deferred.wake(self.receiver.take());
        }
    }

    /// A wait was used up: no more waiting until the receiver has drained the queue to half.
    pub fn put_on_probation(&self) {
        self.attention.fetch_or(PROBATION, Ordering::SeqCst);
    }

    /// Queues as much of the entry as fits, in order, and leaves the rest in it. What is too heavy
    /// for this queue even when empty is dropped.
    pub(super) fn let_in(
        &self,
        entry: &mut Entry<M>,
        offered: &mut Offered,
        deferred: &mut Deferred<M>,
    ) {
        while entry.messages() > 0 {
            let from = entry.from;
            while entry.messages() > 0
                && self.reserve(entry.segment.load(entry.from..entry.from + 1))
            {
                entry.from += 1;
            }
            if entry.from > from {
                offered.queued += entry.from - from;
                self.push_behind_gap(entry.part(from..entry.from), deferred);
            }
            if !self.drop_too_heavy(entry, offered, deferred) {
                return;
            }
        }
    }

    /// Drops what comes first and will never fit. Returns whether there was any.
    fn drop_too_heavy(
        &self,
        entry: &mut Entry<M>,
        offered: &mut Offered,
        deferred: &mut Deferred<M>,
    ) -> bool {
        let from = entry.from;
        while entry.messages() > 0 && self.is_too_heavy(&entry.segment, entry.from) {
            entry.from += 1;
        }
        self.count_dropped(entry.from - from, DropReason::TooHeavy, deferred);
        offered.dropped += entry.from - from;
        entry.from > from
    }

    pub(super) fn is_too_heavy(&self, segment: &Segment<M>, index: u32) -> bool {
        segment.weight_bytes(index) > self.terms.bounds.bytes
    }

    /// [`push`](Self::push) for a caller that holds the wait queue's lock.
    fn push_behind_gap(&self, entry: Entry<M>, deferred: &mut Deferred<M>) {
        self.count_written_off();
        self.send_behind_gap(entry);
        deferred.wake(self.receiver.take());
    }

    /// Sends the entry, with the gap before it. Under the wait queue's lock.
    fn send_behind_gap(&self, mut entry: Entry<M>) {
        let missed_before = self.gap.load(Ordering::SeqCst);
        entry.missed_before = missed_before;
        self.entries.push(entry);
        self.gap.fetch_sub(missed_before, Ordering::SeqCst);
    }

    fn count_dropped(&self, count: u32, reason: DropReason, deferred: &mut Deferred<M>) {
        if count == 0 {
            return;
        }
        self.publishers.drops.add(reason, u64::from(count));
        if self.gap.fetch_add(u64::from(count), Ordering::SeqCst) == 0 {
            deferred.wake(self.receiver.take());
        }
    }

    fn refuse(&self, count: u32, offered: &mut Offered, deferred: &mut Deferred<M>) {
        if matches!(self.terms.when_full, WhenFull::Disconnect { .. }) {
            offered.disconnected += count;
            offered.must_end = true;
        } else {
            let reason =
                if self.attends(PROBATION) { DropReason::Probation } else { DropReason::Full };
            self.count_dropped(count, reason, deferred);
            offered.dropped += count;
        }
    }
}

impl<M> Queue<M> {
    pub(super) fn offer_over_oldest(
        &self,
        cursor: &Mutex<Cursor<M>>,
        entry: &Entry<M>,
        deferred: &mut Deferred<M>,
        offered: &mut Offered,
    ) {
        if self.attends(ENDED) {
            offered.disconnected = entry.messages();
            return;
        }
        for index in entry.range() {
            if self.is_too_heavy(&entry.segment, index) {
                self.note_dropped(1, DropReason::TooHeavy, deferred);
                offered.dropped += 1;
                continue;
            }
            while !self.reserve(entry.segment.load(index..index + 1)) {
                if !self.pass_over_oldest(cursor, deferred) {
                    // Another publisher has taken the room and not yet queued its entry.
                    std::thread::yield_now();
                }
            }
            self.push(entry.part(index..index + 1), deferred);
            offered.queued += 1;
        }
    }

    /// Drops the oldest queued messages. False if there are none.
    fn pass_over_oldest(&self, cursor: &Mutex<Cursor<M>>, deferred: &mut Deferred<M>) -> bool {
        let mut cursor = lock(cursor);
        let mut told = 0;
        let is_passed_over = loop {
            match self.take(&mut cursor, Most::One) {
                Some(Taken::Missed(0)) => told |= INTERRUPTED,
                Some(Taken::Missed(count)) => told += count,
                None => break false,
                Some(Taken::Batch { segment, from, to, .. }) => {
                    let load = segment.load(from..to);
                    self.raise_high_water();
                    self.publishers.drops.add(DropReason::Oldest, u64::from(load.messages));
                    self.reader.consumed.add(load);
                    told += u64::from(load.messages);
                    deferred.segments.push(segment);
                    break true;
                }
            }
        };
        cursor.miss(told);
        deferred.segments.append(&mut cursor.finished);
        is_passed_over
    }
}

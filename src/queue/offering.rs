//! Queueing what was admitted, and doing what the policy says with what was not.

use super::super::afterwards::Afterwards;
use super::super::frame::Frame;
use super::super::locks::lock;
use super::super::overflow::WhenFull;
use super::super::pending::Pending;
use super::super::stats::DropReason;
use super::{ENDED, Entry, PROBATION, Queue};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What became of messages offered to a queue that had no room at first.
#[derive(Default)]
pub(in super::super) struct Offered {
    pub queued: u32,
    pub dropped: u32,
    pub disconnected: u32,
    /// In line; the rest of the story is told through [`Pending`].
    pub parked: u32,
    /// The subscription must be ended for being full.
    pub must_end: bool,
}

impl<M> Queue<M> {
    /// Whether it is worth waiting for this one.
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
    pub fn push(&self, entry: Entry<M>, afterwards: &mut Afterwards<M>) {
        self.count_written_off();
        if self.gap.load(Ordering::SeqCst) == 0 {
            // Cannot fail: the channel has no bound, and the queue holds both its ends.
            let _ = self.entries.0.try_send(entry);
        } else {
            // Under the lock, so that whoever dropped messages before finds its gap either still
            // here, or queued.
            let _line = lock(&self.line);
            self.send_behind_gap(entry);
        }
        afterwards.wake(self.receiver.take());
    }

    /// Does for messages without room what the policy says. `pending` is given by those who can
    /// wait.
    pub fn offer(
        &self,
        mut entry: Entry<M>,
        pending: Option<&Arc<Pending>>,
        afterwards: &mut Afterwards<M>,
    ) -> Offered {
        let mut offered = Offered::default();
        if let Some(cursor) =
            self.shared_cursor().filter(|_| self.terms.when_full == WhenFull::DropOldest)
        {
            self.offer_over_oldest(cursor, &entry, afterwards, &mut offered);
            return offered;
        }
        let mut line = lock(&self.line);
        if self.attends(ENDED) {
            offered.disconnected = entry.messages();
            return offered;
        }
        if line.is_empty() {
            self.let_in(&mut entry, &mut offered, afterwards);
        }
        if entry.messages() == 0 {
            return offered;
        }
        match pending.filter(|_| self.may_be_waited_for()) {
            Some(pending) => {
                self.drop_too_heavy(&mut entry, &mut offered, afterwards);
                self.park(&mut line, entry, pending, &mut offered, afterwards);
            }
            None => self.refuse(entry.messages(), &mut offered, afterwards),
        }
        offered
    }

    /// Notes messages that this subscription does not get, and sees to it that it is told.
    pub fn note_dropped(&self, count: u32, reason: DropReason, afterwards: &mut Afterwards<M>) {
        let _line = lock(&self.line);
        self.drop_in_line(count, reason, afterwards);
    }

    /// A wait was used up: no more waiting until its receiver has looked and left the queue half
    /// empty.
    pub fn put_on_probation(&self) {
        self.attention.fetch_or(PROBATION, Ordering::SeqCst);
    }

    /// Queues as much of the entry as fits, in order, and leaves the rest in it. What is too heavy
    /// for this queue even when empty is dropped.
    pub(super) fn let_in(
        &self,
        entry: &mut Entry<M>,
        offered: &mut Offered,
        afterwards: &mut Afterwards<M>,
    ) {
        while entry.messages() > 0 {
            let from = entry.from;
            while entry.messages() > 0 && self.reserve(entry.frame.load(entry.from..entry.from + 1))
            {
                entry.from += 1;
            }
            if entry.from > from {
                offered.queued += entry.from - from;
                self.push_in_line(entry.part(from..entry.from), afterwards);
            }
            if !self.drop_too_heavy(entry, offered, afterwards) {
                return;
            }
        }
    }

    /// Drops what comes first and will never fit. Returns whether there was any.
    fn drop_too_heavy(
        &self,
        entry: &mut Entry<M>,
        offered: &mut Offered,
        afterwards: &mut Afterwards<M>,
    ) -> bool {
        let from = entry.from;
        while entry.messages() > 0 && self.is_too_heavy(&entry.frame, entry.from) {
            entry.from += 1;
        }
        self.drop_in_line(entry.from - from, DropReason::TooHeavy, afterwards);
        offered.dropped += entry.from - from;
        entry.from > from
    }

    pub(super) fn is_too_heavy(&self, frame: &Frame<M>, place: u32) -> bool {
        frame.weight_bytes(place) > self.terms.bounds.bytes
    }

    /// As [`push`](Self::push), for who holds the line's lock.
    fn push_in_line(&self, entry: Entry<M>, afterwards: &mut Afterwards<M>) {
        self.count_written_off();
        self.send_behind_gap(entry);
        afterwards.wake(self.receiver.take());
    }

    /// Under the line's lock.
    fn send_behind_gap(&self, mut entry: Entry<M>) {
        let missed_before = self.gap.load(Ordering::SeqCst);
        entry.missed_before = missed_before;
        let _ = self.entries.0.try_send(entry);
        self.gap.fetch_sub(missed_before, Ordering::SeqCst);
    }

    fn drop_in_line(&self, count: u32, reason: DropReason, afterwards: &mut Afterwards<M>) {
        if count == 0 {
            return;
        }
        self.publishers.drops.add(reason, u64::from(count));
        if self.gap.fetch_add(u64::from(count), Ordering::SeqCst) == 0 {
            afterwards.wake(self.receiver.take());
        }
    }

    fn refuse(&self, count: u32, offered: &mut Offered, afterwards: &mut Afterwards<M>) {
        if matches!(self.terms.when_full, WhenFull::Disconnect { .. }) {
            offered.disconnected += count;
            offered.must_end = true;
        } else {
            let reason =
                if self.attends(PROBATION) { DropReason::Probation } else { DropReason::Full };
            self.drop_in_line(count, reason, afterwards);
            offered.dropped += count;
        }
    }
}

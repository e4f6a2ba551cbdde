//! What the receiver does with its queue, and how the queue ends.

use super::{CLOSING, ENDED, OVERLOOKS_NOBODY, PROBATION, Queue, WAITED_FOR};
use crate::load::Load;
use crate::log::deferred::Deferred;
use crate::queue::cursor::{Cursor, Found, Most, Step, Taken};
use crate::queue::grant::GrantSeen;
use crate::queue::wait_queue::Parked;
use crate::stats::EndReason;
use crate::sync::lock;
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::task::Waker;

impl<M> Queue<M> {
    pub fn shared_cursor(&self) -> Option<&Mutex<Cursor<M>>> {
        self.shared_cursor.as_deref()
    }

    /// Takes the next gap, or messages. Their credit is for the caller to return.
    pub fn take(&self, cursor: &mut Cursor<M>, most: Most) -> Option<Taken<M>> {
        match self.find(cursor)? {
            Found::Missed(count) => Some(Taken::Missed(count)),
            Found::Messages => cursor.take_readable(most),
        }
    }

    /// Takes the cursor to the next messages, or takes the next gap.
    pub fn find(&self, cursor: &mut Cursor<M>) -> Option<Found> {
        loop {
            if let Some(count) = cursor.take_missed() {
                return Some(Found::Missed(count));
            }
            if cursor.has_readable() {
                return Some(Found::Messages);
            }
            match self.entries.pop() {
                Some(entry) => cursor.turn_to(entry),
                None => match self.take_trailing_gap() {
                    0 => return None,
                    count => cursor.miss(count),
                },
            }
        }
    }

    /// Messages dropped after the last one that was queued.
    fn take_trailing_gap(&self) -> u64 {
        if self.gap.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        let _wait_queue = lock(&self.wait_queue);
        if self.entries.is_empty() { self.gap.swap(0, Ordering::SeqCst) } else { 0 }
    }

    /// Counts a message as received, frees its room, and serves publishers that wait for it.
    ///
    /// In the middle of a batch without a barrier, which takes as long as all the rest: publishers
    /// see the room when they look, and one that waits looks again in the end. Where the receiver
    /// is to overlook nobody, and for a drain, which waits until the queue is empty, the order must
    /// be certain.
    #[inline]
    pub fn receive_one(&self, step: Step, seen: &mut GrantSeen) {
        self.note_high_water(step.ready, seen);
        self.count_received(1);
        let load = Load { messages: 1, bytes: step.weight_bytes };
        if step.is_last || self.overlooks_nobody() {
            self.reader.consumed.add(load);
        } else {
            self.reader.consumed.add_unordered(load);
        }
        // A queue that holds more is not drained, so its close is left for the last message.
        let left_for_last = if step.is_last { 0 } else { CLOSING };
        self.attend_but(left_for_last);
    }

    /// As [`receive_one`](Self::receive_one) in the middle of a batch, while nobody waits.
    #[inline]
    pub fn receive_within(&self, weight_bytes: u32, seen: &mut GrantSeen) {
        self.note_high_water(None, seen);
        self.count_received(1);
        self.reader.consumed.add_unordered(Load { messages: 1, bytes: weight_bytes });
    }

    /// Counts messages as received and frees their room.
    #[inline]
    pub fn receive(&self, load: Load) {
        self.raise_high_water();
        self.count_received(load.messages);
        self.reader.consumed.add(load);
    }

    /// The receiver alone writes this counter, so a load and a store will do.
    #[inline]
    fn count_received(&self, messages: u32) {
        let received = self.reader.received.load(Ordering::Relaxed) + u64::from(messages);
        self.reader.received.store(received, Ordering::Release);
    }

    /// Serves publishers that wait for the room that was freed. Called after
    /// [`receive`](Self::receive), under no lock.
    #[inline]
    pub fn attend_if_needed(&self) {
        self.attend_but(0);
    }

    #[inline]
    fn attend_but(&self, unheeded: u32) {
        // After the room was freed: see `park`.
        if self.attention.load(Ordering::SeqCst) & !(unheeded | OVERLOOKS_NOBODY) != 0 {
            self.attend();
        }
    }

    /// Registers the task to wake. The caller then looks at the queue once more.
    pub fn register(&self, waker: &Waker) {
        self.receiver.register(waker);
    }

    /// Whether a receiver that has just read all it had would find nothing more, and nothing to do.
    pub fn has_nothing(&self) -> bool {
        // Where publishers reach into the cursor, they may have left something in it.
        self.shared_cursor.is_none()
            && !self.attends(!OVERLOOKS_NOBODY)
            && self.entries.is_empty()
            && self.gap.load(Ordering::SeqCst) == 0
    }

    pub fn is_closing(&self) -> bool {
        self.attends(CLOSING)
    }

    /// Whether the receiver may read on in a batch and look at nothing else.
    #[inline]
    pub fn is_left_alone(&self) -> bool {
        !self.attends(!CLOSING)
    }

    #[inline]
    pub fn is_ended(&self) -> bool {
        self.attends(ENDED)
    }

    pub fn is_waited_for(&self) -> bool {
        self.attends(WAITED_FOR)
    }

    #[cold]
    fn attend(&self) {
        self.count_written_off();
        if self.attends(PROBATION) {
            self.end_probation_if_half_empty();
        }
        if self.attends(WAITED_FOR) {
            let mut deferred = Deferred::new();
            self.serve(&mut lock(&self.wait_queue), &mut deferred);
            deferred.run();
        }
        if self.attends(CLOSING) && self.is_drained() {
            self.settled.notify(usize::MAX);
        }
    }

    fn end_probation_if_half_empty(&self) {
        let (queued, bounds) = (self.queued(), self.terms.bounds);
        if queued.messages <= bounds.messages / 2 && queued.bytes <= bounds.bytes / 2 {
            self.attention.fetch_and(!PROBATION, Ordering::SeqCst);
        }
    }
}

impl<M> Queue<M> {
    /// Ends publishing to it. The receiver ends when it has read everything.
    pub fn close(&self) {
        self.attention.fetch_or(CLOSING, Ordering::SeqCst);
        self.wake_receiver();
    }

    /// Ends the subscription now and tells the publishers that wait. The first call decides the
    /// reason, and returns what waited for room, to be dropped under no lock.
    pub fn end(&self, reason: EndReason) -> Option<impl Sized + use<M>> {
        self.raise_high_water();
        let (waiting, publishers) = {
            let mut wait_queue = lock(&self.wait_queue);
            if self.end.set(reason).is_err() {
                return None;
            }
            self.attention.fetch_or(ENDED, Ordering::SeqCst);
            self.attention.fetch_and(!WAITED_FOR, Ordering::SeqCst);
            let waiting = std::mem::take(&mut *wait_queue);
            // Under the lock: a publisher that gives up its wait finds its messages either here or
            // counted already.
            let settle = |offer: &Parked<M>| {
                self.count_wait(offer);
                offer.pending.count(0, 0, offer.entry.messages());
                offer.pending.settle_one()
            };
            let publishers: Vec<_> = waiting.iter().filter_map(settle).collect();
            (waiting, publishers)
        };
        publishers.into_iter().for_each(Waker::wake);
        self.wake_receiver();
        self.settled.notify(usize::MAX);
        Some(waiting)
    }

    /// Frees what is still queued. Called once it has ended and no route leads here.
    pub fn free(&self) {
        while let Some(entry) = self.entries.pop() {
            drop(entry);
        }
        if let Some(cursor) = &self.shared_cursor {
            let finished = {
                let mut cursor = lock(cursor);
                cursor.clear();
                std::mem::take(&mut cursor.finished)
            };
            drop(finished);
        }
    }

    /// Drops the receiver's waker.
    pub fn forget_receiver(&self) {
        drop(self.receiver.take());
    }

    /// Whether nothing is queued and nothing waits.
    pub fn is_drained(&self) -> bool {
        self.queued().messages == 0 && !self.is_waited_for()
    }

    pub(super) fn wake_receiver(&self) {
        if let Some(waker) = self.receiver.take() {
            waker.wake();
        }
    }
}

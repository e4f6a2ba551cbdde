//! How a queue ends.

use super::super::locks::lock;
use super::super::stats::EndReason;
use super::{CLOSING, ENDED, Offered, Queue, WAITED_FOR};
use std::sync::atomic::Ordering;

impl<M> Queue<M> {
    /// No more is published. The receiver ends when it has read all.
    pub fn close(&self) {
        self.attention.fetch_or(CLOSING, Ordering::SeqCst);
        self.wake_receiver();
    }

    /// Ends it now. Who waits in line is told. The first call decides the reason and returns true.
    pub fn end(&self, reason: EndReason) -> bool {
        self.raise_high_water();
        let line = {
            let mut line = lock(&self.line);
            if self.end.set(reason).is_err() {
                return false;
            }
            self.attention.fetch_or(ENDED, Ordering::SeqCst);
            self.attention.fetch_and(!WAITED_FOR, Ordering::SeqCst);
            std::mem::take(&mut *line)
        };
        for offer in line {
            self.count_wait(&offer);
            let disconnected = offer.entry.messages();
            offer.pending.count(&Offered { disconnected, ..Offered::default() });
            if let Some(waker) = offer.pending.settle_one() {
                waker.wake();
            }
        }
        self.wake_receiver();
        self.settled.notify(usize::MAX);
        true
    }

    /// Frees what is still queued. Called once it has ended and no route leads here.
    pub fn free(&self) {
        while let Some(entry) = self.pop_entry() {
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

    /// Lets go of the receiver's task.
    pub fn forget_receiver(&self) {
        drop(self.receiver.take());
    }

    /// Nothing queued and nobody in line.
    pub fn is_drained(&self) -> bool {
        self.queued().messages == 0 && !self.is_waited_for()
    }

    pub(super) fn wake_receiver(&self) {
        if let Some(waker) = self.receiver.take() {
            waker.wake();
        }
    }
}

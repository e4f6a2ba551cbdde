//! The receiving side of a queue, for whatever shape it is given outside.

pub mod builder;
pub mod mailbox;
pub mod subscription;
pub mod watch;

use crate::error::TryRecvError;
use crate::limits::RECEIVER_SPINS_MAX;
use crate::payload::Payload;
use crate::queue::Queue;
use crate::queue::cursor::{Cursor, Taken};
use crate::shared::Shared;
use crate::stats::EndReason;
use crate::sync::lock;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The reading end of a queue. Dropping it ends the queue.
pub(crate) struct Receiver<M: Payload> {
    pub queue: Arc<Queue<M>>,
    pub shared: Arc<Shared<M>>,
    /// Unused where publishers share the cursor.
    cursor: Cursor<M>,
    spin_budget: SpinBudget,
}

impl<M: Payload> Receiver<M> {
    pub fn new(queue: Arc<Queue<M>>, shared: Arc<Shared<M>>) -> Self {
        Self { queue, shared, cursor: Cursor::new(), spin_budget: SpinBudget::default() }
    }

    /// Takes up to `at_most` messages, or a gap; ready with `None` once the queue has ended.
    pub fn poll_take(&mut self, context: &mut Context<'_>, at_most: u32) -> Poll<Option<Taken<M>>> {
        let mut taken = self.try_take(at_most, self.spin_budget.is_left());
        if let Err(TryRecvError::Empty) = taken {
            if self.spin_budget.use_up_one() {
                // Lingers: still counts as reading, and asks to be polled again after the others.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            // Registered before the second look: who pushes after that look wakes this task.
            self.queue.register(context.waker());
            taken = self.try_take(at_most, false);
        }
        match taken {
            Ok(taken) => {
                self.spin_budget.renew();
                Poll::Ready(Some(taken))
            }
            Err(TryRecvError::Ended) => Poll::Ready(None),
            Err(TryRecvError::Empty) => Poll::Pending,
        }
    }

    /// Takes messages or a gap without waiting.
    pub fn try_take(&mut self, at_most: u32, lingers: bool) -> Result<Taken<M>, TryRecvError> {
        if self.queue.is_ended() {
            self.cursor.clear();
            self.cursor.finished.clear();
            return Err(TryRecvError::Ended);
        }
        // Asked before the look: once it is closing, nothing comes after what the look finds.
        let is_closing = self.queue.is_closing();
        match self.take(at_most, lingers) {
            Some(taken) => Ok(taken),
            None if is_closing && !self.queue.is_waited_for() => {
                self.shared.end(&self.queue, EndReason::Closed);
                Err(TryRecvError::Ended)
            }
            None => Err(TryRecvError::Empty),
        }
    }

    fn take(&mut self, at_most: u32, lingers: bool) -> Option<Taken<M>> {
        let taken = match self.queue.shared_cursor() {
            None => take_and_count(&mut self.cursor, &self.queue, at_most, lingers),
            Some(shared) => {
                let mut cursor = lock(shared);
                let taken = take_and_count(&mut cursor, &self.queue, at_most, lingers);
                self.cursor.finished.append(&mut cursor.finished);
                taken
            }
        };
        self.cursor.finished.clear();
        self.queue.attend_if_needed();
        taken
    }
}

impl<M: Payload> Drop for Receiver<M> {
    fn drop(&mut self) {
        self.shared.end(&self.queue, EndReason::Unsubscribed);
        self.queue.forget_receiver();
    }
}

/// How often a receiver that has read everything looks again, after letting others run, before it
/// goes to sleep.
///
/// Sleeping and being woken costs both sides more than reading some messages does. So where the
/// last looks paid, it looks more often, and where they did not, less; once at least, or it would
/// never learn that it pays again.
struct SpinBudget {
    looks: u8,
    left: u8,
}

impl Default for SpinBudget {
    fn default() -> Self {
        Self { looks: 1, left: 0 }
    }
}

impl SpinBudget {
    fn is_left(&self) -> bool {
        self.left > 0
    }

    /// Uses up one look. False once none is left.
    fn use_up_one(&mut self) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return true;
        }
        self.looks = (self.looks / 2).max(1);
        false
    }

    /// Refills the budget, since something came.
    fn renew(&mut self) {
        if self.left < self.looks {
            self.looks = (self.looks + 1).min(RECEIVER_SPINS_MAX);
        }
        self.left = self.looks;
    }
}

fn take_and_count<M>(
    cursor: &mut Cursor<M>,
    queue: &Queue<M>,
    at_most: u32,
    lingers: bool,
) -> Option<Taken<M>> {
    let taken = cursor.take(queue, at_most, lingers);
    if let Some(Taken::Batch { segment, from, to, .. }) = &taken {
        queue.receive(segment.load(*from..*to));
    }
    taken
}

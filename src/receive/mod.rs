//! The receiving side of a queue, for whatever shape it is given outside.

pub mod builder;
pub mod delivery;
pub mod mailbox;
pub mod messages;
pub mod received;
pub mod subscription;
pub mod watch;

use crate::error::TryRecvError;
use crate::log::Segment;
use crate::payload::Payload;
use crate::queue::Queue;
use crate::queue::cursor::{Cursor, Found, Most, Taken};
use crate::queue::grant::GrantSeen;
use crate::receive::delivery::Delivery;
use crate::receive::received::Received;
use crate::shared::Shared;
use crate::stats::EndReason;
use crate::sync::lock;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

/// The reading end of a queue. Dropping it ends the queue.
pub(crate) struct Receiver<M: Payload> {
    pub queue: Arc<Queue<M>>,
    pub shared: Arc<Shared<M>>,
    /// Not used where publishers share one.
    cursor: Cursor<M>,
    grant_seen: GrantSeen,
    /// Messages that were reported as missed.
    missed: u64,
}

impl<M: Payload> Receiver<M> {
    pub fn new(queue: Arc<Queue<M>>, shared: Arc<Shared<M>>) -> Self {
        Self { queue, shared, cursor: Cursor::new(), grant_seen: GrantSeen::default(), missed: 0 }
    }

    /// The next messages, as many as a segment holds ready, or a gap; none once it has ended.
    pub fn poll_batch(&mut self, context: &mut Context<'_>, most: Most) -> Poll<Option<Taken<M>>> {
        self.poll_with(context, |this| this.take_batch(most), Taken::Missed)
    }

    /// As [`poll_batch`](Self::poll_batch), without waiting.
    pub fn try_batch(&mut self) -> Result<Taken<M>, TryRecvError> {
        self.try_with(|this| this.take_batch(Most::OfOneTopic), Taken::Missed)
    }

    /// Whether there is a message for [`step_within`](Self::step_within): one that is known to have
    /// another behind it, while nobody wants anything of the receiver. Most are.
    #[inline(always)]
    pub fn is_within_batch(&self) -> bool {
        self.cursor.is_within_batch() && self.queue.is_left_alone()
    }

    /// Receives a message in the middle of a batch.
    #[inline(always)]
    pub fn step_within(&mut self) -> Option<Delivery<Received<'_, M>>> {
        let (step, message, segment, index) = self.cursor.step()?;
        self.queue.receive_within(step.weight_bytes, &mut self.grant_seen);
        Some(Delivery::Message(Received::lent(message, segment, index)))
    }

    /// Whether the segment that is being read has a message, for [`step`](Self::step).
    #[inline(always)]
    pub fn has_next(&mut self) -> bool {
        !self.queue.is_ended() && self.cursor.is_ready()
    }

    /// Receives the message that was found.
    #[inline(always)]
    pub fn step(&mut self) -> Option<Delivery<Received<'_, M>>> {
        let (step, message, segment, index) = self.cursor.step()?;
        self.queue.receive_one(step, &mut self.grant_seen);
        Some(Delivery::Message(Received::lent(message, segment, index)))
    }

    /// The next message or gap, for [`give`](Self::give), where [nothing was
    /// found](Self::has_next); none once it has ended.
    pub fn poll_further(&mut self, context: &mut Context<'_>) -> Poll<Option<Next<M>>> {
        self.poll_with(context, Self::take_next, Next::Missed)
    }

    /// As [`poll_further`](Self::poll_further), without waiting.
    pub fn try_further(&mut self) -> Result<Next<M>, TryRecvError> {
        self.try_with(Self::take_next, Next::Missed)
    }

    /// Receives what was found further.
    #[inline(never)]
    pub fn give(&mut self, next: Next<M>) -> Option<Delivery<Received<'_, M>>> {
        match next {
            Next::Ready => self.step(),
            Next::Owned(segment, index) => Some(Delivery::Message(Received::owned(segment, index))),
            Next::Missed(count) => Some(Delivery::Missed(count)),
        }
    }

    #[inline(never)]
    fn poll_with<T>(
        &mut self,
        context: &mut Context<'_>,
        take: impl Fn(&mut Self) -> Option<T>,
        gap: impl Fn(u64) -> T,
    ) -> Poll<Option<T>> {
        let mut taken = self.try_with(&take, &gap);
        if let Err(TryRecvError::Empty) = taken {
            // Registered before the second look: whatever is pushed after it wakes this task.
            self.queue.register(context.waker());
            if self.queue.has_nothing() {
                return Poll::Pending;
            }
            taken = self.try_with(&take, &gap);
        }
        match taken {
            Ok(taken) => Poll::Ready(Some(taken)),
            Err(TryRecvError::Ended) => Poll::Ready(None),
            Err(TryRecvError::Empty) => Poll::Pending,
        }
    }

    fn try_with<T>(
        &mut self,
        take: impl Fn(&mut Self) -> Option<T>,
        gap: impl Fn(u64) -> T,
    ) -> Result<T, TryRecvError> {
        if self.queue.is_ended() {
            self.cursor.clear();
            self.cursor.finished.clear();
            return self.take_given_up().map(gap).ok_or(TryRecvError::Ended);
        }
        // Asked before the look: once it is closing, nothing comes after what the look finds.
        let is_closing = self.queue.is_closing();
        let taken = take(self);
        self.queue.attend_if_needed();
        // Afterwards, since dropping payloads runs foreign code.
        self.cursor.finished.clear();
        match taken {
            Some(taken) => Ok(taken),
            None if is_closing && !self.queue.is_waited_for() => {
                self.shared.end(&self.queue, EndReason::Closed);
                Err(TryRecvError::Ended)
            }
            None => Err(TryRecvError::Empty),
        }
    }

    /// The last gap: everything that a drain gave up, and gaps that were not reported yet.
    fn take_given_up(&mut self) -> Option<u64> {
        if self.queue.end_reason() != Some(EndReason::GivenUp) {
            return None;
        }
        let lost = self.queue.lost();
        let missed = lost - std::mem::replace(&mut self.missed, lost);
        (missed > 0).then_some(missed)
    }

    fn take_batch(&mut self, most: Most) -> Option<Taken<M>> {
        let taken = match self.queue.shared_cursor() {
            None => take_and_count(&mut self.cursor, &self.queue, most),
            Some(shared) => take_shared(&mut self.cursor.finished, shared, &self.queue, most),
        };
        if let Some(Taken::Missed(count)) = taken {
            self.missed += count;
        }
        taken
    }

    fn take_next(&mut self) -> Option<Next<M>> {
        if let Some(shared) = self.queue.shared_cursor() {
            let finished = &mut self.cursor.finished;
            return Some(match take_shared(finished, shared, &self.queue, Most::One)? {
                Taken::Missed(count) => self.report(count),
                Taken::Batch { segment, from, .. } => Next::Owned(segment, from),
            });
        }
        match self.queue.find(&mut self.cursor)? {
            Found::Missed(count) => Some(self.report(count)),
            Found::Messages => Some(Next::Ready),
        }
    }

    fn report(&mut self, missed: u64) -> Next<M> {
        self.missed += missed;
        Next::Missed(missed)
    }
}

/// A single delivery.
pub(crate) enum Next<M> {
    /// The message that the cursor is at, not received yet.
    Ready,
    Owned(Arc<Segment<M>>, u32),
    Missed(u64),
}

impl<M: Payload> Drop for Receiver<M> {
    fn drop(&mut self) {
        self.shared.end(&self.queue, EndReason::Unsubscribed);
        self.queue.forget_receiver();
    }
}

fn take_shared<M>(
    finished: &mut Vec<Arc<Segment<M>>>,
    cursor: &Mutex<Cursor<M>>,
    queue: &Queue<M>,
    most: Most,
) -> Option<Taken<M>> {
    let mut cursor = lock(cursor);
    let taken = take_and_count(&mut cursor, queue, most);
    // Dropped under no lock.
    finished.append(&mut cursor.finished);
    taken
}

fn take_and_count<M>(cursor: &mut Cursor<M>, queue: &Queue<M>, most: Most) -> Option<Taken<M>> {
    let taken = queue.take(cursor, most);
    if let Some(Taken::Batch { segment, from, to, .. }) = &taken {
        queue.receive(segment.load(*from..*to));
    }
    taken
}

//! The receiving end.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_lite::Stream;
use futures_lite::future::block_on;

use super::broker::Shared;
use super::cursor::{Cursor, Taken};
use super::error::TryRecvError;
use super::frame::{Message, Run};
use super::locks::lock;
use super::payload::Payload;
use super::queue::Queue;
use super::stats::{Books, EndReason, SubscriptionId, SubscriptionStats};
use super::topic::Pattern;
use crate::limits::RECEIVER_LOOKS_MAX;

/// A subscription: its bounded queue, and the one who reads it.
///
/// Dropping it ends it, frees what is queued at once, and leaves nothing behind in the broker, whoever still holds a
/// publisher or a broker. It ends by itself when the broker is closed and everything was received, or when its policy or a
/// [`drain`](crate::Broker::drain) ended it.
///
/// As a [`Stream`] it yields what [`recv`](Self::recv) does.
pub struct Subscription<M: Payload> {
    queue: Arc<Queue<M>>,
    shared: Arc<Shared<M>>,
    /// Not used where publishers share it.
    cursor: Cursor<M>,
    patience: Patience,
}

/// What a subscriber receives.
#[derive(Debug)]
pub enum Delivery<M> {
    /// A message.
    Message(Message<M>),
    /// In this place so many messages were lost to this subscription, because its queue had no room.
    Missed(u64),
}

/// What a subscriber receives that reads many messages at once.
#[derive(Debug)]
pub enum RunDelivery<M> {
    /// Consecutive messages.
    Run(Run<M>),
    /// In this place so many messages were lost to this subscription, because its queue had no room.
    Missed(u64),
}

impl<M> Delivery<M> {
    /// The message, if it is one.
    pub fn message(self) -> Option<Message<M>> {
        match self {
            Self::Message(message) => Some(message),
            Self::Missed(_) => None,
        }
    }
}

impl<M: Payload> Subscription<M> {
    pub(super) fn new(queue: Arc<Queue<M>>, shared: Arc<Shared<M>>) -> Self {
        Self { queue, shared, cursor: Cursor::new(), patience: Patience::default() }
    }

    /// The next message or gap; `None` once the subscription has ended.
    ///
    /// Cancel safe: a dropped future has taken nothing, and no wake-up is lost.
    pub async fn recv(&mut self) -> Option<Delivery<M>> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// The next messages, as many as one frame holds ready, or a gap; `None` once the subscription has ended. They count as
    /// received when this returns them.
    ///
    /// Cancel safe: a dropped future has taken nothing, and no wake-up is lost.
    pub async fn recv_run(&mut self) -> Option<RunDelivery<M>> {
        poll_fn(|context| self.poll_recv_run(context)).await
    }

    /// As [`recv`](Self::recv), without waiting.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is nothing now, [`TryRecvError::Ended`] if there will be nothing any more.
    pub fn try_recv(&mut self) -> Result<Delivery<M>, TryRecvError> {
        self.try_take(1, false).map(one)
    }

    /// As [`recv_run`](Self::recv_run), without waiting.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is nothing now, [`TryRecvError::Ended`] if there will be nothing any more.
    pub fn try_recv_run(&mut self) -> Result<RunDelivery<M>, TryRecvError> {
        self.try_take(u32::MAX, false).map(many)
    }

    /// As [`recv`](Self::recv), for a plain thread, which it blocks while there is nothing.
    pub fn recv_blocking(&mut self) -> Option<Delivery<M>> {
        block_on(self.recv())
    }

    /// As [`recv_run`](Self::recv_run), for a plain thread, which it blocks while there is nothing.
    pub fn recv_run_blocking(&mut self) -> Option<RunDelivery<M>> {
        block_on(self.recv_run())
    }

    /// [`recv`](Self::recv) for hand-written futures. The task polled last is the one that is woken.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Delivery<M>>> {
        self.poll_take(context, 1).map(|taken| taken.map(one))
    }

    /// [`recv_run`](Self::recv_run) for hand-written futures. The task polled last is the one that is woken.
    pub fn poll_recv_run(&mut self, context: &mut Context<'_>) -> Poll<Option<RunDelivery<M>>> {
        self.poll_take(context, u32::MAX).map(|taken| taken.map(many))
    }

    /// Its name.
    pub fn id(&self) -> SubscriptionId {
        self.queue.terms.id
    }

    /// What it subscribes to.
    pub fn pattern(&self) -> &Pattern {
        &self.queue.terms.pattern
    }

    /// The account of its messages.
    pub fn books(&self) -> Books {
        self.queue.books()
    }

    /// Everything that is known of it.
    pub fn stats(&self) -> SubscriptionStats {
        self.queue.stats()
    }

    /// Why it ended, if it has.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.queue.end_reason()
    }

    /// A handle to look at it from elsewhere.
    pub fn watch(&self) -> SubscriptionWatch<M> {
        SubscriptionWatch { queue: self.queue.clone() }
    }

    fn poll_take(&mut self, context: &mut Context<'_>, at_most: u32) -> Poll<Option<Taken<M>>> {
        let mut taken = self.try_take(at_most, self.patience.is_left());
        if let Err(TryRecvError::Empty) = taken {
            if self.patience.use_up_one() {
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
                self.patience.renew();
                Poll::Ready(Some(taken))
            }
            Err(TryRecvError::Ended) => Poll::Ready(None),
            Err(TryRecvError::Empty) => Poll::Pending,
        }
    }

    fn try_take(&mut self, at_most: u32, lingers: bool) -> Result<Taken<M>, TryRecvError> {
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

/// How often a receiver that has read everything looks again, after letting others run, before it goes to sleep.
///
/// Sleeping and being woken costs both sides more than reading some messages does. So where the last looks paid, it
/// looks more often, and where they did not, less; once at least, or it would never learn that it pays again.
struct Patience {
    looks: u8,
    left: u8,
}

impl Default for Patience {
    fn default() -> Self {
        Self { looks: 1, left: 0 }
    }
}

impl Patience {
    fn is_left(&self) -> bool {
        self.left > 0
    }

    /// False once none is left: it was in vain.
    fn use_up_one(&mut self) -> bool {
        if self.left > 0 {
            self.left -= 1;
            return true;
        }
        self.looks = (self.looks / 2).max(1);
        false
    }

    /// Something came.
    fn renew(&mut self) {
        if self.left < self.looks {
            self.looks = (self.looks + 1).min(RECEIVER_LOOKS_MAX);
        }
        self.left = self.looks;
    }
}

fn take_and_count<M>(cursor: &mut Cursor<M>, queue: &Queue<M>, at_most: u32, lingers: bool) -> Option<Taken<M>> {
    let taken = cursor.take(queue, at_most, lingers);
    if let Some(Taken::Run { frame, from, to }) = &taken {
        queue.receive(frame.load(*from..*to));
    }
    taken
}

fn one<M>(taken: Taken<M>) -> Delivery<M> {
    match taken {
        Taken::Run { frame, from, .. } => Delivery::Message(Message::new(frame, from)),
        Taken::Missed(count) => Delivery::Missed(count),
    }
}

fn many<M>(taken: Taken<M>) -> RunDelivery<M> {
    match taken {
        Taken::Run { frame, from, to } => RunDelivery::Run(Run::new(frame, from, to)),
        Taken::Missed(count) => RunDelivery::Missed(count),
    }
}

impl<M: Payload> Stream for Subscription<M> {
    type Item = Delivery<M>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Delivery<M>>> {
        self.get_mut().poll_recv(context)
    }
}

impl<M: Payload> Drop for Subscription<M> {
    fn drop(&mut self) {
        self.shared.end(&self.queue, EndReason::Unsubscribed);
        self.queue.forget_receiver();
    }
}

/// Looks at a subscription from elsewhere. Keeps it neither open nor its messages alive.
pub struct SubscriptionWatch<M> {
    queue: Arc<Queue<M>>,
}

impl<M> SubscriptionWatch<M> {
    /// The account of its messages.
    pub fn books(&self) -> Books {
        self.queue.books()
    }

    /// Everything that is known of it.
    pub fn stats(&self) -> SubscriptionStats {
        self.queue.stats()
    }

    /// Why it ended, if it has.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.queue.end_reason()
    }
}

impl<M> Clone for SubscriptionWatch<M> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

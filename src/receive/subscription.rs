//! The receiving end of one pattern.

use crate::blocking::block_on;
use crate::error::TryRecvError;
use crate::log::message::{Batch, Message};
use crate::payload::Payload;
use crate::queue::cursor::{Most, Taken};
use crate::receive::Receiver;
use crate::receive::delivery::Delivery;
use crate::receive::mailbox::Mailbox;
use crate::receive::received::Received;
use crate::receive::watch::SubscriptionWatch;
use crate::stats::{Books, EndReason, SubscriptionId, SubscriptionStats};
use crate::topic::Pattern;
use futures_lite::Stream;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

/// The receiving end of one pattern: a bounded queue and its reader.
///
/// Dropping it ends it, frees what is queued at once, and leaves nothing behind in the broker,
/// whoever still holds a publisher or a broker. It ends by itself when it or the broker is closed
/// and everything was received, or when its policy or a [`drain`](crate::Broker::drain) ended it.
///
/// As a [`Stream`] it yields what [`recv`](Self::recv) does, as messages to keep.
///
/// ```
/// use fanfare::{Broker, Delivery, Pattern, Topic};
///
/// # futures_lite::future::block_on(async {
/// let broker = Broker::<&str>::new();
/// let mut news = broker.subscribe(&Pattern::parse("news.*")?)?;
/// let _ = broker.publish(&Topic::parse("news.local")?, "rain").await?;
/// broker.close();
///
/// while let Some(delivery) = news.recv().await {
///     match delivery {
///         Delivery::Message(item) => println!("{}: {}", item.topic(), *item),
///         Delivery::Missed(count) => println!("{count} items are missing here"),
///     }
/// }
/// assert_eq!(news.books().received, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct Subscription<M: Payload> {
    pub(super) mailbox: Mailbox<M>,
    pattern: Pattern,
}

/// A delivery to a subscriber that reads many messages at once.
#[derive(Debug)]
pub enum BatchDelivery<M> {
    /// Consecutive messages.
    Batch(Batch<M>),
    /// This many messages are missing here, because the subscription's queue had no room. 0: nobody
    /// knows how many, perhaps none, because a [bridge](crate::Broker::interrupt) was down.
    Missed(u64),
}

impl<M: Payload> Subscription<M> {
    pub(crate) fn new(mailbox: Mailbox<M>, pattern: Pattern) -> Self {
        Self { mailbox, pattern }
    }

    /// Receives the next message or gap; `None` once the subscription has ended.
    ///
    /// The message is lent until the next receive; [`Received::to_message`] keeps it.
    ///
    /// Cancel safe: a dropped future has taken nothing, and no wake-up is lost.
    pub fn recv(&mut self) -> impl Future<Output = Option<Delivery<Received<'_, M>>>> {
        Recv(Some(&mut self.mailbox.receiver))
    }

    /// Receives the next messages, as many as one segment holds ready, or a gap; `None` once the
    /// subscription has ended. The messages count as received when this returns.
    ///
    /// Cancel safe: a dropped future has taken nothing, and no wake-up is lost.
    pub async fn recv_batch(&mut self) -> Option<BatchDelivery<M>> {
        poll_fn(|context| self.poll_recv_batch(context)).await
    }

    /// Receives the next message or gap, without waiting.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is nothing now, [`TryRecvError::Ended`] if there will be
    /// nothing any more.
    pub fn try_recv(&mut self) -> Result<Delivery<Received<'_, M>>, TryRecvError> {
        let receiver = &mut self.mailbox.receiver;
        let delivery = match receiver.has_next() {
            true => receiver.step(),
            false => {
                let next = receiver.try_further()?;
                receiver.give(next)
            }
        };
        delivery.ok_or(TryRecvError::Empty)
    }

    /// Receives the next messages or a gap, without waiting.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is nothing now, [`TryRecvError::Ended`] if there will be
    /// nothing any more.
    pub fn try_recv_batch(&mut self) -> Result<BatchDelivery<M>, TryRecvError> {
        self.mailbox.receiver.try_batch().map(many)
    }

    /// Receives the next message or gap, blocking the thread while there is nothing; `None` once
    /// the subscription has ended. The thread gives up the processor once before it sleeps, so that
    /// messages gather for it.
    pub fn recv_blocking(&mut self) -> Option<Delivery<Received<'_, M>>> {
        block_on(self.recv())
    }

    /// Receives the next messages or a gap, blocking the thread while there is nothing; `None` once
    /// the subscription has ended.
    pub fn recv_batch_blocking(&mut self) -> Option<BatchDelivery<M>> {
        block_on(self.recv_batch())
    }

    /// [`recv`](Self::recv) for hand-written futures. The task polled last is the one that is
    /// woken.
    pub fn poll_recv(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<Delivery<Received<'_, M>>>> {
        Pin::new(&mut Recv(Some(&mut self.mailbox.receiver))).poll(context)
    }

    /// [`recv_batch`](Self::recv_batch) for hand-written futures. The task polled last is the one
    /// that is woken.
    pub fn poll_recv_batch(&mut self, context: &mut Context<'_>) -> Poll<Option<BatchDelivery<M>>> {
        self.mailbox.receiver.poll_batch(context, Most::OfOneTopic).map(|taken| taken.map(many))
    }

    /// Closes the subscription: no publish that begins after this reaches it, and it ends when
    /// everything queued is received. [`SubscriptionWatch`] does the same from elsewhere.
    ///
    /// ```
    /// use fanfare::{Broker, Delivery, Pattern, Topic};
    ///
    /// let broker = Broker::<u32>::new();
    /// let ticks = Topic::parse("ticks")?;
    /// let mut subscription = broker.subscribe(&Pattern::from(&ticks))?;
    /// let mut publisher = broker.publisher();
    /// let _ = publisher.publish_blocking(&ticks, 1)?;
    /// subscription.close();
    /// assert_eq!(publisher.publish_blocking(&ticks, 2)?.matched, 0);
    /// assert!(matches!(subscription.try_recv(), Ok(Delivery::Message(tick)) if *tick == 1));
    /// assert!(subscription.recv_blocking().is_none());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn close(&self) {
        self.mailbox.close();
    }

    /// Ends the subscription at once.
    pub(super) fn end(&self) {
        let Receiver { queue, shared, .. } = &self.mailbox.receiver;
        shared.end(queue, EndReason::Unsubscribed);
    }

    /// The subscription's id.
    pub fn id(&self) -> SubscriptionId {
        self.mailbox.id()
    }

    /// The pattern that this subscribes to.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// The account of the subscription's messages.
    pub fn books(&self) -> Books {
        self.mailbox.books()
    }

    /// All figures of the subscription.
    pub fn stats(&self) -> SubscriptionStats {
        self.mailbox.stats()
    }

    /// Why the subscription ended, if it has.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.mailbox.end_reason()
    }

    /// A handle that looks at the subscription from elsewhere, and can close it.
    pub fn watch(&self) -> SubscriptionWatch<M> {
        self.mailbox.watch()
    }
}

/// Receives the next message or gap. Written out, since an `async fn` costs more than a step does.
struct Recv<'a, M: Payload>(Option<&'a mut Receiver<M>>);

impl<'a, M: Payload> Future for Recv<'a, M> {
    type Output = Option<Delivery<Received<'a, M>>>;

    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Polled again after it was ready, it has nothing more.
        let Some(receiver) = self.0.take() else { return Poll::Ready(None) };
        if receiver.is_within_batch() {
            return Poll::Ready(receiver.step_within());
        }
        if receiver.has_next() {
            return Poll::Ready(receiver.step());
        }
        match receiver.poll_further(context) {
            Poll::Ready(Some(next)) => Poll::Ready(receiver.give(next)),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                self.0 = Some(receiver);
                Poll::Pending
            }
        }
    }
}

fn many<M>(taken: Taken<M>) -> BatchDelivery<M> {
    match taken {
        Taken::Batch { segment, from, to, .. } => {
            BatchDelivery::Batch(Batch::new(segment, from, to))
        }
        Taken::Missed(count) => BatchDelivery::Missed(count),
    }
}

impl<M: Payload> Stream for Subscription<M> {
    type Item = Delivery<Message<M>>;

    fn poll_next(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Delivery<Message<M>>>> {
        let delivery = self.get_mut().poll_recv(context);
        delivery.map(|delivery| delivery.map(|delivery| delivery.to_message()))
    }
}

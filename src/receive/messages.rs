//! A subscription's messages without gaps between them: passed over and counted, or as errors.

use crate::blocking::block_on;
use crate::limits::GAPS_PER_POLL_MAX;
use crate::log::message::Message;
use crate::payload::Payload;
use crate::receive::delivery::Delivery;
use crate::receive::subscription::Subscription;
use futures_lite::Stream;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

impl<M: Payload> Subscription<M> {
    /// Passes over gaps and counts them, for a reader that goes on whatever it missed.
    ///
    /// ```
    /// use fanfare::{Broker, Pattern, Topic, WhenFull};
    ///
    /// # futures_lite::future::block_on(async {
    /// let broker = Broker::<u32>::new();
    /// let ticks = Topic::parse("ticks")?;
    /// let latest = broker.subscription(&Pattern::from(&ticks)).queue_messages(2);
    /// let mut latest = latest.when_full(WhenFull::DropOldest).subscribe()?.into_messages();
    /// for tick in 1..=5 {
    ///     let _ = broker.publish(&ticks, tick).await?;
    /// }
    /// broker.close();
    ///
    /// let mut seen = Vec::new();
    /// while let Some(tick) = latest.recv().await {
    ///     seen.push(*tick);
    /// }
    /// assert_eq!((seen, latest.missed()), (vec![4, 5], 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn into_messages(self) -> Messages<M> {
        Messages { subscription: self, missed: 0, left: None }
    }

    /// Makes an error of each gap, for a reader that must not miss a message.
    ///
    /// ```
    /// use fanfare::{Broker, Missed, Pattern, Topic, WhenFull};
    ///
    /// # futures_lite::future::block_on(async {
    /// let broker = Broker::<u32>::new();
    /// let account = Topic::parse("account")?;
    /// let entries = broker.subscription(&Pattern::from(&account)).queue_messages(2);
    /// let mut entries = entries.when_full(WhenFull::DropNewest).subscribe()?.into_try_messages();
    /// for entry in 1..=5 {
    ///     let _ = broker.publish(&account, entry).await?;
    /// }
    ///
    /// let mut balance = 0;
    /// let outcome = async {
    ///     while let Some(entry) = entries.recv().await? {
    ///         balance += *entry;
    ///     }
    ///     Ok(())
    /// };
    /// assert_eq!(outcome.await, Err(Missed(3)));
    /// assert_eq!(balance, 1 + 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn into_try_messages(self) -> TryMessages<M> {
        TryMessages { subscription: self }
    }
}

/// The messages of a [`Subscription`], past gaps, which it counts.
///
/// A [`Stream`] of [`Message`], from [`Subscription::into_messages`].
pub struct Messages<M: Payload> {
    subscription: Subscription<M>,
    missed: u64,
    /// How many are to come at most, if there is an end.
    left: Option<u64>,
}

impl<M: Payload> Messages<M> {
    /// Receives the next message; `None` once the subscription has ended.
    ///
    /// Cancel safe: a dropped future has taken no message, and a gap it has passed is counted.
    pub async fn recv(&mut self) -> Option<Message<M>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }

    /// Receives the next message, blocking the thread while there is none; `None` once the
    /// subscription has ended.
    pub fn recv_blocking(&mut self) -> Option<Message<M>> {
        block_on(self.recv())
    }

    /// Ends the subscription once `messages` more are received, and with them the stream. What is
    /// queued behind them is dropped, as it is when a subscription is.
    ///
    /// ```
    /// use fanfare::{Broker, Pattern, Topic};
    ///
    /// # futures_lite::future::block_on(async {
    /// let broker = Broker::<u32>::new();
    /// let ticks = Topic::parse("ticks")?;
    /// let mut first = broker.subscribe(&Pattern::from(&ticks))?.into_messages().at_most(2);
    /// for tick in 1..=3 {
    ///     let _ = broker.publish(&ticks, tick).await?;
    /// }
    /// assert_eq!(*first.recv().await.unwrap() + *first.recv().await.unwrap(), 3);
    /// assert!(first.recv().await.is_none());
    /// assert!(!broker.has_subscribers(&ticks));
    /// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
    /// ```
    pub fn at_most(mut self, messages: u64) -> Self {
        self.left = Some(messages);
        self.end_if_none_left();
        self
    }

    fn end_if_none_left(&self) {
        if self.left == Some(0) {
            self.subscription.end();
        }
    }

    /// The number of messages missing in the gaps passed over so far.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The subscription.
    pub fn subscription(&self) -> &Subscription<M> {
        &self.subscription
    }

    /// The subscription back, with what it has not received yet.
    pub fn into_subscription(self) -> Subscription<M> {
        self.subscription
    }
}

impl<M: Payload> Stream for Messages<M> {
    type Item = Message<M>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Message<M>>> {
        let this = self.get_mut();
        for _ in 0..GAPS_PER_POLL_MAX {
            match Pin::new(&mut this.subscription).poll_next(context) {
                Poll::Ready(Some(Delivery::Message(message))) => {
                    this.left = this.left.map(|left| left - 1);
                    this.end_if_none_left();
                    return Poll::Ready(Some(message));
                }
                Poll::Ready(Some(Delivery::Missed(count))) => this.missed += count,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
        // Others run first; no wake-up is owed for what is already there.
        context.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The messages of a [`Subscription`], each gap an error.
///
/// A [`Stream`] of `Result<Message, Missed>`, from [`Subscription::into_try_messages`].
pub struct TryMessages<M: Payload> {
    subscription: Subscription<M>,
}

impl<M: Payload> TryMessages<M> {
    /// Receives the next message; `None` once the subscription has ended. The messages after a gap
    /// can still be received.
    ///
    /// Cancel safe: a dropped future has taken nothing.
    ///
    /// # Errors
    /// [`Missed`] if messages are missing here.
    pub async fn recv(&mut self) -> Result<Option<Message<M>>, Missed> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await.transpose()
    }

    /// Receives the next message, blocking the thread while there is none; `None` once the
    /// subscription has ended.
    ///
    /// # Errors
    /// [`Missed`] if messages are missing here.
    pub fn recv_blocking(&mut self) -> Result<Option<Message<M>>, Missed> {
        block_on(self.recv())
    }

    /// The subscription.
    pub fn subscription(&self) -> &Subscription<M> {
        &self.subscription
    }

    /// The subscription back, with what it has not received yet.
    pub fn into_subscription(self) -> Subscription<M> {
        self.subscription
    }
}

impl<M: Payload> Stream for TryMessages<M> {
    type Item = Result<Message<M>, Missed>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.get_mut().subscription).poll_next(context);
        next.map(|delivery| {
            delivery.map(|delivery| match delivery {
                Delivery::Message(message) => Ok(message),
                Delivery::Missed(count) => Err(Missed(count)),
            })
        })
    }
}

/// This many messages are missing, because the subscription's queue had no room. 0: nobody knows
/// how many, perhaps none, because a [bridge](crate::Broker::interrupt) was down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed(pub u64);

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => write!(f, "a bridge was down, so messages may be missing here"),
            count => write!(f, "the queue was full, messages missing here: {count}"),
        }
    }
}

impl std::error::Error for Missed {}

//! The receiving end of many patterns.

use crate::error::{SubscribeError, TryRecvError};
use crate::log::message::{Batch, Message};
use crate::membership::Membership;
use crate::payload::Payload;
use crate::queue::cursor::{Most, Taken};
use crate::queue::{Queue, Want};
use crate::receive::Receiver;
use crate::receive::watch::SubscriptionWatch;
use crate::shared::Shared;
use crate::stats::{Books, EndReason, SubscriptionId, SubscriptionStats};
use crate::topic::{Pattern, Topic};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

/// One bounded queue for any number of subscriptions, which come and go. It suits a connection that
/// subscribes on behalf of a client.
///
/// All of them share its bounds, its policy, its books and one wake-up. Each gets what one
/// publisher publishes in the order published, and what it publishes to different topics comes in
/// that order too, whichever subscriptions it is for. A message that matches two of them comes
/// twice, once for each, and one of the two may run ahead of the other.
///
/// Dropping it ends all of its subscriptions and frees what is queued at once.
///
/// ```
/// use fanfare::{Broker, MailboxDelivery, Pattern, Topic};
///
/// let broker = Broker::<&str>::new();
/// let mut mailbox = broker.mailbox("connection 7").open()?;
/// let orders = mailbox.subscribe(&Pattern::parse("orders.*")?)?;
/// let _ = broker.publisher().publish_blocking(&Topic::parse("orders.eu")?, "an order")?;
/// let Some(MailboxDelivery::Batch(id, batch)) = mailbox.recv_batch_blocking() else {
///     panic!("nothing was missed")
/// };
/// assert_eq!((id, batch.iter().collect::<Vec<_>>()), (orders, vec![&"an order"]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Mailbox<M: Payload> {
    pub(crate) receiver: Receiver<M>,
}

/// A delivery of a mailbox.
#[derive(Debug)]
pub enum MailboxDelivery<M> {
    /// Consecutive messages, and the subscription they are for, which may have ended meanwhile.
    Batch(SubscriptionId, Batch<M>),
    /// This many messages are missing here, from any of the subscriptions, because the queue had no
    /// room. 0: nobody knows how many, perhaps none, because a [bridge](crate::Broker::interrupt)
    /// was down.
    Missed(u64),
}

impl<M: Payload> Mailbox<M> {
    pub(crate) fn new(queue: Arc<Queue<M>>, shared: Arc<Shared<M>>) -> Self {
        Self { receiver: Receiver::new(queue, shared) }
    }

    /// Begins a subscription. See [`MailboxSubscriber::subscribe`].
    ///
    /// # Errors
    /// If the broker is closed or full, or the mailbox has ended.
    pub fn subscribe(&self, pattern: &Pattern) -> Result<SubscriptionId, SubscribeError> {
        self.subscriber().subscribe(pattern)
    }

    /// Begins a subscription and returns the kept messages. See
    /// [`MailboxSubscriber::subscribe_with_history`].
    ///
    /// # Errors
    /// If the broker is closed or full, or the mailbox has ended.
    pub fn subscribe_with_history(
        &self,
        pattern: &Pattern,
        last: usize,
    ) -> Result<(SubscriptionId, Vec<Message<M>>), SubscribeError> {
        self.subscriber().subscribe_with_history(pattern, last)
    }

    /// Begins a subscription in a queue group. See [`MailboxSubscriber::subscribe_in_group`].
    ///
    /// # Errors
    /// If the broker is closed or full, or the mailbox has ended.
    pub fn subscribe_in_group(
        &self,
        pattern: &Pattern,
        group: &str,
    ) -> Result<SubscriptionId, SubscribeError> {
        self.subscriber().subscribe_in_group(pattern, group)
    }

    /// Limits how many messages a subscription gets. See [`MailboxSubscriber::limit`].
    pub fn limit(&self, id: SubscriptionId, max: u64) -> Option<u64> {
        self.subscriber().limit(id, max)
    }

    /// Ends a subscription. See [`MailboxSubscriber::unsubscribe`].
    pub fn unsubscribe(&self, id: SubscriptionId) -> bool {
        self.subscriber().unsubscribe(id)
    }

    /// A handle that begins and ends the mailbox's subscriptions, for use elsewhere than where it
    /// is read.
    pub fn subscriber(&self) -> MailboxSubscriber<M> {
        MailboxSubscriber {
            queue: self.receiver.queue.clone(),
            shared: self.receiver.shared.clone(),
        }
    }

    /// Receives the next messages, as many as one segment holds ready, or a gap; `None` once the
    /// mailbox has ended. The messages count as received when this returns.
    ///
    /// Cancel safe: a dropped future has taken nothing, and no wake-up is lost.
    pub async fn recv_batch(&mut self) -> Option<MailboxDelivery<M>> {
        poll_fn(|context| self.poll_recv_batch(context)).await
    }

    /// Receives the next messages or a gap, without waiting.
    ///
    /// # Errors
    /// [`TryRecvError::Empty`] if there is nothing now, [`TryRecvError::Ended`] if there will be
    /// nothing any more.
    pub fn try_recv_batch(&mut self) -> Result<MailboxDelivery<M>, TryRecvError> {
        self.receiver.try_batch().map(delivery)
    }

    /// Receives the next messages or a gap, blocking the thread while there is nothing; `None` once
    /// the mailbox has ended.
    pub fn recv_batch_blocking(&mut self) -> Option<MailboxDelivery<M>> {
        crate::blocking::block_on(self.recv_batch())
    }

    /// [`recv_batch`](Self::recv_batch) for hand-written futures. The task polled last is the one
    /// that is woken.
    pub fn poll_recv_batch(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<MailboxDelivery<M>>> {
        self.receiver.poll_batch(context, Most::OfOneTopic).map(|taken| taken.map(delivery))
    }

    /// [`poll_recv_batch`](Self::poll_recv_batch) for those who can take messages of several topics
    /// in one batch: see [`Batch::topic_of`].
    pub fn poll_recv_mixed(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<Option<MailboxDelivery<M>>> {
        self.receiver.poll_batch(context, Most::All).map(|taken| taken.map(delivery))
    }

    /// Closes the mailbox: no publish that begins after this reaches it, it takes no new
    /// subscription, and it ends when everything queued is received.
    pub fn close(&self) {
        self.receiver.shared.close_one(&self.receiver.queue);
    }

    /// The mailbox's id in statistics, which no subscription has.
    pub fn id(&self) -> SubscriptionId {
        self.receiver.queue.terms.id
    }

    /// The account of the mailbox's messages.
    pub fn books(&self) -> Books {
        self.receiver.queue.books()
    }

    /// All figures of the mailbox.
    pub fn stats(&self) -> SubscriptionStats {
        self.receiver.queue.stats()
    }

    /// Why the mailbox ended, if it has.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.receiver.queue.end_reason()
    }

    /// A handle that looks at the mailbox from elsewhere, and can close it.
    pub fn watch(&self) -> SubscriptionWatch<M> {
        SubscriptionWatch::new(&self.receiver.queue, &self.receiver.shared)
    }
}

/// Begins and ends the subscriptions of a [`Mailbox`], which it keeps neither open nor in memory.
pub struct MailboxSubscriber<M> {
    queue: Arc<Queue<M>>,
    shared: Arc<Shared<M>>,
}

impl<M: Payload> MailboxSubscriber<M> {
    /// Begins a subscription. Every publish that begins after this returns reaches it.
    ///
    /// # Errors
    /// If the broker is closed or full, or the mailbox has ended.
    pub fn subscribe(&self, pattern: &Pattern) -> Result<SubscriptionId, SubscribeError> {
        self.add(pattern, None, 0).map(|(id, _)| id)
    }

    /// A subscription of the mailbox, outside queue groups, that matches `topic`. Found among all
    /// subscribers' patterns; `None` also if [`MATCH_STEPS_MAX`](crate::limits::MATCH_STEPS_MAX)
    /// steps do not find it.
    ///
    /// ```
    /// use fanfare::{Broker, Pattern, Topic};
    ///
    /// let broker = Broker::<&str>::new();
    /// let mailbox = broker.mailbox("connection 7").open()?;
    /// let answers = mailbox.subscribe(&Pattern::parse("answers.*")?)?;
    /// let subscriber = mailbox.subscriber();
    /// assert_eq!(subscriber.first_match(&Topic::parse("answers.1")?), Some(answers));
    /// assert_eq!(subscriber.first_match(&Topic::parse("orders")?), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn first_match(&self, topic: &Topic) -> Option<SubscriptionId> {
        self.shared.router.first_match(&self.queue, topic)
    }

    /// Begins a subscription, and returns the last `last` messages kept of each matching topic, in
    /// the order they were published. What is published from then on comes through the mailbox,
    /// without gap or duplicate.
    ///
    /// The kept messages take no room in the mailbox and are not in its books. See
    /// [`BrokerBuilder::history`](crate::BrokerBuilder::history).
    ///
    /// ```
    /// use fanfare::{Broker, MailboxDelivery, Pattern, Topic};
    ///
    /// let broker = Broker::<&str>::builder().history(Pattern::parse("news.>")?, 10).build();
    /// let (topic, mut publisher) = (Topic::parse("news.eu")?, broker.publisher());
    /// let _ = publisher.publish_blocking(&topic, "first")?;
    /// let _ = publisher.publish_blocking(&topic, "second")?;
    ///
    /// let mut mailbox = broker.mailbox("connection 7").open()?;
    /// let (id, kept) = mailbox.subscribe_with_history(&Pattern::from(&topic), 1)?;
    /// assert_eq!(kept.iter().map(|message| **message).collect::<Vec<_>>(), ["second"]);
    ///
    /// let _ = publisher.publish_blocking(&topic, "third")?;
    /// let Some(MailboxDelivery::Batch(of, batch)) = mailbox.recv_batch_blocking() else {
    ///     panic!("nothing was missed")
    /// };
    /// assert_eq!((of, batch.iter().collect::<Vec<_>>()), (id, vec![&"third"]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the broker is closed or full, or the mailbox has ended.
    pub fn subscribe_with_history(
        &self,
        pattern: &Pattern,
        last: usize,
    ) -> Result<(SubscriptionId, Vec<Message<M>>), SubscribeError> {
        self.add(pattern, None, last)
    }

    /// Begins a subscription in a [queue group](crate::SubscriptionBuilder::group).
    ///
    /// # Errors
    /// If the broker is closed or full, or the mailbox has ended.
    pub fn subscribe_in_group(
        &self,
        pattern: &Pattern,
        group: &str,
    ) -> Result<SubscriptionId, SubscribeError> {
        self.subscribe_in_group_except(pattern, group, &[])
    }

    /// Begins a subscription in a queue group, where messages of topics that `except` matches go to
    /// other members.
    ///
    /// # Errors
    /// If the broker is closed or full, or the mailbox has ended.
    pub fn subscribe_in_group_except(
        &self,
        pattern: &Pattern,
        group: &str,
        except: &[Pattern],
    ) -> Result<SubscriptionId, SubscribeError> {
        let membership = Arc::new(Membership::new(group, except));
        self.add(pattern, Some(membership), 0).map(|(id, _)| id)
    }

    /// Limits how many messages its queue group gives a subscription to `max` in all, those that it
    /// was given before counted. Later ones go to other members. What it is given counts when it is
    /// published, and does not count if it is dropped then because the queue has no room. The
    /// subscription is still there when the limit is reached.
    ///
    /// Returns how many it gets in all: more than `max` if it was given more before. Can be
    /// changed until it is reached. `None` if the mailbox has no subscription with this id in a
    /// queue group.
    pub fn limit(&self, id: SubscriptionId, max: u64) -> Option<u64> {
        self.queue.terms.wanted.group(id).map(|membership| membership.allowance.limit(max))
    }

    /// Ends a subscription: no publish that begins after this reaches it. What is queued for it by
    /// then still comes. False if the mailbox has none with this id.
    pub fn unsubscribe(&self, id: SubscriptionId) -> bool {
        self.shared.router.remove(&self.queue, id)
    }

    /// Moves a subscription to another mailbox, for bounds or a policy of its own, and returns its
    /// id there. No message is lost or comes twice: what was queued for it stays in this mailbox,
    /// and every publish that begins after this returns goes to the other.
    ///
    /// ```
    /// use fanfare::{Broker, MailboxDelivery, Pattern, Topic, WhenFull};
    ///
    /// let broker = Broker::<u32>::new();
    /// let mut shared = broker.mailbox("connection 7").open()?;
    /// let ticks = shared.subscribe(&Pattern::parse("ticks")?)?;
    /// let own = broker.mailbox("its ticks").queue_messages(1).when_full(WhenFull::DropOldest);
    /// let mut own = own.open()?;
    /// let topic = Topic::parse("ticks")?;
    /// let _ = broker.publisher().publish_blocking(&topic, 1)?;
    ///
    /// let moved = shared.subscriber().move_to(ticks, &own.subscriber())?;
    /// let _ = broker.publisher().publish_blocking(&topic, 2)?;
    /// for (mailbox, id, tick) in [(&mut shared, ticks, 1), (&mut own, moved, 2)] {
    ///     let Some(MailboxDelivery::Batch(of, batch)) = mailbox.recv_batch_blocking() else {
    ///         panic!("nothing was missed")
    ///     };
    ///     assert_eq!((of, batch.iter().collect::<Vec<_>>()), (id, vec![&tick]));
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the broker is closed or full, the other mailbox has ended, or this one has no such
    /// subscription. Then everything stays as it was.
    pub fn move_to(&self, id: SubscriptionId, to: &Self) -> Result<SubscriptionId, SubscribeError> {
        self.shared.router.move_to((&self.queue, id), &to.queue)
    }

    /// The subscriptions that the mailbox has now: each with its pattern, and its queue group if
    /// it is in one. In the order in which they began.
    pub fn subscriptions(&self) -> Vec<(SubscriptionId, Pattern, Option<Arc<str>>)> {
        self.queue.terms.wanted.all()
    }

    /// The subscriptions to exactly this pattern that the mailbox has now. Costs what the
    /// subscriptions of all queues to this pattern cost to look at, however many others the
    /// mailbox has.
    pub fn subscriptions_to(&self, pattern: &Pattern) -> Vec<SubscriptionId> {
        self.shared.router.subscriptions_to(pattern, &self.queue)
    }

    fn add(
        &self,
        pattern: &Pattern,
        group: Option<Arc<Membership>>,
        last: usize,
    ) -> Result<(SubscriptionId, Vec<Message<M>>), SubscribeError> {
        self.shared.router.add(&self.queue, Want { pattern: pattern.clone(), group }, last)
    }
}

impl<M> Clone for MailboxSubscriber<M> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone(), shared: self.shared.clone() }
    }
}

fn delivery<M>(taken: Taken<M>) -> MailboxDelivery<M> {
    match taken {
        Taken::Batch { segment, id, from, to, .. } => {
            MailboxDelivery::Batch(id, Batch::new(segment, from, to))
        }
        Taken::Missed(count) => MailboxDelivery::Missed(count),
    }
}

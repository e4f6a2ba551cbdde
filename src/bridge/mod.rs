//! Bridges: how a broker and another system of publishers and subscribers become one.

pub mod interest;

use crate::bridge::interest::InterestWatch;
use crate::broker::Broker;
use crate::error::{PublishError, SubscribeError};
use crate::log::deferred::Deferred;
use crate::log::message::Batch;
use crate::payload::{Origin, Payload};
use crate::policy::{Receipt, WhenFull};
use crate::publish::Publisher;
use crate::queue::cursor::{Most, Taken};
use crate::queue::entries::Named;
use crate::receive::builder::MailboxBuilder;
use crate::receive::mailbox::{Mailbox, MailboxSubscriber};
use crate::receive::watch::SubscriptionWatch;
use crate::routing::member::Member;
use crate::scope::Scope;
use crate::stats::{Books, SubscriptionId};
use crate::topic::{Pattern, Topic};
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

/// The messages that leave a broker for another system, such as a cluster of servers, in one
/// bounded queue.
///
/// Its subscriptions are the other system's interest. Each message comes once, however many of
/// them match, with the names of the queue groups for which a member is to be found there: those
/// without a member here and, if [`takes_over`](BridgeBuilder::takes_over) says so, those whose
/// members here have no room. One fan-out decides that, so no group gets a message twice.
///
/// Messages that one bridge publishes come out of no bridge, so systems joined by bridges make no
/// loop here.
///
/// ```
/// use fanfare::{BridgeDelivery, Broker, Pattern, Topic};
///
/// let broker = Broker::<&str>::new();
/// let mut bridge = broker.bridge("cluster").open()?;
/// // The other system has a plain subscription and a member of a group, and we have one as well.
/// bridge.subscriber().subscribe(&Pattern::parse("orders.*")?)?;
/// bridge.subscriber().subscribe_in_group(&Pattern::parse("orders.>")?, "audit")?;
/// let here = broker.subscription(&Pattern::parse("orders.eu")?).group("workers").subscribe()?;
///
/// let _ = broker.publisher().publish_blocking(&Topic::parse("orders.eu")?, "an order")?;
/// let Some(BridgeDelivery::Batch { batch, groups }) = bridge.recv_blocking() else { panic!() };
/// assert_eq!((batch.iter().count(), groups.names().collect::<Vec<_>>()), (1, vec!["audit"]));
/// assert_eq!(here.books().queued, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Bridge<M: Payload> {
    mailbox: Mailbox<M>,
}

/// One delivery of a [`Bridge`].
#[derive(Debug)]
pub enum BridgeDelivery<M> {
    /// Consecutive messages for the other system.
    Batch {
        /// The messages.
        batch: Batch<M>,
        /// The queue groups of which one member there is to get each message. Plain subscriptions
        /// there get them anyway.
        groups: Groups,
    },
    /// This many messages are missing here, because the bridge's queue had no room.
    Missed(u64),
}

/// Queue groups, by name.
#[derive(Clone, Debug, Default)]
pub struct Groups(Option<Named>);

impl Groups {
    /// The names, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flat_map(|names| names.iter()).map(|name| &**name)
    }
}

impl<M: Payload> Bridge<M> {
    /// A handle that begins and ends the other system's subscriptions.
    pub fn subscriber(&self) -> MailboxSubscriber<M> {
        self.mailbox.subscriber()
    }

    /// Receives what is next, as much as one segment holds ready, or a gap; `None` once the broker
    /// is closed and everything was received.
    ///
    /// Cancel safe: a dropped future has taken nothing.
    pub async fn recv(&mut self) -> Option<BridgeDelivery<M>> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Receives what is next, blocking the thread while there is nothing.
    pub fn recv_blocking(&mut self) -> Option<BridgeDelivery<M>> {
        crate::blocking::block_on(self.recv())
    }

    /// [`recv`](Self::recv) for hand-written futures. The task polled last is the one that is
    /// woken.
    pub fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<BridgeDelivery<M>>> {
        let delivery = |taken| match taken {
            Taken::Batch { segment, from, to, groups, .. } => BridgeDelivery::Batch {
                batch: Batch::new(segment, from, to),
                groups: Groups(groups),
            },
            Taken::Missed(count) => BridgeDelivery::Missed(count),
        };
        self.mailbox.receiver.poll_batch(context, Most::OfOneTopic).map(|taken| taken.map(delivery))
    }

    /// The bridge's id in statistics.
    pub fn id(&self) -> SubscriptionId {
        self.mailbox.id()
    }

    /// The books of the messages that left or were dropped.
    pub fn books(&self) -> Books {
        self.mailbox.books()
    }

    /// A handle for looking at the bridge from elsewhere.
    pub fn watch(&self) -> SubscriptionWatch<M> {
        self.mailbox.watch()
    }
}

/// Settings of a [`Bridge`], from [`Broker::bridge`].
#[must_use = "nothing begins before open()"]
pub struct BridgeBuilder<M> {
    mailbox: MailboxBuilder<M>,
    scope: Scope,
}

impl<M: Payload> BridgeBuilder<M> {
    /// Sets the queue's bound in messages. Default: the broker's.
    pub fn queue_messages(self, messages: usize) -> Self {
        Self { mailbox: self.mailbox.queue_messages(messages), ..self }
    }

    /// Sets the queue's bound in bytes. Default: the broker's.
    pub fn queue_bytes(self, bytes: usize) -> Self {
        Self { mailbox: self.mailbox.queue_bytes(bytes), ..self }
    }

    /// Sets what happens when the queue is full. Default: the broker's.
    pub fn when_full(self, when_full: WhenFull) -> Self {
        Self { mailbox: self.mailbox.when_full(when_full), ..self }
    }

    /// Lets only messages of these topics out, whatever the other system asks for. If it is called
    /// again, only topics in both lists leave.
    pub fn only(mut self, patterns: Vec<Pattern>) -> Self {
        self.scope.only.push(patterns);
        self
    }

    /// Keeps messages of these topics in, unless [`unless`](Self::unless) has them.
    pub fn except(mut self, patterns: Vec<Pattern>) -> Self {
        self.scope.except = patterns;
        self
    }

    /// Lets messages of these topics out that [`except`](Self::except) keeps in.
    pub fn unless(mut self, patterns: Vec<Pattern>) -> Self {
        self.scope.unless = patterns;
        self
    }

    /// Keeps messages of these topics in, whatever the other settings say.
    pub fn never(mut self, patterns: Vec<Pattern>) -> Self {
        self.scope.never = patterns;
        self
    }

    /// Whether a message leaves for a queue group's members there when those here have no room. By
    /// default it leaves only if no member is here; otherwise the policy of those here decides.
    pub fn takes_over(mut self, takes_over: bool) -> Self {
        self.scope.takes_over = takes_over;
        self
    }

    /// Opens the bridge, with no interest yet.
    ///
    /// # Errors
    /// If the broker is closed or full, or a bound is out of range.
    pub fn open(self) -> Result<Bridge<M>, SubscribeError> {
        let mailbox = self.mailbox.no_echo(Origin::BRIDGE).bridge(self.scope).open()?;
        Ok(Bridge { mailbox })
    }
}

/// Publishes what comes from another system. It never waits, since the other system cannot be asked
/// to: full subscriptions miss the message and are told, lossless ones too.
pub struct BridgePublisher<M: Payload> {
    publisher: Publisher<M>,
}

impl<M: Payload> BridgePublisher<M> {
    /// Publishes one message to all plain subscriptions, and to one member of each of these queue
    /// groups. Other groups do not get it.
    ///
    /// # Errors
    /// [`PublishError::Closed`] with the message, if the broker was closed before.
    pub fn publish(
        &mut self,
        topic: &Topic,
        reply_to: Option<&Topic>,
        message: M,
        groups: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Receipt, PublishError<M>> {
        self.publisher.set_bridged_groups(groups);
        self.publisher.publish_now(topic, reply_to.cloned(), message)
    }

    /// [`publish`](Self::publish) for many messages of one topic. Leaves `batch` empty.
    ///
    /// # Errors
    /// [`PublishError::Closed`] if the broker was closed before, [`PublishError::TooLong`] for more
    /// than [`BATCH_MESSAGES_MAX`](crate::limits::BATCH_MESSAGES_MAX) messages.
    pub fn publish_batch(
        &mut self,
        topic: &Topic,
        batch: &mut Vec<M>,
        groups: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> Result<Receipt, PublishError<()>> {
        self.publisher.set_bridged_groups(groups);
        self.publisher.publish_batch_now(topic, batch)
    }

    /// Tells the plain subscriptions to a topic that this many of its messages were lost on their
    /// way from the other system; 0: nobody knows how many. Each finds
    /// [`Missed`](crate::Delivery::Missed) before anything that this publishes from now on. Members
    /// of queue groups are not told: nobody knows which of them would have had a message.
    pub fn missed(&mut self, topic: &Topic, count: u32) {
        self.publisher.begin_segment();
        let is_plain = |member: &Member<M>| member.group.is_none() && !member.is_bridge();
        let mut deferred = Deferred::new();
        for queue in self.publisher.handle.shared.router.subscribers(topic, is_plain) {
            queue.interrupt(count, &mut deferred);
        }
        deferred.run();
    }
}

impl<M: Payload> Broker<M> {
    /// A builder for a bridge to another system. The name is for people, in statistics.
    pub fn bridge(&self, name: impl Into<Arc<str>>) -> BridgeBuilder<M> {
        BridgeBuilder { mailbox: self.mailbox(name), scope: Scope::default() }
    }

    /// A publisher of what comes over bridges.
    pub fn bridge_publisher(&self) -> BridgePublisher<M> {
        BridgePublisher { publisher: self.publisher_as(Origin::BRIDGE) }
    }

    /// Tells subscriptions that a bridge is down, from which they could have had messages: those
    /// whose pattern and queue group `is_affected` says yes to. Each finds
    /// [`Missed(0)`](crate::Delivery::Missed) before anything that a bridge publishes from now on.
    pub fn interrupt(&self, is_affected: impl Fn(&Pattern, Option<&str>) -> bool) {
        let mut deferred = Deferred::new();
        for (queue, (pattern, group)) in self.shared().router.interested() {
            if is_affected(&pattern, group.as_deref()) {
                queue.interrupt(0, &mut deferred);
            }
        }
        deferred.run();
    }

    /// Watches which patterns are subscribed to here, so that another system can be told.
    pub fn watch_interest(&self) -> InterestWatch<M> {
        InterestWatch::new(self.shared().clone())
    }
}

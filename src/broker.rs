//! The broker: where publishers and subscriptions come from, and how it ends.

use crate::drain::drain;
use crate::error::{PublishError, RequestError, SubscribeError};
use crate::limits::{
    QUEUE_BYTES_DEFAULT, QUEUE_BYTES_MAX, QUEUE_MESSAGES_DEFAULT, SUBSCRIPTIONS_DEFAULT,
};
use crate::log::message::Message;
use crate::payload::{Origin, Payload};
use crate::policy::{Receipt, WhenFull};
use crate::publish::Publisher;
use crate::receive::builder::{MailboxBuilder, SubscriptionBuilder};
use crate::receive::delivery::Delivery;
use crate::receive::subscription::Subscription;
use crate::routing::Router;
use crate::shared::{Defaults, Handle, Shared};
use crate::stats::tally::WaitStats;
use crate::stats::{
    BrokerStats, DrainReport, DropStats, QueueStats, SubscriptionStats, TopicStats,
};
use crate::topic::{Pattern, Topic};
use async_io::Timer;
use futures_lite::future;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

/// A publish/subscribe broker whose every queue is bounded. A cheap handle: clone it where it is
/// needed.
///
/// It spawns nothing and blocks nobody; its futures run on any executor. When its last handle and
/// its last publisher are dropped it closes by itself.
///
/// ```
/// use fanfare::{Broker, Delivery, Pattern, Topic};
///
/// # futures_lite::future::block_on(async {
/// let broker = Broker::<String>::new();
/// let mut orders = broker.subscribe(&Pattern::parse("orders.>")?)?;
///
/// let mut publisher = broker.publisher();
/// let receipt = publisher.publish(&Topic::parse("orders.eu")?, "two boxes".into()).await?;
/// assert_eq!((receipt.matched, receipt.queued), (1, 1));
///
/// let Some(Delivery::Message(message)) = orders.recv().await else {
///     panic!("a message was queued")
/// };
/// assert_eq!(*message, "two boxes");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct Broker<M: Payload> {
    handle: Arc<Handle<M>>,
}

impl<M: Payload> Broker<M> {
    /// A broker with all defaults.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A builder for a broker with other settings than the defaults.
    pub fn builder() -> BrokerBuilder<M> {
        BrokerBuilder::new()
    }

    /// A new publisher.
    pub fn publisher(&self) -> Publisher<M> {
        Publisher::new(self.handle.clone(), None, None)
    }

    /// A new publisher whose messages skip subscriptions built with
    /// [`no_echo`](SubscriptionBuilder::no_echo) of the same origin.
    pub fn publisher_as(&self, origin: Origin) -> Publisher<M> {
        Publisher::new(self.handle.clone(), Some(origin), None)
    }

    /// A new publisher for whoever reads the subscriptions built with
    /// [`no_echo`](SubscriptionBuilder::no_echo) of this origin, which it reaches all the same.
    /// Where their policies wait at all, it waits for them as long as it takes: their reader keeps
    /// nobody waiting but itself. That reader must not wait for the publish to end, or neither goes
    /// on.
    pub fn publisher_with_echo(&self, origin: Origin) -> Publisher<M> {
        Publisher::new(self.handle.clone(), None, Some(origin))
    }

    /// Publishes one message, for a handler that publishes now and then.
    ///
    /// Each call makes a [`Publisher`] and drops it, which takes two short locks and looks the
    /// topic up again. Where many messages are published, keep a publisher. Cancel safe, as
    /// [`Publisher::publish`] is.
    ///
    /// # Errors
    /// [`PublishError::Closed`] with the message, if the broker was closed before.
    pub async fn publish(&self, topic: &Topic, message: M) -> Result<Receipt, PublishError<M>> {
        self.publisher().publish(topic, message).await
    }

    /// Whether any subscription is to `topic` at this moment, so that a message that nobody would
    /// get need not be made. A topic's [`history`](BrokerBuilder::history) does not count.
    pub fn has_subscribers(&self, topic: &Topic) -> bool {
        self.handle.shared.router.is_wanted(topic)
    }

    /// Subscribes with all defaults. Every publish that begins after this returns reaches the
    /// subscription.
    ///
    /// # Errors
    /// If the broker is closed, or already has the largest number of subscriptions.
    pub fn subscribe(&self, pattern: &Pattern) -> Result<Subscription<M>, SubscribeError> {
        self.subscription(pattern).subscribe()
    }

    /// A builder for a subscription with its own settings.
    pub fn subscription(&self, pattern: &Pattern) -> SubscriptionBuilder<M> {
        SubscriptionBuilder::new(self.handle.shared.clone(), pattern.clone())
    }

    /// A builder for a mailbox: one queue for many subscriptions. The name is for people, in
    /// statistics.
    pub fn mailbox(&self, name: impl Into<Arc<str>>) -> MailboxBuilder<M> {
        MailboxBuilder::new(self.handle.shared.clone(), name.into())
    }

    /// Publishes a request and waits for the first answer, which the responder publishes to the
    /// request's [`reply_to`](Message::reply_to).
    ///
    /// Cancel safe: dropping the future forgets the answer, not the request.
    ///
    /// # Errors
    /// [`RequestError::NoResponders`], at once, if nobody subscribes to the topic;
    /// [`RequestError::TimedOut`] if no answer came within `timeout`; and see [`RequestError`].
    pub async fn request(
        &self,
        topic: &Topic,
        message: M,
        timeout: Duration,
    ) -> Result<Message<M>, RequestError<M>> {
        let reply_to = self.handle.shared.new_inbox();
        let inbox = self
            .subscription(&Pattern::from(&reply_to))
            .queue_messages(1)
            .queue_bytes(QUEUE_BYTES_MAX);
        let mut inbox = match inbox.when_full(WhenFull::DropNewest).subscribe() {
            Ok(inbox) => inbox,
            Err(SubscribeError::Closed) => return Err(RequestError::Closed(message)),
            Err(error) => return Err(RequestError::Inbox(error, message)),
        };
        let answered = async {
            let mut publisher = self.publisher();
            let sent = publisher.publish_or_return(topic, reply_to, message).await;
            match sent.map_err(PublishError::into_inner).map_err(RequestError::Closed)? {
                (_, Some(message)) => return Err(RequestError::NoResponders(message)),
                (receipt, None) if receipt.queued == 0 => return Err(RequestError::Dropped),
                _ => {}
            }
            while let Some(delivery) = inbox.recv().await {
                if let Delivery::Message(answer) = delivery {
                    return Ok(answer.to_message());
                }
            }
            Err(RequestError::TimedOut)
        };
        let timed_out = async {
            // why: one timer for each request, not for each message of a stream.
            Timer::after(timeout).await;
            Err(RequestError::TimedOut)
        };
        future::or(answered, timed_out).await
    }

    /// The last messages kept of a topic, oldest first. See [`BrokerBuilder::history`].
    pub fn history(&self, topic: &Topic, last: usize) -> Vec<Message<M>> {
        self.handle.shared.router.history(topic, last)
    }

    /// Forgets the kept messages of a topic. Its history starts again with the next message.
    pub fn forget_history(&self, topic: &Topic) {
        self.handle.shared.router.forget_history(topic);
    }

    /// Forgets what is kept of all topics, which keep what is published from now on.
    pub fn forget_histories(&self) {
        self.handle.shared.router.forget_histories();
    }

    pub(crate) fn shared(&self) -> &Arc<Shared<M>> {
        &self.handle.shared
    }

    /// Ends publishing. Publishes that have begun complete; subscriptions receive what is queued,
    /// then end.
    pub fn close(&self) {
        self.handle.shared.close();
    }

    /// Whether the broker was closed.
    pub fn is_closed(&self) -> bool {
        self.handle.shared.router.is_closed()
    }

    /// Closes the broker, waits until every subscription has received what was queued for it, and
    /// reports what was delivered. At the deadline it ends the subscriptions that have not, and
    /// reports what was given up. Each of those is told so too, by a last
    /// [`Missed`](crate::Delivery::Missed).
    ///
    /// Whoever answers requests can publish no answer any more. To let them, first
    /// [drain their subscriptions](crate::SubscriptionWatch::drain).
    ///
    /// Cancel safe: the broker stays closed, and nobody is given up.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        let shared = &self.handle.shared;
        let queues = shared.close();
        DrainReport { subscriptions: drain(shared, &queues, deadline).await }
    }

    /// The broker's totals.
    pub fn stats(&self) -> BrokerStats {
        let (tally, publishers) = self.handle.shared.tallies.sum();
        BrokerStats {
            published: tally.published(),
            deliveries: tally.deliveries(),
            waits: tally.waits(),
            subscriptions: self.handle.shared.router.subscription_count(),
            publishers,
        }
    }

    /// How long publishers waited for room.
    pub fn wait_stats(&self) -> WaitStats {
        self.handle.shared.waits.stats()
    }

    /// Messages dropped by all subscriptions, past ones included, by policy and reason.
    pub fn drop_stats(&self) -> DropStats {
        self.handle.shared.drop_stats()
    }

    /// The figures of all live queues together.
    pub fn queue_stats(&self) -> QueueStats {
        let mut sums = QueueStats::default();
        self.handle.shared.router.subscriptions().iter().for_each(|queue| queue.add_to(&mut sums));
        sums
    }

    /// The topics that publishers remember or whose history is kept.
    pub fn topic_stats(&self) -> Vec<TopicStats> {
        self.handle.shared.router.routes().iter().map(|route| route.stats()).collect()
    }

    /// The subscriptions that get a topic's messages, or may, as a member of a queue group. A
    /// mailbox is there once for each of its subscriptions that match.
    pub fn subscribers(&self, topic: &Topic) -> Vec<SubscriptionStats> {
        let queues = self.handle.shared.router.subscribers(topic, |_| true);
        queues.iter().map(|queue| queue.stats()).collect()
    }

    /// All live subscriptions.
    pub fn subscription_stats(&self) -> Vec<SubscriptionStats> {
        self.subscription_page(0, usize::MAX)
    }

    /// A page of the live subscriptions, oldest first: up to `limit` of them after the first
    /// `offset`.
    pub fn subscription_page(&self, offset: usize, limit: usize) -> Vec<SubscriptionStats> {
        let all = self.handle.shared.router.subscriptions();
        all.iter().skip(offset).take(limit).map(|queue| queue.stats()).collect()
    }

    /// The slowest live subscriptions, slowest first: those that publishers waited for longest,
    /// then those that came closest to full.
    pub fn slowest(&self, at_most: usize) -> Vec<SubscriptionStats> {
        let mut all = self.subscription_stats();
        let fullness = |stats: &SubscriptionStats| {
            stats.high_water_messages as f64 / stats.bound_messages as f64
        };
        all.sort_by(|a, b| {
            b.waited_for
                .cmp(&a.waited_for)
                .then(fullness(b).total_cmp(&fullness(a)))
                .then(a.id.cmp(&b.id))
        });
        all.truncate(at_most);
        all
    }
}

impl<M: Payload> Default for Broker<M> {
    fn default() -> Self {
        Self::new()
    }
}

impl<M: Payload> Clone for Broker<M> {
    fn clone(&self) -> Self {
        Self { handle: self.handle.clone() }
    }
}

impl<M: Payload> Publisher<M> {
    /// The broker that this publisher publishes to.
    pub fn broker(&self) -> Broker<M> {
        Broker { handle: self.handle.clone() }
    }
}

/// Settings of a [`Broker`].
///
/// ```
/// use fanfare::{Broker, Pattern, WhenFull};
/// use std::time::Duration;
///
/// let broker = Broker::<String>::builder()
///     .queue_messages(256)
///     .queue_bytes(64 << 10)
///     .when_full(WhenFull::Wait(Duration::from_millis(20)))
///     .history(Pattern::parse("room.*")?, 100)
///     .max_subscriptions(10_000)
///     .build();
/// # let _ = broker;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct BrokerBuilder<M> {
    defaults: Defaults,
    histories: Vec<(Pattern, usize)>,
    subscriptions_max: usize,
    payload: PhantomData<fn(M)>,
}

impl<M: Payload> BrokerBuilder<M> {
    pub(crate) fn new() -> Self {
        let defaults = Defaults {
            queue_messages: QUEUE_MESSAGES_DEFAULT,
            queue_bytes: QUEUE_BYTES_DEFAULT,
            when_full: WhenFull::default(),
            slowest: None,
        };
        Self {
            defaults,
            histories: Vec::new(),
            subscriptions_max: SUBSCRIPTIONS_DEFAULT,
            payload: PhantomData,
        }
    }

    /// The bound of each queue in messages, unless its subscription says otherwise. Default:
    /// [`QUEUE_MESSAGES_DEFAULT`].
    pub fn queue_messages(mut self, messages: usize) -> Self {
        self.defaults.queue_messages = messages;
        self
    }

    /// The bound of each queue in bytes, unless its subscription says otherwise. Default:
    /// [`QUEUE_BYTES_DEFAULT`].
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.defaults.queue_bytes = bytes;
        self
    }

    /// The policy for a full queue, unless its subscription has another. Default:
    /// [`WhenFull::Wait`] of 5 ms.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.defaults.when_full = when_full;
        self
    }

    /// Extends waits while a subscriber reads at least this many bytes a second, unless its
    /// subscription says otherwise. See [`SubscriptionBuilder::keep_pace_from`]. Default: zero,
    /// which never extends a wait.
    pub fn keep_pace_from(mut self, bytes_per_second: u32) -> Self {
        self.defaults.slowest = NonZeroU32::new(bytes_per_second);
        self
    }

    /// Keeps the last `messages` of each topic that `pattern` matches, for
    /// [`SubscriptionBuilder::replay`] and [`Broker::history`]. Can be called several times: the
    /// first pattern that matches a topic decides. Also bounded in bytes and in topics, see
    /// [`limits`](crate::limits). Default: nothing is kept.
    ///
    /// Publishers of such a topic take turns, so that replays have neither gap nor duplicate.
    pub fn history(mut self, pattern: Pattern, messages: usize) -> Self {
        self.histories.push((pattern, messages));
        self
    }

    /// The largest number of live subscriptions. Default: [`SUBSCRIPTIONS_DEFAULT`].
    pub fn max_subscriptions(mut self, subscriptions: usize) -> Self {
        self.subscriptions_max = subscriptions;
        self
    }

    /// Makes the broker.
    pub fn build(self) -> Broker<M> {
        let router = Router::new(self.histories, self.subscriptions_max);
        Broker { handle: Handle::new(router, self.defaults) }
    }
}

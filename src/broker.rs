//! The broker: where publishers and subscriptions come from, and how it ends.

use super::Origin;
use super::builder::{BrokerBuilder, MailboxBuilder, SubscriptionBuilder};
use super::ended::DropStats;
use super::error::{PublishError, RequestError, SubscribeError};
use super::frame::Message;
use super::locks::lock;
use super::overflow::WhenFull;
use super::payload::Payload;
use super::publisher::Publisher;
use super::queue::Queue;
use super::router::Router;
use super::stats::{
    BrokerStats, DrainReport, Drained, EndReason, QueueStats, SubscriptionStats, Tally, TopicStats,
};
use super::subscription::{Delivery, Subscription};
use super::topic::{Pattern, Topic};
use super::waits::{WaitStats, Waits};
use crate::limits::QUEUE_BYTES_MAX;
use async_io::Timer;
use event_listener::Event;
use futures_lite::future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

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
/// let Some(Delivery::Message(message)) = orders.recv().await else { panic!("a message was queued") };
/// assert_eq!(*message, "two boxes");
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct Broker<M: Payload> {
    handle: Arc<Handle<M>>,
}

/// Keeps the broker open: brokers and publishers hold it, subscriptions do not.
pub(super) struct Handle<M: Payload> {
    pub shared: Arc<Shared<M>>,
}

pub(super) struct Shared<M> {
    pub router: Router<M>,
    pub tallies: Tallies,
    pub waits: Waits,
    /// Of subscriptions that have ended. Whoever takes one out of the router holds this, so that
    /// one who looks at both sees each subscription once.
    past_drops: Mutex<DropStats>,
    pub defaults: Defaults,
    /// Numbers kept messages, so that replays of several topics keep the order of publishing.
    pub stamps: AtomicU64,
    /// Told when a subscription has drained or ended.
    pub settled: Arc<Event>,
    inboxes: AtomicU64,
}

/// What subscriptions get unless they say otherwise.
#[derive(Clone, Copy)]
pub(super) struct Defaults {
    pub queue_messages: usize,
    pub queue_bytes: usize,
    pub when_full: WhenFull,
}

impl<M: Payload> Broker<M> {
    /// A broker with all defaults.
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A broker with settings of one's own.
    pub fn builder() -> BrokerBuilder<M> {
        BrokerBuilder::new()
    }

    /// A new publisher.
    pub fn publisher(&self) -> Publisher<M> {
        Publisher::new(self.handle.clone(), None)
    }

    /// A new publisher whose messages are not for subscriptions that said
    /// [`no_echo`](SubscriptionBuilder::no_echo) of the same origin.
    pub fn publisher_as(&self, origin: Origin) -> Publisher<M> {
        Publisher::new(self.handle.clone(), Some(origin))
    }

    /// Subscribes with all defaults. Every publish that begins after this reaches it.
    ///
    /// # Errors
    /// If the broker is closed, or has as many subscriptions as it may have.
    pub fn subscribe(&self, pattern: &Pattern) -> Result<Subscription<M>, SubscribeError> {
        self.subscription(pattern).subscribe()
    }

    /// A subscription with settings of its own.
    pub fn subscription(&self, pattern: &Pattern) -> SubscriptionBuilder<M> {
        SubscriptionBuilder::new(self.handle.shared.clone(), pattern.clone())
    }

    /// A mailbox to be set up: one queue for many subscriptions. The name is for people, in
    /// statistics.
    pub fn mailbox(&self, name: impl Into<Arc<str>>) -> MailboxBuilder<M> {
        MailboxBuilder::new(self.handle.shared.clone(), name.into())
    }

    /// Publishes a message and waits for the first answer to it: a message that the responder
    /// publishes to its [`reply_to`](Message::reply_to).
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
                    return Ok(answer);
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

    /// Forgets what is kept of a topic; keeping begins anew with the next message.
    pub fn forget_history(&self, topic: &Topic) {
        self.handle.shared.router.forget_history(topic);
    }

    /// Ends publishing. Publishes that have begun complete; subscriptions receive what is queued,
    /// then end.
    pub fn close(&self) {
        self.handle.shared.close();
    }

    /// Whether it was closed.
    pub fn is_closed(&self) -> bool {
        self.handle.shared.router.is_closed()
    }

    /// Closes the broker and waits until every subscription has received what was queued for it, or
    /// the deadline has come; then those that have not are ended. Says for each what was delivered
    /// and what was given up.
    ///
    /// Cancel safe: the broker stays closed, and nobody is given up.
    pub async fn drain(&self, deadline: Duration) -> DrainReport {
        let shared = &self.handle.shared;
        let until = Instant::now().checked_add(deadline);
        let queues = shared.close();
        let drained = async {
            loop {
                let settled = shared.settled.listen();
                if queues.iter().all(|(queue, _)| queue.is_ended() || queue.is_drained()) {
                    return;
                }
                settled.await;
            }
        };
        let out_of_time = async {
            let mut timer = Timer::never();
            if let Some(until) = until {
                timer.set_at(until);
            }
            timer.await;
        };
        future::or(drained, out_of_time).await;
        DrainReport {
            subscriptions: queues
                .iter()
                .map(|(queue, before)| shared.settle(queue, *before))
                .collect(),
        }
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

    /// What was dropped, of all subscriptions there ever were.
    pub fn drop_stats(&self) -> DropStats {
        let shared = &self.handle.shared;
        let (mut drops, live) = {
            let past_drops = lock(&shared.past_drops);
            (past_drops.clone(), shared.router.subscriptions())
        };
        live.iter().for_each(|queue| drops.add_stats(&queue.stats()));
        drops
    }

    /// All live queues together.
    pub fn queue_stats(&self) -> QueueStats {
        let mut sums = QueueStats::default();
        self.handle.shared.router.subscriptions().iter().for_each(|queue| sums.add(&queue.stats()));
        sums
    }

    /// The topics that publishers remember or whose history is kept.
    pub fn topic_stats(&self) -> Vec<TopicStats> {
        self.handle.shared.router.routes().iter().map(|route| route.stats()).collect()
    }

    /// All live subscriptions.
    pub fn subscription_stats(&self) -> Vec<SubscriptionStats> {
        self.handle.shared.router.subscriptions().iter().map(|queue| queue.stats()).collect()
    }

    /// Some of the live subscriptions, oldest first: `limit` of them after the first `offset`.
    pub fn subscription_page(&self, offset: usize, limit: usize) -> Vec<SubscriptionStats> {
        let all = self.handle.shared.router.subscriptions();
        all.iter().skip(offset).take(limit).map(|queue| queue.stats()).collect()
    }

    /// The slowest live subscriptions, slowest first: those publishers waited for longest, then
    /// those nearest to full at their worst.
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

    pub(super) fn from_handle(handle: Arc<Handle<M>>) -> Self {
        Self { handle }
    }
}

impl<M: Payload> Handle<M> {
    pub fn new(router: Router<M>, defaults: Defaults) -> Arc<Self> {
        let shared = Shared {
            router,
            tallies: Tallies::default(),
            waits: Waits::default(),
            past_drops: Mutex::default(),
            defaults,
            stamps: AtomicU64::new(1),
            settled: Arc::new(Event::new()),
            inboxes: AtomicU64::new(1),
        };
        Arc::new(Self { shared: Arc::new(shared) })
    }
}

impl<M: Payload> Drop for Handle<M> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl<M> Shared<M> {
    /// Ends a subscription and frees what it holds, whoever calls first.
    pub fn end(&self, queue: &Queue<M>, reason: EndReason) {
        if queue.end(reason) {
            let mut past_drops = lock(&self.past_drops);
            self.router.unsubscribe(queue);
            past_drops.add_stats(&queue.stats());
            drop(past_drops);
            if matches!(reason, EndReason::Disconnected | EndReason::GivenUp) {
                let (id, interest, queued) =
                    (queue.terms.id, queue.terms.wanted.interest(), queue.queued().messages);
                log::debug!(
                    "subscription {id} to {interest} was ended ({reason:?}) with {queued} messages queued"
                );
            }
        }
        queue.free();
    }

    fn close(&self) -> Vec<(Arc<Queue<M>>, u64)> {
        // The router first: only when no fan-out is under way any more may a receiver take an empty
        // queue for the end.
        let queues = self.router.close();
        queues.iter().for_each(|(queue, _)| queue.close());
        queues
    }

    fn settle(&self, queue: &Arc<Queue<M>>, received_before: u64) -> Drained {
        let was_given_up = !queue.is_ended() && !queue.is_drained();
        if was_given_up {
            self.end(queue, EndReason::GivenUp);
        }
        // After the end, what it had queued is final.
        let given_up = if was_given_up { u64::from(queue.queued().messages) } else { 0 };
        let delivered = queue.received() - received_before;
        Drained { id: queue.terms.id, interest: queue.terms.wanted.interest(), delivered, given_up }
    }

    fn new_inbox(&self) -> Topic {
        Topic::inbox(self.inboxes.fetch_add(1, Ordering::Relaxed))
    }
}

/// The counters of all publishers.
#[derive(Default)]
pub(super) struct Tallies {
    live: Mutex<Vec<Arc<Tally>>>,
    past: Tally,
}

impl Tallies {
    pub fn begin(&self) -> Arc<Tally> {
        let tally = Arc::<Tally>::default();
        lock(&self.live).push(tally.clone());
        tally
    }

    pub fn end(&self, tally: &Arc<Tally>) {
        let mut live = lock(&self.live);
        if let Some(index) = live.iter().position(|other| Arc::ptr_eq(other, tally)) {
            live.swap_remove(index);
            self.past.add_all(tally);
        }
        if live.capacity() > 4 * live.len() + 16 {
            let target = 2 * live.len();
            live.shrink_to(target);
        }
    }

    /// The sum, and how many publishers live.
    fn sum(&self) -> (Tally, usize) {
        let live = lock(&self.live);
        let sum = Tally::default();
        sum.add_all(&self.past);
        live.iter().for_each(|tally| sum.add_all(tally));
        (sum, live.len())
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

//! Settings of a broker and of a subscription.

use crate::error::SubscribeError;
use crate::limits::{QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX};
use crate::load::Load;
use crate::membership::Membership;
use crate::payload::{Origin, Payload};
use crate::policy::WhenFull;
use crate::queue::{MailboxWants, Queue, Terms, Want, Wanted};
use crate::receive::Receiver;
use crate::receive::mailbox::Mailbox;
use crate::receive::subscription::Subscription;
use crate::scope::Scope;
use crate::shared::{Defaults, Shared};
use crate::stats::SubscriptionId;
use crate::topic::Pattern;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};

/// Settings of a queue, whoever owns it.
struct QueueSettings {
    defaults: Defaults,
    no_echo: Option<Origin>,
}

impl QueueSettings {
    fn new(defaults: Defaults) -> Self {
        Self { defaults, no_echo: None }
    }

    fn bounds(&self) -> Result<Load, SubscribeError> {
        let Defaults { queue_messages, queue_bytes, .. } = self.defaults;
        if !(1..=QUEUE_MESSAGES_MAX).contains(&queue_messages) {
            return Err(SubscribeError::BadMessageBound(queue_messages));
        }
        if !(1..=QUEUE_BYTES_MAX).contains(&queue_bytes) {
            return Err(SubscribeError::BadByteBound(queue_bytes));
        }
        Ok(Load { messages: queue_messages as u32, bytes: queue_bytes as u32 })
    }

    fn make<M>(
        &self,
        id: SubscriptionId,
        wanted: Wanted,
        bounds: Load,
        shared: &Shared<M>,
    ) -> Queue<M> {
        let Defaults { when_full, slowest, .. } = self.defaults;
        let terms = Terms { id, wanted, no_echo: self.no_echo, when_full, bounds, slowest };
        Queue::new(terms, shared.settled.clone())
    }
}

/// The settings that each builder of a queue offers.
macro_rules! queue_settings {
    () => {
        /// Sets the queue's bound in messages. Default: the broker's.
        pub fn queue_messages(mut self, messages: usize) -> Self {
            self.queue.defaults.queue_messages = messages;
            self
        }

        /// Sets the queue's bound in bytes, by [`Payload::weight_bytes`]. Default: the broker's.
        pub fn queue_bytes(mut self, bytes: usize) -> Self {
            self.queue.defaults.queue_bytes = bytes;
            self
        }

        /// Sets what happens when the queue is full. Default: the broker's.
        pub fn when_full(mut self, when_full: WhenFull) -> Self {
            self.queue.defaults.when_full = when_full;
            self
        }

        /// Extends waits while the subscriber reads at least this many bytes a second: publishers
        /// then keep to its pace, and it neither misses a message nor is ended for being slow.
        /// Default: the broker's.
        ///
        /// A [`WhenFull::Wait`] or [`WhenFull::Disconnect`] that is used up goes on for as long as
        /// what was taken lately is worth at this rate, but no longer than [`PACE_AHEAD_MAX`]
        /// without a sign of progress. Zero: waits are of the length that the policy says.
        ///
        /// [`PACE_AHEAD_MAX`]: crate::limits::PACE_AHEAD_MAX
        pub fn keep_pace_from(mut self, bytes_per_second: u32) -> Self {
            self.queue.defaults.slowest = NonZeroU32::new(bytes_per_second);
            self
        }

        /// Skips what publishers of this origin publish.
        pub fn no_echo(mut self, origin: Origin) -> Self {
            self.queue.no_echo = Some(origin);
            self
        }
    };
}

/// Settings of a [`Subscription`], from [`Broker::subscription`](crate::Broker::subscription).
///
/// ```
/// use fanfare::{Broker, Pattern, WhenFull};
/// use std::time::Duration;
///
/// let broker = Broker::<String>::new();
/// let worker = broker
///     .subscription(&Pattern::parse("jobs.>")?)
///     .group("workers")
///     .queue_messages(10)
///     .when_full(WhenFull::Disconnect { after: Duration::from_secs(1) })
///     .subscribe()?;
/// assert_eq!(worker.stats().bound_messages, 10);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "nothing begins before subscribe()"]
pub struct SubscriptionBuilder<M> {
    shared: Arc<Shared<M>>,
    pattern: Pattern,
    queue: QueueSettings,
    group: Option<Arc<Membership>>,
    replay: usize,
}

impl<M: Payload> SubscriptionBuilder<M> {
    pub(crate) fn new(shared: Arc<Shared<M>>, pattern: Pattern) -> Self {
        let queue = QueueSettings::new(shared.defaults);
        Self { shared, pattern, queue, group: None, replay: 0 }
    }

    /// As a subscription that began on these terms.
    pub(crate) fn again(terms: &Terms, shared: Arc<Shared<M>>, pattern: Pattern) -> Self {
        let Terms { when_full, bounds, slowest, no_echo, .. } = *terms;
        let (queue_messages, queue_bytes) = (bounds.messages as usize, bounds.bytes as usize);
        let defaults = Defaults { queue_messages, queue_bytes, when_full, slowest };
        let group = terms.wanted.group(terms.id).map(|group| Arc::new(group.again()));
        Self { shared, pattern, queue: QueueSettings { defaults, no_echo }, group, replay: 0 }
    }

    queue_settings!();

    /// Joins a queue group: each message goes to one of the members whose patterns match, to the
    /// one with the least queued, in turn where several have. In a group of more than
    /// [`GROUP_SAMPLE_MAX`](crate::limits::GROUP_SAMPLE_MAX) members a sample is compared; a member
    /// with room always goes before one that is full. A group can have any name and any number of
    /// members.
    pub fn group(mut self, name: &str) -> Self {
        self.group = Some(Arc::new(Membership::new(name, &[])));
        self
    }

    /// Begins with the last `messages` kept of each matching topic, in the order they were
    /// published. If not all fit in the queue, it begins with the newest that do. What is published
    /// from then on follows without gap or duplicate.
    pub fn replay(mut self, messages: usize) -> Self {
        self.replay = messages;
        self
    }

    /// Begins the subscription. Every publish that begins after this returns reaches it.
    ///
    /// # Errors
    /// If the broker is closed or full, or a bound is out of range.
    pub fn subscribe(self) -> Result<Subscription<M>, SubscribeError> {
        let Self { shared, pattern, queue, group, replay } = self;
        let bounds = queue.bounds()?;
        let want = Want { pattern: pattern.clone(), group };
        let queue = shared.router.subscribe(want, replay, |id, want| {
            queue.make(id, Wanted::One(want), bounds, &shared)
        })?;
        Ok(Subscription::new(Mailbox::new(queue, shared), pattern))
    }
}

impl<M: Payload> Subscription<M> {
    /// Begins another subscription like this one: the same pattern, queue group and settings. It
    /// gets what is published from now on, whether this one has ended or not.
    ///
    /// ```
    /// use fanfare::{Broker, Delivery, EndReason, Pattern, Topic, WhenFull};
    /// use std::time::Duration;
    ///
    /// let broker = Broker::<u32>::new();
    /// let ticks = Topic::parse("ticks")?;
    /// let strict = WhenFull::Disconnect { after: Duration::ZERO };
    /// let ticker = broker.subscription(&Pattern::from(&ticks)).queue_messages(1);
    /// let mut ticker = ticker.when_full(strict).subscribe()?;
    /// let mut publisher = broker.publisher();
    /// let _ = publisher.publish_blocking(&ticks, 1)?;
    /// let _ = publisher.publish_blocking(&ticks, 2)?;
    /// assert_eq!(ticker.end_reason(), Some(EndReason::Disconnected));
    ///
    /// ticker = ticker.resubscribe()?;
    /// let _ = publisher.publish_blocking(&ticks, 3)?;
    /// assert!(matches!(ticker.try_recv(), Ok(Delivery::Message(tick)) if *tick == 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// If the broker is closed or full.
    pub fn resubscribe(&self) -> Result<Self, SubscribeError> {
        let Receiver { queue, shared, .. } = &self.mailbox.receiver;
        SubscriptionBuilder::again(&queue.terms, shared.clone(), self.pattern().clone()).subscribe()
    }
}

/// Settings of a [`Mailbox`], from [`Broker::mailbox`](crate::Broker::mailbox).
#[must_use = "nothing begins before open()"]
pub struct MailboxBuilder<M> {
    shared: Arc<Shared<M>>,
    name: Arc<str>,
    queue: QueueSettings,
    bridge: Option<Scope>,
}

impl<M: Payload> MailboxBuilder<M> {
    pub(crate) fn new(shared: Arc<Shared<M>>, name: Arc<str>) -> Self {
        let queue = QueueSettings::new(shared.defaults);
        Self { shared, name, queue, bridge: None }
    }

    queue_settings!();

    /// Makes it a bridge's: its subscriptions are another system's interest.
    pub(crate) fn bridge(mut self, scope: Scope) -> Self {
        self.bridge = Some(scope);
        self
    }

    /// Opens the mailbox, with no subscriptions yet. It counts as one against
    /// [`BrokerBuilder::max_subscriptions`](crate::BrokerBuilder::max_subscriptions).
    ///
    /// # Errors
    /// If the broker is closed or full, or a bound is out of range.
    pub fn open(self) -> Result<Mailbox<M>, SubscribeError> {
        let Self { shared, name, queue, bridge } = self;
        let bounds = queue.bounds()?;
        let wants = MailboxWants { name, wants: Mutex::default(), bridge };
        let wanted = Wanted::Many(Box::new(wants));
        let queue = shared.router.open(|id| queue.make(id, wanted, bounds, &shared))?;
        Ok(Mailbox::new(queue, shared))
    }
}

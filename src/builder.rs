//! Settings of a broker and of a subscription.

use super::Origin;
use super::broker::{Broker, Defaults, Handle, Shared};
use super::credit::Load;
use super::error::SubscribeError;
use super::mailbox::Mailbox;
use super::membership::Membership;
use super::overflow::WhenFull;
use super::payload::Payload;
use super::queue::{MailboxWants, Queue, Terms, Want, Wanted};
use super::router::Router;
use super::stats::SubscriptionId;
use super::subscription::Subscription;
use super::topic::Pattern;
use crate::limits::{
    QUEUE_BYTES_DEFAULT, QUEUE_BYTES_MAX, QUEUE_MESSAGES_DEFAULT, QUEUE_MESSAGES_MAX,
    SUBSCRIPTIONS_DEFAULT,
};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex};

/// Settings of a [`Broker`].
pub struct BrokerBuilder<M> {
    defaults: Defaults,
    histories: Vec<(Pattern, usize)>,
    subscriptions_max: usize,
    payload: PhantomData<fn(M)>,
}

impl<M: Payload> BrokerBuilder<M> {
    pub(super) fn new() -> Self {
        let defaults = Defaults {
            queue_messages: QUEUE_MESSAGES_DEFAULT,
            queue_bytes: QUEUE_BYTES_DEFAULT,
            when_full: WhenFull::default(),
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

    /// What happens when a queue is full, unless its subscription says otherwise. Default:
    /// [`WhenFull::Wait`] of 5 ms.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.defaults.when_full = when_full;
        self
    }

    /// Keeps the last `messages` of each topic that `pattern` matches, for
    /// [`SubscriptionBuilder::replay`] and [`Broker::history`]. Can be said several times; the
    /// first pattern that matches a topic decides. Also bounded in bytes and in topics, see
    /// [`limits`](crate::limits). Default: nothing is kept.
    ///
    /// Publishers of such a topic take turns, so that replays have neither gap nor duplicate.
    pub fn history(mut self, pattern: Pattern, messages: usize) -> Self {
        self.histories.push((pattern, messages));
        self
    }

    /// How many subscriptions there may be at a time. Default: [`SUBSCRIPTIONS_DEFAULT`].
    pub fn max_subscriptions(mut self, subscriptions: usize) -> Self {
        self.subscriptions_max = subscriptions;
        self
    }

    /// The broker.
    pub fn build(self) -> Broker<M> {
        Broker::from_handle(Handle::new(
            Router::new(self.histories, self.subscriptions_max),
            self.defaults,
        ))
    }
}

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
        let terms =
            Terms { id, wanted, no_echo: self.no_echo, when_full: self.defaults.when_full, bounds };
        Queue::new(terms, shared.settled.clone())
    }
}

/// The settings that each builder of a queue offers.
macro_rules! queue_settings {
    () => {
        /// The bound of its queue in messages. Default: the broker's.
        pub fn queue_messages(mut self, messages: usize) -> Self {
            self.queue.defaults.queue_messages = messages;
            self
        }

        /// The bound of its queue in bytes, by [`Payload::weight_bytes`]. Default: the broker's.
        pub fn queue_bytes(mut self, bytes: usize) -> Self {
            self.queue.defaults.queue_bytes = bytes;
            self
        }

        /// What happens when its queue is full. Default: the broker's.
        pub fn when_full(mut self, when_full: WhenFull) -> Self {
            self.queue.defaults.when_full = when_full;
            self
        }

        /// It does not get what publishers of this origin publish.
        pub fn no_echo(mut self, origin: Origin) -> Self {
            self.queue.no_echo = Some(origin);
            self
        }
    };
}

/// Settings of a [`Subscription`], from [`Broker::subscription`].
#[must_use = "nothing begins before subscribe()"]
pub struct SubscriptionBuilder<M> {
    shared: Arc<Shared<M>>,
    pattern: Pattern,
    queue: QueueSettings,
    group: Option<Arc<Membership>>,
    replay: usize,
}

impl<M: Payload> SubscriptionBuilder<M> {
    pub(super) fn new(shared: Arc<Shared<M>>, pattern: Pattern) -> Self {
        let queue = QueueSettings::new(shared.defaults);
        Self { shared, pattern, queue, group: None, replay: 0 }
    }

    queue_settings!();

    /// Makes it a member of a queue group: of the members whose patterns match, one gets each
    /// message, and one with room before one that is full. Groups have any name; there is no limit
    /// but that of subscriptions.
    pub fn group(mut self, name: &str) -> Self {
        self.group = Some(Arc::new(Membership::new(name, &[])));
        self
    }

    /// First the last `messages` kept of each matching topic, in the order they were published, as
    /// many of the newest as fit in the queue; then what is published from now on, without gap or
    /// duplicate.
    pub fn replay(mut self, messages: usize) -> Self {
        self.replay = messages;
        self
    }

    /// Begins it. Every publish that begins after this reaches it.
    ///
    /// # Errors
    /// If the broker is closed or full, or a bound is out of range.
    pub fn subscribe(self) -> Result<Subscription<M>, SubscribeError> {
        let Self { shared, pattern, queue, group, replay } = self;
        let bounds = queue.bounds()?;
        let queue = shared.router.subscribe(Want { pattern, group }, replay, |id, want| {
            queue.make(id, Wanted::One(want), bounds, &shared)
        })?;
        Ok(Subscription::new(queue, shared))
    }
}

/// Settings of a [`Mailbox`], from [`Broker::mailbox`].
#[must_use = "nothing begins before open()"]
pub struct MailboxBuilder<M> {
    shared: Arc<Shared<M>>,
    name: Arc<str>,
    queue: QueueSettings,
}

impl<M: Payload> MailboxBuilder<M> {
    pub(super) fn new(shared: Arc<Shared<M>>, name: Arc<str>) -> Self {
        let queue = QueueSettings::new(shared.defaults);
        Self { shared, name, queue }
    }

    queue_settings!();

    /// Opens it, with no subscriptions yet. It counts as one against
    /// [`BrokerBuilder::max_subscriptions`].
    ///
    /// # Errors
    /// If the broker is closed or full, or a bound is out of range.
    pub fn open(self) -> Result<Mailbox<M>, SubscribeError> {
        let Self { shared, name, queue } = self;
        let bounds = queue.bounds()?;
        let wanted = Wanted::Many(Box::new(MailboxWants { name, wants: Mutex::default() }));
        let queue = shared.router.open(|id| queue.make(id, wanted, bounds, &shared))?;
        Ok(Mailbox::new(queue, shared))
    }
}

//! Settings of a broker and of a subscription.

use std::marker::PhantomData;
use std::sync::Arc;

use super::Origin;
use super::broker::{Broker, Defaults, Handle, Shared};
use super::credit::Load;
use super::error::SubscribeError;
use super::overflow::WhenFull;
use super::payload::Payload;
use super::queue::{Queue, Terms};
use super::router::Router;
use super::subscription::Subscription;
use super::topic::Pattern;
use crate::limits::{
    QUEUE_BYTES_DEFAULT, QUEUE_BYTES_MAX, QUEUE_MESSAGES_DEFAULT, QUEUE_MESSAGES_MAX, SUBSCRIPTIONS_DEFAULT,
};

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
        Self { defaults, histories: Vec::new(), subscriptions_max: SUBSCRIPTIONS_DEFAULT, payload: PhantomData }
    }

    /// The bound of each queue in messages, unless its subscription says otherwise. Default: [`QUEUE_MESSAGES_DEFAULT`].
    pub fn queue_messages(mut self, messages: usize) -> Self {
        self.defaults.queue_messages = messages;
        self
    }

    /// The bound of each queue in bytes, unless its subscription says otherwise. Default: [`QUEUE_BYTES_DEFAULT`].
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.defaults.queue_bytes = bytes;
        self
    }

    /// What happens when a queue is full, unless its subscription says otherwise. Default: [`WhenFull::Wait`] of 5 ms.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.defaults.when_full = when_full;
        self
    }

    /// Keeps the last `messages` of each topic that `pattern` matches, for [`SubscriptionBuilder::replay`] and
    /// [`Broker::history`]. Can be said several times; the first pattern that matches a topic decides. Also bounded in
    /// bytes and in topics, see [`limits`](crate::limits). Default: nothing is kept.
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
        Broker::from_handle(Handle::new(Router::new(self.histories, self.subscriptions_max), self.defaults))
    }
}

/// Settings of a [`Subscription`], from [`Broker::subscription`].
#[must_use = "nothing begins before subscribe()"]
pub struct SubscriptionBuilder<M> {
    shared: Arc<Shared<M>>,
    pattern: Pattern,
    queue_messages: usize,
    queue_bytes: usize,
    when_full: WhenFull,
    group: Option<Arc<str>>,
    no_echo: Option<Origin>,
    replay: usize,
}

impl<M: Payload> SubscriptionBuilder<M> {
    pub(super) fn new(shared: Arc<Shared<M>>, pattern: Pattern) -> Self {
        let Defaults { queue_messages, queue_bytes, when_full } = shared.defaults;
        Self { shared, pattern, queue_messages, queue_bytes, when_full, group: None, no_echo: None, replay: 0 }
    }

    /// The bound of its queue in messages. Default: the broker's.
    pub fn queue_messages(mut self, messages: usize) -> Self {
        self.queue_messages = messages;
        self
    }

    /// The bound of its queue in bytes, by [`Payload::weight_bytes`]. Default: the broker's.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    /// What happens when its queue is full. Default: the broker's.
    pub fn when_full(mut self, when_full: WhenFull) -> Self {
        self.when_full = when_full;
        self
    }

    /// Makes it a member of a queue group: of the members whose patterns match, one gets each message, and one with room
    /// before one that is full. Groups have any name; there is no limit but that of subscriptions.
    pub fn group(mut self, name: &str) -> Self {
        self.group = Some(name.into());
        self
    }

    /// It does not get what publishers of this origin publish.
    pub fn no_echo(mut self, origin: Origin) -> Self {
        self.no_echo = Some(origin);
        self
    }

    /// First the last `messages` kept of each matching topic, in the order they were published, as many of the newest as
    /// fit in the queue; then what is published from now on, without gap or duplicate.
    pub fn replay(mut self, messages: usize) -> Self {
        self.replay = messages;
        self
    }

    /// Begins it. Every publish that begins after this reaches it.
    ///
    /// # Errors
    /// If the broker is closed or full, or a bound is out of range.
    pub fn subscribe(self) -> Result<Subscription<M>, SubscribeError> {
        let Self { shared, pattern, queue_messages, queue_bytes, when_full, group, no_echo, replay } = self;
        if !(1..=QUEUE_MESSAGES_MAX).contains(&queue_messages) {
            return Err(SubscribeError::BadMessageBound(queue_messages));
        }
        if !(1..=QUEUE_BYTES_MAX).contains(&queue_bytes) {
            return Err(SubscribeError::BadByteBound(queue_bytes));
        }
        let bounds = Load { messages: queue_messages as u32, bytes: queue_bytes as u32 };
        let queue = shared.router.subscribe(replay, |id| {
            Queue::new(Terms { id, pattern, group, no_echo, when_full, bounds }, shared.settled.clone())
        })?;
        Ok(Subscription::new(queue, shared))
    }
}

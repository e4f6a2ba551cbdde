//! Fanfare: a publish/subscribe broker with bounded delivery.
//!
//! Every message fans out to bounded subscriber queues. A slow subscriber costs the others nothing;
//! nothing is lost in silence, and nothing is kept without a bound. It runs on any executor, or on
//! plain threads.
//!
//! In the order in which a message passes: a [`Topic`] leads through the router to a route; the
//! [`Publisher`] puts the message into a frame and the frame into the queues of that route's
//! audience; a [`Subscription`] reads it there.
#![warn(clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]
#![warn(clippy::unreachable, clippy::unwrap_used)]

mod afterwards;
mod broker;
mod builder;
mod credit;
mod cursor;
mod ended;
mod error;
mod fan_out;
mod frame;
mod history;
mod intake;
mod lease;
pub mod limits;
mod locks;
mod mailbox;
mod member;
mod membership;
mod overflow;
mod payload;
mod pending;
mod publisher;
mod queue;
mod receiver;
mod route;
mod route_cache;
mod router;
mod seat;
mod stats;
mod subscription;
mod sync;
mod topic;
mod tree;
mod waits;
mod worker;

pub use broker::Broker;
pub use builder::{BrokerBuilder, MailboxBuilder, SubscriptionBuilder};
pub use ended::DropStats;
pub use error::{PublishError, RequestError, SubscribeError, TryPublishError, TryRecvError};
pub use frame::{Batch, BatchIter, Message};
pub use mailbox::{Mailbox, MailboxDelivery, MailboxSubscriber};
pub use overflow::{Receipt, WhenFull};
pub use payload::Payload;
pub use publisher::Publisher;
pub use stats::{
    Books, BrokerStats, DrainReport, Drained, DropCounts, EndReason, Interest, QueueStats,
    SubscriptionId, SubscriptionStats, TopicStats,
};
use std::sync::atomic::{AtomicU64, Ordering};
pub use subscription::{BatchDelivery, Delivery, Subscription, SubscriptionWatch};
pub use topic::{Pattern, Topic, TopicError, TopicErrorKind};
pub use waits::WaitStats;

/// Who publishes: for subscriptions that do not want to hear themselves. See
/// [`Broker::publisher_as`] and [`SubscriptionBuilder::no_echo`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(u64);

impl Origin {
    /// One that differs from every other of this process.
    pub fn unique() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

/// The guide, whose code `cargo test --doc` compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
pub struct GuideDoctests;

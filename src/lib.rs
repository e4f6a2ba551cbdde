//! Fanfare: a publish/subscribe broker with bounded delivery.
//!
//! Every message fans out to bounded subscriber queues. A slow subscriber costs the others nothing.
//! Nothing is lost silently, and nothing is kept without a bound. It runs on any executor, or on
//! plain threads.
//!
//! In the order in which a message passes: a [`Topic`] leads through the router to a route; the
//! [`Publisher`] puts the message into a segment and the segment into the queues of that route's
//! audience; a [`Subscription`] reads it there.
#![warn(clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]
#![warn(clippy::unreachable, clippy::unwrap_used)]
#![warn(missing_debug_implementations)]

mod bridge;
mod broker;
mod by_size;
mod debug;
mod drain;
mod error;
pub mod limits;
mod load;
mod log;
mod membership;
mod payload;
mod policy;
mod publish;
mod queue;
mod receive;
mod routing;
mod scope;
#[cfg(feature = "serde")]
mod serialize;
mod shared;
mod stats;
mod sync;
mod topic;
mod trace;

pub use bridge::interest::{InterestChange, InterestWatch};
pub use bridge::{Bridge, BridgeBuilder, BridgeDelivery, BridgePublisher, Groups};
pub use broker::{Broker, BrokerBuilder};
pub use by_size::BySize;
pub use error::{PublishError, RequestError, SubscribeError, TryPublishError, TryRecvError};
pub use log::message::{Batch, BatchIter, Message, Received};
pub use payload::{Origin, Payload};
pub use policy::{Receipt, WhenFull};
pub use publish::Publisher;
#[cfg(feature = "sink")]
pub use publish::sink::TopicSink;
pub use receive::builder::{MailboxBuilder, SubscriptionBuilder};
pub use receive::delivery::Delivery;
pub use receive::mailbox::{Mailbox, MailboxDelivery, MailboxSubscriber};
pub use receive::messages::{Messages, Missed, TryMessages};
pub use receive::subscription::{BatchDelivery, Subscription};
pub use receive::watch::SubscriptionWatch;
pub use stats::tally::WaitStats;
pub use stats::{
    Books, BrokerStats, DrainReport, Drained, DropCounts, DropStats, EndReason, Interest,
    QueueStats, SubscriptionId, SubscriptionStats, TopicStats,
};
pub use topic::{Pattern, Topic, TopicError, TopicErrorKind};

/// The guide, whose code `cargo test --doc` compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../docs/library.md")]
pub struct GuideDoctests;

/// What happens when somebody is slow or gone, whose code `cargo test --doc` compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../docs/guarantees.md")]
pub struct GuaranteesDoctests;

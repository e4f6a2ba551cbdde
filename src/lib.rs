//! A publish/subscribe broker inside a program, in which a slow subscriber hurts nobody else.
//!
//! Every subscription has a queue of its own, bounded in messages and in bytes. When a queue is
//! full, its owner's policy decides; the others have the message already. Nothing is lost in
//! silence: a publish returns a receipt, and a subscriber is told how many messages it missed, in
//! the place where they are missing. It runs on any executor, or on plain threads.
//!
//! ```
//! use fanfare::{Broker, Delivery, Pattern, Topic};
//!
//! # futures_lite::future::block_on(async {
//! let broker = Broker::<String>::new();
//! let mut orders = broker.subscribe(&Pattern::parse("orders.>")?)?;
//!
//! let receipt = broker.publish(&Topic::parse("orders.eu")?, "two boxes".into()).await?;
//! assert_eq!((receipt.matched, receipt.queued), (1, 1));
//!
//! match orders.recv().await {
//!     Some(Delivery::Message(order)) => assert_eq!(*order, "two boxes"),
//!     Some(Delivery::Missed(count)) => println!("{count} orders are missing here"),
//!     None => println!("the broker is closed"),
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```
//!
//! The [`guide`] goes on from here: which policy to choose, tokio, worker pools, requests, shutting
//! down, testing.
//!
//! | | |
//! |---|---|
//! | [`Broker`] | where all else comes from; a cheap handle |
//! | [`Publisher`], [`Receipt`] | publishes in order; what became of a message |
//! | [`Subscription`], [`Delivery`], [`Message`] | the receiving end of one pattern; its output |
//! | [`Messages`], [`TryMessages`] | a subscription past its gaps, or failing at them |
//! | [`Mailbox`] | one queue for any number of patterns, as a connection wants it |
//! | [`Topic`], [`Pattern`] | names, such as `orders.eu`; what is asked for, such as `orders.*` |
//! | [`WhenFull`], [`Books`] | what happens when a queue is full; an account that balances |
//! | [`Payload`], [`BySize`] | what a message weighs against bounds in bytes |
//! | [`SubscriptionWatch`], [`BrokerStats`] | a subscription seen from elsewhere; totals |
//! | [`Bridge`] | joins the broker to another system, such as a cluster |
//! | [`limits`] | every bound, with its reason |
//!
//! The broker does no I/O and spawns no task. Waiting with a deadline uses async-io, which starts
//! one thread for timers when it is first needed.
//!
//! # Features
//!
//! None is on by default: `bytes` (`bytes::Bytes` is a payload), `serde` (receipts, statistics,
//! topics and patterns), `sink` (a publisher as a `futures` sink) and `tracing` (events for drops,
//! waits and ends).
#![warn(clippy::expect_used, clippy::panic, clippy::print_stderr, clippy::print_stdout)]
#![warn(clippy::unreachable, clippy::unwrap_used)]
#![warn(missing_debug_implementations)]

mod blocking;
mod bridge;
mod broker;
mod busy;
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
pub use log::message::{Batch, BatchIter, Message};
pub use payload::{Origin, Payload};
pub use policy::{Receipt, WhenFull};
pub use publish::Publisher;
#[cfg(feature = "sink")]
pub use publish::sink::TopicSink;
pub use receive::builder::{MailboxBuilder, SubscriptionBuilder};
pub use receive::delivery::Delivery;
pub use receive::mailbox::{Mailbox, MailboxDelivery, MailboxSubscriber};
pub use receive::messages::{Messages, Missed, TryMessages};
pub use receive::received::Received;
pub use receive::subscription::{BatchDelivery, Subscription};
pub use receive::watch::SubscriptionWatch;
pub use stats::tally::WaitStats;
pub use stats::{
    Books, BrokerStats, DrainReport, Drained, DropCounts, DropStats, EndReason, Interest,
    QueueStats, SubscriptionId, SubscriptionStats, TopicStats,
};
pub use topic::{Pattern, Topic, TopicError, TopicErrorKind};

#[doc = include_str!("../docs/library.md")]
pub mod guide {}

/// The page on guarantees, whose code `cargo test --doc` compiles and runs.
#[cfg(doctest)]
#[doc = include_str!("../docs/guarantees.md")]
pub struct GuaranteesDoctests;

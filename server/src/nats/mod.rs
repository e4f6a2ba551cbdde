//! NATS: the core client protocol of nats-server, for the libraries that every language has.
//!
//! In the order in which bytes pass: the [codec](crate::codec::nats) parses them, a `session`
//! decides what they mean, with what the client said in `connect`, whether it may come in
//! ([`authentication`]), what it may do there ([`permissions`]) and with whom it shares subjects
//! ([`accounts`]); the reader does what the session says. The writer sends the client its messages
//! and answers, as `render` shapes them.

pub mod accounts;
mod admission;
pub mod authentication;
mod connect;
mod events;
mod gathered;
mod info;
mod inquiries;
mod own_queue;
pub mod permissions;
mod policy;
mod reader;
mod remembered;
mod render;
mod responses;
mod server;
mod session;
pub mod settings;
mod share;
mod shared;
mod subjects;
mod user_info;
mod web_socket;
mod writer;

use fanfare::SubscriptionId;
pub use server::NatsServer;
pub use settings::{NatsSettings, SlowConsumer};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};
pub use web_socket::NatsWebSocket;

/// A client's name for a subscription.
type Sid = Arc<[u8]>;

/// The names of a client's subscriptions, by the broker's ids. Shared with the admin listener.
type Sids = Mutex<HashMap<SubscriptionId, Sid>>;

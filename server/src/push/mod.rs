//! The push gateway: datagrams and requests in, long-lived connections out.
//!
//! A push comes in as a datagram ([`PushServer`]) or a request ([`PushHttp`]) and goes through the
//! [`Gateway`], which numbers it, hands it to the broker and says what became of it. Users, groups
//! and all are topics: `push.user.42`, `push.group.news`, `push.all`. A client's connection has one
//! mailbox for its topics. A `session` decides what the client's objects mean; the writer sends
//! what is pushed, after what came while the client was away. Only the framing knows whether
//! objects are lines, messages of a WebSocket, or server-sent events. [`access`] says who may do
//! what.

pub mod access;
mod ack_tracker;
mod counters;
mod datagrams;
mod events;
mod framing;
mod gateway;
mod http;
mod loss_log;
mod rates;
mod reader;
mod recent;
mod render;
mod server;
mod session;
mod settings;
mod signatures;
mod stored;
mod web_socket;
mod writer;

pub use ack_tracker::PushStatus;
pub use counters::{Ingress, PushFigures, PushOutcomes};
pub use gateway::{Gateway, PushReceipt, PushRefusal, Settled};
pub use http::PushHttp;
pub use server::{DatagramSocket, PushServer};
pub use settings::PushSettings;
pub use stored::LeftPushes;

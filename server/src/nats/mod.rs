//! NATS: the core client protocol of nats-server, for the libraries that every language has.
//!
//! In the order in which bytes pass: the [codec](crate::codec::nats) parses them, a [`session`]
//! decides what they mean, with what the client said in [`connect`], whether it may come in
//! ([`authentication`]), what it may do there ([`permissions`]) and with whom it shares subjects
//! ([`accounts`]); the reader does what the session says. The writer sends the client its messages
//! and answers, as `render` shapes them.

pub mod accounts;
mod admission;
pub mod authentication;
pub mod connect;
mod events;
mod gathered;
pub mod info;
mod inquiries;
mod own_queue;
pub mod permissions;
pub mod policy;
mod reader;
mod remembered;
mod render;
mod responses;
pub mod server;
pub mod session;
pub mod settings;
mod share;
mod shared;
mod sids;
mod subjects;
mod web_socket;
mod writer;

pub use server::NatsServer;
pub use settings::{NatsSettings, SlowConsumer};
pub use web_socket::NatsWebSocket;

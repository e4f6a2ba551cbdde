//! NATS: the core client protocol of nats-server, for the libraries that every language has.
//!
//! In the order in which bytes pass: the [codec](crate::codec::nats) parses them, a [`session`]
//! decides what they mean, with what the client said in [`connect`], whether it may come in
//! ([`authentication`]) and what it may do there ([`permissions`]); [`server`] does what the
//! session says. What a client is sent goes through its link and its feed.

mod admission;
pub mod authentication;
pub mod connect;
mod connections;
mod feed;
pub mod info;
mod link;
pub mod permissions;
mod render;
pub mod server;
pub mod session;
pub mod settings;
mod subjects;
mod talker;

pub use server::NatsServer;
pub use settings::{NatsSettings, SlowConsumer};

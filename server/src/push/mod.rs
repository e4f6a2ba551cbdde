//! The push gateway: datagrams and requests in, long-lived connections out.
//!
//! A push comes in as a datagram ([`datagrams`](PushServer)) and goes through the [`Gateway`],
//! which numbers it, hands it to the broker and says what became of it. Users, groups and all are
//! topics: `push.user.42`, `push.group.news`, `push.all`. A client's connection has one mailbox for
//! its topics; a [`session`] decides what the client's objects mean, a feed sends what is pushed,
//! and first what the client missed while it was away. Whether its objects are lines or messages of
//! a WebSocket is known to its framing alone. [`access`] says who may do what.

pub mod access;
mod client;
mod counters;
mod datagrams;
mod events;
mod fates;
mod feed;
mod framing;
mod gateway;
mod http;
mod losses;
mod rates;
mod server;
pub mod session;
mod settings;
mod signatures;
pub mod stamp;
mod web_socket;

pub use counters::{PushFigures, PushOutcomes, Way};
pub use fates::Fate;
pub use gateway::{Gateway, PushReceipt, PushRefusal, Settled};
pub use http::PushHttp;
pub use server::{DatagramSocket, PushServer};
pub use settings::PushSettings;

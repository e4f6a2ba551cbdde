//! Front-ends: wire protocols turned into topics, all on one broker.

mod accepting;
pub mod admin;
pub mod chat;
pub mod ending;
pub mod http;
pub mod message;
pub mod nats;
mod outbox;
pub mod push;

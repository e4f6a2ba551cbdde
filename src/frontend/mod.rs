//! Front-ends: wire protocols turned into topics, all on one broker.

pub mod chat;
pub mod http;
pub mod message;
mod outbox;
pub mod push;
mod stopping;

pub use stopping::StopReport;

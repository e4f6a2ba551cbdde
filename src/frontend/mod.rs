//! Front-ends: wire protocols turned into topics, all on one broker.

pub mod admin;
pub mod chat;
pub mod http;
pub mod message;

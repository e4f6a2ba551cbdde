//! Bytes to messages and back: pure functions without I/O.

pub mod lines;
pub mod nats;

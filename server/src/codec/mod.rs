//! Bytes to messages and back: pure functions without I/O.

pub mod certificate;
pub mod datagram;
pub mod lines;
pub mod nats;
pub mod push;
pub mod web_socket;

//! Chat: lines of text for `nc`, telnet and scripts.
//!
//! In the order in which a line passes: [`command`] parses it, a [`session`] decides what it means,
//! with the [`names`] and [`rooms`] all sessions share; [`server`] does what the session says:
//! publishes, subscribes, answers. None but the server does any I/O, so another front-end can let
//! its own people into the same rooms.

pub mod command;
pub mod names;
mod outbox;
pub mod render;
pub mod rooms;
pub mod server;
pub mod session;

pub use server::{ChatServer, ChatSettings};

//! Chat: lines of text for `nc`, telnet and scripts.
//!
//! In the order in which a line passes: [`command`] parses it, a [`session`] decides what it means,
//! with the [`names`] and [`rooms`] that all sessions share; the reader does what the session says:
//! publishes, subscribes, answers. The writer sends a person the answers and what the others say,
//! as [`render`] shapes it. Another front-end can let its own people into the same rooms.

pub mod command;
pub mod names;
mod reader;
pub mod render;
mod restore;
pub mod rooms;
pub mod server;
pub mod session;
mod settings;
pub mod times;
mod writer;

pub use restore::restore;
pub use server::ChatServer;
pub use settings::ChatSettings;

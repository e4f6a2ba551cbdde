//! Chat: lines of text for `nc`, telnet and scripts.
//!
//! In the order in which a line passes: `command` parses it, a `session` decides what it means,
//! with the `names` and `rooms` that all sessions share; the reader does what the session says:
//! publishes, subscribes, answers. The writer sends a person the answers and what the others say,
//! as `render` shapes it. Another front-end can let its own people into the same rooms.

mod accounts;
pub(crate) mod command;
mod demo;
pub(crate) mod names;
pub(crate) mod password;
mod reader;
mod render;
pub(crate) mod rooms;
mod server;
pub(crate) mod session;
mod settings;
mod shared;
mod stored;
mod times;
mod web_socket;
mod writer;

pub use password::Secret;
pub use server::ChatServer;
pub use settings::ChatSettings;
pub use stored::LeftChat;
pub use web_socket::ChatWebSocket;

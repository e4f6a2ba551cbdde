//! The chat server.

mod accounts;
mod binary;
mod bounds;
mod conversation;
mod encryption;
mod figures;
mod operation;
mod proxies;
mod stored;
mod terminal;

/// The binary under test.
const FANFARE: &str = env!("CARGO_BIN_EXE_fanfare");

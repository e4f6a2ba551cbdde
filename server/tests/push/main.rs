//! The push gateway.

mod documents;
mod gateway;
mod http;
mod python;
mod socket;
mod stored;

/// The binary under test.
const FANFARE: &str = env!("CARGO_BIN_EXE_fanfare");

//! The push gateway.

mod gateway;
mod http;
mod page;
mod python;
mod readme;
mod socket;

/// The binary under test.
const FANFARE: &str = env!("CARGO_BIN_EXE_fanfare");

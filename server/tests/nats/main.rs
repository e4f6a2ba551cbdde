//! The NATS server.

mod bench;
mod clients;
mod isolation;
mod messages;
mod monitoring;
mod policy;
mod protocol;
mod server;
mod web_socket;

use testkit::nats::server::{Kind, Server};
use testkit::nats::settings::Settings;

/// The binary under test.
const FANFARE: &str = env!("CARGO_BIN_EXE_fanfare");

/// Starts a server of that kind; none where it is not installed.
#[track_caller]
fn start(kind: Kind, settings: &Settings) -> Option<Server> {
    testkit::nats::start(kind, FANFARE, settings)
}

//! What the NATS tests share: the servers that they run, nats-server and Fanfare, and a raw
//! connection to them.
#![allow(dead_code)] // every test file is a crate of its own and uses a part of this

#[path = "../binary_support/mod.rs"]
pub mod binary_support;
#[path = "../patience/mod.rs"]
mod patience;
pub mod server;
pub mod settings;
pub mod wire;

pub use patience::{PATIENCE, wait_until};
use server::{Kind, Server};
use settings::Settings;

/// Starts a server of that kind for a test; none, and a line that says why, if there is none on
/// this machine. In continuous integration (`CI=true`) everything has to be there.
#[track_caller]
pub fn start(kind: Kind, settings: &Settings) -> Option<Server> {
    match kind.is_missing() {
        None => Some(Server::start(kind, settings)),
        Some(reason) => {
            skip(&reason);
            None
        }
    }
}

/// Says why a test does not run. In continuous integration it fails instead.
#[track_caller]
pub fn skip(reason: &str) {
    assert!(std::env::var_os("CI").is_none_or(|value| value != "true"), "{reason}");
    println!("skipped: {reason}");
}

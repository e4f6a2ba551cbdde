//! What runs against what: the versions that were built, and the machine.

use crate::support::peers::PeerError;
use crate::support::peers::go_broker::GoBroker;

const CARGO_LOCK: &str = include_str!("../../Cargo.lock");

pub fn print(go: &Result<GoBroker, PeerError>) {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let crates: Vec<_> = ["tokio", "async-broadcast", "flume", "async-executor"]
        .map(|name| format!("{name} {}", locked_version(name).unwrap_or("?")))
        .into();
    println!("fanfare {}; {}", env!("CARGO_PKG_VERSION"), crates.join(", "));
    match go {
        Ok(go) => println!("{}", go.version),
        Err(error) => println!("without the Go broker: {error}"),
    }
    println!("{threads} processors; each peer runs on two threads");
    if cfg!(debug_assertions) {
        println!("a debug build: the figures mean nothing");
    }
}

/// The version of a crate that this program was built with.
fn locked_version(name: &str) -> Option<&'static str> {
    let (_, after) = CARGO_LOCK.split_once(&format!("name = \"{name}\"\nversion = \""))?;
    after.split('"').next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_has_its_version() {
        for name in ["tokio", "async-broadcast", "flume", "async-executor"] {
            let version = locked_version(name).expect(name);
            assert!(version.starts_with(|first: char| first.is_ascii_digit()), "{name} {version}");
        }
        assert_eq!(locked_version("no-such-crate"), None);
    }
}

//! Tests of servers wait for conditions, with a time limit that only a failing test reaches.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The time limit of every wait: far longer than anything takes.
pub const PATIENCE: Duration = Duration::from_secs(120);

#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// Connects a socket whose reads and writes fail after [`PATIENCE`].
pub fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

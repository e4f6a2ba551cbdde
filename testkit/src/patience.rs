//! How tests of servers wait: for conditions, and so long that only what never comes is missed.

use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// Far longer than anything takes; only a failing test waits so long.
pub const PATIENCE: Duration = Duration::from_secs(120);

#[track_caller]
pub fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain for: {what}");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A socket on which a read or a write that takes too long fails.
pub fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.set_write_timeout(Some(PATIENCE)).unwrap();
    socket
}

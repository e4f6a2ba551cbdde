//! Addresses that a test can listen on, leave, and listen on again.

use crate::patience::wait_until;
use fanfare_server::connection::{ConnectionLimits, Listener};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::Mutex;

/// Ports below those that systems give to outgoing connections, and above those that browsers
/// refuse.
const PORTS: Range<u16> = 11_000..16_000;

/// The next port to try, and the sockets that reserve the ports given out.
static GIVEN: Mutex<(u16, Vec<TcpListener>)> = Mutex::new((PORTS.start, Vec::new()));

/// An address that no other test gets while this process lives, whether or not something listens
/// there.
#[track_caller]
pub fn own_address() -> SocketAddr {
    let (next, kept) = &mut *GIVEN.lock().unwrap();
    loop {
        let port = *next;
        assert!(PORTS.contains(&port), "no port is free");
        *next += 1;
        // Every test, of whatever process, has to have the port at this address first.
        let Ok(keeper) = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), port)) else { continue };
        let address = (Ipv4Addr::LOCALHOST, port).into();
        if TcpListener::bind::<SocketAddr>(address).is_ok() {
            kept.push(keeper);
            return address;
        }
    }
}

/// Listens at an address that an earlier server may still hold.
#[track_caller]
pub fn rebound(address: SocketAddr, limits: ConnectionLimits) -> Listener {
    let mut listener = None;
    wait_until("the address is free", || {
        listener = Listener::bind(address, limits).ok();
        listener.is_some()
    });
    listener.expect("it is bound")
}

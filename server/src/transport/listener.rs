//! Accepting connections: how many in all, how many from one address, and what to do when the
//! system has no more.

use crate::limits::{ACCEPT_BACK_OFF_MS, ACCEPTS_PER_TURN, LISTEN_BACKLOG};
use crate::tasks::{self, Wait, waiting};
use async_io::{Async, Timer};
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, sockopt};
use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::io::Write;
use std::net::{IpAddr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A listening socket with a [`Gate`].
pub struct Listener {
    socket: Async<TcpListener>,
    local_address: SocketAddr,
    gate: Gate,
    back_off: BackOff,
    accepted_in_turn: usize,
}

/// What came out of [`Listener::accept`].
pub enum Accepted {
    /// A connection. Its place at the gate is free again when the permit is dropped.
    Connection(Async<TcpStream>, SocketAddr, Permit),
    /// A connection too many. The front-end says so in its protocol, with [`refuse`].
    Refused(Async<TcpStream>, SocketAddr, Refusal),
}

impl Listener {
    /// Listens at `address`; port 0 takes a free one. An address that a server just left can be
    /// taken again.
    pub fn bind(address: SocketAddr, gate: Gate) -> io::Result<Self> {
        let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let socket = rustix::net::socket_with(
            family,
            SocketType::STREAM,
            SocketFlags::CLOEXEC,
            Some(ipproto::TCP),
        )?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &address)?;
        rustix::net::listen(&socket, LISTEN_BACKLOG)?;
        let socket = Async::new(TcpListener::from(socket))?;
        let local_address = socket.get_ref().local_addr()?;
        Ok(Self { socket, local_address, gate, back_off: BackOff::new(), accepted_in_turn: 0 })
    }

    /// Where it listens, with the port that was taken.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// The next connection. Never fails: what goes wrong with one connection is that connection's
    /// affair, and when the system has no descriptors or memory left this waits a little, longer
    /// each time, and tries again. Cancel safe.
    pub async fn accept(&mut self) -> Accepted {
        if self.accepted_in_turn >= ACCEPTS_PER_TURN {
            self.accepted_in_turn = 0;
            futures_lite::future::yield_now().await;
        }
        loop {
            match waiting(Wait::ACCEPT, self.socket.accept()).await {
                Ok((stream, peer)) => {
                    self.accepted_in_turn += 1;
                    self.back_off.succeeded();
                    return match self.gate.enter(peer.ip()) {
                        Ok(permit) => Accepted::Connection(stream, peer, permit),
                        Err(refusal) => Accepted::Refused(stream, peer, refusal),
                    };
                }
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    waiting(Wait::TIMER, self.back_off.failed(&error)).await;
                }
            }
        }
    }
}

/// Says why a connection is not taken and closes it, without waiting: what the kernel does not take
/// at once is not said. A fresh connection's buffer is empty, so a line always fits.
pub fn refuse(stream: &Async<TcpStream>, notice: &[u8]) {
    let _ = stream.get_ref().write(notice);
    let _ = stream.get_ref().shutdown(Shutdown::Write);
}

/// How many connections a [`Gate`] lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GateLimits {
    /// In all.
    pub connections: usize,
    /// From one address (IPv6: from one /64).
    pub per_address: usize,
}

/// Counts connections; clones share the count.
#[derive(Clone)]
pub struct Gate {
    inside: Arc<Mutex<Inside>>,
    limits: GateLimits,
}

#[derive(Default)]
struct Inside {
    connections: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// Which bound refused a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// [`GateLimits::connections`], with its value.
    Full(usize),
    /// [`GateLimits::per_address`], with its value.
    AddressFull(usize),
}

impl fmt::Display for Refusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(limit) => {
                write!(out, "this server is full ({limit} connections); try again later")
            }
            Self::AddressFull(limit) => {
                write!(out, "your address has its {limit} connections already; close one first")
            }
        }
    }
}

impl Gate {
    /// A gate that nobody has passed yet.
    pub fn new(limits: GateLimits) -> Self {
        Self { inside: Arc::default(), limits }
    }

    /// Lets one in, or says which bound is in the way.
    pub fn enter(&self, address: IpAddr) -> Result<Permit, Refusal> {
        let key = counted_address(address);
        let mut inside = self.lock();
        if inside.connections >= self.limits.connections {
            return Err(Refusal::Full(self.limits.connections));
        }
        if inside.by_address.get(&key).is_some_and(|&count| count >= self.limits.per_address) {
            return Err(Refusal::AddressFull(self.limits.per_address));
        }
        inside.connections += 1;
        *inside.by_address.entry(key).or_default() += 1;
        Ok(Permit { gate: self.clone(), key })
    }

    /// How many are inside.
    pub fn connections(&self) -> usize {
        self.lock().connections
    }

    fn leave(&self, key: IpAddr) {
        let mut inside = self.lock();
        inside.connections -= 1;
        if let Some(count) = inside.by_address.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                inside.by_address.remove(&key);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place at a [`Gate`], free again when this is dropped.
pub struct Permit {
    gate: Gate,
    key: IpAddr,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.leave(self.key);
    }
}

/// An IPv4 address in either notation; of an IPv6 address the /64, since a peer can choose the rest
/// as it likes.
fn counted_address(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// Errors of `accept` that are about a connection that ended before we took it.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | TimedOut
    )
}

/// Pauses that double from the first to the longest; a success begins anew.
struct BackOff {
    next_ms: u64,
}

impl BackOff {
    fn new() -> Self {
        Self { next_ms: ACCEPT_BACK_OFF_MS.0 }
    }

    fn succeeded(&mut self) {
        self.next_ms = ACCEPT_BACK_OFF_MS.0;
    }

    fn failed(&mut self, error: &io::Error) -> impl Future<Output = Instant> + use<> {
        // Once per crisis, not once per try: the pause is at its first value only then.
        if self.next_ms == ACCEPT_BACK_OFF_MS.0 {
            log::warn!(task:% = tasks::label(); "cannot accept connections, trying on: {error}");
        }
        let pause_ms = self.next_ms;
        self.next_ms = (self.next_ms * 2).min(ACCEPT_BACK_OFF_MS.1);
        // why: only when the system is out of descriptors, and then at most a few a second.
        Timer::after(Duration::from_millis(pause_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;

    const LIMITS: GateLimits = GateLimits { connections: 3, per_address: 2 };

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_gate_counts_in_all_and_per_address_and_gives_places_back() {
        let gate = Gate::new(LIMITS);
        let one = gate.enter(address("10.0.0.1")).ok();
        let two = gate.enter(address("::ffff:10.0.0.1")).ok();
        assert!(one.is_some() && two.is_some());
        assert_eq!(gate.enter(address("10.0.0.1")).err(), Some(Refusal::AddressFull(2)));
        let _three = gate.enter(address("10.0.0.2")).ok().unwrap();
        assert_eq!(gate.enter(address("10.0.0.3")).err(), Some(Refusal::Full(3)));
        drop(one);
        assert!(gate.enter(address("10.0.0.1")).is_ok());
        assert_eq!(gate.connections(), 2);
        drop(two);
        assert_eq!(gate.lock().by_address.len(), 1);
    }

    #[test]
    fn an_ipv6_network_counts_as_one_address() {
        let gate = Gate::new(LIMITS);
        let _held =
            [gate.enter(address("2001:db8::1")).ok(), gate.enter(address("2001:db8::2")).ok()];
        assert_eq!(gate.enter(address("2001:db8::3")).err(), Some(Refusal::AddressFull(2)));
        assert!(gate.enter(address("2001:db8:0:1::1")).is_ok());
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_begin_anew() {
        let mut back_off = BackOff::new();
        let error = io::Error::from(io::ErrorKind::OutOfMemory);
        for _ in 0..20 {
            drop(back_off.failed(&error));
        }
        assert_eq!(back_off.next_ms, ACCEPT_BACK_OFF_MS.1);
        back_off.succeeded();
        assert_eq!(back_off.next_ms, ACCEPT_BACK_OFF_MS.0);
    }

    #[test]
    fn an_address_can_be_taken_again_at_once_but_not_twice() {
        let bind = |address: SocketAddr| Listener::bind(address, Gate::new(LIMITS));
        let mut listener = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listener.local_address();
        assert_eq!(bind(address).err().map(|error| error.kind()), Some(io::ErrorKind::AddrInUse));
        // The server's end closes first, so that the kernel keeps the pair of addresses for a
        // while.
        let client = TcpStream::connect(address).unwrap();
        drop(block_on(listener.accept()));
        drop(listener);
        drop(client);
        assert!(bind(address).is_ok());
    }
}

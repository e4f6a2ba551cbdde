//! A listening socket that limits its connections, and waits when the system is out of descriptors.

use super::limiter::{ConnectionLimiter, ConnectionLimits, Permit, Refusal};
use super::proxies::TrustedProxies;
use crate::limits::{ACCEPT_BACK_OFF_MS, ACCEPTS_PER_TURN, LISTEN_BACKLOG};
use crate::tasks::{self, Wait, waiting};
use crate::transport::Identity;
use async_io::{Async, Timer};
use socket2::{Domain, Protocol, Socket, Type};
use std::future::Future;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A listening socket with a [`ConnectionLimiter`].
pub struct Listener {
    socket: Async<TcpListener>,
    local_address: SocketAddr,
    limiter: ConnectionLimiter,
    tls: Option<Identity>,
    proxies: TrustedProxies,
    back_off: BackOff,
    accepted_in_turn: usize,
}

/// The outcome of [`Listener::accept`].
pub enum Accepted {
    /// A connection, which counts until the permit is dropped.
    Connection(Async<TcpStream>, SocketAddr, Permit),
    /// A connection beyond a limit. The front-end says so in its protocol, with [`refuse`].
    Refused(Async<TcpStream>, SocketAddr, Refusal),
}

impl Listener {
    /// Listens at `address`; port 0 takes a free one. An address that a server just left can be
    /// taken again. A listener at 0.0.0.0 is reached by IPv6 too, where there is IPv6.
    pub fn bind(address: SocketAddr, limits: ConnectionLimits) -> io::Result<Self> {
        if address.ip() != IpAddr::V4(Ipv4Addr::UNSPECIFIED) {
            return Self::of(TcpListener::bind(address)?, limits);
        }
        match bind_both(address.port()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => Err(error),
            Err(_) => Self::of(TcpListener::bind(address)?, limits),
            Ok(socket) => {
                let mut listener = Self::of(socket, limits)?;
                listener.local_address.set_ip(address.ip());
                Ok(listener)
            }
        }
    }

    /// Listens with a socket that another program has opened.
    pub fn of(socket: TcpListener, limits: ConnectionLimits) -> io::Result<Self> {
        // A second time, since the standard library's backlog is too short for a crowd.
        rustix::net::listen(&socket, LISTEN_BACKLOG)?;
        let local_address = socket.local_addr()?;
        Ok(Self {
            socket: Async::new(socket)?,
            local_address,
            limiter: ConnectionLimiter::new(limits),
            tls: None,
            proxies: TrustedProxies::default(),
            back_off: BackOff::new(),
            accepted_in_turn: 0,
        })
    }

    /// Speaks TLS from the first byte.
    pub fn with_tls(self, tls: Option<Identity>) -> Self {
        Self { tls, ..self }
    }

    /// Trusts these proxies to name their clients.
    pub fn behind(self, proxies: TrustedProxies) -> Self {
        Self { proxies, ..self }
    }

    /// The certificates and key for TLS from the first byte; `None` for no TLS.
    pub fn tls(&self) -> Option<&Identity> {
        self.tls.as_ref()
    }

    /// The trusted proxies.
    pub fn proxies(&self) -> &TrustedProxies {
        &self.proxies
    }

    /// The limiter that counts this listener's connections.
    pub fn limiter(&self) -> &ConnectionLimiter {
        &self.limiter
    }

    /// The address it listens on, with the port that was picked.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// The next connection. Never fails: an error of one connection concerns that connection alone,
    /// and when the system is out of descriptors or memory, this waits, longer each time, and tries
    /// again. Cancel safe.
    pub async fn accept(&mut self) -> Accepted {
        if self.accepted_in_turn >= ACCEPTS_PER_TURN {
            self.accepted_in_turn = 0;
            futures_lite::future::yield_now().await;
        }
        loop {
            match waiting(Wait::ACCEPT, self.socket.accept()).await {
                Ok((stream, mut peer)) => {
                    // A socket for both families reports IPv4 addresses as IPv6 ones.
                    peer.set_ip(peer.ip().to_canonical());
                    self.accepted_in_turn += 1;
                    self.back_off.succeeded();
                    let admitted = match self.proxies.contains(peer.ip()) {
                        true => self.limiter.admit_proxy(),
                        false => self.limiter.admit(peer.ip()),
                    };
                    return match admitted {
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

/// A socket for every address of both families.
fn bind_both(port: u16) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV6, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_only_v6(false)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)).into())?;
    socket.listen(LISTEN_BACKLOG)?;
    Ok(socket.into())
}

/// Says why a connection is refused and closes it, without waiting. A fresh connection's buffer is
/// empty, so a line always fits.
pub fn refuse(stream: &Async<TcpStream>, notice: &[u8]) {
    let _ = stream.get_ref().write(notice);
    let _ = stream.get_ref().shutdown(Shutdown::Write);
}

/// Whether an error of `accept` is about a connection that ended before it was accepted.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted, TimedOut,
    };
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted | TimedOut
    )
}

/// Pauses that double up to the longest; a success starts over.
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
            log::warn!(task:% = tasks::label(); "cannot accept connections, retrying: {error}");
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

    const LIMITS: ConnectionLimits = ConnectionLimits::from_anywhere(3);

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
    fn all_addresses_are_those_of_both_families() {
        let any = "0.0.0.0:0".parse().unwrap();
        let mut listener = Listener::bind(any, LIMITS).unwrap();
        let address = listener.local_address();
        assert_eq!(address.ip(), any.ip());
        assert!(Listener::bind(address, LIMITS).is_err(), "it is taken");
        let has_ipv6 = TcpListener::bind("[::1]:0").is_ok();
        for (loopback, is_there) in [("127.0.0.1", true), ("::1", has_ipv6)] {
            let loopback: IpAddr = loopback.parse().unwrap();
            if is_there {
                let _client = TcpStream::connect((loopback, address.port())).unwrap();
                let Accepted::Connection(_, peer, _) = block_on(listener.accept()) else {
                    panic!("refused")
                };
                assert_eq!(peer.ip(), loopback);
            }
        }
    }

    #[test]
    fn an_address_can_be_taken_again_at_once_but_not_twice() {
        let bind = |address: SocketAddr| Listener::bind(address, LIMITS);
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

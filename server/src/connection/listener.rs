//! A listening socket that keeps its bounds, and waits when the system has no more descriptors.

use super::limiter::{ConnectionLimiter, ConnectionLimits, Permit, Refusal};
use crate::limits::{ACCEPT_BACK_OFF_MS, ACCEPTS_PER_TURN, LISTEN_BACKLOG};
use crate::tasks::{self, Wait, waiting};
use async_io::{Async, Timer};
use std::future::Future;
use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

/// A listening socket with a [`ConnectionLimiter`].
pub struct Listener {
    socket: Async<TcpListener>,
    local_address: SocketAddr,
    limiter: ConnectionLimiter,
    back_off: BackOff,
    accepted_in_turn: usize,
}

/// The outcome of [`Listener::accept`].
pub enum Accepted {
    /// A connection, which counts until the permit is dropped.
    Connection(Async<TcpStream>, SocketAddr, Permit),
    /// A connection too many. The front-end says so in its protocol, with [`refuse`].
    Refused(Async<TcpStream>, SocketAddr, Refusal),
}

impl Listener {
    /// Listens at `address`; port 0 takes a free one. An address that a server just left can be
    /// taken again.
    pub fn bind(address: SocketAddr, limits: ConnectionLimits) -> io::Result<Self> {
        Self::of(TcpListener::bind(address)?, limits)
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
            back_off: BackOff::new(),
            accepted_in_turn: 0,
        })
    }

    /// The limiter that counts this listener's connections.
    pub fn limiter(&self) -> &ConnectionLimiter {
        &self.limiter
    }

    /// The address it listens on, with the port that was picked.
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
                    return match self.limiter.admit(peer.ip()) {
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

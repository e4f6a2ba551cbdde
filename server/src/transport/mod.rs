//! Sockets: reading, writing, TLS, and telling dead peers from quiet ones. Knows no protocol.
//!
//! [`connection`](crate::connection) makes each accepted stream a [`Connection`], in whose task a
//! [`Reader`] and [`write_all_from`] run side by side.

mod allowance;
mod client;
mod gathering;
mod reader;
mod tls;
mod traffic;
mod trust;
mod web_socket;
mod write_buffer;
mod writer;

use crate::codec::certificate::CertificateNames;
#[cfg(target_os = "linux")]
use crate::limits::UNSENT_BYTES;
use crate::locks::lock;
use crate::tasks::{Wait, note_wait, waiting};
pub use allowance::ReadAllowance;
use async_io::Async;
use bytes::Bytes;
pub use client::{ClientStream, is_tls_alert, with_port};
use event_listener::EventListener;
pub use reader::Reader;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, recv, sockopt};
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, Weak};
use std::task::{Context, Poll};
use std::time::Duration;
pub use tls::{Identity, IdentityError};
use tls::{Progress, Tls};
pub use traffic::Traffic;
pub use trust::Trust;
use trust::in_words;
use web_socket::WebSocket;
pub use write_buffer::WriteBuffer;
pub use writer::{Filled, Idle, Liveness, Outcome, Source, WriterSettings, write_all_from};

/// A TCP connection that its reader and its writer share.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

struct Shared {
    socket: Async<TcpStream>,
    /// Separate from the socket, so that keeping the figures does not keep the socket open.
    traffic: Arc<Traffic>,
    allowance: Arc<ReadAllowance>,
    /// Empty without TLS. Boxed, since most connections have none.
    tls: OnceLock<Box<Mutex<Tls>>>,
    /// Empty without WebSocket frames. Inside TLS if there are both.
    web_socket: OnceLock<Box<Mutex<WebSocket>>>,
}

impl Connection {
    /// Takes an accepted stream. Small writes are not delayed, and
    /// [`set_unacknowledged`](Self::set_unacknowledged) applies. Reads spend `allowance`.
    pub fn new(
        socket: Async<TcpStream>,
        unacknowledged: Duration,
        allowance: Arc<ReadAllowance>,
    ) -> io::Result<Self> {
        socket.get_ref().set_nodelay(true)?;
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(socket.get_ref()).set_tcp_notsent_lowat(UNSENT_BYTES)?;
        let (tls, web_socket) = (OnceLock::new(), OnceLock::new());
        let shared = Shared { socket, traffic: Arc::default(), allowance, tls, web_socket };
        let connection = Self { shared: Arc::new(shared) };
        connection.set_unacknowledged(unacknowledged)?;
        Ok(connection)
    }

    /// Has the kernel end the connection, with an error for reader and writer, once the peer's
    /// machine has acknowledged nothing for this long: it is half open.
    pub fn set_unacknowledged(&self, time: Duration) -> io::Result<()> {
        let tcp = self.socket().get_ref();
        sockopt::set_socket_keepalive(tcp, true)?;
        // A third of the time per probe, so that the last one is due at the end.
        let probe = (time / 3).max(Duration::from_secs(1));
        sockopt::set_tcp_keepidle(tcp, probe)?;
        sockopt::set_tcp_keepintvl(tcp, probe)?;
        #[cfg(target_os = "linux")]
        sockopt::set_tcp_user_timeout(tcp, u32::try_from(time.as_millis()).unwrap_or(u32::MAX))?;
        Ok(())
    }

    /// The connection's socket.
    pub fn socket(&self) -> &Async<TcpStream> {
        &self.shared.socket
    }

    /// The connection's traffic so far. It can still be read after the connection has ended.
    pub fn traffic(&self) -> &Arc<Traffic> {
        &self.shared.traffic
    }

    /// A handle that ends the connection from outside, without keeping it open.
    pub fn cutter(&self) -> Cutter {
        Cutter(Arc::downgrade(&self.shared))
    }

    /// Reads what is there, for a library with buffers of its own; everybody else uses a
    /// [`Reader`]. Only one task may wait to read.
    pub fn poll_read(&self, context: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let bytes = loop {
            if let Some(bytes) = unless_blocked(self.read(into))? {
                break bytes;
            }
            if self.socket().poll_readable(context)?.is_pending() {
                note_wait(Wait::SOCKET_READ);
                return Poll::Pending;
            }
        };
        Poll::Ready(Ok(bytes))
    }

    /// Writes what the kernel takes, for a library with buffers of its own; everybody else uses
    /// [`write_all_from`]. Only one task may wait to write.
    pub fn poll_write(&self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = loop {
            if let Some(written) = unless_blocked(self.write(&[IoSlice::new(bytes)]))? {
                break written;
            }
            if self.socket().poll_writable(context)?.is_pending() {
                note_wait(Wait::SOCKET_WRITE);
                return Poll::Pending;
            }
        };
        Poll::Ready(Ok(written))
    }

    /// Waits until memory allows reading; a [`Reader`] does that by itself. The caller keeps
    /// `granted` while it waits.
    pub fn poll_read_allowed(
        &self,
        granted: &mut Option<EventListener>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        self.shared.allowance.poll_available(granted, context)
    }

    /// Reads without waiting.
    fn read(&self, into: &mut [u8]) -> io::Result<usize> {
        let Some(mut web_socket) = self.web_socket() else { return self.read_framed(into) };
        let read = web_socket.read(into, |framed| self.read_framed(framed));
        // Sends answers to pings. What the kernel does not take now goes out with the next write.
        unless_blocked(web_socket.flush(|bytes| self.write_framed(&[IoSlice::new(bytes)])))?;
        read
    }

    /// Reads into the room behind what `read` holds, without waiting.
    fn read_behind(&self, read: &mut Vec<u8>) -> io::Result<usize> {
        if self.shared.tls.get().is_none() && self.shared.web_socket.get().is_none() {
            let socket = self.socket().get_ref();
            let (bytes, _) = recv(socket, spare_capacity(read), RecvFlags::empty())?;
            self.note_read(bytes);
            return Ok(bytes);
        }
        let before_bytes = read.len();
        read.resize(read.capacity(), 0);
        let outcome = self.read(&mut read[before_bytes..]);
        read.truncate(before_bytes + outcome.as_ref().map_or(0, |&bytes| bytes));
        outcome
    }

    fn note_read(&self, bytes: usize) {
        self.traffic().note_read(bytes);
        self.shared.allowance.spend(bytes);
    }

    /// [`read`](Self::read), with the frames of a WebSocket.
    fn read_framed(&self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = match self.tls() {
            None => self.socket().get_ref().read(into)?,
            Some(mut tls) => tls.read(self.socket().get_ref(), into)?,
        };
        self.note_read(bytes);
        Ok(bytes)
    }

    /// Writes without waiting.
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.web_socket() {
            None => self.write_framed(slices),
            Some(mut web_socket) => {
                web_socket.write(slices, |bytes| self.write_framed(&[IoSlice::new(bytes)]))
            }
        }
    }

    fn write_framed(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let bytes = match (self.tls(), slices) {
            (None, [one]) => self.socket().get_ref().write(one)?,
            (None, several) => self.socket().get_ref().write_vectored(several)?,
            (Some(mut tls), slices) => tls.write(self.socket().get_ref(), slices)?,
        };
        self.traffic().note_written(bytes);
        Ok(bytes)
    }

    /// Writes what [`write`](Self::write) took and could not pass on at once.
    fn flush(&self) -> io::Result<()> {
        if let Some(mut web_socket) = self.web_socket() {
            web_socket.flush(|bytes| self.write_framed(&[IoSlice::new(bytes)]))?;
        }
        self.tls().map_or(Ok(()), |mut tls| tls.flush(self.socket().get_ref()))
    }

    fn tls(&self) -> Option<MutexGuard<'_, Tls>> {
        self.shared.tls.get().map(|tls| lock(tls))
    }

    fn web_socket(&self) -> Option<MutexGuard<'_, WebSocket>> {
        self.shared.web_socket.get().map(|web_socket| lock(web_socket))
    }

    /// Wraps everything from here on in WebSocket frames. `early` came right behind the handshake.
    /// Only the first call counts.
    pub fn begin_web_socket(&self, early: &Bytes) {
        self.shared.web_socket.get_or_init(|| Box::new(Mutex::new(WebSocket::new(early))));
    }

    /// Does the TLS handshake; everything after it is encrypted. Call it before anything else is
    /// read or written. Not cancel safe: drop a connection whose handshake was cancelled.
    pub async fn upgrade(&self, identity: &Identity) -> io::Result<()> {
        self.shake_hands(Tls::accept(identity)?).await
    }

    /// [`upgrade`](Self::upgrade) for the side that dialled. The other side's certificate must be
    /// for this name or address.
    pub async fn upgrade_dialled(&self, trust: &Trust, name: &str) -> io::Result<()> {
        self.shake_hands(Tls::dial(trust.0.clone(), name)?).await.map_err(in_words)
    }

    async fn shake_hands(&self, mut tls: Tls) -> io::Result<()> {
        loop {
            match tls.handshake(self.socket().get_ref())? {
                Progress::Finished => break,
                Progress::WaitsToRead => {
                    waiting(Wait::SOCKET_READ, self.socket().readable()).await?
                }
                Progress::WaitsToWrite => {
                    waiting(Wait::SOCKET_WRITE, self.socket().writable()).await?
                }
            }
        }
        let was_plain = self.shared.tls.set(Box::new(Mutex::new(tls))).is_ok();
        if was_plain { Ok(()) } else { Err(io::ErrorKind::AlreadyExists.into()) }
    }

    /// Whom the certificate names that the peer has shown, if it has.
    pub fn certificate_names(&self) -> Option<CertificateNames> {
        self.tls()?.certificate().map(|certificate| CertificateNames::read(certificate))
    }

    /// Whether the peer begins with a TLS handshake. Waits for its first byte without consuming it.
    pub async fn begins_with_tls(&self) -> io::Result<bool> {
        const HANDSHAKE: u8 = 22;
        let mut first = [0];
        let bytes = waiting(Wait::SOCKET_READ, self.socket().peek(&mut first)).await?;
        Ok(bytes == 1 && first[0] == HANDSHAKE)
    }

    /// Whether the peer has closed its sending side, even if input is still unread.
    pub fn is_closed_by_peer(&self) -> bool {
        #[cfg(target_os = "linux")]
        let closed = PollFlags::RDHUP;
        #[cfg(not(target_os = "linux"))]
        let closed = PollFlags::HUP;
        let mut sockets = [PollFd::new(self.socket().get_ref(), closed)];
        poll(&mut sockets, Some(&Timespec::default())).is_ok_and(|ready| ready > 0)
    }

    /// Waits until the peer has closed its sending side and everything before that was read. Only
    /// one task may wait to read.
    pub fn poll_half_closed(&self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.socket().get_ref().peek(&mut [0]) {
                Ok(1..) => return Poll::Pending,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
            if self.socket().poll_readable(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Sends a last word to a peer that has been sent nothing yet, and closes, without waiting.
    /// Bytes that the kernel does not take at once are lost.
    pub fn refuse(&self, notice: &[u8]) {
        let _ = self.write(&[IoSlice::new(notice)]);
        self.finish();
    }

    /// Closes the sending side. What the peer still sends can be read.
    pub fn finish(&self) {
        if let Some(mut web_socket) = self.web_socket() {
            web_socket.finish();
            // Bytes that the kernel does not take now are lost.
            let _ = web_socket.flush(|bytes| self.write_framed(&[IoSlice::new(bytes)]));
        }
        if let Some(mut tls) = self.tls() {
            tls.finish(self.socket().get_ref());
        }
        // Fails only when the connection is gone already.
        let _ = self.socket().get_ref().shutdown(Shutdown::Write);
    }
}

/// Ends a connection, whatever its task is doing.
#[derive(Clone)]
pub struct Cutter(Weak<Shared>);

impl Cutter {
    /// Ends the connection: its reader and writer see it closed, and the kernel discards what it
    /// has not sent.
    pub fn cut(&self) {
        let Some(shared) = self.0.upgrade() else { return };
        let socket = shared.socket.get_ref();
        // Each fails only when the connection is gone already.
        let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
        let _ = socket.shutdown(Shutdown::Both);
    }
}

/// `None` if the operation would block, or was interrupted and can be tried again.
fn unless_blocked<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) =>
        {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// A peer's socket, and our end of its connection.
#[cfg(test)]
fn connected() -> (TcpStream, Connection) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let peer = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let accepted = Async::new(listener.accept().unwrap().0).unwrap();
    (peer, Connection::new(accepted, Duration::from_secs(60), Default::default()).unwrap())
}

#[cfg(test)]
mod tests {
    use super::*;
    use testkit::patience::wait_until;

    #[test]
    fn a_peer_that_has_closed_is_known_although_its_bytes_are_unread() {
        let (mut peer, connection) = connected();
        peer.write_all(b"PING").unwrap();
        assert!(!connection.is_closed_by_peer());
        drop(peer);
        wait_until("the close has arrived", || connection.is_closed_by_peer());
    }
}

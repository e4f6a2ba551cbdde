//! Sockets: accepting, reading, writing, and telling the dead from the quiet. Knows no protocol.
//!
//! A front-end binds a [`Listener`], makes each accepted stream a [`Connection`], and in that connection's task runs a
//! [`Reader`] and [`write_all_from`] side by side.

mod listener;
mod reader;
mod write_buffer;
mod writer;

pub use listener::{Accepted, Gate, GateLimits, Listener, Permit, Refusal, refuse};
pub use reader::Reader;
pub use write_buffer::WriteBuffer;
pub use writer::{Filled, Idle, Liveness, Outcome, Source, WriterSettings, write_all_from};

use async_io::Async;
use rustix::net::sockopt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A TCP connection that its reader and its writer share.
#[derive(Clone)]
pub struct Connection {
    shared: Arc<Shared>,
}

struct Shared {
    socket: Async<TcpStream>,
    began: Instant,
    /// When something was last read, in milliseconds since `began`.
    last_read_ms: AtomicU64,
    unwritten_bytes: AtomicUsize,
}

impl Connection {
    /// Takes an accepted stream: no delay for small writes, and the kernel ends the connection (an error for reader
    /// and writer) when the peer's machine has acknowledged nothing for `unacknowledged`: a half-open connection.
    pub fn new(socket: Async<TcpStream>, unacknowledged: Duration) -> io::Result<Connection> {
        let tcp = socket.get_ref();
        tcp.set_nodelay(true)?;
        sockopt::set_socket_keepalive(tcp, true)?;
        // A third of the time to each probe: the last one is due when `unacknowledged` is over.
        let probe = (unacknowledged / 3).max(Duration::from_secs(1));
        sockopt::set_tcp_keepidle(tcp, probe)?;
        sockopt::set_tcp_keepintvl(tcp, probe)?;
        #[cfg(target_os = "linux")]
        sockopt::set_tcp_user_timeout(tcp, u32::try_from(unacknowledged.as_millis()).unwrap_or(u32::MAX))?;
        let shared = Shared {
            socket,
            began: Instant::now(),
            last_read_ms: AtomicU64::new(0),
            unwritten_bytes: AtomicUsize::new(0),
        };
        Ok(Connection { shared: Arc::new(shared) })
    }

    /// The socket.
    pub fn socket(&self) -> &Async<TcpStream> {
        &self.shared.socket
    }

    /// When something was last read; when the connection began if nothing was.
    pub fn last_read(&self) -> Instant {
        self.shared.began + Duration::from_millis(self.shared.last_read_ms.load(Ordering::Relaxed))
    }

    /// Bytes rendered for the peer that the kernel has not taken.
    pub fn unwritten_bytes(&self) -> usize {
        self.shared.unwritten_bytes.load(Ordering::Relaxed)
    }

    /// Tells the peer that nothing more will come. What it still sends can be read.
    pub fn finish(&self) {
        // Fails only when the connection is gone already.
        let _ = self.socket().get_ref().shutdown(Shutdown::Write);
    }

    /// Reads without waiting.
    fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket().get_ref().read(buffer)
    }

    /// Writes without waiting.
    fn write(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match slices {
            [one] => self.socket().get_ref().write(one),
            several => self.socket().get_ref().write_vectored(several),
        }
    }

    fn note_unwritten(&self, bytes: usize) {
        self.shared.unwritten_bytes.store(bytes, Ordering::Relaxed);
    }

    fn note_read(&self) {
        let now_ms = self.shared.began.elapsed().as_millis();
        self.shared.last_read_ms.store(u64::try_from(now_ms).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

//! A blocking connection to a server, plain or with TLS.

use super::trust::{Trust, explained};
use crate::locks::lock;
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Mutex;
use std::time::Duration;

/// How a server that speaks TLS answers a client that does not: with a record that holds an alert.
const TLS_ALERT: &[u8] = &[21, 3];

/// Whether this is how a server that speaks TLS answers a client that does not.
pub fn is_tls_alert(received: &[u8]) -> bool {
    received.starts_with(TLS_ALERT)
}

/// `HOST[:PORT]` with the default port where it has none.
pub fn with_port(address: &str, default_port: u16) -> String {
    match address.rsplit_once(':') {
        Some((_, port)) if !port.contains(']') => address.to_owned(),
        _ => format!("{address}:{default_port}"),
    }
}

/// A connection that one thread can read while another writes.
#[derive(Debug)]
pub struct ClientStream {
    socket: TcpStream,
    tls: Option<Mutex<ClientConnection>>,
}

impl ClientStream {
    /// Connects to `HOST:PORT`, with TLS if `trust` is given. `patience` limits each step, and each
    /// read and write until [`set_patience`](Self::set_patience).
    pub fn connect(address: &str, trust: Option<&Trust>, patience: Duration) -> io::Result<Self> {
        let mut failed = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address_found in address.to_socket_addrs()? {
            match TcpStream::connect_timeout(&address_found, patience) {
                Ok(socket) => {
                    socket.set_nodelay(true)?;
                    let plain = Self::from(socket);
                    plain.set_patience(Some(patience))?;
                    return match trust {
                        Some(trust) => plain.secure(address, trust),
                        None => Ok(plain),
                    };
                }
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// Upgrades a plain connection to TLS. The server's certificate must be for the host in
    /// `HOST:PORT`.
    pub fn secure(mut self, address: &str, Trust(config): &Trust) -> io::Result<Self> {
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        let mut tls = ClientConnection::new(config.clone(), name).map_err(io::Error::other)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut self.socket).map_err(explained)?;
        }
        Ok(Self { tls: Some(Mutex::new(tls)), ..self })
    }

    /// Whether this is a TLS connection.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Limits how long reads and writes wait; `None` for no limit.
    pub fn set_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(patience)?;
        self.socket.set_write_timeout(patience)
    }

    /// Limits how long reads wait, and leaves writes as they are.
    pub fn set_read_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        self.socket.set_read_timeout(patience)
    }

    /// Closes the sending side.
    pub fn finish(&self) {
        if let Some(tls) = &self.tls {
            let mut tls = lock(tls);
            tls.send_close_notify();
            // Fails only if the connection is gone, as does the shutdown.
            let _ = flush(&mut tls, &self.socket);
        }
        let _ = self.socket.shutdown(Shutdown::Write);
    }
}

/// A plain connection with the socket's own time-outs.
impl From<TcpStream> for ClientStream {
    fn from(socket: TcpStream) -> Self {
        Self { socket, tls: None }
    }
}

/// For `poll`. Once it reports input, one read with a large buffer takes everything there is.
impl AsFd for ClientStream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Read for ClientStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self).read(into)
    }
}

impl Read for &ClientStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else { return (&self.socket).read(into) };
        loop {
            match lock(tls).reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Many servers end the stream without a TLS goodbye.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            // Waits without the lock, so that others can write meanwhile.
            self.socket.peek(&mut [0])?;
            let mut tls = lock(tls);
            tls.read_tls(&mut &self.socket)?;
            let processed = tls.process_new_packets();
            flush(&mut tls, &self.socket)?;
            processed.map_err(|error| explained(io::Error::new(ErrorKind::InvalidData, error)))?;
        }
    }
}

impl Write for &ClientStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Some(tls) = &self.tls else { return (&self.socket).write(bytes) };
        let mut tls = lock(tls);
        let written_bytes = tls.writer().write(bytes)?;
        flush(&mut tls, &self.socket)?;
        Ok(written_bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn flush(tls: &mut ClientConnection, mut socket: &TcpStream) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(&mut socket)?;
    }
    Ok(())
}

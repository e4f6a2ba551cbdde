//! A blocking connection for single messages.

use super::options::{ServerOptions, check_subject};
use crate::codec::nats::{Incoming, MessageHead, incoming};
use crate::transport::ClientStream;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::time::Duration;

/// The longest line that is read, and the largest message: more than servers allow.
const LINE_BYTES_MAX: u64 = 1 << 20;
const MESSAGE_BYTES_MAX: usize = 256 << 20;

/// A connection that is logged in.
pub struct Connection {
    reader: BufReader<ClientStream>,
    address: String,
}

/// A received message.
#[derive(Debug, Default)]
pub struct Message {
    /// Its subject, and whom to answer.
    pub head: MessageHead,
    /// Its block of headers, as text.
    pub headers: String,
    /// Its payload.
    pub payload: Vec<u8>,
}

/// A message to send.
pub struct Outgoing<'m> {
    pub subject: &'m str,
    pub reply_to: Option<&'m str>,
    pub headers: &'m [(String, String)],
    pub payload: &'m [u8],
}

impl Connection {
    pub fn open(server: &ServerOptions) -> Result<Self, String> {
        let endpoint = server.endpoint()?;
        let address = endpoint.access.address.clone();
        Ok(Self { reader: endpoint.connect()?.into_reader(), address })
    }

    /// Subscribes to `subject`.
    pub fn subscribe(
        &mut self,
        subject: &str,
        queue: Option<&str>,
        sid: usize,
    ) -> Result<(), String> {
        check_subject(subject)?;
        queue.map_or(Ok(()), check_subject)?;
        let queue = queue.map(|queue| format!(" {queue}")).unwrap_or_default();
        self.write(format!("SUB {subject}{queue} {sid}\r\n").as_bytes())
    }

    /// Sends bytes of the protocol.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), String> {
        let mut stream = self.reader.get_ref();
        stream.write_all(bytes).map_err(|error| self.broken(&error))
    }

    /// Waits until the server has handled everything sent so far. Messages that arrive meanwhile go
    /// to `take`.
    pub fn sync(&mut self, mut take: impl FnMut(Message)) -> Result<(), String> {
        self.write(b"PING\r\n")?;
        loop {
            match self.next_line()? {
                Some(Incoming::Pong) => return Ok(()),
                Some(Incoming::Message(head)) => take(self.message(head)?),
                _ => {}
            }
        }
    }

    /// The next message; `None` if none arrives in time.
    pub fn next(&mut self, wait: Option<Duration>) -> Result<Option<Message>, String> {
        let set = self.reader.get_ref().set_read_patience(wait);
        set.map_err(|error| self.broken(&error))?;
        loop {
            match self.next_line()? {
                None => return Ok(None),
                Some(Incoming::Message(head)) => return self.message(head).map(Some),
                _ => {}
            }
        }
    }

    /// Whether received bytes are waiting.
    pub fn has_more(&self) -> bool {
        !self.reader.buffer().is_empty()
    }

    /// The next line; `None` if none arrives in time. Answers pings.
    fn next_line(&mut self) -> Result<Option<Incoming>, String> {
        let mut line = String::new();
        match (&mut self.reader).take(LINE_BYTES_MAX).read_line(&mut line) {
            Ok(0) => return Err(format!("{} closed the connection", self.address)),
            Ok(_) => {}
            Err(error) if line.is_empty() && is_time_out(&error) => return Ok(None),
            Err(error) => return Err(self.broken(&error)),
        }
        match incoming(line.trim_end()) {
            Some(Incoming::Ping) => self.write(b"PONG\r\n").map(|()| Some(Incoming::Ping)),
            Some(Incoming::Error(said)) => Err(format!("{} said: {said}", self.address)),
            Some(incoming) => Ok(Some(incoming)),
            None => Err(format!("{} does not speak NATS: {:?}", self.address, line.trim_end())),
        }
    }

    fn message(&mut self, head: MessageHead) -> Result<Message, String> {
        if head.total_bytes > MESSAGE_BYTES_MAX {
            return Err(format!("{} sends {} bytes at once", self.address, head.total_bytes));
        }
        let mut bytes = vec![0; head.total_bytes + 2];
        self.reader.read_exact(&mut bytes).map_err(|error| self.broken(&error))?;
        bytes.truncate(head.total_bytes);
        let payload = bytes.split_off(head.header_bytes);
        let headers = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Message { head, headers, payload })
    }

    fn broken(&self, error: &io::Error) -> String {
        format!("{} broke off: {error}", self.address)
    }
}

impl Outgoing<'_> {
    /// Appends the message in the protocol's form.
    pub fn append(&self, out: &mut Vec<u8>) {
        let reply_to = self.reply_to.map(|subject| format!(" {subject}")).unwrap_or_default();
        let (subject, payload_bytes) = (self.subject, self.payload.len());
        if self.headers.is_empty() {
            out.extend(format!("PUB {subject}{reply_to} {payload_bytes}\r\n").as_bytes());
        } else {
            let pairs = self.headers.iter().map(|(name, value)| format!("{name}: {value}\r\n"));
            let headers = format!("NATS/1.0\r\n{}\r\n", pairs.collect::<String>());
            let (header_bytes, total) = (headers.len(), headers.len() + payload_bytes);
            out.extend(format!("HPUB {subject}{reply_to} {header_bytes} {total}\r\n").as_bytes());
            out.extend(headers.as_bytes());
        }
        out.extend(self.payload);
        out.extend(b"\r\n");
    }
}

fn is_time_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

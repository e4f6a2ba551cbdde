//! The lines that a server sends.

use crate::codec::lines::append_text;
use crate::transport::{ClientStream, is_tls_alert};
use std::io::{self, BufRead, BufReader, ErrorKind, Read};
use std::sync::Arc;

/// The longest piece of a line from the server that is shown on one line.
const SHOWN_BYTES: u64 = 64 * 1024;

/// Lines made harmless: a server that is not ours could send anything at all to this terminal.
pub struct ServerLines {
    stream: BufReader<Reading>,
    line: Vec<u8>,
    /// Whether the server has said anything.
    is_greeted: bool,
}

struct Reading(Arc<ClientStream>);

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(into)
    }
}

impl ServerLines {
    pub fn new(stream: &Arc<ClientStream>) -> Self {
        let stream = BufReader::new(Reading(stream.clone()));
        Self { stream, line: Vec::new(), is_greeted: false }
    }

    /// The next line without its end; `None` when the server has closed.
    pub fn next(&mut self) -> io::Result<Option<String>> {
        self.line.clear();
        let mut piece = (&mut self.stream).take(SHOWN_BYTES);
        let read = piece.read_until(b'\n', &mut self.line);
        // Before the error: a reset may follow the alert.
        if is_tls_alert(&self.line) {
            return Err(io::Error::other("the server speaks TLS; connect with --tls"));
        }
        read.map_err(silent)?;
        if self.line.is_empty() {
            return if self.is_greeted { Ok(None) } else { Err(io::Error::other(NO_GREETING)) };
        }
        self.is_greeted = true;
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let mut shown = Vec::with_capacity(self.line.len());
        append_text(&mut shown, line.strip_suffix(b"\r").unwrap_or(line), usize::MAX);
        Ok(Some(String::from_utf8_lossy(&shown).into_owned()))
    }
}

const NO_GREETING: &str = "the server said nothing; if it speaks TLS, connect with --tls";

/// An error for a person whose wait took too long.
fn silent(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => io::Error::other(NO_GREETING),
        _ => error,
    }
}

//! What a server says, line by line.

use crate::codec::lines::append_text;
use crate::transport::ClientStream;
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

/// The longest piece of a line from the server that is shown on one line.
const SHOWN_BYTES: u64 = 64 * 1024;

/// Lines made harmless: a server that is not ours could send anything at all to this terminal.
pub struct ServerLines {
    stream: BufReader<Reading>,
    line: Vec<u8>,
}

struct Reading(Arc<ClientStream>);

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(into)
    }
}

impl ServerLines {
    pub fn new(stream: &Arc<ClientStream>) -> Self {
        Self { stream: BufReader::new(Reading(stream.clone())), line: Vec::new() }
    }

    /// The next line without its end; `None` when the server has closed.
    pub fn next(&mut self) -> io::Result<Option<String>> {
        self.line.clear();
        (&mut self.stream).take(SHOWN_BYTES).read_until(b'\n', &mut self.line)?;
        if self.line.is_empty() {
            return Ok(None);
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        let mut shown = Vec::with_capacity(self.line.len());
        append_text(&mut shown, line.strip_suffix(b"\r").unwrap_or(line), usize::MAX);
        Ok(Some(String::from_utf8_lossy(&shown).into_owned()))
    }
}

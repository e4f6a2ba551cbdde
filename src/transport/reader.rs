//! Reading from a socket into one buffer that is used again and again.

use super::Connection;
use crate::limits::{READ_BUFFER_BYTES, READS_PER_TURN};
use crate::tasks::{Wait, waiting};
use futures_lite::future::yield_now;
use std::io::{self, Read};

/// Reads a connection's bytes.
pub struct Reader {
    connection: Connection,
    buffer: Vec<u8>,
    size_bytes: usize,
    reads_in_turn: usize,
}

impl Reader {
    /// A reader; its buffer is made when there is something to read.
    pub fn new(connection: Connection) -> Reader {
        Reader { connection, buffer: Vec::new(), size_bytes: READ_BUFFER_BYTES.0, reads_in_turn: 0 }
    }

    /// What has arrived, all that fits into the buffer; nothing at the end of the stream. Cancel safe.
    ///
    /// The buffer grows while reads fill it. A connection that has nothing to say holds none.
    pub async fn read(&mut self) -> io::Result<&[u8]> {
        let read_bytes = loop {
            if self.reads_in_turn >= READS_PER_TURN {
                self.reads_in_turn = 0;
                yield_now().await;
            }
            self.buffer.resize(self.size_bytes, 0);
            match self.connection.socket().get_ref().read(&mut self.buffer) {
                Ok(read_bytes) => break read_bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait().await?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        self.reads_in_turn += 1;
        self.connection.traffic().note_read(read_bytes);
        self.adapt(read_bytes);
        Ok(&self.buffer[..read_bytes])
    }

    async fn wait(&mut self) -> io::Result<()> {
        self.buffer = Vec::new();
        self.reads_in_turn = 0;
        waiting(Wait::SOCKET_READ, self.connection.socket().readable()).await
    }

    fn adapt(&mut self, read_bytes: usize) {
        if read_bytes == self.size_bytes {
            self.size_bytes = (self.size_bytes * 2).min(READ_BUFFER_BYTES.1);
        } else if read_bytes < self.size_bytes / 4 {
            self.size_bytes = (self.size_bytes / 2).max(READ_BUFFER_BYTES.0);
        }
    }
}

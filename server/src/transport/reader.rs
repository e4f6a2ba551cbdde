//! Reading from a socket into one buffer that is reused.

use super::Connection;
use super::gathering::Gathering;
use crate::limits::{READ_BUFFER_BYTES, READ_GATHER_US, READ_GATHERED_BYTES, READS_PER_TURN};
use crate::tasks::{Wait, waiting};
use async_io::Timer;
use bytes::{Bytes, BytesMut};
use futures_lite::future::yield_now;
use std::io;
use std::time::Duration;

/// Reads a connection's bytes.
pub struct Reader {
    connection: Connection,
    buffer: BytesMut,
    size_bytes: usize,
    reads_in_turn: u8,
    gathering: Gathering,
    /// Made for the first pause and reset for each.
    pause: Option<Box<Timer>>,
}

impl Reader {
    /// A reader. Its buffer is allocated once there is something to read.
    pub fn new(connection: Connection) -> Self {
        Self {
            connection,
            buffer: BytesMut::new(),
            size_bytes: READ_BUFFER_BYTES.0,
            reads_in_turn: 0,
            gathering: Gathering::default(),
            pause: None,
        }
    }

    /// Reads what has arrived, as far as the buffer has room; empty at the end of the stream.
    /// Cancel safe.
    pub async fn read(&mut self) -> io::Result<&[u8]> {
        self.buffer.clear();
        self.read_more().await?;
        Ok(&self.buffer)
    }

    /// Appends what arrives to what is left in [`buffer_mut`](Self::buffer_mut), and returns the
    /// number of bytes; 0 at the end of the stream. Cancel safe.
    ///
    /// The buffer grows while reads fill it. A quiet connection with nothing left over holds none.
    pub async fn read_more(&mut self) -> io::Result<usize> {
        if self.gathering.is_on() {
            self.gather().await;
        }
        self.connection.shared.allowance.available().await;
        let kept_bytes = self.buffer.len();
        self.connection.traffic().note_gathered(kept_bytes);
        let last_read = self.connection.traffic().last_read();
        let read_bytes = loop {
            if self.reads_in_turn >= READS_PER_TURN {
                self.reads_in_turn = 0;
                yield_now().await;
            }
            match self.read_behind() {
                Ok(read_bytes) => break read_bytes,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.wait().await?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        };
        self.reads_in_turn += if read_bytes < READ_BUFFER_BYTES.1 { 1 } else { READS_PER_TURN };
        self.gathering
            .note(read_bytes, self.connection.traffic().last_read().duration_since(last_read));
        self.adapt(read_bytes);
        Ok(read_bytes)
    }

    /// Bytes that were read and not taken out yet. Bytes taken out share the buffer, so they can be
    /// kept without a copy.
    pub fn buffer_mut(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Reads without waiting. Room that nothing was in is not filled with zeros first, which would
    /// cost as much as parsing what comes; `Vec` can do that, and `BytesMut` can become one.
    fn read_behind(&mut self) -> io::Result<usize> {
        let mut room = Vec::from(std::mem::take(&mut self.buffer));
        room.reserve(self.connection.shared.allowance.limit(self.size_bytes));
        let read = self.connection.read_behind(&mut room);
        self.buffer = Bytes::from(room).into();
        read
    }

    async fn gather(&mut self) {
        let pause = self.pause.get_or_insert_with(|| Box::new(Timer::never()));
        pause.set_after(Duration::from_micros(READ_GATHER_US));
        waiting(Wait::fixed("bytes to gather"), &mut **pause).await;
        self.reads_in_turn = 0;
    }

    async fn wait(&mut self) -> io::Result<()> {
        // A little that is left over may have to wait for long, and keeps no large buffer.
        if self.buffer.len() <= self.size_bytes / 4 {
            self.buffer = BytesMut::from(&self.buffer[..]);
        }
        self.reads_in_turn = 0;
        waiting(Wait::SOCKET_READ, self.connection.socket().readable()).await
    }

    fn adapt(&mut self, read_bytes: usize) {
        if read_bytes >= self.size_bytes {
            let gathers = self.gathering.is_on();
            let most_bytes = if gathers { READ_GATHERED_BYTES } else { READ_BUFFER_BYTES.1 };
            self.size_bytes = (self.size_bytes * 2).min(most_bytes);
        } else if read_bytes < self.size_bytes / 4 {
            self.size_bytes = (self.size_bytes / 2).max(READ_BUFFER_BYTES.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::connected;
    use super::*;
    use bytes::Buf;
    use futures_lite::future::{block_on, poll_once};
    use std::io::Write;
    use std::time::Instant;

    #[test]
    fn a_flood_is_read_in_large_pieces_and_what_is_left_over_keeps_no_large_buffer() {
        let (mut peer, connection) = connected();
        peer.set_nonblocking(true).unwrap();
        let mut reader = Reader::new(connection);
        let began = Instant::now();
        let piece = vec![b'x'; 1 << 20];
        while reader.buffer.len() <= READ_GATHERED_BYTES {
            let _ = peer.write(&piece);
            reader.buffer.clear();
            let _ = block_on(poll_once(reader.read_more()));
            let is_in_time = began.elapsed() < Duration::from_secs(60);
            assert!(is_in_time, "a read brings up to {} bytes", reader.size_bytes);
        }
        reader.buffer.advance(reader.buffer.len() - 1);
        let _ = block_on(poll_once(reader.wait()));
        assert_eq!((&reader.buffer[..], reader.buffer.capacity()), (&b"x"[..], 1));
    }
}

//! WebSocket frames on a connection, between the socket and the reader and writer, which do not
//! notice them.

use crate::codec::web_socket::{
    CloseCode, CloseFrame, StreamDecoder, append_binary, append_close, closing,
};
use crate::limits::WEB_SOCKET_FRAME_BYTES;
use bytes::Bytes;
use std::io::{self, IoSlice};

/// The frames of one connection.
pub(super) struct WebSocket {
    decoder: StreamDecoder,
    /// Read and not decoded yet.
    unread: Vec<u8>,
    /// Frames that the kernel has not taken yet.
    unwritten: Vec<u8>,
    /// The peer has closed, or was closed: nothing more is read.
    is_over: bool,
}

impl WebSocket {
    /// `early` came right behind the handshake.
    pub fn new(early: &Bytes) -> Self {
        Self {
            decoder: StreamDecoder::default(),
            unread: early.to_vec(),
            unwritten: Vec::new(),
            is_over: false,
        }
    }

    /// Reads what `read` brings, without its frames. Answers to pings wait for a
    /// [`flush`](Self::flush).
    pub fn read(
        &mut self,
        into: &mut [u8],
        mut read: impl FnMut(&mut [u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let mut input = &self.unread[..];
            let decoded = self.decoder.decode(&mut input, into, &mut self.unwritten);
            self.unread = input.to_vec();
            match decoded {
                Err(frame) => self.close(&frame),
                Ok(moved) if moved > 0 => return Ok(moved),
                Ok(_) => {}
            }
            if self.is_over {
                return Ok(0);
            }
            let kept = self.unread.len();
            self.unread.resize(kept + into.len(), 0);
            let result = read(&mut self.unread[kept..]);
            self.unread.truncate(kept + result.as_ref().map_or(0, |&bytes| bytes));
            if result? == 0 {
                return Ok(0);
            }
        }
    }

    /// Takes at most one frame of bytes. What `write` does not take at once goes out with the next
    /// write or [`flush`](Self::flush).
    pub fn write(
        &mut self,
        slices: &[IoSlice<'_>],
        mut write: impl FnMut(&[u8]) -> io::Result<usize>,
    ) -> io::Result<usize> {
        self.flush(&mut write)?;
        let mut left = WEB_SOCKET_FRAME_BYTES;
        let pieces = slices.iter().map_while(|slice| {
            let piece = &slice[..slice.len().min(left)];
            left -= piece.len();
            (!piece.is_empty() || slice.is_empty()).then_some(piece)
        });
        let pieces: Vec<&[u8]> = pieces.collect();
        append_binary(&mut self.unwritten, pieces.iter().copied());
        match self.flush(write) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(pieces.iter().map(|piece| piece.len()).sum()),
        }
    }

    /// Writes what waits.
    pub fn flush(&mut self, mut write: impl FnMut(&[u8]) -> io::Result<usize>) -> io::Result<()> {
        let mut written = 0;
        let result = loop {
            if written == self.unwritten.len() {
                break Ok(());
            }
            match write(&self.unwritten[written..]) {
                Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
                Ok(bytes) => written += bytes,
                Err(error) => break Err(error),
            }
        };
        self.unwritten.drain(..written);
        if self.unwritten.is_empty() {
            // A quiet connection keeps no buffer.
            self.unwritten = Vec::new();
        }
        result
    }

    /// The server ends the connection.
    pub fn finish(&mut self) {
        self.close(&closing(CloseCode::Away, ""));
    }

    fn close(&mut self, frame: &CloseFrame) {
        if !std::mem::replace(&mut self.is_over, true) {
            append_close(&mut self.unwritten, frame);
        }
    }
}

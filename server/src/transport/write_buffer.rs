//! The bytes that wait for a socket, in order: some rendered for this peer, some shared with
//! others.

use crate::limits::WRITE_SLICES;
use bytes::{Buf, Bytes};
use std::collections::VecDeque;
use std::io::IoSlice;

/// Bytes for a peer that the kernel has not taken yet.
#[derive(Debug, Default)]
pub struct WriteBuffer {
    /// Goes out first. Present only if something shared waits, or waited when the tail began.
    pieces: VecDeque<Bytes>,
    pieces_bytes: usize,
    /// Goes out last. Rendered for this peer.
    tail: Vec<u8>,
    /// How much of the tail has been written; 0 until all pieces are.
    tail_written_bytes: usize,
    cap_bytes: usize,
}

impl WriteBuffer {
    /// An empty buffer that is full at `cap_bytes`.
    pub fn new(cap_bytes: usize) -> Self {
        Self { cap_bytes, ..Self::default() }
    }

    /// The number of bytes that wait.
    pub fn waiting_bytes(&self) -> usize {
        self.pieces_bytes + self.tail.len() - self.tail_written_bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting_bytes() == 0
    }

    /// Whether a [`Source`](super::Source) must stop. It asks between two messages, so the last one
    /// may exceed the cap.
    pub fn is_full(&self) -> bool {
        self.waiting_bytes() >= self.cap_bytes || self.pieces.len() >= WRITE_SLICES - 1
    }

    /// How many bytes fit before it is full.
    pub fn room_bytes(&self) -> usize {
        self.cap_bytes.saturating_sub(self.waiting_bytes())
    }

    /// The bytes for this peer alone, to which a [`Source`](super::Source) appends.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.tail
    }

    /// Appends shared bytes without copying them. For small pieces
    /// [`bytes_mut`](Self::bytes_mut) is cheaper.
    pub fn push_shared(&mut self, piece: Bytes) {
        if self.tail.len() > self.tail_written_bytes {
            let own =
                Bytes::from(std::mem::take(&mut self.tail)).split_off(self.tail_written_bytes);
            self.push_piece(own);
        } else {
            self.tail.clear();
        }
        self.tail_written_bytes = 0;
        self.push_piece(piece);
    }

    fn push_piece(&mut self, piece: Bytes) {
        self.pieces_bytes += piece.len();
        self.pieces.push_back(piece);
    }

    /// Passes what waits to `write`, in order, which returns how much it took.
    pub(super) fn write_with<E>(
        &mut self,
        write: impl FnOnce(&[IoSlice<'_>]) -> Result<usize, E>,
    ) -> Result<usize, E> {
        let written_bytes = if self.pieces.is_empty() {
            write(&[IoSlice::new(&self.tail[self.tail_written_bytes..])])?
        } else {
            let mut slices = [IoSlice::new(&[]); WRITE_SLICES];
            let waiting = self
                .pieces
                .iter()
                .map(|piece| &piece[..])
                .chain([&self.tail[self.tail_written_bytes..]]);
            let mut count = 0;
            for (slice, bytes) in slices.iter_mut().zip(waiting.filter(|bytes| !bytes.is_empty())) {
                *slice = IoSlice::new(bytes);
                count += 1;
            }
            write(&slices[..count])?
        };
        self.wrote(written_bytes);
        Ok(written_bytes)
    }

    fn wrote(&mut self, mut bytes: usize) {
        while let Some(first) = self.pieces.front_mut() {
            let from_first = bytes.min(first.len());
            first.advance(from_first);
            bytes -= from_first;
            self.pieces_bytes -= from_first;
            if !first.is_empty() {
                return;
            }
            self.pieces.pop_front();
        }
        self.tail_written_bytes += bytes;
        if self.is_empty() {
            self.tail.clear();
            self.tail_written_bytes = 0;
        } else if self.tail_written_bytes > self.tail.len() / 2 {
            self.tail.drain(..self.tail_written_bytes);
            self.tail_written_bytes = 0;
        }
    }

    /// Frees memory when nothing more is ready: most connections are quiet most of the time.
    pub(super) fn release(&mut self) {
        if self.is_empty() {
            self.tail = Vec::new();
            self.pieces = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes up to this many bytes, and returns them.
    fn take(buffer: &mut WriteBuffer, at_most: usize) -> Vec<u8> {
        let mut taken = Vec::new();
        let took = buffer.write_with(|slices| {
            slices.iter().for_each(|slice| taken.extend_from_slice(slice));
            taken.truncate(at_most);
            Ok::<usize, ()>(taken.len())
        });
        assert_eq!(took, Ok(taken.len()));
        taken
    }

    #[test]
    fn it_counts_what_waits_and_gives_its_memory_back() {
        let mut buffer = WriteBuffer::new(10);
        buffer.bytes_mut().extend_from_slice(b"0123456789ab");
        assert!(buffer.is_full());
        assert_eq!(take(&mut buffer, 7), b"0123456");
        assert_eq!((buffer.waiting_bytes(), buffer.is_full(), buffer.room_bytes()), (5, false, 5));
        buffer.bytes_mut().push(b'c');
        assert_eq!(take(&mut buffer, 6), b"789abc");
        buffer.release();
        assert_eq!(
            (buffer.is_empty(), buffer.tail.capacity(), buffer.pieces.capacity()),
            (true, 0, 0)
        );
    }

    #[test]
    fn own_and_shared_pieces_keep_their_order_at_every_split() {
        let all = b"own 1, shared 1, shared 2, own 2, shared 3, own 3";
        for step in 1..=all.len() {
            let mut buffer = WriteBuffer::new(1000);
            let mut taken = Vec::new();
            buffer.bytes_mut().extend_from_slice(b"own 1, ");
            taken.extend(take(&mut buffer, step.min(3)));
            buffer.push_shared(Bytes::from_static(b"shared 1, "));
            buffer.push_shared(Bytes::from_static(b"shared 2, "));
            taken.extend(take(&mut buffer, step));
            buffer.bytes_mut().extend_from_slice(b"own 2, ");
            buffer.push_shared(Bytes::from_static(b"shared 3, "));
            buffer.bytes_mut().extend_from_slice(b"own 3");
            assert_eq!(buffer.waiting_bytes() + taken.len(), all.len());
            while !buffer.is_empty() {
                taken.extend(take(&mut buffer, step));
            }
            assert_eq!(taken, all, "{step} bytes at a time");
        }
    }

    #[test]
    fn it_is_full_when_one_write_takes_no_more_pieces() {
        let mut buffer = WriteBuffer::new(usize::MAX);
        while !buffer.is_full() {
            buffer.push_shared(Bytes::from_static(b"x"));
        }
        buffer.bytes_mut().push(b'y');
        assert_eq!(take(&mut buffer, usize::MAX).len(), WRITE_SLICES);
        assert!(buffer.is_empty() && !buffer.is_full());
    }
}

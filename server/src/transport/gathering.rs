//! Decides when a reader should pause so that bytes can gather.
//!
//! A fast reader slows down a peer that writes a stream in small pieces: each piece travels alone,
//! costs both sides a pass through the kernel, and often a sleep and a wake-up. If the reader reads
//! only every half millisecond, one buffer at a time, the stream finds its window closed now and
//! then, and the peer's own kernel joins the pieces: they arrive a hundred times as large, at
//! several times the speed. A peer that waits for answers before it writes more, however, is only
//! delayed by such pauses. The reader finds out by trying: if the peer becomes slower, it stops
//! pausing for a while.
//!
//! State without I/O or clock: times come in as arguments.

use crate::limits::{
    READ_GATHER_BYTES_PER_MS, READ_GATHER_PIECE_BYTES, READ_GATHER_REST_US, READ_GATHER_US,
    READ_GATHERED_BYTES,
};
use std::time::Duration;

/// Reads that are judged together before pausing begins.
const READS_BEFORE: u8 = 32;

/// Reads that are judged together while pausing.
const READS_GATHERED: u8 = 16;

/// After a read of this size more is waiting.
const FULL_READ_BYTES: u32 = READ_GATHERED_BYTES as u32;

/// A reader's knowledge of how its peer writes.
#[derive(Debug, Default)]
pub(super) struct Gathering {
    state: State,
    /// The reads that are judged together.
    reads: u8,
    bytes: u32,
    elapsed_us: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Watching,
    /// Pausing since the rate was `began_at` bytes a millisecond. All reads of the last `full_us`
    /// were full.
    Gathering { began_at: u32, full_us: u32 },
    /// Pausing did not help.
    Resting,
}

impl Gathering {
    /// Whether to let bytes gather before the next read.
    pub fn is_on(&self) -> bool {
        matches!(self.state, State::Gathering { .. })
    }

    /// Notes a read: how many bytes it brought, and the time since the read before.
    pub fn note(&mut self, bytes: usize, since_last: Duration) {
        self.reads = self.reads.saturating_add(1);
        self.bytes = self.bytes.saturating_add(u32::try_from(bytes).unwrap_or(u32::MAX));
        self.elapsed_us = self
            .elapsed_us
            .saturating_add(u32::try_from(since_last.as_micros()).unwrap_or(u32::MAX));
        let next = match self.state {
            State::Watching if self.reads < READS_BEFORE => return,
            State::Watching
                if self.is_stream() && self.bytes_per_read() < READ_GATHER_PIECE_BYTES =>
            {
                State::Gathering { began_at: self.bytes_per_ms(), full_us: 0 }
            }
            State::Gathering { .. } if self.reads < READS_GATHERED => return,
            State::Gathering { began_at, .. } if self.was_pointless(began_at) => State::Resting,
            State::Gathering { began_at, full_us } if self.is_stream() => {
                let is_full = self.bytes_per_read() >= FULL_READ_BYTES;
                let full_us = if is_full { full_us.saturating_add(self.elapsed_us) } else { 0 };
                // It may be faster without pauses.
                if full_us < READ_GATHER_REST_US {
                    State::Gathering { began_at, full_us }
                } else {
                    State::Watching
                }
            }
            State::Resting if self.elapsed_us < READ_GATHER_REST_US => return,
            State::Watching | State::Gathering { .. } | State::Resting => State::Watching,
        };
        *self = Self { state: next, ..Self::default() };
    }

    /// Called only after a read.
    fn bytes_per_read(&self) -> u32 {
        self.bytes / u32::from(self.reads)
    }

    fn bytes_per_ms(&self) -> u32 {
        let per_ms = u64::from(self.bytes) * 1_000 / u64::from(self.elapsed_us.max(1));
        u32::try_from(per_ms).unwrap_or(u32::MAX)
    }

    fn is_stream(&self) -> bool {
        self.bytes_per_ms() >= READ_GATHER_BYTES_PER_MS
    }

    /// Whether fewer bytes came than before although each pause ended with bytes waiting. A peer
    /// that paused by itself proves nothing about our pauses.
    fn was_pointless(&self, began_at: u32) -> bool {
        let pauses_us = u64::from(self.reads) * READ_GATHER_US;
        u64::from(self.elapsed_us) < 2 * pauses_us && self.bytes_per_ms() < began_at / 4 * 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often a peer is read within a second, and how many of these times after a pause.
    /// `piece_bytes` come every `every_us`, or, from one who waits for an answer, a while after the
    /// last read.
    fn reads_in_a_second(
        piece_bytes: usize,
        every_us: u64,
        waits_for_answers: bool,
    ) -> (usize, usize) {
        let mut gathering = Gathering::default();
        let (mut now_us, mut reads, mut paused) = (0, 0, 0);
        while now_us < 1_000_000 {
            let pause_us = if gathering.is_on() { READ_GATHER_US } else { 0 };
            let since_us = pause_us.max(every_us);
            let pieces = if waits_for_answers { 1 } else { since_us / every_us };
            let bytes = (piece_bytes * pieces as usize).min(READ_GATHERED_BYTES);
            gathering.note(bytes, Duration::from_micros(since_us));
            now_us += since_us;
            reads += 1;
            paused += usize::from(pause_us > 0);
        }
        (reads, paused)
    }

    #[test]
    fn a_stream_of_small_pieces_is_read_in_large_ones() {
        let (reads, paused) = reads_in_a_second(150, 3, false);
        assert!(paused > 1_900 && reads - paused < 100, "{paused} of {reads}");
    }

    #[test]
    fn a_peer_that_waits_for_answers_is_read_at_once() {
        // Many at a time, and as quick as a stream.
        let (reads, paused) = reads_in_a_second(64 * 150, 100, true);
        assert!(paused == 0 && reads == 10_000, "{paused} of {reads}: the pieces are large");
        let (reads, paused) = reads_in_a_second(16 * 150, 50, true);
        assert!(paused > 0 && paused < 50 && reads > 19_000, "{paused} of {reads}");
    }

    #[test]
    fn a_peer_that_writes_seldom_or_in_large_pieces_is_read_at_once() {
        for (piece_bytes, every_us) in
            [(150, 200), (150, 50), (8_192, 100), (65_536, 100), (1_000_000, 1_000)]
        {
            assert_eq!(
                reads_in_a_second(piece_bytes, every_us, false).1,
                0,
                "{piece_bytes} bytes every {every_us} us"
            );
        }
    }

    #[test]
    fn a_stream_that_ends_is_read_at_once_again() {
        let mut gathering = Gathering::default();
        let note = |gathering: &mut Gathering, times: u8, bytes, since_us| {
            (0..times).for_each(|_| gathering.note(bytes, Duration::from_micros(since_us)));
        };
        note(&mut gathering, READS_BEFORE, 150, 3);
        assert!(gathering.is_on());
        note(&mut gathering, READS_GATHERED, 25_000, READ_GATHER_US);
        assert!(gathering.is_on());
        note(&mut gathering, READS_GATHERED, 150, 100_000);
        assert!(!gathering.is_on());
        // However long it was quiet, it may begin again.
        gathering.note(1, Duration::MAX);
        note(&mut gathering, READS_BEFORE - 1, 150, 3);
        assert!(!gathering.is_on());
        note(&mut gathering, READS_BEFORE, 150, 3);
        assert!(gathering.is_on());
    }
}

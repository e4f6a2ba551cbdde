//! Figures of one connection's traffic, kept by its reader and its writer.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// The figures of one connection. They cost the connection a few uncontended additions for each
/// read and write.
#[derive(Debug)]
pub struct Traffic {
    began: Instant,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    /// In microseconds since `began`.
    last_read_us: AtomicU64,
    last_write_us: AtomicU64,
    unwritten_bytes: AtomicUsize,
    gathered_bytes: AtomicUsize,
}

impl Traffic {
    /// The traffic of a connection that begins now.
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            bytes_in: AtomicU64::new(0),
            bytes_out: AtomicU64::new(0),
            last_read_us: AtomicU64::new(0),
            last_write_us: AtomicU64::new(0),
            unwritten_bytes: AtomicUsize::new(0),
            gathered_bytes: AtomicUsize::new(0),
        }
    }

    /// When the connection began.
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Bytes read from the peer.
    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    /// Bytes that the kernel has taken for the peer.
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out.load(Ordering::Relaxed)
    }

    /// Bytes rendered for the peer that the kernel has not taken.
    pub fn unwritten_bytes(&self) -> usize {
        self.unwritten_bytes.load(Ordering::Relaxed)
    }

    /// Bytes read from the peer that do not form a whole message yet.
    pub fn gathered_bytes(&self) -> usize {
        self.gathered_bytes.load(Ordering::Relaxed)
    }

    /// Whether bytes have been waiting for the peer, and it has taken none for this long.
    pub fn is_stuck_for(&self, time: Duration) -> bool {
        self.unwritten_bytes() > 0 && self.last_write().elapsed() >= time
    }

    /// When something was last read, or when the connection began.
    pub fn last_read(&self) -> Instant {
        self.began + Duration::from_micros(self.last_read_us.load(Ordering::Relaxed))
    }

    /// When something was last read or written.
    pub fn last_activity(&self) -> Instant {
        self.last_read().max(self.last_write())
    }

    fn last_write(&self) -> Instant {
        self.began + Duration::from_micros(self.last_write_us.load(Ordering::Relaxed))
    }

    /// Counts a read. One of no bytes, the end of the stream, is a sign of life too.
    pub(super) fn note_read(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        self.last_read_us.store(self.now_us(), Ordering::Relaxed);
    }

    pub(super) fn note_written(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
        self.last_write_us.store(self.now_us(), Ordering::Relaxed);
    }

    /// Notes how many rendered bytes the kernel has not taken.
    pub(crate) fn note_unwritten(&self, bytes: usize) {
        self.unwritten_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Notes how many bytes were read that do not form a whole message yet.
    pub(crate) fn note_gathered(&self, bytes: usize) {
        self.gathered_bytes.store(bytes, Ordering::Relaxed);
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

impl Default for Traffic {
    fn default() -> Self {
        Self::new()
    }
}

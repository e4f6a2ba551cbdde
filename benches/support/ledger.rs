//! A reader's books: every message counted, each publisher's order checked.

use super::load::Load;
use super::message::Stamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// A reader tells how far it is every so many messages.
pub const PROGRESS_STEP: u64 = 32;

/// How far one reader is. On a cache line of its own, so that readers do not slow each other down.
#[repr(align(128))]
#[derive(Default)]
pub struct Progress(AtomicU64);

impl Progress {
    /// At most [`PROGRESS_STEP`]` - 1` less than the messages received.
    pub fn received(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// Kept by each reader's task, handed in at the end.
pub struct Ledger {
    next: Vec<u64>,
    received: u64,
    expected: u64,
    tells_progress: bool,
}

/// One reader's part of an outcome.
#[derive(Clone, Copy, Debug)]
pub struct Finish {
    pub received: u64,
    pub lost: u64,
    pub at: Instant,
}

impl Ledger {
    pub fn new(load: &Load) -> Self {
        Self {
            next: vec![0; load.scenario.publishers],
            received: 0,
            expected: load.expected_each(),
            tells_progress: load.warm_up > 0,
        }
    }

    /// # Panics
    /// When a message comes twice, or after a later one of the same publisher: then the figures
    /// mean nothing.
    pub fn record(&mut self, stamp: Stamp, progress: &Progress) {
        let next = &mut self.next[stamp.publisher];
        assert!(
            stamp.sequence >= *next,
            "message {} of publisher {} came after message {}",
            stamp.sequence,
            stamp.publisher,
            *next - 1
        );
        *next = stamp.sequence + 1;
        self.received += 1;
        if self.tells_progress && self.received.is_multiple_of(PROGRESS_STEP) {
            progress.0.store(self.received, Ordering::Release);
        }
    }

    /// Whether every message has come. A reader that lost some ends when its channel is closed
    /// instead.
    pub fn is_complete(&self) -> bool {
        self.received == self.expected
    }

    pub fn finish(self) -> Finish {
        Finish { received: self.received, lost: self.expected - self.received, at: Instant::now() }
    }
}

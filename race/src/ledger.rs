//! A reader's books: every message counted, each publisher's order checked.

use crate::message::Stamp;
use std::time::Instant;

/// Kept by each reader's task, handed in at the end.
pub struct Ledger {
    next: Vec<u64>,
    pub received: u64,
    expected: u64,
    /// Of the messages that tell when they were published.
    pub latencies_ns: Vec<u64>,
}

impl Ledger {
    pub fn new(publishers: usize, expected: u64) -> Self {
        Self { next: vec![0; publishers], received: 0, expected, latencies_ns: Vec::new() }
    }

    /// # Panics
    /// When a message comes twice, or after a later one of the same publisher: then the figures
    /// mean nothing.
    pub fn record(&mut self, stamp: &Stamp) {
        let next = &mut self.next[stamp.publisher];
        assert!(stamp.sequence >= *next, "{stamp:?} came after message {}", *next - 1);
        *next = stamp.sequence + 1;
        self.received += 1;
        if let Some(published) = stamp.published {
            self.latencies_ns.push(published.elapsed().as_nanos() as u64);
        }
    }

    /// Whether every message has come. A reader that lost some ends when its channel is closed
    /// instead.
    pub fn is_complete(&self) -> bool {
        self.received == self.expected
    }

    pub fn finish(self) -> Finish {
        let lost = self.expected - self.received;
        Finish {
            received: self.received,
            lost,
            latencies_ns: self.latencies_ns,
            at: Instant::now(),
        }
    }
}

/// One reader's part of an outcome.
pub struct Finish {
    pub received: u64,
    pub lost: u64,
    pub latencies_ns: Vec<u64>,
    pub at: Instant,
}

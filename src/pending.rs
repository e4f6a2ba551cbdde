//! A publisher's messages that wait in line for room, in several queues at once.

use super::queue::Offered;
use atomic_waker::AtomicWaker;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;

/// Shared between a publisher and the lines that its messages stand in. Receivers let the messages
/// in and count here; the last of them wakes the publisher, so that it is woken once, however many
/// it waits for.
#[derive(Default)]
pub(super) struct Pending {
    outstanding: AtomicUsize,
    queued: AtomicU64,
    dropped: AtomicU64,
    disconnected: AtomicU64,
    publisher: AtomicWaker,
}

/// What became of messages while they stood in line.
pub(super) struct Outcome {
    pub queued: u64,
    pub dropped: u64,
    pub disconnected: u64,
}

impl Pending {
    pub fn register(&self, waker: &Waker) {
        self.publisher.register(waker);
    }

    /// One more line stood in.
    pub fn add(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }

    pub fn is_settled(&self) -> bool {
        self.outstanding.load(Ordering::Acquire) == 0
    }

    /// Receiver: counts what it let in. Before [`settle_one`](Self::settle_one), which makes it
    /// visible.
    pub fn count(&self, offered: &Offered) {
        for (counter, more) in [
            (&self.queued, offered.queued),
            (&self.dropped, offered.dropped),
            (&self.disconnected, offered.disconnected),
        ] {
            if more > 0 {
                counter.fetch_add(u64::from(more), Ordering::Relaxed);
            }
        }
    }

    /// Receiver: one line is done. Returns the publisher to wake if it was the last.
    pub fn settle_one(&self) -> Option<Waker> {
        let was = self.outstanding.fetch_sub(1, Ordering::AcqRel);
        if was == 1 { self.publisher.take() } else { None }
    }

    /// Publisher: left one line by itself.
    pub fn take_back(&self) {
        self.outstanding.fetch_sub(1, Ordering::AcqRel);
    }

    /// Publisher: what was counted, from zero again.
    pub fn take_outcome(&self) -> Outcome {
        Outcome {
            queued: self.queued.swap(0, Ordering::AcqRel),
            dropped: self.dropped.swap(0, Ordering::AcqRel),
            disconnected: self.disconnected.swap(0, Ordering::AcqRel),
        }
    }
}

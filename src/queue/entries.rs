//! The entries of a queue, in order.
//!
//! The storage is flume's, and only its non-blocking half (`try_send`, `try_recv`): its futures
//! have faults that this queue must not have. Flume's own bound is not used either, since an entry
//! stands for many messages: the bound is the [credit](super::credit).

use crate::queue::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};

pub(super) struct Entries<M> {
    sender: flume::Sender<Entry<M>>,
    receiver: flume::Receiver<Entry<M>>,
    /// Counted here too, so that a look takes no lock. Never less than there are.
    count: AtomicUsize,
}

impl<M> Entries<M> {
    #[expect(clippy::disallowed_methods, reason = "bounded by the credit: messages and bytes")]
    pub fn new() -> Self {
        let (sender, receiver) = flume::unbounded();
        Self { sender, receiver, count: AtomicUsize::new(0) }
    }

    pub fn push(&self, entry: Entry<M>) {
        self.count.fetch_add(1, Ordering::SeqCst);
        // Cannot fail: the channel has no bound, and both its ends are here.
        let _ = self.sender.try_send(entry);
    }

    pub fn pop(&self) -> Option<Entry<M>> {
        if self.is_empty() {
            return None;
        }
        let entry = self.receiver.try_recv().ok()?;
        self.count.fetch_sub(1, Ordering::SeqCst);
        Some(entry)
    }

    #[inline]
    pub fn is_empty(&self) -> bool {
        self.count.load(Ordering::SeqCst) == 0
    }
}

//! The entries of a queue, in order.
//!
//! The storage is flume's, and only its non-blocking half (`try_send`, `try_recv`): its futures
//! have faults that this queue must not have. Flume's own bound is not used either, since an entry
//! stands for many messages: the bound is the [credit](super::credit).

use crate::log::Segment;
use crate::stats::SubscriptionId;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where a receiver finds messages. One entry stands for all that the segment holds for it from
/// there on.
pub(crate) struct Entry<M> {
    pub segment: Arc<Segment<M>>,
    /// The queue's subscription that the messages are for.
    pub id: SubscriptionId,
    pub from: u32,
    pub to: u32,
    /// Set: follow the segment as it grows, from this reader slot. Not set: read `from..to`.
    pub slot: Option<u32>,
    /// Messages dropped between the entry before and this one, and [`INTERRUPTED`].
    pub missed_before: u64,
    /// For a bridge: the queue groups for which the other system is to find a member.
    pub groups: Option<Named>,
}

/// Names of queue groups.
pub(crate) type Named = Arc<Vec<Arc<str>>>;

impl<M> Entry<M> {
    /// An entry for exactly this range of a segment.
    pub fn fixed(segment: &Arc<Segment<M>>, id: SubscriptionId, range: Range<u32>) -> Self {
        Self {
            segment: segment.clone(),
            id,
            from: range.start,
            to: range.end,
            slot: None,
            missed_before: 0,
            groups: None,
        }
    }

    /// An entry for exactly this range of the same segment, for the same subscription.
    pub fn part(&self, range: Range<u32>) -> Self {
        Self { groups: self.groups.clone(), ..Self::fixed(&self.segment, self.id, range) }
    }

    pub fn range(&self) -> Range<u32> {
        self.from..self.to
    }

    pub fn messages(&self) -> u32 {
        self.to - self.from
    }
}

/// In a gap's count: an unknown number more is missing.
pub(super) const INTERRUPTED: u64 = 1 << 63;

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

//! A look at a queue from elsewhere.

use crate::queue::Queue;
use crate::stats::{Books, EndReason, SubscriptionStats};
use std::sync::Arc;

/// Looks at a subscription or mailbox from elsewhere, and keeps it neither open nor in memory.
pub struct SubscriptionWatch<M> {
    queue: Arc<Queue<M>>,
}

impl<M> SubscriptionWatch<M> {
    pub(crate) fn new(queue: &Arc<Queue<M>>) -> Self {
        Self { queue: queue.clone() }
    }

    /// The account of the subscription's messages.
    pub fn books(&self) -> Books {
        self.queue.books()
    }

    /// All figures of the subscription.
    pub fn stats(&self) -> SubscriptionStats {
        self.queue.stats()
    }

    /// Why the subscription ended, if it has.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.queue.end_reason()
    }
}

impl<M> Clone for SubscriptionWatch<M> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

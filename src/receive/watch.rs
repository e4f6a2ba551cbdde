//! A look at a queue from elsewhere.

use crate::queue::Queue;
use crate::stats::{Books, EndReason, SubscriptionStats};
use std::sync::Arc;

/// Looks at a subscription from elsewhere. Keeps it neither open nor its messages alive.
pub struct SubscriptionWatch<M> {
    queue: Arc<Queue<M>>,
}

impl<M> SubscriptionWatch<M> {
    pub(crate) fn new(queue: &Arc<Queue<M>>) -> Self {
        Self { queue: queue.clone() }
    }

    /// The account of its messages.
    pub fn books(&self) -> Books {
        self.queue.books()
    }

    /// Everything that is known of it.
    pub fn stats(&self) -> SubscriptionStats {
        self.queue.stats()
    }

    /// Why it ended, if it has.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.queue.end_reason()
    }
}

impl<M> Clone for SubscriptionWatch<M> {
    fn clone(&self) -> Self {
        Self { queue: self.queue.clone() }
    }
}

//! A look at a queue from elsewhere, and its end from there.

use crate::drain::drain;
use crate::payload::Payload;
use crate::queue::Queue;
use crate::shared::Shared;
use crate::stats::{Books, Drained, EndReason, SubscriptionStats};
use std::sync::Arc;
use std::time::Duration;

/// Looks at a subscription or mailbox from elsewhere, and can close it. It keeps neither the
/// subscription nor its messages alive.
///
/// ```
/// use fanfare::{Broker, Pattern, Topic};
/// use std::{thread, time::Duration};
///
/// # futures_lite::future::block_on(async {
/// let broker = Broker::<u32>::new();
/// let jobs = Topic::parse("jobs")?;
/// let subscription = broker.subscribe(&Pattern::from(&jobs))?;
/// let watch = subscription.watch();
/// let mut queue = subscription.into_messages();
/// let _ = broker.publish(&jobs, 1).await?;
/// let worker = thread::spawn(move || {
///     let mut done = 0;
///     while let Some(_job) = queue.recv_blocking() {
///         done += 1;
///     }
///     done
/// });
///
/// // The worker does what it was given, and gets nothing more.
/// let drained = watch.drain(Duration::from_secs(10)).await;
/// assert_eq!(drained.given_up, 0);
/// assert_eq!(broker.publish(&jobs, 2).await?.matched, 0);
/// assert_eq!(worker.join().unwrap(), 1);
/// # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
/// ```
pub struct SubscriptionWatch<M> {
    queue: Arc<Queue<M>>,
    shared: Arc<Shared<M>>,
}

impl<M: Payload> SubscriptionWatch<M> {
    pub(crate) fn new(queue: &Arc<Queue<M>>, shared: &Arc<Shared<M>>) -> Self {
        Self { queue: queue.clone(), shared: shared.clone() }
    }

    /// Closes the subscription. See [`Subscription::close`](crate::Subscription::close).
    pub fn close(&self) {
        self.shared.close_one(&self.queue);
    }

    /// Closes the subscription, waits until it has received what is queued, and reports what was
    /// delivered. At the deadline it ends the subscription, which is told what it missed by a last
    /// [`Missed`](crate::Delivery::Missed).
    ///
    /// Cancel safe: the subscription stays closed, and nothing is given up.
    pub async fn drain(&self, deadline: Duration) -> Drained {
        let received_before = self.queue.received();
        self.close();
        let queues = [(self.queue.clone(), received_before)];
        let mut drained = drain(&self.shared, &queues, deadline).await;
        drained.remove(0)
    }
}

impl<M> SubscriptionWatch<M> {
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
        Self { queue: self.queue.clone(), shared: self.shared.clone() }
    }
}

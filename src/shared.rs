//! The state that all handles of a broker share.

use crate::payload::Payload;
use crate::policy::WhenFull;
use crate::queue::Queue;
use crate::routing::Router;
use crate::stats::tally::{Tallies, Waits};
use crate::stats::{Drained, DropStats, EndReason};
use crate::sync::lock;
use crate::topic::Topic;
use crate::trace;
use event_listener::Event;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Keeps the broker open: brokers and publishers hold it, subscriptions do not.
pub(crate) struct Handle<M: Payload> {
    pub shared: Arc<Shared<M>>,
}

pub(crate) struct Shared<M> {
    pub router: Router<M>,
    pub tallies: Tallies,
    pub waits: Waits,
    /// The drops of ended subscriptions. Whoever takes a subscription out of the router holds this
    /// lock, so that a caller that looks at both sees each subscription once.
    past_drops: Mutex<DropStats>,
    pub defaults: Defaults,
    /// Numbers kept messages, so that replays of several topics keep the order of publishing.
    pub stamps: AtomicU64,
    /// Notified when a subscription has drained or ended.
    pub settled: Arc<Event>,
    inboxes: AtomicU64,
}

/// The settings of subscriptions that do not say otherwise.
#[derive(Clone, Copy)]
pub(crate) struct Defaults {
    pub queue_messages: usize,
    pub queue_bytes: usize,
    pub when_full: WhenFull,
    pub slowest: Option<NonZeroU32>,
}

impl<M: Payload> Handle<M> {
    pub fn new(router: Router<M>, defaults: Defaults) -> Arc<Self> {
        let shared = Shared {
            router,
            tallies: Tallies::default(),
            waits: Waits::default(),
            past_drops: Mutex::default(),
            defaults,
            stamps: AtomicU64::new(1),
            settled: Arc::new(Event::new()),
            inboxes: AtomicU64::new(1),
        };
        Arc::new(Self { shared: Arc::new(shared) })
    }
}

impl<M: Payload> Drop for Handle<M> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl<M> Shared<M> {
    /// Ends a subscription and frees what it holds, whoever calls first.
    pub fn end(&self, queue: &Queue<M>, reason: EndReason) {
        let waiting = queue.end(reason);
        if waiting.is_some() {
            self.router.end_subscriptions(queue);
            let mut past_drops = lock(&self.past_drops);
            self.router.forget(queue);
            past_drops.add(queue.terms.when_full, queue.drops());
            drop(past_drops);
            self.router.note_end(queue);
            trace::ended(queue, reason);
        }
        // Last, since dropping payloads runs foreign code.
        drop(waiting);
        queue.free();
    }

    /// Messages dropped by live and past subscriptions.
    pub fn drop_stats(&self) -> DropStats {
        let (mut drops, live) = {
            let past_drops = lock(&self.past_drops);
            (past_drops.clone(), self.router.subscriptions())
        };
        live.iter().for_each(|queue| drops.add(queue.terms.when_full, queue.drops()));
        drops
    }

    pub fn close(&self) -> Vec<(Arc<Queue<M>>, u64)> {
        // The router first: only when no fan-out is under way any more may a receiver take an empty
        // queue for the end.
        let queues = self.router.close();
        queues.iter().for_each(|(queue, _)| queue.close());
        queues
    }

    /// Ends publishing to one queue. Its receiver ends when it has read everything.
    pub fn close_one(&self, queue: &Arc<Queue<M>>) {
        self.router.set_apart(queue);
        queue.close();
        // Subscriptions that the mailbox began between the first look and its close.
        self.router.end_subscriptions(queue);
    }

    pub fn settle(&self, queue: &Arc<Queue<M>>, received_before: u64) -> Drained {
        let was_given_up = !queue.is_ended() && !queue.is_drained();
        if was_given_up {
            self.end(queue, EndReason::GivenUp);
        }
        // After the end, what it had queued is final.
        let given_up = if was_given_up { u64::from(queue.queued().messages) } else { 0 };
        let delivered = queue.received() - received_before;
        Drained { id: queue.terms.id, interest: queue.terms.wanted.interest(), delivered, given_up }
    }

    pub fn new_inbox(&self) -> Topic {
        Topic::inbox(self.inboxes.fetch_add(1, Ordering::Relaxed))
    }
}

//! What became of the pushes that ask to be acknowledged, and the senders that wait to learn it.

use crate::limits::PUSH_ACKS_TRACKED;
use crate::locks::lock;
use crate::tasks::{Wait, waiting};
use event_listener::{Event, listener};
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// The outcome of one push, counted in connections.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PushStatus {
    /// The push's number.
    pub n: u64,
    /// The push's id.
    pub id: String,
    /// Connections that the push is queued for.
    pub reached: u64,
    /// Connections that had no room for the push.
    pub missed: u64,
    /// Connections for which the push was too old when their turn came.
    pub expired: u64,
    /// Connections that have acknowledged the push.
    pub acknowledged: u64,
}

/// The status of the last pushes, by number. The oldest makes room for a new one.
#[derive(Debug, Default)]
pub(super) struct AckTracker {
    by_number: BTreeMap<u64, Tracked>,
    /// The server is stopping, so nobody acknowledges anything any more.
    is_stopping: bool,
}

#[derive(Debug)]
struct Tracked {
    status: PushStatus,
    /// Before the push is handed over nobody knows how many acknowledgements there can be.
    is_handed_over: bool,
    waiter: Option<Arc<AckWaiter>>,
}

/// A sender that waits until its push is settled: all whom it reached have acknowledged it or were
/// too late for it, or there is nothing left to wait for.
#[derive(Debug, Default)]
pub(super) struct AckWaiter {
    settled: Mutex<Option<PushStatus>>,
    event: Event,
}

/// The sender to wake once the tracker's lock is released: wakers are the runtime's code.
pub(super) type ToWake = Option<Arc<AckWaiter>>;

impl AckTracker {
    /// Tracks a push from now on.
    pub fn begin(&mut self, number: u64, id: &str, waiter: Option<Arc<AckWaiter>>) -> ToWake {
        let is_full = self.by_number.len() >= PUSH_ACKS_TRACKED;
        let forgotten = if is_full { self.by_number.pop_first() } else { None };
        let status = PushStatus { n: number, id: id.to_owned(), ..PushStatus::default() };
        self.by_number.insert(number, Tracked { status, is_handed_over: false, waiter });
        forgotten.and_then(|(_, mut oldest)| oldest.settle())
    }

    /// The push is in every queue that had room.
    pub fn handed_over(&mut self, number: u64, reached: u64, missed: u64) -> ToWake {
        let is_stopping = self.is_stopping;
        let tracked = self.by_number.get_mut(&number)?;
        tracked.is_handed_over = true;
        (tracked.status.reached, tracked.status.missed) = (reached, missed);
        if is_stopping { tracked.settle() } else { tracked.settle_if_all_answered() }
    }

    /// Counts something for a push, if it is still tracked.
    pub fn count(&mut self, number: u64, count: impl FnOnce(&mut PushStatus)) -> ToWake {
        let tracked = self.by_number.get_mut(&number)?;
        count(&mut tracked.status);
        tracked.settle_if_all_answered()
    }

    /// Ends the wait for one push.
    pub fn settle(&mut self, number: u64) -> ToWake {
        self.by_number.get_mut(&number)?.settle()
    }

    /// Ends the wait for every push, also for those to come.
    pub fn settle_all(&mut self) -> Vec<Arc<AckWaiter>> {
        self.is_stopping = true;
        // A push that is not handed over yet is settled when it is.
        self.by_number
            .values_mut()
            .filter(|tracked| tracked.is_handed_over)
            .filter_map(Tracked::settle)
            .collect()
    }

    /// The status of the latest push with that id.
    pub fn find(&self, id: &str) -> Option<&PushStatus> {
        self.by_number.values().rev().map(|tracked| &tracked.status).find(|status| status.id == id)
    }

    /// Pushes that are tracked now.
    pub fn len(&self) -> usize {
        self.by_number.len()
    }
}

impl Tracked {
    fn settle_if_all_answered(&mut self) -> ToWake {
        let is_answered = self.is_handed_over
            && self.status.acknowledged + self.status.expired >= self.status.reached;
        if is_answered { self.settle() } else { None }
    }

    fn settle(&mut self) -> ToWake {
        let waiter = self.waiter.take()?;
        *lock(&waiter.settled) = Some(self.status.clone());
        Some(waiter)
    }
}

impl AckWaiter {
    /// Wakes the sender, after its push was settled.
    pub fn wake(&self) {
        self.event.notify(usize::MAX);
    }

    /// Waits until the push is settled, however long that takes: the caller has to bound it. Cancel
    /// safe.
    pub async fn settled(&self) {
        loop {
            // Listens before it looks, so it hears what is settled in between.
            listener!(self.event => event);
            if lock(&self.settled).is_some() {
                return;
            }
            waiting(Wait::fixed("acknowledgements"), event).await;
        }
    }

    /// The status that the push was settled with.
    pub fn status(&self) -> Option<PushStatus> {
        lock(&self.settled).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};

    fn settled(wait: &AckWaiter) -> Option<(u64, u64)> {
        block_on(poll_once(wait.settled()))?;
        wait.status().map(|status| (status.acknowledged, status.expired))
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut tracker = AckTracker::default();
        let wait = Arc::<AckWaiter>::default();
        let _ = tracker.begin(1, "odd", Some(wait.clone()));
        for number in 2..=PUSH_ACKS_TRACKED as u64 {
            let _ = tracker.begin(number, if number % 2 == 0 { "even" } else { "odd" }, None);
        }
        let _ = tracker.handed_over(1, 2, 0);
        let _ = tracker.count(1, |status| status.acknowledged += 1);
        assert_eq!(settled(&wait), None);
        let _ = tracker.begin(PUSH_ACKS_TRACKED as u64 + 1, "odd", None);
        assert_eq!(
            settled(&wait),
            Some((1, 0)),
            "the sender of a forgotten push is told what it came to"
        );
        let _ = tracker.begin(PUSH_ACKS_TRACKED as u64 + 2, "even", None);
        assert_eq!(tracker.len(), PUSH_ACKS_TRACKED);
        assert_eq!(tracker.find("even").map(|status| status.n), Some(PUSH_ACKS_TRACKED as u64 + 2));
        assert_eq!(tracker.by_number.first_key_value().map(|(number, _)| *number), Some(3));
        assert_eq!(tracker.find("none"), None);
    }

    #[test]
    fn a_push_is_settled_when_all_have_answered_and_not_before_it_is_handed_over() {
        let mut tracker = AckTracker::default();
        let wait = Arc::<AckWaiter>::default();
        let _ = tracker.begin(1, "a", Some(wait.clone()));
        let _ = tracker.count(1, |status| status.acknowledged += 1);
        assert_eq!(settled(&wait), None, "nobody knows yet how many it reaches");
        let _ = tracker.handed_over(1, 2, 5);
        assert_eq!(settled(&wait), None);
        let _ = tracker.count(1, |status| status.expired += 1);
        assert_eq!(settled(&wait), Some((1, 1)));
        let _ = tracker.count(1, |status| status.acknowledged += 1);
        assert_eq!(
            (settled(&wait), tracker.find("a").map(|status| status.acknowledged)),
            (Some((1, 1)), Some(2))
        );
        let reached_nobody = Arc::<AckWaiter>::default();
        let _ = tracker.begin(2, "b", Some(reached_nobody.clone()));
        let _ = tracker.handed_over(2, 0, 3);
        assert_eq!(settled(&reached_nobody), Some((0, 0)));
    }

    #[test]
    fn at_the_end_nobody_waits_any_more() {
        let mut tracker = AckTracker::default();
        let [early, timely, late] = std::array::from_fn(|_| Arc::<AckWaiter>::default());
        let _ = tracker.begin(1, "early", Some(early.clone()));
        let _ = tracker.handed_over(1, 1, 0);
        let _ = tracker.begin(2, "timely", Some(timely.clone()));
        let _ = tracker.settle_all();
        assert_eq!((settled(&early), settled(&timely)), (Some((0, 0)), None));
        let _ = tracker.handed_over(2, 1, 0);
        assert_eq!(
            (settled(&timely), timely.status().map(|status| status.reached)),
            (Some((0, 0)), Some(1))
        );
        let _ = tracker.begin(3, "late", Some(late.clone()));
        let _ = tracker.handed_over(3, 1, 0);
        assert_eq!(settled(&late), Some((0, 0)));
    }
}

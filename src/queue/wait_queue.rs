//! The line in which publishers' messages wait for room. The receiver lets them in as it frees
//! room.

use super::{Offered, Progress, Queue, WAITED_FOR};
use crate::log::deferred::Deferred;
use crate::policy::Receipt;
use crate::queue::entries::Entry;
use crate::sync::lock;
use atomic_waker::AtomicWaker;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::Waker;
use std::time::Instant;

/// Messages that wait for room. The receiver lets them in as it frees room.
pub(super) struct Parked<M> {
    pub entry: Entry<M>,
    pub pending: Arc<Pending>,
    pub since: Instant,
}

impl<M> Queue<M> {
    /// Lets in what waits, if there is room.
    pub fn look_again(&self, deferred: &mut Deferred<M>) {
        self.serve(&mut lock(&self.wait_queue), deferred);
    }

    /// Takes a publisher's messages out of the wait queue; nothing of them is delivered later. Room
    /// that has come up meanwhile is used first.
    pub fn withdraw(
        &self,
        pending: &Arc<Pending>,
        deferred: &mut Deferred<M>,
        withdrawn: &mut Vec<Entry<M>>,
    ) {
        let mut wait_queue = lock(&self.wait_queue);
        self.serve(&mut wait_queue, deferred);
        let mut index = 0;
        while index < wait_queue.len() {
            if !Arc::ptr_eq(&wait_queue[index].pending, pending) {
                index += 1;
                continue;
            }
            if let Some(offer) = wait_queue.remove(index) {
                self.count_wait(&offer);
                pending.take_back();
                withdrawn.push(offer.entry);
            }
        }
        // Messages behind may fit where this one did not.
        self.serve(&mut wait_queue, deferred);
    }

    /// Until when it is worth waiting for the receiver, by what it has taken so far. `None`: no
    /// longer than the policy says.
    pub fn paid_until(&self, now: Instant) -> Option<Instant> {
        let progress = Progress {
            consumed: self.reader.consumed.total(),
            received: self.reader.received.load(Ordering::Relaxed),
        };
        let paid_until = lock(self.pace.as_ref()?).paid_until(progress, now);
        (paid_until > now).then_some(paid_until)
    }

    pub(super) fn park(
        &self,
        wait_queue: &mut VecDeque<Parked<M>>,
        mut entry: Entry<M>,
        pending: &Arc<Pending>,
        offered: &mut Offered,
        deferred: &mut Deferred<M>,
    ) {
        if entry.messages() == 0 {
            return;
        }
        if wait_queue.is_empty() {
            // Announced before the last look for room; a receiver frees room before it looks for
            // announcements. So either the room is seen here, or the announcement there.
            self.attention.fetch_or(WAITED_FOR, Ordering::SeqCst);
            self.let_in(&mut entry, offered, deferred);
            if entry.messages() == 0 {
                self.attention.fetch_and(!WAITED_FOR, Ordering::SeqCst);
                return;
            }
        }
        // What is too heavy is not waited for, it only stands in its place among the others.
        offered.parked =
            entry.range().filter(|index| !self.is_too_heavy(&entry.segment, *index)).count() as u32;
        pending.add();
        wait_queue.push_back(Parked { entry, pending: pending.clone(), since: Instant::now() });
    }

    /// Lets in waiting messages, first come, first served, as far as there is room.
    pub(super) fn serve(&self, wait_queue: &mut VecDeque<Parked<M>>, deferred: &mut Deferred<M>) {
        while let Some(offer) = wait_queue.front_mut() {
            let mut offered = Offered::default();
            self.let_in(&mut offer.entry, &mut offered, deferred);
            offer.pending.count(offered.queued, offered.dropped, offered.disconnected);
            if self.terms.wanted.bridge().is_some() {
                offer.pending.count_remote(offered.queued);
            }
            if offer.entry.messages() > 0 {
                return;
            }
            if let Some(offer) = wait_queue.pop_front() {
                self.count_wait(&offer);
                deferred.wake(offer.pending.settle_one());
                deferred.segments.push(offer.entry.segment);
            }
        }
        self.attention.fetch_and(!WAITED_FOR, Ordering::SeqCst);
    }

    pub(super) fn count_wait(&self, offer: &Parked<M>) {
        // Five centuries fit; more is counted as that.
        let nanos = u64::try_from(offer.since.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.waited_for_ns.fetch_add(nanos, Ordering::Relaxed);
    }
}

/// Shared between a publisher and the wait queues that its messages stand in. Receivers let the
/// messages in and count here; the last of them wakes the publisher, so that it is woken once,
/// however many it waits for.
#[derive(Default)]
pub(crate) struct Pending {
    outstanding: AtomicUsize,
    queued: AtomicU64,
    dropped: AtomicU64,
    disconnected: AtomicU64,
    remote: AtomicU64,
    publisher: AtomicWaker,
}

impl Pending {
    pub fn register(&self, waker: &Waker) {
        self.publisher.register(waker);
    }

    /// Counts one more wait queue that messages stand in.
    pub fn add(&self) {
        self.outstanding.fetch_add(1, Ordering::Relaxed);
    }

    pub fn is_settled(&self) -> bool {
        self.outstanding.load(Ordering::Acquire) == 0
    }

    /// Receiver: counts what it let in. Before [`settle_one`](Self::settle_one), which makes it
    /// visible.
    pub fn count(&self, queued: u32, dropped: u32, disconnected: u32) {
        for (counter, more) in
            [(&self.queued, queued), (&self.dropped, dropped), (&self.disconnected, disconnected)]
        {
            if more > 0 {
                counter.fetch_add(u64::from(more), Ordering::Relaxed);
            }
        }
    }

    /// Receiver: these of what was queued go over a bridge.
    pub fn count_remote(&self, queued: u32) {
        self.remote.fetch_add(u64::from(queued), Ordering::Relaxed);
    }

    /// Receiver: one wait queue is done. Returns the publisher to wake if it was the last.
    pub fn settle_one(&self) -> Option<Waker> {
        let was = self.outstanding.fetch_sub(1, Ordering::AcqRel);
        if was == 1 { self.publisher.take() } else { None }
    }

    /// Publisher: took its messages out of one wait queue.
    pub fn take_back(&self) {
        self.outstanding.fetch_sub(1, Ordering::AcqRel);
    }

    /// Publisher: what became of messages that were counted as waiting, from zero again.
    pub fn take_outcome(&self) -> Receipt {
        let take = |counter: &AtomicU64| counter.swap(0, Ordering::AcqRel);
        Receipt {
            queued: take(&self.queued),
            dropped: take(&self.dropped),
            disconnected: take(&self.disconnected),
            remote: take(&self.remote),
            ..Receipt::default()
        }
    }
}

#[cfg(all(test, not(fanfare_loom)))]
mod tests {
    use crate::limits::LOOK_AGAIN_FROM_MESSAGES;
    use crate::load::Load;
    use crate::sync::lock;
    use crate::{Broker, Pattern, Topic, WhenFull};
    use std::sync::atomic::Ordering;
    use std::thread;

    /// A receiver that stops reading just as the publisher begins to wait may free room like this.
    #[test]
    fn a_publisher_that_waits_without_end_finds_room_that_nobody_tells_it_of() {
        let broker = Broker::<u32>::new();
        let topic = Topic::parse("t").unwrap();
        let options = broker.subscription(&Pattern::from(&topic)).when_full(WhenFull::Block);
        let bound = LOOK_AGAIN_FROM_MESSAGES;
        let subscription = options.queue_messages(bound as usize).subscribe().unwrap();
        let mut publisher = broker.publisher();
        for n in 0..bound {
            let _ = publisher.try_publish(&topic, n).unwrap();
        }
        let queue = broker.shared().router.with_audience(&topic, |audience| {
            let [member] = &audience.singles[..] else { panic!("one subscription") };
            member.queue.clone()
        });
        thread::scope(|scope| {
            let last = scope.spawn(|| publisher.publish_blocking(&topic, bound).unwrap());
            while lock(&queue.wait_queue).is_empty() {
                thread::yield_now();
            }
            queue.reader.received.store(1, Ordering::Release);
            queue.reader.consumed.add_unordered(Load { messages: 1, bytes: 4 });
            assert_eq!(last.join().unwrap().queued, 1);
        });
        assert_eq!(subscription.books().queued, u64::from(bound));
    }
}

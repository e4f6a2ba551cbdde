//! How much a queue holds, exactly, in messages and in bytes.
//!
//! Two counters, each ever growing: what publishers *reserved* and what the receiver *consumed*.
//! Their difference is what is queued. The receiver writes only its own counter and publishers
//! write only theirs, on cache lines of their own, so that in the steady state neither side takes
//! the other's line away: publishers work with the last consumption they have *seen*, and look
//! again only when by that the queue would be full.
//!
//! Each counter is the sum of packed loads, so messages and bytes are always right together, and a
//! step is one addition. In the sum the messages' carry runs into the bytes; in the difference of
//! two counters it is gone. Bounds below 2^31 keep that exact.

use crate::load::Load;
use crate::sync::{AtomicU64, Ordering};

/// The counter that publishers write.
#[derive(Debug)]
pub(crate) struct Reserved {
    total: AtomicU64,
    /// The last consumption a publisher saw. Never ahead of the true one.
    seen: AtomicU64,
}

/// The counter that the receiver writes.
#[derive(Debug)]
pub(crate) struct Consumed {
    total: AtomicU64,
}

impl Reserved {
    pub fn new() -> Self {
        Self { total: AtomicU64::new(0), seen: AtomicU64::new(0) }
    }

    /// Takes room for `more`, or nothing. Exact: it fails only if at some moment during the call
    /// there was no room.
    #[inline]
    pub fn reserve(&self, more: Load, bounds: Load, consumed: &Consumed) -> bool {
        let mut total = self.total.load(Ordering::Acquire);
        loop {
            let queued_since = |consumed| Load::unpack(total.wrapping_sub(consumed));
            if !queued_since(self.seen.load(Ordering::Acquire)).leaves_room_for(more, bounds) {
                let consumed = self.look_again(consumed);
                if !queued_since(consumed).leaves_room_for(more, bounds) {
                    // With a `total` gone stale the difference means nothing: only a current one
                    // may say "full".
                    let current = self.total.load(Ordering::SeqCst);
                    if current == total {
                        return false;
                    }
                    total = current;
                    continue;
                }
            }
            let next = total.wrapping_add(more.pack());
            match self.total.compare_exchange_weak(total, next, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return true,
                Err(current) => total = current,
            }
        }
    }

    /// Gives back what was reserved and then not used.
    pub fn give_back(&self, less: Load) {
        self.total.fetch_sub(less.pack(), Ordering::SeqCst);
        crate::sync::write_before_read();
    }

    /// The load that is taken now: queued, or held by a credit grant.
    #[inline]
    pub fn taken(&self, consumed: &Consumed) -> Load {
        // Consumption first: it never passes what is reserved, so read in this order the difference
        // is never negative.
        let consumed = consumed.total.load(Ordering::SeqCst);
        Load::unpack(self.total.load(Ordering::SeqCst).wrapping_sub(consumed))
    }

    #[cold]
    fn look_again(&self, consumed: &Consumed) -> u64 {
        let before = self.seen.load(Ordering::Acquire);
        crate::sync::write_before_read();
        let now = consumed.total.load(Ordering::SeqCst);
        if now != before {
            // Exchanged only for what was there before the look, so that a slow publisher never
            // turns it back.
            let _ = self.seen.compare_exchange(before, now, Ordering::AcqRel, Ordering::Relaxed);
        }
        now
    }
}

impl Consumed {
    pub fn new() -> Self {
        Self { total: AtomicU64::new(0) }
    }

    /// Frees the room of what was received. One caller at a time: the holder of the queue's cursor.
    ///
    /// Sequentially consistent, so that a publisher that announced itself and then found no room is
    /// seen by the receiver's next look at the announcements, or sees this.
    #[inline]
    pub fn add(&self, more: Load) {
        let total = self.total.load(Ordering::Relaxed).wrapping_add(more.pack());
        self.total.swap(total, Ordering::SeqCst);
        crate::sync::write_before_read();
    }

    /// All that was ever consumed, each modulo 2^32, and a byte more for every 2^32 messages.
    pub fn total(&self) -> Load {
        Load::unpack(self.total.load(Ordering::SeqCst))
    }

    /// As [`add`](Self::add), for a receiver that will call that soon: a publisher that announces
    /// itself meanwhile may be overlooked until then.
    #[inline]
    pub fn add_unordered(&self, more: Load) {
        let total = self.total.load(Ordering::Relaxed).wrapping_add(more.pack());
        self.total.store(total, Ordering::Release);
    }

    /// Messages ever consumed, modulo 2^32.
    pub fn messages(&self) -> u32 {
        self.total().messages
    }
}

#[cfg(all(test, not(fanfare_loom)))]
mod tests {
    use super::*;

    const fn load(messages: u32, bytes: u32) -> Load {
        Load { messages, bytes }
    }

    #[test]
    fn both_bounds_are_exact() {
        let (reserved, consumed) = (Reserved::new(), Consumed::new());
        let bounds = load(3, 100);
        assert!(reserved.reserve(load(2, 60), bounds, &consumed));
        assert!(!reserved.reserve(load(1, 41), bounds, &consumed), "one byte too many");
        assert!(!reserved.reserve(load(2, 2), bounds, &consumed), "one message too many");
        assert!(reserved.reserve(load(1, 40), bounds, &consumed));
        assert!(!reserved.reserve(load(1, 0), bounds, &consumed));
        consumed.add(load(1, 30));
        assert_eq!(reserved.taken(&consumed), load(2, 70));
        assert!(reserved.reserve(load(1, 30), bounds, &consumed));
    }

    #[test]
    fn counters_may_wrap() {
        let (reserved, consumed) = (Reserved::new(), Consumed::new());
        let bounds = load(2, (1 << 31) - 1);
        for _ in 0..40 {
            assert!(reserved.reserve(load(1, (1 << 31) - 1), bounds, &consumed));
            assert!(!reserved.reserve(load(1, 1), bounds, &consumed));
            consumed.add(load(1, (1 << 31) - 1));
        }
        assert_eq!(reserved.taken(&consumed), load(0, 0));
    }
}

#[cfg(all(test, fanfare_loom))]
mod loom_models {
    use super::*;
    use crate::load::Load;
    use crate::sync::AtomicU32;
    use loom::sync::Arc;
    use loom::thread;

    const BOUNDS: Load = Load { messages: 2, bytes: 20 };
    const ONE: Load = Load { messages: 1, bytes: 10 };

    /// Two publishers and a receiver: never more queued than the bounds allow, and nothing
    /// miscounted.
    #[test]
    fn loom_bounds_hold_between_two_publishers_and_a_receiver() {
        // Three threads: all interleavings with up to three preemptions; all of them take minutes.
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let sides = Arc::new((Reserved::new(), Consumed::new()));
            assert!(sides.0.reserve(ONE, BOUNDS, &sides.1));
            let publishers: Vec<_> = (0..2)
                .map(|_| {
                    let sides = sides.clone();
                    thread::spawn(move || u32::from(sides.0.reserve(ONE, BOUNDS, &sides.1)))
                })
                .collect();
            sides.1.add(ONE);
            let queued = sides.0.taken(&sides.1);
            assert!(queued.messages <= BOUNDS.messages && queued.bytes <= BOUNDS.bytes);
            let accepted: u32 =
                publishers.into_iter().map(|publisher| publisher.join().unwrap()).sum();
            assert!(accepted >= 1, "there was room for one at any time");
            assert_eq!(sides.0.taken(&sides.1).messages, accepted);
        });
    }

    /// A publisher that finds no room announces itself and looks again; a receiver that frees room
    /// looks for announcements. Whatever the order, one of them sees the other: nobody sleeps
    /// beside room.
    #[test]
    fn loom_a_waiting_publisher_and_a_receiver_see_each_other() {
        loom::model(|| {
            let sides = Arc::new((Reserved::new(), Consumed::new(), AtomicU32::new(0)));
            let full = Load { messages: 2, bytes: 20 };
            assert!(sides.0.reserve(full, BOUNDS, &sides.1));
            let receiver = {
                let sides = sides.clone();
                thread::spawn(move || {
                    sides.1.add(ONE);
                    sides.2.load(Ordering::SeqCst) == 1
                })
            };
            sides.2.fetch_or(1, Ordering::SeqCst);
            crate::sync::write_before_read();
            let found_room = sides.0.reserve(ONE, BOUNDS, &sides.1);
            let was_seen = receiver.join().unwrap();
            assert!(found_room || was_seen);
        });
    }
}

//! Credit for many messages at once, taken by one publisher from its whole audience.
//!
//! Taking room for every message in every queue costs a busy publisher more than all the rest. So
//! it takes room for some dozens of messages in each queue in one go, and then spends them by one
//! subtraction a message, however large the audience. Bounds stay exact: whoever finds a queue
//! full, or wants to know what is in it, takes the unspent part back first ([`Holding::end`]), and
//! the publisher then asks that queue again for every message.
//!
//! The same the other way round: a queue that is full to the last message, and is not waited for,
//! can be *written off*. What the publisher then spends counts as dropped for that queue, without
//! asking it, until its receiver frees room or somebody looks. So one that is stuck costs next to
//! nothing, and yet its books are exact whenever they are read.

use crate::busy::{Busy, WhileBusy};
use crate::load::Load;
use crate::sync::{AtomicBool, AtomicU64, ModelMutex, Ordering, lock_model};
use std::sync::Arc;

/// Credit for some messages, the same in each queue that gave it.
///
/// The publisher alone spends, while it is [busy](crate::busy). A queue that leaves says so and
/// waits until it is not, so it knows exactly what was spent before. The publisher's next look
/// finds that one has left, and waits for the lock: by then the queue has settled.
pub(crate) struct Grant {
    total: Load,
    spent: AtomicU64,
    /// Whether a queue has left that the publisher does not know of.
    is_recalled: AtomicBool,
    /// Slots of queues that have left. Its lock is held while `is_recalled` changes.
    recalled: ModelMutex<Vec<u32>>,
    publisher: Arc<Busy>,
}

impl Grant {
    pub fn new(total: Load, publisher: Arc<Busy>) -> Self {
        Self {
            total,
            spent: AtomicU64::new(0),
            is_recalled: AtomicBool::new(false),
            recalled: ModelMutex::new(Vec::new()),
            publisher,
        }
    }

    /// Publisher: spends some, if there is enough. Adds the slots to `recalled` for which it does
    /// not count any more.
    #[inline]
    pub fn spend(&self, load: Load, recalled: &mut Vec<u32>) -> bool {
        let is_spent = self.spend_at_once(load, &self.publisher.begin());
        is_spent || self.spend_after_recall(load, recalled)
    }

    /// [`spend`](Self::spend) if there is enough and no queue has left.
    #[inline]
    pub fn spend_at_once(&self, load: Load, _: &WhileBusy<'_>) -> bool {
        !self.is_recalled.load(Ordering::SeqCst) && self.spend_if_enough(load)
    }

    #[cold]
    fn spend_after_recall(&self, load: Load, recalled: &mut Vec<u32>) -> bool {
        let mut left = lock_model(&self.recalled);
        recalled.append(&mut left);
        self.is_recalled.store(false, Ordering::Relaxed);
        self.spend_if_enough(load)
    }

    #[inline]
    fn spend_if_enough(&self, load: Load) -> bool {
        let spent = self.spent.load(Ordering::Relaxed);
        let unspent = self.total.minus(Load::unpack(spent));
        if unspent.messages < load.messages || unspent.bytes < load.bytes {
            return false;
        }
        // No carry: it stays within the total.
        self.spent.store(spent + load.pack(), Ordering::Release);
        true
    }

    #[inline]
    fn spent(&self) -> Load {
        Load::unpack(self.spent.load(Ordering::Acquire))
    }

    /// Credit that is not spent yet.
    #[inline]
    pub fn unspent(&self) -> Load {
        self.total.minus(self.spent())
    }
}

/// A receiver's view of the grant that its queue is part of, refreshed when that changes.
#[derive(Default)]
pub(crate) struct GrantSeen {
    pub epoch: u64,
    pub grant: Option<Arc<Grant>>,
}

/// A queue's part in a credit grant. Kept, and ended, under a lock of the queue.
pub(crate) struct Holding {
    grant: Arc<Grant>,
    slot: u32,
    /// Set: written off when this many messages had been spent. Not set: the queue gave credit.
    written_off_at: Option<u32>,
}

/// The balance to settle when a queue's part in a credit grant ends.
pub(crate) enum Settlement {
    /// Credit that will not be spent.
    GiveBack(Load),
    /// This many messages were published without asking.
    Dropped(u64),
}

impl Holding {
    pub fn credit(grant: Arc<Grant>, slot: u32) -> Self {
        Self { grant, slot, written_off_at: None }
    }

    /// Written off from now on; what is already spent was asked for.
    pub fn written_off(grant: Arc<Grant>, slot: u32) -> Self {
        let spent = grant.spent().messages;
        Self { grant, slot, written_off_at: Some(spent) }
    }

    pub fn is_written_off(&self) -> bool {
        self.written_off_at.is_some()
    }

    /// Stays written off by a publisher that goes from one grant on to the `next`. Returns how many
    /// messages it missed by this one, if it was written off by it at this slot: a mailbox may have
    /// several.
    pub fn go_on(&mut self, slot: u32, grant: &Arc<Grant>, next: &Arc<Grant>) -> Option<u64> {
        let is_this = self.slot == slot && Arc::ptr_eq(&self.grant, grant);
        let spent_then = self.written_off_at.filter(|_| is_this)?;
        let dropped = self.grant.spent().messages - spent_then;
        *self = Self::written_off(next.clone(), self.slot);
        Some(dropped.into())
    }

    /// The grant that holds credit of this queue.
    pub fn credited(&self) -> Option<&Arc<Grant>> {
        Some(&self.grant).filter(|_| !self.is_written_off())
    }

    /// Leaves the credit grant, so the publisher asks for its next message. `settle` runs before
    /// the publisher can know, so what it counts comes before that message.
    pub fn end(self, settle: impl FnOnce(Settlement)) {
        let mut recalled = lock_model(&self.grant.recalled);
        self.grant.is_recalled.store(true, Ordering::SeqCst);
        self.grant.publisher.wait_while_busy();
        let spent = self.grant.spent();
        settle(match self.written_off_at {
            None => Settlement::GiveBack(self.grant.total.minus(spent)),
            Some(spent_then) => Settlement::Dropped(u64::from(spent.messages - spent_then)),
        });
        recalled.push(self.slot);
    }
}

#[cfg(all(test, fanfare_loom))]
mod loom_models {
    use super::*;
    use crate::sync::AtomicU32;
    use loom::thread;

    const ONE: Load = Load { messages: 1, bytes: 10 };

    /// A publisher spends while two queues leave: what each gets back is exactly what was not
    /// spent while the grant counted for it, and it has settled before the publisher asks it.
    #[test]
    fn loom_a_queue_that_leaves_gets_back_what_is_not_spent() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(3);
        model.check(|| {
            let total = Load { messages: 3, bytes: 30 };
            let grant = Arc::new(Grant::new(total, Arc::new(Busy::new())));
            let settled = loom::sync::Arc::new([AtomicU32::new(9), AtomicU32::new(9)]);
            let leaving = [0, 1].map(|slot| {
                let (holding, settled) = (Holding::credit(grant.clone(), slot), settled.clone());
                thread::spawn(move || {
                    holding.end(|settlement| {
                        let Settlement::GiveBack(load) = settlement else { panic!("credit") };
                        settled[slot as usize].store(load.messages, Ordering::Relaxed);
                    });
                })
            });
            let (mut recalled, mut spent_for) = (Vec::new(), [0, 0]);
            for _ in 0..3 {
                assert!(grant.spend(ONE, &mut recalled));
                for slot in [0, 1] {
                    match recalled.contains(&slot) {
                        true => {
                            let given_back = settled[slot as usize].load(Ordering::Relaxed);
                            assert_eq!(given_back, 3 - spent_for[slot as usize]);
                        }
                        false => spent_for[slot as usize] += 1,
                    }
                }
            }
            assert!(!grant.spend(ONE, &mut recalled));
            leaving.into_iter().for_each(|queue| queue.join().unwrap());
            for (settled, spent) in settled.iter().zip(spent_for) {
                assert_eq!(settled.load(Ordering::Relaxed), 3 - spent);
            }
        });
    }
}

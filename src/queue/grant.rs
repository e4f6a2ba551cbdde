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

use crate::load::Load;
use crate::sync::lock;
use std::sync::{Arc, Mutex};

/// Unspent credit, the same in each queue that gave it.
pub(crate) struct Grant(Mutex<State>);

struct State {
    left: Load,
    /// Messages spent so far.
    spent: u64,
    /// Reader slots whose queues have recalled their part.
    recalled: Vec<u32>,
}

impl Grant {
    pub fn new(left: Load) -> Self {
        Self(Mutex::new(State { left, spent: 0, recalled: Vec::new() }))
    }

    /// Publisher: spends some, if there is enough. Adds the reader slots to `recalled` for which it
    /// does not count any more.
    pub fn spend(&self, load: Load, recalled: &mut Vec<u32>) -> bool {
        let mut state = lock(&self.0);
        recalled.append(&mut state.recalled);
        let is_enough = Load::default().leaves_room_for(load, state.left);
        if is_enough {
            state.left = state.left.minus(load);
            state.spent += u64::from(load.messages);
        }
        is_enough
    }

    fn spent(&self) -> u64 {
        lock(&self.0).spent
    }
}

/// A queue's part in a credit grant. Kept, and ended, under a lock of the queue.
pub(crate) struct Holding {
    grant: Arc<Grant>,
    slot: u32,
    /// Set: written off when this much had been spent. Not set: the queue gave credit.
    written_off_at: Option<u64>,
}

/// What a queue has to settle when its part in a credit grant ends.
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
        let spent = grant.spent();
        Self { grant, slot, written_off_at: Some(spent) }
    }

    pub fn is_written_off(&self) -> bool {
        self.written_off_at.is_some()
    }

    /// Credit that is not spent yet.
    pub fn unspent(&self) -> Load {
        if self.is_written_off() { Load::default() } else { lock(&self.grant.0).left }
    }

    /// Leaves the credit grant, so the publisher asks for its next message. `settle` runs before
    /// the publisher can know, so what it counts comes before that message.
    pub fn end(self, settle: impl FnOnce(Settlement)) {
        let mut state = lock(&self.grant.0);
        settle(match self.written_off_at {
            None => Settlement::GiveBack(state.left),
            Some(spent_then) => Settlement::Dropped(state.spent - spent_then),
        });
        state.recalled.push(self.slot);
    }
}

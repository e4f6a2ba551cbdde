//! Credit for many messages at once, taken by one publisher from its whole audience.
//!
//! Taking room for every message in every queue costs a busy publisher more than all the rest. So it takes room for some
//! dozens of messages in each queue in one go, and then spends them by one subtraction a message, however large the
//! audience. Bounds stay exact: whoever finds a queue full, or wants to know what is in it, takes the unspent part back
//! first ([`recall`](Lease::recall)), and the publisher then asks that queue again for every message.

use std::sync::Mutex;

use super::credit::Load;
use super::locks::lock;

/// Unspent credit, the same in each queue that gave it.
pub(super) struct Lease(Mutex<State>);

struct State {
    left: Load,
    /// Seats whose queues have taken theirs back.
    recalled: Vec<u32>,
}

impl Lease {
    pub fn new(left: Load) -> Self {
        Self(Mutex::new(State { left, recalled: Vec::new() }))
    }

    /// Publisher: spends some, if there is enough. Adds the seats to `recalled` for which it does not count any more.
    pub fn spend(&self, load: Load, recalled: &mut Vec<u32>) -> bool {
        let mut state = lock(&self.0);
        recalled.append(&mut state.recalled);
        let is_enough = Load::default().leaves_room_for(load, state.left);
        if is_enough {
            state.left = state.left.minus(load);
        }
        is_enough
    }

    /// Queue, under its own lock: leaves the lease. What is returned is no longer spent for it, and to be given back.
    pub fn recall(&self, seat: u32) -> Load {
        let mut state = lock(&self.0);
        state.recalled.push(seat);
        state.left
    }

    /// What is unspent.
    pub fn left(&self) -> Load {
        lock(&self.0).left
    }
}

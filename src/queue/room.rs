//! Room in the queue: admitting messages, and what is queued.

use super::{ENDED, Queue, WAITED_FOR, WRITTEN_OFF};
use crate::load::Load;
use crate::log::deferred::Deferred;
use crate::policy::WhenFull;
use crate::queue::grant::{Grant, GrantSeen, Holding, Settlement};
use crate::stats::tally::DropReason;
use crate::sync::lock;
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl<M> Queue<M> {
    /// Takes room for all of `load`, unless others wait already, whom newcomers do not overtake.
    #[inline]
    pub fn admits(&self, load: Load) -> bool {
        let is_open_to_newcomers =
            self.attention.load(Ordering::Acquire) & (WAITED_FOR | ENDED) == 0;
        is_open_to_newcomers && self.reserve(load)
    }

    /// Gives back what [`admits`](Self::admits) took, to the wait queue if anything waits by now.
    pub fn give_back(&self, load: Load, deferred: &mut Deferred<M>) {
        self.publishers.reserved.give_back(load);
        // After the room was given back: see `write_off` and `park`.
        self.count_written_off();
        if self.attends(WAITED_FOR) {
            self.serve(&mut lock(&self.wait_queue), deferred);
        }
    }

    /// Whether all of `load` has room now, but for what is too heavy even when the queue is empty.
    pub fn has_room(&self, load: Load, weights: &[u32]) -> bool {
        let heaviest = self.terms.bounds.bytes;
        let mut load = load;
        if weights.iter().any(|weight| *weight > heaviest) {
            load = weights.iter().filter(|weight| **weight <= heaviest).fold(
                Load::default(),
                |sum, weight| Load {
                    messages: sum.messages + 1,
                    bytes: sum.bytes.saturating_add(*weight),
                },
            );
        }
        load.messages == 0
            || (!self.is_waited_for() && self.queued().leaves_room_for(load, self.terms.bounds))
    }

    /// For how many publishes of `load` there is room.
    pub fn publishes_of(&self, load: Load) -> u32 {
        let (taken, bounds) = (self.taken(), self.terms.bounds);
        let messages = bounds.messages.saturating_sub(taken.messages) / load.messages;
        messages.min(bounds.bytes.saturating_sub(taken.bytes) / load.bytes.max(1))
    }

    /// Gives a publisher credit for messages to come, in place of any credit grant there was. Not
    /// if there is no room, or others wait for it.
    pub fn grant(&self, grant: &Arc<Grant>, slot: u32, load: Load) -> bool {
        let mut granted = lock(&self.grant);
        self.take_back(&mut granted);
        if self.attends(WAITED_FOR | ENDED) || !self.reserve_within(load, self.terms.bounds) {
            return false;
        }
        *granted = Some(Holding::credit(grant.clone(), slot));
        self.grant_epoch.fetch_add(1, Ordering::AcqRel);
        true
    }

    /// Takes a publisher's word that it drops its messages from now on without asking: if that is
    /// what would become of them whatever they weigh, until the receiver frees room.
    pub fn write_off(&self, grant: &Arc<Grant>, slot: u32) -> bool {
        let is_dropping = match self.terms.when_full {
            WhenFull::DropNewest => true,
            WhenFull::Wait(_) => !self.may_be_waited_for(),
            WhenFull::DropOldest | WhenFull::Disconnect { .. } | WhenFull::Block => false,
        };
        let is_full = || self.taken().messages >= self.terms.bounds.messages;
        // Full in bytes alone, a lighter message might fit: looked at first, since this is asked
        // for each message.
        if !is_dropping || !is_full() {
            return false;
        }
        let mut granted = lock(&self.grant);
        if granted.as_ref().is_some_and(Holding::is_written_off) {
            return false;
        }
        self.take_back(&mut granted);
        // Announced before the last look for room; who frees room looks for announcements
        // afterwards. So either the room is seen here, or the announcement there.
        self.attention.fetch_or(WRITTEN_OFF, Ordering::SeqCst);
        if !is_full() || self.attends(WAITED_FOR | ENDED) {
            self.attention.fetch_and(!WRITTEN_OFF, Ordering::SeqCst);
            return false;
        }
        *granted = Some(Holding::written_off(grant.clone(), slot));
        true
    }

    /// Stays written off by a publisher that goes on to its next grant, if there is still no room.
    pub fn stays_written_off(&self, slot: u32, grant: &Arc<Grant>, next: &Arc<Grant>) -> bool {
        if !self.attends(WRITTEN_OFF) || self.taken().messages < self.terms.bounds.messages {
            return false;
        }
        let mut granted = lock(&self.grant);
        let dropped = granted.as_mut().and_then(|holding| holding.go_on(slot, grant, next));
        dropped.into_iter().for_each(|count| self.count_unasked(count));
        dropped.is_some()
    }

    /// Ends a write-off if there is room by now.
    pub fn end_write_off_if_room(&self) {
        if self.taken().messages < self.terms.bounds.messages {
            self.count_written_off();
        }
    }

    /// Before something is queued: what was dropped without asking lies before it.
    #[inline]
    pub(super) fn count_written_off(&self) {
        if self.attends(WRITTEN_OFF) {
            self.ask_again();
        }
    }

    /// Ends a write-off: there may be room.
    #[cold]
    fn ask_again(&self) {
        self.take_back(&mut lock(&self.grant));
    }

    /// The load that is in it now.
    pub fn queued(&self) -> Load {
        // Taken back rather than looked at, since it may be spent meanwhile; locked, so that no new
        // one is given meanwhile.
        let mut granted = lock(&self.grant);
        self.take_back(&mut granted);
        self.taken()
    }

    /// Messages queued, and those that a publisher has taken room for in advance.
    pub fn backlog(&self) -> u32 {
        self.taken().messages
    }

    #[inline]
    pub(super) fn reserve(&self, load: Load) -> bool {
        self.reserve_within(load, self.terms.bounds) || self.reserve_what_is_granted(load)
    }

    #[inline]
    fn reserve_within(&self, load: Load, bounds: Load) -> bool {
        self.publishers.reserved.reserve(load, bounds, &self.reader.consumed)
    }

    /// The load that is queued or granted.
    #[inline]
    fn taken(&self) -> Load {
        self.publishers.reserved.taken(&self.reader.consumed)
    }

    /// Recalls a grant when the queue looks full, since unspent credit is room all the same.
    #[cold]
    fn reserve_what_is_granted(&self, load: Load) -> bool {
        let mut granted = lock(&self.grant);
        // Written off, it holds no room.
        if !granted.as_ref().is_some_and(Holding::is_written_off) {
            self.take_back(&mut granted);
        }
        self.reserve_within(load, self.terms.bounds)
    }

    fn take_back(&self, granted: &mut Option<Holding>) {
        let Some(holding) = granted.take() else { return };
        self.grant_epoch.fetch_add(1, Ordering::AcqRel);
        holding.end(|settlement| match settlement {
            Settlement::GiveBack(unspent) => self.publishers.reserved.give_back(unspent),
            Settlement::Dropped(count) => {
                self.count_unasked(count);
                // Only now, so that whoever finds the flag gone finds the gap.
                self.attention.fetch_and(!WRITTEN_OFF, Ordering::SeqCst);
            }
        });
    }

    /// Counts what was dropped without asking.
    fn count_unasked(&self, count: u64) {
        // The queue was full, so its receiver does not sleep and need not be woken.
        let on_probation = matches!(self.terms.when_full, WhenFull::Wait(wait) if !wait.is_zero());
        let reason = if on_probation { DropReason::Probation } else { DropReason::Full };
        self.publishers.drops.add(reason, count);
        self.gap.fetch_add(count, Ordering::SeqCst);
    }

    /// The queue is longest just before something is taken from it, so it is looked at then.
    ///
    /// `ready`: how many messages its segment holds for the receiver, if it has just looked. Where
    /// nothing else is queued, that is all.
    #[inline]
    pub(super) fn note_high_water(&self, ready: Option<u32>, seen: &mut GrantSeen) {
        let high_water = self.reader.high_water.load(Ordering::Relaxed);
        if ready.is_some_and(|ready| ready <= high_water) && self.entries.is_empty() {
            return;
        }
        // With what is granted, so it may be too high, and never too low.
        let taken = self.taken().messages;
        if taken > high_water {
            if self.grant_epoch.load(Ordering::Acquire) != seen.epoch {
                self.see_grant(seen);
            }
            self.raise_high_water_to(taken, seen.grant.as_deref());
        }
    }

    pub(super) fn raise_high_water(&self) -> u32 {
        let taken = self.taken().messages;
        let high_water = self.reader.high_water.load(Ordering::Relaxed);
        if taken <= high_water {
            return high_water;
        }
        let granted = lock(&self.grant);
        self.raise_high_water_to(taken, granted.as_ref().and_then(Holding::credited).map(|g| &**g))
    }

    #[inline]
    fn raise_high_water_to(&self, taken: u32, grant: Option<&Grant>) -> u32 {
        let messages = taken.saturating_sub(grant.map_or(0, |grant| grant.unspent().messages));
        if messages > self.reader.high_water.load(Ordering::Relaxed) {
            self.reader.high_water.fetch_max(messages, Ordering::Relaxed).max(messages)
        } else {
            self.reader.high_water.load(Ordering::Relaxed)
        }
    }

    #[cold]
    fn see_grant(&self, seen: &mut GrantSeen) {
        let granted = lock(&self.grant);
        seen.epoch = self.grant_epoch.load(Ordering::Acquire);
        seen.grant = granted.as_ref().and_then(Holding::credited).cloned();
    }
}

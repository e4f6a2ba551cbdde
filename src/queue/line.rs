//! The line in which publishers' messages wait for room. The receiver lets them in as it frees
//! room.

use super::super::afterwards::Afterwards;
use super::super::locks::{lock, saturating_nanos};
use super::super::pending::Pending;
use super::{Entry, Offered, Queue, WAITED_FOR};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// Messages that wait in line for room. The receiver lets them in as it frees room.
pub(super) struct Offer<M> {
    pub entry: Entry<M>,
    pub pending: Arc<Pending>,
    pub since: Instant,
}

impl<M> Queue<M> {
    /// Takes a publisher's messages out of the line; nothing of them is delivered later. Room that
    /// has come up meanwhile is used first.
    pub fn withdraw(
        &self,
        pending: &Arc<Pending>,
        afterwards: &mut Afterwards<M>,
        withdrawn: &mut Vec<Entry<M>>,
    ) {
        let mut line = lock(&self.line);
        self.serve(&mut line, afterwards);
        let mut place = 0;
        while place < line.len() {
            if !Arc::ptr_eq(&line[place].pending, pending) {
                place += 1;
                continue;
            }
            if let Some(offer) = line.remove(place) {
                self.count_wait(&offer);
                pending.take_back();
                withdrawn.push(offer.entry);
            }
        }
        // Who stood behind may fit where this one did not.
        self.serve(&mut line, afterwards);
    }

    pub(super) fn park(
        &self,
        line: &mut VecDeque<Offer<M>>,
        mut entry: Entry<M>,
        pending: &Arc<Pending>,
        offered: &mut Offered,
        afterwards: &mut Afterwards<M>,
    ) {
        if entry.messages() == 0 {
            return;
        }
        if line.is_empty() {
            // Announced before the last look for room; a receiver frees room before it looks for
            // announcements. So either the room is seen here, or the announcement there.
            self.attention.fetch_or(WAITED_FOR, Ordering::SeqCst);
            self.let_in(&mut entry, offered, afterwards);
            if entry.messages() == 0 {
                self.attention.fetch_and(!WAITED_FOR, Ordering::SeqCst);
                return;
            }
        }
        // What is too heavy is not waited for, it only stands in its place among the others.
        offered.parked =
            entry.places().filter(|place| !self.is_too_heavy(&entry.frame, *place)).count() as u32;
        pending.add();
        line.push_back(Offer { entry, pending: pending.clone(), since: Instant::now() });
    }

    /// Lets in those who wait, first come first served, as far as there is room.
    pub(super) fn serve(&self, line: &mut VecDeque<Offer<M>>, afterwards: &mut Afterwards<M>) {
        while let Some(offer) = line.front_mut() {
            let mut offered = Offered::default();
            self.let_in(&mut offer.entry, &mut offered, afterwards);
            offer.pending.count(&offered);
            if offer.entry.messages() > 0 {
                return;
            }
            if let Some(offer) = line.pop_front() {
                self.count_wait(&offer);
                afterwards.wake(offer.pending.settle_one());
                afterwards.frames.push(offer.entry.frame);
            }
        }
        self.attention.fetch_and(!WAITED_FOR, Ordering::SeqCst);
    }

    pub(super) fn count_wait(&self, offer: &Offer<M>) {
        self.waited_for_ns.fetch_add(saturating_nanos(offer.since.elapsed()), Ordering::Relaxed);
    }
}

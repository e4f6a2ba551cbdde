//! Taking room in every queue of an audience: for one message after the other, or by a
//! [lease](super::lease) for many.

use super::Origin;
use super::credit::Load;
use super::lease::Lease;
use super::queue::Queue;
use super::route::Audience;
use crate::limits::{LEASE_MESSAGES_MAX, LEASE_MESSAGES_MIN};
use std::sync::Arc;

/// Who has room, and the credit a publisher holds in advance.
pub(super) struct Intake {
    /// Seats that had no room for what was asked last, in order.
    pub refused: Vec<u32>,
    /// How many seats nothing was for, because of whom it is from.
    pub skipped: usize,
    /// Whether a lease was spent from for what was asked last.
    is_leased: bool,
    leased: Option<Leased>,
    recalled: Vec<u32>,
}

/// A lease from an audience as it was at one version.
struct Leased {
    route: u64,
    version: u64,
    lease: Arc<Lease>,
    /// Seats that it does not count for, in order.
    others: Vec<u32>,
    /// Seats that are not asked, and get nothing, in order.
    written_off: Vec<u32>,
    skipped: usize,
}

impl Intake {
    pub fn new() -> Self {
        Self {
            refused: Vec::new(),
            skipped: 0,
            is_leased: false,
            leased: None,
            recalled: Vec::new(),
        }
    }

    /// Takes room for all of `load` in each queue that has it.
    pub fn reserve<M>(
        &mut self,
        audience: &Audience<M>,
        route: u64,
        origin: Option<Origin>,
        load: Load,
    ) {
        self.refused.clear();
        // A batch asks each queue once for many messages as it is.
        let is_for_lease = route != 0 && load.messages * LEASE_MESSAGES_MIN <= LEASE_MESSAGES_MAX;
        self.is_leased = is_for_lease
            && (self.spend(audience, route, load) || self.renew(audience, route, origin, load));
        if self.is_leased {
            return self.reserve_others(audience, origin, load);
        }
        self.skipped = 0;
        let minds_origin = audience.has_no_echo && origin.is_some();
        for (seat, queue) in audience.singles.iter().enumerate() {
            if minds_origin && !queue.is_for(origin) {
                self.skipped += 1;
            } else if !queue.admits_at_once(load) {
                self.refused.push(seat as u32);
            }
        }
    }

    /// Seats that were not asked what was asked of the others last, and get nothing of it.
    pub fn written_off(&self) -> &[u32] {
        match &self.leased {
            Some(leased) if self.is_leased => &leased.written_off,
            _ => &[],
        }
    }

    /// Does not ask this seat any more, if nothing else would come of it. It was refused just now.
    pub fn write_off<M>(&mut self, seat: u32, queue: &Queue<M>) {
        let Some(leased) = self.leased.as_mut().filter(|_| self.is_leased) else { return };
        if queue.write_off(&leased.lease, seat) {
            leased.others.retain(|other| *other != seat);
            let place = leased.written_off.partition_point(|other| *other < seat);
            leased.written_off.insert(place, seat);
        }
    }

    /// Spends from the lease, if it is this audience's and has enough left.
    fn spend<M>(&mut self, audience: &Audience<M>, route: u64, load: Load) -> bool {
        let Some(leased) = &mut self.leased else { return false };
        if leased.route != route || leased.version != audience.version {
            return false;
        }
        let is_enough = leased.lease.spend(load, &mut self.recalled);
        if !self.recalled.is_empty() {
            leased.written_off.retain(|seat| !self.recalled.contains(seat));
            leased.others.append(&mut self.recalled);
            leased.others.sort_unstable();
            leased.others.dedup();
        }
        is_enough
    }

    /// Takes a new lease, and spends from it. Not from queues so short that it would take a good
    /// part of them.
    #[cold]
    fn renew<M>(
        &mut self,
        audience: &Audience<M>,
        route: u64,
        origin: Option<Origin>,
        load: Load,
    ) -> bool {
        let messages = lease_messages(audience, load);
        if messages < LEASE_MESSAGES_MIN {
            self.leased = None;
            return false;
        }
        let bytes = u64::from(load.bytes) * u64::from(messages / load.messages);
        let amount = Load { messages, bytes: u32::try_from(bytes).unwrap_or(u32::MAX) };
        let lease = Arc::new(Lease::new(amount));
        let (mut others, mut skipped) = (Vec::new(), 0);
        for (seat, queue) in audience.singles.iter().enumerate() {
            if !queue.is_for(origin) {
                skipped += 1;
            } else if !is_small_part(amount, queue) || !queue.lease(&lease, seat as u32, amount) {
                others.push(seat as u32);
            }
        }
        let written_off = Vec::new();
        self.leased =
            Some(Leased { route, version: audience.version, lease, others, written_off, skipped });
        self.spend(audience, route, load)
    }

    /// Asks the queues that the lease does not count for.
    fn reserve_others<M>(&mut self, audience: &Audience<M>, origin: Option<Origin>, load: Load) {
        let Some(leased) = &self.leased else { return };
        self.skipped = leased.skipped;
        for seat in &leased.others {
            let queue = &audience.singles[*seat as usize];
            if queue.is_for(origin) && !queue.admits_at_once(load) {
                self.refused.push(*seat);
            }
        }
    }
}

/// An eighth of the longest queue, up to the bound, in whole publishes.
fn lease_messages<M>(audience: &Audience<M>, load: Load) -> u32 {
    let longest =
        audience.singles.iter().map(|queue| queue.terms.bounds.messages).max().unwrap_or(0);
    let messages = (longest / 8).min(LEASE_MESSAGES_MAX);
    messages / load.messages * load.messages
}

fn is_small_part<M>(amount: Load, queue: &Queue<M>) -> bool {
    let bounds = queue.terms.bounds;
    amount.messages <= bounds.messages / 4 && amount.bytes <= bounds.bytes / 4
}

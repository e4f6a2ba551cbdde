//! Taking room in every queue of an audience: for one message after the other, or by a
//! [credit grant](crate::queue::grant) for many.

use crate::busy::Busy;
use crate::limits::{GRANT_MESSAGES_MAX, GRANT_PUBLISHES_MIN, GRANT_QUEUES_PER_PUBLISH};
use crate::load::Load;
use crate::payload::Origin;
use crate::queue::Queue;
use crate::queue::grant::Grant;
use crate::routing::route::Audience;
use std::sync::Arc;

/// The queues that have room, and the credit that a publisher holds in advance.
pub(crate) struct Reservations {
    /// Reader slots whose queues had no room for the last load, in order.
    pub refused: Vec<u32>,
    /// How many reader slots skip the load because of its origin.
    pub skipped: usize,
    /// Whether the last load was spent from a credit grant.
    is_granted: bool,
    /// Whether each queue had room for the last load, and none enough for a credit grant.
    is_short: bool,
    granted: Option<Granted>,
    recalled: Vec<u32>,
    publisher: Arc<Busy>,
}

/// A credit grant from an audience as it was at one version.
struct Granted {
    route: u64,
    version: u64,
    grant: Arc<Grant>,
    /// Reader slots outside the grant, in order.
    others: Vec<u32>,
    /// Reader slots that are not asked and get nothing, in order.
    written_off: Vec<u32>,
    skipped: usize,
}

impl Granted {
    /// Whether it is this audience's.
    fn is_of<M>(&self, audience: &Audience<M>, route: u64) -> bool {
        self.route == route && self.version == audience.version
    }
}

impl Reservations {
    pub fn new(publisher: Arc<Busy>) -> Self {
        Self {
            refused: Vec::new(),
            skipped: 0,
            is_granted: false,
            is_short: false,
            granted: None,
            recalled: Vec::new(),
            publisher,
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
        self.is_short = false;
        // A batch asks each queue once for many messages as it is.
        let is_for_grant = route != 0 && load.messages * GRANT_PUBLISHES_MIN <= GRANT_MESSAGES_MAX;
        self.is_granted = is_for_grant
            && (self.spend(audience, route, load) || self.renew(audience, route, origin, load));
        if self.is_granted {
            return self.reserve_others(audience, origin, load);
        }
        self.skipped = 0;
        let has_exceptions = audience.has_exceptions_for(origin);
        for (slot, member) in audience.singles.iter().enumerate() {
            if has_exceptions && !member.is_for(origin) {
                self.skipped += 1;
            } else if !member.queue.admits(load) {
                self.refused.push(slot as u32);
            }
        }
    }

    /// Whether the last load was taken by all, and their queues are nearly full.
    pub fn is_short(&self) -> bool {
        self.is_short && self.refused.is_empty()
    }

    /// The credit grant that the last load was spent from, if each queue of the audience gave it or
    /// is written off. Not yet where one was written off just now: the next load
    /// [looks](Queue::end_write_off_if_room) at it once more.
    pub fn grant_of_all(&self) -> Option<&Arc<Grant>> {
        let granted = self.granted.as_ref().filter(|_| self.is_granted)?;
        (granted.others.is_empty() && self.refused.is_empty()).then_some(&granted.grant)
    }

    /// Reader slots that were not asked for the last load, and get nothing of it.
    pub fn written_off(&self) -> &[u32] {
        match &self.granted {
            Some(granted) if self.is_granted => &granted.written_off,
            _ => &[],
        }
    }

    /// Does not ask this reader slot any more, if nothing else would come of it. It was refused
    /// just now.
    pub fn write_off<M>(&mut self, slot: u32, queue: &Queue<M>) {
        let Some(granted) = self.granted.as_mut().filter(|_| self.is_granted) else { return };
        if queue.write_off(&granted.grant, slot) {
            granted.others.retain(|other| *other != slot);
            let index = granted.written_off.partition_point(|other| *other < slot);
            granted.written_off.insert(index, slot);
        }
    }

    /// Takes a new credit grant for the next load: most queues were full, and now have room.
    pub fn forget_grant(&mut self) {
        self.granted = None;
    }

    /// Spends from the credit grant, if it is this audience's and has enough left.
    fn spend<M>(&mut self, audience: &Audience<M>, route: u64, load: Load) -> bool {
        let Some(granted) = &mut self.granted else { return false };
        if !granted.is_of(audience, route) {
            return false;
        }
        for slot in &granted.written_off {
            audience.singles[*slot as usize].queue.end_write_off_if_room();
        }
        let is_enough = granted.grant.spend(load, &mut self.recalled);
        if !self.recalled.is_empty() {
            granted.written_off.retain(|slot| !self.recalled.contains(slot));
            granted.others.append(&mut self.recalled);
            granted.others.sort_unstable();
            granted.others.dedup();
        }
        is_enough
    }

    /// Takes a new credit grant, and spends from it.
    #[cold]
    fn renew<M>(
        &mut self,
        audience: &Audience<M>,
        route: u64,
        origin: Option<Origin>,
        load: Load,
    ) -> bool {
        let before = self.granted.take().filter(|granted| granted.is_of(audience, route));
        let to_grant = ToGrant::of(audience, load);
        let publishes = match to_grant {
            ToGrant::Publishes(publishes) => publishes,
            // Nobody is asked for credit, but full ones are written off.
            ToGrant::TooFew { is_any_full: true } => 1,
            ToGrant::TooFew { .. } | ToGrant::Never => 0,
        };
        self.is_short = matches!(to_grant, ToGrant::TooFew { .. });
        if publishes == 0 {
            return false;
        }
        let amount = load.times(publishes);
        let grant = Arc::new(Grant::new(amount, self.publisher.clone()));
        let stays = |queue: &Queue<M>, slot| {
            let is_kept = |before: &Granted| queue.stays_written_off(slot, &before.grant, &grant);
            before.as_ref().is_some_and(is_kept)
        };
        let (mut others, mut written_off, mut skipped) = (Vec::new(), Vec::new(), 0);
        for (slot, member) in audience.singles.iter().enumerate() {
            if !member.is_for(origin) {
                skipped += 1;
            } else if stays(&member.queue, slot as u32) {
                written_off.push(slot as u32);
            } else if self.is_short || !member.queue.grant(&grant, slot as u32, amount) {
                others.push(slot as u32);
            }
        }
        self.granted =
            Some(Granted { route, version: audience.version, grant, others, written_off, skipped });
        self.spend(audience, route, load)
    }

    /// Asks the queues that the credit grant does not count for.
    fn reserve_others<M>(&mut self, audience: &Audience<M>, origin: Option<Origin>, load: Load) {
        let Some(granted) = &self.granted else { return };
        self.skipped = granted.skipped;
        for slot in &granted.others {
            let member = &audience.singles[*slot as usize];
            if member.is_for(origin) && !member.queue.admits(load) {
                self.refused.push(*slot);
            }
        }
    }
}

/// For how many publishes to take credit.
enum ToGrant {
    Publishes(u32),
    /// Some queues have room, and none for enough of them.
    TooFew {
        is_any_full: bool,
    },
    /// The queues are too short for credit grants.
    Never,
}

impl ToGrant {
    /// Three quarters of what the fullest queue has room for, so that other publishers find room
    /// too. All but one where the queues are empty: then a publisher alone fills a short queue by
    /// one grant, and sees that it is short of room. Queues with hardly any room are left out, and
    /// asked each time; in a large audience, where a grant takes long, those are more.
    fn of<M>(audience: &Audience<M>, load: Load) -> Self {
        let queues = || audience.singles.iter().map(|member| &member.queue);
        let longest = queues().map(|queue| queue.terms.bounds.messages).max().unwrap_or(0);
        let longest = longest / load.messages;
        let most = longest.saturating_sub(1).min(GRANT_MESSAGES_MAX / load.messages);
        if most < GRANT_PUBLISHES_MIN {
            return Self::Never;
        }
        let fewest = audience.singles.len() as u32 / GRANT_QUEUES_PER_PUBLISH;
        let fewest = fewest.clamp(GRANT_PUBLISHES_MIN, most);
        let (mut granted, mut least, mut most_room) = (None, u32::MAX, 0);
        for room in queues().map(|queue| queue.publishes_of(load)) {
            let part = if room == longest { most } else { room - room / 4 };
            if part >= fewest {
                granted = Some(part.min(granted.unwrap_or(most)));
            }
            (least, most_room) = (room.min(least), room.max(most_room));
        }
        match granted {
            None if most_room > 0 => Self::TooFew { is_any_full: least == 0 },
            // All are full, and can be written off.
            granted => Self::Publishes(granted.unwrap_or(most)),
        }
    }
}

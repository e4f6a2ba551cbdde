//! One fan-out: messages into a segment, and the segment into every queue of an audience. Never
//! waits.
//!
//! First room is taken in every queue that has it. Then the messages are appended, with those cut
//! off that had none, and the length moves. The rest is for
//! [deliveries](crate::publish::deliveries): whoever is not reading already gets an entry, and
//! those without room are treated as their policy says, which may leave messages waiting in the
//! wait queue.

use crate::limits::{
    SEGMENT_BATCH_PART, SEGMENT_BYTES_MAX, SEGMENT_CUTS_PART_MAX, SEGMENT_MESSAGES_MAX,
    SEGMENT_MESSAGES_MIN,
};
use crate::load::Load;
use crate::log::history::{Kept, KeptMessage};
use crate::log::message::Message;
use crate::log::{Record, Segment};
use crate::payload::Origin;
use crate::policy::WhenFull;
use crate::publish::deliveries::{Appended, Deliveries, Exceptions};
use crate::publish::reservation::Reservations;
use crate::queue::Entry;
use crate::routing::member::Member;
use crate::routing::route::{Audience, Group, Route};
use crate::topic::Topic;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What a publisher keeps from one fan-out to the next. All of it is reused; in the steady state
/// only segments are new.
pub(crate) struct FanOut<M> {
    pub origin: Option<Origin>,
    growing: Option<Growing<M>>,
    /// What is to be published; empty between calls.
    pub batch: Vec<M>,
    pub reply_to: Option<Topic>,
    weights: Vec<u32>,
    /// Which messages of the batch a history keeps.
    is_kept: Vec<bool>,
    load: Load,
    reservations: Reservations,
    /// The member of each group that has room reserved already, when all or nothing must be
    /// delivered.
    chosen: Vec<Option<Member<M>>>,
    /// Gives what was appended to the audience.
    pub deliveries: Deliveries<M>,
}

/// The segment that the next message goes to if nothing has changed.
///
/// Not kept alive from here: when all have read and left it, it goes, and with it the payloads.
struct Growing<M> {
    segment: Weak<Segment<M>>,
    route: u64,
    version: u64,
    used: u32,
    bytes: u64,
    /// How many reader slots are cut.
    cut: usize,
}

/// The topic and audience of a fan-out.
pub(crate) struct Target<'a, M> {
    pub topic: &'a Topic,
    pub audience: &'a Audience<M>,
    /// `None` for a topic that is used once.
    pub route: Option<&'a Arc<Route<M>>>,
    pub history: Option<&'a mut Kept<M>>,
    pub stamps: &'a AtomicU64,
}

/// Why nothing was published.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Closed,
    Full,
}

impl<M> FanOut<M> {
    pub fn new(origin: Option<Origin>) -> Self {
        Self {
            origin,
            growing: None,
            batch: Vec::new(),
            reply_to: None,
            weights: Vec::new(),
            is_kept: Vec::new(),
            load: Load::default(),
            reservations: Reservations::new(),
            chosen: Vec::new(),
            deliveries: Deliveries::new(),
        }
    }

    /// Weighs what is to be published next. Runs foreign code, so before any lock is taken.
    pub fn weigh<'a>(&mut self, messages: impl Iterator<Item = &'a M>)
    where
        M: crate::Payload,
    {
        self.load = Load::default();
        self.weights.clear();
        self.is_kept.clear();
        for message in messages {
            let weight = u32::try_from(message.weight_bytes()).unwrap_or(u32::MAX);
            self.load.messages += 1;
            self.load.bytes = self.load.bytes.saturating_add(weight);
            self.weights.push(weight);
            self.is_kept.push(message.is_kept_in_history());
        }
    }

    /// Publishes the batch to an audience, which is locked. On a refusal the batch is untouched.
    pub fn deliver(&mut self, target: Target<'_, M>, may_wait: bool) -> Result<(), Refusal> {
        let audience = target.audience;
        if audience.is_closed {
            return Err(Refusal::Closed);
        }
        if audience.is_empty() && target.history.is_none() {
            return Ok(());
        }
        let load = self.load;
        if !may_wait && audience.has_block && !self.all_have_room(audience) {
            return Err(Refusal::Full);
        }
        // All or nothing may have to give it all back, which a credit grant can't.
        let route = if may_wait || !audience.has_block { target.route_id() } else { 0 };
        self.reservations.reserve(audience, route, self.origin, load);
        if !may_wait && audience.has_block {
            self.all_or_nothing(audience, load)?;
        }
        let (segment, from) = self.append(&target, load);
        let appended =
            Appended { segment, range: from..from + load.messages, origin: self.origin, may_wait };
        self.count_at_once(audience);
        self.give_to_singles(audience, &appended);
        self.share_among_groups(audience, &appended);
        if let Some(kept) = target.history {
            for (index, _) in
                appended.range.clone().zip(&self.is_kept).filter(|(_, is_kept)| **is_kept)
            {
                let stamp = target.stamps.fetch_add(1, Ordering::Relaxed);
                let message = Message::new(appended.segment.clone(), index);
                kept.keep(
                    KeptMessage { stamp, origin: self.origin, message },
                    &mut self.deliveries.deferred,
                );
            }
        }
        // All readers may have dropped the segment already. Then this is the last holder, and the
        // locks are still held.
        self.deliveries.deferred.segments.push(appended.segment);
        Ok(())
    }

    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.deliveries.is_waiting()
    }

    /// Whether every lossless subscription, and one member of each lossless group, has room. For
    /// publishers that cannot wait.
    fn all_have_room(&self, audience: &Audience<M>) -> bool {
        let minds = |member: &&Member<M>| {
            member.queue.terms.when_full == WhenFull::Block
                && !member.queue.is_ended()
                && member.is_for(self.origin)
                && member.may_be_given(self.load.messages)
        };
        let has_room = |member: &Member<M>| {
            member.may_be_given(self.load.messages)
                && member.queue.has_room(self.load, &self.weights)
        };
        audience.singles.iter().filter(minds).all(has_room)
            && audience.groups.iter().all(|group| {
                !group.members.iter().any(|member| minds(&member))
                    || group
                        .members
                        .iter()
                        .any(|member| member.is_for(self.origin) && has_room(member))
            })
    }

    /// Gives everything back if another publisher was quicker at a lossless queue.
    fn all_or_nothing(&mut self, audience: &Audience<M>, load: Load) -> Result<(), Refusal> {
        let minds = |member: &Member<M>| {
            member.queue.terms.when_full == WhenFull::Block
                && !member.queue.is_ended()
                && member.may_be_given(load.messages)
                && !(self.weights.iter().any(|weight| *weight > member.queue.terms.bounds.bytes)
                    && member.queue.has_room(load, &self.weights))
        };
        let mut is_full =
            self.reservations.refused.iter().any(|slot| minds(&audience.singles[*slot as usize]));
        for group in &audience.groups {
            let is_lossless = group.members.iter().any(minds);
            let chosen = if is_lossless {
                group.in_turn(self.origin).find(|member| member.admits(load))
            } else {
                None
            };
            is_full |=
                is_lossless && chosen.is_none() && group.in_turn(self.origin).next().is_some();
            self.chosen.push(chosen.cloned());
        }
        if !is_full {
            return Ok(());
        }
        for (slot, member) in audience.singles.iter().enumerate() {
            if member.is_for(self.origin)
                && self.reservations.refused.binary_search(&(slot as u32)).is_err()
            {
                member.give_back(load, &mut self.deliveries.deferred);
            }
        }
        self.chosen
            .drain(..)
            .flatten()
            .for_each(|member| member.give_back(load, &mut self.deliveries.deferred));
        Err(Refusal::Full)
    }

    /// Puts the batch into the growing segment, or into a new one, and makes it readable for those
    /// who are not cut.
    fn append(&mut self, target: &Target<'_, M>, load: Load) -> (Arc<Segment<M>>, u32) {
        let (segment, from) = match self.grow(target, load) {
            Some((segment, from)) => {
                for (target, (message, weight)) in
                    (from..).zip(self.batch.drain(..).zip(&self.weights))
                {
                    segment.put(target, message, self.reply_to.take(), *weight);
                }
                (segment, from)
            }
            None => (self.begin(target, load), 0),
        };
        let mut newly_cut = 0;
        for slot in &self.reservations.refused {
            let state = &segment.slots[*slot as usize];
            newly_cut += usize::from(!state.is_cut());
            if let Some(rest) = state.cut(from) {
                let member = &target.audience.singles[*slot as usize];
                member
                    .queue
                    .push(Entry::fixed(&segment, member.id, rest), &mut self.deliveries.deferred);
            }
        }
        if let Some(growing) = &mut self.growing {
            growing.cut += newly_cut;
        }
        segment.length.advance(from + load.messages);
        (segment, from)
    }

    /// The growing segment, if it is still right for this audience and has room.
    fn grow(&mut self, target: &Target<'_, M>, load: Load) -> Option<(Arc<Segment<M>>, u32)> {
        let growing = self.growing.as_mut()?;
        if growing.route != target.route_id() || growing.version != target.audience.version {
            return None;
        }
        let bytes = growing.bytes + u64::from(load.bytes);
        if bytes > SEGMENT_BYTES_MAX as u64 {
            return None;
        }
        // A subscription that was cut and has room again needs an entry for each message, until
        // there is a new segment.
        let cut_again = self.reservations.refused.len() + self.reservations.written_off().len();
        if growing.cut > cut_again
            && (growing.cut - cut_again) * SEGMENT_CUTS_PART_MAX > target.audience.singles.len()
        {
            return None;
        }
        let segment = growing.segment.upgrade()?;
        let from = growing.used;
        if segment.capacity() - from < load.messages {
            self.deliveries.deferred.segments.push(segment);
            return None;
        }
        growing.used += load.messages;
        growing.bytes = bytes;
        Some((segment, from))
    }

    /// A new segment, with the batch in it.
    fn begin(&mut self, target: &Target<'_, M>, load: Load) -> Arc<Segment<M>> {
        let slots = target.audience.singles.len();
        let later = self.capacity_for(target, load.messages as usize) - load.messages as usize;
        let mut bytes = 0;
        let first = self.batch.drain(..).zip(&self.weights).map(|(message, weight)| {
            let slot = Record::new(message, self.reply_to.take(), *weight, bytes);
            bytes += u64::from(*weight);
            slot
        });
        let segment = Arc::new(Segment::new(target.topic.clone(), first.collect(), later, slots));
        if target.audience.has_no_echo && self.origin.is_some() {
            for (slot, member) in segment.slots.iter().zip(&target.audience.singles) {
                if !member.is_for(self.origin) {
                    slot.vacate();
                }
            }
        }
        for slot in self.reservations.written_off() {
            // Nobody reads here yet.
            let _ = segment.slots[*slot as usize].cut(0);
        }
        self.growing = target.route.map(|route| Growing {
            segment: Arc::downgrade(&segment),
            route: route.id,
            version: target.audience.version,
            used: load.messages,
            bytes: u64::from(load.bytes),
            cut: self.reservations.written_off().len(),
        });
        segment
    }

    /// Room for twice of what the segment before was used for, so that busy topics come to large
    /// segments and others stay small. None for later messages where a batch has few readers: an
    /// entry for each of them costs less than to append the next batch under their eyes.
    fn capacity_for(&self, target: &Target<'_, M>, messages: usize) -> usize {
        let Some(route) =
            target.route.filter(|_| messages < SEGMENT_BATCH_PART * target.audience.singles.len())
        else {
            return messages;
        };
        let used = self
            .growing
            .as_ref()
            .filter(|growing| growing.route == route.id)
            .map_or(0, |growing| growing.used);
        let fit = (SEGMENT_BYTES_MAX / size_of::<Record<M>>()).clamp(1, SEGMENT_MESSAGES_MAX);
        (used as usize * 2).clamp(SEGMENT_MESSAGES_MIN.min(fit), fit).max(messages)
    }

    /// Counts what is known before anybody is told: queues with room get it, those written off do
    /// not.
    fn count_at_once(&mut self, audience: &Audience<M>) {
        let messages = u64::from(self.load.messages);
        let written_off = self.reservations.written_off().len();
        let queued = audience.singles.len()
            - self.reservations.skipped
            - self.reservations.refused.len()
            - written_off;
        let receipt = &mut self.deliveries.receipt;
        receipt.queued += queued as u64 * messages;
        receipt.dropped += written_off as u64 * messages;
        receipt.matched += (queued + written_off) as u64 * messages;
    }

    fn give_to_singles(&mut self, audience: &Audience<M>, appended: &Appended<M>) {
        let exceptions = Exceptions {
            refused: &self.reservations.refused,
            written_off: self.reservations.written_off(),
        };
        self.deliveries.serve(audience, appended, exceptions);
        while let Some(slot) = self.deliveries.dropped_at.pop() {
            self.reservations.write_off(slot, &audience.singles[slot as usize].queue);
        }
    }

    /// Gives each message to one member of each group: one with room before one that is full.
    fn share_among_groups(&mut self, audience: &Audience<M>, appended: &Appended<M>) {
        let Appended { segment, range, .. } = appended;
        let mut chosen = std::mem::take(&mut self.chosen);
        for (index, group) in audience.groups.iter().enumerate() {
            if let Some(member) = chosen.get_mut(index).and_then(Option::take) {
                self.deliveries.push_fixed(&member, segment, range.clone());
                continue;
            }
            let mut from = range.start;
            let mut share = group.share(range);
            while from < range.end {
                let piece = from..range.end.min(from + share);
                let admitted = |member: &Member<M>| member.admits_first_of(segment, piece.clone());
                let taker =
                    group.in_turn(self.origin).find_map(|member| Some((member, admitted(member)?)));
                from = match taker {
                    Some((member, taken)) => {
                        self.deliveries.push_fixed(member, segment, taken.clone());
                        taken.end
                    }
                    None if share > 1 => {
                        share = 1;
                        continue;
                    }
                    None => {
                        self.offer_to_group(group, appended, piece.clone());
                        piece.end
                    }
                };
            }
        }
        chosen.clear();
        self.chosen = chosen;
    }

    /// Offers messages to a member that may be waited for, if any, when no member has room.
    fn offer_to_group(&mut self, group: &Group<M>, appended: &Appended<M>, range: Range<u32>) {
        let messages = range.end - range.start;
        let is_willing = |member: &&Member<M>| member.may_be_given(messages);
        let mut members = group.in_turn(self.origin).filter(is_willing);
        while let Some(first) = members.next() {
            let mut all = std::iter::once(first).chain(members);
            let member = all.find(|member| member.queue.may_be_waited_for()).unwrap_or(first);
            if member.spend_allowance(messages) {
                self.deliveries.offer(member, Some(&group.members), appended, range);
                return;
            }
            // Another publisher was quicker with what it could be given.
            members = group.in_turn(self.origin).filter(is_willing);
        }
    }
}

impl<M> Target<'_, M> {
    /// The route's id, zero for a route that is used once.
    fn route_id(&self) -> u64 {
        self.route.map_or(0, |route| route.id)
    }
}

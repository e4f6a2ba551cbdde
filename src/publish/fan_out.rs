//! One fan-out: messages into a segment, and the segment into every queue of an audience. Never
//! waits.
//!
//! First room is taken in every queue that has it. Then the messages are appended, with those cut
//! off that had none, and the length moves. The rest is for
//! [deliveries](crate::publish::deliveries): whoever is not reading already gets an entry, and
//! those without room are treated as their policy says, which may leave messages waiting in the
//! wait queue.

use crate::busy::Busy;
use crate::limits::{
    SEGMENT_BATCH_PART, SEGMENT_BYTES_MAX, SEGMENT_CUTS_PART_MAX, SEGMENT_MESSAGES_MAX,
    SEGMENT_MESSAGES_MIN,
};
use crate::load::Load;
use crate::log::history::{Kept, KeptMessage};
use crate::log::message::Message;
use crate::log::{Record, Segment};
use crate::payload::Origin;
use crate::policy::{Receipt, WhenFull};
use crate::publish::deliveries::{Appended, Deliveries, Exceptions};
use crate::publish::reservation::Reservations;
use crate::queue::entries::{Entry, Named};
use crate::queue::grant::Grant;
use crate::routing::bridged::Bridged;
use crate::routing::member::Member;
use crate::routing::route::{Audience, Group, Route};
use crate::topic::Topic;
use std::mem::needs_drop;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// A publisher's working memory from one fan-out to the next. All of it is reused; in the steady
/// state only segments are new.
pub(crate) struct FanOut<M> {
    pub origin: Option<Origin>,
    /// The origin whose subscriptions the publishing task itself reads.
    pub own: Option<Origin>,
    pub(super) growing: Option<Growing<M>>,
    pub(super) busy: Arc<Busy>,
    /// The messages to publish; empty between calls.
    pub batch: Vec<M>,
    pub reply_to: Option<Topic>,
    /// Set while a bridge publishes.
    pub from_bridge: Option<FromBridge>,
    weights: Vec<u32>,
    /// Which messages of the batch a history keeps.
    is_kept: Vec<bool>,
    load: Load,
    reservations: Reservations,
    /// The member of each group that has room reserved already, when all or nothing must be
    /// delivered.
    chosen: Vec<Option<Member<M>>>,
    /// Messages that other systems find a member for, since those here have no room.
    taken_over: Vec<TakenOver>,
    /// Gives what was appended to the audience.
    pub deliveries: Deliveries<M>,
}

/// The segment that the next message goes to if nothing has changed.
pub(super) struct Growing<M> {
    pub segment: Hold<M>,
    pub route: u64,
    version: u64,
    pub used: u32,
    capacity: u32,
    pub bytes: u64,
    /// How many reader slots are cut.
    cut: usize,
    /// Set while the next message may take it.
    pub short: Option<ShortWay>,
}

/// How a publisher holds its growing segment.
pub(super) enum Hold<M> {
    /// When all have read and left it, it goes, and with it the payloads.
    Weak(Weak<Segment<M>>),
    /// For payloads that need no drop: readers that sleep between messages cost no new segments.
    Strong(Arc<Segment<M>>),
}

impl<M> Hold<M> {
    /// Strongly only up to the bytes that any segment may keep alive.
    fn new(segment: &Arc<Segment<M>>) -> Self {
        let bytes = segment.capacity() as usize * size_of::<Record<M>>();
        match needs_drop::<M>() || bytes > SEGMENT_BYTES_MAX {
            true => Self::Weak(Arc::downgrade(segment)),
            false => Self::Strong(segment.clone()),
        }
    }

    fn upgrade(&self) -> Option<Arc<Segment<M>>> {
        match self {
            Self::Weak(segment) => segment.upgrade(),
            Self::Strong(segment) => Some(segment.clone()),
        }
    }
}

/// Facts about a growing segment that hold while its audience stays as it is.
pub(super) struct ShortWay {
    /// The changes of the audience that this knows of.
    pub changes: u64,
    /// Room in every queue that is not written off.
    pub grant: Arc<Grant>,
    /// How many queues get each message.
    pub queues: u64,
    /// How many miss it, since they are written off.
    pub written_off: u64,
}

impl<M> Growing<M> {
    #[inline]
    pub fn has_room_for(&self, load: Load) -> bool {
        self.capacity - self.used >= load.messages
            && self.bytes + u64::from(load.bytes) <= SEGMENT_BYTES_MAX as u64
    }

    #[inline]
    pub fn add(&mut self, load: Load) {
        self.used += load.messages;
        self.bytes += u64::from(load.bytes);
    }
}

/// Marks a publish that comes from another system.
#[derive(Default)]
pub(crate) struct FromBridge {
    /// The queue groups of which one member here is to get it.
    pub groups: Vec<Box<str>>,
}

/// Messages for a queue group that a bridge has room for, and no member here.
struct TakenOver {
    /// The bridge's place in the audience.
    bridge: usize,
    group: Arc<str>,
    range: Range<u32>,
}

/// The topic and audience of a fan-out.
pub(crate) struct Target<'a, M> {
    pub topic: &'a Topic,
    /// Those of the messages, if they are of several.
    pub topics: &'a [Topic],
    pub audience: &'a Audience<M>,
    /// `None` for a topic that is used once, unless it shares a route with its siblings.
    pub route: Option<&'a Arc<Route<M>>>,
    pub history: Option<&'a mut Kept<M>>,
    pub stamps: &'a AtomicU64,
}

/// Why nothing was published.
pub(crate) enum Refusal {
    Closed,
    Full,
    TooLong,
}

impl<M> FanOut<M> {
    pub fn new(origin: Option<Origin>, own: Option<Origin>) -> Self {
        let busy = Arc::new(Busy::new());
        Self {
            origin,
            own,
            growing: None,
            batch: Vec::new(),
            reply_to: None,
            from_bridge: None,
            weights: Vec::new(),
            is_kept: Vec::new(),
            load: Load::default(),
            reservations: Reservations::new(busy.clone()),
            busy,
            chosen: Vec::new(),
            taken_over: Vec::new(),
            deliveries: Deliveries::new(),
        }
    }

    /// Notes what is to be published next.
    pub fn prepare(&mut self, weights_and_kept: impl Iterator<Item = (u32, bool)>) {
        self.weights.clear();
        self.is_kept.clear();
        let mut bytes = 0_u32;
        for (weight_bytes, is_kept) in weights_and_kept {
            bytes = bytes.saturating_add(weight_bytes);
            self.weights.push(weight_bytes);
            self.is_kept.push(is_kept);
        }
        self.load = Load { messages: self.weights.len() as u32, bytes };
    }

    /// How many messages are, or were, to be published.
    pub fn prepared(&self) -> u64 {
        self.load.messages.into()
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
        // A bridge cannot ask the other system to keep it, so lossless subscriptions miss it.
        let is_all_or_nothing = !may_wait && audience.has_block && self.from_bridge.is_none();
        if is_all_or_nothing && !self.all_have_room(audience) {
            return Err(Refusal::Full);
        }
        // All or nothing may have to give it all back, which a credit grant can't.
        let route = if is_all_or_nothing { 0 } else { target.route_id() };
        self.reservations.reserve(audience, route, self.origin, load);
        if is_all_or_nothing {
            self.all_or_nothing(audience, load)?;
        }
        let (segment, from) = self.append(&target, load);
        let range = from..from + load.messages;
        let Self { origin, own, .. } = *self;
        let appended = Appended { segment, range, origin, own, may_wait };
        self.count_at_once(audience);
        self.give_to_singles(audience, &appended);
        self.share_among_groups(audience, &appended);
        if !audience.bridges.is_empty() {
            self.give_to_bridges(audience, &appended);
        }
        let is_plain = target.history.is_none() && audience.has_singles_only();
        self.note_short_way(&target, is_plain);
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

    /// Whether all got the present publish, and their queues are nearly full.
    pub fn is_short_of_room(&self) -> bool {
        self.reservations.is_short()
    }

    /// Closes the account of the present publish and returns it.
    #[inline]
    pub fn finish(&mut self) -> Receipt {
        let receipt = self.deliveries.finish();
        if receipt.waited * 2 > receipt.matched {
            self.reservations.forget_grant();
        }
        receipt
    }

    /// Notes what the next message needs to take the short way.
    fn note_short_way(&mut self, target: &Target<'_, M>, is_plain: bool) {
        let Target { route: Some(route), audience, .. } = target else { return };
        let Some(growing) = &mut self.growing else { return };
        let written_off = self.reservations.written_off().len();
        let is_plain = is_plain && growing.cut == written_off;
        let grant = self.reservations.grant_of_all().filter(|_| is_plain);
        growing.short = grant.map(|grant| ShortWay {
            changes: route.changes(),
            grant: grant.clone(),
            queues: (audience.singles.len() - self.reservations.skipped - written_off) as u64,
            written_off: written_off as u64,
        });
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
        let (segment, from) =
            self.grow(target, load).unwrap_or_else(|| (self.begin(target, load), 0));
        // Empty if a segment has begun with it.
        if !self.batch.is_empty() {
            let mut bytes = segment.bytes_before(from);
            for (index, (message, weight)) in (from..).zip(self.batch.drain(..).zip(&self.weights))
            {
                let record = Record::new(message, self.reply_to.take(), *weight, bytes);
                bytes = record.bytes_through();
                segment.put(index, || Some(record));
            }
        }
        if target.is_of_siblings() {
            let topics = target.topics.iter().chain(std::iter::repeat(target.topic));
            (from..from + load.messages)
                .zip(topics)
                .for_each(|(index, topic)| segment.put_topic(index, topic));
        }
        let mut newly_cut = 0;
        for slot in &self.reservations.refused {
            let state = &segment.slots[*slot as usize];
            newly_cut += usize::from(!state.is_cut());
            if let Some(rest) = state.cut(from, &segment.length) {
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
        if !growing.has_room_for(load) {
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
        growing.add(load);
        Some((segment, from))
    }

    /// A new segment, with the batch in it. A single message takes a slot as later ones do: that
    /// is one allocation less.
    fn begin(&mut self, target: &Target<'_, M>, load: Load) -> Arc<Segment<M>> {
        let slots = target.audience.singles.len();
        let messages = load.messages as usize;
        let capacity = self.capacity_for(target, messages);
        let mut nothing = Vec::new();
        let (first, later) = if messages > 1 {
            (&mut self.batch, capacity - messages)
        } else {
            (&mut nothing, capacity)
        };
        let later = (later, target.is_of_siblings());
        let segment =
            Arc::new(Segment::new(target.topic.clone(), (first, &self.weights), later, slots));
        if target.audience.has_exceptions_for(self.origin) {
            for (slot, member) in segment.slots.iter().zip(target.audience.singles.iter()) {
                if !member.is_for(self.origin) {
                    slot.vacate(&segment.length);
                }
            }
        }
        for slot in self.reservations.written_off() {
            // Nobody reads here yet.
            let _ = segment.slots[*slot as usize].cut(0, &segment.length);
        }
        self.growing = target.route.map(|route| Growing {
            segment: Hold::new(&segment),
            route: route.id,
            version: target.audience.version,
            used: load.messages,
            capacity: segment.capacity(),
            bytes: u64::from(load.bytes),
            cut: self.reservations.written_off().len(),
            short: None,
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
        self.deliveries.left_full += written_off;
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
            if self.from_bridge.as_ref().is_some_and(|from| !from.is_for(&group.name)) {
                continue;
            }
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
                    None if self.is_taken_over(audience, group, segment, &piece) => piece.end,
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
                let entry = Entry::fixed(&appended.segment, member.id, range);
                self.deliveries.offer(member, entry, Some(&group.members), appended);
                return;
            }
            // Another publisher was quicker with what it could be given.
            members = group.in_turn(self.origin).filter(is_willing);
        }
    }
}

/// Bridges.
impl<M> FanOut<M> {
    /// Leaves a message that no member here has room for to another system with members of the
    /// group, if one may be asked and has room. The room is taken.
    fn is_taken_over(
        &mut self,
        audience: &Audience<M>,
        group: &Group<M>,
        segment: &Segment<M>,
        range: &Range<u32>,
    ) -> bool {
        let origin = self.origin;
        for (bridge, bridged) in audience.bridges.iter().enumerate() {
            let Some(group) = bridged.takes_over(&group.name) else { continue };
            let has_room = self.has_taken_over(bridge, range.start)
                || bridged.member.queue.admits(segment.load(range.clone()));
            if bridged.member.is_for(origin) && has_room {
                self.take_over(bridge, group, range);
                return true;
            }
        }
        false
    }

    fn take_over(&mut self, bridge: usize, group: &Arc<str>, range: &Range<u32>) {
        if let Some(last) = self.taken_over.last_mut()
            && (last.bridge, last.range.end) == (bridge, range.start)
            && last.group == *group
        {
            last.range.end = range.end;
            return;
        }
        self.taken_over.push(TakenOver { bridge, group: group.clone(), range: range.clone() });
    }

    /// Whether room is taken in this bridge for a message already.
    fn has_taken_over(&self, bridge: usize, index: u32) -> bool {
        self.taken_over.iter().any(|taken| taken.bridge == bridge && taken.range.contains(&index))
    }

    /// Gives each bridge what the other system wants, each message once, and names the queue groups
    /// that have no member here or none with room.
    fn give_to_bridges(&mut self, audience: &Audience<M>, appended: &Appended<M>) {
        for (bridge, bridged) in audience.bridges.iter().enumerate() {
            if !bridged.member.is_for(self.origin) {
                continue;
            }
            let is_theirs = |name: &str| {
                let is_named = |earlier: &Bridged<M>| earlier.wants_group(name);
                !audience.groups.iter().any(|group| *group.name == *name)
                    && !audience.bridges[..bridge].iter().any(is_named)
            };
            let named = bridged.named(is_theirs);
            let mut from = appended.range.start;
            while from < appended.range.end {
                let to = self.same_groups_until(bridge, from, appended.range.end);
                self.give_to_bridge((bridge, bridged), named.clone(), appended, from..to);
                from = to;
            }
        }
        self.taken_over.clear();
    }

    /// The end of the messages from `from` on for which the same groups were taken over.
    fn same_groups_until(&self, bridge: usize, from: u32, end: u32) -> u32 {
        let taken = self.taken_over.iter().filter(|taken| taken.bridge == bridge);
        let bounds = taken.flat_map(|taken| [taken.range.start, taken.range.end]);
        bounds.filter(|bound| *bound > from).min().map_or(end, |bound| bound.min(end))
    }

    fn give_to_bridge(
        &mut self,
        (bridge, bridged): (usize, &Bridged<M>),
        mut named: Option<Named>,
        appended: &Appended<M>,
        range: Range<u32>,
    ) {
        let taken_over = self
            .taken_over
            .iter()
            .filter(|taken| taken.bridge == bridge && taken.range.contains(&range.start));
        let mut is_admitted = false;
        for taken in taken_over {
            is_admitted = true;
            Arc::make_mut(named.get_or_insert_default()).push(taken.group.clone());
        }
        if named.is_none() && !bridged.is_plain() {
            return;
        }
        let member = &bridged.member;
        let load = appended.segment.load(range.clone());
        let entry = Entry { groups: named, ..Entry::fixed(&appended.segment, member.id, range) };
        let before = self.deliveries.receipt.queued;
        if is_admitted || member.queue.admits(load) {
            self.deliveries.push(member, entry);
        } else {
            self.deliveries.offer(member, entry, None, appended);
        }
        let receipt = &mut self.deliveries.receipt;
        receipt.remote += receipt.queued - before;
    }
}

impl FromBridge {
    fn is_for(&self, group: &str) -> bool {
        self.groups.iter().any(|name| **name == *group)
    }
}

impl<M> Target<'_, M> {
    /// Whether the next messages of the route may be of other topics.
    fn is_of_siblings(&self) -> bool {
        self.route.is_some_and(|route| route.siblings.is_some())
    }

    /// The route's id, zero for a route that is used once.
    fn route_id(&self) -> u64 {
        self.route.map_or(0, |route| route.id)
    }
}

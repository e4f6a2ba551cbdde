//! One fan-out: messages into a frame, and the frame into every queue of an audience. Never waits.
//!
//! First room is taken in every queue that has it. Then the messages are appended, with those cut off that had none; the
//! length moves; whoever is not reading already gets an entry. Then those without room are treated as their policy says,
//! which may leave messages waiting in line: waiting itself is the [publisher](super::publisher)'s.

use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Instant;

use super::Origin;
use super::afterwards::Afterwards;
use super::credit::Load;
use super::frame::{Frame, Message, Slot};
use super::history::{Kept, KeptMessage};
use super::intake::Intake;
use super::member::Member;
use super::overflow::{Receipt, WhenFull};
use super::pending::Pending;
use super::queue::{Entry, Offered, Queue};
use super::route::{Audience, Group};
use super::seat::Call;
use super::topic::Topic;
use crate::limits::{FRAME_BYTES_MAX, FRAME_MESSAGES_MAX, FRAME_MESSAGES_MIN};

/// What a publisher keeps from one fan-out to the next. All of it is reused; in the steady state only frames are new.
pub(super) struct FanOut<M> {
    origin: Option<Origin>,
    growing: Option<Growing<M>>,
    /// What is to be published; empty between calls.
    pub batch: Vec<M>,
    pub reply_to: Option<Topic>,
    weights: Vec<u32>,
    /// Which of the batch a history keeps.
    is_kept: Vec<bool>,
    load: Load,
    intake: Intake,
    /// The member of each group that has room reserved already, when all or nothing must be delivered.
    chosen: Vec<Option<Member<M>>>,
    pub waiting: Vec<Waiting<M>>,
    pub pending: Arc<Pending>,
    pub afterwards: Afterwards<M>,
}

/// A queue in whose line messages of this publisher stand.
pub(super) struct Waiting<M> {
    pub queue: Arc<Queue<M>>,
    /// None waits as long as it takes.
    pub deadline: Option<Instant>,
    /// Who could take the messages instead.
    pub group: Option<Arc<Vec<Member<M>>>>,
}

/// The frame that the next message goes to if nothing has changed.
///
/// Not kept alive from here: when all have read and left it, it goes, and with it the payloads.
struct Growing<M> {
    frame: Weak<Frame<M>>,
    route: u64,
    version: u64,
    used: u32,
    bytes: u64,
}

/// Where a fan-out takes place.
pub(super) struct Place<'a, M> {
    pub topic: &'a Topic,
    pub audience: &'a Audience<M>,
    /// Names the route; zero for one that is used once.
    pub route: u64,
    pub history: Option<&'a mut Kept<M>>,
    pub stamps: &'a AtomicU64,
}

/// Why nothing was published.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
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
            intake: Intake::new(),
            chosen: Vec::new(),
            waiting: Vec::new(),
            pending: Arc::default(),
            afterwards: Afterwards::new(),
        }
    }

    /// Weighs what is to be published next. Runs foreign code, so before any lock is taken.
    pub fn weigh<'a>(&mut self, messages: impl Iterator<Item = &'a M>)
    where
        M: super::Payload,
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
    pub fn deliver(&mut self, place: Place<'_, M>, may_wait: bool) -> Result<Receipt, Refusal> {
        let audience = place.audience;
        if audience.is_closed {
            return Err(Refusal::Closed);
        }
        if audience.is_empty() && place.history.is_none() {
            return Ok(Receipt::default());
        }
        let load = self.load;
        if !may_wait && audience.has_block && !self.all_have_room(audience) {
            return Err(Refusal::Full);
        }
        // All or nothing may have to give it all back, which a lease can't.
        let route = if may_wait || !audience.has_block { place.route } else { 0 };
        self.intake.reserve(audience, route, self.origin, load);
        if !may_wait && audience.has_block {
            self.all_or_nothing(audience, load)?;
        }
        let (frame, from) = self.append(&place, load);
        let to = from + load.messages;
        self.call(audience, &frame, from..to);

        let messages = u64::from(load.messages);
        let written_off = self.intake.written_off().len();
        let queued = (audience.singles.len() - self.intake.skipped - self.intake.refused.len() - written_off) as u64;
        let mut receipt =
            Receipt { queued: queued * messages, dropped: written_off as u64 * messages, ..Receipt::default() };
        receipt.matched = receipt.queued + receipt.dropped;
        self.offer_to_refused(audience, &frame, from..to, may_wait, &mut receipt);
        self.share_among_groups(audience, &frame, from..to, may_wait, &mut receipt);
        if let Some(kept) = place.history {
            for (place_in_frame, _) in (from..to).zip(&self.is_kept).filter(|(_, is_kept)| **is_kept) {
                let stamp = place.stamps.fetch_add(1, Ordering::Relaxed);
                let message = Message::new(frame.clone(), place_in_frame);
                kept.keep(KeptMessage { stamp, origin: self.origin, message }, &mut self.afterwards);
            }
        }
        // Whoever has read it all may have let go already: then this is the last holder, and the locks are still held.
        self.afterwards.frames.push(frame);
        Ok(receipt)
    }

    /// For who cannot wait: whether every lossless subscription, and one member of each lossless group, has room.
    fn all_have_room(&self, audience: &Audience<M>) -> bool {
        let minds = |member: &&Member<M>| {
            member.terms.when_full == WhenFull::Block && !member.is_ended() && member.is_for(self.origin)
        };
        let has_room = |member: &Member<M>| member.has_room(self.load, &self.weights);
        audience.singles.iter().filter(minds).all(has_room)
            && audience.groups.iter().all(|group| {
                !group.members.iter().any(|member| minds(&member))
                    || group.members.iter().any(|member| member.is_for(self.origin) && has_room(member))
            })
    }

    /// After room was taken: if somebody else was quicker at a lossless queue, everything is given back.
    fn all_or_nothing(&mut self, audience: &Audience<M>, load: Load) -> Result<(), Refusal> {
        let minds = |queue: &Member<M>| {
            queue.terms.when_full == WhenFull::Block
                && !queue.is_ended()
                && !(self.weights.iter().any(|weight| *weight > queue.terms.bounds.bytes)
                    && queue.has_room(load, &self.weights))
        };
        let mut is_full = self.intake.refused.iter().any(|seat| minds(&audience.singles[*seat as usize]));
        for group in &audience.groups {
            let is_lossless = group.members.iter().any(minds);
            let chosen = if is_lossless { group.in_turn(self.origin).find(|queue| queue.admits(load)) } else { None };
            is_full |= is_lossless && chosen.is_none() && group.in_turn(self.origin).next().is_some();
            self.chosen.push(chosen.cloned());
        }
        if !is_full {
            return Ok(());
        }
        for (seat, queue) in audience.singles.iter().enumerate() {
            if queue.is_for(self.origin) && self.intake.refused.binary_search(&(seat as u32)).is_err() {
                queue.give_back(load, &mut self.afterwards);
            }
        }
        self.chosen.drain(..).flatten().for_each(|queue| queue.give_back(load, &mut self.afterwards));
        Err(Refusal::Full)
    }

    /// Puts the batch into the growing frame, or into a new one, and makes it readable for those who are not cut.
    fn append(&mut self, place: &Place<'_, M>, load: Load) -> (Arc<Frame<M>>, u32) {
        let (frame, from) = match self.grow(place, load) {
            Some(frame) => frame,
            None => (self.begin(place, load), 0),
        };
        let mut next = from;
        for (message, weight) in self.batch.drain(..).zip(&self.weights) {
            frame.put(next, message, self.reply_to.take(), *weight);
            next += 1;
        }
        for seat in &self.intake.refused {
            if let Some(rest) = frame.seats[*seat as usize].cut(from) {
                let member = &place.audience.singles[*seat as usize];
                member.push(Entry::fixed(&frame, member.id, rest), &mut self.afterwards);
            }
        }
        frame.length.advance(next);
        (frame, from)
    }

    /// The growing frame, if it is still right for this audience and has room.
    fn grow(&mut self, place: &Place<'_, M>, load: Load) -> Option<(Arc<Frame<M>>, u32)> {
        let growing = self.growing.as_mut()?;
        if growing.route != place.route || growing.version != place.audience.version {
            return None;
        }
        let bytes = growing.bytes + u64::from(load.bytes);
        if bytes > FRAME_BYTES_MAX as u64 {
            return None;
        }
        let frame = growing.frame.upgrade()?;
        let from = growing.used;
        if frame.capacity() - from < load.messages {
            self.afterwards.frames.push(frame);
            return None;
        }
        growing.used += load.messages;
        growing.bytes = bytes;
        Some((frame, from))
    }

    fn begin(&mut self, place: &Place<'_, M>, load: Load) -> Arc<Frame<M>> {
        let slots = self.slots_for(place, load.messages as usize);
        let frame = Arc::new(Frame::new(place.topic.clone(), slots, place.audience.singles.len()));
        if place.audience.has_no_echo && self.origin.is_some() {
            for (seat, member) in frame.seats.iter().zip(&place.audience.singles) {
                if !member.is_for(self.origin) {
                    seat.vacate();
                }
            }
        }
        for seat in self.intake.written_off() {
            // Nobody reads here yet.
            let _ = frame.seats[*seat as usize].cut(0);
        }
        self.growing = (place.route != 0).then(|| Growing {
            frame: Arc::downgrade(&frame),
            route: place.route,
            version: place.audience.version,
            used: load.messages,
            bytes: u64::from(load.bytes),
        });
        frame
    }

    /// Room for twice of what the frame before was used for, so that busy topics come to large frames and others stay small.
    fn slots_for(&self, place: &Place<'_, M>, messages: usize) -> usize {
        if place.route == 0 {
            return messages;
        }
        let used =
            self.growing.as_ref().filter(|growing| growing.route == place.route).map_or(0, |growing| growing.used);
        let fit = (FRAME_BYTES_MAX / size_of::<Slot<M>>()).clamp(1, FRAME_MESSAGES_MAX);
        (used as usize * 2).clamp(FRAME_MESSAGES_MIN.min(fit), fit).max(messages)
    }

    /// Tells those who had room and are not reading this frame already.
    fn call(&mut self, audience: &Audience<M>, frame: &Arc<Frame<M>>, places: Range<u32>) {
        let mut refused = self.intake.refused.iter().copied().peekable();
        let mut written_off = self.intake.written_off().iter().copied().peekable();
        for (seat, (state, member)) in frame.seats.iter().zip(&audience.singles).enumerate() {
            let seat = seat as u32;
            if refused.next_if_eq(&seat).is_some() || written_off.next_if_eq(&seat).is_some() {
                continue;
            }
            let entry = match state.call() {
                Call::None => continue,
                Call::BackFrom(from) => Entry { seat: Some(seat), ..Entry::fixed(frame, member.id, from..from) },
                Call::Fixed => Entry::fixed(frame, member.id, places.clone()),
            };
            member.push(entry, &mut self.afterwards);
        }
    }

    fn offer_to_refused(
        &mut self,
        audience: &Audience<M>,
        frame: &Arc<Frame<M>>,
        places: Range<u32>,
        may_wait: bool,
        receipt: &mut Receipt,
    ) {
        let refused = std::mem::take(&mut self.intake.refused);
        for seat in &refused {
            let member = &audience.singles[*seat as usize];
            let dropped_before = receipt.dropped;
            self.offer(member, None, frame, places.clone(), may_wait, receipt);
            if receipt.dropped > dropped_before {
                self.intake.write_off(*seat, member);
            }
        }
        self.intake.refused = refused;
    }

    /// Gives each message to one member of each group: one with room before one that is full.
    fn share_among_groups(
        &mut self,
        audience: &Audience<M>,
        frame: &Arc<Frame<M>>,
        places: Range<u32>,
        may_wait: bool,
        receipt: &mut Receipt,
    ) {
        let mut chosen = std::mem::take(&mut self.chosen);
        for (index, group) in audience.groups.iter().enumerate() {
            if let Some(member) = chosen.get_mut(index).and_then(Option::take) {
                self.push_fixed(&member, frame, places.clone(), receipt);
                continue;
            }
            let mut from = places.start;
            let mut share = group.share(&places);
            while from < places.end {
                let to = places.end.min(from + share);
                match group.in_turn(self.origin).find(|member| member.admits(frame.load(from..to))) {
                    Some(member) => self.push_fixed(member, frame, from..to, receipt),
                    None if share > 1 => {
                        share = 1;
                        continue;
                    }
                    None => self.offer_to_group(group, frame, from..to, may_wait, receipt),
                }
                from = to;
            }
        }
        chosen.clear();
        self.chosen = chosen;
    }

    fn push_fixed(&mut self, member: &Member<M>, frame: &Arc<Frame<M>>, places: Range<u32>, receipt: &mut Receipt) {
        let messages = u64::from(places.end - places.start);
        receipt.matched += messages;
        receipt.queued += messages;
        member.push(Entry::fixed(frame, member.id, places), &mut self.afterwards);
    }

    /// Nobody has room: one who may be waited for, if any, has to deal with it.
    fn offer_to_group(
        &mut self,
        group: &Group<M>,
        frame: &Arc<Frame<M>>,
        places: Range<u32>,
        may_wait: bool,
        receipt: &mut Receipt,
    ) {
        let mut members = group.in_turn(self.origin);
        let first = members.next();
        let Some(first) = first else { return };
        let member = std::iter::once(first).chain(members).find(|member| member.may_be_waited_for()).unwrap_or(first);
        self.offer(member, Some(&group.members), frame, places, may_wait, receipt);
    }

    fn offer(
        &mut self,
        member: &Member<M>,
        group: Option<&Arc<Vec<Member<M>>>>,
        frame: &Arc<Frame<M>>,
        places: Range<u32>,
        may_wait: bool,
        receipt: &mut Receipt,
    ) {
        receipt.matched += u64::from(places.end - places.start);
        let is_last = places.end == frame.length.get();
        let pending = may_wait.then_some(&self.pending);
        let offered = member.offer(Entry::fixed(frame, member.id, places), pending, &mut self.afterwards);
        let Offered { queued, dropped, disconnected, parked, must_end } = offered;
        receipt.queued += u64::from(queued);
        receipt.dropped += u64::from(dropped);
        receipt.disconnected += u64::from(disconnected);
        receipt.waited += u64::from(parked);
        if must_end {
            self.afterwards.to_end.push(member.queue.clone());
        }
        if parked > 0 {
            let deadline = match member.terms.when_full {
                WhenFull::Wait(wait) | WhenFull::Disconnect { after: wait } => Instant::now().checked_add(wait),
                _ => None,
            };
            // Another member may only take it later if nothing that follows has been given to anybody.
            let group = group.filter(|_| is_last).cloned();
            self.waiting.push(Waiting { queue: member.queue.clone(), deadline, group });
        }
    }
}

//! One fan-out: messages into a frame, and the frame into every queue of an audience. Never waits.
//!
//! First room is taken in every queue that has it. Then the messages are appended, with those cut
//! off that had none, and the length moves. The rest is for [workers](super::worker): whoever is
//! not reading already gets an entry, and those without room are treated as their policy says,
//! which may leave messages waiting in line.

use super::Origin;
use super::credit::Load;
use super::frame::{Frame, Message, Slot};
use super::history::{Kept, KeptMessage};
use super::intake::Intake;
use super::member::Member;
use super::overflow::WhenFull;
use super::queue::Entry;
use super::route::{Audience, Group, Route};
use super::topic::Topic;
use super::worker::{Exceptions, News, Worker};
use crate::limits::{
    FRAME_BATCH_PART, FRAME_BYTES_MAX, FRAME_CUTS_PART_MAX, FRAME_MESSAGES_MAX, FRAME_MESSAGES_MIN,
};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// What a publisher keeps from one fan-out to the next. All of it is reused; in the steady state
/// only frames are new.
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
    /// The member of each group that has room reserved already, when all or nothing must be
    /// delivered.
    chosen: Vec<Option<Member<M>>>,
    /// Gives it to the audience.
    pub worker: Worker<M>,
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
    /// How many seats are cut.
    cut: usize,
}

/// Where a fan-out takes place.
pub(super) struct Place<'a, M> {
    pub topic: &'a Topic,
    pub audience: &'a Audience<M>,
    /// None for one that is used once.
    pub route: Option<&'a Arc<Route<M>>>,
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
            worker: Worker::new(),
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
    pub fn deliver(&mut self, place: Place<'_, M>, may_wait: bool) -> Result<(), Refusal> {
        let audience = place.audience;
        if audience.is_closed {
            return Err(Refusal::Closed);
        }
        if audience.is_empty() && place.history.is_none() {
            return Ok(());
        }
        let load = self.load;
        if !may_wait && audience.has_block && !self.all_have_room(audience) {
            return Err(Refusal::Full);
        }
        // All or nothing may have to give it all back, which a lease can't.
        let route = if may_wait || !audience.has_block { place.route_id() } else { 0 };
        self.intake.reserve(audience, route, self.origin, load);
        if !may_wait && audience.has_block {
            self.all_or_nothing(audience, load)?;
        }
        let (frame, from) = self.append(&place, load);
        let news =
            News { frame, places: from..from + load.messages, origin: self.origin, may_wait };
        self.count_at_once(audience);
        self.give_to_singles(audience, &news);
        self.share_among_groups(audience, &news);
        if let Some(kept) = place.history {
            for (place_in_frame, _) in
                news.places.clone().zip(&self.is_kept).filter(|(_, is_kept)| **is_kept)
            {
                let stamp = place.stamps.fetch_add(1, Ordering::Relaxed);
                let message = Message::new(news.frame.clone(), place_in_frame);
                kept.keep(
                    KeptMessage { stamp, origin: self.origin, message },
                    &mut self.worker.afterwards,
                );
            }
        }
        // Whoever has read it all may have let go already: then this is the last holder, and the
        // locks are still held.
        self.worker.afterwards.frames.push(news.frame);
        Ok(())
    }

    #[inline]
    pub fn is_waiting(&self) -> bool {
        self.worker.is_waiting()
    }

    /// For who cannot wait: whether every lossless subscription, and one member of each lossless
    /// group, has room.
    fn all_have_room(&self, audience: &Audience<M>) -> bool {
        let minds = |member: &&Member<M>| {
            member.terms.when_full == WhenFull::Block
                && !member.is_ended()
                && member.is_for(self.origin)
                && member.may_be_given(self.load.messages)
        };
        let has_room = |member: &Member<M>| {
            member.may_be_given(self.load.messages) && member.has_room(self.load, &self.weights)
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

    /// After room was taken: if somebody else was quicker at a lossless queue, everything is given
    /// back.
    fn all_or_nothing(&mut self, audience: &Audience<M>, load: Load) -> Result<(), Refusal> {
        let minds = |queue: &Member<M>| {
            queue.terms.when_full == WhenFull::Block
                && !queue.is_ended()
                && queue.may_be_given(load.messages)
                && !(self.weights.iter().any(|weight| *weight > queue.terms.bounds.bytes)
                    && queue.has_room(load, &self.weights))
        };
        let mut is_full =
            self.intake.refused.iter().any(|seat| minds(&audience.singles[*seat as usize]));
        for group in &audience.groups {
            let is_lossless = group.members.iter().any(minds);
            let chosen = if is_lossless {
                group.in_turn(self.origin).find(|queue| queue.admits(load))
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
        for (seat, queue) in audience.singles.iter().enumerate() {
            if queue.is_for(self.origin)
                && self.intake.refused.binary_search(&(seat as u32)).is_err()
            {
                queue.give_back(load, &mut self.worker.afterwards);
            }
        }
        self.chosen
            .drain(..)
            .flatten()
            .for_each(|queue| queue.give_back(load, &mut self.worker.afterwards));
        Err(Refusal::Full)
    }

    /// Puts the batch into the growing frame, or into a new one, and makes it readable for those
    /// who are not cut.
    fn append(&mut self, place: &Place<'_, M>, load: Load) -> (Arc<Frame<M>>, u32) {
        let (frame, from) = match self.grow(place, load) {
            Some((frame, from)) => {
                for (place, (message, weight)) in
                    (from..).zip(self.batch.drain(..).zip(&self.weights))
                {
                    frame.put(place, message, self.reply_to.take(), *weight);
                }
                (frame, from)
            }
            None => (self.begin(place, load), 0),
        };
        let mut newly_cut = 0;
        for seat in &self.intake.refused {
            let state = &frame.seats[*seat as usize];
            newly_cut += usize::from(!state.is_cut());
            if let Some(rest) = state.cut(from) {
                let member = &place.audience.singles[*seat as usize];
                member.push(Entry::fixed(&frame, member.id, rest), &mut self.worker.afterwards);
            }
        }
        if let Some(growing) = &mut self.growing {
            growing.cut += newly_cut;
        }
        frame.length.advance(from + load.messages);
        (frame, from)
    }

    /// The growing frame, if it is still right for this audience and has room.
    fn grow(&mut self, place: &Place<'_, M>, load: Load) -> Option<(Arc<Frame<M>>, u32)> {
        let growing = self.growing.as_mut()?;
        if growing.route != place.route_id() || growing.version != place.audience.version {
            return None;
        }
        let bytes = growing.bytes + u64::from(load.bytes);
        if bytes > FRAME_BYTES_MAX as u64 {
            return None;
        }
        // Who was cut and has room again needs an entry for each message, until there is a new
        // frame.
        let cut_again = self.intake.refused.len() + self.intake.written_off().len();
        if growing.cut > cut_again
            && (growing.cut - cut_again) * FRAME_CUTS_PART_MAX > place.audience.singles.len()
        {
            return None;
        }
        let frame = growing.frame.upgrade()?;
        let from = growing.used;
        if frame.capacity() - from < load.messages {
            self.worker.afterwards.frames.push(frame);
            return None;
        }
        growing.used += load.messages;
        growing.bytes = bytes;
        Some((frame, from))
    }

    /// A new frame, with the batch in it.
    fn begin(&mut self, place: &Place<'_, M>, load: Load) -> Arc<Frame<M>> {
        let seats = place.audience.singles.len();
        let later = self.slots_for(place, load.messages as usize) - load.messages as usize;
        let mut bytes = 0;
        let first = self.batch.drain(..).zip(&self.weights).map(|(message, weight)| {
            let slot = Slot::new(message, self.reply_to.take(), *weight, bytes);
            bytes += u64::from(*weight);
            slot
        });
        let frame = Arc::new(Frame::new(place.topic.clone(), first.collect(), later, seats));
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
        self.growing = place.route.map(|route| Growing {
            frame: Arc::downgrade(&frame),
            route: route.id,
            version: place.audience.version,
            used: load.messages,
            bytes: u64::from(load.bytes),
            cut: self.intake.written_off().len(),
        });
        frame
    }

    /// Room for twice of what the frame before was used for, so that busy topics come to large
    /// frames and others stay small. None for later messages where a batch has few readers: an
    /// entry for each of them costs less than to append the next batch under their eyes.
    fn slots_for(&self, place: &Place<'_, M>, messages: usize) -> usize {
        let Some(route) =
            place.route.filter(|_| messages < FRAME_BATCH_PART * place.audience.singles.len())
        else {
            return messages;
        };
        let used = self
            .growing
            .as_ref()
            .filter(|growing| growing.route == route.id)
            .map_or(0, |growing| growing.used);
        let fit = (FRAME_BYTES_MAX / size_of::<Slot<M>>()).clamp(1, FRAME_MESSAGES_MAX);
        (used as usize * 2).clamp(FRAME_MESSAGES_MIN.min(fit), fit).max(messages)
    }

    /// What is known before anybody is told: those with room get it, those written off do not.
    fn count_at_once(&mut self, audience: &Audience<M>) {
        let messages = u64::from(self.load.messages);
        let written_off = self.intake.written_off().len();
        let queued =
            audience.singles.len() - self.intake.skipped - self.intake.refused.len() - written_off;
        let receipt = &mut self.worker.receipt;
        receipt.queued += queued as u64 * messages;
        receipt.dropped += written_off as u64 * messages;
        receipt.matched += (queued + written_off) as u64 * messages;
    }

    fn give_to_singles(&mut self, audience: &Audience<M>, news: &News<M>) {
        let exceptions =
            Exceptions { refused: &self.intake.refused, written_off: self.intake.written_off() };
        self.worker.serve(audience, news, exceptions);
        while let Some(seat) = self.worker.dropped_at.pop() {
            self.intake.write_off(seat, &audience.singles[seat as usize]);
        }
    }

    /// Gives each message to one member of each group: one with room before one that is full.
    fn share_among_groups(&mut self, audience: &Audience<M>, news: &News<M>) {
        let News { frame, places, .. } = news;
        let mut chosen = std::mem::take(&mut self.chosen);
        for (index, group) in audience.groups.iter().enumerate() {
            if let Some(member) = chosen.get_mut(index).and_then(Option::take) {
                self.worker.push_fixed(&member, frame, places.clone());
                continue;
            }
            let mut from = places.start;
            let mut share = group.share(places);
            while from < places.end {
                let piece = from..places.end.min(from + share);
                let admitted = |member: &Member<M>| member.admits_first_of(frame, piece.clone());
                let taker =
                    group.in_turn(self.origin).find_map(|member| Some((member, admitted(member)?)));
                from = match taker {
                    Some((member, taken)) => {
                        self.worker.push_fixed(member, frame, taken.clone());
                        taken.end
                    }
                    None if share > 1 => {
                        share = 1;
                        continue;
                    }
                    None => {
                        self.offer_to_group(group, news, piece.clone());
                        piece.end
                    }
                };
            }
        }
        chosen.clear();
        self.chosen = chosen;
    }

    /// Nobody has room: one who may be waited for, if any, has to deal with it.
    fn offer_to_group(&mut self, group: &Group<M>, news: &News<M>, places: Range<u32>) {
        let messages = places.end - places.start;
        let is_willing = |member: &&Member<M>| member.may_be_given(messages);
        let mut members = group.in_turn(self.origin).filter(is_willing);
        while let Some(first) = members.next() {
            let mut all = std::iter::once(first).chain(members);
            let member = all.find(|member| member.may_be_waited_for()).unwrap_or(first);
            if member.spend_allowance(messages) {
                self.worker.offer(member, Some(&group.members), news, places);
                return;
            }
            // Another publisher was quicker with what it could be given.
            members = group.in_turn(self.origin).filter(is_willing);
        }
    }
}

impl<M> Place<'_, M> {
    /// Zero for a route that is used once.
    fn route_id(&self) -> u64 {
        self.route.map_or(0, |route| route.id)
    }
}

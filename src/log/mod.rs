//! Segments: messages published together or one after another, stored once and shared by every
//! queue they are for.

pub mod deferred;
pub mod history;
pub mod message;
pub mod reader_slot;

use crate::load::Load;
use crate::payload::Payload;
use crate::topic::Topic;
use reader_slot::{Length, ReaderSlot};
use spin::Once;
use std::ops::Range;

/// Consecutive messages of one publisher on one route, and the reader slots of the subscriptions
/// they are for.
///
/// Its one publisher fills the slots in order and then moves the length; receivers read what lies
/// below the length, by reference. Nothing in it is ever changed after that, so it needs no lock.
pub(crate) struct Segment<M> {
    /// Of the first message, and of all if [`topics`](Self::topics) is empty.
    topic: Topic,
    pub length: Length,
    /// The messages it began with: there before anybody could look, so they need no care.
    first: Box<[M]>,
    /// For each of these the weight of all up to and with it.
    first_through: Box<[u64]>,
    /// The messages appended while others read.
    later: Box<[Once<Record<M>>]>,
    /// The topics of all, if they may be of several.
    topics: Box<[Once<Topic>]>,
    pub slots: Box<[ReaderSlot]>,
}

/// A message that was appended.
pub(crate) struct Record<M> {
    message: M,
    reply_to: Option<Topic>,
    weight_bytes: u32,
    /// The weight of all messages of the segment up to and with this one, so that a run's weight is
    /// one subtraction.
    bytes_through: u64,
}

impl<M> Segment<M> {
    /// A segment with its first messages, which are the `batch` of these weights, and room for
    /// later ones. Each may have another topic if it is `of_topics`. The length is still to be
    /// moved.
    pub fn new(
        topic: Topic,
        (batch, weights): (&mut Vec<M>, &[u32]),
        (later, of_topics): (usize, bool),
        slots: usize,
    ) -> Self {
        // Moved all at once: one by one, each costs as much as the rest of its publish.
        let mut first = Vec::with_capacity(batch.len());
        first.append(batch);
        // Not by `scan`, which hides the length: the table would grow step by step.
        let mut sum = 0;
        let sums = weights.iter().take(first.len()).map(move |weight| {
            sum += u64::from(*weight);
            sum
        });
        let first_through: Box<[u64]> = sums.collect();
        let topics = if of_topics { first.len() + later } else { 0 };
        Self {
            topic,
            length: Length::new(slots),
            topics: (0..topics).map(|_| Once::new()).collect(),
            first: first.into(),
            first_through,
            later: (0..later).map(|_| Once::new()).collect(),
            slots: (0..slots).map(|_| ReaderSlot::new()).collect(),
        }
    }

    pub fn capacity(&self) -> u32 {
        (self.first.len() + self.later.len()) as u32
    }

    /// Fills a slot after the first messages. Only the publisher does, once for each, before the
    /// length passes it.
    #[inline]
    pub fn put(&self, index: u32, make: impl FnOnce() -> Option<Record<M>>) {
        let slot = &self.later[index as usize - self.first.len()];
        // Made in its place: each copy on the way there costs as much as the slot's own lock.
        let _ = slot.try_call_once(|| make().ok_or(()));
    }

    /// Says that the message in this place is of this topic, before the length passes it.
    pub fn put_topic(&self, index: u32, topic: &Topic) {
        self.topics[index as usize].call_once(|| topic.clone());
    }

    /// The topic of a message.
    pub fn topic(&self, index: u32) -> &Topic {
        self.topics.get(index as usize).and_then(Once::get).unwrap_or(&self.topic)
    }

    /// The end of the messages of `range` that are of the same topic as the first.
    #[inline]
    pub fn same_topic_until(&self, range: Range<u32>) -> u32 {
        if self.topics.is_empty() { range.end } else { self.other_topic_from(range) }
    }

    #[inline(never)]
    fn other_topic_from(&self, range: Range<u32>) -> u32 {
        let first = self.topic(range.start);
        let other = range.clone().skip(1).find(|index| self.topic(*index) != first);
        other.unwrap_or(range.end)
    }

    #[inline]
    pub fn message(&self, index: u32) -> &M {
        self.later(index).map_or_else(|| &self.first[index as usize], |record| &record.message)
    }

    pub fn weight_bytes(&self, index: u32) -> u32 {
        self.weighed(index).1
    }

    /// A message and its weight.
    #[inline]
    pub fn weighed(&self, index: u32) -> (&M, u32) {
        let of_first = || (self.bytes_before(index + 1) - self.bytes_before(index)) as u32;
        match self.later(index) {
            Some(record) => (&record.message, record.weight_bytes),
            None => (&self.first[index as usize], of_first()),
        }
    }

    /// The load of the messages of `range` in a queue that accepted them.
    pub fn load(&self, range: Range<u32>) -> Load {
        let bytes = self.bytes_before(range.end) - self.bytes_before(range.start);
        // Saturated: what is too heavy to count is too heavy for any queue.
        Load { messages: range.end - range.start, bytes: u32::try_from(bytes).unwrap_or(u32::MAX) }
    }

    pub fn bytes_before(&self, index: u32) -> u64 {
        let Some(last) = index.checked_sub(1) else { return 0 };
        let of_first = || self.first_through[last as usize];
        self.later(last).map_or_else(of_first, |record| record.bytes_through)
    }

    /// A message that was appended; `None` for the first ones.
    #[inline]
    fn later(&self, index: u32) -> Option<&Record<M>> {
        let later = (index as usize).checked_sub(self.first.len())?;
        #[expect(
            clippy::expect_used,
            reason = "readers see a length only after the records below it"
        )]
        Some(self.later[later].get().expect("an index below the length is filled"))
    }
}

impl<M: Payload> Segment<M> {
    /// The topic on which the sender of a message waits for an answer, if it does. (A request that
    /// its publisher names the topic of is published alone.)
    #[inline]
    pub fn reply_to(&self, index: u32) -> Option<&Topic> {
        let of_first = || self.message(index).reply_to();
        self.later(index).map_or_else(of_first, Record::reply_to)
    }
}

impl<M: Payload> Record<M> {
    pub fn reply_to(&self) -> Option<&Topic> {
        self.reply_to.as_ref().or_else(|| self.message.reply_to())
    }
}

impl<M> Record<M> {
    /// `bytes_before`: the weight of what is in the segment before it.
    pub fn new(message: M, reply_to: Option<Topic>, weight_bytes: u32, bytes_before: u64) -> Self {
        Self {
            message,
            reply_to,
            weight_bytes,
            bytes_through: bytes_before + u64::from(weight_bytes),
        }
    }

    pub fn bytes_through(&self) -> u64 {
        self.bytes_through
    }
}

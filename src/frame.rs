//! Frames: messages published together or one after another, stored once and shared by every queue
//! they are for.

use super::credit::Load;
use super::seat::{Length, Seat};
use super::topic::Topic;
use std::fmt;
use std::ops::{Deref, Range};
use std::sync::{Arc, OnceLock};

/// Consecutive messages of one publisher on one topic, and the seats of the subscriptions they are
/// for.
///
/// Its one publisher fills the slots in order and then moves the length; receivers read what lies
/// below the length, by reference. Nothing in it is ever changed after that, so it needs no lock.
pub(super) struct Frame<M> {
    topic: Topic,
    pub length: Length,
    /// What it began with: there before anybody could look, so it needs no care.
    first: Box<[Slot<M>]>,
    /// What is appended while others read.
    later: Box<[OnceLock<Slot<M>>]>,
    pub seats: Box<[Seat]>,
}

pub(super) struct Slot<M> {
    message: M,
    reply_to: Option<Topic>,
    weight_bytes: u32,
    /// The weight of all messages of the frame up to and with this one, so that a run's weight is
    /// one subtraction.
    bytes_through: u64,
}

impl<M> Frame<M> {
    /// With its first messages and room for some later ones. The length is still to be moved.
    pub fn new(topic: Topic, first: Box<[Slot<M>]>, later: usize, seats: usize) -> Self {
        Self {
            topic,
            length: Length::new(),
            first,
            later: (0..later).map(|_| OnceLock::new()).collect(),
            seats: (0..seats).map(|_| Seat::new()).collect(),
        }
    }

    pub fn capacity(&self) -> u32 {
        (self.first.len() + self.later.len()) as u32
    }

    /// Fills a place behind the first messages. Only the publisher does, once for each, before the
    /// length passes it.
    pub fn put(&self, place: u32, message: M, reply_to: Option<Topic>, weight_bytes: u32) {
        let slot = Slot::new(message, reply_to, weight_bytes, self.bytes_before(place));
        let was_free = self.later[place as usize - self.first.len()].set(slot).is_ok();
        debug_assert!(was_free, "each place of a frame is filled once");
    }

    pub fn weight_bytes(&self, place: u32) -> u32 {
        self.slot(place).weight_bytes
    }

    /// What the messages of `places` count for in a queue that accepted them.
    pub fn load(&self, places: Range<u32>) -> Load {
        let bytes = self.bytes_before(places.end) - self.bytes_before(places.start);
        // Saturated: what is too heavy to count is too heavy for any queue.
        Load {
            messages: places.end - places.start,
            bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        }
    }

    fn bytes_before(&self, place: u32) -> u64 {
        if place == 0 { 0 } else { self.slot(place - 1).bytes_through }
    }

    fn slot(&self, place: u32) -> &Slot<M> {
        let place = place as usize;
        match place.checked_sub(self.first.len()) {
            None => &self.first[place],
            #[expect(
                clippy::expect_used,
                reason = "readers see a length only after the slots below it"
            )]
            Some(later) => self.later[later].get().expect("a place below the length is filled"),
        }
    }

    fn run(&self, from: u32, to: u32) -> BatchIter<'_, M> {
        let (from, to, first) = (from as usize, to as usize, self.first.len());
        let later = from.max(first) - first..to.max(first) - first;
        BatchIter {
            first: self.first[from.min(first)..to.min(first)].iter(),
            later: self.later[later].iter(),
        }
    }
}

impl<M> Slot<M> {
    /// `bytes_before`: the weight of what is in the frame before it.
    pub fn new(message: M, reply_to: Option<Topic>, weight_bytes: u32, bytes_before: u64) -> Self {
        Self {
            message,
            reply_to,
            weight_bytes,
            bytes_through: bytes_before + u64::from(weight_bytes),
        }
    }
}

/// One received message. Derefs to the payload.
///
/// It shares the frame it was published in: cloning is cheap and needs no `M: Clone`, and holding
/// it keeps the frame's other messages alive too, at most
/// [`FRAME_BYTES_MAX`](crate::limits::FRAME_BYTES_MAX) or its batch. Who keeps messages for long
/// copies what it needs.
pub struct Message<M> {
    frame: Arc<Frame<M>>,
    place: u32,
}

impl<M> Message<M> {
    pub(super) fn new(frame: Arc<Frame<M>>, place: u32) -> Self {
        Self { frame, place }
    }

    pub(super) fn frame(&self) -> (&Arc<Frame<M>>, u32) {
        (&self.frame, self.place)
    }

    pub(super) fn into_frame(self) -> Arc<Frame<M>> {
        self.frame
    }

    /// The topic it was published to.
    pub fn topic(&self) -> &Topic {
        &self.frame.topic
    }

    /// Where the sender waits for an answer, if it does.
    pub fn reply_to(&self) -> Option<&Topic> {
        self.frame.slot(self.place).reply_to.as_ref()
    }

    /// What it counts for against byte bounds.
    pub fn weight_bytes(&self) -> u32 {
        self.frame.weight_bytes(self.place)
    }
}

impl<M> Deref for Message<M> {
    type Target = M;

    fn deref(&self) -> &M {
        &self.frame.slot(self.place).message
    }
}

impl<M> Clone for Message<M> {
    fn clone(&self) -> Self {
        Self { frame: self.frame.clone(), place: self.place }
    }
}

impl<M: fmt::Debug> fmt::Debug for Message<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message").field("topic", self.topic()).field("payload", &**self).finish()
    }
}

/// Consecutive messages of one topic, received together and read by reference: the fast way to
/// receive.
pub struct Batch<M> {
    frame: Arc<Frame<M>>,
    from: u32,
    to: u32,
}

impl<M> Batch<M> {
    pub(super) fn new(frame: Arc<Frame<M>>, from: u32, to: u32) -> Self {
        Self { frame, from, to }
    }

    /// How many messages; at least one.
    #[expect(clippy::len_without_is_empty, reason = "it has at least one")]
    pub fn len(&self) -> usize {
        (self.to - self.from) as usize
    }

    /// The topic they were published to.
    pub fn topic(&self) -> &Topic {
        &self.frame.topic
    }

    /// The payloads, in the order published.
    pub fn iter(&self) -> BatchIter<'_, M> {
        self.frame.run(self.from, self.to)
    }

    /// The payloads, each with the topic its sender waits for an answer on, if it does.
    pub fn entries(&self) -> impl Iterator<Item = (&M, Option<&Topic>)> {
        let BatchIter { first, later } = self.iter();
        first
            .chain(later.filter_map(OnceLock::get))
            .map(|slot| (&slot.message, slot.reply_to.as_ref()))
    }

    /// One of them to keep.
    pub fn get(&self, index: usize) -> Option<Message<M>> {
        (index < self.len()).then(|| Message::new(self.frame.clone(), self.from + index as u32))
    }
}

impl<'run, M> IntoIterator for &'run Batch<M> {
    type Item = &'run M;
    type IntoIter = BatchIter<'run, M>;

    fn into_iter(self) -> BatchIter<'run, M> {
        self.iter()
    }
}

/// The payloads of a [`Batch`], in the order published.
pub struct BatchIter<'run, M> {
    first: std::slice::Iter<'run, Slot<M>>,
    later: std::slice::Iter<'run, OnceLock<Slot<M>>>,
}

impl<'run, M> Iterator for BatchIter<'run, M> {
    type Item = &'run M;

    fn next(&mut self) -> Option<&'run M> {
        let slot = match self.first.next() {
            Some(slot) => slot,
            None => self.later.next()?.get()?,
        };
        Some(&slot.message)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.first.len() + self.later.len();
        (left, Some(left))
    }
}

impl<M> ExactSizeIterator for BatchIter<'_, M> {}

impl<M: fmt::Debug> fmt::Debug for Batch<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("topic", self.topic()).field("messages", &self.len()).finish()
    }
}

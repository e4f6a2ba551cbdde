//! Where a receiver is: the segment it reads, and what it has missed before it.

use crate::log::Segment;
use crate::log::reader_slot::Reach;
use crate::queue::entries::{Entry, INTERRUPTED, Named};
use crate::stats::SubscriptionId;
use std::mem;
use std::sync::Arc;

/// The reading end of a queue. One holder at a time.
pub(crate) struct Cursor<M> {
    /// The index of the next message in the segment that is being read.
    next: u32,
    /// Known to be readable up to here, with no gap before it.
    end: u32,
    /// The next index when `end` was looked up.
    looked_at: u32,
    reading: Option<Reading<M>>,
    /// The gap reported before anything else, and [`INTERRUPTED`].
    missed: u64,
    /// Segments read to their end. Dropping one runs the payloads' own code, so who holds a lock
    /// drops them after it.
    pub finished: Vec<Arc<Segment<M>>>,
}

/// The next thing that a receiver finds.
pub(crate) enum Taken<M> {
    Batch {
        segment: Arc<Segment<M>>,
        id: SubscriptionId,
        from: u32,
        to: u32,
        groups: Option<Named>,
    },
    Missed(u64),
}

/// How many to take at a time, of the messages that are there.
#[derive(Clone, Copy)]
pub(crate) enum Most {
    One,
    OfOneTopic,
    All,
}

/// The next thing in a queue.
pub(crate) enum Found {
    Messages,
    Missed(u64),
}

/// One message stepped over.
pub(crate) struct Step {
    pub weight_bytes: u32,
    /// How many were ready in the segment, with this one, if it has just been looked at.
    pub ready: Option<u32>,
    /// No other is known to be readable: others may wait for its room or for the queue to drain.
    pub is_last: bool,
}

/// The segment that is being read.
struct Reading<M> {
    segment: Arc<Segment<M>>,
    id: SubscriptionId,
    /// The index of its reader slot in the segment. `None`: nothing follows `to` through this
    /// entry.
    slot: Option<u32>,
    to: u32,
    /// For a bridge, as in its entry.
    groups: Option<Named>,
}

impl<M> Cursor<M> {
    pub fn new() -> Self {
        let finished = Vec::new();
        Self { next: 0, end: 0, looked_at: u32::MAX, reading: None, missed: 0, finished }
    }

    /// Whether [`step`](Self::step) has a message that is known to have another behind it.
    #[inline]
    pub fn is_within_batch(&self) -> bool {
        self.next + 1 < self.end
    }

    /// Takes of the messages that were found. Their credit is for the caller to return.
    pub fn take_readable(&mut self, most: Most) -> Option<Taken<M>> {
        let reading = self.reading.as_ref()?;
        let (id, from) = (reading.id, self.next);
        let to = match most {
            Most::One => from + 1,
            Most::OfOneTopic => reading.segment.same_topic_until(from..self.end),
            Most::All => self.end,
        };
        self.next = to;
        let is_over = reading.slot.is_none() && to == self.end;
        let groups = reading.groups.clone();
        let segment = if is_over { self.reading.take()?.segment } else { reading.segment.clone() };
        Some(Taken::Batch { segment, id, from, to, groups })
    }

    /// Takes the gap that comes before anything else, if there is one.
    pub fn take_missed(&mut self) -> Option<u64> {
        if self.missed & INTERRUPTED != 0 {
            self.missed &= !INTERRUPTED;
            return Some(0);
        }
        (self.missed > 0).then(|| mem::take(&mut self.missed))
    }

    /// Whether the segment it reads has a message for [`step`](Self::step).
    #[inline]
    pub fn is_ready(&mut self) -> bool {
        self.next < self.end || self.has_grown()
    }

    /// Whether there is more to read at the end that was seen last.
    #[inline]
    fn has_grown(&mut self) -> bool {
        let Some(Reading { segment, slot: Some(slot), .. }) = &self.reading else { return false };
        match segment.slots[*slot as usize].reach(&segment.length) {
            Reach::Growing(to) if to > self.next && self.missed == 0 => {
                (self.looked_at, self.end) = (self.next, to);
                true
            }
            _ => false,
        }
    }

    /// Takes the next message, which was found to be there, with its segment and its index. Its
    /// credit is for the caller to return.
    #[inline]
    pub fn step(&mut self) -> Option<(Step, &M, &Arc<Segment<M>>, u32)> {
        let segment = &self.reading.as_ref()?.segment;
        let index = self.next;
        self.next = index + 1;
        let (message, weight_bytes) = segment.weighed(index);
        let step = Step {
            weight_bytes,
            ready: (self.looked_at == index).then_some(self.end - index),
            is_last: self.next == self.end,
        };
        Some((step, message, segment, index))
    }

    /// Reports `count` as missed before whatever comes next.
    pub fn miss(&mut self, count: u64) {
        self.missed += count;
    }

    /// Drops everything it holds.
    pub fn clear(&mut self) {
        self.missed = 0;
        self.leave();
    }

    fn leave(&mut self) {
        self.end = self.next;
        self.finished.extend(self.reading.take().map(|reading| reading.segment));
    }

    /// Reads this entry next.
    pub fn turn_to(&mut self, entry: Entry<M>) {
        let Entry { segment, id, from, to, slot, missed_before, groups } = entry;
        self.missed = missed_before;
        (self.next, self.end, self.looked_at) = (from, from, u32::MAX);
        self.reading = Some(Reading { segment, id, slot, to, groups });
    }

    /// Whether there is more to read in this segment. Leaves it if it is over.
    pub fn has_readable(&mut self) -> bool {
        let Some(reading) = &mut self.reading else { return false };
        if self.next == self.end {
            self.end = reading.look_further(self.next).max(self.next);
        }
        let has_readable = self.next < self.end;
        if !has_readable {
            self.leave();
        }
        has_readable
    }
}

impl<M> Reading<M> {
    /// The end of what is readable: either it is after `next`, or the entry ends.
    fn look_further(&mut self, next: u32) -> u32 {
        let Some(slot) = self.slot else { return self.to };
        let (slot, length) = (&self.segment.slots[slot as usize], &self.segment.length);
        // Nothing comes after a full segment, so nobody has to be called back to it.
        let capacity = self.segment.capacity();
        let reach = match slot.reach(length) {
            Reach::Growing(to) if to == next && to < capacity => slot.leave(next, length),
            reach => reach,
        };
        let (Reach::Growing(to) | Reach::Ends(to)) = reach;
        if matches!(reach, Reach::Ends(_)) || to == capacity {
            self.slot = None;
        }
        self.to = to;
        to
    }
}

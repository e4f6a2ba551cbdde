//! Where a receiver is: the segment it reads, and what it has missed before it.

use crate::log::Segment;
use crate::log::reader_slot::Reach;
use crate::queue::entries::{Entry, INTERRUPTED, Named};
use crate::stats::SubscriptionId;
use std::mem;
use std::sync::Arc;

/// The reading end of a queue. One holder at a time.
pub(crate) struct Cursor<M> {
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
pub(crate) struct Reading<M> {
    pub segment: Arc<Segment<M>>,
    id: SubscriptionId,
    /// The index of its reader slot in the segment. `None`: nothing follows `end` through this
    /// entry.
    slot: Option<u32>,
    next: u32,
    /// Readable up to here.
    end: u32,
    /// The next index when `end` was looked up.
    looked_at: u32,
    /// For a bridge, as in its entry.
    groups: Option<Named>,
}

impl<M> Cursor<M> {
    pub fn new() -> Self {
        Self { reading: None, missed: 0, finished: Vec::new() }
    }

    /// Takes up to `at_most` of the messages that were found. Their credit is for the caller to
    /// return.
    pub fn take_readable(&mut self, at_most: u32) -> Option<Taken<M>> {
        let reading = self.reading.as_mut()?;
        let (id, from) = (reading.id, reading.next);
        let to = reading.end.min(from.saturating_add(at_most));
        reading.next = to;
        let is_over = reading.slot.is_none() && to == reading.end;
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
        match &mut self.reading {
            Some(reading) if self.missed == 0 => reading.next < reading.end || reading.has_grown(),
            _ => false,
        }
    }

    /// Takes the next message, which was found to be there. Its credit is for the caller to return.
    #[inline]
    pub fn step(&mut self) -> Option<(Step, &M, &Reading<M>)> {
        let reading = self.reading.as_mut()?;
        let index = reading.next;
        reading.next = index + 1;
        let (message, weight_bytes) = reading.segment.weighed(index);
        let step = Step {
            weight_bytes,
            ready: (reading.looked_at == index).then_some(reading.end - index),
            is_last: reading.next == reading.end,
        };
        Some((step, message, reading))
    }

    /// Reports `count` as missed before whatever comes next.
    pub fn miss(&mut self, count: u64) {
        self.missed += count;
    }

    /// Drops everything it holds.
    pub fn clear(&mut self) {
        self.missed = 0;
        self.finished.extend(self.reading.take().map(|reading| reading.segment));
    }

    /// Reads this entry next.
    pub fn turn_to(&mut self, entry: Entry<M>) {
        self.missed = entry.missed_before;
        self.reading = Some(Reading {
            segment: entry.segment,
            id: entry.id,
            slot: entry.slot,
            next: entry.from,
            end: entry.to,
            looked_at: u32::MAX,
            groups: entry.groups,
        });
    }

    /// Whether there is more to read in this segment. Leaves it if it is over.
    pub fn has_readable(&mut self) -> bool {
        let Some(reading) = &mut self.reading else { return false };
        if reading.next == reading.end {
            reading.look_further();
        }
        let has_readable = reading.next < reading.end;
        if !has_readable {
            self.finished.extend(self.reading.take().map(|reading| reading.segment));
        }
        has_readable
    }
}

impl<M> Reading<M> {
    /// The index of the message that was stepped over last.
    #[inline]
    pub fn last(&self) -> u32 {
        self.next - 1
    }

    /// Whether there is more to read at the end that was seen last.
    #[inline]
    fn has_grown(&mut self) -> bool {
        let Some(slot) = self.slot else { return false };
        match self.segment.slots[slot as usize].reach(&self.segment.length) {
            Reach::Growing(to) if to > self.next => {
                self.end = to;
                self.looked_at = self.next;
                if to == self.segment.capacity() {
                    self.slot = None;
                }
                true
            }
            _ => false,
        }
    }

    /// Either there is more to read after this, or the entry ends.
    fn look_further(&mut self) {
        let Some(slot) = self.slot else { return };
        let (slot, length) = (&self.segment.slots[slot as usize], &self.segment.length);
        let reach = match slot.reach(length) {
            Reach::Growing(to) if to == self.next => slot.leave(self.next, length),
            reach => reach,
        };
        let (Reach::Growing(to) | Reach::Ends(to)) = reach;
        self.end = to.max(self.next);
        if matches!(reach, Reach::Ends(_)) || to == self.segment.capacity() {
            self.slot = None;
        }
    }
}

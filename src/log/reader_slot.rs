//! A subscription's reader slot in a segment: is its receiver still reading here, or does it need
//! an entry to come back?
//!
//! A publisher goes on appending to a segment while receivers read it. A receiver that still reads
//! sees the new length by itself; only one that has *left* needs an entry in its queue. One word
//! per subscription and segment settles who does what:
//!
//! - *Live*: the receiver has, or will find in its queue, an entry for this segment, and will look
//!   at the length again.
//! - *Left at n*: it has read up to n and gone. The publisher calls it back with an entry from n.
//! - *Cut at n*: it must not read on past n: the message at n is not, or not yet, for it. Set
//!   before the length passes n. From then on, for the rest of this segment, what it accepts comes
//!   as entries of fixed ranges.
//! - *Vacant*: nothing in this segment is for it.
//!
//! The receiver writes *left*, then reads the length; the publisher writes the length, then reads
//! the word. Both are sequentially consistent, so one of them always sees the other. If both do,
//! the compare-exchange of the receiver and the swap of the publisher decide which of them goes on.

use crate::sync::{AtomicU32, Ordering, write_before_read};
use std::ops::Range;

const MODE: u32 = 0b11 << 30;
const PLACE: u32 = !MODE;
const LEFT: u32 = 0b00 << 30;
const LIVE: u32 = 0b01 << 30;
const CUT: u32 = 0b10 << 30;
const VACANT: u32 = 0b11 << 30;
/// The bits that live and vacant have in common.
const NEEDS_NO_CALL: u32 = LIVE & VACANT;

/// How many messages of a segment can be read, written by its one publisher.
///
/// On a cache line of its own: what else a segment holds is read for each message.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Length {
    messages: AtomicU32,
    /// How many reader slots are left, or more: a receiver counts itself before it leaves.
    left: AtomicU32,
}

impl Length {
    /// All slots are left at first.
    pub fn new(slots: usize) -> Self {
        Self { messages: AtomicU32::new(0), left: AtomicU32::new(slots as u32) }
    }

    /// Makes everything up to `length` readable. The publisher then asks every [`ReaderSlot`], or
    /// first whether [any is left](Self::nobody_has_left).
    #[inline]
    pub fn advance(&self, length: u32) {
        self.messages.swap(length, Ordering::SeqCst);
        write_before_read();
    }

    /// Publisher, after the length has advanced: whether no slot need be asked, but for those cut.
    /// A receiver that counts itself only now sees the new length.
    #[inline]
    pub fn nobody_has_left(&self) -> bool {
        self.left.load(Ordering::SeqCst) == 0
    }

    #[inline]
    pub fn get(&self) -> u32 {
        self.messages.load(Ordering::SeqCst)
    }
}

/// One subscription's state in a segment; see the module.
#[derive(Debug)]
pub(crate) struct ReaderSlot(AtomicU32);

/// How far a receiver may read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// Up to here, and then look again.
    Growing(u32),
    /// Up to here and no further through this entry.
    Ends(u32),
}

impl ReaderSlot {
    /// A slot whose receiver has read nothing and is not reading.
    pub fn new() -> Self {
        Self(AtomicU32::new(LEFT))
    }

    /// Publisher, before the first append: nothing here is for this subscription.
    pub fn vacate(&self, length: &Length) {
        self.0.store(VACANT, Ordering::Release);
        length.left.fetch_sub(1, Ordering::SeqCst);
    }

    /// Publisher, before the length passes `index`: this subscription must not read on.
    ///
    /// If it was just leaving at an earlier place, it finds itself cut and goes: then what lies in
    /// between is returned, to be queued as an entry of a fixed range.
    pub fn cut(&self, index: u32, length: &Length) -> Option<Range<u32>> {
        if self.0.load(Ordering::Acquire) & MODE == CUT {
            return None;
        }
        let was = self.0.swap(CUT | index, Ordering::SeqCst);
        if was & MODE != LEFT {
            return None;
        }
        length.left.fetch_sub(1, Ordering::SeqCst);
        (was & PLACE < index).then_some(was & PLACE..index)
    }

    /// Whether it is cut: then an entry is queued for exactly what it is to get. For the publisher,
    /// which alone cuts.
    pub fn is_cut(&self) -> bool {
        self.0.load(Ordering::Relaxed) & MODE == CUT
    }

    /// Publisher, after the length has advanced: whether it is neither [cut](Self::is_cut) nor to
    /// be [called back](Self::call_back).
    #[inline]
    pub fn needs_no_call(&self) -> bool {
        self.0.load(Ordering::SeqCst) & NEEDS_NO_CALL != 0
    }

    /// Publisher, after the length has advanced: where the receiver left, if it did. Then an entry
    /// is to be queued from there on, which it follows as the segment grows.
    #[inline]
    pub fn call_back(&self, length: &Length) -> Option<u32> {
        if self.0.load(Ordering::SeqCst) & MODE != LEFT {
            return None;
        }
        // The receiver may have come back by itself since the load: what the swap returns decides,
        // not the load.
        let was = self.0.swap(LIVE, Ordering::SeqCst);
        if was & MODE != LEFT {
            return None;
        }
        length.left.fetch_sub(1, Ordering::SeqCst);
        Some(was & PLACE)
    }

    /// Receiver: how far it may read now.
    #[inline]
    pub fn reach(&self, length: &Length) -> Reach {
        // Length first: a cut is written before the length passes it.
        let length = length.get();
        let word = self.0.load(Ordering::SeqCst);
        if word & MODE == CUT { Reach::Ends(word & PLACE) } else { Reach::Growing(length) }
    }

    /// Receiver, having read up to `index`, which was the length: leaves, unless there is more.
    pub fn leave(&self, index: u32, length: &Length) -> Reach {
        // Counted first: a publisher that finds nobody counted overlooks nobody.
        length.left.fetch_add(1, Ordering::SeqCst);
        if let Err(word) =
            self.0.compare_exchange(LIVE, LEFT | index, Ordering::SeqCst, Ordering::SeqCst)
        {
            length.left.fetch_sub(1, Ordering::SeqCst);
            return Reach::Ends(word & PLACE);
        }
        write_before_read();
        let now = length.get();
        if now == index {
            return Reach::Ends(index);
        }
        match self.0.compare_exchange(LEFT | index, LIVE, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => {
                length.left.fetch_sub(1, Ordering::SeqCst);
                Reach::Growing(now)
            }
            // Called back in between, or cut: either way an entry from `place` on is in the queue,
            // or will be.
            Err(_) => Reach::Ends(index),
        }
    }
}

#[cfg(all(test, fanfare_loom))]
mod loom_models {
    use super::*;
    use loom::sync::{Arc, Mutex};
    use loom::thread;
    use std::collections::VecDeque;

    #[derive(Clone, Copy)]
    enum Entry {
        Follow(u32),
        Fixed(u32, u32),
    }

    struct Model {
        length: Length,
        slot: ReaderSlot,
        queue: Mutex<VecDeque<Entry>>,
    }

    impl Model {
        fn new() -> Arc<Self> {
            Arc::new(Self {
                length: Length::new(1),
                slot: ReaderSlot::new(),
                queue: Mutex::new(VecDeque::new()),
            })
        }

        fn publish(&self, at: u32, accepted: bool) {
            if !accepted && let Some(rest) = self.slot.cut(at, &self.length) {
                self.queue.lock().unwrap().push_back(Entry::Fixed(rest.start, rest.end));
            }
            self.length.advance(at + 1);
            // As the short way does, which gives nothing to those that are cut.
            if accepted && (self.slot.is_cut() || !self.length.nobody_has_left()) {
                self.call(at);
            }
        }

        fn call(&self, at: u32) {
            if self.slot.is_cut() {
                self.queue.lock().unwrap().push_back(Entry::Fixed(at, at + 1));
            } else if let Some(from) = self.slot.call_back(&self.length) {
                self.queue.lock().unwrap().push_back(Entry::Follow(from));
            }
        }

        /// Reads all that its entries lead to, as the cursor does, until the queue is empty.
        fn receive(&self, got: &mut Vec<u32>) {
            loop {
                let Some(entry) = self.queue.lock().unwrap().pop_front() else {
                    return;
                };
                match entry {
                    Entry::Fixed(from, to) => got.extend(from..to),
                    Entry::Follow(from) => self.follow(from, got),
                }
            }
        }

        fn follow(&self, mut next: u32, got: &mut Vec<u32>) {
            loop {
                let reach = match self.slot.reach(&self.length) {
                    Reach::Growing(to) if to == next => self.slot.leave(next, &self.length),
                    reach => reach,
                };
                let (Reach::Growing(to) | Reach::Ends(to)) = reach;
                got.extend(next..to);
                next = next.max(to);
                if matches!(reach, Reach::Ends(_)) {
                    return;
                }
            }
        }
    }

    fn check(accepted: &'static [bool]) {
        // All interleavings with up to five preemptions; all of them take minutes.
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(5);
        builder.check(move || {
            let model = Model::new();
            let publisher = {
                let model = model.clone();
                thread::spawn(move || {
                    for (at, accepted) in accepted.iter().enumerate() {
                        model.publish(at as u32, *accepted);
                    }
                })
            };
            let mut got = Vec::new();
            model.receive(&mut got);
            model.receive(&mut got);
            publisher.join().unwrap();
            model.receive(&mut got);
            let expected: Vec<u32> =
                (0..accepted.len() as u32).filter(|at| accepted[*at as usize]).collect();
            assert_eq!(got, expected, "each accepted message once, in order");
        });
    }

    #[test]
    fn loom_a_growing_frame_is_read_once_and_in_order() {
        check(&[true, true, true]);
    }

    #[test]
    fn loom_a_cut_receiver_gets_what_lies_before_and_what_it_accepts_after() {
        check(&[true, false, true]);
    }

    #[test]
    fn loom_a_cut_may_meet_a_receiver_that_leaves() {
        check(&[true, true, false]);
    }
}

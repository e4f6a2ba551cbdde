//! A subscription's bounded queue: what is in it, who waits for room in it, and its books.
//!
//! The storage is flume's, and only its non-blocking half (`try_send`, `try_recv`): its futures have faults that this
//! queue must not have. Flume's own bound is not used either, since an entry stands for many messages: the bound is the
//! [credit](super::credit). Who waits, waits here.
//!
//! Publishers push while they hold the lock of a route that the queue is in, so that once it was taken out of all routes
//! nothing is pushed any more. Nothing here wakes a task or drops a payload under a lock: both run foreign code.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::task::Waker;
use std::time::{Duration, Instant};

use atomic_waker::AtomicWaker;
use event_listener::Event;

use super::Origin;
use super::afterwards::Afterwards;
use super::credit::{Consumed, Load, Reserved};
use super::cursor::{Cursor, Taken};
use super::frame::{Frame, Message};
use super::lease::Lease;
use super::locks::{lock, saturating_nanos};
use super::overflow::WhenFull;
use super::pending::Pending;
use super::stats::{Books, DropReason, Drops, EndReason, SubscriptionId, SubscriptionStats};
use super::topic::Pattern;

/// What a subscription asked for.
pub(super) struct Terms {
    pub id: SubscriptionId,
    pub pattern: Pattern,
    pub group: Option<Arc<str>>,
    pub no_echo: Option<Origin>,
    pub when_full: WhenFull,
    pub bounds: Load,
}

impl Terms {
    /// Whether it does not want what `origin` publishes.
    #[inline]
    pub fn refuses_echo_of(&self, origin: Option<Origin>) -> bool {
        self.no_echo.is_some() && self.no_echo == origin
    }
}

pub(super) struct Queue<M> {
    pub terms: Terms,
    /// What a receiver or a publisher must not overlook; zero nearly always.
    attention: AtomicU32,
    entries: (flume::Sender<Entry<M>>, flume::Receiver<Entry<M>>),
    reserved: Reserved,
    consumed: Consumed,
    received: AtomicU64,
    /// A publisher's credit for many messages, and the publisher's name for this queue.
    lease: Mutex<Option<(Arc<Lease>, u32)>>,
    /// The most messages ever queued.
    high_water: AtomicU32,
    /// Messages dropped since the last entry was queued.
    gap: AtomicU64,
    receiver: AtomicWaker,
    line: Mutex<VecDeque<Offer<M>>>,
    /// The cursor, where publishers may have to pass over the oldest or free everything; elsewhere the subscription has it
    /// to itself.
    shared_cursor: Option<Box<Mutex<Cursor<M>>>>,
    drops: Drops,
    waited_for_ns: AtomicU64,
    end: OnceLock<EndReason>,
    /// Told when this queue is drained or has ended.
    settled: Arc<Event>,
}

/// Publishers wait in line for room.
const WAITED_FOR: u32 = 1;
/// A wait was used up; no more waiting until drained to half.
const PROBATION: u32 = 2;
/// No more publishing; ends when drained.
const CLOSING: u32 = 4;
/// Over.
const ENDED: u32 = 8;

/// Where a receiver finds messages. One entry stands for all that the frame holds for it from there on.
pub(super) struct Entry<M> {
    pub frame: Arc<Frame<M>>,
    pub from: u32,
    pub to: u32,
    /// Set: follow the frame as it grows, from this seat. Not set: read `from..to`.
    pub seat: Option<u32>,
    /// Messages dropped between the entry before and this one.
    pub missed_before: u64,
}

/// Messages that wait in line for room. The receiver lets them in as it frees room.
struct Offer<M> {
    frame: Arc<Frame<M>>,
    places: Range<u32>,
    pending: Arc<Pending>,
    since: Instant,
}

/// What became of messages offered to a queue that had no room at first.
#[derive(Default)]
pub(super) struct Offered {
    pub queued: u32,
    pub dropped: u32,
    pub disconnected: u32,
    /// In line; the rest of the story is told through [`Pending`].
    pub parked: u32,
    /// The subscription must be ended for being full.
    pub must_end: bool,
}

/// Messages taken out of the line again.
pub(super) struct Withdrawn<M> {
    pub frame: Arc<Frame<M>>,
    pub places: Range<u32>,
}

// ---- For publishers ----

impl<M> Queue<M> {
    pub fn new(terms: Terms, settled: Arc<Event>) -> Self {
        let is_reached_into = matches!(terms.when_full, WhenFull::DropOldest | WhenFull::Disconnect { .. });
        let shared_cursor = is_reached_into.then(|| Box::new(Mutex::new(Cursor::new())));
        Self {
            terms,
            attention: AtomicU32::new(0),
            entries: channel(),
            reserved: Reserved::new(),
            consumed: Consumed::new(),
            received: AtomicU64::new(0),
            lease: Mutex::new(None),
            high_water: AtomicU32::new(0),
            gap: AtomicU64::new(0),
            receiver: AtomicWaker::new(),
            line: Mutex::new(VecDeque::new()),
            shared_cursor,
            drops: Drops::default(),
            waited_for_ns: AtomicU64::new(0),
            end: OnceLock::new(),
            settled,
        }
    }

    /// Takes room for all of `load`, unless others wait already: newcomers do not overtake them.
    #[inline]
    pub fn admits(&self, load: Load) -> bool {
        self.attention.load(Ordering::Acquire) & (WAITED_FOR | ENDED) == 0 && self.reserve(load)
    }

    /// Gives back what [`admits`](Self::admits) took.
    pub fn give_back(&self, load: Load) {
        self.reserved.give_back(load);
    }

    /// Whether it is worth waiting for this one.
    pub fn may_be_waited_for(&self) -> bool {
        match self.terms.when_full {
            WhenFull::Wait(wait) => !wait.is_zero() && !self.attends(PROBATION),
            WhenFull::Disconnect { after } => !after.is_zero(),
            WhenFull::Block => true,
            WhenFull::DropNewest | WhenFull::DropOldest => false,
        }
    }

    /// Queues what was admitted.
    #[inline]
    pub fn push(&self, mut entry: Entry<M>, afterwards: &mut Afterwards<M>) {
        if self.gap.load(Ordering::SeqCst) == 0 {
            // Cannot fail: the channel has no bound, and the queue holds both its ends.
            let _ = self.entries.0.try_send(entry);
        } else {
            // Under the lock, so that whoever dropped messages before finds its gap either still here, or queued.
            let _line = lock(&self.line);
            entry.missed_before = self.gap.load(Ordering::SeqCst);
            let told = entry.missed_before;
            let _ = self.entries.0.try_send(entry);
            self.gap.fetch_sub(told, Ordering::SeqCst);
        }
        afterwards.wake(self.receiver.take());
    }

    /// Does for messages without room what the policy says. `pending` is given by those who can wait.
    pub fn offer(
        &self,
        frame: &Arc<Frame<M>>,
        places: Range<u32>,
        pending: Option<&Arc<Pending>>,
        afterwards: &mut Afterwards<M>,
    ) -> Offered {
        let mut offered = Offered::default();
        let mut places = places;
        if let Some(cursor) = self.shared_cursor().filter(|_| self.terms.when_full == WhenFull::DropOldest) {
            self.offer_over_oldest(cursor, frame, places, afterwards, &mut offered);
            return offered;
        }
        let mut line = lock(&self.line);
        if self.attends(ENDED) {
            offered.disconnected = places.end - places.start;
            return offered;
        }
        if line.is_empty() {
            self.let_in(frame, &mut places, &mut offered, afterwards);
        }
        if places.is_empty() {
            return offered;
        }
        match pending.filter(|_| self.may_be_waited_for()) {
            Some(pending) => {
                self.drop_too_heavy(frame, &mut places, &mut offered, afterwards);
                self.park(&mut line, frame, places, pending, &mut offered, afterwards);
            }
            None => self.refuse(places, &mut offered, afterwards),
        }
        offered
    }

    /// Takes a publisher's messages out of the line; nothing of them is delivered later. Room that has come up meanwhile
    /// is used first.
    pub fn withdraw(&self, pending: &Arc<Pending>, afterwards: &mut Afterwards<M>, withdrawn: &mut Vec<Withdrawn<M>>) {
        let mut line = lock(&self.line);
        self.serve(&mut line, afterwards);
        let mut place = 0;
        while place < line.len() {
            if !Arc::ptr_eq(&line[place].pending, pending) {
                place += 1;
                continue;
            }
            if let Some(offer) = line.remove(place) {
                self.count_wait(&offer);
                pending.take_back();
                withdrawn.push(Withdrawn { frame: offer.frame, places: offer.places });
            }
        }
        // Who stood behind may fit where this one did not.
        self.serve(&mut line, afterwards);
    }

    /// Notes messages that this subscription does not get, and sees to it that it is told.
    pub fn note_dropped(&self, count: u32, reason: DropReason, afterwards: &mut Afterwards<M>) {
        let _line = lock(&self.line);
        self.drop_in_line(count, reason, afterwards);
    }

    /// A wait was used up: no more waiting until its receiver has looked and left the queue half empty.
    pub fn put_on_probation(&self) {
        self.attention.fetch_or(PROBATION, Ordering::SeqCst);
    }

    /// Whether all of `load` has room now, but for what is too heavy even when the queue is empty.
    pub fn has_room(&self, load: Load, weights: &[u32]) -> bool {
        let heaviest = self.terms.bounds.bytes;
        let mut load = load;
        if weights.iter().any(|weight| *weight > heaviest) {
            load = weights.iter().filter(|weight| **weight <= heaviest).fold(Load::default(), |sum, weight| Load {
                messages: sum.messages + 1,
                bytes: sum.bytes.saturating_add(*weight),
            });
        }
        load.messages == 0 || (!self.is_waited_for() && self.queued().leaves_room_for(load, self.terms.bounds))
    }

    /// Gives a publisher credit for messages to come, in place of any lease there was. Not if little room would be left,
    /// or others wait for it.
    pub fn lease(&self, lease: &Arc<Lease>, seat: u32, load: Load) -> bool {
        let mut leased = lock(&self.lease);
        self.take_back(&mut leased);
        let Load { messages, bytes } = self.terms.bounds;
        let most = Load { messages: messages / 4 * 3, bytes: bytes / 4 * 3 };
        if self.attends(WAITED_FOR | ENDED) || !self.reserved.reserve(load, most, &self.consumed) {
            return false;
        }
        *leased = Some((lease.clone(), seat));
        true
    }

    #[inline]
    fn reserve(&self, load: Load) -> bool {
        self.reserved.reserve(load, self.terms.bounds, &self.consumed) || self.reserve_what_is_leased(load)
    }

    /// It looks full: what a publisher only holds for later is room all the same.
    #[cold]
    fn reserve_what_is_leased(&self, load: Load) -> bool {
        let mut leased = lock(&self.lease);
        self.take_back(&mut leased);
        self.reserved.reserve(load, self.terms.bounds, &self.consumed)
    }

    fn take_back(&self, leased: &mut Option<(Arc<Lease>, u32)>) {
        if let Some((lease, seat)) = leased.take() {
            self.reserved.give_back(lease.recall(seat));
        }
    }

    fn attends(&self, flag: u32) -> bool {
        self.attention.load(Ordering::SeqCst) & flag != 0
    }

    /// Queues as much of `places` as fits, in order. What is too heavy for this queue even when empty is dropped.
    fn let_in(
        &self,
        frame: &Arc<Frame<M>>,
        places: &mut Range<u32>,
        offered: &mut Offered,
        afterwards: &mut Afterwards<M>,
    ) {
        while !Range::is_empty(places) {
            let from = places.start;
            while !Range::is_empty(places) && self.reserve(frame.load(places.start..places.start + 1)) {
                places.start += 1;
            }
            if places.start > from {
                offered.queued += places.start - from;
                self.push_in_line(frame, from..places.start, afterwards);
            }
            if !self.drop_too_heavy(frame, places, offered, afterwards) {
                return;
            }
        }
    }

    /// Drops what comes first and will never fit. Returns whether there was any.
    fn drop_too_heavy(
        &self,
        frame: &Arc<Frame<M>>,
        places: &mut Range<u32>,
        offered: &mut Offered,
        afterwards: &mut Afterwards<M>,
    ) -> bool {
        let from = places.start;
        while !Range::is_empty(places) && self.is_too_heavy(frame, places.start) {
            places.start += 1;
        }
        self.drop_in_line(places.start - from, DropReason::TooHeavy, afterwards);
        offered.dropped += places.start - from;
        places.start > from
    }

    fn is_too_heavy(&self, frame: &Frame<M>, place: u32) -> bool {
        frame.weight_bytes(place) > self.terms.bounds.bytes
    }

    /// As [`push`](Self::push), for who holds the line's lock.
    fn push_in_line(&self, frame: &Arc<Frame<M>>, places: Range<u32>, afterwards: &mut Afterwards<M>) {
        let missed_before = self.gap.load(Ordering::SeqCst);
        let entry = Entry { frame: frame.clone(), from: places.start, to: places.end, seat: None, missed_before };
        let _ = self.entries.0.try_send(entry);
        self.gap.fetch_sub(missed_before, Ordering::SeqCst);
        afterwards.wake(self.receiver.take());
    }

    fn drop_in_line(&self, count: u32, reason: DropReason, afterwards: &mut Afterwards<M>) {
        if count == 0 {
            return;
        }
        self.drops.add(reason, u64::from(count));
        if self.gap.fetch_add(u64::from(count), Ordering::SeqCst) == 0 {
            afterwards.wake(self.receiver.take());
        }
    }

    fn refuse(&self, places: Range<u32>, offered: &mut Offered, afterwards: &mut Afterwards<M>) {
        let count = places.end - places.start;
        if matches!(self.terms.when_full, WhenFull::Disconnect { .. }) {
            offered.disconnected += count;
            offered.must_end = true;
        } else {
            let reason = if self.attends(PROBATION) { DropReason::Probation } else { DropReason::Full };
            self.drop_in_line(count, reason, afterwards);
            offered.dropped += count;
        }
    }

    fn park(
        &self,
        line: &mut VecDeque<Offer<M>>,
        frame: &Arc<Frame<M>>,
        mut places: Range<u32>,
        pending: &Arc<Pending>,
        offered: &mut Offered,
        afterwards: &mut Afterwards<M>,
    ) {
        if Range::is_empty(&places) {
            return;
        }
        if line.is_empty() {
            // Announced before the last look for room; a receiver frees room before it looks for announcements. So
            // either the room is seen here, or the announcement there.
            self.attention.fetch_or(WAITED_FOR, Ordering::SeqCst);
            self.let_in(frame, &mut places, offered, afterwards);
            if places.is_empty() {
                self.attention.fetch_and(!WAITED_FOR, Ordering::SeqCst);
                return;
            }
        }
        // What is too heavy is not waited for, it only stands in its place among the others.
        offered.parked = places.clone().filter(|place| !self.is_too_heavy(frame, *place)).count() as u32;
        pending.add();
        line.push_back(Offer { frame: frame.clone(), places, pending: pending.clone(), since: Instant::now() });
    }

    /// Lets in those who wait, first come first served, as far as there is room.
    fn serve(&self, line: &mut VecDeque<Offer<M>>, afterwards: &mut Afterwards<M>) {
        while let Some(offer) = line.front_mut() {
            let mut offered = Offered::default();
            self.let_in(&offer.frame, &mut offer.places, &mut offered, afterwards);
            offer.pending.count(&offered);
            if !offer.places.is_empty() {
                return;
            }
            if let Some(offer) = line.pop_front() {
                self.count_wait(&offer);
                afterwards.wake(offer.pending.settle_one());
                afterwards.frames.push(offer.frame);
            }
        }
        self.attention.fetch_and(!WAITED_FOR, Ordering::SeqCst);
    }

    fn count_wait(&self, offer: &Offer<M>) {
        self.waited_for_ns.fetch_add(saturating_nanos(offer.since.elapsed()), Ordering::Relaxed);
    }

    fn offer_over_oldest(
        &self,
        cursor: &Mutex<Cursor<M>>,
        frame: &Arc<Frame<M>>,
        places: Range<u32>,
        afterwards: &mut Afterwards<M>,
        offered: &mut Offered,
    ) {
        if self.attends(ENDED) {
            offered.disconnected = places.end - places.start;
            return;
        }
        for place in places {
            if self.is_too_heavy(frame, place) {
                self.note_dropped(1, DropReason::TooHeavy, afterwards);
                offered.dropped += 1;
                continue;
            }
            while !self.reserve(frame.load(place..place + 1)) {
                self.pass_over_oldest(cursor, afterwards);
            }
            let entry = Entry { frame: frame.clone(), from: place, to: place + 1, seat: None, missed_before: 0 };
            self.push(entry, afterwards);
            offered.queued += 1;
        }
    }

    fn pass_over_oldest(&self, cursor: &Mutex<Cursor<M>>, afterwards: &mut Afterwards<M>) {
        let mut cursor = lock(cursor);
        let mut told = 0;
        loop {
            match cursor.take(self, 1, false) {
                Taken::Missed(count) => told += count,
                // Another publisher has reserved the room and not yet queued its entry: there is nothing to pass over.
                Taken::Nothing => break std::thread::yield_now(),
                Taken::Run { frame, from, to } => {
                    let load = frame.load(from..to);
                    self.note_high_water();
                    self.drops.add(DropReason::Oldest, u64::from(load.messages));
                    self.consumed.add(load);
                    told += u64::from(load.messages);
                    afterwards.frames.push(frame);
                    break;
                }
            }
        }
        cursor.miss(told);
        afterwards.frames.append(&mut cursor.finished);
    }
}

/// The credit bounds it: an entry stands for at least one message that has room.
#[expect(clippy::disallowed_methods, reason = "bounded by the credit, in messages and in bytes")]
fn channel<M>() -> (flume::Sender<Entry<M>>, flume::Receiver<Entry<M>>) {
    flume::unbounded()
}

// ---- Before it begins ----

impl<M> Queue<M> {
    /// Queues kept messages, oldest first. What does not fit is the oldest, and was never offered.
    pub fn replay<'a>(&self, kept: impl DoubleEndedIterator<Item = &'a Message<M>>)
    where
        M: 'a,
    {
        let light_enough = |message: &&Message<M>| message.weight_bytes() <= self.terms.bounds.bytes;
        let has_room = |message: &&Message<M>| self.reserve(Load { messages: 1, bytes: message.weight_bytes() });
        let mut newest: Vec<_> = kept.rev().filter(light_enough).take_while(has_room).collect();
        while let Some(message) = newest.pop() {
            let (frame, from) = message.frame();
            let entry = Entry { frame: frame.clone(), from, to: from + 1, seat: None, missed_before: 0 };
            let _ = self.entries.0.try_send(entry);
        }
    }
}

// ---- For the receiver ----

impl<M> Queue<M> {
    pub fn shared_cursor(&self) -> Option<&Mutex<Cursor<M>>> {
        self.shared_cursor.as_deref()
    }

    pub fn pop_entry(&self) -> Option<Entry<M>> {
        self.entries.1.try_recv().ok()
    }

    pub fn has_no_entry(&self) -> bool {
        self.entries.1.is_empty() && self.gap.load(Ordering::SeqCst) == 0
    }

    /// Messages dropped after the last one that was queued.
    pub fn take_trailing_gap(&self) -> u64 {
        if self.gap.load(Ordering::SeqCst) == 0 {
            return 0;
        }
        let _line = lock(&self.line);
        if self.entries.1.is_empty() { self.gap.swap(0, Ordering::SeqCst) } else { 0 }
    }

    /// Counts messages as received and frees their room.
    #[inline]
    pub fn receive(&self, load: Load) {
        self.note_high_water();
        let received = self.received.load(Ordering::Relaxed) + u64::from(load.messages);
        self.received.store(received, Ordering::Release);
        self.consumed.add(load);
    }

    /// Sees to those who may wait for the room that was freed. After [`receive`](Self::receive), and under no lock.
    #[inline]
    pub fn attend_if_needed(&self) {
        // After the room was freed: see `park`.
        if self.attention.load(Ordering::SeqCst) != 0 {
            self.attend();
        }
    }

    /// Registers who is to be woken. The caller looks at the queue once more afterwards.
    pub fn register(&self, waker: &Waker) {
        self.receiver.register(waker);
    }

    pub fn is_closing(&self) -> bool {
        self.attends(CLOSING)
    }

    pub fn is_ended(&self) -> bool {
        self.attends(ENDED)
    }

    pub fn is_waited_for(&self) -> bool {
        self.attends(WAITED_FOR)
    }

    #[cold]
    fn attend(&self) {
        if self.attends(PROBATION) {
            self.end_probation_if_half_empty();
        }
        if self.attends(WAITED_FOR) {
            let mut afterwards = Afterwards::new();
            self.serve(&mut lock(&self.line), &mut afterwards);
            afterwards.run();
        }
        if self.attends(CLOSING) && self.is_drained() {
            self.settled.notify(usize::MAX);
        }
    }

    fn end_probation_if_half_empty(&self) {
        let (queued, bounds) = (self.queued(), self.terms.bounds);
        if queued.messages <= bounds.messages / 2 && queued.bytes <= bounds.bytes / 2 {
            self.attention.fetch_and(!PROBATION, Ordering::SeqCst);
        }
    }
}

// ---- Its end ----

impl<M> Queue<M> {
    /// No more is published. The receiver ends when it has read all.
    pub fn close(&self) {
        self.attention.fetch_or(CLOSING, Ordering::SeqCst);
        self.wake_receiver();
    }

    /// Ends it now. Who waits in line is told. The first call decides the reason and returns true.
    pub fn end(&self, reason: EndReason) -> bool {
        self.raise_high_water();
        let line = {
            let mut line = lock(&self.line);
            if self.end.set(reason).is_err() {
                return false;
            }
            self.attention.fetch_or(ENDED, Ordering::SeqCst);
            self.attention.fetch_and(!WAITED_FOR, Ordering::SeqCst);
            std::mem::take(&mut *line)
        };
        for offer in line {
            self.count_wait(&offer);
            let disconnected = offer.places.end - offer.places.start;
            offer.pending.count(&Offered { disconnected, ..Offered::default() });
            if let Some(waker) = offer.pending.settle_one() {
                waker.wake();
            }
        }
        self.wake_receiver();
        self.settled.notify(usize::MAX);
        true
    }

    /// Frees what is still queued. Called once it has ended and no route leads here.
    pub fn free(&self) {
        while let Some(entry) = self.pop_entry() {
            drop(entry);
        }
        if let Some(cursor) = &self.shared_cursor {
            let finished = {
                let mut cursor = lock(cursor);
                cursor.clear();
                std::mem::take(&mut cursor.finished)
            };
            drop(finished);
        }
    }

    /// Lets go of the receiver's task.
    pub fn forget_receiver(&self) {
        drop(self.receiver.take());
    }

    /// Nothing queued and nobody in line.
    pub fn is_drained(&self) -> bool {
        self.queued().messages == 0 && !self.is_waited_for()
    }

    fn wake_receiver(&self) {
        if let Some(waker) = self.receiver.take() {
            waker.wake();
        }
    }
}

// ---- Its books ----

impl<M> Queue<M> {
    /// What is in it now.
    pub fn queued(&self) -> Load {
        // Taken back rather than looked at, since it may be spent meanwhile; locked, so that no new one is given meanwhile.
        let mut leased = lock(&self.lease);
        self.take_back(&mut leased);
        self.reserved.taken(&self.consumed)
    }

    /// The queue is longest just before something is taken from it, so it is looked at then.
    #[inline]
    fn note_high_water(&self) {
        // With what is leased, so too high at the most: seldom enough to look closer.
        if self.reserved.taken(&self.consumed).messages > self.high_water.load(Ordering::Relaxed) {
            self.raise_high_water();
        }
    }

    #[cold]
    fn raise_high_water(&self) -> u32 {
        let messages = self.reserved.taken(&self.consumed).messages.saturating_sub(self.leased().messages);
        self.high_water.fetch_max(messages, Ordering::Relaxed).max(messages)
    }

    fn leased(&self) -> Load {
        lock(&self.lease).as_ref().map_or(Load::default(), |(lease, _)| lease.left())
    }

    pub fn received(&self) -> u64 {
        self.received.load(Ordering::Acquire)
    }

    /// Consistent: all figures are of one moment, however busy the queue is.
    pub fn books(&self) -> Books {
        loop {
            let is_ended = self.is_ended();
            let before = self.consumed.messages();
            let received = self.received();
            let passed_over = self.drops.get(DropReason::Oldest);
            let dropped = self.drops.total();
            let queued = u64::from(self.queued().messages);
            // What was consumed is what was received or passed over: if the sum is that of before and after, nothing
            // moved in between.
            let is_settled = before == self.consumed.messages() && (received + passed_over) as u32 == before;
            if is_settled && dropped == self.drops.total() {
                // After its end what was queued is gone, and counts as dropped.
                let (queued, lost) = if is_ended { (0, queued) } else { (queued, 0) };
                let dropped = dropped + lost;
                return Books { offered: received + queued + dropped, received, queued, dropped };
            }
            std::hint::spin_loop();
        }
    }

    /// Everything that is known of it.
    pub fn stats(&self) -> SubscriptionStats {
        let (books, end_reason) = (self.books(), self.end_reason());
        let mut drops = self.drops.counts();
        // Whatever is dropped for no other reason was still queued at the end.
        drops.ended = books.dropped.saturating_sub(self.drops.total());
        SubscriptionStats {
            id: self.terms.id,
            pattern: self.terms.pattern.clone(),
            group: self.terms.group.clone(),
            when_full: self.terms.when_full,
            bound_messages: self.terms.bounds.messages as usize,
            bound_bytes: self.terms.bounds.bytes as usize,
            books,
            queued_bytes: if end_reason.is_some() { 0 } else { self.queued().bytes as usize },
            high_water_messages: if end_reason.is_some() {
                self.high_water.load(Ordering::Relaxed)
            } else {
                self.raise_high_water()
            } as usize,
            waited_for: Duration::from_nanos(self.waited_for_ns.load(Ordering::Relaxed)),
            drops,
            on_probation: self.attends(PROBATION),
            end_reason,
        }
    }

    pub fn end_reason(&self) -> Option<EndReason> {
        self.end.get().copied()
    }
}

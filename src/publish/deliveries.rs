//! A fan-out worker: gives what was appended to a share of an audience, and waits for those of it
//! who are full.
//!
//! Its timer is armed only while somebody is full.

use crate::limits::LOOK_AGAIN_AFTER;
use crate::log::Segment;
use crate::log::deferred::Deferred;
use crate::payload::Origin;
use crate::policy::{Receipt, WhenFull};
use crate::queue::entries::Entry;
use crate::queue::wait_queue::Pending;
use crate::queue::{Offered, Queue};
use crate::routing::member::Member;
use crate::routing::members::Members;
use crate::routing::route::Audience;
use crate::shared::Shared;
use crate::stats::EndReason;
use crate::stats::tally::DropReason;
use async_io::Timer;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

pub(crate) struct Deliveries<M> {
    /// The outcome of the current publish so far.
    pub receipt: Receipt,
    pub deferred: Deferred<M>,
    /// How many queues had no room for the present publish, and are not waited for.
    pub left_full: usize,
    /// Subscriptions to end for being full: that changes the routes, so under no lock.
    to_end: Vec<Arc<Queue<M>>>,
    /// Reader slots, of those served, whose queues dropped some of it.
    pub dropped_at: Vec<u32>,
    /// Queues in which messages of this publish wait for room.
    waiters: Vec<Waiter<M>>,
    pending: Arc<Pending>,
    timer: Timer,
    /// When the timer goes off, if it is armed.
    armed_for: Option<Instant>,
}

/// A queue in which messages of this publisher wait for room.
struct Waiter<M> {
    queue: Arc<Queue<M>>,
    /// When its time is over, or, without end, when to look for room again. `None` relies on the
    /// receiver.
    deadline: Option<Instant>,
    is_endless: bool,
    /// The members that could take the messages instead.
    group: Option<Arc<Members<M>>>,
    /// The publisher's origin.
    origin: Option<Origin>,
}

impl<M> Waiter<M> {
    /// Whether its time is over. A receiver that reads fast enough gets more.
    fn is_over(&mut self, due: Due, deferred: &mut Deferred<M>) -> bool {
        let Due::By(now) = due else { return true };
        if self.deadline.is_none_or(|deadline| now < deadline) {
            return false;
        }
        if self.is_endless {
            self.queue.look_again(deferred);
            self.deadline = now.checked_add(LOOK_AGAIN_AFTER);
            return false;
        }
        let paid_until = self.queue.paid_until(now);
        if paid_until.is_some() {
            self.deadline = paid_until;
        }
        paid_until.is_none()
    }
}

/// Messages that were appended.
pub(crate) struct Appended<M> {
    pub segment: Arc<Segment<M>>,
    pub range: Range<u32>,
    pub origin: Option<Origin>,
    pub own: Option<Origin>,
    pub may_wait: bool,
}

/// Reader slots that are not simply called, in order.
#[derive(Clone, Copy)]
pub(crate) struct Exceptions<'a> {
    /// Had no room.
    pub refused: &'a [u32],
    /// Were not asked, and get nothing.
    pub written_off: &'a [u32],
}

/// The waits that are over.
#[derive(Clone, Copy)]
pub(crate) enum Due {
    All,
    By(Instant),
}

impl<M> Deliveries<M> {
    pub fn new() -> Self {
        Self {
            receipt: Receipt::default(),
            deferred: Deferred::new(),
            left_full: 0,
            to_end: Vec::new(),
            dropped_at: Vec::new(),
            waiters: Vec::new(),
            pending: Arc::default(),
            timer: Timer::never(),
            armed_for: None,
        }
    }

    /// Gives what was appended to the audience.
    pub fn serve(&mut self, audience: &Audience<M>, appended: &Appended<M>, but: Exceptions<'_>) {
        self.call_but(audience, appended, but);
        for slot in but.refused {
            let member = &audience.singles[*slot as usize];
            let entry = Entry::fixed(&appended.segment, member.id, appended.range.clone());
            if self.offer(member, entry, None, appended) {
                self.dropped_at.push(*slot);
            }
        }
    }

    /// Tells the subscriptions that had room and are not reading this segment already.
    fn call_but(&mut self, audience: &Audience<M>, appended: &Appended<M>, but: Exceptions<'_>) {
        let Exceptions { mut refused, mut written_off } = but;
        let (mut from, end) = (0, audience.singles.len());
        // The runs between the exceptions.
        while from < end {
            let next = |slots: &[u32]| slots.first().map_or(end, |slot| *slot as usize);
            let (next_refused, next_written_off) = (next(refused), next(written_off));
            let to = next_refused.min(next_written_off);
            self.call_run(audience, appended, from..to);
            refused = refused.get(usize::from(next_refused == to)..).unwrap_or_default();
            written_off =
                written_off.get(usize::from(next_written_off == to)..).unwrap_or_default();
            from = to + 1;
        }
    }

    fn call_run(&mut self, audience: &Audience<M>, appended: &Appended<M>, run: Range<usize>) {
        let Appended { segment, range, .. } = appended;
        for slot in run {
            if !segment.slots[slot].needs_no_call() {
                self.call(slot, &audience.singles[slot], segment, range.clone());
            }
        }
    }

    /// Queues an entry for a subscription that needs one to read what was appended.
    fn call(
        &mut self,
        slot: usize,
        member: &Member<M>,
        segment: &Arc<Segment<M>>,
        range: Range<u32>,
    ) {
        let state = &segment.slots[slot];
        if state.is_cut() {
            member.queue.push(Entry::fixed(segment, member.id, range), &mut self.deferred);
        } else if let Some(from) = state.call_back(&segment.length) {
            self.call_back(slot, member, segment, from);
        }
    }

    /// Queues an entry for each subscription that left the segment. Whoever is cut is written off,
    /// and not called. Not inlined, which would make the short way longer where all read on.
    #[inline(never)]
    pub fn call_back_all(&mut self, singles: &[Member<M>], segment: &Arc<Segment<M>>) {
        for (slot, member) in singles.iter().enumerate() {
            if let Some(from) = segment.slots[slot].call_back(&segment.length) {
                self.call_back(slot, member, segment, from);
            }
        }
    }

    /// Queues an entry for a subscription that left the segment there.
    fn call_back(&mut self, slot: usize, member: &Member<M>, segment: &Arc<Segment<M>>, from: u32) {
        let fixed = Entry::fixed(segment, member.id, from..from);
        member.queue.push(Entry { slot: Some(slot as u32), ..fixed }, &mut self.deferred);
    }

    /// Queues what was admitted for exactly this.
    pub fn push_fixed(&mut self, member: &Member<M>, segment: &Arc<Segment<M>>, range: Range<u32>) {
        self.push(member, Entry::fixed(segment, member.id, range));
    }

    /// Queues what was admitted.
    pub fn push(&mut self, member: &Member<M>, entry: Entry<M>) {
        let messages = u64::from(entry.messages());
        self.receipt.matched += messages;
        self.receipt.queued += messages;
        member.queue.push(entry, &mut self.deferred);
    }

    /// Does what the policy says with messages that had no room, and returns whether any were
    /// dropped. Those of a group are assigned to the member already.
    pub fn offer(
        &mut self,
        member: &Member<M>,
        entry: Entry<M>,
        group: Option<&Arc<Members<M>>>,
        appended: &Appended<M>,
    ) -> bool {
        self.receipt.matched += u64::from(entry.messages());
        let is_last = entry.to == appended.range.end;
        let pending = appended.may_wait.then_some(&self.pending);
        let offered = member.queue.offer(entry, pending, &mut self.deferred);
        let Offered { queued, dropped, disconnected, parked, must_end } = offered;
        self.receipt.queued += u64::from(queued);
        self.receipt.dropped += u64::from(dropped);
        self.receipt.disconnected += u64::from(disconnected);
        self.receipt.waited += u64::from(parked);
        self.left_full += usize::from(parked == 0);
        member.give_back_allowance(dropped + disconnected);
        if must_end {
            self.to_end.push(member.queue.clone());
        }
        if parked > 0 {
            let terms = &member.queue.terms;
            let (wait, is_endless) = match terms.when_full {
                WhenFull::Wait(wait) | WhenFull::Disconnect { after: wait }
                    // Else the reader is who publishes, and so waits for itself.
                    if !terms.refuses_echo_of(appended.own) =>
                {
                    (Some(wait), false)
                }
                _ => ((!member.queue.overlooks_nobody()).then_some(LOOK_AGAIN_AFTER), true),
            };
            let deadline = wait.and_then(|wait| Instant::now().checked_add(wait));
            // Another member may only take it later if nothing that follows has been given to
            // anybody.
            let group = group.filter(|_| is_last).cloned();
            self.waiters.push(Waiter {
                queue: member.queue.clone(),
                deadline,
                is_endless,
                group,
                origin: appended.origin,
            });
        }
        dropped > 0
    }

    #[inline]
    pub fn is_waiting(&self) -> bool {
        !self.waiters.is_empty()
    }

    /// Ready when nothing of this publish waits any more.
    pub fn poll_room(&mut self, context: &mut Context<'_>, shared: &Shared<M>) -> Poll<()> {
        if self.waiters.is_empty() {
            return Poll::Ready(());
        }
        loop {
            // Registered before the look: who settles the last line afterwards wakes this task.
            self.pending.register(context.waker());
            if self.pending.is_settled() {
                return Poll::Ready(());
            }
            let Some(deadline) = self.waiters.iter().filter_map(|waiter| waiter.deadline).min()
            else {
                return Poll::Pending;
            };
            if self.armed_for != Some(deadline) {
                self.timer.set_at(deadline);
                self.armed_for = Some(deadline);
            }
            if Pin::new(&mut self.timer).poll(context).is_pending() {
                return Poll::Pending;
            }
            self.armed_for = None;
            self.give_up(Due::By(Instant::now().max(deadline)), shared);
        }
    }

    /// Takes messages whose wait is over out of the wait queues.
    pub fn give_up(&mut self, due: Due, shared: &Shared<M>) {
        let mut index = 0;
        while let Some(waiter) = self.waiters.get_mut(index) {
            if waiter.is_over(due, &mut self.deferred) {
                let waiter = self.waiters.swap_remove(index);
                self.give_up_one(&waiter, due);
            } else {
                index += 1;
            }
        }
        self.run_deferred(shared);
    }

    fn give_up_one(&mut self, waiter: &Waiter<M>, due: Due) {
        let mut withdrawn = Vec::new();
        let Self { receipt, pending, deferred, to_end, .. } = self;
        waiter.queue.withdraw(pending, deferred, &mut withdrawn);
        for mut rest in withdrawn {
            if let Some(membership) = waiter.queue.terms.wanted.group(rest.id) {
                membership.allowance.give_back(rest.messages());
            }
            if matches!(due, Due::By(_)) {
                receipt.queued += give_to_another(waiter, &mut rest, deferred);
            }
            let count = rest.messages();
            if count == 0 {
                continue;
            }
            match (due, waiter.queue.terms.when_full) {
                (Due::All, _) => {
                    receipt.dropped += u64::from(count);
                    waiter.queue.note_dropped(count, DropReason::Cancelled, deferred);
                }
                (Due::By(_), WhenFull::Disconnect { .. }) => {
                    receipt.disconnected += u64::from(count);
                    to_end.push(waiter.queue.clone());
                }
                (Due::By(_), _) => {
                    receipt.dropped += u64::from(count);
                    waiter.queue.note_dropped(count, DropReason::TimedOut, deferred);
                    waiter.queue.put_on_probation();
                }
            }
        }
    }

    /// Closes the account of the present publish and returns it.
    #[inline]
    pub fn finish(&mut self) -> Receipt {
        let mut receipt = std::mem::take(&mut self.receipt);
        if receipt.waited > 0 {
            receipt += self.pending.take_outcome();
            self.waiters.clear();
        }
        if self.armed_for.take().is_some() {
            self.timer.clear();
        }
        receipt
    }

    /// Wakes, drops and ends what the locks deferred. No lock may be held.
    pub fn run_deferred(&mut self, shared: &Shared<M>) {
        self.deferred.wake_all();
        while let Some(queue) = self.to_end.pop() {
            shared.end(&queue, EndReason::Disconnected);
        }
        // Last: should a payload panic as it is dropped, all others have what is theirs.
        self.deferred.segments.clear();
    }
}

/// A group's message that its member had no room for: another member may have some by now. Returns
/// how many were taken.
fn give_to_another<M>(waiter: &Waiter<M>, rest: &mut Entry<M>, deferred: &mut Deferred<M>) -> u64 {
    let Some(members) = &waiter.group else {
        return 0;
    };
    let first = rest.from;
    while rest.messages() > 0 {
        let (from, to) = (rest.from, rest.from + 1);
        let load = rest.segment.load(from..to);
        let Some(member) =
            members.iter().find(|member| member.is_for(waiter.origin) && member.admits(load))
        else {
            break;
        };
        member.queue.push(Entry::fixed(&rest.segment, member.id, from..to), deferred);
        // No route is locked, so it may have ended and been freed just before.
        if member.queue.is_ended() {
            member.queue.free();
        }
        rest.from = to;
    }
    u64::from(rest.from - first)
}

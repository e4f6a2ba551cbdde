//! A fan-out worker: gives what was appended to a share of an audience, and waits for those of it
//! who are full.
//!
//! Its timer is armed only while somebody is full.

use super::Origin;
use super::afterwards::Afterwards;
use super::broker::Shared;
use super::frame::Frame;
use super::member::Member;
use super::overflow::{Receipt, WhenFull};
use super::pending::Pending;
use super::queue::{Entry, Offered, Queue};
use super::route::Audience;
use super::seat::Call;
use super::stats::{DropReason, EndReason};
use async_io::Timer;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

pub(super) struct Worker<M> {
    /// What became of the present publish so far.
    pub receipt: Receipt,
    pub afterwards: Afterwards<M>,
    /// Seats, of those that were served, which had to drop some of it.
    pub dropped_at: Vec<u32>,
    /// Queues in whose lines messages of this publish stand.
    waiting: Vec<Waiting<M>>,
    pending: Arc<Pending>,
    timer: Timer,
    /// When the timer goes off, if it is armed.
    armed_for: Option<Instant>,
}

/// A queue in whose line messages of this publisher stand.
struct Waiting<M> {
    queue: Arc<Queue<M>>,
    /// None waits as long as it takes.
    deadline: Option<Instant>,
    /// Who could take the messages instead.
    group: Option<Arc<Vec<Member<M>>>>,
    /// Where they come from.
    origin: Option<Origin>,
}

/// What was appended.
pub(super) struct News<M> {
    pub frame: Arc<Frame<M>>,
    pub places: Range<u32>,
    pub origin: Option<Origin>,
    pub may_wait: bool,
}

/// Seats that are not simply called, in order.
#[derive(Clone, Copy)]
pub(super) struct Exceptions<'a> {
    /// Had no room.
    pub refused: &'a [u32],
    /// Were not asked, and get nothing.
    pub written_off: &'a [u32],
}

/// Whose time is over.
#[derive(Clone, Copy)]
pub(super) enum Due {
    All,
    By(Instant),
}

impl<M> Worker<M> {
    pub fn new() -> Self {
        Self {
            receipt: Receipt::default(),
            afterwards: Afterwards::new(),
            dropped_at: Vec::new(),
            waiting: Vec::new(),
            pending: Arc::default(),
            timer: Timer::never(),
            armed_for: None,
        }
    }

    /// Gives it to the audience.
    pub fn serve(&mut self, audience: &Audience<M>, news: &News<M>, but: Exceptions<'_>) {
        self.call(audience, news, but);
        for seat in but.refused {
            if self.offer(&audience.singles[*seat as usize], None, news, news.places.clone()) {
                self.dropped_at.push(*seat);
            }
        }
    }

    /// Tells those who had room and are not reading this frame already.
    fn call(&mut self, audience: &Audience<M>, news: &News<M>, but: Exceptions<'_>) {
        let News { frame, places, .. } = news;
        let mut refused = but.refused.iter().copied().peekable();
        let mut written_off = but.written_off.iter().copied().peekable();
        for (seat, (state, member)) in (0..).zip(frame.seats.iter().zip(&audience.singles)) {
            if refused.next_if_eq(&seat).is_some() || written_off.next_if_eq(&seat).is_some() {
                continue;
            }
            let entry = match state.call() {
                Call::None => continue,
                Call::BackFrom(from) => {
                    Entry { seat: Some(seat), ..Entry::fixed(frame, member.id, from..from) }
                }
                Call::Fixed => Entry::fixed(frame, member.id, places.clone()),
            };
            member.push(entry, &mut self.afterwards);
        }
    }

    /// Queues what was admitted for exactly this.
    pub fn push_fixed(&mut self, member: &Member<M>, frame: &Arc<Frame<M>>, places: Range<u32>) {
        let messages = u64::from(places.end - places.start);
        self.receipt.matched += messages;
        self.receipt.queued += messages;
        member.push(Entry::fixed(frame, member.id, places), &mut self.afterwards);
    }

    /// Does for messages without room what the policy says. True if any were dropped. A group has
    /// given its member leave to have them.
    pub fn offer(
        &mut self,
        member: &Member<M>,
        group: Option<&Arc<Vec<Member<M>>>>,
        news: &News<M>,
        places: Range<u32>,
    ) -> bool {
        self.receipt.matched += u64::from(places.end - places.start);
        let is_last = places.end == news.places.end;
        let pending = news.may_wait.then_some(&self.pending);
        let offered = member.offer(
            Entry::fixed(&news.frame, member.id, places),
            pending,
            &mut self.afterwards,
        );
        let Offered { queued, dropped, disconnected, parked, must_end } = offered;
        self.receipt.queued += u64::from(queued);
        self.receipt.dropped += u64::from(dropped);
        self.receipt.disconnected += u64::from(disconnected);
        self.receipt.waited += u64::from(parked);
        member.give_back_allowance(dropped + disconnected);
        if must_end {
            self.afterwards.to_end.push(member.queue.clone());
        }
        if parked > 0 {
            let deadline = match member.terms.when_full {
                WhenFull::Wait(wait) | WhenFull::Disconnect { after: wait } => {
                    Instant::now().checked_add(wait)
                }
                _ => None,
            };
            // Another member may only take it later if nothing that follows has been given to
            // anybody.
            let group = group.filter(|_| is_last).cloned();
            self.waiting.push(Waiting {
                queue: member.queue.clone(),
                deadline,
                group,
                origin: news.origin,
            });
        }
        dropped > 0
    }

    #[inline]
    pub fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Ready when nobody is waited for any more.
    pub fn poll_room(&mut self, context: &mut Context<'_>, shared: &Shared<M>) -> Poll<()> {
        if self.waiting.is_empty() {
            return Poll::Ready(());
        }
        loop {
            // Registered before the look: who settles the last line afterwards wakes this task.
            self.pending.register(context.waker());
            if self.pending.is_settled() {
                return Poll::Ready(());
            }
            let Some(deadline) = self.waiting.iter().filter_map(|waiting| waiting.deadline).min()
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

    /// Takes messages out of the lines whose time is over.
    pub fn give_up(&mut self, due: Due, shared: &Shared<M>) {
        let mut index = 0;
        while let Some(waiting) = self.waiting.get(index) {
            let is_due = match due {
                Due::All => true,
                Due::By(now) => waiting.deadline.is_some_and(|deadline| deadline <= now),
            };
            if is_due {
                let waiting = self.waiting.swap_remove(index);
                self.give_up_one(&waiting, due);
            } else {
                index += 1;
            }
        }
        self.run_afterwards(shared);
    }

    fn give_up_one(&mut self, waiting: &Waiting<M>, due: Due) {
        let mut withdrawn = Vec::new();
        let Self { receipt, pending, afterwards, .. } = self;
        waiting.queue.withdraw(pending, afterwards, &mut withdrawn);
        for mut rest in withdrawn {
            if let Some(membership) = waiting.queue.terms.wanted.group(rest.id) {
                membership.allowance.give_back(rest.messages());
            }
            if matches!(due, Due::By(_)) {
                receipt.queued += give_to_another(waiting, &mut rest, afterwards);
            }
            let count = rest.messages();
            if count == 0 {
                continue;
            }
            match (due, waiting.queue.terms.when_full) {
                (Due::All, _) => {
                    receipt.dropped += u64::from(count);
                    waiting.queue.note_dropped(count, DropReason::Cancelled, afterwards);
                }
                (Due::By(_), WhenFull::Disconnect { .. }) => {
                    receipt.disconnected += u64::from(count);
                    afterwards.to_end.push(waiting.queue.clone());
                }
                (Due::By(_), _) => {
                    receipt.dropped += u64::from(count);
                    waiting.queue.note_dropped(count, DropReason::TimedOut, afterwards);
                    waiting.queue.put_on_probation();
                }
            }
        }
    }

    /// Closes the account of the present publish.
    #[inline]
    pub fn finish(&mut self) -> Receipt {
        let mut receipt = std::mem::take(&mut self.receipt);
        if receipt.waited > 0 {
            let outcome = self.pending.take_outcome();
            receipt.queued += outcome.queued;
            receipt.dropped += outcome.dropped;
            receipt.disconnected += outcome.disconnected;
            self.waiting.clear();
        }
        if self.armed_for.take().is_some() {
            self.timer.clear();
        }
        receipt
    }

    /// Under no lock.
    pub fn run_afterwards(&mut self, shared: &Shared<M>) {
        self.afterwards.run();
        while let Some(queue) = self.afterwards.to_end.pop() {
            shared.end(&queue, EndReason::Disconnected);
        }
    }
}

/// A group's message that its member had no room for: another member may have some by now. Returns
/// how many were taken.
fn give_to_another<M>(
    waiting: &Waiting<M>,
    rest: &mut Entry<M>,
    afterwards: &mut Afterwards<M>,
) -> u64 {
    let Some(members) = &waiting.group else {
        return 0;
    };
    let first = rest.from;
    while rest.messages() > 0 {
        let (from, to) = (rest.from, rest.from + 1);
        let load = rest.frame.load(from..to);
        let Some(member) =
            members.iter().find(|member| member.is_for(waiting.origin) && member.admits(load))
        else {
            break;
        };
        member.push(Entry::fixed(&rest.frame, member.id, from..to), afterwards);
        // No route is locked, so it may have ended and been freed just before.
        if member.is_ended() {
            member.free();
        }
        rest.from = to;
    }
    u64::from(rest.from - first)
}

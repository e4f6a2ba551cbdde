//! The publishing end: fan-out, and one wait for all who are full.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use async_io::Timer;
use futures_lite::future::block_on;

use super::afterwards::Afterwards;
use super::broker::{Broker, Handle};
use super::error::{PublishError, TryPublishError};
use super::fan_out::{FanOut, Place, Refusal, Waiting};
use super::history::History;
use super::locks::read;
use super::overflow::{Receipt, WhenFull};
use super::queue::Entry;
use super::route_cache::RouteCache;
use super::stats::{DropReason, EndReason, Tally};
use super::topic::Topic;
use super::{Origin, Payload};
use crate::limits::BATCH_MESSAGES_MAX;

/// A fan-out worker: publishes messages, in order.
///
/// Each publisher has one reusable timer, armed only while it waits for somebody who is full. It remembers the routes of
/// its topics and appends to a frame that its audience shares, so keep one and publish much through it. It belongs to one
/// task or thread; make more from the [`Broker`], which it keeps open.
///
/// Messages of one publisher reach each subscription in the order published. Between publishers there is no order.
pub struct Publisher<M: Payload> {
    handle: Arc<Handle<M>>,
    fan_out: FanOut<M>,
    routes: RouteCache<M>,
    timer: Timer,
    /// When the timer goes off, if it is armed.
    armed_for: Option<Instant>,
    open: Open,
    tally: Arc<Tally>,
}

impl<M: Payload> Publisher<M> {
    pub(super) fn new(handle: Arc<Handle<M>>, origin: Option<Origin>) -> Self {
        let tally = handle.shared.tallies.begin();
        Self {
            handle,
            fan_out: FanOut::new(origin),
            routes: RouteCache::new(),
            timer: Timer::never(),
            armed_for: None,
            open: Open::default(),
            tally,
        }
    }

    /// Publishes one message to everybody whose pattern matches `topic`.
    ///
    /// Everybody who has room has it when the first poll returns. Those who are full and allow a wait are then waited for
    /// together, until each has room or its wait is over.
    ///
    /// Cancel safe: if the future is dropped while it waits, those still full do not get the message, then or later; it is
    /// in their books as dropped.
    ///
    /// # Errors
    /// [`PublishError::Closed`] with the message, if the broker was closed before.
    pub async fn publish(&mut self, topic: &Topic, message: M) -> Result<Receipt, PublishError<M>> {
        self.publish_one(topic, None, message).await
    }

    /// As [`publish`](Self::publish), for a message that wants an answer: it is to be published to `reply_to`.
    /// [`Broker::request`] does all of it.
    pub async fn publish_request(
        &mut self,
        topic: &Topic,
        reply_to: &Topic,
        message: M,
    ) -> Result<Receipt, PublishError<M>> {
        self.publish_one(topic, Some(reply_to.clone()), message).await
    }

    /// Publishes all of `batch`, which is empty afterwards and can be filled again: one frame, and each queue is touched
    /// once. A queue with room for a part takes that part, from the first on.
    ///
    /// Cancel safe as [`publish`](Self::publish).
    ///
    /// # Errors
    /// [`PublishError::Closed`] if the broker was closed before, [`PublishError::TooLong`] for more than
    /// [`BATCH_MESSAGES_MAX`] messages; the batch is then untouched.
    pub async fn publish_batch(&mut self, topic: &Topic, batch: &mut Vec<M>) -> Result<Receipt, PublishError<()>> {
        match self.begin_batch(topic, batch, true) {
            Ok(()) => Ok(WaitForRoom(self).await),
            Err(BatchRefusal::TooLong) => Err(PublishError::TooLong(())),
            Err(BatchRefusal::Refused(_)) => Err(PublishError::Closed(())),
        }
    }

    /// Publishes without ever waiting: who is full, and would have been waited for, misses the message.
    ///
    /// # Errors
    /// [`TryPublishError::Full`] with the message if a lossless subscription ([`WhenFull::Block`]) is full; nobody has got it
    /// then. [`TryPublishError::Closed`] if the broker was closed before.
    pub fn try_publish(&mut self, topic: &Topic, message: M) -> Result<Receipt, TryPublishError<M>> {
        match self.begin_one(topic, None, message, false) {
            Ok(_) => Ok(self.finish()),
            Err((Refusal::Full, message)) => Err(TryPublishError::Full(message)),
            Err((Refusal::Closed, message)) => Err(TryPublishError::Closed(message)),
        }
    }

    /// As [`try_publish`](Self::try_publish), for a batch; on an error it is untouched.
    pub fn try_publish_batch(&mut self, topic: &Topic, batch: &mut Vec<M>) -> Result<Receipt, TryPublishError<()>> {
        match self.begin_batch(topic, batch, false) {
            Ok(()) => Ok(self.finish()),
            Err(BatchRefusal::TooLong) => Err(TryPublishError::TooLong(())),
            Err(BatchRefusal::Refused(Refusal::Full)) => Err(TryPublishError::Full(())),
            Err(BatchRefusal::Refused(Refusal::Closed)) => Err(TryPublishError::Closed(())),
        }
    }

    /// As [`publish`](Self::publish), for a plain thread, which it blocks while it waits.
    pub fn publish_blocking(&mut self, topic: &Topic, message: M) -> Result<Receipt, PublishError<M>> {
        block_on(self.publish(topic, message))
    }

    /// As [`publish_batch`](Self::publish_batch), for a plain thread, which it blocks while it waits.
    pub fn publish_batch_blocking(&mut self, topic: &Topic, batch: &mut Vec<M>) -> Result<Receipt, PublishError<()>> {
        block_on(self.publish_batch(topic, batch))
    }

    /// The broker it publishes to.
    pub fn broker(&self) -> Broker<M> {
        Broker::from_handle(self.handle.clone())
    }

    async fn publish_one(
        &mut self,
        topic: &Topic,
        reply_to: Option<Topic>,
        message: M,
    ) -> Result<Receipt, PublishError<M>> {
        match self.begin_one(topic, reply_to, message, true) {
            Ok(_) => Ok(WaitForRoom(self).await),
            Err((_, message)) => Err(PublishError::Closed(message)),
        }
    }

    /// As [`publish_request`](Self::publish_request), and the message comes back if it was for nobody.
    pub(super) async fn publish_or_return(
        &mut self,
        topic: &Topic,
        reply_to: Topic,
        message: M,
    ) -> Result<(Receipt, Option<M>), PublishError<M>> {
        match self.begin_one(topic, Some(reply_to), message, true) {
            Ok(returned) => Ok((WaitForRoom(self).await, returned)),
            Err((_, message)) => Err(PublishError::Closed(message)),
        }
    }

    /// The fan-out of one message. Gives it back if it was for nobody, or was refused.
    fn begin_one(
        &mut self,
        topic: &Topic,
        reply_to: Option<Topic>,
        message: M,
        may_wait: bool,
    ) -> Result<Option<M>, (Refusal, M)> {
        self.settle_forgotten();
        self.fan_out.weigh(std::iter::once(&message));
        self.fan_out.batch.push(message);
        self.fan_out.reply_to = reply_to;
        let outcome = self.begin(topic, may_wait);
        self.fan_out.reply_to = None;
        let left = self.fan_out.batch.pop();
        match (outcome, left) {
            (Err(refusal), Some(message)) => Err((refusal, message)),
            (_, left) => Ok(left),
        }
    }

    fn begin_batch(&mut self, topic: &Topic, batch: &mut Vec<M>, may_wait: bool) -> Result<(), BatchRefusal> {
        if batch.len() > BATCH_MESSAGES_MAX {
            return Err(BatchRefusal::TooLong);
        }
        self.settle_forgotten();
        if batch.is_empty() {
            return Ok(());
        }
        self.fan_out.weigh(batch.iter());
        std::mem::swap(batch, &mut self.fan_out.batch);
        let outcome = self.begin(topic, may_wait);
        std::mem::swap(batch, &mut self.fan_out.batch);
        outcome.map_err(BatchRefusal::Refused)?;
        // Still there if it was for nobody.
        batch.clear();
        Ok(())
    }

    fn begin(&mut self, topic: &Topic, may_wait: bool) -> Result<(), Refusal> {
        let published = self.fan_out.batch.len() as u64;
        let outcome = self.fan_out(topic, may_wait);
        // Of a refusal too: room that was given back may have let others in.
        self.run_afterwards();
        let (receipt, has_route) = outcome?;
        let waits_since = (receipt.waited > 0).then(|| self.handle.shared.waits.begin());
        self.open = Open { published, receipt, has_route, waits_since };
        Ok(())
    }

    /// Fans out under the locks of the topic's route; says whether it has one.
    fn fan_out(&mut self, topic: &Topic, may_wait: bool) -> Result<(Receipt, bool), Refusal> {
        let shared = &*self.handle.shared;
        loop {
            let Some(route) = self.routes.take(topic, &shared.router) else {
                let outcome = shared.router.with_audience(topic, |audience| {
                    let place = Place { topic, audience, route: 0, history: None, stamps: &shared.stamps };
                    self.fan_out.deliver(place, may_wait)
                });
                return outcome.map(|receipt| (receipt, false));
            };
            let mut kept = route.1.history.as_ref().map(History::lock);
            let audience = read(&route.1.audience);
            if audience.is_retired {
                self.routes.forget(topic);
                continue;
            }
            let history = kept.as_deref_mut();
            let place = Place { topic, audience: &audience, route: route.1.id, history, stamps: &shared.stamps };
            let outcome = self.fan_out.deliver(place, may_wait);
            drop((audience, kept));
            self.routes.put_back(route);
            return outcome.map(|receipt| (receipt, true));
        }
    }

    /// Takes what a forgotten publish future left in lines: nothing of it may be delivered later.
    fn settle_forgotten(&mut self) {
        if !self.fan_out.waiting.is_empty() {
            self.give_up(Due::All);
            self.finish();
        }
    }

    /// Takes messages out of the lines whose time is over.
    fn give_up(&mut self, due: Due) {
        let mut index = 0;
        while let Some(waiting) = self.fan_out.waiting.get(index) {
            let is_due = match due {
                Due::All => true,
                Due::By(now) => waiting.deadline.is_some_and(|deadline| deadline <= now),
            };
            if is_due {
                let waiting = self.fan_out.waiting.swap_remove(index);
                self.give_up_one(&waiting, due);
            } else {
                index += 1;
            }
        }
        self.run_afterwards();
    }

    fn give_up_one(&mut self, waiting: &Waiting<M>, due: Due) {
        let mut withdrawn = Vec::new();
        let FanOut { pending, afterwards, .. } = &mut self.fan_out;
        waiting.queue.withdraw(pending, afterwards, &mut withdrawn);
        for mut rest in withdrawn {
            if matches!(due, Due::By(_)) {
                self.open.receipt.queued += give_to_another(waiting, &mut rest, afterwards);
            }
            let count = rest.messages();
            if count == 0 {
                continue;
            }
            let receipt = &mut self.open.receipt;
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
    fn finish(&mut self) -> Receipt {
        let Open { published, mut receipt, has_route, waits_since } = std::mem::take(&mut self.open);
        if let Some(since) = waits_since {
            self.handle.shared.waits.end(since);
        }
        if receipt.waited > 0 {
            let outcome = self.fan_out.pending.take_outcome();
            receipt.queued += outcome.queued;
            receipt.dropped += outcome.dropped;
            receipt.disconnected += outcome.disconnected;
            self.fan_out.waiting.clear();
        }
        if self.armed_for.take().is_some() {
            self.timer.clear();
        }
        self.tally.add_alone(published, &receipt);
        if let Some(route) = self.routes.last().filter(|_| has_route) {
            route.tally.add(published, &receipt);
        }
        receipt
    }

    fn run_afterwards(&mut self) {
        self.fan_out.afterwards.run();
        while let Some(queue) = self.fan_out.afterwards.to_end.pop() {
            self.handle.shared.end(&queue, EndReason::Disconnected);
        }
    }
}

/// A group's message that its member had no room for: another member may have some by now. Returns how many were taken.
fn give_to_another<M>(waiting: &Waiting<M>, rest: &mut Entry<M>, afterwards: &mut Afterwards<M>) -> u64 {
    let Some(members) = &waiting.group else {
        return 0;
    };
    let first = rest.from;
    while rest.messages() > 0 {
        let (from, to) = (rest.from, rest.from + 1);
        let Some(member) = members.iter().find(|member| member.admits(rest.frame.load(from..to))) else {
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

impl<M: Payload> Drop for Publisher<M> {
    fn drop(&mut self) {
        self.settle_forgotten();
        self.handle.shared.tallies.end(&self.tally);
    }
}

/// The account of the present publish.
#[derive(Default)]
struct Open {
    published: u64,
    receipt: Receipt,
    /// Whether it is counted for the topic too.
    has_route: bool,
    /// Since when it waits for room, if it does.
    waits_since: Option<Instant>,
}

enum BatchRefusal {
    TooLong,
    Refused(Refusal),
}

/// Whose time is over.
#[derive(Clone, Copy)]
enum Due {
    All,
    By(Instant),
}

/// Waits until nobody is waited for any more. Dropped before, it takes its messages back.
struct WaitForRoom<'a, M: Payload>(&'a mut Publisher<M>);

impl<M: Payload> Future for WaitForRoom<'_, M> {
    type Output = Receipt;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Receipt> {
        let publisher = &mut *self.0;
        if publisher.fan_out.waiting.is_empty() {
            return Poll::Ready(publisher.finish());
        }
        loop {
            // Registered before the look: who settles the last line afterwards wakes this task.
            publisher.fan_out.pending.register(context.waker());
            if publisher.fan_out.pending.is_settled() {
                return Poll::Ready(publisher.finish());
            }
            let Some(deadline) = publisher.fan_out.waiting.iter().filter_map(|waiting| waiting.deadline).min() else {
                return Poll::Pending;
            };
            if publisher.armed_for != Some(deadline) {
                publisher.timer.set_at(deadline);
                publisher.armed_for = Some(deadline);
            }
            if Pin::new(&mut publisher.timer).poll(context).is_pending() {
                return Poll::Pending;
            }
            publisher.armed_for = None;
            publisher.give_up(Due::By(Instant::now().max(deadline)));
        }
    }
}

impl<M: Payload> Drop for WaitForRoom<'_, M> {
    fn drop(&mut self) {
        self.0.settle_forgotten();
    }
}

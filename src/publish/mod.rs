//! The publishing end: fan-out, and one wait for all who are full.

pub mod deliveries;
pub mod fan_out;
pub mod reservation;
mod short;
#[cfg(feature = "sink")]
pub mod sink;

use crate::blocking::block_on;
use crate::error::{PublishError, TryPublishError};
use crate::limits::{
    BATCH_MESSAGES_MAX, DROPPING_PUBLISHES_PER_TURN, DROPPING_PUBLISHES_PER_TURN_MAX,
};
use crate::log::history::History;
use crate::payload::{Origin, Payload};
use crate::policy::Receipt;
use crate::publish::deliveries::Due;
use crate::publish::fan_out::{FanOut, Refusal, Target};
use crate::routing::route_cache::RouteCache;
use crate::shared::Handle;
use crate::stats::tally::Tally;
use crate::sync::read;
use crate::topic::Topic;
use crate::trace;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// Publishes messages, in order.
///
/// Keep a publisher and publish much through it: it remembers the routes of its topics, and appends
/// to a segment that its audience shares. It has one reusable timer, armed only while it waits for
/// a full subscription. It belongs to one task or thread; make more from the
/// [`Broker`](crate::Broker), which it keeps open.
///
/// Messages of one publisher reach each subscription in the order published. Between publishers
/// there is no order.
///
/// ```
/// use fanfare::{Broker, Pattern, Topic};
///
/// let broker = Broker::<u32>::new();
/// let ticks = Topic::parse("ticks")?;
/// let subscription = broker.subscribe(&Pattern::from(&ticks))?;
///
/// let mut publisher = broker.publisher();
/// let _ = publisher.try_publish(&ticks, 1)?;
/// let _ = publisher.publish_blocking(&ticks, 2)?;
/// let mut batch = vec![3, 4];
/// let receipt = publisher.publish_batch_blocking(&ticks, &mut batch)?;
/// assert_eq!((receipt.queued, subscription.books().queued), (2, 4));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Publisher<M: Payload> {
    pub(crate) handle: Arc<Handle<M>>,
    fan_out: FanOut<M>,
    routes: RouteCache<M>,
    open: Open,
    tally: Arc<Tally>,
    turns: Turns,
    has_waited: bool,
}

impl<M: Payload> Publisher<M> {
    pub(crate) fn new(handle: Arc<Handle<M>>, origin: Option<Origin>, own: Option<Origin>) -> Self {
        let tally = handle.shared.tallies.begin();
        Self {
            handle,
            fan_out: FanOut::new(origin, own),
            routes: RouteCache::new(),
            open: Open::default(),
            tally,
            turns: Turns::default(),
            has_waited: false,
        }
    }

    /// Publishes one message to every subscription whose pattern matches `topic`.
    ///
    /// When the first poll returns, every subscription with room has the message. Full
    /// subscriptions whose policy allows a wait are then waited for together, until each has room
    /// or its wait is over. After a wait, from then on whenever queues are nearly full, and now and
    /// then while it only drops, the future yields once, so that receivers on the same thread can
    /// read.
    ///
    /// Cancel safe: if the future is dropped while it waits, the subscriptions still full never get
    /// the message, and their books count it as dropped.
    ///
    /// # Errors
    /// [`PublishError::Closed`] with the message, if the broker was closed before.
    pub fn publish<'a>(
        &'a mut self,
        topic: &'a Topic,
        message: M,
    ) -> impl Future<Output = Result<Receipt, PublishError<M>>> {
        Publish { publisher: self, topic, message: Some(message) }
    }

    /// Publishes a message whose answer is to be published to `reply_to`.
    /// [`Broker::request`](crate::Broker::request) does the whole exchange.
    ///
    /// Cancel safe as [`publish`](Self::publish).
    ///
    /// # Errors
    /// [`PublishError::Closed`] with the message, if the broker was closed before.
    pub async fn publish_request(
        &mut self,
        topic: &Topic,
        reply_to: &Topic,
        message: M,
    ) -> Result<Receipt, PublishError<M>> {
        self.publish_one(topic, Some(reply_to.clone()), Weighed::new(message)).await
    }

    /// Publishes all of `batch` in one segment, touching each queue once, and leaves `batch` empty
    /// to be filled again. A queue with room for a part takes that part, from the first message on.
    ///
    /// Cancel safe as [`publish`](Self::publish).
    ///
    /// # Errors
    /// [`PublishError::Closed`] if the broker was closed before, [`PublishError::TooLong`] for more
    /// than [`BATCH_MESSAGES_MAX`] messages; the batch is then untouched.
    pub async fn publish_batch(
        &mut self,
        topic: &Topic,
        batch: &mut Vec<M>,
    ) -> Result<Receipt, PublishError<()>> {
        self.begin_batch(topic, batch, true).map_err(|refusal| refusal.of(()))?;
        Ok(WaitForRoom(self).await)
    }

    /// Publishes together the messages at the front of `batch` that are for siblings: topics that
    /// differ in their last token alone, such as the inboxes of one client, and that are used for
    /// the first time. `topics` are those of the messages, in the same order. Returns how many
    /// messages it took out of the batch; if none, publish the first by itself.
    ///
    /// ```
    /// use fanfare::{Broker, Pattern, Topic};
    ///
    /// let broker = Broker::<&str>::new();
    /// let inboxes = broker.subscribe(&Pattern::parse("inbox.*")?)?;
    /// let topics = ["inbox.1", "inbox.2", "inbox.3"].map(|text| Topic::parse(text).unwrap());
    /// let (mut publisher, mut answers) = (broker.publisher(), vec!["one", "two", "three"]);
    /// # futures_lite::future::block_on(async {
    /// while !answers.is_empty() {
    ///     let next = topics.len() - answers.len();
    ///     let (count, _) = publisher.publish_siblings(&topics[next..], &mut answers).await?;
    ///     if count == 0 {
    ///         let _ = publisher.publish(&topics[next], answers.remove(0)).await?;
    ///     }
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// # })?;
    /// assert_eq!(inboxes.books().queued, 3);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// Cancel safe as [`publish`](Self::publish).
    ///
    /// # Errors
    /// Those of [`publish_batch`](Self::publish_batch); the batch is then untouched.
    pub async fn publish_siblings(
        &mut self,
        topics: &[Topic],
        batch: &mut Vec<M>,
    ) -> Result<(usize, Receipt), PublishError<()>> {
        match self.begin_siblings(topics, batch).map_err(|refusal| refusal.of(()))? {
            0 => Ok((0, Receipt::default())),
            count => Ok((count, WaitForRoom(self).await)),
        }
    }

    /// Publishes without ever waiting: a full subscription that a wait would have helped misses the
    /// message.
    ///
    /// # Errors
    /// [`TryPublishError::Full`] with the message if a lossless subscription
    /// ([`WhenFull::Block`](crate::WhenFull::Block)) is full; nobody has got it then.
    /// [`TryPublishError::Closed`] if the broker was closed before.
    pub fn try_publish(
        &mut self,
        topic: &Topic,
        message: M,
    ) -> Result<Receipt, TryPublishError<M>> {
        let weighed = match self.try_short(topic, message) {
            Ok(receipt) => return Ok(receipt),
            Err(weighed) => weighed,
        };
        let outcome = self.begin_one(topic, None, weighed, false);
        outcome.map_err(|(refusal, message)| refusal.of_try(message))?;
        Ok(self.finish())
    }

    /// Publishes a batch without ever waiting, as [`try_publish`](Self::try_publish) does one
    /// message.
    ///
    /// # Errors
    /// Those of `try_publish`, and [`TryPublishError::TooLong`] for more than
    /// [`BATCH_MESSAGES_MAX`] messages; the batch is then untouched.
    pub fn try_publish_batch(
        &mut self,
        topic: &Topic,
        batch: &mut Vec<M>,
    ) -> Result<Receipt, TryPublishError<()>> {
        self.begin_batch(topic, batch, false).map_err(|refusal| refusal.of_try(()))?;
        Ok(self.finish())
    }

    /// Publishes one message, blocking the thread while it waits for room.
    ///
    /// # Errors
    /// [`PublishError::Closed`] with the message, if the broker was closed before.
    pub fn publish_blocking(
        &mut self,
        topic: &Topic,
        message: M,
    ) -> Result<Receipt, PublishError<M>> {
        match self.try_short(topic, message) {
            Ok(receipt) => Ok(receipt),
            Err(weighed) => block_on(self.publish_one(topic, None, weighed)),
        }
    }

    /// Publishes a batch, blocking the thread while it waits for room.
    ///
    /// # Errors
    /// Those of [`publish_batch`](Self::publish_batch).
    pub fn publish_batch_blocking(
        &mut self,
        topic: &Topic,
        batch: &mut Vec<M>,
    ) -> Result<Receipt, PublishError<()>> {
        block_on(self.publish_batch(topic, batch))
    }

    /// From here on it publishes what comes over bridges, to these queue groups.
    pub(crate) fn set_bridged_groups(&mut self, groups: impl IntoIterator<Item = impl AsRef<str>>) {
        let from = self.fan_out.from_bridge.get_or_insert_default();
        from.groups.clear();
        from.groups.extend(groups.into_iter().map(|group| group.as_ref().into()));
    }

    /// What is published next does not join what was published before: whoever reads that would
    /// have it before a gap in between.
    pub(crate) fn begin_segment(&mut self) {
        self.fan_out.growing = None;
    }

    /// Publishes without waiting, whatever the policies are.
    pub(crate) fn publish_now(
        &mut self,
        topic: &Topic,
        reply_to: Option<Topic>,
        message: M,
    ) -> Result<Receipt, PublishError<M>> {
        let outcome = self.begin_one(topic, reply_to, Weighed::new(message), false);
        outcome.map_err(|(refusal, message)| refusal.of(message))?;
        Ok(self.finish())
    }

    /// [`publish_now`](Self::publish_now) for a batch.
    pub(crate) fn publish_batch_now(
        &mut self,
        topic: &Topic,
        batch: &mut Vec<M>,
    ) -> Result<Receipt, PublishError<()>> {
        self.begin_batch(topic, batch, false).map_err(|refusal| refusal.of(()))?;
        Ok(self.finish())
    }

    /// [`publish_short`](Self::publish_short), or gives the message back.
    #[inline(always)]
    fn try_short(&mut self, topic: &Topic, message: M) -> Result<Receipt, Weighed<M>> {
        let bytes = weigh(&message);
        let mut message = Some(message);
        let queued = self.publish_short(topic, &mut message, bytes);
        match message {
            Some(message) => Err(Weighed { message, bytes }),
            None => Ok(Receipt::of_queued(queued.unwrap_or_default())),
        }
    }

    async fn publish_one(
        &mut self,
        topic: &Topic,
        reply_to: Option<Topic>,
        weighed: Weighed<M>,
    ) -> Result<Receipt, PublishError<M>> {
        let outcome = self.begin_one(topic, reply_to, weighed, true);
        outcome.map_err(|(refusal, message)| refusal.of(message))?;
        Ok(WaitForRoom(self).await)
    }

    /// As [`publish_request`](Self::publish_request), and the message comes back if it was for
    /// nobody.
    pub(crate) async fn publish_or_return(
        &mut self,
        topic: &Topic,
        reply_to: Topic,
        message: M,
    ) -> Result<(Receipt, Option<M>), PublishError<M>> {
        let outcome = self.begin_one(topic, Some(reply_to), Weighed::new(message), true);
        let returned = outcome.map_err(|(refusal, message)| refusal.of(message))?;
        Ok((WaitForRoom(self).await, returned))
    }

    /// The fan-out of one message. Gives it back if it was for nobody, or was refused.
    fn begin_one(
        &mut self,
        topic: &Topic,
        reply_to: Option<Topic>,
        Weighed { message, bytes }: Weighed<M>,
        may_wait: bool,
    ) -> Result<Option<M>, (Refusal, M)> {
        self.settle_forgotten();
        let mut message = Some(message);
        if reply_to.is_none() {
            self.begin_past_written_off(topic, &mut message, bytes);
        }
        let Some(message) = message else { return Ok(None) };
        self.fan_out.prepare(std::iter::once((bytes, message.is_kept_in_history())));
        // Not empty if the publish before panicked.
        self.fan_out.batch.clear();
        self.fan_out.batch.push(message);
        self.fan_out.reply_to = reply_to;
        let outcome = self.begin(may_wait, |this| this.fan_out(topic, may_wait));
        self.fan_out.reply_to = None;
        let left = self.fan_out.batch.pop();
        match (outcome, left) {
            (Err(refusal), Some(message)) => Err((refusal, message)),
            (_, left) => Ok(left),
        }
    }

    /// The fan-out of the front of the batch that is for siblings used once, if they share a
    /// route. Says how many messages that is.
    fn begin_siblings(&mut self, topics: &[Topic], batch: &mut Vec<M>) -> Result<usize, Refusal> {
        if batch.len() > BATCH_MESSAGES_MAX {
            return Err(Refusal::TooLong);
        }
        self.settle_forgotten();
        let router = &self.handle.shared.router;
        let count = self.routes.note_siblings(&topics[..topics.len().min(batch.len())], router);
        if count == 0 {
            return Ok(0);
        }
        self.prepare(&batch[..count]);
        self.fan_out.batch.extend(batch.drain(..count));
        let topics = &topics[..count];
        let outcome = self.begin(true, |this| this.fan_out_siblings(topics).map(|()| false));
        let count = if outcome.is_ok() { self.open.published as usize } else { 0 };
        if count == 0 {
            batch.splice(..0, self.fan_out.batch.drain(..));
        }
        // Still there if it was for nobody.
        self.fan_out.batch.clear();
        outcome.map(|()| count)
    }

    fn begin_batch(
        &mut self,
        topic: &Topic,
        batch: &mut Vec<M>,
        may_wait: bool,
    ) -> Result<(), Refusal> {
        if batch.len() > BATCH_MESSAGES_MAX {
            return Err(Refusal::TooLong);
        }
        self.settle_forgotten();
        if batch.is_empty() {
            return Ok(());
        }
        self.prepare(batch);
        std::mem::swap(batch, &mut self.fan_out.batch);
        let outcome = self.begin(may_wait, |this| this.fan_out(topic, may_wait));
        std::mem::swap(batch, &mut self.fan_out.batch);
        outcome?;
        // Still there if it was for nobody.
        batch.clear();
        Ok(())
    }

    /// Notes what is to be published next, in a batch that is still empty.
    fn prepare(&mut self, messages: &[M]) {
        let messages = messages.iter();
        self.fan_out.prepare(messages.map(|one| (weigh(one), one.is_kept_in_history())));
        // Neither is empty if the publish before panicked.
        self.fan_out.batch.clear();
        self.fan_out.reply_to = None;
    }

    /// Opens the account of a publish. `fan_out` says whether there is a route that it counts for.
    fn begin(
        &mut self,
        may_wait: bool,
        fan_out: impl FnOnce(&mut Self) -> Result<bool, Refusal>,
    ) -> Result<(), Refusal> {
        let outcome = fan_out(self);
        let published = self.fan_out.prepared();
        let left_full = std::mem::take(&mut self.fan_out.deliveries.left_full);
        if let Ok(has_route) = outcome {
            let waits_since =
                self.fan_out.deliveries.is_waiting().then(|| self.handle.shared.waits.begin());
            self.has_waited |= waits_since.is_some();
            let is_turn_due = waits_since.is_some()
                || (may_wait && self.has_waited && self.fan_out.is_short_of_room());
            self.turns.count(left_full, is_turn_due);
            self.open = Open { published, has_route, waits_since };
        }
        // Of a refusal too: room that was given back may have let others in. Once the account is
        // open: should foreign code panic here, the publisher's next use settles it.
        self.fan_out.deliveries.run_deferred(&self.handle.shared);
        outcome.map(drop)
    }

    /// Fans out under the locks of the topic's route, or of its siblings', or else by no route.
    /// Says whether the topic has one of its own.
    fn fan_out(&mut self, topic: &Topic, may_wait: bool) -> Result<bool, Refusal> {
        let shared = &*self.handle.shared;
        let (router, stamps) = (&shared.router, &shared.stamps);
        let topics = &[];
        let mut has_own = self.routes.find(topic, router);
        loop {
            let route = match has_own {
                true => self.routes.last().map(|last| &last.route),
                false => self.routes.find_siblings(topic, router),
            };
            let Some(route) = route else {
                let outcome = router.with_audience(topic, |audience| {
                    let (route, history) = (None, None);
                    let target = Target { topic, topics, audience, route, history, stamps };
                    self.fan_out.deliver(target, may_wait)
                });
                return outcome.map(|()| false);
            };
            let mut kept = route.history.as_ref().map(History::lock);
            let audience = read(&route.audience);
            if !audience.is_retired {
                let (route, history) = (Some(route), kept.as_deref_mut());
                let target = Target { topic, topics, audience: &audience, route, history, stamps };
                return self.fan_out.deliver(target, may_wait).map(|()| has_own);
            }
            drop((audience, kept));
            if has_own {
                self.routes.forget(topic);
                has_own = self.routes.find(topic, router);
            } else {
                self.routes.forget_siblings();
            }
        }
    }

    /// Fans out to siblings, each used once, by their route. Publishes nothing if that was retired
    /// meanwhile.
    fn fan_out_siblings(&mut self, topics: &[Topic]) -> Result<(), Refusal> {
        // There is one: see `begin_siblings`.
        let Some(route) = self.routes.last_siblings() else { return Ok(()) };
        let audience = read(&route.audience);
        if audience.is_retired {
            drop(audience);
            self.routes.forget_siblings();
            self.routes.forget_seen(topics);
            self.fan_out.prepare(std::iter::empty());
            return Ok(());
        }
        let target = Target {
            topic: &topics[0],
            topics,
            audience: &audience,
            route: Some(route),
            history: None,
            stamps: &self.handle.shared.stamps,
        };
        self.fan_out.deliver(target, true)
    }

    /// Takes what a forgotten publish future, or one that panicked, left in wait queues: nothing of
    /// it may be delivered later.
    fn settle_forgotten(&mut self) {
        if self.open.published > 0 {
            self.fan_out.deliveries.give_up(Due::All, &self.handle.shared);
            let _ = self.finish();
        }
    }

    /// The receipt of the present publish, once nobody is waited for any more and other tasks have
    /// had the turn that is due.
    fn poll_receipt(&mut self, context: &mut Context<'_>) -> Poll<Receipt> {
        let Self { fan_out, handle, .. } = self;
        ready!(fan_out.deliveries.poll_room(context, &handle.shared));
        // Somebody was full, or soon is. If that receiver is a task of the same thread, it can only
        // read while this one yields. And then it empties its queue in one go, instead of making
        // room for one message and then the next, each of which would wait in line.
        if self.turns.begin() {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(self.finish())
    }

    /// Closes the account of the present publish.
    fn finish(&mut self) -> Receipt {
        let Open { published, has_route, waits_since } = std::mem::take(&mut self.open);
        let waited = waits_since.map(|since| since.elapsed());
        waited.into_iter().for_each(|waited| self.handle.shared.waits.end(waited));
        let receipt = self.fan_out.finish();
        self.tally.add_alone(published, &receipt);
        let route = self.routes.last().filter(|_| has_route).map(|last| &*last.route);
        if let Some(route) = route {
            route.tally.add(published, &receipt);
        }
        trace::published(route.map(|route| &route.topic), &receipt, waited);
        receipt
    }
}

/// A publisher of its own, with the same broker and origin, which costs what
/// [`Broker::publisher`](crate::Broker::publisher) does. It shares nothing else with this one: it
/// learns its routes anew, there is no order between the two, and a publish that waits in one does
/// not hold up the other.
impl<M: Payload> Clone for Publisher<M> {
    fn clone(&self) -> Self {
        Self::new(self.handle.clone(), self.fan_out.origin, self.fan_out.own)
    }
}

impl<M: Payload> Drop for Publisher<M> {
    fn drop(&mut self) {
        self.settle_forgotten();
        self.handle.shared.tallies.end(&self.tally);
    }
}

/// When a publisher that somebody has no room for lets other tasks have a turn.
struct Turns {
    /// How many publishes have left somebody full since.
    since: u32,
    /// After how many of them a turn is due.
    after: u32,
    is_due: bool,
    /// How many queues the last publish left full.
    left_full: usize,
    /// The same of the publish with the last turn, until it is known whether that brought room.
    left_full_at_turn: Option<usize>,
}

impl Default for Turns {
    fn default() -> Self {
        let after = DROPPING_PUBLISHES_PER_TURN;
        Self { since: 0, after, is_due: false, left_full: 0, left_full_at_turn: None }
    }
}

impl Turns {
    /// Counts a publish. Due at once is the turn of one that waits, and after the first wait that
    /// of each that leaves queues nearly full.
    fn count(&mut self, left_full: usize, is_due: bool) {
        self.left_full = left_full;
        if let Some(before) = self.left_full_at_turn.take() {
            // Those still full had their turn, so they are stuck, or run elsewhere.
            let longer = (self.after * 2).min(DROPPING_PUBLISHES_PER_TURN_MAX);
            self.after = if left_full < before { DROPPING_PUBLISHES_PER_TURN } else { longer };
        }
        self.since = self.since.saturating_add(u32::from(left_full > 0));
        self.is_due = is_due || self.since >= self.after;
    }

    /// Whether a turn is due, which then begins.
    fn begin(&mut self) -> bool {
        let is_due = std::mem::take(&mut self.is_due);
        if is_due {
            self.since = 0;
            self.left_full_at_turn = Some(self.left_full).filter(|left_full| *left_full > 0);
        }
        is_due
    }
}

/// The account of the present publish.
#[derive(Default)]
struct Open {
    published: u64,
    /// Whether it is counted for the topic too.
    has_route: bool,
    /// Since when it waits for room, if it does.
    waits_since: Option<Instant>,
}

/// A message and its weight. To weigh it runs foreign code, so it is weighed once, and before any
/// lock is taken.
struct Weighed<M> {
    message: M,
    bytes: u32,
}

impl<M: Payload> Weighed<M> {
    #[inline]
    fn new(message: M) -> Self {
        Self { bytes: weigh(&message), message }
    }
}

fn weigh<M: Payload>(message: &M) -> u32 {
    u32::try_from(message.weight_bytes()).unwrap_or(u32::MAX)
}

impl Refusal {
    /// For a publish that may wait, and so is never refused because somebody is full.
    fn of<T>(self, refused: T) -> PublishError<T> {
        match self {
            Self::TooLong => PublishError::TooLong(refused),
            Self::Closed | Self::Full => PublishError::Closed(refused),
        }
    }

    fn of_try<T>(self, refused: T) -> TryPublishError<T> {
        match self {
            Self::TooLong => TryPublishError::TooLong(refused),
            Self::Closed => TryPublishError::Closed(refused),
            Self::Full => TryPublishError::Full(refused),
        }
    }
}

/// Publishes one message. Written out, since an `async fn` costs the short way a third more.
struct Publish<'a, M: Payload> {
    publisher: &'a mut Publisher<M>,
    topic: &'a Topic,
    /// Until the first poll.
    message: Option<M>,
}

impl<M: Payload> Publish<'_, M> {
    #[inline(never)]
    fn begin(&mut self, bytes: u32) -> Result<(), PublishError<M>> {
        let Some(message) = self.message.take() else { return Ok(()) };
        let outcome = self.publisher.begin_one(self.topic, None, Weighed { message, bytes }, true);
        outcome.map(drop).map_err(|(refusal, message)| refusal.of(message))
    }
}

/// The message is never pinned.
impl<M: Payload> Unpin for Publish<'_, M> {}

impl<M: Payload> Future for Publish<'_, M> {
    type Output = Result<Receipt, PublishError<M>>;

    /// Inlined, so that a receipt is made where it is looked at.
    #[inline(always)]
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Some(bytes) = self.message.as_ref().map(weigh) {
            let Self { publisher, topic, message } = &mut *self;
            match publisher.publish_short(topic, message, bytes) {
                Some(queued) => return Poll::Ready(Ok(Receipt::of_queued(queued))),
                None => self.begin(bytes)?,
            }
        }
        self.publisher.poll_receipt(context).map(Ok)
    }
}

impl<M: Payload> Drop for Publish<'_, M> {
    #[inline]
    fn drop(&mut self) {
        if self.message.is_none() {
            self.publisher.settle_forgotten();
        }
    }
}

/// Waits until nobody is waited for any more. Dropped before, it takes its messages back.
struct WaitForRoom<'a, M: Payload>(&'a mut Publisher<M>);

impl<M: Payload> Future for WaitForRoom<'_, M> {
    type Output = Receipt;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Receipt> {
        self.0.poll_receipt(context)
    }
}

impl<M: Payload> Drop for WaitForRoom<'_, M> {
    fn drop(&mut self) {
        self.0.settle_forgotten();
    }
}

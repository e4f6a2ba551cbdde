//! What one connection is sent: answers and messages, each in its place. The writing half's
//! [`Source`].

use super::Sid;
use super::accounts::Account;
use super::events::Guest;
use super::gathered::Copied;
use super::info::Recipient;
use super::own_queue::{Next, OwnQueue};
use super::render::{self, append_outgoing, render_batch};
use super::responses::Responses;
use super::settings::FirstTimes;
use super::share::Places;
use crate::codec::nats::{append_error, append_ping, subject};
use crate::connection::duplex::WriteHalf;
use crate::connection::outbound::{OutboundQueue, QueueItem};
use crate::counted::counted;
use crate::diagnostics::{ConnectionFigures, Ended};
use crate::limits::NATS_OVERTAKING_MESSAGES;
use crate::locks::lock;
use crate::message::ServerMessage;
use crate::tasks::{self, Wait};
use crate::transport::{Filled, Source, WriteBuffer};
use fanfare::{Batch, EndReason, Mailbox, MailboxDelivery, Pattern, SubscriptionId, Topic};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// The state that the two halves of a connection share.
pub(super) struct Outbound {
    pub queue: OutboundQueue<Change>,
    /// The account of the connection's subscriptions, from the first one on, and their places
    /// there, each given back by the half that ends it.
    pub places: OnceLock<(Arc<Account>, Places)>,
    /// Whom the system account was told of.
    pub guest: OnceLock<Box<Guest>>,
    /// Subscriptions that have got all that they were to get.
    expired: Mutex<Vec<(Sid, SubscriptionId)>>,
    /// The nonce that the client may sign to authenticate.
    nonce: Option<Box<str>>,
    /// The requests that the client may answer, noted by the writing half.
    responses: Mutex<Option<Box<Responses>>>,
}

/// A change of what is sent. The first four apply before anything else that waits.
pub(super) enum Change {
    /// The source of the connection's messages.
    Mailbox(Box<Mailbox<ServerMessage>>),
    /// A subscription has begun.
    Subscribed {
        id: SubscriptionId,
        sid: Sid,
        /// Topics that it matches but must not be sent.
        except: Option<Arc<[Pattern]>>,
    },
    /// The client has connected, knows headers or does not, and may answer what it is sent or more.
    Connected { with_headers: bool, notes_requests: bool },
    /// A subscription must not be sent this any more, although it matches it.
    Except(SubscriptionId, Option<Arc<[Pattern]>>),
    /// A subscription has a queue of its own from here on.
    Own(Box<Own>),
    /// A subscription has ended: there is nothing more for it.
    Forget(SubscriptionId),
    /// A subscription ends when it has got this many messages.
    Limit(SubscriptionId, u64),
}

/// A queue for one subscription alone.
pub(super) struct Own {
    /// The subscription's id before, if it was another's.
    pub from: Option<SubscriptionId>,
    pub sid: Sid,
    pub queue: OwnQueue,
}

impl Outbound {
    pub fn new(nonce: Option<Box<str>>) -> Self {
        Self {
            queue: OutboundQueue::default(),
            places: OnceLock::new(),
            guest: OnceLock::new(),
            expired: Mutex::default(),
            nonce,
            responses: Mutex::default(),
        }
    }

    /// Gives back the place of a subscription that has ended.
    pub fn give_back_place(&self) {
        self.places.get().into_iter().for_each(|(_, places)| places.give_back());
    }

    /// The client, for `INFO`.
    pub fn recipient(&self, (client_id, client_ip): (u64, IpAddr)) -> Recipient<'_> {
        Recipient { client_id, client_ip, nonce: self.nonce() }
    }

    pub fn nonce(&self) -> Option<&str> {
        self.nonce.as_deref()
    }

    pub fn responses(&self) -> MutexGuard<'_, Option<Box<Responses>>> {
        lock(&self.responses)
    }

    /// The subscriptions that have got all that they were to get since this was asked last.
    pub fn take_expired(&self) -> Vec<(Sid, SubscriptionId)> {
        std::mem::take(&mut *self.expired())
    }

    fn note_requests<'t>(&self, replies: impl Iterator<Item = &'t Topic>) {
        if let Some(responses) = &mut *self.responses() {
            let now = Instant::now();
            replies.for_each(|to| responses.note(to, now));
        }
    }

    fn expired(&self) -> MutexGuard<'_, Vec<(Sid, SubscriptionId)>> {
        lock(&self.expired)
    }
}

/// One connection's mailbox, its subscriptions, and what the reading half says.
pub(super) struct Writer<'c> {
    outbound: &'c Outbound,
    figures: &'c ConnectionFigures,
    mailbox: Option<Mailbox<ServerMessage>>,
    /// Of the subscriptions that have their own.
    own_queues: Vec<OwnQueue>,
    /// The one of them that was looked at last.
    last_own: usize,
    /// Whether they come before the mailbox, every other time.
    own_first: bool,
    subscriptions: HashMap<SubscriptionId, Box<Subscribed>>,
    /// Received but not rendered: the buffer became full in the middle.
    rest: Option<Rest>,
    /// Messages taken out of the mailbox, lost ones counted.
    taken: u64,
    /// Subscriptions that have ended, and how many messages had been taken then.
    ended: Vec<(SubscriptionId, u64)>,
    /// Messages that were lost and not told yet.
    missed: render::Missing,
    with_headers: bool,
    /// Whether the client's right to publish depends on the requests that it is sent.
    notes_requests: bool,
    /// When the client has to have connected.
    connect_by: Option<Instant>,
    /// How long after its `CONNECT` the client is sent its first `PING`; none once that is known.
    ping_after: Option<Duration>,
    first_ping_at: Option<Instant>,
    is_over: bool,
    /// For the register of tasks, and for how many subscriptions that was made.
    waits_for: (Wait, usize),
    /// Why, if nobody asked for it.
    reason: Option<Ended>,
}

struct Subscribed {
    sid: Sid,
    /// Topics that it matches but must not be sent.
    except: Option<Arc<[Pattern]>>,
    delivered: u64,
    max: Option<u64>,
}

struct Rest {
    id: SubscriptionId,
    batch: Batch<ServerMessage>,
    from: usize,
}

/// Whether the mailbox held anything.
enum Took {
    Something,
    Nothing,
}

impl<'c> Writer<'c> {
    /// A writer of a client that has to connect, and is pinged, in these times.
    pub fn new(outbound: &'c Outbound, figures: &'c ConnectionFigures, times: FirstTimes) -> Self {
        let connect_by = times.connect_within.map(|time| Instant::now() + time);
        Writer {
            outbound,
            figures,
            mailbox: None,
            own_queues: Vec::new(),
            last_own: 0,
            own_first: false,
            subscriptions: HashMap::new(),
            rest: None,
            taken: 0,
            ended: Vec::new(),
            missed: render::Missing::default(),
            with_headers: false,
            notes_requests: false,
            connect_by,
            ping_after: times.ping_after,
            first_ping_at: None,
            is_over: false,
            waits_for: (waits_for(0), 0),
            reason: None,
        }
    }

    fn end_with(&mut self, text: &'static str, reason: Ended, out: &mut WriteBuffer) {
        append_error(out.bytes_mut(), text);
        self.is_over = true;
        self.reason = Some(reason);
    }

    /// Returns how many times something had been placed by then.
    fn apply_changes(&mut self) -> u64 {
        let (changes, placed) = self.outbound.queue.take_changes();
        changes.into_iter().for_each(|change| self.apply(change));
        placed
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Mailbox(mailbox) => self.mailbox = Some(*mailbox),
            Change::Subscribed { id, sid, except } => {
                let subscribed = Subscribed { sid, except, delivered: 0, max: None };
                self.subscriptions.insert(id, Box::new(subscribed));
            }
            Change::Connected { with_headers, notes_requests } => {
                self.notes_requests = notes_requests;
                self.connect_by = None;
                let first_ping = self.ping_after.take().map(|after| Instant::now() + after);
                self.first_ping_at = self.first_ping_at.or(first_ping);
                self.with_headers = with_headers;
            }
            Change::Except(id, except) => {
                if let Some(subscribed) = self.subscriptions.get_mut(&id) {
                    subscribed.except = except;
                }
            }
            Change::Own(own) => self.begin_own(*own),
            Change::Forget(id) => match self.own_queue(id) {
                Some(own) => own.close(),
                None => self.ended.push((id, self.taken)),
            },
            Change::Limit(id, max) => {
                if let Some(subscribed) = self.subscriptions.get_mut(&id) {
                    subscribed.max = Some(max);
                    self.expire_if_due(id);
                }
            }
        }
    }

    fn own_queue(&mut self, id: SubscriptionId) -> Option<&mut OwnQueue> {
        self.own_queues.iter_mut().find(|own| own.id == id)
    }

    /// From here on a subscription has its messages from a queue of its own.
    fn begin_own(&mut self, Own { from, sid, queue }: Own) {
        let id = queue.id;
        let Some(from) = from else { return self.own_queues.push(queue) };
        let Some(before) = self.subscriptions.get(&from) else {
            // It got all that it was to get while it moved.
            self.end_own_subscription(&queue);
            self.outbound.give_back_place();
            return self.outbound.expired().push((sid, id));
        };
        let Subscribed { except, delivered, max, .. } = &**before;
        let subscribed =
            Subscribed { sid, except: except.clone(), delivered: *delivered, max: *max };
        match self.own_queue(from) {
            Some(own) => {
                own.renew(queue);
                self.subscriptions.remove(&from);
                self.outbound.give_back_place();
            }
            None => {
                self.own_queues.push(queue);
                self.ended.push((from, self.taken));
            }
        }
        self.subscriptions.insert(id, Box::new(subscribed));
    }

    fn end_own_subscription(&self, own: &OwnQueue) {
        if own.unsubscribe() {
            self.outbound.give_back_place();
        }
    }

    /// Takes what comes next of the queues that subscriptions have for themselves. `behind`: of
    /// those alone that may hold what belongs before answers that were placed.
    fn take_own(
        &mut self,
        context: &mut Context<'_>,
        (placed, behind): (u64, bool),
        out: &mut WriteBuffer,
    ) -> Took {
        for _ in 0..self.own_queues.len() {
            self.last_own = (self.last_own + 1) % self.own_queues.len();
            let own = &mut self.own_queues[self.last_own];
            if behind && !own.is_behind(placed) {
                continue;
            }
            let subscribed = self.subscriptions.get(&own.id);
            let except = subscribed.and_then(|it| it.except.as_deref()).unwrap_or_default();
            match own.poll(context, placed, except) {
                Next::Batch(batch) => self.rest = Some(Rest { id: own.id, batch, from: 0 }),
                Next::Gathered(copied) => self.send_gathered(&copied, out),
                Next::Nothing => continue,
                Next::Ended { is_slow } => self.forget_own(is_slow, out),
            }
            return Took::Something;
        }
        Took::Nothing
    }

    /// The queue that was looked at last has ended.
    fn forget_own(&mut self, is_slow: bool, out: &mut WriteBuffer) {
        let own = self.own_queues.swap_remove(self.last_own);
        self.subscriptions.remove(&own.id);
        self.outbound.give_back_place();
        if is_slow {
            self.end_with("Slow Consumer", Ended::SlowConsumer, out);
        }
    }

    /// Sends what the queue that was looked at last has gathered.
    fn send_gathered(&mut self, copied: &Copied, out: &mut WriteBuffer) {
        let own = &mut self.own_queues[self.last_own];
        let id = own.id;
        let Some(subscribed) = self.subscriptions.get_mut(&id) else { return };
        let mut recipient = render::Recipient {
            sid: &subscribed.sid,
            with_headers: self.with_headers,
            missed: &mut own.missed,
        };
        let body_bytes = append_outgoing(out.bytes_mut(), &copied.outgoing(), &mut recipient);
        subscribed.delivered += 1;
        self.figures.sent(1);
        self.figures.sent_payload(body_bytes);
        if self.notes_requests {
            let reply_to = copied.outgoing().reply_to.and_then(subject::topic_text);
            let reply_to = reply_to.and_then(|text| Topic::parse(text).ok());
            self.outbound.note_requests(reply_to.iter());
        }
        self.expire_if_due(id);
    }

    fn take_item(&mut self, empty_after: Option<u64>, out: &mut WriteBuffer) -> bool {
        let Some(item) = self.outbound.queue.take(self.taken, empty_after) else { return false };
        match item {
            QueueItem::Text(text) => out.bytes_mut().extend_from_slice(&text),
            QueueItem::Change(change) => self.apply(change),
            QueueItem::Close => self.is_over = true,
        }
        true
    }

    /// Of the mailbox and of the queues beside it, in turn.
    fn take_any_messages(
        &mut self,
        context: &mut Context<'_>,
        placed: u64,
        out: &mut WriteBuffer,
    ) -> Took {
        if self.own_queues.is_empty() {
            return self.take_messages(context, out);
        }
        self.own_first = !self.own_first;
        for own in [self.own_first, !self.own_first] {
            let took = match own {
                true => self.take_own(context, (placed, false), out),
                false => self.take_messages(context, out),
            };
            if matches!(took, Took::Something) {
                return took;
            }
        }
        Took::Nothing
    }

    fn take_messages(&mut self, context: &mut Context<'_>, out: &mut WriteBuffer) -> Took {
        let Some(mailbox) = &mut self.mailbox else { return Took::Nothing };
        match mailbox.poll_recv_mixed(context) {
            Poll::Pending => {
                self.forget_ended(true);
                return Took::Nothing;
            }
            Poll::Ready(Some(MailboxDelivery::Batch(id, batch))) => {
                self.taken += batch.len() as u64;
                self.rest = Some(Rest { id, batch, from: 0 });
            }
            Poll::Ready(Some(MailboxDelivery::Missed(missed))) => {
                self.taken += missed;
                self.note_missed(missed);
            }
            Poll::Ready(None) => {
                let is_slow = mailbox.end_reason() == Some(EndReason::Disconnected);
                self.mailbox = None;
                if is_slow {
                    self.end_with("Slow Consumer", Ended::SlowConsumer, out);
                }
            }
        }
        if !self.ended.is_empty() {
            self.forget_ended(false);
        }
        Took::Something
    }

    /// Forgets ended subscriptions once they have got the messages that were still queued for them:
    /// when the queue is empty, or [`NATS_OVERTAKING_MESSAGES`] later.
    fn forget_ended(&mut self, is_empty: bool) {
        let Writer { ended, subscriptions, taken, .. } = self;
        ended.retain(|(id, taken_then)| {
            let is_over = is_empty || *taken >= taken_then + NATS_OVERTAKING_MESSAGES;
            if is_over {
                subscriptions.remove(id);
            }
            !is_over
        });
        if ended.is_empty() {
            *ended = Vec::new();
        }
    }

    fn note_missed(&mut self, missed: u64) {
        if self.with_headers {
            self.missed.count += missed;
            self.missed.is_interrupted |= missed == 0;
        }
        if missed == 0 {
            return;
        }
        let id = self.figures.id();
        log::debug!(task:% = tasks::label();
            "nats: client {id} is slow: it missed {}", counted(missed, "message")
        );
        let topic = Topic::parse(&format!("fanfare.advisory.missed.{id}"));
        let notice = format!("{{\"client_id\":{id},\"missed\":{missed}}}");
        if let (Ok(topic), Some((account, _))) = (topic, self.outbound.places.get()) {
            // Never waits. A subscriber without room for the notice learns that it missed one.
            let _ = account.broker.publisher().try_publish(&topic, ServerMessage::of(notice));
        }
    }

    /// Renders what was received, as far as the buffer takes it.
    fn render(&mut self, out: &mut WriteBuffer) {
        let Some(Rest { id, batch, from }) = self.rest.take() else { return };
        let Some(subscribed) = self.subscriptions.get_mut(&id) else { return };
        let except = subscribed.except.as_deref().unwrap_or_default();
        let mut to = batch.len();
        if let Some(topic) = batch.topic_of(from).filter(|_| !except.is_empty()) {
            let is_of_it = |index: &usize| batch.topic_of(*index) == Some(topic);
            to = from + (from..to).take_while(is_of_it).count();
            if except.iter().any(|pattern| pattern.matches(topic)) {
                self.rest = (to < batch.len()).then_some(Rest { id, batch, from: to });
                return;
            }
        }
        let left = subscribed.max.map_or(u64::MAX, |max| max.saturating_sub(subscribed.delivered));
        let at_most = usize::try_from(left).unwrap_or(usize::MAX);
        let own = self.own_queues.iter_mut().find(|own| own.id == id);
        let recipient = render::Recipient {
            sid: &subscribed.sid,
            with_headers: self.with_headers,
            missed: own.map_or(&mut self.missed, |own| &mut own.missed),
        };
        let (rendered, body_bytes) =
            render_batch(&batch, from, at_most.min(to - from), recipient, out);
        subscribed.delivered += rendered as u64;
        if self.notes_requests {
            let replies = batch.entries().skip(from).take(rendered);
            self.outbound.note_requests(replies.filter_map(|(_, to)| to));
        }
        self.figures.sent(rendered);
        self.figures.sent_payload(body_bytes);
        if from + rendered < batch.len() && rendered < at_most {
            self.rest = Some(Rest { id, batch, from: from + rendered });
        }
        if left <= rendered as u64 {
            self.expire_if_due(id);
        }
    }

    /// Ends a subscription that has got all it was to get.
    fn expire_if_due(&mut self, id: SubscriptionId) {
        let Some(subscribed) = self.subscriptions.get(&id) else { return };
        if subscribed.max.is_none_or(|max| subscribed.delivered < max) {
            return;
        }
        if self.mailbox.as_ref().is_some_and(|mailbox| mailbox.unsubscribe(id)) {
            self.outbound.give_back_place();
        }
        if let Some(at) = self.own_queues.iter().position(|own| own.id == id) {
            let own = self.own_queues.swap_remove(at);
            self.end_own_subscription(&own);
            self.outbound.give_back_place();
        }
        if let Some(subscribed) = self.subscriptions.remove(&id) {
            self.outbound.expired().push((subscribed.sid, id));
        }
    }

    fn is_at_end(&self) -> bool {
        self.is_over
            || (self.mailbox.is_none()
                && self.rest.is_none()
                && self.own_queues.is_empty()
                && self.outbound.queue.closes_after_messages())
    }
}

impl Source for Writer<'_> {
    fn poll_fill(&mut self, context: &mut Context<'_>, out: &mut WriteBuffer) -> Poll<Filled> {
        // Registered before looking: what is handed over in between wakes us.
        self.outbound.queue.register_writer(context);
        let before_bytes = out.waiting_bytes();
        while !out.is_full() && !self.is_over {
            // Before the mailbox is looked at: see `OutboundQueue::take`.
            let placed = self.apply_changes();
            if self.rest.is_some() {
                self.render(out);
                continue;
            }
            let no_mailbox = self.mailbox.is_none().then_some(placed);
            if matches!(self.take_own(context, (placed, true), out), Took::Nothing)
                && !self.take_item(no_mailbox, out)
                && matches!(self.take_any_messages(context, placed, out), Took::Nothing)
                && !self.take_item(Some(placed), out)
            {
                break;
            }
            self.render(out);
        }
        if self.is_at_end() {
            Poll::Ready(Filled::Ended)
        } else if out.waiting_bytes() > before_bytes {
            Poll::Ready(Filled::Some)
        } else {
            let subscriptions = self.subscriptions.len();
            if subscriptions != self.waits_for.1 {
                self.waits_for = (waits_for(subscriptions), subscriptions);
            }
            Poll::Pending
        }
    }

    fn waits_for(&self) -> Wait {
        self.waits_for.0.clone()
    }

    fn poll_gather(&mut self, context: &mut Context<'_>) {
        if self.own_queues.is_empty() {
            return;
        }
        self.outbound.queue.register_writer(context);
        for own in self.own_queues.iter_mut().filter(|own| own.gathers()) {
            let subscribed = self.subscriptions.get(&own.id);
            let except = subscribed.and_then(|it| it.except.as_deref()).unwrap_or_default();
            // Answers wait for the next look, with room.
            own.gather(context, 0, except);
        }
    }

    fn ping(&mut self, out: &mut WriteBuffer) {
        self.figures.asked();
        append_ping(out.bytes_mut());
    }

    fn say_why(&mut self, out: &mut WriteBuffer) {
        append_error(out.bytes_mut(), "Stale Connection");
    }

    fn due(&self) -> Option<Instant> {
        let own = self.own_queues.iter().filter_map(OwnQueue::due).min();
        [self.connect_by, self.first_ping_at, own].into_iter().flatten().min()
    }

    fn alarm(&mut self, now: Instant, out: &mut WriteBuffer) {
        self.apply_changes();
        if self.connect_by.take_if(|due| *due <= now).is_some() {
            self.end_with("Authentication Timeout", Ended::Because("Authentication Timeout"), out);
        }
        self.own_queues.iter_mut().for_each(|own| own.alarm(now));
        if self.first_ping_at.take_if(|due| *due <= now).is_some() {
            self.ping(out);
        }
    }
}

impl WriteHalf for Writer<'_> {
    fn end_reason(&self) -> Option<Ended> {
        self.reason
    }
}

/// Names the wait by a number: connections with the same number are listed together, and most have
/// no subject in common.
fn waits_for(subscriptions: usize) -> Wait {
    match subscriptions {
        0 => Wait::RECV,
        1 => Wait::fixed("recv on 1 subscription"),
        more => Wait::named(format!("recv on {more} subscriptions")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::session::Reply;
    use super::*;
    use crate::connection::outbound::Position;
    use crate::diagnostics::Diagnostics;
    use crate::transport::Traffic;
    use fanfare::Broker;
    use std::task::Waker;

    fn fill(writer: &mut Writer<'_>) -> String {
        let mut out = WriteBuffer::new(1 << 20);
        let _ = writer.poll_fill(&mut Context::from_waker(Waker::noop()), &mut out);
        String::from_utf8_lossy(out.bytes_mut()).into_owned()
    }

    #[test]
    fn a_pong_does_not_overtake_messages_that_come_before_it() {
        let (broker, diagnostics) = (Broker::new(), Diagnostics::new());
        let entry = diagnostics
            .front_end("nats")
            .connected("127.0.0.1:1".parse().unwrap(), &Arc::new(Traffic::new()));
        let outbound = Arc::new(Outbound::new(None));
        let mailbox = broker.mailbox("m").open().unwrap();
        let id = mailbox.subscribe(&Pattern::parse("a").unwrap()).unwrap();
        let watch = mailbox.watch();
        outbound.queue.change_first(Change::Mailbox(Box::new(mailbox)));
        outbound.queue.change_first(Change::Subscribed {
            id,
            sid: Sid::from(&b"1"[..]),
            except: None,
        });
        let times = FirstTimes { connect_within: None, ping_after: None };
        let mut writer = Writer::new(&outbound, entry.figures(), times);
        let mut publisher = broker.publisher();
        let topic = Topic::parse("a").unwrap();
        let _ = publisher.publish_blocking(&topic, ServerMessage::of("x")).unwrap();
        assert_eq!(fill(&mut writer), "MSG a 1 1\r\nx\r\n");
        let _ = publisher.publish_blocking(&topic, ServerMessage::of("y")).unwrap();
        let position = Position::after_all(watch.books());
        outbound.queue.append(position, |out| Reply::Pong.append(out));
        assert_eq!(fill(&mut writer), "MSG a 1 1\r\ny\r\nPONG\r\n");
    }
}

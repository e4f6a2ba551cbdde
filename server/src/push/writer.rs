//! What one client is sent: answers, what came while it was away, and what is pushed now. The
//! source of the connection's writing half.

use super::gateway::Gateway;
use super::render::{Framing, push_object, target_of};
use crate::codec::push::{Seen, ServerObject};
use crate::codec::web_socket::{CloseCode, CloseFrame, closing};
use crate::connection::duplex::WriteHalf;
use crate::connection::outbound::{OutboundQueue, Position, QueueItem};
use crate::diagnostics::{ConnectionFigures, Ended};
use crate::limits::PUSH_UNACKNOWLEDGED;
use crate::locks::lock;
use crate::message::{PushHeader, ServerMessage};
use crate::tasks::Wait;
use crate::time::now_ms;
use crate::transport::{Filled, Source, WriteBuffer};
use fanfare::{
    Batch, Mailbox, MailboxDelivery, Message, Pattern, SubscribeError, SubscriptionId, Topic,
};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::task::{Context, Poll};

/// The state that the two halves of a connection share.
#[derive(Default)]
pub(super) struct Link {
    pub queue: OutboundQueue<Change>,
    pub framing: Framing,
    /// Why the connection ends; the first reason counts.
    closing: OnceLock<CloseFrame>,
    unacknowledged: Mutex<VecDeque<(u64, Box<str>)>>,
}

/// A change of what a client is sent.
pub(super) enum Change {
    /// The client said who it is. It gets these topics and, before anything new, what is kept of
    /// them after what it has seen.
    Begin(Vec<Topic>, Option<Seen>),
    /// The client gets one more topic.
    Join(Topic),
    /// The client no longer gets this topic.
    Leave(Topic),
}

impl Link {
    pub fn new(framing: Framing) -> Self {
        Self { framing, ..Self::default() }
    }

    pub fn say(&self, object: &ServerObject<'_>) {
        self.queue.append(Position::default(), |out| self.framing.append_object(out, object));
    }

    /// Says goodbye. The end has to follow.
    pub fn say_goodbye(&self, frame: CloseFrame) {
        self.say(&ServerObject::Bye(frame.reason.as_str().into()));
        self.close_with(frame);
    }

    /// Sets the last frame, where there are frames.
    pub fn close_with(&self, frame: CloseFrame) {
        let _ = self.closing.set(frame);
    }

    /// Takes the push with this id from those that wait to be acknowledged, and returns its number.
    pub fn acknowledge(&self, id: &str) -> Option<u64> {
        let mut unacknowledged = self.unacknowledged();
        let index = unacknowledged.iter().position(|(_, sent)| **sent == *id)?;
        unacknowledged.remove(index).map(|(number, _)| number)
    }

    fn sent(&self, header: &PushHeader) {
        let mut unacknowledged = self.unacknowledged();
        if unacknowledged.len() >= PUSH_UNACKNOWLEDGED {
            unacknowledged.pop_front();
        }
        unacknowledged.push_back((header.number, header.id.clone()));
    }

    fn unacknowledged(&self) -> MutexGuard<'_, VecDeque<(u64, Box<str>)>> {
        lock(&self.unacknowledged)
    }
}

/// One client's subscriptions, and what waits for it.
pub(super) struct ClientWriter {
    gateway: Arc<Gateway>,
    link: Arc<Link>,
    figures: Arc<ConnectionFigures>,
    mailbox: Mailbox<ServerMessage>,
    subscriptions: Vec<(Topic, SubscriptionId)>,
    /// Kept pushes that the client has not seen, still to be sent.
    replay: VecDeque<Message<ServerMessage>>,
    /// A received batch that is rendered up to an index, where the buffer became full.
    rest: Option<(Batch<ServerMessage>, usize)>,
    is_mailbox_ended: bool,
    is_over: bool,
    /// Whether the last frame was appended.
    is_closed: bool,
    pings: u64,
}

impl ClientWriter {
    pub fn new(
        gateway: &Arc<Gateway>,
        link: &Arc<Link>,
        figures: &Arc<ConnectionFigures>,
    ) -> Result<Self, SubscribeError> {
        let settings = &gateway.settings;
        let mailbox = gateway
            .broker
            .mailbox(format!("push {}", figures.id()))
            .queue_messages(settings.queue_messages);
        let mailbox =
            mailbox.queue_bytes(settings.queue_bytes).when_full(settings.when_full()).open()?;
        let watch = mailbox.watch();
        figures.set_queues(move || vec![watch.stats()]);
        Ok(Self {
            gateway: gateway.clone(),
            link: link.clone(),
            figures: figures.clone(),
            mailbox,
            subscriptions: Vec::new(),
            replay: VecDeque::new(),
            rest: None,
            is_mailbox_ended: false,
            is_over: false,
            is_closed: false,
            pings: 0,
        })
    }

    fn take_items(&mut self, out: &mut WriteBuffer) -> bool {
        let mut took = false;
        while !out.is_full() {
            let Some(item) = self.link.queue.take_next() else { break };
            took = true;
            let result = match item {
                QueueItem::Text(text) => {
                    out.bytes_mut().extend_from_slice(&text);
                    Ok(())
                }
                QueueItem::Change(Change::Begin(topics, seen)) => self.begin(topics, seen, out),
                QueueItem::Change(Change::Join(topic)) => self.subscribe(topic, 0).map(drop),
                QueueItem::Change(Change::Leave(topic)) => {
                    self.unsubscribe(&topic);
                    Ok(())
                }
                QueueItem::Close => {
                    self.is_over = true;
                    break;
                }
            };
            if let Err(error) = result {
                // Nothing would come of what was asked for.
                self.end(
                    out,
                    CloseFrame { code: CloseCode::Again, reason: error.to_string().into() },
                );
            }
        }
        took
    }

    /// Says goodbye after what is rendered already. Nothing more is sent.
    fn end(&mut self, out: &mut WriteBuffer, frame: CloseFrame) {
        self.append(out, &ServerObject::Bye(frame.reason.as_str().into()));
        self.link.close_with(frame);
        self.is_over = true;
    }

    fn append(&self, out: &mut WriteBuffer, object: &ServerObject<'_>) {
        self.link.framing.append_object(out.bytes_mut(), object);
    }

    fn append_close(&mut self, out: &mut WriteBuffer) {
        if !std::mem::replace(&mut self.is_closed, true) {
            self.link.framing.append_close(out.bytes_mut(), self.link.closing.get());
        }
    }

    fn begin(
        &mut self,
        topics: Vec<Topic>,
        seen: Option<Seen>,
        out: &mut WriteBuffer,
    ) -> Result<(), SubscribeError> {
        let last = if seen.is_some() { self.gateway.settings.replay } else { 0 };
        let mut kept = Vec::new();
        // Between two pushes: so what is kept of any topic is older than all that comes through the
        // mailbox, and the order of numbers holds across topics.
        let missed = self.gateway.clone().between_pushes(|recent| {
            for topic in &topics {
                kept.extend(self.subscribe(topic.clone(), last)?);
            }
            let Some(seen) = seen else { return Ok(Some(0)) };
            let seen = number_seen(&kept, &seen);
            self.replay = later(kept, seen.unwrap_or(0));
            let is_for_the_absent = |header: &&PushHeader| header.expires_ms.is_some();
            let kept = self.replay.iter().filter_map(|message| message.push.as_deref());
            let kept = kept.filter(is_for_the_absent).map(|header| header.number);
            Ok(seen.and_then(|seen| recent.missed(&topics, seen, kept, now_ms())))
        })?;
        if missed != Some(0) {
            // 0 stands for a number that nobody knows.
            self.append(out, &ServerObject::Missed(missed.unwrap_or(0)));
        }
        Ok(())
    }

    /// Subscribes to a topic. Returns the last messages kept of it.
    fn subscribe(
        &mut self,
        topic: Topic,
        last: usize,
    ) -> Result<Vec<Message<ServerMessage>>, SubscribeError> {
        let (id, kept) = self.mailbox.subscribe_with_history(&Pattern::from(&topic), last)?;
        self.subscriptions.push((topic, id));
        self.figures.set_subscriptions(self.subscriptions.len());
        Ok(kept)
    }

    fn unsubscribe(&mut self, topic: &Topic) {
        if let Some(index) = self.subscriptions.iter().position(|(joined, _)| joined == topic) {
            let (_, id) = self.subscriptions.remove(index);
            self.mailbox.unsubscribe(id);
            self.figures.set_subscriptions(self.subscriptions.len());
        }
    }

    fn take_replay(&mut self, out: &mut WriteBuffer) -> bool {
        let now_ms = now_ms();
        let (mut replayed, mut expired) = (0, 0);
        while !out.is_full()
            && let Some(message) = self.replay.pop_front()
        {
            match &message.push {
                // Only for clients that were there.
                Some(header) if header.expires_ms.is_none() => {}
                Some(header) if header.is_expired(now_ms) => {
                    self.gateway.expire(&target_of(message.topic()), header);
                    expired += 1;
                }
                _ => {
                    self.append_expired(out, &mut expired);
                    self.append_push(out, &target_of(message.topic()), &message);
                    replayed += 1;
                }
            }
        }
        if self.replay.is_empty() {
            self.replay = VecDeque::new();
        }
        self.append_expired(out, &mut expired);
        self.gateway.counters.replays.add(replayed);
        self.figures.sent(replayed as usize);
        replayed > 0
    }

    fn take_pushes(&mut self, context: &mut Context<'_>, out: &mut WriteBuffer) -> bool {
        let mut took = false;
        while !out.is_full() && !self.is_mailbox_ended {
            let (batch, from) = match self.rest.take() {
                Some(rest) => rest,
                None => match self.mailbox.poll_recv_batch(context) {
                    Poll::Pending => break,
                    Poll::Ready(None) => {
                        self.is_mailbox_ended = true;
                        break;
                    }
                    Poll::Ready(Some(MailboxDelivery::Missed(missed))) => {
                        self.append(out, &ServerObject::Missed(missed));
                        took = true;
                        continue;
                    }
                    Poll::Ready(Some(MailboxDelivery::Batch(id, batch))) => {
                        // The mailbox still brings what was queued of a group before it was left.
                        let is_wanted = self.subscriptions.iter().any(|(_, joined)| *joined == id);
                        let from = if is_wanted { 0 } else { batch.len() };
                        (batch, from)
                    }
                },
            };
            took = true;
            let rendered = self.append_batch(out, &batch, from);
            if rendered < batch.len() {
                self.rest = Some((batch, rendered));
            }
        }
        took
    }

    /// Appends a batch from an index on until the buffer is full. Returns the index it came to.
    fn append_batch(
        &mut self,
        out: &mut WriteBuffer,
        batch: &Batch<ServerMessage>,
        from: usize,
    ) -> usize {
        let now_ms = now_ms();
        let to = target_of(batch.topic());
        let (mut rendered, mut sent, mut expired) = (from, 0, 0);
        for message in batch.iter().skip(from) {
            if out.is_full() {
                break;
            }
            rendered += 1;
            match &message.push {
                Some(header) if header.is_expired(now_ms) => {
                    self.gateway.expire(&to, header);
                    expired += 1;
                }
                _ => {
                    self.append_expired(out, &mut expired);
                    self.append_push(out, &to, message);
                    sent += 1;
                }
            }
        }
        self.append_expired(out, &mut expired);
        self.figures.sent(sent);
        rendered
    }

    fn append_push(&self, out: &mut WriteBuffer, to: &str, message: &ServerMessage) {
        if let Some(header) = message.push.as_deref().filter(|header| header.wants_ack) {
            self.link.sent(header);
        }
        self.append(out, &push_object(to, message));
    }

    fn append_expired(&self, out: &mut WriteBuffer, expired: &mut u64) {
        if *expired > 0 {
            self.append(out, &ServerObject::Expired(std::mem::take(expired)));
        }
    }
}

/// The number of the last push that was seen, unless it is no longer kept and its id says nothing.
fn number_seen(kept: &[Message<ServerMessage>], seen: &Seen) -> Option<u64> {
    let mut headers = kept.iter().filter_map(|message| message.push.as_deref());
    match seen {
        Seen::Number(number) => Some(*number),
        Seen::Id(id) => headers.rfind(|header| *header.id == **id).map(|header| header.number),
    }
}

/// The kept pushes after a number, in the order of their numbers. A message that did not come
/// through the gateway has no number, so it is left out.
fn later(mut kept: Vec<Message<ServerMessage>>, seen: u64) -> VecDeque<Message<ServerMessage>> {
    let number =
        |message: &Message<ServerMessage>| message.push.as_ref().map(|header| header.number);
    kept.retain(|message| number(message) > Some(seen));
    kept.sort_unstable_by_key(number);
    kept.into()
}

impl Source for ClientWriter {
    fn poll_fill(&mut self, context: &mut Context<'_>, out: &mut WriteBuffer) -> Poll<Filled> {
        // Registered before looking: whatever is handed over in between wakes us.
        self.link.queue.register_writer(context);
        let had_bytes = out.waiting_bytes();
        let mut took = self.take_items(out);
        took |= self.take_replay(out);
        if self.replay.is_empty() {
            took |= self.take_pushes(context, out);
        }
        let is_drained = self.is_mailbox_ended && self.rest.is_none() && !out.is_full();
        let is_ended = self.is_over || (is_drained && self.link.queue.closes_after_messages());
        if is_ended {
            self.append_close(out);
            return Poll::Ready(Filled::Ended);
        }
        if took && out.waiting_bytes() > had_bytes {
            Poll::Ready(Filled::Some)
        } else {
            Poll::Pending
        }
    }

    fn ping(&mut self, out: &mut WriteBuffer) {
        if self.subscriptions.is_empty() {
            return self.end(out, closing(CloseCode::Policy, "nobody said hello in time"));
        }
        self.pings += 1;
        self.append(out, &ServerObject::Ping(self.pings));
    }

    fn say_why(&mut self, out: &mut WriteBuffer) {
        self.link.close_with(closing(CloseCode::Policy, "no ping was answered"));
        self.append_close(out);
    }

    fn waits_for(&self) -> Wait {
        Wait::fixed("recv pushes")
    }
}

impl WriteHalf for ClientWriter {
    fn end_reason(&self) -> Option<Ended> {
        // It says why itself.
        Some(Ended::Because("sent away"))
    }
}

#[cfg(test)]
mod tests {
    use super::super::counters::Ingress;
    use super::super::settings::PushSettings;
    use super::*;
    use crate::codec::datagram::parse_push;
    use crate::diagnostics::Diagnostics;
    use crate::tasks::Tasks;
    use fanfare::Broker;
    use futures_lite::future::block_on;
    use std::task::Waker;

    #[test]
    fn kept_pushes_come_first_and_all_in_the_order_of_numbers() {
        let settings = PushSettings::default();
        let mut broker = Broker::builder();
        for (pattern, messages) in settings.histories() {
            broker = broker.history(pattern, messages);
        }
        let front_end = Diagnostics::new().front_end("push");
        let tasks = Tasks::new(drop);
        let (gateway, _) = Gateway::new(&broker.build(), &tasks, settings, front_end.clone(), None);
        let gateway = Arc::new(gateway);
        let push = |text: &str| {
            block_on(gateway.push(Ingress::Http, &parse_push(text.as_bytes()).unwrap())).unwrap()
        };
        let entry = front_end.connected(([127, 0, 0, 1], 1).into(), &Arc::default());
        let mut writer = ClientWriter::new(&gateway, &Arc::default(), entry.figures()).unwrap();
        let topics = ["push.user.1", "push.all"].map(|topic| Topic::parse(topic).unwrap());

        let seen = push("user:1 seen").n;
        push("all two");
        push("user:1 three");
        push("all four");
        let mut out = WriteBuffer::new(1 << 16);
        writer.begin(topics.into(), Some(Seen::Number(seen)), &mut out).unwrap();
        push("user:1 five");
        push("all six");

        assert!(writer.poll_fill(&mut Context::from_waker(Waker::noop()), &mut out).is_ready());
        let lines = String::from_utf8(out.bytes_mut().clone()).unwrap();
        let texts: Vec<&str> = lines
            .lines()
            .filter_map(|line| line.split("\"text\":\"").nth(1)?.split('"').next())
            .collect();
        assert_eq!(texts, ["two", "three", "four", "five", "six"]);
    }
}

//! The reading half of a link, which carries out what the session decides. It never waits for a
//! local subscriber: the hub would hold up its other clients.

use super::figures::LinkFigures;
use super::sequence::{Arrival, Book, Numbers};
use super::session::{Action, End, Passage, Session, Terms};
use super::settings::ClusterSettings;
use crate::codec::nats::{
    Block, Operation, Outgoing, Parser, ParserLimits, Stamp, append_to_hub, subject, take_stamp,
};
use crate::connection::duplex::{Flow, ReadHalf};
use crate::connection::outbound::{OutboundQueue, Position};
use crate::diagnostics::{ConnectionFigures, Ended, FrontEnd};
use crate::limits::{CLUSTER_CONTROL_LINE_BYTES, CLUSTER_PAYLOAD_BYTES};
use crate::locks::lock;
use crate::message::ServerMessage;
use crate::time::Timestamp;
use crate::transport::Connection;
use bytes::{Bytes, BytesMut};
use fanfare::{Bridge, BridgePublisher, Broker, InterestWatch, MailboxSubscriber, Pattern, Topic};
use std::ops::ControlFlow;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// What a link and the halves of its connection share.
pub(super) struct Shared {
    pub broker: Broker<ServerMessage>,
    pub figures: LinkFigures,
    pub front_end: Arc<FrontEnd>,
    /// The hubs of the cluster, as the last hub listed them.
    pub hubs: Mutex<Vec<String>>,
    /// Why the connection ends, and when to dial again.
    pub end: Mutex<Option<End>>,
    /// The numbers of our messages.
    pub numbers: Mutex<Numbers>,
    /// The numbers of others' messages.
    pub book: Mutex<Book>,
}

/// A change in what the writer sends.
pub(super) enum Change {
    /// The link is up.
    Joined {
        /// The messages for the hub.
        bridge: Bridge<ServerMessage>,
        /// The interest of local clients.
        interest: InterestWatch<ServerMessage>,
        /// The terms agreed with the hub.
        terms: Box<Terms>,
    },
}

/// Publishes the hub's messages, and enters its interest.
pub(super) struct Reader<'c> {
    shared: &'c Shared,
    settings: &'c ClusterSettings,
    /// The connection, and the name that the hub's certificate must have.
    dialled: (Connection, &'c str),
    queue: &'c OutboundQueue<Change>,
    figures: &'c Arc<ConnectionFigures>,
    session: Session,
    actions: Vec<Action>,
    inwards: Passage,
    /// Set once the link is up.
    interest: Option<MailboxSubscriber<ServerMessage>>,
    publisher: BridgePublisher<ServerMessage>,
    batch: Vec<ServerMessage>,
    /// The last subject, and where its messages go.
    last: Option<(Bytes, Place)>,
    end: Option<&'static str>,
}

/// Subjects of a hub's streams that it serves without announcing interest: writes to stores, and
/// reads that one of its servers answers.
const STREAMS: [(&str, Option<&str>); 3] =
    [("$KV.>", None), ("$OBJ.>", None), ("$JS.API.DIRECT.GET.>", Some("_sys_"))];

const TLS_FAILED: End = End::of("TLS handshake failed");

fn enter_streams(interest: &MailboxSubscriber<ServerMessage>) {
    for (text, group) in STREAMS {
        let Ok(pattern) = Pattern::parse(text) else { continue };
        // If there is no room for it, there is none for the hub's own interest either.
        let _ = match group {
            Some(group) => interest.subscribe_in_group(&pattern, group),
            None => interest.subscribe(&pattern),
        };
    }
}

/// Where messages go.
#[derive(Clone)]
enum Place {
    Topic(Topic),
    /// Nowhere: the settings keep them out.
    Refused,
    /// Nowhere: NATS allows the subject, but it is too long or too deep for a topic.
    TooMuch,
}

impl ReadHalf for Reader<'_> {
    type Change = Change;
    type Decoder = Parser;

    fn decoder(&self) -> Parser {
        Parser::of_hub(ParserLimits {
            control_line_bytes: CLUSTER_CONTROL_LINE_BYTES,
            payload_bytes: CLUSTER_PAYLOAD_BYTES,
        })
    }

    async fn begin(&mut self, _parser: &mut Parser) -> Flow {
        if self.settings.tls_first {
            self.encrypt().await;
        }
        self.goes_on()
    }

    async fn take(&mut self, parser: &mut Parser, received: &mut BytesMut, _: bool) -> Flow {
        while self.end.is_none()
            && let Some(said) = parser.next(received).transpose()
        {
            match said {
                Ok(operation) => self.session.handle(operation, &mut self.actions),
                Err(error) => {
                    self.session.mistake(error, &mut self.actions);
                }
            }
            self.act(received.is_empty()).await;
            // One read can hold thousands of operations; let others run in between.
            self.queue.has_room().await;
        }
        self.goes_on()
    }

    fn end_position(&self) -> Position {
        Position::default()
    }
}

impl<'c> Reader<'c> {
    pub fn new(
        (shared, settings): (&'c Shared, &'c ClusterSettings),
        session: Session,
        dialled: (Connection, &'c str),
        queue: &'c OutboundQueue<Change>,
        figures: &'c Arc<ConnectionFigures>,
    ) -> Self {
        Self {
            shared,
            settings,
            dialled,
            queue,
            figures,
            session,
            actions: Vec::new(),
            inwards: Passage::inwards(settings),
            interest: None,
            publisher: shared.broker.bridge_publisher(),
            batch: Vec::new(),
            last: None,
            end: None,
        }
    }

    fn goes_on(&self) -> Flow {
        match self.end {
            Some(reason) => ControlFlow::Break(Ended::Because(reason)),
            None => ControlFlow::Continue(()),
        }
    }

    /// Carries out the session's actions. `is_silent`: the hub has said nothing more yet.
    async fn act(&mut self, is_silent: bool) {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            match action {
                // Anybody could have added plain bytes after the hub's `INFO`.
                Action::Encrypt if !is_silent => self.finish(TLS_FAILED),
                Action::Encrypt => self.encrypt().await,
                _ if self.end.is_some() => {}
                action => self.do_one(action),
            }
        }
        self.actions = actions;
    }

    async fn encrypt(&mut self) {
        let Some(trust) = &self.settings.tls else { return };
        let (connection, name) = &self.dialled;
        if let Err(error) = connection.upgrade_dialled(trust, name).await {
            self.finish(TLS_FAILED.in_words(error));
        }
    }

    fn do_one(&mut self, action: Action) {
        match action {
            // Done before.
            Action::Encrypt => {}
            Action::Send(bytes) => {
                self.queue.append(Position::default(), |out| out.extend_from_slice(&bytes))
            }
            Action::Joined(terms) => self.join(*terms),
            Action::Enter { key, pattern, group } => self.enter(key, &pattern, group.as_deref()),
            Action::Leave(id) => {
                if let Some(interest) = &self.interest {
                    interest.unsubscribe(id);
                }
                self.count_interest();
            }
            Action::Publish(block) => self.publish(&Arc::new(block)),
            Action::Confirmed => self.shared.figures.answered(Instant::now()),
            Action::Hubs(hubs) => *lock(&self.shared.hubs) = hubs,
            Action::End(end) => self.finish(end),
        }
    }

    fn finish(&mut self, end: End) {
        self.end = Some(end.reason);
        *lock(&self.shared.end) = Some(end);
    }

    fn join(&mut self, terms: Terms) {
        let (Shared { broker, figures, front_end, .. }, settings) = (self.shared, self.settings);
        let title = front_end.name();
        let mut builder = broker
            .bridge(format!("{title}, hub {}", terms.hub))
            .queue_messages(settings.queue_messages)
            .queue_bytes(settings.queue_bytes)
            .when_full(settings.when_full())
            .except(ClusterSettings::home())
            .unless(settings.shared.clone())
            .never(terms.must_not_export.clone())
            .takes_over(terms.takes_over);
        for only in [&settings.exports, &terms.may_export].into_iter().flatten() {
            builder = builder.only(only.clone());
        }
        match builder.open() {
            Ok(bridge) => {
                let interest = bridge.subscriber();
                if terms.has_streams {
                    enter_streams(&interest);
                }
                // Numbers are given to all messages, whether or not the hub wants them.
                for pattern in &settings.numbered {
                    let _ = interest.subscribe(pattern);
                }
                self.interest = Some(interest);
                let watch = bridge.watch();
                figures.joined(terms.clone(), watch.clone());
                self.figures.set_name(&terms.hub);
                self.figures.set_account(&settings.account);
                self.figures.set_program("nats-server", &terms.version);
                self.figures.set_queues(move || vec![watch.stats()]);
                let Terms { hub, version, account, .. } = &terms;
                log::info!("{title}: joined hub {hub} ({version}), account {account}");
                let interest = broker.watch_interest();
                let joined = Change::Joined { bridge, interest, terms: Box::new(terms) };
                self.queue.change_first(joined);
            }
            Err(error) => {
                self.finish(End::of("broker refuses").in_words(error));
            }
        }
    }

    fn enter(&mut self, key: (Bytes, Option<Bytes>), pattern: &Pattern, group: Option<&str>) {
        let Some(interest) = &self.interest else { return };
        let begun = match group {
            Some(group) => interest.subscribe_in_group(pattern, group),
            None => interest.subscribe(pattern),
        };
        match begun {
            Ok(id) => self.session.entered(key, id),
            Err(error) => {
                let title = self.shared.front_end.name();
                log::warn!("{title}: interest in {pattern} is not entered: {error}");
            }
        }
        self.count_interest();
    }

    fn count_interest(&self) {
        let interest = self.session.interest();
        self.shared.figures.interest_in.store(interest as u64, Ordering::Relaxed);
        self.figures.set_subscriptions(interest);
    }

    fn publish(&mut self, block: &Arc<Block>) {
        let count = block.len();
        self.figures.received(count);
        let figures = &self.shared.figures;
        figures.received.fetch_add(count as u64, Ordering::Relaxed);
        match self.place(block.matched()) {
            // A stream's delivery was numbered for the stream's own subject, if at all.
            Place::Topic(topic)
                if block.subject() == block.matched() && self.settings.numbers(&topic) =>
            {
                self.publish_numbered(&topic, block);
            }
            Place::Topic(topic) => self.publish_to(&topic, block),
            Place::Refused => drop(figures.refused.fetch_add(count as u64, Ordering::Relaxed)),
            Place::TooMuch => {
                figures.undeliverable.fetch_add(count as u64, Ordering::Relaxed);
            }
        }
    }

    /// Publishes messages without their numbers, and reports the gaps between them. Numbers serve
    /// only to count, so a forged one holds back nobody's messages.
    fn publish_numbered(&mut self, topic: &Topic, block: &Block) {
        let (mut lines, mut headers) = (Vec::new(), Vec::new());
        let groups: Vec<String> = block.groups().collect();
        for index in 0..block.len() {
            let mut message = Outgoing { sizes_as_written: None, ..block.outgoing(index) };
            headers.clear();
            let stamp = take_stamp(message.headers, &mut headers);
            if stamp.is_some() {
                message.headers = &headers;
            }
            if let Some(missing) = self.count(topic, stamp) {
                self.publish_lines(topic, &mut lines);
                self.publisher.missed(topic, missing);
            }
            append_to_hub(&mut lines, &message, groups.iter().map(String::as_str));
        }
        self.publish_lines(topic, &mut lines);
    }

    /// Records a number. Returns how many messages are missing before it, or `None`; 0 means that
    /// nobody knows how many.
    fn count(&self, topic: &Topic, stamp: Option<Stamp<'_>>) -> Option<u32> {
        let Shared { figures, front_end, book, .. } = self.shared;
        match lock(book).enter(topic, stamp) {
            Arrival::Next => return None,
            Arrival::AfterUnknown => return Some(0),
            Arrival::After(missing) => {
                figures.missing.fetch_add(missing.into(), Ordering::Relaxed);
                let _ =
                    front_end.lost("missing", "(numbered)", "lost between servers", missing.into());
                return Some(missing);
            }
            Arrival::Late => figures.late.fetch_add(1, Ordering::Relaxed),
            Arrival::Again => figures.duplicates.fetch_add(1, Ordering::Relaxed),
        };
        None
    }

    /// Publishes rendered messages of one topic.
    fn publish_lines(&mut self, topic: &Topic, lines: &mut Vec<u8>) {
        let (mut parser, mut rest) = (self.decoder(), BytesMut::from(lines.as_slice()));
        while let Ok(Some(Operation::Publish(block))) = parser.next(&mut rest) {
            self.publish_to(topic, &Arc::new(block));
        }
        lines.clear();
    }

    /// Publishes without waiting. An error means that the broker is closed and the server ends.
    fn publish_to(&mut self, topic: &Topic, block: &Arc<Block>) {
        let groups: Vec<String> = block.groups().collect();
        let time = Timestamp::now();
        let has_reply = (0..block.len()).any(|index| block.reply_to(index).is_some());
        if !has_reply {
            self.batch.extend(ServerMessage::of_block(block, 0..block.len(), time));
            let _ = self.publisher.publish_batch(topic, &mut self.batch, &groups);
            return self.batch.clear();
        }
        for (index, message) in ServerMessage::of_block(block, 0..block.len(), time).enumerate() {
            let reply = block.reply_to(index).and_then(subject::topic_text);
            let reply = reply.and_then(|text| Topic::parse(text).ok());
            let _ = self.publisher.publish(topic, reply.as_ref(), message, &groups);
        }
    }

    fn place(&mut self, subject: &[u8]) -> Place {
        if let Some((last, place)) = &self.last
            && **last == *subject
        {
            return place.clone();
        }
        let topic = subject::topic_text(subject).and_then(|text| Topic::parse(text).ok());
        let place = match topic {
            Some(topic) if self.inwards.lets_through(&topic) => Place::Topic(topic),
            Some(_) => Place::Refused,
            None => Place::TooMuch,
        };
        self.last = Some((Bytes::copy_from_slice(subject), place.clone()));
        place
    }
}

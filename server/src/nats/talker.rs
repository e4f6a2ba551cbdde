//! The reading half of a connection: does what the session says of each operation.

use super::admission::Refusal;
use super::link::{Asked, Change, Link, Place, What};
use super::permissions::Permissions;
use super::server::Shared;
use super::session::{Action, Reply, Session, SessionLimits, Sid};
use crate::codec::nats::{Block, Operation, Parser, subject};
use crate::diagnostics::ConnectionFigures;
use crate::message::ServerMessage;
use crate::tasks::{self, Wait, waiting};
use crate::transport::{Connection, Reader};
use bytes::BytesMut;
use fanfare::{
    MailboxSubscriber, Origin, Pattern, Publisher, SubscribeError, SubscriptionId,
    SubscriptionWatch, Topic,
};
use futures_lite::future;
use std::io;
use std::ops::Range;
use std::sync::Arc;

/// Why the reading half ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadEnd {
    /// The client will send nothing more.
    PeerClosed,
    /// What it sent leaves no other way, and what that is called. It was told why, if nats-server
    /// would have told it.
    Mistake(&'static str),
    /// The server asked.
    Asked(Asked),
}

/// Reads, publishes, subscribes, and answers.
pub(super) struct Talker<'c> {
    shared: &'c Shared,
    link: &'c Link,
    figures: &'c Arc<ConnectionFigures>,
    session: Session,
    actions: Vec<Action>,
    origin: Origin,
    /// Made when the client subscribes for the first time.
    receiving: Option<Receiving>,
    /// Made when the client publishes for the first time.
    publishing: Option<Box<Publishing>>,
    over: Option<&'static str>,
}

/// The connection's mailbox, as seen from here.
struct Receiving {
    subscriber: MailboxSubscriber<ServerMessage>,
    watch: SubscriptionWatch<ServerMessage>,
}

struct Publishing {
    publisher: Publisher<ServerMessage>,
    batch: Vec<ServerMessage>,
}

impl<'c> Talker<'c> {
    pub fn new(shared: &'c Shared, link: &'c Link, figures: &'c Arc<ConnectionFigures>) -> Self {
        let limits = SessionLimits {
            subscriptions: shared.settings.subscriptions,
            authentication_required: shared.settings.authentication.is_required(),
        };
        Talker {
            shared,
            link,
            figures,
            session: Session::new(limits),
            actions: Vec::new(),
            origin: Origin::unique(),
            receiving: None,
            publishing: None,
            over: None,
        }
    }

    /// Reads until somebody wants to end it.
    pub async fn talk(&mut self, connection: &Connection) -> io::Result<ReadEnd> {
        let mut reader = Reader::new(connection.clone());
        let mut parser = Parser::new(self.shared.settings.parser);
        parser.require_connect(!self.session.is_admitted());
        let link = self.link;
        loop {
            // Nothing is kept for a client that has nothing to say.
            self.actions = Vec::new();
            let read = async {
                link.has_room().await;
                reader.read_more().await.map(Ok)
            };
            let asked = async { Ok(Err(link.asked().await)) };
            match future::or(asked, read).await? {
                Err(asked) => return Ok(ReadEnd::Asked(asked)),
                Ok(0) => return Ok(ReadEnd::PeerClosed),
                Ok(_) => {}
            }
            // In a box, so that a quiet connection has no room for it.
            Box::pin(self.work_through(&mut parser, reader.buffer_mut())).await;
            if let Some(mistake) = self.over {
                return Ok(ReadEnd::Mistake(mistake));
            }
        }
    }

    /// Does all that was read, up to a mistake that ends the connection.
    async fn work_through(&mut self, parser: &mut Parser, read: &mut BytesMut) {
        while self.over.is_none() {
            match parser.next(read) {
                Ok(None) => return,
                Ok(Some(operation)) => {
                    let may_change = matches!(operation, Operation::Connect(_));
                    if self.depends_on_expiry(&operation) {
                        // The messages that were published before it have to be counted.
                        self.link.settled().await;
                        self.forget_expired();
                    }
                    self.session.handle(operation, &mut self.actions);
                    self.act().await;
                    if may_change {
                        parser.require_connect(!self.session.is_admitted());
                        parser.allow_headers(self.session.options().headers);
                    }
                    // One read can hold thousands of small operations with larger answers.
                    self.link.has_room().await;
                }
                Err(error) => {
                    log::debug!(task:% = tasks::label(); "nats: client {}: {error}", self.figures.id());
                    self.session.mistake(error, &mut self.actions);
                    self.act().await;
                }
            }
        }
    }

    /// The place after everything that is queued for this client now.
    pub fn after_all(&self) -> Place {
        self.receiving
            .as_ref()
            .map_or_else(Place::default, |receiving| Place::after_all(receiving.watch.books()))
    }

    /// Whether the session has to know, before this, which subscriptions have ended by themselves.
    fn depends_on_expiry(&self, operation: &Operation) -> bool {
        match operation {
            Operation::Subscribe { sid, .. } | Operation::Unsubscribe { sid, .. } => {
                self.session.depends_on_expiry(sid)
            }
            _ => false,
        }
    }

    /// Tells the session which subscriptions have got all they were to get.
    fn forget_expired(&mut self) {
        for (sid, id) in self.link.take_expired() {
            self.session.expired(&sid, id);
        }
    }

    /// Does what the session said, and what it says to that.
    async fn act(&mut self) {
        while !self.actions.is_empty() {
            let mut actions = std::mem::take(&mut self.actions);
            for action in actions.drain(..) {
                self.do_one(action).await;
            }
            if self.actions.is_empty() {
                // The room is used again.
                self.actions = actions;
            }
        }
    }

    async fn do_one(&mut self, action: Action) {
        match action {
            Action::Publish { topic, block, messages } => {
                self.publish(&topic, &block, messages).await
            }
            Action::Reply(reply) => self.reply(&reply),
            Action::Lost(block) => {
                self.shared.front_end.dropped(&String::from_utf8_lossy(block.subject()), 1);
            }
            Action::Subscribe { sid, pattern, group, filter } => {
                self.subscribe(sid, &pattern, group, filter)
            }
            Action::Unsubscribe(id) => self.unsubscribe(id),
            Action::Limit(id, max) => self.limit(id, max),
            Action::Admit(credentials) => {
                match Box::pin(self.shared.admission.admit(credentials)).await {
                    Ok(permissions) => self.session.admitted(permissions, &mut self.actions),
                    Err(Refusal::Unknown) => self.session.refused(&mut self.actions),
                    Err(Refusal::OutOfTime) => self.session.out_of_time(&mut self.actions),
                }
            }
            Action::Connected => self.connected(),
            Action::End(mistake) => self.over = Some(mistake),
        }
    }

    fn connected(&mut self) {
        // Of another echo, perhaps; the next publish makes one.
        self.publishing = None;
        let with_headers = self.session.options().headers;
        self.link.change(Change::Connected { with_headers });
        let words = self.session.words();
        self.figures.set_name(words.name.as_deref().unwrap_or_default());
        let (language, version) = (words.lang.as_deref(), words.version.as_deref());
        self.figures.set_program(language.unwrap_or_default(), version.unwrap_or_default());
        if self.shared.settings.authentication.is_required() {
            self.figures.set_user(words.credentials.user.as_deref().unwrap_or_default());
        }
        self.session.forget_words();
    }

    /// The place after what is queued for this client now, if it has but one publisher: for what
    /// merely should be in order.
    fn here(&self) -> Place {
        self.receiving
            .as_ref()
            .map_or_else(Place::default, |receiving| Place::now(receiving.watch.books()))
    }

    fn reply(&self, reply: &Reply) {
        let place = if *reply == Reply::Pong { self.after_all() } else { self.here() };
        self.link.reply(reply, place);
    }

    async fn publish(&mut self, topic: &Topic, block: &Arc<Block>, messages: Range<usize>) {
        self.figures.received(messages.len());
        if messages.clone().any(|index| block.reply_to(index).is_some()) {
            // In a box: a connection that asks nothing has no room for it.
            return Box::pin(self.publish_each(topic, block, messages)).await;
        }
        let Publishing { publisher, batch } = self.publishing();
        batch.extend(ServerMessage::of_block(block).skip(messages.start).take(messages.len()));
        if waiting(Wait::PUBLISH, publisher.publish_batch(topic, batch)).await.is_err() {
            // The broker is closed: the server is ending, and the connection with it.
            batch.clear();
        }
    }

    /// Each says where its answer is to go, and the client is told if nobody is there to answer.
    async fn publish_each(&mut self, topic: &Topic, block: &Arc<Block>, messages: Range<usize>) {
        for (index, message) in
            messages.clone().zip(ServerMessage::of_block(block).skip(messages.start))
        {
            let reply_to = block.reply_to(index);
            let reply_topic =
                reply_to.and_then(subject::topic_text).and_then(|text| Topic::parse(text).ok());
            let publisher = &mut self.publishing().publisher;
            let publish = async {
                match &reply_topic {
                    Some(reply_topic) => {
                        publisher.publish_request(topic, reply_topic, message).await
                    }
                    None => publisher.publish(topic, message).await,
                }
            };
            let published = waiting(Wait::PUBLISH, publish).await;
            if published.is_ok_and(|receipt| receipt.matched == 0)
                && let Some(reply) = self.session.no_responders(reply_to)
            {
                self.reply(&reply);
            }
        }
    }

    fn publishing(&mut self) -> &mut Publishing {
        self.publishing.get_or_insert_with(|| {
            // Whether it hears itself is decided here, since a client can say it anew at any time.
            let broker = &self.shared.broker;
            let publisher = if self.session.options().echo {
                broker.publisher()
            } else {
                broker.publisher_as(self.origin)
            };
            Box::new(Publishing { publisher, batch: Vec::new() })
        })
    }

    fn subscribe(
        &mut self,
        sid: Sid,
        pattern: &Pattern,
        group: Option<String>,
        filter: Option<Arc<Permissions>>,
    ) {
        // Here, so that a client that has always new ones leaves nothing behind.
        self.forget_expired();
        let begun = self.subscriber().and_then(|subscriber| match &group {
            Some(group) => {
                // Another member is to get what this one may not.
                let except =
                    filter.as_ref().map_or(&[][..], |permissions| &permissions.subscribe.deny);
                subscriber.subscribe_in_group_except(pattern, group, except)
            }
            None => subscriber.subscribe(pattern),
        });
        match begun {
            Ok(id) => {
                // Nothing of it can be rendered before this: the writing half has its turn later.
                self.link.change(Change::Subscribed { id, sid: sid.clone(), filter });
                self.session.subscribed(&sid, id, &mut self.actions);
                self.figures.set_subscriptions(self.session.subscriptions());
            }
            Err(error) => {
                let id = self.figures.id();
                log::debug!(task:% = tasks::label(); "nats: client {id}: cannot subscribe to {pattern}: {error}");
                self.session.not_subscribed(&sid, &mut self.actions);
            }
        }
    }

    fn subscriber(&mut self) -> Result<&MailboxSubscriber<ServerMessage>, SubscribeError> {
        if self.receiving.is_none() {
            let settings = &self.shared.settings;
            let mailbox = self
                .shared
                .broker
                .mailbox(format!("nats client {}", self.figures.id()))
                .queue_messages(settings.pending_messages)
                .queue_bytes(settings.pending_bytes)
                .when_full(settings.when_full())
                .no_echo(self.origin)
                .open()?;
            let receiving = Receiving { subscriber: mailbox.subscriber(), watch: mailbox.watch() };
            self.link.change(Change::Mailbox(Box::new(mailbox)));
            let watch = receiving.watch.clone();
            self.figures.set_queued_bytes(move || watch.stats().queued_bytes);
            self.receiving = Some(receiving);
        }
        self.receiving.as_ref().map(|receiving| &receiving.subscriber).ok_or(SubscribeError::Closed)
    }

    fn limit(&self, id: SubscriptionId, max: u64) {
        // A member of a queue group is given no more than that from now on, and gets all that it
        // was given before.
        let of_group =
            self.receiving.as_ref().and_then(|receiving| receiving.subscriber.limit(id, max));
        self.link.put(What::Limit(id, of_group.unwrap_or(max)), self.here());
    }

    fn unsubscribe(&self, id: SubscriptionId) {
        if let Some(receiving) = &self.receiving {
            receiving.subscriber.unsubscribe(id);
            self.link.put(What::Forget(id), self.after_all());
            self.figures.set_subscriptions(self.session.subscriptions());
        }
    }
}

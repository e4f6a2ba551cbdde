//! The reading half of a connection: does what the session says of each operation.

mod subscriptions;

use super::accounts::Account;
use super::admission::Refusal;
use super::authentication::{Authentication, Grant, Review};
use super::connect::Credentials;
use super::info::Occasion;
use super::policy::refused;
use super::responses::Responses;
use super::session::{Action, Reply, Session, SessionLimits, receipt_inbox};
use super::settings::NatsVersion;
use super::shared::Nats;
use super::user_info;
use super::writer::{Change, Outbound};
use crate::codec::nats::{Block, Operation, Parser};
use crate::connection::duplex::{Flow, ReadHalf};
use crate::connection::outbound::Position;
use crate::diagnostics::{ConnectionFigures, Ended};
use crate::message::ServerMessage;
use crate::tasks::{self, Wait, waiting};
use crate::time::Timestamp;
use crate::transport::Connection;
use bytes::BytesMut;
use fanfare::{Origin, Publisher, Receipt, SubscriptionId, Topic};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Instant;
use subscriptions::{OwnReceiving, Receiving};

/// Reads, publishes, subscribes, and answers.
pub(super) struct Reader<'c> {
    shared: &'c Nats,
    /// The client's.
    address: IpAddr,
    connection: Connection,
    outbound: &'c Outbound,
    figures: &'c Arc<ConnectionFigures>,
    session: Session,
    /// The rules under which the client was let in.
    authentication: Arc<Authentication>,
    /// Whose subjects the client uses.
    account: Arc<Account>,
    actions: Vec<Action>,
    origin: Origin,
    /// Made when the client subscribes for the first time.
    receiving: Option<Receiving>,
    /// Subscriptions that have a queue of their own.
    own_queues: BTreeMap<SubscriptionId, OwnReceiving>,
    /// Made when the client publishes for the first time.
    publishing: Option<Box<Publishing>>,
    over: Option<&'static str>,
}

struct Publishing {
    publisher: Publisher<ServerMessage>,
    batch: Vec<ServerMessage>,
}

impl ReadHalf for Reader<'_> {
    type Change = Change;
    type Decoder = Parser;

    fn decoder(&self) -> Parser {
        let mut parser = Parser::new(self.shared.settings.parser);
        parser.require_connect(!self.session.is_admitted());
        parser
    }

    /// Does all that was read, up to a mistake that ends the connection.
    async fn take(&mut self, parser: &mut Parser, received: &mut BytesMut, _: bool) -> Flow {
        parser.join_answers(self.session.joins_answers());
        while self.over.is_none() {
            match parser.next(received) {
                Ok(None) => break,
                Ok(Some(operation)) => self.take_operation(operation, parser).await,
                Err(error) => {
                    let id = self.figures.id();
                    log::debug!(task:% = tasks::label(); "nats: client {id}: {error}");
                    self.session.mistake(error, &mut self.actions);
                    self.act().await;
                }
            }
        }
        // Nothing is kept for a client that has nothing to say.
        self.actions = Vec::new();
        self.flow()
    }

    async fn review(&mut self) -> Flow {
        let is_admitted = self.session.is_admitted() && self.authentication.is_required();
        let before =
            std::mem::replace(&mut self.authentication, self.shared.admission.authentication.get());
        // Everybody else is judged by the new settings when its CONNECT comes.
        if is_admitted {
            let credentials = self.session.words().credentials;
            match self.authentication.review(&before, &credentials) {
                Review::Holds(grant) => self.regranted(grant.permissions),
                Review::Prove => {
                    if let Some(grant) = self.admit(&credentials).await {
                        self.regranted(grant.permissions);
                    }
                }
                Review::Gone => self.over = Some("its user is gone"),
            }
            self.act().await;
            self.actions = Vec::new();
        }
        self.flow()
    }

    fn say_prepare(&mut self) {
        self.say_info(Position::default(), Occasion::LameDuck);
    }

    /// After everything that is queued for this client now.
    fn end_position(&self) -> Position {
        self.position(Position::after_all)
    }
}

impl<'c> Reader<'c> {
    pub fn new(
        shared: &'c Nats,
        (address, connection): (IpAddr, Connection),
        outbound: &'c Outbound,
        figures: &'c Arc<ConnectionFigures>,
    ) -> Self {
        let limits = SessionLimits {
            subscriptions: shared.settings.subscriptions,
            authentication_required: shared.settings.authentication.is_required(),
            version: shared.settings.version,
            policy: shared.settings.policy_bounds(),
        };
        let mut reader = Reader {
            shared,
            address,
            connection,
            outbound,
            figures,
            session: Session::new(limits),
            authentication: shared.admission.authentication.get(),
            account: shared.accounts.global().clone(),
            actions: Vec::new(),
            origin: Origin::unique(),
            receiving: None,
            own_queues: BTreeMap::new(),
            publishing: None,
            over: None,
        };
        if reader.authentication.is_required()
            && let Some(names) = reader.connection.certificate_names()
        {
            reader.session.shown(names);
        }
        if let Some(grant) = reader.authentication.unauthenticated() {
            reader.account = shared.accounts.get(&grant.account);
            reader.session.begin_with(grant.permissions);
        }
        reader
    }

    async fn take_operation(&mut self, operation: Operation, parser: &mut Parser) {
        let may_change = matches!(operation, Operation::Connect(_));
        // `CONNECT` answers `INFO`.
        if matches!(operation, Operation::Pong | Operation::Connect(_)) {
            self.figures.answered();
        }
        if self.depends_on_expiry(&operation) {
            // The messages that were published before it have to be counted. Perhaps nothing else
            // is placed behind them.
            self.outbound.queue.append(self.end_position(), |_| {});
            self.outbound.queue.settled().await;
            self.forget_expired();
        }
        self.session.handle(operation, &mut self.actions);
        self.act().await;
        if may_change {
            parser.require_connect(!self.session.is_admitted());
            parser.allow_headers(self.session.options().headers);
            parser.join_answers(self.session.joins_answers());
        }
        // One read can hold thousands of small operations with larger answers.
        self.outbound.queue.has_room().await;
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
            Action::PublishSiblings(block, topics) => {
                let together = self.publish_answers(&block, &topics).await;
                self.session.publish_rest(&block, together, &mut self.actions);
            }
            Action::Reply(reply) => self.reply(&reply),
            Action::Lost(block) => {
                self.shared.front_end.dropped(&String::from_utf8_lossy(block.subject()), 1);
            }
            Action::PublishAnswer(topic, block, index) => {
                let mut responses = self.outbound.responses();
                let is_answer =
                    responses.as_mut().is_some_and(|them| them.spend(&topic, Instant::now()));
                drop(responses);
                self.session.publish_if(is_answer, topic, (&block, index), &mut self.actions);
            }
            Action::NobodyGets(block, index) => self.nobody_gets(&block, index),
            Action::Answer(answer, block, index) => self.answer((&block, index), &answer),
            Action::SetPolicy(request, block, index) => {
                let answer = match self.set_policy(&request) {
                    Ok(subscriptions) => request.granted(subscriptions),
                    Err(error) => refused(&error),
                };
                self.answer((&block, index), &answer);
            }
            Action::Subscribe { sid, pattern, group, except, policy } => {
                self.subscribe((sid, except), &pattern, group, policy)
            }
            Action::Unsubscribe(id) => self.unsubscribe(id),
            Action::Limit(id, max) => self.limit(id, max).await,
            Action::Admit(credentials) => {
                self.authentication = self.shared.admission.authentication.get();
                if let Some(grant) = self.admit(&credentials).await {
                    self.admitted(grant);
                }
            }
            Action::Connected => self.connected(),
            Action::TellConnected => {
                let is_system = self.shared.events.is_system(&self.account);
                let connected = Occasion::Connected { account: &self.account.name, is_system };
                self.say_info(self.position(Position::after_all), connected);
            }
            Action::End(mistake) => self.over = Some(mistake),
        }
    }

    fn say_info(&self, position: Position, occasion: Occasion<'_>) {
        let client = self.outbound.recipient((self.figures.id(), self.address));
        let info = |out: &mut Vec<u8>| self.shared.info.append(out, client, occasion);
        self.outbound.queue.append(position, info);
    }

    fn flow(&self) -> Flow {
        match self.over {
            Some(mistake) => ControlFlow::Break(Ended::Because(mistake)),
            None => ControlFlow::Continue(()),
        }
    }

    /// Finds what a client with these credentials may do. A client that may do nothing is refused.
    async fn admit(&mut self, credentials: &Credentials) -> Option<Grant> {
        let has_left = || self.connection.is_closed_by_peer();
        let signed = (credentials, self.outbound.nonce().unwrap_or_default());
        let admission = &self.shared.admission;
        let admit = admission.admit(&self.authentication, signed, self.address, has_left);
        match Box::pin(admit).await {
            Ok(grant) => return Some(grant),
            Err(Refusal::Unknown) => {
                let Nats { events, info, .. } = self.shared;
                let user = self.authentication.name_of(credentials);
                events.refused(user, self.figures, info);
                self.session.refused(&mut self.actions);
            }
            Err(Refusal::OutOfTime) => self.session.out_of_time(&mut self.actions),
        }
        None
    }

    /// A client stays in the account in which it has subscribed.
    fn admitted(&mut self, Grant { permissions, account }: Grant) {
        if self.outbound.places.get().is_none() {
            self.account = self.shared.accounts.get(&account);
        }
        if self.account.name == account {
            self.session.admitted(permissions, &mut self.actions);
        } else {
            self.session.refused(&mut self.actions);
        }
    }

    /// Tells the writing half what it has to know of the client.
    fn apply_options(&self) {
        let with_headers = self.session.options().headers;
        let rule = self.session.permissions().responses;
        *self.outbound.responses() = rule.map(|rule| Box::new(Responses::new(rule)));
        let notes_requests = rule.is_some();
        self.outbound.queue.change_first(Change::Connected { with_headers, notes_requests });
    }

    fn connected(&mut self) {
        // Its echo may be wrong now; the next publish makes a new one.
        self.publishing = None;
        self.apply_options();
        let words = self.session.words();
        self.figures.set_name(words.name.as_deref().unwrap_or_default());
        let (language, version) = (words.lang.as_deref(), words.version.as_deref());
        self.figures.set_account(&self.account.name);
        self.figures.set_program(language.unwrap_or_default(), version.unwrap_or_default());
        if self.authentication.is_required() {
            let user = self.authentication.name_of(&words.credentials);
            self.figures.set_user(user.unwrap_or_default());
        }
        self.session.forget_words();
        if self.outbound.guest.get().is_none() {
            let Nats { events, info, .. } = self.shared;
            let guest = events.connected(&self.account, self.figures, info);
            guest.into_iter().for_each(|guest| drop(self.outbound.guest.set(Box::new(guest))));
        }
    }

    fn reply(&self, reply: &Reply) {
        let is_pong = *reply == Reply::Pong;
        let position = self.position(if is_pong { Position::after_all } else { Position::now });
        self.outbound.queue.append(position, |out| reply.append(out));
    }

    async fn publish(&mut self, topic: &Topic, block: &Arc<Block>, messages: Range<usize>) {
        self.figures.received(messages.len());
        self.figures.received_payload(block.body_bytes(messages.clone()));
        let wants_receipt = |index| receipt_inbox(block, index).is_some();
        if !block.is_plain() && messages.clone().any(wants_receipt) {
            // In a box: a connection that asks for none has no room for it.
            return Box::pin(self.publish_each(topic, block, messages)).await;
        }
        self.publish_together(topic, block, messages).await;
    }

    /// Publishes answers together as far as their inboxes are used once, as nearly always, and
    /// share what is known of them. Returns how many that is.
    async fn publish_answers(&mut self, block: &Arc<Block>, topics: &[Topic]) -> usize {
        let Publishing { publisher, batch } = self.publishing();
        batch.extend(ServerMessage::of_block(block, 0..topics.len(), Timestamp::now()));
        let published = waiting(Wait::PUBLISH, publisher.publish_siblings(topics, batch)).await;
        batch.clear();
        let count = published.map_or(0, |(count, _)| count);
        self.figures.received(count);
        self.figures.received_payload(block.body_bytes(0..count));
        count
    }

    /// Each by itself, since a receipt says what became of one message.
    async fn publish_each(&mut self, topic: &Topic, block: &Arc<Block>, messages: Range<usize>) {
        for index in messages {
            if let Some(receipt) = self.publish_together(topic, block, index..index + 1).await {
                let find = |topic: &Topic| self.find(topic);
                let told = self.session.receipt((block, index), &receipt, find);
                told.iter().for_each(|reply| self.reply(reply));
            }
            // One block can hold thousands of messages, each with a receipt larger than itself.
            self.outbound.queue.has_room().await;
        }
    }

    /// In one publish. `None`: the broker is closed, since the server is ending, and the connection
    /// with it.
    async fn publish_together(
        &mut self,
        topic: &Topic,
        block: &Arc<Block>,
        messages: Range<usize>,
    ) -> Option<Receipt> {
        let Publishing { publisher, batch } = self.publishing();
        batch.extend(ServerMessage::of_block(block, messages.clone(), Timestamp::now()));
        let published = waiting(Wait::PUBLISH, publisher.publish_batch(topic, batch)).await;
        let Ok(receipt) = published else {
            batch.clear();
            return None;
        };
        // Where queue groups end by themselves, the first messages are taken and the last are not.
        let taken = usize::try_from(receipt.matched).unwrap_or(usize::MAX).min(messages.len());
        let is_to_server =
            || topic.as_str() == user_info::SUBJECT || self.shared.events.is_system(&self.account);
        if !block.is_plain() && (taken < messages.len() || is_to_server()) {
            Box::pin(self.answer_requests(topic, block, messages, taken)).await;
        }
        Some(receipt)
    }

    /// Answers requests to the server, and tells the client that nobody is there to answer those
    /// after the first `taken`.
    async fn answer_requests(
        &self,
        topic: &Topic,
        block: &Block,
        messages: Range<usize>,
        taken: usize,
    ) {
        let Nats { events, info, .. } = self.shared;
        for (count, index) in messages.enumerate() {
            let asked = (topic, block, index);
            let is_answered =
                self.say_who(asked) || events.answer(&self.account, asked, info).await;
            if count >= taken && !is_answered {
                self.nobody_gets(block, index);
            }
            // One block can hold thousands of requests, each with an answer larger than itself.
            self.outbound.queue.has_room().await;
        }
    }

    /// Answers a client that asks who it is. False if it asks something else. (Observed: the older
    /// nats-server does not know the question.)
    fn say_who(&self, (topic, block, index): (&Topic, &Block, usize)) -> bool {
        let Nats { events, info, settings, .. } = self.shared;
        let is_known =
            topic.as_str() == user_info::SUBJECT && settings.version >= NatsVersion::V2_15;
        let Some(reply_to) = block.reply_topic(index).filter(|_| is_known) else { return false };
        let user = self.figures.user();
        let who = user_info::describe(&user, &self.account.name, self.session.permissions());
        events.say_who(&self.account, reply_to, &who, info);
        true
    }

    /// Tells the client that nobody is there to answer, if it waits for an answer.
    fn nobody_gets(&self, block: &Block, index: usize) {
        if let Some(reply) = self.session.no_responders(block, index, |topic| self.find(topic)) {
            self.reply(&reply);
        }
    }

    fn answer(&self, request: (&Block, usize), answer: &Value) {
        match self.session.answer(request, answer, |topic| self.find(topic)) {
            Some(reply) => self.reply(&reply),
            None => {
                let id = self.figures.id();
                log::debug!(task:% = tasks::label();
                    "nats: client {id} waits for no answer about a policy: {answer}"
                );
            }
        }
    }

    fn publishing(&mut self) -> &mut Publishing {
        self.publishing.get_or_insert_with(|| {
            // Whether the client hears itself is decided here, since each CONNECT can change it.
            let broker = &self.account.broker;
            let publisher = if self.session.options().echo {
                broker.publisher_with_echo(self.origin)
            } else {
                broker.publisher_as(self.origin)
            };
            Box::new(Publishing { publisher, batch: Vec::new() })
        })
    }
}

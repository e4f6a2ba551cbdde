//! The reading half of a connection: does what the session says of each operation.

use super::accounts::Account;
use super::admission::Refusal;
use super::authentication::{Authentication, Grant, Review};
use super::connect::Credentials;
use super::info::Occasion;
use super::own_queue::OwnQueue;
use super::permissions::Permissions;
use super::policy::{PolicyRequest, QueuePolicy, Target, refused};
use super::responses::Responses;
use super::server::Nats;
use super::session::{Action, Reply, Session, SessionLimits, Sid, Sids, receipt_inbox};
use super::share::Places;
use super::writer::{Change, Outbound, Own};
use crate::codec::nats::{Block, Operation, Parser};
use crate::connection::duplex::{Flow, ReadHalf};
use crate::connection::outbound::Position;
use crate::diagnostics::{ConnectionFigures, Ended, SubscriptionInfo};
use crate::limits::NATS_OWN_QUEUES;
use crate::message::ServerMessage;
use crate::tasks::{self, Wait, waiting};
use crate::time::Timestamp;
use crate::transport::Connection;
use bytes::BytesMut;
use fanfare::{
    Books, Mailbox, MailboxSubscriber, Origin, Pattern, Publisher, Receipt, SubscribeError,
    SubscriptionId, SubscriptionWatch, Topic,
};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use std::time::Instant;

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

/// The connection's mailbox, as seen from here.
struct Receiving {
    subscriber: MailboxSubscriber<ServerMessage>,
    watch: SubscriptionWatch<ServerMessage>,
}

/// A queue that one subscription has for itself, as seen from here.
struct OwnReceiving {
    receiving: Receiving,
    kept_bytes: usize,
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
        if matches!(operation, Operation::Pong) {
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
        }
        // One read can hold thousands of small operations with larger answers.
        self.outbound.queue.has_room().await;
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
        for (sid, id) in self.outbound.take_expired() {
            self.session.expired(&sid, id);
            if self.own_queues.remove(&id).is_some() {
                self.note_queues();
            }
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

    /// The client may do this from now on. Subscriptions that it may have no longer end.
    fn regranted(&mut self, permissions: Arc<Permissions>) {
        let before = self.session.regranted(permissions.clone());
        if before == permissions {
            return;
        }
        if before.responses != permissions.responses {
            self.apply_options();
        }
        let all = self.all_receiving().flat_map(|receiving| receiving.subscriber.subscriptions());
        for (id, pattern, group) in all.collect::<Vec<_>>() {
            let group = group.as_deref();
            let except = permissions.subscribe.kept_from(&pattern, group);
            if !permissions.subscribe.permit_pattern(&pattern, group) {
                self.session.forbid(id, (&pattern, group), &mut self.actions);
            } else if group.is_none() {
                self.outbound.queue.change_first(Change::Except(id, except));
            } else if before.subscribe.kept_from(&pattern, group) != except
                && !self.rejoin(id, (&pattern, group), except)
            {
                self.over = Some("the permissions of a queue group have changed");
            }
        }
    }

    /// A member of a queue group joins it anew: another member is to get what this one may not.
    /// False where that would change what the client asked for: the messages that it is to get in
    /// all, or a queue of its own.
    fn rejoin(
        &mut self,
        id: SubscriptionId,
        (pattern, group): (&Pattern, Option<&str>),
        except: Option<Arc<[Pattern]>>,
    ) -> bool {
        let Some((sid, group)) = self.session.sid_of(id).zip(group) else { return true };
        let (Some(receiving), false) = (&self.receiving, self.session.depends_on_expiry(&sid))
        else {
            return false;
        };
        if self.own_queues.contains_key(&id) || !self.take_place() {
            return false;
        }
        // Before the other ends, so that the group has this member all the time.
        let kept = except.as_deref().unwrap_or_default();
        let Ok(new) = receiving.subscriber.subscribe_in_group_except(pattern, group, kept) else {
            self.outbound.give_back_place();
            return false;
        };
        self.outbound.queue.change_first(Change::Subscribed { id: new, sid, except });
        self.session.moved(id, new);
        self.unsubscribe(id);
        true
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

    /// Behind what is queued for this client: [`Position::now`] for what merely should be in
    /// order.
    fn position(&self, of: impl FnOnce(Books) -> Position) -> Position {
        let receiving = self.receiving.as_ref();
        receiving.map_or_else(Position::default, |receiving| of(receiving.watch.books()))
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
        let is_to_server = self.shared.events.is_system(&self.account);
        if !block.is_plain() && (taken < messages.len() || is_to_server) {
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
            let is_answered = events.answer(&self.account, asked, info).await;
            if count >= taken && !is_answered {
                self.nobody_gets(block, index);
            }
            // One block can hold thousands of requests, each with an answer larger than itself.
            self.outbound.queue.has_room().await;
        }
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

    /// A subscription of the client that matches.
    fn find(&self, topic: &Topic) -> Option<SubscriptionId> {
        self.all_receiving().find_map(|receiving| receiving.subscriber.first_match(topic))
    }

    fn all_receiving(&self) -> impl Iterator<Item = &Receiving> {
        let own = self.own_queues.values().map(|own| &own.receiving);
        self.receiving.iter().chain(own)
    }

    fn receiving_of(&self, id: SubscriptionId) -> Option<&Receiving> {
        let own = self.own_queues.get(&id).map(|own| &own.receiving);
        own.or(self.receiving.as_ref())
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

    fn subscribe(
        &mut self,
        (sid, except): (Sid, Option<Arc<[Pattern]>>),
        pattern: &Pattern,
        group: Option<String>,
        policy: Option<QueuePolicy>,
    ) {
        // Here, so that a client that keeps subscribing anew leaves nothing behind.
        self.forget_expired();
        if !self.take_place() {
            return self.session.not_subscribed(&sid, &mut self.actions);
        }
        let own = policy.map(|policy| (policy, self.open_own(&policy, 0)));
        let begin = |subscriber: &MailboxSubscriber<ServerMessage>| match &group {
            Some(group) => {
                // Another member is to get what this one may not.
                let except = except.as_deref().unwrap_or_default();
                subscriber.subscribe_in_group_except(pattern, group, except)
            }
            None => subscriber.subscribe(pattern),
        };
        let begun = match &own {
            Some((_, Ok(mailbox))) => begin(&mailbox.subscriber()).map_err(|it| it.to_string()),
            Some((_, Err(error))) => Err(error.clone()),
            None => self.subscriber().and_then(begin).map_err(|error| error.to_string()),
        };
        match begun {
            Ok(id) => {
                if let Some((policy, Ok(mailbox))) = own {
                    let own = self.begin_own(None, (&sid, id), mailbox, policy);
                    self.outbound.queue.change_first(own);
                }
                // Nothing of it can be rendered before this: the writing half has its turn later.
                self.outbound.queue.change_first(Change::Subscribed {
                    id,
                    sid: sid.clone(),
                    except,
                });
                self.session.subscribed(&sid, id, &mut self.actions);
                self.note_subscriptions();
            }
            Err(error) => {
                let id = self.figures.id();
                log::debug!(task:% = tasks::label();
                    "nats: client {id}: cannot subscribe to {pattern}: {error}"
                );
                self.outbound.give_back_place();
                if matches!(own, Some((_, Ok(_)))) {
                    self.outbound.give_back_place();
                }
                self.session.not_subscribed(&sid, &mut self.actions);
            }
        }
    }

    /// Gives the subscriptions that a request names a queue of their own. Returns how many there
    /// are now.
    fn set_policy(&mut self, request: &PolicyRequest) -> Result<usize, String> {
        self.forget_expired();
        let ids: Vec<SubscriptionId> = match &request.target {
            Target::Sid(sid) => self.session.id_of(sid).into_iter().collect(),
            Target::Subject(pattern) => self
                .all_receiving()
                .flat_map(|receiving| receiving.subscriber.subscriptions_to(pattern))
                .collect(),
        };
        for id in &ids {
            self.move_to_own(*id, request.policy)?;
        }
        self.session.policy_set(request);
        Ok(ids.len())
    }

    fn move_to_own(&mut self, from: SubscriptionId, policy: QueuePolicy) -> Result<(), String> {
        let freed_bytes = self.own_queues.get(&from).map_or(0, |own| own.kept_bytes);
        let Some(sid) = self.session.sid_of(from) else { return Ok(()) };
        let mailbox = self.open_own(&policy, freed_bytes)?;
        let old = self.receiving_of(from).map(|receiving| &receiving.subscriber);
        let moved = old.map(|old| old.move_to(from, &mailbox.subscriber()));
        let Some(Ok(id)) = moved else {
            self.outbound.give_back_place();
            // It has ended meanwhile, unless there is a reason.
            return moved.map_or(Ok(()), |moved| moved.map(drop).map_err(|it| it.to_string()));
        };
        // Behind all that was queued for it before.
        let position = self.end_position();
        self.own_queues.remove(&from);
        self.session.moved(from, id);
        let own = self.begin_own(Some(from), (&sid, id), mailbox, policy);
        self.outbound.queue.change(position, own);
        Ok(())
    }

    /// A queue for one subscription, which takes a place as a subscription does. `freed_bytes`
    /// will be free.
    fn open_own(
        &self,
        policy: &QueuePolicy,
        freed_bytes: usize,
    ) -> Result<Mailbox<ServerMessage>, String> {
        let kept_bytes: usize = self.own_queues.values().map(|own| own.kept_bytes).sum();
        let left_bytes = self.shared.settings.pending_bytes + freed_bytes - kept_bytes;
        if policy.kept_bytes() > left_bytes {
            let each = 1 + usize::from(policy.gathers());
            return Err(format!("queue_bytes is at most {} here now", left_bytes / each));
        }
        if self.own_queues.len() >= NATS_OWN_QUEUES {
            return Err(format!("a connection has at most {NATS_OWN_QUEUES} such subscriptions"));
        }
        if !self.take_place() {
            return Err("the server has no room for more subscriptions".to_owned());
        }
        let mailbox = self
            .account
            .broker
            .mailbox(format!("nats client {}", self.figures.id()))
            .queue_messages(policy.queue_messages)
            .queue_bytes(policy.queue_bytes)
            .when_full(policy.when_full)
            .no_echo(self.origin)
            .open();
        mailbox.map_err(|error| {
            self.outbound.give_back_place();
            error.to_string()
        })
    }

    fn begin_own(
        &mut self,
        from: Option<SubscriptionId>,
        (sid, id): (&Sid, SubscriptionId),
        mailbox: Mailbox<ServerMessage>,
        policy: QueuePolicy,
    ) -> Change {
        let receiving = Receiving { subscriber: mailbox.subscriber(), watch: mailbox.watch() };
        self.own_queues.insert(id, OwnReceiving { receiving, kept_bytes: policy.kept_bytes() });
        self.note_queues();
        let queue = OwnQueue::new(id, mailbox, policy);
        Change::Own(Box::new(Own { from, sid: sid.clone(), queue }))
    }

    fn take_place(&self) -> bool {
        let own = || (self.account.clone(), Places::of(&self.account.share));
        let (_, places) = self.outbound.places.get_or_init(own);
        places.take()
    }

    fn subscriber(&mut self) -> Result<&MailboxSubscriber<ServerMessage>, SubscribeError> {
        if self.receiving.is_none() {
            let settings = &self.shared.settings;
            let mailbox = self
                .account
                .broker
                .mailbox(format!("nats client {}", self.figures.id()))
                .queue_messages(settings.pending_messages)
                .queue_bytes(settings.pending_bytes)
                .when_full(settings.when_full())
                .no_echo(self.origin)
                .open()?;
            let receiving = Receiving { subscriber: mailbox.subscriber(), watch: mailbox.watch() };
            self.outbound.queue.change_first(Change::Mailbox(Box::new(mailbox)));
            self.receiving = Some(receiving);
            self.note_queues();
        }
        self.receiving.as_ref().map(|receiving| &receiving.subscriber).ok_or(SubscribeError::Closed)
    }

    async fn limit(&self, id: SubscriptionId, max: u64) {
        // A member of a queue group is given no more than that from now on, and gets all that it
        // was given before.
        let of_group =
            self.receiving_of(id).and_then(|receiving| receiving.subscriber.limit(id, max));
        let limit = Change::Limit(id, of_group.unwrap_or(max));
        self.outbound.queue.change(self.position(Position::now), limit);
        let receiving = self.receiving_of(id);
        if receiving.is_some_and(|receiving| receiving.watch.books().queued > 0) {
            // The client's next messages could be rendered in one go with what is queued.
            self.outbound.queue.settled().await;
        }
    }

    fn unsubscribe(&mut self, id: SubscriptionId) {
        if let Some(receiving) = self.receiving_of(id) {
            if receiving.subscriber.unsubscribe(id) {
                self.outbound.give_back_place();
            }
            self.outbound.queue.change(self.end_position(), Change::Forget(id));
            self.note_subscriptions();
        }
        if self.own_queues.remove(&id).is_some() {
            self.note_queues();
        }
    }

    fn note_queues(&self) {
        let watches: Vec<_> =
            self.all_receiving().map(|receiving| receiving.watch.clone()).collect();
        self.figures.set_queues(move || watches.iter().map(SubscriptionWatch::stats).collect());
        let subscribers: Vec<_> =
            self.all_receiving().map(|receiving| receiving.subscriber.clone()).collect();
        let sids = self.session.sids().clone();
        self.figures.set_list(move || list(&subscribers, &sids));
    }

    fn note_subscriptions(&self) {
        let (subscriptions, bytes) = self.session.subscriptions();
        self.figures.set_subscriptions(subscriptions);
        self.figures.set_subscription_bytes(bytes);
    }
}

/// The subscriptions of a client, oldest first.
fn list(subscribers: &[MailboxSubscriber<ServerMessage>], sids: &Sids) -> Vec<SubscriptionInfo> {
    let mut all: Vec<_> = subscribers.iter().flat_map(MailboxSubscriber::subscriptions).collect();
    all.sort_unstable_by_key(|(id, ..)| *id);
    let sids = sids.lock();
    let info = |(id, pattern, group): (SubscriptionId, Pattern, Option<Arc<str>>)| {
        // One that has begun or ended just now has no name.
        let sid = sids.get(&id)?;
        Some(SubscriptionInfo {
            subject: pattern.as_str().to_owned(),
            group: group.as_deref().unwrap_or_default().to_owned(),
            sid: String::from_utf8_lossy(sid).into_owned(),
        })
    };
    all.into_iter().filter_map(info).collect()
}

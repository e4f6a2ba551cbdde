//! One client's session: state without I/O. Operations go in, actions come out.
//!
//! The order of checks is nats-server's, observed: where two errors apply, clients get the one that
//! it would give.

use super::connect::{ConnectOptions, Credentials, Words};
use super::permissions::Permissions;
use super::policy::{PolicyBounds, PolicyRequest, QueuePolicy, Target, refused};
use super::settings::NatsVersion;
use super::subjects::{Destination, Place, Subjects};
use super::{Sid, Sids};
use crate::codec::certificate::CertificateNames;
use crate::codec::nats::{
    self as codec, Block, Operation, Outgoing, ProtocolError, headers, subject,
};
use crate::limits::{NATS_OWN_QUEUES, NATS_SUBSCRIPTION_BYTES};
use crate::locks::lock;
use bytes::Bytes;
use fanfare::{Pattern, Receipt, SubscriptionId, Topic};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::str::Utf8Chunk;
use std::sync::Arc;

/// One client's state.
pub struct Session {
    limits: SessionLimits,
    options: ConnectOptions,
    is_admitted: bool,
    permissions: Arc<Permissions>,
    /// Made when the client publishes for the first time.
    subjects: Option<Box<Subjects>>,
    subscriptions: HashMap<Sid, Box<Held>>,
    sids: Arc<Sids>,
    /// Memory that subscriptions take.
    subscription_bytes: usize,
    /// How many subscriptions end by themselves.
    limited: usize,
    greeting: Greeting,
    /// Policies that the client asked for, for present and later subscriptions.
    policies: BTreeMap<Target, QueuePolicy>,
}

/// Whether the client still has to be told that it has connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Greeting {
    /// It has not said `CONNECT`, or does not understand it.
    NotDue,
    /// With its next `PONG`.
    Due,
    /// It was told.
    Done,
}

/// The server's limits that a session needs to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Subscriptions at the same time.
    pub subscriptions: usize,
    /// Whether clients have to authenticate.
    pub authentication_required: bool,
    /// The nats-server to behave like.
    pub version: NatsVersion,
    /// Bounds for the policy of one subscription.
    pub policy: PolicyBounds,
}

/// A subscription as the session knows it.
struct Held {
    /// None while it is being made.
    id: Option<SubscriptionId>,
    /// Memory that it takes.
    bytes: usize,
    /// It ends by itself after some messages, which only the writing half counts.
    is_limited: bool,
}

/// An action that the server carries out for an operation; those of an operation in order.
#[derive(Debug)]
pub enum Action {
    /// Send this reply.
    Reply(Reply),
    /// Check these credentials; then call [`Session::admitted`] or [`Session::refused`].
    Admit(Credentials),
    /// Publish these messages of a block. For each that wants an answer and that nobody is to get,
    /// say [`Session::no_responders`].
    Publish { topic: Topic, block: Arc<Block>, messages: Range<usize> },
    /// Publish the first of these answers together, to these topics; then say
    /// [`Session::publish_rest`].
    PublishSiblings(Arc<Block>, Vec<Topic>),
    /// Note that a message of this block can reach nobody here, although its subject is right for
    /// NATS.
    Lost(Arc<Block>),
    /// Publish this message if it answers a request that the client was sent; in any case, say
    /// [`Session::publish_if`].
    PublishAnswer(Topic, Arc<Block>, usize),
    /// Answer a message of a block, which is a request, with this.
    Answer(Value, Arc<Block>, usize),
    /// Nobody is to get this message of a block: say [`Session::no_responders`].
    NobodyGets(Arc<Block>, usize),
    /// Give the subscriptions that this names a queue of their own, and answer the request, which
    /// is a message of a block.
    SetPolicy(Box<PolicyRequest>, Arc<Block>, usize),
    /// Subscribe, and say [`Session::subscribed`] or [`Session::not_subscribed`].
    Subscribe {
        sid: Sid,
        pattern: Pattern,
        group: Option<String>,
        /// Patterns that must not be sent, although `pattern` matches some of their topics.
        except: Option<Arc<[Pattern]>>,
        /// Its queue, if it is to have its own.
        policy: Option<QueuePolicy>,
    },
    /// End a subscription.
    Unsubscribe(SubscriptionId),
    /// End a subscription when it has got this many messages in all, perhaps at once.
    Limit(SubscriptionId, u64),
    /// The client has connected: what it said counts from now on.
    Connected,
    /// Tell the client that it has connected.
    TellConnected,
    /// Close the connection, for this reason, when all replies have been sent.
    End(&'static str),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    Ok,
    Pong,
    /// `-ERR`
    Error(Cow<'static, str>),
    /// Nobody is there to answer a request.
    NoResponders {
        reply_to: Bytes,
        /// The subscription that waits for it.
        sid: Sid,
        /// The request's subject, if the client is told.
        subject: Option<Bytes>,
    },
    /// The server's own answer to a request.
    Answer {
        reply_to: Bytes,
        /// The subscription that waits for it.
        sid: Sid,
        payload: Bytes,
    },
}

/// The header that asks for a receipt, and says where it is to go.
const RECEIPT: &str = "Fanfare-Receipt";

/// Where the receipt of a message is to go, if its publisher wants one.
pub(super) fn receipt_inbox(block: &Block, index: usize) -> Option<&[u8]> {
    headers::value(block.headers(index), RECEIPT)
}

impl Reply {
    /// Appends it as the client is sent it.
    pub fn append(&self, out: &mut Vec<u8>) {
        match self {
            Self::Ok => codec::append_ok(out),
            Self::Pong => codec::append_pong(out),
            Self::Error(text) => codec::append_error(out, text),
            Self::NoResponders { reply_to, sid, subject } => {
                codec::append_no_responders(out, reply_to, sid, subject.as_deref());
            }
            Self::Answer { reply_to, sid, payload } => {
                let answer = Outgoing {
                    subject: reply_to,
                    reply_to: None,
                    headers: &[],
                    payload,
                    sizes_as_written: None,
                };
                codec::append_message(out, &answer, sid, false);
            }
        }
    }
}

impl Session {
    /// A session for a client that has just connected.
    pub fn new(limits: SessionLimits) -> Self {
        Self {
            limits,
            options: ConnectOptions::default(),
            is_admitted: !limits.authentication_required,
            permissions: Permissions::unrestricted(),
            subjects: None,
            subscriptions: HashMap::new(),
            sids: Arc::default(),
            subscription_bytes: 0,
            limited: 0,
            greeting: Greeting::NotDue,
            policies: BTreeMap::new(),
        }
    }

    /// The client's options.
    pub fn options(&self) -> &ConnectOptions {
        &self.options
    }

    /// The client's words about itself, until [`Session::forget_words`].
    pub fn words(&self) -> Words {
        self.options.words.as_deref().cloned().unwrap_or_default()
    }

    /// Forgets them once they are known elsewhere, except for the credentials, which count for a
    /// later `CONNECT` too.
    pub fn forget_words(&mut self) {
        let credentials = self.words().credentials;
        let is_needed = self.limits.authentication_required;
        self.options.words = is_needed.then(|| Box::new(Words { credentials, ..Words::default() }));
    }

    /// Whether the client may do anything but `CONNECT`.
    pub fn is_admitted(&self) -> bool {
        self.is_admitted
    }

    /// The client's rights.
    pub fn permissions(&self) -> &Arc<Permissions> {
        &self.permissions
    }

    /// The number of subscriptions, and what they take in memory.
    pub fn subscriptions(&self) -> (usize, usize) {
        (self.subscriptions.len(), self.subscription_bytes)
    }

    /// Says what an operation means.
    pub fn handle(&mut self, operation: Operation, actions: &mut Vec<Action>) {
        match operation {
            Operation::Publish(block) => self.publish(block, actions),
            Operation::Ping => self.ping(actions),
            Operation::Pong | Operation::Ok => {}
            Operation::Info(json) => self.info(&json, actions),
            Operation::Subscribe { subject, queue, sid } => {
                self.subscribe(&subject, queue.as_ref(), &sid, actions)
            }
            Operation::Unsubscribe { sid, max } => self.unsubscribe(&sid, max, actions),
            Operation::Connect(json) => self.connect(&json, actions),
            // A hub's words, which the parser of a client does not know.
            Operation::Interest { .. } | Operation::Error(_) => {}
        }
    }

    /// Says what a mistake means.
    pub fn mistake(&self, error: ProtocolError, actions: &mut Vec<Action>) {
        if let Some(text) = error.text() {
            actions.push(Action::Reply(Reply::Error(text.into())));
        }
        actions.push(Action::End(error.text().unwrap_or("protocol violation")));
    }

    fn ping(&mut self, actions: &mut Vec<Action>) {
        actions.push(Action::Reply(Reply::Pong));
        if self.greeting == Greeting::Due {
            self.greeting = Greeting::Done;
            actions.push(Action::TellConnected);
        }
    }

    /// Servers send `INFO`. From a client it changes nothing, but it must be JSON (observed).
    fn info(&self, json: &[u8], actions: &mut Vec<Action>) {
        let json =
            serde_json::from_str::<Option<Map<String, Value>>>(&String::from_utf8_lossy(json));
        if json.is_err() {
            actions.push(Action::End("bad INFO"));
        }
    }

    fn connect(&mut self, json: &[u8], actions: &mut Vec<Action>) {
        let mut options = self.options.clone();
        if options.update(json).is_err() {
            return actions.push(Action::End("bad CONNECT"));
        }
        self.options = options;
        if self.limits.authentication_required {
            actions.push(Action::Admit(self.words().credentials.clone()));
        } else {
            self.accept(actions);
        }
    }

    /// The client has shown a certificate that names these.
    pub fn shown(&mut self, certificate: CertificateNames) {
        let words = self.options.words.get_or_insert_default();
        words.credentials.certificate = Some(Arc::new(certificate));
    }

    /// The client may do this before it says who it is.
    pub fn begin_with(&mut self, permissions: Arc<Permissions>) {
        self.is_admitted = true;
        self.permissions = permissions;
    }

    /// The credentials are right, and the client may do this.
    pub fn admitted(&mut self, permissions: Arc<Permissions>, actions: &mut Vec<Action>) {
        self.is_admitted = true;
        self.permissions = permissions;
        // The rules are others now.
        self.subjects = None;
        self.accept(actions);
    }

    /// The client may do this from now on. Gives what it might do before.
    pub fn regranted(&mut self, permissions: Arc<Permissions>) -> Arc<Permissions> {
        self.subjects = None;
        std::mem::replace(&mut self.permissions, permissions)
    }

    /// The client may no longer have this subscription. (Observed: it is told the sid.)
    pub fn forbid(
        &mut self,
        id: SubscriptionId,
        (pattern, group): (&Pattern, Option<&str>),
        actions: &mut Vec<Action>,
    ) {
        let Some(sid) = self.sid_of(id) else { return };
        self.forget(&sid);
        let mut text =
            violation_text("Subscription", pattern.as_str().as_bytes(), group.map(str::as_bytes));
        text.push_str(&format!(" (sid {})", quoted(&sid)));
        actions.extend([Action::Reply(Reply::Error(text.into())), Action::Unsubscribe(id)]);
    }

    /// The credentials are wrong.
    pub fn refused(&self, actions: &mut Vec<Action>) {
        end_with("Authorization Violation", actions);
    }

    /// The credentials could not be checked in time.
    pub fn out_of_time(&self, actions: &mut Vec<Action>) {
        end_with("Authentication Timeout", actions);
    }

    fn accept(&mut self, actions: &mut Vec<Action>) {
        let options = &self.options;
        if options.words.as_ref().is_some_and(|words| words.account.is_some()) {
            end_with("Authorization Violation", actions);
        } else if !(0..=1).contains(&options.protocol) {
            end_with("invalid client protocol", actions);
        } else if options.no_responders && !options.headers {
            end_with("no responders requires headers support", actions);
        } else {
            let is_told = options.protocol == 1 && self.limits.version >= NatsVersion::V2_15;
            if is_told && self.greeting == Greeting::NotDue {
                self.greeting = Greeting::Due;
            }
            actions.push(Action::Connected);
            self.say_ok(actions);
        }
    }

    /// Whether its answers may be [joined](codec::Parser::join_answers): each is published, and the
    /// client is told nothing of it.
    pub fn joins_answers(&self) -> bool {
        !self.options.verbose && self.permissions.responses.is_none()
    }

    /// Publishes the answers from index `from` on one by one, with memory of their own: those to
    /// one inbox keep nothing alive of what others are sent.
    pub fn publish_rest(&mut self, block: &Block, from: usize, actions: &mut Vec<Action>) {
        (from..block.len()).for_each(|index| self.publish(block.answer_alone(index), actions));
    }

    fn publish_answers(&self, block: Block, actions: &mut Vec<Action>) {
        let topic = |index| {
            let topic = std::str::from_utf8(block.subject_of(index)).ok()?;
            let topic = Topic::parse(topic).ok()?;
            self.permissions.publish.permit_topic(&topic).then_some(topic)
        };
        let topics = (0..block.len()).map_while(topic).collect();
        actions.push(Action::PublishSiblings(Arc::new(block), topics));
    }

    fn publish(&mut self, block: Block, actions: &mut Vec<Action>) {
        if block.has_answers() {
            return self.publish_answers(block, actions);
        }
        let destination =
            self.subjects.get_or_insert_default().find(block.subject(), &self.permissions.publish);
        let is_plain = !self.options.verbose
            && destination.is_permitted
            && (destination.is_literal || !self.options.pedantic);
        match &destination.place {
            Place::Topic(topic) if is_plain => {
                let messages = 0..block.len();
                actions.push(Action::Publish {
                    topic: topic.clone(),
                    block: Arc::new(block),
                    messages,
                });
            }
            _ => {
                let destination = destination.clone();
                let block = Arc::new(block);
                for index in 0..block.len() {
                    self.publish_one(&destination, &block, index, actions);
                }
            }
        }
    }

    fn publish_one(
        &self,
        to: &Destination,
        block: &Arc<Block>,
        index: usize,
        actions: &mut Vec<Action>,
    ) {
        if self.options.pedantic && !to.is_literal {
            actions.push(Action::Reply(Reply::Error("Invalid Publish Subject".into())));
        }
        if to.place == Place::TooMuch {
            // With nats-server somebody could have got it.
            actions.push(Action::Lost(block.clone()));
        }
        match &to.place {
            Place::Policy => {
                self.say_ok(actions);
                actions.push(self.policy(block, index));
            }
            Place::Topic(topic) if !to.is_permitted && self.permissions.responses.is_some() => {
                actions.push(Action::PublishAnswer(topic.clone(), block.clone(), index));
            }
            Place::Topic(topic) => {
                self.publish_if(to.is_permitted, topic.clone(), (block, index), actions);
            }
            Place::Nowhere if to.is_permitted => {
                self.say_ok(actions);
                actions.push(Action::NobodyGets(block.clone(), index));
            }
            _ => actions.push(violation("Publish", block.subject(), None)),
        }
    }

    /// Publishes a message, or says that it is not permitted.
    pub fn publish_if(
        &self,
        is_permitted: bool,
        topic: Topic,
        (block, index): (&Arc<Block>, usize),
        actions: &mut Vec<Action>,
    ) {
        if !is_permitted {
            return actions.push(violation("Publish", block.subject(), None));
        }
        self.say_ok(actions);
        let block = block.clone();
        actions.push(Action::Publish { topic, block, messages: index..index + 1 });
    }

    /// The answer to a client's request that nobody can answer; `None` if the client did not ask
    /// for that, or waits nowhere. `find` gives the subscription that matches a topic. (Observed:
    /// members of queue groups are not told; wildcards in the reply's subject are literals.)
    pub fn no_responders(
        &self,
        block: &Block,
        index: usize,
        find: impl FnOnce(&Topic) -> Option<SubscriptionId>,
    ) -> Option<Reply> {
        let reply_to = block.reply_to(index).filter(|_| self.options.no_responders)?;
        let sid = self.waits_at(reply_to, find)?;
        let is_named = self.limits.version >= NatsVersion::V2_15;
        Some(Reply::NoResponders {
            reply_to: Bytes::copy_from_slice(reply_to),
            sid,
            subject: is_named.then(|| Bytes::copy_from_slice(block.subject())),
        })
    }

    /// The server's answer to a request of the client; nothing if it waits nowhere for one.
    pub fn answer(
        &self,
        (block, index): (&Block, usize),
        answer: &Value,
        find: impl FnOnce(&Topic) -> Option<SubscriptionId>,
    ) -> Option<Reply> {
        let reply_to = block.reply_to(index)?;
        let sid = self.waits_at(reply_to, find)?;
        let payload = answer.to_string().into();
        Some(Reply::Answer { reply_to: Bytes::copy_from_slice(reply_to), sid, payload })
    }

    /// The receipt for a client's message; `None` if the client did not ask for one, or
    /// waits nowhere. Nobody else is told.
    pub fn receipt(
        &self,
        (block, index): (&Block, usize),
        receipt: &Receipt,
        find: impl FnOnce(&Topic) -> Option<SubscriptionId>,
    ) -> Option<Reply> {
        let inbox = receipt_inbox(block, index)?;
        let sid = self.waits_at(inbox, find)?;
        let Receipt { matched, queued, dropped, disconnected, remote, .. } = receipt;
        let payload = format!("{matched}/{queued}/{dropped}/{disconnected}/{remote}").into();
        Some(Reply::Answer { reply_to: Bytes::copy_from_slice(inbox), sid, payload })
    }

    fn waits_at(
        &self,
        reply_to: &[u8],
        find: impl FnOnce(&Topic) -> Option<SubscriptionId>,
    ) -> Option<Sid> {
        let topic = Topic::literal(std::str::from_utf8(reply_to).ok()?).ok()?;
        let id = find(&topic)?;
        lock(&self.sids).get(&id).cloned()
    }

    /// The meaning of a request for a policy.
    fn policy(&self, block: &Arc<Block>, index: usize) -> Action {
        let request = PolicyRequest::parse(block.payload(index), &self.limits.policy);
        let request = request.and_then(|request| {
            let is_new = !self.policies.contains_key(&request.target);
            match is_new && self.policies.len() >= NATS_OWN_QUEUES {
                true => {
                    Err(format!("a connection has policies for at most {NATS_OWN_QUEUES} names"))
                }
                false => Ok(request),
            }
        });
        match request {
            Ok(request) => Action::SetPolicy(Box::new(request), block.clone(), index),
            Err(error) => Action::Answer(refused(&error), block.clone(), index),
        }
    }

    /// The policy holds from now on.
    pub fn policy_set(&mut self, PolicyRequest { target, policy }: &PolicyRequest) {
        self.policies.insert(target.clone(), *policy);
    }

    /// The subscription with this name.
    pub fn id_of(&self, sid: &[u8]) -> Option<SubscriptionId> {
        self.subscriptions.get(sid)?.id
    }

    /// The name of a subscription.
    pub fn sid_of(&self, id: SubscriptionId) -> Option<Sid> {
        lock(&self.sids).get(&id).cloned()
    }

    /// The names of all subscriptions.
    pub fn sids(&self) -> &Arc<Sids> {
        &self.sids
    }

    /// The broker has given a subscription another id.
    pub fn moved(&mut self, from: SubscriptionId, to: SubscriptionId) {
        let mut sids = lock(&self.sids);
        if let Some(sid) = sids.remove(&from) {
            if let Some(held) = self.subscriptions.get_mut(&sid) {
                held.id = Some(to);
            }
            sids.insert(to, sid);
        }
    }

    /// The policy that the client asked for this subscription before.
    fn policy_of(&self, sid: &Sid, pattern: &Pattern) -> Option<QueuePolicy> {
        let policies = &self.policies;
        if policies.is_empty() {
            return None;
        }
        let by_subject = || policies.get(&Target::Subject(pattern.clone()));
        policies.get(&Target::Sid(sid.clone())).or_else(by_subject).copied()
    }

    fn subscribe(
        &mut self,
        subject: &Bytes,
        queue: Option<&Bytes>,
        sid: &[u8],
        actions: &mut Vec<Action>,
    ) {
        let pattern = subject::pattern_text(subject).and_then(|text| Pattern::parse(text).ok());
        let rules = &self.permissions.subscribe;
        let group = queue.map(|name| subject::group_name(name));
        let is_permitted = match &pattern {
            Some(pattern) => rules.permit_pattern(pattern, group.as_deref()),
            None => rules.allow_any(),
        };
        if !is_permitted {
            return actions.push(violation("Subscription", subject, queue));
        }
        if self.subscriptions.len() >= self.limits.subscriptions {
            return self.too_many_subscriptions(actions);
        }
        if self.subscriptions.contains_key(sid) {
            return self.say_ok(actions);
        }
        let Some(pattern) = pattern else {
            return actions.push(match subject::is_valid(subject) {
                // It could be subscribed to with nats-server.
                true => violation("Subscription", subject, queue),
                false => Action::Reply(Reply::Error("Invalid Subject".into())),
            });
        };
        let except = rules.kept_from(&pattern, group.as_deref());
        let sid = Sid::from(sid);
        let bytes = subscription_bytes(&pattern, &sid, group.as_deref());
        self.subscription_bytes += bytes;
        let held = Held { id: None, bytes, is_limited: false };
        self.subscriptions.insert(sid.clone(), Box::new(held));
        let policy = self.policy_of(&sid, &pattern);
        actions.push(Action::Subscribe { sid, pattern, group, except, policy });
    }

    /// The broker has made a subscription.
    pub fn subscribed(&mut self, sid: &Sid, id: SubscriptionId, actions: &mut Vec<Action>) {
        if let Some(held) = self.subscriptions.get_mut(sid) {
            held.id = Some(id);
            lock(&self.sids).insert(id, sid.clone());
        }
        self.say_ok(actions);
    }

    /// The broker has refused a subscription.
    pub fn not_subscribed(&mut self, sid: &[u8], actions: &mut Vec<Action>) {
        self.forget(sid);
        self.too_many_subscriptions(actions);
    }

    /// Whether a subscription that ended without the session's knowledge could change what an
    /// operation on this sid means.
    pub fn depends_on_expiry(&self, sid: &[u8]) -> bool {
        match self.subscriptions.get(sid) {
            Some(held) => held.is_limited,
            None => self.subscriptions.len() >= self.limits.subscriptions && self.limited > 0,
        }
    }

    /// A subscription has got as many messages as it was to get.
    pub fn expired(&mut self, sid: &[u8], id: SubscriptionId) {
        // The sid may stand for another one already.
        if self.subscriptions.get(sid).is_some_and(|held| held.id == Some(id)) {
            self.forget(sid);
        }
    }

    fn unsubscribe(&mut self, sid: &[u8], max: Option<u32>, actions: &mut Vec<Action>) {
        match (self.subscriptions.get_mut(sid), max) {
            (None, _) => {}
            (Some(held), Some(max)) => {
                self.limited += usize::from(!held.is_limited);
                held.is_limited = true;
                actions.extend(held.id.map(|id| Action::Limit(id, max.into())));
            }
            (Some(_), None) => {
                let id = self.forget(sid).and_then(|held| held.id);
                actions.extend(id.map(Action::Unsubscribe));
            }
        }
        self.say_ok(actions);
    }

    fn forget(&mut self, sid: &[u8]) -> Option<Box<Held>> {
        let (sid, held) = self.subscriptions.remove_entry(sid)?;
        // The sid may stand for something else next.
        self.policies.remove(&Target::Sid(sid));
        held.id.and_then(|id| lock(&self.sids).remove(&id));
        self.limited -= usize::from(held.is_limited);
        self.subscription_bytes -= held.bytes;
        Some(held)
    }

    fn too_many_subscriptions(&self, actions: &mut Vec<Action>) {
        actions.push(Action::Reply(Reply::Error("maximum subscriptions exceeded".into())));
    }

    fn say_ok(&self, actions: &mut Vec<Action>) {
        if self.options.verbose {
            actions.push(Action::Reply(Reply::Ok));
        }
    }
}

fn end_with(text: &'static str, actions: &mut Vec<Action>) {
    actions.push(Action::Reply(Reply::Error(text.into())));
    actions.push(Action::End(text));
}

/// Of a rule, or of what a topic can be. Client libraries keep the connection, and tell the
/// program.
fn violation(of: &str, subject: &[u8], queue: Option<&Bytes>) -> Action {
    let text = violation_text(of, subject, queue.map(|name| &name[..]));
    Action::Reply(Reply::Error(text.into()))
}

fn violation_text(of: &str, subject: &[u8], queue: Option<&[u8]>) -> String {
    let using = queue.map(|name| format!(" using queue {}", quoted(name))).unwrap_or_default();
    format!("Permissions Violation for {of} to {}{using}", quoted(subject))
}

/// As Go quotes it: what cannot be printed is escaped.
fn quoted(bytes: &[u8]) -> String {
    const SHORT: [char; 7] = ['a', 'b', 't', 'n', 'v', 'f', 'r'];
    let escaped = |byte: &u8| format!("\\x{byte:02x}");
    let quoted = |character: char| match character {
        '"' | '\\' => format!("\\{character}"),
        '\x07'..='\r' => format!("\\{}", SHORT[character as usize - 7]),
        '\0'..=' ' | '\x7f' if character != ' ' => escaped(&(character as u8)),
        _ => character.to_string(),
    };
    let chunk = |chunk: Utf8Chunk<'_>| {
        let valid: String = chunk.valid().chars().map(quoted).collect();
        valid + &chunk.invalid().iter().map(escaped).collect::<String>()
    };
    format!("\"{}\"", bytes.utf8_chunks().map(chunk).collect::<String>())
}

/// Memory that a subscription takes: its subject twice, as a pattern and in the tree of
/// subscriptions, and its names once.
fn subscription_bytes(pattern: &Pattern, sid: &[u8], group: Option<&str>) -> usize {
    let (itself, each_token) = NATS_SUBSCRIPTION_BYTES;
    let names = 2 * pattern.as_str().len() + sid.len() + group.map_or(0, str::len);
    itself + each_token * pattern.tokens().count() + names
}

#[cfg(test)]
mod tests;

//! What a client's operations mean: state without I/O. Operations go in, actions come out.
//!
//! The order of checks is nats-server's, observed: where two errors apply, clients get the one that it would give.

use super::connect::{ConnectOptions, Credentials};
use super::permissions::Permissions;
use super::subjects::{Destination, Place, Subjects};
use crate::broker::{Pattern, SubscriptionId, Topic};
use crate::codec::nats::{self as codec, Block, Operation, ProtocolError, subject};
use bytes::Bytes;
use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

/// One client's state.
pub struct Session {
    limits: SessionLimits,
    options: ConnectOptions,
    is_admitted: bool,
    permissions: Arc<Permissions>,
    subjects: Subjects,
    subscriptions: HashMap<Bytes, Held>,
}

/// What a session has to know of its server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionLimits {
    /// Subscriptions at the same time.
    pub subscriptions: usize,
    /// Whether a client has to say who it is.
    pub authentication_required: bool,
}

/// A subscription as the session knows it.
struct Held {
    pattern: Pattern,
    /// None while it is being made.
    id: Option<SubscriptionId>,
    /// It ends by itself after some messages, which only the writing half counts.
    is_limited: bool,
}

/// What is to be done for an operation, in order.
#[derive(Debug)]
pub enum Action {
    /// Say this.
    Reply(Reply),
    /// Find out who that is; then [`Session::admitted`] or [`Session::refused`].
    Admit(Credentials),
    /// Publish these messages of a block. For each that wants an answer and that nobody is to get:
    /// [`Session::no_responders`].
    Publish {
        /// Where.
        topic: Topic,
        /// What.
        block: Arc<Block>,
        /// Which of them.
        messages: Range<usize>,
    },
    /// Note that a message of this block can reach nobody here, although its subject is right for NATS.
    Lost(Arc<Block>),
    /// Subscribe, and say [`Session::subscribed`] or [`Session::not_subscribed`].
    Subscribe {
        /// The client's name for it.
        sid: Bytes,
        /// To what.
        pattern: Pattern,
        /// In which queue group.
        group: Option<String>,
        /// Some of what it matches is forbidden by these, and must not be sent.
        filter: Option<Arc<Permissions>>,
    },
    /// End a subscription.
    Unsubscribe(SubscriptionId),
    /// End a subscription when it has got so many messages in all, perhaps at once.
    Limit(SubscriptionId, u64),
    /// The client has connected: what it said counts from now on.
    Connected,
    /// Close the connection when everything said has been sent: because of this.
    End(&'static str),
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`
    Ok,
    /// `PONG`
    Pong,
    /// `-ERR`
    Error(Cow<'static, str>),
    /// Nobody is there to answer.
    NoResponders {
        /// Where the answer was to go.
        reply_to: Bytes,
        /// The subscription that waits for it.
        sid: Bytes,
    },
}

impl Reply {
    /// Appends it as the client is sent it.
    pub fn append(&self, out: &mut Vec<u8>) {
        match self {
            Reply::Ok => codec::append_ok(out),
            Reply::Pong => codec::append_pong(out),
            Reply::Error(text) => codec::append_error(out, text),
            Reply::NoResponders { reply_to, sid } => codec::append_no_responders(out, reply_to, sid),
        }
    }
}

impl Session {
    /// A client that has just connected.
    pub fn new(limits: SessionLimits) -> Session {
        Session {
            limits,
            options: ConnectOptions::default(),
            is_admitted: !limits.authentication_required,
            permissions: Arc::default(),
            subjects: Subjects::default(),
            subscriptions: HashMap::new(),
        }
    }

    /// What the client said of itself.
    pub fn options(&self) -> &ConnectOptions {
        &self.options
    }

    /// Whether the client may do anything but `CONNECT`.
    pub fn is_admitted(&self) -> bool {
        self.is_admitted
    }

    /// What the client may do.
    pub fn permissions(&self) -> &Arc<Permissions> {
        &self.permissions
    }

    /// How many subscriptions it has.
    pub fn subscriptions(&self) -> usize {
        self.subscriptions.len()
    }

    /// Says what an operation means.
    pub fn handle(&mut self, operation: Operation, actions: &mut Vec<Action>) {
        match operation {
            Operation::Publish(block) => self.publish(block, actions),
            Operation::Ping => actions.push(Action::Reply(Reply::Pong)),
            Operation::Pong | Operation::Ok | Operation::Info(_) => {}
            Operation::Subscribe { subject, queue, sid } => self.subscribe(&subject, queue.as_ref(), sid, actions),
            Operation::Unsubscribe { sid, max } => self.unsubscribe(&sid, max, actions),
            Operation::Connect(json) => self.connect(&json, actions),
        }
    }

    /// Says what a mistake means.
    pub fn mistake(&self, error: ProtocolError, actions: &mut Vec<Action>) {
        if let Some(text) = error.text() {
            actions.push(Action::Reply(Reply::Error(text.into())));
        }
        actions.push(Action::End(error.text().unwrap_or("protocol violation")));
    }

    fn connect(&mut self, json: &[u8], actions: &mut Vec<Action>) {
        let mut options = self.options.clone();
        if options.update(json).is_err() {
            return actions.push(Action::End("bad CONNECT"));
        }
        self.options = options;
        if self.limits.authentication_required {
            actions.push(Action::Admit(self.options.credentials.clone()));
        } else {
            self.accept(actions);
        }
    }

    /// The client is who it says, and may do this.
    pub fn admitted(&mut self, permissions: Arc<Permissions>, actions: &mut Vec<Action>) {
        self.is_admitted = true;
        self.permissions = permissions;
        self.subjects.forget();
        self.accept(actions);
    }

    /// The client is not who it says.
    pub fn refused(&self, actions: &mut Vec<Action>) {
        end_with("Authorization Violation", actions);
    }

    fn accept(&mut self, actions: &mut Vec<Action>) {
        let options = &self.options;
        if options.account.is_some() {
            end_with("Authorization Violation", actions);
        } else if !(0..=1).contains(&options.protocol) {
            end_with("invalid client protocol", actions);
        } else if options.no_responders && !options.headers {
            end_with("no responders requires headers support", actions);
        } else {
            actions.push(Action::Connected);
            self.say_ok(actions);
        }
    }

    fn publish(&mut self, block: Block, actions: &mut Vec<Action>) {
        let destination = self.subjects.find(block.subject(), &self.permissions.publish);
        let is_plain =
            !self.options.verbose && destination.is_permitted && (destination.is_literal || !self.options.pedantic);
        match &destination.place {
            Place::Topic(topic) if is_plain => {
                let messages = 0..block.len();
                actions.push(Action::Publish { topic: topic.clone(), block: Arc::new(block), messages });
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

    fn publish_one(&self, to: &Destination, block: &Arc<Block>, index: usize, actions: &mut Vec<Action>) {
        let mut complain = |text: Cow<'static, str>| actions.push(Action::Reply(Reply::Error(text)));
        let goes_nowhere = to.place == Place::TooMuch;
        if self.options.pedantic && (goes_nowhere || !to.is_literal) {
            complain("Invalid Publish Subject".into());
        }
        if !to.is_permitted {
            let text = format!("Permissions Violation for Publish to {}", quoted(block.subject()));
            return complain(text.into());
        }
        self.say_ok(actions);
        if goes_nowhere {
            // With nats-server somebody could have got it.
            actions.push(Action::Lost(block.clone()));
        }
        match &to.place {
            Place::Topic(topic) => {
                actions.push(Action::Publish { topic: topic.clone(), block: block.clone(), messages: index..index + 1 })
            }
            _ => actions.extend(self.no_responders(block.reply_to(index)).map(Action::Reply)),
        }
    }

    /// What the client is told when nobody is there to answer a request; nothing if it did not ask for that, or waits nowhere.
    pub fn no_responders(&self, reply_to: Option<&[u8]>) -> Option<Reply> {
        let reply_to = reply_to.filter(|_| self.options.no_responders)?;
        let topic = Topic::parse(subject::topic_text(reply_to)?).ok()?;
        let (sid, _) = self.subscriptions.iter().find(|(_, held)| held.pattern.matches(&topic))?;
        Some(Reply::NoResponders { reply_to: Bytes::copy_from_slice(reply_to), sid: sid.clone() })
    }

    fn subscribe(&mut self, subject: &Bytes, queue: Option<&Bytes>, sid: Bytes, actions: &mut Vec<Action>) {
        let pattern = subject::pattern_text(subject).and_then(|text| Pattern::parse(text).ok());
        let rules = &self.permissions.subscribe;
        let is_permitted = match &pattern {
            Some(pattern) => rules.permit_pattern(pattern),
            None => rules.allow.is_empty(),
        };
        if !is_permitted {
            let mut text = format!("Permissions Violation for Subscription to {}", quoted(subject));
            if let Some(queue) = queue {
                text.push_str(" using queue ");
                text.push_str(&quoted(queue));
            }
            return actions.push(Action::Reply(Reply::Error(text.into())));
        }
        if self.subscriptions.len() >= self.limits.subscriptions {
            return self.too_many_subscriptions(actions);
        }
        if self.subscriptions.contains_key(&sid) {
            return self.say_ok(actions);
        }
        let Some(pattern) = pattern else {
            return actions.push(Action::Reply(Reply::Error("Invalid Subject".into())));
        };
        let filter = rules.deny_part_of(&pattern).then(|| self.permissions.clone());
        let group = queue.map(text_of);
        self.subscriptions.insert(sid.clone(), Held { pattern: pattern.clone(), id: None, is_limited: false });
        actions.push(Action::Subscribe { sid, pattern, group, filter });
    }

    /// A subscription was made.
    pub fn subscribed(&mut self, sid: &Bytes, id: SubscriptionId, actions: &mut Vec<Action>) {
        if let Some(held) = self.subscriptions.get_mut(sid) {
            held.id = Some(id);
        }
        self.say_ok(actions);
    }

    /// A subscription could not be made.
    pub fn not_subscribed(&mut self, sid: &Bytes, actions: &mut Vec<Action>) {
        self.subscriptions.remove(sid);
        self.too_many_subscriptions(actions);
    }

    /// Whether it matters for what an operation on this sid means that a subscription may have ended without the session's
    /// knowledge.
    pub fn depends_on_expiry(&self, sid: &Bytes) -> bool {
        let is_limited = |held: &Held| held.is_limited;
        match self.subscriptions.get(sid) {
            Some(held) => held.is_limited,
            None => {
                self.subscriptions.len() >= self.limits.subscriptions && self.subscriptions.values().any(is_limited)
            }
        }
    }

    /// A subscription has got as many messages as it was to get.
    pub fn expired(&mut self, sid: &Bytes, id: SubscriptionId) {
        // The sid may stand for another one already.
        if self.subscriptions.get(sid).is_some_and(|held| held.id == Some(id)) {
            self.subscriptions.remove(sid);
        }
    }

    fn unsubscribe(&mut self, sid: &Bytes, max: Option<u32>, actions: &mut Vec<Action>) {
        match (self.subscriptions.get_mut(sid), max) {
            (None, _) => {}
            (Some(held), Some(max)) => {
                held.is_limited = true;
                actions.extend(held.id.map(|id| Action::Limit(id, max.into())));
            }
            (Some(_), None) => {
                let held = self.subscriptions.remove(sid);
                actions.extend(held.and_then(|held| held.id).map(Action::Unsubscribe));
            }
        }
        self.say_ok(actions);
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

/// As Go quotes it: what cannot be printed is escaped.
fn quoted(bytes: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(bytes))
}

/// Two byte strings that differ give texts that differ.
fn text_of(bytes: &Bytes) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

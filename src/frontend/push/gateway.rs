//! The gateway itself: a push goes in, whichever way it came, and its receipt comes out.
//!
//! Pushes take turns: each gets its number and is handed to the queues of its audience in one step, by one publisher. So the
//! order of numbers is the order in every queue, and who returns with the number it saw last has seen all before it.
//!
//! A push that has to wait for a full queue takes the publisher with it, and the next gets a new one. So it holds up nobody,
//! and nobody overtakes: what a publisher has sent comes before what its successor sends, and the waiting stand in line.

use super::fates::{Fate, Fates};
use super::settings::PushSettings;
use super::stamp::Stamp;
use crate::broker::{Broker, PublishError, Publisher, Receipt, Topic};
use crate::codec::datagram::{Push, Target};
use crate::diagnostics::FrontEnd;
use crate::frontend::message::ServerMessage;
use crate::tasks::{Limiter, Permit, Scope, Tasks};
use serde::Serialize;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::SystemTime;

/// Takes pushes. Shared by all ways in and out.
pub struct Gateway {
    pub(super) broker: Broker<ServerMessage>,
    pub(super) settings: PushSettings,
    pub(super) front_end: Arc<FrontEnd>,
    pub(super) counters: Counters,
    turn: Mutex<Turn>,
    fates: Mutex<Fates>,
    at_once: Limiter,
    /// In which a push that has to wait is handled.
    scope: Scope,
}

struct Turn {
    last_number: u64,
    /// None while there was no push, or after one that had to wait took it along.
    publisher: Option<Publisher<ServerMessage>>,
}

/// What became of a push by the time it was handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PushReceipt {
    /// Its number.
    pub n: u64,
    /// Its id: its sender's, or its number.
    pub id: String,
    /// Connections that it is queued for.
    pub reached: u64,
    /// Connections that had no room for it.
    pub missed: u64,
}

/// Why a push was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushRefusal {
    /// As many are being handled as may be. Nobody got it; it can be tried again.
    Busy,
    /// It took too long: some may have got it, the others miss it.
    TimedOut,
    /// The topic cannot be one, or the push cannot become a message.
    BadTopic(String),
    /// An option that only pushes to users, groups or all can have.
    NotForTopics,
    /// The server is ending.
    Closed,
}

impl fmt::Display for PushRefusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PushRefusal::Busy => write!(out, "too many pushes at once; try again"),
            PushRefusal::TimedOut => write!(out, "it took too long; not everybody got it"),
            PushRefusal::BadTopic(problem) => write!(out, "{problem}"),
            PushRefusal::NotForTopics => write!(out, "id, ttl and ack are for users, groups and all"),
            PushRefusal::Closed => write!(out, "the server is ending"),
        }
    }
}

impl std::error::Error for PushRefusal {}

macro_rules! counters {
    ($( $(#[$attribute:meta])* $name:ident, )*) => {
        /// Counters of a gateway.
        #[derive(Debug, Default)]
        pub(super) struct Counters { $( pub $name: Counter, )* }

        /// What a gateway has counted since its start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
        pub struct PushFigures { $( $(#[$attribute])* pub $name: u64, )* }

        impl Counters {
            pub fn figures(&self) -> PushFigures {
                PushFigures { $( $name: self.$name.get(), )* }
            }
        }
    };
}

counters! {
    /// Datagrams that arrived.
    datagrams,
    /// Datagrams larger than they may be.
    oversized,
    /// Datagrams, or pushes in them, that are in no known form.
    malformed,
    /// Unsigned datagrams that are not taken.
    unsigned,
    /// Datagrams with a signature that is wrong, or of an unknown key.
    forged,
    /// Signed datagrams whose time is too far from ours.
    stale,
    /// Signed datagrams that were taken before.
    replayed,
    /// Signed datagrams refused because too many are remembered.
    signatures_full,
    /// Pushes to whom their sender may not push.
    denied,
    /// Pushes dropped because as many were handled as may be.
    busy,
    /// Pushes that took too long.
    timed_out,
    /// Pushes accepted.
    pushes,
    /// Deliveries queued for a connection.
    reached,
    /// Deliveries for which a connection had no room.
    missed,
    /// Deliveries that were too old when their turn came.
    expired,
    /// Acknowledgements.
    acknowledged,
    /// Pushes sent again to somebody who returned.
    replays,
    /// Answers to datagrams.
    answers,
}

/// One counter.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Counter {
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How a push began.
pub(super) enum Begun {
    /// It is done: everybody had room.
    Done(PushReceipt),
    /// It waits for somebody; [`Gateway::finish`] goes on.
    Waits(Box<Waiting>),
}

/// A push that waits for full queues.
pub(super) struct Waiting {
    publishing: Publishing,
    noted: Noted,
    _permit: Permit,
}

type Publishing =
    Pin<Box<dyn Future<Output = (Publisher<ServerMessage>, Result<Receipt, PublishError<ServerMessage>>)> + Send>>;

/// What has to be known of a push when it is done.
struct Noted {
    topic: Topic,
    number: u64,
    id: String,
    wants_ack: bool,
}

impl Gateway {
    pub(super) fn new(
        broker: &Broker<ServerMessage>,
        tasks: &Tasks,
        settings: PushSettings,
        front_end: Arc<FrontEnd>,
    ) -> Gateway {
        Gateway {
            broker: broker.clone(),
            settings,
            front_end,
            counters: Counters::default(),
            // From the time, so that numbers go on growing after a restart.
            turn: Mutex::new(Turn { last_number: now_ms() * 1000, publisher: None }),
            fates: Mutex::default(),
            at_once: Limiter::new(settings.at_once),
            scope: tasks.scope("pushes"),
        }
    }

    /// What it has counted.
    pub fn figures(&self) -> PushFigures {
        self.counters.figures()
    }

    /// What became of the latest push of an id, if it asked to be acknowledged and is remembered.
    pub fn fate(&self, id: &str) -> Option<Fate> {
        lock(&self.fates).find(id).cloned()
    }

    /// Handles a push to its end, or its time-out.
    ///
    /// # Errors
    /// See [`PushRefusal`].
    pub async fn push(&self, push: &Push<'_>) -> Result<PushReceipt, PushRefusal> {
        match self.begin(push)? {
            Begun::Done(receipt) => Ok(receipt),
            Begun::Waits(waiting) => self.finish(*waiting).await,
        }
    }

    /// Hands a push to everybody who has room, without waiting.
    pub(super) fn begin(&self, push: &Push<'_>) -> Result<Begun, PushRefusal> {
        let topic = topic_of(push.target)?;
        let is_stamped = !matches!(push.target, Target::Topic(_));
        if !is_stamped && (push.id.is_some() || push.ttl_s.is_some() || push.wants_ack) {
            return Err(PushRefusal::NotForTopics);
        }
        let Some(permit) = self.at_once.try_acquire() else {
            self.counters.busy.add(1);
            return Err(PushRefusal::Busy);
        };
        let mut turn = lock(&self.turn);
        let number = turn.last_number + 1;
        let id = push.id.map_or_else(|| number.to_string(), str::to_owned);
        let message = match is_stamped {
            true => {
                let ttl_ms = push.ttl_s.unwrap_or(self.settings.ttl_s) * 1000;
                let expires_ms = (ttl_ms > 0).then(|| now_ms() + ttl_ms);
                let stamp = Stamp { number, expires_ms, wants_ack: push.wants_ack, id: &id };
                stamp.on(push.payload).ok_or_else(|| PushRefusal::BadTopic("that is no id".to_owned()))?
            }
            false => ServerMessage::of(push.payload.to_vec()),
        };
        turn.last_number = number;
        if push.wants_ack {
            // Before it can be acknowledged.
            lock(&self.fates).begin(number, &id);
        }
        let noted = Noted { topic: topic.clone(), number, id, wants_ack: push.wants_ack };
        let mut publisher = turn.publisher.take().unwrap_or_else(|| self.broker.publisher());
        let mut publishing: Publishing = Box::pin(async move {
            let result = publisher.publish(&topic, message).await;
            (publisher, result)
        });
        // Who has room has it after this; whoever polls next registers its own waker.
        match publishing.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready((publisher, result)) => {
                turn.publisher = Some(publisher);
                drop(turn);
                self.done(noted, result).map(Begun::Done)
            }
            Poll::Pending => Ok(Begun::Waits(Box::new(Waiting { publishing, noted, _permit: permit }))),
        }
    }

    /// Waits for those who are full, as long as a push may take.
    pub(super) async fn finish(&self, waiting: Waiting) -> Result<PushReceipt, PushRefusal> {
        let Waiting { publishing, noted, _permit } = waiting;
        match self.scope.with_timeout("push", self.settings.timeout, |_| publishing).await {
            Ok((_, result)) => self.done(noted, result),
            Err(_) => {
                self.counters.timed_out.add(1);
                Err(PushRefusal::TimedOut)
            }
        }
    }

    /// A connection acknowledged a push that it was sent.
    pub(super) fn acknowledge(&self, number: u64) {
        self.counters.acknowledged.add(1);
        if let Some(fate) = lock(&self.fates).of(number) {
            fate.acknowledged += 1;
        }
    }

    /// A push was too old when its turn came.
    pub(super) fn expire(&self, stamp: &Stamp<'_>) {
        self.counters.expired.add(1);
        if stamp.wants_ack
            && let Some(fate) = lock(&self.fates).of(stamp.number)
        {
            fate.expired += 1;
        }
    }

    fn done(
        &self,
        noted: Noted,
        result: Result<Receipt, PublishError<ServerMessage>>,
    ) -> Result<PushReceipt, PushRefusal> {
        let receipt = result.map_err(|_| PushRefusal::Closed)?;
        let (reached, missed) = (receipt.queued, receipt.dropped + receipt.disconnected);
        self.counters.pushes.add(1);
        self.counters.reached.add(reached);
        self.counters.missed.add(missed);
        self.front_end.dropped(noted.topic.as_str(), missed);
        if noted.wants_ack
            && let Some(fate) = lock(&self.fates).of(noted.number)
        {
            (fate.reached, fate.missed) = (reached, missed);
        }
        Ok(PushReceipt { n: noted.number, id: noted.id, reached, missed })
    }
}

/// Where a target's pushes go. User ids and group names were checked to be single tokens.
pub(super) fn topic_of(target: Target<'_>) -> Result<Topic, PushRefusal> {
    let text = match target {
        Target::User(id) => format!("push.user.{id}"),
        Target::Group(name) => format!("push.group.{name}"),
        Target::All => "push.all".to_owned(),
        Target::Topic(topic) => topic.to_owned(),
    };
    Topic::parse(&text).map_err(|error| PushRefusal::BadTopic(error.to_string()))
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Nothing of ours panics under these locks, so a poisoned one holds nothing half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

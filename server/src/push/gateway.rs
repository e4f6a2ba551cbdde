//! The gateway itself: a push goes in, by whatever ingress, and its receipt comes out.
//!
//! Pushes take turns: one publisher numbers each and hands it to all queues of its audience in one
//! step. So the order of numbers is the order in every queue, and a client that returns with the
//! last number it saw has seen every push before it.
//!
//! A push that has to wait for a full queue takes the publisher with it, and the next push gets a
//! new one. So it neither delays other pushes nor is overtaken: a publisher's messages come before
//! its successor's, and both are in the queue's wait queue.

use super::ack_tracker::{AckTracker, AckWaiter, PushStatus, ToWake};
use super::counters::{Counters, Ingress, PushFigures};
use super::loss_log::{Loss, LossLog, Lost};
use super::recent::Recent;
use super::settings::PushSettings;
use super::stored::{LeftPushes, StoredPushes};
use crate::codec::datagram::{Push, Remembered, Target};
use crate::diagnostics::{Family, FrontEnd};
use crate::limits::PUSH_TTL_MAX_S;
use crate::locks::lock;
use crate::message::{PushHeader, ServerMessage};
use crate::store::{Answer, Store};
use crate::tasks::{Limiter, Permit, Scope, Tasks};
use crate::time::now_ms;
use fanfare::{Broker, PublishError, Publisher, Receipt, Topic};
use serde::Serialize;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Takes pushes. Shared by everything that brings or delivers them.
pub struct Gateway {
    pub(super) broker: Broker<ServerMessage>,
    pub(super) settings: PushSettings,
    pub(super) front_end: Arc<FrontEnd>,
    pub(super) counters: Arc<Counters>,
    /// Where pushes are kept through a restart, if anywhere.
    pub(super) stored: Option<StoredPushes>,
    turn: Mutex<Turn>,
    acks: Arc<Mutex<AckTracker>>,
    loss_log: LossLog,
    at_once: Limiter,
    /// Senders that wait for acknowledgements.
    ack_waits: Limiter,
    /// Owns the pushes that have to wait.
    scope: Scope,
}

struct Turn {
    last_number: u64,
    recent: Recent,
    /// None before the first push, and after one that had to wait took it along.
    publisher: Option<Publisher<ServerMessage>>,
}

/// The outcome of a push once it was handed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PushReceipt {
    /// The push's number.
    pub n: u64,
    /// The id that its sender gave it, or its number.
    pub id: String,
    /// Connections that the push is queued for.
    pub reached: u64,
    /// Connections that had no room for the push.
    pub missed: u64,
    /// Whether the push should be in the database, but is not known to be there.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub unstored: bool,
    /// The rest of the receipt, if the sender waited for acknowledgements.
    #[serde(flatten)]
    pub settled: Option<Settled>,
}

/// The outcome of a push while its sender waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// Connections for which the push was too old when their turn came.
    pub expired: u64,
    /// Connections that have acknowledged the push.
    pub acknowledged: u64,
}

/// Why a push was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushRefusal {
    /// The gateway handles as many pushes as it may. Nobody got this one; it can be tried again.
    Busy,
    /// The push took too long: some may have got it, the others miss it.
    TimedOut,
    /// The target's topic is not valid.
    BadTopic(String),
    /// The push has an option that only pushes to users, groups or all can have.
    NotForTopics,
    /// The server is stopping.
    Closed,
}

impl fmt::Display for PushRefusal {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => write!(out, "too many pushes at once; try again"),
            Self::TimedOut => write!(out, "it took too long; not everybody got it"),
            Self::BadTopic(problem) => write!(out, "{problem}"),
            Self::NotForTopics => {
                write!(out, "id, ttl and ack are for users, groups and all")
            }
            Self::Closed => write!(out, "the server is ending"),
        }
    }
}

impl std::error::Error for PushRefusal {}

/// How a push began.
pub(super) enum Begun {
    /// Everybody had room.
    Done(HandedOver),
    /// Somebody is full; [`Gateway::finish`] waits.
    Waits(Box<Waiting>),
}

/// A push that waits for full queues.
pub(super) struct Waiting {
    publishing: Publishing,
    record: Record,
    _permit: Permit,
}

/// A push that is in every queue that had room.
pub(super) struct HandedOver {
    pub receipt: PushReceipt,
    acks: Option<AckWait>,
    stored: Option<StoreWait>,
}

/// A sender's wait until its push is stored.
struct StoreWait {
    answer: Answer<()>,
    until: Instant,
}

/// A sender's wait for acknowledgements.
struct AckWait {
    waiter: Arc<AckWaiter>,
    until: Instant,
    _permit: Permit,
}

impl HandedOver {
    /// Whether its sender waits for more; [`Gateway::settled`] goes on.
    pub fn is_awaited(&self) -> bool {
        self.acks.is_some() || self.stored.is_some()
    }
}

type Publishing = Pin<
    Box<
        dyn Future<
                Output = (Publisher<ServerMessage>, Result<Receipt, PublishError<ServerMessage>>),
            > + Send,
    >,
>;

/// The gateway's record of a push until it is done.
struct Record {
    ingress: Ingress,
    /// The target as its sender wrote it.
    target: String,
    number: u64,
    id: String,
    wants_ack: bool,
    acks: Option<AckWait>,
    stored: Option<StoreWait>,
}

impl Gateway {
    /// A gateway that continues from what earlier servers left. Also returns the datagrams that
    /// they accepted.
    pub(super) fn new(
        broker: &Broker<ServerMessage>,
        tasks: &Tasks,
        settings: PushSettings,
        front_end: Arc<FrontEnd>,
        left: Option<(Store, LeftPushes)>,
    ) -> (Self, Remembered) {
        let counters = Arc::<Counters>::default();
        let stored = left.map(|(store, left)| StoredPushes::new(store, left, counters.clone()));
        let (stored, last_number, recent, remembered) = match stored {
            Some((stored, number, recent, remembered)) => {
                (Some(stored), number, recent, remembered)
            }
            None => {
                // The first number comes from the time, so numbers keep growing after a restart.
                let (now_ms, mut recent) = (now_ms(), Recent::default());
                recent.forget_before(now_ms * 1000, now_ms + PUSH_TTL_MAX_S * 1000);
                (None, now_ms * 1000, recent, Remembered::default())
            }
        };
        let gateway = Self {
            broker: broker.clone(),
            settings,
            loss_log: LossLog::new(front_end.clone()),
            front_end,
            counters,
            stored,
            turn: Mutex::new(Turn { last_number, recent, publisher: None }),
            acks: Arc::default(),
            at_once: Limiter::new(settings.at_once),
            ack_waits: Limiter::new(settings.ack_waits),
            scope: tasks.scope("pushes"),
        };
        gateway.tell_figures();
        (gateway, remembered)
    }

    /// Has the front-end show the gateway's figures. The closures hold parts of the gateway: the
    /// gateway holds the front-end, which must not hold the gateway.
    fn tell_figures(&self) {
        let (broker, counters, acks) =
            (self.broker.clone(), self.counters.clone(), self.acks.clone());
        let (at_once, ack_waits) = (self.at_once.clone(), self.ack_waits.clone());
        let measured = move || {
            let of_pushes = |topic: &Topic| topic.as_str().starts_with("push.");
            let kept = broker
                .topic_stats()
                .into_iter()
                .filter(|stats| of_pushes(&stats.topic))
                .map(|stats| stats.kept);
            vec![
                Family::gauge(
                    "push_kept",
                    "Pushes kept for clients that return",
                    kept.map(|kept| kept as u64).sum(),
                ),
                Family::gauge(
                    "push_waiting",
                    "Pushes that wait for full queues",
                    at_once.in_use() as u64,
                ),
                Family::gauge(
                    "push_ack_waits",
                    "Senders that wait for acknowledgements",
                    ack_waits.in_use() as u64,
                ),
                Family::gauge(
                    "push_fates",
                    "Pushes whose acknowledgements are tracked",
                    lock(&acks).len() as u64,
                ),
            ]
        };
        self.front_end.tells(move || counters.figures().families(), measured);
    }

    /// The gateway's counters.
    pub fn figures(&self) -> PushFigures {
        self.counters.figures()
    }

    /// The outcome of the latest push with an id, if it asked to be acknowledged and is still
    /// tracked.
    pub fn status(&self, id: &str) -> Option<PushStatus> {
        lock(&self.acks).find(id).cloned()
    }

    /// Handles a push until it is done or times out, and waits for acknowledgements if the push
    /// asks for them.
    pub async fn push(
        &self,
        ingress: Ingress,
        push: &Push<'_>,
    ) -> Result<PushReceipt, PushRefusal> {
        let handed_over = self.hand_over(ingress, push).await?;
        Ok(self.settled(handed_over).await)
    }

    /// Handles a push until it is done or times out, without waiting for acknowledgements.
    pub(super) async fn hand_over(
        &self,
        ingress: Ingress,
        push: &Push<'_>,
    ) -> Result<HandedOver, PushRefusal> {
        self.finish(self.begin(ingress, push)?).await
    }

    /// Hands a push to every queue that has room, without waiting.
    pub(super) fn begin(&self, ingress: Ingress, push: &Push<'_>) -> Result<Begun, PushRefusal> {
        self.try_begin(ingress, push).inspect_err(|refusal| self.refused(ingress, refusal))
    }

    fn try_begin(&self, ingress: Ingress, push: &Push<'_>) -> Result<Begun, PushRefusal> {
        let topic = topic_of(push.target)?;
        let has_header = !matches!(push.target, Target::Topic(_));
        if !has_header && (push.id.is_some() || push.ttl_s.is_some() || push.wants_ack) {
            return Err(PushRefusal::NotForTopics);
        }
        let permit = self.at_once.try_acquire().ok_or(PushRefusal::Busy)?;
        let acks = push.ack_wait_ms.map(|ms| self.ack_wait(ms)).transpose()?;
        let mut turn = lock(&self.turn);
        let number = turn.last_number + 1;
        let id = push.id.map_or_else(|| number.to_string(), str::to_owned);
        let header = has_header.then(|| {
            let ttl_ms = push.ttl_s.unwrap_or(self.settings.ttl_s) * 1000;
            Arc::new(PushHeader {
                number,
                expires_ms: (ttl_ms > 0).then(|| now_ms() + ttl_ms),
                wants_ack: push.wants_ack,
                id: id.as_str().into(),
            })
        });
        let message = ServerMessage { push: header, ..ServerMessage::of(push.payload.to_vec()) };
        let kept = self.is_stored(&message).then(|| (topic.clone(), message.clone()));
        turn.last_number = number;
        if let Some(header) = &message.push {
            turn.recent.add(&topic, header);
        }
        if push.wants_ack {
            // Before the push can be acknowledged.
            let waiter = acks.as_ref().map(|acks| acks.waiter.clone());
            self.track(|tracker| tracker.begin(number, &id, waiter));
        }
        let mut record = Record {
            ingress,
            target: push.target.to_string(),
            number,
            id,
            wants_ack: push.wants_ack,
            acks,
            stored: None,
        };
        let mut publisher = turn.publisher.take().unwrap_or_else(|| self.broker.publisher());
        let mut publishing: Publishing = Box::pin(async move {
            let result = publisher.publish(&topic, message).await;
            (publisher, result)
        });
        // After this poll every queue with room has the push; the next poll brings its own waker.
        let published = publishing.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let result = match published {
            Poll::Ready((publisher, result)) => {
                turn.publisher = Some(publisher);
                Some(result)
            }
            Poll::Pending => None,
        };
        drop(turn);
        if result.as_ref().is_none_or(Result::is_ok) {
            let is_awaited = push.wants_answer || ingress == Ingress::Http;
            record.stored = kept.and_then(|kept| self.keep(kept, is_awaited));
        }
        match result {
            Some(result) => self.done(record, result).map(Begun::Done),
            None => Ok(Begun::Waits(Box::new(Waiting { publishing, record, _permit: permit }))),
        }
    }

    /// Whether a push outlives the server: it is kept for clients that are away.
    fn is_stored(&self, message: &ServerMessage) -> bool {
        let is_kept = message.push.as_ref().is_some_and(|header| header.expires_ms.is_some());
        is_kept && self.stored.is_some() && self.settings.replay > 0
    }

    /// Stores a push. Every queue with room has it already, so a slow disk delays nobody.
    fn keep(
        &self,
        (topic, message): (Topic, ServerMessage),
        is_awaited: bool,
    ) -> Option<StoreWait> {
        let (stored, header) = (self.stored.as_ref()?, message.push.as_ref()?);
        let answer = stored.keep((&topic, header, &message), self.settings.replay, is_awaited)?;
        Some(StoreWait { answer, until: Instant::now() + self.settings.timeout })
    }

    /// Reserves the sender's wait before anybody gets the push, so a refused push can be tried
    /// again.
    fn ack_wait(&self, ms: u64) -> Result<AckWait, PushRefusal> {
        let _permit = self.ack_waits.try_acquire().ok_or(PushRefusal::Busy)?;
        Ok(AckWait {
            waiter: Arc::default(),
            until: Instant::now() + Duration::from_millis(ms),
            _permit,
        })
    }

    /// Waits for the queues that are full, if any, for as long as a push may take.
    pub(super) async fn finish(&self, begun: Begun) -> Result<HandedOver, PushRefusal> {
        let Waiting { publishing, record, _permit } = match begun {
            Begun::Done(handed_over) => return Ok(handed_over),
            Begun::Waits(waiting) => *waiting,
        };
        let ingress = record.ingress;
        let result =
            match self.scope.with_timeout("push", self.settings.timeout, |_| publishing).await {
                Some((_, result)) => self.done(record, result),
                None => {
                    let Record { number, id, target, .. } = &record;
                    self.log_loss(Loss::TimedOut, (*number, id, target), 0, None);
                    Err(PushRefusal::TimedOut)
                }
            };
        result.inspect_err(|refusal| self.refused(ingress, refusal))
    }

    /// Waits until a push is stored, for as long as a push may take. Then waits until all whom it
    /// reached have acknowledged it or were too late for it, at most as long as its sender said.
    /// That wait ends early when the server stops.
    pub(super) async fn settled(&self, handed_over: HandedOver) -> PushReceipt {
        let HandedOver { mut receipt, acks, stored } = handed_over;
        if let Some(StoreWait { answer, until }) = stored {
            let limit = until.saturating_duration_since(Instant::now());
            let stored = self.scope.with_timeout("push storing", limit, |_| answer.come()).await;
            receipt.unstored = stored != Some(Ok(()));
        }
        let Some(AckWait { waiter, until, _permit }) = acks else { return receipt };
        let limit = until.saturating_duration_since(Instant::now());
        let settled = self.scope.with_timeout("push acknowledgements", limit, |_| waiter.settled());
        if settled.await.is_none() {
            self.track(|tracker| tracker.settle(receipt.n));
        }
        let status = waiter.status().unwrap_or_default();
        receipt.settled =
            Some(Settled { expired: status.expired, acknowledged: status.acknowledged });
        receipt
    }

    /// Ends all waits for acknowledgements, with what has come so far, and those to come.
    pub(super) fn stop_waiting(&self) {
        let waiters = lock(&self.acks).settle_all();
        waiters.iter().for_each(|waiter| waiter.wake());
    }

    /// Runs `change` between two pushes: every push before it is in the queues and kept, and none
    /// after it has begun. `change` must not push.
    pub(super) fn between_pushes<T>(&self, change: impl FnOnce(&Recent) -> T) -> T {
        change(&lock(&self.turn).recent)
    }

    /// Counts that a connection acknowledged a push that it was sent.
    pub(super) fn acknowledge(&self, number: u64) {
        self.counters.acknowledged.add(1);
        self.track(|tracker| tracker.count(number, |status| status.acknowledged += 1));
    }

    /// Counts that a push was too old when its turn came on the way to a connection.
    pub(super) fn expire(&self, target: &str, header: &PushHeader) {
        self.counters.expired.add(1);
        if header.wants_ack {
            self.track(|tracker| tracker.count(header.number, |status| status.expired += 1));
        }
        self.log_loss(Loss::Expired, (header.number, &header.id, target), 1, None);
    }

    fn log_loss(
        &self,
        kind: Loss,
        (push, id, target): (u64, &str, &str),
        messages: u64,
        reached: Option<u64>,
    ) {
        self.loss_log.add(Lost { kind, push, id, target, messages, reached }, Instant::now());
    }

    fn done(
        &self,
        record: Record,
        result: Result<Receipt, PublishError<ServerMessage>>,
    ) -> Result<HandedOver, PushRefusal> {
        let receipt = result.map_err(|_| PushRefusal::Closed)?;
        let (reached, missed) = (receipt.queued, receipt.dropped + receipt.disconnected);
        self.counters.of(record.ingress).accepted.add(1);
        self.counters.reached.add(reached);
        self.counters.missed.add(missed);
        let Record { target, number, id, wants_ack, acks, stored, .. } = record;
        if missed > 0 {
            self.log_loss(Loss::Missed, (number, &id, &target), missed, Some(reached));
        }
        if wants_ack {
            self.track(|tracker| tracker.handed_over(number, reached, missed));
        }
        Ok(HandedOver {
            receipt: PushReceipt { n: number, id, reached, missed, unstored: false, settled: None },
            acks,
            stored,
        })
    }

    fn track(&self, change: impl FnOnce(&mut AckTracker) -> ToWake) {
        let to_wake = change(&mut lock(&self.acks));
        if let Some(waiter) = to_wake {
            waiter.wake();
        }
    }

    fn refused(&self, ingress: Ingress, refusal: &PushRefusal) {
        let counters = self.counters.of(ingress);
        let counter = match refusal {
            PushRefusal::Busy => &counters.busy,
            PushRefusal::TimedOut => &counters.timed_out,
            PushRefusal::BadTopic(_) | PushRefusal::NotForTopics => &counters.malformed,
            PushRefusal::Closed => &counters.closed,
        };
        counter.add(1);
    }
}

/// The topic of a target. User ids and group names were checked to be single tokens.
pub(super) fn topic_of(target: Target<'_>) -> Result<Topic, PushRefusal> {
    let text = match target {
        Target::User(id) => format!("push.user.{id}"),
        Target::Group(name) => format!("push.group.{name}"),
        Target::All => "push.all".to_owned(),
        Target::Topic(topic) => topic.to_owned(),
    };
    Topic::parse(&text).map_err(|error| PushRefusal::BadTopic(error.to_string()))
}

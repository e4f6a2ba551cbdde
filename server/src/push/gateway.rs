//! The gateway itself: a push goes in, whichever way it came, and its receipt comes out.
//!
//! Pushes take turns: each gets its number and is handed to the queues of its audience in one step,
//! by one publisher. So the order of numbers is the order in every queue, and who returns with the
//! number it saw last has seen all before it.
//!
//! A push that has to wait for a full queue takes the publisher with it, and the next gets a new
//! one. So it holds up nobody, and nobody overtakes: what a publisher has sent comes before what
//! its successor sends, and the waiting stand in line.

use super::counters::{Counters, PushFigures, Way};
use super::fates::{Fate, FateWait, Fates, ToWake};
use super::losses::{Loss, Losses, Lost};
use super::settings::PushSettings;
use super::stamp::Stamp;
use crate::codec::datagram::{Push, Target};
use crate::diagnostics::{Family, FrontEnd};
use crate::locks::lock;
use crate::message::ServerMessage;
use crate::tasks::{Limiter, Permit, Scope, Tasks};
use fanfare::{Broker, PublishError, Publisher, Receipt, Topic};
use serde::Serialize;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant, SystemTime};

/// Takes pushes. Shared by all ways in and out.
pub struct Gateway {
    pub(super) broker: Broker<ServerMessage>,
    pub(super) settings: PushSettings,
    pub(super) front_end: Arc<FrontEnd>,
    pub(super) counters: Arc<Counters>,
    turn: Mutex<Turn>,
    fates: Arc<Mutex<Fates>>,
    losses: Losses,
    at_once: Limiter,
    /// Senders that wait for acknowledgements.
    ack_waits: Limiter,
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
    /// What else is known of it, if its sender waited for acknowledgements.
    #[serde(flatten)]
    pub settled: Option<Settled>,
}

/// What became of a push in the time that its sender waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Settled {
    /// Connections for which it was too old when their turn came.
    pub expired: u64,
    /// Connections that have acknowledged it.
    pub acknowledged: u64,
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
    /// It waits for somebody; [`Gateway::finish`] goes on.
    Waits(Box<Waiting>),
}

/// A push that waits for full queues.
pub(super) struct Waiting {
    publishing: Publishing,
    noted: Noted,
    _permit: Permit,
}

/// A push that is in all queues that had room.
pub(super) struct HandedOver {
    pub receipt: PushReceipt,
    acks: Option<AckWait>,
}

/// What its sender waits for.
struct AckWait {
    fate: Arc<FateWait>,
    until: Instant,
    _permit: Permit,
}

impl HandedOver {
    /// Whether its sender waits for acknowledgements; [`Gateway::settled`] goes on.
    pub fn waits_for_acks(&self) -> bool {
        self.acks.is_some()
    }
}

type Publishing = Pin<
    Box<
        dyn Future<
                Output = (Publisher<ServerMessage>, Result<Receipt, PublishError<ServerMessage>>),
            > + Send,
    >,
>;

/// What has to be known of a push when it is done.
struct Noted {
    way: Way,
    /// As its sender wrote it.
    target: String,
    number: u64,
    id: String,
    wants_ack: bool,
    acks: Option<AckWait>,
}

impl Gateway {
    pub(super) fn new(
        broker: &Broker<ServerMessage>,
        tasks: &Tasks,
        settings: PushSettings,
        front_end: Arc<FrontEnd>,
    ) -> Self {
        let gateway = Self {
            broker: broker.clone(),
            settings,
            losses: Losses::new(front_end.clone()),
            front_end,
            counters: Arc::default(),
            // From the time, so that numbers go on growing after a restart.
            turn: Mutex::new(Turn { last_number: now_ms() * 1000, publisher: None }),
            fates: Arc::default(),
            at_once: Limiter::new(settings.at_once),
            ack_waits: Limiter::new(settings.ack_waits),
            scope: tasks.scope("pushes"),
        };
        gateway.tell_figures();
        gateway
    }

    /// What is told refers to its parts: the front-end, which the gateway holds, must not hold the
    /// gateway.
    fn tell_figures(&self) {
        let (broker, counters, fates) =
            (self.broker.clone(), self.counters.clone(), self.fates.clone());
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
                    "Pushes kept for those who return",
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
                    "Pushes to be acknowledged whose fate is remembered",
                    lock(&fates).len() as u64,
                ),
            ]
        };
        self.front_end.tells(move || counters.figures().families(), measured);
    }

    /// What it has counted.
    pub fn figures(&self) -> PushFigures {
        self.counters.figures()
    }

    /// What became of the latest push of an id, if it asked to be acknowledged and is remembered.
    pub fn fate(&self, id: &str) -> Option<Fate> {
        lock(&self.fates).find(id).cloned()
    }

    /// Handles a push to its end, or its time-out; and waits for acknowledgements, if it says so.
    ///
    /// # Errors
    /// See [`PushRefusal`].
    pub async fn push(&self, way: Way, push: &Push<'_>) -> Result<PushReceipt, PushRefusal> {
        let handed_over = self.hand_over(way, push).await?;
        Ok(self.settled(handed_over).await)
    }

    /// The same, without waiting for acknowledgements.
    pub(super) async fn hand_over(
        &self,
        way: Way,
        push: &Push<'_>,
    ) -> Result<HandedOver, PushRefusal> {
        self.finish(self.begin(way, push)?).await
    }

    /// Hands a push to everybody who has room, without waiting.
    pub(super) fn begin(&self, way: Way, push: &Push<'_>) -> Result<Begun, PushRefusal> {
        self.try_begin(way, push).inspect_err(|refusal| self.refused(way, refusal))
    }

    fn try_begin(&self, way: Way, push: &Push<'_>) -> Result<Begun, PushRefusal> {
        let topic = topic_of(push.target)?;
        let is_stamped = !matches!(push.target, Target::Topic(_));
        if !is_stamped && (push.id.is_some() || push.ttl_s.is_some() || push.wants_ack) {
            return Err(PushRefusal::NotForTopics);
        }
        let permit = self.at_once.try_acquire().ok_or(PushRefusal::Busy)?;
        let acks = push.ack_wait_ms.map(|ms| self.ack_wait(ms)).transpose()?;
        let mut turn = lock(&self.turn);
        let number = turn.last_number + 1;
        let id = push.id.map_or_else(|| number.to_string(), str::to_owned);
        let message = match is_stamped {
            true => {
                let ttl_ms = push.ttl_s.unwrap_or(self.settings.ttl_s) * 1000;
                let expires_ms = (ttl_ms > 0).then(|| now_ms() + ttl_ms);
                let stamp = Stamp { number, expires_ms, wants_ack: push.wants_ack, id: &id };
                stamp
                    .on(push.payload)
                    .ok_or_else(|| PushRefusal::BadTopic("that is no id".to_owned()))?
            }
            false => ServerMessage::of(push.payload.to_vec()),
        };
        turn.last_number = number;
        if push.wants_ack {
            // Before it can be acknowledged.
            self.in_fates(|fates| {
                fates.begin(number, &id, acks.as_ref().map(|acks| acks.fate.clone()))
            });
        }
        let noted = Noted {
            way,
            target: push.target.to_string(),
            number,
            id,
            wants_ack: push.wants_ack,
            acks,
        };
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
            Poll::Pending => {
                Ok(Begun::Waits(Box::new(Waiting { publishing, noted, _permit: permit })))
            }
        }
    }

    /// Refused before anybody gets the push: it can be tried again as it is.
    fn ack_wait(&self, ms: u64) -> Result<AckWait, PushRefusal> {
        let _permit = self.ack_waits.try_acquire().ok_or(PushRefusal::Busy)?;
        Ok(AckWait {
            fate: Arc::default(),
            until: Instant::now() + Duration::from_millis(ms),
            _permit,
        })
    }

    /// Waits for those who are full, if there are any, as long as a push may take.
    pub(super) async fn finish(&self, begun: Begun) -> Result<HandedOver, PushRefusal> {
        let Waiting { publishing, noted, _permit } = match begun {
            Begun::Done(handed_over) => return Ok(handed_over),
            Begun::Waits(waiting) => *waiting,
        };
        let way = noted.way;
        let result =
            match self.scope.with_timeout("push", self.settings.timeout, |_| publishing).await {
                Ok((_, result)) => self.done(noted, result),
                Err(_) => {
                    let Noted { number, id, target, .. } = &noted;
                    let lost = Lost {
                        kind: Loss::TimedOut,
                        push: *number,
                        id,
                        target,
                        messages: 0,
                        reached: None,
                    };
                    self.losses.note(lost, Instant::now());
                    Err(PushRefusal::TimedOut)
                }
            };
        result.inspect_err(|refusal| self.refused(way, refusal))
    }

    /// Waits until all whom a push reached have acknowledged it or were too late for it, as long as
    /// its sender said; or until nobody acknowledges anything any more, since the server ends.
    pub(super) async fn settled(&self, handed_over: HandedOver) -> PushReceipt {
        let HandedOver { mut receipt, acks } = handed_over;
        let Some(AckWait { fate, until, _permit }) = acks else { return receipt };
        let limit = until.saturating_duration_since(Instant::now());
        if self
            .scope
            .with_timeout("push acknowledgements", limit, |_| fate.settled())
            .await
            .is_err()
        {
            self.in_fates(|fates| fates.settle(receipt.n));
        }
        let settled = fate.fate().unwrap_or_default();
        receipt.settled =
            Some(Settled { expired: settled.expired, acknowledged: settled.acknowledged });
        receipt
    }

    /// Those who wait for acknowledgements are told what has come so far, and those to come do not
    /// wait.
    pub(super) fn stop_waiting(&self) {
        let waiting = lock(&self.fates).settle_all();
        waiting.iter().for_each(|wait| wait.wake());
    }

    /// A connection acknowledged a push that it was sent.
    pub(super) fn acknowledge(&self, number: u64) {
        self.counters.acknowledged.add(1);
        self.in_fates(|fates| fates.count(number, |fate| fate.acknowledged += 1));
    }

    /// A push was too old when its turn came on the way to a connection.
    pub(super) fn expire(&self, target: &str, stamp: &Stamp<'_>) {
        self.counters.expired.add(1);
        if stamp.wants_ack {
            self.in_fates(|fates| fates.count(stamp.number, |fate| fate.expired += 1));
        }
        let lost = Lost {
            kind: Loss::Expired,
            push: stamp.number,
            id: stamp.id,
            target,
            messages: 1,
            reached: None,
        };
        self.losses.note(lost, Instant::now());
    }

    fn done(
        &self,
        noted: Noted,
        result: Result<Receipt, PublishError<ServerMessage>>,
    ) -> Result<HandedOver, PushRefusal> {
        let receipt = result.map_err(|_| PushRefusal::Closed)?;
        let (reached, missed) = (receipt.queued, receipt.dropped + receipt.disconnected);
        self.counters.of(noted.way).accepted.add(1);
        self.counters.reached.add(reached);
        self.counters.missed.add(missed);
        let Noted { target, number, id, .. } = noted;
        if missed > 0 {
            let target = &target;
            let lost = Lost {
                kind: Loss::Missed,
                push: number,
                id: &id,
                target,
                messages: missed,
                reached: Some(reached),
            };
            self.losses.note(lost, Instant::now());
        }
        if noted.wants_ack {
            self.in_fates(|fates| fates.handed_over(number, reached, missed));
        }
        Ok(HandedOver {
            receipt: PushReceipt { n: number, id, reached, missed, settled: None },
            acks: noted.acks,
        })
    }

    fn in_fates(&self, change: impl FnOnce(&mut Fates) -> ToWake) {
        let to_wake = change(&mut lock(&self.fates));
        if let Some(wait) = to_wake {
            wait.wake();
        }
    }

    fn refused(&self, way: Way, refusal: &PushRefusal) {
        let counters = self.counters.of(way);
        let counter = match refusal {
            PushRefusal::Busy => &counters.busy,
            PushRefusal::TimedOut => &counters.timed_out,
            PushRefusal::BadTopic(_) | PushRefusal::NotForTopics => &counters.malformed,
            PushRefusal::Closed => &counters.closed,
        };
        counter.add(1);
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

//! A subscription's bounded queue: what is in it, what waits for room, and its books.
//!
//! What it holds is bounded by the [credit]. Publishers wait in the wait queue.
//!
//! Publishers push while they hold the lock of a route that the queue is in, so that once it was
//! taken out of all routes nothing is pushed any more. Nothing here wakes a task or drops a payload
//! under a lock: both run foreign code.

mod books;
pub mod credit;
pub mod cursor;
pub mod entries;
pub mod grant;
mod offering;
mod pace;
mod receiving;
mod room;
pub mod wait_queue;

use crate::limits::LOOK_AGAIN_FROM_MESSAGES;
use crate::load::Load;
use crate::log::message::Message;
use crate::membership::Membership;
use crate::payload::Origin;
use crate::policy::WhenFull;
use crate::queue::credit::{Consumed, Reserved};
use crate::queue::cursor::Cursor;
use crate::queue::entries::{Entries, Entry};
use crate::queue::grant::Holding;
use crate::scope::Scope;
use crate::stats::tally::Drops;
use crate::stats::{EndReason, Interest, NOBODY, SubscriptionId};
use crate::sync::lock;
use crate::topic::Pattern;
use atomic_waker::AtomicWaker;
use event_listener::Event;
pub(crate) use offering::Offered;
use pace::{Pace, Progress};
use std::collections::{HashMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;
use wait_queue::Parked;

/// A subscription's own bounds and policy.
pub(crate) struct Terms {
    pub id: SubscriptionId,
    pub wanted: Wanted,
    pub no_echo: Option<Origin>,
    pub when_full: WhenFull,
    pub bounds: Load,
    /// Bytes a second that make a reader worth waiting for; none: waits are of a fixed length.
    pub slowest: Option<NonZeroU32>,
}

/// The messages that a queue is for.
pub(crate) enum Wanted {
    /// Those of one subscription, whose id is the queue's own.
    One(Want),
    /// Those of a mailbox: any number of subscriptions, which come and go.
    Many(Box<MailboxWants>),
}

#[derive(Clone)]
pub(crate) struct Want {
    pub pattern: Pattern,
    pub group: Option<Arc<Membership>>,
}

impl Want {
    /// Its pattern, and the name of its group.
    pub fn key(&self) -> (Pattern, Option<Arc<str>>) {
        (self.pattern.clone(), self.group.as_ref().map(|membership| membership.group.clone()))
    }
}

/// The subscriptions of a mailbox. The router changes them under its lock.
pub(crate) struct MailboxWants {
    pub name: Arc<str>,
    pub wants: Mutex<HashMap<SubscriptionId, Want>>,
    /// Set for a bridge: its subscriptions are another system's interest.
    pub bridge: Option<Scope>,
}

impl Wanted {
    /// The messages that the queue is for, for statistics.
    pub fn interest(&self) -> Interest {
        match self {
            Self::One(want) => Interest::Pattern(want.pattern.clone()),
            Self::Many(mailbox) => Interest::Mailbox {
                name: mailbox.name.clone(),
                subscriptions: lock(&mailbox.wants).len(),
            },
        }
    }

    /// The topics that a bridge carries, if the queue is a bridge's.
    pub fn bridge(&self) -> Option<&Scope> {
        match self {
            Self::One(_) => None,
            Self::Many(mailbox) => mailbox.bridge.as_ref(),
        }
    }

    /// What the subscription with this id is for.
    pub fn get(&self, id: SubscriptionId) -> Option<Want> {
        match self {
            Self::One(want) => Some(want.clone()),
            Self::Many(mailbox) => lock(&mailbox.wants).get(&id).cloned(),
        }
    }

    /// The patterns and groups of all subscriptions of a mailbox, oldest first.
    pub fn all(&self) -> Vec<(SubscriptionId, Pattern, Option<Arc<str>>)> {
        let Self::Many(mailbox) = self else { return Vec::new() };
        let wants = lock(&mailbox.wants);
        let keys = wants.iter().map(|(id, want)| (*id, want.key()));
        let mut all: Vec<_> = keys.map(|(id, (pattern, group))| (id, pattern, group)).collect();
        all.sort_unstable_by_key(|(id, ..)| *id);
        all
    }

    /// The queue group membership of the subscription with this id.
    pub fn group(&self, id: SubscriptionId) -> Option<Arc<Membership>> {
        self.get(id)?.group
    }
}

impl Terms {
    /// Whether it does not want what `origin` publishes.
    #[inline]
    pub fn refuses_echo_of(&self, origin: Option<Origin>) -> bool {
        self.no_echo.is_some() && self.no_echo == origin
    }
}

pub(crate) struct Queue<M> {
    pub terms: Terms,
    /// Events that a receiver or a publisher must not overlook, nearly always none, and
    /// [`OVERLOOKS_NOBODY`].
    attention: AtomicU32,
    entries: Entries<M>,
    publishers: WrittenByPublishers,
    reader: WrittenByReader,
    /// A publisher's credit for messages to come, or its word that it will not ask for them.
    grant: Mutex<Option<Holding>>,
    /// Changes with every change of `grant`, under its lock.
    grant_epoch: AtomicU64,
    /// Messages missed since the last entry was queued, and [`INTERRUPTED`].
    gap: AtomicU64,
    /// Messages in gaps that were never offered to this subscription.
    lost_elsewhere: AtomicU64,
    receiver: AtomicWaker,
    wait_queue: Mutex<VecDeque<Parked<M>>>,
    /// The cursor, where publishers may have to pass over the oldest or free everything; elsewhere
    /// the subscription has it to itself.
    shared_cursor: Option<Box<Mutex<Cursor<M>>>>,
    waited_for_ns: AtomicU64,
    /// How long it is worth waiting for its reader.
    pace: Option<Box<Mutex<Pace>>>,
    end: OnceLock<EndReason>,
    /// Notified when this queue is drained or has ended.
    settled: Arc<Event>,
}

/// On a cache line of its own, which the receiver does not take away while messages flow.
#[repr(align(64))]
struct WrittenByPublishers {
    reserved: Reserved,
    drops: Drops,
}

/// On a cache line of its own, which publishers do not take away while messages flow.
#[repr(align(64))]
struct WrittenByReader {
    consumed: Consumed,
    /// Messages ever received.
    received: AtomicU64,
    /// The most messages ever queued.
    high_water: AtomicU32,
}

/// Publishers wait for room.
const WAITED_FOR: u32 = 1;
/// A wait was used up; no more waiting until drained to half.
const PROBATION: u32 = 2;
/// No more publishing; ends when drained.
const CLOSING: u32 = 4;
/// The subscription has ended.
const ENDED: u32 = 8;
/// A publisher drops its messages without asking, since there is no room.
const WRITTEN_OFF: u32 = 16;
/// No event: the receiver makes sure after each message that it overlooks nobody.
const OVERLOOKS_NOBODY: u32 = 32;

impl<M> Queue<M> {
    pub fn new(terms: Terms, settled: Arc<Event>) -> Self {
        let is_reached_into =
            matches!(terms.when_full, WhenFull::DropOldest | WhenFull::Disconnect { .. });
        let shared_cursor = is_reached_into.then(|| Box::new(Mutex::new(Cursor::new())));
        let pace =
            terms.slowest.map(|slowest| Box::new(Mutex::new(Pace::new(slowest, Instant::now()))));
        let overlooks_nobody =
            terms.when_full == WhenFull::Block && terms.bounds.messages < LOOK_AGAIN_FROM_MESSAGES;
        Self {
            terms,
            attention: AtomicU32::new(if overlooks_nobody { OVERLOOKS_NOBODY } else { 0 }),
            entries: Entries::new(),
            publishers: WrittenByPublishers { reserved: Reserved::new(), drops: Drops::default() },
            reader: WrittenByReader {
                consumed: Consumed::new(),
                received: AtomicU64::new(0),
                high_water: AtomicU32::new(0),
            },
            grant: Mutex::new(None),
            grant_epoch: AtomicU64::new(0),
            gap: AtomicU64::new(0),
            lost_elsewhere: AtomicU64::new(0),
            receiver: AtomicWaker::new(),
            wait_queue: Mutex::new(VecDeque::new()),
            shared_cursor,
            waited_for_ns: AtomicU64::new(0),
            pace,
            end: OnceLock::new(),
            settled,
        }
    }

    /// Stands in for queues that have ended: it is nobody's, and no message is for it.
    pub fn nobody() -> Self {
        let mailbox = MailboxWants { name: "".into(), wants: Mutex::default(), bridge: None };
        let terms = Terms {
            id: NOBODY,
            wanted: Wanted::Many(Box::new(mailbox)),
            no_echo: None,
            when_full: WhenFull::DropNewest,
            bounds: Load::default(),
            slowest: None,
        };
        Self::new(terms, Arc::default())
    }

    /// Queues kept messages, oldest first. What does not fit is the oldest, and was never offered.
    pub fn replay(&self, kept: Vec<&Message<M>>) {
        let light_enough =
            |message: &&Message<M>| message.weight_bytes() <= self.terms.bounds.bytes;
        let has_room = |message: &&Message<M>| {
            self.reserve(Load { messages: 1, bytes: message.weight_bytes() })
        };
        let mut newest: Vec<_> =
            kept.into_iter().rev().filter(light_enough).take_while(has_room).collect();
        while let Some(message) = newest.pop() {
            let (segment, from) = message.segment();
            self.entries.push(Entry::fixed(segment, self.terms.id, from..from + 1));
        }
    }

    /// Whether the receiver overlooks nobody who waits, wherever it stops reading. Otherwise one
    /// that waits without end has to [look again](Self::look_again) from time to time.
    #[inline]
    pub fn overlooks_nobody(&self) -> bool {
        self.attends(OVERLOOKS_NOBODY)
    }

    #[inline]
    fn attends(&self, flag: u32) -> bool {
        self.attention.load(Ordering::SeqCst) & flag != 0
    }
}

//! The books of a subscription, and figures of topics, subscriptions and the broker.

use super::overflow::{Receipt, WhenFull};
use super::topic::{Pattern, Topic};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Names a subscription of a broker. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SubscriptionId(pub(super) u64);

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// What was offered to a subscription and what became of it, in messages. They always balance:
/// `offered == received + queued + dropped`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// Messages published for it. Those still waited for are not offered yet.
    pub offered: u64,
    /// Messages handed to the receiver.
    pub received: u64,
    /// Messages in the queue.
    pub queued: u64,
    /// Messages it did not get, for whatever reason.
    pub dropped: u64,
}

/// Why a subscription ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The broker was closed, and everything was received.
    Closed,
    /// It was full for longer than its [`WhenFull::Disconnect`] allows.
    Disconnected,
    /// It had not drained when the deadline of [`drain`](crate::Broker::drain) came.
    GivenUp,
    /// Its owner dropped it.
    Unsubscribed,
}

/// Messages a subscription did not get, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DropCounts {
    /// No room, and the policy does not wait, or the publish could not
    /// ([`try_publish`](crate::Publisher::try_publish)).
    pub full: u64,
    /// Passed over to make room for newer ones.
    pub oldest: u64,
    /// Still no room after the wait.
    pub timed_out: u64,
    /// No room, and an earlier wait was in vain.
    pub probation: u64,
    /// Heavier than the queue's whole bound in bytes.
    pub too_heavy: u64,
    /// The publish was dropped while it waited.
    pub cancelled: u64,
    /// Still queued when the subscription ended.
    pub ended: u64,
}

impl DropCounts {
    /// Every count with its reason in one word.
    pub fn by_reason(&self) -> [(&'static str, u64); 7] {
        [
            ("full", self.full),
            ("oldest", self.oldest),
            ("timed_out", self.timed_out),
            ("probation", self.probation),
            ("too_heavy", self.too_heavy),
            ("cancelled", self.cancelled),
            ("ended", self.ended),
        ]
    }
}

impl std::ops::AddAssign for DropCounts {
    fn add_assign(&mut self, other: Self) {
        self.full += other.full;
        self.oldest += other.oldest;
        self.timed_out += other.timed_out;
        self.probation += other.probation;
        self.too_heavy += other.too_heavy;
        self.cancelled += other.cancelled;
        self.ended += other.ended;
    }
}

/// What a queue is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Interest {
    /// The topics of a [`Subscription`](crate::Subscription).
    Pattern(Pattern),
    /// Whatever a [`Mailbox`](crate::Mailbox) is subscribed to.
    Mailbox {
        /// As its owner called it.
        name: Arc<str>,
        /// How many subscriptions it has now.
        subscriptions: usize,
    },
}

impl fmt::Display for Interest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pattern(pattern) => f.write_str(pattern.as_str()),
            Self::Mailbox { name, .. } => f.write_str(name),
        }
    }
}

/// A subscription, or a mailbox, as it is now.
#[derive(Clone, Debug)]
pub struct SubscriptionStats {
    /// Its name.
    pub id: SubscriptionId,
    /// What it is for.
    pub interest: Interest,
    /// Its queue group, if it is in one.
    pub group: Option<Arc<str>>,
    /// What happens when it is full.
    pub when_full: WhenFull,
    /// Its bound in messages.
    pub bound_messages: usize,
    /// Its bound in bytes.
    pub bound_bytes: usize,
    /// The account of its messages.
    pub books: Books,
    /// Bytes in the queue.
    pub queued_bytes: usize,
    /// The most messages that were ever queued at once.
    pub high_water_messages: usize,
    /// How long publishers have waited for it, added up over all messages that waited.
    pub waited_for: Duration,
    /// Its dropped messages by reason.
    pub drops: DropCounts,
    /// A wait for it was in vain; it is not waited for until it has drained to half.
    pub on_probation: bool,
    /// Why it ended, once it has.
    pub end_reason: Option<EndReason>,
}

/// All live queues together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QueueStats {
    /// Messages queued.
    pub messages: u64,
    /// Bytes queued.
    pub bytes: u64,
    /// Messages in the longest queue.
    pub longest_messages: u64,
    /// The most messages that any of them ever had queued.
    pub high_water_messages: u64,
    /// Queues for which a wait was in vain.
    pub on_probation: usize,
}

impl QueueStats {
    pub(super) fn add(&mut self, stats: &SubscriptionStats) {
        self.messages += stats.books.queued;
        self.bytes += stats.queued_bytes as u64;
        self.longest_messages = self.longest_messages.max(stats.books.queued);
        self.high_water_messages = self.high_water_messages.max(stats.high_water_messages as u64);
        self.on_probation += usize::from(stats.on_probation);
    }
}

/// A topic as it is now. There from a publisher's second publish to it (the first may be the only
/// one, as with topics for answers) or, with a history, from the first; for as long as a publisher
/// remembers it or its history is kept.
#[derive(Clone, Debug)]
pub struct TopicStats {
    /// Which topic.
    pub topic: Topic,
    /// Messages published to it.
    pub published: u64,
    /// Subscriptions its messages reach now; a queue group counts as one.
    pub subscriptions: usize,
    /// Messages its history holds.
    pub kept: usize,
    /// What became of the deliveries.
    pub deliveries: Receipt,
}

/// The broker's totals since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BrokerStats {
    /// Messages published.
    pub published: u64,
    /// What became of their deliveries.
    pub deliveries: Receipt,
    /// Publishes that had to wait for room and so armed a timer.
    pub waits: u64,
    /// Live subscriptions.
    pub subscriptions: usize,
    /// Live publishers.
    pub publishers: usize,
}

/// What [`drain`](crate::Broker::drain) achieved.
#[derive(Clone, Debug, Default)]
pub struct DrainReport {
    /// One for each subscription that was live when the drain began.
    pub subscriptions: Vec<Drained>,
}

/// What became of one subscription in a drain.
#[derive(Clone, Debug)]
pub struct Drained {
    /// Its name.
    pub id: SubscriptionId,
    /// What it was for.
    pub interest: Interest,
    /// Messages received since the drain began.
    pub delivered: u64,
    /// Messages that were still queued at the deadline.
    pub given_up: u64,
}

impl DrainReport {
    /// Messages received since the drain began.
    pub fn delivered(&self) -> u64 {
        self.subscriptions.iter().map(|drained| drained.delivered).sum()
    }

    /// Messages given up.
    pub fn given_up(&self) -> u64 {
        self.subscriptions.iter().map(|drained| drained.given_up).sum()
    }
}

/// Why a message was dropped; the fields of [`DropCounts`] but for the last, which is derived.
#[derive(Clone, Copy)]
pub(super) enum DropReason {
    Full,
    Oldest,
    TimedOut,
    Probation,
    TooHeavy,
    Cancelled,
}

#[derive(Default)]
pub(super) struct Drops([AtomicU64; 6]);

impl Drops {
    pub fn add(&self, reason: DropReason, count: u64) {
        self.0[reason as usize].fetch_add(count, Ordering::AcqRel);
    }

    pub fn get(&self, reason: DropReason) -> u64 {
        self.0[reason as usize].load(Ordering::Acquire)
    }

    pub fn total(&self) -> u64 {
        self.0.iter().map(|count| count.load(Ordering::Acquire)).sum()
    }

    pub fn counts(&self) -> DropCounts {
        DropCounts {
            full: self.get(DropReason::Full),
            oldest: self.get(DropReason::Oldest),
            timed_out: self.get(DropReason::TimedOut),
            probation: self.get(DropReason::Probation),
            too_heavy: self.get(DropReason::TooHeavy),
            cancelled: self.get(DropReason::Cancelled),
            ended: 0,
        }
    }
}

/// Counters that one publisher, or one topic, adds to.
#[derive(Default)]
pub(super) struct Tally {
    published: AtomicU64,
    matched: AtomicU64,
    waited: AtomicU64,
    dropped: AtomicU64,
    disconnected: AtomicU64,
    waits: AtomicU64,
}

impl Tally {
    /// Adds where others add too.
    pub fn add(&self, published: u64, receipt: &Receipt) {
        self.add_with(published, receipt, |counter, more| {
            counter.fetch_add(more, Ordering::Relaxed);
        });
    }

    /// Adds where nobody else does, which costs less.
    pub fn add_alone(&self, published: u64, receipt: &Receipt) {
        self.add_with(published, receipt, |counter, more| {
            counter.store(counter.load(Ordering::Relaxed) + more, Ordering::Relaxed);
        });
    }

    #[inline]
    fn add_with(&self, published: u64, receipt: &Receipt, add: impl Fn(&AtomicU64, u64)) {
        for (counter, more) in [
            (&self.published, published),
            (&self.matched, receipt.matched),
            (&self.waited, receipt.waited),
            (&self.dropped, receipt.dropped),
            (&self.disconnected, receipt.disconnected),
        ] {
            if more > 0 {
                add(counter, more);
            }
        }
        if receipt.waited > 0 {
            add(&self.waits, 1);
        }
    }

    pub fn add_all(&self, other: &Self) {
        for (counter, more) in self.counters().into_iter().zip(other.counters()) {
            counter.fetch_add(more.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    fn counters(&self) -> [&AtomicU64; 6] {
        [
            &self.published,
            &self.matched,
            &self.waited,
            &self.dropped,
            &self.disconnected,
            &self.waits,
        ]
    }

    pub fn published(&self) -> u64 {
        self.published.load(Ordering::Relaxed)
    }

    pub fn waits(&self) -> u64 {
        self.waits.load(Ordering::Relaxed)
    }

    pub fn deliveries(&self) -> Receipt {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (matched, waited) = (get(&self.matched), get(&self.waited));
        let (dropped, disconnected) = (get(&self.dropped), get(&self.disconnected));
        Receipt {
            matched,
            queued: matched.saturating_sub(dropped + disconnected),
            waited,
            dropped,
            disconnected,
        }
    }
}

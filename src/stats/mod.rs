//! The books of a subscription, and figures of topics, subscriptions and the broker.

pub mod tally;

use crate::policy::{Receipt, WhenFull};
use crate::topic::{Pattern, Topic};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The id of a subscription, never used twice by a broker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SubscriptionId(pub(crate) u64);

/// The id of the queue that stands in for ended subscriptions; no other has it.
pub(crate) const NOBODY: SubscriptionId = SubscriptionId(0);

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The account of a subscription, in messages. It always balances:
/// `offered == received + queued + dropped`.
///
/// ```
/// use fanfare::{Broker, Pattern, Topic, WhenFull};
///
/// let broker = Broker::<u32>::new();
/// let ticks = Topic::parse("ticks")?;
/// let ticker = broker.subscription(&Pattern::from(&ticks)).queue_messages(2);
/// let mut ticker = ticker.when_full(WhenFull::DropNewest).subscribe()?;
/// let _ = broker.publisher().publish_batch_blocking(&ticks, &mut vec![1, 2, 3])?;
/// ticker.try_recv()?;
/// let books = ticker.books();
/// assert_eq!((books.offered, books.received, books.queued, books.dropped), (3, 1, 1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct Books {
    /// Messages published for the subscription. Those still waited for are not offered yet.
    pub offered: u64,
    /// Messages handed to the receiver.
    pub received: u64,
    /// Messages in the queue.
    pub queued: u64,
    /// Messages that the subscription did not get, for whatever reason.
    pub dropped: u64,
}

/// Why a subscription ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub enum EndReason {
    /// The broker or the subscription was closed, and everything was received.
    Closed,
    /// The subscription was full for longer than its [`WhenFull::Disconnect`] allows.
    Disconnected,
    /// The subscription had not drained by the deadline of a [`drain`](crate::Broker::drain).
    GivenUp,
    /// The owner dropped the subscription, or has all the messages it asked for.
    Unsubscribed,
}

/// Messages that a subscription did not get, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct DropCounts {
    /// No room, and the policy does not wait, or the publish could not
    /// ([`try_publish`](crate::Publisher::try_publish)).
    pub full: u64,
    /// Passed over to make room for newer ones.
    pub oldest: u64,
    /// Still no room after the wait.
    pub timed_out: u64,
    /// No room while the subscription was on probation.
    pub probation: u64,
    /// Heavier than the queue's whole bound in bytes.
    pub too_heavy: u64,
    /// The publish was dropped while it waited.
    pub cancelled: u64,
    /// Still queued when the subscription ended.
    pub ended: u64,
}

impl DropCounts {
    /// Every count, with its reason in one word.
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

/// The messages that a queue is for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub enum Interest {
    /// The topics of a [`Subscription`](crate::Subscription).
    Pattern(Pattern),
    /// Whatever a [`Mailbox`](crate::Mailbox) is subscribed to.
    Mailbox {
        /// The name its owner gave it.
        name: Arc<str>,
        /// The number of subscriptions it has now.
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

/// The figures of a subscription, or a mailbox, as they are now.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct SubscriptionStats {
    /// The subscription's id.
    pub id: SubscriptionId,
    /// The messages that it is for.
    pub interest: Interest,
    /// The queue group, if it is in one.
    pub group: Option<Arc<str>>,
    /// The policy for a full queue.
    pub when_full: WhenFull,
    /// The queue's bound in messages.
    pub bound_messages: usize,
    /// The queue's bound in bytes.
    pub bound_bytes: usize,
    /// The account of the messages.
    pub books: Books,
    /// Bytes in the queue.
    pub queued_bytes: usize,
    /// The largest number of messages ever queued at once.
    pub high_water_messages: usize,
    /// How long publishers have waited for the subscription, summed over all messages that waited.
    pub waited_for: Duration,
    /// The dropped messages, by reason.
    pub drops: DropCounts,
    /// Whether the subscription has used up a wait, so that publishers do not wait for it until its
    /// queue has drained to half.
    pub on_probation: bool,
    /// Why the subscription ended, once it has.
    pub end_reason: Option<EndReason>,
}

/// The figures of all live queues together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct QueueStats {
    /// Messages queued.
    pub messages: u64,
    /// Bytes queued.
    pub bytes: u64,
    /// Messages in the longest queue.
    pub longest_messages: u64,
    /// The largest number of messages that any of them ever had queued.
    pub high_water_messages: u64,
    /// Queues on probation: publishers do not wait for them until they have drained to half.
    pub on_probation: usize,
    /// Queues that are at least half full, in messages or in bytes, and not on probation.
    pub half_full: usize,
}

/// The figures of a topic as they are now. A topic has them from a publisher's second publish on
/// (the first may be the only one, as with topics for answers), or with a history from the first,
/// for as long as a publisher remembers it or its history is kept.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct TopicStats {
    /// The topic.
    pub topic: Topic,
    /// Messages published to it.
    pub published: u64,
    /// Subscriptions its messages reach now; a queue group counts as one.
    pub subscriptions: usize,
    /// Messages its history holds.
    pub kept: usize,
    /// The outcome of the topic's deliveries.
    pub deliveries: Receipt,
}

/// The broker's totals since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub struct BrokerStats {
    /// Messages published.
    pub published: u64,
    /// The outcome of the deliveries.
    pub deliveries: Receipt,
    /// Publishes that had to wait for room and so armed a timer.
    pub waits: u64,
    /// Live subscriptions.
    pub subscriptions: usize,
    /// Live publishers.
    pub publishers: usize,
}

/// The result of a [`drain`](crate::Broker::drain).
#[derive(Clone, Debug, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct DrainReport {
    /// The outcome for each subscription that was live when the drain began.
    pub subscriptions: Vec<Drained>,
}

/// The outcome of a drain for one subscription.
#[derive(Clone, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct Drained {
    /// The subscription's id.
    pub id: SubscriptionId,
    /// The messages that it was for.
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

/// The dropped messages of all subscriptions there ever were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
pub struct DropStats {
    /// Dropped messages by policy ([`WhenFull::name`]) and reason, without policies that nobody
    /// used.
    pub by_policy: BTreeMap<&'static str, DropCounts>,
}

impl DropStats {
    pub(crate) fn add(&mut self, when_full: WhenFull, drops: DropCounts) {
        *self.by_policy.entry(when_full.name()).or_default() += drops;
    }
}

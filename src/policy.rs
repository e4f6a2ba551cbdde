//! The policy for a full queue, and the receipt of a publish.

use crate::limits::WAIT_DEFAULT;
use std::time::Duration;

/// A publisher's policy for a subscription whose queue has no room. Each subscription chooses.
///
/// ```
/// use fanfare::{Broker, Pattern, Topic, WhenFull};
///
/// let broker = Broker::<u32>::new();
/// let ticks = Topic::parse("ticks")?;
/// let of_one = || broker.subscription(&Pattern::from(&ticks)).queue_messages(1);
/// let oldest = of_one().when_full(WhenFull::DropNewest).subscribe()?;
/// let latest = of_one().when_full(WhenFull::DropOldest).subscribe()?;
///
/// let mut publisher = broker.publisher();
/// let _ = publisher.publish_blocking(&ticks, 1)?;
/// let receipt = publisher.publish_blocking(&ticks, 2)?;
/// // The one has tick 1 and the other tick 2; each has dropped one.
/// assert_eq!((receipt.matched, receipt.queued, receipt.dropped), (2, 1, 1));
/// assert_eq!((oldest.books().dropped, latest.books().dropped), (1, 1));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
pub enum WhenFull {
    /// The publish waits up to this long for room, then drops its message for this subscription,
    /// which finds [`Missed`](crate::Delivery::Missed) in its place.
    ///
    /// A publish waits for all full subscriptions together. Once a subscription has used up its
    /// wait, publishers stop waiting for it until its queue has drained to half. A stuck subscriber
    /// costs one wait in total, not one per message.
    Wait(Duration),
    /// The message is dropped for this subscription at once; the publish never waits for it.
    DropNewest,
    /// The oldest queued messages make room; the subscription always has the newest.
    DropOldest,
    /// The publish waits up to this long for room, then the subscription is ended and its queue
    /// freed. For subscribers that must not have gaps: they get everything, or an end.
    Disconnect {
        /// How long to wait; zero ends it at once.
        after: Duration,
    },
    /// Lossless: the publish waits as long as it takes, until there is room or the subscription
    /// ends.
    Block,
}

impl WhenFull {
    /// The policy in one word, without its times: `wait`, `drop_newest`, `drop_oldest`,
    /// `disconnect`, `block`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Wait(_) => "wait",
            Self::DropNewest => "drop_newest",
            Self::DropOldest => "drop_oldest",
            Self::Disconnect { .. } => "disconnect",
            Self::Block => "block",
        }
    }
}

impl Default for WhenFull {
    /// Waits 5 ms ([`WAIT_DEFAULT`]).
    fn default() -> Self {
        Self::Wait(WAIT_DEFAULT)
    }
}

/// The outcome of one publish, counted in deliveries: messages times the subscriptions they were
/// for. A queue group counts as one.
///
/// Always `matched == queued + dropped + disconnected`. Receipts add up, by `+=`.
///
/// ```
/// use fanfare::{Broker, Pattern, Topic};
///
/// let broker = Broker::<u32>::new();
/// let to = Topic::parse("orders.eu")?;
/// let (_eu, _all) = (broker.subscribe(&Pattern::from(&to))?, broker.subscribe(&">".parse()?)?);
/// let receipt = broker.publisher().publish_blocking(&to, 1)?;
/// assert_eq!((receipt.matched, receipt.queued, receipt.waited), (2, 2, 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
#[must_use = "a receipt says whether somebody missed the message"]
pub struct Receipt {
    /// Deliveries that were due.
    pub matched: u64,
    /// Deliveries that are in a queue, or already read.
    pub queued: u64,
    /// Deliveries that had to wait for room, whether queued in the end or not.
    pub waited: u64,
    /// Deliveries given up because a queue had no room. The subscription is told how many it
    /// missed.
    pub dropped: u64,
    /// Deliveries that failed because the subscription ended, or was ended for being full.
    pub disconnected: u64,
    /// Of those queued, deliveries over a [`Bridge`](crate::Bridge): each message counts once,
    /// however many want it there. What a bridge has no room for is in `dropped`; while there is no
    /// bridge, such as after a link broke, nobody there counts. Statistics have it in the bridge's
    /// own books instead, and 0 here.
    pub remote: u64,
}

impl Receipt {
    /// Of a message that has gone into this many queues, and no further.
    #[inline(always)]
    pub(crate) fn of_queued(queued: u64) -> Self {
        Self { matched: queued, queued, ..Self::default() }
    }
}

impl std::ops::AddAssign for Receipt {
    fn add_assign(&mut self, other: Self) {
        self.matched += other.matched;
        self.queued += other.queued;
        self.waited += other.waited;
        self.dropped += other.dropped;
        self.disconnected += other.disconnected;
        self.remote += other.remote;
    }
}

//! What happens when a queue is full, and what a publish reports of it.

use crate::limits::WAIT_DEFAULT;
use std::time::Duration;

/// What a publish does about a subscription whose queue has no room. Each subscription chooses.
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

/// What became of one publish, counted in deliveries: messages times the subscriptions they were
/// for. A queue group counts as one.
///
/// Always `matched == queued + dropped + disconnected`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Deserialize, serde::Serialize))]
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
}

impl std::ops::AddAssign for Receipt {
    fn add_assign(&mut self, other: Self) {
        self.matched += other.matched;
        self.queued += other.queued;
        self.waited += other.waited;
        self.dropped += other.dropped;
        self.disconnected += other.disconnected;
    }
}

//! What one run has to do, and what came of it.

use std::time::Duration;

/// How many messages a queue holds unless a row says otherwise: the default of Fanfare, and a
/// common choice elsewhere.
pub const QUEUE_MESSAGES: usize = 1024;

/// A publish that takes this long has waited for somebody.
pub const SLOW_PUBLISH: Duration = Duration::from_millis(1);

/// A row of the race: what is the same for every peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Subscribers in all, the stuck ones among them.
    pub subscribers: usize,
    pub publishers: usize,
    /// Messages handed over in one call, by peers that have such a call; else one after another.
    pub batch: usize,
    pub payload_bytes: usize,
    /// Subscribers that never read. Rows with stuck subscribers have one publisher.
    pub stuck: usize,
    pub queue_messages: usize,
}

impl Scenario {
    /// One publisher and 64-byte messages, published one at a time.
    pub fn plain(subscribers: usize) -> Self {
        Self {
            subscribers,
            publishers: 1,
            batch: 1,
            payload_bytes: 64,
            stuck: 0,
            queue_messages: QUEUE_MESSAGES,
        }
    }

    pub fn living(&self) -> usize {
        self.subscribers - self.stuck
    }
}

/// One run: a scenario, and how long it goes on.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    pub scenario: Scenario,
    /// Messages of each publisher after the warm-up: a multiple of the batch.
    pub messages_each: u64,
    /// Messages before the clock starts, until the stuck subscribers are full and known to be. A
    /// multiple of [`PROGRESS_STEP`](super::ledger::PROGRESS_STEP) and of the batch.
    pub warm_up: u64,
    /// The time from one publish to the next; `None` is as fast as it goes. Only then is each
    /// publish timed.
    pub gap: Option<Duration>,
    /// Counting wake-ups costs time, so it is off where time is measured.
    pub counts_wakes: bool,
}

impl Load {
    pub fn new(scenario: Scenario, messages_each: u64) -> Self {
        let batch = scenario.batch as u64;
        Self {
            scenario,
            messages_each: messages_each.div_ceil(batch) * batch,
            warm_up: 0,
            gap: None,
            counts_wakes: false,
        }
    }

    /// Messages that every living subscriber is to receive.
    pub fn expected_each(&self) -> u64 {
        self.warm_up + self.messages_each * self.scenario.publishers as u64
    }
}

/// What a run came to. Counts leave out the warm-up and the stuck subscribers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// From the first publish until the last living subscriber had its last message.
    pub elapsed: Duration,
    pub deliveries: u64,
    /// Deliveries that living subscribers missed.
    pub lost: u64,
    /// Known only where the load has a gap between publishes.
    pub longest_publish: Duration,
    /// Publishes that took [`SLOW_PUBLISH`] or more; likewise.
    pub slow_publishes: u64,
    /// How often a subscriber's task was woken; counted only if asked for.
    pub wake_ups: u64,
    /// Publishes that had to wait for a full subscriber, where the peer tells.
    pub waited_publishes: u64,
}

impl Outcome {
    pub fn deliveries_per_s(&self) -> f64 {
        self.deliveries as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }
}

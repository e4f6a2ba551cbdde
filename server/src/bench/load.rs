//! The load of a run, and its outcome.

use std::time::Duration;

/// Why there is no result: a sentence for people.
pub type BenchError = String;

/// The subject that everything is published to, followed by the number of the publisher.
pub const SUBJECT: &str = "bench";

/// The load of a run: who publishes how much to whom.
#[derive(Clone, Debug)]
pub struct Load {
    /// Publishers, each with its own subject.
    pub publishers: usize,
    /// Subscribers of each publisher.
    pub subscribers: usize,
    /// Further subscribers of each publisher, which never read.
    pub stuck: usize,
    /// Messages a write.
    pub batch: usize,
    /// Bytes of each payload.
    pub payload_bytes: usize,
    /// How long to publish, unless `messages` says how many.
    pub duration: Duration,
    /// Messages of each publisher; `None` for as many as fit into `duration`.
    pub messages: Option<u64>,
    /// Messages a second of each publisher; otherwise as many as go. With a rate, how late they are
    /// is measured.
    pub rate: Option<f64>,
}

impl Default for Load {
    fn default() -> Self {
        Self {
            publishers: 1,
            subscribers: 1,
            stuck: 0,
            batch: 64,
            payload_bytes: 128,
            duration: Duration::from_secs(1),
            messages: None,
            rate: None,
        }
    }
}

/// The result of a run. There is none unless everything published arrived, once and in order.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Messages published.
    pub messages: u64,
    /// Messages received, all subscribers together.
    pub deliveries: u64,
    /// From the first publish to the last delivery.
    pub elapsed: Duration,
    /// Processor time that this process took meanwhile.
    pub client_time: Duration,
    /// How late each delivery was, in nanoseconds, in ascending order; empty without a rate.
    pub late_ns: Vec<u64>,
}

impl Outcome {
    /// Deliveries a second, or messages a second where nobody subscribes.
    pub fn rate(&self) -> f64 {
        let count = if self.deliveries > 0 { self.deliveries } else { self.messages };
        count as f64 / self.elapsed.as_secs_f64().max(1e-9)
    }

    /// How many processors the client kept busy.
    pub fn client_cores(&self) -> f64 {
        self.client_time.as_secs_f64() / self.elapsed.as_secs_f64().max(1e-9)
    }
}

/// The messages to listen for when others publish.
#[derive(Clone, Debug)]
pub struct Listening {
    /// The subject to subscribe to.
    pub subject: String,
    /// Connections that subscribe.
    pub subscribers: usize,
    /// How long to listen, from the first message on.
    pub duration: Duration,
}

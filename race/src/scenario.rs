//! The work of a run.

use crate::executor::Executor;
use std::fmt;

/// How many messages a queue holds unless a row says otherwise: Fanfare's default, and a common
/// choice elsewhere.
pub const QUEUE_MESSAGES: usize = 1024;

/// A row of the race: the same for every peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    pub executor: Executor,
    pub content: Content,
    /// Subscribers in all, the stuck ones among them.
    pub subscribers: usize,
    pub publishers: usize,
    /// Messages handed over in one call, by peers that have such a call; else one after another.
    pub batch: usize,
    pub queue_messages: usize,
    /// Subscribers that never read. Only Fanfare can have them: the others would wait for ever.
    pub stuck: usize,
    /// Messages a second, each published alone and timed; `None` is as fast as it goes.
    pub rate_per_s: Option<u32>,
}

/// The payload of a message: 64 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// In the message itself.
    Copy,
    /// In a `String`.
    String,
}

impl Scenario {
    /// One publisher, single publishes, 64 bytes in place.
    pub fn plain(executor: Executor, subscribers: usize) -> Self {
        Self {
            executor,
            content: Content::Copy,
            subscribers,
            publishers: 1,
            batch: 1,
            queue_messages: QUEUE_MESSAGES,
            stuck: 0,
            rate_per_s: None,
        }
    }

    pub fn living(&self) -> usize {
        self.subscribers - self.stuck
    }
}

impl fmt::Display for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Copy => "copy",
            Self::String => "string",
        })
    }
}

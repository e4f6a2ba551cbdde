//! The settings of the gateway.

use crate::connection::ConnectionLimits;
use crate::limits;
use crate::transport::{Idle, WriterSettings};
use fanfare::{Pattern, WhenFull};
use std::time::Duration;

/// Every bound of a push gateway. The default is what [`limits`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PushSettings {
    /// Connections in all and per address.
    pub connections: ConnectionLimits,
    /// Write buffer, write deadline, idle times.
    pub writer: WriterSettings,
    /// Bytes of a line that a client sends.
    pub line_bytes: usize,
    /// Groups of one connection.
    pub groups: usize,
    /// Pushes queued for one connection.
    pub queue_messages: usize,
    /// Bytes queued for one connection.
    pub queue_bytes: usize,
    /// How long a push waits for a client whose queue is full; zero for not at all.
    pub wait: Duration,
    /// How long one push may take.
    pub timeout: Duration,
    /// Pushes handled at the same time.
    pub at_once: usize,
    /// Senders that wait for acknowledgements at the same time.
    pub ack_waits: usize,
    /// Seconds that a push is kept, unless it says otherwise.
    pub ttl_s: u64,
    /// Pushes kept of each user and group, and of those to all.
    pub replay: usize,
    /// Whether unsigned datagrams are accepted from this machine.
    pub takes_unsigned: bool,
    /// Seconds by which the time of a signed datagram may differ.
    pub signature_age_s: u64,
    /// Pushes a second that one token may send by HTTP.
    pub http_per_second: usize,
}

impl Default for PushSettings {
    fn default() -> Self {
        Self {
            connections: ConnectionLimits::default(),
            writer: WriterSettings {
                buffer_bytes: limits::WRITE_BUFFER_BYTES,
                deadline: Duration::from_millis(limits::WRITE_DEADLINE_MS),
                idle: Idle {
                    interval: Duration::from_millis(limits::PUSH_IDLE_MS),
                    misses: limits::IDLE_MISSES,
                    answer_required: true,
                },
            },
            line_bytes: limits::PUSH_LINE_BYTES,
            groups: limits::PUSH_GROUPS_PER_CONNECTION,
            queue_messages: limits::PUSH_QUEUE_MESSAGES,
            queue_bytes: limits::PUSH_QUEUE_BYTES,
            wait: Duration::from_millis(limits::PUSH_WAIT_MS),
            timeout: Duration::from_millis(limits::PUSH_TIMEOUT_MS),
            at_once: limits::PUSHES_AT_ONCE,
            ack_waits: limits::PUSH_ACK_WAITS,
            ttl_s: limits::PUSH_TTL_S,
            replay: limits::PUSH_REPLAY,
            takes_unsigned: true,
            signature_age_s: limits::PUSH_SIGNATURE_AGE_S,
            http_per_second: limits::PUSH_HTTP_PER_SECOND,
        }
    }
}

impl PushSettings {
    /// The histories that the broker has to keep for clients that return: patterns and message
    /// counts.
    pub fn histories(&self) -> Vec<(Pattern, usize)> {
        let patterns =
            ["push.user.*", "push.group.*", "push.all"].into_iter().filter(|_| self.replay > 0);
        patterns
            .filter_map(|pattern| Pattern::parse(pattern).ok())
            .map(|pattern| (pattern, self.replay))
            .collect()
    }

    pub(super) fn when_full(&self) -> WhenFull {
        if self.wait.is_zero() { WhenFull::DropNewest } else { WhenFull::Wait(self.wait) }
    }
}

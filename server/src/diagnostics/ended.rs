//! Why connections end.

use std::fmt;

/// Why a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The peer said goodbye.
    Quit,
    /// The peer closed the connection.
    PeerClosed,
    /// Reading or writing failed.
    Broken,
    /// The peer took nothing of what waited for it until the deadline.
    Stuck,
    /// The peer answered no ping.
    Quiet,
    /// A queue for it was full for too long.
    SlowConsumer,
    /// The connection held too much while memory was short.
    Shed,
    /// The server ended, having said goodbye.
    ServerStopped,
    /// Somebody ended the connection from the admin listener.
    SentAway,
    /// The connection's task was ended before it could end well.
    Cut,
    /// The protocol's own reason, from a fixed set of texts, since it becomes a label of the
    /// metrics.
    Because(&'static str),
}

impl Ended {
    /// The reason in a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Quit => "quit",
            Self::PeerClosed => "peer closed",
            Self::Broken => "broken",
            Self::Stuck => "write time-out",
            Self::Quiet => "idle time-out",
            Self::SlowConsumer => "slow consumer",
            Self::Shed => "memory is short",
            Self::ServerStopped => "server stopped",
            Self::SentAway => "disconnected by an administrator",
            Self::Cut => "cut",
            Self::Because(text) => text,
        }
    }

    /// Whether the end is nobody's fault.
    pub fn is_ordinary(self) -> bool {
        matches!(self, Self::Quit | Self::PeerClosed | Self::Broken | Self::ServerStopped)
    }

    /// Whether a deadline passed.
    pub fn is_time_out(self) -> bool {
        matches!(self, Self::Stuck | Self::Quiet)
    }

    /// Whether the peer did not take what it asked for as fast as it came.
    pub fn is_slow_consumer(self) -> bool {
        matches!(self, Self::Stuck | Self::SlowConsumer)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

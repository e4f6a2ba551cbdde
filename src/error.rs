//! What can go wrong, whose fault it is, and the undelivered value back.

use crate::limits::{QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX};
use std::fmt;

/// Why a publish reached nobody. Holds what was not published.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError<T> {
    /// The broker was closed before the publish began.
    Closed(T),
    /// A batch of more than [`BATCH_MESSAGES_MAX`](crate::limits::BATCH_MESSAGES_MAX) messages.
    TooLong(T),
}

impl<T> PublishError<T> {
    /// The message that was not published.
    pub fn into_inner(self) -> T {
        match self {
            Self::Closed(message) | Self::TooLong(message) => message,
        }
    }
}

/// Why a publish that may not wait reached nobody. Holds what was not published.
#[derive(Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TryPublishError<T> {
    /// The broker was closed before the publish began.
    Closed(T),
    /// A lossless subscription ([`WhenFull::Block`](crate::WhenFull::Block)) has no room; nobody
    /// got the message.
    Full(T),
    /// A batch of more than [`BATCH_MESSAGES_MAX`](crate::limits::BATCH_MESSAGES_MAX) messages.
    TooLong(T),
}

impl<T> TryPublishError<T> {
    /// The message that was not published.
    pub fn into_inner(self) -> T {
        match self {
            Self::Closed(message) | Self::Full(message) | Self::TooLong(message) => message,
        }
    }
}

/// Why a subscription could not begin.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The broker is closed.
    Closed,
    /// The broker already has as many subscriptions as its builder allowed.
    TooMany {
        /// The largest number of subscriptions.
        max: usize,
    },
    /// The bound in messages is zero or above [`QUEUE_MESSAGES_MAX`].
    BadMessageBound(usize),
    /// The bound in bytes is zero or above [`QUEUE_BYTES_MAX`].
    BadByteBound(usize),
    /// The mailbox has ended.
    Ended,
}

/// Why there is no message at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TryRecvError {
    /// Nothing is queued; more may come.
    Empty,
    /// The subscription has ended and everything was received.
    Ended,
}

/// Why a request has no answer.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError<T> {
    /// The broker is closed. Holds the request.
    Closed(T),
    /// Nobody subscribes to the topic, which the request learns at once. Holds the request.
    NoResponders(T),
    /// Every responder's queue was full: the request was dropped.
    Dropped,
    /// The request was delivered and not answered in time.
    TimedOut,
    /// The inbox for the answer could not be made. Holds the reason and the request.
    Inbox(SubscribeError, T),
}

macro_rules! say {
    ($name:ident { $($variant:ident => $text:expr,)* }) => {
        // The message itself is not printed, so that any payload will do.
        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let variant = match self {
                    $(Self::$variant { .. } => stringify!($variant),)*
                };
                write!(f, "{variant}({self})")
            }
        }
        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$variant { .. } => $text,)*
                })
            }
        }
        impl<T> std::error::Error for $name<T> {}
    };
}

say!(PublishError {
    Closed => "the broker is closed",
    TooLong => "the batch has too many messages; publish it in parts",
});

say!(TryPublishError {
    Closed => "the broker is closed",
    Full => "a lossless subscription has no room; try again, or use publish, which waits",
    TooLong => "the batch has too many messages; publish it in parts",
});

say!(RequestError {
    Closed => "the broker is closed",
    NoResponders => "nobody subscribes to the topic of this request",
    Dropped => "every responder's queue was full, the request was dropped",
    TimedOut => "no answer in time",
    Inbox => "the inbox for the answer could not be made",
});

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => write!(f, "the broker is closed"),
            Self::Ended => write!(f, "the mailbox has ended"),
            Self::TooMany { max } => {
                write!(f, "the broker has {max} subscriptions already, its bound")
            }
            Self::BadMessageBound(bound) => {
                write!(f, "a queue of {bound} messages is not possible: 1 to {QUEUE_MESSAGES_MAX}")
            }
            Self::BadByteBound(bound) => {
                write!(f, "a queue of {bound} bytes is not possible: 1 to {QUEUE_BYTES_MAX}")
            }
        }
    }
}

impl std::error::Error for SubscribeError {}

impl fmt::Display for TryRecvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "nothing is queued",
            Self::Ended => "the subscription has ended",
        })
    }
}

impl std::error::Error for TryRecvError {}

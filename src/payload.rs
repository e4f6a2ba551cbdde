//! What is published: a payload with a weight, from an origin.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A message type that a [`Broker`](crate::Broker) can carry.
///
/// The weight is what the byte bounds of queues and histories count. It is asked for once, when the
/// message is published, and must be cheap. The default is the size of the value itself, without
/// what it points to: right for plain data, too small for a type that owns a heap buffer.
///
/// ```
/// use fanfare::Payload;
///
/// struct Quote { symbol: String, cents: u64 }
///
/// impl Payload for Quote {
///     fn weight_bytes(&self) -> usize {
///         size_of::<Self>() + self.symbol.len()
///     }
/// }
/// ```
pub trait Payload: Send + Sync + 'static {
    /// The weight in bytes. Weights above `u32::MAX` count as `u32::MAX`, which no queue accepts.
    fn weight_bytes(&self) -> usize {
        size_of_val(self)
    }

    /// Whether a topic's history keeps the message. The default keeps everything. A payload type
    /// that also carries passing news, such as who came and who left, says no for those, so they do
    /// not push out what is worth reading later.
    fn is_kept_in_history(&self) -> bool {
        true
    }
}

macro_rules! weigh_their_size {
    ($($plain:ty),* $(,)?) => { $(impl Payload for $plain {})* };
}

weigh_their_size!(
    (),
    bool,
    char,
    u8,
    u16,
    u32,
    u64,
    u128,
    usize,
    i8,
    i16,
    i32,
    i64,
    i128,
    isize,
    f32,
    f64
);

macro_rules! weigh_their_content {
    ($($owner:ty),* $(,)?) => {
        $(impl Payload for $owner {
            fn weight_bytes(&self) -> usize {
                self.len()
            }
        })*
    };
}

weigh_their_content!(
    String,
    &'static str,
    Box<str>,
    Arc<str>,
    Vec<u8>,
    &'static [u8],
    Box<[u8]>,
    Arc<[u8]>
);

impl<T: Payload> Payload for Arc<T> {
    fn weight_bytes(&self) -> usize {
        T::weight_bytes(self)
    }

    fn is_kept_in_history(&self) -> bool {
        T::is_kept_in_history(self)
    }
}

impl<T: Payload> Payload for Box<T> {
    fn weight_bytes(&self) -> usize {
        T::weight_bytes(self)
    }

    fn is_kept_in_history(&self) -> bool {
        T::is_kept_in_history(self)
    }
}

impl<const N: usize> Payload for [u8; N] {}

/// Identifies who publishes, for subscriptions that do not want to hear themselves. See
/// [`Broker::publisher_as`](crate::Broker::publisher_as) and
/// [`SubscriptionBuilder::no_echo`](crate::SubscriptionBuilder::no_echo).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(u64);

impl Origin {
    /// An origin that differs from every other in this process.
    pub fn unique() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

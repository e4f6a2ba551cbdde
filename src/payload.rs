//! What is published: a payload with a weight, from an origin.

use crate::topic::Topic;
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
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no `Payload`: it does not say what a message weighs",
    note = "implement `Payload` for a type of your own; `BySize` makes a payload of any other type \
            that is `Send + Sync + 'static`"
)]
pub trait Payload: Send + Sync + 'static {
    /// The weight in bytes. Weights above `u32::MAX` count as `u32::MAX`, which no queue accepts.
    fn weight_bytes(&self) -> usize {
        size_of_val(self)
    }

    /// The weight in bytes of many values together, for collections. The default asks each value,
    /// and counts at least its size. A type whose values all weigh their size says so here, so that
    /// a long `Vec` of it is weighed in one step.
    fn weight_bytes_of_all(values: &[Self]) -> usize
    where
        Self: Sized,
    {
        values
            .iter()
            .fold(0, |sum, value| sum.saturating_add(value.weight_bytes().max(size_of::<Self>())))
    }

    /// Whether a topic's history keeps the message. The default keeps everything. A payload type
    /// that also carries passing news, such as people who come and go, returns false for those, so
    /// that they do not push out what is worth reading later.
    fn is_kept_in_history(&self) -> bool {
        true
    }

    /// The topic on which the sender waits for an answer, if the payload itself says so, as a
    /// message from the wire does: so requests can be published in a batch. None by default. What
    /// [`publish_request`](crate::Publisher::publish_request) was given comes first.
    fn reply_to(&self) -> Option<&Topic> {
        None
    }
}

macro_rules! weigh_their_size {
    ($($plain:ty),* $(,)?) => {
        $(impl Payload for $plain {
            fn weight_bytes_of_all(values: &[Self]) -> usize {
                size_of_val(values)
            }
        })*
    };
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

weigh_their_content!(String, &'static str, Box<str>, Arc<str>);
#[cfg(feature = "bytes")]
weigh_their_content!(bytes::Bytes);

macro_rules! weigh_all_their_values {
    ($($collection:ty),* $(,)?) => {
        $(impl<T: Payload> Payload for $collection {
            fn weight_bytes(&self) -> usize {
                T::weight_bytes_of_all(self)
            }
        })*
    };
}

weigh_all_their_values!(Vec<T>, &'static [T], Box<[T]>, Arc<[T]>);

impl<T: Payload, const N: usize> Payload for [T; N] {
    fn weight_bytes(&self) -> usize {
        T::weight_bytes_of_all(self)
    }
}

/// Nothing weighs nothing.
impl<T: Payload> Payload for Option<T> {
    fn weight_bytes(&self) -> usize {
        self.as_ref().map_or(0, T::weight_bytes)
    }

    fn is_kept_in_history(&self) -> bool {
        self.as_ref().is_none_or(T::is_kept_in_history)
    }
}

/// Weighs both parts; a history keeps it if it would keep both.
impl<A: Payload, B: Payload> Payload for (A, B) {
    fn weight_bytes(&self) -> usize {
        self.0.weight_bytes().saturating_add(self.1.weight_bytes())
    }

    fn is_kept_in_history(&self) -> bool {
        self.0.is_kept_in_history() && self.1.is_kept_in_history()
    }
}

/// Weighs all three parts; a history keeps it if it would keep each.
impl<A: Payload, B: Payload, C: Payload> Payload for (A, B, C) {
    fn weight_bytes(&self) -> usize {
        let (a, b, c) = self;
        a.weight_bytes().saturating_add(b.weight_bytes()).saturating_add(c.weight_bytes())
    }

    fn is_kept_in_history(&self) -> bool {
        let (a, b, c) = self;
        a.is_kept_in_history() && b.is_kept_in_history() && c.is_kept_in_history()
    }
}

macro_rules! weigh_what_they_own {
    ($($owner:ident),*) => {
        $(impl<T: Payload> Payload for $owner<T> {
            fn weight_bytes(&self) -> usize {
                T::weight_bytes(self)
            }

            fn is_kept_in_history(&self) -> bool {
                T::is_kept_in_history(self)
            }
        })*
    };
}

weigh_what_they_own!(Arc, Box);

/// Identifies a publisher, for subscriptions that do not want their own messages back. See
/// [`Broker::publisher_as`](crate::Broker::publisher_as) and
/// [`SubscriptionBuilder::no_echo`](crate::SubscriptionBuilder::no_echo).
///
/// ```
/// use fanfare::{Broker, Origin, Pattern, Topic};
///
/// let broker = Broker::<&str>::new();
/// let (room, me) = (Topic::parse("room.lobby")?, Origin::unique());
/// let _mine = broker.subscription(&Pattern::from(&room)).no_echo(me).subscribe()?;
/// let _other = broker.subscribe(&Pattern::from(&room))?;
/// assert_eq!(broker.publisher_as(me).publish_blocking(&room, "hello")?.matched, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Origin(u64);

impl Origin {
    /// Whatever comes over bridges.
    pub(crate) const BRIDGE: Self = Self(0);

    /// An origin that differs from every other in this process.
    pub fn unique() -> Self {
        static LAST: AtomicU64 = AtomicU64::new(0);
        Self(LAST.fetch_add(1, Ordering::Relaxed) + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct News;

    impl Payload for News {
        fn is_kept_in_history(&self) -> bool {
            false
        }
    }

    #[test]
    fn collections_weigh_what_is_in_them() {
        assert_eq!(vec![0_u8; 7].weight_bytes(), 7);
        assert_eq!(vec![0_u64; 7].weight_bytes(), 56);
        assert_eq!([[0_u16; 3]; 5].weight_bytes(), 30);
        let short_and_long = vec![String::new(), "x".repeat(100)];
        assert_eq!(short_and_long.weight_bytes(), size_of::<String>() + 100);
        assert_eq!(Some("four").weight_bytes(), 4);
        assert_eq!(None::<u64>.weight_bytes(), 0);
        assert_eq!((1_u8, "two", vec![3_u32]).weight_bytes(), 1 + 3 + 4);
        assert_eq!((1_u8, Box::new("two".to_owned())).weight_bytes(), 1 + 3);
    }

    #[cfg(feature = "bytes")]
    #[test]
    fn bytes_weigh_their_length() {
        assert_eq!(bytes::Bytes::from_static(b"seven..").weight_bytes(), 7);
    }

    #[test]
    fn history_keeps_what_it_would_keep_each_part_of() {
        assert!(None::<News>.is_kept_in_history() && !Some(News).is_kept_in_history());
        assert!((1_u8, 2_u8).is_kept_in_history() && !(1_u8, News).is_kept_in_history());
        assert!(!(News, 1_u8, 2_u8).is_kept_in_history());
    }
}

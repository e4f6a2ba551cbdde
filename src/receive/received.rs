//! A message lent by its subscription.

use crate::log::Segment;
use crate::log::message::Message;
use crate::payload::Payload;
use crate::topic::Topic;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// One received message, lent by the subscription until its next receive. Derefs to the payload.
///
/// [`to_message`](Self::to_message) keeps it for longer.
pub struct Received<'a, M>(Source<'a, M>);

/// Of three words, also as a delivery that may be absent or pending. `recv` makes it in its caller,
/// where it stays in registers: five words that were returned through memory took twice the time.
enum Source<'a, M> {
    /// With its segment and its index there.
    Lent(&'a M, &'a Arc<Segment<M>>, u32),
    /// Where a subscription can be ended and freed at any time, it has nothing to lend.
    Owned(Arc<Segment<M>>, u32),
}

impl<'a, M> Received<'a, M> {
    #[inline]
    pub(super) fn lent(message: &'a M, segment: &'a Arc<Segment<M>>, index: u32) -> Self {
        Self(Source::Lent(message, segment, index))
    }

    pub(super) fn owned(segment: Arc<Segment<M>>, index: u32) -> Self {
        Self(Source::Owned(segment, index))
    }

    /// The message, to be kept: it shares what is stored, and copies nothing.
    #[inline]
    pub fn to_message(&self) -> Message<M> {
        let (segment, index) = self.stored();
        Message::new(segment.clone(), index)
    }

    /// The topic it was published to.
    pub fn topic(&self) -> &Topic {
        let (segment, index) = self.stored();
        segment.topic(index)
    }

    /// The message's weight against byte bounds.
    pub fn weight_bytes(&self) -> u32 {
        let (segment, index) = self.stored();
        segment.weight_bytes(index)
    }

    #[inline]
    fn stored(&self) -> (&Arc<Segment<M>>, u32) {
        match &self.0 {
            Source::Lent(_, segment, index) => (segment, *index),
            Source::Owned(segment, index) => (segment, *index),
        }
    }
}

impl<'a, M: Payload> Received<'a, M> {
    /// Where the sender waits for an answer, if it does.
    pub fn reply_to(&self) -> Option<&Topic> {
        let (segment, index) = self.stored();
        segment.reply_to(index)
    }
}

impl<M> Deref for Received<'_, M> {
    type Target = M;

    #[inline]
    fn deref(&self) -> &M {
        match &self.0 {
            Source::Lent(message, ..) => message,
            Source::Owned(segment, index) => segment.message(*index),
        }
    }
}

impl<M: fmt::Debug> fmt::Debug for Received<'_, M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("topic", self.topic()).field("payload", &**self).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receive::delivery::Delivery;
    use std::task::Poll;

    #[test]
    fn a_delivery_has_three_words() {
        assert_eq!(size_of::<Poll<Option<Delivery<Received<'_, u64>>>>>(), 3 * size_of::<usize>());
    }
}

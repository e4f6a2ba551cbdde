//! A single delivery.

use crate::log::message::Message;
use crate::receive::received::Received;

/// A delivery: a message, lent ([`Received`]) or owned ([`Message`]), or a gap.
#[derive(Clone, Copy, Debug)]
pub enum Delivery<T> {
    /// A message.
    Message(T),
    /// This many messages are missing here, because the subscription's queue had no room. 0: nobody
    /// knows how many, perhaps none, because a [bridge](crate::Broker::interrupt) was down.
    Missed(u64),
}

impl<T> Delivery<T> {
    /// The message, unless this is a gap.
    pub fn message(self) -> Option<T> {
        match self {
            Self::Message(message) => Some(message),
            Self::Missed(_) => None,
        }
    }
}

impl<M> Delivery<Received<'_, M>> {
    /// The same, to be kept.
    pub fn to_message(&self) -> Delivery<Message<M>> {
        match self {
            Self::Message(message) => Delivery::Message(message.to_message()),
            Self::Missed(count) => Delivery::Missed(*count),
        }
    }
}

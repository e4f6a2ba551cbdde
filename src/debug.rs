//! `Debug` of the handles: what they are, without a lock and whatever the payload is.

use crate::bridge::interest::InterestWatch;
use crate::bridge::{Bridge, BridgeBuilder, BridgePublisher};
use crate::broker::{Broker, BrokerBuilder};
use crate::log::message::BatchIter;
use crate::payload::Payload;
use crate::publish::Publisher;
use crate::receive::builder::{MailboxBuilder, SubscriptionBuilder};
use crate::receive::mailbox::{Mailbox, MailboxSubscriber};
use crate::receive::messages::{Messages, TryMessages};
use crate::receive::subscription::Subscription;
use crate::receive::watch::SubscriptionWatch;
use std::fmt;

macro_rules! show {
    ($([$($generics:tt)*] $type:ty { $($field:literal: $value:expr),* })*) => {
        $(impl<$($generics)*> fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let name = stringify!($type);
                f.debug_struct(name.split('<').next().unwrap_or(name))
                    $(.field($field, &$value(self)))*
                    .finish_non_exhaustive()
            }
        })*
    };
}

show! {
    [M: Payload] Broker<M> {}
    [M] BrokerBuilder<M> {}
    [M: Payload] Publisher<M> {}
    [M] SubscriptionBuilder<M> {}
    [M] MailboxBuilder<M> {}
    [M: Payload] Subscription<M> { "id": Self::id, "pattern": Self::pattern }
    [M: Payload] Mailbox<M> { "id": Self::id }
    [M] MailboxSubscriber<M> {}
    [M] SubscriptionWatch<M> { "end_reason": Self::end_reason }
    [M: Payload] Messages<M> { "subscription": Self::subscription, "missed": Self::missed }
    [M: Payload] TryMessages<M> { "subscription": Self::subscription }
    [M: Payload] Bridge<M> { "id": Self::id }
    [M] BridgeBuilder<M> {}
    [M: Payload] BridgePublisher<M> {}
    [M] InterestWatch<M> {}
    [M] BatchIter<'_, M> { "left": ExactSizeIterator::len }
}

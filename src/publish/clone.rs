//! Another publisher like this one.

use crate::payload::Payload;
use crate::publish::Publisher;

/// A publisher of its own, with the same broker and origin, which costs what
/// [`Broker::publisher`](crate::Broker::publisher) does. It shares nothing else with this one: it
/// learns its routes anew, there is no order between the two, and a publish that waits in one does
/// not hold up the other.
impl<M: Payload> Clone for Publisher<M> {
    fn clone(&self) -> Self {
        Self::new(self.handle.clone(), self.fan_out.origin, self.fan_out.own)
    }
}

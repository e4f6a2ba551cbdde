//! A payload made of any type.

use crate::payload::Payload;
use std::ops::Deref;

/// Makes a payload of any type, such as one from another crate. It weighs its own size, without
/// what it points to, so a queue's bound in bytes does not see heap buffers: bound the queue in
/// messages.
///
/// ```
/// use fanfare::{BySize, Broker, Pattern, Topic};
/// use std::time::SystemTime;
///
/// let broker = Broker::<BySize<SystemTime>>::new();
/// let mut clock = broker.subscribe(&Pattern::parse("clock")?)?;
/// let (topic, now) = (Topic::parse("clock")?, BySize(SystemTime::now()));
/// let _ = broker.publisher().publish_blocking(&topic, now)?;
/// assert!(clock.try_recv().is_ok());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BySize<T>(pub T);

impl<T: Send + Sync + 'static> Payload for BySize<T> {}

impl<T> Deref for BySize<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_weighs_its_size_without_what_it_points_to() {
        assert_eq!(BySize(vec![0_u8; 1000]).weight_bytes(), size_of::<Vec<u8>>());
    }
}

//! Values that are replaced while the server runs.

use event_listener::{Event, listener};
use std::sync::{Arc, PoisonError, RwLock};

/// A value that a reload replaces. Clones share it.
#[derive(Debug, Default)]
pub struct Live<T>(Arc<Shared<T>>);

#[derive(Debug, Default)]
struct Shared<T> {
    value: RwLock<Arc<T>>,
    changes: Event,
}

impl<T> Live<T> {
    /// Holds this value until it is replaced.
    pub fn new(value: impl Into<Arc<T>>) -> Self {
        let value = RwLock::new(value.into());
        Self(Arc::new(Shared { value, changes: Event::new() }))
    }

    /// The current value. A later replacement does not change what is returned here.
    pub fn get(&self) -> Arc<T> {
        self.0.value.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until the value is another than `seen`. Cancel safe.
    pub async fn changed(&self, seen: &Arc<T>) -> Arc<T> {
        loop {
            // Before the look: what is replaced after it wakes us.
            listener!(self.0.changes => changes);
            let present = self.get();
            if !Arc::ptr_eq(&present, seen) {
                return present;
            }
            changes.await;
        }
    }

    /// Replaces the value.
    pub fn set(&self, value: impl Into<Arc<T>>) {
        let value = value.into();
        let old = {
            let mut present = self.0.value.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *present, value)
        };
        self.0.changes.notify(usize::MAX);
        // Not under the lock: the value may have a lot to free.
        drop(old);
    }
}

impl<T> Clone for Live<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once};
    use std::pin::pin;

    #[test]
    fn clones_see_the_new_value_and_holders_keep_the_old_one() {
        let live = Live::new(1);
        let (clone, held) = (live.clone(), live.get());
        live.set(2);
        assert_eq!((*clone.get(), *held), (2, 1));
        assert_eq!(block_on(poll_once(clone.changed(&held))).as_deref(), Some(&2));
        let present = live.get();
        let mut changed = pin!(live.changed(&present));
        assert!(block_on(poll_once(&mut changed)).is_none());
        clone.set(3);
        assert_eq!(*block_on(changed), 3);
    }
}

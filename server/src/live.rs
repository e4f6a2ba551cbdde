//! Values that are replaced while the server runs.

use std::sync::{Arc, PoisonError, RwLock};

/// A value that a reload replaces. Clones share it.
#[derive(Debug, Default)]
pub struct Live<T>(Arc<RwLock<Arc<T>>>);

impl<T> Live<T> {
    /// A value that nobody has replaced yet.
    pub fn new(value: impl Into<Arc<T>>) -> Self {
        Self(Arc::new(RwLock::new(value.into())))
    }

    /// The present value, which stays what it is for whoever holds it.
    pub fn get(&self) -> Arc<T> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Replaces the value.
    pub fn set(&self, value: impl Into<Arc<T>>) {
        let value = value.into();
        let old = {
            let mut present = self.0.write().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *present, value)
        };
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

    #[test]
    fn clones_see_the_new_value_and_holders_keep_the_old_one() {
        let live = Live::new(1);
        let (clone, held) = (live.clone(), live.get());
        live.set(2);
        assert_eq!((*clone.get(), *held), (2, 1));
    }
}

//! How many subscriptions the connections of an account have together, so that none are taken from
//! other accounts and front-ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of places that connections take and give back.
pub(super) struct Share {
    taken: AtomicUsize,
    places: AtomicUsize,
}

/// The places that one connection has taken. Dropping it gives them back.
pub(super) struct Places {
    share: Arc<Share>,
    taken: AtomicUsize,
}

impl Share {
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { taken: AtomicUsize::new(0), places: AtomicUsize::new(places) })
    }

    /// Has this many places from now on. Those that are taken stay so.
    pub fn resize(&self, places: usize) {
        self.places.store(places, Ordering::Relaxed);
    }
}

impl Places {
    pub fn of(share: &Arc<Share>) -> Self {
        Self { share: share.clone(), taken: AtomicUsize::new(0) }
    }

    /// Takes one, if there is one left.
    pub fn take(&self) -> bool {
        // Places guard nothing but their own number, so no order is needed.
        let relaxed = Ordering::Relaxed;
        let places = self.share.places.load(relaxed);
        let one_more = |taken| (taken < places).then_some(taken + 1);
        let is_taken = self.share.taken.fetch_update(relaxed, relaxed, one_more).is_ok();
        self.taken.fetch_add(usize::from(is_taken), relaxed);
        is_taken
    }

    /// Gives one back that was taken.
    pub fn give_back(&self) {
        self.taken.fetch_sub(1, Ordering::Relaxed);
        self.share.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Places {
    fn drop(&mut self) {
        self.share.taken.fetch_sub(*self.taken.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_taken_given_back_and_given_back_with_their_connection() {
        let share = Share::new(3);
        let (one, other) = (Places::of(&share), Places::of(&share));
        assert!(one.take() && one.take() && other.take());
        assert!(!one.take() && !other.take());
        one.give_back();
        assert!(other.take() && !other.take());
        drop(other);
        assert!(one.take() && one.take() && !one.take());
        drop(one);
        assert_eq!(share.taken.load(Ordering::Relaxed), 0);
    }
}

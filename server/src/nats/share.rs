//! How many subscriptions NATS has, of all connections together, so that none are taken from the
//! other doors.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A number of places that connections take and give back.
pub(super) struct Share {
    taken: AtomicUsize,
    places: usize,
}

/// The places that one connection has taken. Dropping it gives them back.
pub(super) struct Places {
    share: Arc<Share>,
    taken: AtomicUsize,
}

impl Share {
    pub fn new(places: usize) -> Arc<Self> {
        Arc::new(Self { taken: AtomicUsize::new(0), places })
    }
}

impl Places {
    pub fn of(share: &Arc<Share>) -> Self {
        Self { share: share.clone(), taken: AtomicUsize::new(0) }
    }

    /// Takes one, if there is one left.
    pub fn take(&self) -> bool {
        // Places guard nothing but their own number, so no order is needed.
        let one_more = |taken| (taken < self.share.places).then_some(taken + 1);
        let relaxed = Ordering::Relaxed;
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

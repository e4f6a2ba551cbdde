//! A publisher that is *busy*, which takes the place of locks on its short way.
//!
//! What a short publish relies on hardly ever changes: the audience, the credit in its queues, that
//! all receivers read on. A lock for each of these would cost more than the rest of the publish. So
//! the publisher says that it is busy, and then looks at them. Whoever changes one of them changes
//! it first, and then waits until the publisher is not busy. Both write first and read second,
//! sequentially consistent, so at least one of them sees the other: the publisher leaves the short
//! way, or the publish is over before the change goes on.
//!
//! While it is busy a publisher takes no lock, allocates nothing, and runs no foreign code, so
//! nobody waits for it longer than its thread is kept from running.

use crate::sync::{AtomicBool, Ordering, wait_a_moment, write_before_read};

/// Whether a publisher is busy.
///
/// On a cache line of its own, which moves only when somebody looks.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Busy(AtomicBool);

/// The publisher is busy until this is dropped.
pub(crate) struct WhileBusy<'a>(&'a Busy);

impl Busy {
    pub fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// The publisher, before it looks at what others change.
    #[inline]
    pub fn begin(&self) -> WhileBusy<'_> {
        self.0.swap(true, Ordering::SeqCst);
        write_before_read();
        WhileBusy(self)
    }

    /// Others, after a sequentially consistent change: waits for a publish that may have overlooked
    /// it. From then on they see all that this publish did.
    pub fn wait_until_over(&self) {
        self.wait_until_over_or(|| false);
    }

    /// The same, and no longer than until this is true.
    #[inline]
    pub fn wait_until_over_or(&self, is_enough: impl Fn() -> bool) {
        write_before_read();
        let mut looks = 0;
        while !is_enough() && self.0.load(Ordering::SeqCst) {
            wait_a_moment(looks);
            looks += 1;
        }
    }
}

impl Drop for WhileBusy<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.0.store(false, Ordering::Release);
    }
}

#[cfg(all(test, fanfare_loom))]
mod loom_models {
    use super::*;
    use crate::sync::AtomicU32;
    use loom::sync::Arc;
    use loom::thread;

    /// What the change replaces is used by no publish after it, and by none beside it.
    #[test]
    fn loom_a_change_waits_for_a_publish_that_overlooked_it() {
        loom::model(|| {
            let shared = Arc::new((Busy::new(), AtomicU32::new(0), AtomicU32::new(0)));
            let publisher = {
                let shared = shared.clone();
                thread::spawn(move || {
                    let (busy, changes, published) = &*shared;
                    for _ in 0..2 {
                        let _busy = busy.begin();
                        if changes.load(Ordering::SeqCst) > 0 {
                            return;
                        }
                        let before = published.load(Ordering::Relaxed);
                        published.store(before + 1, Ordering::Relaxed);
                    }
                })
            };
            let (busy, changes, published) = &*shared;
            changes.store(1, Ordering::SeqCst);
            busy.wait_until_over();
            let seen = published.load(Ordering::Relaxed);
            publisher.join().unwrap();
            assert_eq!(published.load(Ordering::Relaxed), seen, "none after the change");
        });
    }
}

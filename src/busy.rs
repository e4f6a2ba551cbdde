//! A publisher that is *busy*, which takes the place of locks on its short way.
//!
//! What a short publish relies on hardly ever changes: the audience, and the credit in its queues.
//! A lock for each would cost more than the rest of the publish. So the publisher says that it is
//! busy, and then looks at them. Whoever changes one of them changes it first, and then waits until
//! the publisher is not busy. Both write first and read second, sequentially consistent, so at
//! least one of them sees the other: the publisher leaves the short way, or the publish is over
//! before the change goes on.
//!
//! While it is busy a publisher takes no lock, allocates nothing, and runs no foreign code, so
//! nobody waits for it longer than its thread is kept from running. Only when somebody has left the
//! segment does it need to see the audience. Then it says that it is *locking*: all is done that
//! the credit was for, and the audience stays as it is until the publisher has its lock.

use crate::sync::{AtomicU32, Ordering, wait_a_moment, write_before_read};

/// Whether a publisher is busy.
///
/// On a cache line of its own, which moves only when somebody looks.
#[derive(Debug)]
#[repr(align(64))]
pub(crate) struct Busy(AtomicU32);

const FREE: u32 = 0;
const BUSY: u32 = 1;
const LOCKING: u32 = 2;

/// The publisher is busy until this is dropped.
pub(crate) struct WhileBusy<'a>(&'a Busy);

impl Busy {
    pub fn new() -> Self {
        Self(AtomicU32::new(FREE))
    }

    /// The publisher, before it looks at what others change.
    #[inline]
    pub fn begin(&self) -> WhileBusy<'_> {
        self.0.swap(BUSY, Ordering::SeqCst);
        write_before_read();
        WhileBusy(self)
    }

    /// Waits for a publish that may have overlooked a change that the caller made just before: the
    /// caller then sees all that this publish spent. Returns whether the publish is over. If not,
    /// it needs the audience's lock: whoever has that releases it, calls
    /// [`wait_until_free`](Self::wait_until_free), and begins again.
    pub fn wait_while_busy(&self) -> bool {
        self.wait_while(|state| state == BUSY) == FREE
    }

    /// Waits until a publish that needs the audience's lock has it. The caller must not have that.
    pub fn wait_until_free(&self) {
        self.wait_while(|state| state != FREE);
    }

    fn wait_while(&self, is_to_wait: impl Fn(u32) -> bool) -> u32 {
        write_before_read();
        let mut looks = 0;
        loop {
            let state = self.0.load(Ordering::SeqCst);
            if !is_to_wait(state) {
                return state;
            }
            wait_a_moment(looks);
            looks += 1;
        }
    }
}

impl WhileBusy<'_> {
    /// Takes the lock that changes of the audience are made under, and ends once it has that.
    #[inline]
    pub fn until<T>(self, lock: impl FnOnce() -> T) -> T {
        self.0.0.store(LOCKING, Ordering::Release);
        lock()
    }
}

impl Drop for WhileBusy<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.0.store(FREE, Ordering::Release);
    }
}

#[cfg(all(test, fanfare_loom))]
mod loom_models {
    use super::*;
    use loom::sync::{Arc, RwLock};
    use loom::thread;

    struct Model {
        busy: Busy,
        changes: AtomicU32,
        audience: RwLock<u32>,
        published: AtomicU32,
    }

    impl Model {
        /// As the short way does. Each publish sees the audience that it began with.
        fn publish(&self, needs_lock: bool) {
            let busy = self.busy.begin();
            if self.changes.load(Ordering::SeqCst) > 0 {
                return;
            }
            let before = self.published.load(Ordering::Relaxed);
            self.published.store(before + 1, Ordering::Relaxed);
            if needs_lock {
                let audience = busy.until(|| self.audience.read().unwrap());
                assert_eq!(*audience, 0, "the audience has not changed meanwhile");
            }
        }

        /// As `Route::change` does.
        fn change(&self) {
            loop {
                let mut audience = self.audience.write().unwrap();
                self.changes.fetch_add(1, Ordering::SeqCst);
                if self.busy.wait_while_busy() {
                    *audience = 1;
                    return;
                }
                drop(audience);
                self.busy.wait_until_free();
            }
        }
    }

    fn check(needs_lock: bool) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(move || {
            let model = Arc::new(Model {
                busy: Busy::new(),
                changes: AtomicU32::new(0),
                audience: RwLock::new(0),
                published: AtomicU32::new(0),
            });
            let publisher = {
                let model = model.clone();
                thread::spawn(move || (0..2).for_each(|_| model.publish(needs_lock)))
            };
            model.change();
            let seen = model.published.load(Ordering::Relaxed);
            publisher.join().unwrap();
            assert_eq!(model.published.load(Ordering::Relaxed), seen, "none after the change");
        });
    }

    #[test]
    fn loom_a_change_waits_for_a_publish_that_overlooked_it() {
        check(false);
    }

    #[test]
    fn loom_a_change_lets_a_publish_that_needs_the_lock_go_first() {
        check(true);
    }
}

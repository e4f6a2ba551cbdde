//! Limits how many of something there are at once: connections, requests, tasks.

use super::{Wait, timeout, waiting};
use event_listener::{Event, listener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Gives out a fixed number of permits; clones share them.
///
/// To cap live tasks, let each own a permit. However a task ends, even by a panic, it drops what it
/// owns:
///
/// ```
/// # use fanfare_server::tasks::{BoxedTask, Limiter, Tasks};
/// # use futures_lite::future::{block_on, pending};
/// # let tasks = Tasks::new(|task: BoxedTask| {
/// #     std::thread::spawn(|| block_on(task));
/// # });
/// let limiter = Limiter::new(2);
/// let scope = tasks.scope("handlers");
/// let mut refused = 0;
/// for _ in 0..3 {
///     // Or `limiter.acquire().await`, which waits instead.
///     let Some(permit) = limiter.try_acquire() else {
///         refused += 1;
///         continue;
///     };
///     scope.spawn("handler", async move {
///         pending::<()>().await;
///         drop(permit);
///     });
/// }
/// assert_eq!((refused, limiter.in_use()), (1, 2));
/// scope.cancel();
/// block_on(scope.ended());
/// assert_eq!(limiter.in_use(), 0);
/// ```
#[derive(Clone, Debug)]
pub struct Limiter {
    shared: Arc<Permits>,
}

#[derive(Debug)]
struct Permits {
    limit: usize,
    in_use: AtomicUsize,
    freed: Event,
}

impl Limiter {
    /// A limiter with `limit` permits. With zero, `try_acquire` always refuses and `acquire` waits
    /// forever.
    pub fn new(limit: usize) -> Self {
        let permits = Permits { limit, in_use: AtomicUsize::new(0), freed: Event::new() };
        Self { shared: Arc::new(permits) }
    }

    /// Takes a permit if one is free.
    pub fn try_acquire(&self) -> Option<Permit> {
        let Permits { limit, in_use, .. } = &*self.shared;
        // AcqRel: the next holder of the permit sees what was done under it.
        in_use
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |taken| {
                (taken < *limit).then_some(taken + 1)
            })
            .ok()
            .map(|_| Permit { limiter: self.clone() })
    }

    /// Waits for a permit. Cancel safe: if the waiter that was woken is gone, the next one is
    /// woken.
    pub async fn acquire(&self) -> Permit {
        loop {
            // Listen before looking, so a permit that comes back in between is not missed.
            listener!(self.shared.freed => freed);
            if let Some(permit) = self.try_acquire() {
                return permit;
            }
            waiting(Wait::fixed("a permit"), freed).await;
        }
    }

    /// Runs `work` on a thread of its own, where it may keep a core busy, under a permit that it
    /// holds until it ends. `None` if there is no result after `limit`.
    ///
    /// Work that has not begun when the time is up, or when this is dropped, never runs. Work that
    /// has begun runs to its end, and its result is discarded.
    pub async fn unblock<T: Send + 'static>(
        &self,
        limit: Duration,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let done = async {
            let permit = self.acquire().await;
            let work = blocking::unblock(move || {
                let _permit = permit;
                work()
            });
            waiting(Wait::fixed("a worker"), work).await
        };
        timeout(limit, done).await
    }

    /// How many permits are taken.
    pub fn in_use(&self) -> usize {
        self.shared.in_use.load(Ordering::Acquire)
    }
}

/// One of a [`Limiter`]'s permits; free again when dropped.
#[must_use = "a permit that is dropped is free for others"]
#[derive(Debug)]
pub struct Permit {
    limiter: Limiter,
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Freed before anybody is told, so whoever is told finds it.
        self.limiter.shared.in_use.fetch_sub(1, Ordering::AcqRel);
        self.limiter.shared.freed.notify_additional(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, poll_once, yield_now};
    use std::sync::mpsc::sync_channel;

    const FOREVER: Duration = Duration::from_secs(3600);

    #[test]
    fn permits_are_limited() {
        let limiter = Limiter::new(2);
        let (first, second) = (limiter.try_acquire(), limiter.try_acquire());
        assert!(first.is_some() && second.is_some() && limiter.try_acquire().is_none());
        assert_eq!(limiter.in_use(), 2);
        drop(first);
        assert_eq!(limiter.in_use(), 1);
        assert!(block_on(poll_once(limiter.acquire())).is_some(), "one is free");
        assert_eq!(limiter.in_use(), 1, "and was dropped at once");
        assert!(Limiter::new(0).try_acquire().is_none());
    }

    #[test]
    fn a_waiter_that_leaves_keeps_no_permit_from_the_next() {
        let limiter = Limiter::new(1);
        let held = limiter.try_acquire();
        let mut leaves = Box::pin(limiter.acquire());
        let mut stays = Box::pin(limiter.acquire());
        assert!(block_on(poll_once(&mut leaves)).is_none());
        assert!(block_on(poll_once(&mut stays)).is_none());
        drop(held);
        // It was told of the permit and has not taken it yet.
        drop(leaves);
        drop(block_on(stays));
        assert_eq!(limiter.in_use(), 0);
    }

    #[test]
    fn a_panic_gives_the_permit_back() {
        let limiter = Limiter::new(1);
        let of_thread = limiter.clone();
        let thread = std::thread::spawn(move || {
            let _permit = block_on(of_thread.acquire());
            panic!("on purpose");
        });
        assert!(thread.join().is_err());
        assert_eq!(limiter.in_use(), 0);
    }

    #[test]
    fn a_crowd_is_never_more_than_allowed_and_everybody_gets_a_turn() {
        const LIMIT: usize = 3;
        let limiter = Limiter::new(LIMIT);
        let (inside, turns) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let work = async |seed: u64| {
            let mut random = fastrand::Rng::with_seed(seed);
            for _ in 0..500 {
                if random.u8(0..4) == 0 {
                    // Dropped after one poll, at a random moment.
                    let _ = poll_once(limiter.acquire()).await;
                }
                let _permit = limiter.acquire().await;
                assert!(inside.fetch_add(1, Ordering::SeqCst) < LIMIT);
                yield_now().await;
                inside.fetch_sub(1, Ordering::SeqCst);
                turns.fetch_add(1, Ordering::SeqCst);
            }
        };
        std::thread::scope(|threads| {
            for seed in 0..8 {
                let work = &work;
                threads.spawn(move || block_on(work(seed)));
            }
        });
        assert_eq!(turns.into_inner(), 8 * 500);
        assert_eq!(limiter.in_use(), 0);
    }

    #[test]
    fn work_runs_elsewhere_and_holds_its_permit_to_its_end() {
        let limiter = Limiter::new(1);
        let here = std::thread::current().id();
        let there = block_on(limiter.unblock(FOREVER, || std::thread::current().id()));
        assert_ne!(there, Some(here));

        let ((open, gate), (begun, has_begun)) = (sync_channel::<()>(0), sync_channel(0));
        let mut abandoned = Box::pin(limiter.unblock(FOREVER, move || {
            let _ = begun.send(());
            let _ = gate.recv();
        }));
        assert!(block_on(poll_once(&mut abandoned)).is_none());
        has_begun.recv().unwrap();
        drop(abandoned);
        assert_eq!(limiter.in_use(), 1, "it goes on, and counts");
        let (ran, never) = sync_channel::<()>(0);
        let late = limiter.unblock(Duration::from_millis(1), move || drop(ran));
        assert_eq!(block_on(late), None);
        assert!(never.recv().is_err(), "what had no permit in time was dropped");
        drop(open);
        assert!(block_on(limiter.unblock(FOREVER, || ())).is_some());
    }
}

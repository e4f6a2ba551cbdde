//! At most so many at once: connections, requests, tasks; whatever a permit is taken for.

use super::{Wait, note_wait};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// Gives out so many permits and no more; clones share them. Who has to wait is served first come,
/// first served, and nobody overtakes.
///
/// A cap on live tasks is a permit that each of them owns. However a task ends, also by a panic,
/// what it owns is dropped:
///
/// ```
/// # use fanfare::tasks::{BoxedTask, Limiter, Tasks};
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
#[derive(Clone)]
pub struct Limiter {
    state: Arc<Mutex<State>>,
    limit: usize,
}

struct State {
    free: usize,
    /// Who waits, by ticket. Whoever is given a permit is taken out.
    line: BTreeMap<u64, Waker>,
    next_ticket: u64,
}

impl Limiter {
    /// A limiter with `limit` permits. With none, `try_acquire` refuses everybody and `acquire`
    /// waits for ever.
    pub fn new(limit: usize) -> Self {
        let state = State { free: limit, line: BTreeMap::new(), next_ticket: 0 };
        Self { state: Arc::new(Mutex::new(state)), limit }
    }

    /// A permit if one is free and nobody waits for it.
    pub fn try_acquire(&self) -> Option<Permit> {
        let mut state = self.lock();
        // A free permit goes to the first in line at once, so one that is free is one that nobody
        // waits for.
        state.free = state.free.checked_sub(1)?;
        drop(state);
        Some(Permit { limiter: self.clone() })
    }

    /// Waits for a permit. Cancel safe: dropped, it loses its place in line, and a permit that it
    /// was about to get goes to the next.
    pub fn acquire(&self) -> Acquire {
        Acquire { limiter: self.clone(), ticket: None }
    }

    /// How many permits there are.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// How many are taken.
    pub fn in_use(&self) -> usize {
        self.limit - self.lock().free
    }

    /// How many wait for one.
    pub fn waiting(&self) -> usize {
        self.lock().line.len()
    }

    /// A permit comes back: for the first in line, if anybody is.
    fn release(&self) {
        let mut state = self.lock();
        let first = state.line.pop_first();
        if first.is_none() {
            state.free += 1;
        }
        drop(state);
        // Woken without the lock: a waker may run anything at once.
        if let Some((_, waker)) = first {
            waker.wake();
        }
    }

    /// Nothing panics under this lock, so a poisoned one holds nothing half done.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Limiter {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Limiter({} of {} in use, {} wait)", self.in_use(), self.limit, self.waiting())
    }
}

/// One of a [`Limiter`]'s permits; free again when this is dropped.
#[must_use = "a permit that is dropped is free for others"]
#[derive(Debug)]
pub struct Permit {
    limiter: Limiter,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limiter.release();
    }
}

/// The future of [`Limiter::acquire`].
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct Acquire {
    limiter: Limiter,
    /// The place in line, from the first poll that had to wait to the end.
    ticket: Option<u64>,
}

impl Future for Acquire {
    type Output = Permit;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Permit> {
        // Cloned and dropped outside of the lock: a waker is the runtime's code.
        let waker = context.waker().clone();
        let limiter = self.limiter.clone();
        let mut state = limiter.lock();
        let old_waker = match self.ticket {
            None if state.free > 0 => {
                state.free -= 1;
                drop(state);
                return Poll::Ready(Permit { limiter });
            }
            None => {
                let ticket = state.next_ticket;
                state.next_ticket += 1;
                self.ticket = Some(ticket);
                state.line.insert(ticket, waker)
            }
            Some(ticket) => match state.line.get_mut(&ticket) {
                Some(place) => Some(std::mem::replace(place, waker)),
                // Taken out of the line: the permit is ours.
                None => {
                    drop(state);
                    self.ticket = None;
                    return Poll::Ready(Permit { limiter });
                }
            },
        };
        drop(state);
        drop(old_waker);
        note_wait(Wait::fixed("a permit"));
        Poll::Pending
    }
}

impl Drop for Acquire {
    fn drop(&mut self) {
        let Some(ticket) = self.ticket else { return };
        let left_line = self.limiter.lock().line.remove(&ticket);
        if left_line.is_none() {
            // The permit came and was not fetched.
            self.limiter.release();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, yield_now};
    use std::pin::pin;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
    use std::task::Wake;

    fn poll<F: Future>(future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn so_many_and_no_more() {
        let limiter = Limiter::new(2);
        let (first, second) = (limiter.try_acquire(), limiter.try_acquire());
        assert!(first.is_some() && second.is_some() && limiter.try_acquire().is_none());
        assert_eq!((limiter.limit(), limiter.in_use(), limiter.waiting()), (2, 2, 0));
        drop(first);
        assert_eq!(limiter.in_use(), 1);
        assert!(poll(pin!(limiter.acquire())).is_ready(), "the permit was dropped at once");
        assert_eq!(limiter.in_use(), 1);
        assert!(Limiter::new(0).try_acquire().is_none());
    }

    #[test]
    fn first_come_first_served_and_nobody_overtakes() {
        let limiter = Limiter::new(1);
        let held = limiter.try_acquire();
        let (mut first, mut second) = (pin!(limiter.acquire()), pin!(limiter.acquire()));
        assert!(poll(first.as_mut()).is_pending() && poll(second.as_mut()).is_pending());
        assert!(poll(first.as_mut()).is_pending(), "polled again it keeps its place");
        assert_eq!(limiter.waiting(), 2);
        drop(held);
        assert!(limiter.try_acquire().is_none(), "it is the first's already");
        assert!(poll(second.as_mut()).is_pending());
        let Poll::Ready(permit) = poll(first.as_mut()) else { panic!("the first is served") };
        drop(permit);
        assert!(poll(second.as_mut()).is_ready());
        assert_eq!((limiter.in_use(), limiter.waiting()), (0, 0));
    }

    #[test]
    fn who_leaves_the_line_keeps_nobody() {
        let limiter = Limiter::new(1);
        let held = limiter.try_acquire();
        struct Woken(AtomicBool);
        impl Wake for Woken {
            fn wake(self: Arc<Self>) {
                self.0.store(true, Ordering::SeqCst);
            }
        }
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let mut last = pin!(limiter.acquire());
        {
            let mut waits = pin!(limiter.acquire());
            let mut is_served = Box::pin(limiter.acquire());
            assert!(poll(is_served.as_mut()).is_pending() && poll(waits.as_mut()).is_pending());
            assert!(
                last.as_mut().poll(&mut Context::from_waker(&woken.clone().into())).is_pending()
            );
            drop(held);
            // Dropped with a permit that it has not fetched; then the next, which got that permit,
            // as well.
            drop(is_served);
        }
        assert!(woken.0.load(Ordering::SeqCst));
        assert!(poll(last.as_mut()).is_ready());
        assert_eq!((limiter.in_use(), limiter.waiting()), (0, 0));
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
                    // Given up after one poll, at whatever moment that is.
                    let _ = futures_lite::future::poll_once(limiter.acquire()).await;
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
        assert_eq!((limiter.in_use(), limiter.waiting()), (0, 0));
    }
}

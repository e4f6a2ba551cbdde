//! A pool of worker threads for work that keeps a core busy, which no task may do: it would keep
//! other tasks from their turn.
//!
//! Workers are threads of their own, with names. Each makes what it works with by a constructor
//! when it gets its first job, so a pool that is not used costs its threads and nothing else.

mod job;
mod worker;

use super::{Wait, waiting};
use async_io::Timer;
use event_listener::{Event, listener};
use futures_lite::future::{self, block_on};
pub use job::{Interrupt, PoolError};
use job::{Job, Processing};
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
pub use worker::Work;

/// Worker threads that take jobs `I` and give results `O`. Dropping the pool closes it.
///
/// Jobs are served first come, first served. There is no bound on how many wait, but each is waited
/// for by its caller, so a bound on callers is one on jobs; a caller that goes away takes its job
/// with it.
///
/// ```
/// use fanfare::tasks::{Interrupt, Pool};
///
/// let pool = Pool::new("squares", 2, || |number: u64, _: &Interrupt| number * number)?;
/// assert_eq!(pool.process_blocking(12).unwrap(), 144);
/// # Ok::<(), std::io::Error>(())
/// ```
pub struct Pool<I, O> {
    shared: Arc<Shared<I, O>>,
}

struct Shared<I, O> {
    name: &'static str,
    state: Mutex<State<I, O>>,
    /// Told when there is something to do for a worker: a job, or to end.
    work: Condvar,
    /// Told when the last worker has ended.
    ended: Event,
    construct: Box<dyn Fn() -> Box<dyn Work<I, O>> + Send + Sync>,
}

struct State<I, O> {
    /// The jobs that no worker has begun, by ticket. The length of the queue is this and no other
    /// count.
    queue: BTreeMap<u64, (I, Arc<Job<I, O>>)>,
    next_ticket: u64,
    /// How many workers there should be. Those too many end after their job.
    size: usize,
    workers: usize,
    busy: usize,
    threads_started: usize,
    is_closed: bool,
}

impl<I: Send + 'static, O: Send + 'static> Pool<I, O> {
    /// A pool of `size` workers, whose threads are called `name` and a number. `construct` makes
    /// what a worker works with, in the worker's thread: when it gets its first job, and anew after
    /// a panic.
    ///
    /// Fails if the system has no more threads to give.
    pub fn new<W: Work<I, O>>(
        name: &'static str,
        size: usize,
        construct: impl Fn() -> W + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let state = State {
            queue: BTreeMap::new(),
            next_ticket: 0,
            size: 0,
            workers: 0,
            busy: 0,
            threads_started: 0,
            is_closed: false,
        };
        let shared = Shared {
            name,
            state: Mutex::new(state),
            work: Condvar::new(),
            ended: Event::new(),
            construct: Box::new(move || Box::new(construct())),
        };
        // Dropped on an error, which ends the workers that could be started.
        let pool = Self { shared: Arc::new(shared) };
        pool.set_size(size)?;
        Ok(pool)
    }

    /// Has a worker process `input`, and waits for the result. Cancel safe in that nothing goes on
    /// for nobody: dropped, a job that waits is taken back, and one that has begun is interrupted
    /// and its result discarded.
    pub async fn process(&self, input: I) -> Result<O, PoolError<I>> {
        self.begin(input)?.await
    }

    /// As [`Pool::process`], but for no longer than `limit`. A job that has not begun by then comes
    /// back in the error; one that has is interrupted, and its result discarded.
    pub async fn process_timeout(&self, input: I, limit: Duration) -> Result<O, PoolError<I>> {
        let mut processing = self.begin(input)?;
        let in_time = async { Some((&mut processing).await) };
        let out_of_time = async {
            // why: one for each job, which takes far longer than arming a timer.
            Timer::after(limit).await;
            None
        };
        let result = future::or(in_time, out_of_time).await;
        result.unwrap_or_else(|| processing.give_up())
    }

    /// As [`Pool::process`], for a thread that may block: never in a task.
    pub fn process_blocking(&self, input: I) -> Result<O, PoolError<I>> {
        block_on(self.process(input))
    }

    /// As [`Pool::process_timeout`], for a thread that may block: never in a task.
    pub fn process_timeout_blocking(&self, input: I, limit: Duration) -> Result<O, PoolError<I>> {
        block_on(self.process_timeout(input, limit))
    }

    /// How many jobs wait for a worker.
    pub fn queue_len(&self) -> usize {
        self.shared.lock().queue.len()
    }

    /// How many workers are busy.
    pub fn busy(&self) -> usize {
        self.shared.lock().busy
    }

    /// How many workers there are to be.
    pub fn size(&self) -> usize {
        self.shared.lock().size
    }

    /// Makes it so many workers from now on. Those too many end when they have finished what they
    /// do; with none, jobs wait. On a closed pool this does nothing.
    ///
    /// Fails if the system has no more threads to give; the pool has then as many workers as could
    /// be started.
    pub fn set_size(&self, size: usize) -> io::Result<()> {
        let mut state = self.shared.lock();
        if state.is_closed {
            return Ok(());
        }
        state.size = size;
        while state.workers < state.size {
            if let Err(error) = worker::start(&self.shared, &mut state) {
                state.size = state.workers;
                return Err(error);
            }
        }
        drop(state);
        self.shared.work.notify_all();
        Ok(())
    }

    /// Takes no more jobs, gives back those that wait ([`PoolError::Closed`]), and ends the workers
    /// when they have finished what they do.
    pub fn close(&self) {
        self.shared.close();
    }

    /// Waits until the pool is closed and all of its workers have ended. Cancel safe.
    pub async fn closed(&self) {
        loop {
            // Listen before looking: an end that comes in between is heard.
            listener!(self.shared.ended => ended);
            {
                let state = self.shared.lock();
                if state.is_closed && state.workers == 0 {
                    return;
                }
            }
            waiting(Wait::fixed("the end of a pool"), ended).await;
        }
    }

    fn begin(&self, input: I) -> Result<Processing<I, O>, PoolError<I>> {
        let mut state = self.shared.lock();
        if state.is_closed {
            return Err(PoolError::Closed(input));
        }
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let job = Arc::new(Job::default());
        state.queue.insert(ticket, (input, job.clone()));
        drop(state);
        self.shared.work.notify_one();
        Ok(Processing::new(self.shared.clone(), ticket, job))
    }
}

impl<I, O> Shared<I, O> {
    fn close(&self) {
        let mut state = self.lock();
        state.is_closed = true;
        state.size = 0;
        let queue = std::mem::take(&mut state.queue);
        let is_ended = state.workers == 0;
        drop(state);
        for (input, job) in queue.into_values() {
            job.finish(Err(PoolError::Closed(input)));
        }
        self.work.notify_all();
        if is_ended {
            self.ended.notify(usize::MAX);
        }
    }

    /// Nothing panics under this lock, so a poisoned one holds nothing half done.
    fn lock(&self) -> MutexGuard<'_, State<I, O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<I, O> Drop for Pool<I, O> {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl<I, O> fmt::Debug for Pool<I, O> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        let (busy, workers, waiting) = (state.busy, state.workers, state.queue.len());
        write!(
            out,
            "Pool({}, {busy} of {workers} workers busy, {waiting} jobs wait)",
            self.shared.name
        )
    }
}

#[cfg(test)]
mod tests;

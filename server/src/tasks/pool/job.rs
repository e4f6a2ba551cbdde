//! One job of a pool, from its caller's side.

use super::Shared;
use crate::tasks::{Wait, note_wait};
use atomic_waker::AtomicWaker;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PoolError<I> {
    /// The pool is closed. No worker has begun; this is the input.
    Closed(I),
    /// The time was up before a worker was free. No worker has begun; this is the input. More
    /// workers would help, or fewer callers.
    TimedOutWaiting(I),
    /// The time was up while a worker was at it. It was interrupted, and what it makes of it is
    /// discarded.
    TimedOut,
    /// The worker panicked with this message, and was replaced. The input is lost.
    Panicked(String),
}

impl<I> fmt::Display for PoolError<I> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed(_) => write!(out, "the pool is closed"),
            Self::TimedOutWaiting(_) => write!(out, "no worker was free in time"),
            Self::TimedOut => write!(out, "the worker did not finish in time"),
            Self::Panicked(message) => write!(out, "the worker panicked: {message}"),
        }
    }
}

impl<I: fmt::Debug> std::error::Error for PoolError<I> {}

/// Tells a worker that nobody waits for the result any longer. Work that takes long looks at it now
/// and then.
#[derive(Debug, Default)]
pub struct Interrupt(AtomicBool);

impl Interrupt {
    /// Whether the work may as well stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// What a worker and the caller share.
pub(super) struct Job<I, O> {
    pub interrupt: Interrupt,
    outcome: Mutex<Option<Result<O, PoolError<I>>>>,
    caller: AtomicWaker,
}

impl<I, O> Default for Job<I, O> {
    fn default() -> Self {
        Self {
            interrupt: Interrupt::default(),
            outcome: Mutex::new(None),
            caller: AtomicWaker::new(),
        }
    }
}

impl<I, O> Job<I, O> {
    pub fn finish(&self, outcome: Result<O, PoolError<I>>) {
        let replaced = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).replace(outcome);
        debug_assert!(replaced.is_none(), "a job is finished once");
        self.caller.wake();
    }

    fn outcome(&self) -> Option<Result<O, PoolError<I>>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A job that its caller waits for.
pub(super) struct Processing<I, O> {
    shared: Arc<Shared<I, O>>,
    ticket: u64,
    job: Arc<Job<I, O>>,
}

impl<I, O> Processing<I, O> {
    pub fn new(shared: Arc<Shared<I, O>>, ticket: u64, job: Arc<Job<I, O>>) -> Self {
        Self { shared, ticket, job }
    }

    /// The time is up: takes the job back, or interrupts it; or has the result after all, if it
    /// came just now.
    pub fn give_up(self) -> Result<O, PoolError<I>> {
        if let Some(input) = self.take_back() {
            return Err(PoolError::TimedOutWaiting(input));
        }
        self.job.outcome().unwrap_or(Err(PoolError::TimedOut))
    }

    #[cfg(test)]
    pub fn job(&self) -> &Arc<Job<I, O>> {
        &self.job
    }

    /// The input, if no worker has begun.
    fn take_back(&self) -> Option<I> {
        let taken = self.shared.lock().queue.remove(&self.ticket);
        taken.map(|(input, _)| input)
    }
}

impl<I, O> Future for Processing<I, O> {
    type Output = Result<O, PoolError<I>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Registered before looking: an outcome that comes in between wakes us.
        self.job.caller.register(context.waker());
        match self.job.outcome() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                note_wait(Wait::fixed("a worker"));
                Poll::Pending
            }
        }
    }
}

impl<I, O> Drop for Processing<I, O> {
    fn drop(&mut self) {
        // Also when there is an outcome: then neither changes anything.
        drop(self.take_back());
        self.job.interrupt.0.store(true, Ordering::Release);
    }
}

//! The future that the runtime polls.

use super::TaskEnd;
use super::current;
use super::record::Record;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

pin_project_lite::pin_project! {
    /// A future that is counted, timed, and dropped when it is cancelled.
    pub(super) struct Task<F> {
        // First, so that it is dropped before the guard says that the task has ended.
        #[pin]
        future: Option<F>,
        // None when it has ended.
        guard: Option<EndGuard>,
    }
}

impl<F: Future<Output = ()>> Task<F> {
    pub fn new(record: Arc<Record>, future: F) -> Self {
        Self { future: Some(future), guard: Some(EndGuard { record }) }
    }
}

impl<F: Future<Output = ()>> Future for Task<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        let Some(guard) = this.guard else { return Poll::Ready(()) };
        if poll_watched(&guard.record, this.future, context).is_pending() {
            return Poll::Pending;
        }
        // The task ends here, not when the runtime drops it, which may be later.
        *this.guard = None;
        Poll::Ready(())
    }
}

/// One poll, or the end of a task that was asked to end.
fn poll_watched<F: Future<Output = ()>>(
    record: &Record,
    mut future: Pin<&mut Option<F>>,
    context: &mut Context<'_>,
) -> Poll<()> {
    let mut turn = current::Turn::begin(record);
    // Counts as panicked until the poll has returned.
    record.ends_with(TaskEnd::Panicked);
    let is_done = match future.as_mut().as_pin_mut() {
        Some(future) if !record.is_cancelled() => future.poll(context).is_ready(),
        _ => false,
    };
    record.ends_with(if is_done { TaskEnd::Finished } else { TaskEnd::Cancelled });
    if !is_done && record.park(context.waker(), turn.take_waits()) {
        return Poll::Pending;
    }
    // Dropped in here, while this is still the current task.
    future.set(None);
    Poll::Ready(())
}

/// Removes the task from the register, however it ends.
struct EndGuard {
    record: Arc<Record>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.record.owner.end(&self.record);
        self.record.release();
    }
}

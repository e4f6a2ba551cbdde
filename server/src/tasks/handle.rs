//! Handles of tasks: cancelling one, and waiting for its end.

use super::TaskId;
use super::info::TaskInfo;
use super::record::Record;
use event_listener::EventListener;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskEnd {
    /// The task finished.
    Finished,
    /// The task was dropped before it finished: it or its owner was cancelled, or its runtime
    /// dropped it.
    Cancelled,
    /// The task panicked.
    Panicked,
}

impl TaskEnd {
    pub(super) fn from_verdict(verdict: u8) -> Self {
        [Self::Finished, Self::Panicked]
            .into_iter()
            .find(|end| *end as u8 == verdict)
            .unwrap_or(Self::Cancelled)
    }
}

/// A started task. Dropping the handle does not end the task; its owner does. `handle.await` waits
/// until the task has ended and dropped everything it held, and returns how it ended. Cancel safe.
pub struct TaskHandle {
    record: Arc<Record>,
    /// Created when somebody waits.
    listener: Option<EventListener>,
}

impl TaskHandle {
    pub(super) fn new(record: Arc<Record>) -> Self {
        Self { record, listener: None }
    }

    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.record.id
    }

    /// The task's figures.
    pub fn info(&self) -> TaskInfo {
        self.record.info()
    }

    /// Asks the task to end. It is dropped the next time its runtime polls it.
    pub fn cancel(&self) {
        self.record.cancel();
    }

    /// How the task ended, once it has dropped everything it held; `None` while it is alive.
    pub fn outcome(&self) -> Option<TaskEnd> {
        self.record.outcome()
    }
}

impl Clone for TaskHandle {
    fn clone(&self) -> Self {
        Self::new(self.record.clone())
    }
}

impl Future for TaskHandle {
    type Output = TaskEnd;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<TaskEnd> {
        loop {
            if let Some(end) = self.record.outcome() {
                return Poll::Ready(end);
            }
            match &mut self.listener {
                // Listen before looking again, so an end in between is not missed.
                None => {
                    let listener = self.record.ended.listen();
                    self.listener = Some(listener);
                }
                Some(listener) => match Pin::new(listener).poll(context) {
                    Poll::Ready(()) => self.listener = None,
                    Poll::Pending => {
                        super::note_wait(super::Wait::fixed("the end of a task"));
                        return Poll::Pending;
                    }
                },
            }
        }
    }
}

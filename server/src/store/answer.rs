//! One answer from the database's thread to a task.

use super::error::StoreError;
use crate::locks::lock;
use crate::tasks::{Wait, waiting};
use atomic_waker::AtomicWaker;
use std::future::poll_fn;
use std::sync::{Arc, Mutex};
use std::task::Poll;

/// The receiving end of an answer.
pub struct Answer<T>(Arc<Slot<T>>);

/// The sending end of an answer. Dropping it unused reports that the database is closed.
pub struct AnswerSender<T>(Arc<Slot<T>>);

struct Slot<T> {
    answer: Mutex<Option<Result<T, StoreError>>>,
    asker: AtomicWaker,
}

impl<T> Answer<T> {
    /// The sending end.
    pub fn sender(&self) -> AnswerSender<T> {
        AnswerSender(self.0.clone())
    }

    /// Waits for the answer. Cancel safe: what was asked is done all the same.
    ///
    /// # Errors
    /// What went wrong; nothing was changed then.
    pub async fn come(&self) -> Result<T, StoreError> {
        let answered = poll_fn(|context| {
            // Registered before looking: an answer that comes in between wakes us.
            self.0.asker.register(context.waker());
            lock(&self.0.answer).take().map_or(Poll::Pending, Poll::Ready)
        });
        waiting(Wait::fixed("the database"), answered).await
    }
}

impl<T> AnswerSender<T> {
    /// Sends the answer.
    pub fn send(self, answer: Result<T, StoreError>) {
        *lock(&self.0.answer) = Some(answer);
    }
}

impl<T> Drop for AnswerSender<T> {
    fn drop(&mut self) {
        lock(&self.0.answer).get_or_insert(Err(StoreError::Closed));
        self.0.asker.wake();
    }
}

impl<T> Default for Answer<T> {
    fn default() -> Self {
        Self(Arc::new(Slot { answer: Mutex::new(None), asker: AtomicWaker::new() }))
    }
}

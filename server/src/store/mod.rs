//! The embedded database: what outlives the server.
//!
//! In the order of use: [`Database::open`] finds or makes the file and checks it. Chat and the push
//! gateway fill the broker's histories from it. Then the [`Store`] starts a thread of its own, with
//! the only connection to the file. The thread subscribes to all rooms as anybody could, so a slow
//! disk delays nobody: lines that its bounded queue has no room for are missing in the history,
//! which says so. Everything else is a request ([`Store::submit`], [`Store::ask`]) in another
//! bounded queue, answered after the commit.

pub mod accounts;
mod answer;
mod error;
pub mod lines;
pub mod pushes;
pub mod rooms;
mod schema;
mod shared;
mod worker;

use crate::diagnostics::Family;
use crate::limits::{STORE_QUEUE_BYTES, STORE_REQUESTS};
use crate::locks::lock;
use crate::message::ServerMessage;
use crate::tasks::timeout;
pub use answer::Answer;
pub use error::StoreError;
use event_listener::listener;
use fanfare::{Broker, SubscriptionWatch};
use rusqlite::Connection;
pub use schema::{Database, Fsync, StoreSettings};
pub use shared::SYNC_TOPIC;
use shared::{Figures, Shared, Work};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use worker::Worker;

/// A handle to the database's thread, cheap to clone. When the last one is dropped, the thread
/// stores what is queued and ends.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
}

impl Store {
    /// Starts the thread, which stores what is said in rooms from now on. Of each line it keeps up
    /// to `line_bytes`.
    ///
    /// # Errors
    /// If the broker is closed, or the system cannot start a thread.
    pub fn start(
        database: Database,
        broker: &Broker<ServerMessage>,
        line_bytes: usize,
    ) -> Result<Self, StoreError> {
        let shared = Arc::<Shared>::default();
        let worker = Worker::new(database, broker, shared.clone(), line_bytes)?;
        let _ = shared.watch.set(worker.watch());
        std::thread::Builder::new()
            .name("chat store".to_owned())
            .spawn(move || worker.run())
            .map_err(|error| StoreError::Failed(format!("no thread for it: {error}")))?;
        Ok(Self { handle: Arc::new(Handle { shared }) })
    }

    /// Runs `work` on the thread, and waits until it is committed.
    ///
    /// # Errors
    /// What went wrong; nothing was changed then.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let answer = Answer::<T>::default();
        let sender = answer.sender();
        self.submit(0, work, move |result| sender.send(result));
        self.hurry();
        answer.come().await
    }

    /// Queues `work` for the thread, which runs it in its next transaction and calls `answer` after
    /// the commit. If the queue has no room for it, or for its `bytes`, `answer` is called at once.
    pub fn submit<T: Send + 'static>(
        &self,
        bytes: usize,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        answer: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        let mut requests = lock(&self.handle.shared.requests);
        let is_full =
            requests.waiting.len() >= STORE_REQUESTS || requests.bytes + bytes > STORE_QUEUE_BYTES;
        if requests.is_closed || is_full {
            let is_closed = requests.is_closed;
            drop(requests);
            return answer(Err(if is_closed { StoreError::Closed } else { StoreError::Busy }));
        }
        requests.bytes += bytes;
        requests.waiting.push_back(Work::new(bytes, work, answer));
        // The thread takes the others together with the first.
        let is_first = requests.waiting.len() == 1;
        drop(requests);
        if is_first {
            self.handle.shared.worker.wake();
        }
    }

    /// Makes the next commit come at once, instead of waiting for more lines.
    pub fn hurry(&self) {
        let shared = &self.handle.shared;
        shared.is_hurried.store(true, Ordering::Release);
        shared.worker.wake();
    }

    /// Stores what is queued, and waits until the thread has ended, or for the deadline. False if
    /// the deadline came first.
    pub async fn close(&self, deadline: Instant) -> bool {
        self.handle.shared.close();
        let ended = async {
            loop {
                let shared = &self.handle.shared;
                listener!(shared.ended => ended);
                if shared.has_ended.load(Ordering::Acquire) {
                    return;
                }
                ended.await;
            }
        };
        timeout(deadline.saturating_duration_since(Instant::now()), ended).await.is_some()
    }

    /// Lines that could not be stored since the start.
    pub fn lost_lines(&self) -> u64 {
        let figures = &self.handle.shared.figures;
        figures.missed.load(Ordering::Acquire) + figures.failed.load(Ordering::Acquire)
    }

    /// The figures for `/metrics`.
    pub fn families(&self) -> Vec<Family> {
        let shared = &self.handle.shared;
        let Figures { lines, commits, missed, failed } = &shared.figures;
        let value = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let requests = lock(&shared.requests).waiting.len() as u64;
        let stats = shared.watch.get().map(SubscriptionWatch::stats);
        let (queued, bound) =
            stats.map_or((0, 0), |stats| (stats.books.queued, stats.bound_messages as u64));
        let queue = "Lines that wait to be stored";
        let lost = "Lines that could not be stored: the file could not be written";
        let missed_help = "Lines that could not be stored: the queue was full";
        vec![
            Family::gauge("store_queued_lines", queue, queued),
            Family::gauge("store_queue_bound_lines", "Lines that may wait to be stored", bound),
            Family::gauge("store_requests", "Requests that wait for the database", requests),
            Family::counter("store_lines", "Lines stored", value(lines)),
            Family::counter("store_commits", "Commits of the database", value(commits)),
            Family::counter("store_lines_missed", missed_help, value(missed)),
            Family::counter("store_lines_failed", lost, value(failed)),
        ]
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

#[cfg(test)]
mod tests;

//! The embedded database: what outlives the server.
//!
//! In the order of its use: [`Database::open`] finds or makes the file and checks it. A chat server
//! fills the broker's histories from it, and starts the [`Store`]: a thread of its own, with the
//! only connection to the file. The thread subscribes to all rooms as anybody could, so a slow disk
//! delays nobody: what its bounded queue has no room for is missing in the history, and is told
//! there. What has to be certain is asked of it ([`Store::ask`]) and answered after the commit.

pub mod accounts;
mod answer;
mod error;
pub mod lines;
pub mod rooms;
mod schema;
mod worker;

use crate::diagnostics::Family;
use crate::limits::STORE_REQUESTS;
use crate::locks::lock;
use crate::message::ServerMessage;
use answer::Answer;
use async_io::Timer;
use atomic_waker::AtomicWaker;
pub use error::StoreError;
use event_listener::{Event, listener};
use fanfare::{Broker, SubscriptionWatch};
use futures_lite::future;
use rusqlite::Connection;
pub use schema::{Database, Fsync, StoreSettings};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Instant;
use worker::{Work, Worker};

/// The topic of requests that are answered once everything published before them by the same
/// publisher is stored, or is known to be lost.
pub const SYNC_TOPIC: &str = "chat.store.sync";

/// A database that is being written to. A cheap handle; when the last is dropped, the thread stores
/// what is queued and ends.
#[derive(Clone)]
pub struct Store {
    handle: Arc<Handle>,
}

struct Handle {
    shared: Arc<Shared>,
}

/// What the thread and the handles share.
struct Shared {
    /// None once nobody does them any more.
    requests: Mutex<Option<VecDeque<Work>>>,
    /// The thread, which waits for something to do.
    worker: AtomicWaker,
    /// Whether somebody waits for the next commit.
    is_hurried: AtomicBool,
    is_closing: AtomicBool,
    has_ended: AtomicBool,
    ended: Event,
    figures: Figures,
    watch: OnceLock<SubscriptionWatch<ServerMessage>>,
}

#[derive(Default)]
struct Figures {
    lines: AtomicU64,
    commits: AtomicU64,
    /// Lines that found the queue full.
    missed: AtomicU64,
    /// Lines that could not be written.
    failed: AtomicU64,
}

impl Store {
    /// Starts the thread, which stores what is said in rooms from now on. Of a line it keeps
    /// `line_bytes`.
    ///
    /// # Errors
    /// If the broker is closed, or the system gives no thread.
    pub fn start(
        database: Database,
        broker: &Broker<ServerMessage>,
        line_bytes: usize,
    ) -> Result<Self, StoreError> {
        let shared = Arc::new(Shared::new());
        let worker = Worker::new(database, broker, shared.clone(), line_bytes)?;
        let _ = shared.watch.set(worker.watch());
        std::thread::Builder::new()
            .name("chat store".to_owned())
            .spawn(move || worker.run())
            .map_err(|error| StoreError::Failed(format!("no thread for it: {error}")))?;
        Ok(Self { handle: Arc::new(Handle { shared }) })
    }

    /// Has the thread do something with the database. The answer comes once it is committed.
    ///
    /// # Errors
    /// What went wrong; nothing was changed then.
    pub async fn ask<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        let shared = &self.handle.shared;
        let answer = Answer::<T>::default();
        {
            let mut requests = lock(&shared.requests);
            let requests = requests.as_mut().ok_or(StoreError::Closed)?;
            if requests.len() >= STORE_REQUESTS {
                return Err(StoreError::Busy);
            }
            requests.push_back(Work::new(work, answer.sender()));
        }
        self.hurry();
        answer.come().await
    }

    /// Has the next commit not wait for more lines: somebody waits for it.
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
                    return true;
                }
                ended.await;
            }
        };
        let timed_out = async {
            // why: one timer for the end of the server.
            Timer::at(deadline).await;
            false
        };
        future::or(ended, timed_out).await
    }

    /// Lines that could not be stored, ever since the start.
    pub fn lost_lines(&self) -> u64 {
        let figures = &self.handle.shared.figures;
        figures.missed.load(Ordering::Acquire) + figures.failed.load(Ordering::Acquire)
    }

    /// What `/metrics` shows of it.
    pub fn families(&self) -> Vec<Family> {
        let shared = &self.handle.shared;
        let Figures { lines, commits, missed, failed } = &shared.figures;
        let value = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        let stats = shared.watch.get().map(SubscriptionWatch::stats);
        let (queued, bound) =
            stats.map_or((0, 0), |stats| (stats.books.queued, stats.bound_messages as u64));
        let queue = "Lines that wait to be stored";
        let lost = "Lines that could not be stored: the file could not be written";
        let missed_help = "Lines that could not be stored: the queue was full";
        vec![
            Family::gauge("store_queued_lines", queue, queued),
            Family::gauge("store_queue_bound_lines", "Lines that may wait to be stored", bound),
            Family::counter("store_lines", "Lines stored", value(lines)),
            Family::counter("store_commits", "Commits of the database", value(commits)),
            Family::counter("store_lines_missed", missed_help, value(missed)),
            Family::counter("store_lines_failed", lost, value(failed)),
        ]
    }
}

impl Shared {
    fn new() -> Self {
        Self {
            requests: Mutex::new(Some(VecDeque::new())),
            worker: AtomicWaker::new(),
            is_hurried: AtomicBool::new(false),
            is_closing: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            ended: Event::new(),
            figures: Figures::default(),
            watch: OnceLock::new(),
        }
    }

    fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        self.worker.wake();
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

#[cfg(test)]
mod tests;

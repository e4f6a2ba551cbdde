//! The state that the database's thread and its handles share.

use super::error::StoreError;
use crate::message::ServerMessage;
use atomic_waker::AtomicWaker;
use event_listener::Event;
use fanfare::SubscriptionWatch;
use rusqlite::Connection;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

/// The topic of requests that are answered once everything that the same publisher published before
/// them is stored, or is known to be lost.
pub const SYNC_TOPIC: &str = "chat.store.sync";

/// The state that the thread and the handles share.
#[derive(Default)]
pub(super) struct Shared {
    pub requests: Mutex<Requests>,
    /// Wakes the thread when it waits.
    pub worker: AtomicWaker,
    /// Whether to commit without waiting for more.
    pub is_hurried: AtomicBool,
    pub is_closing: AtomicBool,
    pub has_ended: AtomicBool,
    pub ended: Event,
    pub figures: Figures,
    pub watch: OnceLock<SubscriptionWatch<ServerMessage>>,
}

/// Requests that wait for the thread.
#[derive(Default)]
pub(super) struct Requests {
    pub waiting: VecDeque<Work>,
    pub bytes: usize,
    /// Set when the thread ends; later requests are refused.
    pub is_closed: bool,
}

#[derive(Default)]
pub(super) struct Figures {
    pub lines: AtomicU64,
    pub commits: AtomicU64,
    /// Lines that found the queue full.
    pub missed: AtomicU64,
    /// Lines that could not be written.
    pub failed: AtomicU64,
}

impl Shared {
    pub fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    pub fn close(&self) {
        self.is_closing.store(true, Ordering::Release);
        self.worker.wake();
    }
}

/// A request: what to do with the database, and where its answer goes after the commit.
pub(super) struct Work {
    pub bytes: usize,
    pub work: Box<Job>,
}

/// Does the work with the database, or fails with the reason why there is none.
pub(super) type Job = dyn FnOnce(Result<&Connection, StoreError>) -> Answering + Send;

/// Sends the answer. The argument is the error of the commit, if it failed.
pub(super) type Answering = Box<dyn FnOnce(Option<StoreError>)>;

impl Work {
    pub fn new<T: Send + 'static>(
        bytes: usize,
        work: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
        answer: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) -> Self {
        let work = Box::new(move |connection: Result<&Connection, StoreError>| {
            let result = connection.and_then(|it| Ok(in_savepoint(it, work)?));
            let answering: Answering =
                Box::new(move |not_committed| answer(not_committed.map_or(result, Err)));
            answering
        });
        Self { bytes, work }
    }
}

/// Work that fails half-way changes nothing, whatever else is in the transaction.
fn in_savepoint<T>(
    connection: &Connection,
    work: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    let execute = |sql| connection.prepare_cached(sql)?.execute(()).map(|_| ());
    execute("SAVEPOINT request")?;
    let result = work(connection);
    if result.is_err() {
        execute("ROLLBACK TO request")?;
    }
    execute("RELEASE request")?;
    result
}

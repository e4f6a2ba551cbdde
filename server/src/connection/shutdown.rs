//! How a server and its connections end, and how many were flushed or cut.

use super::outbound::Request;
use crate::limits::{LINGER_MS, TASK_END_MS};
use crate::tasks::{self, Scope, timeout};
use crate::transport::{Connection, Outcome, Reader};
use event_listener::{Event, listener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How the connections ended when a server stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopReport {
    /// Connections that were sent everything rendered for them.
    pub connections_flushed: u64,
    /// Connections that were cut at the deadline or broke.
    pub connections_cut: u64,
    /// Bytes rendered for those that were not written.
    pub bytes_cut: u64,
}

impl std::ops::AddAssign for StopReport {
    fn add_assign(&mut self, other: Self) {
        self.connections_flushed += other.connections_flushed;
        self.connections_cut += other.connections_cut;
        self.bytes_cut += other.bytes_cut;
    }
}

/// The clients know that the server will stop.
const ANNOUNCED: u8 = 1;
/// The connections that are left are to close.
const LEAVING: u8 = 2;
/// The server stops.
const STOPPING: u8 = 3;

/// The phase of a server's end, and how its connections have ended since.
#[derive(Default)]
pub struct Shutdown {
    /// 0 while the server serves, then one of the phases above.
    phase: AtomicU8,
    /// Notified when a phase begins.
    begins: Event,
    /// Connections that have heard the announcement listen here. One is notified when its turn to
    /// close has come, and all when a later phase begins.
    turns: Event,
    connections_flushed: AtomicU64,
    connections_cut: AtomicU64,
    bytes_cut: AtomicU64,
}

impl Shutdown {
    /// Announces the stop, so that clients can go elsewhere.
    pub(crate) fn announce(&self) {
        self.reach(ANNOUNCED);
    }

    /// Closes one of the connections that have heard the announcement.
    pub(crate) fn close_one(&self) {
        self.turns.notify_additional(1);
    }

    /// Closes all connections that are left.
    pub(crate) fn close_all(&self) {
        self.reach(LEAVING);
    }

    /// Begins the stop.
    pub(crate) fn begin(&self) {
        self.reach(STOPPING);
    }

    /// Stores the phase before it notifies: a listener that comes later sees it.
    fn reach(&self, phase: u8) {
        self.phase.fetch_max(phase, Ordering::SeqCst);
        self.begins.notify(usize::MAX);
        if phase > ANNOUNCED {
            self.turns.notify(usize::MAX);
        }
    }

    /// Waits until the server asks something of a connection. `has_heard`: the connection knows the
    /// announcement. Cancel safe.
    pub(crate) async fn asks(&self, has_heard: bool) -> Request {
        loop {
            let event = if has_heard { &self.turns } else { &self.begins };
            listener!(event => asked);
            match self.phase.load(Ordering::SeqCst) {
                STOPPING => return Request::Stop,
                LEAVING => return Request::Leave,
                ANNOUNCED if !has_heard => return Request::Prepare,
                _ => asked.await,
            }
            // Woken without a new phase, so it is this connection's turn.
            if has_heard && self.phase.load(Ordering::SeqCst) == ANNOUNCED {
                return Request::Leave;
            }
        }
    }

    /// Waits until the server asks a connection to close. Cancel safe.
    pub(crate) async fn asks_to_close(&self) -> Request {
        match self.asks(false).await {
            Request::Prepare => self.asks(true).await,
            request => request,
        }
    }

    /// Waits until the stop begins. Cancel safe.
    pub(crate) async fn begun(&self) {
        loop {
            listener!(self.begins => begins);
            if self.has_begun() {
                return;
            }
            begins.await;
        }
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == STOPPING
    }

    /// Waits until every connection has ended, cuts the rest at the deadline, and reports.
    pub(crate) async fn finish(
        &self,
        accepting: &Scope,
        connections: &Scope,
        deadline: Instant,
    ) -> StopReport {
        if accepting.ended_by(deadline).await {
            connections.ended_by(deadline).await;
        }
        let cut = connections.end(Instant::now() + Duration::from_millis(TASK_END_MS)).await;
        if !cut.left.is_empty() {
            log::warn!(task:% = tasks::label(); "connections that do not end: {cut}");
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StopReport {
            connections_flushed: count(&self.connections_flushed),
            connections_cut: count(&self.connections_cut),
            bytes_cut: count(&self.bytes_cut),
        }
    }
}

/// Counts a connection's end when the server stops, also if it is cut.
pub(crate) struct CloseCount {
    shutdown: Arc<Shutdown>,
    connection: Connection,
    /// Everything rendered was written.
    flushed: bool,
}

impl CloseCount {
    pub fn new(shutdown: &Arc<Shutdown>, connection: &Connection) -> Self {
        Self { shutdown: shutdown.clone(), connection: connection.clone(), flushed: false }
    }

    /// Closes the connection once everything else of it is gone. `lingers`: the peer may still be
    /// sending.
    pub async fn close(mut self, writing: &Outcome, lingers: bool) {
        self.flushed = matches!(writing, Outcome::Finished);
        if !self.flushed {
            return;
        }
        self.connection.finish();
        if lingers {
            // Boxed: it is rare, and would make every connection's task larger.
            Box::pin(discard_input(self.connection.clone())).await;
        }
    }
}

impl Drop for CloseCount {
    fn drop(&mut self) {
        if !self.shutdown.has_begun() {
            return;
        }
        if self.flushed {
            self.shutdown.connections_flushed.fetch_add(1, Ordering::Relaxed);
        } else {
            self.shutdown.connections_cut.fetch_add(1, Ordering::Relaxed);
            self.shutdown
                .bytes_cut
                .fetch_add(self.connection.traffic().unwritten_bytes() as u64, Ordering::Relaxed);
        }
    }
}

/// Discards input until the peer has closed or a short time is over. If a socket is closed with
/// unread input, the kernel throws away what the peer has not fetched yet, such as our goodbye.
async fn discard_input(connection: Connection) {
    let mut reader = Reader::new(connection);
    let discard = async { while matches!(reader.read().await, Ok(bytes) if !bytes.is_empty()) {} };
    timeout(Duration::from_millis(LINGER_MS), discard).await;
}

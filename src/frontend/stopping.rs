//! How connections of servers end: by the peer, by themselves, or when the server stops.

use crate::diagnostics::Ended;
use crate::limits::{LINGER_MS, TASK_END_MS};
use crate::tasks::Scope;
use crate::transport::{Connection, Outcome, Reader};
use async_io::Timer;
use event_listener::{Event, listener};
use futures_lite::future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Whether a server is stopping, and how its connections ended then.
#[derive(Default)]
pub(super) struct Stopping {
    has_begun: AtomicBool,
    event: Event,
    connections_flushed: AtomicU64,
    connections_cut: AtomicU64,
    bytes_cut: AtomicU64,
}

/// How the connections ended when the server stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StopReport {
    /// Connections to which everything rendered for them was written.
    pub connections_flushed: u64,
    /// Connections that were cut at the deadline or broke.
    pub connections_cut: u64,
    /// Bytes rendered for those that were not written.
    pub bytes_cut: u64,
}

impl std::ops::AddAssign for StopReport {
    fn add_assign(&mut self, other: StopReport) {
        self.connections_flushed += other.connections_flushed;
        self.connections_cut += other.connections_cut;
        self.bytes_cut += other.bytes_cut;
    }
}

impl Stopping {
    pub fn begin(&self) {
        // Stored before notifying: whoever begins to listen after the notification sees it.
        self.has_begun.store(true, Ordering::SeqCst);
        self.event.notify(usize::MAX);
    }

    pub fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::SeqCst)
    }

    /// Waits until it has begun. Cancel safe.
    pub async fn begun(&self) {
        loop {
            listener!(self.event => begun);
            if self.has_begun() {
                return;
            }
            begun.await;
        }
    }

    /// Waits until the tasks of both scopes have ended, and ends those that have not at the deadline.
    pub async fn ended(&self, accepting: &Scope, connections: &Scope, deadline: Instant) -> StopReport {
        if accepting.ended_by(deadline).await {
            connections.ended_by(deadline).await;
        }
        let cut = connections.end(Instant::now() + Duration::from_millis(TASK_END_MS)).await;
        if !cut.left.is_empty() {
            log::warn!("connections that do not end: {cut}");
        }
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StopReport {
            connections_flushed: count(&self.connections_flushed),
            connections_cut: count(&self.connections_cut),
            bytes_cut: count(&self.bytes_cut),
        }
    }
}

/// Counts a connection's end when its server is stopping, also if it is cut.
pub(super) struct EndCount {
    stopping: Arc<Stopping>,
    connection: Connection,
    /// Whether everything was written.
    pub flushed: bool,
}

impl EndCount {
    pub fn new(stopping: &Arc<Stopping>, connection: &Connection) -> EndCount {
        EndCount { stopping: stopping.clone(), connection: connection.clone(), flushed: false }
    }
}

impl Drop for EndCount {
    fn drop(&mut self) {
        if !self.stopping.has_begun() {
            return;
        }
        if self.flushed {
            self.stopping.connections_flushed.fetch_add(1, Ordering::Relaxed);
        } else {
            self.stopping.connections_cut.fetch_add(1, Ordering::Relaxed);
            let bytes_cut = self.connection.traffic().unwritten_bytes() as u64;
            self.stopping.bytes_cut.fetch_add(bytes_cut, Ordering::Relaxed);
        }
    }
}

/// Why the reading half of a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ReadEnd {
    /// The peer will send nothing more.
    PeerClosed,
    /// The peer wants to go, or did what leaves no other way.
    Quit,
    /// The server stops.
    ServerStops,
}

/// Which half of a connection ended first, and how.
pub(super) enum FirstEnd {
    Reading(io::Result<ReadEnd>),
    Writing(Outcome),
}

/// Why a connection ended, of both halves: a peer that did not take our goodbye is stuck, whatever it said before.
pub(super) fn ended(reading: Option<&io::Result<ReadEnd>>, writing: &Outcome) -> Ended {
    match (writing, reading) {
        (Outcome::Stuck, _) => Ended::Stuck,
        (Outcome::Quiet { .. }, _) => Ended::Quiet,
        (_, Some(Ok(ReadEnd::PeerClosed))) => Ended::PeerClosed,
        (Outcome::Broken(_), _) | (_, Some(Err(_))) => Ended::Broken,
        (Outcome::Finished, Some(Ok(ReadEnd::Quit))) => Ended::Quit,
        (Outcome::Finished, Some(Ok(ReadEnd::ServerStops)) | None) => Ended::ServerStopped,
    }
}

/// Reads and forgets until the peer has closed or a short time is over: a socket closed with unread input makes the
/// kernel throw away what the peer has not fetched yet, our goodbye.
pub(super) async fn discard_input(connection: Connection) {
    let mut reader = Reader::new(connection);
    let discard = async { while matches!(reader.read().await, Ok(bytes) if !bytes.is_empty()) {} };
    let out_of_time = async {
        // why: once in the life of a connection, when its writer's timer is gone.
        Timer::after(Duration::from_millis(LINGER_MS)).await;
    };
    future::or(discard, out_of_time).await;
}

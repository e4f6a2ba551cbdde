//! What the server knows of itself: its front-ends, their connections, and what happened lately.
//!
//! [`Diagnostics`] is made once and handed to whoever has something to tell. Each front-end gets a
//! [`FrontEnd`], tells it of every connection, and counts in the [`ConnectionEntry`] it gets.
//! Nothing here does any I/O; the admin front-end shows it.

mod connection;
mod ended;
mod family;
mod front_end;
mod journal;
mod memory;

use crate::locks::lock;
pub use connection::{ConnectionFigures, ConnectionInfo, SubscriptionInfo};
pub use ended::Ended;
pub use family::{Family, FamilyKind, Figure};
pub use front_end::{ConnectionEntry, Facts, FrontEnd, FrontEndFigures, Serves};
pub use journal::{Event, Journal, JournalEntry};
pub use memory::Memory;
use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

/// The server's knowledge of itself. A cheap handle; clones share everything.
#[derive(Clone)]
pub struct Diagnostics {
    shared: Arc<Shared>,
}

struct Shared {
    server_id: Arc<str>,
    started: Instant,
    started_at: SystemTime,
    settings_read_at: Mutex<SystemTime>,
    journal: Arc<Journal>,
    memory: Arc<Memory>,
    front_ends: Mutex<Vec<Arc<FrontEnd>>>,
    is_lame_duck: AtomicBool,
}

impl Diagnostics {
    /// The diagnostics of a server that starts now.
    pub fn new() -> Self {
        let now = SystemTime::now();
        let shared = Shared {
            server_id: random_id().into(),
            started: Instant::now(),
            started_at: now,
            settings_read_at: Mutex::new(now),
            journal: Arc::default(),
            memory: Arc::default(),
            front_ends: Mutex::default(),
            is_lame_duck: AtomicBool::new(false),
        };
        Self { shared: Arc::new(shared) }
    }

    /// The front-end with this name; makes one if there is none.
    pub fn front_end(&self, name: &'static str) -> Arc<FrontEnd> {
        let mut front_ends = lock(&self.shared.front_ends);
        if let Some(known) = front_ends.iter().find(|known| known.name() == name) {
            return known.clone();
        }
        let Shared { server_id, journal, memory, .. } = &*self.shared;
        let shared = (server_id.clone(), journal.clone(), memory.clone());
        let made = Arc::new(FrontEnd::new(name, shared));
        front_ends.push(made.clone());
        made
    }

    /// All front-ends, in the order in which they were made.
    pub fn front_ends(&self) -> Vec<Arc<FrontEnd>> {
        lock(&self.shared.front_ends).clone()
    }

    /// Ends a connection, or the one that carries it, as a WebSocket's does. False if there is none
    /// of that number.
    pub fn send_away(&self, id: u64) -> bool {
        let front_ends = self.front_ends();
        let Some(figures) = front_ends.iter().find_map(|front_end| front_end.find(id)) else {
            return false;
        };
        let peer = figures.peer();
        figures.end(Ended::SentAway) || front_ends.iter().any(|front_end| front_end.send_away(peer))
    }

    /// The server sends its clients elsewhere from now on.
    pub fn begin_lame_duck(&self) {
        self.shared.is_lame_duck.store(true, Ordering::Relaxed);
        self.journal().note("", Event::LameDuck);
    }

    /// Whether the server sends its clients elsewhere.
    pub fn is_lame_duck(&self) -> bool {
        self.shared.is_lame_duck.load(Ordering::Relaxed)
    }

    /// The journal of the last events.
    pub fn journal(&self) -> &Arc<Journal> {
        &self.shared.journal
    }

    /// The memory budget.
    pub fn memory(&self) -> &Arc<Memory> {
        &self.shared.memory
    }

    /// The id of this run of the server, which no other run has.
    pub fn server_id(&self) -> &str {
        &self.shared.server_id
    }

    /// When the server started.
    pub fn started(&self) -> Instant {
        self.shared.started
    }

    /// When the server started, by the wall clock.
    pub fn started_at(&self) -> SystemTime {
        self.shared.started_at
    }

    /// When the settings that are in force were read.
    pub fn settings_read_at(&self) -> SystemTime {
        *lock(&self.shared.settings_read_at)
    }

    /// The settings were read again, and are in force.
    pub fn settings_are_read_again(&self) {
        *lock(&self.shared.settings_read_at) = SystemTime::now();
    }
}

impl Default for Diagnostics {
    fn default() -> Self {
        Self::new()
    }
}

/// In nats-server's form, since clients of its protocol are told it too: `N` and 55 of these
/// letters and digits. Says nothing; what std keys its hash maps with is random enough to tell
/// servers apart.
fn random_id() -> String {
    const LETTERS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let random = RandomState::new();
    let letter = |place: u8| char::from(LETTERS[(random.hash_one(place) % 32) as usize]);
    std::iter::once('N').chain((1..56).map(letter)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_servers_have_the_same_id_and_all_front_ends_of_one_have() {
        let (one, other) = (Diagnostics::new(), Diagnostics::new());
        assert_ne!(one.server_id(), other.server_id());
        assert_eq!(one.server_id().len(), 56);
        assert_eq!(one.front_end("nats").server_id(), one.server_id());
    }
}

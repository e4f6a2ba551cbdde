//! One front-end: its live connections, and the sums of those that have left.

use super::connection::{ConnectionFigures, ConnectionInfo};
use super::ended::Ended;
use super::family::Family;
use super::journal::{Event, Journal};
use super::memory::Memory;
use crate::locks::lock;
use crate::transport::Traffic;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// Names and values.
pub type Facts = Vec<(&'static str, Value)>;

/// The connections and figures of one protocol's server.
pub struct FrontEnd {
    name: &'static str,
    server_id: Arc<str>,
    journal: Arc<Journal>,
    memory: Arc<Memory>,
    serves: Mutex<Option<Serves>>,
    facts: OnceLock<Box<dyn Fn() -> Facts + Send + Sync>>,
    accounts: OnceLock<Box<dyn Fn() -> Accounts + Send + Sync>>,
    refused: AtomicU64,
    connections: Mutex<Connections>,
    own: OnceLock<OwnFigures>,
}

/// How to make the figures that one front-end alone has.
struct OwnFigures {
    counted: MakeFamilies,
    measured: MakeFamilies,
}

/// Names of accounts, each with its number of subscriptions.
pub type Accounts = Vec<(Arc<str>, usize)>;

type MakeFamilies = Box<dyn Fn() -> Vec<Family> + Send + Sync>;

/// Where a front-end listens, and how much it serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Serves {
    /// The address it listens on.
    pub address: SocketAddr,
    /// The largest number of connections.
    pub max_connections: usize,
    /// The size of the largest message.
    pub max_payload_bytes: usize,
}

#[derive(Default)]
struct Connections {
    live: BTreeMap<u64, Arc<ConnectionFigures>>,
    /// All that the live ones do not count themselves.
    past: FrontEndFigures,
}

/// A front-end's figures as they are now, of all connections that it ever had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrontEndFigures {
    /// Live connections.
    pub connections: usize,
    /// Connections ever accepted.
    pub accepted: u64,
    /// Connections that were refused.
    pub refused: u64,
    /// Ended connections by reason.
    pub ended: BTreeMap<&'static str, u64>,
    /// Connections that were ended because they did not read what they were sent.
    pub slow_consumers: u64,
    /// Messages that peers published.
    pub messages_in: u64,
    /// Messages rendered for peers.
    pub messages_out: u64,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes that the kernel took.
    pub bytes_out: u64,
    /// Headers and payloads of those that peers published; where only the wire is counted, that.
    pub payload_in: u64,
    /// Headers and payloads of those rendered for peers; where only the wire is counted, that.
    pub payload_out: u64,
}

impl FrontEnd {
    pub(super) fn new(
        name: &'static str,
        (server_id, journal, memory): (Arc<str>, Arc<Journal>, Arc<Memory>),
    ) -> Self {
        Self {
            name,
            server_id,
            journal,
            memory,
            serves: Mutex::default(),
            facts: OnceLock::new(),
            accounts: OnceLock::new(),
            refused: AtomicU64::new(0),
            connections: Mutex::default(),
            own: OnceLock::new(),
        }
    }

    /// The front-end's name, such as `chat` or `nats`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The id of this run of the server, which no other run has.
    pub fn server_id(&self) -> &str {
        &self.server_id
    }

    /// The memory budget, which all front-ends share.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Notes that the front-end listens, or now serves this much.
    pub fn listening(&self, serves: Serves) {
        if lock(&self.serves).replace(serves).is_none() {
            self.note(Event::Listening(serves.address));
        }
    }

    /// Says how to tell what is no figure: settings, or how things stand. The first call counts.
    pub fn has_facts(&self, facts: impl Fn() -> Facts + Send + Sync + 'static) {
        let _ = self.facts.set(Box::new(facts));
    }

    /// Facts about the front-end besides figures.
    pub fn facts(&self) -> Facts {
        self.facts.get().map(|facts| facts()).unwrap_or_default()
    }

    /// Says how to list the accounts of its clients. The first call counts.
    pub fn has_accounts(&self, accounts: impl Fn() -> Accounts + Send + Sync + 'static) {
        let _ = self.accounts.set(Box::new(accounts));
    }

    /// The accounts of its clients; none if it has no accounts.
    pub fn accounts(&self) -> Accounts {
        self.accounts.get().map(|accounts| accounts()).unwrap_or_default()
    }

    /// Where the front-end listens, and how much it serves; `None` if it does not listen.
    pub fn serves(&self) -> Option<Serves> {
        *lock(&self.serves)
    }

    /// Adds a connection to the list, where it stays until the entry is dropped.
    pub fn connected(
        self: &Arc<Self>,
        peer: SocketAddr,
        traffic: &Arc<Traffic>,
    ) -> ConnectionEntry {
        static LAST_ID: AtomicU64 = AtomicU64::new(0);
        let id = LAST_ID.fetch_add(1, Ordering::Relaxed) + 1;
        let figures = Arc::new(ConnectionFigures::new(id, peer, traffic.clone()));
        {
            let mut connections = lock(&self.connections);
            connections.past.accepted += 1;
            connections.live.insert(id, figures.clone());
        }
        self.note(Event::Connected(peer));
        ConnectionEntry { front_end: self.clone(), figures, reason: Ended::Cut }
    }

    /// Counts a connection that was refused.
    pub fn refused(&self, peer: SocketAddr, reason: &str) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        self.note(Event::Refused(peer, reason));
    }

    /// Notes that deliveries of a publish were given up, if any were.
    pub fn dropped(&self, topic: &str, messages: u64) {
        if messages > 0 {
            self.note(Event::Dropped(topic, messages));
        }
    }

    /// Notes in the journal that messages for `whom` were lost, all or some of them. `kind` is a
    /// word for how, `what` says which they are. Returns the number of the entry, for
    /// [`FrontEnd::lost_again`].
    pub fn lost(&self, kind: &'static str, whom: &str, what: &str, messages: u64) -> u64 {
        self.note(Event::Lost { kind, whom, what, messages })
    }

    /// Notes in the journal what somebody did. `kind` is a word for it, `what` says who did it and
    /// why.
    pub fn acted(&self, kind: &'static str, about: &str, what: &str) {
        self.note(Event::Acted { kind, about, what });
    }

    fn note(&self, event: Event<'_>) -> u64 {
        self.journal.note(self.name, event)
    }

    /// Adds more messages to what was noted as lost. False if the journal has forgotten it.
    pub fn lost_again(&self, entry: u64, messages: u64) -> bool {
        self.journal.add(entry, messages)
    }

    /// Says how to make the figures that this front-end alone has, for whoever looks: those that
    /// are counted anyway, and those that must be measured. The first call counts.
    pub fn tells(
        &self,
        counted: impl Fn() -> Vec<Family> + Send + Sync + 'static,
        measured: impl Fn() -> Vec<Family> + Send + Sync + 'static,
    ) {
        let _ =
            self.own.set(OwnFigures { counted: Box::new(counted), measured: Box::new(measured) });
    }

    /// The counted figures that this front-end alone has, which cost nothing to read.
    pub fn counted(&self) -> Vec<Family> {
        self.own.get().map(|own| (own.counted)()).unwrap_or_default()
    }

    /// All figures that this front-end alone has.
    pub fn families(&self) -> Vec<Family> {
        let mut families = self.counted();
        families.extend(self.own.get().into_iter().flat_map(|own| (own.measured)()));
        families
    }

    /// The sums over all connections, live and past.
    pub fn figures(&self) -> FrontEndFigures {
        let connections = lock(&self.connections);
        let mut figures = connections.past.clone();
        figures.connections = connections.live.len();
        figures.refused = self.refused.load(Ordering::Relaxed);
        connections.live.values().for_each(|connection| figures.add_connection(connection));
        figures
    }

    /// The number of live connections.
    pub fn connection_count(&self) -> usize {
        lock(&self.connections).live.len()
    }

    /// Live connections, oldest first: `limit` of them after the first `offset`.
    pub fn connections(&self, offset: usize, limit: usize) -> Vec<ConnectionInfo> {
        let page: Vec<Arc<ConnectionFigures>> =
            lock(&self.connections).live.values().skip(offset).take(limit).cloned().collect();
        page.iter().map(|figures| figures.info(self.name)).collect()
    }

    /// All live connections, oldest first.
    pub fn live(&self) -> Vec<Arc<ConnectionFigures>> {
        lock(&self.connections).live.values().cloned().collect()
    }

    /// A live connection of that number.
    pub fn connection(&self, id: u64) -> Option<ConnectionInfo> {
        self.find(id).map(|figures| figures.info(self.name))
    }

    /// The figures that a live connection of that number counts in.
    pub fn find(&self, id: u64) -> Option<Arc<ConnectionFigures>> {
        lock(&self.connections).live.get(&id).cloned()
    }

    /// The first live connection of that peer that could be cut, and was.
    pub(super) fn send_away(&self, peer: SocketAddr) -> bool {
        let mut of_peer = self.live().into_iter().filter(|figures| figures.peer() == peer);
        of_peer.any(|figures| figures.end(Ended::SentAway))
    }

    pub(super) fn disconnected(&self, figures: &ConnectionFigures, reason: Ended) {
        let reason = figures.imposed_end().unwrap_or(reason);
        if reason == Ended::Shed {
            self.memory.count_shed();
        }
        {
            let mut connections = lock(&self.connections);
            connections.live.remove(&figures.id());
            connections.past.add_connection(figures);
            *connections.past.ended.entry(reason.as_str()).or_default() += 1;
            connections.past.slow_consumers += u64::from(reason.is_slow_consumer());
        }
        self.note(Event::Ended(figures.peer(), reason));
    }
}

impl FrontEndFigures {
    fn add_connection(&mut self, connection: &ConnectionFigures) {
        let (messages_in, messages_out) = connection.messages();
        let (payload_in, payload_out) = connection.payload();
        self.messages_in += messages_in;
        self.messages_out += messages_out;
        self.bytes_in += connection.traffic().bytes_in();
        self.bytes_out += connection.traffic().bytes_out();
        self.payload_in += payload_in;
        self.payload_out += payload_out;
    }

    /// Adds the figures of another front-end, but for the reasons of its connections' ends.
    pub fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.accepted += other.accepted;
        self.refused += other.refused;
        self.slow_consumers += other.slow_consumers;
        self.messages_in += other.messages_in;
        self.messages_out += other.messages_out;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        self.payload_in += other.payload_in;
        self.payload_out += other.payload_out;
    }
}

/// A live connection's place in its front-end's list. Dropping it takes the connection out, with
/// the reason that [`ended`](Self::ended) gave, or [`Ended::Cut`].
pub struct ConnectionEntry {
    front_end: Arc<FrontEnd>,
    figures: Arc<ConnectionFigures>,
    reason: Ended,
}

impl ConnectionEntry {
    /// The figures that the connection counts in.
    pub fn figures(&self) -> &Arc<ConnectionFigures> {
        &self.figures
    }

    /// Says why the connection ends; the last word counts.
    pub fn ended(&mut self, reason: Ended) {
        self.reason = reason;
    }
}

impl Drop for ConnectionEntry {
    fn drop(&mut self) {
        self.front_end.disconnected(&self.figures, self.reason);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Diagnostics;
    use super::*;
    use fanfare::SubscriptionStats;

    #[test]
    fn sums_go_on_when_connections_leave() {
        let diagnostics = Diagnostics::new();
        let chat = diagnostics.front_end("chat");
        assert!(Arc::ptr_eq(&chat, &diagnostics.front_end("chat")));
        let peer = "10.0.0.1:7".parse().unwrap();
        let traffic = Arc::default();
        let mut one = chat.connected(peer, &traffic);
        let two = chat.connected(peer, &traffic);
        one.figures().received(3);
        two.figures().sent(5);
        one.ended(Ended::Stuck);
        let before = chat.figures();
        assert_eq!(
            (before.connections, before.accepted, before.messages_in, before.messages_out),
            (2, 2, 3, 5)
        );
        drop(one);
        drop(two);
        chat.refused(peer, "full");
        let after = chat.figures();
        assert_eq!(
            (after.connections, after.accepted, after.messages_in, after.messages_out),
            (0, 2, 3, 5)
        );
        assert_eq!(after.ended, BTreeMap::from([("write time-out", 1), ("cut", 1)]));
        assert_eq!((after.refused, after.slow_consumers), (1, 1));
    }

    #[test]
    fn connections_are_listed_in_pages_with_what_they_said_of_themselves() {
        let chat = Diagnostics::new().front_end("chat");
        let traffic = Arc::default();
        let entries: Vec<_> =
            (1..=5).map(|port| chat.connected(([10, 0, 0, 1], port).into(), &traffic)).collect();
        let figures = entries[1].figures();
        figures.set_name("bob");
        figures.set_user("u");
        figures.set_program("rust", "1.0");
        figures.set_subscriptions(2);
        let broker = fanfare::Broker::<String>::new();
        let queue = broker.subscribe(&fanfare::Pattern::parse("a").unwrap()).unwrap().watch();
        figures.set_queues(move || vec![SubscriptionStats { queued_bytes: 70, ..queue.stats() }]);
        let page = chat.connections(1, 2);
        assert_eq!(page.iter().map(|info| info.peer.port()).collect::<Vec<_>>(), [2, 3]);
        let bob = &page[0];
        assert_eq!(
            (bob.name.as_str(), bob.user.as_str(), bob.language.as_str()),
            ("bob", "u", "rust")
        );
        assert_eq!((bob.subscriptions, bob.pending_bytes), (2, 70));
        assert_eq!(chat.connections(4, 10).len(), 1);
        assert_eq!(chat.connections(5, 10).len(), 0);
    }
}

//! One connection: its figures while it lives, and its end.

use super::ended::Ended;
use super::journal::cut;
use crate::locks::lock;
use crate::tasks::TaskId;
use crate::transport::{Cutter, Traffic};
use fanfare::SubscriptionStats;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

/// The counters of one connection. Its tasks write them, observers read them; additions are
/// uncontended.
pub struct ConnectionFigures {
    id: u64,
    traffic: Arc<Traffic>,
    messages_in: AtomicU64,
    messages_out: AtomicU64,
    payload: OnceLock<Payload>,
    round_trip: RoundTrip,
    subscriptions: AtomicUsize,
    subscription_bytes: AtomicUsize,
    task: OnceLock<TaskId>,
    cutter: OnceLock<Cutter>,
    imposed_end: OnceLock<Ended>,
    about: Mutex<About>,
}

struct About {
    peer: SocketAddr,
    name: String,
    user: String,
    account: Option<Arc<str>>,
    language: String,
    version: String,
    transport: Option<&'static str>,
    queues: Option<Queues>,
    subscriptions: Option<Subscriptions>,
}

/// Bytes of messages alone: headers and payloads.
#[derive(Default)]
struct Payload {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
}

/// In microseconds since the connection began; 0 for never.
#[derive(Default)]
struct RoundTrip {
    asked_us: AtomicU64,
    took_us: AtomicU64,
}

/// Gives the subscriptions of a connection at this moment.
type Subscriptions = Arc<dyn Fn() -> Vec<SubscriptionInfo> + Send + Sync>;

/// One subscription, as its client knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionInfo {
    /// The subject that it is for.
    pub subject: String,
    /// Its queue group; empty if it is in none.
    pub group: String,
    /// The client's name for it.
    pub sid: String,
}

/// Gives the figures of the queues of a connection at this moment.
type Queues = Arc<dyn Fn() -> Vec<SubscriptionStats> + Send + Sync>;

impl ConnectionFigures {
    pub(super) fn new(id: u64, peer: SocketAddr, traffic: Arc<Traffic>) -> Self {
        let [name, user, language, version] = [const { String::new() }; 4];
        Self {
            id,
            traffic,
            messages_in: AtomicU64::new(0),
            messages_out: AtomicU64::new(0),
            payload: OnceLock::new(),
            round_trip: RoundTrip::default(),
            subscriptions: AtomicUsize::new(0),
            subscription_bytes: AtomicUsize::new(0),
            task: OnceLock::new(),
            cutter: OnceLock::new(),
            imposed_end: OnceLock::new(),
            about: Mutex::new(About {
                peer,
                name,
                user,
                account: None,
                language,
                version,
                transport: None,
                queues: None,
                subscriptions: None,
            }),
        }
    }

    /// The connection's number among those of all front-ends, from 1; never used twice.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Counts messages that the peer published.
    pub fn received(&self, messages: usize) {
        self.messages_in.fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// Counts messages rendered for the peer.
    pub fn sent(&self, messages: usize) {
        self.messages_out.fetch_add(messages as u64, Ordering::Relaxed);
    }

    /// From now on, what messages weigh is counted apart from what goes over the wire.
    pub fn counts_payload(&self) {
        self.payload.get_or_init(Payload::default);
    }

    /// Counts headers and payloads that the peer published.
    pub fn received_payload(&self, bytes: usize) {
        if let Some(payload) = self.payload.get() {
            payload.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// Counts headers and payloads rendered for the peer.
    pub fn sent_payload(&self, bytes: usize) {
        if let Some(payload) = self.payload.get() {
            payload.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
        }
    }

    /// The peer is asked whether it is there.
    pub fn asked(&self) {
        self.round_trip.asked_us.store(self.now_us(), Ordering::Relaxed);
    }

    /// The peer has answered.
    pub fn answered(&self) {
        let asked_us = self.round_trip.asked_us.swap(0, Ordering::Relaxed);
        if asked_us > 0 {
            let took_us = self.now_us().saturating_sub(asked_us).max(1);
            self.round_trip.took_us.store(took_us, Ordering::Relaxed);
        }
    }

    fn now_us(&self) -> u64 {
        u64::try_from(self.traffic.began().elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// Says how many subscriptions the peer has now.
    pub fn set_subscriptions(&self, subscriptions: usize) {
        self.subscriptions.store(subscriptions, Ordering::Relaxed);
    }

    /// Says how many bytes the peer's subscriptions take, where they can be many.
    pub fn set_subscription_bytes(&self, bytes: usize) {
        self.subscription_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Says which task serves the connection. The first call counts.
    pub fn set_task(&self, task: TaskId) {
        let _ = self.task.set(task);
    }

    /// The task that serves the connection; none where another connection carries this one.
    pub fn task(&self) -> Option<TaskId> {
        self.task.get().copied()
    }

    /// Says what ends the connection from elsewhere.
    pub fn can_be_cut_by(&self, cutter: Cutter) {
        let _ = self.cutter.set(cutter);
    }

    /// Ends the connection for a reason that its protocol does not know. The first reason counts.
    /// False if another connection carries it.
    pub fn end(&self, reason: Ended) -> bool {
        // Stored first: the end of the connection reads it.
        let _ = self.imposed_end.set(reason);
        self.cutter.get().inspect(|cutter| cutter.cut()).is_some()
    }

    pub(super) fn imposed_end(&self) -> Option<Ended> {
        self.imposed_end.get().copied()
    }

    /// Whether bytes wait for the peer, which has taken nothing for so long.
    pub fn is_stuck_for(&self, time: Duration) -> bool {
        self.traffic.is_stuck_for(time)
    }

    /// The memory that the connection holds: what waits for the peer, what came from it incomplete,
    /// and its subscriptions. What several connections share counts for each.
    pub fn held_bytes(&self) -> usize {
        self.pending_bytes()
            + self.traffic.gathered_bytes()
            + self.subscription_bytes.load(Ordering::Relaxed)
    }

    /// Bytes that wait for the peer: queued, and rendered but not taken by the kernel.
    fn pending_bytes(&self) -> usize {
        let queued_bytes: usize = self.queues().iter().map(|queue| queue.queued_bytes).sum();
        self.traffic.unwritten_bytes() + queued_bytes
    }

    /// Says what the peer calls itself.
    pub fn set_name(&self, name: &str) {
        lock(&self.about).name = cut(name).to_owned();
    }

    /// The user that the peer authenticated as; empty without authentication.
    pub fn user(&self) -> String {
        lock(&self.about).user.clone()
    }

    /// Says who the peer was authenticated as.
    pub fn set_user(&self, user: &str) {
        lock(&self.about).user = cut(user).to_owned();
    }

    /// Says in which account the peer is, where there are several.
    pub fn set_account(&self, account: &Arc<str>) {
        lock(&self.about).account = Some(account.clone());
    }

    /// The account that the peer is in.
    pub fn account(&self) -> Option<Arc<str>> {
        lock(&self.about).account.clone()
    }

    /// Says what the peer's program is: the language of its library, and the library's version.
    pub fn set_program(&self, language: &str, version: &str) {
        let mut about = lock(&self.about);
        about.language = cut(language).to_owned();
        about.version = cut(version).to_owned();
    }

    /// Says how to look at the queues that hold what the peer has not been sent. Called whenever
    /// somebody looks; it must be quick, wait for nothing, and keep no connection alive.
    pub fn set_queues(&self, queues: impl Fn() -> Vec<SubscriptionStats> + Send + Sync + 'static) {
        lock(&self.about).queues = Some(Arc::new(queues));
    }

    /// Says by what the connection came, where that is not what its front-end is called.
    pub fn set_transport(&self, transport: &'static str) {
        lock(&self.about).transport = Some(transport);
    }

    /// Says how to list the subscriptions that the peer has. As for
    /// [`set_queues`](Self::set_queues).
    pub fn set_list(&self, list: impl Fn() -> Vec<SubscriptionInfo> + Send + Sync + 'static) {
        lock(&self.about).subscriptions = Some(Arc::new(list));
    }

    /// The subscriptions that the peer has, oldest first, if its front-end lists them.
    pub fn list(&self) -> Vec<SubscriptionInfo> {
        let list = lock(&self.about).subscriptions.clone();
        list.map_or_else(Vec::new, |list| list())
    }

    /// How many subscriptions the peer has.
    pub fn subscription_count(&self) -> usize {
        self.subscriptions.load(Ordering::Relaxed)
    }

    /// The queues that hold what the peer has not been sent.
    pub fn queues(&self) -> Vec<SubscriptionStats> {
        let queues = lock(&self.about).queues.clone();
        // Asked without the lock: it is not our code.
        queues.map_or_else(Vec::new, |queues| queues())
    }

    /// The peer's address.
    pub fn peer(&self) -> SocketAddr {
        lock(&self.about).peer
    }

    /// Names the client of the proxy's present request.
    pub fn set_peer(&self, peer: SocketAddr) {
        lock(&self.about).peer = peer;
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    pub(super) fn messages(&self) -> (u64, u64) {
        (self.messages_in.load(Ordering::Relaxed), self.messages_out.load(Ordering::Relaxed))
    }

    /// Headers and payloads; where only the wire is counted, that.
    pub(super) fn payload(&self) -> (u64, u64) {
        match self.payload.get() {
            Some(Payload { bytes_in, bytes_out }) => {
                (bytes_in.load(Ordering::Relaxed), bytes_out.load(Ordering::Relaxed))
            }
            None => (self.traffic.bytes_in(), self.traffic.bytes_out()),
        }
    }

    fn round_trip(&self) -> Option<Duration> {
        let took_us = self.round_trip.took_us.load(Ordering::Relaxed);
        (took_us > 0).then(|| Duration::from_micros(took_us))
    }

    pub(crate) fn info(&self, front_end: &'static str) -> ConnectionInfo {
        let (peer, name, user, language, version, transport) = {
            let about = lock(&self.about);
            let About { peer, name, user, language, version, transport, .. } = &*about;
            let (name, user) = (name.clone(), user.clone());
            (*peer, name, user, language.clone(), version.clone(), *transport)
        };
        let (bytes_in, bytes_out) = self.payload();
        let (messages_in, messages_out) = self.messages();
        ConnectionInfo {
            id: self.id,
            front_end,
            transport: transport.unwrap_or(front_end),
            peer,
            name,
            user,
            account: self.account(),
            language,
            version,
            subscriptions: self.subscriptions.load(Ordering::Relaxed),
            pending_bytes: self.pending_bytes(),
            messages_in,
            messages_out,
            bytes_in,
            bytes_out,
            round_trip: self.round_trip(),
            age: self.traffic.began().elapsed(),
            idle: Instant::now().saturating_duration_since(self.traffic.last_activity()),
        }
    }
}

/// The figures of a connection, as they are now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// The connection's number among those of all front-ends, from 1; never used twice.
    pub id: u64,
    /// The connection's front-end.
    pub front_end: &'static str,
    /// How the peer connected: the front-end, or `websocket`.
    pub transport: &'static str,
    /// The peer's address.
    pub peer: SocketAddr,
    /// The peer's own name; empty if it gave none.
    pub name: String,
    /// The user that the peer authenticated as; empty without authentication.
    pub user: String,
    /// The account that the peer is in, where there are several.
    pub account: Option<Arc<str>>,
    /// The language of the peer's library; empty if it did not say.
    pub language: String,
    /// The version of the peer's library; empty if it did not say.
    pub version: String,
    /// The number of subscriptions.
    pub subscriptions: usize,
    /// Bytes that wait for the peer: queued, and rendered but not taken by the kernel.
    pub pending_bytes: usize,
    /// Messages that the peer published.
    pub messages_in: u64,
    /// Messages rendered for the peer.
    pub messages_out: u64,
    /// Headers and payloads of those that the peer published; where only the wire is counted, all
    /// bytes read.
    pub bytes_in: u64,
    /// Headers and payloads of those rendered for the peer; where only the wire is counted, all
    /// bytes that the kernel took.
    pub bytes_out: u64,
    /// How long the peer took to answer the last question whether it is there.
    pub round_trip: Option<Duration>,
    /// The connection's age.
    pub age: Duration,
    /// The time since anything was read or written.
    pub idle: Duration,
}

//! The link itself: dials a hub, serves the connection, and dials again once that has ended.

use super::figures::LinkFigures;
use super::reader::{Reader, Shared};
use super::remedy::remedy;
use super::sequence::Numbers;
use super::session::{End, Identity, Passage, Session, Tls};
use super::settings::{ClusterSettings, parse_hub, told_by};
use super::writer::Writer;
use crate::codec::nats::ServerAddress;
use crate::codec::nats::subject::covers;
use crate::connection::duplex::drive;
use crate::connection::outbound::OutboundQueue;
use crate::connection::shutdown::Shutdown;
use crate::connection::{RunningServer, StopReport};
use crate::counted::counted;
use crate::diagnostics::{Ended, FrontEnd};
use crate::limits::{CLUSTER_ADDRESSES_MAX, CLUSTER_BACK_OFF_MS, CLUSTER_DIAL_MS};
use crate::live::Live;
use crate::locks::lock;
use crate::message::ServerMessage;
use crate::tasks::{Scope, Tasks, Wait, timeout, waiting};
use crate::transport::{Connection, ReadAllowance};
use async_io::Async;
use fanfare::{Broker, Pattern};
use futures_lite::future::{self, Boxed};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A link to a cluster. When it breaks, it dials again.
pub struct ClusterLink {
    settings: Live<ClusterSettings>,
    shutdown: Arc<Shutdown>,
    /// Owns nothing: a link accepts nobody.
    accepting: Scope,
    scope: Scope,
}

struct Link {
    shared: Arc<Shared>,
    settings: Live<ClusterSettings>,
    shutdown: Arc<Shutdown>,
    front_end: Arc<FrontEnd>,
    who: Arc<Identity>,
    /// How many attempts in a row have failed.
    failures: u32,
    /// The reasons that the log has given for them, each once.
    told: Vec<&'static str>,
    /// How many hubs were dialled, so that each gets its turn.
    next: usize,
}

impl ClusterLink {
    /// Starts to dial. `tasks` starts every task, and `front_end` lists every connection.
    pub fn start(
        broker: &Broker<ServerMessage>,
        tasks: &Tasks,
        settings: ClusterSettings,
        front_end: Arc<FrontEnd>,
    ) -> Self {
        let server_id = front_end.server_id().to_owned();
        let name = settings.name.clone();
        let name = name.unwrap_or_else(|| format!("fanfare-{}-{:08X}", host(), random() as u32));
        // All links of one account have the same subject: so they notice a common cluster.
        let of_server = server_id.get(1..23).unwrap_or(&server_id);
        let loop_subject = format!("$LDS.{of_server}.{}", settings.account);
        let shared = Arc::new(Shared {
            broker: broker.clone(),
            figures: LinkFigures::default(),
            front_end: front_end.clone(),
            hubs: Mutex::default(),
            end: Mutex::default(),
            numbers: Mutex::new(Numbers::from_run(random())),
            book: Mutex::default(),
        });
        let (title, told) = (front_end.name(), shared.clone());
        front_end.tells(move || told.figures.families(title), Vec::new);
        let (told, account) = (shared.clone(), settings.account.clone());
        front_end.has_facts(move || {
            let local = [("local_account", (*account).into())];
            local.into_iter().chain(told.figures.facts()).collect()
        });
        let shutdown = Arc::<Shutdown>::default();
        let settings = Live::new(settings);
        let link = Link {
            shared,
            settings: settings.clone(),
            shutdown: shutdown.clone(),
            front_end,
            who: Arc::new(Identity { title, name, server_id, loop_subject }),
            failures: 0,
            told: Vec::new(),
            next: 0,
        };
        let (accepting, scope) = (tasks.scope("cluster"), tasks.scope("cluster link"));
        scope.spawn("cluster link", link.run());
        Self { settings, shutdown, accepting, scope }
    }

    /// The link's settings. New ones take effect when the link next connects.
    pub fn settings(&self) -> Live<ClusterSettings> {
        self.settings.clone()
    }
}

impl RunningServer for ClusterLink {
    fn listening(&self) -> Vec<(&'static str, SocketAddr)> {
        Vec::new()
    }

    fn begin_stop(&self) {
        self.shutdown.begin();
    }

    fn ended(self: Box<Self>, deadline: Instant) -> Boxed<StopReport> {
        Box::pin(async move {
            self.begin_stop();
            self.shutdown.finish(&self.accepting, &self.scope, deadline).await
        })
    }
}

impl Link {
    async fn run(mut self) {
        while !self.shutdown.has_begun()
            && let Some(hub) = self.next_hub()
        {
            let reason = self.attempt(&hub).await;
            if self.shutdown.has_begun() {
                return;
            }
            let pause = self.ended(&hub, reason);
            let paused = timeout(pause, self.shutdown.begun());
            waiting(Wait::fixed("the next attempt"), paused).await;
        }
    }

    /// The next hub in turn: first the configured ones, then those that a hub has listed.
    fn next_hub(&mut self) -> Option<ServerAddress> {
        let mut hubs = self.settings.get().hubs.clone();
        let told = lock(&self.shared.hubs).clone();
        let first = hubs.first().cloned()?;
        for hub in told.iter().filter_map(|text| parse_hub(text).ok()) {
            let is_known = hubs.iter().any(|other| other.is_same_place(&hub));
            if !is_known && hubs.len() < CLUSTER_ADDRESSES_MAX {
                hubs.push(told_by(hub, &first));
            }
        }
        let turn = self.next.checked_rem(hubs.len())?;
        self.next += 1;
        Some(hubs.swap_remove(turn))
    }

    /// Serves one connection, from dialling to its end. Returns the reason for the end.
    async fn attempt(&mut self, hub: &ServerAddress) -> &'static str {
        log::debug!("{}: dialling {hub}", self.who.title);
        let dialled = async {
            let dialling = dial(hub, self.front_end.memory().allowance());
            let dialled = waiting(Wait::fixed("a hub to answer"), dialling).await;
            dialled.map_err(|error| End::of("cannot be reached").in_words(error))
        };
        let stopped = async {
            self.shutdown.begun().await;
            Err(End::of("server stopped"))
        };
        let limit = Duration::from_millis(CLUSTER_DIAL_MS);
        let unanswered = || Err(End::of("cannot be reached").in_words("no answer"));
        match timeout(limit, future::or(dialled, stopped)).await.unwrap_or_else(unanswered) {
            Ok((connection, peer)) => self.serve(hub, connection, peer).await,
            Err(end) => {
                let reason = end.reason;
                *lock(&self.shared.end) = Some(end);
                reason
            }
        }
    }

    async fn serve(
        &mut self,
        hub: &ServerAddress,
        connection: Connection,
        peer: SocketAddr,
    ) -> &'static str {
        let (shared, settings) = (self.shared.clone(), self.settings.get());
        let entry = self.front_end.connected(peer, connection.traffic());
        entry.figures().can_be_cut_by(connection.cutter());
        let figures = entry.figures().clone();
        let credentials = match hub.credentials.is_empty() {
            true => settings.credentials.clone(),
            false => hub.credentials.clone(),
        };
        let tls = match settings.tls {
            None => Tls::Off,
            Some(_) if settings.tls_first => Tls::On,
            Some(_) => Tls::AfterInfo,
        };
        let session = Session::new(self.who.clone(), credentials, tls);
        let queue = OutboundQueue::default();
        let dialled = (connection.clone(), hub.certificate_name.as_str());
        let halves = (
            Reader::new((&shared, &settings), session, dialled, &queue, &figures),
            Writer::new((&shared, &settings), &self.who.name, &queue, &figures),
        );
        let driven = (connection, entry);
        let reason: Ended = drive(&self.shutdown, driven, &queue, halves, settings.writer()).await;
        reason.as_str()
    }

    /// Reports what was lost with a connection. Returns how long to wait before the next attempt.
    fn ended(&mut self, hub: &ServerAddress, reason: &'static str) -> Duration {
        let figures = &self.shared.figures;
        let terms = figures.terms();
        let had_joined = terms.is_some();
        let end = lock(&self.shared.end).take();
        let end = end.unwrap_or_else(|| End::of(reason));
        let reason = end.reason;
        let (unconfirmed, dropped) = figures.ended(reason);
        if let Some(terms) = terms {
            let settings = self.settings.get();
            let inwards = Passage::inwards(&settings);
            // Subscribers to numbered messages are told what is missing when the next one comes.
            let is_numbered = |pattern: &Pattern, group: Option<&str>| {
                group.is_none() && settings.numbered.iter().any(|all| covers(all, pattern))
            };
            self.shared.broker.interrupt(|pattern, group| {
                terms.may_ask_for(pattern)
                    && !inwards.stops_all_of(pattern)
                    && !is_numbered(pattern, group)
            });
            lock(&self.shared.book).note_break();
        }
        self.failures = if had_joined { 0 } else { self.failures.saturating_add(1) };
        self.tell(hub, &end, had_joined.then_some((unconfirmed, dropped)));
        if unconfirmed > 0 {
            let _ = self.front_end.lost("unconfirmed", &hub.to_string(), reason, unconfirmed);
        }
        if dropped > 0 {
            let _ = self.front_end.lost("not sent", &hub.to_string(), reason, dropped);
        }
        end.delay.unwrap_or_else(|| back_off(self.failures, random()))
    }

    /// Logs why there is no link, and what to do. Failed attempts log each reason once. `lost`: how
    /// many messages a link that was up had sent without confirmation, and had not sent.
    fn tell(&mut self, hub: &ServerAddress, end: &End, lost: Option<(u64, u64)>) {
        if lost.is_some() {
            self.told.clear();
        } else if self.told.contains(&end.reason) {
            return;
        } else {
            self.told.push(end.reason);
        }
        let mut text = end.reason.to_owned();
        if !end.words.is_empty() {
            text += &format!(" ({})", end.words);
        }
        let remedy = remedy(end.reason, lost.is_some());
        if !remedy.is_empty() {
            text += &format!(": {remedy}");
        }
        if let Some((unconfirmed, dropped)) = lost {
            let unconfirmed = counted(unconfirmed, "message");
            text += &format!("; {unconfirmed} sent and not confirmed, {dropped} not sent");
        }
        log::warn!("{}: no link to {hub}: {text}", self.who.title);
    }
}

/// The pause before the next attempt. It grows with every failure. Half of it is random, so servers
/// that lost their hub together do not return together.
fn back_off(failures: u32, random: u64) -> Duration {
    let (first_ms, most_ms) = CLUSTER_BACK_OFF_MS;
    let whole_ms = first_ms.saturating_mul(1 << failures.min(16)).min(most_ms);
    Duration::from_millis(whole_ms / 2 + random % (whole_ms / 2 + 1))
}

/// A random number: std keys its hash maps with one.
fn random() -> u64 {
    RandomState::new().hash_one(0)
}

async fn dial(
    hub: &ServerAddress,
    allowance: &Arc<ReadAllowance>,
) -> io::Result<(Connection, SocketAddr)> {
    let place = (hub.host.clone(), hub.port);
    let addresses = blocking::unblock(move || place.to_socket_addrs()).await?;
    let mut last = io::ErrorKind::NotFound.into();
    for address in addresses {
        match Async::<TcpStream>::connect(address).await {
            Ok(socket) => {
                let unacknowledged = Duration::from_millis(CLUSTER_DIAL_MS);
                let connection = Connection::new(socket, unacknowledged, allowance.clone())?;
                return Ok((connection, address));
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The host's name, without the characters that a NATS name cannot have.
fn host() -> String {
    let name = rustix::system::uname();
    let name = name.nodename().to_string_lossy().into_owned();
    name.chars().filter(|letter| letter.is_ascii_alphanumeric() || *letter == '-').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_come_later_and_later_and_never_all_at_once() {
        let ms = |failures, random| back_off(failures, random).as_millis() as u64;
        let (first_ms, most_ms) = CLUSTER_BACK_OFF_MS;
        assert_eq!((ms(0, 0), ms(0, first_ms / 2)), (first_ms / 2, first_ms));
        assert!(ms(3, 0) > ms(1, 0) && ms(3, 7) != ms(3, 8));
        assert!((0..100).all(|failures| ms(failures, u64::MAX) <= most_ms));
    }
}

//! The NATS server: accepts connections, and runs the two halves of each side by side.
//!
//! One half reads, publishes and subscribes (`Talker`), the other writes (`Feed`). So a publish
//! that waits for somebody's full queue, even for its own, never keeps its publisher from being
//! written to.

use super::admission::Admission;
use super::connections::Connections;
use super::feed::Feed;
use super::info::ServerInfo;
use super::link::{Asked, Link, Place, What};
use super::settings::{NatsSettings, TlsSettings};
use super::talker::{ReadEnd, Talker};
use crate::codec::nats::append_error;
use crate::connection::Listener;
use crate::connection::acceptor::{AcceptedConnection, Acceptor};
use crate::connection::ending::{EndCount, Ending, StopReport};
use crate::diagnostics::{ConnectionFigures, Ended, FrontEnd, Serves};
use crate::message::ServerMessage;
use crate::tasks::{self, Scope, Tasks};
use crate::transport::{self, Connection, Outcome};
use async_io::Timer;
use fanfare::Broker;
use futures_lite::future;
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A running NATS server. Dropping it ends all of its connections at once.
pub struct NatsServer {
    shared: Arc<Shared>,
    local_address: SocketAddr,
    /// Owns the accepting task. Apart from the connections, so that it can end first.
    accepting: Scope,
    tasks: Arc<Scope>,
}

/// What all connections share.
pub(super) struct Shared {
    pub broker: Broker<ServerMessage>,
    pub settings: Arc<NatsSettings>,
    pub admission: Admission,
    info: ServerInfo,
    pub front_end: Arc<FrontEnd>,
    connections: Arc<Connections>,
    ending: Arc<Ending>,
}

impl NatsServer {
    /// Serves what `listener` accepts. All tasks are started through `tasks`.
    pub fn start(
        listener: Listener,
        broker: &Broker<ServerMessage>,
        tasks: &Tasks,
        settings: NatsSettings,
        front_end: Arc<FrontEnd>,
    ) -> Self {
        let local_address = listener.local_address();
        front_end.listening(Serves {
            address: local_address,
            max_connections: settings.connections.total,
            max_payload_bytes: settings.parser.payload_bytes,
        });
        let shared = Arc::new(Shared {
            broker: broker.clone(),
            info: ServerInfo::new(&settings, local_address, front_end.server_id()),
            admission: Admission::new(&settings.authentication, settings.authentication_timeout),
            settings: Arc::new(settings),
            front_end,
            connections: Arc::default(),
            ending: Arc::default(),
        });
        let accepting = tasks.scope("nats server");
        let tasks = Arc::new(tasks.scope("nats connections"));
        accepting.spawn("nats accept", accept(listener, shared.clone(), tasks.clone()));
        Self { shared, local_address, accepting, tasks }
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.tasks.alive()
    }

    /// Accepts nobody any more, tells all clients that it is going to end, gives them time to go
    /// elsewhere, and closes the connections one by one. What was queued for each is sent before.
    pub async fn lame_duck(&self) {
        self.accepting.cancel();
        self.accepting.ended().await;
        let connections = self.shared.connections.list();
        for (id, address, link) in &connections {
            link.append(Place::default(), |out| self.shared.info.append(out, *id, *address, true));
        }
        // why: once in the life of a server.
        let mut timer = Timer::after(self.shared.settings.lame_duck_grace);
        (&mut timer).await;
        let each = self.shared.settings.lame_duck_duration
            / u32::try_from(connections.len().max(1)).unwrap_or(u32::MAX);
        for (_, _, link) in &connections {
            link.ask(Asked::Close);
            timer.set_after(each);
            (&mut timer).await;
        }
    }

    /// Stops accepting and reading. Close or drain the broker next: each connection ends when it
    /// has been sent what was queued for it.
    pub fn begin_stop(&self) {
        self.accepting.cancel();
        self.shared.ending.begin();
        for (_, _, link) in self.shared.connections.list() {
            link.ask(Asked::Stop);
        }
    }

    /// Waits until every connection has ended, and cuts those that have not at the deadline.
    pub async fn ended(self, deadline: Instant) -> StopReport {
        self.begin_stop();
        self.shared.ending.finish(&self.accepting, &self.tasks, deadline).await
    }
}

async fn accept(listener: Listener, shared: Arc<Shared>, tasks: Arc<Scope>) {
    let acceptor = Acceptor {
        listener,
        front_end: shared.front_end.clone(),
        unacknowledged: unacknowledged(&shared.settings),
    };
    let notice = |peer: SocketAddr, _: &str| {
        let mut notice = Vec::new();
        shared.info.append(&mut notice, 0, peer.ip(), false);
        append_error(&mut notice, "maximum connections exceeded");
        notice
    };
    let serve = |arrival| {
        tasks.spawn("nats connection", serve(shared.clone(), arrival));
    };
    acceptor.take_all(notice, serve).await;
}

/// After so long without a word from a client's machine the kernel ends the connection.
fn unacknowledged(settings: &NatsSettings) -> Duration {
    settings.ping_interval.saturating_mul(settings.ping_max + 1).max(Duration::from_secs(1))
}

enum FirstEnd {
    Reading(io::Result<ReadEnd>),
    Writing(Outcome),
}

/// Says `INFO`, at once if TLS has to follow, and otherwise before the first answer.
async fn greet(
    shared: &Shared,
    connection: &Connection,
    peer: SocketAddr,
    link: &Link,
    figures: &ConnectionFigures,
) -> io::Result<()> {
    let mut info = Vec::new();
    shared.info.append(&mut info, figures.id(), peer.ip(), false);
    match &shared.settings.tls {
        None => {
            link.append(Place::default(), |out| out.append(&mut info));
            Ok(())
        }
        // Who does not understand TLS would not understand words either, so none are said when it
        // fails.
        Some(tls) => shake_hands(connection, &info, tls, link, &shared.settings).await,
    }
}

/// Says `INFO`, and then makes the connection a TLS one, if it has to be or the client wants that.
async fn shake_hands(
    connection: &Connection,
    info: &[u8],
    tls: &TlsSettings,
    link: &Link,
    settings: &NatsSettings,
) -> io::Result<()> {
    let shaking = async {
        let mut written_bytes = 0;
        while written_bytes < info.len() {
            written_bytes +=
                poll_fn(|context| connection.poll_write(context, &info[written_bytes..])).await?;
        }
        if tls.is_required || connection.begins_with_tls().await? {
            connection.upgrade(&tls.identity).await
        } else {
            Ok(())
        }
    };
    let stopped = async {
        link.asked().await;
        Err(io::ErrorKind::Interrupted.into())
    };
    let out_of_time = async {
        // why: once in the life of a connection, before its writer's timer is there.
        Timer::after(settings.authentication_timeout).await;
        Err(io::ErrorKind::TimedOut.into())
    };
    future::or(shaking, future::or(stopped, out_of_time)).await
}

/// Why a connection ended, of both halves: a client that did not take the last word is stuck,
/// whatever it did before.
fn ended(reading: Option<&io::Result<ReadEnd>>, writing: &Outcome, feed: Option<Ended>) -> Ended {
    match (writing, reading) {
        (Outcome::Stuck, _) => Ended::Stuck,
        (Outcome::Quiet { .. }, _) => Ended::Quiet,
        (_, Some(Ok(ReadEnd::PeerClosed))) => Ended::PeerClosed,
        (Outcome::Broken(_), _) | (_, Some(Err(_))) => Ended::Broken,
        (Outcome::Finished, Some(Ok(ReadEnd::Mistake(mistake)))) => Ended::Because(mistake),
        (Outcome::Finished, Some(Ok(ReadEnd::Asked(_)))) => Ended::ServerStopped,
        (Outcome::Finished, None) => feed.unwrap_or(Ended::ServerStopped),
    }
}

/// One connection, from `INFO` to the close.
#[expect(
    clippy::manual_async_fn,
    reason = "an async fn keeps its arguments twice, in every connection"
)]
fn serve(
    shared: Arc<Shared>,
    AcceptedConnection { connection, peer, mut entry, permit }: AcceptedConnection,
) -> impl Future<Output = ()> {
    async move {
        let count = EndCount::new(&shared.ending, &connection);
        let figures = entry.figures().clone();
        let place = shared.connections.enter(figures.id(), peer.ip());
        let link = &*place.link;
        if shared.ending.is_stopping() {
            link.ask(Asked::Stop);
        }
        // In a box, so that the connection has no room for it all its life.
        if let Err(error) = Box::pin(greet(&shared, &connection, peer, link, &figures)).await {
            log::debug!(task:% = tasks::label(); "nats: no TLS with {peer}: {error}");
            return entry.ended(Ended::Because("TLS handshake failed"));
        }
        let mut feed = Feed::new(link, &figures, &shared.broker, shared.settings.first_times());
        let mut talker = Talker::new(&shared, link, &figures);
        let mut writing =
            Box::pin(transport::write_all_from(&mut feed, &connection, shared.settings.writer()));

        let first = {
            let reading = async { FirstEnd::Reading(talker.talk(&connection).await) };
            future::or(reading, async { FirstEnd::Writing((&mut writing).await) }).await
        };
        let (outcome, read_end) = match first {
            FirstEnd::Reading(end) => {
                match end {
                    Ok(ReadEnd::Asked(Asked::Stop)) => link.end_after_messages(),
                    Ok(_) => link.put(What::Close, talker.after_all()),
                    Err(_) => link.put(What::Close, Place::default()),
                }
                ((&mut writing).await, Some(end))
            }
            // Also when it has said all there is to say to a client that is slow, or did not say
            // who it is.
            FirstEnd::Writing(outcome) => (outcome, None),
        };
        drop(writing);
        let reason = ended(read_end.as_ref(), &outcome, feed.reason());
        log::debug!(task:% = tasks::label(); "nats: client {} at {peer} ended: {reason}", figures.id());
        entry.ended(reason);
        // Nothing is kept for somebody who has left: neither queues nor subscriptions.
        drop(feed);
        drop(talker);
        count.close(&outcome, !matches!(read_end, Some(Err(_) | Ok(ReadEnd::PeerClosed)))).await;
        drop((place, entry, permit));
    }
}

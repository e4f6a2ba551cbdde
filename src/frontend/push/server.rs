//! The loops of the gateway: clients' connections, and datagrams.
//!
//! A connection is one task with two halves, polled side by side: one reads what the client says, the other writes what it is
//! pushed.

use super::access::Access;
pub use super::datagrams::DatagramSocket;
use super::datagrams::{Datagrams, is_local};
use super::feed::{Change, Feed, Link};
use super::gateway::{Gateway, topic_of};
use super::http::PushHttp;
use super::session::{Action, Session};
use super::settings::PushSettings;
use crate::broker::{Broker, Topic};
use crate::codec::datagram::{Replays, Target};
use crate::codec::lines::{LineDecoder, LineError};
use crate::codec::push::{ServerObject, append_object, parse_object};
use crate::diagnostics::{ConnectionEntry, ConnectionFigures, Ended, FrontEnd, Serves};
use crate::frontend::ending::{EndCount, Ending, FirstEnd, ReadEnd, StopReport, ended};
use crate::frontend::message::ServerMessage;
use crate::frontend::outbox::WritingEnd;
use crate::limits::{PUSH_DATAGRAM_BYTES, PUSH_MISTAKES};
use crate::tasks::{Scope, Tasks};
use crate::transport::{self, Accepted, Connection, Listener, Outcome, Permit, Reader};
use futures_lite::future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A running gateway. Dropping it ends all of its connections at once.
pub struct PushServer {
    shared: Arc<Shared>,
    address: Option<SocketAddr>,
    datagram_address: Option<SocketAddr>,
    /// Owns what takes connections and datagrams. Apart from the connections, so that it can end first.
    accepting: Scope,
    /// Owns the pushes that wait for somebody.
    waiting: Arc<Scope>,
    connections: Arc<Scope>,
}

struct Shared {
    gateway: Arc<Gateway>,
    access: Arc<Access>,
    ending: Arc<Ending>,
}

impl PushServer {
    /// Serves what `listener` accepts and `datagrams` brings, if there are such. All tasks are started through `tasks`;
    /// `front_end` is told of every connection.
    pub fn start(
        listener: Option<Listener>,
        datagrams: Option<DatagramSocket>,
        broker: &Broker<ServerMessage>,
        tasks: &Tasks,
        (settings, access): (PushSettings, Arc<Access>),
        front_end: Arc<FrontEnd>,
    ) -> PushServer {
        let gateway = Arc::new(Gateway::new(broker, tasks, settings, front_end));
        let shared = Arc::new(Shared { gateway: gateway.clone(), access: access.clone(), ending: Arc::default() });
        let accepting = tasks.scope("push server");
        let waiting = Arc::new(tasks.scope("push"));
        let connections = Arc::new(tasks.scope("push connections"));
        let datagram_address = datagrams.as_ref().map(DatagramSocket::local_address);
        if let Some(socket) = datagrams {
            let replays = Replays::new(settings.signature_age_s);
            let reading = Datagrams { socket, gateway: gateway.clone(), access, replays, waiting: waiting.clone() };
            accepting.spawn("push datagrams", reading.read_all());
        }
        let address = listener.as_ref().map(Listener::local_address);
        if let Some(listener) = listener {
            gateway.front_end.listening(Serves {
                address: listener.local_address(),
                max_connections: settings.gate.connections,
                max_payload_bytes: PUSH_DATAGRAM_BYTES,
            });
            accepting.spawn("push accept", accept(listener, shared.clone(), connections.clone()));
        }
        PushServer { shared, address, datagram_address, accepting, waiting, connections }
    }

    /// Where clients connect.
    pub fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Where datagrams go.
    pub fn datagram_address(&self) -> Option<SocketAddr> {
        self.datagram_address
    }

    /// What takes the pushes.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.shared.gateway
    }

    /// What answers HTTP requests for pushes, and streams of events. `origins` are those of the pages that may ask.
    pub fn http(&self, origins: Vec<String>) -> PushHttp {
        PushHttp::new(&self.shared.gateway, &self.shared.access, origins)
    }

    /// Live connections.
    pub fn connections(&self) -> usize {
        self.connections.alive()
    }

    /// Takes nothing more, and says goodbye. Close or drain the broker next: each connection ends when it has been sent
    /// what was queued for it.
    pub fn begin_stop(&self) {
        self.accepting.cancel();
        self.shared.ending.begin();
        // From here on no client is read from, so nothing is acknowledged.
        self.shared.gateway.stop_waiting();
    }

    /// Waits until every connection has ended, and cuts those that have not at the deadline.
    pub async fn ended(self, deadline: Instant) -> StopReport {
        self.begin_stop();
        self.waiting.ended_by(deadline).await;
        self.shared.ending.finish(&self.accepting, &self.connections, deadline).await
    }
}

async fn accept(mut listener: Listener, shared: Arc<Shared>, connections: Arc<Scope>) {
    let front_end = shared.gateway.front_end.clone();
    let idle = shared.gateway.settings.writer.idle;
    let unacknowledged = idle.interval.saturating_mul(idle.misses).max(Duration::from_secs(1));
    loop {
        match listener.accept().await {
            Accepted::Refused(stream, peer, refusal) => {
                let refusal = refusal.to_string();
                front_end.refused(peer, &refusal);
                let mut bye = Vec::new();
                append_object(&mut bye, &ServerObject::Bye(refusal.into()));
                transport::refuse(&stream, &bye);
            }
            Accepted::Connection(stream, peer, permit) => match Connection::new(stream, unacknowledged) {
                Ok(connection) => {
                    let entry = front_end.connected(peer, connection.traffic());
                    connections.spawn("push connection", serve(shared.clone(), connection, peer, permit, entry));
                }
                Err(error) => log::debug!("push: {peer} was gone at once: {error}"),
            },
        }
    }
}

/// One connection, to the close.
async fn serve(
    shared: Arc<Shared>,
    connection: Connection,
    peer: SocketAddr,
    permit: Permit,
    mut entry: ConnectionEntry,
) {
    let link = Arc::new(Link::default());
    let mut feed = match Feed::new(&shared.gateway, &link, entry.figures()) {
        Ok(feed) => feed,
        Err(error) => {
            let mut bye = Vec::new();
            append_object(&mut bye, &ServerObject::Bye(error.to_string().into()));
            return transport::refuse(connection.socket(), &bye);
        }
    };
    let count = EndCount::new(&shared.ending, &connection);
    let mut listener = ClientReader::new(&shared, &link, peer, entry.figures());
    let mut writing = Box::pin(transport::write_all_from(&mut feed, &connection, shared.gateway.settings.writer));
    let first = {
        let reading = async { FirstEnd::Reading(listener.read_all(&connection).await) };
        future::or(reading, async { FirstEnd::Writing((&mut writing).await) }).await
    };
    let (outcome, reason, lingers) = match first {
        FirstEnd::Reading(end) => {
            let stops = matches!(end, Ok(ReadEnd::ServerStops));
            link.outbox.end(if stops { WritingEnd::AfterMessages } else { WritingEnd::AfterReplies });
            let outcome = (&mut writing).await;
            let reason = ended(Some(&end), &outcome);
            (outcome, reason, !matches!(end, Err(_) | Ok(ReadEnd::PeerClosed)))
        }
        FirstEnd::Writing(outcome) => {
            let reason = match outcome {
                // The feed sent it away, while it may still be sending.
                Outcome::Finished => Ended::Because("sent away"),
                _ => ended(None, &outcome),
            };
            (outcome, reason, true)
        }
    };
    // Nothing is kept for somebody who has left.
    drop(writing);
    drop(feed);
    entry.ended(reason);
    count.close(&outcome, lingers).await;
    drop(permit);
}

/// The reading half: what a client says.
struct ClientReader<'s> {
    shared: &'s Shared,
    link: &'s Link,
    figures: &'s ConnectionFigures,
    session: Session,
    actions: Vec<Action>,
    mistakes: usize,
}

impl<'s> ClientReader<'s> {
    fn new(shared: &'s Shared, link: &'s Link, peer: SocketAddr, figures: &'s ConnectionFigures) -> ClientReader<'s> {
        let session = Session::new(shared.access.clone(), is_local(peer), shared.gateway.settings.groups);
        ClientReader { shared, link, figures, session, actions: Vec::new(), mistakes: 0 }
    }

    /// Reads until somebody wants to end it.
    async fn read_all(&mut self, connection: &Connection) -> io::Result<ReadEnd> {
        let mut reader = Reader::new(connection.clone());
        let mut decoder = LineDecoder::new(self.shared.gateway.settings.line_bytes);
        let (ending, link) = (&self.shared.ending, self.link);
        loop {
            let read = async {
                link.outbox.has_room().await;
                reader.read().await.map(Some)
            };
            let stop = async {
                ending.begun().await;
                Ok(None)
            };
            let Some(mut bytes) = future::or(stop, read).await? else {
                link.say(&ServerObject::Bye("the server is ending".into()));
                return Ok(ReadEnd::ServerStops);
            };
            if bytes.is_empty() {
                return Ok(ReadEnd::PeerClosed);
            }
            while let Some(line) = decoder.decode(&mut bytes) {
                self.take_line(line);
                if self.mistakes > PUSH_MISTAKES {
                    link.say(&ServerObject::Bye("too many mistakes".into()));
                    return Ok(ReadEnd::Quit);
                }
                // One read can hold thousands of small objects with answers.
                future::or(link.outbox.has_room(), ending.begun()).await;
            }
        }
    }

    fn take_line(&mut self, line: Result<&str, LineError>) {
        self.figures.received(1);
        let object = line.map_err(|error| error.to_string());
        match object.and_then(|line| parse_object(line).map_err(|error| error.to_string())) {
            Ok(object) => self.session.handle(object, &mut self.actions),
            Err(problem) => {
                self.actions.push(Action::Reply(ServerObject::Error { code: "object", text: problem.into() }));
            }
        }
        let mut actions = std::mem::take(&mut self.actions);
        actions.drain(..).for_each(|action| self.act(action));
        self.actions = actions;
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Reply(object) => {
                self.mistakes += usize::from(matches!(object, ServerObject::Error { .. }));
                self.link.say(&object);
            }
            Action::Begin { user, groups, seen } => {
                self.figures.set_user(&user);
                self.link.outbox.change(Change::Begin(topics_of(&user, &groups), seen));
            }
            Action::Join(group) => self.change(&group, Change::Join),
            Action::Leave(group) => self.change(&group, Change::Leave),
            Action::Acknowledge(id) => match self.link.acknowledge(&id) {
                Some(number) => self.shared.gateway.acknowledge(number),
                None => self.act(Action::Reply(ServerObject::Error {
                    code: "ack",
                    text: "no push of that id waits to be acknowledged here".into(),
                })),
            },
        }
    }

    fn change(&self, group: &str, change: impl FnOnce(Topic) -> Change) {
        if let Some(topic) = topic(Target::Group(group)) {
            self.link.outbox.change(change(topic));
        }
    }
}

/// The topics of a user in some groups, whose names the session has checked.
pub(super) fn topics_of(user: &str, groups: &[String]) -> Vec<Topic> {
    let targets = [Target::User(user), Target::All].into_iter();
    targets.chain(groups.iter().map(|group| Target::Group(group))).filter_map(topic).collect()
}

fn topic(target: Target<'_>) -> Option<Topic> {
    topic_of(target).ok()
}

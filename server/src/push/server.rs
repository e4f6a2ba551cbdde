//! A running gateway: what takes connections and datagrams, and how it ends.

use super::access::Access;
use super::client::{Client, Shared, serve};
pub use super::datagrams::DatagramSocket;
use super::datagrams::Datagrams;
use super::gateway::Gateway;
use super::http::PushHttp;
use super::render::Framing;
use super::settings::PushSettings;
use crate::codec::datagram::Replays;
use crate::codec::push::{ServerObject, append_object};
use crate::connection::Listener;
use crate::connection::acceptor::{AcceptedConnection, Acceptor};
use crate::connection::ending::StopReport;
use crate::diagnostics::{FrontEnd, Serves};
use crate::limits::PUSH_DATAGRAM_BYTES;
use crate::message::ServerMessage;
use crate::tasks::{Scope, Tasks};
use bytes::Bytes;
use fanfare::Broker;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

/// A running gateway. Dropping it ends all of its connections at once.
pub struct PushServer {
    shared: Arc<Shared>,
    address: Option<SocketAddr>,
    datagram_address: Option<SocketAddr>,
    /// Owns what takes connections and datagrams. Apart from the connections, so that it can end
    /// first.
    accepting: Scope,
    /// Owns the pushes that wait for somebody.
    waiting: Arc<Scope>,
    connections: Arc<Scope>,
}

impl PushServer {
    /// Serves what `listener` accepts and `datagrams` brings, if there are such. All tasks are
    /// started through `tasks`; `front_end` is told of every connection.
    pub fn start(
        listener: Option<Listener>,
        datagrams: Option<DatagramSocket>,
        broker: &Broker<ServerMessage>,
        tasks: &Tasks,
        (settings, access): (PushSettings, Arc<Access>),
        front_end: Arc<FrontEnd>,
    ) -> Self {
        let gateway = Arc::new(Gateway::new(broker, tasks, settings, front_end));
        let shared = Arc::new(Shared {
            gateway: gateway.clone(),
            access: access.clone(),
            ending: Arc::default(),
        });
        let accepting = tasks.scope("push server");
        let waiting = Arc::new(tasks.scope("push"));
        let connections = Arc::new(tasks.scope("push connections"));
        let datagram_address = datagrams.as_ref().map(DatagramSocket::local_address);
        if let Some(socket) = datagrams {
            let replays = Replays::new(settings.signature_age_s, Instant::now());
            let reading = Datagrams {
                socket,
                gateway: gateway.clone(),
                access,
                replays,
                waiting: waiting.clone(),
            };
            accepting.spawn("push datagrams", reading.read_all());
        }
        let address = listener.as_ref().map(Listener::local_address);
        if let Some(listener) = listener {
            gateway.front_end.listening(Serves {
                address: listener.local_address(),
                max_connections: settings.connections.total,
                max_payload_bytes: PUSH_DATAGRAM_BYTES,
            });
            accepting.spawn("push accept", accept(listener, shared.clone(), connections.clone()));
        }
        Self { shared, address, datagram_address, accepting, waiting, connections }
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

    /// What answers HTTP requests for pushes, streams of events, and WebSockets. `origins` are
    /// those of the pages that may ask. Its connections are those of the HTTP server that it is
    /// given to, and end with that.
    pub fn http(&self, origins: Vec<String>) -> PushHttp {
        PushHttp::new(&self.shared.gateway, &self.shared.access, origins)
    }

    /// Live connections.
    pub fn connections(&self) -> usize {
        self.connections.alive()
    }

    /// Takes nothing more, and says goodbye. Close or drain the broker next: each connection ends
    /// when it has been sent what was queued for it.
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

async fn accept(listener: Listener, shared: Arc<Shared>, connections: Arc<Scope>) {
    let acceptor = Acceptor {
        listener,
        front_end: shared.gateway.front_end.clone(),
        unacknowledged: shared.gateway.settings.unacknowledged(),
    };
    let notice = |_, refusal: &str| {
        let mut bye = Vec::new();
        append_object(&mut bye, &ServerObject::Bye(refusal.into()));
        bye
    };
    let serve = |arrival| {
        let AcceptedConnection { connection, peer, entry, permit } = arrival;
        let client =
            Client { connection, peer, framing: Framing::Lines, early: Bytes::new(), entry };
        let shared = shared.clone();
        connections.spawn("push connection", async move {
            serve(&shared, client).await;
            drop(permit);
        });
    };
    acceptor.take_all(notice, serve).await;
}

//! A running gateway: what takes connections and datagrams, and how it ends.

use super::access::Access;
pub use super::datagrams::DatagramSocket;
use super::datagrams::{Datagrams, is_local, now};
use super::gateway::Gateway;
use super::reader::Reader;
use super::render::Framing;
use super::session::Session;
use super::settings::PushSettings;
use super::stored::LeftPushes;
use super::writer::{ClientWriter, Link};
use crate::codec::datagram::Replays;
use crate::codec::push::{ServerObject, append_object};
use crate::codec::web_socket::{CloseCode, CloseFrame};
use crate::connection::duplex::drive;
use crate::connection::protocol::{AcceptedConnection, Profile, Protocol, task_names};
use crate::connection::shutdown::Shutdown;
use crate::connection::{Ending, LameDuck, Listener, RunningServer, Server, StopReport};
use crate::diagnostics::{ConnectionEntry, Ended, FrontEnd};
use crate::limits::PUSH_DATAGRAM_BYTES;
use crate::live::Live;
use crate::locks::lock;
use crate::message::ServerMessage;
use crate::store::Store;
use crate::tasks::{Scope, Tasks};
use crate::transport::Connection;
use bytes::Bytes;
use fanfare::Broker;
use futures_lite::future::Boxed;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Instant;

/// A running gateway. Dropping it ends all of its connections at once.
pub struct PushServer {
    push: Push,
    clients: Option<Server<Push>>,
    datagram_address: Option<SocketAddr>,
    /// Owns what reads datagrams.
    datagrams: Scope,
    replays: Arc<Mutex<Replays>>,
    /// Owns the pushes that have to wait.
    waiting: Arc<Scope>,
}

/// The state that all connections share.
#[derive(Clone)]
pub(super) struct Push {
    pub gateway: Arc<Gateway>,
    pub access: Live<Access>,
}

/// A client that has connected.
pub(super) struct Client {
    pub connection: Connection,
    pub entry: ConnectionEntry,
    pub peer: SocketAddr,
    pub framing: Framing,
    /// Bytes that it sent before its connection was handed over.
    pub early: Bytes,
}

impl PushServer {
    /// Serves what `listener` accepts and `datagrams` brings, if they are there. All tasks are
    /// started through `tasks`; `front_end` is told of every connection. `left` is the database, if
    /// there is one, and what earlier servers left there.
    pub fn start(
        listener: Option<Listener>,
        datagrams: Option<DatagramSocket>,
        broker: &Broker<ServerMessage>,
        tasks: &Tasks,
        (settings, access): (PushSettings, Arc<Access>),
        front_end: Arc<FrontEnd>,
        left: Option<(Store, LeftPushes)>,
    ) -> Self {
        let (gateway, remembered) = Gateway::new(broker, tasks, settings, front_end, left);
        let replays = Replays::resume(settings.signature_age_s, Instant::now(), remembered);
        let replays = Arc::new(Mutex::new(replays));
        let push = Push { gateway: Arc::new(gateway), access: Live::new(access) };
        let waiting = Arc::new(tasks.scope("push"));
        let reading = tasks.scope("push datagrams");
        let datagram_address = datagrams.as_ref().map(DatagramSocket::local_address);
        if let Some(socket) = datagrams {
            let datagrams = Datagrams {
                socket,
                gateway: push.gateway.clone(),
                access: push.access.clone(),
                replays: replays.clone(),
                taken: Vec::new(),
                waiting: waiting.clone(),
            };
            reading.spawn("push datagrams", datagrams.read_all());
        }
        let clients = listener.map(|listener| {
            let profile = Profile {
                tasks: task_names!("push"),
                front_end: push.gateway.front_end.clone(),
                max_payload_bytes: PUSH_DATAGRAM_BYTES,
                peer_timeout: settings.writer.idle.patience(),
                takes_proxy_header: true,
            };
            Server::run(listener, tasks, profile, push.clone())
        });
        Self { push, clients, datagram_address, datagrams: reading, replays, waiting }
    }

    /// The address for clients.
    pub fn address(&self) -> Option<SocketAddr> {
        self.clients.as_ref().map(Server::local_address)
    }

    /// The address for datagrams.
    pub fn datagram_address(&self) -> Option<SocketAddr> {
        self.datagram_address
    }

    /// The gateway that takes pushes.
    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.push.gateway
    }

    /// The rights to receive pushes and to push. New ones hold for clients that connect later.
    pub fn access(&self) -> Live<Access> {
        self.push.access.clone()
    }

    /// The number of live connections.
    pub fn connections(&self) -> usize {
        self.clients.as_ref().map_or(0, Server::connections)
    }

    /// Stops accepting connections and pushes, and says goodbye. Close or drain the broker next: a
    /// connection ends once everything queued for it has been sent.
    pub fn begin_stop(&self) {
        self.datagrams.cancel();
        self.clients.iter().for_each(Server::begin_stop);
        // From here on no client is read from, so nothing is acknowledged.
        self.push.gateway.stop_waiting();
    }

    /// Waits until every connection has ended, and cuts those that have not at the deadline.
    pub async fn ended(self, deadline: Instant) -> StopReport {
        self.begin_stop();
        self.waiting.ended_by(deadline).await;
        self.datagrams.ended_by(deadline).await;
        if let Some(stored) = &self.push.gateway.stored {
            stored.end(lock(&self.replays).complete_from_s(now()));
        }
        log::debug!("pushes: {:?}", self.push.gateway.figures());
        match self.clients {
            Some(clients) => clients.ended(deadline).await,
            None => StopReport::default(),
        }
    }
}

impl RunningServer for PushServer {
    fn listening(&self) -> Vec<(&'static str, SocketAddr)> {
        let addresses = [("push", self.address()), ("push-udp", self.datagram_address)];
        addresses.into_iter().filter_map(|(name, address)| Some((name, address?))).collect()
    }

    fn lame_duck(&self, times: LameDuck) -> Ending<'_> {
        match &self.clients {
            Some(clients) => Box::pin(clients.lame_duck(times)),
            None => Box::pin(ready(())),
        }
    }

    fn begin_stop(&self) {
        Self::begin_stop(self);
    }

    fn ended(self: Box<Self>, deadline: Instant) -> Boxed<StopReport> {
        Box::pin(Self::ended(*self, deadline))
    }
}

impl Protocol for Push {
    fn refusal(&self, _peer: SocketAddr, reason: &str) -> Vec<u8> {
        let mut bye = Vec::new();
        append_object(&mut bye, &ServerObject::Bye(reason.into()));
        bye
    }

    async fn serve(self: Arc<Self>, accepted: AcceptedConnection) {
        let AcceptedConnection { connection, peer, entry, shutdown, permit } = accepted;
        let framing = Framing::Lines;
        let client = Client { connection, entry, peer, framing, early: Bytes::new() };
        self.drive(&shutdown, client).await;
        drop(permit);
    }
}

impl Push {
    /// Serves a client to the close, whatever its framing. Gives the reason of its end.
    pub async fn drive(&self, shutdown: &Arc<Shutdown>, client: Client) -> Ended {
        let Client { connection, entry, peer, framing, early } = client;
        let (link, figures) = (Arc::new(Link::new(framing)), entry.figures().clone());
        let writer = match ClientWriter::new(&self.gateway, &link, &figures) {
            Ok(writer) => writer,
            Err(error) => {
                let mut bye = Vec::new();
                let frame = CloseFrame { code: CloseCode::Again, reason: error.to_string().into() };
                framing.append_object(&mut bye, &ServerObject::Bye(frame.reason.as_str().into()));
                framing.append_close(&mut bye, Some(&frame));
                connection.refuse(&bye);
                return Ended::Cut;
            }
        };
        let settings = &self.gateway.settings;
        let session = Session::new(self.access.get(), is_local(peer), settings.groups);
        let reader = Reader::new(&self.gateway, &link, &figures, (session, early));
        let driven = (connection, entry);
        drive(shutdown, driven, &link.queue, (reader, writer), settings.writer).await
    }
}

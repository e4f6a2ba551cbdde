//! The NATS server: how it starts, greets a client, and serves a connection.

use super::accounts::Accounts;
use super::admission::Admission;
use super::authentication::Authentication;
use super::events::Events;
use super::info::{Occasion, Recipient, ServerInfo};
use super::reader::Reader;
use super::settings::{HandshakeFirst, NatsSettings, TlsSettings};
use super::shared::Nats;
use super::writer::{Change, Outbound, Writer};
use crate::codec::nats::append_error;
use crate::connection::duplex::drive;
use crate::connection::entrance::in_time;
use crate::connection::outbound::{OutboundQueue, Position, Request};
use crate::connection::protocol::{AcceptedConnection, Profile, Protocol, task_names};
use crate::connection::shutdown::Shutdown;
use crate::connection::{Listener, Server};
use crate::diagnostics::{ConnectionEntry, Ended, FrontEnd};
use crate::http::{Documents, Upgraded};
use crate::live::Live;
use crate::tasks::{self, Tasks, timeout};
use crate::transport::Connection;
use futures_lite::future;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A running NATS server.
pub type NatsServer = Server<Nats>;

impl Server<Nats> {
    /// Serves what `listener` accepts. All tasks are started through `tasks`; `front_end` is told
    /// of every connection.
    pub fn start(
        listener: Listener,
        accounts: &Accounts,
        tasks: &Tasks,
        settings: NatsSettings,
        front_end: Arc<FrontEnd>,
    ) -> Self {
        let profile = Profile {
            tasks: task_names!("nats"),
            front_end: front_end.clone(),
            max_payload_bytes: settings.parser.payload_bytes,
            peer_timeout: settings.writer().idle.patience(),
            takes_proxy_header: true,
        };
        let nats = Nats {
            accounts: accounts.clone(),
            events: Events::new(accounts, &settings.system_account, &front_end),
            info: ServerInfo::new(&settings, listener.local_address(), front_end.server_id()),
            admission: Admission::new(&settings.authentication, settings.authentication_timeout),
            settings: Arc::new(settings),
            front_end,
        };
        let facts = nats.settings.facts();
        nats.front_end.has_facts(move || facts.clone());
        let accounts = accounts.clone();
        nats.front_end.has_accounts(move || {
            let accounts = accounts.all().into_iter();
            accounts.map(|it| (it.name.clone(), it.broker.stats().subscriptions)).collect()
        });
        let server = Self::run(listener, tasks, profile, nats);
        let nats = server.protocol.clone();
        server.run_beside("nats statsz", async move { nats.events.tell_statsz(&nats.info).await });
        server
    }

    /// Lets clients of the system account ask for these documents. The first call counts.
    pub fn has_documents(&self, documents: Documents) {
        self.protocol.events.has_documents(documents);
    }

    /// The credentials with which clients may connect. When they change, connected clients get the
    /// rights that the new ones give them, or have to leave.
    pub fn authentication(&self) -> Live<Authentication> {
        self.protocol.admission.authentication.clone()
    }
}

impl Protocol for Nats {
    fn refusal(&self, peer: SocketAddr, _reason: &str) -> Vec<u8> {
        let mut text = Vec::new();
        let recipient = Recipient { client_id: 0, client_ip: peer.ip(), nonce: None };
        self.info.append(&mut text, recipient, Occasion::Greeting);
        append_error(&mut text, "maximum connections exceeded");
        text
    }

    /// From `INFO` to the close.
    fn serve(
        self: Arc<Self>,
        AcceptedConnection { connection, peer, entry, shutdown, permit }: AcceptedConnection,
    ) -> impl Future<Output = ()> + Send + 'static {
        async move {
            let tls = self.settings.tls.as_ref();
            self.serve_client((connection, entry), peer.ip(), tls, &shutdown).await;
            drop(permit);
        }
    }
}

impl Nats {
    /// Serves a client in the frames of a WebSocket, which the HTTP server accepted.
    pub(super) async fn serve_framed(self: Arc<Self>, upgraded: Upgraded) -> Ended {
        let patience = self.settings.writer().idle.patience();
        let Some(entry) = upgraded.enter(&self.front_end, patience) else { return Ended::Broken };
        let Upgraded { connection, early, peer, shutdown } = upgraded;
        connection.begin_web_socket(&early);
        entry.figures().set_transport("websocket");
        self.serve_client((connection, entry), peer.ip(), None, &shutdown).await
    }

    fn serve_client<'c>(
        self: &'c Arc<Self>,
        (connection, mut entry): (Connection, ConnectionEntry),
        address: IpAddr,
        tls: Option<&'c TlsSettings>,
        shutdown: &'c Arc<Shutdown>,
    ) -> impl Future<Output = Ended> + Send + 'c {
        async move {
            let figures = entry.figures().clone();
            figures.counts_payload();
            figures.asked();
            let client = (figures.id(), address);
            let outbound = &Outbound::new(self.admission.nonce());
            let mut info = Vec::new();
            self.info.append(&mut info, outbound.recipient(client), Occasion::Greeting);
            // In a box, so that the connection has no room for it all its life.
            let greeted = Box::pin(greet(&connection, info, tls, outbound, shutdown)).await;
            if let Err(error) = greeted {
                log::debug!(task:% = tasks::label(); "nats: no TLS with {address}: {error}");
                let reason = Ended::Because("TLS handshake failed");
                entry.ended(reason);
                return reason;
            }
            // Before the reader looks: it overlooks no change after that.
            let authentication = self.admission.authentication.get();
            let halves = (
                Reader::new(self, (address, connection.clone()), outbound, &figures),
                Writer::new(outbound, &figures, self.settings.first_times()),
            );
            let settings = self.settings.writer();
            let queue = &outbound.queue;
            let driving = drive(shutdown, (connection, entry), queue, halves, settings);
            let ended = future::or(driving, self.have_reviewed(authentication, queue)).await;
            if let Some(guest) = outbound.guest.get() {
                self.events.disconnected(guest, ended, &figures, &self.info);
            }
            ended
        }
    }
}

impl Nats {
    /// Asks the reading half to look whenever there are other credentials than these.
    async fn have_reviewed(
        &self,
        mut seen: Arc<Authentication>,
        queue: &OutboundQueue<Change>,
    ) -> Ended {
        while seen.is_required() {
            seen = self.admission.authentication.changed(&seen).await;
            queue.request(Request::Review);
        }
        // A reload does not change whether it matters who clients are.
        pending().await
    }
}

/// Says `INFO`: at once if TLS has to follow, and otherwise before the first answer.
async fn greet(
    connection: &Connection,
    mut info: Vec<u8>,
    tls: Option<&TlsSettings>,
    outbound: &Outbound,
    shutdown: &Shutdown,
) -> io::Result<()> {
    let Some(tls) = tls else {
        outbound.queue.append(Position::default(), |out| out.append(&mut info));
        return Ok(());
    };
    // A client that does not understand TLS would not understand an error either, so none is
    // sent when the handshake fails.
    let shaking = shake_hands(connection, &mut info, tls, outbound);
    let shaken = in_time(shutdown, tls.handshake_timeout, shaking).await;
    shaken.unwrap_or_else(|| Err(io::ErrorKind::TimedOut.into()))
}

/// Says `INFO`, and makes the connection a TLS one if it has to be or the client wants it.
async fn shake_hands(
    connection: &Connection,
    info: &mut Vec<u8>,
    tls: &TlsSettings,
    outbound: &Outbound,
) -> io::Result<()> {
    let comes_first = match tls.first {
        HandshakeFirst::Never => false,
        HandshakeFirst::Always => true,
        HandshakeFirst::Within(time) => {
            timeout(time, connection.begins_with_tls()).await.unwrap_or(Ok(false))?
        }
    };
    if comes_first {
        connection.upgrade(&tls.identity).await?;
        outbound.queue.append(Position::default(), |out| out.append(info));
        return Ok(());
    }
    let mut unwritten = &info[..];
    while !unwritten.is_empty() {
        let written_bytes = poll_fn(|context| connection.poll_write(context, unwritten)).await?;
        unwritten = &unwritten[written_bytes..];
    }
    if tls.is_required || connection.begins_with_tls().await? {
        connection.upgrade(&tls.identity).await
    } else {
        Ok(())
    }
}

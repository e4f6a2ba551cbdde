//! The chat server: who drives its connections, and what they share.

use super::accounts::Accounts;
use super::reader::Reader;
use super::rooms::Directory;
use super::settings::ChatSettings;
use super::stored::Stored;
use super::writer::{ChatQueue, Writer};
use crate::connection::acceptor::AcceptedConnection;
use crate::connection::duplex::drive;
use crate::connection::handshake::shake_hands;
use crate::connection::server::{Profile, Protocol, task_names};
use crate::connection::{Listener, Server};
use crate::diagnostics::{Ended, FrontEnd};
use crate::limits::CHAT_TLS_HANDSHAKE_MS;
use crate::message::ServerMessage;
use crate::tasks::Tasks;
use fanfare::Broker;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A running chat server.
pub type ChatServer = Server<Chat>;

/// What all connections share.
pub struct Chat {
    pub(super) broker: Broker<ServerMessage>,
    pub(super) settings: ChatSettings,
    pub(super) front_end: Arc<FrontEnd>,
    pub(super) accounts: Accounts,
}

impl Server<Chat> {
    /// Serves what `listener` accepts. All tasks are started through `tasks`; `front_end` is told
    /// of every connection. `stored` is the database, if there is one.
    pub fn start(
        listener: Listener,
        broker: &Broker<ServerMessage>,
        tasks: &Tasks,
        settings: ChatSettings,
        front_end: Arc<FrontEnd>,
        stored: Option<Stored>,
    ) -> Self {
        let (store, directory) = match stored {
            Some(Stored { store, directory }) => (Some(store), directory),
            None => (None, Directory::new(settings.directory, settings.operators())),
        };
        if let Some(store) = store.clone() {
            front_end.tells(move || store.families(), Vec::new);
        }
        let profile = Profile {
            tasks: task_names!("chat"),
            front_end: front_end.clone(),
            max_payload_bytes: settings.line_bytes,
            peer_timeout: settings.writer.idle.patience(),
        };
        let accounts = Accounts::new(store, directory);
        let chat = Chat { broker: broker.clone(), settings, front_end, accounts };
        Self::run(listener, tasks, profile, chat)
    }

    /// Open connections, people, and rooms.
    pub fn counts(&self) -> (usize, usize, usize) {
        let (people, rooms) = self.protocol.accounts.directory.counts();
        (self.connections(), people, rooms)
    }
}

impl Protocol for Chat {
    fn refusal(&self, _peer: SocketAddr, reason: &str) -> Vec<u8> {
        format!("! {reason}\n").into_bytes()
    }

    /// From the greeting to the close.
    #[expect(
        clippy::manual_async_fn,
        reason = "an async fn keeps its arguments twice, in every connection"
    )]
    fn serve(
        self: Arc<Self>,
        AcceptedConnection { connection, peer, mut entry, shutdown, permit }: AcceptedConnection,
    ) -> impl Future<Output = ()> + Send + 'static {
        async move {
            if let Some(identity) = &self.settings.tls {
                let within = Duration::from_millis(CHAT_TLS_HANDSHAKE_MS);
                let shaking = shake_hands(&connection, identity, &shutdown, within);
                if !Box::pin(shaking).await {
                    return entry.ended(Ended::Because("TLS handshake failed"));
                }
            }
            let (queue, figures) = (ChatQueue::default(), entry.figures().clone());
            let reader = Reader::new(&self, &queue, &figures, &shutdown, peer.ip());
            let line_bytes = self.settings.line_bytes;
            let writer = Writer::new(&queue, reader.presence(), line_bytes, &figures);
            let driven = (connection, entry);
            drive(&shutdown, driven, &queue, (reader, writer), self.settings.writer).await;
            drop(permit);
        }
    }
}

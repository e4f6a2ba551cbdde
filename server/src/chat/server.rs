//! The chat server: who drives its connections, and what they share.

use super::reader::Reader;
use super::rooms::Directory;
use super::settings::ChatSettings;
use super::writer::{ChatQueue, Writer};
use crate::connection::acceptor::AcceptedConnection;
use crate::connection::duplex::drive;
use crate::connection::server::{Profile, Protocol, task_names};
use crate::connection::{Listener, Server};
use crate::diagnostics::FrontEnd;
use crate::message::ServerMessage;
use crate::store::Store;
use crate::tasks::Tasks;
use fanfare::Broker;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

/// The room that everybody begins in.
pub const LOBBY: &str = "lobby";

/// A running chat server.
pub type ChatServer = Server<Chat>;

/// What all connections share.
pub struct Chat {
    pub(super) broker: Broker<ServerMessage>,
    pub(super) directory: Arc<Directory>,
    pub(super) settings: ChatSettings,
    pub(super) front_end: Arc<FrontEnd>,
    pub(super) store: Option<Store>,
}

impl Server<Chat> {
    /// Serves what `listener` accepts. All tasks are started through `tasks`; `front_end` is told
    /// of every connection. `store` keeps what is said in rooms, if there is one.
    pub fn start(
        listener: Listener,
        broker: &Broker<ServerMessage>,
        tasks: &Tasks,
        settings: ChatSettings,
        front_end: Arc<FrontEnd>,
        store: Option<Store>,
    ) -> Self {
        if let Some(store) = store.clone() {
            front_end.tells(move || store.families(), Vec::new);
        }
        let directory = Directory::new(settings.directory);
        let profile = Profile {
            tasks: task_names!("chat"),
            front_end: front_end.clone(),
            max_payload_bytes: settings.line_bytes,
            peer_timeout: settings.writer.idle.patience(),
        };
        let chat = Chat { broker: broker.clone(), directory, settings, front_end, store };
        Self::run(listener, tasks, profile, chat)
    }

    /// Open connections, people, and rooms.
    pub fn counts(&self) -> (usize, usize, usize) {
        let (people, rooms) = self.protocol.directory.counts();
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
        AcceptedConnection { connection, entry, shutdown, permit, .. }: AcceptedConnection,
    ) -> impl Future<Output = ()> + Send + 'static {
        async move {
            let (queue, figures) = (ChatQueue::default(), entry.figures().clone());
            let halves = (
                Reader::new(&self, &queue, &figures, &shutdown),
                Writer::new(&queue, self.settings.line_bytes, &figures),
            );
            let driven = (connection, entry);
            drive(&shutdown, driven, &queue, halves, self.settings.writer).await;
            drop(permit);
        }
    }
}

//! The chat server: how it starts, and how it serves a connection.

use super::accounts::Accounts;
use super::password::Secret;
use super::reader::Reader;
use super::rooms::Directory;
use super::settings::ChatSettings;
use super::shared::Chat;
use super::stored::LeftChat;
use super::times::TimeFormat;
use super::writer::{Change, ChatQueue, Writer};
use crate::connection::duplex::drive;
use crate::connection::outbound::Position;
use crate::connection::protocol::{AcceptedConnection, Profile, Protocol, task_names};
use crate::connection::shutdown::Shutdown;
use crate::connection::{Listener, Server};
use crate::diagnostics::{ConnectionEntry, Ended, FrontEnd};
use crate::http::Upgraded;
use crate::live::Live;
use crate::message::ServerMessage;
use crate::store::Store;
use crate::tasks::Tasks;
use crate::transport::Connection;
use fanfare::Broker;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// A running chat server.
pub type ChatServer = Server<Chat>;

impl Server<Chat> {
    /// Serves what `listener` accepts. All tasks are started through `tasks`; `front_end` is told
    /// of every connection. `left` is the database, if there is one, and what earlier servers left
    /// there.
    pub fn start(
        listener: Listener,
        broker: &Broker<ServerMessage>,
        tasks: &Tasks,
        settings: ChatSettings,
        front_end: Arc<FrontEnd>,
        left: Option<(Store, LeftChat)>,
    ) -> Self {
        let (store, directory) = match left {
            Some((store, LeftChat { directory })) => (Some(store), directory),
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
            takes_proxy_header: true,
        };
        let accounts = Accounts::new(store, directory);
        let password = Live::new(settings.session.password.clone());
        let chat = Chat { broker: broker.clone(), settings, front_end, accounts, password };
        Self::run(listener, tasks, profile, chat)
    }

    /// The password that everybody has to give first. A new one holds for those who connect next.
    pub fn password(&self) -> Live<Option<Secret>> {
        self.protocol.password.clone()
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
    fn serve(
        self: Arc<Self>,
        AcceptedConnection { connection, peer, entry, shutdown, permit }: AcceptedConnection,
    ) -> impl Future<Output = ()> + Send + 'static {
        async move {
            let client = (connection, entry);
            self.drive(client, peer.ip(), TimeFormat::default(), &shutdown).await;
            drop(permit);
        }
    }
}

impl Chat {
    /// Serves a person over a WebSocket, who gets the times of all lines, and their own lines too.
    /// Returns why the connection ended.
    pub(super) async fn serve_framed(self: Arc<Self>, upgraded: Upgraded) -> Ended {
        let patience = self.settings.writer.idle.patience();
        let Some(entry) = upgraded.enter(&self.front_end, patience) else { return Ended::Broken };
        let Upgraded { connection, early, peer, shutdown } = upgraded;
        connection.begin_web_socket(&early);
        self.drive((connection, entry), peer.ip(), TimeFormat::Iso, &shutdown).await
    }

    fn drive<'c>(
        &'c self,
        client: (Connection, ConnectionEntry),
        address: IpAddr,
        times: TimeFormat,
        shutdown: &'c Arc<Shutdown>,
    ) -> impl Future<Output = Ended> + Send + 'c {
        async move {
            let (queue, figures) = (ChatQueue::default(), client.1.figures().clone());
            if times != TimeFormat::Off {
                queue.change(Position::default(), Change::Times(times));
            }
            let reader = Reader::new(self, &queue, &figures, shutdown, address, times);
            let line_bytes = self.settings.line_bytes;
            let writer = Writer::new(&queue, reader.presence(), line_bytes, &figures);
            drive(shutdown, client, &queue, (reader, writer), self.settings.writer).await
        }
    }
}

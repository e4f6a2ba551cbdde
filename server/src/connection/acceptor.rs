//! Accepting connections, the same for every front-end: those that are admitted are listed and
//! served, the others are told why they are not.

use super::limiter::Permit;
use super::listener::{Accepted, Listener, refuse};
use super::server::{Profile, Protocol};
use super::shutdown::Shutdown;
use crate::diagnostics::ConnectionEntry;
use crate::tasks::{self, Scope};
use crate::transport::Connection;
use async_io::Async;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// Accepts what a listener brings, and gives it to a protocol.
pub(super) struct Acceptor<P> {
    pub protocol: Arc<P>,
    pub profile: Profile,
    pub shutdown: Arc<Shutdown>,
    /// Owns the connections' tasks.
    pub connections: Arc<Scope>,
}

/// A connection that was admitted.
pub struct AcceptedConnection {
    /// The connection.
    pub connection: Connection,
    /// The peer's address.
    pub peer: SocketAddr,
    /// The connection's entry in the list of connections.
    pub entry: ConnectionEntry,
    /// Tells the connection when the server stops.
    pub shutdown: Arc<Shutdown>,
    /// Dropped last: another connection may come then.
    pub permit: Permit,
}

impl<P: Protocol> Acceptor<P> {
    /// Serves each connection in a task of its own. Ends when it is dropped.
    pub async fn run(self, mut listener: Listener) {
        loop {
            match listener.accept().await {
                Accepted::Refused(stream, peer, refusal) => {
                    let (front_end, refusal) = (&self.profile.front_end, refusal.to_string());
                    front_end.refused(peer, &refusal);
                    refuse(&stream, &self.protocol.refusal(peer, &refusal));
                }
                Accepted::Connection(stream, peer, permit) => self.serve(stream, peer, permit),
            }
        }
    }

    fn serve(&self, stream: Async<TcpStream>, peer: SocketAddr, permit: Permit) {
        let front_end = &self.profile.front_end;
        let allowance = front_end.memory().allowance().clone();
        let connection = match Connection::new(stream, self.profile.peer_timeout, allowance) {
            Ok(connection) => connection,
            Err(error) => {
                let name = front_end.name();
                return log::debug!(task:% = tasks::label(); "{name}: {peer} left at once: {error}");
            }
        };
        let entry = front_end.connected(peer, connection.traffic());
        entry.figures().can_be_cut_by(connection.cutter());
        let figures = entry.figures().clone();
        let shutdown = self.shutdown.clone();
        let accepted = AcceptedConnection { connection, peer, entry, shutdown, permit };
        let serving = self.protocol.clone().serve(accepted);
        let task = self.connections.spawn(self.profile.tasks.connection, serving);
        figures.set_task(task.id());
    }
}

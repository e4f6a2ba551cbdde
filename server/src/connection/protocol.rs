//! What a protocol gives its server, and gets from it.

use super::limiter::Permit;
use super::shutdown::Shutdown;
use crate::diagnostics::{ConnectionEntry, FrontEnd};
use crate::transport::Connection;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// The parts of a server that do not depend on its protocol.
pub(crate) struct Profile {
    pub tasks: TaskNames,
    /// The front-end that lists every connection.
    pub front_end: Arc<FrontEnd>,
    /// Bytes of the largest message.
    pub max_payload_bytes: usize,
    /// How long a peer's machine may be silent before the kernel ends the connection.
    pub peer_timeout: Duration,
    /// Whether a trusted proxy begins with a PROXY header. Otherwise the protocol has its own way
    /// to name the client.
    pub takes_proxy_header: bool,
}

/// The names of a server's scopes and tasks.
pub(crate) struct TaskNames {
    pub server: &'static str,
    pub accept: &'static str,
    pub connections: &'static str,
    pub connection: &'static str,
}

/// The names of the tasks of a kind of server.
macro_rules! task_names {
    ($server:literal) => {
        $crate::connection::protocol::TaskNames {
            server: concat!($server, " server"),
            accept: concat!($server, " accept"),
            connections: concat!($server, " connections"),
            connection: concat!($server, " connection"),
        }
    };
}
pub(crate) use task_names;

/// The parts in which servers differ.
pub trait Protocol: Send + Sync + 'static {
    /// The refusal for a client that is not admitted.
    fn refusal(&self, peer: SocketAddr, reason: &str) -> Vec<u8>;

    /// Serves one connection to its close.
    fn serve(
        self: Arc<Self>,
        accepted: AcceptedConnection,
    ) -> impl Future<Output = ()> + Send + 'static;
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
    /// Dropped last, which makes room for another connection.
    pub permit: Permit,
}

//! A running server: how it starts, and how it stops. The same for every protocol.

use super::acceptor::{AcceptedConnection, Acceptor};
use super::listener::Listener;
use super::shutdown::{Shutdown, StopReport};
use crate::diagnostics::{FrontEnd, Serves};
use crate::tasks::{Scope, Tasks};
use futures_lite::future::Boxed;
use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What the scopes and tasks of a server are called.
pub struct TaskNames {
    /// The scope of the accepting task.
    pub server: &'static str,
    /// The accepting task.
    pub accept: &'static str,
    /// The scope of the connections.
    pub connections: &'static str,
    /// The task of each connection.
    pub connection: &'static str,
}

/// What servers differ in.
pub trait Protocol: Send + Sync + 'static {
    /// What its tasks are called.
    const TASKS: TaskNames;

    /// Who is told of every connection.
    fn front_end(&self) -> &Arc<FrontEnd>;

    /// How many connections it takes, and how large a message.
    fn serves(&self, address: SocketAddr) -> Serves;

    /// After this time without a word from a peer's machine, the kernel ends the connection.
    fn peer_timeout(&self) -> Duration;

    /// What a client reads that is not admitted.
    fn refusal(&self, peer: SocketAddr, reason: &str) -> Vec<u8>;

    /// Serves one connection to its close.
    fn serve(
        self: Arc<Self>,
        accepted: AcceptedConnection,
    ) -> impl Future<Output = ()> + Send + 'static;

    /// Sends the clients elsewhere, before the server stops. `accepting` owns the accepting task.
    fn lame_duck(&self, _accepting: &Scope) -> impl Future<Output = ()> + Send {
        ready(())
    }
}

/// A server that runs. Dropping it ends all of its connections at once.
pub struct Server<P> {
    pub(crate) protocol: Arc<P>,
    local_address: SocketAddr,
    /// Owns the accepting task. Apart from the connections, so that it can end first.
    accepting: Scope,
    connections: Arc<Scope>,
    shutdown: Arc<Shutdown>,
}

impl<P: Protocol> Server<P> {
    /// Serves what `listener` accepts. All tasks are started through `tasks`.
    pub(crate) fn run(listener: Listener, tasks: &Tasks, protocol: P) -> Self {
        let local_address = listener.local_address();
        protocol.front_end().listening(protocol.serves(local_address));
        let protocol = Arc::new(protocol);
        let accepting = tasks.scope(P::TASKS.server);
        let connections = Arc::new(tasks.scope(P::TASKS.connections));
        let shutdown = Arc::<Shutdown>::default();
        let acceptor = Acceptor {
            protocol: protocol.clone(),
            shutdown: shutdown.clone(),
            connections: connections.clone(),
        };
        accepting.spawn(P::TASKS.accept, acceptor.run(listener));
        Self { protocol, local_address, accepting, connections, shutdown }
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.connections.alive()
    }

    /// Accepts no more connections, and sends the clients elsewhere if the protocol has words for
    /// that.
    pub async fn lame_duck(&self) {
        self.protocol.lame_duck(&self.accepting).await;
    }

    /// Stops accepting and reading, and says goodbye. Close or drain the broker next: each
    /// connection ends when it has been sent what was queued for it.
    pub fn begin_stop(&self) {
        self.accepting.cancel();
        self.shutdown.begin();
    }

    /// Waits until every connection has ended, and cuts those that have not at the deadline.
    pub async fn ended(self, deadline: Instant) -> StopReport {
        self.begin_stop();
        self.shutdown.finish(&self.accepting, &self.connections, deadline).await
    }
}

/// A server of whatever protocol, for a program that runs several.
pub trait RunningServer: Send + Sync {
    /// What it listens for, and where.
    fn listening(&self) -> Vec<(&'static str, SocketAddr)>;

    /// [`Server::lame_duck`].
    fn lame_duck(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(ready(()))
    }

    /// [`Server::begin_stop`].
    fn begin_stop(&self);

    /// [`Server::ended`].
    fn ended(self: Box<Self>, deadline: Instant) -> Boxed<StopReport>;
}

impl<P: Protocol> RunningServer for Server<P> {
    fn listening(&self) -> Vec<(&'static str, SocketAddr)> {
        vec![(self.protocol.front_end().name(), self.local_address)]
    }

    fn lame_duck(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(Self::lame_duck(self))
    }

    fn begin_stop(&self) {
        Self::begin_stop(self);
    }

    fn ended(self: Box<Self>, deadline: Instant) -> Boxed<StopReport> {
        Box::pin(Self::ended(*self, deadline))
    }
}

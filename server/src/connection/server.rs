//! A running server: how it starts, and how it stops. The same for every protocol.

use super::acceptor::Acceptor;
use super::entrance::Entrance;
use super::listener::Listener;
use super::protocol::{Profile, Protocol};
use super::shutdown::{Shutdown, StopReport};
use crate::diagnostics::Serves;
use crate::limits::{LAME_DUCK_DURATION_MS, LAME_DUCK_GRACE_MS};
use crate::tasks::{Scope, Tasks};
use async_io::Timer;
use futures_lite::future::Boxed;
use std::future::{Future, ready};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A server that runs. Dropping it ends all of its connections at once.
pub struct Server<P> {
    pub(crate) protocol: Arc<P>,
    name: &'static str,
    local_address: SocketAddr,
    /// Owns the accepting task. Separate from the connections, so that it can end first.
    accepting: Scope,
    connections: Arc<Scope>,
    shutdown: Arc<Shutdown>,
}

impl<P: Protocol> Server<P> {
    /// Serves what `listener` accepts. All tasks are started through `tasks`.
    pub(crate) fn run(listener: Listener, tasks: &Tasks, profile: Profile, protocol: P) -> Self {
        let (name, local_address) = (profile.front_end.name(), listener.local_address());
        profile.front_end.listening(Serves {
            address: local_address,
            max_connections: listener.limiter().limits().total,
            max_payload_bytes: profile.max_payload_bytes,
        });
        let protocol = Arc::new(protocol);
        let accepting = tasks.scope(profile.tasks.server);
        let connections = Arc::new(tasks.scope(profile.tasks.connections));
        let shutdown = Arc::<Shutdown>::default();
        let accept = profile.tasks.accept;
        let tls = listener.tls().cloned();
        let (of_entrance, shutdown_seen) = (protocol.clone(), shutdown.clone());
        let entrance = Entrance { protocol: of_entrance, profile, shutdown: shutdown_seen, tls };
        let acceptor = Acceptor { entrance: entrance.into(), connections: connections.clone() };
        accepting.spawn(accept, acceptor.run(listener));
        Self { protocol, name, local_address, accepting, connections, shutdown }
    }

    /// Runs a task until the server stops accepting.
    pub(crate) fn run_beside(
        &self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        self.accepting.spawn(name, task);
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.connections.alive()
    }

    /// Stops accepting, tells the clients, gives them time to go elsewhere, and then closes the
    /// connections one by one, each after what is queued for it.
    pub async fn lame_duck(&self, LameDuck { grace, duration }: LameDuck) {
        self.accepting.cancel();
        self.accepting.ended().await;
        self.shutdown.announce();
        if self.connections() == 0 {
            return;
        }
        // why: once in the life of a server.
        let mut timer = Timer::after(grace);
        (&mut timer).await;
        let count = u32::try_from(self.connections()).unwrap_or(u32::MAX);
        for _ in 0..count {
            self.shutdown.close_one();
            timer.set_after(duration / count);
            (&mut timer).await;
        }
        self.shutdown.close_all();
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

/// How long a server takes to send its clients elsewhere before it stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LameDuck {
    /// From the notice to the first connection that is closed.
    pub grace: Duration,
    /// From then on, until the last is closed.
    pub duration: Duration,
}

impl Default for LameDuck {
    fn default() -> Self {
        Self {
            grace: Duration::from_millis(LAME_DUCK_GRACE_MS),
            duration: Duration::from_millis(LAME_DUCK_DURATION_MS),
        }
    }
}

/// A future that sends a server's clients elsewhere.
pub type Ending<'s> = Pin<Box<dyn Future<Output = ()> + Send + 's>>;

/// A server of any protocol, for a program that runs several.
pub trait RunningServer: Send + Sync {
    /// The names and addresses of its listeners.
    fn listening(&self) -> Vec<(&'static str, SocketAddr)>;

    /// [`Server::lame_duck`].
    fn lame_duck(&self, _times: LameDuck) -> Ending<'_> {
        Box::pin(ready(()))
    }

    /// [`Server::begin_stop`].
    fn begin_stop(&self);

    /// [`Server::ended`].
    fn ended(self: Box<Self>, deadline: Instant) -> Boxed<StopReport>;
}

impl<P: Protocol> RunningServer for Server<P> {
    fn listening(&self) -> Vec<(&'static str, SocketAddr)> {
        vec![(self.name, self.local_address)]
    }

    fn lame_duck(&self, times: LameDuck) -> Ending<'_> {
        Box::pin(Self::lame_duck(self, times))
    }

    fn begin_stop(&self) {
        Self::begin_stop(self);
    }

    fn ended(self: Box<Self>, deadline: Instant) -> Boxed<StopReport> {
        Box::pin(Self::ended(*self, deadline))
    }
}

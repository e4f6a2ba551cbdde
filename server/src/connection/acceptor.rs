//! Accepts connections for every front-end: admitted ones are listed and served, the others are
//! told the reason.

use super::entrance::Entrance;
use super::limiter::Permit;
use super::listener::{Accepted, Listener, refuse};
use super::protocol::Protocol;
use crate::tasks::{self, Scope};
use crate::transport::Connection;
use async_io::Async;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

/// Accepts a listener's connections and passes them to a protocol.
pub(super) struct Acceptor<P> {
    pub entrance: Arc<Entrance<P>>,
    /// Owns the connections' tasks.
    pub connections: Arc<Scope>,
}

impl<P: Protocol> Acceptor<P> {
    /// Serves each connection in a task of its own. Ends when it is dropped.
    pub async fn run(self, mut listener: Listener) {
        loop {
            match listener.accept().await {
                Accepted::Refused(stream, peer, refusal) => {
                    let (entrance, refusal) = (&self.entrance, refusal.to_string());
                    entrance.profile.front_end.refused(peer, &refusal);
                    refuse(&stream, &entrance.protocol.refusal(peer, &refusal));
                }
                Accepted::Connection(stream, peer, permit) => self.serve(stream, peer, permit),
            }
        }
    }

    fn serve(&self, stream: Async<TcpStream>, peer: SocketAddr, permit: Permit) {
        let (entrance, profile) = (&self.entrance, &self.entrance.profile);
        let allowance = profile.front_end.memory().allowance().clone();
        let connection = match Connection::new(stream, profile.peer_timeout, allowance) {
            Ok(connection) => connection,
            Err(error) => {
                let name = profile.front_end.name();
                return log::debug!(task:% = tasks::label(); "{name}: {peer} left at once: {error}");
            }
        };
        let name = profile.tasks.connection;
        if entrance.has_steps(&permit) {
            let entrance = entrance.clone();
            self.connections.spawn(name, async move {
                // Boxed, so that the connection does not hold this memory all its life.
                let accepted = Box::pin(entrance.enter(connection, peer, permit)).await;
                if let Some(accepted) = accepted {
                    entrance.protocol.clone().serve(accepted).await;
                }
            });
        } else {
            let accepted = entrance.accepted(connection, peer, permit);
            let figures = accepted.entry.figures().clone();
            let serving = entrance.protocol.clone().serve(accepted);
            figures.set_task(self.connections.spawn(name, serving).id());
        }
    }
}

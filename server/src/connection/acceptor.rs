//! Taking connections, the same for every front-end: who is let in is listed and served, who is not
//! is told why.

use super::limiter::Permit;
use super::listener::{self, Accepted, Listener};
use crate::diagnostics::{ConnectionEntry, FrontEnd};
use crate::tasks;
use crate::transport::Connection;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Takes what a listener accepts.
pub(crate) struct Acceptor {
    pub listener: Listener,
    pub front_end: Arc<FrontEnd>,
    /// After so long without a word from a peer's machine the kernel ends the connection.
    pub unacknowledged: Duration,
}

/// A connection that was let in.
pub(crate) struct AcceptedConnection {
    pub connection: Connection,
    pub peer: SocketAddr,
    pub entry: ConnectionEntry,
    /// To be dropped last: then somebody else may come.
    pub permit: Permit,
}

impl Acceptor {
    /// Gives every connection to `serve`, which starts its task. Who is not let in reads the
    /// `notice`, which is made of a sentence that says why. Ends when it is dropped.
    pub async fn take_all(
        mut self,
        notice: impl Fn(SocketAddr, &str) -> Vec<u8>,
        serve: impl Fn(AcceptedConnection),
    ) {
        let name = self.front_end.name();
        loop {
            match self.listener.accept().await {
                Accepted::Refused(stream, peer, refusal) => {
                    log::debug!(task:% = tasks::label(); "{name}: refused {peer}: {refusal}");
                    let refusal = refusal.to_string();
                    self.front_end.refused(peer, &refusal);
                    listener::refuse(&stream, &notice(peer, &refusal));
                }
                Accepted::Connection(stream, peer, permit) => {
                    match Connection::new(stream, self.unacknowledged) {
                        Ok(connection) => {
                            let entry = self.front_end.connected(peer, connection.traffic());
                            let id = entry.figures().id();
                            log::debug!(task:% = tasks::label(); "{name}: {peer} connected, id {id}");
                            serve(AcceptedConnection { connection, peer, entry, permit });
                        }
                        Err(error) => {
                            log::debug!(task:% = tasks::label(); "{name}: {peer} was gone at once: {error}")
                        }
                    }
                }
            }
        }
    }
}

//! The steps before a protocol: a proxy's header, and the TLS handshake.

use super::limiter::Permit;
use super::listener::refuse;
use super::protocol::{AcceptedConnection, Profile, Protocol};
use super::proxies::proxied_client;
use super::shutdown::Shutdown;
use crate::diagnostics::Ended;
use crate::limits::{PROXY_HEADER_MS, TLS_HANDSHAKE_MS};
use crate::tasks::{self, timeout};
use crate::transport::{Connection, Identity};
use futures_lite::future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// Takes connections from the listener to the protocol.
pub(super) struct Entrance<P> {
    pub protocol: Arc<P>,
    pub profile: Profile,
    pub shutdown: Arc<Shutdown>,
    /// For TLS from the first byte.
    pub tls: Option<Identity>,
}

impl<P: Protocol> Entrance<P> {
    /// Whether something comes before the protocol.
    pub fn has_steps(&self, permit: &Permit) -> bool {
        self.tls.is_some() || self.awaits_header(permit)
    }

    /// Reads the proxy's header and does the TLS handshake. `None` if the connection fails there.
    pub async fn enter(
        &self,
        connection: Connection,
        mut peer: SocketAddr,
        mut permit: Permit,
    ) -> Option<AcceptedConnection> {
        let front_end = &self.profile.front_end;
        if self.awaits_header(&permit) {
            let limit = Duration::from_millis(PROXY_HEADER_MS);
            match in_time(&self.shutdown, limit, proxied_client(&connection)).await {
                Some(Ok(client)) => peer = client.unwrap_or(peer),
                Some(Err(problem)) => {
                    front_end.refused(peer, problem);
                    return None;
                }
                None => {
                    front_end.refused(peer, "this proxy sent no PROXY header in time");
                    return None;
                }
            }
            if let Err(refusal) = permit.count_for(peer.ip()) {
                let refusal = refusal.to_string();
                front_end.refused(peer, &refusal);
                refuse(connection.socket(), &self.protocol.refusal(peer, &refusal));
                return None;
            }
        }
        let mut accepted = self.accepted(connection, peer, permit);
        tasks::current().into_iter().for_each(|task| accepted.entry.figures().set_task(task.id));
        let Some(identity) = &self.tls else { return Some(accepted) };
        let limit = Duration::from_millis(TLS_HANDSHAKE_MS);
        let shaking = accepted.connection.upgrade(identity);
        let shaken = in_time(&self.shutdown, limit, shaking).await;
        if !matches!(shaken, Some(Ok(()))) {
            if let Some(Err(error)) = shaken {
                let name = front_end.name();
                log::debug!(task:% = tasks::label(); "{name}: no TLS with {peer}: {error}");
            }
            accepted.entry.ended(Ended::Because("TLS handshake failed"));
            return None;
        }
        Some(accepted)
    }

    /// Enters the connection in the list of connections.
    pub fn accepted(
        &self,
        connection: Connection,
        peer: SocketAddr,
        permit: Permit,
    ) -> AcceptedConnection {
        let entry = self.profile.front_end.connected(peer, connection.traffic());
        entry.figures().can_be_cut_by(connection.cutter());
        AcceptedConnection { connection, peer, entry, shutdown: self.shutdown.clone(), permit }
    }

    fn awaits_header(&self, permit: &Permit) -> bool {
        self.profile.takes_proxy_header && !permit.has_address()
    }
}

/// Waits for `step`; `None` if the server stops or the time is over first.
pub(crate) async fn in_time<T>(
    shutdown: &Shutdown,
    limit: Duration,
    step: impl Future<Output = T>,
) -> Option<T> {
    let stopped = async {
        shutdown.begun().await;
        None
    };
    future::or(timeout(limit, step), stopped).await
}

//! Connections that go on in another protocol. The HTTP server still owns, counts and ends them.

use super::adapter::Socket;
use super::response::{Response, empty};
use crate::connection::shutdown::Shutdown;
use crate::diagnostics::{ConnectionEntry, ConnectionFigures, Ended, FrontEnd};
use crate::locks::lock;
use crate::transport::Connection;
use bytes::Bytes;
use futures_lite::future;
use hyper::StatusCode;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

/// A connection after the answer that let it go on in another protocol.
pub struct Upgraded {
    /// The connection.
    pub connection: Connection,
    /// Bytes that the peer sent after its request, without waiting for the answer.
    pub early: Bytes,
    /// The address of the client.
    pub peer: SocketAddr,
    /// Begins when the connection has to end.
    pub(crate) shutdown: Arc<Shutdown>,
}

impl Upgraded {
    /// Lists the client in a front-end of its own too; the bytes stay the HTTP server's. `None` if
    /// the peer has gone.
    pub(crate) fn enter(
        &self,
        front_end: &Arc<FrontEnd>,
        patience: Duration,
    ) -> Option<ConnectionEntry> {
        self.connection.set_unacknowledged(patience).ok()?;
        Some(front_end.connected(self.peer, &Arc::default()))
    }
}

/// Serves a connection to its end, in the connection's task. Returns why it ended.
pub type UpgradedFuture = Pin<Box<dyn Future<Output = Ended> + Send>>;

/// A service's instructions for its connection, which the server follows later.
#[derive(Clone, Default)]
pub(super) struct Takeover(Arc<Mutex<Later>>);

#[derive(Default)]
struct Later {
    /// The protocol in which it goes on.
    next: Option<Next>,
    /// Ends the answer that it is at.
    leave: Option<Box<dyn FnOnce() + Send>>,
}

/// The protocol in which a connection goes on.
pub(super) struct Next {
    protocol: &'static str,
    on_upgrade: OnUpgrade,
    serve: Box<dyn FnOnce(Upgraded) -> UpgradedFuture + Send>,
}

impl Takeover {
    /// Calls `leave` when the connection has to close before the server stops.
    pub fn when_leaving(&self, leave: impl FnOnce() + Send + 'static) {
        self.lock().leave = Some(Box::new(leave));
    }

    /// The answer (101) after which the connection goes on in another protocol.
    pub fn upgrade(
        &self,
        request: &mut hyper::Request<Incoming>,
        protocol: &'static str,
        serve: impl FnOnce(Upgraded) -> UpgradedFuture + Send + 'static,
    ) -> Response {
        let on_upgrade = hyper::upgrade::on(request);
        self.lock().next = Some(Next { protocol, on_upgrade, serve: Box::new(serve) });
        let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, HeaderValue::from_static(protocol));
        response
    }

    pub fn take(&self) -> Option<Next> {
        self.lock().next.take()
    }

    /// Ends the answer that the connection is at, if it would not end by itself.
    pub fn leave(&self) {
        let leave = self.lock().leave.take();
        leave.into_iter().for_each(|leave| leave());
    }

    fn lock(&self) -> MutexGuard<'_, Later> {
        lock(&self.0)
    }
}

impl Next {
    /// Serves the connection to its end, when HTTP is done with it.
    pub async fn serve(
        self,
        connection: Connection,
        figures: &ConnectionFigures,
        shutdown: &Arc<Shutdown>,
    ) -> Ended {
        // Ready at once if HTTP has ended with this answer. Otherwise it never would be, so nobody
        // waits for it.
        let Some(Ok(upgraded)) = future::poll_once(self.on_upgrade).await else {
            return Ended::PeerClosed;
        };
        let Ok(parts) = upgraded.downcast::<Socket>() else { return Ended::Broken };
        drop(parts.io);
        figures.set_name(self.protocol);
        (self.serve)(Upgraded {
            connection,
            early: parts.read_buf,
            peer: figures.peer(),
            shutdown: shutdown.clone(),
        })
        .await
    }
}

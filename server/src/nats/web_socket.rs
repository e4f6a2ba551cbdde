//! NATS over WebSockets, for clients in browsers. Behind the handshake and the frames they are
//! clients like all others.

use super::shared::Nats;
use crate::connection::Server;
use crate::http::{Call, NoWebSocket, Response, Service, ServiceFuture, text};
use hyper::StatusCode;
use std::future::ready;
use std::sync::Arc;

/// Makes each request a client of a NATS server, whatever its path is.
pub struct NatsWebSocket {
    nats: Arc<Nats>,
    /// The pages that may ask, besides those of this address; `*` for all.
    origins: Vec<String>,
}

impl Server<Nats> {
    /// Turns requests for a WebSocket into clients, if they come from a page of one of these
    /// origins, or from no page.
    pub fn web_socket(&self, origins: Vec<String>) -> NatsWebSocket {
        NatsWebSocket { nats: self.protocol.clone(), origins }
    }
}

impl NatsWebSocket {
    fn answer(&self, call: Call) -> Response {
        if call.is_from_foreign_page(&self.origins) {
            return text(StatusCode::FORBIDDEN, "pages of that origin are not allowed\n");
        }
        // A page can have its own name resolved to this machine, and be its own server that way.
        let is_open = !self.nats.admission.authentication.get().must_be_given();
        if is_open && call.peer.ip().is_loopback() && !call.is_for_loopback() {
            return text(StatusCode::FORBIDDEN, "ask for localhost or a loopback address\n");
        }
        let nats = self.nats.clone();
        let upgraded = call.begin_web_socket(move |upgraded| Box::pin(nats.serve_framed(upgraded)));
        upgraded.unwrap_or_else(NoWebSocket::response)
    }
}

impl Service for NatsWebSocket {
    fn call(&self, call: Call) -> ServiceFuture {
        Box::pin(ready(self.answer(call)))
    }
}

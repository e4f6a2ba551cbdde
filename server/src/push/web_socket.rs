//! Clients by WebSocket: the handshake. After it they are clients like all others.

use super::access::Access;
use super::gateway::Gateway;
use super::render::Framing;
use super::server::{Client, Push};
use crate::codec::web_socket::{VERSION, accept_key};
use crate::diagnostics::Ended;
use crate::http::{Call, Response, Upgraded};
use crate::live::Live;
use hyper::Version;
use hyper::header::{
    HeaderName, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION,
};
use std::fmt;
use std::sync::Arc;

/// The protocol's name in headers.
pub(super) const PROTOCOL: &str = "websocket";

/// Why a request does not become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoWebSocket {
    /// It asks for no WebSocket, or for another version. (426, with the version that is wanted.)
    OtherProtocol,
    /// It asks in a wrong way. (400)
    BadRequest(&'static str),
}

impl fmt::Display for NoWebSocket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OtherProtocol => {
                write!(out, "this path is a WebSocket, version {VERSION}")
            }
            Self::BadRequest(problem) => write!(out, "{problem}"),
        }
    }
}

/// Lets the connection go on as a client's. No extension and no subprotocol is agreed on, whatever
/// was offered.
pub(super) fn answer(
    gateway: &Arc<Gateway>,
    access: &Live<Access>,
    call: Call,
) -> Result<Response, NoWebSocket> {
    let accept = accept(&call)?;
    let (gateway, access) = (gateway.clone(), access.clone());
    let mut response =
        call.upgrade(PROTOCOL, move |upgraded| Box::pin(serve_upgraded(gateway, access, upgraded)));
    response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

fn accept(call: &Call) -> Result<HeaderValue, NoWebSocket> {
    if call.request.version() != Version::HTTP_11 {
        return Err(NoWebSocket::BadRequest("a WebSocket begins with HTTP/1.1"));
    }
    if !call.asks_to_upgrade(PROTOCOL) || single(call, SEC_WEBSOCKET_VERSION) != Some(VERSION) {
        return Err(NoWebSocket::OtherProtocol);
    }
    let key = single(call, SEC_WEBSOCKET_KEY)
        .and_then(accept_key)
        .and_then(|key| HeaderValue::try_from(key).ok());
    key.ok_or(NoWebSocket::BadRequest("Sec-WebSocket-Key has to be there once, 16 bytes in base64"))
}

/// The value of a header that is there exactly once.
fn single(call: &Call, name: HeaderName) -> Option<&str> {
    let mut values = call.headers().get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

async fn serve_upgraded(gateway: Arc<Gateway>, access: Live<Access>, upgraded: Upgraded) -> Ended {
    let Upgraded { connection, early, peer, shutdown } = upgraded;
    if connection.set_unacknowledged(gateway.settings.writer.idle.patience()).is_err() {
        // It fails where the peer has gone already.
        return Ended::Broken;
    }
    // Listed among the gateway's clients too, as a stream of events is; the bytes are the HTTP
    // server's.
    let entry = gateway.front_end.connected(peer, &Arc::default());
    let client = Client { connection, entry, peer, framing: Framing::Messages, early };
    Push { gateway, access }.drive(&shutdown, client).await
}

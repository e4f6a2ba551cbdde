//! The handshake of WebSockets, and which pages may begin one.

use super::request::Call;
use super::response::{Response, text};
use super::upgrade::{Upgraded, UpgradedFuture};
use crate::codec::web_socket::{VERSION, accept_key};
use hyper::header::{
    CONNECTION, HeaderMap, HeaderName, HeaderValue, ORIGIN, SEC_WEBSOCKET_ACCEPT,
    SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use hyper::{Method, StatusCode, Version};
use std::fmt;

/// The protocol's name in headers.
const WEB_SOCKET: &str = "websocket";

/// Why a request does not become a WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoWebSocket {
    /// It asks for no WebSocket, or for another version. (426)
    OtherProtocol,
    /// It does not ask as RFC 6455 says. (400)
    BadRequest(&'static str),
}

impl NoWebSocket {
    /// The status of the answer.
    pub fn status(self) -> StatusCode {
        match self {
            Self::OtherProtocol => StatusCode::UPGRADE_REQUIRED,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
        }
    }

    /// The answer in plain text.
    pub fn response(self) -> Response {
        let mut response = text(self.status(), format!("{self}\n"));
        want_web_socket(response.headers_mut());
        response
    }
}

/// Adds the headers of an answer that wants a WebSocket.
pub fn want_web_socket(headers: &mut HeaderMap) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(WEB_SOCKET));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static(VERSION));
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

impl Call {
    /// The answer after which the connection goes on as a WebSocket, served by `serve`. It agrees
    /// to no extension and no subprotocol.
    ///
    /// # Errors
    /// If the request is not one for a WebSocket.
    pub fn begin_web_socket(
        self,
        serve: impl FnOnce(Upgraded) -> UpgradedFuture + Send + 'static,
    ) -> Result<Response, NoWebSocket> {
        let accept = accept(&self)?;
        let mut response = self.upgrade(WEB_SOCKET, serve);
        response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
        Ok(response)
    }

    /// Whether the request comes from a page that may not ask: one that is neither from this server
    /// nor from one of `origins`, where `*` stands for all.
    pub fn is_from_foreign_page(&self, origins: &[String]) -> bool {
        let Some(origin) = self.headers().get(ORIGIN) else {
            // A page of another site that asks without CORS names no origin, so none can allow it.
            return self.is_from_another_site();
        };
        let Ok(origin) = origin.to_str() else { return true };
        let is_own = self.header("host").is_some_and(|host| {
            origin
                .split_once("://")
                .is_some_and(|(scheme, own)| matches!(scheme, "http" | "https") && own == host)
        });
        !is_own && !origins.iter().any(|allowed| allowed == "*" || allowed == origin)
    }
}

fn accept(call: &Call) -> Result<HeaderValue, NoWebSocket> {
    if call.request.version() != Version::HTTP_11 || call.request.method() != Method::GET {
        return Err(NoWebSocket::BadRequest("a WebSocket begins with GET in HTTP/1.1"));
    }
    if !call.asks_to_upgrade(WEB_SOCKET) || single(call, SEC_WEBSOCKET_VERSION) != Some(VERSION) {
        return Err(NoWebSocket::OtherProtocol);
    }
    let key = single(call, SEC_WEBSOCKET_KEY)
        .and_then(accept_key)
        .and_then(|key| HeaderValue::try_from(key).ok());
    key.ok_or(NoWebSocket::BadRequest("Sec-WebSocket-Key must be there once, 16 bytes in base64"))
}

/// The value of a header that is there exactly once.
fn single(call: &Call, name: HeaderName) -> Option<&str> {
    let mut values = call.headers().get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}

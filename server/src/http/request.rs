//! A request as a service gets it.

use super::response::{Response, text};
use super::upgrade::{Takeover, Upgraded, UpgradedFuture};
use crate::tasks::timeout;
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderMap, UPGRADE};
use hyper::{StatusCode, Uri};
use percent_encoding::percent_decode_str;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;
use std::time::Duration;

/// An HTTP request.
pub struct Call {
    /// Method, address, headers and body. Nothing of the body has been read yet.
    pub request: hyper::Request<Incoming>,
    /// The client's address.
    pub peer: SocketAddr,
    /// The path and the query.
    pub asked: Asked,
    pub(super) takeover: Takeover,
}

impl Deref for Call {
    type Target = Asked;

    fn deref(&self) -> &Asked {
        &self.asked
    }
}

/// A request's target: a path, and a query.
#[derive(Clone, Debug)]
pub struct Asked(pub(super) Uri);

impl Asked {
    /// A path, perhaps with `?` and a query behind it; `None` if it is neither.
    pub fn new(path: &str) -> Option<Self> {
        path.parse().ok().map(Self)
    }

    /// The path.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// The value after `name=` in the query, as it was written; the first if there are several.
    pub fn query(&self, name: &str) -> Option<&str> {
        let pairs =
            self.0.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.into_iter().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// A number in the query, `default` if it is missing.
    ///
    /// # Errors
    /// If the value is not a number.
    pub fn number(&self, name: &'static str, default: usize) -> Result<usize, QueryError> {
        let problem = QueryError { name, has_to_be: "a number from 0 on, without a sign" };
        self.query(name).map_or(Ok(default), |written| written.parse().map_err(|_| problem))
    }

    /// A text in the query, decoded. None if it is missing.
    ///
    /// # Errors
    /// If the value is not UTF-8.
    pub fn text(&self, name: &'static str) -> Result<Option<String>, QueryError> {
        let problem = QueryError { name, has_to_be: "UTF-8 with percent signs decoded" };
        let decoded = |written| {
            percent_decode_str(written).decode_utf8().map(String::from).map_err(|_| problem)
        };
        self.query(name).map(decoded).transpose()
    }
}

impl Call {
    /// The request's headers.
    pub fn headers(&self) -> &HeaderMap {
        self.request.headers()
    }

    /// A header as text. None if it is missing or not text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// The token in `Authorization: Bearer TOKEN`.
    pub fn bearer(&self) -> Option<&str> {
        self.header("authorization")?.strip_prefix("Bearer ")
    }

    /// Whether the request is for a loopback name or address. A page in a browser can have its own
    /// name resolved to 127.0.0.1 and ask us as if we were its server, but its requests still carry
    /// that name.
    pub fn is_for_loopback(&self) -> bool {
        let Some(host) = self.header("host") else { return false };
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let address = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        name.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
    }

    /// Whether a browser asks for a page of another site, whatever that page did: a link, an image,
    /// a request without CORS. Only browsers send the header, and no page can change it.
    pub fn is_from_another_site(&self) -> bool {
        let site = self.headers().get("sec-fetch-site");
        site.is_some_and(|site| site != "same-origin" && site != "none")
    }

    /// Whether the client asks to go on in that protocol.
    pub fn asks_to_upgrade(&self, protocol: &str) -> bool {
        let has = |name, wanted: &str| {
            let values =
                self.headers().get_all(name).into_iter().filter_map(|value| value.to_str().ok());
            values
                .flat_map(|value| value.split(','))
                .any(|word| word.trim().eq_ignore_ascii_case(wanted))
        };
        has(CONNECTION, "upgrade") && has(UPGRADE, protocol)
    }

    /// Calls `leave` when the connection has to close before the server stops. An answer that would
    /// otherwise go on and on ends then.
    pub fn when_leaving(&self, leave: impl FnOnce() + Send + 'static) {
        self.takeover.when_leaving(leave);
    }

    /// The answer (101) after which the connection goes on in another protocol, served by `serve`.
    /// Nothing happens if the service gives another answer.
    pub fn upgrade(
        mut self,
        protocol: &'static str,
        serve: impl FnOnce(Upgraded) -> UpgradedFuture + Send + 'static,
    ) -> Response {
        self.takeover.upgrade(&mut self.request, protocol, serve)
    }
}

/// A value in the query is not what it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueryError {
    /// The name of the value.
    pub name: &'static str,
    /// The value's form, in words.
    pub has_to_be: &'static str,
}

impl QueryError {
    /// The answer to such a request.
    pub fn response(self) -> Response {
        text(StatusCode::BAD_REQUEST, format!("{self}\n"))
    }
}

impl From<QueryError> for Box<Response> {
    fn from(error: QueryError) -> Self {
        Self::new(error.response())
    }
}

impl fmt::Display for QueryError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} has to be {}", self.name, self.has_to_be)
    }
}

impl std::error::Error for QueryError {}

/// Why a body could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyError {
    /// The body is longer than this many bytes.
    TooLarge(usize),
    /// The body was not complete after this time.
    TimedOut(Duration),
    /// The connection broke, or the body is not HTTP.
    Broken,
}

impl BodyError {
    /// The answer to such a request.
    pub fn response(self) -> Response {
        let status = match self {
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TimedOut(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        };
        text(status, format!("{self}\n"))
    }
}

impl From<BodyError> for Box<Response> {
    fn from(error: BodyError) -> Self {
        Self::new(error.response())
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge(limit_bytes) => {
                write!(out, "the body is too large; at most {limit_bytes} bytes")
            }
            Self::TimedOut(time) => {
                write!(out, "the body was not there after {} ms", time.as_millis())
            }
            Self::Broken => write!(out, "the body cannot be read"),
        }
    }
}

impl std::error::Error for BodyError {}

/// Reads a whole body of at most `limit_bytes` that is complete within `time`.
///
/// # Errors
/// See [`BodyError`]. What was read is lost.
pub async fn read_body(
    body: Incoming,
    limit_bytes: usize,
    time: Duration,
) -> Result<Bytes, BodyError> {
    let collected = timeout(time, Limited::new(body, limit_bytes).collect()).await;
    match collected.ok_or(BodyError::TimedOut(time))? {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge(limit_bytes)),
        Err(_) => Err(BodyError::Broken),
    }
}

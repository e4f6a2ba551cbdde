//! Answers.

use bytes::Bytes;
use futures_lite::stream::{Stream, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::StatusCode;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use serde::Serialize;
use std::io;

/// An answer.
pub type Response = hyper::Response<Body>;

/// The body of an answer, whole or in pieces as they come.
pub type Body = UnsyncBoxBody<Bytes, io::Error>;

/// An answer of bytes with a content type.
pub fn bytes(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    // Many answers quote a peer's text: no browser may take it for another type.
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// An answer of server-sent events, which goes on for as long as the stream does.
pub fn events(events: impl Stream<Item = Bytes> + Send + 'static) -> Response {
    let frames = events.map(|bytes| Ok(Frame::data(bytes)));
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// One server-sent event.
pub fn event(name: &str, data: &impl Serialize) -> Bytes {
    let mut event = Vec::new();
    append_event(&mut event, name, data);
    event.into()
}

/// Appends one server-sent event.
pub fn append_event(out: &mut Vec<u8>, name: &str, data: &impl Serialize) {
    out.extend_from_slice(format!("event: {name}\ndata: ").as_bytes());
    // Fails only for a map whose keys are not strings.
    let _ = serde_json::to_writer(&mut *out, data);
    out.extend_from_slice(b"\n\n");
}

/// The whole body of an answer, and its status. Empty if the body breaks off.
pub async fn whole(response: Response) -> (StatusCode, Bytes) {
    let status = response.status();
    let body = response.into_body().collect().await;
    (status, body.map(|body| body.to_bytes()).unwrap_or_default())
}

/// An answer with only a status.
pub fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Empty::new().map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// An answer in plain text.
pub fn text(status: StatusCode, body: impl Into<String>) -> Response {
    bytes(status, "text/plain; charset=utf-8", body.into())
}

/// An answer in JSON, indented for people.
pub fn json(status: StatusCode, value: &impl Serialize) -> Response {
    match serde_json::to_vec_pretty(value) {
        Ok(mut body) => {
            body.push(b'\n');
            bytes(status, "application/json", body)
        }
        Err(error) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format!("the answer cannot be written: {error}\n"),
        ),
    }
}

//! Server-sent events: the objects that a client gets over TCP, for a browser's `EventSource` and
//! for `curl -N`.

use super::feed::{Change, Feed, Link};
use super::gateway::Gateway;
use crate::codec::push::{Seen, ServerObject};
use crate::connection::outbox::WritingEnd;
use crate::diagnostics::ConnectionEntry;
use crate::http::{Body, Response};
use crate::limits::PUSH_EVENTS_PING_MS;
use crate::transport::{Filled, Source, WriteBuffer};
use async_io::Timer;
use bytes::Bytes;
use fanfare::{SubscribeError, Topic};
use futures_lite::stream;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// One stream of events: a feed, asked whenever the connection takes more.
struct Events {
    feed: Feed,
    buffer: WriteBuffer,
    /// One for the whole stream, set again when something was sent.
    quiet: Timer,
    is_over: bool,
    /// Counted as a connection of the gateway's while this lives.
    _entry: ConnectionEntry,
}

/// An answer that goes on as long as the client listens and the server runs.
pub(super) fn answer(
    gateway: &Arc<Gateway>,
    entry: ConnectionEntry,
    user: &str,
    groups: Vec<String>,
    topics: Vec<Topic>,
    seen: Option<Seen>,
) -> Result<Response, SubscribeError> {
    let link = Arc::new(Link::default());
    let feed = Feed::new(gateway, &link, entry.figures())?;
    entry.figures().set_user(user);
    link.say(&ServerObject::Hello { user: user.into(), groups });
    link.outbox.change(Change::Begin(topics, seen));
    // There is nobody who says anything: it ends when the broker has nothing more for it.
    link.outbox.end(WritingEnd::AfterMessages);
    let buffer = WriteBuffer::new(gateway.settings.writer.buffer_bytes);
    let mut quiet = Timer::never();
    quiet.set_after(Duration::from_millis(PUSH_EVENTS_PING_MS));
    let mut events = Events { feed, buffer, quiet, is_over: false, _entry: entry };
    let frames = stream::poll_fn(move |context| events.poll_next(context));
    let body: Body = StreamBody::new(frames).boxed_unsync();
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

impl Events {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.is_over =
            matches!(self.feed.poll_fill(context, &mut self.buffer), Poll::Ready(Filled::Ended));
        let lines = std::mem::take(self.buffer.bytes_mut());
        let mut events = Vec::with_capacity(lines.len() + lines.len() / 4);
        append_events(&mut events, &lines);
        if events.is_empty() && Pin::new(&mut self.quiet).poll(context).is_ready() {
            events.extend_from_slice(b": quiet\n\n");
        }
        if events.is_empty() {
            return if self.is_over { Poll::Ready(None) } else { Poll::Pending };
        }
        self.quiet.set_after(Duration::from_millis(PUSH_EVENTS_PING_MS));
        // Asked, so that the task is woken by it also if nobody asks for more.
        let _ = Pin::new(&mut self.quiet).poll(context);
        Poll::Ready(Some(Ok(Frame::data(events.into()))))
    }
}

/// Lines of objects as events. That of a push has its number as its id, which an `EventSource` says
/// when it comes back.
fn append_events(out: &mut Vec<u8>, lines: &[u8]) {
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        if let Some(rest) = line.strip_prefix(b"{\"push\":{\"n\":") {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            out.extend_from_slice(b"id: ");
            out.extend_from_slice(&rest[..digits]);
            out.push(b'\n');
        }
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(line);
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_is_an_event_with_its_number() {
        let mut out = Vec::new();
        append_events(
            &mut out,
            b"{\"hello\":{}}\n{\"push\":{\"n\":17,\"to\":\"all\"}}\n{\"push\":{\"to\":\"all\"}}\n",
        );
        let expected = [
            "data: {\"hello\":{}}\n\n",
            "id: 17\ndata: {\"push\":{\"n\":17,\"to\":\"all\"}}\n\n",
            "data: {\"push\":{\"to\":\"all\"}}\n\n",
        ];
        assert_eq!(String::from_utf8(out).unwrap(), expected.concat());
    }
}

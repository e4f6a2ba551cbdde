//! Server-sent events: the objects that a client gets over TCP, for a browser's `EventSource` and
//! for `curl -N`.

use super::gateway::Gateway;
use super::render::Framing;
use super::writer::{Change, ClientWriter, Link};
use crate::codec::push::{Seen, ServerObject};
use crate::codec::web_socket::{CloseCode, closing};
use crate::connection::outbound::Position;
use crate::diagnostics::ConnectionEntry;
use crate::http::{self, Call, Response};
use crate::limits::PUSH_EVENTS_PING_MS;
use crate::transport::{Filled, Source, WriteBuffer};
use async_io::Timer;
use bytes::Bytes;
use fanfare::{SubscribeError, Topic};
use futures_lite::stream;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// One stream of events. The connection asks its writer for more whenever it can take more.
struct Events {
    writer: ClientWriter,
    buffer: WriteBuffer,
    /// One timer for the whole stream, set again when something was sent.
    quiet: Timer,
    is_over: bool,
    /// Counts the stream as one of the gateway's connections while it lives.
    _entry: ConnectionEntry,
}

/// An answer that goes on for as long as the client listens and the server runs.
pub(super) fn answer(
    gateway: &Arc<Gateway>,
    (call, entry): (&Call, ConnectionEntry),
    user: &str,
    groups: Vec<String>,
    topics: Vec<Topic>,
    seen: Option<Seen>,
) -> Result<Response, SubscribeError> {
    let link = Arc::new(Link::new(Framing::Events));
    let writer = ClientWriter::new(gateway, &link, entry.figures())?;
    entry.figures().set_user(user);
    link.say(&ServerObject::Hello { user: user.into(), groups });
    link.queue.change(Position::default(), Change::Begin(topics, seen));
    // There is no reading half: the stream ends when the broker has nothing more for it.
    link.queue.close_after_messages();
    let left = link.clone();
    call.when_leaving(move || {
        left.say_goodbye(closing(CloseCode::Away, "the server is ending"));
        left.queue.close(Position::default());
    });
    let buffer = WriteBuffer::new(gateway.settings.writer.buffer_bytes);
    let mut quiet = Timer::never();
    quiet.set_after(Duration::from_millis(PUSH_EVENTS_PING_MS));
    let mut events = Events { writer, buffer, quiet, is_over: false, _entry: entry };
    Ok(http::events(stream::poll_fn(move |context| events.poll_next(context))))
}

impl Events {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        self.is_over =
            matches!(self.writer.poll_fill(context, &mut self.buffer), Poll::Ready(Filled::Ended));
        let mut events = std::mem::take(self.buffer.bytes_mut());
        if events.is_empty() && Pin::new(&mut self.quiet).poll(context).is_ready() {
            events.extend_from_slice(b": quiet\n\n");
        }
        if events.is_empty() {
            return if self.is_over { Poll::Ready(None) } else { Poll::Pending };
        }
        self.quiet.set_after(Duration::from_millis(PUSH_EVENTS_PING_MS));
        // Polled here, so that the timer wakes the task even if nobody asks for more.
        let _ = Pin::new(&mut self.quiet).poll(context);
        Poll::Ready(Some(events.into()))
    }
}

//! One connection from its first byte to its last: a reading and a writing half side by side.
//!
//! Two halves, so that a publish that waits for a full queue, even the publisher's own, never keeps
//! the publisher from being written to, and two clients that wait for each other both make
//! progress.

use super::outbound::{OutboundQueue, Position, Request};
use super::shutdown::{CloseCount, Shutdown};
use crate::diagnostics::{ConnectionEntry, Ended};
use crate::transport::{Connection, Outcome, Reader, Source, WriterSettings, write_all_from};
use bytes::BytesMut;
use futures_lite::future;
use std::future::{Future, pending, ready};
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

/// Whether a connection continues. `Break` ends it for that reason.
pub(crate) type Flow = ControlFlow<Ended>;

/// A protocol's reading half: handles a client's bytes, which [`drive`] reads.
pub(crate) trait ReadHalf: Send {
    /// A change of what the writing half sends.
    type Change: Send;

    /// Splits what the client sends into operations.
    type Decoder: Send;

    /// The decoder for this client.
    fn decoder(&self) -> Self::Decoder;

    /// Greets the client, before anything is read.
    fn begin(&mut self, _decoder: &mut Self::Decoder) -> impl Future<Output = Flow> + Send {
        ready(ControlFlow::Continue(()))
    }

    /// Does everything in `received`, and leaves what is incomplete. `at_end`: no more will come.
    fn take(
        &mut self,
        decoder: &mut Self::Decoder,
        received: &mut BytesMut,
        at_end: bool,
    ) -> impl Future<Output = Flow> + Send;

    /// Tells the client that the server will stop, if the protocol has words for that.
    fn say_prepare(&mut self) {}

    /// The settings have changed: sees whether the client may still do what it does.
    fn review(&mut self) -> impl Future<Output = Flow> + Send {
        ready(ControlFlow::Continue(()))
    }

    /// Queues the last words to a client that the server disconnects.
    fn say_goodbye(&mut self) {}

    /// The position of the end among the messages.
    fn end_position(&self) -> Position {
        Position::default()
    }

    /// Tells other clients, while what is queued goes out.
    fn leave(&mut self) -> impl Future<Output = ()> + Send {
        ready(())
    }
}

/// A protocol's writing half: renders what a client is sent.
pub(crate) trait WriteHalf: Source + Send {
    /// Why it ended, if it ended by itself.
    fn end_reason(&self) -> Option<Ended> {
        None
    }
}

/// Why reading ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadEnd {
    PeerClosed,
    /// The client asked for it, or a mistake or a limit left no other way.
    Over(Ended),
    Requested(Request),
}

enum FirstEnd {
    Reading(io::Result<ReadEnd>),
    Writing(Outcome),
}

/// Drives both halves until the connection has ended, closes it, and returns the reason.
pub(crate) fn drive<'c, R, W>(
    shutdown: &'c Arc<Shutdown>,
    (connection, mut entry): (Connection, ConnectionEntry),
    queue: &'c OutboundQueue<R::Change>,
    (mut read_half, mut write_half): (R, W),
    settings: WriterSettings,
) -> impl Future<Output = Ended> + Send + 'c
where
    R: ReadHalf + 'c,
    W: WriteHalf + 'c,
{
    async move {
        let count = CloseCount::new(shutdown, &connection);
        let mut writing = Box::pin(write_all_from(&mut write_half, &connection, settings));
        let first = {
            let stopping = async {
                let mut has_heard = false;
                loop {
                    let request = shutdown.asks(has_heard).await;
                    has_heard = true;
                    queue.request(request);
                    if request != Request::Prepare {
                        return pending().await;
                    }
                }
            };
            let reading =
                async { FirstEnd::Reading(read_all(&mut read_half, queue, &connection).await) };
            let writing = async { FirstEnd::Writing((&mut writing).await) };
            future::or(stopping, future::or(reading, writing)).await
        };
        let (outcome, read_end) = match first {
            FirstEnd::Reading(end) => {
                match end {
                    Ok(ReadEnd::Requested(Request::Stop)) => queue.close_after_messages(),
                    Ok(_) => queue.close(read_half.end_position()),
                    Err(_) => queue.close(Position::default()),
                }
                let ((), outcome) = future::zip(read_half.leave(), &mut writing).await;
                (outcome, Some(end))
            }
            // Also after the last words to a client that is slow or not admitted.
            FirstEnd::Writing(outcome) => {
                read_half.leave().await;
                (outcome, None)
            }
        };
        drop(writing);
        let has_unwritten = connection.traffic().unwritten_bytes() > 0;
        let reason = match reason(read_end.as_ref(), &outcome, write_half.end_reason()) {
            Ended::Broken if has_unwritten && is_time_out(read_end.as_ref(), &outcome) => {
                Ended::Stuck
            }
            reason => reason,
        };
        // Nothing is kept for a client that has left: neither queues nor subscriptions.
        drop(write_half);
        drop(read_half);
        entry.ended(reason);
        let lingers = !matches!(read_end, Some(Err(_) | Ok(ReadEnd::PeerClosed)));
        count.close(&outcome, lingers).await;
        reason
    }
}

/// Reads until one side wants to end it.
async fn read_all<R: ReadHalf>(
    half: &mut R,
    queue: &OutboundQueue<R::Change>,
    connection: &Connection,
) -> io::Result<ReadEnd> {
    let mut decoder = half.decoder();
    // Boxed, so that a quiet connection takes no memory for what a busy one does.
    if let ControlFlow::Break(reason) = Box::pin(half.begin(&mut decoder)).await {
        return Ok(ReadEnd::Over(reason));
    }
    let mut reader = Reader::new(connection.clone());
    loop {
        let read = async {
            queue.has_room().await;
            reader.read_more().await.map(Ok)
        };
        let requested = async { Ok(Err(queue.requested().await)) };
        let at_end = match future::or(requested, read).await? {
            Ok(bytes) => bytes == 0,
            Err(Request::Prepare) => {
                half.say_prepare();
                continue;
            }
            Err(Request::Review) => {
                if let ControlFlow::Break(reason) = Box::pin(half.review()).await {
                    return Ok(ReadEnd::Over(reason));
                }
                continue;
            }
            Err(request) => {
                half.say_goodbye();
                return Ok(ReadEnd::Requested(request));
            }
        };
        queue.begin_turn();
        let took = Box::pin(half.take(&mut decoder, reader.buffer_mut(), at_end)).await;
        if let ControlFlow::Break(reason) = took {
            return Ok(ReadEnd::Over(reason));
        }
        if at_end {
            return Ok(ReadEnd::PeerClosed);
        }
    }
}

/// Why a connection ended, judged from both halves. A client that did not take the last words is
/// stuck, whatever it did before.
fn reason(reading: Option<&io::Result<ReadEnd>>, writing: &Outcome, own: Option<Ended>) -> Ended {
    match (writing, reading) {
        (Outcome::Stuck, _) => Ended::Stuck,
        (Outcome::Quiet, _) => Ended::Quiet,
        (_, Some(Ok(ReadEnd::PeerClosed))) => Ended::PeerClosed,
        (Outcome::Broken(_), _) | (_, Some(Err(_))) => Ended::Broken,
        (Outcome::Finished, Some(Ok(ReadEnd::Over(reason)))) => *reason,
        (Outcome::Finished, Some(Ok(ReadEnd::Requested(_)))) => Ended::ServerStopped,
        (Outcome::Finished, None) => own.unwrap_or(Ended::ServerStopped),
    }
}

/// Whether the kernel gave up on the peer: its machine is gone, or its receive window stayed
/// closed. If bytes wait for it, that is a write time-out.
fn is_time_out(reading: Option<&io::Result<ReadEnd>>, writing: &Outcome) -> bool {
    let is_one = |error: &io::Error| error.kind() == io::ErrorKind::TimedOut;
    matches!(reading, Some(Err(error)) if is_one(error))
        || matches!(writing, Outcome::Broken(error) if is_one(error))
}

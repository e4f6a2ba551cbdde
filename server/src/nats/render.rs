//! Messages as a client is sent them: shared bytes where many are sent the same, copies where that
//! is cheaper.

use crate::codec::nats::{Block, Outgoing, append_message, append_message_with_header};
use crate::limits::NATS_SHARED_BYTES_MIN;
use crate::message::ServerMessage;
use crate::transport::WriteBuffer;
use fanfare::{Batch, Topic};
use std::sync::Arc;

/// The header that tells how many messages were lost before the one that has it.
pub const MISSED_HEADER: &str = "Fanfare-Missed";

/// For whom messages are rendered.
pub(super) struct Reader<'a> {
    pub sid: &'a [u8],
    pub with_headers: bool,
    /// Messages that were lost and not told yet.
    pub missed: &'a mut u64,
}

/// Renders messages of `run` from that of number `from` on, at most so many, or until `out` is
/// full: how many were rendered.
pub(super) fn render_run(
    run: &Batch<ServerMessage>,
    from: usize,
    at_most: usize,
    reader: Reader<'_>,
    out: &mut WriteBuffer,
) -> usize {
    let mut rendered = 0;
    let mut entries = run.entries().skip(from).take(at_most).peekable();
    while !out.is_full() {
        let Some((message, reply_to)) = entries.next() else { break };
        rendered += 1;
        if *reader.missed > 0 && reader.with_headers {
            let outgoing = outgoing(message, run.topic(), reply_to);
            append_message_with_header(
                out.bytes_mut(),
                &outgoing,
                reader.sid,
                MISSED_HEADER,
                *reader.missed,
            );
            *reader.missed = 0;
            continue;
        }
        let shared = message.content.block().and_then(|(block, index)| {
            block.rendered(reader.sid, reader.with_headers).map(|shared| (block, index, shared))
        });
        let Some((block, index, shared)) = shared else {
            append_message(
                out.bytes_mut(),
                &outgoing(message, run.topic(), reply_to),
                reader.sid,
                reader.with_headers,
            );
            continue;
        };
        let mut end = index + 1;
        while entries.next_if(|(next, _)| is_message_of(next, block, end)).is_some() {
            end += 1;
        }
        rendered += end - index - 1;
        let bytes = shared.messages(index..end);
        if bytes.len() >= NATS_SHARED_BYTES_MIN {
            out.push_shared(bytes);
        } else {
            out.bytes_mut().extend_from_slice(&bytes);
        }
    }
    rendered
}

fn is_message_of(message: &ServerMessage, block: &Arc<Block>, index: usize) -> bool {
    message.content.block().is_some_and(|(other, at)| at == index && Arc::ptr_eq(other, block))
}

/// A message that came in by NATS as it came; another with what it has.
fn outgoing<'a>(
    message: &'a ServerMessage,
    topic: &'a Topic,
    reply_to: Option<&'a Topic>,
) -> Outgoing<'a> {
    match message.content.block() {
        Some((block, index)) => block.outgoing(index),
        None => Outgoing {
            subject: topic.as_str().as_bytes(),
            reply_to: reply_to.map(|topic| topic.as_str().as_bytes()),
            headers: message.content.raw_headers(),
            payload: message.payload(),
            sizes_as_written: None,
        },
    }
}

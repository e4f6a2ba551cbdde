//! Messages as a client is sent them: shared bytes where many are sent the same, copies where that
//! is cheaper.

use crate::codec::nats::headers::append_with;
use crate::codec::nats::{Outgoing, append_message, append_message_with_header};
use crate::limits::NATS_SHARED_BYTES_MIN;
use crate::message::{ServerMessage, in_a_row};
use crate::transport::WriteBuffer;
use fanfare::Batch;

/// The header that tells how many messages were lost before the one that has it; with a `+`, at
/// least as many, because the link to a cluster was down.
pub const MISSED_HEADER: &str = "Fanfare-Missed";

/// The header that carries what the push gateway says of a push. It is only ever written: what a
/// client sends under this name passes through like any other header, and means nothing here.
pub const PUSH_HEADER: &str = "Fanfare-Push";

/// The client that messages are rendered for.
pub(super) struct Recipient<'a> {
    pub sid: &'a [u8],
    pub with_headers: bool,
    /// Messages that were lost and not told yet.
    pub missed: &'a mut Missing,
}

/// Messages that were lost and not told yet.
#[derive(Default)]
pub(super) struct Missing {
    pub count: u64,
    /// And perhaps more; nobody knows how many.
    pub is_interrupted: bool,
}

impl Missing {
    /// Adds a gap; 0 is one of unknown size.
    pub fn add(&mut self, missed: u64) {
        self.count += missed;
        self.is_interrupted |= missed == 0;
    }

    fn is_any(&self) -> bool {
        self.count > 0 || self.is_interrupted
    }
}

/// Renders up to this many messages of `batch`, from index `from` on, until `out` is full. Returns
/// how many were rendered, and how many bytes of headers and payloads they have.
pub(super) fn render_batch(
    batch: &Batch<ServerMessage>,
    from: usize,
    at_most: usize,
    mut recipient: Recipient<'_>,
    out: &mut WriteBuffer,
) -> (usize, usize) {
    let end = batch.len().min(from.saturating_add(at_most));
    let (mut at, mut body_bytes) = (from, 0);
    while at < end && !out.is_full() {
        let Some(message) = batch.payload(at) else { break };
        let is_missed_told = recipient.missed.is_any() && recipient.with_headers;
        let shared =
            message.content.block().filter(|_| !is_missed_told).and_then(|(block, index)| {
                block
                    .rendered(recipient.sid, recipient.with_headers)
                    .map(|shared| (block, index, shared))
            });
        let Some((block, index, shared)) = shared else {
            let mut header = Vec::new();
            let Some(outgoing) = outgoing(batch, at, &mut header) else { break };
            body_bytes += append_outgoing(out.bytes_mut(), &outgoing, &mut recipient);
            at += 1;
            continue;
        };
        let count = in_a_row(batch, at..end, (block, index));
        at += count;
        let bytes = shared.messages(index..index + count);
        body_bytes += shared.body_bytes(index..index + count);
        if bytes.len() >= NATS_SHARED_BYTES_MIN {
            out.push_shared(bytes);
        } else {
            out.bytes_mut().extend_from_slice(&bytes);
        }
    }
    (at - from, body_bytes)
}

/// A message of a batch: one that came in by NATS as it came, another with what it has. `header`
/// has room for the latter's.
pub(super) fn outgoing<'m>(
    batch: &'m Batch<ServerMessage>,
    index: usize,
    header: &'m mut Vec<u8>,
) -> Option<Outgoing<'m>> {
    header.clear();
    let message = batch.payload(index)?;
    if let Some(push) = &message.push {
        append_with(header, b"", PUSH_HEADER, push.to_string().as_bytes());
    }
    if let Some((block, index)) = message.content.block() {
        return Some(block.outgoing(index));
    }
    // Not asked before: a block would make topics of all its reply subjects.
    let (_, reply_to) = batch.entry(index)?;
    Some(Outgoing {
        subject: batch.topic_of(index)?.as_str().as_bytes(),
        reply_to: reply_to.map(|topic| topic.as_str().as_bytes()),
        headers: header,
        payload: message.payload(),
        sizes_as_written: None,
    })
}

/// Appends a message, and in it how many are missing before it. Gives what its headers and its
/// payload take.
pub(super) fn append_outgoing(
    out: &mut Vec<u8>,
    outgoing: &Outgoing<'_>,
    recipient: &mut Recipient<'_>,
) -> usize {
    if recipient.missed.is_any() && recipient.with_headers {
        let Missing { count, is_interrupted } = std::mem::take(recipient.missed);
        let missed = format!("{count}{}", if is_interrupted { "+" } else { "" });
        append_message_with_header(out, outgoing, recipient.sid, MISSED_HEADER, &missed);
    } else {
        append_message(out, outgoing, recipient.sid, recipient.with_headers);
    }
    let header_bytes = if recipient.with_headers { outgoing.headers.len() } else { 0 };
    header_bytes + outgoing.payload.len()
}

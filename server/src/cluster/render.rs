//! Renders messages for a hub, with numbers on topics that servers number.

use super::sequence::Numbers;
use super::session::Terms;
use crate::codec::nats::{Outgoing, Stamp, append_stamped, append_to_hub};
use crate::limits::CLUSTER_LINE_BYTES;
use crate::message::{ServerMessage, in_a_row};
use crate::transport::WriteBuffer;
use fanfare::{Batch, Groups, Topic};

/// A batch on its way to the hub.
pub(super) struct Leaving {
    pub batch: Batch<ServerMessage>,
    /// The groups whose members elsewhere are to get each message.
    pub groups: Groups,
    /// How many messages were rendered, or skipped as too large for the hub.
    pub done: usize,
}

impl Leaving {
    /// How many messages have not been rendered yet.
    pub fn rest(&self) -> usize {
        self.batch.len() - self.done
    }

    /// Renders messages until the buffer is full. Returns how many are too large for the hub, which
    /// would close the link. `numbering`: our name in the cluster, and our numbers.
    pub fn render(
        &mut self,
        terms: &Terms,
        numbering: Option<(&str, &mut Numbers)>,
        out: &mut WriteBuffer,
    ) -> usize {
        self.reserve(out);
        let topic = self.batch.topic().clone();
        let mut numbers = numbering.map(|(sender, numbers)| (sender, numbers.on(&topic)));
        let (mut headers, mut too_large) = (Vec::new(), 0);
        while self.rest() > 0 && !out.is_full() {
            if numbers.is_none() && self.append_row(terms, out) {
                continue;
            }
            let Some((message, reply_to)) = self.batch.entry(self.done) else { break };
            let mut outgoing = outgoing(message, &topic, reply_to);
            if let Some((sender, (run, last))) = &mut numbers {
                **last += 1;
                headers.clear();
                let stamp = Stamp { sender, run: *run, number: **last };
                append_stamped(&mut headers, outgoing.headers, &stamp);
                outgoing.headers = &headers;
            }
            if !terms.with_headers {
                outgoing.headers = &[];
            }
            let body_bytes = outgoing.headers.len() + outgoing.payload.len();
            match fits(terms, body_bytes, self.words_bytes(&outgoing)) {
                true => append_to_hub(out.bytes_mut(), &outgoing, self.groups.names()),
                false => too_large += 1,
            }
            self.done += 1;
        }
        too_large
    }

    /// Appends the next messages of the batch that lie in one block, in one go. Returns false, and
    /// does nothing, if they must be examined one by one.
    fn append_row(&mut self, terms: &Terms, out: &mut WriteBuffer) -> bool {
        let Some((message, reply_to)) = self.batch.entry(self.done) else { return false };
        let Some((block, index)) = message.content.block() else { return false };
        let words_bytes = self.words_bytes(&outgoing(message, self.batch.topic(), reply_to));
        if !block.is_plain() || !fits(terms, block.region_bytes(), words_bytes) {
            return false;
        }
        let count = in_a_row(&self.batch, self.done..self.batch.len(), (block, index));
        block.append(index..index + count, out.bytes_mut(), |out, outgoing| {
            append_to_hub(out, outgoing, self.groups.names());
        });
        self.done += count;
        true
    }

    /// Makes room for the rest of the batch: growing by doubling costs more than rendering.
    fn reserve(&self, out: &mut WriteBuffer) {
        let Some((first, reply_to)) = self.batch.entry(self.done) else { return };
        let first = outgoing(first, self.batch.topic(), reply_to);
        // The verb, the sizes and the line ends take up to 32 bytes.
        let body_bytes = first.headers.len() + first.payload.len();
        let each_bytes = 32 + self.words_bytes(&first) + body_bytes;
        let room_bytes = out.room_bytes();
        let needed_bytes = (each_bytes * self.rest()).min(room_bytes);
        let bytes = out.bytes_mut();
        if bytes.capacity() - bytes.len() < needed_bytes {
            // A batch mostly comes alone; after a second one there are usually more.
            bytes.reserve(if bytes.is_empty() { needed_bytes } else { room_bytes });
        }
    }

    /// The words of a message's control line, without verb and sizes.
    fn words_bytes(&self, message: &Outgoing<'_>) -> usize {
        message.subject.len()
            + message.reply_to.map_or(0, <[u8]>::len)
            + self.groups.names().map(|name| name.len() + 1).sum::<usize>()
    }
}

fn outgoing<'m>(
    message: &'m ServerMessage,
    topic: &'m Topic,
    reply_to: Option<&'m Topic>,
) -> Outgoing<'m> {
    match message.content.block() {
        Some((block, index)) => block.outgoing(index),
        None => Outgoing {
            subject: topic.as_str().as_bytes(),
            reply_to: reply_to.map(|topic| topic.as_str().as_bytes()),
            headers: &[],
            payload: message.payload(),
            sizes_as_written: None,
        },
    }
}

/// Whether the hub accepts a message of this size.
fn fits(terms: &Terms, body_bytes: usize, words_bytes: usize) -> bool {
    let most = if terms.max_payload_bytes == 0 { usize::MAX } else { terms.max_payload_bytes };
    body_bytes <= most && words_bytes <= CLUSTER_LINE_BYTES
}

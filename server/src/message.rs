//! The one message type of the server, whatever protocol a message came in by.

use crate::codec::nats::Block;
use crate::time::Timestamp;
use bytes::Bytes;
use fanfare::{Batch, Payload, Topic};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A message between front-ends. A clone shares everything with its original.
///
/// A front-end without senders, kinds or pushes fills in the content alone. The others can show
/// that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerMessage {
    /// The payload, and the headers from its publisher.
    pub content: Content,
    /// The sender's name, for people. `None` where the protocol has no names.
    pub sender: Option<Arc<str>>,
    /// How to show the message.
    pub kind: Kind,
    /// When it came in.
    pub time: Timestamp,
    /// The push gateway's header. `None` if the message came another way: no header from a
    /// publisher is taken for this.
    pub push: Option<Arc<PushHeader>>,
}

/// How to show a message to people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Somebody said it.
    #[default]
    Said,
    /// Somebody does it: `/me waves`.
    Action,
    /// The server reports it: somebody came, left, or changed a name. Not kept in a history.
    Notice,
    /// The server reports, in a history, that lines are missing there.
    Gap,
}

/// The push gateway's header of a push. Each protocol renders it in its own way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushHeader {
    /// The push's number. A later push has a larger one, also after a restart.
    pub number: u64,
    /// When the push expires, in milliseconds since 1970. `None`: it is not kept for clients that
    /// are away.
    pub expires_ms: Option<u64>,
    /// Whether clients are asked to acknowledge it.
    pub wants_ack: bool,
    /// The id that its sender gave it, or its number.
    pub id: Box<str>,
}

impl PushHeader {
    /// Whether the push is too old to be delivered.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms)
    }
}

/// The header as one line of text: `NUMBER EXPIRES ACK ID`. `EXPIRES` is 0 if the push is not kept,
/// `ACK` is `ack` or `-`.
impl fmt::Display for PushHeader {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ack = if self.wants_ack { "ack" } else { "-" };
        write!(out, "{} {} {ack} {}", self.number, self.expires_ms.unwrap_or(0), self.id)
    }
}

/// A payload and its headers: bytes of its own, or one message of a block that came in by NATS.
///
/// Headers stay in the form that they have on NATS's wire, so they pass through byte for byte.
#[derive(Clone)]
pub struct Content(Source);

#[derive(Clone)]
enum Source {
    Own(Bytes),
    Block { block: Arc<Block>, index: u32 },
}

impl ServerMessage {
    /// A message without a sender.
    pub fn of(content: impl Into<Content>) -> Self {
        Self { content: content.into(), ..Self::default() }
    }

    /// Some messages of a block, in their order.
    pub fn of_block(
        block: &Arc<Block>,
        messages: Range<usize>,
        time: Timestamp,
    ) -> impl ExactSizeIterator<Item = Self> {
        // All fields are named: a message that is put together from another costs a copy more.
        messages.map(move |index| Self {
            content: Content(Source::Block { block: block.clone(), index: index as u32 }),
            sender: None,
            kind: Kind::Said,
            time,
            push: None,
        })
    }

    /// The payload, which chat takes for text and other protocols for any bytes.
    pub fn payload(&self) -> &[u8] {
        self.content.payload()
    }
}

/// How many messages of a batch, from the start of `range` on, are those of a block from `index`
/// on.
pub fn in_a_row(
    batch: &Batch<ServerMessage>,
    range: Range<usize>,
    (block, index): (&Arc<Block>, usize),
) -> usize {
    let is_last_of = |count: &usize| {
        let last = batch.payload(range.start + count - 1);
        last.is_some_and(|message| is_message_of(message, block, index + count - 1))
    };
    // Each is published once, and in order: where the last is in its place, so are all before it.
    let most = range.len().min(block.len() - index);
    if is_last_of(&most) { most } else { 1 + (2..most).take_while(is_last_of).count() }
}

fn is_message_of(message: &ServerMessage, block: &Arc<Block>, index: usize) -> bool {
    message.content.block().is_some_and(|(other, at)| at == index && Arc::ptr_eq(other, block))
}

impl Content {
    /// The payload, without headers.
    pub fn payload(&self) -> &[u8] {
        match &self.0 {
            Source::Own(payload) => payload,
            Source::Block { block, index } => block.payload(*index as usize),
        }
    }

    /// The payload, shared with the message.
    pub fn payload_bytes(&self) -> Bytes {
        match &self.0 {
            Source::Own(payload) => payload.clone(),
            Source::Block { block, index } => block.payload_bytes(*index as usize),
        }
    }

    /// The headers as they are on NATS's wire; empty if there are none.
    pub fn raw_headers(&self) -> &[u8] {
        match &self.0 {
            Source::Own(_) => &[],
            Source::Block { block, index } => block.headers(*index as usize),
        }
    }

    /// The block it is a message of, if it came in by NATS, and which.
    pub fn block(&self) -> Option<(&Arc<Block>, usize)> {
        match &self.0 {
            Source::Own(_) => None,
            Source::Block { block, index } => Some((block, *index as usize)),
        }
    }

    /// The memory that the message keeps alive.
    fn weight_bytes(&self) -> usize {
        match &self.0 {
            Source::Own(payload) => payload.len(),
            Source::Block { block, index } => block.weight_bytes(*index as usize),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Content {
    /// A payload without headers.
    fn from(payload: T) -> Self {
        Self(Source::Own(payload.into()))
    }
}

impl Default for Content {
    /// An empty payload.
    fn default() -> Self {
        Self::from(Bytes::new())
    }
}

impl PartialEq for Content {
    /// Whether payload and headers are the same, wherever they came from.
    fn eq(&self, other: &Self) -> bool {
        self.payload() == other.payload() && self.raw_headers() == other.raw_headers()
    }
}

impl Eq for Content {}

impl fmt::Debug for Content {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (headers, payload) = (self.raw_headers().escape_ascii(), self.payload().escape_ascii());
        write!(out, "Content {{ headers: \"{headers}\", payload: \"{payload}\" }}")
    }
}

impl Payload for ServerMessage {
    fn weight_bytes(&self) -> usize {
        let push_bytes =
            self.push.as_ref().map_or(0, |push| size_of::<PushHeader>() + push.id.len());
        size_of::<Self>() + push_bytes + self.content.weight_bytes()
    }

    fn is_kept_in_history(&self) -> bool {
        self.kind != Kind::Notice
    }

    fn reply_to(&self) -> Option<&Topic> {
        self.content.block().and_then(|(block, index)| block.reply_topic(index))
    }
}

// Every slot of the broker's frames has room for one.
const _: () = assert!(size_of::<ServerMessage>() <= 64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::nats::{Operation, Parser, ParserLimits};

    fn push(expires_ms: Option<u64>, wants_ack: bool) -> PushHeader {
        PushHeader { number: 7, expires_ms, wants_ack, id: "o-17".into() }
    }

    #[test]
    fn the_weight_counts_what_a_message_holds() {
        let bare = ServerMessage::of("12345");
        assert_eq!(bare.weight_bytes(), size_of::<ServerMessage>() + 5);
        assert_eq!(
            (bare.payload(), &bare.content.payload_bytes()[..]),
            (&b"12345"[..], &b"12345"[..])
        );
        let pushed = ServerMessage { push: Some(push(None, false).into()), ..bare.clone() };
        assert_eq!(pushed.weight_bytes(), bare.weight_bytes() + size_of::<PushHeader>() + 4);
    }

    #[test]
    fn messages_of_a_block_are_like_others() {
        let mut parser = Parser::new(ParserLimits::default());
        parser.allow_headers(true);
        let headers = "NATS/1.0\r\nName: value\r\n\r\n";
        let (header_bytes, total_bytes) = (headers.len(), headers.len() + 2);
        let text =
            format!("PUB a 5\r\n12345\r\nHPUB a {header_bytes} {total_bytes}\r\n{headers}hi\r\n");
        let Ok(Some(Operation::Publish(block))) = parser.next(&mut text.as_bytes().into()) else {
            panic!("a block")
        };
        let block = Arc::new(block);
        let some = |range| ServerMessage::of_block(&block, range, Timestamp::UNKNOWN);
        let messages: Vec<_> = some(0..2).collect();
        assert_eq!(messages[0], ServerMessage::of("12345"));
        assert_ne!(messages[1], ServerMessage::of("hi"), "it has headers");
        assert_eq!(messages[1].content.raw_headers(), headers.as_bytes());
        assert_eq!(messages[1].content.payload_bytes(), "hi");
        assert_eq!(some(1..2).collect::<Vec<_>>(), messages[1..]);
        assert_eq!(messages[0].weight_bytes(), size_of::<ServerMessage>() + block.weight_bytes(0));
        assert!(
            messages[1]
                .content
                .block()
                .is_some_and(|(of, index)| Arc::ptr_eq(of, &block) && index == 1)
        );
        assert!(ServerMessage::of("12345").content.block().is_none());
    }

    #[test]
    fn a_push_header_is_a_line_of_text() {
        assert_eq!(push(Some(1000), true).to_string(), "7 1000 ack o-17");
        assert_eq!(push(None, false).to_string(), "7 0 - o-17");
    }

    #[test]
    fn a_push_expires_when_its_time_has_come() {
        let push_of_1000 = push(Some(1000), false);
        assert!(!push_of_1000.is_expired(999) && push_of_1000.is_expired(1000));
        assert!(!push(None, false).is_expired(u64::MAX));
    }

    #[test]
    fn notices_are_not_kept() {
        assert!(ServerMessage::of("said").is_kept_in_history());
        assert!(
            !ServerMessage { kind: Kind::Notice, ..ServerMessage::of("came") }.is_kept_in_history()
        );
    }
}

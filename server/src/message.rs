//! The one message type of the server, whatever protocol a message came in by.

use crate::codec::nats::{Block, headers};
use bytes::Bytes;
use fanfare::Payload;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A message between front-ends. Cloning shares everything.
///
/// A front-end that knows nothing of senders or kinds fills in the content alone; the others show
/// that sensibly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerMessage {
    /// The payload, and what its publisher said about it.
    pub content: Content,
    /// Who said it, for people to read. None where a protocol has no names.
    pub sender: Option<Arc<str>>,
    /// How to show it.
    pub kind: Kind,
}

/// How a message is to be shown to people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Somebody said it.
    #[default]
    Said,
    /// Somebody does it: `/me waves`.
    Action,
    /// The server reports it: somebody came, left, or changed a name. Not kept in a history.
    Notice,
}

/// A payload and its headers: bytes of its own, or one message of a block that came in by NATS.
///
/// Headers are kept in the form that they have on the wire of NATS, so that they pass through byte
/// for byte and cost nothing until somebody looks.
#[derive(Clone)]
pub struct Content(Source);

#[derive(Clone)]
enum Source {
    /// A block of headers, perhaps empty, and then the payload.
    Own {
        body: Bytes,
        header_bytes: u32,
    },
    Block {
        block: Arc<Block>,
        index: u32,
    },
}

impl ServerMessage {
    /// A message of nobody in particular.
    pub fn of(content: impl Into<Content>) -> Self {
        Self { content: content.into(), ..Self::default() }
    }

    /// The messages of a block, in their order. Passing over some costs nothing.
    pub fn of_block(block: &Arc<Block>) -> impl ExactSizeIterator<Item = Self> {
        MessagesOf { block, indexes: 0..block.len() as u32 }
    }

    /// The payload. Chat takes it for text; others for any bytes.
    pub fn payload(&self) -> &[u8] {
        self.content.payload()
    }
}

struct MessagesOf<'b> {
    block: &'b Arc<Block>,
    indexes: Range<u32>,
}

impl Iterator for MessagesOf<'_> {
    type Item = ServerMessage;

    fn next(&mut self) -> Option<ServerMessage> {
        self.nth(0)
    }

    fn nth(&mut self, passed_over: usize) -> Option<ServerMessage> {
        let index = self.indexes.nth(passed_over)?;
        let content = Content(Source::Block { block: self.block.clone(), index });
        Some(ServerMessage { content, sender: None, kind: Kind::Said })
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.indexes.size_hint()
    }
}

impl ExactSizeIterator for MessagesOf<'_> {}

impl Content {
    /// A payload with headers, in the order given. A name may occur more than once.
    ///
    /// # Errors
    /// [`HeaderError`](headers::HeaderError) if a name or a value cannot be one.
    pub fn with_headers<'a>(
        entries: impl IntoIterator<Item = (&'a str, &'a str)>,
        payload: &[u8],
    ) -> Result<Self, headers::HeaderError> {
        let mut body = Vec::new();
        headers::append(&mut body, entries)?;
        let header_bytes = body.len() as u32;
        body.extend_from_slice(payload);
        Ok(Self(Source::Own { body: body.into(), header_bytes }))
    }

    /// The payload, without headers.
    pub fn payload(&self) -> &[u8] {
        match &self.0 {
            Source::Own { body, header_bytes } => &body[*header_bytes as usize..],
            Source::Block { block, index } => block.payload(*index as usize),
        }
    }

    /// The payload, shared with the message.
    pub fn payload_bytes(&self) -> Bytes {
        match &self.0 {
            Source::Own { body, header_bytes } => body.slice(*header_bytes as usize..),
            Source::Block { block, index } => block.payload_bytes(*index as usize),
        }
    }

    /// The headers as they are on the wire of NATS; empty if there are none. Look into them with
    /// [`headers::iter`].
    pub fn raw_headers(&self) -> &[u8] {
        match &self.0 {
            Source::Own { body, header_bytes } => &body[..*header_bytes as usize],
            Source::Block { block, index } => block.headers(*index as usize),
        }
    }

    /// The first value of the header of that name, compared without regard to ASCII case.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut entries = headers::iter(self.raw_headers());
        entries.find(|(candidate, _)| candidate.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The block it is a message of, if it came in by NATS, and which.
    pub fn block(&self) -> Option<(&Arc<Block>, usize)> {
        match &self.0 {
            Source::Own { .. } => None,
            Source::Block { block, index } => Some((block, *index as usize)),
        }
    }

    /// What it keeps alive.
    fn weight_bytes(&self) -> usize {
        match &self.0 {
            Source::Own { body, .. } => body.len(),
            Source::Block { block, index } => block.weight_bytes(*index as usize),
        }
    }
}

impl<T: Into<Bytes>> From<T> for Content {
    /// A payload without headers.
    fn from(payload: T) -> Self {
        Self(Source::Own { body: payload.into(), header_bytes: 0 })
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
        size_of::<Self>() + self.content.weight_bytes()
    }

    fn is_kept_in_history(&self) -> bool {
        self.kind != Kind::Notice
    }
}

// Every slot of the broker's frames has room for one.
const _: () = assert!(size_of::<ServerMessage>() <= 64);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::nats::{Operation, Parser, ParserLimits};

    #[test]
    fn the_weight_counts_what_a_message_holds() {
        let bare = ServerMessage::of("12345");
        assert_eq!(bare.weight_bytes(), size_of::<ServerMessage>() + 5);
        let content = Content::with_headers([("Name", "value")], b"12345").unwrap();
        assert_eq!(content.raw_headers(), b"NATS/1.0\r\nName: value\r\n\r\n");
        assert_eq!((content.header("name"), content.header("other")), (Some("value"), None));
        assert_eq!(
            (content.payload(), &content.payload_bytes()[..]),
            (&b"12345"[..], &b"12345"[..])
        );
        let with_headers = ServerMessage::of(content.clone());
        assert_eq!(with_headers.weight_bytes(), bare.weight_bytes() + content.raw_headers().len());
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
        let messages: Vec<_> = ServerMessage::of_block(&block).collect();
        let with_headers = Content::with_headers([("Name", "value")], b"hi").unwrap();
        assert_eq!(messages, [ServerMessage::of("12345"), ServerMessage::of(with_headers)]);
        assert_eq!(ServerMessage::of_block(&block).skip(1).collect::<Vec<_>>(), messages[1..]);
        assert_eq!(ServerMessage::of_block(&block).len(), 2);
        assert_eq!(messages[1].content.payload_bytes(), "hi");
        assert_eq!(messages[1].content.header("NAME"), Some("value"));
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
    fn what_can_be_no_header_is_refused() {
        assert!(Content::with_headers([("Name", "two\r\nlines")], b"").is_err());
    }

    #[test]
    fn notices_are_not_kept() {
        assert!(ServerMessage::of("said").is_kept_in_history());
        assert!(
            !ServerMessage { kind: Kind::Notice, ..ServerMessage::of("came") }.is_kept_in_history()
        );
    }
}

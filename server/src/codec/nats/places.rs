//! Where messages and their parts are in the memory in which they came.

use super::protocol_error::ProtocolError;
use bytes::Bytes;
use memchr::memrchr;
use std::ops::Range;

/// How libraries name the subjects that they wait for answers at. Each is used for one request.
pub const INBOXES: &[u8] = b"_INBOX.";

/// Where the messages of a block are in its region. One message, or a row of messages that differ
/// in their bodies alone, costs no further allocation.
pub(super) enum Entries {
    /// Each lies as far behind the one before it as the second behind the first, and so does each
    /// of its parts.
    Alike { first: Entry, count: u32, step_bytes: u32 },
    /// Any others.
    Many(Vec<Entry>),
}

impl Entries {
    pub fn of_one(first: Entry) -> Self {
        Self::Alike { first, count: 1, step_bytes: first.end() as u32 }
    }

    pub fn len(&self) -> usize {
        match self {
            Self::Alike { count, .. } => *count as usize,
            Self::Many(entries) => entries.len(),
        }
    }

    pub fn get(&self, index: usize) -> Entry {
        match self {
            Self::Alike { first, step_bytes, .. } => first.moved(index as u32 * step_bytes),
            Self::Many(entries) => entries[index],
        }
    }

    /// Adds a message, of perhaps as many in all.
    pub fn push(&mut self, next: Entry, in_all: usize) {
        match self {
            Self::Alike { first, count: count @ 1, step_bytes }
                if next == first.moved(next.body.at - first.body.at) =>
            {
                (*count, *step_bytes) = (2, next.body.at - first.body.at);
            }
            Self::Alike { first, count, step_bytes }
                if next == first.moved(*count * *step_bytes) =>
            {
                *count += 1;
            }
            Self::Alike { .. } => {
                let mut entries = Vec::with_capacity(in_all.max(self.len() + 1));
                entries.extend((0..self.len()).map(|index| self.get(index)));
                entries.push(next);
                *self = Self::Many(entries);
            }
            Self::Many(entries) => entries.push(next),
        }
    }

    /// Adds the `last` message again, `times` times, each `by` bytes behind the one before.
    pub fn repeat(&mut self, last: Entry, times: usize, by: u32) {
        match self {
            Self::Alike { count, step_bytes, .. } if *step_bytes == by => *count += times as u32,
            _ => (1..=times as u32).for_each(|time| self.push(last.moved(time * by), 0)),
        }
    }

    pub fn shrink(&mut self) {
        if let Self::Many(entries) = self
            && entries.capacity() > 2 * entries.len()
        {
            entries.shrink_to_fit();
        }
    }
}

/// Where a message is in its region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Empty: there is none.
    pub reply: Span,
    /// Empty for `PUB`.
    pub header_size: Span,
    pub size: Span,
    /// Headers and payload.
    pub body: Span,
    pub header_bytes: u32,
}

impl Entry {
    /// Where it ends, its line end included.
    pub fn end(&self) -> usize {
        self.body.end() + 2
    }

    /// Whether it has only a size and a payload.
    pub fn is_plain(&self) -> bool {
        self.reply.bytes == 0 && self.header_size.bytes == 0
    }

    pub fn moved(self, by: u32) -> Self {
        Self {
            reply: self.reply.moved(by),
            header_size: self.header_size.moved(by),
            size: self.size.moved(by),
            body: self.body.moved(by),
            header_bytes: self.header_bytes,
        }
    }

    /// How many messages right behind this one, which begins at `line_at`, have the same control
    /// line, byte for byte, and are all there. Counts no further than `at_most`. They are usual in
    /// a row, and comparing is faster than parsing.
    pub fn repeats(&self, line_at: usize, bytes: &[u8], at_most: usize) -> usize {
        let line = &bytes[line_at..self.body.at as usize];
        let messages = bytes[self.end()..].chunks_exact(self.end() - line_at).take(at_most);
        messages.take_while(|next| next.starts_with(line) && next.ends_with(b"\r\n")).count()
    }

    /// Whether the whole message is there. A body that does not end as it should is known by the
    /// first wrong byte. (Observed: CR LF, while a control line may end with LF alone.)
    pub fn is_complete(&self, bytes: &[u8]) -> Result<bool, ProtocolError> {
        let after_body = bytes.get(self.body.end()..).unwrap_or_default();
        match after_body {
            [b'\r', b'\n', ..] => Ok(true),
            [] | [b'\r'] => Ok(false),
            _ => Err(ProtocolError::UnterminatedPayload),
        }
    }
}

/// A part of a region.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub at: u32,
    pub bytes: u32,
}

impl Span {
    /// From `start` up to `end`, both below 2^31.
    pub fn between(start: usize, end: usize) -> Self {
        Self { at: start as u32, bytes: (end - start) as u32 }
    }

    pub fn moved(self, by: u32) -> Self {
        Self { at: self.at + by, ..self }
    }

    pub fn moved_back(self, by: u32) -> Self {
        Self { at: self.at - by, ..self }
    }

    pub fn range(self) -> Range<usize> {
        self.at as usize..self.end()
    }

    pub fn end(self) -> usize {
        self.at as usize + self.bytes as usize
    }

    pub fn of(self, region: &[u8]) -> &[u8] {
        &region[self.range()]
    }

    pub fn slice_of(self, region: &Bytes) -> Bytes {
        region.slice(self.range())
    }

    pub fn non_empty_of(self, region: &[u8]) -> Option<&[u8]> {
        (self.bytes > 0).then(|| self.of(region))
    }
}

/// A message whose control line is complete.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arriving {
    /// The subject that subscribers see.
    pub subject: Span,
    /// The subject that subscriptions are matched with.
    pub matched: Span,
    /// The queue groups that a hub names.
    pub groups: Span,
    pub entry: Entry,
}

impl Arriving {
    /// How many bytes its subject has in common with other inboxes of the same client, if it is an
    /// answer: it has only a size and a payload, and its subject is `_INBOX.`, one token or more,
    /// and a last one that is told from others by nothing but its letters.
    pub fn inbox_stem(&self, bytes: &[u8]) -> Option<usize> {
        let subject = self.subject.of(bytes);
        let stem = subject.strip_prefix(INBOXES).and_then(|rest| memrchr(b'.', rest))?;
        let stem_bytes = INBOXES.len() + stem + 1;
        let is_answer = self.entry.is_plain() && self.groups.bytes == 0;
        (is_answer && is_inbox_token(&subject[stem_bytes..])).then_some(stem_bytes)
    }

    /// The answer at `at`, if all of it is there and its control line is the same as this one's but
    /// for the letters of the last token. That is usual in a row, and comparing is faster than
    /// parsing.
    pub fn next_answer(&self, stem_bytes: usize, bytes: &[u8], at: usize) -> Option<Self> {
        let (stem, token) = self.subject.of(bytes).split_at(stem_bytes);
        let after_subject = &bytes[self.subject.end()..self.entry.body.at as usize];
        let next = bytes[at..].strip_prefix(b"PUB ")?.strip_prefix(stem)?;
        let (token, next) = next.split_at_checked(token.len())?;
        if !next.starts_with(after_subject) || !is_inbox_token(token) {
            return None;
        }
        let by = (at + b"PUB ".len()) as u32 - self.subject.at;
        let Entry { size, body, .. } = self.entry;
        let subject = self.subject.moved(by);
        let entry = Entry { size: size.moved(by), body: body.moved(by), ..self.entry };
        entry.is_complete(bytes).ok()?.then_some(Self { subject, matched: subject, entry, ..*self })
    }

    /// Whom it is for.
    pub fn address<'b>(&self, bytes: &'b [u8]) -> [&'b [u8]; 3] {
        [self.subject, self.matched, self.groups].map(|span| span.of(bytes))
    }
}

/// Whether this is a token as all libraries make them for inboxes.
fn is_inbox_token(token: &[u8]) -> bool {
    token.iter().all(u8::is_ascii_alphanumeric) && !token.is_empty()
}

//! Messages that were sent in one go: kept as they came, and rendered once for everybody.

use super::places::{Arriving, Entries, Entry, Span};
use super::render::{Outgoing, append_message};
use super::subject;
use crate::limits::NATS_SHARED_SID_BYTES;
use bytes::Bytes;
use fanfare::Topic;
use memchr::memchr;
use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

/// Messages on one subject that arrived together and are published together; or answers, each to an
/// inbox of its own.
///
/// All are in one piece of memory, as they came, and so is what is made of them:
/// [`rendered`](Self::rendered) writes the `MSG` lines of the whole block once, for the first
/// subscription id that asks. Nearly all clients count theirs from 1, so nearly all subscribers are
/// sent the very same bytes.
///
/// It lives as long as anything refers to one of its messages. It is never larger than the broker's
/// own segments, so it does not change what a queue keeps alive: see
/// [`weight_bytes`](Self::weight_bytes).
pub struct Block {
    /// Control lines and bodies. Positions are positions in it.
    region: Bytes,
    /// Of answers, the first one's.
    subject: Span,
    /// Of answers, each one's; else empty.
    inboxes: Box<[Span]>,
    /// The subject that subscriptions are matched with. It differs from the one that clients see
    /// when a stream of the hub delivers.
    matched: Span,
    /// The queue groups that a hub names, with blanks between them; empty if it names none.
    groups: Span,
    entries: Entries,
    /// Whether all have only a size and a payload.
    is_plain: bool,
    /// Headers and payloads of all.
    body_bytes: u32,
    /// Boxed, since a block of one message never has one.
    rendered: OnceLock<Box<Rendered>>,
    /// Made when somebody asks.
    reply_topics: OnceLock<Box<[Option<Topic>]>>,
}

/// The messages of a block, rendered for one subscription id.
pub struct Rendered {
    sid: Box<[u8]>,
    with_headers: bool,
    bytes: Bytes,
    ends: Ends,
}

/// Where the messages of a rendered block end.
enum Ends {
    /// The first; each of the others is as long.
    Alike(End),
    Each(Box<[End]>),
}

/// How many bytes the messages of a rendered block take, from the first up to one of them.
#[derive(Clone, Copy, Default)]
struct End {
    bytes: u32,
    /// Headers and payloads alone.
    body_bytes: u32,
}

/// How many bytes a rendered control line has at most beyond the received one: `MSG `, the id and a
/// blank more than the arguments. (The first has no `PUB ` in the region.)
const RENDERED_LINE_BYTES: usize = NATS_SHARED_SID_BYTES + "HMSG  ".len();

impl Rendered {
    /// The bytes that a subscriber is sent for these messages of the block. Nothing is copied.
    pub fn messages(&self, range: Range<usize>) -> Bytes {
        let (start, end) = (self.end_of(range.start), self.end_of(range.end));
        self.bytes.slice(start.bytes as usize..end.bytes as usize)
    }

    /// How many bytes of them are headers and payloads.
    pub fn body_bytes(&self, range: Range<usize>) -> usize {
        (self.end_of(range.end).body_bytes - self.end_of(range.start).body_bytes) as usize
    }

    fn end_of(&self, count: usize) -> End {
        let times = count as u32;
        match &self.ends {
            Ends::Alike(End { bytes, body_bytes }) => {
                End { bytes: bytes * times, body_bytes: body_bytes * times }
            }
            Ends::Each(ends) => count.checked_sub(1).map_or(End::default(), |last| ends[last]),
        }
    }
}

impl Block {
    /// Answers, each to one of these inboxes.
    pub(super) fn of_answers(
        region: Bytes,
        first: Arriving,
        (entries, inboxes): (Vec<Entry>, Vec<Span>),
    ) -> Self {
        let inboxes = inboxes.into();
        Self { inboxes, ..Self::new(region, first, Entries::Many(entries)) }
    }

    /// One of several answers, with memory of its own.
    pub fn answer_alone(&self, index: usize) -> Self {
        let (entry, subject) = (self.entries.get(index), self.subject_span(index));
        let region = Bytes::copy_from_slice(&self.region[subject.at as usize..entry.end()]);
        let (size, body) = (entry.size.moved_back(subject.at), entry.body.moved_back(subject.at));
        let subject = subject.moved_back(subject.at);
        let first =
            Entry { reply: Span::default(), header_size: Span::default(), size, body, ..entry };
        let arriving =
            Arriving { subject, matched: subject, groups: Span::default(), entry: first };
        Self::new(region, arriving, Entries::of_one(first))
    }

    pub(super) fn new(region: Bytes, first: Arriving, entries: Entries) -> Self {
        let Arriving { subject, matched, groups, .. } = first;
        let (is_plain, body_bytes) = match &entries {
            Entries::Alike { first, count, .. } => (first.is_plain(), count * first.body.bytes),
            Entries::Many(entries) => (
                entries.iter().all(Entry::is_plain),
                entries.iter().map(|entry| entry.body.bytes).sum(),
            ),
        };
        let (rendered, reply_topics) = (OnceLock::new(), OnceLock::new());
        Self {
            region,
            subject,
            inboxes: Box::default(),
            matched,
            groups,
            entries,
            is_plain,
            body_bytes,
            rendered,
            reply_topics,
        }
    }

    /// Whether its messages have neither headers nor reply subjects.
    pub fn is_plain(&self) -> bool {
        self.is_plain
    }

    /// The number of messages, at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// The subject with which subscriptions are matched.
    pub fn matched(&self) -> &[u8] {
        self.matched.of(&self.region)
    }

    /// The subject of all messages, as subscribers see it. Of [answers](Self::has_answers), the
    /// first one's.
    pub fn subject(&self) -> &[u8] {
        self.subject.of(&self.region)
    }

    /// Whether its messages are answers, each to an inbox of its own.
    pub fn has_answers(&self) -> bool {
        !self.inboxes.is_empty()
    }

    /// The subject of a message, as subscribers see it.
    pub fn subject_of(&self, index: usize) -> &[u8] {
        self.subject_span(index).of(&self.region)
    }

    fn subject_span(&self, index: usize) -> Span {
        self.inboxes.get(index).copied().unwrap_or(self.subject)
    }

    /// The queue groups of which one member here is to get each message, as a hub names them.
    pub fn groups(&self) -> impl Iterator<Item = String> {
        let names = self.groups.of(&self.region).split(|byte| matches!(byte, b' ' | b'\t'));
        names.filter(|name| !name.is_empty()).map(subject::group_name)
    }

    /// The reply subject of a message.
    pub fn reply_to(&self, index: usize) -> Option<&[u8]> {
        self.entries.get(index).reply.non_empty_of(&self.region)
    }

    /// The reply subject of a message as a topic, if somebody here can be subscribed to it.
    pub fn reply_topic(&self, index: usize) -> Option<&Topic> {
        let topic = |index| {
            let text = self.reply_to(index).and_then(subject::topic_text)?;
            Topic::parse(text).ok()
        };
        if self.is_plain {
            return None;
        }
        self.reply_topics.get_or_init(|| (0..self.len()).map(topic).collect())[index].as_ref()
    }

    /// The headers of a message, byte for byte; empty if it has none.
    pub fn headers(&self, index: usize) -> &[u8] {
        let entry = self.entries.get(index);
        &entry.body.of(&self.region)[..entry.header_bytes as usize]
    }

    /// The payload of a message, without its headers.
    pub fn payload(&self, index: usize) -> &[u8] {
        let entry = self.entries.get(index);
        &entry.body.of(&self.region)[entry.header_bytes as usize..]
    }

    /// Headers and payloads of some messages.
    pub fn body_bytes(&self, range: Range<usize>) -> usize {
        if range.len() == self.len() {
            return self.body_bytes as usize;
        }
        range.map(|index| self.entries.get(index).body.bytes as usize).sum()
    }

    /// The payload of a message as a part of the block's memory, which it keeps alive.
    pub fn payload_bytes(&self, index: usize) -> Bytes {
        self.region.slice_ref(self.payload(index))
    }

    /// A message, to be rendered.
    pub fn outgoing(&self, index: usize) -> Outgoing<'_> {
        let entry = self.entries.get(index);
        Outgoing {
            subject: self.subject_of(index),
            reply_to: entry.reply.non_empty_of(&self.region),
            headers: self.headers(index),
            payload: self.payload(index),
            sizes_as_written: Some((
                entry.header_size.of(&self.region),
                entry.size.of(&self.region),
            )),
        }
    }

    /// All messages as a client receives them under this subscription id, with or without headers.
    /// The first call renders them; all that ask for the same share the bytes.
    ///
    /// `None` if the first call asked for something else, if the id is longer than
    /// [`NATS_SHARED_SID_BYTES`], or if there is only one message, which is not worth the memory.
    /// Then call [`append_message`] for each.
    pub fn rendered(&self, sid: &[u8], with_headers: bool) -> Option<&Rendered> {
        if self.len() == 1 || sid.len() > NATS_SHARED_SID_BYTES {
            return None;
        }
        let rendered = self.rendered.get_or_init(|| Box::new(self.render(sid, with_headers)));
        (*rendered.sid == *sid && rendered.with_headers == with_headers).then_some(rendered)
    }

    /// A message's weight: its share of what the block keeps alive. That is the message as it
    /// came, and, if there are several, the message once more as it was rendered.
    ///
    /// The weight leaves out one thing: a block of more than
    /// [`NATS_COPIED_BYTES`](crate::limits::NATS_COPIED_BYTES) keeps the whole read buffer alive
    /// that it came in, which is at most [`READ_BUFFER_BYTES`](crate::limits::READ_BUFFER_BYTES),
    /// or about as large as the block. A message that is kept alone, in a history for instance,
    /// keeps its whole block alive, as it keeps its whole frame.
    #[inline]
    pub fn weight_bytes(&self, index: usize) -> usize {
        match self.entries {
            // Nearly all messages of a stream; the other way finds the same.
            Entries::Alike { step_bytes, .. } if self.is_plain && index > 0 => {
                2 * step_bytes as usize + RENDERED_LINE_BYTES
            }
            _ => self.weigh(index),
        }
    }

    fn weigh(&self, index: usize) -> usize {
        let entry = self.entries.get(index);
        let received = match (&self.entries, index) {
            (_, 0) => entry.end(),
            (Entries::Alike { step_bytes, .. }, _) => *step_bytes as usize,
            (Entries::Many(entries), _) => entry.end() - entries[index - 1].end(),
        };
        let rendered = if self.len() == 1 { 0 } else { received + RENDERED_LINE_BYTES };
        let own = if index == 0 { size_of::<Self>() } else { 0 };
        let reply_topic = if self.is_plain { 0 } else { size_of::<Option<Topic>>() };
        let reply_bytes = match entry.reply.bytes as usize {
            0 => 0,
            // Behind two counters.
            bytes => bytes + 2 * size_of::<usize>(),
        };
        let places = match self.entries {
            Entries::Alike { .. } if self.is_plain || self.len() == 1 => 0,
            Entries::Alike { .. } => size_of::<End>(),
            Entries::Many(_) => size_of::<Entry>() + size_of::<End>(),
        };
        let inbox = if self.has_answers() { size_of::<Span>() } else { 0 };
        own + places + received + rendered + inbox + reply_topic + reply_bytes
    }

    /// Appends some of the messages as `render` writes them. A control line that only repeats the
    /// one before is copied.
    pub fn append(
        &self,
        range: Range<usize>,
        out: &mut Vec<u8>,
        render: impl Fn(&mut Vec<u8>, &Outgoing<'_>),
    ) {
        let mut lines = Lines::default();
        for index in range {
            lines.append(out, self, index, &render);
        }
    }

    /// The size of all messages as they came, with their control lines. None is larger.
    pub fn region_bytes(&self) -> usize {
        self.region.len()
    }

    fn render(&self, sid: &[u8], with_headers: bool) -> Rendered {
        // `MSG subject sid size` instead of `PUB subject size`; sums up to what is needed, and to
        // what the last one reserves.
        let mut bytes = Vec::with_capacity(self.region.len() + self.len() * (sid.len() + 1) + 16);
        let ends = match &self.entries {
            Entries::Alike { first, count, step_bytes } if self.is_plain => {
                append_message(&mut bytes, &self.outgoing(0), sid, with_headers);
                let one = End { bytes: bytes.len() as u32, body_bytes: first.body.bytes };
                let behind_line = first.body.bytes as usize + 2;
                let line = bytes[..bytes.len() - behind_line].to_vec();
                for message in self.region[first.end()..].chunks_exact(*step_bytes as usize) {
                    bytes.extend_from_slice(&line);
                    bytes.extend_from_slice(&message[message.len() - behind_line..]);
                }
                debug_assert_eq!(bytes.len(), (one.bytes * count) as usize);
                Ends::Alike(one)
            }
            _ => Ends::Each(self.render_each(sid, with_headers, &mut bytes)),
        };
        Rendered { sid: sid.into(), with_headers, bytes: bytes.into(), ends }
    }

    fn render_each(&self, sid: &[u8], with_headers: bool, bytes: &mut Vec<u8>) -> Box<[End]> {
        let mut lines = Lines::default();
        let mut body_bytes = 0;
        let ends = (0..self.len()).map(|index| {
            lines.append(bytes, self, index, |bytes, outgoing| {
                append_message(bytes, outgoing, sid, with_headers);
            });
            let entry = self.entries.get(index);
            body_bytes += entry.body.bytes - if with_headers { 0 } else { entry.header_bytes };
            End { bytes: bytes.len() as u32, body_bytes }
        });
        ends.collect()
    }
}

/// Remembers the control line rendered last. A message that only repeats it, perhaps for another
/// inbox, gets a copy, which is quicker than rendering it again.
#[derive(Default)]
struct Lines {
    last: Range<usize>,
    /// The bytes of the subject in it, the digits of the size, and the size: what says whether
    /// another line is the same but for the subject.
    sizes: (u32, u32, u32),
}

impl Lines {
    /// Appends a message of a block, with `render` if its line is another.
    fn append(
        &mut self,
        out: &mut Vec<u8>,
        block: &Block,
        index: usize,
        render: impl FnOnce(&mut Vec<u8>, &Outgoing<'_>),
    ) {
        let (entry, subject) = (block.entries.get(index), block.subject_span(index));
        let sizes = (subject.bytes, entry.size.bytes, entry.body.bytes);
        if entry.is_plain() && sizes == self.sizes {
            let start = out.len();
            out.extend_from_within(self.last.clone());
            if block.has_answers() {
                let verb_bytes = memchr(b' ', &out[start..]).map_or(0, |blank| blank + 1);
                out[start + verb_bytes..][..subject.bytes as usize]
                    .copy_from_slice(subject.of(&block.region));
            }
            out.extend_from_slice(&block.region[entry.body.at as usize..entry.end()]);
            return;
        }
        let start = out.len();
        render(out, &block.outgoing(index));
        if entry.is_plain() {
            self.last = start..out.len() - entry.body.bytes as usize - 2;
            self.sizes = sizes;
        }
    }
}

impl fmt::Debug for Block {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Block")
            .field("subject", &self.subject.slice_of(&self.region))
            .field("messages", &self.len())
            .field("bytes", &self.region.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Operation, Parser, ParserLimits, append_to_hub};
    use super::*;
    use crate::limits::NATS_BATCH_BYTES;
    use bytes::BytesMut;

    fn block(input: &[u8]) -> Block {
        let mut parser = Parser::new(ParserLimits::default());
        parser.allow_headers(true);
        let mut buffer = BytesMut::from(input);
        let Ok(Some(Operation::Publish(block))) = parser.next(&mut buffer) else {
            panic!("{}", input.escape_ascii())
        };
        assert!(buffer.is_empty(), "one block is all there is");
        block
    }

    fn one_by_one(block: &Block, range: Range<usize>, sid: &[u8], with_headers: bool) -> Vec<u8> {
        let mut out = Vec::new();
        range.for_each(|index| append_message(&mut out, &block.outgoing(index), sid, with_headers));
        out
    }

    const THREE: &[u8] = b"PUB a 1\r\nx\r\nHPUB a r 2 04\r\nhhyy\r\nPUB a 0\r\n\r\n";

    #[test]
    fn shared_bytes_are_those_that_each_client_would_get() {
        for (with_headers, expected) in [
            (true, &b"MSG a 7 1\r\nx\r\nHMSG a 7 r 2 04\r\nhhyy\r\nMSG a 7 0\r\n\r\n"[..]),
            (false, b"MSG a 7 1\r\nx\r\nMSG a 7 r 2\r\nyy\r\nMSG a 7 0\r\n\r\n"),
        ] {
            let block = block(THREE);
            let rendered = block.rendered(b"7", with_headers).unwrap();
            assert_eq!(rendered.messages(0..3), expected);
            assert_eq!(rendered.body_bytes(1..3), if with_headers { 4 } else { 2 });
            for range in [0..0, 0..1, 1..2, 2..3, 1..3, 3..3] {
                assert_eq!(
                    rendered.messages(range.clone()),
                    one_by_one(&block, range, b"7", with_headers)
                );
            }
        }
    }

    #[test]
    fn a_line_is_used_again_only_for_what_it_says() {
        let messages = [
            &b"PUB a 1\r\nx\r\n"[..],
            b"PUB a 1\r\ny\r\n",
            b"PUB a 01\r\nz\r\n",
            b"PUB a r 01\r\nz\r\n",
            b"HPUB a 0 01\r\nz\r\n",
            b"PUB a 2\r\nxx\r\n",
        ];
        // Each after each, and each after itself.
        let pairs = messages
            .iter()
            .flat_map(|first| messages.iter().flat_map(move |second| [*first, *second]));
        let input = pairs.collect::<Vec<_>>().concat();
        for with_headers in [true, false] {
            let block = block(&input);
            let all = block.rendered(b"1", with_headers).unwrap().messages(0..block.len());
            assert_eq!(all, one_by_one(&block, 0..block.len(), b"1", with_headers));
        }
        let block = block(&input);
        for groups in [&[][..], &["g", "h"]] {
            let (mut all, mut each) = (Vec::new(), Vec::new());
            let render = |out: &mut Vec<u8>, message: &Outgoing<'_>| {
                append_to_hub(out, message, groups.iter().copied());
            };
            block.append(1..block.len(), &mut all, render);
            (1..block.len()).for_each(|index| render(&mut each, &block.outgoing(index)));
            assert_eq!(all, each);
        }
    }

    #[test]
    fn messages_that_lie_alike_keep_what_they_say() {
        let rows: [&[&[u8]]; 4] = [
            &[b"PUB a 1\r\nx\r\n", b"PUB a 1\r\ny\r\n", b"PUB a 1\r\nz\r\n"],
            &[b"PUB a r 1\r\nx\r\n", b"PUB a s 1\r\ny\r\n", b"PUB a t 1\r\nz\r\n"],
            &[b"HPUB a 1 2\r\nhx\r\n", b"HPUB a 1 2\r\niy\r\n", b"HPUB a 1 2\r\njz\r\n"],
            &[b"PUB a 0\r\n\r\n", b"PUB a 0\r\n\r\n", b"PUB a 0\r\n\r\n"],
        ];
        // Alone, and before one that lies otherwise.
        for (row, other) in rows.iter().flat_map(|row| [(row, ""), (row, "PUB a 2\r\nxx\r\n")]) {
            for with_headers in [true, false] {
                let block = block(&[&row.concat(), other.as_bytes()].concat());
                assert_eq!(matches!(block.entries, Entries::Alike { .. }), other.is_empty());
                let all = block.rendered(b"1", with_headers).unwrap();
                for range in [0..1, 1..2, 0..block.len()] {
                    let each = one_by_one(&block, range.clone(), b"1", with_headers);
                    assert_eq!(all.messages(range), each);
                }
            }
        }
    }

    #[test]
    fn the_first_who_asks_decides_what_is_shared() {
        let block = block(THREE);
        let first = block.rendered(b"1", true).unwrap().messages(0..3);
        let again = block.rendered(b"1", true).unwrap().messages(0..3);
        assert_eq!(
            (first.as_ptr(), first.len()),
            (again.as_ptr(), again.len()),
            "nothing is copied"
        );
        assert!(block.rendered(b"2", true).is_none());
        assert!(block.rendered(b"1", false).is_none());
    }

    #[test]
    fn a_long_id_or_a_single_message_is_not_worth_sharing() {
        let three = block(THREE);
        assert!(three.rendered(&[b'1'; NATS_SHARED_SID_BYTES + 1], true).is_none());
        assert!(three.rendered(&[b'1'; NATS_SHARED_SID_BYTES], true).is_some());
        assert!(block(b"PUB a 1\r\nx\r\n").rendered(b"1", true).is_none());
    }

    fn answers(count: usize, payload_bytes: usize) -> Block {
        let payload = "x".repeat(payload_bytes);
        let answer = |index| format!("PUB _INBOX.a.{index} {payload_bytes}\r\n{payload}\r\n");
        let mut parser = Parser::new(ParserLimits::default());
        parser.join_answers(true);
        let mut buffer = BytesMut::from(&*(0..count).map(answer).collect::<String>());
        let Ok(Some(Operation::Publish(block))) = parser.next(&mut buffer) else { panic!() };
        assert_eq!((block.len(), block.has_answers(), buffer.len()), (count, true, 0));
        block
    }

    #[test]
    fn an_answer_is_the_same_alone() {
        let block = answers(120, 3);
        let all = block.rendered(b"1", true).unwrap();
        for index in 0..block.len() {
            let alone = block.answer_alone(index);
            assert_eq!((alone.len(), alone.has_answers(), alone.is_plain()), (1, false, true));
            assert_eq!(alone.subject(), format!("_INBOX.a.{index}").as_bytes());
            assert_eq!(
                alone.region_bytes(),
                alone.outgoing(0).subject.len() + " 3\r\nxxx\r\n".len()
            );
            assert_eq!(one_by_one(&alone, 0..1, b"1", true), all.messages(index..index + 1));
        }
    }

    /// The weights of its messages are at least what a block keeps alive, and not much more.
    #[test]
    fn the_weight_counts_what_a_block_keeps_alive() {
        let cases = [
            (1, 0, 1),
            (1, 5_000, 1),
            (2, 0, 500),
            (2, 50_000, 1),
            (100, 1, 1),
            (100, 500, 1),
            (50, 1, 500),
        ];
        let other = "PUB some.subject reply 7\r\n1234567\r\n";
        let alike = cases.map(|case| (case, true));
        let small = cases.into_iter().filter(|(count, bytes, _)| count * bytes < NATS_BATCH_BYTES);
        let others = small.map(|case| (case, false));
        for ((count, payload_bytes, blanks), is_alike) in alike.into_iter().chain(others) {
            let payload = "x".repeat(payload_bytes);
            let mut text = format!(
                "PUB {} some.subject reply {payload_bytes}\r\n{payload}\r\n",
                " ".repeat(blanks)
            )
            .repeat(count);
            let mut count = count;
            if !is_alike {
                text.push_str(&other.repeat(2));
                count += 2;
            }
            let block = block(text.as_bytes());
            assert_eq!(block.len(), count);
            let rendered = block
                .rendered(&[b'1'; NATS_SHARED_SID_BYTES], true)
                .map_or(0, |rendered| rendered.bytes.len());
            let place = match is_alike {
                true if count == 1 => 0,
                true => size_of::<End>(),
                false => size_of::<Entry>() + size_of::<End>(),
            };
            let tables = size_of::<Block>() + count * place;
            let reply_topic = |index| block.reply_topic(index).unwrap().as_str().len() + 16;
            let replies =
                count * size_of::<Option<Topic>>() + (0..count).map(reply_topic).sum::<usize>();
            let kept = block.region.len() + rendered + tables + replies;
            let weight: usize = (0..count).map(|index| block.weight_bytes(index)).sum();
            assert!(weight >= kept && weight <= kept + (8 + blanks) * count, "{weight} for {kept}");
        }
        for (count, payload_bytes) in [(2, 0), (2, 30_000), (100, 1), (100, 500)] {
            let payload = "x".repeat(payload_bytes);
            let plain = format!("PUB some.subject {payload_bytes}\r\n{payload}\r\n").repeat(count);
            let answer = size_of::<Entry>() + size_of::<End>() + size_of::<Span>();
            let blocks = [(answers(count, payload_bytes), answer), (block(plain.as_bytes()), 0)];
            for (block, each) in blocks {
                let rendered = block.rendered(&[b'1'; NATS_SHARED_SID_BYTES], true).unwrap();
                let tables = size_of::<Block>() + count * each;
                let kept = block.region.len() + rendered.bytes.len() + tables;
                let weight: usize = (0..count).map(|index| block.weight_bytes(index)).sum();
                assert!(weight >= kept && weight <= kept + 9 * count, "{weight} for {kept}");
                let weighed = |index| block.weigh(index) == block.weight_bytes(index);
                assert!((0..count).all(weighed), "each is found both ways");
            }
        }
    }
}

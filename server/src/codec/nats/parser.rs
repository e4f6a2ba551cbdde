//! Parses operations from bytes in pieces of any size.

use super::block::Block;
use super::operation::Operation;
use super::places::{Arriving, Entries, Entry, Span};
use super::protocol_error::ProtocolError;
use crate::limits::{NATS_BATCH_BYTES, NATS_BATCH_MESSAGES, NATS_CONTROL_LINE_BYTES};
use crate::limits::{NATS_COPIED_BYTES, NATS_PAYLOAD_BYTES, NATS_SIZE_DIGITS};
use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memchr2, memchr3};
use std::iter::{once, successors};

/// The largest control line and message that a client may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParserLimits {
    /// Bytes of arguments on a control line. (Observed: the verb, the blanks after it and the
    /// line's end do not count.)
    pub control_line_bytes: usize,
    /// Bytes of a message, its headers counted.
    pub payload_bytes: usize,
}

impl Default for ParserLimits {
    /// The defaults of nats-server.
    fn default() -> Self {
        Self { control_line_bytes: NATS_CONTROL_LINE_BYTES, payload_bytes: NATS_PAYLOAD_BYTES }
    }
}

/// Turns what a client sends into [`Operation`]s.
///
/// It holds no bytes itself: what it has not used stays in the read buffer, to whose end the next
/// bytes are appended. That is at most one control line or one message (beyond what the last read
/// brought). Every byte is looked at a bounded number of times, however small the pieces.
///
/// ```
/// use bytes::BytesMut;
/// use fanfare_server::codec::nats::{Operation, Parser, ParserLimits};
///
/// let mut parser = Parser::new(ParserLimits::default());
/// let mut buffer = BytesMut::from("PUB greet 5\r\nhel");
/// assert!(parser.next(&mut buffer)?.is_none());
/// buffer.extend_from_slice(b"lo\r\n");
/// let Some(Operation::Publish(block)) = parser.next(&mut buffer)? else { panic!() };
/// assert_eq!((block.subject(), block.payload(0)), (&b"greet"[..], &b"hello"[..]));
/// # Ok::<(), fanfare_server::codec::nats::ProtocolError>(())
/// ```
#[derive(Debug)]
pub struct Parser {
    limits: ParserLimits,
    dialect: Dialect,
    connect_required: bool,
    headers_allowed: bool,
    answers_joined: bool,
    state: State,
}

/// Whose operations the parser understands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Client,
    /// The hub of a cluster, as its leaf node hears it.
    Hub,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// In a control line that begins at the front of the buffer.
    Line(Line),
    /// In a control line of which only the end still matters. None of it is kept.
    Tail(Plain),
    /// Behind the control line of a message. All of it stays at the front of the buffer until the
    /// rest has arrived.
    Body(Arriving),
    Failed(ProtocolError),
}

impl Parser {
    /// A parser at the beginning of a connection: `CONNECT` is not required, headers are not
    /// allowed.
    pub fn new(limits: ParserLimits) -> Self {
        Self {
            limits,
            dialect: Dialect::Client,
            connect_required: false,
            headers_allowed: false,
            answers_joined: false,
            state: State::Line(Line::at(0)),
        }
    }

    /// A parser of what the hub of a cluster sends to its leaf node.
    pub fn of_hub(limits: ParserLimits) -> Self {
        Self { dialect: Dialect::Hub, headers_allowed: true, ..Self::new(limits) }
    }

    /// Whether everything but `CONNECT` is refused, from the first byte of the next operation on:
    /// so a server that has to know its clients gets no large messages from strangers. (Observed:
    /// `-ERR 'Authorization Violation'`.)
    pub fn require_connect(&mut self, required: bool) {
        self.connect_required = required;
    }

    /// Whether `HPUB` is understood, from the next operation on: when server and client both said
    /// so.
    pub fn allow_headers(&mut self, allowed: bool) {
        self.headers_allowed = allowed;
    }

    /// Whether answers to several inboxes may come in one block, from the next operation on.
    pub fn join_answers(&mut self, joined: bool) {
        self.answers_joined = joined;
    }

    /// The next operation, taken off the front of `buffer`. None means that more bytes are needed:
    /// append them.
    ///
    /// # Errors
    /// The client's mistake. The connection is to be closed; the parser goes on saying the same.
    pub fn next(&mut self, buffer: &mut BytesMut) -> Result<Option<Operation>, ProtocolError> {
        let next = self.advance(buffer);
        if let Err(error) = next {
            self.state = State::Failed(error);
        }
        next
    }

    fn advance(&mut self, buffer: &mut BytesMut) -> Result<Option<Operation>, ProtocolError> {
        loop {
            match &mut self.state {
                State::Line(line) => {
                    let Some((verb, arguments)) =
                        line.read(view(buffer), self.limits, self.dialect, self.connect_required)?
                    else {
                        self.state = line.forget_what_does_not_matter(buffer);
                        return Ok(None);
                    };
                    match verb {
                        Verb::Publish { with_headers } => {
                            // The blanks before it are not kept.
                            buffer.advance(arguments.start);
                            let arguments = arguments.moved_to_front();
                            self.state =
                                State::Body(self.message(with_headers, view(buffer), arguments)?);
                        }
                        Verb::Plain(plain) => {
                            let operation =
                                plain.operation(&buffer[arguments.start..arguments.end])?;
                            buffer.advance(arguments.next_line);
                            self.state = State::Line(Line::at(0));
                            return Ok(Some(operation));
                        }
                    }
                }
                State::Tail(plain) => {
                    let Some(end) = memchr(b'\n', buffer) else {
                        buffer.clear();
                        return Ok(None);
                    };
                    let operation = plain.operation(&[])?;
                    buffer.advance(end + 1);
                    self.state = State::Line(Line::at(0));
                    return Ok(Some(operation));
                }
                State::Body(message) => {
                    if !message.entry.is_complete(buffer)? {
                        return Ok(None);
                    }
                    let first = *message;
                    self.state = State::Line(Line::at(0));
                    return Ok(Some(Operation::Publish(self.block(first, buffer))));
                }
                State::Failed(error) => return Err(*error),
            }
        }
    }

    /// Gathers what follows the `first` message in the buffer: complete messages on the same
    /// subject.
    fn block(&self, first: Arriving, buffer: &mut BytesMut) -> Block {
        let bytes = view(buffer);
        let of_first = first.address(bytes);
        let mut entries = Entries::of_one(first.entry);
        let mut end = first.entry.end();
        while entries.len() < NATS_BATCH_MESSAGES && end < NATS_BATCH_BYTES {
            if is_elsewhere(&bytes[end..], of_first[0]) {
                break;
            }
            let Some(next) = self.whole_message(bytes, end) else { break };
            if next.address(bytes) != of_first {
                break;
            }
            // Messages in a row are mostly of the same size.
            entries.push(next.entry, (bytes.len() / end).min(NATS_BATCH_MESSAGES));
            let message_bytes = next.entry.end() - end;
            let room = NATS_BATCH_BYTES.saturating_sub(next.entry.end()).div_ceil(message_bytes);
            let at_most = room.min(NATS_BATCH_MESSAGES - entries.len());
            let times = next.entry.repeats(end, bytes, at_most);
            entries.repeat(next.entry, times, message_bytes as u32);
            end = next.entry.end() + times * message_bytes;
        }
        if entries.len() == 1
            && let Some(answers) = self.answers(first, bytes)
        {
            let end = answers.0.last().map_or(end, Entry::end);
            return Block::of_answers(take_front(buffer, end), first, answers);
        }
        let region = take_front(buffer, end);
        entries.shrink();
        Block::new(region, first, entries)
    }

    /// Gathers what follows the `first` message, if it is an answer that may be joined with others:
    /// complete answers to other inboxes of the same client. Gives where they and their subjects
    /// are.
    fn answers(&self, first: Arriving, bytes: &[u8]) -> Option<(Vec<Entry>, Vec<Span>)> {
        let stem_bytes = first.inbox_stem(bytes).filter(|_| self.answers_joined)?;
        let stem = &first.subject.of(bytes)[..stem_bytes];
        let behind = |last: &Arriving| {
            let at = last.entry.end();
            if at >= NATS_BATCH_BYTES {
                return None;
            }
            last.next_answer(stem_bytes, bytes, at).or_else(|| {
                if is_elsewhere(&bytes[at..], stem) {
                    return None;
                }
                let next = self.whole_message(bytes, at)?;
                let is_sibling = next.inbox_stem(bytes) == Some(stem_bytes)
                    && next.subject.of(bytes).starts_with(stem);
                is_sibling.then_some(next)
            })
        };
        // One by itself, which is usual too, needs no tables.
        let second = behind(&first)?;
        // Answers in a row are mostly of the same size.
        let in_all = (bytes.len() / first.entry.end()).clamp(2, NATS_BATCH_MESSAGES);
        let (mut entries, mut inboxes) = (Vec::with_capacity(in_all), Vec::with_capacity(in_all));
        let all = once(first).chain(successors(Some(second), behind));
        for answer in all.take(NATS_BATCH_MESSAGES) {
            entries.push(answer.entry);
            inboxes.push(answer.subject);
        }
        Some((entries, inboxes))
    }

    /// The message at `at`, if all of it is there. What is wrong with it, or missing, is found
    /// again when its turn comes.
    fn whole_message(&self, bytes: &[u8], at: usize) -> Option<Arriving> {
        let (verb, arguments) =
            Line::at(at).read(bytes, self.limits, self.dialect, self.connect_required).ok()??;
        let Verb::Publish { with_headers } = verb else { return None };
        let message = self.message(with_headers, bytes, arguments).ok()?;
        message.entry.is_complete(bytes).ok()?.then_some(message)
    }

    /// Parses a message's control line. (Documentation: `PUB subject [reply] size`, `HPUB
    /// subject [reply] header-size size`.)
    ///
    /// The order of the checks is the observed one.
    fn message(
        &self,
        with_headers: bool,
        bytes: &[u8],
        arguments: Arguments,
    ) -> Result<Arriving, ProtocolError> {
        if with_headers && !self.headers_allowed {
            return Err(ProtocolError::HeadersNotNegotiated);
        }
        if self.dialect == Dialect::Hub {
            return self.message_of_hub(with_headers, bytes, arguments);
        }
        let (spans, count) = split::<4>(bytes, arguments, find_blank)?;
        let sizes_at = count.wrapping_sub(if with_headers { 2 } else { 1 });
        if !matches!(sizes_at, 1 | 2) {
            return Err(ProtocolError::WrongArgumentCount);
        }
        let reply = if sizes_at == 2 { spans[1] } else { Span::default() };
        let (header_size, size) = if with_headers {
            (spans[count - 2], spans[count - 1])
        } else {
            (Span::default(), spans[count - 1])
        };
        let sizes = (header_size, size);
        let subject = (spans[0], spans[0]);
        self.arriving(bytes, (subject, reply, Span::default()), sizes, arguments.next_line)
    }

    /// `LMSG subject [reply] size`, and for queue groups `LMSG subject | groups size` or `LMSG
    /// subject + reply groups size`; `HMSG` has the size of the headers before the last.
    fn message_of_hub(
        &self,
        with_headers: bool,
        bytes: &[u8],
        arguments: Arguments,
    ) -> Result<Arriving, ProtocolError> {
        let sizes_count = if with_headers { 2 } else { 1 };
        let words = words(bytes, arguments);
        let (subject, rest) = words.split_first().ok_or(ProtocolError::WrongArgumentCount)?;
        let (names, sizes) =
            rest.split_at_checked(rest.len().wrapping_sub(sizes_count)).unwrap_or_default();
        let mark = names.first().map(|word| word.of(bytes));
        let (reply, groups) = match (mark, names) {
            (Some(b"|"), [_, groups @ ..]) => (None, groups),
            (Some(b"+"), [_, reply, groups @ ..]) => (Some(*reply), groups),
            (_, []) => (None, &[][..]),
            (_, [reply]) => (Some(*reply), &[][..]),
            _ => return Err(ProtocolError::WrongArgumentCount),
        };
        let (header_size, size) = match sizes {
            [size] => (Span::default(), *size),
            [header_size, size] => (*header_size, *size),
            _ => return Err(ProtocolError::WrongArgumentCount),
        };
        let groups = match (groups.first(), groups.last()) {
            (Some(first), Some(last)) => Span::between(first.at as usize, last.end()),
            _ => Span::default(),
        };
        let (shown, reply) = delivered(bytes, *subject, reply.unwrap_or_default());
        let sizes = (header_size, size);
        self.arriving(bytes, ((shown, *subject), reply, groups), sizes, arguments.next_line)
    }

    fn arriving(
        &self,
        bytes: &[u8],
        ((subject, matched), reply, groups): ((Span, Span), Span, Span),
        (header_size, size): (Span, Span),
        body_at: usize,
    ) -> Result<Arriving, ProtocolError> {
        let has_headers = header_size.bytes > 0;
        let header_bytes = if has_headers { parse_size(header_size.of(bytes))? } else { 0 };
        let body_bytes = parse_size(size.of(bytes))?;
        if header_bytes > body_bytes {
            return Err(ProtocolError::HeadersLargerThanTotal);
        }
        if body_bytes as usize > self.limits.payload_bytes {
            return Err(ProtocolError::PayloadTooLarge);
        }
        let body = Span { at: body_at as u32, bytes: body_bytes };
        // What is not there is just before the body: the parts of messages in a row lie alike.
        let [reply, header_size] = [reply, header_size]
            .map(|part| if part.bytes > 0 { part } else { Span { bytes: 0, ..body } });
        Ok(Arriving {
            subject,
            matched,
            groups,
            entry: Entry { reply, header_size, size, body, header_bytes },
        })
    }
}

/// A control line, and how much of it is understood. Positions are in the buffer.
#[derive(Clone, Copy, Debug)]
struct Line {
    verb: Option<Verb>,
    /// Where the arguments begin, behind verb and blanks; where the line begins as long as there is
    /// no verb.
    arguments_at: usize,
    /// There is no line end before this.
    searched_to: usize,
}

/// Where the arguments on a control line are, without the line's end.
#[derive(Clone, Copy, Debug)]
struct Arguments {
    start: usize,
    end: usize,
    next_line: usize,
}

impl Arguments {
    /// Where the arguments are once everything before them has been taken away.
    fn moved_to_front(self) -> Self {
        Self { start: 0, end: self.end - self.start, next_line: self.next_line - self.start }
    }
}

impl Line {
    fn at(start: usize) -> Self {
        Self { verb: None, arguments_at: start, searched_to: start }
    }

    /// Reads on, up to the line's end. `None` if that has not come yet.
    fn read(
        &mut self,
        bytes: &[u8],
        limits: ParserLimits,
        dialect: Dialect,
        connect_required: bool,
    ) -> Result<Option<(Verb, Arguments)>, ProtocolError> {
        let verb = match self.verb {
            Some(verb) => verb,
            None => {
                let line = &bytes[self.arguments_at..];
                let Some((verb, verb_bytes)) = Verb::read(line, dialect, connect_required)? else {
                    return Ok(None);
                };
                self.verb = Some(verb);
                self.arguments_at += verb_bytes;
                self.searched_to = self.arguments_at;
                verb
            }
        };
        while bytes.get(self.arguments_at).is_some_and(is_blank) {
            self.arguments_at += 1;
        }
        self.searched_to = self.searched_to.max(self.arguments_at);
        let line_end = memchr(b'\n', &bytes[self.searched_to..]).map(|at| self.searched_to + at);
        let known_end = line_end.unwrap_or(bytes.len());
        self.searched_to = known_end;
        let start = self.arguments_at;
        let end = if bytes[start..known_end].ends_with(b"\r") { known_end - 1 } else { known_end };
        if verb.has_arguments() && end - start > limits.control_line_bytes {
            return Err(ProtocolError::ControlLineTooLong);
        }
        Ok(line_end.map(|line_end| (verb, Arguments { start, end, next_line: line_end + 1 })))
    }

    /// Takes off the front of the buffer what an unfinished line has no use for, so that endless
    /// blanks, or an endless `PING`, need no memory. Gives the state in which to go on.
    fn forget_what_does_not_matter(mut self, buffer: &mut BytesMut) -> State {
        let Some(verb) = self.verb else { return State::Line(self) };
        if let Verb::Plain(plain @ (Plain::Ping | Plain::Pong | Plain::Ok)) = verb {
            buffer.clear();
            return State::Tail(plain);
        }
        buffer.advance(self.arguments_at);
        self.searched_to -= self.arguments_at;
        self.arguments_at = 0;
        State::Line(self)
    }
}

/// The verb that begins a control line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verb {
    Publish { with_headers: bool },
    Plain(Plain),
}

/// The operations without a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Plain {
    Subscribe,
    Unsubscribe,
    Connect,
    Info,
    Ping,
    Pong,
    Ok,
    Error,
    InterestBegins,
    InterestEnds,
    ErrorOfHub,
}

impl Verb {
    /// The words, the frequent ones first, and whether a blank has to follow. (Observed:
    /// `CONNECT{}` and `PINGjunk` are understood, `PUB` without arguments is an unknown operation.)
    const WORDS: [(&[u8], Self, bool); 10] = [
        (b"PUB", Self::Publish { with_headers: false }, true),
        (b"HPUB", Self::Publish { with_headers: true }, true),
        (b"SUB", Self::Plain(Plain::Subscribe), true),
        (b"UNSUB", Self::Plain(Plain::Unsubscribe), true),
        (b"PING", Self::Plain(Plain::Ping), false),
        (b"PONG", Self::Plain(Plain::Pong), false),
        (b"CONNECT", Self::Plain(Plain::Connect), false),
        (b"INFO", Self::Plain(Plain::Info), false),
        (b"+OK", Self::Plain(Plain::Ok), false),
        (b"-ERR", Self::Plain(Plain::Error), true),
    ];

    /// The words of a hub.
    const WORDS_OF_HUB: [(&[u8], Self, bool); 8] = [
        (b"LMSG", Self::Publish { with_headers: false }, true),
        (b"HMSG", Self::Publish { with_headers: true }, true),
        (b"LS+", Self::Plain(Plain::InterestBegins), true),
        (b"LS-", Self::Plain(Plain::InterestEnds), true),
        (b"PING", Self::Plain(Plain::Ping), false),
        (b"PONG", Self::Plain(Plain::Pong), false),
        (b"INFO", Self::Plain(Plain::Info), false),
        (b"-ERR", Self::Plain(Plain::ErrorOfHub), true),
    ];

    /// The verb that a line begins with, in letters of any case, and its length. `None` if it is
    /// not complete yet. A wrong verb is recognised by its first wrong byte. (Observed.)
    fn read(
        line: &[u8],
        dialect: Dialect,
        connect_required: bool,
    ) -> Result<Option<(Self, usize)>, ProtocolError> {
        if connect_required && line.first().is_some_and(|first| !first.eq_ignore_ascii_case(&b'C'))
        {
            return Err(ProtocolError::NotAuthorized);
        }
        // Nearly every line begins like this. The general way costs more than the rest of the work
        // for a message.
        if let ([b'P', b'U', b'B', b' ', ..], Dialect::Client) = (line, dialect) {
            return Ok(Some((Self::Publish { with_headers: false }, 3)));
        }
        let words: &[_] = match dialect {
            Dialect::Client => &Self::WORDS,
            Dialect::Hub => &Self::WORDS_OF_HUB,
        };
        for &(word, verb, needs_blank) in words {
            let known = line.len().min(word.len());
            if !line[..known].eq_ignore_ascii_case(&word[..known]) {
                continue;
            }
            return match line.get(known) {
                _ if known < word.len() => Ok(None),
                Some(b' ' | b'\t') => Ok(Some((verb, known))),
                Some(_) if needs_blank => Err(ProtocolError::UnknownOperation),
                None if needs_blank => Ok(None),
                _ => Ok(Some((verb, known))),
            };
        }
        Err(ProtocolError::UnknownOperation)
    }

    /// Whether the rest of the line matters.
    fn has_arguments(self) -> bool {
        !matches!(self, Self::Plain(Plain::Ping | Plain::Pong | Plain::Ok))
    }
}

impl Plain {
    /// The operation that these arguments make. They are copied: a subscription, which lives long,
    /// holds on to no read buffer.
    fn operation(self, arguments: &[u8]) -> Result<Operation, ProtocolError> {
        let whole = Arguments { start: 0, end: arguments.len(), next_line: 0 };
        match self {
            Self::Connect => Ok(Operation::Connect(Bytes::copy_from_slice(arguments))),
            Self::Info => Ok(Operation::Info(Bytes::copy_from_slice(arguments))),
            Self::Ping => Ok(Operation::Ping),
            Self::Pong => Ok(Operation::Pong),
            Self::Ok => Ok(Operation::Ok),
            Self::Error => Err(ProtocolError::ErrorFromClient),
            Self::ErrorOfHub => Ok(Operation::Error(Bytes::copy_from_slice(arguments))),
            Self::InterestBegins | Self::InterestEnds => {
                let copy = Bytes::copy_from_slice(arguments);
                let (spans, count) = split::<3>(&copy, whole, find_blank_or_cr)?;
                let begins = self == Self::InterestBegins;
                // The weight of a group is not used: its members there are for the hub to choose.
                let group = match (count, begins) {
                    (1, _) => None,
                    (3, true) | (2, false) => Some(spans[1].slice_of(&copy)),
                    _ => return Err(ProtocolError::WrongArgumentCount),
                };
                Ok(Operation::Interest { subject: spans[0].slice_of(&copy), group, begins })
            }
            Self::Subscribe => {
                let copy = Bytes::copy_from_slice(arguments);
                let (spans, count) = split::<3>(&copy, whole, find_blank_or_cr)?;
                let queue = match count {
                    2 => None,
                    3 => Some(spans[1].slice_of(&copy)),
                    _ => return Err(ProtocolError::WrongArgumentCount),
                };
                let (subject, sid) = (spans[0].slice_of(&copy), spans[count - 1].slice_of(&copy));
                Ok(Operation::Subscribe { subject, queue, sid })
            }
            Self::Unsubscribe => {
                let (spans, count) = split::<2>(arguments, whole, find_blank_or_cr)?;
                let max = match count {
                    1 => None,
                    2 => parse_size(spans[1].of(arguments)).ok().filter(|&max| max > 0),
                    _ => return Err(ProtocolError::WrongArgumentCount),
                };
                Ok(Operation::Unsubscribe {
                    sid: Bytes::copy_from_slice(spans[0].of(arguments)),
                    max,
                })
            }
        }
    }
}

/// The part of the buffer that is parsed: short enough that positions fit into 32 bits, and longer
/// than any message.
fn view(buffer: &BytesMut) -> &[u8] {
    const VIEW_BYTES: usize = i32::MAX as usize;
    &buffer[..buffer.len().min(VIEW_BYTES)]
}

/// Takes what a batch of messages is made of off the buffer: as a copy if it is small, or else with
/// its part of the buffer.
fn take_front(buffer: &mut BytesMut, bytes: usize) -> Bytes {
    if bytes > NATS_COPIED_BYTES {
        return buffer.split_to(bytes).freeze();
    }
    let copy = Bytes::copy_from_slice(&buffer[..bytes]);
    buffer.advance(bytes);
    copy
}

fn is_blank(byte: &u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

fn find_blank(bytes: &[u8]) -> Option<usize> {
    memchr2(b' ', b'\t', bytes)
}

/// What separates the arguments of `SUB` and `UNSUB`, but not those of `PUB` and `HPUB`.
/// (Observed.)
fn find_blank_or_cr(bytes: &[u8]) -> Option<usize> {
    memchr3(b' ', b'\t', b'\r', bytes)
}

/// Whether a line begins with another subject, as nearly every line does that begins the message of
/// another block. To parse it for that would be half of the work for a message that comes alone.
fn is_elsewhere(line: &[u8], subject: &[u8]) -> bool {
    let arguments = line.strip_prefix(b"PUB ");
    arguments.is_some_and(|it| !it.first().is_none_or(is_blank) && !it.starts_with(subject))
}

/// Splits arguments: where they are, and how many. `find` finds a byte that separates them.
fn split<const MOST: usize>(
    bytes: &[u8],
    arguments: Arguments,
    find: impl Fn(&[u8]) -> Option<usize>,
) -> Result<([Span; MOST], usize), ProtocolError> {
    let mut spans = [Span::default(); MOST];
    let mut count = 0;
    let Arguments { mut start, end: last, .. } = arguments;
    while start < last {
        let end = find(&bytes[start..last]).map_or(last, |at| start + at);
        if end > start {
            *spans.get_mut(count).ok_or(ProtocolError::WrongArgumentCount)? =
                Span::between(start, end);
            count += 1;
        }
        start = end + 1;
    }
    Ok((spans, count))
}

/// All words of a control line.
fn words(bytes: &[u8], arguments: Arguments) -> Vec<Span> {
    let mut start = arguments.start;
    let words = bytes[arguments.start..arguments.end].split(is_blank).map(|word| {
        let span = Span::between(start, start + word.len());
        start = span.end() + 1;
        span
    });
    words.filter(|span| span.bytes > 0).collect()
}

/// Splits JetStream's reply, which has the subject that clients are to see behind its `@`:
/// `$JS.ACK.stream.consumer.1.2.3.4.5@subject`. Gives subject and reply without it. (Observed.)
fn delivered(bytes: &[u8], subject: Span, reply: Span) -> (Span, Span) {
    const DOTS_BEFORE: usize = 8;
    let text = reply.of(bytes);
    let at = memchr(b'@', text).filter(|at| text.starts_with(b"$JS.ACK.") && *at + 1 < text.len());
    let is_deep =
        |at: &usize| text[..*at].iter().filter(|byte| **byte == b'.').count() >= DOTS_BEFORE;
    let Some(at) = at.filter(is_deep) else { return (subject, reply) };
    let begin = reply.at as usize;
    (Span::between(begin + at + 1, reply.end()), Span::between(begin, begin + at))
}

/// A size: up to nine digits. (Observed.)
fn parse_size(digits: &[u8]) -> Result<u32, ProtocolError> {
    if digits.is_empty()
        || digits.len() > NATS_SIZE_DIGITS
        || !digits.iter().all(u8::is_ascii_digit)
    {
        return Err(ProtocolError::InvalidSize);
    }
    Ok(digits.iter().fold(0, |size, digit| size * 10 + u32::from(digit - b'0')))
}

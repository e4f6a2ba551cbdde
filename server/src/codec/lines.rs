//! Lines of UTF-8 text, as `nc`, telnet and scripts send them.
//!
//! [`LineDecoder`] takes bytes as they come, in pieces of any size, and gives back lines. It keeps
//! at most one line. It also tells a peer that speaks another protocol by the first line.
//! [`append_text`] and [`append_line`] write text for a terminal.

use crate::limits::{COMBINING_MARKS, TELNET_SKIPPED_BYTES};
use std::fmt;
use unicode_normalization::char::is_combining_mark;

/// Why a line cannot be used. The decoder goes on with the next line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LineError {
    /// The line has more bytes than allowed. Reported once, as soon as it is known; the line is
    /// skipped up to its end.
    TooLong {
        /// Bytes that a line may have.
        max_bytes: usize,
    },
    /// The line is not UTF-8.
    InvalidUtf8 {
        /// Where in the line the first wrong byte is, counted from 0.
        position_bytes: usize,
    },
    /// The first line is another protocol's. The peer should get that protocol's answer, and
    /// nothing more of it should be read.
    Foreign(ForeignProtocol),
}

/// A protocol whose clients come to a port of lines by mistake, or because a web page sends them:
/// any page can make a browser post to any port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignProtocol {
    /// HTTP/1.
    Http,
    /// Internet Relay Chat.
    Irc,
    /// The header of a proxy, of either version.
    Proxy,
}

impl ForeignProtocol {
    /// The other protocol that a line begins like, if any.
    fn of(line: &[u8]) -> Option<Self> {
        const REQUESTS: [&str; 7] =
            ["GET /", "POST /", "HEAD /", "PUT /", "PATCH /", "DELETE /", "OPTIONS /"];
        const GREETINGS: [&str; 3] = ["CAP LS", "NICK ", "USER "];
        const HEADERS: [&str; 3] = ["PROXY TCP", "PROXY UNK", "\0\r"];
        let begins = |start: &&str| line.starts_with(start.as_bytes());
        if REQUESTS.iter().any(&begins) {
            Some(Self::Http)
        } else if GREETINGS.iter().any(&begins) {
            Some(Self::Irc)
        } else if HEADERS.iter().any(begins) {
            Some(Self::Proxy)
        } else {
            None
        }
    }

    /// The answer to such a client, before the connection is closed.
    pub fn refusal(self) -> &'static str {
        match self {
            Self::Http => {
                "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\n\
                 Content-Length: 30\r\nConnection: close\r\n\r\nthis port does not speak HTTP\n"
            }
            Self::Irc => "ERROR :this port does not speak IRC\r\n",
            Self::Proxy => "! you are not one of this server's trusted proxies\n",
        }
    }
}

impl fmt::Display for LineError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { max_bytes } => {
                write!(
                    out,
                    "that line is too long and was skipped; at most {max_bytes} bytes fit into one"
                )
            }
            Self::InvalidUtf8 { position_bytes } => {
                write!(
                    out,
                    "that line is not UTF-8 text (byte {}) and was skipped",
                    position_bytes + 1
                )
            }
            Self::Foreign(protocol) => {
                write!(out, "that line is of another protocol: {protocol:?}")
            }
        }
    }
}

impl std::error::Error for LineError {}

/// Turns bytes into lines.
///
/// A line ends with LF or CR LF. Telnet's commands (IAC ...) are left out of it. Never holds more
/// than one line of the longest allowed length.
#[derive(Debug)]
pub struct LineDecoder {
    line: Vec<u8>,
    max_bytes: usize,
    state: State,
    telnet: Telnet,
    is_first: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Collecting,
    /// The line was handed out. It is dropped when the next one begins.
    HandedOut,
    /// The line is too long, which was reported; it is skipped up to its end.
    Skipping,
    /// The peer speaks another protocol, which was reported. Nothing more is read.
    Foreign,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telnet {
    Text,
    /// After IAC.
    Command,
    /// After IAC and WILL, WONT, DO or DONT: one more byte.
    Option,
    /// Inside IAC SB ... IAC SE; how many bytes so far, and whether the last was IAC.
    Subnegotiation {
        bytes: usize,
        iac: bool,
    },
}

/// How many bytes of a first line are enough to tell its protocol.
const FIRST_BYTES: usize = "OPTIONS /".len();

const LF: u8 = b'\n';
const CR: u8 = b'\r';
const IAC: u8 = 255;
const TELNET_SE: u8 = 240;
const TELNET_SB: u8 = 250;

impl LineDecoder {
    /// A decoder for lines of up to `max_bytes` bytes, their ends not counted.
    pub fn new(max_bytes: usize) -> Self {
        Self {
            line: Vec::new(),
            max_bytes,
            state: State::Collecting,
            telnet: Telnet::Text,
            is_first: true,
        }
    }

    /// The next line, or what is wrong with it. Removes what it used from the front of `input`.
    /// `None` means that `input` is used up and more is needed.
    pub fn decode(&mut self, input: &mut &[u8]) -> Option<Result<&str, LineError>> {
        if self.state == State::HandedOut {
            self.line.clear();
            self.state = State::Collecting;
        }
        while !input.is_empty() && self.state != State::Foreign {
            if self.telnet != Telnet::Text {
                self.skip_telnet(input);
                continue;
            }
            let special = input.iter().position(|&byte| byte == LF || byte == IAC);
            let (text, rest) = input.split_at(special.unwrap_or(input.len()));
            if let Some(protocol) = self.foreign(text) {
                self.state = State::Foreign;
                return Some(Err(LineError::Foreign(protocol)));
            }
            let too_long = self.collect(text);
            *input = rest;
            if too_long {
                return Some(Err(LineError::TooLong { max_bytes: self.max_bytes }));
            }
            match rest.first() {
                Some(&LF) => {
                    *input = &rest[1..];
                    // A proxy's header of version 2 begins with empty lines.
                    self.is_first &= matches!(self.line[..], [] | [CR]);
                    if self.state == State::Skipping {
                        self.state = State::Collecting;
                    } else {
                        return Some(self.hand_out());
                    }
                }
                Some(_) => {
                    *input = &rest[1..];
                    self.telnet = Telnet::Command;
                }
                None => {}
            }
        }
        *input = &[];
        self.release_when_large();
        None
    }

    /// The rest of the input that no line end follows, as a last line.
    pub fn finish(&mut self) -> Option<Result<&str, LineError>> {
        if self.state != State::Collecting || self.line.is_empty() {
            return None;
        }
        Some(self.hand_out())
    }

    /// The other protocol to which the first line belongs once `text` is added, if any.
    fn foreign(&self, text: &[u8]) -> Option<ForeignProtocol> {
        if !self.is_first || self.line.len() >= FIRST_BYTES {
            return None;
        }
        let added = &text[..text.len().min(FIRST_BYTES)];
        ForeignProtocol::of(&[&self.line, added].concat())
    }

    /// Adds to the line. Returns true, once, if that makes the line too long.
    fn collect(&mut self, text: &[u8]) -> bool {
        if self.state == State::Skipping {
            return false;
        }
        // One byte more than a line may have: it can still turn out to be the CR of the line's end.
        if self.line.len() + text.len() > self.max_bytes + 1 {
            self.line.clear();
            self.state = State::Skipping;
            return true;
        }
        self.line.extend_from_slice(text);
        false
    }

    fn hand_out(&mut self) -> Result<&str, LineError> {
        self.state = State::HandedOut;
        let mut text = &self.line[..];
        if let [rest @ .., CR] = text {
            text = rest;
        }
        if text.len() > self.max_bytes {
            return Err(LineError::TooLong { max_bytes: self.max_bytes });
        }
        std::str::from_utf8(text)
            .map_err(|error| LineError::InvalidUtf8 { position_bytes: error.valid_up_to() })
    }

    fn skip_telnet(&mut self, input: &mut &[u8]) {
        let byte = input[0];
        let mut used = 1;
        self.telnet = match self.telnet {
            Telnet::Text => Telnet::Text,
            Telnet::Command => match byte {
                251..=254 => Telnet::Option,
                TELNET_SB => Telnet::Subnegotiation { bytes: 0, iac: false },
                TELNET_SE..=249 => Telnet::Text,
                // Not a telnet command, so the 255 was a stray byte. It stays in the line, which is
                // then not UTF-8.
                _ => {
                    used = usize::from(byte == IAC);
                    // A line that is full already is too long by this byte; `hand_out` or the next
                    // piece says so.
                    if self.state == State::Collecting && self.line.len() <= self.max_bytes {
                        self.line.push(IAC);
                    }
                    Telnet::Text
                }
            },
            Telnet::Option => Telnet::Text,
            Telnet::Subnegotiation { iac: true, .. } if byte == TELNET_SE => Telnet::Text,
            Telnet::Subnegotiation { bytes, .. } if bytes >= TELNET_SKIPPED_BYTES => Telnet::Text,
            Telnet::Subnegotiation { bytes, iac } => {
                Telnet::Subnegotiation { bytes: bytes + 1, iac: byte == IAC && !iac }
            }
        };
        *input = &input[used..];
    }

    /// A quiet connection does not keep the room of the longest line it ever sent.
    fn release_when_large(&mut self) {
        if self.line.is_empty() && self.line.capacity() > 512 {
            self.line = Vec::new();
        }
    }
}

/// Appends text that a stranger wrote, made harmless for a terminal and for the protocol: bytes
/// that are not UTF-8 and control characters (escape sequences, line ends, NUL) become `U+FFFD`, a
/// tab stays. What is not seen and makes a line say something else than it shows is left out, and
/// so are combining marks beyond [`COMBINING_MARKS`] in a row.
///
/// At most `max_bytes` of the text are taken; a longer one ends with `…`.
pub fn append_text(out: &mut Vec<u8>, text: &[u8], max_bytes: usize) {
    let shown = &text[..text.len().min(max_bytes)];
    if shown.iter().all(|&byte| (0x20..0x7f).contains(&byte)) {
        out.extend_from_slice(shown);
    } else {
        // A character cut in two by `max_bytes` is left out rather than shown as a wrong one.
        let shown = if shown.len() < text.len() { trim_cut_character(shown) } else { shown };
        for chunk in shown.utf8_chunks() {
            append_harmless(out, chunk.valid());
            if !chunk.invalid().is_empty() {
                append_char(out, char::REPLACEMENT_CHARACTER);
            }
        }
    }
    if shown.len() < text.len() {
        append_char(out, '…');
    }
}

/// Appends a line and its end: all of `parts`, which we wrote ourselves.
pub fn append_line(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
    out.push(LF);
}

fn append_harmless(out: &mut Vec<u8>, text: &str) {
    let (mut begin, mut marks) = (0, 0);
    for (at, c) in text.char_indices() {
        marks = marks_with(c, marks);
        if is_harmful(c) || is_deceptive(c) || marks > COMBINING_MARKS {
            out.extend_from_slice(&text.as_bytes()[begin..at]);
            if is_harmful(c) {
                append_char(out, char::REPLACEMENT_CHARACTER);
            }
            begin = at + c.len_utf8();
        }
    }
    out.extend_from_slice(&text.as_bytes()[begin..]);
}

/// Control characters, and the two separators of Unicode that some terminals take as a line end.
/// Replaced, to show that something was there.
fn is_harmful(c: char) -> bool {
    (c.is_control() && c != '\t') || c == '\u{2028}' || c == '\u{2029}'
}

/// Invisible characters that make a line say something else than it shows: controls that turn the
/// order of letters round (text in Arabic and Hebrew needs none), and tags, which are letters that
/// only programs read. Left out, since there is nothing to see. The marks that set a direction for
/// one place, and the joiners of Indic scripts, Persian and emoji, stay.
fn is_deceptive(c: char) -> bool {
    matches!(c,
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{206f}' | '\u{e0000}'..='\u{e007f}')
}

/// How many combining marks stand in a row, with this character.
fn marks_with(c: char, marks: usize) -> usize {
    match c {
        ..'\u{300}' => 0,
        // Marks behind these are drawn on the same letter.
        '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}' => marks,
        _ if is_deceptive(c) => marks,
        _ if is_combining_mark(c) => marks + 1,
        _ => 0,
    }
}

fn append_char(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn trim_cut_character(text: &[u8]) -> &[u8] {
    match std::str::from_utf8(text) {
        // `error_len` is none when the text ends in the middle of a character.
        Err(error) if error.error_len().is_none() => &text[..error.valid_up_to()],
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of the line held so far; never more than the longest line, a CR, and what a wrong IAC
    /// adds.
    fn held_bytes(decoder: &LineDecoder) -> usize {
        if decoder.state == State::HandedOut { 0 } else { decoder.line.len() }
    }

    type Lines = Vec<Result<String, LineError>>;

    fn decode_pieces(pieces: &[&[u8]], max_bytes: usize) -> Lines {
        let mut decoder = LineDecoder::new(max_bytes);
        let mut lines = Lines::new();
        for piece in pieces {
            let mut input = *piece;
            while let Some(line) = decoder.decode(&mut input) {
                lines.push(line.map(str::to_owned));
            }
            assert!(input.is_empty());
        }
        lines.extend(decoder.finish().map(|line| line.map(str::to_owned)));
        lines
    }

    /// The same bytes, whole, byte by byte, and split in two at every place, must give the same
    /// lines.
    #[track_caller]
    fn check(bytes: &[u8], max_bytes: usize, expected: &[Result<&str, LineError>]) {
        let expected: Lines = expected.iter().map(|line| line.map(str::to_owned)).collect();
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(decode_pieces(&[bytes], max_bytes), expected, "whole");
        assert_eq!(decode_pieces(&single, max_bytes), expected, "byte by byte");
        for at in 0..=bytes.len() {
            let (left, right) = bytes.split_at(at);
            assert_eq!(decode_pieces(&[left, right], max_bytes), expected, "split at {at}");
        }
    }

    const TOO_LONG: LineError = LineError::TooLong { max_bytes: 8 };

    #[test]
    fn lines_end_with_lf_or_cr_lf() {
        check(b"one\ntwo\r\n\r\n\nlast", 8, &[Ok("one"), Ok("two"), Ok(""), Ok(""), Ok("last")]);
        check("grüße\n日本\r\n".as_bytes(), 8, &[Ok("grüße"), Ok("日本")]);
        check(b"a\rb\n", 8, &[Ok("a\rb")]);
    }

    #[test]
    fn a_line_of_just_the_bound_is_one_and_one_more_is_too_long() {
        check(b"12345678\n12345678\r\nx\n", 8, &[Ok("12345678"), Ok("12345678"), Ok("x")]);
        check(b"123456789\nok\n", 8, &[Err(TOO_LONG), Ok("ok")]);
        check(b"123456789\r\nok\n", 8, &[Err(TOO_LONG), Ok("ok")]);
    }

    #[test]
    fn an_endless_line_is_reported_once_and_never_held() {
        let mut decoder = LineDecoder::new(8);
        let mut errors = 0;
        for _ in 0..100_000 {
            let mut input = &b"0123456789"[..];
            while let Some(line) = decoder.decode(&mut input) {
                assert_eq!(line, Err(TOO_LONG));
                errors += 1;
            }
            assert!(held_bytes(&decoder) <= 9);
        }
        assert_eq!(errors, 1);
        let mut input = &b"\nback\n"[..];
        assert_eq!(decoder.decode(&mut input), Some(Ok("back")));
    }

    #[test]
    fn a_line_that_is_not_utf8_costs_only_itself() {
        let wrong = LineError::InvalidUtf8 { position_bytes: 2 };
        check(b"ok\nab\xc3\x28\nok\n", 8, &[Ok("ok"), Err(wrong), Ok("ok")]);
        check(b"ab\xffc\nok\n", 8, &[Err(wrong), Ok("ok")]);
        check(b"ab\xff\xff\nok\n", 8, &[Err(wrong), Ok("ok")]);
        check(b"ab\xff\nok\n", 8, &[Err(wrong), Ok("ok")]);
    }

    #[test]
    fn telnet_commands_are_left_out() {
        check(b"\xff\xfd\x03\xff\xfb\x18hi\r\n", 8, &[Ok("hi")]);
        check(b"a\xff\xf1b\n", 8, &[Ok("ab")]);
        check(b"a\xff\xfa\x1f\x00\x0a\xff\xff\x00\xff\xf0b\n", 8, &[Ok("ab")]);
    }

    #[test]
    fn an_endless_subnegotiation_ends() {
        let mut bytes = b"\xff\xfa".to_vec();
        bytes.resize(2 + TELNET_SKIPPED_BYTES + 1, b'x');
        bytes.extend_from_slice(b"hi\n");
        check(&bytes, 8, &[Ok("hi")]);
    }

    #[test]
    fn the_first_line_tells_another_protocol() {
        for bytes in [
            &b"POST / HTTP/1.1\r\nHost: x\r\n\r\n/nick eve\n"[..],
            b"GET /a/path/that/is/longer/than/any/line HTTP/1.1\r\n",
            b"OPTIONS / HTTP/1.1\r\n",
        ] {
            for at_a_time in 1..bytes.len() {
                let mut decoder = LineDecoder::new(8);
                let mut pieces = bytes.chunks(at_a_time);
                let found =
                    pieces.find_map(|mut piece| decoder.decode(&mut piece).map(|it| it.err()));
                assert_eq!(
                    found,
                    Some(Some(LineError::Foreign(ForeignProtocol::Http))),
                    "{at_a_time}"
                );
            }
        }
        let mut decoder = LineDecoder::new(80);
        let irc = Some(Err(LineError::Foreign(ForeignProtocol::Irc)));
        assert_eq!(decoder.decode(&mut &b"NICK alice\r\n"[..]), irc);
        let proxy = Err(LineError::Foreign(ForeignProtocol::Proxy));
        check(b"PROXY TCP4 192.0.2.1 10.0.0.1 1 2\r\n", 80, std::slice::from_ref(&proxy));
        check(b"\r\n\r\n\0\r\nQUIT\n\x21", 80, &[Ok(""), Ok(""), proxy]);
        // Only the first line, and only in the words of a client.
        let mut decoder = LineDecoder::new(80);
        let mut input = &b"get / it\nGET / it\n"[..];
        assert_eq!(decoder.decode(&mut input), Some(Ok("get / it")));
        assert_eq!(decoder.decode(&mut input), Some(Ok("GET / it")));
        let (_, body) = ForeignProtocol::Http.refusal().split_once("\r\n\r\n").unwrap();
        assert!(
            ForeignProtocol::Http
                .refusal()
                .contains(&format!("Content-Length: {}\r\n", body.len()))
        );
    }

    #[test]
    fn text_of_strangers_is_made_harmless() {
        let render = |text: &[u8], max: usize| {
            let mut out = Vec::new();
            append_text(&mut out, text, max);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(render(b"plain", 10), "plain");
        assert_eq!(
            render(b"\x1b[2Jx\ty\r\n[lobby] eve: z\0", 99),
            "\u{fffd}[2Jx\ty\u{fffd}\u{fffd}[lobby] eve: z\u{fffd}"
        );
        assert_eq!(render("ö\u{2028}\u{85}".as_bytes(), 99), "ö\u{fffd}\u{fffd}");
        assert_eq!(render(b"a\xffb", 99), "a\u{fffd}b");
        assert_eq!(render("日本".as_bytes(), 4), "日…");
        assert_eq!(render(b"abcdef", 3), "abc…");
    }

    /// Decodes `input` in pieces whose sizes its first byte chooses, checks the bounds, and renders
    /// what came out.
    fn fuzz_lines(input: &[u8]) {
        const MAX_BYTES: usize = 32;
        let Some((&size, bytes)) = input.split_first() else { return };
        let mut decoder = LineDecoder::new(MAX_BYTES);
        let mut out = Vec::new();
        for mut piece in bytes.chunks(usize::from(size).max(1)) {
            while let Some(line) = decoder.decode(&mut piece) {
                if let Ok(line) = line {
                    assert!(line.len() <= MAX_BYTES && !line.contains('\n'));
                    append_text(&mut out, line.as_bytes(), MAX_BYTES);
                }
            }
            assert!(held_bytes(&decoder) <= MAX_BYTES + 1);
        }
        let _ = decoder.finish();
        let is_bad = |c| is_harmful(c) || is_deceptive(c);
        assert!(std::str::from_utf8(&out).is_ok_and(|text| !text.chars().any(is_bad)));
    }

    #[test]
    fn random_lines_do_no_harm() {
        let seeds: [&[u8]; 8] = [
            b"\x01hello\nworld\r\n",
            b"\x03\xff\xfa\xff\xff\xf0\n\xff",
            b"\x02\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\n",
            b"\x07aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            b"\x05\xe2\x80\xae\xf0\x9f\x98\x80\n\0\r\0\n",
            b"\x00",
            b"",
            b"\xff\n\n\n\r\r\n",
        ];
        // A small generator makes ten thousand inputs of the bytes that matter.
        let alphabet = [LF, CR, 0, IAC, TELNET_SB, TELNET_SE, 251, b'a', 0xc3, 0xa4, 0x1b];
        let mut random: u32 = 7;
        let mut next = move || {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) as usize
        };
        for seed in seeds {
            fuzz_lines(seed);
        }
        for _ in 0..10_000 {
            let length = next() % 120;
            let input: Vec<u8> = (0..length).map(|_| alphabet[next() % alphabet.len()]).collect();
            fuzz_lines(&input);
        }
    }
}

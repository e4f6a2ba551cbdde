//! Finds the messages in what a server sends to a subscriber, as fast as can be: without I/O and
//! without copies.

use clap::ValueEnum;
use std::fmt::Write;

/// The protocol that the server speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// NATS: nats-server, Fanfare
    #[default]
    Nats,
    /// Redis
    Redis,
}

impl Protocol {
    /// The port where its servers usually listen.
    pub fn port(self) -> u16 {
        match self {
            Self::Nats => 4222,
            Self::Redis => 6379,
        }
    }
}

/// Appends one message as a publisher sends it. Returns where its payload begins.
pub fn append_publish(
    protocol: Protocol,
    out: &mut Vec<u8>,
    subject: &str,
    payload: &[u8],
) -> usize {
    let mut head = String::new();
    // Writing to a string cannot fail.
    let _ = match protocol {
        Protocol::Nats => write!(head, "PUB {subject} {}\r\n", payload.len()),
        Protocol::Redis => {
            write!(
                head,
                "*3\r\n$7\r\nPUBLISH\r\n${}\r\n{subject}\r\n${}\r\n",
                subject.len(),
                payload.len()
            )
        }
    };
    out.extend_from_slice(head.as_bytes());
    let begin = out.len();
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
    begin
}

/// Walks from message to message. Messages mostly begin with the same bytes as the one before, so
/// those are compared and not read again.
#[derive(Debug)]
pub struct Scanner {
    protocol: Protocol,
    /// The bytes before the payload of the previous message.
    head: Vec<u8>,
    payload_bytes: usize,
}

/// The part of the stream that a walk has passed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walked {
    /// Bytes of whole messages and lines.
    pub bytes: usize,
    /// How often the server asked whether we are there.
    pub pings: usize,
}

/// The line end after a payload.
const TAIL_BYTES: usize = 2;

/// Longer than any line before a payload. A longer one is another protocol.
const LINE_BYTES_MAX: usize = 8 * 1024;

impl Scanner {
    /// Reads one stream from its beginning.
    pub fn new(protocol: Protocol) -> Self {
        Self { protocol, head: Vec::new(), payload_bytes: 0 }
    }

    /// Calls `message` with the payload of every message that is there as a whole.
    pub fn walk(&mut self, bytes: &[u8], mut message: impl FnMut(&[u8])) -> Result<Walked, String> {
        let mut walked = Walked::default();
        loop {
            let rest = &bytes[walked.bytes..];
            let length = self.head.len() + self.payload_bytes + TAIL_BYTES;
            if !self.head.is_empty() && rest.len() >= length && rest.starts_with(&self.head) {
                message(&rest[self.head.len()..length - TAIL_BYTES]);
                walked.bytes += length;
                continue;
            }
            let head_bytes = match self.protocol {
                Protocol::Nats => nats_head(rest)?,
                Protocol::Redis => redis_head(rest)?,
            };
            match head_bytes {
                Head::Incomplete => return Ok(walked),
                Head::Line(length) => walked.bytes += length,
                Head::Ping(length) => {
                    walked.bytes += length;
                    walked.pings += 1;
                }
                Head::Message(head_bytes, payload_bytes) => {
                    self.head = rest[..head_bytes].to_vec();
                    self.payload_bytes = payload_bytes;
                    if rest.len() < head_bytes + payload_bytes + TAIL_BYTES {
                        return Ok(walked);
                    }
                }
            }
        }
    }
}

/// The beginning of the next frame.
enum Head {
    Incomplete,
    /// A line of this many bytes without a message.
    Line(usize),
    Ping(usize),
    /// The bytes before a payload, and the bytes of the payload.
    Message(usize, usize),
}

fn nats_head(bytes: &[u8]) -> Result<Head, String> {
    let Some(line) = line(bytes)? else { return Ok(Head::Incomplete) };
    let text = text(line);
    let verb = text.split_ascii_whitespace().next().unwrap_or_default();
    match verb.to_ascii_uppercase().as_str() {
        "MSG" | "HMSG" => match text.split_ascii_whitespace().next_back().map(str::parse) {
            Some(Ok(payload_bytes)) => Ok(Head::Message(line.len(), payload_bytes)),
            _ => Err(format!("the server said {text:?}, which has no size")),
        },
        "PING" => Ok(Head::Ping(line.len())),
        "PONG" | "+OK" | "INFO" => Ok(Head::Line(line.len())),
        _ => Err(format!("the server said {}", text.trim_end())),
    }
}

/// A message is an array of three: `message`, the channel, the payload.
fn redis_head(bytes: &[u8]) -> Result<Head, String> {
    let mut length = 0;
    for _ in 0..6 {
        match line(&bytes[length..])? {
            Some(line) if length == 0 && line.starts_with(b"-") => {
                return Err(format!("the server said {}", text(line)));
            }
            Some(line) => length += line.len(),
            None => return Ok(Head::Incomplete),
        }
    }
    let head = text(&bytes[..length]);
    let size = head.trim_end().rsplit("\r\n$").next().map(str::parse);
    match size {
        Some(Ok(payload_bytes)) if head.starts_with("*3\r\n$7\r\nmessage\r\n") => {
            Ok(Head::Message(length, payload_bytes))
        }
        _ => Err(format!("the server said {head:?}, which is not a message")),
    }
}

/// The line that stands at the beginning, with its end.
fn line(bytes: &[u8]) -> Result<Option<&[u8]>, String> {
    match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => Ok(Some(&bytes[..=end])),
        None if bytes.len() > LINE_BYTES_MAX => {
            Err("the server sends a line without an end".to_owned())
        }
        None => Ok(None),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NATS: &[u8] =
        b"PING\r\nMSG a 1 3\r\nabc\r\nMSG a 1 3\r\n\r\n!\r\n+OK\r\nHMSG b 12 r 12 13\r\n\
          NATS/1.0\r\n\r\nx\r\n\
                          MSG a 1 0\r\n\r\nPING\r\nMSG a 1 3\r\nxyz\r\n";
    const REDIS: &[u8] =
        b"*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$3\r\nabc\r\n*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$3\r\n\
          x\r\n\r\n";

    /// Hands the bytes over in two pieces, as a connection would.
    fn in_two(protocol: Protocol, bytes: &[u8], at: usize) -> (Vec<Vec<u8>>, usize) {
        let (mut scanner, mut payloads, mut pings) = (Scanner::new(protocol), Vec::new(), 0);
        let mut begin = 0;
        for end in [at, bytes.len()] {
            let walked = scanner
                .walk(&bytes[begin..end], |payload| payloads.push(payload.to_vec()))
                .unwrap();
            begin += walked.bytes;
            pings += walked.pings;
        }
        assert_eq!(begin, bytes.len());
        (payloads, pings)
    }

    #[test]
    fn every_message_is_seen_once_wherever_the_bytes_are_split() {
        for at in 0..=NATS.len() {
            let (payloads, pings) = in_two(Protocol::Nats, NATS, at);
            let expected: [&[u8]; 5] = [b"abc", b"\r\n!", b"NATS/1.0\r\n\r\nx", b"", b"xyz"];
            assert_eq!(
                (payloads, pings),
                (expected.map(<[u8]>::to_vec).into(), 2),
                "split at {at}"
            );
        }
        for at in 0..=REDIS.len() {
            let (payloads, _) = in_two(Protocol::Redis, REDIS, at);
            assert_eq!(payloads, [b"abc", b"x\r\n"], "split at {at}");
        }
    }

    #[test]
    fn a_complaint_ends_the_walk() {
        for (protocol, said) in [
            (Protocol::Nats, "-ERR 'Slow Consumer'\r\n"),
            (Protocol::Nats, "MSG a 1 many\r\n"),
            (Protocol::Redis, "-ERR max number of clients reached\r\n"),
            (Protocol::Redis, "*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n:2\r\n"),
        ] {
            let error = Scanner::new(protocol).walk(said.as_bytes(), |_| {}).unwrap_err();
            assert!(error.starts_with("the server said "), "{error}");
        }
        let endless = vec![b'x'; LINE_BYTES_MAX + 1];
        assert!(
            Scanner::new(Protocol::Nats)
                .walk(&endless, |_| {})
                .unwrap_err()
                .contains("without an end")
        );
    }

    #[test]
    fn a_published_message_says_where_its_payload_is() {
        for (protocol, expected) in [
            (Protocol::Nats, "PUB a 2\r\nhi\r\n"),
            (Protocol::Redis, "*3\r\n$7\r\nPUBLISH\r\n$1\r\na\r\n$2\r\nhi\r\n"),
        ] {
            let mut out = Vec::new();
            let begin = append_publish(protocol, &mut out, "a", b"hi");
            assert_eq!(out, expected.as_bytes());
            assert_eq!(&out[begin..begin + 2], b"hi");
        }
    }
}

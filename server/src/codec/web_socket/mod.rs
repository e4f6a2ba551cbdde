//! Messages of a WebSocket (RFC 6455): bytes in pieces of any size become texts, and texts become
//! bytes.
//!
//! Tungstenite knows what frames mean. It wants a stream, so it gets one in memory.

mod stream;

use crate::limits::WEB_SOCKET_READ_BYTES;
use data_encoding::BASE64;
use sha1::{Digest, Sha1};
// why: memory that a library reads as if it were a stream; nothing leaves it
use std::io::{Error as StreamError, ErrorKind, Read, Result as StreamResult, Write};
pub use stream::{StreamDecoder, append_binary};
pub use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::frame::coding::{Data, OpCode};
use tungstenite::protocol::frame::{Frame, FrameHeader};
pub use tungstenite::protocol::{CloseFrame, frame::Utf8Bytes};
use tungstenite::protocol::{Role, WebSocketConfig, WebSocketContext};
use tungstenite::{Error, Message};

/// The version of the protocol, the only one there is: `Sec-WebSocket-Version`.
pub const VERSION: &str = "13";

/// The most bytes that the reason in a close frame may have. (A control frame carries 125 bytes,
/// two of them the code.)
const REASON_BYTES: usize = 123;

/// The most bytes that a control frame carries.
const CONTROL_BYTES: usize = 125;

/// The most bytes in the header of an unmasked frame.
const HEADER_BYTES: usize = 10;

/// A frame or message from a peer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Received {
    /// A text, whole, whatever frames it came in.
    Text(Utf8Bytes),
    /// A ping or a pong. A ping's answer is among the answers after the next call.
    Control,
    /// The peer closes. Decode nothing more; this is the answer.
    Closed(CloseFrame),
    /// The peer broke the protocol, or sent something we do not accept. Decode nothing more; this
    /// is the answer.
    Refused(CloseFrame),
}

/// Turns the bytes of a client into messages. It holds what is incomplete: never more than twice
/// the longest message and a piece of the next.
#[derive(Debug)]
pub struct MessageDecoder {
    context: WebSocketContext,
}

impl MessageDecoder {
    /// A decoder for messages of up to `max_bytes` bytes.
    pub fn new(max_bytes: usize) -> Self {
        let settings = WebSocketConfig::default()
            .read_buffer_size(WEB_SOCKET_READ_BYTES)
            // It writes only answers to pings, and those at once.
            .write_buffer_size(0)
            .max_frame_size(Some(max_bytes.max(CONTROL_BYTES)))
            .max_message_size(Some(max_bytes));
        Self { context: WebSocketContext::new(Role::Server, Some(settings)) }
    }

    /// The next thing that the peer sent. Removes what it used from the front of `input`, and
    /// appends answers to pings to `answers`. `None` means that `input` is used up and more is
    /// needed.
    pub fn decode(&mut self, input: &mut &[u8], answers: &mut Vec<u8>) -> Option<Received> {
        match self.context.read(&mut Memory { input, answers }) {
            Ok(Message::Text(text)) => Some(Received::Text(text)),
            Ok(Message::Binary(_)) => {
                Some(Received::Refused(closing(CloseCode::Unsupported, "objects are sent as text")))
            }
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => Some(Received::Control),
            // The answer has the same code, by custom.
            Ok(Message::Close(frame)) => Some(Received::Closed(closing(
                frame.map_or(CloseCode::Normal, |frame| frame.code),
                "",
            ))),
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => None,
            Err(error) => Some(Received::Refused(refusal(&error))),
        }
    }
}

fn refusal(error: &Error) -> CloseFrame {
    match error {
        Error::Capacity(_) => closing(CloseCode::Size, "that message is too long"),
        Error::Utf8(_) => closing(CloseCode::Invalid, "that text is not UTF-8"),
        Error::Protocol(error) => {
            CloseFrame { code: CloseCode::Protocol, reason: error.to_string().into() }
        }
        _ => closing(CloseCode::Protocol, ""),
    }
}

/// A close frame with a reason of our own.
pub fn closing(code: CloseCode, reason: &'static str) -> CloseFrame {
    CloseFrame { code, reason: Utf8Bytes::from_static(reason) }
}

/// Appends a message of the text that `append` makes.
pub fn append_text(out: &mut Vec<u8>, append: impl FnOnce(&mut Vec<u8>)) {
    let begin = out.len();
    append(out);
    let length = (out.len() - begin) as u64;
    let mut header = Vec::with_capacity(HEADER_BYTES);
    append_header(&mut header, OpCode::Data(Data::Text), length);
    // Inserted afterwards, since the length of the text decides the length of the header.
    out.splice(begin..begin, header);
}

fn append_header(out: &mut Vec<u8>, opcode: OpCode, length: u64) {
    let header = FrameHeader { opcode, ..FrameHeader::default() };
    #[expect(clippy::expect_used, reason = "writing to a Vec does not fail")]
    header.format(length, out).expect("a header has its place");
}

/// Appends the last frame of all, with as much of the reason as fits.
pub fn append_close(out: &mut Vec<u8>, frame: &CloseFrame) {
    let fits = frame.reason.floor_char_boundary(REASON_BYTES);
    let frame = CloseFrame { code: frame.code, reason: frame.reason[..fits].into() };
    #[expect(clippy::expect_used, reason = "writing to a Vec does not fail")]
    Frame::close(Some(frame)).format(out).expect("a frame has its place");
}

/// A server's answer to a client's key (`Sec-WebSocket-Accept`). None if that is not a key, which
/// is 16 bytes in base64.
pub fn accept_key(key: &str) -> Option<String> {
    // Of RFC 6455, section 1.3.
    const SALT: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    let is_key = BASE64.decode(key.as_bytes()).is_ok_and(|bytes| bytes.len() == 16);
    is_key.then(|| BASE64.encode(&Sha1::new().chain_update(key).chain_update(SALT).finalize()))
}

/// A stream in memory: what there is to read, and what was written.
struct Memory<'i, 'b> {
    input: &'i mut &'b [u8],
    answers: &'i mut Vec<u8>,
}

impl Read for Memory<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> StreamResult<usize> {
        // An empty read would mean that the peer has closed.
        if self.input.is_empty() {
            Err(StreamError::from(ErrorKind::WouldBlock))
        } else {
            self.input.read(into)
        }
    }
}

impl Write for Memory<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> StreamResult<usize> {
        self.answers.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }
}

/// Handles a stranger's bytes as a server does. Returns the number of texts, and whether the
/// connection was closed. For fuzzers and tests alone.
#[cfg(any(test, fuzzing))]
pub fn fuzz_web_socket(bytes: &[u8]) -> (usize, bool) {
    const MAX_BYTES: usize = 300;
    let mut decoder = MessageDecoder::new(MAX_BYTES);
    let (mut texts, mut answers, mut input) = (0, Vec::new(), bytes);
    while let Some(received) = decoder.decode(&mut input, &mut answers) {
        match received {
            Received::Text(text) => {
                assert!(text.len() <= MAX_BYTES);
                texts += 1;
            }
            Received::Control => {}
            Received::Closed(frame) | Received::Refused(frame) => {
                append_close(&mut answers, &frame);
                return (texts, true);
            }
        }
        assert!(answers.len() <= bytes.len(), "an answer is no longer than its ping");
    }
    (texts, false)
}

#[cfg(test)]
mod tests;

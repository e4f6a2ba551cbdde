//! What clients say, taken out of the bytes that they send: lines, or messages of a WebSocket.

use super::render::Framing;
use crate::codec::lines::{LineDecoder, LineError};
use crate::codec::web_socket::{CloseFrame, MessageDecoder, Received, Utf8Bytes};

/// Turns the bytes of a client into what it said.
pub(super) enum Decoder {
    Lines(LineDecoder),
    Messages(MessageDecoder),
}

/// A client's utterance.
pub(super) enum Said<'d> {
    /// A line, which should be an object.
    Line(&'d str),
    /// A message, which should be an object.
    Message(Utf8Bytes),
    /// A line that cannot be read. The client is told, and goes on.
    Mistake(LineError),
    /// A sign of life.
    Nothing,
    /// The client closes. The frame is the answer.
    Goodbye(CloseFrame),
    /// The client speaks another protocol, and is answered in that. Nothing more is to be read.
    Foreign,
    /// The client broke the rules of the framing. The frame says how, and ends the connection.
    Refused(CloseFrame),
}

impl Decoder {
    /// A decoder for objects of up to `max_bytes`.
    pub fn new(framing: Framing, max_bytes: usize) -> Self {
        match framing {
            // A client that is sent events says nothing.
            Framing::Lines | Framing::Events => Self::Lines(LineDecoder::new(max_bytes)),
            Framing::Messages => Self::Messages(MessageDecoder::new(max_bytes)),
        }
    }

    /// Decodes what the client says next. Takes what it used off the front of `input`; what the
    /// framing itself answers goes to `answers`. `None` means that `input` is used up and more is
    /// needed.
    pub fn decode(&mut self, input: &mut &[u8], answers: &mut Vec<u8>) -> Option<Said<'_>> {
        Some(match self {
            Self::Lines(decoder) => match decoder.decode(input)? {
                Ok(line) => Said::Line(line),
                Err(LineError::Foreign(protocol)) => {
                    answers.extend_from_slice(protocol.refusal().as_bytes());
                    Said::Foreign
                }
                Err(error) => Said::Mistake(error),
            },
            Self::Messages(decoder) => match decoder.decode(input, answers)? {
                Received::Text(text) => Said::Message(text),
                Received::Control => Said::Nothing,
                Received::Closed(frame) => Said::Goodbye(frame),
                Received::Refused(frame) => Said::Refused(frame),
            },
        })
    }
}

//! How objects are told apart on a connection: a line each, or a message of a WebSocket each. All
//! else is the same.

use crate::codec::lines::{LineDecoder, LineError};
use crate::codec::push::{ServerObject, append_object};
use crate::codec::web_socket::{
    CloseCode, CloseFrame, MessageDecoder, Received, Utf8Bytes, append_close, append_text, closing,
};

/// How objects are told apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Framing {
    /// One a line.
    #[default]
    Lines,
    /// One a message of a WebSocket.
    Messages,
}

impl Framing {
    /// Appends an object.
    pub fn append_object(self, out: &mut Vec<u8>, object: &ServerObject<'_>) {
        match self {
            Self::Lines => append_object(out, object),
            Self::Messages => append_text(out, |out| {
                append_object(out, object);
                // The end of the line.
                out.pop();
            }),
        }
    }

    /// Appends what says that nothing more will come, where that is said.
    pub fn append_close(self, out: &mut Vec<u8>, frame: Option<&CloseFrame>) {
        if self == Self::Messages {
            append_close(out, frame.unwrap_or(&closing(CloseCode::Normal, "")));
        }
    }
}

/// Bytes of a client to what it said.
pub(super) enum Decoder {
    Lines(LineDecoder),
    Messages(MessageDecoder),
}

/// What a client said.
pub(super) enum Said<'d> {
    /// An object, if it is one.
    Line(&'d str),
    /// The same, as a message.
    Message(Utf8Bytes),
    /// Something that it is told of, and then goes on.
    Mistake(LineError),
    /// That it is there.
    Nothing,
    /// That it goes. To be answered so.
    Goodbye(CloseFrame),
    /// What ends the connection, and so.
    Refused(CloseFrame),
}

impl Decoder {
    /// For objects of up to so many bytes.
    pub fn new(framing: Framing, max_bytes: usize) -> Self {
        match framing {
            Framing::Lines => Self::Lines(LineDecoder::new(max_bytes)),
            Framing::Messages => Self::Messages(MessageDecoder::new(max_bytes)),
        }
    }

    /// The next thing it said. Takes what it used off the front of `input`; what the framing itself
    /// answers goes to `answers`. `None` means that `input` is used up and more is needed.
    pub fn decode(&mut self, input: &mut &[u8], answers: &mut Vec<u8>) -> Option<Said<'_>> {
        Some(match self {
            Self::Lines(decoder) => match decoder.decode(input)? {
                Ok(line) => Said::Line(line),
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

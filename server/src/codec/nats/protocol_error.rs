//! The mistakes that end a connection.

use std::fmt;

/// A mistake after which the connection is closed. As nats-server does, the server says why after
/// some of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// No operation begins like this: a wrong verb, an empty line, a `MSG` from a client.
    UnknownOperation,
    /// A payload is not followed by CR LF where its size said.
    UnterminatedPayload,
    /// The arguments on a control line have more bytes than allowed.
    ControlLineTooLong,
    /// A message, headers counted, has more bytes than allowed. Known before the message arrives.
    PayloadTooLarge,
    /// Something came before `CONNECT`, from a client that first has to say who it is.
    NotAuthorized,
    /// Too few or too many arguments.
    WrongArgumentCount,
    /// A size is negative, no number, or of more than nine digits.
    InvalidSize,
    /// The headers of a message are longer than the message.
    HeadersLargerThanTotal,
    /// `HPUB` from a client that did not say in `CONNECT` that it knows headers, or when the server
    /// does not.
    HeadersNotNegotiated,
    /// The client sent `-ERR`.
    ErrorFromClient,
}

impl ProtocolError {
    /// The text of `-ERR '...'` for the client. `None` if the connection is closed without a word.
    /// (Observed, each of them.)
    pub fn text(self) -> Option<&'static str> {
        match self {
            Self::UnknownOperation | Self::UnterminatedPayload => {
                Some("Unknown Protocol Operation")
            }
            Self::ControlLineTooLong => Some("maximum control line exceeded"),
            Self::PayloadTooLarge => Some("Maximum Payload Violation"),
            Self::NotAuthorized => Some("Authorization Violation"),
            Self::WrongArgumentCount
            | Self::InvalidSize
            | Self::HeadersLargerThanTotal
            | Self::HeadersNotNegotiated
            | Self::ErrorFromClient => None,
        }
    }
}

impl fmt::Display for ProtocolError {
    /// The client's mistake in words, for the log.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::UnknownOperation => "the client sent no known operation",
            Self::UnterminatedPayload => {
                "the client's payload is not followed by CR LF where its size said"
            }
            Self::ControlLineTooLong => "the client's control line is too long",
            Self::PayloadTooLarge => "the client's message is too large",
            Self::NotAuthorized => "the client did not begin with CONNECT",
            Self::WrongArgumentCount => "the client's operation has too few or too many arguments",
            Self::InvalidSize => "the client gave an invalid size",
            Self::HeadersLargerThanTotal => {
                "the client's headers are longer than the message with them"
            }
            Self::HeadersNotNegotiated => "the client sent headers, which it did not announce",
            Self::ErrorFromClient => "the client reported an error",
        })
    }
}

impl std::error::Error for ProtocolError {}

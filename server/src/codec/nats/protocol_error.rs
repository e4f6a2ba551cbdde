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
    /// The mistake in words, for the log. It may be a client's or a hub's.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::UnknownOperation => "unknown operation",
            Self::UnterminatedPayload => "no CR LF after a payload, where its size ends",
            Self::ControlLineTooLong => "control line too long",
            Self::PayloadTooLarge => "message too large",
            Self::NotAuthorized => "no CONNECT at the beginning",
            Self::WrongArgumentCount => "operation with too few or too many arguments",
            Self::InvalidSize => "invalid size",
            Self::HeadersLargerThanTotal => "headers longer than the message with them",
            Self::HeadersNotNegotiated => "headers, which were not announced",
            Self::ErrorFromClient => "error reported",
        })
    }
}

impl std::error::Error for ProtocolError {}

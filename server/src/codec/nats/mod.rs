//! The NATS client protocol as a server speaks it, and the few words more between a leaf node and
//! its hub: what clients and hubs send comes out of a [`Parser`] as [`Operation`]s, and the
//! `append_` functions write what they are sent.
//!
//! Each rule names its source: *documentation* is the page "Client Protocol" of NATS's
//! documentation, *observed* is what nats-server 2.9.10 was seen to do. Where the two differ,
//! clients rely on the second.
//!
//! Of what was seen two things are left out: that server takes an LF for an argument if it comes
//! first on a line, and loses the last byte of a line that has a CR somewhere and ends with LF
//! alone. Here a line ends at its first LF, whatever is on it.
//!
//! What depends on a connection's state (who may do what, which subscriptions there are, `verbose`,
//! `pedantic`) is the business of its session; the parser is told the few things that it has to
//! know ahead of a line's end.

mod address;
mod block;
mod credentials;
#[cfg(any(test, fuzzing))]
mod fuzz;
pub mod headers;
mod incoming;
pub mod nkey;
mod operation;
mod parser;
mod places;
mod protocol_error;
mod render;
mod stamp;
pub mod subject;

/// The account of users that name none, and of clients that need not say who they are.
pub const GLOBAL: &str = "$G";

pub use address::ServerAddress;
pub use block::{Block, Rendered};
pub use credentials::{Credentials, Proof};
#[cfg(any(test, fuzzing))]
pub use fuzz::{fuzz_hub, fuzz_nats};
pub use incoming::{Incoming, MessageHead, incoming, read_headers};
pub use operation::Operation;
pub use parser::{Parser, ParserLimits};
pub use places::INBOXES;
pub use protocol_error::ProtocolError;
pub use render::{
    Outgoing, append_error, append_info, append_interest, append_message,
    append_message_with_header, append_no_responders, append_ok, append_ping, append_pong,
    append_to_hub,
};
pub use stamp::{Stamp, append_stamped, take_stamp};

#[cfg(test)]
mod tests;

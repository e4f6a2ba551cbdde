//! The operations of a client, and of a hub.

use super::block::Block;
use bytes::Bytes;

/// An operation that a client sent to a server, or the hub of a cluster to its leaf node.
#[derive(Debug)]
pub enum Operation {
    /// `CONNECT`, with its JSON as it came.
    Connect(Bytes),
    /// `PING`, whatever else is on the line.
    Ping,
    /// `PONG`, whatever else is on the line.
    Pong,
    /// `+OK`, whatever else is on the line. It means nothing from a client.
    Ok,
    /// `INFO`, with its JSON as it came. It means nothing from a client. (Observed: the connection
    /// is closed if it is no JSON.)
    Info(Bytes),
    /// `PUB` and `HPUB` in a row on the same subject, one or more, or answers where these [may be
    /// joined](super::Parser::join_answers); from a hub `LMSG` and `HMSG`, for the same queue
    /// groups too.
    Publish(Block),
    /// `SUB`.
    Subscribe {
        /// The subject as it came; see [`subject`](super::subject).
        subject: Bytes,
        /// The queue group, if it is to be in one.
        queue: Option<Bytes>,
        /// The subscription id, which the client chooses: any bytes but blanks.
        sid: Bytes,
    },
    /// `UNSUB`.
    Unsubscribe {
        /// The subscription id.
        sid: Bytes,
        /// How many messages the subscription is to get in all, those it has had counted; never 0.
        /// None: end it now. (Observed: that is also what 0, and anything that is no number, mean.)
        max: Option<u32>,
    },
    /// `LS+` and `LS-`, which only a hub says: somebody in its cluster is subscribed to this, or
    /// nobody any more.
    Interest {
        /// The subject, with wildcards.
        subject: Bytes,
        /// The queue group, if they are in one.
        group: Option<Bytes>,
        /// Whether it begins.
        begins: bool,
    },
    /// `-ERR`, from a hub: why it is going to close the connection, mostly.
    Error(Bytes),
}

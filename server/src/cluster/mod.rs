//! The cluster: this server as a leaf node of a NATS cluster, so that several servers are one
//! system.
//!
//! The link dials a hub of the cluster, says `CONNECT`, and tells the hub which patterns are
//! subscribed to here. The hub does the same. Messages cross the link in either direction if
//! somebody on the far side wants them. In the broker the link is a [bridge](fanfare::Bridge).
//!
//! Bytes take this way: the [codec](crate::codec::nats) parses what the hub says, a `session`
//! decides what it means, and the reader does it. The writer sends our interest and our messages.
//! `link` keeps the connection.

mod figures;
mod handshake;
mod link;
mod reader;
mod remedy;
mod render;
mod sequence;
mod session;
pub mod settings;
mod writer;

pub use link::ClusterLink;
pub use settings::{ClusterSettings, parse_hub, parse_hubs};

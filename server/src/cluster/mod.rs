//! The cluster: this server as a leaf node of a NATS cluster, so that several servers are one
//! system.
//!
//! The link dials one of the cluster's hubs, says `CONNECT`, and tells it which patterns are
//! subscribed to here; the hub tells which are there. Messages go over the link in either direction
//! where somebody wants them. In the broker the link is a [bridge](fanfare::Bridge).
//!
//! In the order in which bytes pass: the [codec](crate::codec::nats) parses what the hub says, a
//! [`session`] decides what it means, the reader does that; the writer tells the hub our interest
//! and our messages. `link` keeps the connection.

mod confirm;
pub mod credentials;
mod figures;
mod handshake;
mod link;
mod reader;
mod rules;
mod session;
pub mod settings;
mod writer;

pub use link::ClusterLink;
pub use settings::{ClusterSettings, HubAddress};

//! Connections from their acceptance to their end, the same for every front-end.

pub(crate) mod acceptor;
pub(crate) mod ending;
mod limiter;
mod listener;
pub(crate) mod outbox;

pub use ending::StopReport;
pub use limiter::{ConnectionLimiter, ConnectionLimits, Permit, Refusal};
pub use listener::{Accepted, Listener, refuse};

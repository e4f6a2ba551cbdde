//! Connections and their end, the same for every front-end.

pub(crate) mod accepting;
pub mod ending;
pub(crate) mod outbox;

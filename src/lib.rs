//! Fanfare: a publish/subscribe broker with bounded delivery.

pub mod broker;
pub mod limits;

#[cfg(feature = "server")]
pub mod codec;
#[cfg(feature = "server")]
pub mod frontend;
#[cfg(feature = "server")]
pub mod tasks;
#[cfg(feature = "server")]
pub mod transport;

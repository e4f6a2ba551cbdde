//! Fanfare: a publish/subscribe broker with bounded delivery.
//!
//! Every message fans out to bounded subscriber queues. A slow subscriber costs the others nothing; nothing is lost in
//! silence, and nothing is kept without a bound.
//!
//! The core is the [`broker`]; its types are re-exported here. It runs on any executor, or on plain threads.

pub mod broker;
pub mod limits;

#[cfg(feature = "server")]
pub mod codec;
#[cfg(feature = "server")]
pub mod diagnostics;
#[cfg(feature = "server")]
pub mod frontend;
#[cfg(feature = "server")]
pub mod tasks;
#[cfg(feature = "server")]
pub mod transport;

pub use broker::*;

/// The README's Rust code is compiled and run together with the documentation's own (`cargo test --doc`).
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeDoctests;

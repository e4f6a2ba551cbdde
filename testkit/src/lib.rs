//! What tests share.

pub mod broker;
#[cfg(feature = "server")]
pub mod leak_check;
pub mod memory;

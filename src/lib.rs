//! Fanfare: a publish/subscribe broker with bounded delivery.

pub mod broker;
pub mod limits;

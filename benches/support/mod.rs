//! What the race and the benches share: a run's load, its messages, its readers' books, and the
//! peers.

#![allow(dead_code, reason = "each of the programs that share these uses its own part")]

pub mod crew;
pub mod executor;
pub mod ledger;
pub mod load;
pub mod message;
pub mod peers;
pub mod publishing;
pub mod trial;
pub mod wakes;

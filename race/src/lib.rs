//! Fanfare's broker beside what one would pick instead: the peers, and how a run of each goes.
//!
//! Three programs measure them: `fanout_race` (deliveries a second, latency, processor time),
//! `instructions` (what callgrind counts) and `costs` (allocations, wake-ups, memory).

pub mod executor;
mod ledger;
pub mod message;
pub mod peers;
pub mod run;
pub mod scenario;
pub mod trial;
pub mod versions;
mod wakes;

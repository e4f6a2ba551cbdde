//! Helpers that the race programs share.

pub mod chart;
pub mod median;
pub mod program;

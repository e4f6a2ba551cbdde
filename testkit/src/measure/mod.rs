//! What the programs that race share.

pub mod chart;
pub mod median;
pub mod program;

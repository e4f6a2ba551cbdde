//! What it costs to find a message's subscribers among many subscriptions, what an idle
//! subscription weighs, and whether subscriptions that come and go disturb publishers.
//!
//! ```text
//! cargo run --release --example matching_race            # up to 1,000,000 subscriptions
//! cargo run --release --example matching_race -- --quick # up to 10,000
//! ```

use clap::Parser;
use matching_race::{memory, route_cost, storm};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;

mod matching_race {
    pub mod memory;
    pub mod population;
    pub mod route_cost;
    pub mod storm;
}

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Measures what it costs to find a message's subscribers among many subscriptions
#[derive(Parser)]
#[command(name = "matching_race")]
struct Options {
    /// Up to 10,000 subscriptions instead of 1,000,000
    #[arg(long)]
    quick: bool,
}

/// How much to measure.
#[derive(Clone, Debug)]
struct Effort {
    populations: Vec<usize>,
    /// Publishes in each measurement.
    publishes: usize,
    idle_subscriptions: usize,
    rounds: usize,
}

fn main() {
    run(&if Options::parse().quick {
        Effort {
            populations: vec![10, 10_000],
            publishes: 10_000,
            idle_subscriptions: 50_000,
            rounds: 3,
        }
    } else {
        Effort {
            populations: vec![10, 10_000, 1_000_000],
            publishes: 20_000,
            idle_subscriptions: 1_000_000,
            rounds: 5,
        }
    });
}

fn run(effort: &Effort) {
    // First, while the process is small: memory once used does not go back to the system.
    memory::print(effort);
    route_cost::print(effort);
    storm::print(effort);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tiny_race_runs() {
        run(&Effort { populations: vec![9], publishes: 16, idle_subscriptions: 10, rounds: 1 });
    }
}

//! Fanfare against what one would pick instead, on the same executor, peer beside peer in the same
//! run, in turn.
//!
//! ```text
//! cargo run --release --example fanout_race -- --quick
//! cargo run --release --example fanout_race -- --executor tokio --executor threads
//! cargo run --release --example fanout_race -- --csv race.csv --svg race.svg
//! ```
//! Every reader checks that each message comes once and in its publisher's order. Nothing is lost
//! by anybody, or the table says how much.

use clap::Parser;
use options::Options;
use race::scenario::Scenario;
use race::trial::{Effort, Entrant, Standing, race};
use race::versions::locked_version;
use std::process::ExitCode;
use std::time::Instant;
use testkit::measure::program::end;

mod files;
mod options;
mod rows;
mod table;

fn main() -> ExitCode {
    end("fanout_race", run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), String> {
    let begun = Instant::now();
    let entrants = options.entrants()?;
    print_versions(&entrants);
    let effort = options.effort();
    let mut results: Vec<RowResult> = Vec::new();
    for scenario in options.rows() {
        let result = run_row(scenario, &entrants, &effort);
        if results.last().is_none_or(|before| table::differ(&before.scenario, &scenario)) {
            table::print_head(&scenario, &entrants);
        }
        table::print_row(&result, &entrants);
        results.push(result);
    }
    options.files.write(|| files::csv(&results), || files::svg(&results))?;
    println!("\n{:.0} s in all", begun.elapsed().as_secs_f64());
    Ok(())
}

/// A row, and what each peer that takes part came to.
struct RowResult {
    scenario: Scenario,
    standings: Vec<Standing>,
}

impl RowResult {
    fn standing(&self, peer: &str) -> Option<&Standing> {
        self.standings.iter().find(|standing| standing.peer == peer)
    }
}

fn run_row(scenario: Scenario, entrants: &[&Entrant], effort: &Effort) -> RowResult {
    let can = |entrant: &&&Entrant| scenario.stuck == 0 || entrant.is_ours();
    let entrants: Vec<_> = entrants.iter().filter(can).copied().collect();
    RowResult { scenario, standings: race(&entrants, scenario, effort) }
}

fn print_versions(entrants: &[&Entrant]) {
    let mut crates: Vec<_> = entrants.iter().map(|entrant| entrant.of).collect();
    crates.push("async-executor");
    crates.dedup();
    for name in &crates {
        print!("{name} {}, ", locked_version(name).unwrap_or("?"));
    }
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    println!("{threads} processors; executors with several threads have two");
    if cfg!(debug_assertions) {
        println!("a debug build: the figures mean nothing");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use race::executor::Executor;
    use race::scenario::Content;
    use race::trial::ENTRANTS;
    use std::time::Duration;

    const TINY: Effort = Effort { run: Duration::from_millis(1), rounds: 1, fewest_messages: 64 };

    #[test]
    fn every_peer_does_every_kind_of_row_on_every_executor_and_loses_nothing() {
        let entrants: Vec<_> = ENTRANTS.iter().collect();
        for executor in Executor::ALL {
            let few = Scenario { queue_messages: 64, ..Scenario::plain(executor, 3) };
            for scenario in [
                few,
                Scenario { batch: 8, content: Content::String, ..few },
                Scenario { publishers: 2, queue_messages: 16, ..few },
                Scenario { stuck: 1, ..few },
                Scenario { rate_per_s: Some(10_000), ..few },
            ] {
                let result = run_row(scenario, &entrants, &TINY);
                for standing in &result.standings {
                    for outcome in &standing.outcomes {
                        assert!(outcome.deliveries > 0, "{} on {scenario:?}", standing.peer);
                        assert_eq!(outcome.lost, 0, "{} on {scenario:?}", standing.peer);
                    }
                }
                assert_eq!(files::csv(&[result]).lines().count(), 1 + entrants_of(&scenario));
            }
        }
    }

    fn entrants_of(scenario: &Scenario) -> usize {
        if scenario.stuck > 0 { 3 } else { ENTRANTS.len() }
    }

    #[test]
    fn the_plot_is_made_of_tiny_runs_too() {
        let entrants: Vec<_> = ENTRANTS.iter().collect();
        let results: Vec<_> = [1, 2]
            .map(|count| run_row(Scenario::plain(Executor::Tokio, count), &entrants, &TINY))
            .into();
        let picture = files::svg(&results).expect("it can be drawn");
        assert!(picture.starts_with("<svg") && picture.contains("async-broadcast"), "{picture}");
    }
}

//! Fanfare against what one would pick instead: deliveries a second, peer beside peer in the same
//! run, in turn.
//!
//! ```text
//! cargo run --release --example fanout_race -- --quick
//! cargo run --release --example fanout_race -- --csv race.csv --svg race.svg
//! ```
//! Every reader checks that each message comes once and in its publisher's order. Nothing is lost
//! by anybody, or the table says how much.

use clap::Parser;
use fanout_race::options::Options;
use fanout_race::{csv, rows, sections, svg, table, versions};
use std::process::ExitCode;
use std::time::Instant;
use support::peers::go_broker::GoBroker;
use support::peers::{Peer, PeerError, in_process};
use support::trial::{Effort, Entrant, race};
use testkit::measure::program::end;

#[path = "../benches/support/mod.rs"]
mod support;

mod fanout_race {
    pub mod csv;
    pub mod options;
    pub mod rows;
    pub mod sections;
    pub mod svg;
    pub mod table;
    pub mod versions;
}

fn main() -> ExitCode {
    end("fanout_race", run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), PeerError> {
    let begun = Instant::now();
    let go = GoBroker::build();
    versions::print(&go);
    let mut peers = in_process();
    if let Ok(go) = &go {
        peers.push(Box::new(go.clone()));
    }
    if !options.peers.is_empty() {
        peers.retain(|peer| options.peers.iter().any(|name| name == peer.name()));
    }
    if peers.is_empty() {
        return Err(PeerError(format!("--peer {}: no such peer here", options.peers.join(", "))));
    }

    let effort = options.effort(begun);
    let mut results = Vec::new();
    if options.has_table() {
        table::print_head(&peers);
    }
    for row in options.rows() {
        if options.is_late(begun) {
            println!("  (out of time: the rows from here on are left out)");
            break;
        }
        let result = run_row(row, &peers, &effort)?;
        table::print_row(&result);
        results.push(result);
    }
    if options.has_sections() {
        sections::print_all(options, begun, &peers, go.as_ref().ok())?;
    }
    options.files.write(|| csv::render(&results), || svg::render(&results)).map_err(PeerError)?;
    println!("\n{:.0} s in all", begun.elapsed().as_secs_f64());
    Ok(())
}

fn run_row(
    scenario: rows::Scenario,
    peers: &[Box<dyn Peer>],
    effort: &Effort,
) -> Result<rows::RowResult, PeerError> {
    let entrants: Vec<_> = peers.iter().map(|peer| Entrant { peer: &**peer, scenario }).collect();
    let standings = race(&entrants, effort)?;
    Ok(rows::RowResult { scenario, standings })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::support::load::Scenario;

    #[test]
    fn every_peer_does_every_kind_of_row_and_loses_nothing() {
        let mut peers = in_process();
        match GoBroker::build() {
            Ok(go) => peers.extend([Box::new(go.clone()) as Box<dyn Peer>, Box::new(go.tuned())]),
            Err(error) => println!("without the Go peer: {error}"),
        }
        let effort = Effort {
            run: Duration::from_millis(1),
            rounds: 1,
            rounds_until: None,
            fewest_messages: 64,
        };
        let few = Scenario { queue_messages: 64, ..Scenario::plain(3) };
        for scenario in [
            few,
            Scenario { batch: 8, payload_bytes: 4096, ..few },
            Scenario { publishers: 2, batch: 8, ..few },
            Scenario { stuck: 1, ..few },
        ] {
            let result = run_row(scenario, &peers, &effort).expect("every peer runs");
            for standing in &result.standings {
                for outcome in &standing.outcomes {
                    assert!(outcome.deliveries > 0, "{} delivers", standing.peer);
                    assert_eq!(outcome.lost, 0, "{} loses nothing on {scenario:?}", standing.peer);
                }
            }
            let text = csv::render(&[result]);
            assert_eq!(text.lines().count(), 1 + peers.len());
        }
    }

    #[test]
    fn the_sections_and_the_plot_are_made_of_tiny_runs_too() {
        let options = Options::tiny();
        let peers = in_process();
        sections::print_all(&options, Instant::now(), &peers, None).expect("they run");
        let effort = options.effort(Instant::now());
        let results: Vec<_> = [1, 2]
            .map(|count| run_row(Scenario::plain(count), &peers, &effort).expect("they run"))
            .into();
        let picture = svg::render(&results).expect("it can be drawn");
        assert!(picture.starts_with("<svg") && picture.contains("tokio-broadcast"), "{picture}");
    }
}

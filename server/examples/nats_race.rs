//! Fanfare against nats-server and redis-server, by the same client, in turn, in the same run.
//!
//! ```text
//! cargo build --release && cargo run --release --example nats_race -- --quick
//! cargo run --release --example nats_race -- --csv nats_race.csv --svg nats_race.svg
//! ```
//! Every message is numbered; whoever loses one, doubles one or changes the order ends the run. The
//! client runs on the same machine and takes about one core's worth of work; it is the same for
//! all.

use clap::Parser;
use nats_race::measuring::{self, Effort};
use nats_race::options::Options;
use nats_race::peers::{self, Kind};
use nats_race::results::Results;
use nats_race::{csv, rows, svg, table};
use std::process::ExitCode;
use std::time::Instant;
use testkit::measure::program::end;

mod nats_race {
    pub mod csv;
    pub mod cycles;
    pub mod measuring;
    pub mod options;
    pub mod peers;
    pub mod process;
    pub mod results;
    pub mod rows;
    pub mod svg;
    pub mod table;
}

fn main() -> ExitCode {
    end("nats_race", run(&Options::parse()))
}

fn run(options: &Options) -> Result<(), String> {
    fanfare_server::bench::raise_open_files();
    let begun = Instant::now();
    let peers = present(&options.peers)?;
    println!("{} processors; the client takes about one core's worth of work itself", processors());
    if cfg!(debug_assertions) {
        println!("a debug build: the figures mean nothing");
    }
    let results = race(options, &peers, begun)?;
    table::print(&results, &peers);
    options.files.write(|| csv::render(&results), || svg::render(&results))?;
    println!("\n{:.0} s in all", begun.elapsed().as_secs_f64());
    Ok(())
}

/// The peers that are on this machine, with their versions said.
fn present(wanted: &[Kind]) -> Result<Vec<Kind>, String> {
    let mut present = Vec::new();
    for &kind in wanted {
        match peers::version(kind) {
            Ok(version) => {
                println!("{}: {version}", kind.name());
                present.push(kind);
            }
            Err(missing) => println!("without {}: {missing}", kind.name()),
        }
    }
    if present.is_empty() { Err("there is nobody to race".to_owned()) } else { Ok(present) }
}

fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Row by row, round by round, peer by peer: what disturbs the machine disturbs all.
fn race(options: &Options, peers: &[Kind], begun: Instant) -> Result<Results, String> {
    let effort = Effort::of(options);
    let mut results = Results::default();
    for row in rows::all().into_iter().filter(|row| options.sections.contains(&row.section)) {
        for round in 0..effort.rounds {
            if round > 0 && options.is_late(begun) {
                break;
            }
            for &kind in peers.iter().filter(|kind| row.suits(**kind)) {
                eprintln!("{} round {} {}", row.name, round + 1, kind.name());
                let figures = measuring::measure(&row, kind, &effort)
                    .map_err(|error| format!("{}, {}: {error}", row.name, kind.name()))?;
                results.add(&row, kind, figures);
            }
        }
    }
    Ok(results)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_peer_does_every_row_with_tiny_inputs() {
        let options = Options::tiny();
        fanfare_server::bench::raise_open_files();
        let Ok(peers) = present(&options.peers) else {
            println!("skipped: no peer is installed");
            return;
        };
        let results = race(&options, &peers, Instant::now()).unwrap();
        for row in rows::all() {
            for kind in peers.iter().filter(|kind| row.suits(**kind)) {
                assert!(results.has(&row, *kind), "{} of {}", row.name, kind.name());
            }
        }
        let picture = svg::render(&results).unwrap();
        assert!(picture.starts_with("<svg") && picture.contains("subscribers"), "{picture}");
        let lines = csv::render(&results);
        assert!(lines.lines().count() > peers.len() && lines.starts_with("row,figure,peer,"));
        table::print(&results, &peers);
    }
}

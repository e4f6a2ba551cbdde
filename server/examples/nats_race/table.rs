//! The table for people: the median of each figure and its spread, and what Fanfare's is to
//! nats-server's.

use super::peers::Kind;
use super::results::{Measured, Results};

const CELL: usize = 18;

pub fn print(results: &Results, peers: &[Kind]) {
    println!("\nMedians, and half the range of the rounds");
    print!("{:>30} {:>18} |", "row", "figure");
    peers.iter().for_each(|kind| print!("{:>CELL$}", kind.name()));
    println!(" | {:>12} {:>12}  aim", "x nats", "x ceiling");
    for measured in &results.all {
        print!("{:>30} {:>18} |", measured.row.name, measured.figure);
        peers.iter().for_each(|kind| print!("{:>CELL$}", cell(measured, *kind)));
        let to = |kind| {
            measured
                .ratio(Kind::Fanfare, kind)
                .filter(|ratio| ratio.is_finite())
                .map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
        };
        println!(
            " | {:>12} {:>12}  {}",
            to(Kind::NatsServer),
            to(Kind::Ceiling),
            measured.row.aim(measured.figure)
        );
    }
}

fn cell(measured: &Measured, kind: Kind) -> String {
    match measured.median_and_spread(kind) {
        // What is about nothing has no part of itself.
        Some((median, _)) if median < 0.1 => short(median),
        Some((median, spread)) => format!("{} ±{:.0} %", short(median), spread * 100.0),
        None => "-".to_owned(),
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1e6 => format!("{:.2} M", value / 1e6),
        size if size >= 1e3 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

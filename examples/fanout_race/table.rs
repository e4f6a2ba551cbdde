//! The table for people: millions of deliveries a second, the median of the rounds and its spread.

use super::rows::RowResult;
use crate::support::peers::Peer;
use crate::support::trial::{Standing, median_ratio};
use testkit::measure::median::median_and_spread;

const CELL: usize = 17;

pub fn print_head(peers: &[Box<dyn Peer>]) {
    println!("\nMillions of deliveries a second: median, half the range of the rounds");
    print!("{:>5} {:>4} {:>5} {:>5} {:>5} |", "subs", "pubs", "batch", "bytes", "stuck");
    for peer in peers {
        print!("{:>CELL$}", peer.name());
    }
    println!(" | {:>8} {:>8}", "x tokio", "x go");
}

pub fn print_row(row: &RowResult) {
    let scenario = &row.scenario;
    print!(
        "{:>5} {:>4} {:>5} {:>5} {:>5} |",
        scenario.subscribers,
        scenario.publishers,
        scenario.batch,
        scenario.payload_bytes,
        scenario.stuck
    );
    for standing in &row.standings {
        print!("{:>CELL$}", cell(standing));
    }
    println!(" | {:>8} {:>8}", ratio(row, "tokio-broadcast"), ratio(row, "go"));
    for standing in &row.standings {
        if standing.lost_part() > 0.0 {
            println!(
                "      {} lost {:.4} % of its deliveries",
                standing.peer,
                standing.lost_part() * 100.0
            );
        }
    }
}

/// A median and its spread.
pub fn cell(standing: &Standing) -> String {
    let (median, spread) = median_and_spread(&standing.rates());
    let millions = median / 1e6;
    let digits = if millions < 0.1 { 4 } else { 2 };
    format!("{millions:.digits$} ±{:.0} %", spread * 100.0)
}

fn ratio(row: &RowResult, to: &str) -> String {
    match (row.standing("fanfare"), row.standing(to)) {
        (Some(fanfare), Some(other)) => format!("{:.2}", median_ratio(fanfare, other)),
        _ => "-".to_owned(),
    }
}

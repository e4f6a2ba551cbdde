//! The tables for people: medians of the rounds and their spread.

use crate::RowResult;
use race::run::Outcome;
use race::scenario::Scenario;
use race::trial::{Entrant, Standing};
use testkit::measure::median::median_and_spread;

const CELL: usize = 17;

/// Whether rows stand in different tables.
pub fn differ(before: &Scenario, row: &Scenario) -> bool {
    before.executor != row.executor || before.rate_per_s.is_some() != row.rate_per_s.is_some()
}

pub fn print_head(row: &Scenario, entrants: &[&Entrant]) {
    match row.rate_per_s {
        None => println!(
            "\nOn {}: millions of deliveries a second, median and half the range of the rounds; \
             x best: ours to the best peer",
            row.executor
        ),
        Some(_) => println!(
            "\nOn {}, at a fixed rate: latency p50 / p99 in µs, the process's processor time for a \
             delivery in ns",
            row.executor
        ),
    }
    print!("{:<7}{:>5}{:>5}{:>6}{:>6}{:>6} |", "bytes", "subs", "pubs", "batch", "queue", "stuck");
    entrants.iter().for_each(|entrant| print!("{:>CELL$}", entrant.name));
    match row.rate_per_s {
        None => println!(" |{:>8}{:>8}{:>8}", "x best", "owned x", "batch x"),
        Some(_) => println!(" |"),
    }
}

pub fn print_row(row: &RowResult, entrants: &[&Entrant]) {
    let Scenario { content, subscribers, publishers, batch, queue_messages, stuck, .. } =
        row.scenario;
    print!("{content:<7}{subscribers:>5}{publishers:>5}{batch:>6}{queue_messages:>6}{stuck:>6} |");
    for entrant in entrants {
        let cell = row.standing(entrant.name).map(|standing| cell(&row.scenario, standing));
        print!("{:>CELL$}", cell.unwrap_or_default());
    }
    match row.scenario.rate_per_s {
        None => println!(
            " |{:>8}{:>8}{:>8}",
            to_best(row, entrants, "fanfare"),
            to_best(row, entrants, "fanfare-owned"),
            to_best(row, entrants, "fanfare-batch")
        ),
        Some(rate_per_s) => println!(" | {rate_per_s} messages a second"),
    }
    for standing in &row.standings {
        if standing.lost_part() > 0.0 {
            println!("      {} lost {:.4} %", standing.peer, standing.lost_part() * 100.0);
        }
        let longest = standing.outcomes.iter().map(|outcome| outcome.longest_publish).max();
        if let Some(longest) = longest.filter(|_| row.scenario.stuck > 0)
            && row.scenario.rate_per_s.is_some()
        {
            println!("      {}: the longest publish took {longest:.1?}", standing.peer);
        }
    }
}

fn cell(scenario: &Scenario, standing: &Standing) -> String {
    let (rate, spread) = median_and_spread(&standing.rates());
    match scenario.rate_per_s {
        None => format!("{:.2} ±{:.0} %", rate / 1e6, spread * 100.0),
        Some(_) => {
            let median = |figure: fn(&Outcome) -> f64| median_and_spread(&standing.each(figure)).0;
            format!(
                "{:.0} / {:.0}, {:.0}",
                median(|outcome| outcome.median_latency.as_secs_f64() * 1e6),
                median(|outcome| outcome.p99_latency.as_secs_f64() * 1e6),
                median(Outcome::processor_ns)
            )
        }
    }
}

/// The median of the ratios, round by round, to the peer that has the best median.
fn to_best(row: &RowResult, entrants: &[&Entrant], ours: &str) -> String {
    let median = |standing: &Standing| median_and_spread(&standing.rates()).0;
    let best = entrants
        .iter()
        .filter(|entrant| !entrant.is_ours())
        .filter_map(|entrant| row.standing(entrant.name))
        .max_by(|one, other| median(one).total_cmp(&median(other)));
    let (Some(ours), Some(best)) = (row.standing(ours), best) else { return "-".to_owned() };
    let ratios: Vec<_> =
        ours.rates().iter().zip(best.rates()).map(|(ours, best)| ours / best).collect();
    format!("{:.2}", median_and_spread(&ratios).0)
}

//! Instructions that one message takes, peer beside peer, counted by callgrind.
//!
//! Time is noisy; instructions are not. So CI holds each row of ours to a budget.
//!
//! ```text
//! cargo bench --bench instructions                            # the table, two minutes
//! cargo bench --bench instructions -- --check                 # ours alone, against the budgets
//! cargo bench --bench instructions -- --peer fanfare --row 8  # rows whose name begins with 8
//! ```
//! Where they go is told by a profile of one cell, which the table's program can run alone:
//!
//! ```text
//! valgrind --tool=callgrind target/release/deps/instructions-* --cell fanfare "8 recv" 2048
//! callgrind_annotate callgrind.out.*
//! ```
//! `cargo test` runs every cell once, without callgrind.

use callgrind::{instructions, locked_version};
use clap::Parser;
use peers::{Cell, PEERS};
use rows::{ROWS, Row, SLACK_PER_CENT};
use std::num::ParseIntError;
use std::process::ExitCode;
use std::thread;

mod callgrind;
mod peers;
mod rows;

/// Instructions that one message takes
#[derive(Parser)]
struct Options {
    /// Ours alone; fails when a row exceeds its budget
    #[arg(long)]
    check: bool,
    /// This peer alone; can be given several times
    #[arg(long = "peer", value_name = "NAME")]
    peers: Vec<String>,
    /// Rows whose name begins so
    #[arg(long, default_value = "", hide_default_value = true)]
    row: String,
    /// Run this alone and count nothing: what callgrind is given to run
    #[arg(long, num_args = 3, value_names = ["PEER", "ROW", "MESSAGES"])]
    cell: Option<Vec<String>>,
    /// Given by `cargo bench`, but not by `cargo test`
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let result = match &options.cell {
        Some(cell) => run_cell(cell),
        None if !options.bench => run_every_cell_once(),
        None => print_table(&options),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("instructions: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run_cell(cell: &[String]) -> Result<(), String> {
    let [peer, row, messages] = cell else { return Err("--cell takes three values".to_owned()) };
    let peer = PEERS.iter().find(|(name, _)| name == peer).ok_or(format!("no peer {peer}"))?;
    let row = ROWS.iter().find(|known| known.name == row).ok_or(format!("no row {row}"))?;
    let messages = messages.parse().map_err(|error: ParseIntError| error.to_string())?;
    (peer.1)(row, messages);
    Ok(())
}

fn run_every_cell_once() -> Result<(), String> {
    for row in ROWS.iter().filter(|row| row.subscribers < 1000) {
        PEERS.iter().for_each(|(_, run)| run(row, row.burst));
    }
    Ok(())
}

fn print_table(options: &Options) -> Result<(), String> {
    let peers: Vec<_> = PEERS
        .iter()
        .filter(|(name, _)| match options.check {
            true => *name == PEERS[0].0,
            false => options.peers.is_empty() || options.peers.iter().any(|peer| peer == name),
        })
        .collect();
    if peers.is_empty() {
        return Err(format!("--peer {}: no such peer", options.peers.join(", ")));
    }
    print_head(&peers);
    let mut exceeded = Vec::new();
    for row in ROWS.iter().filter(|row| row.name.starts_with(&options.row)) {
        let counts = count(row, &peers)?;
        print!("{:<24} {:>8} |", row.name, row.budget);
        counts.iter().for_each(|count| print!("{count:>16}"));
        println!();
        if peers[0].0 == PEERS[0].0 && counts[0] > row.budget * (100 + SLACK_PER_CENT) / 100 {
            exceeded.push(format!("\"{}\" takes {}, not {}", row.name, counts[0], row.budget));
        }
    }
    match exceeded.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "over budget by more than {SLACK_PER_CENT} %: {}. Find out why with `--cell` (see the \
             head of benches/instructions/main.rs), or raise the budget in rows.rs and say why",
            exceeded.join("; ")
        )),
    }
}

fn print_head(peers: &[&(&str, Cell)]) {
    println!("Instructions for one message, published and received by every subscriber");
    print!("{:<24} {:>8} |", "", "budget");
    peers.iter().for_each(|(name, _)| print!("{name:>16}"));
    print!("\n{:<24} {:>8} |", "", "");
    peers.iter().for_each(|(name, _)| print!("{:>16}", locked_version(name).unwrap_or("?")));
    println!();
}

/// What a message costs each of the peers on this row. They are counted at the same time: that
/// changes no count.
fn count(row: &Row, peers: &[&(&str, Cell)]) -> Result<Vec<u64>, String> {
    thread::scope(|scope| {
        let counts: Vec<_> =
            peers.iter().map(|(name, _)| scope.spawn(|| instructions(name, row))).collect();
        counts.into_iter().map(|count| count.join().expect("counting does not panic")).collect()
    })
}

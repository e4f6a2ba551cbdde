//! Instructions that one message takes, peer beside peer, counted by callgrind.
//!
//! Time is noisy; instructions are not. So CI holds each row of ours to a budget.
//!
//! ```text
//! cargo bench -p race --bench instructions                 # the table, two minutes
//! cargo bench -p race --bench instructions -- --check      # ours alone, against the budgets
//! cargo bench -p race --bench instructions -- --row 8      # rows whose name begins with 8
//! ```
//! Where they go is told by a profile of one cell, which the table's program can run alone:
//!
//! ```text
//! valgrind --tool=callgrind target/release/deps/instructions-* --cell fanfare 8 2048
//! callgrind_annotate callgrind.out.*
//! ```
//! `cargo test` runs every cell once, without callgrind.

use callgrind::instructions;
use cell::{CONTENDERS, Contender};
use clap::Parser;
use race::versions::locked_version;
use rows::{ROWS, Row, SLACK_PER_CENT};
use std::num::ParseIntError;
use std::process::ExitCode;
use std::thread;

mod callgrind;
mod cell;
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
    let peer = CONTENDERS.iter().find(|known| known.name == peer).ok_or("no such peer")?;
    let row = ROWS.iter().find(|known| known.name == row).ok_or("no such row")?;
    (peer.run)(row, messages.parse().map_err(|error: ParseIntError| error.to_string())?);
    Ok(())
}

fn run_every_cell_once() -> Result<(), String> {
    for row in ROWS.iter().filter(|row| row.subscribers < 1000) {
        CONTENDERS.iter().for_each(|peer| (peer.run)(row, row.burst));
    }
    Ok(())
}

fn print_table(options: &Options) -> Result<(), String> {
    let is_asked_for = |peer: &&Contender| match options.check {
        true => peer.of == "fanfare",
        false => options.peers.is_empty() || options.peers.iter().any(|name| name == peer.name),
    };
    let peers: Vec<_> = CONTENDERS.iter().filter(is_asked_for).collect();
    print_head(&peers);
    let mut exceeded = Vec::new();
    for row in ROWS.iter().filter(|row| row.name.starts_with(&options.row)) {
        let counts = count(row, &peers)?;
        print!("{:<18} |", row.name);
        counts.iter().for_each(|count| print!("{count:>16}"));
        println!();
        for (peer, count) in peers.iter().zip(counts) {
            let number = CONTENDERS.iter().position(|known| known.name == peer.name);
            // Ours come first, and have one each.
            let Some(budget) = number.and_then(|number| row.budgets.get(number)) else { continue };
            if count > budget * (100 + SLACK_PER_CENT) / 100 {
                exceeded.push(format!("{}, {}: {count}, not {budget}", row.name, peer.name));
            }
        }
    }
    match exceeded.is_empty() {
        true => Ok(()),
        false => Err(format!(
            "over budget by more than {SLACK_PER_CENT} %: {}. Find out why with `--cell` (see the \
             head of race/benches/instructions/main.rs), or raise the budget and say why",
            exceeded.join("; ")
        )),
    }
}

fn print_head(peers: &[&Contender]) {
    println!("Instructions for one message, published and received by every subscriber");
    print!("{:<18} |", "subscribers");
    peers.iter().for_each(|peer| print!("{:>16}", peer.name));
    print!("\n{:<18} |", "");
    peers.iter().for_each(|peer| print!("{:>16}", locked_version(peer.of).unwrap_or("?")));
    println!();
}

/// Counts what a message costs each of the peers on this row. They run at the same time: that
/// changes no count.
fn count(row: &Row, peers: &[&Contender]) -> Result<Vec<u64>, String> {
    thread::scope(|scope| {
        let counts: Vec<_> =
            peers.iter().map(|peer| scope.spawn(|| instructions(peer.name, row))).collect();
        counts.into_iter().map(|count| count.join().expect("counting does not panic")).collect()
    })
}

//! The pages in a real browser. Apart from the other tests: what goes on here would fill the
//! profiles that those look at.

mod chat_and_push;
mod dashboard;
mod many;
mod nats;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use testkit::process::{Program, listening_at};

/// The server as it is, at these addresses and nowhere else, and where it says that it listens by
/// these names, in its order.
fn start<const NAMES: usize>(
    listeners: &[(&str, &str)],
    others: &[&str],
    names: [&str; NAMES],
) -> (Program, [SocketAddr; NAMES]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
    command.args(listening_at(listeners)).args(others).args(["--log", "warn"]);
    let mut program = Program(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
    let addresses = names.map(|name| {
        let start = format!("listening {name} ");
        let address = lines.find_map(|line| Some(line.unwrap().strip_prefix(&start)?.to_owned()));
        let address = address.unwrap_or_else(|| panic!("{name} is not listening"));
        address.trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
    });
    (program, addresses)
}

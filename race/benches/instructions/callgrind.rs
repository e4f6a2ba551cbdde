//! Counting with callgrind.

use crate::rows::Row;
use std::process::Command;

/// Messages before counting begins, so that all buffers have their size.
const WARM_UP_DELIVERIES: usize = 32_768;
const WARM_UP_MESSAGES: usize = 512;

/// The instructions that one message takes in the steady state: those of a long run less those of
/// one half as long, which has the same beginning and the same end.
pub fn instructions(peer: &str, row: &Row) -> Result<u64, String> {
    let messages = (WARM_UP_DELIVERIES / row.subscribers.max(16)).max(WARM_UP_MESSAGES);
    let short = run(peer, row, messages)?;
    let long = run(peer, row, 2 * messages)?;
    Ok((long - short).div_ceil(messages as u64))
}

/// All instructions of a process that runs one cell.
fn run(peer: &str, row: &Row, messages: usize) -> Result<u64, String> {
    let program = std::env::current_exe().map_err(|error| error.to_string())?;
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args(["--cell", peer, row.name, &messages.to_string()])
        .output()
        .map_err(|error| format!("valgrind cannot be run: {error}. Is it installed?"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    said.lines()
        .find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
        .filter(|_| output.status.success())
        .ok_or_else(|| format!("callgrind counted nothing: {said}"))
}

//! The Go broker (`benches/go`), built where Go is installed and run as a process of its own.

use super::{Peer, PeerError};
use crate::support::load::{Load, Outcome, Scenario};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Built once, run once for every measurement. The time that the process takes to start is not
/// measured.
#[derive(Clone)]
pub struct GoBroker {
    program: PathBuf,
    pub version: String,
    tuned: bool,
}

impl GoBroker {
    /// Builds the broker beside the running program.
    ///
    /// # Errors
    /// Says why the Go peer is left out: no Go here, or it does not build.
    pub fn build() -> Result<Self, PeerError> {
        let version = output(Command::new("go").arg("version"))?;
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/go");
        let program = std::env::current_exe()
            .map_err(|error| PeerError(format!("where this program is cannot be told: {error}")))?
            .with_extension("go");
        output(
            Command::new("go").arg("build").arg("-o").arg(&program).arg(".").current_dir(sources),
        )?;
        Ok(Self { program, version: version.trim().to_owned(), tuned: false })
    }

    /// The same broker, improved in an afternoon: see `Broker.tuned` in `benches/go/broker.go`.
    pub fn tuned(&self) -> Self {
        Self { tuned: true, ..self.clone() }
    }
}

impl Peer for GoBroker {
    fn name(&self) -> &'static str {
        if self.tuned { "go-tuned" } else { "go" }
    }

    fn run(&self, load: &Load) -> Result<Outcome, PeerError> {
        let scenario = &load.scenario;
        let printed = output(Command::new(&self.program).args([
            format!("-subscribers={}", scenario.subscribers),
            format!("-stuck={}", scenario.stuck),
            format!("-publishers={}", scenario.publishers),
            format!("-payload={}", scenario.payload_bytes),
            format!("-capacity={}", scenario.queue_messages),
            format!("-messages={}", load.messages_each),
            format!("-warm-up={}", load.warm_up),
            format!("-gap={}ns", load.gap.unwrap_or_default().as_nanos()),
            format!("-tuned={}", self.tuned),
        ]))?;
        parse(&printed)
    }

    /// It waits for a stuck subscriber at every publish, so one wait more in the warm-up would
    /// change nothing.
    fn warm_up(&self, scenario: &Scenario) -> u64 {
        scenario.queue_messages as u64
    }

    /// At 5 ms for every stuck subscriber of every message, a few show the rate.
    fn fewest_when_stuck(&self) -> u64 {
        4
    }
}

fn output(command: &mut Command) -> Result<String, PeerError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output =
        command.output().map_err(|error| PeerError(format!("{program} cannot be run: {error}")))?;
    if !output.status.success() {
        let complaint = String::from_utf8_lossy(&output.stderr);
        return Err(PeerError(format!("{program}: {}: {}", output.status, complaint.trim())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn parse(printed: &str) -> Result<Outcome, PeerError> {
    let values: HashMap<&str, u64> = printed
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .filter_map(|(key, value)| Some((key, value.parse().ok()?)))
        .collect();
    let value = |key: &str| {
        values
            .get(key)
            .copied()
            .ok_or_else(|| PeerError(format!("the Go broker did not print {key}: {printed:?}")))
    };
    if value("out_of_order")? > 0 {
        return Err(PeerError(format!("the Go broker mixed up the order: {printed}")));
    }
    Ok(Outcome {
        elapsed: Duration::from_nanos(value("elapsed_ns")?),
        deliveries: value("deliveries")?,
        lost: value("lost")?,
        longest_publish: Duration::from_nanos(value("longest_publish_ns")?),
        slow_publishes: value("slow_publishes")?,
        ..Outcome::default()
    })
}

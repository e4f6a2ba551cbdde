//! One peer, one row, one round. Each begins with a fresh process.

use super::cycles;
use super::options::Options;
use super::peers::{Kind, Peer};
use super::process::{memory, open_files, processor_time};
use super::rows::{Row, Test};
use fanfare_server::bench::ceiling::ceiling;
use fanfare_server::bench::load::Load;
use fanfare_server::bench::report::Percentiles;
use fanfare_server::bench::round_trips::{RoundTrips, round_trips};
use fanfare_server::bench::run::run;
use std::num::NonZeroUsize;
use std::time::Duration;

/// How much is done.
#[derive(Clone, Debug)]
pub struct Effort {
    pub rounds: usize,
    seconds: f64,
    idle_connections: usize,
    /// Publishes to those of whom some are stuck.
    stuck_messages: Option<u64>,
    cycles: usize,
    most_subscribers: usize,
}

impl Effort {
    pub fn of(options: &Options) -> Self {
        let all = usize::MAX;
        let effort = match (options.tiny, options.quick) {
            (true, _) => (1, 0.02, 8, Some(640), 8, 10),
            (false, true) => (2, 0.5, 500, None, 4_000, all),
            (false, false) => (5, 2.0, 2_000, None, 20_000, all),
        };
        let (rounds, seconds, idle_connections, stuck_messages, cycles, most_subscribers) = effort;
        Self {
            rounds: options.rounds.map_or(rounds, NonZeroUsize::get),
            seconds: options.seconds.unwrap_or(seconds),
            idle_connections,
            stuck_messages,
            cycles,
            most_subscribers,
        }
    }

    fn fitted(&self, load: &Load) -> Load {
        Load {
            duration: Duration::from_secs_f64(self.seconds),
            subscribers: load.subscribers.min(self.most_subscribers),
            messages: load.messages.map(|messages| self.stuck_messages.unwrap_or(messages)),
            ..load.clone()
        }
    }
}

/// A figure: its name, and its value. Names end in the unit.
pub type Figure = (&'static str, f64);

pub const DELIVERIES: &str = "deliveries/s";
pub const CLIENT_CORES: &str = "client cores";
pub const USER_NS: &str = "server ns, user";
pub const SYSTEM_NS: &str = "server ns, system";
pub const SERVER_NS: &str = "server ns, both";
pub const P50: &str = "p50 us";
pub const P99: &str = "p99 us";
pub const KIB_EACH: &str = "KiB each";
pub const PART: &str = "part of messages/s";
pub const MIB_MORE: &str = "MiB more";
pub const CYCLES: &str = "cycles/s";
pub const FILES_MORE: &str = "files more";

const KIB: f64 = 1024.0;
const MIB: f64 = 1024.0 * KIB;

/// # Errors
/// When the peer does not start, or loses something.
pub fn measure(row: &Row, kind: Kind, effort: &Effort) -> Result<Vec<Figure>, String> {
    match &row.test {
        Test::Throughput(load) => {
            let load = effort.fitted(load);
            let mut figures = Vec::new();
            let outcome = match kind {
                Kind::Ceiling => ceiling(&load)?,
                _ => {
                    let peer = Peer::start(kind)?;
                    let before = processor_time(peer.process())?;
                    let outcome = run(&peer.endpoint, &load)?;
                    figures = server_ns(&peer, before, outcome.deliveries)?;
                    outcome
                }
            };
            figures.push((DELIVERIES, outcome.rate()));
            figures.push((CLIENT_CORES, outcome.client_cores()));
            Ok(figures)
        }
        Test::RoundTrips(in_flight) => {
            let what = RoundTrips {
                duration: Duration::from_secs_f64(effort.seconds),
                payload_bytes: 128,
                in_flight: *in_flight,
            };
            let peer = Peer::start(kind)?;
            let before = processor_time(peer.process())?;
            let times = round_trips(&peer.endpoint, &what)?;
            // A request is delivered, and an answer.
            let deliveries = 2 * times.len() * in_flight;
            let mut figures = server_ns(&peer, before, deliveries as u64)?;
            figures.extend(percentiles(&times)?);
            Ok(figures)
        }
        Test::Latency(subscribers, rate) => {
            let load =
                Load { subscribers: *subscribers, batch: 1, rate: Some(*rate), ..Load::default() };
            let outcome = run(&Peer::start(kind)?.endpoint, &effort.fitted(&load))?;
            percentiles(&outcome.late_ns)
        }
        Test::IdleMemory => idle_memory(kind, effort.idle_connections),
        Test::Stuck(without, with) => stuck(kind, &effort.fitted(without), &effort.fitted(with)),
        Test::Cycles => coming_and_going(kind, effort.cycles),
    }
}

/// The processor time of the server for a delivery.
fn server_ns(peer: &Peer, before: [f64; 2], deliveries: u64) -> Result<Vec<Figure>, String> {
    let after = processor_time(peer.process())?;
    let [user, system] =
        [0, 1].map(|which| (after[which] - before[which]) * 1e9 / deliveries.max(1) as f64);
    Ok(vec![(USER_NS, user), (SYSTEM_NS, system), (SERVER_NS, user + system)])
}

fn percentiles(sorted_ns: &[u64]) -> Result<Vec<Figure>, String> {
    let times = Percentiles::of(sorted_ns).ok_or("nothing came")?;
    Ok(vec![(P50, times.p50_ns as f64 / 1e3), (P99, times.p99_ns as f64 / 1e3)])
}

fn idle_memory(kind: Kind, connections: usize) -> Result<Vec<Figure>, String> {
    let peer = Peer::start(kind)?;
    let idle = |number: usize| {
        let mut connection = peer.endpoint.connect()?;
        connection.subscribe_surely(&format!("idle.{number}"))?;
        Ok::<_, String>(connection)
    };
    let _first = idle(connections)?;
    let before = memory(peer.process())?.resident;
    let _all: Vec<_> = (0..connections).map(idle).collect::<Result<_, _>>()?;
    let grown = memory(peer.process())?.resident - before;
    Ok(vec![(KIB_EACH, grown / KIB / connections as f64)])
}

fn stuck(kind: Kind, without: &Load, with: &Load) -> Result<Vec<Figure>, String> {
    let one = |load: &Load| {
        let peer = Peer::start(kind)?;
        let outcome = run(&peer.endpoint, load)?;
        Ok::<_, String>((
            outcome.messages as f64 / outcome.elapsed.as_secs_f64(),
            memory(peer.process())?.peak,
        ))
    };
    let ((rate_without, peak_without), (rate_with, peak_with)) = (one(without)?, one(with)?);
    let part = rate_with / rate_without;
    Ok(vec![(PART, part), (MIB_MORE, (peak_with - peak_without) / MIB)])
}

fn coming_and_going(kind: Kind, cycles: usize) -> Result<Vec<Figure>, String> {
    let peer = Peer::start(kind)?;
    // The first ones bring the server to its usual size.
    let _warm = peer.endpoint.connect()?;
    cycles::run(&peer.endpoint, cycles.div_ceil(5))?;
    cycles::files_left(peer.process(), 0)?;
    let (files, before) = (open_files(peer.process())?, memory(peer.process())?.resident);
    let rate = cycles::run(&peer.endpoint, cycles)?;
    let left = cycles::files_left(peer.process(), files)?;
    let grown = (memory(peer.process())?.resident - before) / MIB;
    Ok(vec![(CYCLES, rate), (MIB_MORE, grown), (FILES_MORE, left as f64)])
}

//! Several peers on one row, in turn, so that a noisy moment of the machine hits them all alike.

use crate::peers::Peer;
use crate::peers::async_broadcast::AsyncBroadcast;
use crate::peers::asyncband::Asyncband;
use crate::peers::fanfare::{BATCH, Fanfare, LENT, OWNED};
use crate::peers::flume_loop::FlumeLoop;
use crate::peers::tokio_broadcast::TokioBroadcast;
use crate::run::{Load, Outcome, run};
use crate::scenario::Scenario;
use std::time::Duration;

/// A peer that can be run.
pub struct Entrant {
    pub name: &'static str,
    /// The crate that it is.
    pub of: &'static str,
    pub run: fn(&Load) -> Outcome,
}

/// All of them, ours first.
pub const ENTRANTS: [Entrant; 7] = [
    entrant::<Fanfare<LENT>>(),
    entrant::<Fanfare<OWNED>>(),
    entrant::<Fanfare<BATCH>>(),
    entrant::<TokioBroadcast>(),
    entrant::<AsyncBroadcast>(),
    entrant::<Asyncband>(),
    entrant::<FlumeLoop>(),
];

const fn entrant<P: Peer>() -> Entrant {
    Entrant { name: P::NAME, of: P::CRATE, run: run::<P> }
}

impl Entrant {
    pub fn is_ours(&self) -> bool {
        self.of == "fanfare"
    }
}

/// How long and how often to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// The target duration of one peer's run.
    pub run: Duration,
    pub rounds: usize,
    /// The fewest messages of a run: enough to fill the queues and go on for a while.
    pub fewest_messages: u64,
}

/// A peer's results on a row, one outcome for each round.
pub struct Standing {
    pub peer: &'static str,
    pub outcomes: Vec<Outcome>,
}

impl Standing {
    /// A figure of each round.
    pub fn each(&self, figure: impl Fn(&Outcome) -> f64) -> Vec<f64> {
        self.outcomes.iter().map(figure).collect()
    }

    pub fn rates(&self) -> Vec<f64> {
        self.each(Outcome::deliveries_per_s)
    }

    /// The part of all deliveries that living subscribers missed, 0 to 1.
    pub fn lost_part(&self) -> f64 {
        let lost: u64 = self.outcomes.iter().map(|outcome| outcome.lost).sum();
        let delivered: u64 = self.outcomes.iter().map(|outcome| outcome.deliveries).sum();
        lost as f64 / (lost + delivered).max(1) as f64
    }
}

/// Measures all entrants in turn, round by round.
pub fn race(entrants: &[&Entrant], scenario: Scenario, effort: &Effort) -> Vec<Standing> {
    let loads: Vec<_> =
        entrants.iter().map(|entrant| fitting_load(entrant, scenario, effort)).collect();
    let standing = |entrant: &&Entrant| Standing { peer: entrant.name, outcomes: Vec::new() };
    let mut standings: Vec<_> = entrants.iter().map(standing).collect();
    for _ in 0..effort.rounds {
        for ((entrant, load), standing) in entrants.iter().zip(&loads).zip(&mut standings) {
            standing.outcomes.push((entrant.run)(load));
        }
    }
    standings
}

/// A load that takes this peer about as long as wanted. The tries that find it also warm the
/// machine up.
fn fitting_load(entrant: &Entrant, scenario: Scenario, effort: &Effort) -> Load {
    if let Some(rate_per_s) = scenario.rate_per_s {
        return Load::new(scenario, (f64::from(rate_per_s) * effort.run.as_secs_f64()) as u64 + 1);
    }
    let fewest = (effort.fewest_messages / scenario.publishers as u64).max(1);
    let mut load = Load::new(scenario, fewest);
    // A short try says little about a long run, so the second try begins from the first.
    for _ in 0..2 {
        let outcome = (entrant.run)(&load);
        if outcome.elapsed >= effort.run / 2 {
            break;
        }
        let rate_each = load.messages_each as f64 / outcome.elapsed.as_secs_f64().max(1e-6);
        let messages_each = (rate_each * effort.run.as_secs_f64()) as u64;
        load = Load::new(scenario, messages_each.max(fewest));
    }
    load
}

//! Several peers on one row, in turn, so that a noisy moment of the machine hits them all alike.

use super::load::{Load, Outcome, Scenario};
use super::peers::{Peer, PeerError};
use std::time::{Duration, Instant};
use testkit::measure::median::median_and_spread;

/// How long and how often to measure.
#[derive(Clone, Copy, Debug)]
pub struct Effort {
    /// What a run of one peer should last.
    pub run: Duration,
    pub rounds: usize,
    /// After this no further round begins: a row then has fewer, but at least one.
    pub rounds_until: Option<Instant>,
    /// The fewest messages of a run: enough to fill the queues and go on for a while.
    pub fewest_messages: u64,
}

/// What a peer reached on a row, one outcome for each round.
pub struct Standing {
    pub peer: &'static str,
    pub outcomes: Vec<Outcome>,
}

impl Standing {
    pub fn rates(&self) -> Vec<f64> {
        self.outcomes.iter().map(Outcome::deliveries_per_s).collect()
    }

    /// The part of all deliveries that living subscribers missed, 0 to 1.
    pub fn lost_part(&self) -> f64 {
        let lost: u64 = self.outcomes.iter().map(|outcome| outcome.lost).sum();
        let delivered: u64 = self.outcomes.iter().map(|outcome| outcome.deliveries).sum();
        lost as f64 / (lost + delivered).max(1) as f64
    }
}

/// A peer, and the scenario as this peer runs it: a row may give one a smaller queue than the
/// others.
pub struct Entrant<'a> {
    pub peer: &'a dyn Peer,
    pub scenario: Scenario,
}

/// Measures all entrants in turn, round by round.
pub fn race(entrants: &[Entrant<'_>], effort: &Effort) -> Result<Vec<Standing>, PeerError> {
    let mut loads = Vec::new();
    for entrant in entrants {
        loads.push(fitting_load(entrant, effort)?);
    }
    let mut standings: Vec<_> = entrants
        .iter()
        .map(|entrant| Standing { peer: entrant.peer.name(), outcomes: Vec::new() })
        .collect();
    for round in 0..effort.rounds {
        if round > 0 && effort.rounds_until.is_some_and(|until| Instant::now() > until) {
            break;
        }
        for ((entrant, load), standing) in entrants.iter().zip(&loads).zip(&mut standings) {
            standing.outcomes.push(entrant.peer.run(load)?);
        }
    }
    Ok(standings)
}

/// A load that takes this peer about as long as wanted. The tries that find it also warm the
/// machine up.
fn fitting_load(entrant: &Entrant<'_>, effort: &Effort) -> Result<Load, PeerError> {
    let (peer, scenario) = (entrant.peer, entrant.scenario);
    let publishers = scenario.publishers as u64;
    let fewest = if scenario.stuck > 0 {
        peer.fewest_when_stuck()
    } else {
        effort.fewest_messages / publishers
    };
    let load_of = |messages_each: u64| {
        let mut load = Load::new(scenario, messages_each.max(fewest).max(1));
        if scenario.stuck > 0 {
            load.warm_up = peer.warm_up(&scenario);
        }
        load
    };
    let mut load = load_of(fewest);
    // A short try says little about a long run, so the second try begins from the first.
    for _ in 0..2 {
        let outcome = peer.run(&load)?;
        if outcome.elapsed >= effort.run / 2 {
            break;
        }
        let rate_each = load.messages_each as f64 / outcome.elapsed.as_secs_f64().max(1e-6);
        load = load_of((rate_each * effort.run.as_secs_f64()) as u64);
    }
    Ok(load)
}

/// The median of the ratios round by round: what two peers reached within the same moment.
pub fn median_ratio(of: &Standing, to: &Standing) -> f64 {
    let ratios: Vec<f64> =
        of.rates().iter().zip(to.rates()).map(|(of, to)| of / to.max(f64::MIN_POSITIVE)).collect();
    median_and_spread(&ratios).0
}

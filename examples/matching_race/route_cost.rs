//! The cost of a publish with a known route, and of one to a topic never seen before.

use super::population::{ALL, Matched, broker_with};
use crate::Effort;
use fanfare::{Broker, Subscription, Topic};
use std::time::{Duration, Instant};

/// The queues are emptied after this many messages, which is not timed.
const DRAIN_EVERY: usize = 512;

/// A publisher remembers the routes of this many topics, which take turns.
const SEVERAL: usize = 100;

pub fn print(effort: &Effort) {
    println!("\nns per publish to one matching subscription (medians, the fan-out included)");
    println!(
        "{:>10} {:>10} |{:>14}{:>16}{:>12}{:>18}",
        "subs", "matched", "one topic", "100 topics", "uncached", "uncached - cached"
    );
    for &subscriptions in &effort.populations {
        let (broker, mut all) = broker_with(subscriptions);
        for matched in ALL {
            let mut few = Targets::new(matched, subscriptions, SEVERAL);
            let some = cached_ns(effort, &broker, &mut all, &few);
            few.topics.truncate(1);
            let one = cached_ns(effort, &broker, &mut all, &few);
            let many = Targets::new(matched, subscriptions, effort.publishes);
            let uncached = uncached_ns(effort, &broker, &mut all, &many);
            let name = matched.name();
            println!(
                "{subscriptions:>10} {name:>10} |{one:>14.0}{some:>16.0}{uncached:>12.0}{:>18.0}",
                uncached - some
            );
        }
    }
}

/// Topics scattered over the population, and the indices of the subscriptions they reach.
struct Targets {
    topics: Vec<Topic>,
    indices: Vec<usize>,
}

impl Targets {
    fn new(matched: Matched, subscriptions: usize, count: usize) -> Self {
        let of_this_kind = (subscriptions / 3).max(1);
        // A stride without a common divisor visits each subscription once before it repeats.
        let stride = (of_this_kind * 5 / 8) | 1;
        let numbers = (0..count.min(of_this_kind)).map(|step| step * stride % of_this_kind);
        Self {
            topics: numbers.clone().map(|number| matched.topic(number)).collect(),
            indices: numbers.filter_map(|number| matched.index(number)).collect(),
        }
    }

    fn drain(&self, all: &mut [Subscription<u64>]) {
        for &index in &self.indices {
            while all[index].try_recv_batch().is_ok() {}
        }
    }
}

fn cached_ns(
    effort: &Effort,
    broker: &Broker<u64>,
    all: &mut [Subscription<u64>],
    targets: &Targets,
) -> f64 {
    let mut publisher = broker.publisher();
    // The route of a topic is kept from its second publish on.
    for topic in targets.topics.iter().cycle().take(3 * targets.topics.len()) {
        let _ = publisher.try_publish(topic, 0).expect("an open broker");
    }
    targets.drain(all);
    let slices = effort.publishes.div_ceil(DRAIN_EVERY);
    let round = || {
        let mut timed = Duration::ZERO;
        for _ in 0..slices {
            let begun = Instant::now();
            for topic in targets.topics.iter().cycle().take(DRAIN_EVERY) {
                let _ = publisher.try_publish(topic, 1).expect("an open broker");
            }
            timed += begun.elapsed();
            targets.drain(all);
        }
        timed.as_nanos() as f64 / (slices * DRAIN_EVERY) as f64
    };
    median(effort.rounds, round)
}

/// Each round has a new publisher, which has never seen the topics.
fn uncached_ns(
    effort: &Effort,
    broker: &Broker<u64>,
    all: &mut [Subscription<u64>],
    targets: &Targets,
) -> f64 {
    let round = || {
        let mut publisher = broker.publisher();
        let begun = Instant::now();
        for topic in &targets.topics {
            let _ = publisher.try_publish(topic, 1).expect("an open broker");
        }
        let elapsed = begun.elapsed();
        targets.drain(all);
        elapsed.as_nanos() as f64 / targets.topics.len() as f64
    };
    median(effort.rounds, round)
}

fn median(rounds: usize, mut round: impl FnMut() -> f64) -> f64 {
    let mut values: Vec<f64> = (0..rounds).map(|_| round()).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

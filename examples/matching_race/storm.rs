//! The cost of a publish while another thread subscribes and drops as fast as it can.

use super::population::parse;
use crate::Effort;
use fanfare::{Broker, Pattern, Subscription, Topic, WhenFull};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

/// Topics published to in turn, with [`SUBSCRIBERS`] each.
const TOPICS: usize = 100;
const SUBSCRIBERS: usize = 4;

/// The queues are emptied after this many messages.
const DRAIN_EVERY: usize = 10 * TOPICS;

pub fn print(effort: &Effort) {
    println!(
        "\nPublishing to {TOPICS} topics with {SUBSCRIBERS} subscribers each; others come and go"
    );
    println!(
        "{:<44} |{:>12}{:>12}{:>14}{:>20}",
        "the storm", "median ns", "p99 ns", "longest us", "come and go a s"
    );
    let storms: [(&str, Option<Storm>); 5] = [
        ("none", None),
        ("topics nobody publishes to", Some(|turn| parse(&format!("other.{turn}")))),
        (
            "topics that are published to",
            Some(|turn| parse(&format!("calm.{}", turn % TOPICS as u64))),
        ),
        ("patterns that match none of the topics", Some(|turn| parse(&format!("other.*.{turn}")))),
        ("a pattern that matches all of the topics", Some(|_| parse("calm.*"))),
    ];
    for (name, storm) in storms {
        let Weather { publish_ns, visits_a_second } = publish_through(effort, storm);
        let at = |part: f64| publish_ns[(part * (publish_ns.len() - 1) as f64) as usize];
        let longest_us = at(1.0) as f64 / 1e3;
        println!(
            "{name:<44} |{:>12}{:>12}{longest_us:>14.0}{visits_a_second:>20.0}",
            at(0.5),
            at(0.99)
        );
    }
}

/// The pattern that the other thread subscribes to in its nth turn.
type Storm = fn(u64) -> Pattern;

struct Weather {
    /// How long each publish took, sorted.
    publish_ns: Vec<u64>,
    visits_a_second: f64,
}

fn publish_through(effort: &Effort, storm: Option<Storm>) -> Weather {
    let broker = Broker::<u64>::builder().when_full(WhenFull::DropNewest).build();
    let topics: Vec<Topic> = (0..TOPICS)
        .map(|number| Topic::parse(&format!("calm.{number}")).expect("a valid topic"))
        .collect();
    let mut readers: Vec<Subscription<u64>> = topics
        .iter()
        .flat_map(|topic| (0..SUBSCRIBERS).map(|_| broker.subscribe(&topic.into()).expect("room")))
        .collect();
    let (is_over, visits) = (AtomicBool::new(false), AtomicU64::new(0));
    let begun = Instant::now();
    let mut publish_ns = thread::scope(|scope| {
        if let Some(pattern) = storm {
            let (broker, is_over, visits) = (&broker, &is_over, &visits);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let turn = visits.fetch_add(1, Ordering::Relaxed);
                    drop(broker.subscribe(&pattern(turn)).expect("room for a subscription"));
                }
            });
            // Both must be under way, or a short run would measure no storm at all.
            while visits.load(Ordering::Relaxed) == 0 {
                thread::yield_now();
            }
        }
        let timed = publish_all(effort.publishes * 10, &broker, &topics, &mut readers);
        is_over.store(true, Ordering::Relaxed);
        timed
    });
    let visits_a_second = visits.into_inner() as f64 / begun.elapsed().as_secs_f64();
    publish_ns.sort_unstable();
    Weather { publish_ns, visits_a_second }
}

/// Returns how long each publish took.
fn publish_all(
    publishes: usize,
    broker: &Broker<u64>,
    topics: &[Topic],
    readers: &mut [Subscription<u64>],
) -> Vec<u64> {
    let mut publisher = broker.publisher();
    let mut publish_ns = Vec::with_capacity(publishes);
    for number in 0..publishes {
        let topic = &topics[number % topics.len()];
        let begun = Instant::now();
        let receipt = publisher.try_publish(topic, number as u64).expect("an open broker");
        let took = begun.elapsed();
        assert!(receipt.matched >= SUBSCRIBERS as u64, "a subscriber that stays is always served");
        publish_ns.push(took.as_nanos() as u64);
        if number % DRAIN_EVERY == DRAIN_EVERY - 1 {
            for reader in &mut *readers {
                while reader.try_recv_batch().is_ok() {}
            }
        }
    }
    publish_ns
}

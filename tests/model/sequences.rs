//! Random operations on the broker and on a naive model of it: after every step the books, the
//! order, the bounds, the places of `Missed`, the receipts and the wake-ups agree.
//!
//! Single-threaded, and the same for the same seed. `FANFARE_MODEL_SEQUENCES` sets how many
//! sequences each test runs, `FANFARE_MODEL_SEED` runs the one sequence that failed. Only policies
//! whose outcome does not depend on the time are used: no wait, waits that nobody but a hand can
//! end, and waits that are over at once.

use crate::model::{Policy, TOPICS};
use crate::world::{Setup, World};
use fanfare::{Broker, Delivery, Receipt, WhenFull};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;
use testkit::broker::{Load, Loads, pattern, topic};

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is no number: {value}")))
}

fn run_sequences(default: u64, setup: Setup) {
    let seeds = match from_environment("FANFARE_MODEL_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..from_environment("FANFARE_MODEL_SEQUENCES").unwrap_or(default),
    };
    for seed in seeds {
        let mut world = World::new(seed, setup.clone());
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| world.run())) {
            eprintln!("sequence {seed} (FANFARE_MODEL_SEED={seed}):");
            for step in &world.trace {
                eprintln!("  {step}");
            }
            #[expect(clippy::disallowed_methods, reason = "its destructors may panic as well")]
            std::mem::forget(world);
            resume_unwind(panic);
        }
    }
}

const WITHOUT_WAITING: [Policy; 4] =
    [Policy::DropNewest, Policy::DropOldest, Policy::WaitNothing, Policy::Disconnect];

#[test]
fn one_publisher_whose_waits_are_ended_by_hand() {
    let mut policies = WITHOUT_WAITING.to_vec();
    policies.extend([Policy::Block, Policy::Block, Policy::WaitLong]);
    let group_policies = vec![Policy::DropNewest, Policy::DropOldest, Policy::WaitNothing];
    run_sequences(15_000, Setup { publishers: 1, policies, group_policies, steps: 40 });
}

#[test]
fn one_publisher_whose_waits_are_over_at_once() {
    let mut policies = WITHOUT_WAITING.to_vec();
    policies.extend([Policy::WaitShort; 3]);
    let group_policies = vec![Policy::DropNewest, Policy::DropOldest, Policy::WaitNothing];
    run_sequences(2_000, Setup { publishers: 1, policies, group_policies, steps: 40 });
}

/// Without `DropOldest`: which publisher's message is the oldest is not decided, so the model
/// cannot know.
#[test]
fn several_publishers() {
    let policies = vec![
        Policy::DropNewest,
        Policy::WaitNothing,
        Policy::Disconnect,
        Policy::Block,
        Policy::Block,
        Policy::WaitLong,
    ];
    let group_policies = vec![Policy::DropNewest, Policy::WaitNothing];
    run_sequences(15_000, Setup { publishers: 3, policies, group_policies, steps: 60 });
}

/// What holds for `DropOldest` whichever message is the oldest: the bound is used, order is kept,
/// what was passed over is told before the next message, and the newest message is always there.
#[test]
fn drop_oldest_of_several_publishers() {
    for seed in 0..from_environment("FANFARE_MODEL_SEQUENCES").unwrap_or(3_000) {
        let mut random = fastrand::Rng::with_seed(seed);
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let mut publishers: Vec<_> = (0..3).map(|_| (broker.publisher(), 0)).collect();
        let bound = random.usize(1..=8);
        let mut subscription = testkit::broker::bounded(&broker, ">", bound, WhenFull::DropOldest);
        let (mut offered, mut received, mut told) = (0, 0, 0);
        let mut last_received = [None; 3];
        let mut newest = None;
        for step in 0..60 {
            let at = format!("seed {seed}, step {step}");
            if random.u8(0..3) > 0 {
                let from = random.usize(0..3);
                let (publisher, number) = &mut publishers[from];
                let length = random.u64(1..4);
                let mut batch: Vec<_> =
                    (0..length).map(|add| loads.make(from, *number + add, 1)).collect();
                *number += length;
                newest = Some((from, *number - 1));
                offered += length;
                let to = topic(TOPICS[random.usize(0..TOPICS.len())]);
                let receipt = publisher.try_publish_batch(&to, &mut batch).unwrap();
                assert_eq!(receipt.matched, length, "{at}");
            } else {
                match subscription.try_recv() {
                    Ok(Delivery::Missed(count)) => told += count,
                    Ok(Delivery::Message(message)) => {
                        let message = message.to_message();
                        assert_eq!(
                            told,
                            subscription.books().dropped,
                            "{at}: Missed comes before the next message"
                        );
                        assert!(last_received[message.from] < Some(message.number), "{at}: order");
                        last_received[message.from] = Some(message.number);
                        received += 1;
                    }
                    Err(_) => assert_eq!(offered, received + told, "{at}: empty"),
                }
            }
            let books = subscription.books();
            assert_eq!((books.offered, books.received), (offered, received), "{at}");
            assert_eq!(books.offered, books.received + books.queued + books.dropped, "{at}");
            assert!(books.queued <= bound as u64, "{at}: {books:?}");
            assert!(told <= books.dropped, "{at}: {books:?}");
        }
        while let Ok(delivery) = subscription.try_recv() {
            match delivery {
                Delivery::Missed(count) => told += count,
                Delivery::Message(message) => {
                    assert!(
                        last_received[message.from] < Some(message.number),
                        "seed {seed}: order"
                    );
                    last_received[message.from] = Some(message.number);
                    received += 1;
                }
            }
        }
        assert_eq!(offered, received + told, "seed {seed}");
        if let Some((from, number)) = newest {
            assert_eq!(
                last_received[from],
                Some(number),
                "seed {seed}: the newest message is never passed over"
            );
        }
    }
}

/// Batches to a group, which the model leaves out: each message goes to exactly one member, none is
/// dropped while a member has room, each member keeps the order.
#[test]
fn batches_to_a_group() {
    for seed in 0..from_environment("FANFARE_MODEL_SEQUENCES").unwrap_or(3_000) {
        let mut random = fastrand::Rng::with_seed(seed);
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let mut publisher = broker.publisher();
        let mut members = Vec::new();
        for _ in 0..random.usize(1..5) {
            let bound = random.usize(1..=8);
            let policy = [WhenFull::DropNewest, WhenFull::Wait(Duration::ZERO)][random.usize(0..2)];
            let builder =
                broker.subscription(&pattern("work")).queue_messages(bound).when_full(policy);
            members.push((bound, builder.group("workers").subscribe().unwrap(), None));
        }
        let mut number = 0;
        let (mut queued, mut dropped) = (0, 0);
        let mut seen = std::collections::HashSet::new();
        for step in 0..40 {
            let at = format!("seed {seed}, step {step}");
            if random.bool() {
                let length = random.u64(1..10);
                let room: u64 = members
                    .iter()
                    .map(|(bound, member, _)| *bound as u64 - member.books().queued)
                    .sum();
                let mut batch =
                    (number..number + length).map(|number| loads.light(number)).collect();
                number += length;
                let receipt = publisher.try_publish_batch(&topic("work"), &mut batch).unwrap();
                let expected = Receipt {
                    matched: length,
                    queued: length.min(room),
                    dropped: length.saturating_sub(room),
                    ..Receipt::default()
                };
                assert_eq!(receipt, expected, "{at}");
                queued += receipt.queued;
                dropped += receipt.dropped;
            } else {
                let index = random.usize(0..members.len());
                let (_, member, last) = &mut members[index];
                for got in testkit::broker::take_all(member) {
                    if let testkit::broker::Got::Number(number) = got {
                        assert!(seen.insert(number), "{at}: {number} went to two members");
                        assert!(*last < Some(number), "{at}: order");
                        *last = Some(number);
                    }
                }
            }
        }
        for (_, member, _) in &mut members {
            for got in testkit::broker::take_all(member) {
                if let testkit::broker::Got::Number(number) = got {
                    assert!(seen.insert(number), "seed {seed}: {number} went to two members");
                }
            }
            let books = member.books();
            assert_eq!(books.offered, books.received + books.queued + books.dropped, "seed {seed}");
        }
        assert_eq!(seen.len() as u64, queued, "seed {seed}: every queued message was received");
        let booked: u64 = members.iter().map(|(_, member, _)| member.books().dropped).sum();
        assert_eq!(booked, dropped, "seed {seed}: every dropped message is in one member's books");
    }
}

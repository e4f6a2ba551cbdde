//! What a delivery costs beside time, peer beside peer: allocations, wake-ups, peak memory; and
//! when a timer is armed.
//!
//! `cargo bench --bench costs` prints the table; `cargo test` runs it with tiny inputs.

use fanfare::{Broker, Pattern, Topic};
use race::executor::Executor;
use race::run::Load;
use race::scenario::{Content, Scenario};
use race::trial::{ENTRANTS, Entrant};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, Stats, StatsAlloc};
use std::alloc::System;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// The living read as many messages apart, so they are never full.
const TIMER_QUEUE_MESSAGES: usize = 512;

const SAMPLE_EVERY: Duration = Duration::from_micros(200);

fn main() {
    let is_bench = std::env::args().any(|argument| argument == "--bench");
    let messages = |subscribers: usize| if is_bench { 2_000_000 / subscribers as u64 } else { 64 };
    let rows = if is_bench {
        rows()
    } else {
        rows().into_iter().filter(|row| row.subscribers < 64).collect()
    };

    println!(
        "For 1000 deliveries in the steady state; the peak is of live heap, sampled, with its \
         queues"
    );
    println!(
        "{:>5} {:>5} {:<6} |{:>16}{:>13}{:>13}{:>10}{:>11}",
        "subs", "batch", "bytes", "peer", "allocations", "KiB alloc.", "wake-ups", "peak KiB"
    );
    for scenario in rows {
        for peer in &ENTRANTS {
            print_costs(peer, scenario, messages(scenario.subscribers));
        }
    }
    timers_armed(if is_bench { 200_000 } else { 1_000 });
}

fn rows() -> Vec<Scenario> {
    let plain = |subscribers| Scenario::plain(Executor::AsyncExecutor, subscribers);
    let mut rows = [1, 8, 64, 1000].map(plain).to_vec();
    rows.push(Scenario { batch: 64, ..plain(64) });
    rows.push(Scenario { content: Content::String, ..plain(8) });
    rows
}

fn print_costs(peer: &Entrant, scenario: Scenario, messages: u64) {
    // Setting up costs the same in both runs, so the difference is the steady state's.
    let (short, _, _) = measure(peer, Load::new(scenario, messages));
    let (long, peak_bytes, deliveries) = measure(peer, Load::new(scenario, 2 * messages));
    let mut counted = Load::new(scenario, messages);
    counted.counts_wakes = true;
    let woken = (peer.run)(&counted);

    let thousands = deliveries as f64 / 2.0 / 1000.0;
    let more = |of: fn(&Stats) -> usize| (of(&long) as f64 - of(&short) as f64) / thousands;
    println!(
        "{:>5} {:>5} {:<6} |{:>16}{:>13.3}{:>13.3}{:>10.2}{:>11}",
        scenario.subscribers,
        scenario.batch,
        scenario.content,
        peer.name,
        more(|stats| stats.allocations + stats.reallocations),
        more(|stats| stats.bytes_allocated) / 1024.0,
        woken.wake_ups as f64 / woken.deliveries as f64 * 1000.0,
        peak_bytes / 1024
    );
}

/// The allocations of a run, its peak memory, and its deliveries.
fn measure(peer: &Entrant, load: Load) -> (Stats, u64, u64) {
    let before = live_bytes();
    let peak = AtomicU64::new(0);
    let (run, is_over) = sync_channel::<()>(0);
    let (stats, outcome) = thread::scope(|scope| {
        let peak = &peak;
        scope.spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = is_over.recv_timeout(SAMPLE_EVERY) {
                peak.fetch_max(live_bytes().saturating_sub(before), Ordering::Relaxed);
            }
        });
        let region = Region::new(ALLOCATOR);
        let outcome = (peer.run)(&load);
        let stats = region.change();
        drop(run);
        (stats, outcome)
    });
    assert_eq!(outcome.lost, 0, "{} loses nothing", peer.name);
    assert_eq!(outcome.deliveries, load.expected_each() * load.scenario.subscribers as u64);
    (stats, peak.into_inner(), outcome.deliveries)
}

fn live_bytes() -> u64 {
    let stats = ALLOCATOR.stats();
    // The counts are read one after another while other threads allocate; a moment's skew does not
    // matter here.
    (stats.bytes_allocated as i64 - stats.bytes_deallocated as i64).max(0) as u64
}

/// A publisher arms a timer when, and only when, somebody has to be waited for; who was waited for
/// in vain is not again.
fn timers_armed(publishes: u64) {
    println!("\nTimers, 64 subscribers of the default policy (waits 5 ms)");
    println!("{:>9} |{:>12}{:>22}", "stuck", "publishes", "of these armed one");
    for stuck in [0, 1, 64] {
        let armed = publishes_that_armed(stuck, publishes);
        // The first publish that finds them full waits for all of them together.
        assert_eq!(armed, u64::from(stuck > 0), "{stuck} stuck");
        println!("{stuck:>9} |{publishes:>12}{armed:>22}");
    }
}

fn publishes_that_armed(stuck: usize, publishes: u64) -> u64 {
    let topic = Topic::parse("costs.timer").expect("a valid topic");
    let broker = Broker::<u64>::builder().queue_messages(TIMER_QUEUE_MESSAGES).build();
    let mut subscriptions: Vec<_> = (0..64)
        .map(|_| broker.subscribe(&Pattern::from(&topic)).expect("room for a subscription"))
        .collect();
    let mut publisher = broker.publisher();
    for message in 0..publishes {
        let _ = publisher.publish_blocking(&topic, message).expect("an open broker");
        if message % TIMER_QUEUE_MESSAGES as u64 == 0 {
            for subscription in &mut subscriptions[stuck..] {
                while subscription.try_recv_batch().is_ok() {}
            }
        }
    }
    broker.stats().waits
}

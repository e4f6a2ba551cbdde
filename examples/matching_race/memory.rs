//! The memory of an idle subscription, which does not depend on its capacity.

use crate::{ALLOCATOR, Effort};
use fanfare::{Broker, Topic};
use stats_alloc::Region;
use std::fs;
use std::time::Instant;

const CAPACITIES: [usize; 2] = [1, 10_000];

pub fn print(effort: &Effort) {
    let count = effort.idle_subscriptions;
    println!("{count} idle subscriptions, each to its own topic, with their handles");
    println!(
        "{:>10} |{:>14}{:>18}{:>14}{:>16}{:>16}",
        "capacity", "heap bytes", "allocations", "resident", "subscribe ns", "drop ns"
    );
    for capacity in CAPACITIES {
        let Weight { heap, allocations, resident, subscribe_ns, drop_ns } = weigh(count, capacity);
        let resident = resident.map_or("?".to_owned(), |bytes| format!("{} MiB", bytes >> 20));
        println!(
            "{capacity:>10} |{heap:>14.0}{allocations:>18.2}{resident:>14}{subscribe_ns:>16.0}\
             {drop_ns:>16.0}"
        );
    }
    println!("(heap, allocations and times for one subscription; resident is the whole process)");
}

struct Weight {
    heap: f64,
    allocations: f64,
    resident: Option<u64>,
    subscribe_ns: f64,
    drop_ns: f64,
}

fn weigh(count: usize, capacity: usize) -> Weight {
    let region = Region::new(ALLOCATOR);
    let broker = Broker::<u64>::builder().queue_messages(capacity).build();
    let begun = Instant::now();
    let all: Vec<_> = (0..count)
        .map(|number| {
            let topic = Topic::parse(&format!("idle.{}.{}", number / 1000, number % 1000))
                .expect("a valid topic");
            broker.subscribe(&topic.into()).expect("room for a subscription")
        })
        .collect();
    let subscribing = begun.elapsed();
    let change = region.change();
    let resident = resident_bytes();

    let begun = Instant::now();
    drop(all);
    let dropping = begun.elapsed();
    let each = |amount: usize| amount as f64 / count as f64;
    Weight {
        heap: each(change.bytes_allocated - change.bytes_deallocated),
        allocations: each(change.allocations - change.deallocations),
        resident,
        subscribe_ns: subscribing.as_nanos() as f64 / count as f64,
        drop_ns: dropping.as_nanos() as f64 / count as f64,
    }
}

/// The resident memory of the process, where the system tells (Linux).
fn resident_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

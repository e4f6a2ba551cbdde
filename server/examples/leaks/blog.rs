//! A web program whose memory went from 14 MB to 228 MB in a day: a pool with 800 slots made ahead
//! for each route.
//!
//! Found with live heap profiles. Nothing in the language prevents it, in Go or in Rust: what is
//! made ahead of use is kept, and used by nobody.

use super::figures::{Figures, measure, print_head};
use fanfare::{Broker, Pattern};
use fanfare_server::tasks::Scope;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A request that waits for its handler.
type Slot = [u8; 128];

/// Requests of one route that may wait.
const SLOTS: usize = 800;

pub fn main() {
    print_head("A blog: 2,000 routes, of which hardly any is asked for");
    leak(2_000).print("leak: 800 slots for each route, made ahead");
    cure(2_000).print("cure: a queue for up to 800 for each route, made of nothing");
}

fn route(number: usize) -> String {
    format!("blog.2020.post-{number}")
}

fn leak(routes: usize) -> Figures {
    measure(async |_, _: &Arc<Scope>| {
        let pool = |_| Vec::<Slot>::with_capacity(SLOTS);
        (0..routes).map(|number| (route(number), pool(number))).collect::<BTreeMap<_, _>>()
    })
}

fn cure(routes: usize) -> Figures {
    measure(async |_, _: &Arc<Scope>| {
        let broker = Broker::<Slot>::new();
        let queue = |number| {
            let pattern = Pattern::parse(&route(number)).expect("a valid pattern");
            broker
                .subscription(&pattern)
                .queue_messages(SLOTS)
                .subscribe()
                .expect("room for a subscription")
        };
        let queues: Vec<_> = (0..routes).map(queue).collect();
        (broker, queues)
    })
}

#[test]
fn the_leak_costs_its_capacity_and_the_cure_its_use() {
    let (leak, cure) = (leak(50), cure(50));
    assert!(leak.heap_bytes as usize > 50 * SLOTS * size_of::<Slot>(), "{leak:?}");
    assert!(cure.heap_bytes < leak.heap_bytes / 20, "{cure:?}");
}

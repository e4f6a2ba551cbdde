//! A new timer for every full subscriber of every message, or one timer that is reused.
//!
//! Two Go programs grew without end because they made a timer for every message (`time.After`): a
//! Go timer used to live until it fired. Here `async_io::Timer` does the same work. Each message
//! meets some full subscribers, which have room again long before the 5 ms are over.
//!
//! ```text
//! cargo run --release --example timer_per_message
//! ```

use async_io::Timer;
use futures_lite::future::block_on;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const WAIT: Duration = Duration::from_millis(5);

fn main() {
    print_table(20_000, 4);
    print_table(2_000, 64);
    println!(
        "
A dropped timer is gone, so one for each full subscriber leaks nothing in Rust, unlike in Go
before 1.23. A timer is paid for when it is first polled: an entry in the reactor, and a call that
wakes the reactor's thread if it sleeps. One that nobody polls costs a look at the clock. Setting an
armed timer again costs as much as a new one: it saves memory, not time. One timer for all full
subscribers saves time. It is cheapest to leave it armed, and to set it again only when it goes off
too early."
    );
}

fn print_table(messages: usize, full: usize) {
    println!("\n{messages} messages, {full} full subscribers each");
    println!(
        "{:<58}{:>13}{:>13}{:>13}{:>13}",
        "", "ns a message", "allocations", "KiB", "most alive"
    );
    for (name, way) in WAYS {
        let Cost { elapsed, allocations, kib, most_alive } = measure(messages, full, way);
        let each_ns = elapsed.as_nanos() as f64 / messages as f64;
        println!("{name:<58}{each_ns:>13.0}{allocations:>13}{kib:>13}{most_alive:>13}");
    }
}

/// Returns the largest number of timers alive at a time.
type Way = fn(usize, usize) -> usize;

const WAYS: [(&str, Way); 6] = [
    ("a new timer each, kept until it fires (Go's time.After)", new_and_kept),
    ("a new timer each, dropped when there is room", new_and_dropped),
    ("a new timer each, never polled", new_and_unpolled),
    ("one timer, set again for each full subscriber", one_set_for_each),
    ("one timer, set and cleared once a message", one_set_for_each_message),
    ("one timer, left armed until it goes off", one_left_armed),
];

struct Cost {
    elapsed: Duration,
    allocations: usize,
    kib: usize,
    most_alive: usize,
}

fn measure(messages: usize, full: usize, way: Way) -> Cost {
    // The first timer starts the reactor, which is not what is measured.
    block_on(poll_once(&mut Timer::after(WAIT)));
    let region = Region::new(ALLOCATOR);
    let begun = Instant::now();
    let most_alive = way(messages, full);
    let elapsed = begun.elapsed();
    let change = region.change();
    Cost {
        elapsed,
        allocations: change.allocations + change.reallocations,
        kib: change.bytes_allocated / 1024,
        most_alive,
    }
}

fn new_and_kept(messages: usize, full: usize) -> usize {
    let mut alive = VecDeque::new();
    let mut most_alive = 0;
    for _ in 0..messages {
        for _ in 0..full {
            let mut timer = Timer::after(WAIT);
            block_on(poll_once(&mut timer));
            alive.push_back(timer);
        }
        most_alive = most_alive.max(alive.len());
        while alive.front_mut().is_some_and(|timer| block_on(poll_once(timer))) {
            alive.pop_front();
        }
    }
    most_alive
}

fn new_and_dropped(messages: usize, full: usize) -> usize {
    for _ in 0..messages {
        let mut waited_together = Vec::with_capacity(full);
        for _ in 0..full {
            let mut timer = Timer::after(WAIT);
            block_on(poll_once(&mut timer));
            waited_together.push(timer);
        }
    }
    full
}

fn new_and_unpolled(messages: usize, full: usize) -> usize {
    for _ in 0..messages {
        let waited_together: Vec<Timer> = (0..full).map(|_| Timer::after(WAIT)).collect();
        std::hint::black_box(waited_together);
    }
    full
}

fn one_set_for_each(messages: usize, full: usize) -> usize {
    let mut timer = Timer::never();
    for _ in 0..messages * full {
        timer.set_after(WAIT);
        block_on(poll_once(&mut timer));
    }
    1
}

fn one_set_for_each_message(messages: usize, _full: usize) -> usize {
    let mut timer = Timer::never();
    for _ in 0..messages {
        timer.set_after(WAIT);
        block_on(poll_once(&mut timer));
        timer.clear();
    }
    1
}

/// Keeps the deadline beside the timer. When the timer goes off too early it is set again, at most
/// once in 5 ms.
fn one_left_armed(messages: usize, _full: usize) -> usize {
    let mut timer = Timer::after(WAIT);
    for _ in 0..messages {
        let deadline = Instant::now() + WAIT;
        if block_on(poll_once(&mut timer)) {
            timer.set_at(deadline);
            block_on(poll_once(&mut timer));
        }
    }
    1
}

/// Polls the timer as a waiting publish does. True if the time is over.
async fn poll_once(timer: &mut Timer) -> bool {
    poll_fn(|context| Poll::Ready(Future::poll(Pin::new(&mut *timer), context).is_ready())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_runs_and_says_how_many_timers_it_needs() {
        for (name, way) in WAYS {
            let most_alive = measure(8, 2, way).most_alive;
            let expected = match name {
                name if name.starts_with("one timer") => 1..=1,
                name if name.contains("time.After") => 2..=16,
                _ => 2..=2,
            };
            assert!(expected.contains(&most_alive), "{name}: {most_alive}");
        }
    }
}

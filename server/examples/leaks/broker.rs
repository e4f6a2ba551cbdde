//! A broker whose publishes pile up: a task and a timer for each subscriber of each message, which
//! nobody waits for.
//!
//! In Go: `time.After(5 * time.Millisecond)` for each subscriber of each message, and publishes in
//! goroutines of their own. A publisher that is faster than the time-out builds a hill of them, and
//! what it could not deliver nobody hears of.

use super::figures::{Figures, measure, print_head};
use async_io::Timer;
use fanfare::{Broker, Pattern, Topic, WhenFull};
use fanfare_server::tasks::{Scope, Wait, waiting};
use std::sync::Arc;
use std::time::Duration;

const WAIT: Duration = Duration::from_millis(5);
const SUBSCRIBERS: usize = 64;
/// What a subscriber's queue holds. Nobody reads, so from then on each message meets full queues.
const QUEUE_MESSAGES: usize = 16;

pub fn main() {
    print_head("A broker: 1,000 messages to 64 subscribers that do not read");
    leak(1_000).print("leak: a task and a timer for each message and full subscriber");
    cure(1_000).print("cure: one publish, at most one wait, one timer, one receipt");
}

fn leak(messages: usize) -> Figures {
    measure(async |_, scope: &Arc<Scope>| {
        let mut queues: Vec<Vec<Arc<str>>> = vec![Vec::new(); SUBSCRIBERS];
        for number in 0..messages {
            let message: Arc<str> = format!("message {number}").into();
            for queue in &mut queues {
                if queue.len() < QUEUE_MESSAGES {
                    queue.push(message.clone());
                    continue;
                }
                let message = message.clone();
                scope.spawn("delivery", async move {
                    waiting(Wait::TIMER, Timer::after(WAIT)).await;
                    drop(message);
                });
            }
        }
        queues
    })
}

fn cure(messages: usize) -> Figures {
    measure(async |_, _: &Arc<Scope>| {
        let topic = Topic::parse("orders").expect("a valid topic");
        let broker = Broker::<String>::builder().when_full(WhenFull::Wait(WAIT)).build();
        let subscribe = |_| {
            let builder =
                broker.subscription(&Pattern::from(&topic)).queue_messages(QUEUE_MESSAGES);
            builder.subscribe().expect("room for a subscription")
        };
        let subscriptions: Vec<_> = (0..SUBSCRIBERS).map(subscribe).collect();
        let mut publisher = broker.publisher();
        let mut dropped = 0;
        for number in 0..messages {
            // Awaited: a publisher can be no faster than its subscribers allow, and hears what came
            // of it.
            let receipt = publisher
                .publish(&topic, format!("message {number}"))
                .await
                .expect("an open broker");
            dropped += receipt.dropped;
        }
        assert_eq!(
            dropped as usize,
            messages.saturating_sub(QUEUE_MESSAGES) * SUBSCRIBERS,
            "nothing in silence"
        );
        (broker, publisher, subscriptions)
    })
}

#[test]
fn the_leak_starts_tasks_that_nobody_waits_for_and_the_cure_none() {
    assert_eq!(leak(20).tasks, 4 * SUBSCRIBERS);
    let (few, many) = (cure(20), cure(200));
    assert_eq!((few.tasks, many.tasks), (0, 0));
    assert!(many.heap_bytes < few.heap_bytes + 64 * 1024, "{few:?} {many:?}");
}

//! The tools that find a leak: which tasks are alive, what they wait for, where they were started;
//! and the check that fails the test.
//!
//! In Go: three replicas are asked, each sends its answer on a channel without a buffer, the first
//! answer is taken, and two senders block for ever. Here the senders would go on if the receiver
//! were dropped, so it is kept, as a channel in Go is kept by those who are blocked on it; and the
//! least that a queue holds is one, so the second answer goes into it.

use super::figures::{Figures, measure, print_head};
use fanfare::{Broker, Pattern, Topic, WhenFull};
use fanfare_server::tasks::{Limiter, Scope, TaskInfo, Tasks, Wait, waiting};
use futures_lite::future::yield_now;
use std::collections::BTreeMap;
use std::sync::Arc;

const REPLICAS: u32 = 3;

/// Queries that the cure lets in at a time.
const QUERIES_AT_ONCE: usize = 100;

pub fn main() {
    let mut found = String::new();
    print_head("The fastest of three replicas, 1,000 queries");
    leak(1_000, &mut found).print("leak: the first answer is taken, a sender waits for ever");
    cure(1_000).print("cure: a query's scope ends with it, at most 100 at once");
    println!("\nWhat the register says of the leak, grouped:\n{found}");
}

/// Waits until somebody takes the answer: a queue for one, held by whoever sent first.
async fn answer(broker: Broker<u32>, topic: Topic, replica: u32) {
    let mut publisher = broker.publisher();
    // Only a closed broker refuses, and then nobody asks any more.
    let _ = waiting(Wait::named("somebody to take the answer"), publisher.publish(&topic, replica))
        .await;
}

/// Asks all replicas, whose tasks `children` owns, and takes the first answer. What keeps the queue
/// is given back.
async fn ask(children: &Scope) -> (u32, impl Sized + use<>) {
    let topic = Topic::parse("answers").expect("a valid topic");
    let broker = Broker::builder().when_full(WhenFull::Block).build();
    let builder = broker.subscription(&Pattern::from(&topic)).queue_messages(1);
    let mut subscription = builder.subscribe().expect("room for a subscription");
    for replica in 0..REPLICAS {
        children.spawn("replica", answer(broker.clone(), topic.clone(), replica));
    }
    let first = loop {
        if let Some(fanfare::Delivery::Message(first)) = subscription.recv().await {
            break *first;
        }
    };
    (first, subscription)
}

fn leak(queries: usize, found: &mut String) -> Figures {
    measure(async |tasks: &Tasks, scope: &Arc<Scope>| {
        let mut kept = Vec::new();
        for _ in 0..queries {
            kept.push(ask(scope).await);
        }
        // One answer of each query goes into its queue, a moment later.
        while tasks.alive() > queries {
            yield_now().await;
        }
        *found = grouped(&tasks.list());
        kept
    })
}

fn cure(queries: usize) -> Figures {
    measure(async |_, scope: &Arc<Scope>| {
        let limiter = Limiter::new(QUERIES_AT_ONCE);
        let of_queries = Arc::new(scope.scope("queries"));
        for _ in 0..queries {
            // A cap on live tasks: a query beyond it waits for its turn.
            let permit = limiter.acquire().await;
            let within = of_queries.clone();
            of_queries.spawn("query", async move {
                let children = within.scope("query");
                let (_first, _subscription) = ask(&children).await;
                drop((children, permit));
            });
        }
        of_queries.ended().await;
        assert_eq!(limiter.in_use(), 0);
    })
}

/// As `/debug/pprof/goroutine?debug=1` does: how many, what they are, what they wait for, where
/// they were started.
fn grouped(tasks: &[TaskInfo]) -> String {
    let mut groups: BTreeMap<String, usize> = BTreeMap::new();
    for task in tasks {
        let place = task.spawned_at;
        *groups
            .entry(format!(
                "{} waits for {}, started at {}:{}",
                task.name,
                task.waits_for,
                place.file(),
                place.line()
            ))
            .or_default() += 1;
    }
    groups.iter().map(|(group, count)| format!("{count:>8} {group}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use testkit::leak_check::LeakCheck;

    #[test]
    fn the_leak_is_found_and_the_cure_leaves_nothing() {
        let mut found = String::new();
        assert_eq!(leak(20, &mut found).tasks, 20);
        let expected = "      20 replica waits for somebody to take the answer, \
                        started at server/examples/leaks/tools.rs:";
        assert!(found.starts_with(expected) && found.lines().count() == 1, "{found}");
        assert_eq!(cure(20).tasks, 0);
    }

    #[test]
    #[should_panic(expected = "replica (of program) waits for somebody to take the answer")]
    fn a_leak_check_fails_the_test() {
        measure(async |tasks: &Tasks, scope: &Arc<Scope>| {
            let check = LeakCheck::new(tasks).patience(Duration::ZERO);
            let kept = ask(scope).await;
            check.finish().await;
            kept
        });
    }
}

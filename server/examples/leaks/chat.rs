//! A chat server that grew: a timer for each line written, a log that keeps every line, and each
//! client's history.
//!
//! In Go, `time.After` in the writer's loop was 76 % of the heap: its timer lives until it fires.
//! In Rust a timer ends when it is dropped, so one has to work harder for the same leak: give each
//! timer a task of its own.

use super::figures::{Figures, measure, print_head};
use async_io::Timer;
use fanfare::{Broker, Pattern, Topic};
use fanfare_server::tasks::{Scope, Wait, waiting};
use std::sync::Arc;
use std::time::Duration;

/// After so long without a line, the connection was to be closed.
const READ_TIME_OUT: Duration = Duration::from_secs(15);

/// Lines of the log that anybody will ever look at.
const LOG_LINES: usize = 100;

pub fn main() {
    print_head("A chat server: 20,000 lines to one client");
    leak(20_000).print("leak: a timer for each line, a log and a history of all lines");
    cure(20_000).print("cure: one timer, set again for each line; a log of 100 lines");
}

fn line(number: usize) -> String {
    format!("line {number} of what people say in a chat room all day long")
}

fn leak(lines: usize) -> Figures {
    measure(async |_, scope: &Arc<Scope>| {
        let (mut log, mut sent_to_client) = (Vec::new(), Vec::new());
        for number in 0..lines {
            // "If nothing more comes within the time-out, close." Nobody ends it when something
            // does come.
            scope.spawn("read time-out", async {
                waiting(Wait::TIMER, Timer::after(READ_TIME_OUT)).await;
            });
            log.push(line(number));
            sent_to_client.push(line(number));
        }
        (log, sent_to_client)
    })
}

fn cure(lines: usize) -> Figures {
    measure(async |_, _: &Arc<Scope>| {
        let topic = Topic::parse("chat.log").expect("a valid topic");
        // A history is a ring that can be read while the server runs: `broker.history(&topic,
        // 100)`.
        let broker = Broker::builder().history(Pattern::from(&topic), LOG_LINES).build();
        let mut publisher = broker.publisher();
        let mut timer = Timer::never();
        for number in 0..lines {
            timer.set_after(READ_TIME_OUT);
            let _ = publisher.publish(&topic, line(number)).await.expect("an open broker");
        }
        assert_eq!(broker.history(&topic, lines).len(), LOG_LINES.min(lines));
        (broker, publisher, timer)
    })
}

#[test]
fn the_leak_grows_with_the_lines_and_the_cure_does_not() {
    let (few, many) = (leak(500), leak(2_000));
    assert_eq!((few.tasks, many.tasks), (500, 2_000));
    assert!(many.heap_bytes > 3 * few.heap_bytes, "{few:?} {many:?}");
    let (few, many) = (cure(500), cure(2_000));
    assert_eq!((few.tasks, many.tasks), (0, 0));
    assert!(many.heap_bytes < few.heap_bytes + 64 * 1024, "{few:?} {many:?}");
}

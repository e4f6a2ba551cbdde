//! What tasks cost in memory. A test binary of its own, since the allocator counts everything in
//! the process.

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::pin::pin;
use testkit::broker::poll_once;
use testkit::memory::{NOTHING, assert_costs_nothing_again, live, my_turn};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What the register adds to a task, beside the future itself, which the runtime would have to keep
/// anyway.
#[test]
fn a_task_costs_the_register_less_than_two_hundred_bytes() {
    use fanfare_server::tasks::{BoxedTask, Tasks, Wait, waiting};
    use std::sync::mpsc::sync_channel;

    const TASKS: usize = 10_000;
    const FUTURE_BYTES: usize = 64;
    let _turn = my_turn();
    let wait = Wait::named("recv chat.room.lobby");
    // A future of a known size that waits in two ways at once, as a connection does.
    let future = |wait: Wait| async move {
        let held = [1_u8; FUTURE_BYTES];
        waiting(Wait::SOCKET_READ, waiting(wait, std::future::pending::<()>())).await;
        std::hint::black_box(held);
    };
    let future_bytes = size_of_val(&future(wait.clone()));
    let (runtime, spawned) = sync_channel::<BoxedTask>(TASKS);
    let tasks = Tasks::new(move |task| runtime.send(task).unwrap());
    let scope = tasks.scope("test");
    let mut kept = Vec::with_capacity(TASKS);
    let before = live();
    for _ in 0..TASKS {
        scope.spawn("waits", future(wait.clone()));
        let mut task = spawned.recv().unwrap();
        assert!(poll_once(task.as_mut()).is_pending());
        kept.push(task);
    }
    let each = (live() - before) as usize / TASKS - future_bytes;
    assert_eq!(tasks.list()[0].waits_for, "recv chat.room.lobby, socket read");
    assert!(each < 200, "{each} bytes a task");
    kept.clear();
    let left = live() - before;
    assert!(left < NOTHING, "{left} bytes after the tasks have ended");
}

#[test]
fn tasks_scopes_and_permits_that_come_and_go_cost_nothing() {
    use fanfare_server::tasks::{BoxedTask, Limiter, Tasks};
    use futures_lite::future::block_on;
    use std::time::Instant;

    let _turn = my_turn();
    let tasks = Tasks::new(|mut task: BoxedTask| {
        // One turn for each, in which those end that can; the others are dropped, as a runtime that
        // ends does.
        let _ = poll_once(task.as_mut());
    });
    let limiter = Limiter::new(1);
    let scope = tasks.scope("test");
    let round = || {
        for number in 0..20_000 {
            let held = limiter.try_acquire();
            let waiting = poll_once(pin!(limiter.acquire()));
            assert!(held.is_some() && waiting.is_pending());
            let within = scope.scope("within");
            within.spawn("ends", async {});
            let hangs = scope.spawn("hangs", std::future::pending());
            assert!(block_on(hangs) == fanfare_server::tasks::TaskEnd::Cancelled);
            if number % 100 == 0 {
                assert!(block_on(within.end(Instant::now())).left.is_empty());
            }
        }
    };
    assert_costs_nothing_again(round);
    assert_eq!((tasks.alive(), limiter.in_use()), (0, 0));
}

//! A small runtime whose tasks are registered, and the figures of a leak and of its cure.

use async_executor::Executor;
use fanfare_server::tasks::{BoxedTask, Scope, Tasks};
use futures_lite::future::block_on;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::sync::Arc;
use std::time::{Duration, Instant};
use testkit::memory::{live, my_turn};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Long enough for tasks to end that were asked to.
const END: Duration = Duration::from_secs(5);

/// What is left when the work is done.
#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub tasks: usize,
    pub heap_bytes: isize,
    pub elapsed: Duration,
}

impl Figures {
    pub fn print(&self, what: &str) {
        let Self { tasks, heap_bytes, elapsed } = self;
        println!(
            "{what:<64}{tasks:>8}{:>12.1}{:>10.1}",
            *heap_bytes as f64 / 1024.0,
            elapsed.as_secs_f64() * 1000.0
        );
    }
}

pub fn print_head(title: &str) {
    println!(
        "{title}\n{:<64}{:>8}{:>12}{:>10}",
        "left when the work is done:", "tasks", "heap KiB", "ms"
    );
}

/// Runs `work`, which starts tasks in the scope that it is given, and tells what is left of it
/// while what it returns is kept. Then all its tasks are ended.
pub fn measure<T>(work: impl AsyncFnOnce(&Tasks, &Arc<Scope>) -> T) -> Figures {
    // The allocator counts the whole process, so tests take turns.
    let _turn = my_turn();
    let executor = Arc::new(Executor::new());
    let spawner = executor.clone();
    let tasks = Tasks::new(move |task: BoxedTask| spawner.spawn(task).detach());
    let main = async {
        let scope = Arc::new(tasks.scope("program"));
        let (before, begun) = (live(), Instant::now());
        let kept = work(&tasks, &scope).await;
        let figures =
            Figures { tasks: tasks.alive(), heap_bytes: live() - before, elapsed: begun.elapsed() };
        drop(kept);
        let report = scope.end(Instant::now() + END).await;
        assert!(report.left.is_empty(), "{report}");
        figures
    };
    block_on(executor.run(main))
}

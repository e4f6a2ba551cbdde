//! What watching tasks costs: knowing which one runs, starting one, polling one, listing them all.
//!
//! `cargo bench --bench tasks` measures; `cargo test` runs each once.

use divan::{AllocProfiler, Bencher, black_box};
use fanfare_server::tasks::{self, BoxedTask, Current, Scope, TaskInfo, Tasks, Wait};
use futures_lite::future::pending;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: AllocProfiler = AllocProfiler::system();

/// As many as a full server has.
const CROWD: usize = 10_000;

/// All benches run within a task, on a thread with a name such as runtimes give.
fn main() {
    let run = || {
        let mut bench = Bench::new();
        let mut task = bench.start(async { divan::main() });
        assert!(poll(task.as_mut()).is_ready());
    };
    let thread =
        thread::Builder::new().name("worker-17".to_owned()).spawn(run).expect("a thread to run on");
    thread.join().expect("the benches run");
}

/// A scope whose runtime hands over the task that was started last, to be polled by hand.
struct Bench {
    scope: Scope,
    tasks: Tasks,
    started: Arc<Mutex<Option<BoxedTask>>>,
}

impl Bench {
    fn new() -> Self {
        let started: Arc<Mutex<Option<BoxedTask>>> = Arc::default();
        let to = started.clone();
        let tasks = Tasks::new(move |task| *to.lock().expect("no bench panics") = Some(task));
        Self { scope: tasks.scope("bench"), tasks, started }
    }

    fn start(&mut self, future: impl Future<Output = ()> + Send + 'static) -> BoxedTask {
        self.scope.spawn("bench", future);
        self.started.lock().expect("no bench panics").take().expect("the task just started")
    }

    /// Many that wait for a message, so that the register is as large as in a full server.
    fn crowd(&mut self, size: usize) -> Vec<BoxedTask> {
        let wait = Wait::named("recv chat.room.lobby");
        let mut crowd: Vec<BoxedTask> =
            (0..size).map(|_| self.start(tasks::waiting(wait.clone(), pending()))).collect();
        crowd.iter_mut().for_each(|task| assert!(poll(task.as_mut()).is_pending()));
        crowd
    }
}

fn poll<F: Future + ?Sized>(future: Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

/// Which task is this? Every log line asks this.
mod which {
    use super::*;

    #[divan::bench]
    fn current_task() -> Option<Current> {
        tasks::current()
    }

    #[divan::bench]
    fn parsed_from_the_threads_name() -> Option<u64> {
        thread::current().name().and_then(|name| name.rsplit('-').next()?.parse().ok())
    }

    #[divan::bench]
    fn parsed_from_the_threads_id() -> Option<u64> {
        let shown = format!("{:?}", thread::current().id());
        shown.strip_prefix("ThreadId(")?.strip_suffix(')')?.parse().ok()
    }
}

/// Starting a task, polling it to its end, and dropping it.
mod life {
    use super::*;

    #[divan::bench]
    fn of_a_boxed_future() {
        let mut task: BoxedTask = black_box(Box::pin(async {}));
        assert!(poll(task.as_mut()).is_ready());
    }

    #[divan::bench(args = [0, CROWD])]
    fn of_a_task_among(bencher: Bencher<'_, '_>, others: usize) {
        let mut bench = Bench::new();
        let _crowd = bench.crowd(others);
        bencher.bench_local(|| {
            let mut task = bench.start(async {});
            assert!(poll(task.as_mut()).is_ready());
        });
    }

    #[divan::bench]
    fn of_a_scope_of_its_own() {
        divan::black_box_drop(tasks_for_scopes().scope("of a handler"));
    }

    fn tasks_for_scopes() -> &'static Tasks {
        static TASKS: std::sync::LazyLock<Tasks> = std::sync::LazyLock::new(|| Tasks::new(drop));
        &TASKS
    }
}

/// One poll that leaves the task waiting.
mod one_poll {
    use super::*;

    #[divan::bench]
    fn of_a_boxed_future(bencher: Bencher<'_, '_>) {
        let mut task: BoxedTask = black_box(Box::pin(pending()));
        bencher.bench_local(|| poll(task.as_mut()).is_pending());
    }

    #[divan::bench]
    fn of_a_task(bencher: Bencher<'_, '_>) {
        let mut task = Bench::new_task(pending());
        bencher.bench_local(|| poll(task.1.as_mut()).is_pending());
    }

    /// As a connection does, which reads and writes.
    #[divan::bench]
    fn of_a_task_that_notes_two_waits(bencher: Bencher<'_, '_>) {
        let wait = Wait::named("recv chat.room.lobby");
        let mut task =
            Bench::new_task(tasks::waiting(Wait::SOCKET_READ, tasks::waiting(wait, pending())));
        bencher.bench_local(|| poll(task.1.as_mut()).is_pending());
    }

    /// Each poll reads the clock twice.
    #[divan::bench]
    fn of_the_clock() -> Instant {
        Instant::now()
    }

    impl Bench {
        fn new_task(future: impl Future<Output = ()> + Send + 'static) -> (Self, BoxedTask) {
            let mut bench = Self::new();
            let task = bench.start(future);
            (bench, task)
        }
    }
}

mod crowd {
    use super::*;

    #[divan::bench]
    fn listed(bencher: Bencher<'_, '_>) {
        let mut bench = Bench::new();
        let _crowd = bench.crowd(CROWD);
        bencher.bench_local(|| -> Vec<TaskInfo> { bench.tasks.list() });
    }

    #[divan::bench]
    fn counted_by_name(bencher: Bencher<'_, '_>) {
        let mut bench = Bench::new();
        let _crowd = bench.crowd(CROWD);
        bencher.bench_local(|| bench.tasks.alive_by_name());
    }
}

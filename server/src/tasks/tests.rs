//! The register and the scopes, on the simplest runtimes there are.

use super::*;
use futures_lite::future::{block_on, pending, yield_now};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// Far longer than anything takes. Only a failing test waits this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// One thread per task: enough of a runtime to test with.
pub fn threads() -> Tasks {
    Tasks::new(|task: BoxedTask| {
        std::thread::spawn(move || block_on(task));
    })
}

/// A runtime by hand: tasks are polled when the test says so.
fn by_hand() -> (Tasks, Receiver<BoxedTask>) {
    let (sender, receiver) = sync_channel(100);
    let tasks = Tasks::new(move |task| sender.send(task).expect("the test takes what it starts"));
    (tasks, receiver)
}

fn poll(task: &mut BoxedTask) -> Poll<()> {
    task.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

pub struct SetOnDrop(pub Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Notes its name when it is dropped.
pub struct NoteOnDrop(pub Arc<Mutex<Vec<&'static str>>>, pub &'static str);

impl Drop for NoteOnDrop {
    fn drop(&mut self) {
        self.0.lock().unwrap().push(self.1);
    }
}

#[test]
fn a_task_is_counted_under_its_name_until_it_ends() {
    let tasks = threads();
    let scope = tasks.scope("test");
    let (release, wait) = sync_channel::<()>(0);
    let handle = scope.spawn("waits", async move {
        let _ = wait.recv();
    });
    assert_eq!(tasks.alive_by_name(), BTreeMap::from([("waits", 1)]));
    assert_eq!(tasks.list().iter().map(|task| task.id).collect::<Vec<_>>(), [handle.id()]);
    assert_eq!((handle.info().name, handle.info().owner_name), ("waits", "test"));
    drop(release);
    assert_eq!(block_on(handle.clone()), TaskEnd::Finished);
    assert_eq!((tasks.alive(), scope.alive()), (0, 0));
    assert_eq!((tasks.list().len(), tasks.alive_by_name().len()), (0, 0));
    assert_eq!(
        (handle.outcome(), handle.info().waits_for.as_str()),
        (Some(TaskEnd::Finished), "nothing, it has ended")
    );
}

#[test]
fn a_cancelled_task_has_dropped_all_it_held_when_it_counts_as_ended() {
    let tasks = threads();
    let scope = tasks.scope("test");
    let dropped = Arc::new(AtomicBool::new(false));
    let held = SetOnDrop(dropped.clone());
    let handle = scope.spawn("hangs", async move {
        let _held = held;
        pending::<()>().await;
    });
    assert_eq!(handle.outcome(), None);
    handle.cancel();
    assert_eq!(block_on(handle), TaskEnd::Cancelled);
    assert!(dropped.load(Ordering::SeqCst));
}

#[test]
fn dropping_the_owner_ends_its_tasks_and_no_others() {
    let tasks = threads();
    let (one, other) = (tasks.scope("one"), tasks.scope("other"));
    let ended: Vec<TaskHandle> = (0..3).map(|_| one.spawn("of one", pending())).collect();
    other.spawn("of other", pending());
    drop(one);
    for handle in ended {
        assert_eq!(block_on(handle), TaskEnd::Cancelled);
    }
    assert_eq!(tasks.alive_by_name(), BTreeMap::from([("of other", 1)]));
    other.cancel();
    block_on(other.ended());
    assert_eq!(tasks.alive(), 0);
}

#[test]
fn a_panic_ends_the_task_and_its_count() {
    let tasks = threads();
    let scope = tasks.scope("test");
    let handle = scope.spawn("panics", async { panic!("on purpose") });
    assert_eq!(block_on(handle), TaskEnd::Panicked);
    block_on(scope.ended());
    assert_eq!(tasks.alive(), 0);
}

#[test]
fn a_task_dropped_by_a_panic_of_another_was_cancelled() {
    let (tasks, runtime) = by_hand();
    let scope = tasks.scope("test");
    let handle = scope.spawn("innocent", pending());
    let mut task = runtime.recv().unwrap();
    assert!(poll(&mut task).is_pending());
    let thread = std::thread::spawn(move || {
        let _task = task;
        panic!("on purpose");
    });
    assert!(thread.join().is_err());
    assert_eq!(handle.outcome(), Some(TaskEnd::Cancelled));
}

#[test]
fn a_runtime_that_drops_the_task_unpolled_ends_it() {
    let tasks = Tasks::new(drop);
    let dropped = Arc::new(AtomicBool::new(false));
    let held = SetOnDrop(dropped.clone());
    let scope = tasks.scope("test");
    let handle = scope.spawn("never polled", async move { drop(held) });
    assert_eq!(handle.outcome(), Some(TaskEnd::Cancelled));
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!((tasks.alive(), handle.info().polls), (0, 0));
}

#[test]
fn a_task_that_its_runtime_keeps_after_its_end_holds_nothing_and_may_be_polled_again() {
    let (tasks, runtime) = by_hand();
    let dropped = Arc::new(AtomicBool::new(false));
    let held = SetOnDrop(dropped.clone());
    let handle = tasks.scope("test").spawn("ends", async move {
        let _held = held;
    });
    let mut task = runtime.recv().unwrap();
    // The scope is gone already, so it ends without having run.
    assert!(poll(&mut task).is_ready() && poll(&mut task).is_ready());
    assert!(dropped.load(Ordering::SeqCst));
    assert_eq!((handle.outcome(), tasks.alive()), (Some(TaskEnd::Cancelled), 0));
    drop(task);
    assert_eq!((handle.outcome(), tasks.alive()), (Some(TaskEnd::Cancelled), 0));
}

#[test]
fn no_number_is_used_twice() {
    let tasks = Tasks::new(drop);
    let scope = tasks.scope("test");
    let ids: Vec<TaskId> = (0..100).map(|_| scope.spawn("short", async {}).id()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
}

#[test]
fn polls_and_their_times_are_counted() {
    let (tasks, runtime) = by_hand();
    let scope = tasks.scope("test");
    let handle = scope.spawn("works", async {
        yield_now().await;
        // Time that passes inside of a poll, whatever the machine does.
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(2) {}
        yield_now().await;
        pending::<()>().await;
    });
    assert_eq!((handle.info().polls, handle.info().waits_for.as_str()), (0, "its first poll"));
    let mut task = runtime.recv().unwrap();
    for _ in 0..3 {
        assert!(poll(&mut task).is_pending());
    }
    let info = handle.info();
    assert_eq!(info.polls, 3);
    assert!(
        info.busy >= Duration::from_millis(2) && info.longest_poll >= Duration::from_millis(2),
        "{info:?}"
    );
    assert!(info.busy >= info.longest_poll, "{info:?}");
    assert!(info.waits_since <= info.age, "{info:?}");
}

#[test]
fn a_task_knows_itself_and_who_started_it_and_where() {
    let (tasks, runtime) = by_hand();
    let scope = Arc::new(tasks.scope("test"));
    let (found, report): (SyncSender<_>, _) = sync_channel(10);
    let inner_scope = scope.clone();
    let line = line!() + 1;
    let outer = scope.spawn("outer", async move {
        let inner = inner_scope.spawn("inner", async {});
        found.send((current(), inner.info())).unwrap();
        yield_now().await;
        found.send((current(), inner.info())).unwrap();
        panic!("on purpose");
    });
    assert_eq!((outer.info().spawned_at.file(), outer.info().spawned_at.line()), (file!(), line));
    assert_eq!((current(), outer.info().parent), (None, None));
    let mut task = runtime.recv().unwrap();
    assert!(poll(&mut task).is_pending());
    assert_eq!(current(), None, "outside of the task again");
    let (itself, inner) = report.recv().unwrap();
    assert_eq!(itself.map(|task| (task.id, task.name)), Some((outer.id(), "outer")));
    assert_eq!((inner.parent, inner.spawned_at.line()), (Some(outer.id()), line + 1));
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| poll(&mut task)));
    assert!(panicked.is_err());
    assert_eq!(current(), None, "also after a panic");
    assert_eq!(report.recv().unwrap().0, itself);
    drop(task);
    assert_eq!(outer.outcome(), Some(TaskEnd::Panicked));
}

#[test]
fn a_task_that_polls_another_is_the_current_one_again_afterwards() {
    let (tasks, runtime) = by_hand();
    let scope = tasks.scope("test");
    let inner = scope.spawn("inner", waiting(Wait::fixed("inner wait"), pending()));
    let mut inner_task = runtime.recv().unwrap();
    let outer = scope.spawn(
        "outer",
        poll_fn(move |_| {
            note_wait(Wait::fixed("outer wait"));
            assert!(poll(&mut inner_task).is_pending());
            assert_eq!(current().map(|task| task.name), Some("outer"));
            Poll::Pending
        }),
    );
    assert!(poll(&mut runtime.recv().unwrap()).is_pending());
    assert_eq!(outer.outcome(), Some(TaskEnd::Cancelled), "its runtime has just let go of it");
    assert_eq!(inner.outcome(), Some(TaskEnd::Cancelled));

    let names: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = names.clone();
    let observed = scope.spawn("observed", waiting(Wait::fixed("observed wait"), pending()));
    let mut observed_task = runtime.recv().unwrap();
    let observer = scope.spawn("observer", async move {
        let both = poll_fn(|_| {
            note_wait(Wait::fixed("observer wait"));
            assert!(poll(&mut observed_task).is_pending());
            seen.lock().unwrap().push(observed.info().waits_for);
            Poll::<()>::Pending
        });
        both.await;
    });
    let mut task = runtime.recv().unwrap();
    assert!(poll(&mut task).is_pending());
    assert_eq!(*names.lock().unwrap(), ["observed wait"]);
    assert_eq!(observer.info().waits_for, "observer wait");
}

#[test]
fn a_task_waits_for_what_it_noted_in_its_last_poll() {
    let (tasks, runtime) = by_hand();
    let scope = tasks.scope("test");
    let step = Arc::new(AtomicUsize::new(0));
    let steps = step.clone();
    let until = move |wanted: usize| {
        let steps = steps.clone();
        poll_fn(move |_| {
            if steps.load(Ordering::SeqCst) >= wanted { Poll::Ready(()) } else { Poll::Pending }
        })
    };
    let room = Wait::named("recv chat.room.lobby");
    let handle = scope.spawn("waits", async move {
        waiting(Wait::SOCKET_READ, until(1)).await;
        futures_lite::future::zip(waiting(Wait::SOCKET_READ, until(3)), waiting(room, until(2)))
            .await;
        // The first is polled and dropped in the poll in which the second is ready.
        futures_lite::future::or(waiting(Wait::TIMER, pending()), until(3)).await;
        until(4).await;
        pending::<()>().await;
    });
    let mut task = runtime.recv().unwrap();
    let mut at = |now: usize| {
        step.store(now, Ordering::SeqCst);
        assert!(poll(&mut task).is_pending());
        handle.info().waits_for
    };
    assert_eq!(at(0), "socket read");
    assert_eq!(at(1), "socket read, recv chat.room.lobby");
    assert_eq!(at(2), "socket read");
    assert_eq!(at(3), "something unnamed");
    assert_eq!(at(4), "something unnamed");
}

#[test]
fn a_running_task_is_seen_to_run() {
    let tasks = threads();
    let scope = tasks.scope("test");
    let (release, wait) = sync_channel::<()>(0);
    let (started, running) = sync_channel(0);
    let handle = scope.spawn("blocks", async move {
        started.send(()).unwrap();
        let _ = wait.recv();
    });
    running.recv().unwrap();
    let (first, second) = (handle.info(), handle.info());
    assert!(
        first.is_running() && first.to_string().contains("blocks (of test) has been running for"),
        "{first}"
    );
    assert!(second.busy >= first.busy && second.longest_poll >= first.longest_poll);
    drop(release);
    block_on(handle);
}

#[test]
fn a_scope_ends_with_what_is_within_and_starts_nothing_more() {
    let tasks = threads();
    let outer = tasks.scope("outer");
    let inner = outer.scope("inner");
    let innermost = inner.scope("innermost");
    innermost.spawn("deep", pending());
    inner.spawn("middle", pending());
    assert_eq!((outer.alive(), inner.alive(), innermost.alive(), outer.list().len()), (2, 2, 1, 2));
    assert_eq!(tasks.list().iter().map(|task| task.name).collect::<Vec<_>>(), ["deep", "middle"]);
    outer.cancel();
    block_on(outer.ended());
    assert_eq!((tasks.alive(), innermost.alive()), (0, 0));
    for scope in [&outer, &innermost, &inner.scope("new")] {
        let late = scope.spawn("late", async { panic!("a cancelled scope runs nothing") });
        assert_eq!(block_on(late), TaskEnd::Cancelled);
    }
    drop((outer, inner, innermost));
    assert!(tasks.list().is_empty());
}

#[test]
fn children_end_before_their_parents() {
    let tasks = threads();
    let order: Arc<Mutex<Vec<&'static str>>> = Arc::default();
    let outer = tasks.scope("outer");
    let spawn = |scope: &Scope, name: &'static str| {
        let note = NoteOnDrop(order.clone(), name);
        scope.spawn(name, async move {
            let _note = note;
            pending::<()>().await;
        });
    };
    spawn(&outer, "parent");
    let inner = outer.scope("inner");
    let innermost = inner.scope("innermost");
    spawn(&innermost, "grandchild");
    spawn(&inner, "child");
    let report = block_on(outer.end(Instant::now() + PATIENCE));
    assert_eq!((report.ended, report.left.len()), (3, 0));
    assert_eq!(*order.lock().unwrap(), ["grandchild", "child", "parent"]);
}

#[test]
fn a_task_that_does_not_end_in_time_is_named_and_holds_up_nobody() {
    let tasks = threads();
    let outer = tasks.scope("outer");
    let inner = outer.scope("inner");
    let (release, wait) = sync_channel::<()>(0);
    let (started, running) = sync_channel(0);
    let stuck = inner.spawn("stuck", async move {
        started.send(()).unwrap();
        let _ = wait.recv();
    });
    running.recv().unwrap();
    let parent = outer.spawn("parent", pending());
    // The deadline is over, so nobody waits; the parent is asked all the same.
    let report = block_on(outer.end(Instant::now()));
    assert_eq!(block_on(parent), TaskEnd::Cancelled);
    let left: Vec<&str> =
        report.left.iter().map(|task| task.name).filter(|name| *name == "stuck").collect();
    assert_eq!(left, ["stuck"]);
    assert!(
        report.to_string().contains(&format!("{} stuck (of inner) has been running", stuck.id())),
        "{report}"
    );
    drop(release);
    // It came to its own end before anybody could drop it.
    assert_eq!(block_on(stuck), TaskEnd::Finished);
    block_on(outer.ended());
}

#[test]
fn a_scope_that_outlives_the_register_and_a_task_that_outlives_its_scope_do_no_harm() {
    let (tasks, runtime) = by_hand();
    let scope = tasks.scope("test");
    drop(tasks);
    let handle = scope.spawn("late", pending());
    let mut task = runtime.recv().unwrap();
    assert!(poll(&mut task).is_pending());
    drop(scope);
    assert_eq!((handle.outcome(), handle.info().owner_name), (None, "test"));
    assert!(poll(&mut task).is_ready());
    assert_eq!(handle.outcome(), Some(TaskEnd::Cancelled));
}

/// Many threads start, cancel and drop at once; in the end everything adds up to nothing.
#[test]
fn the_register_survives_a_crowd() {
    let runtime = Arc::new(async_executor::Executor::new());
    let spawner = runtime.clone();
    let tasks = Tasks::new(move |task: BoxedTask| spawner.spawn(task).detach());
    let shared = Arc::new(tasks.scope("shared"));
    let (stop, stopping) = sync_channel::<()>(0);
    let runner = runtime.clone();
    let stopped = std::thread::spawn(move || {
        block_on(runner.run(async move {
            while stopping.try_recv() != Err(std::sync::mpsc::TryRecvError::Disconnected) {
                yield_now().await;
            }
        }))
    });
    std::thread::scope(|threads| {
        for seed in 0..4 {
            let (tasks, shared) = (tasks.clone(), shared.clone());
            threads.spawn(move || {
                let mut random = fastrand::Rng::with_seed(seed);
                let mut own = tasks.scope("own");
                for _ in 0..2_000 {
                    let scope = if random.bool() { &*shared } else { &own };
                    let handle = match random.u8(0..4) {
                        0 => scope.spawn("ends", async {}),
                        1 => scope.spawn("yields", yield_now()),
                        _ => scope.spawn("hangs", pending()),
                    };
                    match random.u8(0..8) {
                        0..4 => handle.cancel(),
                        4 => drop(tasks.list()),
                        5 => {
                            own =
                                if random.bool() { tasks.scope("own") } else { own.scope("within") }
                        }
                        6 => assert!(tasks.alive() >= usize::from(handle.outcome().is_none())),
                        _ => {}
                    }
                }
            });
        }
    });
    let report = block_on(shared.end(Instant::now() + PATIENCE));
    assert_eq!(report.left.len(), 0, "{report}");
    let deadline = Instant::now() + PATIENCE;
    while tasks.alive() > 0 && Instant::now() < deadline {
        std::thread::yield_now();
    }
    assert_eq!((tasks.alive(), tasks.list().len()), (0, 0));
    drop(stop);
    stopped.join().unwrap();
}

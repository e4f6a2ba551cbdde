//! Tasks with a name and an owner.
//!
//! Nothing here runs a task: a [`Spawn`] does, which the binary makes from its runtime. [`Tasks`] knows which tasks are
//! alive; a [`Scope`] owns some of them, and ends them when it ends. A task that ends in any way (done, cancelled,
//! panicked) drops what it holds before it counts as ended.

use atomic_waker::AtomicWaker;
use event_listener::{Event, listener};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// A future that a [`Spawn`] is given.
pub type BoxedTask = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

/// Runs futures in the background, on whatever runtime. Every `Fn(BoxedTask)` is one.
pub trait Spawn: Send + Sync + 'static {
    /// Starts the future; it runs on without anybody waiting for it.
    fn spawn(&self, task: BoxedTask);
}

impl<F: Fn(BoxedTask) + Send + Sync + 'static> Spawn for F {
    fn spawn(&self, task: BoxedTask) {
        self(task)
    }
}

/// The number of a task or scope, never used twice in a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u64);

impl fmt::Display for TaskId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "#{}", self.0)
    }
}

/// The register of tasks alive. A cheap handle; clones share the register.
#[derive(Clone)]
pub struct Tasks {
    shared: Arc<Shared>,
}

struct Shared {
    spawner: Box<dyn Spawn>,
    alive: Mutex<BTreeMap<TaskId, Arc<Record>>>,
    /// Told whenever a task ends.
    ended: Event,
}

/// What is known about one task, shared by the register, its handle and the task itself.
struct Record {
    id: TaskId,
    name: &'static str,
    owner: TaskId,
    owner_name: &'static str,
    cancelled: AtomicBool,
    ended: AtomicBool,
    waker: AtomicWaker,
}

/// One line of [`Tasks::list`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskInfo {
    /// The task's own number.
    pub id: TaskId,
    /// What it does.
    pub name: &'static str,
    /// The number of the scope that owns it.
    pub owner: TaskId,
    /// The name of the scope that owns it.
    pub owner_name: &'static str,
}

impl Tasks {
    /// A register whose tasks `spawner` runs.
    pub fn new(spawner: impl Spawn) -> Tasks {
        let shared = Shared { spawner: Box::new(spawner), alive: Mutex::default(), ended: Event::new() };
        Tasks { shared: Arc::new(shared) }
    }

    /// An owner of tasks. Dropping it cancels all of its tasks.
    pub fn scope(&self, name: &'static str) -> Scope {
        Scope { tasks: self.clone(), id: next_id(), name, alive: Arc::default() }
    }

    /// How many tasks are alive.
    pub fn alive(&self) -> usize {
        self.shared.alive().len()
    }

    /// How many tasks of each name are alive, by name.
    pub fn alive_by_name(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for record in self.shared.alive().values() {
            *counts.entry(record.name).or_default() += 1;
        }
        counts
    }

    /// All tasks alive, oldest first.
    pub fn list(&self) -> Vec<TaskInfo> {
        self.shared.alive().values().map(|record| record.info()).collect()
    }
}

/// Owns tasks. When it is dropped, every task it started is cancelled.
pub struct Scope {
    tasks: Tasks,
    id: TaskId,
    name: &'static str,
    alive: Arc<AtomicUsize>,
}

impl Scope {
    /// Starts a task of this owner. The handle may be dropped: the task goes on until it or its owner ends.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) -> TaskHandle {
        let record = Arc::new(Record {
            id: next_id(),
            name,
            owner: self.id,
            owner_name: self.name,
            cancelled: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            waker: AtomicWaker::new(),
        });
        let shared = self.tasks.shared.clone();
        shared.alive().insert(record.id, record.clone());
        self.alive.fetch_add(1, Ordering::AcqRel);
        let guard = EndGuard { shared: shared.clone(), record: record.clone(), of_owner: self.alive.clone() };
        shared.spawner.spawn(Box::pin(Task { future: Some(Box::pin(future)), guard }));
        TaskHandle { shared, record }
    }

    /// How many tasks of this owner are alive.
    pub fn alive(&self) -> usize {
        self.alive.load(Ordering::Acquire)
    }

    /// Asks every task of this owner to end. Each drops what it holds the next time its runtime has a turn for it.
    pub fn cancel(&self) {
        let records: Vec<Arc<Record>> =
            self.tasks.shared.alive().values().filter(|record| record.owner == self.id).cloned().collect();
        // Woken without the lock: a waker may run the task at once.
        for record in records {
            record.cancel();
        }
    }

    /// Waits until no task of this owner is alive. Cancel safe.
    pub async fn ended(&self) {
        loop {
            // Listen before looking: a task that ends in between is heard.
            listener!(self.tasks.shared.ended => ended);
            if self.alive() == 0 {
                return;
            }
            ended.await;
        }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// A task that was started. Dropping the handle does not end it; its owner does.
#[derive(Clone)]
pub struct TaskHandle {
    shared: Arc<Shared>,
    record: Arc<Record>,
}

impl TaskHandle {
    /// The task's number.
    pub fn id(&self) -> TaskId {
        self.record.id
    }

    /// The task's name, owner and number.
    pub fn info(&self) -> TaskInfo {
        self.record.info()
    }

    /// Asks the task to end. It is dropped the next time its runtime has a turn for it.
    pub fn cancel(&self) {
        self.record.cancel();
    }

    /// Whether it has ended, and has dropped all it held.
    pub fn is_ended(&self) -> bool {
        self.record.ended.load(Ordering::Acquire)
    }

    /// Waits until it has ended. Cancel safe.
    pub async fn ended(&self) {
        loop {
            listener!(self.shared.ended => ended);
            if self.is_ended() {
                return;
            }
            ended.await;
        }
    }
}

impl Shared {
    /// The register. A panic of a task happens outside of the lock, so a poisoned one holds nothing half done.
    fn alive(&self) -> MutexGuard<'_, BTreeMap<TaskId, Arc<Record>>> {
        self.alive.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    fn cancel(&self) {
        // Stored before waking: the poll that the wake-up brings sees it.
        self.cancelled.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn info(&self) -> TaskInfo {
        TaskInfo { id: self.id, name: self.name, owner: self.owner, owner_name: self.owner_name }
    }
}

/// What the runtime polls.
struct Task {
    /// First, so that it is dropped before the guard says that the task has ended.
    future: Option<BoxedTask>,
    guard: EndGuard,
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let record = self.guard.record.clone();
        // Registered before looking: a cancel that comes in between wakes us.
        record.waker.register(context.waker());
        if record.cancelled.load(Ordering::Acquire) {
            self.future = None;
            return Poll::Ready(());
        }
        match self.future.as_mut() {
            Some(future) => future.as_mut().poll(context).map(|()| self.future = None),
            None => Poll::Ready(()),
        }
    }
}

/// Takes the task out of the register, however it ends.
struct EndGuard {
    shared: Arc<Shared>,
    record: Arc<Record>,
    /// How many tasks its owner has.
    of_owner: Arc<AtomicUsize>,
}

impl Drop for EndGuard {
    fn drop(&mut self) {
        self.record.ended.store(true, Ordering::Release);
        self.shared.alive().remove(&self.record.id);
        self.of_owner.fetch_sub(1, Ordering::AcqRel);
        self.shared.ended.notify(usize::MAX);
    }
}

fn next_id() -> TaskId {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    TaskId(NEXT.fetch_add(1, Ordering::Relaxed))
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{block_on, pending};

    /// One thread per task: enough of a runtime to test with.
    fn threads() -> Tasks {
        Tasks::new(|task: BoxedTask| {
            std::thread::spawn(move || block_on(task));
        })
    }

    struct SetOnDrop(Arc<AtomicBool>);

    impl Drop for SetOnDrop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_task_is_counted_under_its_name_until_it_ends() {
        let tasks = threads();
        let scope = tasks.scope("test");
        let (release, wait) = std::sync::mpsc::sync_channel::<()>(0);
        let handle = scope.spawn("waits", async move {
            let _ = wait.recv();
        });
        assert_eq!(tasks.alive_by_name(), BTreeMap::from([("waits", 1)]));
        assert_eq!(tasks.list(), vec![handle.info()]);
        assert_eq!((handle.info().name, handle.info().owner_name), ("waits", "test"));
        drop(release);
        block_on(handle.ended());
        assert_eq!((tasks.alive(), scope.alive()), (0, 0));
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
        handle.cancel();
        block_on(handle.ended());
        assert!(dropped.load(Ordering::SeqCst) && handle.is_ended());
    }

    #[test]
    fn dropping_the_owner_ends_its_tasks_and_no_others() {
        let tasks = threads();
        let (one, other) = (tasks.scope("one"), tasks.scope("other"));
        let ended: Vec<TaskHandle> = (0..3).map(|_| one.spawn("of one", pending())).collect();
        other.spawn("of other", pending());
        drop(one);
        for handle in ended {
            block_on(handle.ended());
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
        block_on(handle.ended());
        block_on(scope.ended());
        assert_eq!(tasks.alive(), 0);
    }

    #[test]
    fn a_runtime_that_drops_the_task_unpolled_ends_it() {
        let tasks = Tasks::new(drop);
        let handle = tasks.scope("test").spawn("never polled", pending());
        assert!(handle.is_ended());
        assert_eq!(tasks.alive(), 0);
    }

    #[test]
    fn no_number_is_used_twice() {
        let tasks = Tasks::new(drop);
        let scope = tasks.scope("test");
        let ids: Vec<TaskId> = (0..100).map(|_| scope.spawn("short", async {}).id()).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
    }
}

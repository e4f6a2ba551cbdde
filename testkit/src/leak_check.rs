//! A check at the end of a test that nothing is left running: no task, and nothing else that the
//! test can count.

use crate::patience::PATIENCE;
use async_io::Timer;
use fanfare::Broker;
use fanfare_server::connection::ConnectionLimiter;
use fanfare_server::diagnostics::Diagnostics;
use fanfare_server::message::ServerMessage;
use fanfare_server::tasks::{TaskId, TaskInfo, Tasks};
use std::collections::BTreeSet;
use std::fmt;
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait between two checks.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// How long a check waits for things to end before it fails the test. Ending takes a few
/// turns of a runtime on a busy machine; only a test that fails waits this long.
const LEAK_WAIT: Duration = PATIENCE;

/// Fails a test that leaves something running. When dropped, it waits for everything to end. If
/// something does not, it panics with a list, each task with the place where it was started.
///
/// Tasks that were alive when the check was made are not leaks, nor are tasks with an ignored name.
/// Declare it before what it checks, because what is declared last is dropped first:
///
/// ```
/// # use fanfare::Broker;
/// # use fanfare_server::tasks::{BoxedTask, Tasks};
/// # use futures_lite::future::block_on;
/// # use testkit::leak_check::LeakCheck;
/// # let tasks = Tasks::new(|task: BoxedTask| {
/// #     std::thread::spawn(|| block_on(task));
/// # });
/// # let broker = Broker::<u64>::new();
/// let probe = broker.clone();
/// let _leaks = LeakCheck::new(&tasks)
///     .ignore("accept")
///     .also("subscriptions", move || {
///         probe.subscription_stats().iter().map(|stats| stats.interest.to_string()).collect()
///     });
///
/// // The test: servers, tasks, subscriptions.
/// let scope = tasks.scope("test");
/// scope.spawn("reader", std::future::pending());
/// ```
#[must_use = "it checks when it is dropped: at once, if it is not kept"]
pub struct LeakCheck {
    tasks: Tasks,
    /// Alive before the test.
    known: BTreeSet<TaskId>,
    ignored: Vec<&'static str>,
    probes: Vec<(&'static str, Probe)>,
    patience: Duration,
    is_done: bool,
}

type Probe = Box<dyn Fn() -> Vec<String> + Send>;

/// The remains of a test. Shown as a list.
#[derive(Debug, Default)]
struct Leaks {
    tasks: Vec<TaskInfo>,
    others: Vec<(&'static str, Vec<String>)>,
}

impl LeakCheck {
    /// Checks tasks of this register that start from now on.
    pub fn new(tasks: &Tasks) -> Self {
        Self {
            tasks: tasks.clone(),
            known: tasks.list().iter().map(|task| task.id).collect(),
            ignored: Vec::new(),
            probes: Vec::new(),
            patience: LEAK_WAIT,
            is_done: false,
        }
    }

    /// Checks everything that a server keeps: tasks, subscriptions, publishers, connections. Make
    /// it the last field, so that the server is dropped first.
    ///
    /// Timers are not counted: each belongs to a task or to a publisher.
    pub fn of_server(
        tasks: &Tasks,
        broker: &Broker<ServerMessage>,
        limiter: &ConnectionLimiter,
        diagnostics: &Diagnostics,
    ) -> Self {
        let (of_subscriptions, of_publishers) = (broker.clone(), broker.clone());
        let (limiter, diagnostics) = (limiter.clone(), diagnostics.clone());
        let subscriptions = move || {
            let all = of_subscriptions.subscription_stats();
            all.iter()
                .map(|stats| format!("{} to {}, books {:?}", stats.id, stats.interest, stats.books))
                .collect()
        };
        let connections = move || {
            let all = diagnostics
                .front_ends()
                .into_iter()
                .flat_map(|front_end| front_end.connections(0, 100));
            all.map(|connection| format!("{connection:?}")).collect()
        };
        Self::new(tasks)
            .also("subscription", subscriptions)
            .also_count("publishers", move || of_publishers.stats().publishers)
            .also("connection", connections)
            .also_count("permits", move || limiter.connections())
    }

    /// Tolerates tasks of this name.
    pub fn ignore(mut self, name: &'static str) -> Self {
        self.ignored.push(name);
        self
    }

    /// Checks for something else that must not be left, such as timers or connections. `probe`
    /// lists what there is, one line each, and is called again until it lists nothing.
    pub fn also(
        mut self,
        what: &'static str,
        probe: impl Fn() -> Vec<String> + Send + 'static,
    ) -> Self {
        self.probes.push((what, Box::new(probe)));
        self
    }

    /// Like [`LeakCheck::also`], for what can only be counted.
    pub fn also_count(
        self,
        what: &'static str,
        count: impl Fn() -> usize + Send + 'static,
    ) -> Self {
        self.also(what, move || match count() {
            0 => Vec::new(),
            left => vec![format!("{left} of them")],
        })
    }

    /// Waits this long for everything to end, instead of [`PATIENCE`].
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Checks now, without blocking the thread, for a test that runs as a task: its runtime may
    /// have no other thread on which tasks can end.
    ///
    /// # Panics
    /// If something is left.
    pub async fn finish(mut self) {
        let mut timer = Timer::never();
        let until = Instant::now() + self.patience;
        let leaks = loop {
            let leaks = self.leaks();
            if leaks.is_empty() || Instant::now() >= until {
                break leaks;
            }
            timer.set_after(LOOK_EVERY);
            (&mut timer).await;
        };
        self.is_done = true;
        leaks.fail();
    }

    fn leaks(&self) -> Leaks {
        let is_leak =
            |task: &TaskInfo| !self.known.contains(&task.id) && !self.ignored.contains(&task.name);
        let others = self.probes.iter().map(|(what, probe)| (*what, probe()));
        Leaks {
            tasks: self.tasks.list().into_iter().filter(is_leak).collect(),
            others: others.filter(|(_, left)| !left.is_empty()).collect(),
        }
    }
}

impl Drop for LeakCheck {
    fn drop(&mut self) {
        // A test that fails has its own reason, and a second panic would end the process.
        if self.is_done || thread::panicking() {
            return;
        }
        let until = Instant::now() + self.patience;
        let leaks = loop {
            let leaks = self.leaks();
            if leaks.is_empty() || Instant::now() >= until {
                break leaks;
            }
            thread::park_timeout(LOOK_EVERY);
        };
        leaks.fail();
    }
}

impl Leaks {
    fn is_empty(&self) -> bool {
        self.tasks.is_empty() && self.others.is_empty()
    }

    fn fail(&self) {
        assert!(self.is_empty(), "{self}");
    }
}

impl fmt::Display for Leaks {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "leaked:")?;
        self.tasks.iter().try_for_each(|task| write!(out, "\n  task {task}"))?;
        for (what, left) in &self.others {
            left.iter().try_for_each(|one| write!(out, "\n  {what}: {one}"))?;
        }
        Ok(())
    }
}

impl fmt::Debug for LeakCheck {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "LeakCheck(now {:?})", self.leaks())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare_server::tasks::BoxedTask;
    use futures_lite::future::{block_on, pending};
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const AT_ONCE: Duration = Duration::ZERO;

    /// One thread for each task: enough of a runtime to test with.
    fn threads() -> Tasks {
        Tasks::new(|task: BoxedTask| {
            thread::spawn(move || block_on(task));
        })
    }

    fn message_of(checked: thread::Result<()>) -> String {
        *checked.unwrap_err().downcast::<String>().unwrap()
    }

    #[test]
    fn leaks_are_listed_with_the_place_where_they_began() {
        let tasks = threads();
        let before = tasks.scope("before");
        before.spawn("known", pending());
        let check = LeakCheck::new(&tasks)
            .ignore("harmless")
            .also("timers", || vec!["one at 12:00".to_owned()])
            .also_count("connections", || 3)
            .also_count("files", || 0)
            .patience(AT_ONCE);
        let scope = tasks.scope("test");
        scope.spawn("harmless", pending());
        let line = line!() + 1;
        let leaked = scope.spawn("leaked", pending());
        assert!(format!("{check:?}").contains("leaked"));
        let message = message_of(catch_unwind(AssertUnwindSafe(|| drop(check))));
        let lines: Vec<&str> = message.lines().collect();
        assert_eq!(lines.len(), 4, "{message}");
        assert!(
            lines[1].starts_with(&format!("  task {} leaked (of test) waits for ", leaked.id())),
            "{message}"
        );
        assert!(lines[1].ends_with(&format!("started at {}:{line}", file!())), "{message}");
        assert_eq!(lines[2..], ["  timers: one at 12:00", "  connections: 3 of them"]);
    }

    #[test]
    fn a_task_that_ends_a_moment_later_is_no_leak() {
        let tasks = threads();
        let _check = LeakCheck::new(&tasks);
        let scope = tasks.scope("test");
        scope.spawn("cancelled with its scope", pending());
    }

    #[test]
    fn it_looks_again_until_there_is_nothing() {
        let tasks = threads();
        let looks = Arc::new(AtomicUsize::new(0));
        for asynchronous in [false, true] {
            looks.store(0, Ordering::SeqCst);
            let count = looks.clone();
            let check = LeakCheck::new(&tasks).also_count("timers", move || {
                5_usize.saturating_sub(count.fetch_add(1, Ordering::SeqCst))
            });
            if asynchronous {
                block_on(check.finish())
            } else {
                drop(check)
            }
            assert_eq!(looks.load(Ordering::SeqCst), 6);
        }
    }

    #[test]
    fn a_check_that_is_finished_has_failed_once() {
        let tasks = threads();
        let check = LeakCheck::new(&tasks).also_count("timers", || 1).patience(AT_ONCE);
        let message = message_of(catch_unwind(AssertUnwindSafe(|| block_on(check.finish()))));
        assert_eq!(message, "leaked:\n  timers: 1 of them");
    }

    #[test]
    fn a_test_that_fails_anyway_keeps_its_own_reason() {
        let tasks = threads();
        let failed = catch_unwind(AssertUnwindSafe(|| {
            let _check = LeakCheck::new(&tasks).also_count("timers", || 1);
            panic!("its own reason");
        }));
        assert_eq!(failed.unwrap_err().downcast_ref::<&str>(), Some(&"its own reason"));
    }
}

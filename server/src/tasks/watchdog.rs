//! A watchdog: warns when tasks grow while connections do not, which is what a leak of tasks looks
//! like from outside.

use super::{Scope, TaskHandle, Tasks, Wait, waiting};
use crate::limits::{WATCHDOG_LOOK_MS, WATCHDOG_REPEAT_MS, WATCHDOG_TASKS};
use async_io::Timer;
use std::fmt;
use std::time::{Duration, Instant};

/// Watches the number of tasks. It has no clock and no registry: it is told what there is.
#[derive(Debug)]
pub struct Watchdog {
    tasks_per_connection: usize,
    /// The fewest tasks seen that no connection explained, since the last warning.
    fewest_unexplained: Option<(usize, Instant)>,
    warned: Option<Instant>,
}

/// A warning that more and more tasks are alive which no connection explains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// The number of live tasks.
    pub tasks: usize,
    /// The number of connections.
    pub connections: usize,
    /// The growth of the number of unexplained tasks.
    pub grown: usize,
    /// The time in which it has grown.
    pub within: Duration,
}

impl fmt::Display for Growth {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tasks, connections, grown, within } = self;
        let seconds = within.as_secs();
        write!(
            out,
            "{tasks} tasks for {connections} connections, {grown} more than {seconds} s ago \
             without a connection"
        )
    }
}

impl Watchdog {
    /// A watchdog for a server in which each connection has up to this many tasks.
    pub fn new(tasks_per_connection: usize) -> Self {
        Self { tasks_per_connection, fewest_unexplained: None, warned: None }
    }

    /// Looks. Gives a warning if tasks have grown by [`WATCHDOG_TASKS`] beyond what connections
    /// explain; the next one comes when they have grown by as many again, and not before
    /// [`WATCHDOG_REPEAT_MS`] have passed.
    pub fn look(&mut self, now: Instant, tasks: usize, connections: usize) -> Option<Growth> {
        let unexplained =
            tasks.saturating_sub(connections.saturating_mul(self.tasks_per_connection));
        let (fewest, since) = match self.fewest_unexplained {
            Some((fewest, since)) if fewest < unexplained => (fewest, since),
            _ => (unexplained, now),
        };
        self.fewest_unexplained = Some((fewest, since));
        let grown = unexplained - fewest;
        let warned_lately = |at| now.duration_since(at) < Duration::from_millis(WATCHDOG_REPEAT_MS);
        if grown < WATCHDOG_TASKS || self.warned.is_some_and(warned_lately) {
            return None;
        }
        self.warned = Some(now);
        self.fewest_unexplained = Some((unexplained, now));
        Some(Growth { tasks, connections, grown, within: now.duration_since(since) })
    }
}

impl Scope {
    /// Starts a task of this owner that looks every [`WATCHDOG_LOOK_MS`] with a [`Watchdog`], and
    /// logs its warnings together with the most frequent names. `connections` counts those of the
    /// whole register.
    #[track_caller]
    pub fn spawn_watchdog(
        &self,
        tasks: &Tasks,
        tasks_per_connection: usize,
        connections: impl Fn() -> usize + Send + 'static,
    ) -> TaskHandle {
        let tasks = tasks.clone();
        self.spawn("watchdog", async move {
            let mut watchdog = Watchdog::new(tasks_per_connection);
            let mut timer = Timer::never();
            loop {
                if let Some(growth) = watchdog.look(Instant::now(), tasks.alive(), connections()) {
                    let most = most_frequent(&tasks);
                    log::warn!(task:% = super::label();
                        "tasks grow, connections do not: {growth}; most are: {most}"
                    );
                }
                timer.set_after(Duration::from_millis(WATCHDOG_LOOK_MS));
                waiting(Wait::TIMER, &mut timer).await;
            }
        })
    }
}

/// The three names of which there are most tasks.
fn most_frequent(tasks: &Tasks) -> String {
    let mut counts: Vec<(&str, usize)> = tasks.alive_by_name().into_iter().collect();
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    let shown: Vec<String> =
        counts.iter().take(3).map(|(name, count)| format!("{count} {name}")).collect();
    shown.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tasks::tests::threads;
    use std::future::pending;

    const LOOK: Duration = Duration::from_millis(WATCHDOG_LOOK_MS);
    const REPEAT: Duration = Duration::from_millis(WATCHDOG_REPEAT_MS);

    #[test]
    fn growth_without_connections_is_told() {
        let (mut watchdog, now) = (Watchdog::new(1), Instant::now());
        assert_eq!(watchdog.look(now, 150, 100), None);
        assert_eq!(watchdog.look(now + LOOK, 50 + WATCHDOG_TASKS - 1, 0), None);
        let growth = watchdog.look(now + 2 * LOOK, 50 + WATCHDOG_TASKS + 10, 10).unwrap();
        let expected = Growth {
            tasks: 60 + WATCHDOG_TASKS,
            connections: 10,
            grown: WATCHDOG_TASKS,
            within: 2 * LOOK,
        };
        assert_eq!(growth, expected);
        assert!(
            growth
                .to_string()
                .starts_with(&format!("{} tasks for 10 connections", 60 + WATCHDOG_TASKS))
        );
    }

    #[test]
    fn growth_with_connections_is_not() {
        let (mut watchdog, now) = (Watchdog::new(2), Instant::now());
        for connections in (0..10_000).step_by(1000) {
            assert_eq!(
                watchdog.look(now + LOOK * connections as u32, 20 + 2 * connections, connections),
                None
            );
        }
        // Fewer tasks than expected is no reason to bark either, nor is what comes back after that.
        assert_eq!(watchdog.look(now, 0, 10_000), None);
        assert_eq!(watchdog.look(now, WATCHDOG_TASKS - 1, 0), None);
    }

    #[test]
    fn a_slow_leak_is_told_in_the_end() {
        let (mut watchdog, now) = (Watchdog::new(1), Instant::now());
        let warned = (0..10 * WATCHDOG_TASKS).filter(|look| {
            // Connections come and go all the time, and each tenth leaves a task behind.
            let connections = look * 37 % 500;
            watchdog.look(now + LOOK * *look as u32, connections + look / 10, connections).is_some()
        });
        assert_eq!(warned.count(), 0, "not yet");
        assert!(
            watchdog.look(now + LOOK * 10 * WATCHDOG_TASKS as u32, WATCHDOG_TASKS, 0).is_some()
        );
    }

    #[test]
    fn it_repeats_itself_seldom_and_only_on_further_growth() {
        let (mut watchdog, now) = (Watchdog::new(1), Instant::now());
        let with = |times: usize| times * WATCHDOG_TASKS;
        assert_eq!(watchdog.look(now, 0, 0), None);
        assert!(watchdog.look(now + LOOK, with(1), 0).is_some());
        assert_eq!(
            watchdog.look(now + LOOK + REPEAT, with(2) - 1, 0),
            None,
            "not by as many again"
        );
        let mut again = Watchdog { warned: Some(now + LOOK), ..Watchdog::new(1) };
        again.look(now + LOOK, with(1), 0);
        assert_eq!(again.look(now + REPEAT, with(9), 0), None, "too soon");
        assert_eq!(again.look(now + LOOK + REPEAT, with(9), 0).unwrap().grown, with(8));
        assert_eq!(again.look(now + LOOK + REPEAT * 2, with(9), 0), None, "nothing new");
    }

    #[test]
    fn the_names_that_are_most_frequent_come_first() {
        let tasks = threads();
        let scope = tasks.scope("test");
        for (name, count) in [("a", 1), ("b", 3), ("c", 2), ("d", 4)] {
            (0..count).for_each(|_| drop(scope.spawn(name, pending())));
        }
        assert_eq!(most_frequent(&tasks), "4 d, 3 b, 2 c");
        scope.cancel();
        futures_lite::future::block_on(scope.ended());
    }

    #[test]
    fn the_task_ends_with_its_owner() {
        let tasks = threads();
        let scope = tasks.scope("test");
        let handle = scope.spawn_watchdog(&tasks, 1, || 0);
        while handle.info().waits_for != Wait::TIMER.as_str() {
            std::thread::yield_now();
        }
        drop(scope);
        futures_lite::future::block_on(handle);
        assert_eq!(tasks.alive(), 0);
    }
}

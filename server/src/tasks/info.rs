//! The figures of tasks.

use super::TaskId;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// The figures of one task at one moment.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    /// The task's number.
    pub id: TaskId,
    /// The task's name, which says what it does.
    pub name: &'static str,
    /// The task that started this one, which may have ended since; `None` if no task did.
    pub parent: Option<TaskId>,
    /// The name of the scope that owns it.
    pub owner_name: &'static str,
    /// Where in the source it was started.
    pub spawned_at: &'static Location<'static>,
    /// How long it has been alive.
    pub age: Duration,
    /// How many times it was polled.
    pub polls: u64,
    /// How long its polls took in total, estimated from every sixteenth poll if there are many.
    pub busy: Duration,
    /// How long the longest measured poll took. Every poll that keeps other tasks from their turn
    /// (8 ms or more) is measured.
    pub longest_poll: Duration,
    /// What the task waits for, in words ([`Wait`](super::Wait)); [`TaskInfo::RUNNING`] while it is
    /// polled.
    pub waits_for: String,
    /// How long ago it was last polled, or how long the current poll has taken.
    pub waits_since: Duration,
}

impl TaskInfo {
    /// The text of `waits_for` while a task is being polled.
    pub const RUNNING: &str = "running";

    /// Whether the task is being polled.
    pub fn is_running(&self) -> bool {
        self.waits_for == Self::RUNNING
    }
}

impl fmt::Display for TaskInfo {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} (of {}) ", self.id, self.name, self.owner_name)?;
        match self.is_running() {
            true => write!(out, "has been running for {:.3} s", self.waits_since.as_secs_f64())?,
            false => write!(
                out,
                "waits for {} since {:.3} s",
                self.waits_for,
                self.waits_since.as_secs_f64()
            )?,
        }
        write!(out, ", started at {}:{}", self.spawned_at.file(), self.spawned_at.line())?;
        match self.parent {
            Some(parent) => write!(out, " by {parent}"),
            None => Ok(()),
        }
    }
}

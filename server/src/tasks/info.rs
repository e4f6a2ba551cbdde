//! What can be known about a task.

use super::TaskId;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// The figures of one task at one moment.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    /// The task's own number.
    pub id: TaskId,
    /// The task's name, which says what it does.
    pub name: &'static str,
    /// The task that started it; `None` if no task did. It may have ended since.
    pub parent: Option<TaskId>,
    /// The number of the scope that owns it.
    pub owner: TaskId,
    /// The name of the scope that owns it.
    pub owner_name: &'static str,
    /// The place in the source that started it.
    pub spawned_at: &'static Location<'static>,
    /// How long it has been alive.
    pub age: Duration,
    /// How many times it was polled.
    pub polls: u64,
    /// How long all its polls took together, estimated from every sixteenth poll if there are many.
    pub busy: Duration,
    /// How long the longest of them took, of those that were measured; no poll that is long enough
    /// to keep other tasks from their turn (8 ms) is missed.
    pub longest_poll: Duration,
    /// What the task waits for, in words ([`Wait`](super::Wait)); [`TaskInfo::RUNNING`] while it is
    /// polled.
    pub waits_for: String,
    /// How long ago it was last polled, or for how long it is being polled.
    pub waits_since: Duration,
}

impl TaskInfo {
    /// What `waits_for` says of a task that is being polled.
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

//! What can be known about a task.

use super::TaskId;
use std::fmt;
use std::panic::Location;
use std::time::Duration;

/// What is known about one task, at one moment.
#[derive(Clone, Debug)]
pub struct TaskInfo {
    /// The task's own number.
    pub id: TaskId,
    /// What it does.
    pub name: &'static str,
    /// The task that started it; none if it was started from outside of all tasks. It may have
    /// ended since.
    pub parent: Option<TaskId>,
    /// The number of the scope that owns it.
    pub owner: TaskId,
    /// The name of the scope that owns it.
    pub owner_name: &'static str,
    /// Where in the source it was started.
    pub spawned_at: &'static Location<'static>,
    /// How long it has been alive.
    pub age: Duration,
    /// How many times it was polled, that is, had something to do.
    pub polls: u64,
    /// How long all its polls took together. Of a task that is polled often, estimated from each
    /// sixteenth poll.
    pub busy: Duration,
    /// How long the longest of them took, of those that were measured; no poll that is long enough
    /// to keep other tasks from their turn (8 ms) is missed.
    pub longest_poll: Duration,
    /// What it waits for, in words ([`Wait`](super::Wait)); [`TaskInfo::RUNNING`] if it is being
    /// polled.
    pub waits_for: String,
    /// Since when: it was last polled so long ago, or is being polled for so long.
    pub waits_since: Duration,
}

impl TaskInfo {
    /// What `waits_for` says of a task that is being polled.
    pub const RUNNING: &str = "running";

    /// Whether it is being polled.
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

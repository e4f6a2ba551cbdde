//! Ending a scope in order: children before parents, before a deadline, with a report.

use super::info::TaskInfo;
use super::scope::{Owner, Scope};
use super::timeout;
use crate::counted::counted;
use std::fmt;
use std::sync::Arc;
use std::time::Instant;

/// The outcome of [`Scope::end`].
#[derive(Clone, Debug, Default)]
pub struct EndReport {
    /// How many tasks were alive when the end began, and ended.
    pub ended: usize,
    /// The tasks that had not ended by the deadline, because they block their thread or their
    /// runtime never polls them.
    pub left: Vec<TaskInfo>,
}

impl fmt::Display for EndReport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} ended, {} did not", counted(self.ended, "task"), self.left.len())?;
        self.left.iter().try_for_each(|task| write!(out, "\n  {task}"))
    }
}

impl Scope {
    /// Ends all tasks of this scope and of the scopes within it, the innermost first. A task is
    /// asked to end once the tasks in inner scopes have ended. Tasks started meanwhile end at once.
    ///
    /// Returns when all have ended, or at the deadline with a list of those that have not. Each
    /// level but the last gets half of the time that is left, so tasks that block their thread do
    /// not use up the time of the others.
    ///
    /// If this future is dropped, the tasks already asked still end. The others go on until the
    /// scope is dropped or cancelled.
    pub async fn end(&self, deadline: Instant) -> EndReport {
        let mut owners = self.owner.close_all();
        let before: usize = owners.iter().map(|owner| owner.own_tasks()).sum();
        // The list is sorted by depth, outermost first.
        while let Some(depth) = owners.last().map(|owner| owner.depth()) {
            let innermost = owners.split_off(owners.partition_point(|owner| owner.depth() < depth));
            if innermost.iter().all(|owner| owner.own_tasks() == 0) {
                continue;
            }
            innermost.iter().for_each(|owner| owner.cancel_own());
            let left = deadline.saturating_duration_since(Instant::now());
            let limit = if owners.is_empty() { left } else { left / 2 };
            timeout(limit, all_ended(&innermost)).await;
        }
        let left = self.list();
        EndReport { ended: before.saturating_sub(left.len()), left }
    }
}

async fn all_ended(owners: &[Arc<Owner>]) {
    for owner in owners {
        owner.own_ended().await;
    }
}

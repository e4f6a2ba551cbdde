//! The task that this thread runs now.

use super::TaskId;
use super::clock::PollTime;
use super::record::Record;
use super::wait::Waits;
use std::cell::{Cell, RefCell};
use std::fmt;

thread_local! {
    static CURRENT: Cell<Option<Current>> = const { Cell::new(None) };
    /// The waits that the current task has noted in this poll.
    static WAITS: RefCell<Waits> = const { RefCell::new(Waits::NONE) };
}

/// The number and the name of a task, as log lines show them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Current {
    /// The task's number.
    pub id: TaskId,
    /// The task's name.
    pub name: &'static str,
}

impl fmt::Display for Current {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.id, self.name)
    }
}

/// The task that runs on this thread now; `None` outside of tasks. Takes a nanosecond or two.
pub fn current() -> Option<Current> {
    CURRENT.get()
}

/// The current task's number and name for log lines, or a word for none.
///
/// ```
/// # use fanfare_server::tasks;
/// log::info!(task:% = tasks::label(); "something happened");
/// ```
pub fn label() -> Label {
    Label(current())
}

/// The result of [`label`]. It is formatted only when the line is written.
#[derive(Clone, Copy, Debug)]
pub struct Label(Option<Current>);

impl fmt::Display for Label {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(task) => write!(out, "{task}"),
            None => write!(out, "none"),
        }
    }
}

/// Changes what the current task waits for.
pub(super) fn with_waits(change: impl FnOnce(&mut Waits)) {
    if current().is_none() {
        return;
    }
    // Fails only if the end of the thread drops the task. Nobody looks at its waits again then.
    let _ = WAITS.try_with(|waits| change(&mut waits.borrow_mut()));
}

/// One poll of a task, during which that task is the current one. When this is dropped, even by a
/// panic, the task before it is current again: one task may poll another by hand.
pub(super) struct Turn<'r> {
    record: &'r Record,
    began: PollTime,
    outer: Option<Current>,
    outer_waits: Waits,
    waits_taken: bool,
}

impl Turn<'_> {
    pub fn begin(record: &Record) -> Turn<'_> {
        let outer = CURRENT.replace(Some(Current { id: record.id, name: record.kind.name }));
        // Nothing is noted outside of a task, so there is nothing to put aside.
        let outer_waits = if outer.is_some() { swap_waits(Waits::NONE) } else { Waits::NONE };
        Turn { record, began: record.begin_poll(), outer, outer_waits, waits_taken: false }
    }

    /// Takes the waits that the task has noted in this poll so far.
    pub fn take_waits(&mut self) -> Waits {
        self.waits_taken = true;
        swap_waits(Waits::NONE)
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.record.end_poll(&self.began);
        CURRENT.set(self.outer);
        if self.outer.is_some() || !self.waits_taken {
            swap_waits(std::mem::replace(&mut self.outer_waits, Waits::NONE));
        }
    }
}

fn swap_waits(new: Waits) -> Waits {
    WAITS.try_with(|waits| waits.replace(new)).unwrap_or(Waits::NONE)
}

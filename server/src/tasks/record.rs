//! What the register keeps about one task: less than 200 bytes, since there may be a hundred
//! thousand tasks.

use super::clock::{self, PollTime};
use super::info::TaskInfo;
use super::scope::Owner;
use super::wait::Waits;
use super::{TaskEnd, TaskId};
use crate::locks::lock;
use event_listener::Event;
use std::panic::Location;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::Waker;
use std::time::Duration;

/// Shared by the register, the task itself, and its handles.
pub(super) struct Record {
    pub id: TaskId,
    pub kind: Arc<Kind>,
    parent: Option<TaskId>,
    pub owner: Arc<Owner>,
    spawned_ns: u64,
    /// Only the thread that polls the task writes this, so a load and a store count without a
    /// locked instruction.
    polls: AtomicU64,
    busy_ns: AtomicU64,
    longest_poll_us: AtomicU32,
    /// When the current poll began, or the last one ended; [`IN_POLL`] tells which. Zero before the
    /// first poll.
    since: AtomicU64,
    parked: Mutex<Parked>,
    is_cancelled: AtomicBool,
    is_ended: AtomicBool,
    /// The [`TaskEnd`] that will be reported if nothing changes it.
    verdict: AtomicU8,
    /// Its index in its owner's task list; changed under the owner's lock.
    pub index: AtomicU32,
    /// Notified when the task has ended.
    pub ended: Event,
}

/// Facts that all tasks share that one owner started at one place. Kept once for all of them.
pub(super) struct Kind {
    pub name: &'static str,
    pub spawned_at: &'static Location<'static>,
}

/// A task's state between two polls.
struct Parked {
    waker: Option<Waker>,
    waits: Waits,
}

const IN_POLL: u64 = 1;

impl Record {
    pub fn new(kind: Arc<Kind>, owner: Arc<Owner>) -> Self {
        Self {
            id: TaskId::next(),
            kind,
            parent: super::current().map(|task| task.id),
            owner,
            spawned_ns: clock::coarse_ns(),
            polls: AtomicU64::new(0),
            busy_ns: AtomicU64::new(0),
            longest_poll_us: AtomicU32::new(0),
            since: AtomicU64::new(0),
            parked: Mutex::new(Parked { waker: None, waits: Waits::NONE }),
            is_cancelled: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
            verdict: AtomicU8::new(TaskEnd::Cancelled as u8),
            index: AtomicU32::new(0),
            ended: Event::new(),
        }
    }

    /// Asks the task to end. Calls its waker, so never call this under a lock.
    pub fn cancel(&self) {
        // Stored before the waker is taken, so a poll that has not parked yet sees it when it
        // parks.
        self.is_cancelled.store(true, Ordering::Release);
        let waker = self.parked().waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    pub fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }

    /// Parks the task after a poll that left it pending. False if it was asked to end meanwhile.
    pub fn park(&self, waker: &Waker, waits: Waits) -> bool {
        let mut parked = self.parked();
        let old_waits = std::mem::replace(&mut parked.waits, waits);
        let is_same = parked.waker.as_ref().is_some_and(|parked| parked.will_wake(waker));
        drop(parked);
        drop(old_waits);
        if !is_same {
            // Cloned and dropped outside the lock, since a waker runs the runtime's code.
            let waker = waker.clone();
            let old_waker = self.parked().waker.replace(waker);
            drop(old_waker);
        }
        !self.is_cancelled()
    }

    /// Begins a poll, and returns when, for [`Record::end_poll`].
    pub fn begin_poll(&self) -> PollTime {
        let began = PollTime::begin(self.polls.load(Ordering::Relaxed));
        self.since.store(began.coarse_ns << 1 | IN_POLL, Ordering::Relaxed);
        began
    }

    pub fn end_poll(&self, began: &PollTime) {
        let now = clock::coarse_ns();
        let (took_ns, weight) = began.took(now);
        add(&self.polls, 1);
        add(&self.busy_ns, took_ns * weight);
        let took_us = u32::try_from(took_ns / 1_000).unwrap_or(u32::MAX);
        if took_us > self.longest_poll_us.load(Ordering::Relaxed) {
            self.longest_poll_us.store(took_us, Ordering::Relaxed);
        }
        self.since.store(now << 1, Ordering::Relaxed);
    }

    /// Sets how the task will have ended. The default is [`TaskEnd::Cancelled`].
    pub fn ends_with(&self, end: TaskEnd) {
        self.verdict.store(end as u8, Ordering::Relaxed);
    }

    /// Marks the task as ended. [`Record::ended`] notifies those who wait for it.
    pub fn end(&self) {
        self.is_ended.store(true, Ordering::Release);
    }

    /// How the task ended, if it has.
    pub fn outcome(&self) -> Option<TaskEnd> {
        // Acquire: whoever sees that the task has ended also sees what it did before.
        let is_ended = self.is_ended.load(Ordering::Acquire);
        is_ended.then(|| TaskEnd::from_verdict(self.verdict.load(Ordering::Relaxed)))
    }

    /// The waker keeps the task's memory in the runtime alive, which nobody needs after its end.
    pub fn release(&self) {
        let waker = self.parked().waker.take();
        drop(waker);
    }

    pub fn info(&self) -> TaskInfo {
        let since = self.since.load(Ordering::Relaxed);
        let waits = self.parked().waits.clone();
        let now = clock::coarse_ns();
        let elapsed = |from_ns: u64| Duration::from_nanos(now.saturating_sub(from_ns));
        let (waits_for, since_ns) = match since {
            _ if self.outcome().is_some() => ("nothing, it has ended".to_owned(), since >> 1),
            0 => ("its first poll".to_owned(), self.spawned_ns),
            running if running & IN_POLL == IN_POLL => (TaskInfo::RUNNING.to_owned(), since >> 1),
            _ => (waits.to_string(), since >> 1),
        };
        let in_poll =
            if waits_for == TaskInfo::RUNNING { elapsed(since_ns) } else { Duration::ZERO };
        let longest = Duration::from_micros(self.longest_poll_us.load(Ordering::Relaxed).into());
        TaskInfo {
            id: self.id,
            name: self.kind.name,
            parent: self.parent,
            owner_name: self.owner.name,
            spawned_at: self.kind.spawned_at,
            age: elapsed(self.spawned_ns),
            polls: self.polls.load(Ordering::Relaxed),
            busy: Duration::from_nanos(self.busy_ns.load(Ordering::Relaxed)) + in_poll,
            longest_poll: longest.max(in_poll),
            waits_for,
            waits_since: elapsed(since_ns),
        }
    }

    fn parked(&self) -> MutexGuard<'_, Parked> {
        lock(&self.parked)
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(more), Ordering::Relaxed);
}

//! Scopes own tasks and end them.

use super::handle::TaskHandle;
use super::info::TaskInfo;
use super::record::{Kind, Record};
use super::registry::Shared;
use super::task::Task;
use super::task_list::TaskList;
use super::{TaskId, Wait, waiting};
use crate::locks::lock;
use async_io::Timer;
use event_listener::{Event, listener};
use futures_lite::future;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Instant;

/// Scopes by number. Weak: a scope lives as long as somebody can start tasks in it, or one of its
/// tasks is alive.
pub(super) type Scopes = BTreeMap<TaskId, Weak<Owner>>;

/// Owns tasks, and scopes within it. When it is dropped, all of their tasks are cancelled.
pub struct Scope {
    pub(super) owner: Arc<Owner>,
}

/// What a scope, its tasks and the register know of it.
pub(super) struct Owner {
    shared: Arc<Shared>,
    /// The scope that this one is in.
    outer: Option<Arc<Self>>,
    pub id: TaskId,
    pub name: &'static str,
    members: Mutex<Members>,
    /// Told when the last task here or in a scope within has ended.
    empty: Event,
}

#[derive(Default)]
struct Members {
    tasks: TaskList,
    /// One for each name and place in the source, so no more than the source has calls.
    kinds: Vec<Arc<Kind>>,
    scopes: Scopes,
    /// Whatever is started from now on is cancelled from its beginning.
    is_closed: bool,
}

impl Scope {
    pub(super) fn new(owner: Arc<Owner>) -> Self {
        Self { owner }
    }

    /// Makes a scope within this one. Whatever ends this scope ends that one first.
    pub fn scope(&self, name: &'static str) -> Self {
        let owner = Arc::new(Owner::new(self.owner.shared.clone(), Some(self.owner.clone()), name));
        let mut members = self.owner.members();
        owner.members().is_closed = members.is_closed;
        members.scopes.insert(owner.id, Arc::downgrade(&owner));
        drop(members);
        Self { owner }
    }

    /// Starts a task of this owner. The handle may be dropped: the task goes on until it or its
    /// owner ends. If the owner was cancelled before, the task is dropped without having run.
    #[track_caller]
    pub fn spawn(
        &self,
        name: &'static str,
        future: impl Future<Output = ()> + Send + 'static,
    ) -> TaskHandle {
        let record = self.owner.enter(name, Location::caller());
        self.owner.shared.spawner.spawn(Box::pin(Task::new(record.clone(), future)));
        TaskHandle::new(record)
    }

    /// The scope's number, which its tasks have as their owner.
    pub fn id(&self) -> TaskId {
        self.owner.id
    }

    /// The number of live tasks of this owner and of the scopes within.
    pub fn alive(&self) -> usize {
        self.owner.within().iter().map(|owner| owner.own_tasks()).sum()
    }

    /// The live tasks of this owner and of the scopes within, oldest first.
    pub fn list(&self) -> Vec<TaskInfo> {
        let mut list: Vec<TaskInfo> =
            self.owner.within().iter().flat_map(|owner| owner.list()).collect();
        list.sort_unstable_by_key(|task| task.id);
        list
    }

    /// Asks every task of this owner, and of the scopes within, to end. Each drops what it holds
    /// the next time its runtime has a turn for it. Tasks started from now on end at once.
    pub fn cancel(&self) {
        // From the innermost outwards; an owner is closed before those within are listed, so none
        // is overlooked.
        for owner in self.owner.close_all().iter().rev() {
            owner.cancel_own();
        }
    }

    /// Waits until no task of this owner or of the scopes within is alive. Cancel safe.
    pub async fn ended(&self) {
        loop {
            // Listen before looking: a task that ends in between is heard.
            listener!(self.owner.empty => empty);
            if self.alive() == 0 {
                return;
            }
            waiting(Wait::fixed("the end of a scope"), empty).await;
        }
    }

    /// Waits until no task is alive, or `deadline`; false if tasks are alive then. Cancel safe.
    pub async fn ended_by(&self, deadline: Instant) -> bool {
        let ended = async {
            self.ended().await;
            true
        };
        let out_of_time = async {
            // why: once in the life of a scope.
            Timer::at(deadline).await;
            false
        };
        future::or(ended, out_of_time).await
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.cancel();
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Scope({} {}, {} tasks)", self.owner.id, self.owner.name, self.alive())
    }
}

/// Those of them that are alive. Called under the lock of what they are in, and to be dropped after
/// it.
pub(super) fn alive(scopes: &Scopes) -> Vec<Arc<Owner>> {
    scopes.values().filter_map(Weak::upgrade).collect()
}

impl Owner {
    pub fn new(shared: Arc<Shared>, outer: Option<Arc<Self>>, name: &'static str) -> Self {
        Self {
            shared,
            outer,
            id: TaskId::next(),
            name,
            members: Mutex::default(),
            empty: Event::new(),
        }
    }

    /// Enters a task, which has to end at once if the owner is closed. Decided under the lock:
    /// whoever closes the owner either finds the task or has closed before.
    fn enter(
        self: &Arc<Self>,
        name: &'static str,
        spawned_at: &'static Location<'static>,
    ) -> Arc<Record> {
        let mut members = self.members();
        let kind = members.kind(name, spawned_at);
        let record = Arc::new(Record::new(kind, self.clone()));
        members.tasks.add(record.clone());
        self.shared.alive.fetch_add(1, Ordering::AcqRel);
        if members.is_closed {
            // Calls no waker, since there is none yet.
            record.cancel();
        }
        record
    }

    /// Takes out a task that has ended, and tells those who wait for it.
    pub fn end(&self, record: &Record) {
        let mut members = self.members();
        let taken = members.tasks.take(record);
        self.shared.alive.fetch_sub(1, Ordering::AcqRel);
        // Under the lock: whoever sees that the task has ended finds it in no count, and the other
        // way round.
        record.end();
        let is_empty = members.tasks.len() == 0;
        drop(members);
        drop(taken);
        record.ended.notify(usize::MAX);
        let mut told = is_empty.then_some(self);
        while let Some(owner) = told {
            owner.empty.notify(usize::MAX);
            told = owner.outer.as_deref();
        }
    }

    pub fn list(&self) -> Vec<TaskInfo> {
        // Copied under the lock, looked at after it: others start and end tasks meanwhile.
        let records = self.members().tasks.records().to_vec();
        records.iter().map(|record| record.info()).collect()
    }

    pub fn count_by_name(&self, counts: &mut BTreeMap<&'static str, usize>) {
        for record in self.members().tasks.records() {
            *counts.entry(record.kind.name).or_default() += 1;
        }
    }

    pub fn scopes(&self) -> Vec<Arc<Self>> {
        alive(&self.members().scopes)
    }

    /// This one and all within, each after the one that it is in.
    fn within(self: &Arc<Self>) -> Vec<Arc<Self>> {
        self.walk(Self::scopes)
    }

    /// The same, and closes them.
    pub fn close_all(self: &Arc<Self>) -> Vec<Arc<Self>> {
        self.walk(|owner| {
            let mut members = owner.members();
            members.is_closed = true;
            alive(&members.scopes)
        })
    }

    fn walk(self: &Arc<Self>, scopes_of: impl Fn(&Self) -> Vec<Arc<Self>>) -> Vec<Arc<Self>> {
        let mut found = vec![self.clone()];
        let mut next = 0;
        while let Some(owner) = found.get(next) {
            let within = scopes_of(owner);
            found.extend(within);
            next += 1;
        }
        found
    }

    pub fn own_tasks(&self) -> usize {
        self.members().tasks.len()
    }

    pub fn cancel_own(&self) {
        // Woken without the lock: a waker may run the task at once.
        let records = self.members().tasks.records().to_vec();
        for record in records {
            record.cancel();
        }
    }

    /// Waits until no task of this owner, not counting those within, is alive.
    pub async fn own_ended(&self) {
        loop {
            listener!(self.empty => empty);
            if self.own_tasks() == 0 {
                return;
            }
            waiting(Wait::fixed("the end of a scope"), empty).await;
        }
    }

    /// How many scopes it is in.
    pub fn depth(&self) -> usize {
        std::iter::successors(self.outer.as_deref(), |owner| owner.outer.as_deref()).count()
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        lock(&self.members)
    }
}

impl Members {
    fn kind(&mut self, name: &'static str, spawned_at: &'static Location<'static>) -> Arc<Kind> {
        // By address: two kinds that read the same do no harm.
        let is_it = |kind: &&Arc<Kind>| {
            std::ptr::eq(kind.spawned_at, spawned_at) && std::ptr::eq(kind.name, name)
        };
        if let Some(kind) = self.kinds.iter().find(is_it) {
            return kind.clone();
        }
        let kind = Arc::new(Kind { name, spawned_at });
        self.kinds.push(kind.clone());
        kind
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        match &self.outer {
            Some(outer) => {
                outer.members().scopes.remove(&self.id);
            }
            None => self.shared.forget_scope(self.id),
        }
    }
}

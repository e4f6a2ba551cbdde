//! Scopes own tasks and end them.

use super::handle::TaskHandle;
use super::info::TaskInfo;
use super::record::{Kind, Record};
use super::registry::Shared;
use super::task::Task;
use super::task_list::TaskList;
use super::{TaskId, Wait, timeout, waiting};
use crate::locks::lock;
use event_listener::{Event, listener};
use std::collections::BTreeMap;
use std::future::Future;
use std::panic::Location;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, Weak};
use std::time::Instant;

/// Scopes by number. Weak: a scope lives while somebody can start tasks in it or one of its tasks
/// is alive.
pub(super) type Scopes = BTreeMap<TaskId, Weak<Owner>>;

/// Owns tasks, and scopes within it. When it is dropped, all of their tasks are cancelled.
pub struct Scope {
    pub(super) owner: Arc<Owner>,
}

/// The state that a scope, its tasks and the register share.
pub(super) struct Owner {
    shared: Arc<Shared>,
    /// The scope this one is in.
    outer: Option<Arc<Self>>,
    pub id: TaskId,
    pub name: &'static str,
    members: Mutex<Members>,
    /// Notified when the last task here or in an inner scope has ended.
    empty: Event,
}

#[derive(Default)]
struct Members {
    tasks: TaskList,
    /// One for each name and place in the source, so at most one for each call in the source.
    kinds: Vec<Arc<Kind>>,
    scopes: Scopes,
    /// Set once the scope is closed. Tasks started afterwards are cancelled at once.
    is_closed: bool,
}

impl Scope {
    pub(super) fn new(owner: Arc<Owner>) -> Self {
        Self { owner }
    }

    /// Creates a scope within this one. Whatever ends this scope ends that one first.
    pub fn scope(&self, name: &'static str) -> Self {
        let owner = Arc::new(Owner::new(self.owner.shared.clone(), Some(self.owner.clone()), name));
        let mut members = self.owner.members();
        owner.members().is_closed = members.is_closed;
        members.scopes.insert(owner.id, Arc::downgrade(&owner));
        drop(members);
        Self { owner }
    }

    /// Starts a task of this owner. The handle may be dropped; the task goes on until it finishes
    /// or its owner ends it. If the owner is already cancelled, the task is dropped without
    /// running.
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

    /// The number of live tasks in this scope and the scopes within it.
    pub fn alive(&self) -> usize {
        self.owner.within().iter().map(|owner| owner.own_tasks()).sum()
    }

    /// The live tasks in this scope and the scopes within it, oldest first.
    pub fn list(&self) -> Vec<TaskInfo> {
        list(&self.owner.within())
    }

    /// Asks every task in this scope and the scopes within it to end. Each drops what it holds the
    /// next time its runtime polls it. Tasks started afterwards end at once.
    pub fn cancel(&self) {
        // From the innermost outwards. An owner is closed before its inner scopes are listed, so
        // none is overlooked.
        for owner in self.owner.close_all().iter().rev() {
            owner.cancel_own();
        }
    }

    /// Waits until no task in this scope or the scopes within it is alive. Cancel safe.
    pub async fn ended(&self) {
        self.owner.emptied(|| self.alive() == 0).await;
    }

    /// Waits until no task is alive or `deadline` has passed. Returns false if some are still
    /// alive. Cancel safe.
    pub async fn ended_by(&self, deadline: Instant) -> bool {
        timeout(deadline.saturating_duration_since(Instant::now()), self.ended()).await.is_some()
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        self.cancel();
    }
}

/// The live tasks of these scopes, oldest first.
pub(super) fn list(owners: &[Arc<Owner>]) -> Vec<TaskInfo> {
    let mut list: Vec<TaskInfo> = owners.iter().flat_map(|owner| owner.list()).collect();
    list.sort_unstable_by_key(|task| task.id);
    list
}

/// The scopes that are alive. Call this under the lock of the list, and drop the result after it.
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

    /// Enters a task. If the owner is closed, the task must end at once. Decided under the lock, so
    /// whoever closes the owner either finds the task or came first.
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
            // Calls no waker: there is none yet.
            record.cancel();
        }
        record
    }

    /// Removes a task that has ended, and notifies those who wait for it.
    pub fn end(&self, record: &Record) {
        let mut members = self.members();
        let taken = members.tasks.take(record);
        self.shared.alive.fetch_sub(1, Ordering::AcqRel);
        // Under the lock, so a task counts as alive exactly as long as it has not ended.
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

    fn list(&self) -> Vec<TaskInfo> {
        // Copied under the lock and looked at after it, so others can start and end tasks
        // meanwhile.
        let records = self.members().tasks.records().to_vec();
        records.iter().map(|record| record.info()).collect()
    }

    pub fn count_by_name(&self, counts: &mut BTreeMap<&'static str, usize>) {
        for record in self.members().tasks.records() {
            *counts.entry(record.kind.name).or_default() += 1;
        }
    }

    /// This scope and all within it, each after the one it is in.
    pub fn within(self: &Arc<Self>) -> Vec<Arc<Self>> {
        self.walk(|owner| alive(&owner.members().scopes))
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
        // Woken outside the lock, because a waker may run the task at once.
        let records = self.members().tasks.records().to_vec();
        for record in records {
            record.cancel();
        }
    }

    /// Waits until no task of this scope is alive, not counting the scopes within it.
    pub async fn own_ended(&self) {
        self.emptied(|| self.own_tasks() == 0).await;
    }

    async fn emptied(&self, is_empty: impl Fn() -> bool) {
        loop {
            // Listen before looking, so a task that ends in between is not missed.
            listener!(self.empty => empty);
            if is_empty() {
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
        // Compared by address. Two equal kinds at different addresses do no harm.
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

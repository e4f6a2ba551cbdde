//! The register of all tasks alive.
//!
//! A tree of scopes. Each has its own lock and lists the scopes within it and the tasks it owns.
//! There is no second list of all tasks.

use super::info::TaskInfo;
use super::scope::{self, Owner, Scope, Scopes};
use super::{Spawn, TaskId};
use crate::locks::lock;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// The register of live tasks. A cheap handle; clones share the register.
#[derive(Clone)]
pub struct Tasks {
    shared: Arc<Shared>,
}

pub(super) struct Shared {
    pub spawner: Box<dyn Spawn>,
    /// The outermost scopes.
    scopes: Mutex<Scopes>,
    pub alive: AtomicUsize,
}

impl Tasks {
    /// A register whose tasks `spawner` runs.
    pub fn new(spawner: impl Spawn) -> Self {
        let shared = Shared {
            spawner: Box::new(spawner),
            scopes: Mutex::default(),
            alive: AtomicUsize::new(0),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Creates an owner of tasks. Dropping it cancels its tasks.
    pub fn scope(&self, name: &'static str) -> Scope {
        let owner = Arc::new(Owner::new(self.shared.clone(), None, name));
        self.shared.with_scopes(|scopes| scopes.insert(owner.id, Arc::downgrade(&owner)));
        Scope::new(owner)
    }

    /// The number of live tasks.
    pub fn alive(&self) -> usize {
        self.shared.alive.load(Ordering::Acquire)
    }

    /// The number of live tasks of each name.
    pub fn alive_by_name(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for owner in self.owners() {
            owner.count_by_name(&mut counts);
        }
        counts
    }

    /// All live tasks, oldest first.
    pub fn list(&self) -> Vec<TaskInfo> {
        scope::list(&self.owners())
    }

    /// All scopes, each after the scope it is in.
    fn owners(&self) -> Vec<Arc<Owner>> {
        // Upgraded under the lock and dropped after it, because an owner's last drop takes this
        // lock.
        let outermost = self.shared.with_scopes(|scopes| scope::alive(scopes));
        outermost.iter().flat_map(Owner::within).collect()
    }
}

impl Shared {
    pub fn forget_scope(&self, id: TaskId) {
        self.with_scopes(|scopes| scopes.remove(&id));
    }

    fn with_scopes<T>(&self, work: impl FnOnce(&mut Scopes) -> T) -> T {
        work(&mut lock(&self.scopes))
    }
}

//! The memory budget in figures: how much of it is used, and what was done to keep to it.

use crate::transport::ReadAllowance;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The state of the memory budget. The memory watch writes it.
#[derive(Default)]
pub struct Memory {
    budget_bytes: AtomicU64,
    used_bytes: AtomicU64,
    shed_connections: AtomicU64,
    allowance: Arc<ReadAllowance>,
}

impl Memory {
    /// The budget; 0 while the memory is not watched.
    pub fn budget_bytes(&self) -> u64 {
        self.budget_bytes.load(Ordering::Relaxed)
    }

    /// How much of the budget was used at the last look.
    pub fn used_bytes(&self) -> u64 {
        self.used_bytes.load(Ordering::Relaxed)
    }

    /// Connections that were ended because memory was short.
    pub fn shed_connections(&self) -> u64 {
        self.shed_connections.load(Ordering::Relaxed)
    }

    /// The bytes that all connections may read until the next look.
    pub fn allowance(&self) -> &Arc<ReadAllowance> {
        &self.allowance
    }

    /// Notes what a look at the memory found.
    pub fn note(&self, budget_bytes: u64, used_bytes: u64) {
        self.budget_bytes.store(budget_bytes, Ordering::Relaxed);
        self.used_bytes.store(used_bytes, Ordering::Relaxed);
    }

    pub(super) fn count_shed(&self) {
        self.shed_connections.fetch_add(1, Ordering::Relaxed);
    }
}

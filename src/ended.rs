//! What subscriptions lost that are gone: so that sums over all subscriptions only ever grow.

use super::overflow::WhenFull;
use super::stats::{DropCounts, SubscriptionStats};
use std::collections::BTreeMap;

/// Dropped messages of all subscriptions there ever were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DropStats {
    /// By policy ([`WhenFull::name`]), and for each by reason. Policies that nobody used are not
    /// there.
    pub by_policy: BTreeMap<&'static str, DropCounts>,
}

impl DropStats {
    pub(super) fn add(&mut self, when_full: WhenFull, drops: DropCounts) {
        *self.by_policy.entry(when_full.name()).or_default() += drops;
    }

    pub(super) fn add_stats(&mut self, stats: &SubscriptionStats) {
        self.add(stats.when_full, stats.drops);
    }
}

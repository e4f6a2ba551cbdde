//! The names that a client gives its subscriptions.

use crate::locks::lock;
use fanfare::SubscriptionId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// A client's name for a subscription.
pub type Sid = Arc<[u8]>;

/// The names of a client's subscriptions, shared with the admin listener.
#[derive(Default)]
pub struct Sids(Mutex<HashMap<SubscriptionId, Sid>>);

impl Sids {
    /// The names by the broker's ids.
    pub fn lock(&self) -> MutexGuard<'_, HashMap<SubscriptionId, Sid>> {
        lock(&self.0)
    }
}

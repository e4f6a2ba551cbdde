//! The connections that are open, by number: whom the server itself has something to say to.

use super::link::Link;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// All of them.
#[derive(Default)]
pub(super) struct Connections {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last_id: u64,
    open: BTreeMap<u64, (IpAddr, Arc<Link>)>,
}

/// A connection's place among them, free again when this is dropped.
pub(super) struct Entry {
    connections: Arc<Connections>,
    pub id: u64,
    pub link: Arc<Link>,
}

impl Connections {
    /// The number of the next one. None is used twice.
    pub fn next_id(&self) -> u64 {
        let mut state = self.lock();
        state.last_id += 1;
        state.last_id
    }

    pub fn enter(self: &Arc<Connections>, address: IpAddr) -> Entry {
        let (id, link) = (self.next_id(), Arc::<Link>::default());
        self.lock().open.insert(id, (address, link.clone()));
        Entry { connections: self.clone(), id, link }
    }

    /// Those open now, oldest first.
    pub fn list(&self) -> Vec<(u64, IpAddr, Arc<Link>)> {
        self.lock().open.iter().map(|(id, (address, link))| (*id, *address, link.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connections.lock().open.remove(&self.id);
    }
}

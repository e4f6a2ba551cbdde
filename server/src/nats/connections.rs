//! The connections that are open, by number: whom the server itself has something to say to.

use super::link::Link;
use crate::locks::lock;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

/// All of them.
#[derive(Default)]
pub(super) struct Connections {
    open: Mutex<BTreeMap<u64, (IpAddr, Arc<Link>)>>,
}

/// A connection's place among them, free again when this is dropped.
pub(super) struct Entry {
    connections: Arc<Connections>,
    id: u64,
    pub link: Arc<Link>,
}

impl Connections {
    /// Enters a connection, whose number nobody else may have.
    pub fn enter(self: &Arc<Self>, id: u64, address: IpAddr) -> Entry {
        let link = Arc::<Link>::default();
        self.lock().insert(id, (address, link.clone()));
        Entry { connections: self.clone(), id, link }
    }

    /// Those open now, oldest first.
    pub fn list(&self) -> Vec<(u64, IpAddr, Arc<Link>)> {
        self.lock().iter().map(|(id, (address, link))| (*id, *address, link.clone())).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, (IpAddr, Arc<Link>)>> {
        lock(&self.open)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.id);
    }
}

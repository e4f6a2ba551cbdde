//! The open connections, by number: the server itself has something to say to them.

use super::writer::Outbound;
use crate::locks::lock;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};

/// The open connections.
#[derive(Default)]
pub(super) struct Connections {
    open: Mutex<BTreeMap<u64, (IpAddr, Arc<Outbound>)>>,
}

/// One of them, until this is dropped.
pub(super) struct OpenConnection {
    connections: Arc<Connections>,
    id: u64,
    pub outbound: Arc<Outbound>,
}

impl Connections {
    /// Enters a connection. No other may have its number.
    pub fn enter(
        self: &Arc<Self>,
        (id, address): (u64, IpAddr),
        nonce: Option<Box<str>>,
    ) -> OpenConnection {
        let outbound = Arc::new(Outbound::new(nonce));
        self.lock().insert(id, (address, outbound.clone()));
        OpenConnection { connections: self.clone(), id, outbound }
    }

    /// The open ones, oldest first.
    pub fn list(&self) -> Vec<(u64, IpAddr, Arc<Outbound>)> {
        self.lock()
            .iter()
            .map(|(id, (address, outbound))| (*id, *address, outbound.clone()))
            .collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, (IpAddr, Arc<Outbound>)>> {
        lock(&self.open)
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.lock().remove(&self.id);
    }
}

//! A person's presence, shared with the writing half of the connection.

use std::sync::atomic::{AtomicBool, Ordering};

/// Shared by a person and the writing half of the person's connection.
#[derive(Debug, Default)]
pub struct Presence {
    is_displaced: AtomicBool,
}

impl Presence {
    /// Marks the person as displaced: the owner of the name has logged in elsewhere.
    pub fn displace(&self) {
        self.is_displaced.store(true, Ordering::Release);
    }

    /// Whether the owner of the name has logged in elsewhere.
    pub fn is_displaced(&self) -> bool {
        self.is_displaced.load(Ordering::Acquire)
    }
}

//! Notes which interest has changed, for bridges that tell it to another system.

use crate::limits::INTEREST_CHANGES_MAX;
use crate::queue::Want;
use crate::sync::lock;
use crate::topic::Pattern;
use atomic_waker::AtomicWaker;
use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::task::Waker;

/// A pattern, and the queue group in which it is subscribed to, if any.
pub(crate) type InterestKey = (Pattern, Option<Arc<str>>);

/// Everybody who watches interest. While nobody does, a subscription pays for one look.
#[derive(Default)]
pub(crate) struct InterestLogs {
    is_watched: AtomicBool,
    logs: Mutex<Vec<Weak<InterestLog>>>,
}

/// The changes of interest since a watcher last looked.
pub(crate) struct InterestLog {
    changed: Mutex<Changed>,
    watcher: AtomicWaker,
}

/// Interest that may have changed.
pub(crate) enum Changed {
    These(HashSet<InterestKey>),
    /// Nobody has looked yet, or too much has changed to be listed.
    Anything,
}

impl InterestLogs {
    pub fn watch(&self) -> Arc<InterestLog> {
        let log = Arc::new(InterestLog {
            changed: Mutex::new(Changed::Anything),
            watcher: AtomicWaker::new(),
        });
        let mut logs = lock(&self.logs);
        logs.retain(|log| log.strong_count() > 0);
        logs.push(Arc::downgrade(&log));
        // Before the watcher looks for the first time, so no later change goes unnoted.
        self.is_watched.store(true, Ordering::SeqCst);
        log
    }

    /// Notes that subscriptions have come or gone: after that, and under no lock.
    pub fn note<'w>(&self, wants: impl IntoIterator<Item = &'w Want>) {
        if !self.is_watched.load(Ordering::SeqCst) {
            return;
        }
        let logs: Vec<_> = lock(&self.logs).iter().filter_map(Weak::upgrade).collect();
        for want in wants {
            logs.iter().for_each(|log| log.note(want));
        }
        logs.iter().for_each(|log| log.watcher.wake());
    }
}

impl InterestLog {
    pub fn register(&self, waker: &Waker) {
        self.watcher.register(waker);
    }

    pub fn has_changed(&self) -> bool {
        match &*lock(&self.changed) {
            Changed::These(keys) => !keys.is_empty(),
            Changed::Anything => true,
        }
    }

    pub fn take(&self) -> Changed {
        std::mem::replace(&mut *lock(&self.changed), Changed::These(HashSet::new()))
    }

    fn note(&self, want: &Want) {
        let mut changed = lock(&self.changed);
        let Changed::These(keys) = &mut *changed else { return };
        keys.insert(want.key());
        if keys.len() > INTEREST_CHANGES_MAX {
            *changed = Changed::Anything;
        }
    }
}

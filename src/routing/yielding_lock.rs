//! A lock that its holder can pass on.
//!
//! A thread that releases a standard lock and takes it again at once nearly always gets it, since
//! those that wait have yet to wake up. So long work in turns would keep them waiting to its end.

use crate::limits::LET_IN_MAX;
use crate::sync::{read, write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::thread;
use std::time::Instant;

pub(crate) struct YieldingLock<T> {
    lock: RwLock<T>,
    waiting: AtomicUsize,
}

impl<T> YieldingLock<T> {
    pub fn new(value: T) -> Self {
        Self { lock: RwLock::new(value), waiting: AtomicUsize::new(0) }
    }

    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = read(&self.lock);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        guard
    }

    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let guard = write(&self.lock);
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        guard
    }

    /// Returns once nobody waits, or after a while. The caller must not hold the lock.
    pub fn let_others_in(&self) {
        if self.waiting.load(Ordering::Relaxed) == 0 {
            return;
        }
        let began = Instant::now();
        while self.waiting.load(Ordering::Relaxed) > 0 && began.elapsed() < LET_IN_MAX {
            thread::yield_now();
        }
    }
}

//! The core's atomics and locks.
//!
//! The pieces with an atomic protocol of their own (reader slots, credit, allowances) take their
//! atomics from here: loom's when the models run (`--cfg fanfare_loom`), the standard library's
//! otherwise.

#[cfg(not(fanfare_loom))]
use crate::limits::BUSY_LOOKS;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

#[cfg(fanfare_loom)]
pub(crate) use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(fanfare_loom))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

#[cfg(fanfare_loom)]
pub(crate) use loom::sync::{Mutex as ModelMutex, MutexGuard as ModelGuard};
#[cfg(not(fanfare_loom))]
pub(crate) use std::sync::{Mutex as ModelMutex, MutexGuard as ModelGuard};

/// Stands between a sequentially consistent write and a sequentially consistent read of something
/// else.
///
/// The memory model orders the two already, so outside loom this is nothing. Loom treats
/// sequentially consistent accesses as acquire and release only, and needs the fence to see the
/// order.
#[inline(always)]
pub(crate) fn write_before_read() {
    #[cfg(fanfare_loom)]
    fence(Ordering::SeqCst);
}

/// Waits between two looks at another thread that is about to be done. `looks` counts those before.
#[cold]
pub(crate) fn wait_a_moment(looks: u32) {
    #[cfg(fanfare_loom)]
    {
        let _ = looks;
        loom::thread::yield_now();
    }
    #[cfg(not(fanfare_loom))]
    match looks {
        ..BUSY_LOOKS => std::hint::spin_loop(),
        _ => std::thread::yield_now(),
    }
}

// Locks without poison: nothing of ours panics while it holds one, and foreign code never runs
// under one.

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn read<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn write<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// As [`lock`], for a mutex that models can see.
pub(crate) fn lock_model<T>(mutex: &ModelMutex<T>) -> ModelGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

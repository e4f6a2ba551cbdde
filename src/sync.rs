//! The atomics of the core: loom's when the models run (`--cfg fanfare_loom`), the standard
//! library's otherwise.
//!
//! Only the pieces with an atomic protocol of their own ([`seat`](super::seat),
//! [`credit`](super::credit), [`membership`](super::membership)) use this.

#[cfg(fanfare_loom)]
pub(super) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(fanfare_loom))]
pub(super) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Stands between a sequentially consistent write and a sequentially consistent read of something
/// else.
///
/// The memory model orders the two already, so outside loom this is nothing. Loom treats
/// sequentially consistent accesses as acquire and release only, and needs the fence to see the
/// order.
#[inline(always)]
pub(super) fn write_before_read() {
    #[cfg(fanfare_loom)]
    fence(Ordering::SeqCst);
}

//! The atomics of the core: loom's when the models run (`--cfg fanfare_loom`), the standard
//! library's otherwise.
//!
//! Only the pieces with an atomic protocol of their own ([`seat`](super::seat),
//! [`credit`](super::credit), [`bell`](super::bell), [`membership`](super::membership)) use this.

#[cfg(not(fanfare_loom))]
pub(super) use atomic_waker::AtomicWaker;
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

/// Loom's, under the names of the real one.
#[cfg(fanfare_loom)]
pub(super) struct AtomicWaker(loom::future::AtomicWaker);

#[cfg(fanfare_loom)]
impl AtomicWaker {
    pub fn new() -> Self {
        Self(loom::future::AtomicWaker::new())
    }

    pub fn register(&self, waker: &std::task::Waker) {
        self.0.register_by_ref(waker);
    }

    pub fn wake(&self) {
        self.0.wake();
    }

    pub fn take(&self) -> Option<std::task::Waker> {
        self.0.take_waker()
    }
}

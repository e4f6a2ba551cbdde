//! Work that must wait until the locks are released.

use crate::log::Segment;
use std::sync::Arc;
use std::task::Waker;

/// Waking a task and dropping a payload both run foreign code, which may call the broker again.
/// Under a lock they are noted here, and [`run`](Self::run) does them once it is released.
pub(crate) struct Deferred<M> {
    pub wakers: Vec<Waker>,
    pub segments: Vec<Arc<Segment<M>>>,
}

impl<M> Deferred<M> {
    pub fn new() -> Self {
        Self { wakers: Vec::new(), segments: Vec::new() }
    }

    pub fn wake(&mut self, waker: Option<Waker>) {
        self.wakers.extend(waker);
    }

    /// Wakes and drops. No lock may be held.
    #[inline]
    pub fn run(&mut self) {
        if !self.wakers.is_empty() || !self.segments.is_empty() {
            self.wake_all();
            self.segments.clear();
        }
    }

    pub fn wake_all(&mut self) {
        self.wakers.drain(..).for_each(Waker::wake);
    }
}

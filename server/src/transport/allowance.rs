//! A budget for what all connections together may read before memory is measured again.

use crate::limits::MEMORY_READ_BYTES_MIN;
use crate::tasks::{Wait, waiting};
use atomic_waker::AtomicWaker;
use event_listener::{Event, EventListener};
use futures_lite::ready;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll};

/// Bytes that may still be read. All connections spend it, and the memory watch grants it. So
/// memory stays bounded between two measurements, however fast peers send.
pub struct ReadAllowance {
    left_bytes: AtomicI64,
    granted: Event,
    /// The task that grants more, waiting until this is spent.
    spent: AtomicWaker,
}

impl ReadAllowance {
    /// Sets what may be read from now on.
    pub fn grant(&self, bytes: u64) {
        self.left_bytes.store(i64::try_from(bytes).unwrap_or(i64::MAX), Ordering::SeqCst);
        self.granted.notify(usize::MAX);
    }

    /// Waits until it is spent. Only one task may wait for that.
    pub fn poll_spent(&self, context: &mut Context<'_>) -> Poll<()> {
        // Registered before looking: whoever spends the rest in between wakes us.
        self.spent.register(context.waker());
        if self.is_spent() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits until something may be read. Cancel safe.
    pub(super) async fn available(&self) {
        let mut granted = None;
        let available = poll_fn(|context| self.poll_available(&mut granted, context));
        waiting(Wait::fixed("memory"), available).await;
    }

    /// [`available`](Self::available) for hand-written futures, which keep `granted` while they
    /// wait.
    pub(super) fn poll_available(
        &self,
        granted: &mut Option<EventListener>,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        while self.is_spent() {
            match granted {
                // Check again: from here on a grant cannot be missed.
                None => *granted = Some(self.granted.listen()),
                Some(listener) => {
                    ready!(Pin::new(listener).poll(context));
                    *granted = None;
                }
            }
        }
        *granted = None;
        Poll::Ready(())
    }

    /// How much of `bytes` one read may bring.
    pub(super) fn limit(&self, bytes: usize) -> usize {
        let left_bytes = u64::try_from(self.left_bytes.load(Ordering::Relaxed)).unwrap_or(0);
        let most_bytes = left_bytes.max(MEMORY_READ_BYTES_MIN);
        bytes.min(usize::try_from(most_bytes).unwrap_or(usize::MAX))
    }

    /// Counts what was read. The last read may go beyond the allowance.
    pub(super) fn spend(&self, bytes: usize) {
        let bytes = bytes as i64;
        let before_bytes = self.left_bytes.fetch_sub(bytes, Ordering::SeqCst);
        if before_bytes > 0 && before_bytes <= bytes {
            self.spent.wake();
        }
    }

    fn is_spent(&self) -> bool {
        self.left_bytes.load(Ordering::SeqCst) <= 0
    }
}

/// Effectively unlimited, for programs without a memory watch.
impl Default for ReadAllowance {
    fn default() -> Self {
        let left_bytes = AtomicI64::new(i64::MAX);
        Self { left_bytes, granted: Event::new(), spent: AtomicWaker::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use testkit::broker::{Woken, poll_once};

    #[test]
    fn readers_wait_once_it_is_spent_until_more_is_granted() {
        let allowance = ReadAllowance::default();
        let (woken, waker) = Woken::new();
        let mut context = Context::from_waker(&waker);
        allowance.grant(100);
        allowance.spend(99);
        assert!(allowance.poll_spent(&mut context).is_pending());
        assert!(poll_once(pin!(allowance.available())).is_ready());
        assert_eq!(allowance.limit(1 << 20) as u64, MEMORY_READ_BYTES_MIN);
        allowance.spend(70);
        assert!(woken.take() && allowance.poll_spent(&mut context).is_ready());
        let mut reader = pin!(allowance.available());
        assert!(poll_once(reader.as_mut()).is_pending());
        allowance.grant(1);
        assert!(poll_once(reader).is_ready());
    }
}

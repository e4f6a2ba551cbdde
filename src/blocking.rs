//! Waiting by blocking the thread.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;

/// Runs a future on this thread.
///
/// Before the thread sleeps it lets others run: a publisher then fills the queue that this thread
/// found empty, and many messages cost one wake-up. Until it sleeps its waker does nothing, so
/// nobody pays for waking it. To let others run more than once brings nothing more.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        return output;
    }
    thread::yield_now();
    futures_lite::future::block_on(future)
}

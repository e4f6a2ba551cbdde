//! Waiting by blocking the thread.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::thread;

/// How often a thread that has to wait gives up the processor before it sleeps. More often brings
/// nothing more.
const YIELDS: u32 = 1;

/// Runs a future on this thread.
///
/// Before the thread sleeps it lets others run: a publisher then fills the queue that this thread
/// found empty, and many messages cost one wake-up. Until it sleeps its waker does nothing, so
/// nobody pays for waking it.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..YIELDS {
        match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::yield_now(),
        }
    }
    futures_lite::future::block_on(future)
}

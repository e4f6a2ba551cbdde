//! Waiting until closed subscriptions have received what is queued for them.

use crate::queue::Queue;
use crate::shared::Shared;
use crate::stats::Drained;
use async_io::Timer;
use futures_lite::future;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Waits until each of these closed queues is drained, and ends those that are not at the deadline.
/// With each comes what it had received when it was closed.
pub(crate) async fn drain<M>(
    shared: &Shared<M>,
    queues: &[(Arc<Queue<M>>, u64)],
    deadline: Duration,
) -> Vec<Drained> {
    let until = Instant::now().checked_add(deadline);
    let drained = async {
        loop {
            let settled = shared.settled.listen();
            if queues.iter().all(|(queue, _)| queue.is_ended() || queue.is_drained()) {
                return;
            }
            settled.await;
        }
    };
    let out_of_time = async {
        let mut timer = Timer::never();
        if let Some(until) = until {
            timer.set_at(until);
        }
        timer.await;
    };
    future::or(drained, out_of_time).await;
    queues.iter().map(|(queue, before)| shared.settle(queue, *before)).collect()
}

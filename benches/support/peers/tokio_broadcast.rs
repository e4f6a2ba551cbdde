//! `tokio::sync::broadcast` on tokio's multi-thread runtime.
//!
//! It has no back-pressure: a publisher that overruns the ring makes every reader lose messages.
//! The publishers here use its natural means against that: they look at `Sender::len`, once for
//! every burst, and yield while the ring has no room for a burst of each. A stuck receiver keeps
//! `len` at the ring's capacity for ever, so then the pace is taken from the readers'
//! acknowledgements instead.

use super::Contender;
use crate::support::ledger::{Finish, Ledger};
use crate::support::load::{Load, Outcome};
use crate::support::message::RaceMessage;
use crate::support::publishing::{Course, Pacer, PublisherReport};
use std::sync::Arc;
use tokio::runtime::Builder;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, Sender, channel};
use tokio::task::yield_now;

const WORKER_THREADS: usize = 2;

pub struct TokioBroadcast;

impl Contender for TokioBroadcast {
    const NAME: &'static str = "tokio-broadcast";

    fn race<M: RaceMessage>(load: &Load, course: &Arc<Course>) -> Outcome {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKER_THREADS)
            .build()
            .expect("two threads can be had");
        runtime.block_on(race::<M>(*load, Arc::clone(course)))
    }
}

async fn race<M: RaceMessage>(load: Load, course: Arc<Course>) -> Outcome {
    let (sender, receiver) = channel::<M>(load.scenario.queue_messages);
    let stuck: Vec<_> = (0..load.scenario.stuck).map(|_| receiver.resubscribe()).collect();
    let readers: Vec<_> = (0..load.scenario.living())
        .map(|number| {
            let task = read(receiver.resubscribe(), load, Arc::clone(&course), number);
            tokio::spawn(course.reader(task))
        })
        .collect();
    drop(receiver);
    let publishers: Vec<_> = (0..load.scenario.publishers)
        .map(|number| tokio::spawn(publish(sender.clone(), load, Arc::clone(&course), number)))
        .collect();
    drop(sender);

    let publishers =
        publishers.into_iter().map(async |publisher| publisher.await.expect("a publisher ends"));
    let readers = readers.into_iter().map(async |reader| reader.await.expect("a reader ends"));
    let outcome = course.outcome(publishers, readers).await;
    drop(stuck);
    outcome
}

async fn publish<M: RaceMessage>(
    sender: Sender<M>,
    load: Load,
    course: Arc<Course>,
    number: usize,
) -> PublisherReport {
    let publishers = load.scenario.publishers;
    let capacity = load.scenario.queue_messages.next_power_of_two();
    // When every publisher's burst fits, all may begin theirs at once and none overruns.
    let burst = (capacity / (2 * publishers)).max(1);
    let fits = capacity - burst * publishers;
    let mut left_of_burst = 0;
    let mut pacer = Pacer::new(&course);
    while let Some(batch) = pacer.next_batch().await {
        for sequence in batch {
            if load.scenario.stuck > 0 {
                pacer.acknowledged(capacity as u64 / 2).await;
            } else if left_of_burst == 0 {
                while sender.len() > fits {
                    yield_now().await;
                }
                left_of_burst = burst;
            }
            left_of_burst = left_of_burst.saturating_sub(1);
            // It fails only if nobody is subscribed any more, which the readers' books would show.
            let _ = sender.send(M::new(number, sequence));
        }
        pacer.published();
    }
    pacer.report
}

async fn read<M: RaceMessage>(
    mut receiver: Receiver<M>,
    load: Load,
    course: Arc<Course>,
    number: usize,
) -> Finish {
    let mut ledger = Ledger::new(&load);
    while !ledger.is_complete() {
        match receiver.recv().await {
            Ok(message) => ledger.record(message.stamp(), course.progress(number)),
            // What was overwritten shows as a loss in the ledger.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => break,
        }
    }
    ledger.finish()
}

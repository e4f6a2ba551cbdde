//! `async-broadcast` on the executor of its own family.
//!
//! A full channel makes its senders wait: lossless by itself. With stuck receivers that would be
//! for ever, so then the channel overwrites its oldest message instead, and the pace is taken from
//! the readers' acknowledgements.

use super::Contender;
use crate::support::crew::{self, Crew};
use crate::support::ledger::{Finish, Ledger};
use crate::support::load::{Load, Outcome};
use crate::support::message::RaceMessage;
use crate::support::publishing::{Course, Pacer, PublisherReport};
use async_broadcast::{Receiver, RecvError, Sender, TrySendError, broadcast};
use std::iter::repeat_n;
use std::sync::Arc;

pub struct AsyncBroadcast;

impl Contender for AsyncBroadcast {
    const NAME: &'static str = "async-broadcast";

    fn race<M: RaceMessage>(load: &Load, course: &Arc<Course>) -> Outcome {
        crew::race(load, course, race::<M>)
    }
}

async fn race<M: RaceMessage>(mut crew: Crew) -> Outcome {
    let scenario = crew.scenario();
    let (mut sender, receiver) = broadcast::<M>(scenario.queue_messages);
    sender.set_overflow(scenario.stuck > 0);
    let mut receivers = repeat_n(receiver, scenario.subscribers);
    let stuck: Vec<_> = receivers.by_ref().take(scenario.stuck).collect();
    crew.read(receivers, read);
    crew.publish(repeat_n(sender, scenario.publishers), publish);
    crew.outcome(stuck).await
}

async fn publish<M: RaceMessage>(
    sender: Sender<M>,
    load: Load,
    course: Arc<Course>,
    number: usize,
) -> PublisherReport {
    let mut pacer = Pacer::new(&course);
    while let Some(batch) = pacer.next_batch().await {
        for sequence in batch {
            if load.scenario.stuck > 0 {
                pacer.acknowledged(load.scenario.queue_messages as u64 / 2).await;
            }
            // The future of a waiting send is made only when it is needed.
            if let Err(TrySendError::Full(message)) = sender.try_broadcast(M::new(number, sequence))
            {
                let _ = sender.broadcast_direct(message).await;
            }
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
        match receiver.recv_direct().await {
            Ok(message) => ledger.record(message.stamp(), course.progress(number)),
            // What was overwritten shows as a loss in the ledger.
            Err(RecvError::Overflowed(_)) => {}
            Err(RecvError::Closed) => break,
        }
    }
    ledger.finish()
}

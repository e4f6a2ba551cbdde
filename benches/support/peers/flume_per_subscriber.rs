//! Plain flume: a bounded queue for each subscriber, filled one after another.
//!
//! A batch is put into one queue whole before the next, as anybody would who has it at hand. A full
//! queue is waited for: lossless. With stuck subscribers that would be for ever, so then a full
//! queue is passed over, and the pace is taken from the readers' acknowledgements.

#![expect(
    clippy::disallowed_methods,
    reason = "flume's futures are what is measured here; each is awaited to its end"
)]

use super::Contender;
use crate::support::crew::{self, Crew};
use crate::support::ledger::{Finish, Ledger};
use crate::support::load::{Load, Outcome};
use crate::support::message::RaceMessage;
use crate::support::publishing::{Course, Pacer, PublisherReport};
use flume::{Receiver, Sender, TrySendError, bounded};
use std::iter::repeat_n;
use std::sync::Arc;

pub struct FlumePerSubscriber;

impl Contender for FlumePerSubscriber {
    const NAME: &'static str = "flume";

    fn race<M: RaceMessage>(load: &Load, course: &Arc<Course>) -> Outcome {
        crew::race(load, course, race::<M>)
    }
}

async fn race<M: RaceMessage>(mut crew: Crew) -> Outcome {
    let scenario = crew.scenario();
    let (senders, receivers): (Vec<_>, Vec<_>) =
        (0..scenario.subscribers).map(|_| bounded::<M>(scenario.queue_messages)).unzip();
    let mut receivers = receivers.into_iter();
    crew.read(receivers.by_ref().take(scenario.living()), read);
    crew.publish(repeat_n(senders, scenario.publishers), publish);
    crew.outcome(receivers).await
}

async fn publish<M: RaceMessage>(
    senders: Vec<Sender<M>>,
    load: Load,
    course: Arc<Course>,
    number: usize,
) -> PublisherReport {
    let mut batch_messages = Vec::with_capacity(load.scenario.batch);
    let mut pacer = Pacer::new(&course);
    while let Some(batch) = pacer.next_batch().await {
        if load.scenario.stuck > 0 {
            pacer.acknowledged(load.scenario.queue_messages as u64 / 2).await;
        }
        batch_messages.extend(batch.map(|sequence| M::new(number, sequence)));
        for sender in &senders {
            for message in &batch_messages {
                match sender.try_send(message.clone()) {
                    Err(TrySendError::Full(message)) if load.scenario.stuck == 0 => {
                        let _ = sender.send_async(message).await;
                    }
                    // A stuck subscriber is passed over; a lost message would show in the ledger.
                    _ => {}
                }
            }
        }
        batch_messages.clear();
        pacer.published();
    }
    pacer.report
}

async fn read<M: RaceMessage>(
    receiver: Receiver<M>,
    load: Load,
    course: Arc<Course>,
    number: usize,
) -> Finish {
    let mut ledger = Ledger::new(&load);
    while !ledger.is_complete() {
        match receiver.recv_async().await {
            Ok(message) => ledger.record(message.stamp(), course.progress(number)),
            Err(_) => break,
        }
    }
    ledger.finish()
}

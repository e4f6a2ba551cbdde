//! Fanfare on the executor of smol and async-std, its readers walking runs of messages by
//! reference.
//!
//! Living subscribers are lossless (`WhenFull::Block`); stuck ones have the default policy, which
//! waits 5 ms for them once and then no more. Every receipt and every reader's books are checked.

use super::Contender;
use crate::support::crew::{self, Crew};
use crate::support::ledger::{Finish, Ledger};
use crate::support::load::{Load, Outcome};
use crate::support::message::RaceMessage;
use crate::support::publishing::{Course, Pacer, PublisherReport};
use fanfare::{BatchDelivery, Broker, Pattern, Publisher, Receipt, Subscription, Topic, WhenFull};
use std::sync::Arc;

pub struct Fanfare;

impl Contender for Fanfare {
    const NAME: &'static str = "fanfare";

    fn race<M: RaceMessage>(load: &Load, course: &Arc<Course>) -> Outcome {
        crew::race(load, course, race::<M>)
    }
}

async fn race<M: RaceMessage>(mut crew: Crew) -> Outcome {
    let scenario = crew.scenario();
    let topic = Topic::parse("race.fan.out").expect("a valid topic");
    let pattern = Pattern::from(&topic);
    let broker = Broker::<M>::builder()
        .queue_messages(scenario.queue_messages)
        // Not less than the peers have, which know no bound in bytes.
        .queue_bytes(scenario.queue_messages * M::BYTES)
        .build();
    let stuck: Vec<_> = (0..scenario.stuck)
        .map(|_| broker.subscribe(&pattern).expect("room for a subscription"))
        .collect();
    let lossless = || broker.subscription(&pattern).when_full(WhenFull::Block).subscribe();
    crew.read((0..scenario.living()).map(|_| lossless().expect("room for a subscription")), read);
    let publishers = (0..scenario.publishers).map(|_| (broker.publisher(), topic.clone()));
    crew.publish(publishers, publish);
    // The readers end when the last publisher is gone.
    drop(broker);
    crew.outcome(stuck).await
}

async fn publish<M: RaceMessage>(
    (mut publisher, topic): (Publisher<M>, Topic),
    load: Load,
    course: Arc<Course>,
    number: usize,
) -> PublisherReport {
    let mut total = Receipt::default();
    let mut batch_messages = Vec::with_capacity(load.scenario.batch);
    let mut pacer = Pacer::new(&course);
    while let Some(batch) = pacer.next_batch().await {
        let receipt = if load.scenario.batch == 1 {
            publisher.publish(&topic, M::new(number, batch.start)).await.ok()
        } else {
            batch_messages.extend(batch.map(|sequence| M::new(number, sequence)));
            publisher.publish_batch(&topic, &mut batch_messages).await.ok()
        };
        let receipt = receipt.expect("the broker is open while a publisher lives");
        pacer.report.waited += u64::from(receipt.waited > 0);
        total.matched += receipt.matched;
        total.queued += receipt.queued;
        total.dropped += receipt.dropped;
        total.disconnected += receipt.disconnected;
        pacer.published();
    }
    check_receipts(&total, &load);
    pacer.report
}

fn check_receipts(total: &Receipt, load: &Load) {
    let published = load.warm_up + load.messages_each;
    let stuck = load.scenario.stuck as u64;
    // What a stuck queue cannot take is dropped, in the books, and nothing else is.
    let dropped = stuck * published.saturating_sub(load.scenario.queue_messages as u64);
    assert_eq!(
        total.matched,
        published * load.scenario.subscribers as u64,
        "everybody was matched"
    );
    assert_eq!(total.dropped, dropped, "only the stuck subscribers lose messages");
    assert_eq!(total.queued, total.matched - dropped, "all the rest is queued");
    assert_eq!(total.disconnected, 0, "nobody is disconnected");
}

async fn read<M: RaceMessage>(
    mut subscription: Subscription<M>,
    load: Load,
    course: Arc<Course>,
    number: usize,
) -> Finish {
    let mut ledger = Ledger::new(&load);
    while !ledger.is_complete() {
        match subscription.recv_batch().await {
            Some(BatchDelivery::Batch(run)) => {
                for message in run.iter() {
                    ledger.record(message.stamp(), course.progress(number));
                }
            }
            // What was missed shows as a loss in the ledger.
            Some(BatchDelivery::Missed(_)) => {}
            None => break,
        }
    }
    let finish = ledger.finish();
    let books = subscription.books();
    assert_eq!(books.offered, books.received + books.queued + books.dropped, "the books balance");
    assert_eq!(books.received, finish.received, "the books say what was read");
    finish
}

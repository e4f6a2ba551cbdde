//! Fanfare, its readers taking one message at a time, lent or to keep, or batches of them.
//!
//! Living subscribers are lossless (`WhenFull::Block`). Stuck ones have the default policy, which
//! waits 5 ms for them once and then no more. Every receipt and every reader's books are checked.

use super::{Ends, Message, Peer};
use crate::scenario::Scenario;
use fanfare::{
    BatchDelivery, Broker, Delivery, Pattern, Receipt, Received, Subscription, Topic, WhenFull,
};

/// The form in which a reader takes messages: lent, to keep, or in a batch.
pub const LENT: u8 = 0;
pub const OWNED: u8 = 1;
pub const BATCH: u8 = 2;

/// Ours, reading in one of these ways.
pub struct Fanfare<const READING: u8>;

pub struct Publisher<M: Message> {
    publisher: fanfare::Publisher<M>,
    topic: Topic,
    stuck: u64,
}

impl<const READING: u8> Peer for Fanfare<READING> {
    const NAME: &'static str = match READING {
        LENT => "fanfare",
        OWNED => "fanfare-owned",
        _ => "fanfare-batch",
    };
    const CRATE: &'static str = "fanfare";

    type Publisher<M: Message> = Publisher<M>;
    type Reader<M: Message> = Subscription<M>;

    fn open<M: Message>(scenario: &Scenario) -> Ends<Self, M> {
        let topic = Topic::parse("race.fan.out").expect("a valid topic");
        let pattern = Pattern::from(&topic);
        let broker = Broker::builder().queue_messages(scenario.queue_messages).build();
        let readers = (0..scenario.subscribers).map(|number| {
            let is_stuck = number >= scenario.living();
            let when_full = if is_stuck { WhenFull::default() } else { WhenFull::Block };
            let subscription = broker.subscription(&pattern).when_full(when_full).subscribe();
            subscription.expect("room for a subscription")
        });
        let readers = readers.collect();
        let publisher = |_| Publisher {
            publisher: broker.publisher(),
            topic: topic.clone(),
            stuck: scenario.stuck as u64,
        };
        ((0..scenario.publishers).map(publisher).collect(), readers)
    }

    async fn publish<M: Message>(publisher: &mut Publisher<M>, message: M, blocks: bool) {
        let Publisher { publisher, topic, stuck } = publisher;
        match blocks {
            true => check_receipt(publisher.publish_blocking(topic, message), *stuck),
            false => check_receipt(publisher.publish(topic, message).await, *stuck),
        }
    }

    async fn publish_batch<M: Message>(
        publisher: &mut Publisher<M>,
        messages: &mut Vec<M>,
        blocks: bool,
    ) {
        let Publisher { publisher, topic, stuck } = publisher;
        let dropped_most = *stuck * messages.len() as u64;
        let receipt = match blocks {
            true => publisher.publish_batch_blocking(topic, messages),
            false => publisher.publish_batch(topic, messages).await,
        };
        check_receipt(receipt, dropped_most);
    }

    async fn read<M: Message>(
        reader: &mut Subscription<M>,
        blocks: bool,
        see: &mut (impl FnMut(&M) + Send),
    ) -> bool {
        match (READING, blocks) {
            (BATCH, true) => see_batch(reader.recv_batch_blocking(), see),
            (BATCH, false) => see_batch(reader.recv_batch().await, see),
            (OWNED, true) => see_owned(reader.recv_blocking(), see),
            (OWNED, false) => see_owned(reader.recv().await, see),
            (_, true) => see_lent(reader.recv_blocking(), see),
            (_, false) => see_lent(reader.recv().await, see),
        }
    }

    fn check<M: Message>(reader: &Subscription<M>, received: u64) {
        let books = reader.books();
        assert_eq!(books.offered, books.received + books.queued + books.dropped, "books balance");
        assert_eq!(books.received, received, "the books say what was read");
    }
}

fn check_receipt<E>(receipt: Result<Receipt, E>, dropped_most: u64) {
    match receipt {
        Ok(receipt) if receipt.dropped <= dropped_most && receipt.disconnected == 0 => {}
        Ok(receipt) => panic!("only the stuck miss messages: {receipt:?}"),
        Err(_) => panic!("the broker is open"),
    }
}

// Missed messages show as a loss in the ledger. Inlined, since programs look at a delivery where
// they await it.

#[inline(always)]
fn see_lent<M>(delivery: Option<Delivery<Received<'_, M>>>, see: &mut impl FnMut(&M)) -> bool {
    match delivery {
        Some(Delivery::Message(message)) => see(&message),
        Some(Delivery::Missed(_)) => {}
        None => return false,
    }
    true
}

#[inline(always)]
fn see_owned<M>(delivery: Option<Delivery<Received<'_, M>>>, see: &mut impl FnMut(&M)) -> bool {
    match delivery {
        Some(Delivery::Message(message)) => see(&message.to_message()),
        Some(Delivery::Missed(_)) => {}
        None => return false,
    }
    true
}

fn see_batch<M: Message>(delivery: Option<BatchDelivery<M>>, see: &mut impl FnMut(&M)) -> bool {
    if let Some(BatchDelivery::Batch(batch)) = &delivery {
        batch.iter().for_each(see);
    }
    delivery.is_some()
}

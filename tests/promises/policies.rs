//! Promise 6: what happens when a queue is full is the subscription's choice.

use fanfare::limits::{DROPPING_PUBLISHES_PER_TURN, DROPPING_PUBLISHES_PER_TURN_MAX};
use fanfare::{Broker, Delivery, EndReason, Receipt, TryPublishError, TryRecvError, WhenFull};
use futures_lite::future::zip;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::thread;
use std::time::Duration;
use testkit::broker::{
    FOREVER, Full, Got, Loads, Woken, assert_books, at_once, block_on, bounded, full, numbers,
    pattern, poll_once, take_all, topic, watched,
};

const AT_ONCE: WhenFull = WhenFull::Disconnect { after: Duration::ZERO };

#[test]
fn wait_waits_for_room() {
    let Full { mut subscription, mut publisher, loads, to, .. } = full(WhenFull::Wait(FOREVER));
    let (woken, waker) = Woken::new();
    let mut publish = pin!(publisher.publish(&to, loads.light(1)));
    assert!(publish.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_books(&subscription, 0, 1, 0); // what is waited for is not offered yet
    assert!(subscription.try_recv().is_ok());
    assert!(woken.take(), "room wakes the publisher");
    assert_eq!(
        at_once(publish),
        Ok(Receipt { matched: 1, queued: 1, waited: 1, ..Receipt::default() })
    );
    assert_eq!(take_all(&mut subscription), numbers(1..2));
}

#[test]
fn block_is_lossless() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = topic("t");
    let mut subscription = bounded(&broker, "t", 1, WhenFull::Block);
    let mut publisher = broker.publisher();
    let mut read = Vec::new();
    for number in 0..100 {
        let mut publish = pin!(publisher.publish(&to, loads.light(number)));
        if poll_once(publish.as_mut()).is_pending() {
            for _ in 0..10 {
                assert!(poll_once(publish.as_mut()).is_pending());
            }
            match subscription.try_recv() {
                Ok(Delivery::Message(message)) => read.push(Got::Number(message.number)),
                other => panic!("{:?}", other.err()),
            }
            assert_eq!(at_once(publish).unwrap().waited, 1);
        }
    }
    read.extend(take_all(&mut subscription));
    assert_eq!(read, numbers(0..100));
    assert_books(&subscription, 100, 0, 0);
}

#[test]
fn block_ends_with_the_subscription() {
    let Full { subscription, mut publisher, loads, to, .. } = full(WhenFull::Block);
    let (woken, waker) = Woken::new();
    {
        let mut publish = pin!(publisher.publish(&to, loads.light(1)));
        assert!(publish.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(subscription);
        assert!(woken.take(), "its end wakes the publisher");
        assert_eq!(
            at_once(publish),
            Ok(Receipt { matched: 1, waited: 1, disconnected: 1, ..Receipt::default() })
        );
    }
    assert_eq!(loads.alive(), 0);
    assert_eq!(at_once(publisher.publish(&to, loads.light(2))), Ok(Receipt::default()));
}

#[test]
fn publish_blocking_waits_too() {
    watched(|| {
        let broker = Broker::new();
        let loads = Loads::new();
        let mut subscription = bounded(&broker, "t", 1, WhenFull::Block);
        let mut publisher = broker.publisher();
        let writer = thread::spawn(move || {
            let single = publisher.publish_blocking(&topic("t"), loads.light(0)).unwrap();
            let batch =
                publisher.publish_batch_blocking(&topic("t"), &mut loads.batch(1..5)).unwrap();
            (single.queued, batch.queued)
        });
        for number in 0..5 {
            let delivery = subscription.recv_blocking();
            assert!(
                matches!(delivery, Some(Delivery::Message(message)) if message.number == number)
            );
        }
        assert_eq!(writer.join().unwrap(), (1, 4));
    });
}

#[test]
fn disconnect_ends_it_at_once_and_frees_its_queue() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 2, AT_ONCE);
    let watch = subscription.watch();
    let mut publisher = broker.publisher();
    for number in 0..2 {
        let _ = at_once(publisher.publish(&topic("t"), loads.light(number))).unwrap();
    }
    assert_eq!(loads.alive(), 2);
    let receipt = at_once(publisher.publish(&topic("t"), loads.light(2))).unwrap();
    assert_eq!(
        (receipt.matched, receipt.queued, receipt.dropped, receipt.disconnected),
        (1, 0, 0, 1)
    );
    assert_eq!(loads.alive(), 0, "freed at once, though its receiver has not looked");
    assert_eq!(watch.end_reason(), Some(EndReason::Disconnected));
    assert_eq!(
        at_once(publisher.publish(&topic("t"), loads.light(3))),
        Ok(Receipt::default()),
        "nobody is there"
    );
    assert_eq!(broker.subscription_stats().len(), 0);
    assert!(at_once(subscription.recv()).is_none());
    assert_eq!(subscription.try_recv().err(), Some(TryRecvError::Ended));
    assert_eq!(subscription.end_reason(), Some(EndReason::Disconnected));
    // What found it full is in the receipt as disconnected, not in the books.
    assert_books(&subscription, 0, 0, 2);
}

#[test]
fn disconnect_wakes_whoever_waits_to_receive() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 1, AT_ONCE);
    let (woken, waker) = Woken::new();
    assert!(subscription.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    let mut publisher = broker.publisher();
    let _ = publisher.try_publish_batch(&topic("t"), &mut loads.batch(0..5)).unwrap();
    assert!(woken.take());
    assert!(at_once(subscription.recv()).is_none());
}

#[test]
fn disconnect_after_a_wait() {
    let broker = Broker::new();
    let loads = Loads::new();
    let after = Duration::from_millis(1);
    let mut subscription = bounded(&broker, "t", 1, WhenFull::Disconnect { after });
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
    let receipt = block_on(publisher.publish(&topic("t"), loads.light(1))).unwrap();
    assert_eq!(receipt, Receipt { matched: 1, waited: 1, disconnected: 1, ..Receipt::default() });
    assert!(at_once(subscription.recv()).is_none());
    assert_eq!(subscription.end_reason(), Some(EndReason::Disconnected));
    assert_books(&subscription, 0, 0, 1);
    assert_eq!(loads.alive(), 0);
}

#[test]
fn disconnect_is_averted_by_room() {
    let Full { mut subscription, mut publisher, loads, to, .. } =
        full(WhenFull::Disconnect { after: FOREVER });
    let mut publish = pin!(publisher.publish(&to, loads.light(1)));
    assert!(poll_once(publish.as_mut()).is_pending());
    assert!(subscription.try_recv().is_ok());
    assert_eq!(
        at_once(publish),
        Ok(Receipt { matched: 1, queued: 1, waited: 1, ..Receipt::default() })
    );
    assert_eq!(subscription.end_reason(), None);
}

#[test]
fn try_publish_disconnects_at_once_whatever_the_patience() {
    let Full { subscription, mut publisher, loads, to, .. } =
        full(WhenFull::Disconnect { after: FOREVER });
    let receipt = publisher.try_publish(&to, loads.light(1)).unwrap();
    assert_eq!(receipt, Receipt { matched: 1, disconnected: 1, ..Receipt::default() });
    assert_eq!(subscription.end_reason(), Some(EndReason::Disconnected));
}

#[test]
fn try_publish_drops_where_it_could_have_waited_and_that_is_no_offence() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 1, WhenFull::Wait(FOREVER));
    let mut publisher = broker.publisher();
    let _ = publisher.try_publish(&topic("t"), loads.light(0)).unwrap();
    let receipt = publisher.try_publish(&topic("t"), loads.light(1)).unwrap();
    assert_eq!(receipt, Receipt { matched: 1, dropped: 1, ..Receipt::default() });
    assert!(!subscription.stats().on_probation);
    assert_eq!(take_all(&mut subscription), [Got::Number(0), Got::Missed(1)]);
}

#[test]
fn try_publish_gives_the_message_back_when_a_lossless_one_is_full() {
    let broker = Broker::new();
    let loads = Loads::new();
    let lossless = bounded(&broker, "t", 2, WhenFull::Block);
    let others = [WhenFull::DropNewest, WhenFull::DropOldest, AT_ONCE, WhenFull::Wait(FOREVER)];
    let mut others = others.map(|policy| bounded(&broker, "t", 2, policy));
    let mut publisher = broker.publisher();
    let _ = publisher.try_publish_batch(&topic("t"), &mut loads.batch(0..2)).unwrap();
    let refused = publisher.try_publish(&topic("t"), loads.light(2));
    assert!(matches!(refused, Err(TryPublishError::Full(load)) if load.number == 2));
    let mut batch = loads.batch(3..5);
    assert!(matches!(
        publisher.try_publish_batch(&topic("t"), &mut batch),
        Err(TryPublishError::Full(()))
    ));
    assert_eq!(batch.iter().map(|load| load.number).collect::<Vec<_>>(), [3, 4], "untouched");
    assert_books(&lossless, 0, 2, 0);
    for other in &mut others {
        assert_books(other, 0, 2, 0);
        assert_eq!(take_all(other), numbers(0..2), "nobody got it, nobody was disturbed");
    }
    // A batch for which there is room in part is not published in part.
    drop(lossless);
    let lossless = bounded(&broker, "t", 2, WhenFull::Block);
    let mut batch = loads.batch(5..8);
    assert!(matches!(
        publisher.try_publish_batch(&topic("t"), &mut batch),
        Err(TryPublishError::Full(()))
    ));
    assert_eq!(batch.len(), 3);
    assert_books(&lossless, 0, 0, 0);
}

/// What is too heavy for a lossless subscription is never delivered; the rest of its batch is, or
/// nothing of it.
#[test]
fn a_batch_with_something_too_heavy_is_still_all_or_nothing() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = pattern("t");
    let builder =
        broker.subscription(&to).queue_messages(2).queue_bytes(10).when_full(WhenFull::Block);
    let mut lossless = builder.subscribe().unwrap();
    let mut publisher = broker.publisher();
    // The rest fits.
    let mut batch = vec![loads.light(0), loads.make(0, 1, 11), loads.light(2)];
    let receipt = publisher.try_publish_batch(&topic("t"), &mut batch).unwrap();
    assert_eq!(receipt, Receipt { matched: 3, queued: 2, dropped: 1, ..Receipt::default() });
    // The rest does not fit.
    let mut batch = vec![loads.make(0, 3, 11), loads.light(4)];
    assert!(matches!(
        publisher.try_publish_batch(&topic("t"), &mut batch),
        Err(TryPublishError::Full(()))
    ));
    assert_eq!(batch.len(), 2, "untouched");
    assert_eq!(take_all(&mut lossless), [Got::Number(0), Got::Missed(1), Got::Number(2)]);
    assert_books(&lossless, 2, 0, 1);
}

#[test]
fn disconnect_frees_what_its_receiver_has_begun_to_read() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 2, AT_ONCE);
    let mut publisher = broker.publisher();
    let to = topic("t");
    for number in 0..10 {
        let _ = at_once(publisher.publish(&to, loads.light(number))).unwrap();
        assert!(subscription.try_recv().is_ok());
    }
    for number in 10..13 {
        let _ = at_once(publisher.publish(&to, loads.light(number))).unwrap();
    }
    assert_eq!(subscription.end_reason(), Some(EndReason::Disconnected));
    assert_eq!(loads.alive(), 0, "freed at once, though its receiver has not looked");
}

#[test]
fn drop_oldest_batches_end_with_the_newest_that_fit() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 3, WhenFull::DropOldest);
    let mut publisher = broker.publisher();
    let _ = publisher.try_publish_batch(&topic("t"), &mut loads.batch(0..2)).unwrap();
    let _ = publisher.try_publish_batch(&topic("t"), &mut loads.batch(2..10)).unwrap();
    assert_books(&subscription, 0, 3, 7);
    assert_eq!(
        take_all(&mut subscription),
        [Got::Missed(7), Got::Number(7), Got::Number(8), Got::Number(9)]
    );
}

#[test]
fn a_publisher_that_drops_lets_a_receiver_of_its_thread_read() {
    const TURNS: u64 = 10;
    for when_full in [WhenFull::DropNewest, WhenFull::DropOldest] {
        let broker = Broker::new();
        let loads = Loads::new();
        let (mut subscription, to) = (bounded(&broker, "t", 1, when_full), topic("t"));
        let publish = async {
            let mut publisher = broker.publisher();
            for number in 0..(TURNS + 1) * u64::from(DROPPING_PUBLISHES_PER_TURN) {
                let _ = publisher.publish(&to, loads.light(number)).await.unwrap();
            }
            broker.close();
        };
        let receive = async {
            let mut received = 0;
            while let Some(delivery) = subscription.recv().await {
                received += u64::from(matches!(delivery, Delivery::Message(_)));
            }
            received
        };
        let ((), received) = block_on(zip(publish, receive));
        assert!(received >= TURNS, "{when_full:?}: {received}");
    }
}

/// Messages published while one receiver is stuck: how often the publisher gave others a turn, and
/// what a receiver of its thread got, if there is one.
fn turns_beside_a_stuck_one(publishes: u64, has_receiver: bool) -> (u64, u64) {
    let (broker, loads) = (Broker::new(), Loads::new());
    let stuck = bounded(&broker, "t", 1, WhenFull::DropNewest);
    let mut receiver = has_receiver.then(|| bounded(&broker, "t", 1, WhenFull::DropNewest));
    let (mut publisher, to) = (broker.publisher(), topic("t"));
    let (mut turns, mut received) = (0, 0);
    for number in 0..publishes {
        let mut publish = pin!(publisher.publish(&to, loads.light(number)));
        while publish.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending() {
            turns += 1;
            let got = receiver.as_mut().map(take_all).unwrap_or_default();
            received += got.iter().filter(|got| matches!(got, Got::Number(_))).count() as u64;
        }
    }
    assert_books(&stuck, 0, 1, publishes - 1);
    (turns, received)
}

#[test]
fn turns_that_help_nobody_become_rare() {
    let most = u64::from(DROPPING_PUBLISHES_PER_TURN_MAX);
    let (turns, _) = turns_beside_a_stuck_one(100 * most, false);
    assert!((100..110).contains(&turns), "{turns}");
}

#[test]
fn turns_that_help_one_beside_a_stuck_one_come_as_often_as_ever() {
    const TURNS: u64 = 100;
    let publishes = (TURNS + 1) * u64::from(DROPPING_PUBLISHES_PER_TURN + 1);
    let (turns, received) = turns_beside_a_stuck_one(publishes, true);
    assert!(turns >= TURNS && received >= TURNS, "{turns} turns, {received} received");
}

#[test]
fn a_publisher_that_has_waited_lets_receivers_of_its_thread_read_before_they_are_full() {
    const MESSAGES: u64 = 1000;
    let broker = Broker::new();
    let loads = Loads::new();
    let (mut subscription, to) = (bounded(&broker, "t", 16, WhenFull::Block), topic("t"));
    let publish = async {
        let mut publisher = broker.publisher();
        for number in 0..MESSAGES {
            let _ = publisher.publish(&to, loads.light(number)).await.unwrap();
        }
    };
    let receive = async {
        for _ in 0..MESSAGES {
            assert!(matches!(subscription.recv().await, Some(Delivery::Message(_))));
        }
    };
    block_on(zip(publish, receive));
    assert_eq!(broker.stats().waits, 1);
}

#[test]
fn drop_oldest_makes_no_more_room_than_is_needed() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = pattern("t");
    let builder = broker.subscription(&to).queue_bytes(10).when_full(WhenFull::DropOldest);
    let mut subscription = builder.subscribe().unwrap();
    let mut publisher = broker.publisher();
    for (number, weight) in [(0, 3), (1, 3), (2, 3), (3, 2)] {
        let _ = publisher.try_publish(&topic("t"), loads.make(0, number, weight)).unwrap();
    }
    assert_eq!(subscription.stats().queued_bytes, 8);
    let _ = publisher.try_publish(&topic("t"), loads.make(0, 4, 7)).unwrap();
    assert_eq!(subscription.stats().queued_bytes, 9);
    assert_eq!(take_all(&mut subscription), [Got::Missed(3), Got::Number(3), Got::Number(4)]);
}

/// One whom nobody reads keeps no more alive than its bound and the segments its newest messages
/// share.
#[test]
fn drop_oldest_without_a_reader_keeps_little_alive() {
    let broker = Broker::new();
    let loads = Loads::new();
    let subscription = bounded(&broker, "t", 4, WhenFull::DropOldest);
    let mut publisher = broker.publisher();
    let most = 4 + 2 * fanfare::limits::SEGMENT_MESSAGES_MAX;
    for number in 0..20_000 {
        let _ = publisher.try_publish(&topic("t"), loads.light(number)).unwrap();
        assert!(loads.alive() <= most, "{} alive after {number}", loads.alive());
    }
    assert_books(&subscription, 0, 4, 19_996);
    drop(subscription);
    assert_eq!(loads.alive(), 0);
}

/// The same with weight: heavy messages leave at once, whatever a segment may hold.
#[test]
fn drop_oldest_without_a_reader_keeps_few_heavy_ones_alive() {
    let broker = Broker::new();
    let loads = Loads::new();
    let _subscription = bounded(&broker, "t", 4, WhenFull::DropOldest);
    let mut publisher = broker.publisher();
    for number in 0..1000 {
        let _ = publisher
            .try_publish(&topic("t"), loads.make(0, number, fanfare::limits::SEGMENT_BYTES_MAX))
            .unwrap();
        assert!(loads.alive() <= 8, "{} alive", loads.alive());
    }
}

#[test]
fn no_echo() {
    let broker = Broker::<u64>::new();
    let (mine, yours) = (fanfare::Origin::unique(), fanfare::Origin::unique());
    assert_ne!(mine, yours);
    let to = pattern("t");
    let mut quiet = broker.subscription(&to).no_echo(mine).subscribe().unwrap();
    let mut all = broker.subscribe(&to).unwrap();
    for (publisher, number, matched) in [
        (&mut broker.publisher_as(mine), 1, 1),
        (&mut broker.publisher_as(yours), 2, 2),
        (&mut broker.publisher(), 3, 2),
    ] {
        assert_eq!(publisher.try_publish(&topic("t"), number).unwrap().matched, matched);
    }
    let drain = |subscription: &mut fanfare::Subscription<u64>| {
        let mut got: Vec<u64> = std::iter::from_fn(|| match subscription.try_recv() {
            Ok(Delivery::Message(message)) => Some(*message),
            _ => None,
        })
        .collect();
        got.sort();
        got
    };
    assert_eq!(drain(&mut quiet), [2, 3]);
    assert_eq!(drain(&mut all), [1, 2, 3]);
}

/// A payload that is shared is not copied for those who are slow.
#[test]
fn the_payload_is_never_copied() {
    let broker = Broker::<Arc<str>>::new();
    let payload: Arc<str> = "once".into();
    let mut subscriptions: Vec<_> =
        (0..10).map(|_| bounded(&broker, "t", 1, WhenFull::DropNewest)).collect();
    let mut publisher = broker.publisher();
    let _ = publisher.try_publish(&topic("t"), payload.clone()).unwrap();
    assert_eq!(Arc::strong_count(&payload), 2, "one segment for all ten queues");
    for subscription in &mut subscriptions {
        assert!(matches!(
            subscription.try_recv(),
            Ok(Delivery::Message(message)) if Arc::ptr_eq(&message, &payload)
        ));
    }
}

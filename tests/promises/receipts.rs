//! Promise 2: nothing is lost in silence. The publisher has a receipt, the subscriber `Missed` in
//! the place of the gap, and the books always balance.

use fanfare::{BatchDelivery, Broker, Delivery, EndReason, Receipt, WhenFull};
use std::time::Duration;
use testkit::broker::{
    FOREVER, Got, Loads, assert_books, at_once, bounded, numbers, pattern, take_all, take_all_runs,
    topic,
};

const AT_ONCE: WhenFull = WhenFull::Wait(Duration::ZERO);

#[test]
fn a_publish_that_matches_nobody_says_so() {
    let broker = Broker::<u64>::new();
    let _other = bounded(&broker, "other", 1, WhenFull::Block);
    let mut publisher = broker.publisher();
    assert_eq!(publisher.try_publish(&topic("t"), 1), Ok(Receipt::default()));
    assert_eq!(at_once(publisher.publish(&topic("t"), 1)), Ok(Receipt::default()));
    assert_eq!(publisher.publish_blocking(&topic("t"), 1), Ok(Receipt::default()));
}

#[test]
fn one_receipt_counts_every_subscription_by_its_policy() {
    let broker = Broker::<u64>::new();
    let policies = [
        WhenFull::DropNewest,
        WhenFull::DropOldest,
        AT_ONCE,
        WhenFull::Disconnect { after: Duration::ZERO },
    ];
    let subscriptions = policies.map(|policy| bounded(&broker, "t", 1, policy));
    let roomy = bounded(&broker, "t", 100, WhenFull::Block);
    let mut publisher = broker.publisher();
    let all_queued = Receipt { matched: 5, queued: 5, ..Receipt::default() };
    assert_eq!(publisher.try_publish(&topic("t"), 0), Ok(all_queued));
    let receipt = publisher.try_publish(&topic("t"), 1).unwrap();
    assert_eq!(
        receipt,
        Receipt { matched: 5, queued: 2, waited: 0, dropped: 2, disconnected: 1, remote: 0 }
    );
    let receipt = publisher.try_publish(&topic("t"), 2).unwrap();
    assert_eq!(
        receipt,
        Receipt { matched: 4, queued: 2, waited: 0, dropped: 2, disconnected: 0, remote: 0 }
    );
    assert_books(&subscriptions[0], 0, 1, 2);
    assert_books(&subscriptions[1], 0, 1, 2);
    assert_books(&subscriptions[2], 0, 1, 2);
    assert_books(&subscriptions[3], 0, 0, 1); // what found it full was not offered to it any more
    assert_books(&roomy, 0, 3, 0);
}

#[test]
fn a_gap_is_told_in_its_place() {
    for policy in [WhenFull::DropNewest, AT_ONCE] {
        let broker = Broker::new();
        let loads = Loads::new();
        let mut subscription = bounded(&broker, "t", 2, policy);
        let mut publisher = broker.publisher();
        let mut publish = |number| {
            let _ = publisher.try_publish(&topic("t"), loads.light(number)).unwrap();
        };
        (0..5).for_each(&mut publish);
        let first = subscription.try_recv();
        assert!(matches!(first, Ok(Delivery::Message(message)) if message.number == 0));
        (5..8).for_each(&mut publish);
        assert_eq!(
            take_all(&mut subscription),
            [Got::Number(1), Got::Missed(3), Got::Number(5), Got::Missed(2)]
        );
        assert_books(&subscription, 3, 0, 5);
        (8..10).for_each(&mut publish);
        assert_eq!(take_all(&mut subscription), numbers(8..10), "a gap is told once");
    }
}

#[test]
fn a_gap_at_the_end_is_told_although_nothing_follows() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 1, WhenFull::DropNewest);
    let mut publisher = broker.publisher();
    for number in 0..3 {
        let _ = publisher.try_publish(&topic("t"), loads.light(number)).unwrap();
    }
    assert_eq!(take_all(&mut subscription), [Got::Number(0), Got::Missed(2)]);
    assert!(subscription.try_recv().is_err());
}

#[test]
fn runs_stop_at_gaps() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 3, WhenFull::DropNewest);
    let mut publisher = broker.publisher();
    let _ = publisher.try_publish_batch(&topic("t"), &mut loads.batch(0..5)).unwrap();
    assert!(
        matches!(subscription.try_recv(), Ok(Delivery::Message(message)) if message.number == 0)
    );
    let _ = publisher.try_publish_batch(&topic("t"), &mut loads.batch(5..9)).unwrap();
    let Ok(BatchDelivery::Batch(run)) = subscription.try_recv_batch() else { panic!("a run") };
    assert!(run.iter().all(|load| load.number < 3), "a run has no hole");
    drop(run);
    let mut all = take_all_runs(&mut subscription);
    all.retain(|got| *got != Got::Number(2)); // the run above may have ended before it
    assert_eq!(all, [Got::Missed(2), Got::Number(5), Got::Missed(3)]);
}

#[test]
fn drop_oldest_tells_before_the_next_message() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 3, WhenFull::DropOldest);
    let mut publisher = broker.publisher();
    let mut publish = |range: std::ops::Range<u64>| {
        for number in range {
            let receipt = publisher.try_publish(&topic("t"), loads.light(number)).unwrap();
            assert_eq!((receipt.queued, receipt.dropped), (1, 0), "the newest always has room");
        }
    };
    publish(0..5);
    assert_books(&subscription, 0, 3, 2);
    let mut first = Vec::new();
    for _ in 0..2 {
        first.push(match subscription.try_recv().unwrap() {
            Delivery::Message(message) => Got::Number(message.number),
            Delivery::Missed(count) => Got::Missed(count),
        });
    }
    assert_eq!(first, [Got::Missed(2), Got::Number(2)]);
    publish(5..8);
    assert_eq!(
        take_all(&mut subscription),
        [Got::Missed(2), Got::Number(5), Got::Number(6), Got::Number(7)]
    );
    assert_books(&subscription, 4, 0, 4);
}

#[test]
fn a_message_too_heavy_is_refused_counted_and_never_waited_for() {
    for policy in [
        WhenFull::Wait(FOREVER),
        WhenFull::DropNewest,
        WhenFull::DropOldest,
        WhenFull::Disconnect { after: Duration::ZERO },
        WhenFull::Disconnect { after: FOREVER },
        WhenFull::Block,
    ] {
        let broker = Broker::new();
        let loads = Loads::new();
        let to = pattern("t");
        let builder =
            broker.subscription(&to).queue_messages(10).queue_bytes(100).when_full(policy);
        let mut subscription = builder.subscribe().unwrap();
        let mut publisher = broker.publisher();
        let refused = Receipt { matched: 1, dropped: 1, ..Receipt::default() };
        assert_eq!(
            at_once(publisher.publish(&topic("t"), loads.make(0, 0, 101))),
            Ok(refused),
            "{policy:?}"
        );
        assert_eq!(
            publisher.try_publish(&topic("t"), loads.make(0, 1, usize::MAX)),
            Ok(refused),
            "{policy:?}"
        );
        assert_eq!(take_all(&mut subscription), [Got::Missed(2)], "{policy:?}");
        // Among others of a batch, too, and with the queue full of others.
        let mut batch = vec![
            loads.make(0, 2, 50),
            loads.make(0, 3, 101),
            loads.make(0, 4, 50),
            loads.make(0, 5, 1000),
        ];
        let receipt = at_once(publisher.publish_batch(&topic("t"), &mut batch)).unwrap();
        assert_eq!(
            receipt,
            Receipt { matched: 4, queued: 2, dropped: 2, ..Receipt::default() },
            "{policy:?}"
        );
        assert_eq!(
            publisher.try_publish(&topic("t"), loads.make(0, 6, 101)),
            Ok(refused),
            "{policy:?}: nothing made room for it"
        );
        let all = take_all(&mut subscription);
        let told: u64 =
            all.iter().map(|got| if let Got::Missed(count) = got { *count } else { 0 }).sum();
        assert_eq!(told, 3, "{policy:?}");
        assert_eq!(all[..3], [Got::Number(2), Got::Missed(1), Got::Number(4)], "{policy:?}");
        assert_eq!(subscription.end_reason(), None, "{policy:?}");
        assert_eq!(subscription.stats().drops.too_heavy, 5, "{policy:?}");
        assert_books(&subscription, 2, 0, 5);
    }
}

#[test]
fn a_waiting_receiver_is_woken_by_a_gap_alone() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = pattern("t");
    let mut subscription = broker.subscription(&to).queue_bytes(1).subscribe().unwrap();
    let mut publisher = broker.publisher();
    let (woken, waker) = testkit::broker::Woken::new();
    let context = &mut std::task::Context::from_waker(&waker);
    assert!(subscription.poll_recv(context).is_pending());
    let _ = publisher.try_publish(&topic("t"), loads.make(0, 0, 2)).unwrap();
    assert!(woken.take());
    assert_eq!(take_all(&mut subscription), [Got::Missed(1)]);
}

#[test]
fn the_books_can_be_read_from_elsewhere_and_after_the_end() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 2, WhenFull::DropNewest);
    let watch = subscription.watch();
    let mut publisher = broker.publisher();
    let _ = publisher.try_publish_batch(&topic("t"), &mut loads.batch(0..5)).unwrap();
    assert!(subscription.try_recv().is_ok());
    let books = watch.books();
    assert_eq!((books.offered, books.received, books.queued, books.dropped), (5, 1, 1, 3));
    assert_eq!(watch.stats().id, subscription.id());
    assert_eq!(watch.end_reason(), None);
    drop(subscription);
    let books = watch.books();
    assert_eq!((books.offered, books.received, books.queued, books.dropped), (5, 1, 0, 4));
    assert_eq!(watch.end_reason(), Some(EndReason::Unsubscribed));
    drop((publisher, broker));
    assert_eq!(watch.books(), books);
}

#[test]
fn a_run_counts_as_received_when_taken() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 4, WhenFull::DropNewest);
    let mut publisher = broker.publisher();
    let _ = publisher.try_publish_batch(&topic("t"), &mut loads.batch(0..4)).unwrap();
    let Ok(BatchDelivery::Batch(run)) = subscription.try_recv_batch() else { panic!("a run") };
    assert_eq!(run.len(), 4, "published together, read together");
    assert_books(&subscription, 4, 0, 0);
    let receipt = publisher.try_publish_batch(&topic("t"), &mut loads.batch(4..8)).unwrap();
    assert_eq!(receipt.queued, 4, "its room is free again");
    // And it stays readable, whatever happens to the rest.
    drop((subscription, publisher, broker));
    assert_eq!(run.iter().map(|load| load.number).collect::<Vec<_>>(), [0, 1, 2, 3]);
    assert_eq!(run.topic().as_str(), "t");
    assert_eq!(run.iter().count(), 4);
    let second = run.get(1).expect("four messages");
    assert!(run.get(4).is_none());
    drop(run);
    assert_eq!((second.number, second.topic().as_str()), (1, "t"));
    drop(second);
    assert_eq!(loads.alive(), 0);
}

#[test]
fn a_message_can_be_kept_and_cloned() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 4, WhenFull::DropNewest);
    let mut publisher = broker.publisher();
    let _ = publisher.try_publish(&topic("t"), loads.light(7)).unwrap();
    let Ok(Delivery::Message(message)) = subscription.try_recv() else { panic!("a message") };
    let message = message.to_message();
    let copy = message.clone();
    drop((message, subscription, publisher, broker));
    assert_eq!((copy.number, copy.topic().as_str()), (7, "t"));
    assert!(copy.reply_to().is_none());
    drop(copy);
    assert_eq!(loads.alive(), 0);
}

/// Not even behind others who wait for room that they can have.
#[test]
fn a_message_too_heavy_does_not_wait_for_room() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = pattern("t");
    let builder =
        broker.subscription(&to).queue_messages(1).queue_bytes(10).when_full(WhenFull::Block);
    let mut subscription = builder.subscribe().unwrap();
    let (mut first, mut second) = (broker.publisher(), broker.publisher());
    let name = topic("t");
    let _ = at_once(first.publish(&name, loads.light(0))).unwrap();
    let mut waiting = std::pin::pin!(first.publish(&name, loads.light(1)));
    assert!(testkit::broker::poll_once(waiting.as_mut()).is_pending());
    let receipt = at_once(second.publish(&name, loads.make(1, 2, 11))).unwrap();
    assert_eq!(receipt, Receipt { matched: 1, dropped: 1, ..Receipt::default() });
    assert!(subscription.try_recv().is_ok());
    assert_eq!(at_once(waiting).unwrap().queued, 1);
}

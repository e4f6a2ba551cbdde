//! Promise 7, second half: dropping a subscription ends it, frees its queue at once and leaves
//! nothing anywhere, whoever still holds a handle. Memory itself is measured in tests/memory.rs.

use fanfare::limits::{SEGMENT_BYTES_MAX, SEGMENT_MESSAGES_MAX};
use fanfare::{Broker, Delivery, Subscription, WhenFull};
use std::time::Duration;
use testkit::broker::{
    FOREVER, Got, Load, Loads, at_once, begin_and_cancel, bounded, numbers, pattern, take_all,
    topic,
};

#[test]
fn a_dropped_subscription_frees_its_messages_although_the_publisher_remembers_its_route() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    let to = topic("t");
    for policy in
        [WhenFull::Block, WhenFull::DropOldest, WhenFull::DropNewest, WhenFull::Wait(FOREVER)]
    {
        for count in [1, 2, 5, 100, 1000] {
            let subscription = bounded(&broker, "t", 10_000, policy);
            for number in 0..count {
                let _ = at_once(publisher.publish(&to, loads.light(number))).unwrap();
            }
            assert_eq!(loads.alive(), count as usize);
            drop(subscription);
            assert_eq!(
                loads.alive(),
                0,
                "{policy:?}, {count}: the publisher is idle and must not keep them"
            );

            let subscription = bounded(&broker, "t", 10_000, policy);
            let _ = at_once(publisher.publish_batch(&to, &mut loads.batch(0..count))).unwrap();
            drop(subscription);
            assert_eq!(loads.alive(), 0, "{policy:?}, a batch of {count}");
        }
    }
}

#[test]
fn messages_live_as_long_as_somebody_has_yet_to_read_them() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    let first = bounded(&broker, "t", 1000, WhenFull::Block);
    let mut second = bounded(&broker, "t", 1000, WhenFull::Block);
    for number in 0..500 {
        let _ = at_once(publisher.publish(&topic("t"), loads.light(number))).unwrap();
    }
    drop(first);
    assert_eq!(loads.alive(), 500);
    assert_eq!(take_all(&mut second), numbers(0..500));
    drop(second);
    assert_eq!(loads.alive(), 0);
}

/// A reader that has read everything and stays keeps at most one segment alive.
#[test]
fn an_idle_reader_keeps_little_alive() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    let mut subscription = bounded(&broker, "t", 1000, WhenFull::Block);
    for number in 0..5000 {
        let _ = at_once(publisher.publish(&topic("t"), loads.light(number))).unwrap();
        assert!(subscription.try_recv().is_ok());
    }
    assert!(loads.alive() <= SEGMENT_MESSAGES_MAX, "{} alive", loads.alive());
    assert!(take_all(&mut subscription).is_empty());
    for number in 0..100 {
        let _ = at_once(publisher.publish(&topic("t"), loads.make(0, number, SEGMENT_BYTES_MAX)))
            .unwrap();
        assert!(subscription.try_recv().is_ok());
        assert!(loads.alive() <= 2 + SEGMENT_MESSAGES_MAX, "{} alive", loads.alive());
    }
    assert!(loads.alive() <= 2, "{} heavy ones alive", loads.alive());
}

#[test]
fn messages_that_nobody_gets_are_freed_at_once() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    for number in 0..100 {
        let _ = at_once(publisher.publish(&topic("t"), loads.light(number))).unwrap();
    }
    assert_eq!(loads.alive(), 0, "nobody subscribes");
    let subscription = bounded(&broker, "t", 10, WhenFull::DropNewest);
    for number in 0..1000 {
        let _ = at_once(publisher.publish(&topic("t"), loads.light(number))).unwrap();
    }
    // The segment that the ten are in may be filled up, but no further.
    assert!(loads.alive() <= SEGMENT_MESSAGES_MAX, "{} alive", loads.alive());
    let heavy = SEGMENT_BYTES_MAX / 2;
    for number in 0..100 {
        let _ = at_once(publisher.publish(&topic("t"), loads.make(0, number, heavy))).unwrap();
    }
    assert!(loads.alive() <= SEGMENT_MESSAGES_MAX + 2, "{} alive", loads.alive());
    drop(subscription);
    assert_eq!(loads.alive(), 0);
}

#[test]
fn a_watch_and_a_kept_message_keep_no_queue_alive() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    let mut subscription = bounded(&broker, "t", 1000, WhenFull::Block);
    let watch = subscription.watch();
    // Segments of their own, so that the kept message does not share one with those that must go.
    for number in 0..10 {
        let _ = at_once(publisher.publish(&topic("t"), loads.make(0, number, SEGMENT_BYTES_MAX)))
            .unwrap();
    }
    let Ok(Delivery::Message(kept)) = subscription.try_recv() else { panic!("the first") };
    let kept = kept.to_message();
    drop(subscription);
    assert!(loads.alive() <= 2, "{} alive", loads.alive());
    drop(kept);
    assert_eq!(loads.alive(), 0);
    assert_eq!(watch.books().dropped, 9);
}

#[test]
fn nothing_of_a_cancelled_publish_stays() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    let mut subscription = bounded(&broker, "t", 1, WhenFull::Block);
    let _ = at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
    for number in 1..1000 {
        begin_and_cancel(publisher.publish(&topic("t"), loads.light(number)));
    }
    assert!(loads.alive() <= 2, "{} alive", loads.alive());
    assert_eq!(take_all(&mut subscription), [Got::Number(0), Got::Missed(999)]);
    drop(subscription);
    assert_eq!(loads.alive(), 0);
}

#[test]
fn nothing_of_a_disconnected_subscription_stays_although_its_owner_never_looks() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    let ended: Vec<_> = (0..10)
        .map(|_| bounded(&broker, "t", 5, WhenFull::Disconnect { after: Duration::ZERO }))
        .collect();
    for number in 0..6 {
        let _ = at_once(publisher.publish(&topic("t"), loads.light(number))).unwrap();
    }
    assert_eq!(loads.alive(), 0);
    assert_eq!(broker.stats().subscriptions, 0);
    drop(ended);
    assert_eq!(broker.stats().subscriptions, 0);
}

#[test]
fn subscriptions_that_came_and_went_are_in_no_list() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    for round in 0..200 {
        let subscriptions: Vec<Subscription<Load>> = ["t", "*", ">", "a.b.c", "a.*.c", "a.>"]
            .map(|to| bounded(&broker, to, 10, WhenFull::DropOldest))
            .into();
        let _ = at_once(publisher.publish(&topic("t"), loads.light(round))).unwrap();
        let _ = at_once(publisher.publish(&topic("a.b.c"), loads.light(round))).unwrap();
        assert_eq!(broker.stats().subscriptions, 6);
        drop(subscriptions);
        assert_eq!(loads.alive(), 0, "round {round}");
    }
    assert_eq!(broker.stats().subscriptions, 0);
    assert!(broker.subscription_stats().is_empty());
    assert!(broker.slowest(10).is_empty());
    let topics = broker.topic_stats();
    assert!(topics.iter().all(|topic| topic.subscriptions == 0), "{topics:?}");
}

#[test]
fn publishers_that_came_and_went_keep_nothing() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, ">", 10_000, WhenFull::Block);
    for number in 0..500 {
        let mut publisher = broker.publisher();
        let _ = at_once(publisher.publish(&topic("t"), loads.light(number))).unwrap();
        assert_eq!(broker.stats().publishers, 1);
    }
    assert_eq!(broker.stats().publishers, 0);
    let mut read = take_all(&mut subscription);
    read.sort_by_key(|got| if let Got::Number(number) = got { *number } else { u64::MAX });
    assert_eq!(read, numbers(0..500), "their messages outlive them");
    assert!(loads.alive() <= 1, "{} alive", loads.alive());
}

#[test]
fn handles_left_behind_keep_no_message_of_a_dropped_subscription() {
    let broker = Broker::new();
    let loads = Loads::new();
    let handles: Vec<_> = (0..10).map(|_| broker.clone()).collect();
    let mut publishers: Vec<_> = (0..10).map(|_| broker.publisher()).collect();
    let to = pattern("t");
    let subscriptions: Vec<_> = (0..3).map(|_| broker.subscribe(&to).unwrap()).collect();
    for (from, publisher) in publishers.iter_mut().enumerate() {
        for number in 0..20 {
            let _ = at_once(publisher.publish(&topic("t"), loads.make(from, number, 1))).unwrap();
        }
    }
    assert_eq!(loads.alive(), 200);
    drop(subscriptions);
    assert_eq!(loads.alive(), 0);
    drop((handles, publishers));
}

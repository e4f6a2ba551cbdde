//! Promise 3: one publisher's messages reach one subscriber in the order published, under every
//! policy, waits included.

use fanfare::{Broker, Delivery, TryPublishError, WhenFull};
use std::pin::pin;
use testkit::broker::{
    FOREVER, Full, Got, Loads, Woken, at_once, begin_and_cancel, bounded, numbers, pattern,
    poll_once, take_all, take_all_runs, topic,
};

#[test]
fn topics_do_not_change_the_order() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut by_message = bounded(&broker, ">", 1000, WhenFull::Block);
    let mut by_run = bounded(&broker, "*", 1000, WhenFull::Block);
    let mut publisher = broker.publisher();
    for number in 0..300 {
        let name = ["a", "b", "a", "c"][number as usize * 7 % 4];
        let _ = publisher.try_publish(&topic(name), loads.light(number)).unwrap();
    }
    assert_eq!(take_all(&mut by_message), numbers(0..300));
    assert_eq!(take_all_runs(&mut by_run), numbers(0..300));
}

#[test]
fn singles_and_batches_keep_one_order() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 100_000, WhenFull::Block);
    let mut publisher = broker.publisher();
    let mut number = 0;
    for length in [1, 1, 3, 1, 255, 1, 256, 257, 1, 5000, 1, 2] {
        if length == 1 {
            let _ = publisher.try_publish(&topic("t"), loads.light(number)).unwrap();
        } else {
            let _ = publisher
                .try_publish_batch(&topic("t"), &mut loads.batch(number..number + length))
                .unwrap();
        }
        number += length;
    }
    assert_eq!(take_all(&mut subscription), numbers(0..number));
}

/// Subscribers that come and go in the middle do not disturb the others.
#[test]
fn an_audience_that_changes_keeps_the_order() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut steady = bounded(&broker, "t", 1000, WhenFull::Block);
    let mut publisher = broker.publisher();
    let mut others = Vec::new();
    for number in 0..500 {
        if number % 3 == 0 {
            others.push((number, bounded(&broker, "t", 1000, WhenFull::Block)));
        }
        if number % 7 == 0 {
            let leaving = others.remove(others.len() / 2);
            drop(leaving);
        }
        let _ = publisher.try_publish(&topic("t"), loads.light(number)).unwrap();
    }
    assert_eq!(take_all(&mut steady), numbers(0..500));
    for (since, other) in &mut others {
        assert_eq!(take_all(other), numbers(*since..500));
    }
}

/// A reader that is always as far as the publisher, one that is sometimes, and one that never is.
#[test]
fn readers_at_every_distance_read_the_same() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscriptions: Vec<_> =
        (0..5).map(|_| bounded(&broker, "t", 2000, WhenFull::Block)).collect();
    let mut read = vec![Vec::new(); 5];
    let mut publisher = broker.publisher();
    for number in 0..2000 {
        let _ = publisher.try_publish(&topic("t"), loads.light(number)).unwrap();
        for (index, subscription) in subscriptions.iter_mut().enumerate() {
            if index > 0 && number % (index as u64 * index as u64 * 10 - 9) == 0 {
                let got = if number % 2 == 0 {
                    take_all(subscription)
                } else {
                    take_all_runs(subscription)
                };
                read[index].extend(got);
            }
        }
    }
    for (subscription, read) in subscriptions.iter_mut().zip(&mut read) {
        read.extend(take_all(subscription));
        assert_eq!(*read, numbers(0..2000));
    }
}

#[test]
fn two_publishers_keep_each_its_own_order() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 1000, WhenFull::Block);
    let mut publishers = [broker.publisher(), broker.publisher()];
    for number in 0..200 {
        let from = usize::from(number % 3 == 0);
        let _ = publishers[from].try_publish(&topic("t"), loads.make(from, number, 1)).unwrap();
    }
    let mut last = [None; 2];
    let mut count = 0;
    while let Ok(Delivery::Message(message)) = subscription.try_recv() {
        assert!(last[message.from] < Some(message.number));
        last[message.from] = Some(message.number);
        count += 1;
    }
    assert_eq!(count, 200);
}

#[test]
fn a_batch_is_admitted_in_order_as_room_appears() {
    for policy in
        [WhenFull::Block, WhenFull::Wait(FOREVER), WhenFull::Disconnect { after: FOREVER }]
    {
        let broker = Broker::new();
        let loads = Loads::new();
        let mut subscription = bounded(&broker, "t", 3, policy);
        let mut publisher = broker.publisher();
        let to = topic("t");
        let mut batch = loads.batch(0..10);
        let receipt = {
            let mut publish = pin!(publisher.publish_batch(&to, &mut batch));
            let mut read = Vec::new();
            let receipt = loop {
                match poll_once(publish.as_mut()) {
                    std::task::Poll::Ready(receipt) => break receipt.unwrap(),
                    std::task::Poll::Pending => {
                        assert_eq!(subscription.books().queued, 3, "all the room there is is used");
                        match subscription.try_recv().unwrap() {
                            Delivery::Message(message) => read.push(message.number),
                            Delivery::Missed(_) => panic!("nothing is missed"),
                        }
                    }
                }
            };
            assert_eq!(read, [0, 1, 2, 3, 4, 5, 6]);
            receipt
        };
        assert!(batch.is_empty());
        assert_eq!((receipt.matched, receipt.queued, receipt.waited), (10, 10, 7));
        assert_eq!(take_all(&mut subscription), numbers(7..10));
    }
}

/// A subscription of ten bytes, of which load 0 has taken eight.
fn two_bytes_left() -> Full {
    let (broker, loads, to) = (Broker::new(), Loads::new(), topic("t"));
    let pattern = pattern("t");
    let builder =
        broker.subscription(&pattern).queue_messages(10).queue_bytes(10).when_full(WhenFull::Block);
    let subscription = builder.subscribe().unwrap();
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish(&to, loads.make(0, 0, 8))).unwrap();
    Full { broker, loads, subscription, publisher, to }
}

#[test]
fn newcomers_do_not_overtake_those_who_wait() {
    let Full { broker, loads, mut subscription, publisher: mut first, to } = two_bytes_left();
    let (mut second, mut third) = (broker.publisher(), broker.publisher());
    let mut heavy = pin!(first.publish(&to, loads.make(0, 1, 5)));
    assert!(poll_once(heavy.as_mut()).is_pending());
    // There is room for a light one, but somebody was here before.
    let mut light = pin!(second.publish(&to, loads.make(1, 2, 1)));
    assert!(poll_once(light.as_mut()).is_pending());
    assert!(matches!(
        third.try_publish(&to, loads.make(2, 3, 1)),
        Err(TryPublishError::Full(load)) if load.number == 3
    ));
    assert_eq!(subscription.books().queued, 1);
    assert!(subscription.try_recv().is_ok());
    assert_eq!(at_once(heavy).unwrap().queued, 1);
    assert_eq!(at_once(light).unwrap().queued, 1);
    assert_eq!(third.try_publish(&to, loads.make(2, 4, 1)).unwrap().queued, 1);
    let mut got = take_all(&mut subscription);
    got.sort_by_key(|got| if let Got::Number(number) = got { *number } else { 0 });
    assert_eq!(got, [Got::Number(1), Got::Number(2), Got::Number(4)]);
}

/// A publisher that waits behind one that gives up is served in its place.
#[test]
fn the_line_moves_on_when_the_first_gives_up() {
    let Full { broker, loads, mut subscription, publisher: mut first, to } = two_bytes_left();
    let mut second = broker.publisher();
    let (woken, waker) = Woken::new();
    let mut light = pin!(second.publish(&to, loads.make(1, 2, 1)));
    {
        let mut heavy = pin!(first.publish(&to, loads.make(0, 1, 5)));
        assert!(poll_once(heavy.as_mut()).is_pending());
        let context = &mut std::task::Context::from_waker(&waker);
        assert!(std::future::Future::poll(light.as_mut(), context).is_pending());
        assert!(!woken.take());
    }
    assert!(woken.take(), "the first has left");
    assert_eq!(at_once(light).unwrap().queued, 1);
    let mut got = take_all(&mut subscription);
    got.sort_by_key(|got| if let Got::Number(number) = got { *number } else { 1000 });
    assert_eq!(got, [Got::Number(0), Got::Number(2), Got::Missed(1)]);
}

/// A publisher that was cancelled in a wait does not let its next message pass the one before.
#[test]
fn order_after_a_cancelled_wait() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = topic("t");
    let mut subscription = bounded(&broker, "t", 2, WhenFull::Block);
    let mut publisher = broker.publisher();
    begin_and_cancel(publisher.publish_batch(&to, &mut loads.batch(0..5)));
    assert!(subscription.try_recv().is_ok());
    let _ = at_once(publisher.publish(&to, loads.light(5))).unwrap();
    assert_eq!(take_all(&mut subscription), [Got::Number(1), Got::Missed(3), Got::Number(5)]);
}

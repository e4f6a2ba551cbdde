//! Promises 4 and 5: however many subscribers are stuck, a publish waits for all of them together;
//! and who used up a wait is on probation, so that a stuck one costs one wait, not one for each
//! message.

use async_io::Timer;
use fanfare::{Broker, Origin, Receipt, Subscription, WhenFull};
use futures_lite::future::zip;
use std::pin::pin;
use std::thread;
use std::time::{Duration, Instant};
use testkit::broker::{
    FOREVER, Full, Got, Load, Loads, assert_books, at_once, begin_and_cancel, block_on, bounded,
    full, numbers, pattern, poll_once, take_all, topic, watched,
};

/// Short to wait out, and long enough that a first poll never sees it pass.
const SHORT: WhenFull = WhenFull::Wait(Duration::from_millis(300));

fn dropped(count: u64, waited: u64) -> Receipt {
    Receipt { matched: count, waited, dropped: count, ..Receipt::default() }
}

fn queued(count: u64, waited: u64) -> Receipt {
    Receipt { matched: count, queued: count, waited, ..Receipt::default() }
}

#[test]
fn fifty_stuck_subscribers_cost_one_wait() {
    let broker = Broker::new();
    let loads = Loads::new();
    let stuck: Vec<_> = (0..50)
        .map(|_| bounded(&broker, "t", 1, WhenFull::Wait(Duration::from_millis(5))))
        .collect();
    let mut publisher = broker.publisher();
    assert_eq!(at_once(publisher.publish(&topic("t"), loads.light(0))), Ok(queued(50, 0)));
    assert_eq!(block_on(publisher.publish(&topic("t"), loads.light(1))), Ok(dropped(50, 50)));
    // All are on probation now: nobody is waited for, the first poll is the last.
    for number in 2..100 {
        assert_eq!(
            at_once(publisher.publish(&topic("t"), loads.light(number))),
            Ok(dropped(50, 0))
        );
    }
    for subscription in &stuck {
        assert_books(subscription, 0, 1, 99);
        assert!(subscription.stats().on_probation);
    }
}

/// One after the other they would take 20 seconds; together a fifth of one. There is a factor of 50
/// for a slow machine.
#[test]
fn the_waits_of_a_publish_run_together() {
    let broker = Broker::new();
    let loads = Loads::new();
    let _stuck: Vec<_> = (0..100)
        .map(|_| bounded(&broker, "t", 1, WhenFull::Wait(Duration::from_millis(200))))
        .collect();
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
    let begun = Instant::now();
    assert_eq!(block_on(publisher.publish(&topic("t"), loads.light(1))), Ok(dropped(100, 100)));
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(begun.elapsed() >= Duration::from_millis(200), "nobody was given less than its wait");
}

#[test]
fn the_first_with_room_is_served_first() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut full: Vec<_> =
        (0..5).map(|_| bounded(&broker, "t", 1, WhenFull::Wait(FOREVER))).collect();
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
    let to = topic("t");
    let mut publish = pin!(publisher.publish(&to, loads.light(1)));
    assert!(poll_once(publish.as_mut()).is_pending());
    for index in [4, 2, 0, 1] {
        assert_eq!(take_one(&mut full[index]), Got::Number(0));
        assert!(poll_once(publish.as_mut()).is_pending(), "not all have room");
        assert_books(&full[index], 1, 1, 0);
    }
    assert_eq!(take_one(&mut full[3]), Got::Number(0));
    assert_eq!(at_once(publish), Ok(queued(5, 5)));
}

fn take_one(subscription: &mut Subscription<Load>) -> Got {
    match subscription.try_recv().expect("something") {
        fanfare::Delivery::Message(message) => Got::Number(message.number),
        fanfare::Delivery::Missed(count) => Got::Missed(count),
    }
}

#[test]
fn each_subscription_is_waited_for_as_long_as_it_allows() {
    watched(|| {
        let broker = Broker::new();
        let loads = Loads::new();
        let brief = bounded(&broker, "t", 1, SHORT);
        let mut patient = bounded(&broker, "t", 1, WhenFull::Block);
        let mut publisher = broker.publisher();
        let _ = at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
        let waiting =
            thread::spawn(move || publisher.publish_blocking(&topic("t"), loads.light(1)).unwrap());
        // The brief one is given up although the patient one is still waited for.
        while brief.books().dropped == 0 {
            thread::yield_now();
        }
        assert!(!waiting.is_finished());
        assert_eq!(take_one(&mut patient), Got::Number(0));
        let receipt = waiting.join().unwrap();
        assert_eq!(
            receipt,
            Receipt { matched: 2, queued: 1, waited: 2, dropped: 1, disconnected: 0, remote: 0 }
        );
        assert_eq!(take_one(&mut patient), Got::Number(1));
    });
}

#[test]
fn subscriptions_with_room_are_served_before_a_publisher_waits() {
    let broker = Broker::new();
    let loads = Loads::new();
    let _stuck = bounded(&broker, "t", 1, WhenFull::Block);
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
    let mut others: Vec<_> = (0..5).map(|_| bounded(&broker, "t", 1, WhenFull::Block)).collect();
    let to = topic("t");
    let mut publish = pin!(publisher.publish(&to, loads.light(1)));
    assert!(poll_once(publish.as_mut()).is_pending());
    for other in &mut others {
        assert_eq!(take_all(other), [Got::Number(1)]);
    }
}

#[test]
fn probation_ends_when_half_is_drained() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 4, SHORT);
    let mut publisher = broker.publisher();
    let to = topic("t");
    for number in 0..4 {
        assert_eq!(at_once(publisher.publish(&to, loads.light(number))), Ok(queued(1, 0)));
    }
    assert_eq!(
        block_on(publisher.publish(&to, loads.light(4))),
        Ok(dropped(1, 1)),
        "used up its wait"
    );
    assert_eq!(at_once(publisher.publish(&to, loads.light(5))), Ok(dropped(1, 0)), "on probation");
    assert_eq!(take_one(&mut subscription), Got::Number(0));
    assert_eq!(
        at_once(publisher.publish(&to, loads.light(6))),
        Ok(queued(1, 0)),
        "room is room, on probation too"
    );
    assert_eq!(
        at_once(publisher.publish(&to, loads.light(7))),
        Ok(dropped(1, 0)),
        "still on probation"
    );
    assert_eq!(take_one(&mut subscription), Got::Number(1));
    assert!(subscription.stats().on_probation, "three of four");
    assert_eq!(take_one(&mut subscription), Got::Number(2));
    assert!(!subscription.stats().on_probation, "two of four: half");
    for number in 8..10 {
        assert_eq!(at_once(publisher.publish(&to, loads.light(number))), Ok(queued(1, 0)));
    }
    begin_and_cancel(publisher.publish(&to, loads.light(10)));
    let expected =
        [3.into(), Got::Missed(2), 6.into(), Got::Missed(1), 8.into(), 9.into(), Got::Missed(1)];
    assert_eq!(take_all(&mut subscription), expected);
    let drops = subscription.stats().drops;
    assert_eq!((drops.timed_out, drops.probation, drops.cancelled), (1, 2, 1));
}

#[test]
fn probation_goes_by_bytes_too() {
    let broker = Broker::new();
    let loads = Loads::new();
    let pattern = pattern("t");
    let builder =
        broker.subscription(&pattern).queue_messages(100).queue_bytes(10).when_full(SHORT);
    let mut subscription = builder.subscribe().unwrap();
    let mut publisher = broker.publisher();
    let to = topic("t");
    for (number, weight) in [(0, 4), (1, 1), (2, 5)] {
        assert_eq!(
            at_once(publisher.publish(&to, loads.make(0, number, weight))),
            Ok(queued(1, 0))
        );
    }
    assert_eq!(block_on(publisher.publish(&to, loads.light(3))), Ok(dropped(1, 1)));
    assert_eq!(take_one(&mut subscription), Got::Number(0));
    assert!(subscription.stats().on_probation, "6 bytes of 10, though 2 messages of 100");
    assert_eq!(at_once(publisher.publish(&to, loads.make(0, 4, 5))), Ok(dropped(1, 0)));
    assert_eq!(take_one(&mut subscription), Got::Number(1));
    assert!(!subscription.stats().on_probation, "5 bytes of 10");
    begin_and_cancel(publisher.publish(&to, loads.make(0, 5, 6)));
}

#[test]
fn a_bound_of_one_is_on_probation_until_it_is_empty() {
    let Full { mut subscription, mut publisher, loads, to, .. } = full(SHORT);
    assert_eq!(block_on(publisher.publish(&to, loads.light(1))), Ok(dropped(1, 1)));
    assert_eq!(at_once(publisher.publish(&to, loads.light(2))), Ok(dropped(1, 0)));
    assert_eq!(take_all(&mut subscription), [0.into(), Got::Missed(2)]);
    let _ = at_once(publisher.publish(&to, loads.light(3))).unwrap();
    assert_eq!(
        block_on(publisher.publish(&to, loads.light(4))),
        Ok(dropped(1, 1)),
        "waited for again"
    );
}

#[test]
fn a_wait_that_found_room_is_no_offence() {
    let Full { mut subscription, mut publisher, loads, to, .. } = full(WhenFull::Wait(FOREVER));
    for number in 1..10 {
        let mut publish = pin!(publisher.publish(&to, loads.light(number)));
        assert!(poll_once(publish.as_mut()).is_pending(), "it is waited for every time");
        assert_eq!(take_one(&mut subscription), Got::Number(number - 1));
        assert_eq!(at_once(publish), Ok(queued(1, 1)));
    }
    assert!(!subscription.stats().on_probation);
}

#[test]
fn probation_of_one_costs_the_others_nothing() {
    let Full { broker, subscription: _stuck, mut publisher, loads, to } = full(SHORT);
    let _ = block_on(publisher.publish(&to, loads.light(1))).unwrap();
    let mut fresh = bounded(&broker, "t", 2, WhenFull::Wait(FOREVER));
    for number in 2..4 {
        let receipt = at_once(publisher.publish(&to, loads.light(number))).unwrap();
        assert_eq!(receipt, Receipt { matched: 2, queued: 1, dropped: 1, ..Receipt::default() });
    }
    begin_and_cancel(publisher.publish(&to, loads.light(4)));
    let mut expected = numbers(2..4);
    expected.push(Got::Missed(1));
    assert_eq!(take_all(&mut fresh), expected);
}

#[test]
fn one_wait_for_a_whole_batch() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 2, SHORT);
    let mut publisher = broker.publisher();
    let receipt = block_on(publisher.publish_batch(&topic("t"), &mut loads.batch(0..10))).unwrap();
    assert_eq!(
        receipt,
        Receipt { matched: 10, queued: 2, waited: 8, dropped: 8, disconnected: 0, remote: 0 }
    );
    let receipt = at_once(publisher.publish_batch(&topic("t"), &mut loads.batch(10..13))).unwrap();
    assert_eq!(receipt, dropped(3, 0));
    assert_eq!(take_all(&mut subscription), [0.into(), 1.into(), Got::Missed(11)]);
}

/// The timer of a publisher is set again, not made anew, and a wait long over does not disturb the
/// next.
#[test]
fn waits_one_after_the_other() {
    watched(|| {
        let broker = Broker::new();
        let loads = Loads::new();
        let mut publisher = broker.publisher();
        for round in 0..50 {
            let is_waited_out = round % 2 == 0;
            let wait = if is_waited_out { Duration::from_millis(10) } else { FOREVER };
            let mut subscription = bounded(&broker, "t", 1, WhenFull::Wait(wait));
            let _ = at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
            if is_waited_out {
                assert_eq!(
                    block_on(publisher.publish(&topic("t"), loads.light(1))),
                    Ok(dropped(1, 1)),
                    "round {round}"
                );
                assert_eq!(take_all(&mut subscription), [0.into(), Got::Missed(1)]);
            } else {
                begin_and_cancel(publisher.publish(&topic("t"), loads.light(1)));
                assert_eq!(take_all(&mut subscription), [0.into(), Got::Missed(1)]);
            }
        }
        assert_eq!(loads.alive(), 0);
    });
}

/// Also one whose queue is no more than half full, but has no room for what is heavy.
#[test]
fn a_stuck_one_that_is_half_empty_costs_one_wait_too() {
    let broker = Broker::new();
    let loads = Loads::new();
    let pattern = pattern("t");
    let builder =
        broker.subscription(&pattern).queue_messages(100).queue_bytes(10).when_full(SHORT);
    let subscription = builder.subscribe().unwrap();
    let mut publisher = broker.publisher();
    let to = topic("t");
    assert_eq!(at_once(publisher.publish(&to, loads.make(0, 0, 4))), Ok(queued(1, 0)));
    assert_eq!(
        block_on(publisher.publish(&to, loads.make(0, 1, 7))),
        Ok(dropped(1, 1)),
        "used up its wait"
    );
    assert_eq!(
        at_once(publisher.publish(&to, loads.make(0, 2, 7))),
        Ok(dropped(1, 0)),
        "one wait, not one for each message"
    );
    assert_books(&subscription, 0, 1, 2);
}

/// Its reader is slower than its wait, and yet nothing is lost.
#[test]
fn a_subscriber_that_reads_is_waited_for_beyond_the_wait() {
    const WAIT: Duration = Duration::from_millis(2);
    let broker = Broker::new();
    let loads = Loads::new();
    let pattern = pattern("t");
    let builder = broker.subscription(&pattern).queue_messages(2);
    let builder = builder.when_full(WhenFull::Wait(WAIT)).keep_pace_from(1);
    let mut subscription = builder.subscribe().unwrap();
    let mut publisher = broker.publisher();
    let to = topic("t");
    let _ = block_on(publisher.publish(&to, loads.light(0))).unwrap();
    assert_eq!(take_all(&mut subscription), numbers([0]), "so it is known to read");
    let publishing = async {
        for number in 1..20 {
            let receipt = publisher.publish(&to, loads.light(number)).await.unwrap();
            assert_eq!((receipt.queued, receipt.dropped), (1, 0), "message {number}");
        }
    };
    let reading = async {
        let mut next = 1;
        while next < 20 {
            Timer::after(WAIT * 3).await;
            let got = take_all(&mut subscription);
            let end = next + got.len() as u64;
            assert_eq!(got, numbers(next..end));
            next = end;
        }
    };
    // The reader comes first, so a machine that stalls does not look like a reader that does.
    block_on(zip(reading, publishing));
}

/// Its reader may be busy writing what it publishes, and waits for nobody but itself.
#[test]
fn a_publisher_waits_for_its_own_reader_as_long_as_it_takes() {
    const WAIT: Duration = Duration::from_millis(2);
    let (broker, me, to) = (Broker::new(), Origin::unique(), topic("t"));
    let loads = Loads::new();
    let pattern = pattern("t");
    let builder = broker.subscription(&pattern).queue_messages(1).no_echo(me);
    let policy = WhenFull::Disconnect { after: WAIT };
    let mut subscription = builder.when_full(policy).subscribe().unwrap();
    let mut publisher = broker.publisher_with_echo(me).clone();
    assert_eq!(at_once(publisher.publish(&to, loads.light(0))), Ok(queued(1, 0)));
    let mut second = pin!(publisher.publish(&to, loads.light(1)));
    assert!(poll_once(second.as_mut()).is_pending());
    block_on(async { Timer::after(WAIT * 3).await });
    assert!(poll_once(second.as_mut()).is_pending());
    assert_eq!(take_all(&mut subscription), numbers([0, 1]));
    assert_eq!(block_on(second), Ok(queued(1, 1)));
    // Another's messages find it as full as ever, and end it.
    let mut other = broker.publisher();
    assert_eq!(at_once(other.publish(&to, loads.light(2))), Ok(queued(1, 0)));
    assert_eq!(block_on(other.publish(&to, loads.light(3))).unwrap().disconnected, 1);
}

#[test]
fn publishers_wait_once_for_a_subscriber_that_stops_reading() {
    let broker = Broker::new();
    let loads = Loads::new();
    let pattern = pattern("t");
    let builder = broker.subscription(&pattern).queue_messages(2).when_full(SHORT);
    let mut subscription = builder.keep_pace_from(1).subscribe().unwrap();
    let mut publisher = broker.publisher();
    let to = topic("t");
    let mut publish = |number| block_on(publisher.publish(&to, loads.light(number))).unwrap();
    for number in 0..4 {
        let _ = publish(number);
        let _ = publish(number);
        assert_eq!(take_all(&mut subscription), numbers([number, number]));
    }
    let receipts = [4, 5, 6, 7].map(&mut publish);
    let outcomes = receipts.map(|receipt| (receipt.queued, receipt.waited, receipt.dropped));
    assert_eq!(outcomes, [(1, 0, 0), (1, 0, 0), (0, 1, 1), (0, 0, 1)], "then on probation");
}

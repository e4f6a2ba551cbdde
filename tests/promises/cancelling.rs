//! Promise 7, first half: a publish or a receive that is dropped, or forgotten, half-way.

use fanfare::{BatchDelivery, Broker, Delivery, WhenFull};
use std::pin::pin;
use std::task::Context;
use testkit::broker::{
    FOREVER, Full, Got, Loads, Woken, assert_books, at_once, begin_and_cancel, begin_and_forget,
    bounded, full, numbers, poll_once, take_all, topic,
};

const WAITING: [WhenFull; 3] =
    [WhenFull::Block, WhenFull::Wait(FOREVER), WhenFull::Disconnect { after: FOREVER }];

#[test]
fn a_cancelled_publish_delivers_nothing_later() {
    for policy in WAITING {
        let broker = Broker::new();
        let loads = Loads::new();
        let to = topic("t");
        let mut full = bounded(&broker, "t", 1, policy);
        let mut roomy = bounded(&broker, "t", 2, policy);
        let mut publisher = broker.publisher();
        let _ = at_once(publisher.publish(&to, loads.light(0))).unwrap();
        begin_and_cancel(publisher.publish(&to, loads.light(1)));
        assert_books(&full, 0, 1, 1);
        assert_books(&roomy, 0, 2, 0);
        assert_eq!(full.stats().drops.cancelled, 1);
        assert_eq!(take_all(&mut full), [Got::Number(0), Got::Missed(1)], "{policy:?}");
        assert_eq!(take_all(&mut roomy), numbers(0..2), "what was delivered stays delivered");
        // The publisher goes on as if nothing had been.
        let receipt = at_once(publisher.publish(&to, loads.light(2))).unwrap();
        assert_eq!((receipt.matched, receipt.queued), (2, 2));
        assert_eq!(take_all(&mut full), numbers(2..3));
        assert_eq!(take_all(&mut roomy), numbers(2..3));
        assert_eq!(
            full.end_reason(),
            None,
            "nobody is disconnected for a publish that did not wait it out"
        );
        assert!(!full.stats().on_probation, "nor on probation");
    }
}

#[test]
fn a_cancelled_batch_keeps_what_was_delivered() {
    for policy in WAITING {
        let broker = Broker::new();
        let loads = Loads::new();
        let mut subscription = bounded(&broker, "t", 2, policy);
        let mut publisher = broker.publisher();
        let to = topic("t");
        let mut batch = loads.batch(0..10);
        {
            let mut publish = pin!(publisher.publish_batch(&to, &mut batch));
            assert!(poll_once(publish.as_mut()).is_pending());
            assert!(subscription.try_recv().is_ok());
            assert!(poll_once(publish.as_mut()).is_pending());
            assert_books(&subscription, 1, 2, 0);
        }
        assert!(batch.is_empty(), "accepted is accepted");
        assert_books(&subscription, 1, 2, 7);
        assert_eq!(take_all(&mut subscription), [Got::Number(1), Got::Number(2), Got::Missed(7)]);
    }
}

#[test]
fn a_publish_that_was_never_polled_did_not_begin() {
    let broker = Broker::new();
    let loads = Loads::new();
    let subscription = bounded(&broker, "t", 1, WhenFull::Block);
    let mut publisher = broker.publisher();
    let to = topic("t");
    drop(publisher.publish(&to, loads.light(0)));
    let mut batch = loads.batch(0..3);
    drop(publisher.publish_batch(&to, &mut batch));
    assert_eq!(batch.len(), 3);
    drop(batch);
    assert_books(&subscription, 0, 0, 0);
    assert_eq!(loads.alive(), 0);
}

#[test]
fn a_forgotten_publish_is_settled_by_the_next() {
    for policy in WAITING {
        let broker = Broker::new();
        let loads = Loads::new();
        let to = topic("t");
        let mut subscription = bounded(&broker, "t", 2, policy);
        let mut publisher = broker.publisher();
        begin_and_forget(publisher.publish_batch(&to, &mut loads.batch(0..5)));
        assert_books(&subscription, 0, 2, 0);
        // It must wait as well, and be cancelled: both gaps are told.
        begin_and_cancel(publisher.publish(&to, loads.light(5)));
        assert_books(&subscription, 0, 2, 4);
        let mut got = take_all(&mut subscription);
        assert_eq!(got.drain(..2).collect::<Vec<_>>(), numbers(0..2));
        let told: u64 =
            got.iter().map(|got| if let Got::Missed(count) = got { *count } else { 100 }).sum();
        assert_eq!(told, 4);
        assert_eq!(at_once(publisher.publish(&to, loads.light(6))).unwrap().queued, 1);
        assert_eq!(take_all(&mut subscription), numbers(6..7));
    }
}

#[test]
fn a_forgotten_publish_is_settled_by_the_end_of_its_publisher() {
    let Full { broker, mut subscription, publisher: mut forgetful, loads, to } =
        full(WhenFull::Block);
    let mut next = broker.publisher();
    begin_and_forget(forgetful.publish(&to, loads.light(1)));
    let (woken, waker) = Woken::new();
    let mut publish = pin!(next.publish(&to, loads.make(1, 2, 1)));
    assert!(publish.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(forgetful);
    assert_books(&subscription, 0, 1, 1);
    let Ok(Delivery::Message(first)) = subscription.try_recv() else { panic!("the first") };
    assert_eq!(first.number, 0);
    assert!(woken.take(), "nobody stands before it any more");
    assert_eq!(at_once(publish).unwrap().queued, 1);
    let mut got = take_all(&mut subscription);
    got.sort_by_key(|got| matches!(got, Got::Missed(_)));
    assert_eq!(got, [Got::Number(2), Got::Missed(1)]);
}

#[test]
fn a_subscription_whose_publisher_is_forgotten_can_go_and_the_broker_close() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = topic("t");
    let mut stays = bounded(&broker, "t", 1, WhenFull::Block);
    let goes = bounded(&broker, "t", 1, WhenFull::Block);
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish(&to, loads.light(0))).unwrap();
    begin_and_forget(publisher.publish_batch(&to, &mut vec![loads.light(1)]));
    drop(goes);
    broker.close();
    drop(publisher);
    let got = take_all(&mut stays);
    assert_eq!(got[0], Got::Number(0));
    assert!(matches!(got[1..], [Got::Number(1)] | [Got::Missed(1)]), "{got:?}");
    assert!(at_once(stays.recv()).is_none());
}

/// What waits in a forgotten publish counts towards nothing for ever: with its publisher everything
/// is gone.
#[test]
fn a_forgotten_publish_leaks_no_message_beyond_its_publisher() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = topic("t");
    let subscription = bounded(&broker, "t", 1, WhenFull::Block);
    let mut publisher = broker.publisher();
    let mut batch = loads.batch(0..3);
    begin_and_forget(publisher.publish_batch(&to, &mut batch));
    drop((publisher, batch));
    drop(subscription);
    assert_eq!(loads.alive(), 0);
}

#[test]
fn a_cancelled_receive_loses_no_message() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 1000, WhenFull::Block);
    let mut publisher = broker.publisher();
    let mut read = Vec::new();
    for number in 0..1000 {
        // Begun before the message, cancelled after it came.
        let (woken, waker) = Woken::new();
        {
            let mut receive = pin!(subscription.recv());
            assert!(receive.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            let _ = at_once(publisher.publish(&topic("t"), loads.light(number))).unwrap();
            assert!(woken.take());
        }
        {
            let _never_polled = subscription.recv();
        }
        {
            let _never_polled = subscription.recv_batch();
        }
        match at_once(subscription.recv()) {
            Some(Delivery::Message(message)) => read.push(Got::Number(message.number)),
            _ => panic!("number {number} is lost"),
        }
    }
    assert_eq!(read, numbers(0..1000));
}

#[test]
fn a_cancelled_receive_loses_no_wake_up() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 10, WhenFull::Block);
    let mut publisher = broker.publisher();
    for number in 0..100 {
        let (first, first_waker) = Woken::new();
        {
            let mut receive = pin!(subscription.recv());
            while receive.as_mut().poll(&mut Context::from_waker(&first_waker)).is_pending()
                && first.take()
            {}
        }
        let (second, second_waker) = Woken::new();
        let mut receive = pin!(subscription.recv());
        // A receiver may ask by itself to be polled again, some times, before it sleeps.
        while receive.as_mut().poll(&mut Context::from_waker(&second_waker)).is_pending()
            && second.take()
        {}
        let _ = at_once(publisher.publish(&topic("t"), loads.light(number))).unwrap();
        assert!(second.take(), "whoever waits now is woken");
        assert!(!first.take(), "whoever waited before is not");
        assert!(
            matches!(at_once(receive), Some(Delivery::Message(message)) if message.number == number)
        );
    }
}

#[test]
fn the_last_waker_counts() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 10, WhenFull::Block);
    let mut publisher = broker.publisher();
    let ((_, first_waker), (second, second_waker)) = (Woken::new(), Woken::new());
    let mut receive = pin!(subscription.recv_batch());
    assert!(receive.as_mut().poll(&mut Context::from_waker(&first_waker)).is_pending());
    assert!(receive.as_mut().poll(&mut Context::from_waker(&second_waker)).is_pending());
    let _ = at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
    assert!(second.take());
    assert!(matches!(at_once(receive), Some(BatchDelivery::Batch(run)) if run.len() == 1));

    let mut full = bounded(&broker, "u", 1, WhenFull::Block);
    let to = topic("u");
    let _ = at_once(publisher.publish(&to, loads.light(0))).unwrap();
    let mut publish = pin!(publisher.publish(&to, loads.light(1)));
    assert!(publish.as_mut().poll(&mut Context::from_waker(&first_waker)).is_pending());
    assert!(publish.as_mut().poll(&mut Context::from_waker(&second_waker)).is_pending());
    assert!(full.try_recv().is_ok());
    assert!(second.take());
    assert!(at_once(publish).is_ok());
}

/// A message that comes between two polls of a parked receiver is found without a wake-up, too.
#[test]
fn a_receive_looks_before_it_waits() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 10, WhenFull::Block);
    let mut publisher = broker.publisher();
    let mut receive = pin!(subscription.recv());
    assert!(poll_once(receive.as_mut()).is_pending());
    let _ = at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
    assert!(poll_once(receive.as_mut()).is_ready());
}

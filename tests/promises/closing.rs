//! `close`, `drain`, and the end of the last handle; each blocked side while the other ends.

use fanfare::{
    Broker, Delivery, EndReason, Origin, PublishError, SubscribeError, Subscription,
    TryPublishError, TryRecvError, WhenFull,
};
use std::pin::pin;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;
use testkit::broker::{
    FOREVER, Full, Got, Load, Loads, Woken, assert_books, at_once, block_on, bounded, full,
    numbers, pattern, poll_once, take_all, topic, watched,
};

#[test]
fn after_close_nothing_is_published_and_the_message_comes_back() {
    let broker = Broker::new();
    let loads = Loads::new();
    let subscription = bounded(&broker, "t", 10, WhenFull::Block);
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
    assert!(!broker.is_closed());
    broker.close();
    assert!(broker.is_closed());
    broker.close(); // once more is no harm
    let to = topic("t");
    assert!(matches!(
        at_once(publisher.publish(&to, loads.light(1))),
        Err(PublishError::Closed(load)) if load.number == 1
    ));
    assert!(matches!(
        publisher.try_publish(&to, loads.light(2)),
        Err(TryPublishError::Closed(load)) if load.number == 2
    ));
    assert!(matches!(
        publisher.publish_blocking(&to, loads.light(3)),
        Err(PublishError::Closed(load)) if load.number == 3
    ));
    assert!(matches!(
        at_once(publisher.publish_request(&to, &to, loads.light(4))),
        Err(PublishError::Closed(_))
    ));
    let mut batch = loads.batch(5..8);
    assert_eq!(at_once(publisher.publish_batch(&to, &mut batch)), Err(PublishError::Closed(())));
    assert_eq!(publisher.try_publish_batch(&to, &mut batch), Err(TryPublishError::Closed(())));
    assert_eq!(publisher.publish_batch_blocking(&to, &mut batch), Err(PublishError::Closed(())));
    assert_eq!(batch.iter().map(|load| load.number).collect::<Vec<_>>(), [5, 6, 7], "untouched");
    assert!(matches!(
        at_once(broker.publisher().publish(&to, loads.light(9))),
        Err(PublishError::Closed(_))
    ));
    assert_eq!(broker.subscribe(&pattern("t")).map(drop), Err(SubscribeError::Closed));
    assert_books(&subscription, 0, 1, 0);
}

#[test]
fn after_close_subscribers_drain_and_then_end() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 3, WhenFull::DropNewest);
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish_batch(&topic("t"), &mut loads.batch(0..5))).unwrap();
    broker.close();
    let mut expected = numbers(0..3);
    expected.push(Got::Missed(2));
    assert_eq!(take_all(&mut subscription), expected);
    assert_eq!(subscription.try_recv().err(), Some(TryRecvError::Ended));
    assert!(at_once(subscription.recv()).is_none());
    assert!(at_once(subscription.recv_batch()).is_none());
    assert!(subscription.recv_blocking().is_none());
    assert_eq!(subscription.end_reason(), Some(EndReason::Closed));
    assert_books(&subscription, 3, 0, 2);
}

#[test]
fn close_wakes_whoever_waits_to_receive() {
    let broker = Broker::<u64>::new();
    let mut subscriptions: Vec<_> =
        (0..3).map(|_| bounded(&broker, "t", 1, WhenFull::Block)).collect();
    let wakers: Vec<_> = subscriptions
        .iter_mut()
        .map(|subscription| {
            let (woken, waker) = Woken::new();
            assert!(subscription.poll_recv(&mut Context::from_waker(&waker)).is_pending());
            woken
        })
        .collect();
    broker.close();
    assert!(wakers.iter().all(|woken| woken.take()));
    assert!(subscriptions.iter_mut().all(|subscription| at_once(subscription.recv()).is_none()));
}

#[test]
fn close_wakes_a_thread_that_waits_to_receive() {
    watched(|| {
        let broker = Broker::<u64>::new();
        let mut subscription = bounded(&broker, "t", 1, WhenFull::Block);
        let reader = thread::spawn(move || subscription.recv_blocking().is_none());
        broker.close();
        assert!(reader.join().unwrap());
    });
}

#[test]
fn a_publish_that_had_begun_completes_after_close() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = topic("t");
    let mut subscription = bounded(&broker, "t", 2, WhenFull::Block);
    let mut publisher = broker.publisher();
    let mut batch = loads.batch(0..5);
    let mut publish = pin!(publisher.publish_batch(&to, &mut batch));
    assert!(poll_once(publish.as_mut()).is_pending());
    broker.close();
    let mut read = Vec::new();
    let receipt = loop {
        match poll_once(publish.as_mut()) {
            std::task::Poll::Ready(receipt) => break receipt.unwrap(),
            std::task::Poll::Pending => match subscription.try_recv() {
                Ok(Delivery::Message(message)) => read.push(Got::Number(message.number)),
                other => panic!("{:?}: a publish is still under way", other.err()),
            },
        }
    };
    assert_eq!((receipt.matched, receipt.queued), (5, 5));
    read.extend(take_all(&mut subscription));
    assert_eq!(read, numbers(0..5));
    assert_eq!(subscription.try_recv().err(), Some(TryRecvError::Ended));
}

#[test]
fn a_publish_that_is_cancelled_after_close_lets_the_subscriber_end() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = topic("t");
    let mut subscription = bounded(&broker, "t", 1, WhenFull::Block);
    let mut publisher = broker.publisher();
    {
        let mut batch = loads.batch(0..3);
        let mut publish = pin!(publisher.publish_batch(&to, &mut batch));
        assert!(poll_once(publish.as_mut()).is_pending());
        broker.close();
    }
    assert_eq!(take_all(&mut subscription), [Got::Number(0), Got::Missed(2)]);
    assert_eq!(subscription.try_recv().err(), Some(TryRecvError::Ended));
}

#[test]
fn the_end_of_the_last_handle_is_a_close() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 10, WhenFull::Block);
    let other = broker.clone();
    let mut publisher = other.publisher();
    let (woken, waker) = Woken::new();
    assert!(subscription.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    drop(broker);
    drop(other);
    assert!(!woken.take(), "a publisher is left");
    let _ = at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
    assert!(woken.take());
    let again = publisher.broker();
    drop(publisher);
    assert_eq!(take_all(&mut subscription), numbers(0..1));
    assert_eq!(subscription.try_recv().err(), Some(TryRecvError::Empty), "a broker is left");
    assert!(subscription.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    drop(again);
    assert!(woken.take(), "that was the last");
    assert!(at_once(subscription.recv()).is_none());
    assert_eq!(subscription.end_reason(), Some(EndReason::Closed));
}

#[test]
fn a_subscription_alone_can_still_be_read_and_dropped() {
    let loads = Loads::new();
    let broker = Broker::new();
    let subscriptions = [(); 2].map(|()| bounded(&broker, "t", 10, WhenFull::Block));
    let _ = at_once(broker.publisher().publish_batch(&topic("t"), &mut loads.batch(0..5))).unwrap();
    drop(broker);
    let [mut read, dropped] = subscriptions;
    drop(dropped);
    assert_eq!(take_all(&mut read), numbers(0..5));
    assert!(at_once(read.recv()).is_none());
    drop(read);
    assert_eq!(loads.alive(), 0);
}

#[test]
fn drain_of_nothing_is_done_at_once() {
    let broker = Broker::<u64>::new();
    let report = at_once(broker.drain(FOREVER));
    assert!(report.subscriptions.is_empty());
    assert!(broker.is_closed());
}

#[test]
fn drain_waits_until_everything_is_received() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscriptions = [(); 2].map(|()| bounded(&broker, "t", 10, WhenFull::Block));
    let _ = at_once(broker.publisher().publish_batch(&topic("t"), &mut loads.batch(0..5))).unwrap();
    assert!(subscriptions[0].try_recv().is_ok());
    let (woken, waker) = Woken::new();
    let mut drain = pin!(broker.drain(FOREVER));
    assert!(drain.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    assert_eq!(take_all(&mut subscriptions[0]), numbers(1..5));
    assert!(drain.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "one is not done");
    woken.take();
    assert_eq!(take_all(&mut subscriptions[1]), numbers(0..5));
    assert!(woken.take());
    let report = at_once(drain);
    assert_eq!((report.delivered(), report.given_up()), (9, 0));
    let mut delivered: Vec<_> = report
        .subscriptions
        .iter()
        .map(|drained| (drained.id, drained.delivered, drained.given_up))
        .collect();
    delivered.sort();
    assert_eq!(delivered, [(subscriptions[0].id(), 4, 0), (subscriptions[1].id(), 5, 0)]);
    assert_eq!(report.subscriptions[0].interest.to_string(), "t");
}

#[test]
fn drain_does_not_wait_for_subscriptions_that_leave() {
    let broker = Broker::new();
    let loads = Loads::new();
    let subscription = bounded(&broker, "t", 10, WhenFull::Block);
    let _ = at_once(broker.publisher().publish(&topic("t"), loads.light(0))).unwrap();
    let (woken, waker) = Woken::new();
    let mut drain = pin!(broker.drain(FOREVER));
    assert!(drain.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    drop(subscription);
    assert!(woken.take());
    let report = at_once(drain);
    assert_eq!(report.delivered(), 0, "what it had queued was not delivered");
}

#[test]
fn drain_gives_up_at_its_deadline() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut stuck = bounded(&broker, "t", 10, WhenFull::Block);
    let mut done = bounded(&broker, "other", 10, WhenFull::Block);
    let _ = at_once(broker.publisher().publish_batch(&topic("t"), &mut loads.batch(0..5))).unwrap();
    let (woken, waker) = Woken::new();
    assert!(done.poll_recv(&mut Context::from_waker(&waker)).is_pending());
    let report = block_on(broker.drain(Duration::from_millis(1)));
    assert_eq!((report.delivered(), report.given_up()), (0, 5));
    assert_eq!(loads.alive(), 0, "what was given up is freed, though its owner has not looked");
    assert_eq!(stuck.end_reason(), Some(EndReason::GivenUp));
    assert!(matches!(at_once(stuck.recv()), Some(Delivery::Missed(5))), "it is told");
    assert!(at_once(stuck.recv()).is_none());
    assert_books(&stuck, 0, 0, 5);
    assert!(woken.take());
    assert!(at_once(done.recv()).is_none());
    assert_eq!(done.end_reason(), Some(EndReason::Closed));
}

#[test]
fn drain_wakes_publishers_that_wait_for_those_given_up() {
    watched(|| {
        let broker = Broker::new();
        let loads = Loads::new();
        let stuck = bounded(&broker, "t", 1, WhenFull::Block);
        let mut publisher = broker.publisher();
        let _ = at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
        let to = topic("t");
        let (woken, waker) = Woken::new();
        let mut publish = pin!(publisher.publish(&to, loads.light(1)));
        assert!(publish.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        block_on(broker.drain(Duration::from_millis(1)));
        assert!(woken.take());
        let receipt = at_once(publish).unwrap();
        assert_eq!(
            (receipt.matched, receipt.queued, receipt.dropped + receipt.disconnected),
            (1, 0, 1)
        );
        let books = stuck.books();
        assert_eq!((books.received, books.queued, books.offered), (0, 0, books.dropped));
    });
}

#[test]
fn a_cancelled_drain_has_closed_and_given_up_nothing() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 10, WhenFull::Block);
    let _ = at_once(broker.publisher().publish_batch(&topic("t"), &mut loads.batch(0..5))).unwrap();
    testkit::broker::begin_and_cancel(broker.drain(FOREVER));
    assert!(broker.is_closed());
    assert_eq!(take_all(&mut subscription), numbers(0..5));
    assert_eq!(subscription.end_reason(), Some(EndReason::Closed));
}

#[test]
fn a_closed_subscription_receives_what_is_queued_and_then_ends() {
    for policy in [WhenFull::Block, WhenFull::DropOldest] {
        let (broker, loads) = (Broker::new(), Loads::new());
        let mut closing = bounded(&broker, "t", 10, policy);
        let mut other = bounded(&broker, "t", 10, policy);
        let mut publisher = broker.publisher();
        let _ = at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
        closing.close();
        assert_eq!(at_once(publisher.publish(&topic("t"), loads.light(1))).unwrap().matched, 1);
        assert_eq!(broker.subscription_stats().len(), 2, "it still has something queued");
        closing.close();
        assert_eq!(take_all(&mut closing), numbers(0..1));
        assert_eq!(closing.try_recv().err(), Some(TryRecvError::Ended));
        assert_eq!(closing.end_reason(), Some(EndReason::Closed));
        assert_eq!((broker.subscription_stats().len(), broker.stats().subscriptions), (1, 1));
        assert_eq!(take_all(&mut other), numbers(0..2));
        closing.close();
        drop((closing, other));
        assert_eq!((broker.subscription_stats().len(), loads.alive()), (0, 0));
    }
}

#[test]
fn a_publish_that_waits_for_a_closed_subscription_completes() {
    let Full { broker, loads, mut subscription, mut publisher, to } = full(WhenFull::Block);
    let mut waiting = pin!(publisher.publish(&to, loads.light(1)));
    assert!(poll_once(waiting.as_mut()).is_pending());
    subscription.watch().close();
    assert_eq!(take_all(&mut subscription), numbers(0..2));
    let Poll::Ready(Ok(receipt)) = poll_once(waiting.as_mut()) else { panic!("it has room") };
    assert_eq!((receipt.matched, receipt.queued), (1, 1));
    assert_eq!(
        (subscription.try_recv().err(), broker.stats().subscriptions),
        (Some(TryRecvError::Ended), 0,)
    );
}

#[test]
fn a_closed_mailbox_takes_no_subscription_and_ends_when_it_is_read() {
    let (broker, loads) = (Broker::new(), Loads::new());
    let mut mailbox = broker.mailbox("m").open().unwrap();
    mailbox.subscribe(&pattern("t")).unwrap();
    mailbox.subscribe(&pattern(">")).unwrap();
    let mut publisher = broker.publisher();
    assert_eq!(at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap().matched, 2);
    mailbox.close();
    assert_eq!(at_once(publisher.publish(&topic("t"), loads.light(1))).unwrap().matched, 0);
    assert_eq!(mailbox.subscribe(&pattern("u")), Err(SubscribeError::Ended));
    assert!(mailbox.try_recv_batch().is_ok() && mailbox.try_recv_batch().is_ok());
    assert!(matches!(mailbox.try_recv_batch(), Err(TryRecvError::Ended)));
    assert_eq!(
        (mailbox.end_reason(), broker.subscription_stats().len()),
        (Some(EndReason::Closed), 0,)
    );
}

#[test]
fn a_drain_of_one_leaves_the_others_alone() {
    let (broker, loads) = (Broker::new(), Loads::new());
    let mut draining = bounded(&broker, "t", 10, WhenFull::Block);
    let mut other = bounded(&broker, "t", 10, WhenFull::Block);
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
    let watch = draining.watch();
    let mut drain = pin!(watch.drain(FOREVER));
    assert!(poll_once(drain.as_mut()).is_pending());
    assert_eq!(take_all(&mut draining), numbers(0..1));
    let Poll::Ready(drained) = poll_once(drain.as_mut()) else { panic!("it is drained") };
    assert_eq!((drained.id, drained.delivered, drained.given_up), (draining.id(), 1, 0));
    assert_eq!(at_once(publisher.publish(&topic("t"), loads.light(1))).unwrap().matched, 1);
    assert_eq!((take_all(&mut other), broker.is_closed()), (numbers(0..2), false));
}

/// What was dropped before and had not been told yet is told with it.
#[test]
fn a_subscription_that_is_given_up_is_told_what_it_missed() {
    for policy in [WhenFull::DropNewest, WhenFull::DropOldest] {
        let (broker, loads) = (Broker::new(), Loads::new());
        let mut subscription = bounded(&broker, "t", 3, policy);
        let mut publisher = broker.publisher();
        for number in 0..5 {
            let _ = at_once(publisher.publish(&topic("t"), loads.light(number))).unwrap();
        }
        let first = subscription.try_recv().unwrap().to_message();
        let told = if let Delivery::Missed(count) = first { count } else { 0 };
        let received = subscription.books().received;
        let drained = block_on(subscription.watch().drain(Duration::ZERO));
        assert_eq!(drained.given_up, 3 - received);
        assert_eq!(take_all(&mut subscription), [Got::Missed(5 - received - told)]);
        assert_eq!(subscription.try_recv().err(), Some(TryRecvError::Ended));
        assert_eq!(subscription.end_reason(), Some(EndReason::GivenUp));
        assert_books(&subscription, received, 0, 5 - received);
        drop(first);
        assert_eq!(loads.alive(), 0);
    }
}

#[test]
fn another_subscription_on_the_same_terms_begins_now() {
    let (broker, loads, origin) = (Broker::new(), Loads::new(), Origin::unique());
    let first = broker.subscription(&pattern("t")).group("g").no_echo(origin).queue_messages(2);
    let first = first.when_full(WhenFull::DropOldest).keep_pace_from(7).subscribe().unwrap();
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
    let mut second = first.resubscribe().unwrap();
    let terms = |subscription: &Subscription<Load>| {
        let stats = subscription.stats();
        (stats.interest, stats.group, stats.when_full, stats.bound_messages, stats.bound_bytes)
    };
    assert_eq!(terms(&first), terms(&second));
    drop(first);
    assert_eq!(at_once(publisher.publish(&topic("t"), loads.light(1))).unwrap().matched, 1);
    let own = at_once(broker.publisher_as(origin).publish(&topic("t"), loads.light(2)));
    assert_eq!(own.unwrap().matched, 0);
    assert_eq!(take_all(&mut second), numbers(1..2));
    broker.close();
    assert_eq!(second.resubscribe().err(), Some(SubscribeError::Closed));
}

/// Whatever a publish that began before the close reports as queued is received, and nothing more.
#[test]
fn a_close_amid_publishing_loses_nothing() {
    watched(|| {
        for round in 1..200 {
            let (broker, loads) = (Broker::new(), Loads::new());
            let mut subscription = bounded(&broker, "t", 8, WhenFull::Block);
            let (watch, mut publisher) = (subscription.watch(), broker.publisher());
            let publishing = thread::spawn(move || {
                let mut next = |number: &u64| {
                    publisher.publish_blocking(&topic("t"), loads.light(*number)).unwrap().queued
                };
                (0..).take_while(|number| next(number) == 1).count() as u64
            });
            let mut received = 0;
            while let Some(Delivery::Message(load)) = subscription.recv_blocking() {
                assert_eq!(load.number, received, "in order, each once");
                received += 1;
                if received == round {
                    watch.close();
                }
            }
            assert_eq!(received, publishing.join().unwrap(), "round {round}");
            assert_eq!(subscription.end_reason(), Some(EndReason::Closed));
        }
    });
}

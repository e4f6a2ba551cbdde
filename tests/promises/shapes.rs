//! Shapes of publishing and receiving that save code: they keep the promises of what they wrap.

use fanfare::{Broker, Missed, Origin, PublishError, WhenFull};
use futures_lite::StreamExt;
use testkit::broker::{at_once, begin_and_cancel, bounded, pattern, topic};

#[test]
fn messages_pass_over_gaps_and_count_them() {
    let broker = Broker::<u64>::new();
    let mut messages = bounded(&broker, "t", 2, WhenFull::DropNewest).into_messages();
    let (name, mut publisher) = (topic("t"), broker.publisher());
    for number in 1..=5 {
        let _ = publisher.publish_blocking(&name, number).unwrap();
    }
    assert_eq!(at_once(messages.recv()).as_deref(), Some(&1));
    assert_eq!(at_once(messages.next()).as_deref(), Some(&2));
    begin_and_cancel(messages.recv());
    assert_eq!(messages.missed(), 3, "counted although the receive was cancelled");
    let _ = publisher.publish_batch_blocking(&name, &mut vec![6, 7, 8]).unwrap();
    broker.close();
    assert_eq!(messages.recv_blocking().as_deref(), Some(&6));
    assert_eq!(at_once(messages.recv()).as_deref(), Some(&7));
    assert!(messages.recv_blocking().is_none());
    assert_eq!(messages.missed(), 4);
    let books = messages.into_subscription().books();
    assert_eq!((books.offered, books.received, books.dropped), (8, 4, 4));
}

#[test]
fn try_messages_fail_at_each_gap_and_go_on_behind_it() {
    let broker = Broker::<u64>::new();
    let mut messages = bounded(&broker, "t", 1, WhenFull::DropNewest).into_try_messages();
    let (name, mut publisher) = (topic("t"), broker.publisher());
    for number in 1..=3 {
        let _ = publisher.publish_blocking(&name, number).unwrap();
    }
    assert_eq!(at_once(messages.recv()).unwrap().as_deref(), Some(&1));
    assert_eq!(at_once(messages.recv()).unwrap_err(), Missed(2));
    let _ = publisher.publish_batch_blocking(&name, &mut vec![4, 5]).unwrap();
    broker.close();
    assert_eq!(at_once(messages.try_next()).unwrap().as_deref(), Some(&4));
    assert_eq!(messages.recv_blocking().unwrap_err(), Missed(1));
    assert!(messages.recv_blocking().unwrap().is_none());
    assert!(at_once(messages.recv()).unwrap().is_none());
}

#[test]
fn a_cloned_publisher_has_the_origin_and_an_account_of_its_own() {
    let broker = Broker::<u64>::new();
    let origin = Origin::unique();
    let own = broker.subscription(&pattern("t")).no_echo(origin).subscribe().unwrap();
    let other = broker.subscribe(&pattern("t")).unwrap();
    let publisher = broker.publisher_as(origin);
    let mut clone = publisher.clone();
    assert_eq!(broker.stats().publishers, 2);
    drop(publisher);
    assert_eq!(clone.publish_blocking(&topic("t"), 1).unwrap().matched, 1);
    assert_eq!((own.books().offered, other.books().offered), (0, 1));
    assert_eq!((broker.stats().publishers, broker.stats().published), (1, 1));
}

#[test]
fn a_broker_publishes_in_passing_and_leaves_no_publisher_behind() {
    let broker = Broker::<u64>::new();
    let subscription = broker.subscribe(&pattern("t")).unwrap();
    let name = topic("t");
    assert_eq!(at_once(broker.publish(&name, 1)).unwrap().queued, 1);
    assert_eq!(subscription.books().offered, 1);
    assert_eq!((broker.stats().publishers, broker.stats().published), (0, 1));
    broker.close();
    assert_eq!(at_once(broker.publish(&name, 2)), Err(PublishError::Closed(2)));
}

#[test]
fn a_cancelled_publish_in_passing_delivers_nothing_later() {
    let broker = Broker::<u64>::new();
    let mut subscription = bounded(&broker, "t", 1, WhenFull::Block);
    let name = topic("t");
    let _ = at_once(broker.publish(&name, 1)).unwrap();
    begin_and_cancel(broker.publish(&name, 2));
    assert!(subscription.try_recv().is_ok());
    assert_eq!(subscription.books().dropped, 1);
    assert_eq!(broker.stats().publishers, 0);
}

#[test]
fn a_topic_has_subscribers_while_a_pattern_matches_it() {
    let broker = Broker::<u64>::new();
    let name = topic("a.b");
    assert!(!broker.has_subscribers(&name));
    let elsewhere = broker.subscribe(&pattern("a.c")).unwrap();
    assert!(!broker.has_subscribers(&name));
    let (wide, member) = (
        broker.subscribe(&pattern("a.>")).unwrap(),
        broker.subscription(&pattern("*.b")).group("workers").subscribe().unwrap(),
    );
    assert!(broker.has_subscribers(&name));
    drop(wide);
    assert!(broker.has_subscribers(&name));
    drop((member, elsewhere));
    assert!(!broker.has_subscribers(&name));
}

#[test]
fn debug_needs_nothing_of_the_payload_and_names_what_it_shows() {
    struct Plain;
    impl fanfare::Payload for Plain {}
    let broker = Broker::<Plain>::new();
    let messages = broker.subscribe(&pattern("a.*")).unwrap().into_messages();
    assert_eq!(format!("{broker:?} {:?}", broker.publisher()), "Broker { .. } Publisher { .. }");
    let shown = format!("{messages:?}");
    assert!(shown.contains("Subscription {") && shown.contains("a.*"), "{shown}");
    assert!(shown.contains("missed: 0"), "{shown}");
    broker.close();
    let error = at_once(broker.publish(&topic("t"), Plain)).unwrap_err();
    assert_eq!(format!("{error:?}"), "Closed(the broker is closed)");
}

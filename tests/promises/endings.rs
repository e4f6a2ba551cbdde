//! Subscriptions that end in numbers: each costs the same however many there are, and whoever stays
//! is served as before.

use fanfare::{Broker, Mailbox, Origin, Subscription, TryPublishError, WhenFull};
use std::time::Duration;
use testkit::broker::{
    Load, Loads, assert_books, at_once, bounded, numbers, pattern, processor_time, take_all, topic,
};

/// How often a measurement is repeated before a slow one counts: others may have had the caches.
const ATTEMPTS: usize = 10;
const FEW: usize = 5000;
const MANY: usize = 20 * FEW;

/// Ending twenty times as many takes some twenty times as long, not four hundred times.
#[track_caller]
fn assert_scales(end: impl Fn(usize) -> Duration) {
    let mut ratio = f64::MAX;
    for _ in 0..ATTEMPTS {
        let (few, many) = (end(FEW), end(MANY));
        ratio = ratio.min(many.as_secs_f64() / few.as_secs_f64() / (MANY / FEW) as f64);
        println!("{FEW} in {few:?}, {MANY} in {many:?}");
        if ratio <= 3.0 {
            return;
        }
    }
    panic!("among {MANY}, ending one costs {ratio:.1} times what it costs among {FEW}");
}

/// A broker with a publisher that remembers the route.
fn with_route(broker: &Broker<Load>) -> impl Sized {
    let (mut publisher, loads) = (broker.publisher(), Loads::new());
    (0..2).for_each(|number| drop(publisher.try_publish(&topic("t"), loads.light(number))));
    publisher
}

#[test]
fn a_subscription_ends_as_fast_among_many() {
    assert_scales(|count| {
        let broker = Broker::new();
        let to = pattern("t");
        let make = |_| broker.subscription(&to).when_full(WhenFull::DropNewest).subscribe();
        let subscriptions: Vec<Subscription<Load>> = (0..count).flat_map(make).collect();
        let _publisher = with_route(&broker);
        let began = processor_time();
        // The oldest first: the places of all others are behind it.
        subscriptions.into_iter().for_each(drop);
        let took = processor_time() - began;
        assert_eq!(broker.stats().subscriptions, 0);
        took
    });
}

#[test]
fn a_member_of_a_group_ends_as_fast_among_many() {
    assert_scales(|count| {
        let broker = Broker::new();
        let to = pattern("t");
        let make = |_| broker.subscription(&to).group("workers").subscribe();
        let members: Vec<Subscription<Load>> = (0..count).flat_map(make).collect();
        let _publisher = with_route(&broker);
        let began = processor_time();
        members.into_iter().for_each(drop);
        let took = processor_time() - began;
        assert_eq!(broker.stats().subscriptions, 0);
        took
    });
}

fn mailbox_of(broker: &Broker<Load>, subscriptions: usize) -> Mailbox<Load> {
    let mailbox = broker.mailbox("m").when_full(WhenFull::DropNewest).open().unwrap();
    for _ in 0..subscriptions {
        mailbox.subscribe(&pattern("t")).unwrap();
    }
    mailbox
}

#[test]
fn a_mailbox_ends_as_fast_for_each_of_many_subscriptions() {
    assert_scales(|count| {
        let broker = Broker::new();
        let _stays = mailbox_of(&broker, count);
        let mailbox = mailbox_of(&broker, count);
        let _publisher = with_route(&broker);
        let began = processor_time();
        drop(mailbox);
        let took = processor_time() - began;
        assert_eq!(broker.stats().subscriptions, count);
        took
    });
}

/// More than end at once in one place, in an order that is neither forwards nor backwards.
#[test]
fn subscriptions_that_stay_are_served_while_others_end() {
    const ALL: usize = 6000;
    let (broker, loads, origin) = (Broker::new(), Loads::new(), Origin::unique());
    let own = broker.subscription(&pattern("t")).no_echo(origin).queue_messages(64);
    let mut own = own.subscribe().unwrap();
    let make = |_| bounded(&broker, "t", 64, WhenFull::DropNewest);
    let mut subscriptions: Vec<Option<Subscription<Load>>> = (0..ALL).map(make).map(Some).collect();
    let mut grouped: Vec<Option<Subscription<Load>>> = (0..ALL)
        .map(|_| broker.subscription(&pattern("t")).group("g").subscribe().unwrap())
        .map(Some)
        .collect();
    let mut publishers = [broker.publisher(), broker.publisher_as(origin)];
    let mut order: Vec<usize> = (0..ALL).map(|index| index * 1999 % ALL).collect();
    let stay = order.split_off(ALL - 10);

    let (mut published, mut live) = (0, ALL);
    for ending in order.chunks(200) {
        for (index, publisher) in publishers.iter_mut().enumerate() {
            let receipt = at_once(publisher.publish(&topic("t"), loads.light(published))).unwrap();
            let singles = live + usize::from(index == 0);
            assert_eq!((receipt.matched, receipt.queued), (singles as u64 + 1, receipt.matched));
            published += 1;
        }
        for index in ending {
            subscriptions[*index] = None;
            grouped[*index] = None;
        }
        live -= ending.len();
        // Two, since a group counts as one.
        assert!(broker.topic_stats().iter().all(|topic| topic.subscriptions == live + 2));
        assert_eq!(broker.stats().subscriptions, 2 * live + 1);
        assert_eq!(broker.subscription_stats().len(), 2 * live + 1);
    }
    for index in stay {
        let mut subscription = subscriptions[index].take().unwrap();
        assert_eq!(take_all(&mut subscription), numbers(0..published));
        assert_books(&subscription, published, 0, 0);
    }
    assert_eq!(take_all(&mut own), numbers((0..published).step_by(2)));
    drop((own, grouped, subscriptions));
    assert_eq!((broker.stats().subscriptions, loads.alive()), (0, 0));
}

#[test]
fn all_or_nothing_is_about_those_that_have_not_ended() {
    const ALL: usize = 1500;
    let (broker, loads) = (Broker::new(), Loads::new());
    let mut subscriptions: Vec<_> =
        (0..ALL).map(|_| Some(bounded(&broker, "t", 1, WhenFull::Block))).collect();
    let mut publisher = broker.publisher();
    assert_eq!(publisher.try_publish(&topic("t"), loads.light(0)).unwrap().queued, ALL as u64);
    // All that stay are read but the last, which is full.
    subscriptions[..100].fill_with(|| None);
    let (last, read) = subscriptions.split_last_mut().unwrap();
    for subscription in read.iter_mut().flatten() {
        assert_eq!(take_all(subscription), numbers(0..1));
    }
    let refused = publisher.try_publish(&topic("t"), loads.light(1));
    assert!(matches!(refused, Err(TryPublishError::Full(_))), "{refused:?}");
    *last = None;
    let receipt = publisher.try_publish(&topic("t"), loads.light(2)).unwrap();
    assert_eq!((receipt.matched, receipt.queued), (ALL as u64 - 101, receipt.matched));
    for subscription in read.iter_mut().flatten() {
        assert_eq!(take_all(subscription), numbers(2..3));
    }
}

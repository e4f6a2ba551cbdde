//! Promise 1: a queue is bounded exactly, in messages and in bytes; so is everything else.

use fanfare::limits::{
    BATCH_MESSAGES_MAX, CACHED_ROUTES_MAX, HISTORY_BYTES_MAX, HISTORY_TOPICS_MAX,
    QUEUE_BYTES_DEFAULT, QUEUE_BYTES_MAX, QUEUE_MESSAGES_DEFAULT, QUEUE_MESSAGES_MAX, ROUTES_MAX,
    SUBSCRIPTIONS_DEFAULT, WAIT_DEFAULT,
};
use fanfare::{Broker, PublishError, Publisher, SubscribeError, TryPublishError, WhenFull};
use testkit::broker::{Got, Load, Loads, assert_books, bounded, numbers, pattern, take_all, topic};

#[test]
fn the_bound_in_messages_is_exact() {
    for bound in [1, 2, 3, 5, 63, 64, 65, 255, 256, 257, 1000] {
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let mut subscription = bounded(&broker, "t", bound, WhenFull::DropNewest);
        let mut publisher = broker.publisher();
        for number in 0..bound as u64 {
            assert_eq!(
                publisher.try_publish(&topic("t"), loads.light(number)).unwrap().queued,
                1,
                "{number} of {bound}"
            );
        }
        assert_eq!(
            publisher.try_publish(&topic("t"), loads.light(9999)).unwrap().dropped,
            1,
            "one more than {bound}"
        );
        assert_books(&subscription, 0, bound as u64, 1);
        // One out, one in.
        assert!(subscription.try_recv().is_ok());
        assert_eq!(
            publisher.try_publish(&topic("t"), loads.light(bound as u64)).unwrap().queued,
            1
        );
        assert_eq!(publisher.try_publish(&topic("t"), loads.light(9999)).unwrap().dropped, 1);
        let mut expected = numbers(1..bound as u64);
        expected.extend([Got::Missed(1), Got::Number(bound as u64), Got::Missed(1)]);
        assert_eq!(take_all(&mut subscription), expected, "bound {bound}");
        assert_books(&subscription, bound as u64 + 1, 0, 2);
    }
}

#[test]
fn the_bound_in_bytes_is_exact() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = pattern("t");
    let builder = broker
        .subscription(&to)
        .queue_messages(1000)
        .queue_bytes(100)
        .when_full(WhenFull::DropNewest);
    let mut subscription = builder.subscribe().unwrap();
    let mut publisher = broker.publisher();
    let mut publish = |number, weight| {
        publisher.try_publish(&topic("t"), loads.make(0, number, weight)).unwrap().queued
    };
    assert_eq!(publish(0, 60), 1);
    assert_eq!(publish(1, 41), 0, "101 bytes");
    assert_eq!(publish(2, 40), 1, "exactly 100 bytes");
    assert_eq!(publish(3, 1), 0);
    assert_eq!(publish(4, 0), 1, "what weighs nothing always has room in bytes");
    assert_eq!(subscription.stats().queued_bytes, 100);
    assert!(subscription.try_recv().is_ok());
    assert_eq!(subscription.stats().queued_bytes, 40);
    assert_eq!(publish(5, 61), 0);
    assert_eq!(publish(6, 60), 1);
    let expected = [
        Got::Missed(1),
        Got::Number(2),
        Got::Missed(1),
        Got::Number(4),
        Got::Missed(1),
        Got::Number(6),
    ];
    assert_eq!(take_all(&mut subscription), expected);
    assert_eq!(subscription.stats().queued_bytes, 0);
}

#[test]
fn the_weight_is_what_the_payload_says() {
    let broker = Broker::<Vec<u8>>::new();
    let to = pattern("t");
    let builder = broker.subscription(&to).queue_bytes(10).when_full(WhenFull::DropNewest);
    let subscription = builder.subscribe().unwrap();
    let mut publisher = broker.publisher();
    assert_eq!(publisher.try_publish(&topic("t"), vec![0; 10]).unwrap().queued, 1);
    assert_eq!(publisher.try_publish(&topic("t"), vec![0; 1]).unwrap().queued, 0);
    assert_eq!(subscription.stats().queued_bytes, 10);
}

#[test]
fn a_batch_goes_in_as_far_as_it_fits() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut tight = bounded(&broker, "t", 3, WhenFull::DropNewest);
    let mut wide = bounded(&broker, "t", 100, WhenFull::DropNewest);
    let mut publisher = broker.publisher();
    let mut batch = loads.batch(0..10);
    let receipt = publisher.try_publish_batch(&topic("t"), &mut batch).unwrap();
    assert!(batch.is_empty());
    assert_eq!((receipt.matched, receipt.queued, receipt.dropped), (20, 13, 7));
    assert_eq!(
        take_all(&mut tight),
        [Got::Number(0), Got::Number(1), Got::Number(2), Got::Missed(7)]
    );
    assert_eq!(take_all(&mut wide), numbers(0..10));
}

#[test]
fn a_batch_goes_in_as_far_as_its_bytes_fit_and_nothing_behind_a_gap_slips_in() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = pattern("t");
    let builder = broker.subscription(&to).queue_bytes(10).when_full(WhenFull::DropNewest);
    let mut subscription = builder.subscribe().unwrap();
    let mut publisher = broker.publisher();
    let mut batch = [(0, 4), (1, 4), (2, 4), (3, 1)]
        .map(|(number, weight)| loads.make(0, number, weight))
        .into();
    let receipt = publisher.try_publish_batch(&topic("t"), &mut batch).unwrap();
    assert_eq!((receipt.queued, receipt.dropped), (2, 2), "as far as it fits, in order");
    assert_eq!(take_all(&mut subscription), [Got::Number(0), Got::Number(1), Got::Missed(2)]);
}

/// Batches larger than any growing segment keep their order and their count.
#[test]
fn the_largest_batch_arrives_whole_and_a_larger_one_is_refused() {
    let broker = Broker::new();
    let loads = Loads::new();
    let most = BATCH_MESSAGES_MAX as u64;
    let mut subscription = bounded(&broker, "t", BATCH_MESSAGES_MAX - 1, WhenFull::DropNewest);
    let mut publisher = broker.publisher();
    let mut too_long = loads.batch(0..most + 1);
    let refused = publisher.try_publish_batch(&topic("t"), &mut too_long);
    assert_eq!(refused, Err(TryPublishError::TooLong(())));
    let refused = publisher.publish_batch_blocking(&topic("t"), &mut too_long);
    assert_eq!((refused, too_long.len() as u64), (Err(PublishError::TooLong(())), most + 1));
    let receipt = publisher.try_publish_batch(&topic("t"), &mut loads.batch(0..most)).unwrap();
    assert_eq!((receipt.matched, receipt.queued, receipt.dropped), (most, most - 1, 1));
    let mut expected = numbers(0..most - 1);
    expected.push(Got::Missed(1));
    assert_eq!(take_all(&mut subscription), expected);
}

#[test]
fn an_empty_batch_is_nothing() {
    let broker = Broker::<u64>::new();
    let mut subscription = bounded(&broker, "t", 1, WhenFull::Block);
    let mut publisher = broker.publisher();
    let receipt = publisher.try_publish_batch(&topic("t"), &mut Vec::new()).unwrap();
    assert_eq!(receipt, fanfare::Receipt::default());
    let receipt =
        testkit::broker::at_once(publisher.publish_batch(&topic("t"), &mut Vec::new())).unwrap();
    assert_eq!(receipt, fanfare::Receipt::default());
    assert!(subscription.try_recv().is_err());
}

#[test]
fn bounds_of_nothing_or_beyond_the_limits_are_refused() {
    let broker = Broker::<u64>::new();
    let to = pattern("t");
    let messages = |bound| broker.subscription(&to).queue_messages(bound).subscribe().map(drop);
    let bytes = |bound| broker.subscription(&to).queue_bytes(bound).subscribe().map(drop);
    assert_eq!(messages(0), Err(SubscribeError::BadMessageBound(0)));
    assert_eq!(
        messages(QUEUE_MESSAGES_MAX + 1),
        Err(SubscribeError::BadMessageBound(QUEUE_MESSAGES_MAX + 1))
    );
    assert_eq!(messages(QUEUE_MESSAGES_MAX), Ok(()));
    assert_eq!(bytes(0), Err(SubscribeError::BadByteBound(0)));
    assert_eq!(bytes(QUEUE_BYTES_MAX + 1), Err(SubscribeError::BadByteBound(QUEUE_BYTES_MAX + 1)));
    assert_eq!(bytes(QUEUE_BYTES_MAX), Ok(()));
    assert_eq!(broker.subscription_stats().len(), 0, "what was refused left nothing");
}

#[test]
fn defaults_come_from_the_builder_and_from_the_limits() {
    let broker = Broker::<u64>::new();
    let stats = broker.subscribe(&pattern("t")).unwrap().stats();
    assert_eq!(
        (stats.bound_messages, stats.bound_bytes),
        (QUEUE_MESSAGES_DEFAULT, QUEUE_BYTES_DEFAULT)
    );
    assert_eq!(stats.when_full, WhenFull::Wait(WAIT_DEFAULT));
    assert_eq!(
        (QUEUE_MESSAGES_DEFAULT, QUEUE_BYTES_DEFAULT, WAIT_DEFAULT.as_millis()),
        (1024, 1 << 20, 5)
    );

    let broker = Broker::<u64>::builder()
        .queue_messages(7)
        .queue_bytes(77)
        .when_full(WhenFull::Block)
        .build();
    let stats = broker.subscribe(&pattern("t")).unwrap().stats();
    assert_eq!(
        (stats.bound_messages, stats.bound_bytes, stats.when_full),
        (7, 77, WhenFull::Block)
    );
}

#[test]
fn the_number_of_subscriptions_is_bounded() {
    let broker = Broker::<u64>::builder().max_subscriptions(3).build();
    let mut living: Vec<_> = (0..3).map(|_| broker.subscribe(&pattern("t")).unwrap()).collect();
    let refused = broker.subscribe(&pattern("other"));
    assert_eq!(refused.map(drop), Err(SubscribeError::TooMany { max: 3 }));
    living.pop();
    living.push(broker.subscribe(&pattern("other")).expect("room again"));
    assert_eq!(broker.subscribe(&pattern("t")).map(drop), Err(SubscribeError::TooMany { max: 3 }));
    const { assert!(SUBSCRIPTIONS_DEFAULT > 1000) };
}

#[test]
fn history_is_bounded_in_messages_bytes_and_topics() {
    let broker = Broker::<Load>::builder().history(pattern(">"), 3).build();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    let kept = |name: &str| {
        broker
            .history(&topic(name), usize::MAX)
            .iter()
            .map(|message| message.number)
            .collect::<Vec<_>>()
    };
    for number in 0..10 {
        let _ = publisher.try_publish(&topic("a"), loads.light(number)).unwrap();
    }
    assert_eq!(kept("a"), [7, 8, 9]);
    let _ =
        publisher.try_publish(&topic("heavy"), loads.make(0, 0, HISTORY_BYTES_MAX / 2)).unwrap();
    let _ =
        publisher.try_publish(&topic("heavy"), loads.make(0, 1, HISTORY_BYTES_MAX / 2)).unwrap();
    assert_eq!(kept("heavy"), [0, 1]);
    let _ = publisher.try_publish(&topic("heavy"), loads.make(0, 2, 1)).unwrap();
    assert_eq!(kept("heavy"), [1, 2], "the oldest leave first");
    let _ =
        publisher.try_publish(&topic("heavy"), loads.make(0, 3, HISTORY_BYTES_MAX + 1)).unwrap();
    assert!(!kept("heavy").contains(&3), "what exceeds the bound by itself is not kept");

    let most = HISTORY_TOPICS_MAX as u64;
    for number in 0..most {
        let _ = publisher.try_publish(&topic(&format!("t.{number}")), loads.light(number)).unwrap();
    }
    assert_eq!(kept("a"), [0; 0], "the topics that were quiet for longest are forgotten");
    assert_eq!(kept(&format!("t.{}", most / 2)), [most / 2], "the others are there");
    assert_eq!(kept(&format!("t.{}", most - 1)), [most - 1]);
    assert!(loads.alive() <= HISTORY_TOPICS_MAX + CACHED_ROUTES_MAX, "{} alive", loads.alive());
    assert!(broker.topic_stats().len() <= HISTORY_TOPICS_MAX + CACHED_ROUTES_MAX + 1);
}

/// What a subscription with wildcards costs grows with the topics that are remembered.
#[test]
fn publishers_together_remember_a_bounded_number_of_topics_and_reach_them_all() {
    let broker = Broker::<u64>::new();
    let mut all = bounded(&broker, ">", 10, WhenFull::DropOldest);
    let mut publish = |publisher: &mut Publisher<u64>, name: String| {
        let name = topic(&name);
        // The second time makes a route.
        for number in 0..2 {
            assert_eq!(publisher.try_publish(&name, number).unwrap().matched, 1);
            assert_eq!(all.try_recv().unwrap().message().map(|found| *found), Some(number));
        }
    };
    let mut publishers: Vec<_> =
        (0..ROUTES_MAX / CACHED_ROUTES_MAX).map(|_| broker.publisher()).collect();
    for (name, publisher) in publishers.iter_mut().enumerate() {
        (0..CACHED_ROUTES_MAX).for_each(|number| publish(publisher, format!("{name}.{number}")));
    }
    assert_eq!(broker.topic_stats().len(), ROUTES_MAX);
    let mut one_more = broker.publisher();
    publish(&mut one_more, "more".to_owned());
    assert_eq!(broker.topic_stats().len(), ROUTES_MAX);
    // Once others are forgotten there is room again, after some asking.
    publishers.clear();
    (0..=ROUTES_MAX).for_each(|_| publish(&mut one_more, "more".to_owned()));
    assert!(broker.topic_stats().iter().any(|stats| stats.topic == topic("more")));
}

//! Statistics: totals, per topic and per subscription, and the slowest.

use fanfare::{Broker, Interest, Receipt, WhenFull};
use std::pin::pin;
use std::time::Duration;
use testkit::broker::{
    FOREVER, Full, Loads, begin_and_cancel, block_on, bounded, full, pattern, poll_once, topic,
};

#[test]
fn totals_are_the_sum_of_the_receipts() {
    let broker = Broker::new();
    let loads = Loads::new();
    let _narrow = bounded(&broker, "t", 2, WhenFull::DropNewest);
    let _wide = bounded(&broker, ">", 100, WhenFull::Block);
    let mut sum = Receipt::default();
    let mut publishers = [broker.publisher(), broker.publisher()];
    for number in 0..10 {
        let name = ["t", "u"][number as usize % 2];
        sum +=
            publishers[number as usize / 5].try_publish(&topic(name), loads.light(number)).unwrap();
    }
    sum += publishers[0].try_publish_batch(&topic("t"), &mut loads.batch(10..15)).unwrap();
    let stats = broker.stats();
    assert_eq!((stats.published, stats.deliveries), (15, sum));
    assert_eq!((stats.subscriptions, stats.publishers, stats.waits), (2, 2, 0));
    drop(publishers);
    let stats = broker.stats();
    assert_eq!(
        (stats.published, stats.deliveries, stats.publishers),
        (15, sum, 0),
        "nothing is forgotten with its publisher"
    );
}

#[test]
fn totals_count_waits_and_what_was_cancelled() {
    let Full { broker, mut subscription, mut publisher, loads, to } = full(WhenFull::Block);
    {
        let mut publish = pin!(publisher.publish(&to, loads.light(1)));
        assert!(poll_once(publish.as_mut()).is_pending());
        assert!(subscription.try_recv().is_ok());
        assert!(poll_once(publish.as_mut()).is_ready());
    }
    begin_and_cancel(publisher.publish(&to, loads.light(2)));
    let stats = broker.stats();
    assert_eq!(
        stats.deliveries,
        Receipt { matched: 3, queued: 2, waited: 2, dropped: 1, disconnected: 0, remote: 0 }
    );
    assert_eq!((stats.published, stats.waits), (3, 2));
}

#[test]
fn topics_have_figures_of_their_own() {
    let broker = Broker::builder().history(pattern("kept"), 10).build();
    let loads = Loads::new();
    let _a = bounded(&broker, "kept", 2, WhenFull::DropNewest);
    let _b = bounded(&broker, "*", 100, WhenFull::Block);
    let mut publisher = broker.publisher();
    for number in 0..5 {
        let _ = publisher.try_publish(&topic("kept"), loads.light(number)).unwrap();
    }
    for number in 0..3 {
        let _ = publisher.try_publish(&topic("other"), loads.light(number)).unwrap();
    }
    let topics = broker.topic_stats();
    let of = |name: &str| {
        topics
            .iter()
            .find(|stats| stats.topic.as_str() == name)
            .unwrap_or_else(|| panic!("no figures of {name}"))
    };
    let kept = of("kept");
    assert_eq!((kept.published, kept.subscriptions, kept.kept), (5, 2, 5));
    assert_eq!(
        kept.deliveries,
        Receipt { matched: 10, queued: 7, waited: 0, dropped: 3, disconnected: 0, remote: 0 }
    );
    // The first publish to a topic without a history leaves no trace of it: it may be the only one.
    let other = of("other");
    assert_eq!((other.published, other.subscriptions, other.kept), (2, 1, 0));
    assert_eq!(other.deliveries, Receipt { matched: 2, queued: 2, ..Receipt::default() });
}

#[test]
fn a_subscription_knows_its_drops_by_reason() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    let to = pattern("t");
    let builder = broker
        .subscription(&to)
        .queue_messages(2)
        .queue_bytes(10)
        .when_full(WhenFull::Wait(Duration::from_millis(1)));
    let waiting = builder.subscribe().unwrap();
    let builder =
        broker.subscription(&to).queue_messages(2).queue_bytes(10).when_full(WhenFull::DropOldest);
    let oldest = builder.subscribe().unwrap();
    let _ = publisher.try_publish_batch(&topic("t"), &mut loads.batch(0..2)).unwrap();
    let _ = publisher.try_publish(&topic("t"), loads.light(2)).unwrap();
    let _ = block_on(publisher.publish_batch(&topic("t"), &mut loads.batch(3..6))).unwrap();
    let _ = publisher.publish_blocking(&topic("t"), loads.light(6)).unwrap();
    let _ = publisher.publish_blocking(&topic("t"), loads.make(0, 7, 11)).unwrap();
    let drops = waiting.stats().drops;
    assert_eq!(
        (drops.full, drops.timed_out, drops.probation, drops.too_heavy),
        (1, 3, 1, 1),
        "{drops:?}"
    );
    assert_eq!((drops.oldest, drops.cancelled, drops.ended), (0, 0, 0));
    assert!(waiting.stats().waited_for > Duration::ZERO);
    let drops = oldest.stats().drops;
    assert_eq!((drops.full, drops.oldest, drops.too_heavy), (0, 5, 1), "{drops:?}");
    assert_eq!(oldest.stats().waited_for, Duration::ZERO);
    for subscription in [&waiting, &oldest] {
        let (drops, books) = (subscription.stats().drops, subscription.books());
        let sum = drops.full
            + drops.oldest
            + drops.timed_out
            + drops.probation
            + drops.too_heavy
            + drops.cancelled
            + drops.ended;
        assert_eq!(sum, books.dropped);
    }
    let watch = waiting.watch();
    drop(waiting);
    assert_eq!(watch.stats().drops.ended, 2);
}

#[test]
fn high_water_is_the_most_that_was_ever_queued() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut subscription = bounded(&broker, "t", 10, WhenFull::DropNewest);
    let mut publisher = broker.publisher();
    assert_eq!(subscription.stats().high_water_messages, 0);
    for (put, take) in [(3, 2), (4, 5), (2, 2)] {
        for number in 0..put {
            let _ = publisher.try_publish(&topic("t"), loads.light(number)).unwrap();
        }
        for _ in 0..take {
            assert!(subscription.try_recv().is_ok());
        }
    }
    assert_eq!(subscription.stats().high_water_messages, 5);
    let _ = publisher.try_publish_batch(&topic("t"), &mut loads.batch(0..100)).unwrap();
    assert_eq!(subscription.stats().high_water_messages, 10);
}

#[test]
fn a_subscription_describes_itself() {
    let broker = Broker::<u64>::new();
    let to = pattern("a.*");
    let builder = broker
        .subscription(&to)
        .queue_messages(3)
        .queue_bytes(33)
        .when_full(WhenFull::DropOldest)
        .group("g");
    let first = builder.subscribe().unwrap();
    let second = broker.subscribe(&to).unwrap();
    assert_ne!(first.id(), second.id());
    let stats = first.stats();
    assert_eq!((stats.id, stats.group.as_deref()), (first.id(), Some("g")));
    assert_eq!(stats.interest, Interest::Pattern(first.pattern().clone()));
    assert_eq!(
        (stats.bound_messages, stats.bound_bytes, stats.when_full),
        (3, 33, WhenFull::DropOldest)
    );
    assert_eq!((stats.on_probation, stats.end_reason), (false, None));
    assert_eq!(second.stats().group, None);
    let mut listed: Vec<_> = broker.subscription_stats().iter().map(|stats| stats.id).collect();
    listed.sort();
    assert_eq!(listed, [first.id(), second.id()]);
}

#[test]
fn the_slowest_come_first() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    // One was waited for, one lost messages, one is merely behind, one is well.
    let mut well = bounded(&broker, "t", 100, WhenFull::Block);
    let _behind = bounded(&broker, "t", 100, WhenFull::Block);
    let stuck = bounded(&broker, "t", 1, WhenFull::Wait(Duration::from_millis(1)));
    for number in 0..50 {
        let _ = block_on(publisher.publish(&topic("t"), loads.light(number))).unwrap();
        assert!(well.try_recv().is_ok());
    }
    let slowest = broker.slowest(1);
    assert_eq!(slowest.len(), 1, "at most as many as asked for");
    assert_eq!(slowest[0].id, stuck.id());
    let all = broker.slowest(100);
    assert!(all.len() <= 3);
    assert!(
        all.last().unwrap().id == well.id() || all.len() < 3,
        "whoever is well is last, if listed at all"
    );
    drop(stuck);
    assert!(broker.slowest(100).iter().all(|stats| stats.end_reason.is_none()));
}

#[test]
fn waiting_time_is_counted_while_it_lasts_or_after() {
    let Full { mut subscription, mut publisher, loads, to, .. } = full(WhenFull::Wait(FOREVER));
    assert_eq!(subscription.stats().waited_for, Duration::ZERO);
    let mut publish = pin!(publisher.publish(&to, loads.light(1)));
    assert!(poll_once(publish.as_mut()).is_pending());
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_millis(2) {
        std::hint::spin_loop();
    }
    assert!(subscription.try_recv().is_ok());
    assert!(poll_once(publish.as_mut()).is_ready());
    assert!(subscription.stats().waited_for >= Duration::from_millis(2));
}

#[test]
fn a_batch_refused_whole_is_in_no_figure() {
    let broker = Broker::new();
    let loads = Loads::new();
    let full = bounded(&broker, "t", 1, WhenFull::Block);
    let mut publisher = broker.publisher();
    let _ = publisher.try_publish(&topic("t"), loads.light(0)).unwrap();
    let roomy = bounded(&broker, "t", 10, WhenFull::Block);
    assert!(publisher.try_publish(&topic("t"), loads.light(1)).is_err());
    assert_eq!(roomy.stats().high_water_messages, 0, "nothing was ever queued");
    assert_eq!(full.stats().high_water_messages, 1);
    assert_eq!((broker.stats().published, broker.stats().deliveries.matched), (1, 1));
}

/// A publish to a topic that is new to its publisher counts for that topic, not for the one before.
#[test]
fn a_topic_used_once_is_not_counted_for_another() {
    let broker = Broker::<u64>::new();
    let _all = bounded(&broker, ">", 100, WhenFull::Block);
    let mut publisher = broker.publisher();
    for number in 0..5 {
        let _ = publisher.try_publish(&topic("often"), number).unwrap();
    }
    let published = || {
        broker
            .topic_stats()
            .iter()
            .find(|stats| stats.topic.as_str() == "often")
            .map(|stats| stats.published)
    };
    let before = published();
    let _ = publisher.try_publish(&topic("once"), 0).unwrap();
    assert_eq!(published(), before);
    let sum: u64 = broker.topic_stats().iter().map(|stats| stats.published).sum();
    assert!(sum <= broker.stats().published);
}

#[test]
fn drops_stay_in_the_sums_when_their_subscription_has_gone() {
    let broker = Broker::<u32>::new();
    let mut publisher = broker.publisher();
    let topic = topic("a");
    let tiny = |when_full| {
        broker
            .subscription(&pattern("a"))
            .queue_messages(1)
            .when_full(when_full)
            .subscribe()
            .unwrap()
    };
    let (newest, oldest) = (tiny(WhenFull::DropNewest), tiny(WhenFull::DropOldest));
    for message in 0..4 {
        let _ = publisher.publish_blocking(&topic, message).unwrap();
    }
    let dropped = |policy: &str| broker.drop_stats().by_policy[policy];
    assert_eq!((dropped("drop_newest").full, dropped("drop_oldest").oldest), (3, 3));
    drop(newest);
    drop(oldest);
    // The last of each was still queued.
    assert_eq!((dropped("drop_newest").full, dropped("drop_newest").ended), (3, 1));
    assert_eq!((dropped("drop_oldest").oldest, dropped("drop_oldest").ended), (3, 1));
    assert_eq!(broker.drop_stats().by_policy.len(), 2);
}

#[test]
fn a_wait_is_counted_while_it_lasts_and_when_it_is_over() {
    let broker = Broker::<u32>::new();
    let mut publisher = broker.publisher();
    let mut lossless = broker
        .subscription(&pattern("a"))
        .queue_messages(1)
        .when_full(WhenFull::Block)
        .subscribe()
        .unwrap();
    let topic = topic("a");
    let _ = publisher.publish_blocking(&topic, 1).unwrap();
    let counted = || broker.wait_stats().by_duration.iter().map(|(_, count)| count).sum::<u64>();
    {
        let mut waits = Box::pin(publisher.publish(&topic, 2));
        assert!(poll_once(waits.as_mut()).is_pending());
        assert_eq!((broker.wait_stats().waiting, counted()), (1, 0));
        assert!(lossless.try_recv().is_ok());
        let _ = block_on(waits).unwrap();
    }
    assert_eq!((broker.wait_stats().waiting, counted()), (0, 1));
}

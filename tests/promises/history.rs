//! History and replay: the last N of a topic, handed over to live messages without a gap or a
//! repetition.

use fanfare::{Broker, Delivery, WhenFull};
use std::pin::pin;
use testkit::broker::{
    Got, Load, Loads, assert_books, at_once, numbers, pattern, poll_once, take_all, topic,
};

fn kept(broker: &Broker<Load>, name: &str, last: usize) -> Vec<u64> {
    broker.history(&topic(name), last).iter().map(|message| message.number).collect()
}

#[test]
fn history_keeps_the_last_of_each_matching_topic_whoever_listens() {
    let broker = Broker::builder().history(pattern("room.*"), 3).build();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    for number in 0..5 {
        let _ = publisher.try_publish(&topic("room.a"), loads.light(number)).unwrap();
    }
    let _ = publisher.try_publish_batch(&topic("room.b"), &mut loads.batch(10..12)).unwrap();
    let _ = publisher.try_publish(&topic("other"), loads.light(20)).unwrap();
    assert_eq!(kept(&broker, "room.a", 10), [2, 3, 4], "oldest first");
    assert_eq!(kept(&broker, "room.a", 2), [3, 4]);
    assert_eq!(kept(&broker, "room.a", 0), [0; 0]);
    assert_eq!(kept(&broker, "room.b", 10), [10, 11]);
    assert_eq!(kept(&broker, "other", 10), [0; 0]);
    assert_eq!(kept(&broker, "room.never", 10), [0; 0]);
    assert_eq!(broker.history(&topic("room.a"), 1)[0].topic().as_str(), "room.a");
    let _ = publisher.try_publish_batch(&topic("room.b"), &mut loads.batch(12..30)).unwrap();
    assert_eq!(kept(&broker, "room.b", 10), [27, 28, 29]);
    broker.forget_history(&topic("room.a"));
    broker.forget_history(&topic("room.never"));
    assert_eq!(kept(&broker, "room.a", 10), [0; 0]);
    assert_eq!(kept(&broker, "room.b", 10), [27, 28, 29]);
    let _ = publisher.try_publish(&topic("room.a"), loads.light(40)).unwrap();
    assert_eq!(kept(&broker, "room.a", 10), [40]);
}

#[test]
fn forgotten_history_is_freed() {
    let broker = Broker::builder().history(pattern(">"), 100).build();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    let _ = publisher.try_publish_batch(&topic("t"), &mut loads.batch(0..50)).unwrap();
    assert_eq!(loads.alive(), 50);
    broker.forget_history(&topic("t"));
    assert_eq!(loads.alive(), 0);
    for number in 0..50 {
        let _ = publisher.try_publish(&topic("t"), loads.light(number)).unwrap();
    }
    broker.forget_history(&topic("t"));
    assert_eq!(loads.alive(), 0);
}

#[test]
fn replay_comes_first_and_live_messages_follow() {
    let broker = Broker::builder().history(pattern("t"), 10).build();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    for number in 0..20 {
        let _ = publisher.try_publish(&topic("t"), loads.light(number)).unwrap();
    }
    let to = pattern("t");
    let mut subscription = broker.subscription(&to).replay(4).subscribe().unwrap();
    for number in 20..25 {
        let _ = publisher.try_publish(&topic("t"), loads.light(number)).unwrap();
    }
    assert_eq!(take_all(&mut subscription), numbers(16..25));
    assert_books(&subscription, 9, 0, 0);
    let mut all = broker.subscription(&to).replay(1000).subscribe().unwrap();
    assert_eq!(take_all(&mut all), numbers(15..25), "no more than is kept");
    let mut none = broker.subscribe(&to).unwrap();
    assert!(take_all(&mut none).is_empty(), "nobody gets the past unasked");
}

#[test]
fn replay_is_limited_by_the_bounds_and_the_newest_win() {
    let broker = Broker::builder().history(pattern("t"), 100).build();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    for number in 0..20 {
        let _ = publisher.try_publish(&topic("t"), loads.make(0, number, 10)).unwrap();
    }
    let to = pattern("t");
    for policy in [WhenFull::Block, WhenFull::DropOldest, WhenFull::DropNewest] {
        let builder = broker.subscription(&to).queue_messages(5).when_full(policy);
        let mut by_messages = builder.replay(100).subscribe().unwrap();
        let builder = broker.subscription(&to).queue_bytes(35).when_full(policy);
        let mut by_bytes = builder.replay(100).subscribe().unwrap();
        assert_eq!((by_messages.books().queued, by_bytes.books().queued), (5, 3));
        assert_eq!(by_bytes.stats().queued_bytes, 30);
        let read = |got: Vec<Got>| {
            got.into_iter().filter(|got| matches!(got, Got::Number(_))).collect::<Vec<_>>()
        };
        assert_eq!(read(take_all(&mut by_messages)), numbers(15..20), "{policy:?}");
        assert_eq!(read(take_all(&mut by_bytes)), numbers(17..20), "{policy:?}");
    }
}

#[test]
fn a_message_too_heavy_does_not_hide_the_rest_of_a_replay() {
    let broker = Broker::builder().history(pattern("t"), 10).build();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    for (number, weight) in [(0, 1), (1, 1), (2, 100)] {
        let _ = publisher.try_publish(&topic("t"), loads.make(0, number, weight)).unwrap();
    }
    let to = pattern("t");
    let mut subscription = broker.subscription(&to).queue_bytes(10).replay(10).subscribe().unwrap();
    let mut read = take_all(&mut subscription);
    read.retain(|got| matches!(got, Got::Number(_)));
    assert_eq!(read, numbers(0..2));
}

/// Also what a publisher remembers of a topic keeps nothing of its history alive.
#[test]
fn history_that_was_forgotten_is_freed_although_a_publisher_remembers_its_topic() {
    let broker = Broker::builder().history(pattern(">"), 10).build();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    for number in 0..10 {
        let _ = publisher.try_publish(&topic("t"), loads.light(number)).unwrap();
    }
    let _ = publisher.try_publish(&topic("u"), loads.light(10)).unwrap();
    assert_eq!(loads.alive(), 11);
    broker.forget_history(&topic("t"));
    assert_eq!(loads.alive(), 1);
}

#[test]
fn replay_of_several_topics_keeps_their_order() {
    let broker = Broker::builder().history(pattern("t.>"), 10).build();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    for number in 0..12 {
        let name = ["t.a", "t.b", "t.c.d"][number as usize % 3];
        let _ = publisher.try_publish(&topic(name), loads.light(number)).unwrap();
    }
    let to = pattern("t.>");
    let mut subscription = broker.subscription(&to).replay(2).subscribe().unwrap();
    let _ = publisher.try_publish(&topic("t.a"), loads.light(12)).unwrap();
    assert_eq!(
        take_all(&mut subscription),
        numbers(6..13),
        "the last two of each, as one publisher published them"
    );
    let to = pattern("t.*");
    let mut subscription = broker.subscription(&to).replay(1).subscribe().unwrap();
    assert_eq!(take_all(&mut subscription), [Got::Number(10), Got::Number(12)]);
}

#[test]
fn replay_leaves_out_ones_own() {
    let broker = Broker::builder().history(pattern("t"), 10).build();
    let loads = Loads::new();
    let mine = fanfare::Origin::unique();
    let _ = broker.publisher_as(mine).try_publish(&topic("t"), loads.light(0)).unwrap();
    let _ = broker.publisher().try_publish(&topic("t"), loads.light(1)).unwrap();
    let to = pattern("t");
    let mut subscription = broker.subscription(&to).no_echo(mine).replay(10).subscribe().unwrap();
    assert_eq!(take_all(&mut subscription), [Got::Number(1)]);
}

#[test]
fn a_batch_refused_whole_is_not_kept() {
    let broker = Broker::builder().history(pattern("t"), 10).build();
    let loads = Loads::new();
    let to = pattern("t");
    let _full =
        broker.subscription(&to).queue_messages(1).when_full(WhenFull::Block).subscribe().unwrap();
    let mut publisher = broker.publisher();
    let _ = publisher.try_publish(&topic("t"), loads.light(0)).unwrap();
    assert!(publisher.try_publish(&topic("t"), loads.light(1)).is_err());
    broker.close();
    assert!(publisher.try_publish(&topic("t"), loads.light(2)).is_err());
    assert_eq!(kept(&broker, "t", 10), [0]);
}

/// A subscription that begins while a publish waits for another gets its message once: from the
/// past, or live, never both.
#[test]
fn replay_during_a_publish_that_waits() {
    let broker = Broker::builder().history(pattern("t"), 10).build();
    let loads = Loads::new();
    let (name, to) = (topic("t"), pattern("t"));
    let mut full =
        broker.subscription(&to).queue_messages(1).when_full(WhenFull::Block).subscribe().unwrap();
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish(&name, loads.light(0))).unwrap();
    let mut late = {
        let mut publish = pin!(publisher.publish(&name, loads.light(1)));
        assert!(poll_once(publish.as_mut()).is_pending());
        let late = broker.subscription(&to).replay(10).subscribe().unwrap();
        assert!(full.try_recv().is_ok());
        assert!(poll_once(publish.as_mut()).is_ready());
        late
    };
    assert!(full.try_recv().is_ok());
    let _ = at_once(publisher.publish(&name, loads.light(2))).unwrap();
    assert_eq!(take_all(&mut late), numbers(0..3));
}

#[test]
fn replayed_messages_keep_their_reply_topic() {
    let broker = Broker::builder().history(pattern("t"), 10).build();
    let loads = Loads::new();
    let _ =
        at_once(broker.publisher().publish_request(&topic("t"), &topic("answers"), loads.light(0)))
            .unwrap();
    let to = pattern("t");
    let mut subscription = broker.subscription(&to).replay(10).subscribe().unwrap();
    let Ok(Delivery::Message(message)) = subscription.try_recv() else { panic!("a message") };
    assert_eq!(message.reply_to().map(|topic| topic.as_str()), Some("answers"));
    assert_eq!(
        broker.history(&topic("t"), 1)[0].reply_to().map(|topic| topic.as_str()),
        Some("answers")
    );
}

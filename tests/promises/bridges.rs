//! Bridges: what leaves for another system, what comes from it, and which queue groups are served
//! where.

use fanfare::{
    Bridge, BridgeDelivery, Broker, Delivery, Pattern, Receipt, Subscription, Topic, WhenFull,
};
use std::collections::HashMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use testkit::broker::poll_once;

fn topic(text: &str) -> Topic {
    Topic::parse(text).unwrap()
}

fn pattern(text: &str) -> Pattern {
    Pattern::parse(text).unwrap()
}

fn try_recv(bridge: &mut Bridge<u32>) -> Option<BridgeDelivery<u32>> {
    match bridge.poll_recv(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(delivery) => delivery,
        Poll::Pending => None,
    }
}

/// Each message that left, with the groups named for it.
fn left(bridge: &mut Bridge<u32>) -> Vec<(u32, Vec<String>)> {
    let mut left = Vec::new();
    while let Some(delivery) = try_recv(bridge) {
        let BridgeDelivery::Batch { batch, groups } = delivery else { continue };
        let mut names: Vec<String> = groups.names().map(str::to_owned).collect();
        names.sort();
        left.extend(batch.iter().map(|message| (*message, names.clone())));
    }
    left
}

fn received(subscription: &mut Subscription<u32>) -> Vec<u32> {
    let mut received = Vec::new();
    while let Ok(delivery) = subscription.try_recv() {
        received.extend(delivery.message().map(|message| *message));
    }
    received
}

/// What it received, with 100 and their number where messages are missing.
fn told_to(subscription: &mut Subscription<u32>) -> Vec<u32> {
    let mut told = Vec::new();
    while let Ok(delivery) = subscription.try_recv() {
        told.push(match delivery {
            Delivery::Message(message) => *message,
            Delivery::Missed(count) => 100 + count as u32,
        });
    }
    told
}

#[test]
fn a_message_leaves_once_however_much_of_the_other_systems_interest_it_matches() {
    let broker = Broker::<u32>::new();
    let mut bridge = broker.bridge("b").open().unwrap();
    let there = bridge.subscriber();
    let ids: Vec<_> =
        ["a.*", "*.b", "a.b", ">"].map(|text| there.subscribe(&pattern(text)).unwrap()).into();
    let (mut publisher, a_b) = (broker.publisher(), topic("a.b"));
    for number in 0..3 {
        let receipt = publisher.publish_blocking(&a_b, number).unwrap();
        assert_eq!((receipt.matched, receipt.queued, receipt.remote), (1, 1, 1));
    }
    for id in &ids[..3] {
        assert!(there.unsubscribe(*id));
    }
    let _ = publisher.publish_blocking(&a_b, 3).unwrap();
    assert!(there.unsubscribe(ids[3]));
    assert_eq!(publisher.publish_blocking(&a_b, 4).unwrap().matched, 0, "nobody is there");
    let plain = |number| (number, Vec::new());
    assert_eq!(left(&mut bridge), [0, 1, 2, 3].map(plain));
}

#[test]
fn a_receipt_says_what_left_and_what_had_no_room() {
    let broker = Broker::<u32>::new();
    let _here = broker.subscribe(&pattern("a")).unwrap();
    let open = |name: &str, when_full| {
        let bridge = broker.bridge(name).queue_messages(1).when_full(when_full).open().unwrap();
        bridge.subscriber().subscribe(&pattern("a")).unwrap();
        bridge
    };
    let (mut publisher, a) = (broker.publisher(), topic("a"));
    let mut say = |number| publisher.publish_blocking(&a, number).unwrap();
    let counts = |receipt: Receipt| (receipt.matched, receipt.dropped, receipt.remote);
    assert_eq!(counts(say(0)), (1, 0, 0), "there is no bridge");
    let bridge = open("drops", WhenFull::DropNewest);
    assert_eq!((counts(say(1)), counts(say(2))), ((2, 0, 1), (2, 1, 0)));
    drop(bridge);
    let mut bridge = open("waits", WhenFull::Wait(Duration::from_secs(60)));
    assert_eq!(counts(say(3)), (2, 0, 1));
    let mut waiting = pin!(publisher.publish(&a, 4));
    assert!(poll_once(waiting.as_mut()).is_pending());
    assert_eq!(left(&mut bridge).len(), 2);
    let Poll::Ready(Ok(receipt)) = poll_once(waiting.as_mut()) else { panic!("room") };
    assert_eq!((counts(receipt), receipt.waited), ((2, 0, 1), 1));
}

#[test]
fn messages_over_a_bridge_reach_only_plain_subscriptions_and_named_groups() {
    let broker = Broker::<u32>::new();
    let mut bridges = ["one", "other"].map(|name| broker.bridge(name).open().unwrap());
    bridges.iter().for_each(|bridge| drop(bridge.subscriber().subscribe(&pattern(">"))));
    let mut plain = broker.subscribe(&pattern("a")).unwrap();
    let mut grouped = ["x", "x", "y"]
        .map(|group| broker.subscription(&pattern("a")).group(group).subscribe().unwrap());
    let mut publisher = broker.bridge_publisher();
    let receipt = publisher.publish(&topic("a"), None, 1, ["x", "unknown"]).unwrap();
    assert_eq!((receipt.matched, receipt.queued), (2, 2));
    let _ = publisher.publish_batch(&topic("a"), &mut vec![2, 3], [""; 0]).unwrap();
    assert_eq!(received(&mut plain), [1, 2, 3]);
    let counts = grouped.each_mut().map(|member| received(member).len());
    assert_eq!((counts[0] + counts[1], counts[2]), (1, 0));
    for bridge in &mut bridges {
        assert!(left(bridge).is_empty(), "it came over a bridge");
    }
}

#[test]
fn a_bridge_never_waits_for_a_lossless_subscription_which_is_told() {
    let broker = Broker::<u32>::new();
    let lossless = broker.subscription(&pattern("a")).queue_messages(1);
    let mut lossless = lossless.when_full(WhenFull::Block).subscribe().unwrap();
    let mut publisher = broker.bridge_publisher();
    let receipts =
        [1, 2, 3].map(|number| publisher.publish(&topic("a"), None, number, [""; 0]).unwrap());
    assert_eq!(receipts.map(|receipt| receipt.dropped), [0, 1, 1]);
    let first = lossless.try_recv().unwrap();
    assert!(matches!(first, Delivery::Message(message) if *message == 1));
    assert!(matches!(lossless.try_recv(), Ok(Delivery::Missed(2))));
}

#[test]
fn home_subjects_do_not_leave_and_have_no_subscribers_there() {
    let broker = Broker::<u32>::new();
    let builder = broker
        .bridge("b")
        .only(vec![pattern("a.>")])
        .except(vec![pattern("a.secret"), pattern("a.x.>")])
        .unless(vec![pattern("a.x.y")]);
    let mut bridge = builder.open().unwrap();
    bridge.subscriber().subscribe(&pattern(">")).unwrap();
    let publish = |text: &str, number| {
        let matched = [0, 1, 2].map(|_| broker.publisher().publish_blocking(&topic(text), number));
        matched.map(|receipt| receipt.unwrap().matched)
    };
    assert_eq!(publish("a.open", 1), [1; 3]);
    assert_eq!((publish("a.secret", 2), publish("b", 3)), ([0; 3], [0; 3]));
    assert_eq!((publish("a.x.z", 4), publish("a.x.y", 5)), ([0; 3], [1; 3]));
    assert!(broker.has_subscribers(&topic("a.open")) && !broker.has_subscribers(&topic("b")));
    assert_eq!(left(&mut bridge).len(), 6);
}

#[test]
fn a_full_bridge_misses_and_is_told_in_the_place_of_the_gap() {
    let broker = Broker::<u32>::new();
    let builder = broker.bridge("b").queue_messages(2).when_full(WhenFull::DropNewest);
    let mut bridge = builder.open().unwrap();
    bridge.subscriber().subscribe(&pattern("a")).unwrap();
    let receipt =
        broker.publisher().publish_batch_blocking(&topic("a"), &mut vec![1, 2, 3, 4]).unwrap();
    assert_eq!((receipt.matched, receipt.queued, receipt.dropped), (4, 2, 2));
    let batch = try_recv(&mut bridge);
    assert!(matches!(batch, Some(BridgeDelivery::Batch { batch, .. }) if batch.len() == 2));
    assert!(matches!(try_recv(&mut bridge), Some(BridgeDelivery::Missed(2))));
    let books = bridge.books();
    assert_eq!((books.offered, books.received, books.dropped), (4, 2, 2));
}

#[test]
fn interest_is_told_as_it_comes_and_goes_but_not_that_of_bridges() {
    let broker = Broker::<u32>::new();
    let early = broker.subscribe(&pattern("early.>")).unwrap();
    let mut watch = broker.watch_interest();
    let mut told = |broker: &Broker<u32>| {
        let bridge = broker.bridge("b").open().unwrap();
        bridge.subscriber().subscribe(&pattern("theirs")).unwrap();
        let mut told: Vec<String> = watch
            .changes()
            .into_iter()
            .map(|change| {
                let group = change.group.as_deref().unwrap_or("-");
                format!("{} {group} {}->{}", change.pattern, change.before, change.now)
            })
            .collect();
        told.sort();
        told
    };
    assert_eq!(told(&broker), ["early.> - 0->1"]);
    let mailbox = broker.mailbox("m").open().unwrap();
    let id = mailbox.subscribe(&pattern("a.*")).unwrap();
    mailbox.subscribe(&pattern("a.*")).unwrap();
    mailbox.subscribe_in_group(&pattern("a.*"), "g").unwrap();
    drop((early, broker.subscribe(&pattern("passing")).unwrap()));
    assert_eq!(told(&broker), ["a.* - 0->2", "a.* g 0->1", "early.> - 1->0"]);
    assert!(mailbox.unsubscribe(id));
    assert_eq!(told(&broker), ["a.* - 2->1"]);
    drop(mailbox);
    assert_eq!(told(&broker), ["a.* - 1->0", "a.* g 1->0"]);
    assert!(told(&broker).is_empty());
}

/// What one random publish is judged by: who had room before.
struct World {
    broker: Broker<u32>,
    members: Vec<(&'static str, Subscription<u32>)>,
    bridge: Bridge<u32>,
    takes_over: bool,
    /// The groups that have members over there.
    theirs: Vec<&'static str>,
    is_plain_there: bool,
}

const GROUPS: [&str; 3] = ["x", "y", "z"];

impl World {
    fn random(random: &mut fastrand::Rng) -> Self {
        let broker = Broker::<u32>::new();
        let members = (0..random.usize(..5)).map(|_| {
            let group = GROUPS[random.usize(..3)];
            let member = broker.subscription(&pattern("a.*")).group(group);
            let member = member.queue_messages(random.usize(1..6));
            (group, member.when_full(WhenFull::DropNewest).subscribe().unwrap())
        });
        let members = members.collect();
        let takes_over = random.bool();
        let builder = broker.bridge("b").queue_messages(random.usize(1..9));
        let builder = builder.when_full(WhenFull::DropNewest).takes_over(takes_over);
        let bridge = builder.open().unwrap();
        let mut theirs = Vec::new();
        for group in GROUPS {
            if random.bool() {
                theirs.push(group);
                for text in ["a.*", "a.b"].iter().take(random.usize(1..3)) {
                    bridge.subscriber().subscribe_in_group(&pattern(text), group).unwrap();
                }
            }
        }
        let is_plain_there = random.bool();
        if is_plain_there {
            bridge.subscriber().subscribe(&pattern(">")).unwrap();
        }
        Self { broker, members, bridge, takes_over, theirs, is_plain_there }
    }

    fn room_in(&self, group: &str) -> u64 {
        let of_group = self.members.iter().filter(|(name, _)| *name == group);
        of_group.map(|(_, member)| member.stats().bound_messages as u64).sum()
    }
}

/// Never twice, and never nobody while somebody has room.
#[test]
fn a_group_gets_each_message_once_here_or_there_wherever_there_is_room() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    for _ in 0..2_000 {
        let mut world = World::random(&mut random);
        let count = random.u32(1..20);
        let mut publisher = world.broker.publisher();
        let mut numbers: Vec<u32> = (0..count).collect();
        if random.bool() {
            let _ = publisher.publish_batch_blocking(&topic("a.b"), &mut numbers).unwrap();
        } else {
            for number in numbers {
                let _ = publisher.publish_blocking(&topic("a.b"), number).unwrap();
            }
        }
        let left = left(&mut world.bridge);
        let mut times_left: HashMap<u32, u32> = HashMap::new();
        left.iter().for_each(|(number, _)| *times_left.entry(*number).or_default() += 1);
        assert!(times_left.values().all(|times| *times == 1), "each message leaves once");
        for group in GROUPS {
            let mut got: HashMap<u32, u32> = HashMap::new();
            for (_, member) in world.members.iter_mut().filter(|(name, _)| *name == group) {
                received(member).iter().for_each(|number| *got.entry(*number).or_default() += 1);
            }
            let here = got.len() as u64;
            assert_eq!(here, world.room_in(group).min(count.into()), "first those who are here");
            for (number, _) in left.iter().filter(|(_, names)| names.iter().any(|it| it == group)) {
                *got.entry(*number).or_default() += 1;
            }
            assert!(got.values().all(|times| *times == 1), "a message came twice to {group}");
            let may_leave = world.theirs.contains(&group) && (here == 0 || world.takes_over);
            let named = got.len() as u64 - here;
            assert!(may_leave || named == 0, "named although it may not be");
            let is_bridge_full = world.bridge.books().dropped > 0
                || world.bridge.books().offered
                    >= world.bridge.watch().stats().bound_messages as u64;
            let is_complete = got.len() as u32 == count;
            assert!(!may_leave || is_complete || is_bridge_full, "room was left for {group}");
        }
        if world.is_plain_there && world.bridge.books().dropped == 0 {
            assert_eq!(left.len() as u32, count);
        }
    }
}

/// Under each policy, whether it reads already or has messages queued.
#[test]
fn a_broken_bridge_is_a_gap_of_unknown_size_before_what_comes_over_it_next() {
    let policies = [WhenFull::DropNewest, WhenFull::DropOldest, WhenFull::Block];
    for (policy, reads_already) in policies.into_iter().flat_map(|it| [(it, true), (it, false)]) {
        let broker = Broker::<u32>::new();
        let subscribe = |text: &str| {
            let builder = broker.subscription(&pattern(text)).queue_messages(2);
            builder.when_full(policy).subscribe().unwrap()
        };
        let (mut affected, mut other) = (subscribe("a"), subscribe("*"));
        let mut publisher = broker.publisher();
        let _ = publisher.try_publish(&topic("a"), 1).unwrap();
        if reads_already {
            assert_eq!(received(&mut affected), [1]);
        }
        broker.interrupt(|pattern, group| pattern.as_str() == "a" && group.is_none());
        broker.interrupt(|pattern, _| pattern.as_str() == "a");
        let _ = broker.bridge_publisher().publish(&topic("a"), None, 2, [""; 0]).unwrap();
        let first = if reads_already { &[][..] } else { &[1] };
        assert_eq!(told_to(&mut affected), [first, &[100, 2]].concat(), "{policy:?}");
        assert_eq!(received(&mut other), [1, 2]);
        let books = affected.books();
        assert_eq!((books.offered, books.received, books.dropped), (2, 2, 0));
    }
}

/// Under each policy. The books are of what got here.
#[test]
fn a_loss_elsewhere_is_a_gap_for_plain_subscriptions_to_its_topic() {
    for policy in [WhenFull::DropNewest, WhenFull::DropOldest, WhenFull::Block] {
        let broker = Broker::<u32>::new();
        let subscribe = |text: &str, group: Option<&str>| {
            let builder = broker.subscription(&pattern(text)).when_full(policy);
            let builder = match group {
                Some(name) => builder.group(name),
                None => builder,
            };
            builder.subscribe().unwrap()
        };
        let mut theirs = [subscribe("a", None), subscribe("*", None)];
        let mut others = [subscribe("b", None), subscribe("a", Some("g"))];
        let mut bridge = broker.bridge("b").open().unwrap();
        bridge.subscriber().subscribe(&pattern("a")).unwrap();
        let mut publish = {
            let mut publisher = broker.bridge_publisher();
            move |lost: Option<u32>, message| {
                lost.into_iter().for_each(|count| publisher.missed(&topic("a"), count));
                let _ = publisher.publish(&topic("a"), None, message, ["g"]).unwrap();
            }
        };
        publish(None, 1);
        publish(Some(3), 2);
        publish(Some(0), 3);
        for subscription in &mut theirs {
            assert_eq!(told_to(subscription), [1, 103, 2, 100, 3], "{policy:?}");
            let books = subscription.books();
            assert_eq!((books.offered, books.received, books.dropped), (3, 3, 0));
        }
        assert_eq!(others.each_mut().map(received), [vec![], vec![1, 2, 3]]);
        assert_eq!(others.each_ref().map(|other| other.books().dropped), [0, 0]);
        assert_eq!(bridge.books().dropped, 0);
        assert!(try_recv(&mut bridge).is_none());
    }
}

/// A publisher takes a shorter way while its audience stays as it is.
#[test]
fn interest_that_comes_and_goes_is_known_to_the_next_publish() {
    let broker = Broker::<u32>::new();
    let mut bridge = broker.bridge("b").open().unwrap();
    let (mut publisher, to) = (broker.publisher(), topic("a"));
    let mut matched = || {
        let receipts = [0; 5].map(|_| publisher.publish_blocking(&to, 1).unwrap().matched);
        assert!(receipts.iter().all(|matched| *matched == receipts[0]));
        receipts[0]
    };
    assert_eq!(matched(), 0);
    let here = broker.subscribe(&pattern("a")).unwrap();
    for _ in 0..3 {
        assert_eq!(matched(), 1);
        let id = bridge.subscriber().subscribe(&pattern("*")).unwrap();
        assert_eq!(matched(), 2);
        assert_eq!(left(&mut bridge).len(), 5);
        bridge.subscriber().unsubscribe(id);
    }
    drop(here);
    assert_eq!(matched(), 0);
    bridge.subscriber().subscribe(&pattern("a")).unwrap();
    assert_eq!(matched(), 1);
    assert_eq!(left(&mut bridge).len(), 5);
}

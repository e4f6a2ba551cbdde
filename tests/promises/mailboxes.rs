//! Mailboxes: one bounded queue for many subscriptions.

use fanfare::limits::MATCH_STEPS_MAX;
use fanfare::{
    Books, Broker, EndReason, Interest, Mailbox, MailboxDelivery, Origin, Receipt, SubscribeError,
    SubscriptionId, TryPublishError, TryRecvError, WhenFull,
};
use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use testkit::broker::{
    FOREVER, Load, Loads, at_once, block_on, bounded, pattern, poll_once, topic,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Got {
    Number(SubscriptionId, u64),
    Missed(u64),
}

fn mailbox(broker: &Broker<Load>, bound: usize, when_full: WhenFull) -> Mailbox<Load> {
    broker.mailbox("m").queue_messages(bound).when_full(when_full).open().unwrap()
}

fn take_all(mailbox: &mut Mailbox<Load>) -> Vec<Got> {
    let mut all = Vec::new();
    while let Ok(delivery) = mailbox.try_recv_batch() {
        match delivery {
            MailboxDelivery::Batch(id, run) => {
                all.extend(run.iter().map(|load| Got::Number(id, load.number)))
            }
            MailboxDelivery::Missed(count) => all.push(Got::Missed(count)),
        }
    }
    all
}

fn total(receipts: impl IntoIterator<Item = Receipt>) -> Receipt {
    let mut total = Receipt::default();
    receipts.into_iter().for_each(|receipt| total += receipt);
    total
}

#[test]
fn a_message_comes_once_for_each_subscription_that_matches() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut mailbox = mailbox(&broker, 100, WhenFull::Block);
    let exact = mailbox.subscribe(&pattern("a.b")).unwrap();
    let wide = mailbox.subscribe(&pattern("a.>")).unwrap();
    let group = mailbox.subscribe_in_group(&pattern("a.*"), "workers").unwrap();
    assert!(exact < wide && wide < group && ![exact, wide, group].contains(&mailbox.id()));
    let mut publisher = broker.publisher();
    let receipt = at_once(publisher.publish(&topic("a.b"), loads.light(1))).unwrap();
    assert_eq!(receipt, Receipt { matched: 3, queued: 3, ..Receipt::default() });
    let _ = at_once(publisher.publish(&topic("a.b.c"), loads.light(2))).unwrap();
    let _ = at_once(publisher.publish(&topic("other"), loads.light(3))).unwrap();
    let mut got = take_all(&mut mailbox);
    got.sort();
    assert_eq!(
        got,
        [Got::Number(exact, 1), Got::Number(wide, 1), Got::Number(wide, 2), Got::Number(group, 1)]
    );
    assert_eq!(mailbox.books(), Books { offered: 4, received: 4, queued: 0, dropped: 0 });
}

#[test]
fn messages_to_different_topics_come_in_the_order_published() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut mailbox = mailbox(&broker, 1000, WhenFull::Block);
    let ids = ["a", "b", "c"].map(|name| mailbox.subscribe(&pattern(name)).unwrap());
    let mut publisher = broker.publisher();
    let mut expected = Vec::new();
    for number in 0..300u64 {
        let which = (number * number % 7 % 3) as usize;
        let _ = at_once(publisher.publish(&topic(["a", "b", "c"][which]), loads.light(number)))
            .unwrap();
        expected.push(Got::Number(ids[which], number));
        if number % 50 == 49 {
            assert_eq!(take_all(&mut mailbox), std::mem::take(&mut expected));
        }
    }
}

#[test]
fn messages_queued_before_an_unsubscribe_still_come_and_nothing_else() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut mailbox = mailbox(&broker, 100, WhenFull::Block);
    let (first, second) =
        (mailbox.subscribe(&pattern("t")).unwrap(), mailbox.subscribe(&pattern("t")).unwrap());
    let mut publisher = broker.publisher();
    for number in 0..3 {
        let _ = at_once(publisher.publish(&topic("t"), loads.light(number))).unwrap();
    }
    assert!(mailbox.unsubscribe(first) && !mailbox.unsubscribe(first));
    let receipt = at_once(publisher.publish(&topic("t"), loads.light(3))).unwrap();
    assert_eq!(receipt.matched, 1);
    let third = mailbox.subscribe(&pattern("t")).unwrap();
    assert!(third > second, "no name is used twice");
    let _ = at_once(publisher.publish(&topic("t"), loads.light(4))).unwrap();
    let mut got = take_all(&mut mailbox);
    got.sort();
    let of = |id, numbers: std::ops::Range<u64>| numbers.map(move |number| Got::Number(id, number));
    let expected: Vec<_> = of(first, 0..3).chain(of(second, 0..5)).chain(of(third, 4..5)).collect();
    assert_eq!(got, expected);
}

#[test]
fn all_share_the_bounds_and_the_gap_is_told_once() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut mailbox = mailbox(&broker, 3, WhenFull::DropNewest);
    let a = mailbox.subscribe(&pattern("a")).unwrap();
    let b = mailbox.subscribe(&pattern("b")).unwrap();
    let mut publisher = broker.publisher();
    for (name, number) in [("a", 0), ("b", 1), ("a", 2), ("b", 3), ("a", 4)] {
        let _ = at_once(publisher.publish(&topic(name), loads.light(number))).unwrap();
    }
    assert_eq!(mailbox.books(), Books { offered: 5, received: 0, queued: 3, dropped: 2 });
    assert_eq!(
        take_all(&mut mailbox),
        [Got::Number(a, 0), Got::Number(b, 1), Got::Number(a, 2), Got::Missed(2)]
    );
}

#[test]
fn one_message_for_two_subscriptions_takes_two_places() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut lossless = mailbox(&broker, 1, WhenFull::Block);
    lossless.subscribe(&pattern("t")).unwrap();
    let wide = lossless.subscribe(&pattern("*")).unwrap();
    let mut publisher = broker.publisher();
    let refused = publisher.try_publish(&topic("t"), loads.light(0));
    assert!(matches!(refused, Err(TryPublishError::Full(_))), "all or nothing");
    assert_eq!(lossless.books(), Books::default());
    drop(refused);
    {
        let blocked = "t".to_owned();
        let target = topic(&blocked);
        let mut publishing = pin!(publisher.publish(&target, loads.light(1)));
        assert!(poll_once(publishing.as_mut()).is_pending(), "the second place is waited for");
        let mut got = take_all(&mut lossless);
        assert!(poll_once(publishing).is_ready());
        got.extend(take_all(&mut lossless));
        assert_eq!(got.len(), 2);
        assert!(got.contains(&Got::Number(wide, 1)));
    }
    assert_eq!(lossless.books(), Books { offered: 2, received: 2, queued: 0, dropped: 0 });
}

#[test]
fn nobody_hears_themselves_through_any_of_its_subscriptions() {
    let broker = Broker::new();
    let loads = Loads::new();
    let me = Origin::unique();
    let mut mailbox = broker.mailbox("m").no_echo(me).open().unwrap();
    mailbox.subscribe(&pattern("t")).unwrap();
    mailbox.subscribe_in_group(&pattern("t"), "g").unwrap();
    let mine = at_once(broker.publisher_as(me).publish(&topic("t"), loads.light(1))).unwrap();
    let theirs = at_once(broker.publisher().publish(&topic("t"), loads.light(2))).unwrap();
    assert_eq!((mine.matched, theirs.matched), (0, 2));
    assert_eq!(take_all(&mut mailbox).len(), 2);
}

#[test]
fn a_mailbox_finds_its_own_subscription_in_bounded_steps() {
    let broker = Broker::<Load>::new();
    let [own, others] = [(); 2].map(|()| mailbox(&broker, 10, WhenFull::DropNewest));
    let subscriber = own.subscriber();
    others.subscribe(&pattern("a.b")).unwrap();
    own.subscribe_in_group(&pattern("a.*"), "g").unwrap();
    assert_eq!(subscriber.first_match(&topic("a.b")), None, "neither others' nor a group's");
    let id = own.subscribe(&pattern("*.b")).unwrap();
    assert_eq!(subscriber.first_match(&topic("a.b")), Some(id));
    assert_eq!(subscriber.first_match(&topic("a.b.c")), None);
    // Found last, after a way that is too long.
    for _ in 0..MATCH_STEPS_MAX {
        others.subscribe(&pattern("a.b")).unwrap();
    }
    assert_eq!(subscriber.first_match(&topic("a.b")), None);
    assert_eq!(subscriber.first_match(&topic("x.b")), Some(id));
    assert!(own.unsubscribe(id));
    assert_eq!(subscriber.first_match(&topic("x.b")), None);
}

#[test]
fn a_mailbox_ended_for_being_full_has_left_all_routes() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut mailbox = mailbox(&broker, 1, WhenFull::Disconnect { after: Duration::ZERO });
    mailbox.subscribe(&pattern("a")).unwrap();
    mailbox.subscribe(&pattern("b")).unwrap();
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish(&topic("a"), loads.light(0))).unwrap();
    let receipt = at_once(publisher.publish(&topic("b"), loads.light(1))).unwrap();
    assert_eq!((receipt.matched, receipt.disconnected), (1, 1));
    assert_eq!(at_once(publisher.publish(&topic("a"), loads.light(2))).unwrap().matched, 0);
    assert_eq!(mailbox.end_reason(), Some(EndReason::Disconnected));
    assert_eq!(mailbox.subscribe(&pattern("c")), Err(SubscribeError::Ended));
    assert!(matches!(mailbox.try_recv_batch(), Err(TryRecvError::Ended)));
    assert_eq!((broker.stats().subscriptions, loads.alive()), (0, 0));
}

#[test]
fn closing_the_broker_ends_it_even_without_a_subscription() {
    let broker = Broker::<Load>::new();
    let mut empty = mailbox(&broker, 1, WhenFull::Block);
    let reading = std::thread::spawn(move || block_on(empty.recv_batch()).is_none());
    broker.close();
    assert!(reading.join().unwrap());
    assert!(matches!(broker.mailbox("late").open(), Err(SubscribeError::Closed)));
}

#[test]
fn a_drain_waits_for_it_and_reports_it_by_its_name() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut mailbox = mailbox(&broker, 10, WhenFull::Block);
    let id = mailbox.subscribe(&pattern("t")).unwrap();
    let _ = at_once(broker.publisher().publish(&topic("t"), loads.light(7))).unwrap();
    let mut draining = pin!(broker.drain(FOREVER));
    assert!(poll_once(draining.as_mut()).is_pending());
    assert_eq!(mailbox.subscribe(&pattern("u")), Err(SubscribeError::Closed));
    assert_eq!(take_all(&mut mailbox), [Got::Number(id, 7)]);
    let report = block_on(draining);
    assert_eq!((report.subscriptions.len(), report.delivered(), report.given_up()), (1, 1, 0));
    assert_eq!(report.subscriptions[0].interest.to_string(), "m");
}

#[test]
fn dropping_it_leaves_nothing_behind() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mailbox = mailbox(&broker, 100, WhenFull::Block);
    let subscriber = mailbox.subscriber();
    for number in 0..50 {
        let to = pattern(&format!("t.{}", number % 10));
        if number % 2 == 0 { mailbox.subscribe(&to) } else { mailbox.subscribe_in_group(&to, "g") }
            .unwrap();
    }
    let mut publisher = broker.publisher();
    for number in 0..10 {
        let _ = at_once(publisher.publish(&topic(&format!("t.{number}")), loads.light(number)))
            .unwrap();
    }
    assert_eq!(broker.stats().subscriptions, 50);
    let interest = Interest::Mailbox { name: "m".into(), subscriptions: 50 };
    assert_eq!(
        broker.subscription_stats().iter().map(|stats| &stats.interest).collect::<Vec<_>>(),
        [&interest]
    );
    drop(mailbox);
    assert_eq!(
        (broker.stats().subscriptions, broker.subscription_stats().len(), loads.alive()),
        (0, 0, 0)
    );
    assert_eq!(subscriber.subscribe(&pattern("t.1")), Err(SubscribeError::Ended));
    assert_eq!(
        at_once(publisher.publish(&topic("t.1"), loads.light(99))).unwrap(),
        Receipt::default()
    );
}

#[test]
fn mailboxes_and_their_subscriptions_count_against_the_brokers_bound() {
    let broker = Broker::<Load>::builder().max_subscriptions(3).build();
    let first = mailbox(&broker, 1, WhenFull::Block);
    let id = first.subscribe(&pattern("a")).unwrap();
    first.subscribe(&pattern("b")).unwrap();
    assert_eq!(first.subscribe(&pattern("c")), Err(SubscribeError::TooMany { max: 3 }));
    assert!(first.unsubscribe(id));
    first.subscribe(&pattern("c")).unwrap();
    drop(first);
    bounded(&broker, "d", 1, WhenFull::Block);
    mailbox(&broker, 1, WhenFull::Block);
}

/// Random operations, compared with what they mean: each message for each subscription that
/// matches, as long as there is room; else dropped.
#[test]
fn random_operations_agree_with_their_meaning() {
    let seed: u64 =
        std::env::var("FANFARE_MODEL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    for round in 0..3_000 {
        let mut random = fastrand::Rng::with_seed(seed.wrapping_add(round));
        Model::new(&mut random).run(&mut random, round);
    }
}

const TOPICS: [&str; 4] = ["a", "b", "a.x", "b.x"];
const PATTERNS: [&str; 6] = ["a", "b", "*", ">", "*.x", "a.>"];

fn naive_match(pattern: &str, topic: &str) -> bool {
    match pattern {
        "*" => !topic.contains('.'),
        ">" => true,
        "*.x" => topic.ends_with(".x"),
        "a.>" => topic == "a.x",
        literal => literal == topic,
    }
}

struct Model {
    broker: Broker<Load>,
    mailbox: Mailbox<Load>,
    bound: usize,
    live: BTreeMap<SubscriptionId, &'static str>,
    /// Of each publisher's message: how many copies are to come, and for whom.
    expected: BTreeMap<(usize, u64), (usize, BTreeSet<SubscriptionId>)>,
    queued: usize,
    books: Books,
    missed: u64,
}

impl Model {
    fn new(random: &mut fastrand::Rng) -> Self {
        let broker = Broker::new();
        let bound = [1, 2, 5, 40, 300][random.usize(..5)];
        let mailbox = mailbox(&broker, bound, WhenFull::DropNewest);
        let (live, expected) = (BTreeMap::new(), BTreeMap::new());
        Self {
            broker,
            mailbox,
            bound,
            live,
            expected,
            queued: 0,
            books: Books::default(),
            missed: 0,
        }
    }

    fn run(&mut self, random: &mut fastrand::Rng, round: u64) {
        let loads = Loads::new();
        let mut publishers = [self.broker.publisher(), self.broker.publisher()];
        for step in 0..random.u64(10..200) {
            match random.u32(..20) {
                0..=2 => self.subscribe(PATTERNS[random.usize(..PATTERNS.len())]),
                3 => self.unsubscribe(random),
                4..=5 => self.receive(round),
                _ => {
                    let (name, from) = (TOPICS[random.usize(..TOPICS.len())], random.usize(..2));
                    let numbers: Vec<_> = (step * 10..step * 10 + random.u64(1..5)).collect();
                    let batch_size = if random.bool() { numbers.len() } else { 1 };
                    for piece in numbers.chunks(batch_size) {
                        let mut batch =
                            piece.iter().map(|number| loads.make(from, *number, 1)).collect();
                        let receipt =
                            publishers[from].try_publish_batch(&topic(name), &mut batch).unwrap();
                        self.publish(name, from, piece, receipt, round);
                    }
                }
            }
            assert_eq!(self.mailbox.books(), self.books, "round {round}");
        }
        self.receive(round);
        assert_eq!(loads.alive(), 0, "round {round}: everything was received and let go");
    }

    fn subscribe(&mut self, name: &'static str) {
        let id = self.mailbox.subscribe(&pattern(name)).unwrap();
        self.live.insert(id, name);
    }

    fn unsubscribe(&mut self, random: &mut fastrand::Rng) {
        let ids: Vec<_> = self.live.keys().copied().collect();
        if let Some(id) = random.choice(ids) {
            self.live.remove(&id);
            assert!(self.mailbox.unsubscribe(id));
        }
    }

    fn publish(&mut self, name: &str, from: usize, piece: &[u64], receipt: Receipt, round: u64) {
        let matching: BTreeSet<_> =
            self.live.iter().filter(|(_, to)| naive_match(to, name)).map(|(id, _)| *id).collect();
        // Some have room for the whole batch; then one for its beginning. Which ones is not
        // promised.
        let room = self.bound - self.queued;
        let whole = matching.len().min(room / piece.len());
        let part = if whole < matching.len() { room - whole * piece.len() } else { 0 };
        for (index, number) in piece.iter().enumerate() {
            let copies = whole + usize::from(index < part);
            self.expected.insert((from, *number), (copies, matching.clone()));
        }
        let queued = whole * piece.len() + part;
        self.queued += queued;
        let (matched, queued) = ((matching.len() * piece.len()) as u64, queued as u64);
        let dropped = matched - queued;
        assert_eq!(
            receipt,
            Receipt { matched, queued, dropped, ..Receipt::default() },
            "round {round}"
        );
        self.books.offered += matched;
        self.books.queued += queued;
        self.books.dropped += dropped;
        self.missed += dropped;
    }

    fn receive(&mut self, round: u64) {
        let mut missed = 0;
        let mut last = BTreeMap::new();
        let mut expected = std::mem::take(&mut self.expected);
        while let Ok(delivery) = self.mailbox.try_recv_batch() {
            match delivery {
                MailboxDelivery::Batch(id, run) => {
                    for load in &run {
                        let before = last.insert((id, load.from), load.number);
                        assert!(
                            before < Some(load.number),
                            "round {round}: in order, and once for each"
                        );
                        let (copies, matching) =
                            expected.get_mut(&(load.from, load.number)).expect("published once");
                        assert!(matching.contains(&id), "round {round}");
                        *copies -= 1;
                    }
                }
                MailboxDelivery::Missed(count) => missed += count,
            }
        }
        assert!(expected.values().all(|(copies, _)| *copies == 0), "round {round}: {expected:?}");
        assert_eq!(missed, std::mem::take(&mut self.missed), "round {round}");
        self.books.received += self.books.queued;
        self.books.queued = 0;
        self.queued = 0;
    }
}

/// Publishers, a receiver, and a thread that subscribes and unsubscribes, all at once: each
/// subscription gets each publisher's messages in order, and everything that was offered was
/// received or is known to be dropped.
#[test]
fn subscriptions_come_and_go_while_messages_flow() {
    for when_full in
        [WhenFull::Block, WhenFull::DropNewest, WhenFull::DropOldest, WhenFull::Wait(FOREVER)]
    {
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let mut mailbox = mailbox(&broker, 50, when_full);
        let subscriber = mailbox.subscriber();
        subscriber.subscribe(&pattern("t")).unwrap();
        let is_over = Arc::new(AtomicBool::new(false));
        let churning = std::thread::spawn({
            let is_over = is_over.clone();
            move || {
                while !is_over.load(Ordering::SeqCst) {
                    let one = subscriber.subscribe(&pattern("*")).unwrap();
                    let two = subscriber.subscribe_in_group(&pattern(">"), "g").unwrap();
                    assert!(subscriber.unsubscribe(one) && subscriber.unsubscribe(two));
                }
            }
        });
        let publishing: Vec<_> = (0..2)
            .map(|from| {
                let (mut publisher, loads) = (broker.publisher(), loads.clone());
                std::thread::spawn(move || {
                    let publish = |number| {
                        publisher
                            .publish_blocking(&topic("t"), loads.make(from, number, 1))
                            .unwrap()
                    };
                    total((0..2_000).map(publish))
                })
            })
            .collect();
        let reading = std::thread::spawn(move || {
            let mut last = BTreeMap::<(SubscriptionId, usize), u64>::new();
            while let Some(delivery) = mailbox.recv_batch_blocking() {
                let MailboxDelivery::Batch(id, run) = delivery else { continue };
                for load in &run {
                    let before = last.insert((id, load.from), load.number);
                    assert!(
                        before.is_none_or(|before| before < load.number),
                        "{when_full:?}: {before:?} {load:?}"
                    );
                }
            }
            mailbox.books()
        });
        let receipt = total(publishing.into_iter().map(|thread| thread.join().unwrap()));
        is_over.store(true, Ordering::SeqCst);
        churning.join().unwrap();
        broker.close();
        let books = reading.join().unwrap();
        assert!(receipt.matched >= 4_000, "{when_full:?}");
        assert_eq!((books.offered, books.queued), (receipt.matched, 0), "{when_full:?}");
        assert_eq!(books.received + books.dropped, books.offered, "{when_full:?}");
        if matches!(when_full, WhenFull::Block | WhenFull::Wait(_)) {
            assert_eq!(books.dropped, 0, "{when_full:?}");
        }
        assert_eq!(loads.alive(), 0, "{when_full:?}");
    }
}

#[test]
fn a_subscription_moves_between_mailboxes_without_gap_or_repetition() {
    const MESSAGES: u64 = 2_000;
    for group in [None, Some("g")] {
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let mut mailboxes = [(); 2].map(|()| mailbox(&broker, 10_000, WhenFull::Block));
        let subscribers = [0, 1].map(|index: usize| mailboxes[index].subscriber());
        let mut id = match group {
            None => subscribers[0].subscribe(&pattern("t")).unwrap(),
            Some(group) => subscribers[0].subscribe_in_group(&pattern("*"), group).unwrap(),
        };
        let publishing: Vec<_> = (0..2)
            .map(|from| {
                let (mut publisher, loads) = (broker.publisher(), loads.clone());
                std::thread::spawn(move || {
                    let publish = |number| {
                        let load = loads.make(from, number, 1);
                        publisher.publish_blocking(&topic("t"), load).unwrap()
                    };
                    total((0..MESSAGES).map(publish))
                })
            })
            .collect();
        let mut at = 0;
        while publishing.iter().any(|thread| !thread.is_finished()) {
            id = subscribers[at].move_to(id, &subscribers[1 - at]).unwrap();
            at = 1 - at;
        }
        let receipt = total(publishing.into_iter().map(|thread| thread.join().unwrap()));
        assert_eq!((receipt.matched, receipt.queued), (2 * MESSAGES, 2 * MESSAGES));
        let mut numbers = [Vec::new(), Vec::new()];
        for mailbox in &mut mailboxes {
            while let Ok(MailboxDelivery::Batch(_, run)) = mailbox.try_recv_batch() {
                run.iter().for_each(|load| numbers[load.from].push(load.number));
            }
        }
        for numbers in &mut numbers {
            numbers.sort_unstable();
            assert!(numbers.iter().copied().eq(0..MESSAGES), "{group:?}");
        }
        let of_one = |mailbox: &Mailbox<Load>| mailbox.subscriber().subscriptions().len();
        assert_eq!((of_one(&mailboxes[at]), of_one(&mailboxes[1 - at])), (1, 0));
    }
}

#[test]
fn a_move_that_cannot_be_changes_nothing() {
    let broker = Broker::<Load>::new();
    let (from, to) = (mailbox(&broker, 9, WhenFull::Block), mailbox(&broker, 9, WhenFull::Block));
    let id = from.subscribe_in_group(&pattern("a.*"), "g").unwrap();
    let (from, ended) = (from.subscriber(), to.subscriber());
    to.close();
    assert_eq!(from.move_to(id, &ended), Err(SubscribeError::Ended));
    assert_eq!(ended.move_to(id, &from), Err(SubscribeError::Ended));
    assert_eq!(from.subscriptions(), [(id, pattern("a.*"), Some("g".into()))]);
    assert_eq!(from.subscriptions_to(&pattern("a.*")), [id]);
    assert_eq!(from.subscriptions_to(&pattern("a.b")), []);
}

#[test]
fn a_mailbox_is_told_the_history_of_each_subscription() {
    let broker = Broker::builder().history(pattern("a.>"), 3).build();
    let (loads, mut publisher) = (Loads::new(), broker.publisher());
    for number in 0..5 {
        let to = topic(if number == 3 { "a.c" } else { "a.b" });
        let _ = at_once(publisher.publish(&to, loads.light(number))).unwrap();
    }
    let mut mailbox = mailbox(&broker, 1, WhenFull::DropNewest);
    let (wide, kept) = mailbox.subscribe_with_history(&pattern("a.*"), 2).unwrap();
    assert_eq!(kept.iter().map(|load| load.number).collect::<Vec<_>>(), [2, 3, 4], "in order");
    let (exact, kept) = mailbox.subscribe_with_history(&pattern("a.c"), 9).unwrap();
    assert_eq!(kept.iter().map(|load| load.number).collect::<Vec<_>>(), [3]);
    assert_eq!(mailbox.books(), Books::default(), "the past takes no room");
    assert_eq!(take_all(&mut mailbox), []);

    let _ = at_once(publisher.publish(&topic("a.b"), loads.light(5))).unwrap();
    assert_eq!(take_all(&mut mailbox), [Got::Number(wide, 5)]);
    let _ = at_once(publisher.publish(&topic("other"), loads.light(6))).unwrap();
    let (_, kept) = mailbox.subscribe_with_history(&pattern("other"), 9).unwrap();
    assert!(kept.is_empty(), "no history is kept of this one");
    assert!(mailbox.unsubscribe(exact));
}

#[test]
fn a_mailboxs_history_leaves_out_its_own() {
    let broker = Broker::builder().history(pattern("t"), 10).build();
    let (loads, me) = (Loads::new(), Origin::unique());
    let _ = broker.publisher_as(me).try_publish(&topic("t"), loads.light(0)).unwrap();
    let _ = broker.publisher().try_publish(&topic("t"), loads.light(1)).unwrap();
    let mailbox = broker.mailbox("m").no_echo(me).open().unwrap();
    let (_, kept) = mailbox.subscribe_with_history(&pattern("t"), 10).unwrap();
    assert_eq!(kept.iter().map(|load| load.number).collect::<Vec<_>>(), [1]);
}

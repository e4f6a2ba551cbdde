//! Many threads at once, with tiny bounds: nobody hangs, each publisher's order holds at each
//! subscriber, and what was received and what was told as missed add up to what was offered,
//! exactly.
//!
//! `FANFARE_THREAD_ROUNDS` multiplies the rounds.

use fanfare::{
    BatchDelivery, Broker, Delivery, EndReason, MailboxDelivery, PublishError, Publisher, Receipt,
    Received, Subscription, TryPublishError, WhenFull,
};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread;
use std::time::Duration;
use testkit::broker::{Load, Loads, bounded, pattern, poll_once, topic, watched};

/// Runs `round` for a number of seeds; each must end by itself.
#[track_caller]
fn each_round(rounds: u64, round: impl Fn(u64) + Clone + Send + 'static) {
    let factor = std::env::var("FANFARE_THREAD_ROUNDS")
        .ok()
        .map_or(1, |value| value.parse().expect("a number"));
    for seed in 0..rounds * factor {
        let round = round.clone();
        watched(move || round(seed));
    }
}

/// Follows what one subscriber gets: each publisher's order, and that every gap was told before the
/// message behind it.
#[derive(Default)]
struct Ledger {
    /// By publisher: the number expected next, if every message since the first was received.
    next: HashMap<usize, u64>,
    received: u64,
    told: u64,
    skipped: u64,
}

impl Ledger {
    /// From publishers whose first message, number 0, is for this subscriber.
    fn from_the_start(publishers: usize) -> Self {
        Self { next: (0..publishers).map(|from| (from, 0)).collect(), ..Self::default() }
    }

    fn missed(&mut self, count: u64) {
        assert!(count > 0, "Missed(0)");
        self.told += count;
    }

    fn message(&mut self, load: &Load) {
        let next = self.next.entry(load.from).or_insert(load.number);
        assert!(
            load.number >= *next,
            "publisher {}: {} after {}",
            load.from,
            load.number,
            *next - 1
        );
        self.skipped += load.number - *next;
        *next = load.number + 1;
        self.received += 1;
        assert!(self.skipped <= self.told, "{} skipped, {} told", self.skipped, self.told);
        // With a single publisher every gap has exactly one place.
        assert!(
            self.next.len() > 1 || self.skipped == self.told,
            "{} skipped, {} told",
            self.skipped,
            self.told
        );
    }

    fn take(&mut self, delivery: Delivery<Received<'_, Load>>) {
        match delivery {
            Delivery::Message(message) => self.message(&message),
            Delivery::Missed(count) => self.missed(count),
        }
    }

    fn take_run(&mut self, delivery: BatchDelivery<Load>) {
        match delivery {
            BatchDelivery::Batch(run) => run.iter().for_each(|load| self.message(load)),
            BatchDelivery::Missed(count) => self.missed(count),
        }
    }

    /// Reads to the end, in random ways.
    fn read_to_the_end(
        &mut self,
        subscription: &mut Subscription<Load>,
        random: &mut fastrand::Rng,
    ) {
        loop {
            match random.u8(0..5) {
                0 => match subscription.recv_blocking() {
                    Some(delivery) => self.take(delivery),
                    None => return,
                },
                1 => match testkit::broker::block_on(subscription.recv_batch()) {
                    Some(delivery) => self.take_run(delivery),
                    None => return,
                },
                2 => {
                    if let Ok(delivery) = subscription.try_recv() {
                        self.take(delivery);
                    }
                }
                // A receive that is cancelled must cost neither a message nor a wake-up.
                3 => {
                    if let std::task::Poll::Ready(Some(delivery)) =
                        poll_once(std::pin::pin!(subscription.recv()))
                    {
                        self.take(delivery);
                    }
                }
                _ => thread::yield_now(),
            }
        }
    }

    fn settle(&self, subscription: &Subscription<Load>, offered: u64) {
        let books = subscription.books();
        assert_eq!(self.received + self.told, offered, "received + missed == offered");
        assert_eq!(
            (books.offered, books.received, books.queued, books.dropped),
            (offered, self.received, 0, self.told),
            "books"
        );
        assert_eq!(subscription.end_reason(), Some(EndReason::Closed));
    }
}

/// Publishes `count` messages, in all ways there are; returns the sum of the receipts.
fn publish_all(
    publisher: &mut Publisher<Load>,
    from: usize,
    count: u64,
    loads: &Loads,
    random: &mut fastrand::Rng,
) -> Receipt {
    let to = topic("t");
    let mut sum = Receipt::default();
    let mut number = 0;
    while number < count {
        let receipt = match random.u8(0..4) {
            0 => {
                let length = random.u64(1..6).min(count - number);
                let mut batch: Vec<_> =
                    (number..number + length).map(|number| loads.make(from, number, 1)).collect();
                number += length;
                publisher.publish_batch_blocking(&to, &mut batch).expect("open")
            }
            1 => match publisher.try_publish(&to, loads.make(from, number, 1)) {
                Ok(receipt) => {
                    number += 1;
                    receipt
                }
                Err(TryPublishError::Full(load)) => {
                    assert_eq!(load.number, number);
                    thread::yield_now();
                    continue;
                }
                Err(error) => panic!("{error}"),
            },
            _ => {
                number += 1;
                publisher.publish_blocking(&to, loads.make(from, number - 1, 1)).expect("open")
            }
        };
        assert_eq!(receipt.matched, receipt.queued + receipt.dropped + receipt.disconnected);
        sum += receipt;
    }
    sum
}

/// Publishers and subscribers with the given policies and tiny bounds; everything adds up at the
/// end.
fn everything_adds_up(seed: u64, publishers: usize, policies: &'static [WhenFull], count: u64) {
    everything_adds_up_within(1..5, seed, publishers, policies, count);
}

fn everything_adds_up_within(
    bounds: Range<usize>,
    seed: u64,
    publishers: usize,
    policies: &'static [WhenFull],
    count: u64,
) {
    let broker = Broker::<Load>::new();
    let loads = Loads::new();
    let mut random = fastrand::Rng::with_seed(seed);
    let start = Arc::new(Barrier::new(publishers + policies.len()));
    let mut readers = Vec::new();
    for &policy in policies {
        let mut subscription = bounded(&broker, "t", random.usize(bounds.clone()), policy);
        let (start, mut random) = (start.clone(), random.fork());
        readers.push(thread::spawn(move || {
            start.wait();
            let mut ledger = Ledger::from_the_start(publishers);
            ledger.read_to_the_end(&mut subscription, &mut random);
            ledger.settle(&subscription, publishers as u64 * count);
            if policy == WhenFull::Block {
                assert_eq!(ledger.told, 0, "lossless");
            }
            (ledger.received, ledger.told)
        }));
    }
    let mut writers = Vec::new();
    for from in 0..publishers {
        let mut publisher = broker.publisher();
        let (start, loads, mut random) = (start.clone(), loads.clone(), random.fork());
        writers.push(thread::spawn(move || {
            start.wait();
            publish_all(&mut publisher, from, count, &loads, &mut random)
        }));
    }
    drop(broker); // with the last publisher the broker ends, and with it the readers
    let mut sum = Receipt::default();
    for writer in writers {
        sum += writer.join().expect("a writer");
    }
    let read: Vec<_> = readers.into_iter().map(|reader| reader.join().expect("a reader")).collect();
    assert_eq!(sum.matched, publishers as u64 * count * policies.len() as u64);
    assert_eq!(sum.disconnected, 0);
    let told: u64 = read.iter().map(|(_, told)| told).sum();
    if !policies.contains(&WhenFull::DropOldest) {
        assert_eq!(
            sum.dropped, told,
            "what the receipts call dropped is what the subscribers were told"
        );
    }
    assert!(sum.dropped <= told);
    assert_eq!(loads.alive(), 0, "everything was read, everybody is gone");
}

const WAIT: WhenFull = WhenFull::Wait(Duration::from_micros(200));

#[test]
fn lossless_one_to_many() {
    each_round(20, |seed| everything_adds_up(seed, 1, &[WhenFull::Block; 3], 400));
}

#[test]
fn lossless_many_to_many() {
    each_round(20, |seed| everything_adds_up(seed, 3, &[WhenFull::Block; 3], 150));
}

#[test]
fn drop_newest_tells_every_gap_in_its_place() {
    each_round(20, |seed| everything_adds_up(seed, 1, &[WhenFull::DropNewest; 3], 1000));
}

#[test]
fn drop_oldest_tells_every_gap_in_its_place() {
    each_round(20, |seed| everything_adds_up(seed, 1, &[WhenFull::DropOldest; 3], 1000));
}

#[test]
fn waits_tell_every_gap_in_its_place() {
    each_round(10, |seed| everything_adds_up(seed, 1, &[WAIT; 3], 500));
}

#[test]
fn one_publisher_and_every_policy() {
    const POLICIES: [WhenFull; 5] = [
        WhenFull::Block,
        WAIT,
        WhenFull::DropNewest,
        WhenFull::DropOldest,
        WhenFull::Wait(Duration::ZERO),
    ];
    each_round(20, |seed| everything_adds_up(seed, 1, &POLICIES, 300));
}

#[test]
fn several_publishers_and_every_policy() {
    const POLICIES: [WhenFull; 5] = [
        WhenFull::Block,
        WAIT,
        WhenFull::DropNewest,
        WhenFull::DropOldest,
        WhenFull::Wait(Duration::ZERO),
    ];
    each_round(20, |seed| everything_adds_up(seed, 3, &POLICIES, 150));
}

/// Queues long enough that publishers take credit in advance, and write off who is full, while
/// others publish too and somebody looks at the books.
#[test]
fn long_queues_and_every_policy() {
    const DROPPING: [WhenFull; 4] =
        [WhenFull::DropNewest, WhenFull::DropNewest, WAIT, WhenFull::Wait(Duration::ZERO)];
    const ALL: [WhenFull; 4] = [WhenFull::Block, WhenFull::DropNewest, WhenFull::DropOldest, WAIT];
    each_round(5, |seed| {
        everything_adds_up_within(20..100, seed, 1, &DROPPING, 5000);
        everything_adds_up_within(20..100, seed, 3, &DROPPING, 2000);
        everything_adds_up_within(20..100, seed, 1, &ALL, 3000);
        everything_adds_up_within(20..100, seed, 3, &ALL, 1000);
        everything_adds_up_within(20..100, seed, 2, &[WhenFull::Block; 3], 2000);
    });
}

#[test]
fn books_balance_for_whoever_looks_while_credit_is_granted() {
    each_round(3, |_| {
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let mut subscription = bounded(&broker, "t", 64, WhenFull::DropNewest);
        let (watch, is_over) = (subscription.watch(), Arc::new(AtomicBool::new(false)));
        let looker = thread::spawn({
            let is_over = is_over.clone();
            move || {
                let (mut looks, mut before) = (0_u64, watch.books());
                while !is_over.load(Ordering::Relaxed) {
                    let books = watch.books();
                    assert_eq!(books.offered, books.received + books.queued + books.dropped);
                    assert!(books.queued <= 64, "{books:?}");
                    assert!(
                        books.offered >= before.offered && books.dropped >= before.dropped,
                        "{before:?} {books:?}"
                    );
                    (looks, before) = (looks + 1, books);
                    thread::yield_now();
                }
                looks
            }
        });
        let reader = thread::spawn(move || {
            let mut ledger = Ledger::from_the_start(1);
            ledger.read_to_the_end(&mut subscription, &mut fastrand::Rng::with_seed(1));
            ledger.settle(&subscription, 20_000);
        });
        let mut publisher = broker.publisher();
        drop(broker);
        for number in 0..20_000 {
            let _ =
                publisher.publish_blocking(&topic("t"), loads.make(0, number, 1)).expect("open");
        }
        drop(publisher);
        reader.join().expect("a reader");
        is_over.store(true, Ordering::Relaxed);
        assert!(looker.join().expect("a looker") > 0);
    });
}

/// A subscription that must not have gaps gets everything, or an end; the others go on.
#[test]
fn disconnect_means_everything_or_an_end() {
    each_round(30, |seed| {
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut readers = Vec::new();
        for after in [Duration::ZERO, Duration::from_micros(300), testkit::broker::FOREVER] {
            let mut subscription =
                bounded(&broker, "t", random.usize(1..20), WhenFull::Disconnect { after });
            readers.push(thread::spawn(move || {
                let mut expected = 0;
                while let Some(delivery) = subscription.recv_blocking() {
                    match delivery {
                        Delivery::Message(message) => {
                            assert_eq!(message.number, expected, "no gap")
                        }
                        Delivery::Missed(count) => {
                            panic!("missed {count}, which should have ended it")
                        }
                    }
                    expected += 1;
                }
                let books = subscription.books();
                assert_eq!(books.received, expected);
                assert_eq!((books.queued, books.offered), (0, books.received + books.dropped));
                match subscription.end_reason() {
                    Some(EndReason::Closed) => assert_eq!(expected, 500, "everything"),
                    Some(EndReason::Disconnected) => {
                        assert!(expected < 500 && after != testkit::broker::FOREVER)
                    }
                    other => panic!("ended by {other:?}"),
                }
            }));
        }
        let mut publisher = broker.publisher();
        drop(broker);
        for number in 0..500 {
            let _ = publisher.publish_blocking(&topic("t"), loads.light(number)).expect("open");
        }
        drop(publisher);
        readers.into_iter().for_each(|reader| reader.join().expect("a reader"));
        assert_eq!(loads.alive(), 0);
    });
}

/// A wait that is cancelled while the subscription ends is counted once, by one of the two.
#[test]
fn a_publish_cancelled_while_its_subscription_ends_is_counted_once() {
    each_round(500, |_| {
        let (broker, loads) = (Broker::<Load>::new(), Loads::new());
        let subscription = bounded(&broker, "t", 1, WhenFull::Block);
        let (mut publisher, start) = (broker.publisher(), Arc::new(Barrier::new(2)));
        let _ = publisher.publish_blocking(&topic("t"), loads.light(0)).expect("open");
        let ender = thread::spawn({
            let start = start.clone();
            move || {
                start.wait();
                drop(subscription);
            }
        });
        {
            let name = topic("t");
            let mut publish = std::pin::pin!(publisher.publish(&name, loads.light(1)));
            assert!(poll_once(publish.as_mut()).is_pending());
            start.wait();
        }
        let counted = broker.stats().deliveries;
        ender.join().expect("the subscription ends");
        assert_eq!((counted.matched, counted.dropped + counted.disconnected), (2, 1));
    });
}

/// Publishes that are dropped half-way: what they left undelivered is missed, in its place, and
/// never comes later.
#[test]
fn cancelled_publishes_add_up() {
    each_round(20, |seed| {
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let mut random = fastrand::Rng::with_seed(seed);
        let policies = [WhenFull::Block, WhenFull::Block, WhenFull::Wait(testkit::broker::FOREVER)];
        let mut readers = Vec::new();
        for policy in policies {
            let mut subscription = bounded(&broker, "t", random.usize(1..4), policy);
            let mut random = random.fork();
            readers.push(thread::spawn(move || {
                let mut ledger = Ledger::from_the_start(2);
                ledger.read_to_the_end(&mut subscription, &mut random);
                ledger.settle(&subscription, 2 * 300);
            }));
        }
        let mut writers = Vec::new();
        for from in 0..2 {
            let (mut publisher, loads, mut random) =
                (broker.publisher(), loads.clone(), random.fork());
            writers.push(thread::spawn(move || {
                let mut number = 0;
                while number < 300 {
                    let length = random.u64(1..4).min(300 - number);
                    let mut batch: Vec<_> = (number..number + length)
                        .map(|number| loads.make(from, number, 1))
                        .collect();
                    number += length;
                    match random.u8(0..4) {
                        0 => {
                            let _ = publisher
                                .publish_batch_blocking(&topic("t"), &mut batch)
                                .expect("open");
                        }
                        1 => {
                            let to = topic("t");
                            let mut publish = Box::pin(publisher.publish_batch(&to, &mut batch));
                            let _ = poll_once(publish.as_mut());
                            #[expect(
                                clippy::disallowed_methods,
                                reason = "to be forgotten is what is tested"
                            )]
                            std::mem::forget(publish);
                        }
                        _ => {
                            let to = topic("t");
                            let mut publish =
                                std::pin::pin!(publisher.publish_batch(&to, &mut batch));
                            for _ in 0..random.u8(0..3) {
                                if poll_once(publish.as_mut()).is_ready() {
                                    break;
                                }
                                thread::yield_now();
                            }
                        }
                    }
                    // A future that was never polled has not begun: it took nothing. Publish it
                    // now.
                    if !batch.is_empty() {
                        let _ = publisher
                            .publish_batch_blocking(&topic("t"), &mut batch)
                            .expect("open");
                    }
                }
            }));
        }
        drop(broker);
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
        readers.into_iter().for_each(|reader| reader.join().expect("a reader"));
    });
}

/// Subscriptions that come and go while publishes run. Each sees an unbroken piece: it begins no
/// later than the first publish that began after the subscription, and goes on to where it left.
#[test]
fn a_storm_of_subscriptions_sees_unbroken_pieces() {
    each_round(6, |seed| {
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let random = &mut fastrand::Rng::with_seed(seed);
        let begun: Arc<[AtomicU64; 2]> = Arc::default();
        let served = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let mut stormers = Vec::new();
        for _ in 0..3 {
            let (broker, begun, stop, mut random) =
                (broker.clone(), begun.clone(), stop.clone(), random.fork());
            let served = served.clone();
            stormers.push(thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    let to = ["t", "*", ">"][random.usize(0..3)];
                    let mut subscription =
                        bounded(&broker, to, random.usize(1..5), WhenFull::Block);
                    let latest = [0, 1].map(|from: usize| begun[from].load(Ordering::SeqCst));
                    let mut next = [None; 2];
                    for _ in 0..random.u8(0..30) {
                        let Ok(delivery) = subscription.try_recv() else {
                            thread::yield_now();
                            continue;
                        };
                        let Delivery::Message(message) = delivery else { panic!("lossless") };
                        match next[message.from] {
                            None => {
                                // The latest may have begun before the subscription, the one after
                                // it has not.
                                let first = latest[message.from].saturating_add(1);
                                assert!(
                                    message.number <= first,
                                    "served from {} on, not {first}",
                                    message.number
                                );
                            }
                            Some(next) => assert_eq!(message.number, next, "unbroken"),
                        }
                        next[message.from] = Some(message.number + 1);
                        served.fetch_add(1, Ordering::SeqCst);
                    }
                }
            }));
        }
        let writers: Vec<_> = (0..2)
            .map(|from| {
                let (mut publisher, loads, begun) =
                    (broker.publisher(), loads.clone(), begun.clone());
                let served = served.clone();
                thread::spawn(move || {
                    // So many, and on until the storm has seen something of it.
                    for number in (0..)
                        .take_while(|number| *number < 3000 || served.load(Ordering::SeqCst) == 0)
                    {
                        // Counted before the publish begins: who subscribed before gets this number
                        // or an earlier one.
                        begun[from].store(number, Ordering::SeqCst);
                        let _ = publisher
                            .publish_blocking(&topic("t"), loads.make(from, number, 1))
                            .expect("open");
                    }
                    begun[from].store(u64::MAX, Ordering::SeqCst);
                })
            })
            .collect();
        writers.into_iter().for_each(|writer| writer.join().expect("a writer"));
        stop.store(true, Ordering::SeqCst);
        stormers.into_iter().for_each(|stormer| stormer.join().expect("a stormer"));
        assert_eq!(broker.subscription_stats().len(), 0, "everybody left");
        assert_eq!(loads.alive(), 0, "and left nothing");
    });
}

/// As above, with the past: `.replay` hands over to live messages without a gap or a repetition.
#[test]
fn replay_hands_over_without_gap_or_duplicate() {
    each_round(20, |seed| {
        let broker = Broker::<Load>::builder().history(pattern("t"), 8).build();
        let loads = Loads::new();
        let mut random = fastrand::Rng::with_seed(seed);
        let begun = Arc::new(AtomicU64::new(0));
        let mut readers = Vec::new();
        for _ in 0..3 {
            let (broker, begun, mut random) = (broker.clone(), begun.clone(), random.fork());
            readers.push(thread::spawn(move || {
                while begun.load(Ordering::SeqCst) < 20 {
                    thread::yield_now();
                }
                while begun.load(Ordering::SeqCst) < 900 {
                    let before = begun.load(Ordering::SeqCst);
                    let replay = random.usize(1..=8);
                    let to = pattern("t");
                    let builder =
                        broker.subscription(&to).queue_messages(16).when_full(WhenFull::Block);
                    let Ok(mut subscription) = builder.replay(replay).subscribe() else { break };
                    let mut next = None;
                    for count in 0..random.usize(1..40) {
                        let Some(Delivery::Message(message)) = subscription.recv_blocking() else {
                            break;
                        };
                        match next {
                            None => {
                                // Number `before` may have begun and not be kept yet; all earlier
                                // ones are.
                                assert!(
                                    message.number + replay as u64 >= before,
                                    "replay began too early: {}, {before}",
                                    message.number
                                );
                                let after = begun.load(Ordering::SeqCst);
                                assert!(
                                    message.number + replay as u64 <= after.saturating_add(1),
                                    "replay began too late: {}, {after}",
                                    message.number
                                );
                            }
                            Some(next) => assert_eq!(
                                message.number, next,
                                "message {count} of the subscription"
                            ),
                        }
                        next = Some(message.number + 1);
                    }
                }
            }));
        }
        let mut publisher = broker.publisher();
        for number in 0..1000 {
            begun.store(number, Ordering::SeqCst);
            let _ = publisher.publish_blocking(&topic("t"), loads.light(number)).expect("open");
        }
        begun.store(u64::MAX, Ordering::SeqCst);
        broker.close();
        readers.into_iter().for_each(|reader| reader.join().expect("a reader"));
    });
}

/// The history that a mailbox is told ends where what it receives begins.
#[test]
fn a_mailboxs_history_hands_over_without_gap_or_duplicate() {
    each_round(100, |seed| {
        let (broker, loads) =
            (Broker::<Load>::builder().history(pattern("t"), 8).build(), Loads::new());
        let begun = Arc::new(AtomicU64::new(0));
        let reader = thread::spawn({
            let (broker, begun) = (broker.clone(), begun.clone());
            move || {
                while begun.load(Ordering::SeqCst) < 20 + seed % 50 {
                    thread::yield_now();
                }
                let builder = broker.mailbox("m").when_full(WhenFull::Block);
                let mut mailbox = builder.open().expect("open");
                let (_, kept) = mailbox.subscribe_with_history(&pattern("t"), 8).expect("open");
                let mut numbers: Vec<_> = kept.iter().map(|load| load.number).collect();
                assert_eq!(numbers.len(), 8);
                drop(broker);
                while let Some(delivery) = mailbox.recv_batch_blocking() {
                    let MailboxDelivery::Batch(_, batch) = delivery else { panic!("a gap") };
                    numbers.extend(batch.iter().map(|load| load.number));
                }
                let unbroken: Vec<_> = (numbers[0]..300).collect();
                assert_eq!(numbers, unbroken);
            }
        });
        let mut publisher = broker.publisher();
        drop(broker);
        for number in 0..300 {
            let _ = publisher.publish_blocking(&topic("t"), loads.light(number)).expect("open");
            begun.store(number, Ordering::SeqCst);
        }
        drop(publisher);
        reader.join().expect("a reader");
    });
}

/// Publishers that wait for a subscription that ends stop waiting.
#[test]
fn publishers_are_freed_by_subscriptions_that_leave() {
    each_round(300, |seed| {
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let random = &mut fastrand::Rng::with_seed(seed);
        let subscriptions: Vec<_> =
            (0..3).map(|_| bounded(&broker, "t", 1, WhenFull::Block)).collect();
        let writers: Vec<_> = (0..2)
            .map(|from| {
                let (mut publisher, loads) = (broker.publisher(), loads.clone());
                thread::spawn(move || {
                    let mut sum = Receipt::default();
                    for number in 0..5 {
                        sum += publisher
                            .publish_blocking(&topic("t"), loads.make(from, number, 1))
                            .expect("open");
                    }
                    sum
                })
            })
            .collect();
        let mut offered = 0;
        for subscription in subscriptions {
            for _ in 0..random.u8(0..4) {
                thread::yield_now();
            }
            let watch = subscription.watch();
            drop(subscription);
            let books = watch.books();
            assert_eq!((books.queued, books.offered), (0, books.dropped), "freed at once");
            offered += books.dropped;
        }
        let mut sum = Receipt::default();
        for writer in writers {
            sum += writer.join().expect("a writer");
        }
        assert_eq!(sum.matched, sum.queued + sum.disconnected + sum.dropped);
        assert!(sum.queued <= offered, "what was queued is in the books of those who left");
        assert_eq!(loads.alive(), 0);
    });
}

/// A group shares the work: every message exactly once, whoever joins, unless a member leaves with
/// its queue.
#[test]
fn a_group_gets_each_message_once() {
    each_round(10, |seed| {
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let mut random = fastrand::Rng::with_seed(seed);
        let seen = Arc::new(Mutex::new(HashMap::new()));
        let members: Vec<_> = (0..3)
            .map(|_| {
                let to = pattern("t");
                let builder = broker
                    .subscription(&to)
                    .queue_messages(random.usize(1..4))
                    .when_full(WhenFull::Block);
                let mut member = builder.group("workers").subscribe().expect("open");
                let seen = seen.clone();
                thread::spawn(move || {
                    let mut last = [None; 2];
                    while let Some(delivery) = member.recv_blocking() {
                        let Delivery::Message(message) = delivery else { panic!("lossless") };
                        assert!(last[message.from] < Some(message.number), "order at a member");
                        last[message.from] = Some(message.number);
                        *seen.lock().unwrap().entry((message.from, message.number)).or_insert(0) +=
                            1;
                    }
                    member.books().received
                })
            })
            .collect();
        let writers: Vec<_> = (0..2)
            .map(|from| {
                let (mut publisher, loads, mut random) =
                    (broker.publisher(), loads.clone(), random.fork());
                thread::spawn(move || publish_all(&mut publisher, from, 500, &loads, &mut random))
            })
            .collect();
        drop(broker);
        for writer in writers {
            let sum = writer.join().expect("a writer");
            assert_eq!((sum.matched, sum.queued), (500, 500), "a group counts one per message");
        }
        let received: u64 =
            members.into_iter().map(|member| member.join().expect("a member")).sum();
        assert_eq!(received, 1000);
        let seen = seen.lock().unwrap();
        assert!(seen.len() == 1000 && seen.values().all(|count| *count == 1), "each once");
    });
}

/// `close` while everything runs: whoever publishes is told, whoever reads gets what was accepted,
/// then the end.
#[test]
fn close_in_the_middle_of_everything() {
    each_round(30, |seed| {
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let mut random = fastrand::Rng::with_seed(seed);
        let policies = [WhenFull::Block, WAIT, WhenFull::DropOldest, WhenFull::DropNewest];
        let readers: Vec<_> = policies
            .into_iter()
            .map(|policy| {
                let mut subscription = bounded(&broker, "t", random.usize(1..4), policy);
                let mut random = random.fork();
                thread::spawn(move || {
                    let mut ledger = Ledger::from_the_start(2);
                    ledger.read_to_the_end(&mut subscription, &mut random);
                    assert_eq!(subscription.end_reason(), Some(EndReason::Closed));
                    let books = subscription.books();
                    assert_eq!(
                        (books.received, books.queued, books.dropped),
                        (ledger.received, 0, ledger.told)
                    );
                    books.offered
                })
            })
            .collect();
        let published = Arc::new(AtomicU64::new(0));
        let writers: Vec<_> = (0..2)
            .map(|from| {
                let (mut publisher, loads, published) =
                    (broker.publisher(), loads.clone(), published.clone());
                thread::spawn(move || {
                    let mut matched = 0;
                    for number in 0.. {
                        match publisher.publish_blocking(&topic("t"), loads.make(from, number, 1)) {
                            Ok(receipt) => {
                                assert_eq!(receipt.matched, 4);
                                matched += receipt.matched;
                            }
                            Err(PublishError::Closed(load)) => {
                                assert_eq!(load.number, number, "the message back");
                                break;
                            }
                            Err(error) => panic!("{error}"),
                        }
                        published.fetch_add(1, Ordering::SeqCst);
                    }
                    matched
                })
            })
            .collect();
        while published.load(Ordering::SeqCst) < 50 {
            thread::yield_now();
        }
        broker.close();
        let matched: u64 = writers.into_iter().map(|writer| writer.join().expect("a writer")).sum();
        let offered: u64 = readers.into_iter().map(|reader| reader.join().expect("a reader")).sum();
        assert_eq!(matched, offered, "the receipts are the books");
        assert_eq!(loads.alive(), 0);
    });
}

/// `drain` while everything runs: it reports what was delivered, and gives up what nobody reads.
#[test]
fn drain_ends_although_somebody_never_reads() {
    each_round(10, |seed| {
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let mut random = fastrand::Rng::with_seed(seed);
        let mut stuck = bounded(&broker, "t", 5, WhenFull::Block);
        let mut reading = bounded(&broker, "t", 5, WhenFull::Block);
        let reader = thread::spawn(move || {
            let mut ledger = Ledger::from_the_start(1);
            ledger.read_to_the_end(&mut reading, &mut random);
            (ledger.received, reading.end_reason())
        });
        let mut publisher = broker.publisher();
        let writer = thread::spawn(move || {
            let mut accepted = 0;
            while publisher.publish_blocking(&topic("t"), loads.light(accepted)).is_ok() {
                accepted += 1;
            }
            accepted
        });
        while stuck.books().queued < 5 {
            thread::yield_now();
        }
        // The writer waits for the stuck one; only giving up the stuck one frees it.
        let report = testkit::broker::block_on(broker.drain(Duration::from_millis(5)));
        let accepted = writer.join().expect("the writer");
        let (received, reason) = reader.join().expect("the reader");
        // On a very slow machine the reader may not be done by the deadline either.
        assert!(
            reason == Some(EndReason::GivenUp) || received == accepted,
            "whoever reads gets everything"
        );
        assert_eq!(stuck.end_reason(), Some(EndReason::GivenUp));
        let books = stuck.books();
        assert_eq!((books.received, books.queued, books.dropped), (0, 0, books.offered));
        let told = stuck.recv_blocking();
        assert!(matches!(told, Some(Delivery::Missed(count)) if count == books.dropped));
        assert!(stuck.recv_blocking().is_none());
        assert_eq!(report.subscriptions.len(), 2);
        let of_stuck = report
            .subscriptions
            .iter()
            .find(|drained| drained.id == stuck.id())
            .expect("the stuck one");
        assert_eq!(of_stuck.delivered, 0);
        assert!(of_stuck.given_up >= 5);
    });
}

/// A `try_publish` that gives up half-way, because a lossless queue was taken before its eyes,
/// holds up nobody: not a publisher that found another queue full in that moment, and nothing is
/// dropped for it there.
#[test]
fn a_try_publish_that_gives_up_leaves_no_trace() {
    each_round(3, |_| {
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let stop = Arc::new(AtomicBool::new(false));
        let mut first = bounded(&broker, "first.>", 1, WhenFull::Block);
        let mut second = bounded(&broker, "*.second", 1, WhenFull::Block);
        let readers = [
            thread::spawn(move || while first.recv_blocking().is_some() {}),
            thread::spawn(move || while second.recv_blocking().is_some() {}),
        ];
        let mut tries = Vec::new();
        for name in ["first.second", "other.second"] {
            let (mut publisher, loads, stop) = (broker.publisher(), loads.clone(), stop.clone());
            tries.push(thread::spawn(move || {
                let to = topic(name);
                while !stop.load(Ordering::SeqCst) {
                    let _ = publisher.try_publish(&to, loads.light(0));
                }
            }));
        }
        // To the first alone. It must never wait for ever.
        let mut publisher = broker.publisher();
        let to = topic("first.other");
        for number in 0..20_000 {
            assert_eq!(
                publisher.publish_blocking(&to, loads.light(number)).expect("open").queued,
                1
            );
        }
        stop.store(true, Ordering::SeqCst);
        tries.into_iter().for_each(|thread| thread.join().expect("it tries"));
        drop((publisher, broker));
        readers.into_iter().for_each(|reader| reader.join().expect("a reader"));
    });
}

//! Lanes: whoever serves a part of an audience, and whatever becomes of the lanes' tasks, nothing
//! but the clock may tell the difference.

use fanfare::limits::LANES_MAX;
use fanfare::{
    Broker, EndReason, Lane, Publisher, Receipt, Subscription, TryPublishError, WhenFull,
};
use futures_lite::future::{or, yield_now, zip};
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;
use testkit::broker::{
    FOREVER, Got, Load, Loads, Woken, assert_books, at_once, begin_and_cancel, begin_and_forget,
    block_on, bounded, numbers, pattern, poll_once, take_all, topic, watched,
};

/// Two lanes that help with any audience of more than one.
const ALWAYS: &[usize] = &[1, 1];

/// What may become of lanes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// There are none.
    Absent,
    /// Nobody polls them.
    Idle,
    Dropped,
    /// Polled once, then dropped.
    Cancelled,
    /// Polled once, then forgotten.
    Forgotten,
    /// Each on a thread of its own.
    Running,
}

const FATES: [Fate; 5] =
    [Fate::Idle, Fate::Dropped, Fate::Cancelled, Fate::Forgotten, Fate::Running];

/// A publisher with lanes, and what keeps them where they are.
fn with_lanes(broker: &Broker<Load>, fate: Fate) -> (Publisher<Load>, Vec<Lane<Load>>) {
    let steps = if fate == Fate::Absent { &[] } else { ALWAYS };
    let (publisher, lanes) = broker.publisher().with_lanes(steps);
    let mut kept = Vec::new();
    for lane in lanes {
        match fate {
            Fate::Absent | Fate::Dropped => drop(lane),
            Fate::Idle => kept.push(lane),
            Fate::Cancelled => begin_and_cancel(lane.run()),
            Fate::Forgotten => begin_and_forget(lane.run()),
            Fate::Running => drop(thread::spawn(|| block_on(lane.run()))),
        }
    }
    (publisher, kept)
}

/// Ten of each policy, interleaved, with room for two messages.
fn audience(broker: &Broker<Load>) -> Vec<Subscription<Load>> {
    let policies = [
        WhenFull::DropNewest,
        WhenFull::DropOldest,
        WhenFull::Wait(Duration::from_millis(1)),
        WhenFull::Disconnect { after: Duration::ZERO },
        WhenFull::Wait(Duration::ZERO),
    ];
    (0..50).map(|index| bounded(broker, "t", 2, policies[index % policies.len()])).collect()
}

#[test]
fn receipts_books_and_messages_are_the_same_whatever_becomes_of_the_lanes() {
    type Ends = Vec<(Vec<Got>, Option<EndReason>)>;

    fn tell(fate: Fate) -> (Vec<Receipt>, Ends) {
        let broker = Broker::builder().history(pattern("t"), 3).build();
        let loads = Loads::new();
        let mut audience = audience(&broker);
        let _group: Vec<_> = (0..3)
            .map(|_| {
                broker
                    .subscription(&pattern("t"))
                    .queue_messages(100)
                    .group("g")
                    .subscribe()
                    .unwrap()
            })
            .collect();
        let (mut publisher, _kept) = with_lanes(&broker, fate);
        let to = topic("t");
        let mut receipts = Vec::new();
        for number in 0..4 {
            receipts.push(publisher.publish_blocking(&to, loads.light(number)).unwrap());
        }
        receipts.push(publisher.publish_batch_blocking(&to, &mut loads.batch(4..9)).unwrap());
        for subscription in audience.iter_mut().skip(1).step_by(3) {
            while subscription.try_recv().is_ok() {}
        }
        receipts.push(publisher.try_publish(&to, loads.light(9)).unwrap());
        let late = broker.subscription(&pattern("t")).replay(2).subscribe().unwrap();
        audience.push(late);
        receipts.push(publisher.publish_blocking(&to, loads.light(10)).unwrap());
        let ends = audience.iter_mut().map(|subscription| {
            let books = subscription.books();
            assert_eq!(books.offered, books.received + books.queued + books.dropped, "{fate:?}");
            (take_all(subscription), subscription.end_reason())
        });
        (receipts, ends.collect())
    }

    let expected = tell(Fate::Absent);
    for fate in FATES {
        assert_eq!(tell(fate), expected, "{fate:?}");
    }
}

/// Notes on which thread it was woken.
struct WokenOn(Mutex<Option<ThreadId>>);

impl Wake for WokenOn {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = Some(thread::current().id());
    }
}

#[test]
fn a_lane_that_runs_takes_over_its_part() {
    watched(|| {
        let broker = Broker::new();
        let loads = Loads::new();
        let (mut publisher, lanes) = broker.publisher().with_lanes(&[1]);
        let lanes: Vec<_> =
            lanes.into_iter().map(|lane| thread::spawn(|| block_on(lane.run()))).collect();
        let lane = lanes[0].thread().id();
        let mut audience: Vec<_> =
            (0..2000).map(|_| bounded(&broker, "t", 1, WhenFull::Block)).collect();
        let to = topic("t");
        // The publisher may be quicker than a lane that sleeps: so until it was not.
        for number in 0.. {
            let woken = Arc::new(WokenOn(Mutex::new(None)));
            let waker = Waker::from(woken.clone());
            let last = audience.last_mut().unwrap();
            assert!(last.poll_recv(&mut Context::from_waker(&waker)).is_pending());
            assert!(
                last.poll_recv(&mut Context::from_waker(&waker)).is_pending(),
                "it does not linger any more"
            );
            at_once(publisher.publish(&to, loads.light(number))).unwrap();
            for subscription in &mut audience {
                assert_eq!(
                    take_all(subscription),
                    numbers([number]),
                    "when it is published, everybody has it"
                );
            }
            // Its task may still be about to be woken, by the lane.
            let by = loop {
                if let Some(by) = *woken.0.lock().unwrap() {
                    break by;
                }
                thread::yield_now();
            };
            if by == lane {
                break;
            }
            assert_eq!(by, thread::current().id());
        }
        drop(publisher);
        lanes.into_iter().for_each(|lane| lane.join().unwrap());
    });
}

#[test]
fn a_lane_ends_with_its_publisher_and_keeps_no_broker_open() {
    let broker = Broker::<Load>::new();
    let mut subscription = bounded(&broker, "t", 1, WhenFull::Block);
    let (publisher, lanes) = broker.publisher().with_lanes(ALWAYS);
    let mut runs: Vec<_> = lanes.into_iter().map(|lane| Box::pin(lane.run())).collect();
    let (woken, waker) = Woken::new();
    for run in &mut runs {
        assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    }
    assert!(!woken.take(), "a lane that has nothing to do sleeps");
    drop(broker);
    drop(publisher);
    assert_eq!(woken.count(), 2, "each is told");
    for run in &mut runs {
        assert!(poll_once(run.as_mut()).is_ready());
    }
    assert!(subscription.try_recv().is_err());
    assert_eq!(
        subscription.end_reason(),
        Some(EndReason::Closed),
        "the broker has closed by itself"
    );
}

#[test]
fn a_lane_that_begins_late_ends_at_once() {
    let broker = Broker::<Load>::new();
    let (publisher, lanes) = broker.publisher().with_lanes(ALWAYS);
    drop(publisher);
    for lane in lanes {
        at_once(lane.run());
    }
}

#[test]
fn new_lanes_take_the_place_of_those_before_and_there_is_a_bound() {
    let broker = Broker::<Load>::new();
    let (publisher, before) = broker.publisher().with_lanes(ALWAYS);
    let (_publisher, lanes) = publisher.with_lanes(&[0; LANES_MAX + 1]);
    assert_eq!(lanes.len(), LANES_MAX);
    before.into_iter().for_each(|lane| at_once(lane.run()));
    lanes.into_iter().for_each(|lane| begin_and_cancel(lane.run()));
}

#[test]
fn a_small_audience_wakes_no_lane() {
    let broker = Broker::new();
    let loads = Loads::new();
    let (mut publisher, lanes) = broker.publisher().with_lanes(&[2, 4]);
    let mut runs: Vec<_> = lanes.into_iter().map(|lane| Box::pin(lane.run())).collect();
    let (woken, waker) = Woken::new();
    let mut audience = Vec::new();
    let mut wakes = Vec::new();
    for _ in 0..6 {
        audience.push(bounded(&broker, "t", 100, WhenFull::Block));
        at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
        for run in &mut runs {
            // Until it sleeps.
            while {
                woken.take();
                assert!(run.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
                woken.count() > 0
            } {}
        }
        at_once(publisher.publish(&topic("t"), loads.light(1))).unwrap();
        wakes.push(woken.count());
    }
    assert_eq!(wakes, [0, 0, 1, 1, 2, 2], "above 2 the first lane, above 4 the second too");
}

#[test]
fn every_part_is_waited_for_and_the_last_one_ends_the_wait() {
    for fate in FATES {
        watched(move || {
            let broker = Broker::new();
            let loads = Loads::new();
            let mut full: Vec<_> =
                (0..9).map(|_| bounded(&broker, "t", 1, WhenFull::Wait(FOREVER))).collect();
            let (mut publisher, _kept) = with_lanes(&broker, fate);
            at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
            let to = topic("t");
            let mut publish = pin!(publisher.publish(&to, loads.light(1)));
            let (woken, waker) = Woken::new();
            assert!(publish.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            for index in [8, 0, 4, 3, 7, 1, 2, 6] {
                assert_eq!(full[index].recv_blocking().map(|_| ()), Some(()));
                woken.take();
                assert!(
                    publish.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(),
                    "{index} of {fate:?}"
                );
            }
            full[5].recv_blocking();
            assert!(woken.take(), "{fate:?}");
            let receipt = at_once(publish).unwrap();
            assert_eq!(
                receipt,
                Receipt { matched: 9, queued: 9, waited: 9, ..Receipt::default() },
                "{fate:?}"
            );
            assert_eq!(broker.stats().waits, 1);
        });
    }
}

#[test]
fn the_waits_of_all_parts_end_in_time_and_put_on_probation() {
    for fate in FATES {
        let broker = Broker::new();
        let loads = Loads::new();
        let full: Vec<_> = (0..9)
            .map(|index| match index % 2 {
                0 => bounded(&broker, "t", 1, WhenFull::Wait(Duration::from_millis(5))),
                _ => bounded(
                    &broker,
                    "t",
                    1,
                    WhenFull::Disconnect { after: Duration::from_millis(5) },
                ),
            })
            .collect();
        let (mut publisher, _kept) = with_lanes(&broker, fate);
        publisher.publish_blocking(&topic("t"), loads.light(0)).unwrap();
        let receipt = publisher.publish_blocking(&topic("t"), loads.light(1)).unwrap();
        let expected =
            Receipt { matched: 9, waited: 9, dropped: 5, disconnected: 4, ..Receipt::default() };
        assert_eq!(receipt, expected, "{fate:?}");
        for (index, subscription) in full.iter().enumerate() {
            match index % 2 {
                0 => assert!(subscription.stats().on_probation, "{index} of {fate:?}"),
                _ => assert_eq!(
                    subscription.end_reason(),
                    Some(EndReason::Disconnected),
                    "{index} of {fate:?}"
                ),
            }
        }
        let receipt = at_once(publisher.publish(&topic("t"), loads.light(2))).unwrap();
        assert_eq!(
            receipt,
            Receipt { matched: 5, dropped: 5, ..Receipt::default() },
            "nobody is waited for again"
        );
        assert_eq!(broker.subscription_stats().len(), 5);
    }
}

#[test]
fn a_publish_that_is_cancelled_or_forgotten_takes_back_what_every_part_waits_for() {
    for fate in FATES {
        for is_forgotten in [false, true] {
            let broker = Broker::new();
            let loads = Loads::new();
            let mut full: Vec<_> =
                (0..9).map(|_| bounded(&broker, "t", 1, WhenFull::Block)).collect();
            let (mut publisher, _kept) = with_lanes(&broker, fate);
            at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
            let to = topic("t");
            let publish = publisher.publish(&to, loads.light(1));
            if is_forgotten {
                begin_and_forget(publish)
            } else {
                begin_and_cancel(publish)
            }
            drop(publisher);
            for subscription in &mut full {
                assert_books(subscription, 0, 1, 1);
                assert_eq!(subscription.stats().drops.cancelled, 1, "{fate:?}");
                assert_eq!(take_all(subscription), [Got::Number(0), Got::Missed(1)], "{fate:?}");
            }
        }
    }
}

#[test]
fn a_lossless_one_in_any_part_makes_a_try_publish_all_or_nothing() {
    for fate in FATES {
        let broker = Broker::new();
        let loads = Loads::new();
        let mut audience: Vec<_> =
            (0..9).map(|_| bounded(&broker, "t", 2, WhenFull::Block)).collect();
        let (mut publisher, _kept) = with_lanes(&broker, fate);
        let to = topic("t");
        for number in 0..2 {
            let receipt = publisher.try_publish(&to, loads.light(number)).unwrap();
            assert_eq!(receipt, Receipt { matched: 9, queued: 9, ..Receipt::default() });
        }
        for subscription in audience.iter_mut().skip(1) {
            assert_eq!(take_all(subscription), numbers(0..2));
        }
        let refused = publisher.try_publish(&to, loads.light(2));
        assert!(
            matches!(refused, Err(TryPublishError::Full(load)) if load.number == 2),
            "{fate:?}"
        );
        assert_eq!(take_all(&mut audience[0]), numbers(0..2));
        publisher.try_publish(&to, loads.light(3)).unwrap();
        audience
            .iter_mut()
            .for_each(|subscription| assert_eq!(take_all(subscription), numbers([3])));
    }
}

#[test]
fn order_holds_while_audiences_grow_and_shrink_and_topics_change() {
    watched(|| {
        let broker = Broker::new();
        let loads = Loads::new();
        let (mut publisher, lanes) = broker.publisher().with_lanes(&[2, 5]);
        lanes.into_iter().for_each(|lane| drop(thread::spawn(|| block_on(lane.run()))));
        let mut listener = bounded(&broker, ">", 10_000, WhenFull::Block);
        let (small, large) = (topic("small"), topic("large"));
        let mut crowd = Vec::new();
        let mut next = 0;
        for round in 0..200 {
            let to = if round % 7 == 0 { &small } else { &large };
            match round % 5 {
                0 => crowd.push(bounded(&broker, "large", 10_000, WhenFull::Block)),
                1 if round % 3 == 0 => drop(crowd.pop()),
                _ => {}
            }
            at_once(publisher.publish(to, loads.light(next))).unwrap();
            at_once(publisher.publish_batch(to, &mut loads.batch(next + 1..next + 4))).unwrap();
            next += 4;
        }
        assert_eq!(take_all(&mut listener), numbers(0..next));
        for subscription in &mut crowd {
            let got = take_all(subscription);
            assert!(got.is_sorted_by_key(|got| match got {
                Got::Number(number) => *number,
                Got::Missed(count) => panic!("{count} missed"),
            }));
        }
    });
}

/// One thread for everything: a lane never runs while its publisher is at work, and nobody waits
/// for it.
#[test]
fn lanes_on_the_publishers_own_thread_do_no_harm() {
    watched(|| {
        let broker = Broker::new();
        let loads = Loads::new();
        let mut audience: Vec<_> =
            (0..9).map(|_| bounded(&broker, "t", 10, WhenFull::Block)).collect();
        let (mut publisher, lanes) = broker.publisher().with_lanes(&[1]);
        let publishing = async {
            for number in 0..10 {
                publisher.publish(&topic("t"), loads.light(number)).await.unwrap();
                yield_now().await;
            }
            drop(publisher);
        };
        let lane = lanes.into_iter().next().unwrap();
        block_on(zip(publishing, lane.run()));
        audience
            .iter_mut()
            .for_each(|subscription| assert_eq!(take_all(subscription), numbers(0..10)));
    });
}

/// A waker that polls the task it wakes at once, wherever it is called.
struct PollsAtOnce {
    task: Mutex<Option<Pin<Box<dyn Future<Output = ()> + Send>>>>,
    polls: AtomicU64,
}

impl Wake for PollsAtOnce {
    fn wake(self: Arc<Self>) {
        // Not while it is being polled already.
        let Ok(mut task) = self.task.try_lock() else { return };
        self.polls.fetch_add(1, Ordering::Relaxed);
        let waker = Waker::from(self.clone());
        if let Some(running) = task.as_mut()
            && running.as_mut().poll(&mut Context::from_waker(&waker)).is_ready()
        {
            *task = None;
        }
    }
}

#[test]
fn a_lane_may_be_polled_by_its_own_wake_up_and_its_receivers_may_come_back_to_the_broker() {
    watched(|| {
        let broker = Broker::<Load>::new();
        let loads = Loads::new();
        let (mut publisher, lanes) = broker.publisher().with_lanes(&[1]);
        let lane = lanes.into_iter().next().unwrap();
        let task =
            Mutex::new(Some(Box::pin(lane.run()) as Pin<Box<dyn Future<Output = ()> + Send>>));
        let lane = Arc::new(PollsAtOnce { task, polls: AtomicU64::new(0) });
        Waker::from(lane.clone()).wake();

        // The first publish to a topic finds no route yet, and calls nobody.
        at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();

        struct Subscribes(Broker<Load>, AtomicBool);
        impl Wake for Subscribes {
            fn wake(self: Arc<Self>) {
                drop(bounded(&self.0, "t", 1, WhenFull::Block));
                self.1.store(true, Ordering::SeqCst);
            }
        }
        let mut audience: Vec<_> =
            (0..9).map(|_| bounded(&broker, "t", 1, WhenFull::Block)).collect();
        let came_back: Vec<_> = audience
            .iter_mut()
            .map(|subscription| {
                let waker = Arc::new(Subscribes(broker.clone(), AtomicBool::new(false)));
                let task = Waker::from(waker.clone());
                while !matches!(
                    subscription.poll_recv(&mut Context::from_waker(&task)),
                    Poll::Pending
                ) || waker.1.swap(false, Ordering::SeqCst)
                {}
                waker
            })
            .collect();
        let before = lane.polls.load(Ordering::Relaxed);
        at_once(publisher.publish(&topic("t"), loads.light(0))).unwrap();
        assert!(lane.polls.load(Ordering::Relaxed) > before, "the lane was called");
        assert!(
            came_back.iter().all(|waker| waker.1.load(Ordering::SeqCst)),
            "and so was everybody else"
        );
        audience
            .iter_mut()
            .for_each(|subscription| assert_eq!(take_all(subscription), numbers([0])));
        drop(publisher);
        assert!(lane.task.lock().unwrap().is_none(), "it has ended");
    });
}

/// The lane's task ends and goes while publishes are under way, at whatever place it is.
#[test]
fn a_lane_that_is_cancelled_at_any_time_loses_nothing() {
    watched(|| {
        for _ in 0..50 {
            let broker = Broker::new();
            let loads = Loads::new();
            let mut audience: Vec<_> =
                (0..40).map(|_| bounded(&broker, "t", 1000, WhenFull::Block)).collect();
            let (mut publisher, lanes) = broker.publisher().with_lanes(ALWAYS);
            let published = Arc::new(AtomicU64::new(0));
            let lanes: Vec<_> = lanes
                .into_iter()
                .zip([7, 20])
                .map(|(lane, until)| {
                    let published = published.clone();
                    let cancelled = async move {
                        while published.load(Ordering::SeqCst) < until {
                            yield_now().await;
                        }
                    };
                    thread::spawn(|| block_on(or(lane.run(), cancelled)))
                })
                .collect();
            for number in 0..40 {
                let receipt = at_once(publisher.publish(&topic("t"), loads.light(number))).unwrap();
                assert_eq!(receipt, Receipt { matched: 40, queued: 40, ..Receipt::default() });
                published.fetch_add(1, Ordering::SeqCst);
            }
            lanes.into_iter().for_each(|lane| lane.join().unwrap());
            audience
                .iter_mut()
                .for_each(|subscription| assert_eq!(take_all(subscription), numbers(0..40)));
        }
    });
}

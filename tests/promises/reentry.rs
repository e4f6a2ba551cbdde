//! Payloads and wakers are foreign code: dropping or waking one may come back to the broker, at any
//! place. Nothing may deadlock, and nothing may be lost on the way.

use fanfare::{Broker, Delivery, Payload, Subscription, WhenFull};
use std::any::Any;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Wake, Waker};
use std::time::Duration;
use testkit::broker::{
    at_once, begin_and_cancel, block_on, bounded, pattern, poll_once, topic, watched,
};

/// A message that holds anything, and knows when it is dropped.
struct Holder {
    _held: Mutex<Vec<Box<dyn Any + Send>>>,
    on_drop: Option<Box<dyn FnOnce() + Send + Sync>>,
}

impl Payload for Holder {
    fn weight_bytes(&self) -> usize {
        1
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        if let Some(on_drop) = self.on_drop.take() {
            on_drop();
        }
    }
}

fn plain() -> Holder {
    Holder { _held: Mutex::default(), on_drop: None }
}

/// Holds a full set of handles of the broker: a subscription that has messages, a publisher, the
/// broker itself; and uses the broker once more when it is dropped.
fn loaded(broker: &Broker<Holder>, dropped: &Arc<AtomicBool>) -> Holder {
    let inner = bounded(broker, "inner", 10, WhenFull::Block);
    let mut publisher = broker.publisher();
    at_once(publisher.publish(&topic("inner"), plain())).ok();
    let listening = bounded(broker, "last.*", 100, WhenFull::DropOldest);
    let held: Vec<Box<dyn Any + Send>> =
        vec![Box::new(inner), Box::new(publisher), Box::new(broker.clone()), Box::new(listening)];
    let (broker, dropped) = (broker.clone(), dropped.clone());
    Holder {
        _held: Mutex::new(held),
        on_drop: Some(Box::new(move || {
            let mut publisher = broker.publisher();
            let _ = publisher.try_publish(&topic("last.words"), plain());
            let _ = broker.subscribe(&pattern("t")).map(drop);
            let _ = (
                broker.stats(),
                broker.subscription_stats(),
                broker.topic_stats(),
                broker.slowest(3),
            );
            let _ = broker.history(&topic("t"), 10);
            dropped.store(true, Ordering::SeqCst);
        })),
    }
}

/// Runs `scene` with a loaded message; at its end the message must have been dropped.
fn dropped_in(scene: impl FnOnce(Broker<Holder>, Holder) + Send + 'static) {
    watched(move || {
        let broker = Broker::builder().history(pattern("kept.*"), 2).build();
        let dropped = Arc::new(AtomicBool::new(false));
        let message = loaded(&broker, &dropped);
        scene(broker, message);
        assert!(dropped.load(Ordering::SeqCst), "the message is still somewhere");
    });
}

#[test]
fn in_a_publish_that_matches_nobody() {
    dropped_in(|broker, message| {
        at_once(broker.publisher().publish(&topic("nobody.here"), message)).ok();
    });
}

#[test]
fn with_the_queue_of_a_dropped_subscription() {
    dropped_in(|broker, message| {
        let subscription = bounded(&broker, "t", 10, WhenFull::Block);
        at_once(broker.publisher().publish(&topic("t"), message)).ok();
        drop(subscription);
    });
}

#[test]
fn with_the_queue_of_a_dropped_subscription_while_the_publisher_lives() {
    dropped_in(|broker, message| {
        let subscription = bounded(&broker, "t", 10, WhenFull::Block);
        let mut publisher = broker.publisher();
        at_once(publisher.publish(&topic("t"), plain())).ok();
        at_once(publisher.publish(&topic("t"), message)).ok();
        drop(subscription);
        at_once(publisher.publish(&topic("t"), plain())).ok();
    });
}

#[test]
fn refused_by_a_full_queue() {
    dropped_in(|broker, message| {
        let _subscription = bounded(&broker, "t", 1, WhenFull::DropNewest);
        let mut publisher = broker.publisher();
        at_once(publisher.publish(&topic("t"), plain())).ok();
        at_once(publisher.publish(&topic("t"), message)).ok();
        drop(publisher);
    });
}

#[test]
fn passed_over_as_the_oldest() {
    dropped_in(|broker, message| {
        let subscription = bounded(&broker, "t", 1, WhenFull::DropOldest);
        let mut publisher = broker.publisher();
        at_once(publisher.publish(&topic("t"), message)).ok();
        for _ in 0..2000 {
            at_once(publisher.publish(&topic("t"), plain())).ok();
        }
        drop(subscription);
    });
}

#[test]
fn by_a_disconnect() {
    dropped_in(|broker, message| {
        let _subscription =
            bounded(&broker, "t", 1, WhenFull::Disconnect { after: Duration::ZERO });
        let mut publisher = broker.publisher();
        at_once(publisher.publish(&topic("t"), message)).ok();
        at_once(publisher.publish(&topic("t"), plain())).ok();
    });
}

#[test]
fn by_a_receiver() {
    dropped_in(|broker, message| {
        let mut subscription = bounded(&broker, "t", 1, WhenFull::Block);
        let mut publisher = broker.publisher();
        at_once(publisher.publish(&topic("t"), message)).ok();
        assert!(subscription.try_recv().is_ok());
        drop(subscription);
    });
}

#[test]
fn in_a_cancelled_publish() {
    dropped_in(|broker, message| {
        let _subscription = bounded(&broker, "t", 1, WhenFull::Block);
        let mut publisher = broker.publisher();
        at_once(publisher.publish(&topic("t"), plain())).ok();
        begin_and_cancel(publisher.publish(&topic("t"), message));
        drop(publisher);
    });
}

#[test]
fn in_a_publish_whose_subscription_leaves() {
    dropped_in(|broker, message| {
        let subscription = bounded(&broker, "t", 1, WhenFull::Block);
        let mut publisher = broker.publisher();
        let to = topic("t");
        at_once(publisher.publish(&to, plain())).ok();
        let mut publish = pin!(publisher.publish(&to, message));
        assert!(poll_once(publish.as_mut()).is_pending());
        drop(subscription);
        at_once(publish).ok();
    });
}

#[test]
fn out_of_the_history() {
    dropped_in(|broker, message| {
        let mut publisher = broker.publisher();
        at_once(publisher.publish(&topic("kept.a"), message)).ok();
        for _ in 0..2000 {
            at_once(publisher.publish(&topic("kept.a"), plain())).ok();
        }
    });
}

#[test]
fn with_a_forgotten_history() {
    dropped_in(|broker, message| {
        at_once(broker.publisher().publish(&topic("kept.a"), message)).ok();
        broker.forget_history(&topic("kept.a"));
    });
}

#[test]
fn given_up_by_a_drain() {
    dropped_in(|broker, message| {
        let subscription = bounded(&broker, "t", 10, WhenFull::Block);
        at_once(broker.publisher().publish(&topic("t"), message)).ok();
        block_on(broker.drain(Duration::ZERO));
        drop(subscription);
    });
}

#[test]
fn refused_by_a_closed_broker() {
    dropped_in(|broker, message| {
        broker.close();
        at_once(broker.publisher().publish(&topic("t"), message)).ok();
    });
}

/// A message in a queue holds the last handles of its own broker: they end with the subscription.
#[test]
fn a_message_that_holds_the_last_handles_of_its_broker() {
    watched(|| {
        let broker = Broker::<Holder>::new();
        let subscription = bounded(&broker, "t", 10, WhenFull::Block);
        let other = bounded(&broker, "t", 10, WhenFull::Block);
        let mut publisher = broker.publisher();
        let held: Vec<Box<dyn Any + Send>> =
            vec![Box::new(broker.clone()), Box::new(broker.publisher())];
        let message = Holder { _held: Mutex::new(held), on_drop: None };
        at_once(publisher.publish(&topic("t"), message)).ok();
        drop((publisher, broker));
        drop(subscription);
        let mut other = other;
        assert!(matches!(other.try_recv(), Ok(Delivery::Message(_))));
        assert!(block_on(other.recv()).is_none(), "with the message the last handle is gone");
    });
}

#[test]
fn a_weight_that_panics_harms_nobody_else() {
    struct Weightless(bool);
    impl Payload for Weightless {
        fn weight_bytes(&self) -> usize {
            assert!(!self.0, "a weight that panics, on purpose");
            1
        }
    }
    watched(|| {
        let broker = Broker::<Weightless>::new();
        let mut subscription = bounded(&broker, "t", 10, WhenFull::Block);
        let mut publisher = broker.publisher();
        let to = topic("t");
        let _ = at_once(publisher.publish(&to, Weightless(false))).unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            drop(at_once(publisher.publish(&to, Weightless(true))))
        }));
        assert!(panicked.is_err());
        assert_eq!(at_once(publisher.publish(&to, Weightless(false))).unwrap().queued, 1);
        assert_eq!(at_once(broker.publisher().publish(&to, Weightless(false))).unwrap().queued, 1);
        let mut count = 0;
        while let Ok(Delivery::Message(_)) = subscription.try_recv() {
            count += 1;
        }
        assert_eq!(count, 3);
    });
}

/// A waker that does something, once, when it is woken; or when it is dropped.
struct Acting {
    on_wake: Mutex<Option<Box<dyn FnOnce() + Send>>>,
    on_drop: Mutex<Option<Box<dyn FnOnce() + Send>>>,
}

impl Acting {
    fn on_wake(act: impl FnOnce() + Send + 'static) -> Waker {
        Waker::from(Arc::new(Self {
            on_wake: Mutex::new(Some(Box::new(act))),
            on_drop: Mutex::default(),
        }))
    }

    fn on_drop(act: impl FnOnce() + Send + 'static) -> Waker {
        Waker::from(Arc::new(Self {
            on_wake: Mutex::default(),
            on_drop: Mutex::new(Some(Box::new(act))),
        }))
    }
}

impl Wake for Acting {
    fn wake(self: Arc<Self>) {
        let act = self.on_wake.lock().unwrap().take();
        if let Some(act) = act {
            act();
        }
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        if let Some(act) = self.on_drop.get_mut().unwrap().take() {
            act();
        }
    }
}

type Shelf = Arc<Mutex<Option<Subscription<Holder>>>>;

fn shelve(subscription: Subscription<Holder>) -> Shelf {
    Arc::new(Mutex::new(Some(subscription)))
}

/// Takes it off the shelf; the shelf is free again before anything is dropped.
fn take_off(shelf: &Shelf) -> Option<Subscription<Holder>> {
    shelf.lock().unwrap().take()
}

fn park(shelf: &Shelf, waker: &Waker) {
    let mut shelf = shelf.lock().unwrap();
    let subscription = shelf.as_mut().expect("a subscription");
    assert!(subscription.poll_recv(&mut Context::from_waker(waker)).is_pending());
}

/// Uses the broker in every way there is.
fn use_everything(broker: &Broker<Holder>) {
    let _ = broker.publisher().try_publish(&topic("elsewhere"), plain());
    let _ = broker.subscribe(&pattern("t")).map(|mut subscription| subscription.try_recv().is_ok());
    let _ = (broker.stats(), broker.subscription_stats(), broker.topic_stats(), broker.slowest(3));
}

#[test]
fn a_waker_that_drops_its_own_subscription() {
    watched(|| {
        let broker = Broker::<Holder>::new();
        let shelf = shelve(bounded(&broker, "t", 10, WhenFull::Block));
        let taken = shelf.clone();
        park(&shelf, &Acting::on_wake(move || drop(take_off(&taken))));
        let mut publisher = broker.publisher();
        assert_eq!(at_once(publisher.publish(&topic("t"), plain())).unwrap().matched, 1);
        assert!(shelf.lock().unwrap().is_none(), "it was woken");
        assert_eq!(at_once(publisher.publish(&topic("t"), plain())).unwrap().matched, 0);
    });
}

#[test]
fn a_waker_that_drops_another_subscription_of_the_same_publish() {
    watched(|| {
        for parked_first in [true, false] {
            let broker = Broker::<Holder>::new();
            let mut subscriptions =
                [(); 3].map(|()| Some(bounded(&broker, "t", 10, WhenFull::Block)));
            let (parked, victim) = if parked_first { (0, 2) } else { (2, 0) };
            let parked = shelve(subscriptions[parked].take().unwrap());
            let victim = shelve(subscriptions[victim].take().unwrap());
            let taken = victim.clone();
            park(&parked, &Acting::on_wake(move || drop(take_off(&taken))));
            let mut publisher = broker.publisher();
            let receipt = at_once(publisher.publish(&topic("t"), plain())).unwrap();
            assert_eq!(
                (receipt.matched, receipt.matched),
                (3, receipt.queued + receipt.dropped + receipt.disconnected)
            );
            assert!(victim.lock().unwrap().is_none(), "it was woken");
            for left in
                [parked.lock().unwrap().as_mut(), subscriptions[1].as_mut()].into_iter().flatten()
            {
                assert!(left.try_recv().is_ok());
                assert!(left.try_recv().is_err());
            }
        }
    });
}

#[test]
fn a_waker_that_uses_the_broker() {
    watched(|| {
        let broker = Broker::<Holder>::new();
        let shelf = shelve(bounded(&broker, "t", 10, WhenFull::Block));
        let done = Arc::new(AtomicBool::new(false));
        let (inner, inner_done) = (broker.clone(), done.clone());
        park(
            &shelf,
            &Acting::on_wake(move || {
                use_everything(&inner);
                inner.close();
                inner_done.store(true, Ordering::SeqCst);
            }),
        );
        let _ = at_once(broker.publisher().publish(&topic("t"), plain())).unwrap();
        assert!(done.load(Ordering::SeqCst));
        assert!(broker.is_closed());
    });
}

#[test]
fn a_waker_that_reads_what_it_is_woken_for() {
    watched(|| {
        let broker = Broker::<Holder>::new();
        let shelf = shelve(bounded(&broker, "t", 1, WhenFull::Block));
        let mut publisher = broker.publisher();
        let to = topic("t");
        for _ in 0..10 {
            let taken = shelf.clone();
            park(
                &shelf,
                &Acting::on_wake(move || {
                    assert!(taken.lock().unwrap().as_mut().unwrap().try_recv().is_ok())
                }),
            );
            assert_eq!(at_once(publisher.publish(&to, plain())).unwrap().queued, 1);
        }
        assert_eq!(shelf.lock().unwrap().as_ref().unwrap().books().received, 10);
    });
}

#[test]
fn a_publishers_waker_that_drops_the_subscription_it_waits_for() {
    watched(|| {
        let broker = Broker::<Holder>::new();
        let mut first = bounded(&broker, "t", 1, WhenFull::Block);
        let second = shelve(bounded(&broker, "t", 1, WhenFull::Block));
        let mut publisher = broker.publisher();
        let to = topic("t");
        let _ = at_once(publisher.publish(&to, plain())).unwrap();
        let (taken, used) = (second.clone(), broker.clone());
        let waker = Acting::on_wake(move || {
            drop(take_off(&taken));
            use_everything(&used);
        });
        let mut publish = pin!(publisher.publish(&to, plain()));
        assert!(publish.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        assert!(first.try_recv().is_ok());
        drop(take_off(&second));
        let receipt = at_once(publish).unwrap();
        assert_eq!((receipt.matched, receipt.queued), (2, 1));
    });
}

#[test]
fn a_publishers_waker_that_is_woken_by_the_end_of_a_subscription() {
    watched(|| {
        let broker = Broker::<Holder>::new();
        let subscription = bounded(&broker, "t", 1, WhenFull::Block);
        let other = shelve(bounded(&broker, "other", 1, WhenFull::Block));
        let mut publisher = broker.publisher();
        let to = topic("t");
        let _ = at_once(publisher.publish(&to, plain())).unwrap();
        let (taken, used) = (other.clone(), broker.clone());
        let waker = Acting::on_wake(move || {
            drop(take_off(&taken));
            use_everything(&used);
        });
        let mut publish = pin!(publisher.publish(&to, plain()));
        assert!(publish.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
        drop(subscription);
        assert!(other.lock().unwrap().is_none(), "it was woken");
        assert_eq!(at_once(publish).unwrap().disconnected, 1);
    });
}

#[test]
fn a_waker_that_drops_a_subscription_when_the_broker_closes() {
    watched(|| {
        for by_drop in [true, false] {
            let broker = Broker::<Holder>::new();
            let (first, second) = (
                shelve(bounded(&broker, "t", 1, WhenFull::Block)),
                shelve(bounded(&broker, "t", 1, WhenFull::Block)),
            );
            let (taken_first, taken_second) = (first.clone(), second.clone());
            park(
                &first,
                &Acting::on_wake(move || {
                    drop(take_off(&taken_first));
                    drop(take_off(&taken_second));
                }),
            );
            if by_drop {
                drop(broker);
            } else {
                broker.close();
                assert!(broker.subscription_stats().is_empty());
            }
            assert!(first.lock().unwrap().is_none() && second.lock().unwrap().is_none());
        }
    });
}

/// The broker drops wakers, too: when another takes their place, and when the subscription ends.
#[test]
fn a_waker_that_drops_a_subscription_when_it_is_dropped() {
    watched(|| {
        let broker = Broker::<Holder>::new();
        for way in 0..4 {
            let mut parked = bounded(&broker, "t", 10, WhenFull::Block);
            let victim = bounded(&broker, "t", 10, WhenFull::Block);
            let done = Arc::new(AtomicBool::new(false));
            let (inner, inner_done) = (broker.clone(), done.clone());
            let waker = Acting::on_drop(move || {
                drop(victim);
                use_everything(&inner);
                inner_done.store(true, Ordering::SeqCst);
            });
            assert!(parked.poll_recv(&mut Context::from_waker(&waker)).is_pending());
            drop(waker);
            match way {
                0 => drop(parked),
                1 => {
                    assert!(parked.poll_recv(&mut Context::from_waker(Waker::noop())).is_pending())
                }
                2 => drop(at_once(broker.publisher().publish(&topic("t"), plain()))),
                _ => broker.close(),
            }
            assert!(done.load(Ordering::SeqCst), "way {way}: the waker is still kept");
        }
    });
}

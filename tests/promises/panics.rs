//! Payloads that panic where the broker calls them: whoever published or received gets the panic,
//! and everything stays exact for all others.

use fanfare::{Broker, Payload, Publisher, Subscription, WhenFull};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use testkit::broker::{FOREVER, at_once, bounded, poll_once, topic};

#[derive(Clone, Copy, PartialEq)]
enum When {
    Never,
    Weighed,
    Kept,
    Dropped,
}

struct Fragile {
    number: u64,
    panics: When,
}

thread_local! {
    /// Once is enough to see what comes of it; twice at a time would end the process.
    static HAS_PANICKED: Cell<bool> = const { Cell::new(false) };
}

impl Fragile {
    fn panic_if(&self, now: When) {
        if self.panics == now && !HAS_PANICKED.replace(true) {
            panic!("as it was asked to");
        }
    }
}

impl Payload for Fragile {
    fn weight_bytes(&self) -> usize {
        self.panic_if(When::Weighed);
        8
    }

    fn is_kept_in_history(&self) -> bool {
        self.panic_if(When::Kept);
        true
    }
}

impl Drop for Fragile {
    fn drop(&mut self) {
        self.panic_if(When::Dropped);
    }
}

fn sound(number: u64) -> Fragile {
    Fragile { number, panics: When::Never }
}

fn fragile(number: u64, panics: When) -> Fragile {
    Fragile { number, panics }
}

/// Runs what panics, once.
#[track_caller]
fn panics<R>(work: impl FnOnce() -> R) {
    HAS_PANICKED.set(false);
    assert!(catch_unwind(AssertUnwindSafe(work)).is_err(), "it should have panicked");
}

#[track_caller]
fn publish(publisher: &mut Publisher<Fragile>, number: u64) -> (u64, u64) {
    let receipt = at_once(publisher.publish(&topic("t"), sound(number))).unwrap();
    assert_eq!(receipt.matched, receipt.queued + receipt.dropped + receipt.disconnected);
    (receipt.matched, receipt.queued)
}

fn numbers(subscription: &mut Subscription<Fragile>) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Ok(delivery) = subscription.try_recv() {
        numbers.extend(delivery.message().map(|message| message.number));
    }
    numbers
}

#[test]
fn a_message_that_panics_when_it_is_weighed_is_not_published() {
    for when in [When::Weighed, When::Kept] {
        let broker = Broker::new();
        let mut subscription = bounded(&broker, "t", 10, WhenFull::Block);
        let (mut publisher, to) = (broker.publisher(), topic("t"));
        assert_eq!(publish(&mut publisher, 1), (1, 1));
        panics(|| at_once(publisher.publish(&to, fragile(2, when))));
        panics(|| at_once(publisher.publish_batch(&to, &mut vec![sound(3), fragile(4, when)])));
        panics(|| publisher.try_publish(&to, fragile(5, when)));
        assert_eq!(publish(&mut publisher, 6), (1, 1));
        assert_eq!(numbers(&mut subscription), [1, 6]);
        assert_eq!((broker.stats().published, subscription.books().offered), (2, 2));
    }
}

#[test]
fn a_message_that_panics_as_it_is_passed_over_costs_nobody_a_message() {
    let broker = Broker::new();
    let mut latest = bounded(&broker, "t", 1, WhenFull::DropOldest);
    let mut all = bounded(&broker, "u", 10, WhenFull::Block);
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish(&topic("t"), fragile(1, When::Dropped))).unwrap();
    // Another topic, so that the first segment is the queue's alone.
    let _ = at_once(publisher.publish(&topic("u"), sound(2))).unwrap();
    panics(|| at_once(publisher.publish(&topic("t"), sound(3))));
    assert_eq!(numbers(&mut latest), [3], "it is published all the same");
    assert_eq!(publish(&mut publisher, 4), (1, 1), "and counted apart from the next");
    assert_eq!((numbers(&mut latest), numbers(&mut all)), (vec![4], vec![2]));
    let (books, stats) = (latest.books(), broker.stats());
    assert_eq!((books.offered, books.received, books.queued, books.dropped), (3, 2, 0, 1));
    assert_eq!((stats.published, stats.deliveries.queued), (4, 4));
}

#[test]
fn a_subscription_that_panics_as_it_is_freed_has_ended_for_all_others() {
    let broker = Broker::new();
    let ending = bounded(&broker, "t", 2, WhenFull::Wait(FOREVER));
    let mut stays = bounded(&broker, "t", 10, WhenFull::Block);
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish(&topic("t"), fragile(1, When::Dropped))).unwrap();
    assert_eq!(publish(&mut publisher, 2), (2, 2));
    let (mut other, to) = (broker.publisher(), topic("t"));
    let mut waiting = Box::pin(other.publish(&to, sound(3)));
    assert!(poll_once(waiting.as_mut()).is_pending());
    assert_eq!(numbers(&mut stays), [1, 2, 3]);
    // Now the queue of the ending one is the only holder of the first.
    panics(|| drop(ending));
    assert!(poll_once(waiting.as_mut()).is_ready(), "nobody waits for it any more");
    assert_eq!(broker.stats().subscriptions, 1);
    assert_eq!(publish(&mut publisher, 4), (1, 1));
    assert_eq!(numbers(&mut stays), [4]);
    assert_eq!(broker.subscription_stats().len(), 1);
}

#[test]
fn a_message_that_panics_after_it_is_received_costs_no_other() {
    let broker = Broker::new();
    let mut subscription = bounded(&broker, "t", 1, WhenFull::Block);
    let (mut publisher, to) = (broker.publisher(), topic("t"));
    let _ = at_once(publisher.publish(&to, fragile(1, When::Dropped))).unwrap();
    assert!(subscription.try_recv().is_ok());
    // Its segment is dropped when the next is found.
    assert_eq!(publish(&mut broker.publisher(), 2), (1, 1));
    let mut waiting = Box::pin(publisher.publish(&to, sound(3)));
    assert!(poll_once(waiting.as_mut()).is_pending());
    panics(|| drop(subscription.try_recv()));
    assert_eq!(numbers(&mut subscription), [2, 3], "the next is not lost, and then there is room");
    assert!(poll_once(waiting.as_mut()).is_ready());
    let books = subscription.books();
    assert_eq!((books.offered, books.received, books.dropped), (3, 3, 0));
}

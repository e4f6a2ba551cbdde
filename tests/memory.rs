//! Memory, measured: what must cost nothing, costs nothing. A test binary of its own, since the
//! allocator counts everything in the process; the tests take turns.

use fanfare::{Broker, Origin, Subscription, WhenFull};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use std::alloc::System;
use std::pin::pin;
use std::task::{Context, Waker};
use testkit::broker::{FOREVER, Full, bounded, full, pattern, poll_once, topic};
use testkit::memory::{
    NOTHING, allocations, assert_costs_nothing, assert_costs_nothing_again, live, my_turn,
};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[test]
fn a_pending_receive_polled_a_million_times_costs_nothing() {
    let _turn = my_turn();
    let broker = Broker::<u64>::new();
    let mut subscription = bounded(&broker, "t", 10, WhenFull::Block);
    let mut receive = pin!(subscription.recv());
    assert!(poll_once(receive.as_mut()).is_pending());
    let (before, calls) = (live(), allocations());
    for _ in 0..1_000_000 {
        assert!(poll_once(receive.as_mut()).is_pending());
    }
    assert!(live() - before < NOTHING, "{} bytes", live() - before);
    assert!(allocations() - calls < 1000, "{} allocations", allocations() - calls);
}

/// The fault of flume #182: polled again while it is already woken.
#[test]
fn a_receive_that_is_woken_and_polled_again_and_again_costs_nothing() {
    let _turn = my_turn();
    let broker = Broker::<u64>::new();
    let mut subscription = bounded(&broker, "t", 10, WhenFull::Block);
    let mut publisher = broker.publisher();
    let to = topic("t");
    let mut round = |subscription: &mut Subscription<u64>| {
        let (woken, waker) = testkit::broker::Woken::new();
        let context = &mut Context::from_waker(&waker);
        assert!(subscription.poll_recv(context).is_pending());
        let _ = publisher.try_publish(&to, 1).unwrap();
        assert!(woken.take());
        assert!(subscription.poll_recv(context).is_ready());
        for _ in 0..10 {
            assert!(subscription.poll_recv(context).is_pending());
        }
    };
    round(&mut subscription);
    assert_costs_nothing(|| (0..20_000).for_each(|_| round(&mut subscription)));
}

#[test]
fn a_hundred_thousand_cancelled_receives_cost_nothing() {
    let _turn = my_turn();
    let broker = Broker::<u64>::new();
    let mut subscription = bounded(&broker, "t", 10, WhenFull::Block);
    assert_costs_nothing(|| {
        for _ in 0..100_000 {
            assert!(poll_once(pin!(subscription.recv())).is_pending());
            assert!(poll_once(pin!(subscription.recv_batch())).is_pending());
        }
    });
}

/// Full subscriptions that publishers wait for.
fn all_that_are_waited_for() -> impl Iterator<Item = Full> {
    [WhenFull::Block, WhenFull::Wait(FOREVER)].into_iter().map(|policy| {
        println!("{policy:?}");
        full(policy)
    })
}

#[test]
fn a_pending_publish_polled_again_and_again_costs_nothing() {
    let _turn = my_turn();
    for Full { subscription: _full, mut publisher, loads, to, .. } in all_that_are_waited_for() {
        let mut publish = pin!(publisher.publish(&to, loads.light(1)));
        assert!(poll_once(publish.as_mut()).is_pending());
        assert_costs_nothing(|| {
            (0..100_000).for_each(|_| assert!(poll_once(publish.as_mut()).is_pending()))
        });
    }
}

/// Nor do the gaps that they leave, which nobody reads here.
#[test]
fn cancelled_publishes_cost_nothing() {
    let _turn = my_turn();
    for Full { subscription: _full, mut publisher, loads, to, .. } in all_that_are_waited_for() {
        assert_costs_nothing(|| {
            for number in 0..20_000 {
                assert!(poll_once(pin!(publisher.publish(&to, loads.light(number)))).is_pending());
            }
        });
    }
}

/// Gaps that nobody reads are merged, not collected.
#[test]
fn gaps_that_nobody_reads_cost_nothing() {
    let _turn = my_turn();
    for policy in [WhenFull::DropNewest, WhenFull::DropOldest] {
        let broker = Broker::<u64>::new();
        let _full = bounded(&broker, ">", 4, policy);
        let mut publishers = [broker.publisher(), broker.publisher()];
        let topics = [topic("t"), topic("u")];
        let round = || {
            for number in 0..20_000 {
                let _ = publishers[number % 2]
                    .try_publish(&topics[number / 2 % 2], number as u64)
                    .unwrap();
            }
        };
        println!("{policy:?}");
        assert_costs_nothing_again(round);
    }
}

fn cost_of_subscriptions(messages: usize, bytes: usize) -> isize {
    let broker = Broker::<[u8; 64]>::new();
    let to = pattern("t");
    let make = |_| {
        broker.subscription(&to).queue_messages(messages).queue_bytes(bytes).subscribe().unwrap()
    };
    let _first = make(0);
    let before = live();
    let subscriptions: Vec<_> = (0..1000).map(make).collect();
    let cost = live() - before;
    drop(subscriptions);
    cost
}

#[test]
fn an_idle_subscription_of_ten_thousand_costs_no_more_than_one_of_one() {
    let _turn = my_turn();
    let smallest = cost_of_subscriptions(1, 1);
    let largest = cost_of_subscriptions(10_000, 1 << 30);
    assert!(
        largest <= smallest + NOTHING,
        "{largest} bytes for 1000 large ones, {smallest} for small ones"
    );
    assert!(smallest / 1000 < 4096, "{} bytes each", smallest / 1000);
}

#[test]
fn a_history_that_is_not_used_costs_nothing() {
    let _turn = my_turn();
    let cost = |kept: usize| {
        let before = live();
        let broker = Broker::<[u8; 64]>::builder().history(pattern(">"), kept).build();
        let mut publisher = broker.publisher();
        for number in 0..100 {
            let _ = publisher.try_publish(&topic(&format!("t.{number}")), [0; 64]).unwrap();
        }
        live() - before
    };
    let (small, large) = (cost(1), cost(100_000));
    assert!(
        large <= small + NOTHING,
        "{large} bytes for a long history of one message, {small} for a short one"
    );
}

#[test]
fn a_batch_is_freed_with_its_last_reader() {
    let _turn = my_turn();
    let broker = Broker::<Vec<u8>>::new();
    let mut publisher = broker.publisher();
    let to = topic("t");
    let round = || {
        let mut subscription = bounded(&broker, "t", 10_000, WhenFull::Block);
        let mut batch = (0..10_000).map(|_| vec![0; 100]).collect();
        let _ = publisher.try_publish_batch(&to, &mut batch).unwrap();
        while subscription.try_recv_batch().is_ok() {}
    };
    assert_costs_nothing(round);
}

#[test]
fn subscriptions_that_come_and_go_cost_nothing() {
    let _turn = my_turn();
    let broker = Broker::<u64>::builder().history(pattern("t.1"), 3).build();
    let mut publisher = broker.publisher();
    let topics: Vec<_> = (0..10).map(|number| topic(&format!("t.{number}.x"))).collect();
    let mut serial = 0;
    let round = || {
        for number in 0..2000 {
            serial += 1;
            let names = [
                format!("t.{}.x", number % 10),
                "t.*.x".into(),
                "t.>".into(),
                format!("unique.{serial}"),
                format!("u.{serial}.>"),
            ];
            let subscriptions: Vec<_> = names
                .iter()
                .map(|name| {
                    let to = pattern(name);
                    broker
                        .subscription(&to)
                        .group("g")
                        .no_echo(Origin::unique())
                        .replay(2)
                        .subscribe()
                        .unwrap()
                })
                .collect();
            let _ = publisher.try_publish(&topics[number % 10], 1).unwrap();
            drop(subscriptions);
        }
    };
    assert_costs_nothing_again(round);
}

#[test]
fn publishers_that_come_and_go_cost_nothing() {
    let _turn = my_turn();
    let broker = Broker::<u64>::new();
    let mut subscription = bounded(&broker, "t", 10, WhenFull::DropOldest);
    let to = topic("t");
    let round = || {
        for number in 0..5000 {
            let mut publisher = broker.publisher();
            let _ = publisher.try_publish(&to, number).unwrap();
            let _ = publisher.try_publish(&to, number).unwrap();
            let _ = subscription.try_recv();
        }
        while subscription.try_recv().is_ok() {}
    };
    assert_costs_nothing_again(round);
}

/// A publisher remembers a bounded number of routes, and a broker a bounded number of topics.
#[test]
fn a_hundred_thousand_topics_cost_no_more_than_ten_thousand() {
    let _turn = my_turn();
    let broker = Broker::<u64>::new();
    let _all = bounded(&broker, ">", 1, WhenFull::DropNewest);
    let mut publisher = broker.publisher();
    let mut publish = |range: std::ops::Range<u64>| {
        for number in range {
            let name = topic(&format!("t.{number}"));
            for _ in 0..3 {
                let _ = publisher.try_publish(&name, number).unwrap();
            }
        }
    };
    publish(0..10_000);
    let before = live();
    publish(10_000..100_000);
    let grown = live() - before;
    assert!(grown < 256 << 10, "{grown} bytes");
}

#[test]
fn requests_cost_nothing() {
    let _turn = my_turn();
    let broker = Broker::<u64>::new();
    let mut responder = bounded(&broker, "t", 10, WhenFull::DropOldest);
    let mut publisher = broker.publisher();
    let to = topic("t");
    let round = || {
        for number in 0..5000 {
            let mut request = pin!(broker.request(&to, number, FOREVER));
            assert!(poll_once(request.as_mut()).is_pending());
            if number % 2 == 0
                && let Ok(fanfare::Delivery::Message(message)) = responder.try_recv()
            {
                let _ = publisher.try_publish(message.reply_to().unwrap(), number).unwrap();
                let _ = poll_once(request.as_mut());
            }
        }
        while responder.try_recv().is_ok() {}
    };
    assert_costs_nothing_again(round);
}

#[test]
fn a_broker_leaves_nothing() {
    let _turn = my_turn();
    let round = || {
        for _ in 0..200 {
            let broker = Broker::<Vec<u8>>::builder().history(pattern(">"), 10).build();
            let to = pattern(">");
            let mut subscriptions: Vec<_> =
                (0..5).map(|_| broker.subscription(&to).replay(5).subscribe().unwrap()).collect();
            let watch = subscriptions[0].watch();
            let mut publisher = broker.publisher();
            for number in 0..20 {
                let _ =
                    publisher.try_publish(&topic(&format!("t.{number}")), vec![0; 1000]).unwrap();
            }
            let run = subscriptions[1].try_recv_batch().ok();
            assert!(subscriptions[2].poll_recv(&mut Context::from_waker(Waker::noop())).is_ready());
            drop((subscriptions, broker, publisher, watch, run));
        }
    };
    assert_costs_nothing_again(round);
}

//! Queue groups: each message to exactly one member, one with room before one that is full.

use fanfare::{Broker, Mailbox, Receipt, Subscription, TryPublishError, WhenFull};
use std::pin::pin;
use std::time::Duration;
use testkit::broker::{
    FOREVER, Got, Load, Loads, at_once, begin_and_cancel, bounded, numbers, pattern, poll_once,
    take_all, topic,
};

fn member(
    broker: &Broker<Load>,
    group: &str,
    bound: usize,
    when_full: WhenFull,
) -> Subscription<Load> {
    let to = pattern("work");
    broker
        .subscription(&to)
        .queue_messages(bound)
        .when_full(when_full)
        .group(group)
        .subscribe()
        .unwrap()
}

fn numbers_of(members: &mut [Subscription<Load>]) -> Vec<u64> {
    let mut all = Vec::new();
    for member in members {
        for got in take_all(member) {
            match got {
                Got::Number(number) => all.push(number),
                Got::Missed(count) => panic!("missed {count}"),
            }
        }
    }
    all.sort();
    all
}

#[test]
fn each_message_goes_to_one_member_of_each_group_and_to_everybody_else() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut red: Vec<_> = (0..3).map(|_| member(&broker, "red", 100, WhenFull::Block)).collect();
    let mut blue: Vec<_> = (0..2).map(|_| member(&broker, "blue", 100, WhenFull::Block)).collect();
    let mut plain = bounded(&broker, "work", 100, WhenFull::Block);
    let mut publisher = broker.publisher();
    for number in 0..30 {
        let receipt = at_once(publisher.publish(&topic("work"), loads.light(number))).unwrap();
        assert_eq!(
            receipt,
            Receipt { matched: 3, queued: 3, ..Receipt::default() },
            "a group counts one"
        );
    }
    let receipt =
        at_once(publisher.publish_batch(&topic("work"), &mut loads.batch(30..60))).unwrap();
    assert_eq!((receipt.matched, receipt.queued), (90, 90));
    for group in [&mut red, &mut blue] {
        for member in group.iter() {
            let share = member.books().queued;
            let fair = 60 / group.len() as u64;
            assert!((fair / 2..=fair * 2).contains(&share), "{share} of 60 among {}", group.len());
        }
        assert_eq!(numbers_of(group), (0..60).collect::<Vec<_>>());
    }
    assert_eq!(take_all(&mut plain), numbers(0..60));
}

#[test]
fn a_member_with_room_goes_before_one_that_is_full() {
    for policy in [
        WhenFull::DropNewest,
        WhenFull::DropOldest,
        WhenFull::Block,
        WhenFull::Disconnect { after: Duration::ZERO },
    ] {
        let broker = Broker::new();
        let loads = Loads::new();
        let mut members: Vec<_> = [1, 5, 2].map(|bound| member(&broker, "g", bound, policy)).into();
        let mut publisher = broker.publisher();
        for number in 0..8 {
            let receipt = at_once(publisher.publish(&topic("work"), loads.light(number))).unwrap();
            assert_eq!(
                receipt,
                Receipt { matched: 1, queued: 1, ..Receipt::default() },
                "{policy:?}, {number}"
            );
        }
        assert_eq!(
            members.iter().map(|member| member.books().queued).collect::<Vec<_>>(),
            [1, 5, 2],
            "{policy:?}"
        );
        assert_eq!(numbers_of(&mut members), (0..8).collect::<Vec<_>>());
    }
}

#[test]
fn a_batch_fills_the_whole_group() {
    let broker = Broker::new();
    let loads = Loads::new();
    let members: Vec<_> =
        [1, 5, 2].map(|bound| member(&broker, "g", bound, WhenFull::DropNewest)).into();
    let mut publisher = broker.publisher();
    let receipt =
        at_once(publisher.publish_batch(&topic("work"), &mut loads.batch(0..10))).unwrap();
    assert_eq!(receipt, Receipt { matched: 10, queued: 8, dropped: 2, ..Receipt::default() });
    assert_eq!(members.iter().map(|member| member.books().queued).sum::<u64>(), 8);
    assert_eq!(members.iter().map(|member| member.books().dropped).sum::<u64>(), 2);
}

/// A message that is too heavy for one member may be just right for another.
#[test]
fn a_member_that_can_take_it_goes_before_one_that_never_can() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = pattern("work");
    let small = broker
        .subscription(&to)
        .queue_bytes(10)
        .when_full(WhenFull::Block)
        .group("g")
        .subscribe()
        .unwrap();
    let large = broker
        .subscription(&to)
        .queue_bytes(1000)
        .when_full(WhenFull::Block)
        .group("g")
        .subscribe()
        .unwrap();
    let mut publisher = broker.publisher();
    for number in 0..10 {
        assert_eq!(
            at_once(publisher.publish(&topic("work"), loads.make(0, number, 100))).unwrap().queued,
            1
        );
    }
    assert_eq!((small.books().offered, large.books().queued), (0, 10));
}

#[test]
fn a_full_group_is_waited_for() {
    for policy in [WhenFull::Block, WhenFull::Wait(FOREVER)] {
        let broker = Broker::new();
        let loads = Loads::new();
        let to = topic("work");
        let mut members: Vec<_> = (0..2).map(|_| member(&broker, "g", 1, policy)).collect();
        let mut publisher = broker.publisher();
        for number in 0..2 {
            let _ = at_once(publisher.publish(&to, loads.light(number))).unwrap();
        }
        let mut publish = pin!(publisher.publish(&to, loads.light(2)));
        assert!(poll_once(publish.as_mut()).is_pending());
        // Whichever member it waits for, once all have drained it is through.
        let mut all = numbers_of(&mut members);
        let receipt = at_once(publish).unwrap();
        assert_eq!((receipt.matched, receipt.queued, receipt.waited), (1, 1, 1));
        all.extend(numbers_of(&mut members));
        assert_eq!(all, [0, 1, 2], "{policy:?}");
    }
}

#[test]
fn a_cancelled_publish_to_a_full_group_is_one_gap_of_one_member() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = topic("work");
    let mut members: Vec<_> = (0..2).map(|_| member(&broker, "g", 1, WhenFull::Block)).collect();
    let mut publisher = broker.publisher();
    for number in 0..2 {
        let _ = at_once(publisher.publish(&to, loads.light(number))).unwrap();
    }
    assert!(matches!(publisher.try_publish(&to, loads.light(2)), Err(TryPublishError::Full(_))));
    begin_and_cancel(publisher.publish(&to, loads.light(3)));
    assert_eq!(members.iter().map(|member| member.books().dropped).sum::<u64>(), 1);
    let got: Vec<_> = members.iter_mut().flat_map(take_all).collect();
    assert_eq!(got.len(), 3, "{got:?}");
    assert!(got.contains(&Got::Missed(1)));
}

#[test]
fn a_member_that_leaves_is_no_member() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = topic("work");
    let mut members: Vec<_> = (0..3).map(|_| member(&broker, "g", 100, WhenFull::Block)).collect();
    let mut publisher = broker.publisher();
    for number in 0..30 {
        let _ = at_once(publisher.publish(&to, loads.light(number))).unwrap();
        if number % 10 == 9 {
            drop(members.pop());
        }
    }
    assert!(members.is_empty());
    assert_eq!(at_once(publisher.publish(&to, loads.light(30))), Ok(Receipt::default()));
    assert_eq!(loads.alive(), 0);
}

/// The last member leaves while a publish waits for the group.
#[test]
fn a_group_that_ends_lets_the_publisher_go() {
    let broker = Broker::new();
    let loads = Loads::new();
    let to = topic("work");
    let members: Vec<_> = (0..2).map(|_| member(&broker, "g", 1, WhenFull::Block)).collect();
    let mut publisher = broker.publisher();
    for number in 0..2 {
        let _ = at_once(publisher.publish(&to, loads.light(number))).unwrap();
    }
    let mut publish = pin!(publisher.publish(&to, loads.light(2)));
    assert!(poll_once(publish.as_mut()).is_pending());
    drop(members);
    let receipt = at_once(publish).unwrap();
    assert_eq!(
        (receipt.matched, receipt.queued, receipt.dropped + receipt.disconnected),
        (1, 0, 1)
    );
    assert_eq!(loads.alive(), 0);
}

#[test]
fn no_echo_holds_in_a_group() {
    let broker = Broker::new();
    let loads = Loads::new();
    let origin = fanfare::Origin::unique();
    let to = pattern("work");
    let own = broker.subscription(&to).group("g").no_echo(origin).subscribe().unwrap();
    let mut publisher = broker.publisher_as(origin);
    assert_eq!(
        at_once(publisher.publish(&topic("work"), loads.light(0))),
        Ok(Receipt::default()),
        "no member wants it"
    );
    let other = broker.subscription(&to).group("g").subscribe().unwrap();
    for number in 0..10 {
        assert_eq!(
            at_once(publisher.publish(&topic("work"), loads.light(number))).unwrap().queued,
            1
        );
    }
    assert_eq!((own.books().offered, other.books().queued), (0, 10));
}

fn limited(broker: &Broker<Load>, bound: usize, when_full: WhenFull, max: u64) -> Mailbox<Load> {
    let mailbox = broker.mailbox("m").queue_messages(bound).when_full(when_full).open().unwrap();
    let id = mailbox.subscribe_in_group(&pattern("work"), "g").unwrap();
    assert_eq!(mailbox.limit(id, max), Some(max));
    mailbox
}

/// A batch goes to the members in pieces. One that may be given less than a piece gets that.
#[test]
fn a_small_limit_is_reached_by_large_batches() {
    let broker = Broker::new();
    let loads = Loads::new();
    let small = limited(&broker, 100, WhenFull::Block, 3);
    let rest = member(&broker, "g", 100, WhenFull::Block);
    let mut publisher = broker.publisher();
    assert_eq!(
        at_once(publisher.publish_batch(&topic("work"), &mut loads.batch(0..20))).unwrap().queued,
        20
    );
    assert_eq!((small.books().queued, rest.books().queued), (3, 17));
}

/// None of them reads: what a member is to get counts when it is published.
#[test]
fn a_member_is_given_no_more_than_its_limit() {
    let broker = Broker::new();
    let loads = Loads::new();
    let members = [10, 3, 0].map(|max| limited(&broker, 100, WhenFull::Block, max));
    let mut publisher = broker.publisher();
    let mut matched = 0;
    for number in 0..5 {
        matched += at_once(publisher.publish(&topic("work"), loads.light(number))).unwrap().matched;
    }
    matched +=
        at_once(publisher.publish_batch(&topic("work"), &mut loads.batch(5..20))).unwrap().matched;
    assert_eq!(matched, 13, "the others were for nobody");
    assert_eq!(members.each_ref().map(|member| member.books().queued), [10, 3, 0]);
    assert_eq!(at_once(publisher.publish(&topic("work"), loads.light(20))), Ok(Receipt::default()));
    assert_eq!(publisher.try_publish(&topic("work"), loads.light(21)), Ok(Receipt::default()));
    let rest = member(&broker, "g", 100, WhenFull::Block);
    assert_eq!(
        at_once(publisher.publish_batch(&topic("work"), &mut loads.batch(22..42))).unwrap().queued,
        20
    );
    assert_eq!(rest.books().queued, 20);
}

#[test]
fn a_limit_is_for_members_of_groups_alone() {
    let broker = Broker::<Load>::new();
    let mailbox = broker.mailbox("m").open().unwrap();
    let plain = mailbox.subscribe(&pattern("work")).unwrap();
    let id = mailbox.subscribe_in_group(&pattern("work"), "g").unwrap();
    assert_eq!(
        (mailbox.limit(plain, 1), mailbox.limit(mailbox.id(), 1), mailbox.limit(id, 1)),
        (None, None, Some(1))
    );
    mailbox.unsubscribe(id);
    assert_eq!(mailbox.limit(id, 1), None);
}

#[test]
fn messages_dropped_for_want_of_room_do_not_count() {
    for policy in [WhenFull::DropNewest, WhenFull::Wait(FOREVER), WhenFull::Block] {
        let broker = Broker::new();
        let loads = Loads::new();
        let mut member = limited(&broker, 1, policy, 3);
        let mut publisher = broker.publisher();
        let _ = at_once(publisher.publish(&topic("work"), loads.light(0))).unwrap();
        match policy {
            WhenFull::DropNewest => {
                assert_eq!(
                    at_once(publisher.publish(&topic("work"), loads.light(1))).unwrap().dropped,
                    1
                );
            }
            _ => begin_and_cancel(publisher.publish(&topic("work"), loads.light(1))),
        }
        for number in 2..4 {
            while member.try_recv_batch().is_ok() {}
            assert_eq!(
                at_once(publisher.publish(&topic("work"), loads.light(number))).unwrap().queued,
                1,
                "{policy:?}"
            );
        }
        assert_eq!(member.books().offered, 4, "{policy:?}: three of them, and the dropped one");
        while member.try_recv_batch().is_ok() {}
        assert_eq!(
            at_once(publisher.publish(&topic("work"), loads.light(4))),
            Ok(Receipt::default()),
            "{policy:?}"
        );
    }
}

/// A lossless group that cannot take all of a batch, for want of allowance and not of room, does
/// not refuse it.
#[test]
fn all_or_nothing_is_about_room_and_not_about_limits() {
    let broker = Broker::new();
    let loads = Loads::new();
    let member = limited(&broker, 2, WhenFull::Block, 2);
    let mut publisher = broker.publisher();
    let receipt = publisher.try_publish_batch(&topic("work"), &mut loads.batch(0..3)).unwrap();
    assert_eq!((receipt.matched, receipt.queued), (2, 2));
    let other = limited(&broker, 1, WhenFull::Block, 2);
    assert_eq!(publisher.try_publish(&topic("work"), loads.light(3)).unwrap().queued, 1);
    assert!(matches!(
        publisher.try_publish(&topic("work"), loads.light(4)),
        Err(TryPublishError::Full(_))
    ));
    assert_eq!((member.books().queued, other.books().queued), (2, 1));
}

/// Its wait for one member is over, and another has room by then: not the publisher's own, if that
/// wants no echo.
#[test]
fn no_echo_holds_when_another_member_takes_over() {
    let broker = Broker::new();
    let loads = Loads::new();
    let origin = fanfare::Origin::unique();
    let to = pattern("work");
    let own = broker.subscription(&to).group("g").no_echo(origin).subscribe().unwrap();
    let full = member(&broker, "g", 1, WhenFull::Wait(Duration::from_millis(1)));
    let mut publisher = broker.publisher_as(origin);
    assert_eq!(publisher.publish_blocking(&topic("work"), loads.light(0)).unwrap().queued, 1);
    let receipt = publisher.publish_blocking(&topic("work"), loads.light(1)).unwrap();
    assert_eq!((receipt.waited, receipt.dropped), (1, 1));
    assert_eq!((own.books().offered, full.books().dropped), (0, 1));
}

#[test]
fn a_member_is_not_given_what_it_excepts() {
    let broker = Broker::new();
    let loads = Loads::new();
    let mut publisher = broker.publisher();
    // A route that is there before, one made later, and one that is used once.
    let _ = publisher.publish_blocking(&topic("work.secret"), loads.light(0)).unwrap();
    let _ = publisher.publish_blocking(&topic("work.secret"), loads.light(0)).unwrap();
    let picky = broker.mailbox("m").open().unwrap();
    let id = picky
        .subscriber()
        .subscribe_in_group_except(&pattern("work.*"), "g", &[pattern("*.secret")])
        .unwrap();
    assert_eq!(
        publisher.publish_blocking(&topic("work.secret"), loads.light(1)).unwrap().matched,
        0
    );
    assert_eq!(
        publisher.publish_blocking(&topic("other.secret"), loads.light(2)).unwrap().matched,
        0
    );
    assert_eq!(publisher.publish_blocking(&topic("work.open"), loads.light(3)).unwrap().matched, 1);
    let mut other = broker.subscription(&pattern("work.>")).group("g").subscribe().unwrap();
    for number in 4..10 {
        assert_eq!(
            publisher.publish_blocking(&topic("work.secret"), loads.light(number)).unwrap().queued,
            1
        );
    }
    assert_eq!(picky.books().queued, 1);
    assert!(picky.unsubscribe(id), "leaving topics it never had changes nothing for the others");
    assert_eq!(
        publisher.publish_blocking(&topic("work.secret"), loads.light(10)).unwrap().queued,
        1
    );
    assert_eq!(take_all(&mut other), numbers(4..11));
}

/// A worker takes a long job; each of the others has done what it gets before the next comes.
#[track_caller]
fn jobs_behind_a_long_one(members: usize, jobs: u64) -> u64 {
    let (broker, loads) = (Broker::new(), Loads::new());
    let mut workers: Vec<_> =
        (0..members).map(|_| member(&broker, "g", 1000, WhenFull::Block)).collect();
    let mut publisher = broker.publisher();
    let _ = at_once(publisher.publish(&topic("work"), loads.light(0))).unwrap();
    let busy = workers.iter_mut().position(|worker| worker.try_recv().is_ok()).unwrap();
    for number in 1..=jobs {
        let _ = at_once(publisher.publish(&topic("work"), loads.light(number))).unwrap();
        for (index, worker) in workers.iter_mut().enumerate() {
            if index != busy {
                take_all(worker);
            }
        }
    }
    let done: u64 = workers.iter().map(|worker| worker.books().received).sum();
    let behind = workers[busy].books().queued;
    assert_eq!(done + behind, jobs + 1);
    behind
}

#[test]
fn jobs_do_not_queue_behind_a_long_one_beside_idle_members() {
    assert_eq!(jobs_behind_a_long_one(4, 100), 1);
}

/// As many are compared as the bound says, not all; each stands in some of the samples.
#[test]
fn in_a_large_group_jobs_do_not_queue_behind_a_long_one_either() {
    assert_eq!(jobs_behind_a_long_one(100, 1000), 1);
}

#[test]
fn members_with_the_same_queued_take_turns() {
    for members in [4, 60] {
        let (broker, loads) = (Broker::new(), Loads::new());
        let workers: Vec<_> =
            (0..members).map(|_| member(&broker, "g", 1000, WhenFull::Block)).collect();
        let mut publisher = broker.publisher();
        for number in 0..10 * members {
            let _ = at_once(publisher.publish(&topic("work"), loads.light(number))).unwrap();
        }
        let queued = workers.iter().map(|worker| worker.books().queued);
        assert!(queued.clone().all(|queued| queued == 10), "{:?}", queued.collect::<Vec<_>>());
    }
}

//! Which subscriptions get which messages, and until when.

use testkit::nats::server::Server;
use testkit::nats::settings::Settings;
use testkit::nats::wire::Wire;

rules!(Settings::default();
    a_star_stands_for_one_token,
    a_final_arrow_stands_for_one_token_or_more,
    a_published_pattern_is_a_literal,
    each_subscription_of_a_connection_gets_its_copy,
    one_of_a_queue_group_gets_it,
    a_group_and_a_plain_subscription_both_get_it,
    a_second_subscription_with_the_same_id_is_ignored,
    unsubscribing_an_unknown_id_is_silent,
    a_maximum_counts_what_was_delivered_before,
    a_maximum_already_reached_ends_it,
    a_maximum_that_was_exceeded_ends_it_now,
    a_maximum_can_be_raised,
    a_maximum_of_nothing_ends_it_now,
    a_maximum_in_a_queue_group_loses_nothing,
    a_maximum_below_what_a_group_has_given_ends_it_there,
    an_id_can_be_used_again,
    echo_off_without_protocol_1,
    echo_off_within_a_queue_group,
    a_closed_connection_has_no_subscriptions,
    answers_come_in_order_whatever_inboxes_they_are_for,
);

fn answers_come_in_order_whatever_inboxes_they_are_for(server: Server) {
    let [mut all, mut one, mut some, mut answering] = [(); 4].map(|()| server.quiet());
    all.send("SUB _INBOX.a.* 1\r\n");
    some.send("SUB _INBOX.> 22\r\nUNSUB 22 50\r\n");
    [&mut all, &mut some].into_iter().for_each(Wire::sync);
    for round in 0..4 {
        // Some are used again, and one is told from the others by then.
        let name = |index: usize| format!("_INBOX.a.{}", if index % 9 == 4 { 4 } else { index });
        let each = |index: usize| (name(20 * round + index), "x".repeat(index / 5));
        let answers: Vec<_> = (0..20).map(each).collect();
        let lines = |verb: &str, sid: &str| {
            let line = |(subject, payload): &(String, String)| {
                format!("{verb} {subject}{sid} {}\r\n{payload}\r\n", payload.len())
            };
            answers.iter().map(line).collect::<Vec<_>>()
        };
        answering.send(lines("PUB", "").concat());
        answering.sync();
        all.expect(lines("MSG", " 1").concat());
        let left = 50_usize.saturating_sub(20 * round).min(20);
        some.expect(lines("MSG", " 22")[..left].concat());
        let of_one = |line: &String| line.starts_with("MSG _INBOX.a.4 ");
        let for_one: Vec<_> = lines("MSG", " 1").into_iter().filter(of_one).collect();
        if round > 1 {
            one.expect(for_one.concat());
        }
        [&mut all, &mut one, &mut some].into_iter().for_each(Wire::sync);
        if round == 1 {
            one.send("SUB _INBOX.a.4 1\r\n");
            one.sync();
        }
    }
}

fn a_star_stands_for_one_token(server: Server) {
    let mut wire = server.quiet();
    wire.send("SUB a.*.c 1\r\nSUB * 2\r\n");
    for subject in ["a.b.c", "a.c", "a.b.b.c", "a.b.c.d", "c"] {
        wire.send(format!("PUB {subject} 1\r\nx\r\n"));
    }
    wire.expect("MSG a.b.c 1 1\r\nx\r\nMSG c 2 1\r\nx\r\n");
    wire.sync();
}

fn a_final_arrow_stands_for_one_token_or_more(server: Server) {
    let mut wire = server.quiet();
    wire.send(
        "SUB a.> 1\r\nPUB a 1\r\nx\r\nPUB a.b 1\r\ny\r\nPUB a.b.c 1\r\nz\r\nPUB b.a 1\r\nx\r\n",
    );
    wire.expect("MSG a.b 1 1\r\ny\r\nMSG a.b.c 1 1\r\nz\r\n");
    wire.send("SUB > 2\r\nPUB b 1\r\nx\r\n");
    wire.expect("MSG b 2 1\r\nx\r\n");
    wire.sync();
}

fn a_published_pattern_is_a_literal(server: Server) {
    let mut wire = server.quiet();
    wire.send("SUB foo.b 1\r\nSUB foo.* 2\r\nPUB foo.* 1\r\nx\r\nPUB foo.> 1\r\ny\r\n");
    wire.expect("MSG foo.* 2 1\r\nx\r\nMSG foo.> 2 1\r\ny\r\n");
    wire.sync();
}

fn each_subscription_of_a_connection_gets_its_copy(server: Server) {
    let mut wire = server.quiet();
    wire.send("SUB a.b 1\r\nSUB a.* 2\r\nSUB a.b 3\r\nPUB a.b 1\r\nx\r\n");
    let mut lines = [wire.line(), wire.line(), wire.line(), wire.line(), wire.line(), wire.line()];
    lines.sort();
    assert_eq!(lines, ["MSG a.b 1 1", "MSG a.b 2 1", "MSG a.b 3 1", "x", "x", "x"]);
    wire.sync();
}

fn one_of_a_queue_group_gets_it(server: Server) {
    let mut members = [server.quiet(), server.quiet(), server.quiet()];
    for member in &mut members {
        member.send("SUB a group 1\r\n");
        member.sync();
    }
    let mut publisher = server.quiet();
    publisher.send("PUB a 1\r\nx\r\n".repeat(99));
    publisher.sync();
    let received: Vec<usize> = members.iter_mut().map(count_until_pong).collect();
    assert_eq!(received.iter().sum::<usize>(), 99, "{received:?}");
    assert!(received.iter().all(|count| *count > 0), "nobody does all the work: {received:?}");
}

/// How many messages came before the answer to a PING.
fn count_until_pong(wire: &mut Wire) -> usize {
    wire.say("PING");
    let mut count = 0;
    loop {
        match wire.line().as_str() {
            "PONG" => return count,
            line if line.starts_with("MSG ") => count += 1,
            _ => {}
        }
    }
}

fn a_group_and_a_plain_subscription_both_get_it(server: Server) {
    let (mut plain, mut member, mut other) = (server.quiet(), server.quiet(), server.quiet());
    plain.send("SUB a 1\r\n");
    member.send("SUB a group 1\r\n");
    other.send("SUB * another 7\r\n");
    [&mut plain, &mut member, &mut other].into_iter().for_each(Wire::sync);
    plain.send("PUB a 1\r\nx\r\n");
    plain.expect("MSG a 1 1\r\nx\r\n");
    member.expect("MSG a 1 1\r\nx\r\n");
    other.expect("MSG a 7 1\r\nx\r\n");
    [&mut plain, &mut member, &mut other].into_iter().for_each(Wire::sync);
}

fn a_second_subscription_with_the_same_id_is_ignored(server: Server) {
    let mut wire = server.connect();
    wire.send("SUB a 1\r\nSUB b 1\r\nSUB a q 1\r\n");
    wire.expect("+OK\r\n+OK\r\n+OK\r\n");
    wire.send("PUB b 1\r\nx\r\nPUB a 1\r\ny\r\n");
    wire.expect("+OK\r\n+OK\r\nMSG a 1 1\r\ny\r\n");
    wire.sync();
}

fn unsubscribing_an_unknown_id_is_silent(server: Server) {
    let mut wire = server.connect();
    wire.send("UNSUB 7\r\nUNSUB 8 3\r\n");
    wire.expect("+OK\r\n+OK\r\n");
    let mut quiet = server.quiet();
    quiet.send("UNSUB 7\r\nUNSUB 8 3\r\n");
    quiet.sync();
}

/// Publishes the numbers to `a`, one message each.
fn publish(wire: &mut Wire, numbers: std::ops::RangeInclusive<u8>) {
    for number in numbers {
        wire.send(format!("PUB a 1\r\n{number}\r\n"));
    }
}

#[track_caller]
fn expect(wire: &mut Wire, numbers: std::ops::RangeInclusive<u8>) {
    for number in numbers {
        wire.expect(format!("MSG a 1 1\r\n{number}\r\n"));
    }
    wire.sync();
}

fn a_maximum_counts_what_was_delivered_before(server: Server) {
    let mut wire = server.quiet();
    wire.send("SUB a 1\r\n");
    publish(&mut wire, 1..=2);
    wire.send("UNSUB 1 3\r\n");
    publish(&mut wire, 3..=5);
    expect(&mut wire, 1..=3);
}

fn a_maximum_already_reached_ends_it(server: Server) {
    let mut wire = server.quiet();
    wire.send("SUB a 1\r\n");
    publish(&mut wire, 1..=2);
    wire.send("UNSUB 1 2\r\n");
    publish(&mut wire, 3..=4);
    expect(&mut wire, 1..=2);
}

fn a_maximum_that_was_exceeded_ends_it_now(server: Server) {
    let mut wire = server.quiet();
    let publish = |number| format!("PUB a 1\r\n{number}\r\n");
    let [one, two, three] = [1, 2, 3].map(publish);
    // In one write, so that it is read at once.
    wire.send(format!("SUB a 1\r\n{one}{two}UNSUB 1 1\r\n{three}"));
    expect(&mut wire, 1..=2);
}

fn a_maximum_can_be_raised(server: Server) {
    for group in ["", "group "] {
        let mut wire = server.quiet();
        wire.send(format!("SUB a {group}1\r\nUNSUB 1 2\r\nUNSUB 1 3\r\n"));
        publish(&mut wire, 1..=4);
        expect(&mut wire, 1..=3);
    }
}

fn a_maximum_of_nothing_ends_it_now(server: Server) {
    for unsubscribe in ["UNSUB 1\r\n", "UNSUB 1 0\r\n", "UNSUB 1 x\r\n", "UNSUB 1 -1\r\n"] {
        let mut wire = server.quiet();
        wire.send("SUB a 1\r\nUNSUB 1 2\r\n");
        publish(&mut wire, 1..=1);
        wire.send(unsubscribe);
        publish(&mut wire, 2..=2);
        expect(&mut wire, 1..=1);
    }
}

/// Three members want ten messages each and a fourth any number: what one of them has no use for
/// any more goes to another.
fn a_maximum_in_a_queue_group_loses_nothing(server: Server) {
    const PUBLISHERS: usize = 3;
    const MESSAGES: usize = 300;
    let mut members = [server.quiet(), server.quiet(), server.quiet(), server.quiet()];
    for (member, end) in
        members.iter_mut().zip(["UNSUB 1 10\r\n", "UNSUB 1 10\r\n", "UNSUB 1 10\r\n", ""])
    {
        member.send(format!("SUB a group 1\r\n{end}"));
        member.sync();
    }
    std::thread::scope(|scope| {
        for publisher in 0..PUBLISHERS {
            let mut wire = server.quiet();
            scope.spawn(move || {
                for number in publisher * MESSAGES..(publisher + 1) * MESSAGES {
                    wire.send(format!("PUB a 3\r\n{number:03}\r\n"));
                }
                wire.sync();
            });
        }
    });
    let received = members.each_mut().map(payloads_until_pong);
    assert_eq!(received[..3].iter().map(Vec::len).collect::<Vec<_>>(), [10; 3]);
    let mut all: Vec<usize> =
        received.concat().iter().map(|payload| payload.parse().unwrap()).collect();
    all.sort_unstable();
    assert_eq!(all, (0..PUBLISHERS * MESSAGES).collect::<Vec<_>>());
}

/// The payloads of all messages that come before the answer to a PING.
fn payloads_until_pong(wire: &mut Wire) -> Vec<String> {
    wire.say("PING");
    let mut payloads = Vec::new();
    loop {
        match wire.line().as_str() {
            "PONG" => return payloads,
            line => assert!(line.starts_with("MSG "), "{line}"),
        }
        payloads.push(wire.line());
    }
}

fn a_maximum_below_what_a_group_has_given_ends_it_there(server: Server) {
    let (mut wire, mut publisher) = (server.quiet(), server.with_headers());
    wire.send("SUB a group 1\r\n");
    wire.sync();
    publisher.send("SUB r 9\r\n");
    publish(&mut publisher, 1..=3);
    publisher.sync();
    wire.send("UNSUB 1 2\r\n");
    expect(&mut wire, 1..=3);
    publisher.send("PUB a r 0\r\n\r\n");
    publisher.expect("HMSG r 9 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
}

fn an_id_can_be_used_again(server: Server) {
    for group in ["", "group "] {
        let mut wire = server.quiet();
        wire.send(format!(
            "SUB b {group}1\r\nUNSUB 1\r\nSUB c {group}1\r\nUNSUB 1 1\r\nPUB c 1\r\nx\r\n"
        ));
        wire.send(format!("SUB a {group}1\r\nPUB b 1\r\nx\r\n"));
        publish(&mut wire, 1..=2);
        wire.expect("MSG c 1 1\r\nx\r\n");
        expect(&mut wire, 1..=2);
    }
}

fn echo_off_without_protocol_1(server: Server) {
    let mut wire = server.client(r#""verbose":false,"echo":false"#);
    let mut other = server.quiet();
    wire.send("SUB a 1\r\n");
    other.send("SUB a 1\r\n");
    other.sync();
    publish(&mut wire, 1..=1);
    wire.sync();
    expect(&mut other, 1..=1);
    publish(&mut other, 2..=2);
    expect(&mut wire, 2..=2);
}

fn echo_off_within_a_queue_group(server: Server) {
    let mut wire =
        server.client(r#""verbose":false,"echo":false,"headers":true,"no_responders":true"#);
    let mut other = server.quiet();
    wire.send("SUB r 9\r\nSUB a group 1\r\nPUB a r 0\r\n\r\n");
    wire.expect("HMSG r 9 16 16\r\nNATS/1.0 503\r\n\r\n\r\n");
    other.send("SUB a group 1\r\n");
    other.sync();
    publish(&mut wire, 1..=9);
    wire.sync();
    expect(&mut other, 1..=9);
}

fn a_closed_connection_has_no_subscriptions(server: Server) {
    let mut wire = server.quiet();
    wire.send("SUB a 1\r\n");
    wire.sync();
    drop(wire);
    let mut asking = server.with_headers();
    asking.send("SUB r 1\r\n");
    testkit::patience::wait_until("nobody is left to answer", || {
        asking.send("PUB a r 0\r\n\r\nPING\r\n");
        let first = asking.line();
        if first == "PONG" {
            return false;
        }
        assert_eq!(first, "HMSG r 1 16 16");
        asking.expect("NATS/1.0 503\r\n\r\n\r\nPONG\r\n");
        true
    });
}

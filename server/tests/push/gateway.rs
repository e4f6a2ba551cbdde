//! The push gateway: whom a push reaches, and what its sender and its receivers are told.

use crate::FANFARE;
use fanfare_server::codec::datagram::signed::sign;
use fanfare_server::push::access::{Access, Key, Rights};
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use testkit::patience::{PATIENCE, connect, wait_until};
use testkit::push::{Client, NATS_LOGIN, TestServer};
use testkit::tools::program;

const SECRET: &str = "0123456789abcdef";

#[test]
fn a_push_reaches_a_user_a_group_or_all() {
    let server = TestServer::start(|_| {});
    let (mut one, mut other) =
        (server.hello(json!({"user": "1", "groups": ["g"]})), server.user("2"));
    let mut second_of_one = server.user("1");
    let sender = server.sender();
    assert_eq!(sender.ask("user:1;reply a"), "ok 2 0");
    assert_eq!(sender.ask("user:nobody;reply b"), "ok 0 0");
    assert_eq!(sender.ask("group:g;reply c"), "ok 1 0");
    assert_eq!(sender.ask("all;id=o-17;reply d"), "ok 3 0 o-17");
    let texts = |client: &mut Client, count| (0..count).map(|_| client.text()).collect::<Vec<_>>();
    assert_eq!(texts(&mut one, 3), ["a", "c", "d"]);
    assert_eq!(texts(&mut second_of_one, 2), ["a", "d"]);
    assert_eq!(texts(&mut other, 1), ["d"]);
    other.say(json!({"join": "g"}));
    assert_eq!(other.object(), json!({"joined": "g"}));
    other.settle();
    one.say(json!({"leave": "g"}));
    assert_eq!(one.object(), json!({"left": "g"}));
    one.settle();
    assert_eq!(sender.ask("group:g;reply e"), "ok 1 0");
    assert_eq!(other.text(), "e");
    drop((one, other, second_of_one));
    server.assert_nobody_remains();
}

#[test]
fn a_push_is_carried_as_it_is() {
    let server = TestServer::start(|_| {});
    let mut client = server.user("1");
    let sender = server.sender();
    sender.send("user:1;id=a two  spaces, \"quotes\" and a line's end\n");
    let push = client.object();
    assert_eq!(push["push"]["text"], "two  spaces, \"quotes\" and a line's end\n");
    assert_eq!((&push["push"]["id"], &push["push"]["to"]), (&json!("a"), &json!("user:1")));
    sender.send(b"user:1 \xff\x00");
    assert_eq!(client.object()["push"]["base64"], "/wA=");
    sender.send("user:1 ");
    assert_eq!(client.text(), "");
}

#[test]
fn no_header_from_the_wire_is_taken_for_the_gateways() {
    let server = TestServer::start(|_| {});
    let nats = server.nats();
    let mut client = server.user("1");
    let sender = server.sender();
    assert_eq!(sender.ask("user:1;reply a"), "ok 1 0");
    let seen = client.object()["push"]["n"].as_u64().unwrap();
    let headers = format!("NATS/1.0\r\nFanfare-Push: {} 0 ack forged\r\n\r\n", u64::MAX);
    let sizes = format!("{} {}", headers.len(), headers.len() + 1);
    let mut forger = Client::connect(nats.local_address());
    forger.send(format!("{NATS_LOGIN}\r\nHPUB push.user.1 {sizes}\r\n{headers}b\r\n"));
    assert_eq!(client.object(), json!({"push": {"to": "user:1", "text": "b"}}));
    // A client that keeps the largest number it saw misses nothing that is pushed later.
    assert_eq!(sender.ask("user:1;reply c"), "ok 1 0");
    assert_eq!(client.text(), "c");
    let mut back = server.hello_and_replay(json!({"user": "1", "seen": seen}));
    assert_eq!(back.text(), "c");
    back.settle();
}

#[test]
fn subscribers_by_nats_see_what_the_gateway_says_of_a_push() {
    let server = TestServer::start(|_| {});
    let nats = server.nats();
    let mut subscriber = Client::connect(nats.local_address());
    subscriber.send(format!("{NATS_LOGIN}\r\nSUB push.user.1 7\r\nPING\r\n"));
    assert!(subscriber.line().starts_with("INFO "));
    assert_eq!(subscriber.line(), "PONG\r\n");
    assert_eq!(server.sender().ask("user:1;id=o-17;ttl=0;ack;reply hello"), "ok 1 0 o-17");
    assert!(subscriber.line().starts_with("HMSG push.user.1 7 "));
    assert_eq!(subscriber.line(), "NATS/1.0\r\n");
    let header = subscriber.line();
    let value = header.strip_prefix("Fanfare-Push: ").expect("the push header");
    assert_eq!(value.split_once(' ').unwrap().1, "0 ack o-17\r\n");
    assert_eq!([subscriber.line(), subscriber.line()], ["\r\n", "hello\r\n"]);
}

#[test]
fn no_web_page_is_a_client() {
    let server = TestServer::start(|_| {});
    let mut page = server.client();
    let hello = "{\"hello\": {\"user\": \"1\"}}\n";
    let length = hello.len();
    page.send(format!(
        "POST / HTTP/1.1\r\nHost: localhost:7002\r\nContent-Length: {length}\r\n\r\n{hello}"
    ));
    assert_eq!(page.line(), "HTTP/1.1 400 Bad Request\r\n");
    let rest: Vec<String> =
        std::iter::repeat_with(|| page.line()).take_while(|line| !line.is_empty()).collect();
    assert_eq!(rest.last().map(String::as_str), Some("this port does not speak HTTP\n"));
    server.assert_nobody_remains();
}

#[test]
fn a_topic_reaches_whoever_subscribes_to_it() {
    let server = TestServer::start(|_| {});
    let mut orders =
        server.broker.subscribe(&fanfare::Pattern::parse("orders.>").unwrap()).unwrap();
    let sender = server.sender();
    assert_eq!(sender.ask("topic:orders.eu;reply two boxes"), "ok 1 0");
    let Ok(fanfare::Delivery::Message(message)) = orders.try_recv() else { panic!("nothing came") };
    assert_eq!((message.payload(), message.content.raw_headers()), (&b"two boxes"[..], &b""[..]));
    assert!(
        sender
            .ask("topic:orders.eu;ttl=3;reply and a long payload, so that the answer fits")
            .starts_with("error id")
    );
    assert!(
        sender
            .ask("topic:orders.*;reply and a long payload, so that the answer fits")
            .starts_with("error ")
    );
}

#[test]
fn a_returning_client_gets_what_came_after_the_last_push_it_saw() {
    let server = TestServer::start(|_| {});
    let sender = server.sender();
    let mut client = server.hello(json!({"user": "1", "groups": ["g"]}));
    assert_eq!(sender.ask("user:1;id=first;reply a"), "ok 1 0 first");
    let number = client.object()["push"]["n"].as_u64().unwrap();
    drop(client);
    server.assert_nobody_remains();
    for datagram in [
        "all;reply b",
        "user:1;reply c",
        "user:2;reply not mine",
        "group:g;reply d",
        "user:1;ttl=0;reply now or never",
    ] {
        assert_eq!(sender.ask(datagram), "ok 0 0");
    }
    for seen in [json!("first"), json!(number)] {
        let mut back = server.hello_and_replay(json!({"user": "1", "groups": ["g"], "seen": seen}));
        assert_eq!(
            (back.text(), back.text(), back.text()),
            ("b".into(), "c".into(), "d".into()),
            "{seen}"
        );
        back.settle();
    }
    let mut all = server.hello_and_replay(json!({"user": "1", "seen": 0}));
    assert_eq!((all.text(), all.text(), all.text()), ("a".into(), "b".into(), "c".into()));
    // A client that does not say what it has seen gets what is new.
    server.user("1").settle();
    assert_eq!(server.figures().replays, 9);
}

#[test]
fn no_more_than_the_last_pushes_are_kept_and_none_beyond_its_time() {
    let server = TestServer::start(|settings| settings.replay = 3);
    let sender = server.sender();
    sender.ask("user:2;ttl=1;reply short-lived");
    for text in ["a", "b", "c", "d"] {
        assert_eq!(sender.ask(format!("user:1;reply {text}")), "ok 0 0");
    }
    let mut client = server.hello_and_replay(json!({"user": "1", "seen": 0}));
    assert_eq!(client.object(), json!({"missed": 1}), "a is no longer kept");
    assert_eq!((client.text(), client.text(), client.text()), ("b".into(), "c".into(), "d".into()));
    client.settle();
    // The first that comes too late is told so, and counted.
    wait_until("the push to be too old", || {
        let mut late = server.client();
        late.say(json!({"hello": {"user": "2", "seen": 0}}));
        late.object();
        late.object() == json!({"expired": 1})
    });
    assert_eq!(server.figures().expired, 1);
}

#[test]
fn a_returning_client_is_told_how_many_pushes_are_no_longer_kept() {
    let server = TestServer::start(|settings| settings.replay = 2);
    let sender = server.sender();
    let push = |to: &str| sender.ask(format!("{to};reply;ttl=3600 {to}"));
    let mut client = server.hello(json!({"user": "1", "groups": ["g"]}));
    push("all");
    let seen = client.object()["push"]["n"].as_u64().unwrap();
    drop(client);
    server.assert_nobody_remains();
    for to in ["all", "user:1", "group:g", "group:g", "user:2", "group:g", "group:g", "all"] {
        push(to);
    }
    sender.ask("group:g;ttl=0;reply for those who are there, but kept in the place of another");
    let back = |groups: &[&str], seen: Value| {
        let mut back = server.client();
        back.say(json!({"hello": {"user": "1", "groups": groups, "seen": seen}}));
        back.object();
        let mut told = Vec::new();
        loop {
            match back.object() {
                object if object["push"]["text"] == "user:1" => return told,
                object => told.push(object),
            }
        }
    };
    let told = back(&["g"], json!(seen));
    assert_eq!(told[0], json!({"missed": 3}), "three of the four to the group");
    assert_eq!(told.len(), 2, "the first to all comes next: {told:?}");
    // Others' pushes are none of its own, and what was seen is not missed.
    assert_eq!(back(&[], json!(seen)).len(), 1);
    // An earlier server's push, or one whose id says nothing any more.
    for unknown in [json!(seen - 2), json!("o-17")] {
        assert_eq!(back(&[], unknown)[0], json!({"missed": 0}));
    }
}

#[test]
fn a_client_that_returns_again_and_again_gets_each_push_once() {
    let server = TestServer::start(|settings| settings.replay = 1_000);
    const PUSHES: u64 = 2_000;
    let read = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let (server, read) = (&server, &read);
        scope.spawn(move || {
            let sender = server.sender();
            for number in 0..PUSHES {
                wait_until("the reader to follow", || number < read.load(Ordering::SeqCst) + 50);
                let to = if number % 3 == 0 { "all" } else { "user:1" };
                assert!(sender.ask(format!("{to};reply {number:020}")).starts_with("ok "));
            }
        });
        let (mut expected, mut seen, mut visits) = (0, 0, 0);
        while expected < PUSHES {
            let mut client = server.client();
            client.say(json!({"hello": {"user": "1", "seen": seen}}));
            client.object();
            // Longer each time, so that one returns in the middle of everything.
            visits += 1;
            for _ in 0..visits % 7 {
                if expected == PUSHES {
                    break;
                }
                let push = client.object();
                assert_eq!(push["push"]["text"].as_str().unwrap().parse(), Ok(expected), "{push}");
                seen = push["push"]["n"].as_u64().unwrap();
                expected += 1;
                read.store(expected, Ordering::SeqCst);
            }
        }
        assert!(visits > 100, "{visits}");
    });
    server.assert_nobody_remains();
}

#[test]
fn acknowledgements_are_counted_for_their_push() {
    let server = TestServer::start(|_| {});
    let (mut one, mut other) = (server.user("1"), server.user("1"));
    let sender = server.sender();
    assert_eq!(sender.ask("user:1;id=o-17;ack;reply read me"), "ok 2 0 o-17");
    for client in [&mut one, &mut other] {
        assert_eq!(client.object()["push"]["ack"], true);
    }
    let gateway = server.push.as_ref().unwrap().gateway();
    assert_eq!(
        gateway.status("o-17").map(|status| (status.reached, status.acknowledged)),
        Some((2, 0))
    );
    one.say(json!({"ack": "o-17"}));
    one.settle();
    assert_eq!(
        gateway.status("o-17").map(|status| (status.reached, status.acknowledged)),
        Some((2, 1))
    );
    // Once each, and only what one was sent.
    one.say(json!({"ack": "o-17"}));
    assert_eq!(one.object()["error"]["code"], "ack");
    other.say(json!({"ack": "o-18"}));
    assert_eq!(other.object()["error"]["code"], "ack");
    assert_eq!(server.figures().acknowledged, 1);
}

#[test]
fn an_answer_waits_until_all_have_acknowledged() {
    let server = TestServer::start(|_| {});
    let (mut one, mut other) = (server.user("1"), server.user("1"));
    let sender = server.sender();
    sender.send("user:1;id=o-17;ack=30000;reply read me");
    for client in [&mut one, &mut other] {
        assert_eq!(client.object()["push"]["ack"], true);
    }
    one.say(json!({"ack": "o-17"}));
    one.settle();
    assert_eq!(server.told("push_ack_waits", &[]), 1);
    // The wait of one is nobody else's: this is answered, and nobody is there who could
    // acknowledge.
    assert_eq!(server.sender().ask("user:2;ack=30000;reply nobody there"), "ok 0 0 0 0");
    other.say(json!({"ack": "o-17"}));
    assert_eq!(sender.answer(), "ok 2 0 0 2 o-17");
    // Without an answer there is nothing to wait for.
    sender.send("user:1;id=o-18;ack=30000 read me too");
    assert_eq!(one.object()["push"]["id"], "o-18");
    assert_eq!(server.told("push_ack_waits", &[]), 0);
    drop((one, other));
    server.assert_nobody_remains();
}

#[test]
fn an_answer_waits_no_longer_than_it_was_told_for_clients_that_are_silent_or_gone() {
    let server = TestServer::start(|_| {});
    let (mut silent, mut gone) = (server.user("1"), server.user("1"));
    let sender = server.sender();
    sender.send("user:1;id=a;ack=60;reply who is there");
    assert_eq!(gone.object()["push"]["id"], "a");
    drop(gone);
    assert_eq!(sender.answer(), "ok 2 0 0 0 a");
    // Later it counts, but nobody is told unless they ask.
    assert_eq!(silent.object()["push"]["id"], "a");
    silent.say(json!({"ack": "a"}));
    silent.settle();
    let status = server.push.as_ref().unwrap().gateway().status("a").unwrap();
    assert_eq!((status.reached, status.acknowledged), (2, 1));
    assert_eq!(sender.ask("user:1;ack=0;reply at once"), "ok 1 0 0 0");
    server.assert_only_its_own_tasks_and_connections();
}

#[test]
fn an_answer_does_not_wait_for_a_server_that_ends() {
    let server = TestServer::start(|_| {});
    let mut client = server.user("1");
    let sender = server.sender();
    sender.send("user:1;ack=30000;reply last words");
    assert_eq!(client.text(), "last words");
    server.push.as_ref().unwrap().begin_stop();
    assert_eq!(sender.answer(), "ok 1 0 0 0");
    wait_until("no push", || !server.tasks.alive_by_name().contains_key("push"));
}

#[test]
fn senders_beyond_the_bound_are_refused_before_anybody_gets_their_push() {
    let server = TestServer::start(|settings| settings.ack_waits = 1);
    let mut client = server.user("1");
    let (first, second) = (server.sender(), server.sender());
    first.send("user:1;id=a;ack=30000;reply one");
    assert_eq!(client.text(), "one");
    assert_eq!(
        second.ask("user:1;id=b;ack=30000;reply two, which is long enough"),
        "error too many pushes at once; try again"
    );
    assert_eq!(second.ask("user:1;ack;reply three does not wait"), "ok 1 0");
    assert_eq!(client.text(), "three does not wait");
    client.say(json!({"ack": "a"}));
    assert_eq!(first.answer(), "ok 1 0 0 1 a");
    assert_eq!((server.figures().udp.busy, server.figures().udp.accepted), (1, 2));
}

#[test]
fn the_journal_names_pushes_that_somebody_missed_or_got_too_late() {
    let server = TestServer::start(|settings| {
        settings.queue_messages = 16;
        settings.writer.buffer_bytes = 4096;
    });
    let stuck = server.user("1");
    let sender = server.sender();
    let text = "x".repeat(8_000);
    let mut first_missed = 0;
    while server.figures().missed < 100 {
        let number = server.figures().accepted();
        let answer = sender.ask(format!("user:1;id=o-{number};reply {text}"));
        if first_missed == 0 && server.figures().missed > 0 {
            assert!(answer.starts_with("ok 0 1 "), "{answer}");
            first_missed = number;
        }
    }
    let losses = server.losses();
    let expected = ("missed", "user:1".to_owned(), format!("push o-{first_missed}, reached 0"), 1);
    assert_eq!(losses.last(), Some(&expected));
    assert!(losses.len() < 100, "each is one line, up to a bound");
    assert_eq!(losses.iter().map(|(.., messages)| messages).sum::<u64>(), server.figures().missed);
    drop(stuck);
    sender.ask("user:2;id=short;ttl=1;reply short-lived");
    wait_until("the push to be too old", || {
        server.hello_and_replay(json!({"user": "2", "seen": 0})).object() == json!({"expired": 1})
    });
    let expired = server.losses().into_iter().find(|(kind, ..)| *kind == "expired");
    let (_, target, what, messages) = expired.expect("a line about it");
    // One of those too many to name, if all this took less than one window of the loss log.
    let named = (target.as_str(), what.as_str()) == ("user:2", "push short");
    assert!(
        named || (target.as_str(), what.as_str()) == ("others", "pushes too many to name"),
        "{target} {what}"
    );
    assert_eq!(messages, 1);
}

#[test]
fn a_signed_datagram_is_taken_once() {
    let key = Key { id: "shop".into(), secret: SECRET.into(), targets: vec!["user:*".into()] };
    let access = Access::new(vec![key], None).unwrap();
    let server = TestServer::start_with(access, |settings| settings.takes_unsigned = false);
    let mut client = server.user("1");
    let sender = server.sender();
    let signed =
        |time_s, push: &str| sign("shop", SECRET.as_bytes(), time_s, "nonce-01", push.as_bytes());
    let good = signed(server.now_s(), "user:1;reply hello");
    assert_eq!(sender.ask(&good), "ok 1 0");
    assert_eq!(client.text(), "hello");
    // Again; stale; with another key; unsigned; to whom it may not. Only the last is answered: its
    // sender is known.
    sender.send(&good);
    sender.send(signed(server.now_s() - 3600, "user:1;reply hello"));
    sender.send(sign(
        "shop",
        b"another secret!!",
        server.now_s(),
        "nonce-01",
        b"user:1;reply hello",
    ));
    sender.send(sign(
        "nosuch",
        SECRET.as_bytes(),
        server.now_s(),
        "nonce-01",
        b"user:1;reply hello",
    ));
    sender.send("user:1;reply hello");
    assert_eq!(
        sender.ask(signed(server.now_s(), "all;reply hello")),
        "error not allowed to push there"
    );
    wait_until("both answers to be counted", || server.figures().answers == 2);
    let figures = server.figures();
    assert_eq!((figures.replayed, figures.stale, figures.forged, figures.unsigned), (1, 1, 2, 1));
    assert_eq!((figures.udp.denied, figures.udp.accepted, figures.answers), (1, 1, 2));
    client.settle();
}

#[test]
fn a_signed_datagram_is_not_taken_again_after_a_restart() {
    let start = || {
        let key = Key { id: "shop".into(), secret: SECRET.into(), targets: vec!["*".into()] };
        TestServer::start_with(Access::new(vec![key], None).unwrap(), |_| {})
    };
    let first = start();
    let text = b"user:1;reply once";
    let signed = sign("shop", SECRET.as_bytes(), first.now_s(), "nonce-01", text);
    assert_eq!(first.sender().ask(&signed), "ok 0 0");
    drop(first);
    let server = start();
    server.sender().send(&signed);
    wait_until("the datagram to be refused", || server.figures().stale == 1);
    assert_eq!((server.figures().udp.accepted, server.figures().answers), (0, 0));
}

#[test]
fn signed_datagrams_keep_their_order_whoever_checks_them() {
    let key = Key { id: "shop".into(), secret: SECRET.into(), targets: vec!["*".into()] };
    let server = TestServer::start_with(Access::new(vec![key], None).unwrap(), |_| {});
    let mut client = server.user("1");
    let sender = server.sender();
    let mut random = fastrand::Rng::with_seed(3);
    const DATAGRAMS: u64 = 1_000;
    for number in 0..DATAGRAMS {
        // Small and large bursts, with unsigned ones between: some are checked in place, others by
        // a worker.
        let push = format!("user:1 {number} {}", "x".repeat(random.usize(0..4_000)));
        match number % 4 {
            0 => sender.send(push),
            _ => {
                sender.send(sign(
                    "shop",
                    SECRET.as_bytes(),
                    server.now_s(),
                    &format!("nonce-{number:03}"),
                    push.as_bytes(),
                ));
            }
        }
        if number % 40 == 39 {
            wait_until("the datagrams to be read", || server.figures().datagrams == number + 1);
            // Now, since little is kept for a client that does not read.
            for number in number - 39..=number {
                assert!(client.text().starts_with(&format!("{number} ")));
            }
        }
    }
    let figures = server.figures();
    assert_eq!((figures.udp.accepted, figures.udp.limited), (DATAGRAMS, 0));
    assert_eq!(figures.signatures_remembered, DATAGRAMS * 3 / 4);
}

#[test]
fn ten_thousand_bad_datagrams_change_nothing_but_counters() {
    let key = Key { id: "shop".into(), secret: SECRET.into(), targets: vec!["*".into()] };
    let server = TestServer::start_with(Access::new(vec![key], None).unwrap(), |_| {});
    let mut client = server.user("1");
    let sender = server.sender();
    let good = sign("shop", SECRET.as_bytes(), server.now_s(), "nonce-01", b"user:1;reply hello");
    assert_eq!(sender.ask(&good), "ok 1 0");
    assert_eq!(client.text(), "hello");
    let mut random = fastrand::Rng::with_seed(1);
    // An answer is counted when it is sent.
    wait_until("the answer to be counted", || server.figures().answers == 1);
    let before = server.figures();
    for round in 0..10_000_u64 {
        let datagram = match round % 5 {
            0 => (0..random.usize(1..300)).map(|_| random.u8(b'!'..)).collect(),
            1 => good[..random.usize(1..good.len())].to_vec(),
            2 => {
                let mut changed = good.clone();
                let at = random.usize(71..changed.len());
                changed[at] ^= 1;
                changed
            }
            3 => good.clone(),
            _ => [b"user:1 ".as_slice(), &vec![b'x'; 8 * 1024]].concat(),
        };
        sender.send(datagram);
        if round % 20 == 19 {
            // So that none is lost on the way.
            wait_until("the datagrams to be read", || {
                server.figures().datagrams == before.datagrams + round + 1
            });
        }
    }
    let after = server.figures();
    assert_eq!(
        (after.accepted(), after.answers, after.reached),
        (before.accepted(), before.answers, before.reached)
    );
    let accepted = after.udp.accepted - before.udp.accepted;
    assert_eq!(
        (accepted, after.udp),
        (0, fanfare_server::push::PushOutcomes { malformed: after.udp.malformed, ..before.udp })
    );
    let refused = [
        after.oversized,
        after.udp.malformed,
        after.forged,
        after.replayed,
        after.stale,
        after.unsigned,
    ];
    assert_eq!(refused.iter().sum::<u64>(), 10_000);
    assert!(
        after.oversized == 2_000 && after.replayed + after.stale == 2_000 && after.forged > 2_000,
        "{after:?}"
    );
    client.settle();
    assert_eq!(sender.ask("user:1;reply still here"), "ok 1 0");
    assert_eq!(client.text(), "still here");
}

#[test]
fn tokens_say_who_a_client_is() {
    let rights = Rights {
        token: "secret".into(),
        user: Some("1".into()),
        groups: vec!["g".into()],
        targets: Vec::new(),
    };
    let server =
        TestServer::start_with(Access::new(Vec::new(), Some(vec![rights])).unwrap(), |_| {});
    let mut client = server.client();
    for hello in [
        json!({"user": "1"}),
        json!({"user": "1", "token": "x"}),
        json!({"user": "2", "token": "secret"}),
    ] {
        client.say(json!({"hello": hello}));
        assert_eq!(client.object()["error"]["code"], "denied");
    }
    client.say(json!({"hello": {"user": "1", "token": "secret", "groups": ["g"]}}));
    assert_eq!(client.object(), json!({"hello": {"user": "1", "groups": ["g"]}}));
    client.settle();
    assert_eq!(server.sender().ask("group:g;reply x"), "ok 1 0");
}

#[test]
fn rubbish_is_answered_a_while_and_then_sent_away() {
    let server = TestServer::start(|settings| settings.line_bytes = 100);
    let mut client = server.client();
    client.settle();
    client.send("rubbish\n{\"push\": 1}\n\u{0}\u{1}\n");
    client.send([&vec![b'x'; 5000][..], b"\n\xc3\x28\n"].concat());
    for _ in 0..5 {
        assert_eq!(client.object()["error"]["code"], "object");
    }
    client.settle();
    let mut objects = Vec::new();
    client.send("x\n".repeat(200));
    loop {
        match client.object() {
            Value::Null => break,
            object => objects.push(object),
        }
    }
    assert_eq!(objects.last(), Some(&json!({"bye": "too many mistakes"})));
    assert!(objects.len() <= 100, "{}", objects.len());
    server.assert_nobody_remains();
}

#[test]
fn another_protocol_is_sent_away_before_anything_is_done() {
    let server = TestServer::start(|settings| settings.line_bytes = 100);
    let hello = "{\"hello\":{\"user\":\"1\"}}\n".repeat(10);
    let long = "x".repeat(200);
    for (first, answer) in [
        ("rubbish", "{\"bye\":\"this port takes lines of JSON objects\"}\n"),
        (long.as_str(), "{\"bye\":\"this port takes lines of JSON objects\"}\n"),
        ("SSH-2.0-OpenSSH_9.2", "{\"bye\":\"this port takes lines of JSON objects\"}\n"),
        ("POST / HTTP/1.1", "HTTP/1.1 400 Bad Request\r\n"),
        ("NICK eve", "ERROR :this port does not speak IRC\r\n"),
    ] {
        let mut socket = connect(server.address);
        socket.write_all(format!("{first}\n{hello}").as_bytes()).unwrap();
        let mut said = String::new();
        socket.read_to_string(&mut said).unwrap();
        assert!(said.starts_with(answer) && !said.contains("hello"), "{first}: {said}");
    }
    server.assert_nobody_remains();
    let ended = server.diagnostics.front_end("push").figures().ended;
    assert_eq!(ended["another protocol"], 5, "{ended:?}");
}

#[test]
fn a_client_without_a_hello_or_an_answer_to_pings_is_closed() {
    let server = TestServer::start(|settings| {
        // Long enough for a hello, however busy the machine is.
        settings.writer.idle.interval = Duration::from_secs(1);
        settings.writer.idle.misses = 2;
    });
    let mut silent = server.client();
    assert_eq!(silent.object(), json!({"bye": "nobody said hello in time"}));
    assert_eq!(silent.object(), Value::Null);
    let mut deaf = server.client();
    deaf.say(json!({"hello": {"user": "1"}}));
    assert!(deaf.object()["hello"].is_object());
    assert_eq!(deaf.object(), json!({"ping": 1}));
    assert_eq!(deaf.object(), json!({"ping": 2}));
    assert_eq!(deaf.object(), Value::Null);
    server.assert_nobody_remains();
}

#[test]
fn a_client_that_never_reads_misses_pushes_and_costs_the_others_nothing() {
    let server = TestServer::start(|settings| {
        settings.queue_messages = 16;
        settings.writer.buffer_bytes = 4096;
    });
    let (mut reader, mut stuck) = (server.user("1"), server.user("2"));
    let sender = server.sender();
    let text = "x".repeat(8_000);
    let mut pushed = 0_u64;
    while server.figures().missed < 50 {
        let answer = sender.ask(format!("all;reply {pushed} {text}"));
        let mut counts = answer.split(' ').skip(1).map(|count| count.parse::<u64>().unwrap());
        assert_eq!(counts.next().unwrap() + counts.next().unwrap(), 2, "{answer}");
        // The reader keeps up, so it gets every single one, in order.
        assert!(reader.text().starts_with(&format!("{pushed} ")));
        pushed += 1;
        assert!(pushed < 100_000, "it takes whatever it is pushed");
    }
    assert_eq!(sender.ask("all;reply last").split(' ').next(), Some("ok"));
    let (mut received, mut missed) = (0, 0);
    while received + missed < pushed + 1 {
        let object = stuck.object();
        match object["missed"].as_u64() {
            Some(count) => missed += count,
            None => received += 1,
        }
    }
    assert_eq!((received, missed), (pushed + 1 - server.figures().missed, server.figures().missed));
    wait_until("no push is left", || !server.tasks.alive_by_name().contains_key("push"));
}

#[test]
fn a_push_that_waits_ends_in_time_and_takes_all_with_it() {
    use fanfare::{Pattern, WhenFull};
    let server = TestServer::start(|settings| {
        settings.timeout = Duration::from_millis(300);
        settings.at_once = 4;
    });
    // Somebody in this process who wants everything and never reads: each push to it waits for
    // ever.
    let topic = Pattern::parse("orders").unwrap();
    let forgotten = server
        .broker
        .subscription(&topic)
        .queue_messages(1)
        .when_full(WhenFull::Block)
        .subscribe()
        .unwrap();
    let sender = server.sender();
    assert_eq!(sender.ask("topic:orders;reply taken, and nobody reads it"), "ok 1 0");
    assert_eq!(
        sender.ask("topic:orders;reply nobody takes this one, it waits"),
        "error it took too long; not everybody got it"
    );
    assert_eq!(server.figures().udp.timed_out, 1);
    for _ in 0..200 {
        sender.send("topic:orders nobody takes this one either");
    }
    wait_until("all to be handled or refused", || server.figures().datagrams == 202);
    assert!(server.tasks.alive_by_name().get("push").is_none_or(|pushes| *pushes <= 4));
    wait_until("all that were handled to end", || {
        server.figures().udp.timed_out + server.figures().udp.busy == 201
    });
    assert!(server.figures().udp.busy >= 100, "{:?}", server.figures());
    server.assert_only_its_own_tasks();
    drop(forgotten);
    assert_eq!(sender.ask("topic:orders;reply nobody is there"), "ok 0 0");
}

#[test]
fn everybody_is_told_that_the_server_ends_and_gets_what_was_queued() {
    let mut server = TestServer::start(|_| {});
    let mut client = server.user("1");
    server.sender().ask("user:1;reply last words");
    let push = server.push.take().unwrap();
    push.begin_stop();
    futures_lite::future::block_on(server.broker.drain(PATIENCE));
    let report = futures_lite::future::block_on(push.ended(std::time::Instant::now() + PATIENCE));
    assert_eq!((report.connections_flushed, report.connections_cut), (1, 0));
    let mut objects = [client.object(), client.object()];
    objects.sort_by_key(|object| object["bye"].is_string());
    assert_eq!(
        (&objects[0]["push"]["text"], &objects[1]["bye"]),
        (&json!("last words"), &json!("the server is ending"))
    );
    assert_eq!(client.object(), Value::Null);
    wait_until("no task", || server.tasks.alive() == 0);
}

/// A small crowd, in a debug build: what it checks is that all sums agree, not how long anything
/// takes.
#[test]
fn every_push_to_a_crowd_is_accounted_for() {
    let Some(mut python) = program("python3") else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/load/push_load.py");
    let crowd = "--clients 300 --stuck 20 --rubbish 4 --returning 10 --datagrams 2000 --bad 2000 \
                 --rounds 1 --probes 3";
    let command = [script, FANFARE].into_iter().chain(crowd.split(' '));
    let output = python.args(command).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("all sums agree; nothing remains"), "{said}");
}

//! Policies that clients choose for their own subscriptions.
//!
//! What one write brings on one subject is published at once, before any of it is sent. So it is
//! certain what a queue of two messages keeps of ten.

use crate::start;
use serde_json::{Value, json};
use std::fmt::Write;
use testkit::nats::server::{Kind, Server};
use testkit::nats::settings::Settings;
use testkit::nats::wire::Wire;
use testkit::tools::python_with_clients;

fn server() -> Server {
    let settings = Settings { newest: true, ..Settings::default() };
    start(Kind::Fanfare, &settings).unwrap()
}

/// A client that waits for answers under the id 9.
fn client(server: &Server) -> Wire {
    let mut wire = server.with_headers();
    wire.send("SUB answers.* 9\r\n");
    wire
}

fn ask(wire: &mut Wire, body: &Value) -> Value {
    let body = body.to_string();
    wire.send(format!("PUB $FANFARE.POLICY answers.1 {}\r\n{body}\r\n", body.len()));
    let head = wire.line();
    assert!(head.starts_with("MSG answers.1 9 "), "{head}");
    serde_json::from_str(&wire.line()).unwrap()
}

/// These numbers as messages, in one write.
fn publish(wire: &mut Wire, subject: &str, numbers: impl IntoIterator<Item = u32>) {
    let mut lines = String::new();
    for number in numbers {
        let text = number.to_string();
        write!(lines, "PUB {subject} {}\r\n{text}\r\n", text.len()).unwrap();
    }
    wire.send(lines);
}

fn expect(wire: &mut Wire, subject: &str, numbers: impl IntoIterator<Item = u32>) {
    for number in numbers {
        let text = number.to_string();
        wire.expect(format!("MSG {subject} 1 {}\r\n{text}\r\n", text.len()));
    }
}

/// The next message says how many are missing before it.
fn expect_after(wire: &mut Wire, missed: u32, subject: &str, number: u32) {
    let header = format!("NATS/1.0\r\nFanfare-Missed: {missed}\r\n\r\n");
    let (text, header_bytes) = (number.to_string(), header.len());
    let total = header_bytes + text.len();
    wire.expect(format!("HMSG {subject} 1 {header_bytes} {total}\r\n{header}{text}\r\n"));
}

#[test]
fn an_answer_says_what_holds_or_what_is_wrong() {
    let server = server();
    let mut wire = client(&server);
    let named = ask(&mut wire, &json!({"subject": "a", "when_full": "wait", "wait_ms": 5}));
    let expected = json!({
        "subject": "a", "subscriptions": 0, "when_full": "wait", "wait_ms": 5,
        "queue_messages": 4096, "queue_bytes": 4 << 20, "latest_by_subject": false,
    });
    assert_eq!(named, expected);
    wire.send("SUB a 1\r\nSUB a 2\r\nSUB b 3\r\n");
    let again = json!({"subject": "a", "when_full": "drop_newest"});
    assert_eq!(ask(&mut wire, &again)["subscriptions"], 2);
    assert_eq!(ask(&mut wire, &json!({"sid": "3", "per_second": 10}))["subscriptions"], 1);
    for (wrong, error) in [
        (json!({"subject": "a", "wen_full": "wait"}), "unknown field `wen_full`"),
        (json!({"subject": "a b"}), "subject is not a valid subject"),
        (json!({"subject": "a", "queue_messages": 0}), "queue_messages is 1 to "),
        (json!({"sid": "3", "queue_bytes": 60 << 20}), "queue_bytes is at most "),
    ] {
        let answer = ask(&mut wire, &wrong);
        assert!(answer["error"].as_str().unwrap().contains(error), "{answer}");
    }
    for number in 2..64 {
        ask(&mut wire, &json!({"subject": number.to_string(), "when_full": "drop_oldest"}));
    }
    let answer = ask(&mut wire, &json!({"subject": "one.more"}));
    assert_eq!(answer["error"], "a connection has policies for at most 64 names");
    wire.sync();
}

#[test]
fn a_full_queue_does_what_its_client_chose() {
    let server = server();
    for before in [true, false] {
        let mut wire = client(&server);
        let choose = |wire: &mut Wire, when_full: &str| {
            ask(wire, &json!({"subject": "a", "when_full": when_full, "queue_messages": 2}));
        };
        if before {
            choose(&mut wire, "drop_oldest");
        }
        wire.send("SUB a 1\r\n");
        choose(&mut wire, "drop_oldest");
        publish(&mut wire, "a", 1..=10);
        expect_after(&mut wire, 8, "a", 9);
        expect(&mut wire, "a", [10]);
        choose(&mut wire, "drop_newest");
        publish(&mut wire, "a", 11..=20);
        expect(&mut wire, "a", 11..=12);
        publish(&mut wire, "a", [21]);
        expect_after(&mut wire, 8, "a", 21);
        wire.sync();
        ask(
            &mut wire,
            &json!({"sid": "1", "when_full": "disconnect", "wait_ms": 0, "queue_messages": 2}),
        );
        publish(&mut wire, "a", 1..=10);
        let (_, last) = wire.drain();
        assert!(last.ends_with("-ERR 'Slow Consumer'\r\n"), "{last}");
    }
}

#[test]
fn messages_queued_when_a_policy_begins_come_first_and_once() {
    let server = server();
    let mut wire = client(&server);
    wire.send("SUB a 1\r\n");
    let mut sent = String::new();
    for (turn, when_full) in ["drop_oldest", "drop_newest", "wait"].into_iter().enumerate() {
        let body = json!({"subject": "a", "when_full": when_full}).to_string();
        write!(sent, "PUB a 1\r\n{turn}\r\nPUB $FANFARE.POLICY {}\r\n{body}\r\n", body.len())
            .unwrap();
    }
    wire.send(sent);
    expect(&mut wire, "a", 0..3);
    publish(&mut wire, "a", 3..100);
    expect(&mut wire, "a", 3..100);
    wire.sync();
}

#[test]
fn the_latest_of_each_subject_replaces_what_waits() {
    let server = server();
    let mut wire = client(&server);
    ask(&mut wire, &json!({"subject": "a.*", "latest_by_subject": true}));
    wire.send("SUB a.* 1\r\n");
    publish(&mut wire, "a.x", 1..=10);
    expect_after(&mut wire, 9, "a.x", 10);
    publish(&mut wire, "a.y", [11]);
    expect(&mut wire, "a.y", [11]);
    wire.sync();
}

#[test]
fn a_client_that_does_not_read_finds_the_latest_of_each_subject() {
    let server = server();
    let mut wire = client(&server);
    let policy = json!({"subject": "a.*", "latest_by_subject": true, "queue_messages": 9});
    ask(&mut wire, &policy);
    wire.send("SUB a.* 1\r\n");
    wire.sync();
    let mut other = server.quiet();
    let filler = "x".repeat(500_000);
    // More than the kernel takes for a client that does not read, with a subject that is quiet.
    for turn in 0..100 {
        let subject = if turn == 50 { "a.quiet" } else { "a.busy" };
        let payload = format!("{turn} {filler}");
        other.send(format!("PUB {subject} {}\r\n{payload}\r\n", payload.len()));
        other.sync();
    }
    wire.send("PUB a.end 3\r\nend\r\n");
    let mut seen = Vec::new();
    loop {
        let line = wire.line();
        if line == "end" {
            break;
        }
        if line.ends_with('x') {
            seen.push(line.split(' ').next().unwrap().parse::<u32>().unwrap());
        }
    }
    assert!(seen.contains(&50) && seen.contains(&99), "{seen:?}");
    assert!(seen.len() < 100, "{seen:?}");
}

#[test]
fn at_a_rate_the_newest_wins() {
    let server = server();
    let mut wire = client(&server);
    wire.send("SUB a.> 1\r\n");
    ask(&mut wire, &json!({"subject": "a.>", "per_second": 0.001}));
    publish(&mut wire, "a.x", 1..=10);
    expect_after(&mut wire, 9, "a.x", 10);
    publish(&mut wire, "a.x", 11..=20);
    publish(&mut wire, "a.y", [21]);
    // A PONG does not wait for what waits for its time.
    wire.sync();
    // Without a subscription there is nothing to wait for.
    wire.send("UNSUB 1\r\n");
    expect_after(&mut wire, 10, "a.y", 21);
    wire.send("SUB a.> 1\r\n");
    publish(&mut wire, "a.x", 1..=10);
    expect_after(&mut wire, 9, "a.x", 10);
    publish(&mut wire, "a.x", 11..=20);
    ask(&mut wire, &json!({"subject": "a.>", "per_second": 50}));
    expect_after(&mut wire, 9, "a.x", 20);
    publish(&mut wire, "a.x", 21..=30);
    expect_after(&mut wire, 9, "a.x", 30);
    wire.sync();
}

#[test]
fn such_a_subscription_ends_as_others_do() {
    let server = server();
    let mut wire = client(&server);
    for group in ["", "g "] {
        for policy in [json!({"per_second": 1000}), json!({"when_full": "drop_oldest"})] {
            let mut policy = policy;
            policy["subject"] = json!("a");
            ask(&mut wire, &policy);
            wire.send(format!("SUB a {group}1\r\nUNSUB 1 2\r\n"));
            for number in [1, 2] {
                publish(&mut wire, "a", [number]);
                expect(&mut wire, "a", [number]);
            }
            publish(&mut wire, "a", [3]);
            wire.sync();
            // Its id can be used again, and so can its place.
            wire.send("SUB b 1\r\n");
            publish(&mut wire, "b", [4]);
            expect(&mut wire, "b", [4]);
            wire.send("UNSUB 1\r\n");
            wire.sync();
        }
    }
}

#[test]
fn a_library_chooses_a_policy() {
    let Some(mut python) = python_with_clients() else { return };
    let server = server();
    let script = "
import asyncio, json, nats, sys
async def main():
    client = await nats.connect(sys.argv[1])
    async def policy(**wanted):
        answer = await client.request('$FANFARE.POLICY', json.dumps(wanted).encode(), timeout=30)
        return json.loads(answer.data)
    before = await policy(subject='prices.*', latest_by_subject=True, per_second=20)
    assert before['subscriptions'] == 0 and before['per_second'] == 20, before
    prices = await client.subscribe('prices.*')
    for price in range(1000):
        await client.publish('prices.eu', b'%d' % price)
    seen = []
    while not seen or seen[-1] < 999:
        seen.append(int((await prices.next_msg(30)).data))
    assert seen == sorted(seen) and len(seen) < 1000, seen
    orders = await client.subscribe('orders')
    after = await policy(subject='orders', when_full='drop_newest', queue_messages=10)
    assert after['subscriptions'] == 1, after
    assert 'queue_messages is 1 to' in (await policy(subject='orders', queue_messages=0))['error']
    await client.drain()
asyncio.run(main())
";
    let url = format!("nats://{}", server.address);
    let output = python.args(["-c", script, &url]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

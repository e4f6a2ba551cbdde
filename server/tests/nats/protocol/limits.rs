//! Every limit and interval is a setting, and what happens when it is hit.

use std::time::{Duration, Instant};
use testkit::nats::server::{Kind, Server};
use testkit::nats::settings::Settings;
use testkit::nats::wire::Wire;
use testkit::patience::wait_until;

rules!(Settings { max_payload: Some(100), ..Settings::default() };
    the_maximum_payload_is_a_setting,
    the_maximum_payload_counts_headers,
);

rules!(Settings { max_control_line: Some(64), ..Settings::default() };
    the_maximum_control_line_is_a_setting);

rules!(Settings { max_connections: Some(2), ..Settings::default() }; one_connection_too_many);

rules!(Settings { max_subscriptions: Some(2), ..Settings::default() };
    one_subscription_too_many,
    a_subscription_that_ended_makes_room,
);

rules!(Settings { ping_interval_ms: Some(100), ping_max: Some(2), ..Settings::default() };
    a_client_that_answers_no_ping_is_stale,
    pings_come_before_connect_too,
);

rules!(Settings { ping_interval_ms: Some(2_000), ping_max: Some(1), ..Settings::default() };
    a_pong_shows_that_the_client_is_there,
);

rules!(Settings::default(); the_first_ping_comes_two_seconds_after_connect);

rules!(Settings {
        max_payload: Some(100_000),
        max_pending_bytes: Some(2_000_000),
        ..Settings::default()
    };
    too_much_is_waiting_for_a_subscriber,
);

rules!(Settings { write_deadline_ms: Some(300), ..Settings::default() };
    a_subscriber_that_takes_nothing_until_the_deadline,
);

fn the_maximum_payload_is_a_setting(server: Server) {
    let mut wire = server.quiet();
    assert_eq!(wire.info["max_payload"], 100);
    wire.send(format!("PUB a 100\r\n{}\r\n", "p".repeat(100)));
    wire.sync();
    wire.send("PUB a 101\r\n");
    wire.expect_last_words("-ERR 'Maximum Payload Violation'\r\n");
}

fn the_maximum_payload_counts_headers(server: Server) {
    let mut wire = server.with_headers();
    wire.send(format!("HPUB a 12 100\r\nNATS/1.0\r\n\r\n{}\r\n", "p".repeat(88)));
    wire.sync();
    wire.send("HPUB a 12 101\r\n");
    wire.expect_last_words("-ERR 'Maximum Payload Violation'\r\n");
}

fn the_maximum_control_line_is_a_setting(server: Server) {
    let mut wire = server.quiet();
    wire.say(&format!("SUB {} 1", "s".repeat(62)));
    wire.sync();
    wire.say(&format!("SUB {} 2", "s".repeat(63)));
    wire.expect_last_words("-ERR 'maximum control line exceeded'\r\n");
}

fn one_connection_too_many(server: Server) {
    let (first, mut second) = (server.quiet(), server.quiet());
    server.connect().expect_last_words("-ERR 'maximum connections exceeded'\r\n");
    second.sync();
    drop(first);
    wait_until("there is room again", || {
        let mut wire = server.connect();
        wire.say("PING");
        wire.line() == "PONG"
    });
}

const ONE_SUBSCRIPTION_TOO_MANY: &str = "-ERR 'maximum subscriptions exceeded'\r\n";

fn one_subscription_too_many(server: Server) {
    let mut wire = server.connect();
    wire.send("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\nSUB d 4\r\n");
    wire.expect("+OK\r\n+OK\r\n");
    wire.expect(ONE_SUBSCRIPTION_TOO_MANY);
    wire.expect(ONE_SUBSCRIPTION_TOO_MANY);
    wire.send("PUB a 1\r\nx\r\n");
    wire.expect("+OK\r\nMSG a 1 1\r\nx\r\n");
    // Each connection has as many.
    let mut other = server.quiet();
    other.send("SUB a 1\r\nSUB b 2\r\n");
    other.sync();
}

fn a_subscription_that_ended_makes_room(server: Server) {
    let begin = "SUB a 1\r\nSUB b 2\r\nUNSUB 1\r\nSUB c 3\r\nUNSUB 2 1\r\n";
    let end_it = "PUB b 1\r\nx\r\nSUB d 4\r\n";
    // In one go, and when everything before has been done.
    for parts in [vec![[begin, end_it].concat()], vec![begin.to_owned(), end_it.to_owned()]] {
        let mut wire = server.quiet();
        let (last, first) = parts.split_last().unwrap();
        for part in first {
            wire.send(part);
            wire.sync();
        }
        wire.send(last);
        wire.expect("MSG b 2 1\r\nx\r\n");
        wire.sync();
    }
}

fn a_client_that_answers_no_ping_is_stale(server: Server) {
    let mut wire = server.connect().without_pongs();
    wire.say(r#"CONNECT {"verbose":false}"#);
    wire.expect_last_words("PING\r\nPING\r\n-ERR 'Stale Connection'\r\n");
}

fn pings_come_before_connect_too(server: Server) {
    server
        .connect()
        .without_pongs()
        .expect_last_words("PING\r\nPING\r\n-ERR 'Stale Connection'\r\n");
}

fn a_pong_shows_that_the_client_is_there(server: Server) {
    let mut wire = server.quiet().without_pongs();
    for _ in 0..4 {
        wire.expect("PING\r\n");
        wire.say("PONG");
    }
    wire.expect_last_words("PING\r\n-ERR 'Stale Connection'\r\n");
}

fn the_first_ping_comes_two_seconds_after_connect(server: Server) {
    let mut silent = server.connect().without_pongs();
    let mut wire = server.connect().without_pongs();
    let connected = Instant::now();
    wire.say(r#"CONNECT {"verbose":false}"#);
    // The next would come after two minutes, far beyond a test's patience.
    wire.expect("PING\r\n");
    assert!(connected.elapsed() >= Duration::from_secs(2));
    // A client that has been there for longer and has not said CONNECT is sent none.
    silent.sync();
}

/// Publishes `payload` to `a` until nobody hears it any more: the subscriber has been given up.
fn publish_until_nobody_hears(publisher: &mut Wire, payload: &str) {
    publisher.send("SUB r 1\r\n");
    wait_until("the subscriber has been given up", || {
        publisher.send(format!("PUB a r {}\r\n{payload}\r\nPING\r\n", payload.len()));
        match publisher.line().as_str() {
            "PONG" => false,
            line => {
                assert_eq!(line, "HMSG r 1 16 16");
                publisher.expect("NATS/1.0 503\r\n\r\n\r\nPONG\r\n");
                true
            }
        }
    });
}

/// nats-server closes without a word. Fanfare says why, where whole messages end, and clients
/// understand it.
#[track_caller]
fn expect_slow_consumer(server: &Server, stuck: &mut Wire) {
    let (_, end) = stuck.drain();
    match server.kind {
        Kind::NatsServer => assert!(!end.contains("-ERR"), "{end:?}"),
        Kind::Fanfare => assert!(end.ends_with("\r\n-ERR 'Slow Consumer'\r\n"), "{end:?}"),
    }
}

fn too_much_is_waiting_for_a_subscriber(server: Server) {
    let mut stuck = server.quiet();
    stuck.send("SUB a 1\r\n");
    stuck.sync();
    let mut publisher = server.with_headers();
    publish_until_nobody_hears(&mut publisher, &"p".repeat(100_000));
    expect_slow_consumer(&server, &mut stuck);
    publisher.sync();
}

fn a_subscriber_that_takes_nothing_until_the_deadline(server: Server) {
    let mut stuck = server.quiet();
    stuck.send("SUB a 1\r\n");
    stuck.sync();
    // More than the kernel takes for somebody who does not read, and less than may wait.
    let mut publisher = server.with_headers();
    let payload = "p".repeat(1_000_000);
    for _ in 0..20 {
        publisher.send(format!("PUB a {}\r\n{payload}\r\n", payload.len()));
    }
    publisher.sync();
    publish_until_nobody_hears(&mut publisher, "");
    stuck.drain();
    publisher.sync();
}

//! Clients of the push gateway by WebSocket: the same objects as over TCP, and every edge of the
//! protocol around them.

use fanfare_server::http::HttpServer;
use fanfare_server::push::PushSettings;
use fanfare_server::push::access::{Access, Rights};
use serde_json::json;
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use testkit::http::Http;
use testkit::patience::{PATIENCE, wait_until};
use testkit::push::TestServer;
use testkit::web_socket::{BINARY, CLOSE, CONTINUED, FINAL, PING, PONG, TEXT, frame};
use testkit::web_socket::{UPGRADE, WebSocket};

struct SocketTest {
    server: TestServer,
    http: Option<HttpServer>,
    address: SocketAddr,
}

fn start(change: impl FnOnce(&mut PushSettings)) -> SocketTest {
    start_with(Access::default(), change)
}

fn start_with(access: Access, change: impl FnOnce(&mut PushSettings)) -> SocketTest {
    let server = TestServer::start_with(access, change);
    let http = server.http(&["http://page.example"]);
    SocketTest { server, address: http.local_address(), http: Some(http) }
}

impl SocketTest {
    fn open(&self) -> WebSocket {
        WebSocket::open(self.address)
    }

    #[track_caller]
    fn user(&self, user: &str) -> WebSocket {
        WebSocket::user(self.address, user)
    }

    /// No connection, no subscription, no task but the servers' own, and no permit.
    #[track_caller]
    fn assert_nobody_remains(&self) {
        wait_until("no connection, no subscription, no task", || {
            let mut names: Vec<&str> =
                self.server.tasks.list().iter().map(|task| task.name).collect();
            names.sort_unstable();
            let front_ends = self.server.diagnostics.front_ends();
            front_ends.iter().all(|front_end| front_end.connection_count() == 0)
                && self.server.broker.stats().subscriptions == 0
                && names == ["http accept", "push accept", "push datagrams"]
        });
    }

    /// How often connections of that front-end ended so.
    fn ended(&self, front_end: &'static str, reason: &str) -> u64 {
        self.server
            .diagnostics
            .front_end(front_end)
            .figures()
            .ended
            .get(reason)
            .copied()
            .unwrap_or(0)
    }
}

#[test]
fn a_client_says_and_gets_the_same_objects_as_over_tcp() {
    let test = start(|_| {});
    let sender = test.server.sender();
    let mut client = test.open();
    client.say(json!({"ack": "x"}));
    assert_eq!(client.object()["error"]["code"], "hello");
    client.say(json!({"hello": {"user": "42", "groups": ["a"]}}));
    assert_eq!(client.object(), json!({"hello": {"user": "42", "groups": ["a"]}}));
    client.settle();
    // The same user over TCP, and again.
    let (mut by_tcp, mut again) = (test.server.user("42"), test.user("42"));
    assert_eq!(sender.ask("user:42;id=o-17;ack;reply h\u{e9}llo"), "ok 3 0 o-17");
    let push = client.object();
    assert_eq!(push, by_tcp.object());
    assert_eq!(push, again.object());
    assert_eq!((&push["push"]["text"], &push["push"]["ack"]), (&json!("h\u{e9}llo"), &json!(true)));
    client.say(json!({"ack": "o-17"}));
    client.say(json!({"join": "b"}));
    assert_eq!(client.object(), json!({"joined": "b"}));
    client.say(json!({"leave": "a"}));
    assert_eq!(client.object(), json!({"left": "a"}));
    client.settle();
    assert_eq!(test.server.figures().acknowledged, 1);
    assert_eq!(
        (sender.ask("group:a;reply x"), sender.ask("group:b;reply y")),
        ("ok 0 0".into(), "ok 1 0".into())
    );
    assert_eq!(client.text(), "y");
    sender.send(b"user:42 \xff\x00");
    assert_eq!(client.object()["push"]["base64"], "/wA=");
    // Every length of a frame's head.
    for length in [50, 1_000, 60_000] {
        let text = "x".repeat(length);
        let answer = Http::connect(test.address).post("/push/user:42", &text);
        assert_eq!(answer.status, 200);
        assert_eq!(client.text(), text);
    }
    drop((client, by_tcp, again));
    test.assert_nobody_remains();
    let accepted = |front_end| test.server.diagnostics.front_end(front_end).figures().accepted;
    assert_eq!((accepted("push"), accepted("push-http")), (3, 5));
}

#[test]
fn a_returning_client_is_replayed_what_it_missed() {
    let test = start(|_| {});
    let sender = test.server.sender();
    let mut client = test.user("1");
    sender.ask("user:1;reply a");
    let seen = client.object()["push"]["n"].clone();
    drop(client);
    test.assert_nobody_remains();
    for text in ["all;reply b", "user:2;reply not mine", "user:1;reply c"] {
        assert_eq!(sender.ask(text), "ok 0 0");
    }
    let mut client = test.open();
    client.say(json!({"hello": {"user": "1", "seen": seen}}));
    assert!(client.object()["hello"].is_object());
    assert_eq!((client.text(), client.text()), ("b".into(), "c".into()));
    client.settle();
}

#[test]
fn a_hello_may_come_right_behind_the_request() {
    let test = start(|_| {});
    let hello = frame(FINAL | TEXT, br#"{"hello": {"user": "1"}}"#);
    let (begin, end) = hello.split_at(9);
    let mut client = WebSocket::open_and_send(test.address, "", begin);
    client.send_bytes(end);
    assert!(client.object()["hello"].is_object());
    let mut client = WebSocket::open_and_send(test.address, "", &hello);
    assert!(client.object()["hello"].is_object());
    client.settle();
}

#[test]
fn tokens_are_said_in_the_hello() {
    let rights = Rights {
        token: "secret".into(),
        user: Some("1".into()),
        groups: Vec::new(),
        targets: Vec::new(),
    };
    let test = start_with(Access::new(Vec::new(), Some(vec![rights])).unwrap(), |_| {});
    let mut client = test.open();
    for hello in [
        json!({"user": "1"}),
        json!({"user": "1", "token": "x"}),
        json!({"user": "2", "token": "secret"}),
    ] {
        client.say(json!({"hello": hello}));
        assert_eq!(client.object()["error"]["code"], "denied");
    }
    client.say(json!({"hello": {"user": "1", "token": "secret"}}));
    assert!(client.object()["hello"].is_object());
}

#[test]
fn a_request_that_is_no_handshake_is_told_why() {
    let test = start(|_| {});
    let without = |name: &str| {
        UPGRADE.lines().filter(|line| !line.starts_with(name)).collect::<Vec<_>>().join("\r\n")
            + "\r\n"
    };
    let key = without("Sec-WebSocket-Key");
    for (path, headers, expected) in [
        ("/socket", String::new(), 426),
        ("/socket", without("Connection"), 426),
        ("/socket", without("Upgrade"), 426),
        ("/socket", without("Sec-WebSocket-Version"), 426),
        ("/socket", UPGRADE.replace("13", "8"), 426),
        ("/socket", UPGRADE.replace("WebSocket\r\nSec", "h2c\r\nSec"), 426),
        ("/socket", key.clone(), 400),
        ("/socket", format!("{key}Sec-WebSocket-Key: dGhlIHNhbXBsZQ==\r\n"), 400),
        ("/socket", format!("{key}Sec-WebSocket-Key: !\r\n"), 400),
        ("/socket", format!("{UPGRADE}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400),
        ("/socket/x", UPGRADE.to_owned(), 405),
        ("/figures", UPGRADE.to_owned(), 200),
        ("/nosuch", UPGRADE.to_owned(), 404),
    ] {
        // The connection can still be used.
        let mut http = Http::connect(test.address);
        let answer = http.get_with(path, &headers);
        assert_eq!(answer.status, expected, "{path} {headers}: {}", answer.text());
        if expected == 426 {
            let header = |name: &str| answer.headers.get(name).map(String::as_str);
            assert_eq!(
                (header("sec-websocket-version"), header("upgrade")),
                (Some("13"), Some("websocket"))
            );
        }
        assert_eq!(http.get("/figures").status, 200);
    }
    let mut http = Http::connect(test.address);
    http.send(format!(
        "POST /socket HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n{UPGRADE}\r\n"
    ));
    assert_eq!(http.answer().unwrap().status, 405);
    drop(http);
    let mut http = Http::connect(test.address);
    http.send(format!("GET /socket HTTP/1.0\r\nHost: localhost\r\n{UPGRADE}\r\n"));
    assert_eq!(http.answer().unwrap().status, 400);
    drop(http);
    test.assert_nobody_remains();
    assert_eq!(test.server.diagnostics.front_end("push").figures().accepted, 0);
}

#[test]
fn pages_of_other_origins_get_no_socket() {
    let test = start(|_| {});
    for (host, origin, expected) in [
        ("localhost", "http://evil.example", Some(403)),
        ("localhost", "null", Some(403)),
        // Its own name leads here.
        ("evil.example", "http://evil.example", Some(403)),
        ("localhost:7003", "http://localhost:7003", None),
        ("127.0.0.1", "http://page.example", None),
    ] {
        let mut http = Http::connect(test.address);
        http.send(format!(
            "GET /socket HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n{UPGRADE}\r\n"
        ));
        let status = http.answer().unwrap().status;
        assert_eq!(status, expected.unwrap_or(101), "{host} {origin}");
    }
}

#[test]
fn messages_in_pieces_and_control_frames_between_them_are_understood() {
    let test = start(|_| {});
    let mut client = test.open();
    client.send(TEXT, r#"{"hello": {"us"#);
    client.send(FINAL | PING, "there?");
    assert_eq!(client.frame(), Some((PONG, b"there?".to_vec())));
    client.send(CONTINUED, r#"er": "4"#);
    client.send(FINAL | PONG, "unasked");
    client.send(CONTINUED, "");
    client.send(FINAL | CONTINUED, r#"2"}}"#);
    assert_eq!(client.object(), json!({"hello": {"user": "42", "groups": []}}));
    // Byte by byte.
    for byte in frame(FINAL | TEXT, br#"{"ping": 7}"#) {
        client.send_bytes(&[byte]);
    }
    assert_eq!(client.object(), json!({"pong": 7}));
    // Many in one piece; each ping is answered, or a later one.
    let many = [
        frame(FINAL | PING, b"a"),
        frame(FINAL | TEXT, br#"{"ping": 8}"#),
        frame(FINAL | PING, b"b"),
    ]
    .concat();
    client.send_bytes(&many);
    assert_eq!(client.frame(), Some((PONG, b"a".to_vec())));
    assert_eq!(client.object(), json!({"pong": 8}));
    assert_eq!(client.frame(), Some((PONG, b"b".to_vec())));
}

#[test]
fn a_client_that_breaks_the_protocol_is_told_how_and_closed() {
    let test = start(|settings| settings.line_bytes = 200);
    let long = "x".repeat(201);
    let wrong = [
        (frame(FINAL | BINARY, b"{}"), 1003),
        (vec![FINAL | TEXT, 2, b'{', b'}'], 1002),
        (frame(FINAL | 0x40 | TEXT, b"{}"), 1002),
        (frame(FINAL | CONTINUED, b"{}"), 1002),
        (frame(PING, b"in parts"), 1002),
        (frame(FINAL | TEXT, b"\xff"), 1007),
        (frame(FINAL | TEXT, long.as_bytes()), 1009),
        (
            frame(TEXT, &long.as_bytes()[..150])
                .into_iter()
                .chain(frame(CONTINUED, &[b'x'; 51]))
                .collect(),
            1009,
        ),
    ];
    for (index, (bytes, code)) in wrong.iter().enumerate() {
        let mut client = test.user("1");
        client.send_bytes(bytes);
        let bye = client.object();
        let (closed_with, reason) = client.closes();
        assert_eq!((closed_with, &json!(reason)), (*code, &bye["bye"]), "{bytes:?}");
        drop(client);
        test.assert_nobody_remains();
        for front_end in ["push", "push-http"] {
            assert_eq!(test.ended(front_end, "protocol error"), index as u64 + 1, "{front_end}");
        }
    }
}

#[test]
fn rubbish_is_answered_a_while_and_then_sent_away() {
    let test = start(|_| {});
    let mut client = test.open();
    let mut errors = 0;
    client.send_bytes(&frame(FINAL | TEXT, b"rubbish").repeat(200));
    let bye = loop {
        let object = client.object();
        if object["error"]["code"] != "object" {
            break object;
        }
        errors += 1;
    };
    assert_eq!((errors, bye), (101, json!({"bye": "too many mistakes"})));
    assert_eq!(client.closes(), (1008, "too many mistakes".to_owned()));
    test.assert_nobody_remains();
}

#[test]
fn a_close_is_answered_and_ends_it() {
    let test = start(|_| {});
    for (payload, code) in [
        (&b""[..], 1000),
        (b"\x03\xe8bye", 1000),
        (b"\x03\xe9", 1001),
        (b"\x0f\xa0", 4000),
        (b"\x03\xed", 1002),
    ] {
        let mut client = test.user("1");
        client.send(FINAL | CLOSE, payload);
        assert_eq!(client.closes(), (code, String::new()));
        // What comes behind it is nobody's.
        client.send(FINAL | TEXT, r#"{"join": "a"}"#);
        drop(client);
    }
    test.assert_nobody_remains();
    assert_eq!((test.ended("push", "quit"), test.ended("push-http", "quit")), (5, 5));
}

#[test]
fn a_client_that_leaves_without_a_word_gets_its_answers() {
    let test = start(|_| {});
    let mut client = test.user("1");
    client.say(json!({"ping": 1}));
    client.half_close();
    assert_eq!(client.object(), json!({"pong": 1}));
    assert_eq!(client.closes().0, 1002);
    // In the middle of a frame; and at once.
    let mut client = test.user("1");
    client.send_bytes(&frame(FINAL | TEXT, b"never whole")[..7]);
    drop(client);
    drop(test.open());
    test.assert_nobody_remains();
}

#[test]
fn a_client_without_a_hello_or_an_answer_to_pings_is_closed() {
    let test = start(|settings| {
        // Long enough for a hello, however busy the machine is.
        settings.writer.idle.interval = Duration::from_secs(1);
        settings.writer.idle.misses = 2;
    });
    let mut silent = test.open();
    assert_eq!(silent.object(), json!({"bye": "nobody said hello in time"}));
    assert_eq!(silent.closes(), (1008, "nobody said hello in time".to_owned()));
    let mut deaf = test.open();
    deaf.say(json!({"hello": {"user": "1"}}));
    assert!(deaf.object()["hello"].is_object());
    assert_eq!((deaf.object(), deaf.object()), (json!({"ping": 1}), json!({"ping": 2})));
    assert_eq!(deaf.closes(), (1008, "no ping was answered".to_owned()));
    drop(silent);
    test.assert_nobody_remains();
    assert_eq!(
        (test.ended("push", "idle time-out"), test.ended("push-http", "idle time-out")),
        (1, 1)
    );
}

#[test]
fn a_client_that_never_reads_misses_pushes_is_cut_and_costs_the_others_nothing() {
    let test = start(|settings| {
        settings.queue_messages = 16;
        settings.writer.buffer_bytes = 4096;
        // Time for its queue to fill, however busy the machine is.
        settings.writer.deadline = Duration::from_secs(10);
    });
    let (mut reader, mut stuck) = (test.user("1"), test.user("2"));
    let sender = test.server.sender();
    let text = "x".repeat(8_000);
    let mut pushed = 0_u64;
    while test.ended("push", "write time-out") == 0 {
        assert!(sender.ask(format!("all;reply {pushed} {text}")).starts_with("ok "));
        // The reader keeps up, so it gets every single one, in order.
        assert!(reader.text().starts_with(&format!("{pushed} ")));
        pushed += 1;
        assert!(pushed < 1_000_000, "it is never cut");
    }
    assert!(test.server.figures().missed > 0);
    wait_until("the connection to be cut", || test.ended("push-http", "write time-out") == 1);
    assert_eq!(sender.ask("all;reply last"), "ok 1 0");
    assert_eq!(reader.text(), "last");
    // What the kernel had taken is there, and then it ends in the middle.
    assert_eq!(stuck.text(), format!("0 {text}"));
    drop((reader, stuck));
    test.assert_nobody_remains();
}

/// The kernel has a clock for peers too, which also runs while a receive window is closed.
#[test]
fn a_client_that_never_reads_is_slow_and_not_broken() {
    let test = start(|settings| {
        settings.queue_messages = 16;
        settings.writer.buffer_bytes = 4096;
        settings.writer.idle.interval = Duration::from_secs(1);
    });
    let stuck = test.user("1");
    let sender = test.server.sender();
    let text = "x".repeat(8_000);
    let ended = || test.server.diagnostics.front_end("push").figures().ended;
    wait_until("it is cut", || {
        sender.ask(format!("user:1;reply {text}"));
        !ended().is_empty()
    });
    let reasons: Vec<&str> = ended().into_keys().collect();
    assert!(reasons == ["idle time-out"] || reasons == ["write time-out"], "{reasons:?}");
    drop(stuck);
    test.assert_nobody_remains();
}

#[test]
fn a_late_reader_is_told_how_many_it_missed() {
    let test = start(|settings| {
        settings.queue_messages = 16;
        settings.writer.buffer_bytes = 4096;
    });
    let mut late = test.user("1");
    let sender = test.server.sender();
    let text = "x".repeat(8_000);
    let mut pushed = 0_u64;
    while test.server.figures().missed < 50 {
        assert!(sender.ask(format!("user:1;reply {text}")).starts_with("ok "));
        pushed += 1;
        assert!(pushed < 100_000, "it takes whatever it is pushed");
    }
    let (mut received, mut missed) = (0, 0);
    while received + missed < pushed {
        let object = late.object();
        match object["missed"].as_u64() {
            Some(count) => missed += count,
            None => received += 1,
        }
    }
    assert_eq!((received + missed, missed), (pushed, test.server.figures().missed));
}

#[test]
fn everybody_is_told_that_the_server_ends_and_gets_what_was_queued() {
    let mut test = start(|_| {});
    let (mut client, mut silent) = (test.user("1"), test.open());
    // It is a client of the gateway from here on, and not only of the HTTP server.
    silent.say(json!({"ping": 1}));
    assert_eq!(silent.object(), json!({"pong": 1}));
    test.server.sender().ask("user:1;reply last words");
    let http = test.http.take().unwrap();
    http.begin_stop();
    futures_lite::future::block_on(test.server.broker.drain(PATIENCE));
    let ended = std::thread::spawn(move || {
        futures_lite::future::block_on(http.ended(Instant::now() + PATIENCE))
    });
    let mut objects = [client.object(), client.object()];
    objects.sort_by_key(|object| object["bye"].is_string());
    assert_eq!(
        (&objects[0]["push"]["text"], &objects[1]["bye"]),
        (&json!("last words"), &json!("the server is ending"))
    );
    assert_eq!(client.closes(), (1001, "the server is ending".to_owned()));
    assert_eq!(silent.object(), json!({"bye": "the server is ending"}));
    assert_eq!(silent.closes().0, 1001);
    drop((client, silent));
    let report = ended.join().unwrap();
    assert_eq!((report.connections_flushed, report.connections_cut), (2, 0));
    assert_eq!(test.ended("push-http", "server stopped"), 2);
    wait_until("the connections to be gone", || test.server.tasks.alive() == 2);
}

#[test]
fn a_client_that_finds_no_room_is_told_to_try_again() {
    let test = start(|_| {});
    test.server.broker.close();
    let mut client = test.open();
    let bye = client.object();
    let (code, reason) = client.closes();
    assert_eq!((code, &bye["bye"]), (1013, &json!(reason)));
    drop(client);
    wait_until("no connection", || {
        test.server.diagnostics.front_end("push-http").connection_count() == 0
    });
}

#[test]
fn a_client_that_takes_no_goodbye_is_cut_at_the_deadline() {
    let mut test = start(|settings| settings.writer.buffer_bytes = 4096);
    let stuck = test.user("1");
    let text = "x".repeat(8_000);
    while test.server.figures().missed == 0 {
        test.server.sender().ask(format!("user:1;reply {text}"));
    }
    let http = test.http.take().unwrap();
    let report =
        futures_lite::future::block_on(http.ended(Instant::now() + Duration::from_millis(50)));
    assert_eq!((report.connections_flushed, report.connections_cut), (0, 1));
    wait_until("no subscription", || test.server.broker.stats().subscriptions == 0);
    assert_eq!(test.ended("push-http", "cut"), 1);
    drop(stuck);
}

#[test]
fn a_server_that_is_dropped_takes_its_sockets_with_it() {
    let mut test = start(|_| {});
    let mut client = test.user("1");
    test.http = None;
    assert_eq!(client.frame(), None);
    wait_until("the connections to be gone", || {
        test.server.tasks.alive() == 2 && test.server.broker.stats().subscriptions == 0
    });
}

#[test]
fn a_socket_is_listed_as_one_and_holds_its_place() {
    let test = start(|_| {});
    let clients: Vec<WebSocket> = (0..100).map(|_| test.user("42")).collect();
    let list = |front_end| test.server.diagnostics.front_end(front_end).connections(0, 1_000);
    let (clients_listed, connections) = (list("push"), list("push-http"));
    assert_eq!((clients_listed.len(), connections.len()), (100, 100));
    assert!(clients_listed.iter().all(|client| client.user == "42" && client.subscriptions == 2));
    assert!(
        connections
            .iter()
            .all(|connection| connection.name == "websocket" && connection.bytes_in > 0)
    );
    let mut one_too_many = Http::connect(test.address);
    assert_eq!(one_too_many.answer().unwrap().status, 503);
    drop(clients);
    test.assert_nobody_remains();
    assert_eq!(Http::connect(test.address).get("/figures").status, 200);
}

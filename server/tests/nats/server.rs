//! The NATS server's loop, in this process: slow clients, time-outs, ends, and what is left behind.

use async_io::Timer;
use fanfare::limits::PACE_AHEAD_MAX;
use fanfare::{Broker, Pattern, Topic};
use fanfare_server::chat::{ChatServer, ChatSettings};
use fanfare_server::connection::{LameDuck, Listener};
use fanfare_server::diagnostics::Diagnostics;
use fanfare_server::limits::{NATS_SUBSCRIPTIONS, SLOWEST_READER_BYTES};
use fanfare_server::message::ServerMessage;
use fanfare_server::nats::accounts::Accounts;
use fanfare_server::nats::authentication::{Grant, Secret, User};
use fanfare_server::nats::permissions::{Permissions, Rules};
use fanfare_server::nats::settings::{HandshakeFirst, TlsSettings};
use fanfare_server::nats::{NatsServer, NatsSettings, SlowConsumer};
use fanfare_server::tasks::{BoxedTask, Tasks};
use fanfare_server::transport::Identity;
use futures_lite::future::block_on;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};
use testkit::chat::Client;
use testkit::leak_check::LeakCheck;
use testkit::nats::wire::Wire;
use testkit::nats::{tls_certificate, tls_key};
use testkit::patience::{PATIENCE, connect, wait_until};

/// A NATS server in this process.
struct TestServer {
    broker: Broker<ServerMessage>,
    tasks: Tasks,
    diagnostics: Diagnostics,
    nats: NatsServer,
    address: SocketAddr,
    /// Last, so that it is dropped when the server has been.
    _leaks: LeakCheck,
}

impl TestServer {
    fn start(change: impl FnOnce(&mut NatsSettings)) -> Self {
        Self::start_with(SLOWEST_READER_BYTES, change)
    }

    fn start_with(slowest: u32, change: impl FnOnce(&mut NatsSettings)) -> Self {
        let mut settings = NatsSettings { write_deadline: PATIENCE, ..NatsSettings::default() };
        change(&mut settings);
        let broker = Broker::builder().keep_pace_from(slowest).build();
        let tasks = Tasks::new(|task: BoxedTask| drop(async_std::task::spawn(task)));
        let diagnostics = Diagnostics::new();
        let listener =
            Listener::bind("127.0.0.1:0".parse().unwrap(), settings.connections).unwrap();
        let limiter = listener.limiter().clone();
        let accounts = Accounts::new(&broker, settings.total_subscriptions, Broker::new);
        let leaks = LeakCheck::of_server(&tasks, &broker, &limiter, &diagnostics);
        let nats =
            NatsServer::start(listener, &accounts, &tasks, settings, diagnostics.front_end("nats"));
        let address = nats.local_address();
        Self { broker, tasks, diagnostics, nats, address, _leaks: leaks }
    }

    fn client(&self) -> Wire {
        let mut wire = Wire::connect(self.address);
        let options = r#""verbose":false,"pedantic":false,"headers":true,"no_responders":true"#;
        wire.say(&format!("CONNECT {{{options}}}"));
        wire.sync();
        wire
    }

    fn ended(&self, reason: &str) -> u64 {
        self.diagnostics.front_end("nats").figures().ended.get(reason).copied().unwrap_or(0)
    }

    /// No connection, subscription, publisher or task of one is left.
    #[track_caller]
    fn assert_nothing_remains(&self) {
        wait_until("nothing of a connection is left", || {
            let stats = self.broker.stats();
            (self.nats.connections(), stats.subscriptions, stats.publishers, self.tasks.alive())
                == (0, 0, 0, 2)
        });
        assert_eq!(self.broker.subscription_stats().len(), 0);
    }
}

#[test]
fn private_messages_and_pushes_reach_those_alone_whose_permissions_name_them() {
    let rules = |allow: &[&str]| {
        let allow = allow.iter().map(|text| Pattern::parse(text).unwrap()).collect();
        Rules::new(Some(allow), Vec::new())
    };
    let user = |name: &str, subscribe: Rules| User {
        name: name.to_owned(),
        password: Some(Secret::new("p")),
        grant: Grant::from(Permissions {
            subscribe,
            publish: rules(&["*", "push.all"]),
            responses: None,
        }),
    };
    let anonymous = TestServer::start(|_| {});
    let with_users = TestServer::start(|settings| {
        let wide = user("wide", rules(&[">", "chat.>", "*.*", "*.*.*"]));
        settings.authentication.users = vec![wide, user("named", rules(&[">", "push.>"]))];
    });
    let login = |name: &str| {
        let mut wire = Wire::connect(with_users.address);
        let options = r#""verbose":false,"pedantic":false,"headers":true"#;
        wire.send(format!("CONNECT {{{options},\"user\":\"{name}\",\"pass\":\"p\"}}\r\n"));
        wire.sync();
        wire
    };
    let publish = |server: &TestServer| {
        let mut publisher = server.broker.publisher();
        for topic in ["chat.user.bob", "push.user.1", "push.all", "open"] {
            let _ = publisher
                .publish_blocking(&Topic::parse(topic).unwrap(), ServerMessage::of("x"))
                .unwrap();
        }
    };
    for (server, mut client) in [(&anonymous, anonymous.client()), (&with_users, login("wide"))] {
        for subject in ["push.>", "push.all", "chat.user.bob", "chat.user.*"] {
            client.send(format!("SUB {subject} 1\r\nSUB {subject} group 1\r\n"));
            let violation =
                format!("-ERR 'Permissions Violation for Subscription to \"{subject}\"");
            client.expect(format!("{violation}'\r\n{violation} using queue \"group\"'\r\n"));
        }
        client.send("PUB push.user.1 1\r\nx\r\n");
        client.expect("-ERR 'Permissions Violation for Publish to \"push.user.1\"'\r\n");
        client.send("SUB > 2\r\nSUB chat.*.bob 3\r\nSUB *.all 4\r\nSUB *.*.* group 5\r\n");
        client.sync();
        publish(server);
        client.expect("MSG open 2 1\r\nx\r\n");
        client.sync();
    }
    let mut named = login("named");
    named.send("SUB push.user.* 1\r\nSUB chat.*.* 2\r\nPUB push.all 1\r\nx\r\n");
    named.sync();
    publish(&with_users);
    named.expect("MSG push.user.1 1 1\r\nx\r\n");
    named.sync();
    named.send("SUB > 3\r\nUNSUB 1\r\n");
    named.sync();
    publish(&with_users);
    let three =
        ["push.user.1", "push.all", "open"].map(|topic| format!("MSG {topic} 3 1\r\nx\r\n"));
    named.expect(three.concat());
    named.sync();
}

/// A queue that a few messages fill.
fn small_queue(settings: &mut NatsSettings) {
    settings.pending_bytes = 64 * 1024;
    settings.parser.payload_bytes = 16 * 1024;
    settings.wait = Duration::from_millis(20);
}

const PAYLOAD_BYTES: usize = 8 * 1024;

fn message(subject: &str, number: u32) -> Vec<u8> {
    let mut bytes = format!("PUB {subject} {PAYLOAD_BYTES}\r\n").into_bytes();
    bytes.extend(format!("{number:0>PAYLOAD_BYTES$}\r\n").into_bytes());
    bytes
}

#[test]
fn a_client_that_does_not_read_is_disconnected_and_costs_the_others_nothing() {
    let server = TestServer::start(small_queue);
    let (mut stuck, mut reader, mut talker) = (server.client(), server.client(), server.client());
    stuck.send("SUB flood 1\r\n");
    stuck.sync();
    reader.send("SUB flood 7\r\n");
    reader.sync();
    let mut number = 0;
    // The kernel takes some megabytes first.
    wait_until("the stuck one is slow", || {
        for _ in 0..10 {
            talker.send(message("flood", number));
            reader.expect(format!("MSG flood 7 {PAYLOAD_BYTES}\r\n{number:0>PAYLOAD_BYTES$}\r\n"));
            number += 1;
        }
        server.broker.stats().deliveries.disconnected > 0
    });
    talker.sync();
    let (_, last_words) = stuck.drain();
    assert!(last_words.ends_with("-ERR 'Slow Consumer'\r\n"), "{last_words}");
    drop(stuck);
    wait_until("it is counted", || server.ended("slow consumer") == 1);
    reader.sync();
    drop((reader, talker));
    server.assert_nothing_remains();
}

/// The publisher is much faster, and the reader's pauses are longer than a publish waits.
#[test]
fn a_client_that_reads_slowly_gets_everything() {
    const MESSAGES: u32 = 2_500;
    // On a busy machine the reader is slower than what is worth waiting for by default.
    let server = TestServer::start_with(1, |settings| {
        small_queue(settings);
        settings.wait = Duration::from_millis(1);
    });
    let (mut slow, mut talker) = (server.client(), server.client());
    slow.send("SUB flood 1\r\n");
    slow.sync();
    let publishing = thread::spawn(move || {
        (0..MESSAGES).for_each(|number| talker.send(message("flood", number)));
        talker.sync();
    });
    for number in 0..MESSAGES {
        if number % 8 == 0 {
            block_on(Timer::after(Duration::from_millis(3)));
        }
        slow.expect(format!("MSG flood 1 {PAYLOAD_BYTES}\r\n{number:0>PAYLOAD_BYTES$}\r\n"));
    }
    publishing.join().unwrap();
    assert!(server.broker.stats().deliveries.waited > 0, "it was never slow");
    assert_eq!(server.broker.stats().deliveries.disconnected, 0);
}

#[test]
fn a_client_that_publishes_to_itself_may_read_later() {
    const MESSAGES: u32 = 2_500;
    let server = TestServer::start(|settings| {
        small_queue(settings);
        settings.wait = Duration::from_millis(1);
    });
    let mut client = server.client();
    client.send("SUB flood 1\r\n");
    client.sync();
    let mut socket = client.socket().try_clone().unwrap();
    let publishing = thread::spawn(move || {
        (0..MESSAGES).for_each(|number| socket.write_all(&message("flood", number)).unwrap());
    });
    wait_until("its queue is full", || server.broker.stats().deliveries.waited > 0);
    // For longer than others would wait.
    block_on(Timer::after(PACE_AHEAD_MAX * 2));
    // A PING is not answered, since the other thread may be in the middle of a message.
    let mut lines = BufReader::new(client.socket()).lines().map(Result::unwrap);
    let mut next_line = || lines.find(|line| line != "PING").unwrap();
    for number in 0..MESSAGES {
        assert_eq!(next_line(), format!("MSG flood 1 {PAYLOAD_BYTES}"));
        assert_eq!(next_line(), format!("{number:0>PAYLOAD_BYTES$}"));
    }
    publishing.join().unwrap();
}

#[test]
fn a_client_that_does_not_read_misses_messages_and_is_told_how_many() {
    let server = TestServer::start(|settings| {
        small_queue(settings);
        settings.slow_consumer = SlowConsumer::Drop;
    });
    let (mut slow, mut watcher, mut talker) = (server.client(), server.client(), server.client());
    slow.send("SUB flood 1\r\n");
    slow.sync();
    watcher.send("SUB fanfare.advisory.missed.* 1\r\n");
    watcher.sync();
    let mut sent = 0;
    wait_until("something is dropped", || {
        for _ in 0..10 {
            talker.send(message("flood", sent));
            sent += 1;
        }
        talker.sync();
        server.broker.stats().deliveries.dropped > 0
    });
    let (mut received, mut missed) = (0, 0);
    // Reads until everything that was sent is accounted for.
    while received + missed < sent {
        let line = slow.line();
        let (size, header_size) = match line.split(' ').collect::<Vec<_>>()[..] {
            ["MSG", "flood", "1", size] => (size.parse::<usize>().unwrap(), 0),
            ["HMSG", "flood", "1", header, size] => {
                (size.parse().unwrap(), header.parse::<usize>().unwrap())
            }
            _ => panic!("{line}"),
        };
        if header_size > 0 {
            slow.expect("NATS/1.0\r\n");
            let header = slow.line();
            missed += header.strip_prefix("Fanfare-Missed: ").unwrap().parse::<u32>().unwrap();
            slow.expect("\r\n");
        }
        // The gap is where the header says: the number is that of all that came or were lost
        // before.
        let number = received + missed;
        slow.expect(format!("{number:0>0$}\r\n", size - header_size));
        received += 1;
        if received + missed == sent && missed == 0 {
            break;
        }
        if received + missed < sent
            && missed == 0
            && server.broker.stats().deliveries.dropped > 0
            && received % 5 == 0
        {
            // There may be nothing more to come behind the gap: something has to, to tell of it.
            talker.send(message("flood", sent));
            sent += 1;
        }
    }
    assert!(missed > 0);
    assert_eq!(u64::from(missed), server.broker.stats().deliveries.dropped);
    let line = watcher.line();
    assert!(line.starts_with("MSG fanfare.advisory.missed."), "{line}");
    assert!(watcher.line().contains("\"missed\":"));
    slow.sync();
    drop((slow, watcher, talker));
    server.assert_nothing_remains();
}

#[test]
fn a_client_that_publishes_to_itself_beyond_its_bound_goes_on() {
    let server = TestServer::start(|settings| {
        small_queue(settings);
        // Nobody would wait so long: a deadlock shows.
        settings.wait = PATIENCE * 2;
    });
    // Two threads write here, so a `PONG` of the one could get into a message of the other.
    // Messages are signs of life enough.
    let mut wire = server.client().without_pongs();
    wire.send("SUB self 1\r\n");
    let mut writer = wire.socket().try_clone().unwrap();
    const MESSAGES: u32 = 2_000;
    let sending = thread::spawn(move || {
        (0..MESSAGES).for_each(|number| writer.write_all(&message("self", number)).unwrap())
    });
    for number in 0..MESSAGES {
        while wire.line() == "PING" {}
        assert_eq!(wire.line().trim_start_matches('0').parse().unwrap_or(0), number);
    }
    sending.join().unwrap();
    let books = server.broker.subscription_stats()[0].books;
    assert_eq!(
        (books.offered, books.received, books.dropped),
        (MESSAGES.into(), MESSAGES.into(), 0)
    );
    drop(wire);
    server.assert_nothing_remains();
}

#[test]
fn answers_keep_their_place_among_messages() {
    let server = TestServer::start(|_| {});
    let mut wire = server.client();
    wire.send(
        "SUB a 1\r\nPUB a 1\r\nx\r\nPING\r\nPUB a 1\r\ny\r\nUNSUB 1\r\nPUB a 1\r\nz\r\nPING\r\n",
    );
    let mut seen = Vec::new();
    while seen.iter().filter(|line| *line == "PONG").count() < 2 {
        seen.push(wire.line());
    }
    let place = |what: &str| seen.iter().position(|line| line == what).unwrap();
    assert!(place("x") < place("PONG") && place("x") < place("y"), "{seen:?}");
    assert!(!seen.contains(&"z".to_owned()) && seen.last().unwrap() == "PONG", "{seen:?}");
}

#[test]
fn a_client_in_pieces_is_a_client() {
    let server = TestServer::start(|_| {});
    let mut wire = server.client();
    wire.send_in_bytes(
        "SUB a.* 1\r\nPUB a.b c 3\r\nx\r\n\r\nHPUB a.b 12 13\r\nNATS/1.0\r\n\r\ny\r\nUNSUB 1\r\n",
    );
    wire.expect("MSG a.b 1 c 3\r\nx\r\n\r\nHMSG a.b 1 12 13\r\nNATS/1.0\r\n\r\ny\r\n");
    wire.sync();
}

#[test]
fn many_subscriptions_that_end_by_themselves_leave_nothing() {
    let server = TestServer::start(|_| {});
    let mut wire = server.client();
    for sid in 0..2_000 {
        wire.send(format!("SUB once 1{sid}\r\nUNSUB 1{sid} 1\r\nPUB once 1\r\nx\r\n"));
        wire.expect(format!("MSG once 1{sid} 1\r\nx\r\n"));
    }
    wire.sync();
    wait_until("all have ended", || server.broker.stats().subscriptions == 0);
    // The session knows it too: there is room for as many as ever.
    wire.send("SUB once 1\r\n");
    wire.sync();
    let connection = &server.diagnostics.front_end("nats").connections(0, 1)[0];
    assert_eq!(connection.subscriptions, 1);
    assert_eq!((connection.messages_in, connection.messages_out), (2_000, 2_000));
}

#[test]
fn a_client_that_does_not_authenticate_is_closed_in_time() {
    let server = TestServer::start(|settings| {
        settings.authentication.token = Some(Secret::new("t"));
        // Long enough for the second client, however busy the machine is.
        settings.authentication_timeout = Duration::from_secs(2);
    });
    Wire::connect(server.address).expect_last_words("-ERR 'Authentication Timeout'\r\n");
    let mut wire = Wire::connect(server.address);
    wire.send("CONNECT {\"verbose\":false,\"auth_token\":\"t\"}\r\n");
    wire.sync();
    wait_until("the time is over", || server.ended("Authentication Timeout") == 1);
    wire.sync();
    drop(wire);
    server.assert_nothing_remains();
}

#[test]
fn many_wrong_passwords_keep_nobody_waiting_and_all_are_answered() {
    const GUESSES: u64 = 20;
    let hash = bcrypt::hash("t", 10).unwrap();
    let server = TestServer::start(|settings| {
        settings.authentication.token = Some(Secret::new(hash));
        settings.authentication_timeout = PATIENCE * 4;
    });
    let [mut asking, mut answering] = [(); 2].map(|()| {
        let mut wire = Wire::connect(server.address);
        wire.send("CONNECT {\"verbose\":false,\"auth_token\":\"t\"}\r\n");
        wire.sync();
        wire
    });
    answering.send("SUB question 1\r\n");
    answering.sync();
    let guessing: Vec<Wire> = (0..GUESSES)
        .map(|_| {
            let mut wire = Wire::connect(server.address);
            wire.send("CONNECT {\"auth_token\":\"guess\"}\r\n");
            wire
        })
        .collect();
    // Comparing takes two cores for far longer than this; all that counts is what comes first.
    asking.send("SUB answer 1\r\n");
    for _ in 0..10 {
        asking.send("PUB question 0\r\n\r\n");
        answering.expect("MSG question 1 0\r\n\r\n");
        answering.send("PUB answer 0\r\n\r\n");
        asking.expect("MSG answer 1 0\r\n\r\n");
    }
    assert!(server.ended("Authorization Violation") < GUESSES);
    for mut wire in guessing {
        wire.expect_last_words("-ERR 'Authorization Violation'\r\n");
    }
    wait_until("all are counted", || server.ended("Authorization Violation") == GUESSES);
}

#[test]
fn a_client_whose_password_is_not_checked_in_time_is_told() {
    let hash = bcrypt::hash("t", 12).unwrap();
    let server = TestServer::start(|settings| {
        settings.authentication.token = Some(Secret::new(hash));
        settings.authentication_timeout = Duration::from_millis(1);
    });
    let mut wire = Wire::unread(server.address);
    wire.send("CONNECT {\"auth_token\":\"t\"}\r\n");
    // On a busy machine the time may be over before INFO is said.
    let first = wire.line();
    let said = if first.starts_with("INFO ") { wire.line() } else { first };
    assert_eq!(said, "-ERR 'Authentication Timeout'");
    wire.expect_closed();
    drop(wire);
    server.assert_nothing_remains();
}

#[test]
fn the_task_list_says_what_a_connection_waits_for() {
    let server = TestServer::start(|_| {});
    let (mut idle, mut one, mut two) = (server.client(), server.client(), server.client());
    one.send("SUB a 1\r\nSUB b 2\r\nUNSUB 2\r\n");
    two.send("SUB a 1\r\nSUB b 2\r\n");
    [&mut idle, &mut one, &mut two].into_iter().for_each(Wire::sync);
    let expected = ["recv", "recv on 1 subscription", "recv on 2 subscriptions"]
        .map(|text| format!("socket read, {text}"));
    wait_until("each says how many subscriptions it waits for", || {
        let tasks = server.tasks.list();
        let mut waits: Vec<_> = tasks
            .iter()
            .filter(|task| task.name == "nats connection")
            .map(|task| task.waits_for.to_string())
            .collect();
        waits.sort();
        waits == expected
    });
}

#[test]
fn a_client_that_answers_no_ping_is_stale() {
    let server = TestServer::start(|settings| {
        settings.ping_interval = Duration::from_millis(30);
        settings.ping_max = 2;
    });
    let mut silent = Wire::connect(server.address).without_pongs();
    silent.expect_last_words("PING\r\nPING\r\n-ERR 'Stale Connection'\r\n");
    wait_until("it is counted", || server.ended("idle time-out") == 1);
    server.assert_nothing_remains();
}

#[test]
fn a_client_that_reads_nothing_is_cut_at_the_deadline() {
    let server = TestServer::start(|settings| settings.write_deadline = Duration::from_millis(50));
    let (mut stuck, mut talker) = (server.client(), server.client());
    stuck.send("SUB flood 1\r\n");
    stuck.sync();
    wait_until("it is stuck", || {
        talker.send(message("flood", 0));
        server.ended("write time-out") == 1
    });
    drop(stuck);
    talker.sync();
    drop(talker);
    server.assert_nothing_remains();
}

#[test]
fn a_lame_duck_says_so_and_closes_one_by_one() {
    let server = TestServer::start(|_| {});
    let times = LameDuck { grace: Duration::from_millis(20), duration: Duration::from_millis(40) };
    let (mut one, mut other) = (server.client(), server.client());
    one.send("SUB last 1\r\n");
    one.sync();
    other.send("PUB last 4\r\nword\r\n");
    thread::scope(|scope| {
        let ending = scope.spawn(|| block_on(server.nats.lame_duck(times)));
        for wire in [&mut one, &mut other] {
            let mut line = wire.line();
            while !line.starts_with("INFO ") {
                line = wire.line();
            }
            assert!(line.contains("\"ldm\":true"), "{line}");
        }
        let (_, rest) = one.drain();
        let (_, nothing) = other.drain();
        assert!(
            (rest.is_empty() || rest.ends_with("word\r\n")) && nothing.is_empty(),
            "{rest} {nothing}"
        );
        ending.join().unwrap();
    });
    assert!(std::net::TcpStream::connect(server.address).is_err(), "nobody new");
    wait_until("all have ended", || server.nats.connections() == 0);
}

#[test]
fn queued_messages_are_flushed_when_the_server_stops() {
    let server = TestServer::start(|_| {});
    let (mut reader, mut talker) = (server.client(), server.client());
    reader.send("SUB flood 1\r\n");
    reader.sync();
    const MESSAGES: u32 = 1_000;
    (0..MESSAGES).for_each(|number| talker.send(message("flood", number)));
    talker.sync();
    let TestServer { broker, nats, .. } = server;
    nats.begin_stop();
    let reading = thread::spawn(move || {
        for number in 0..MESSAGES {
            reader.expect(format!("MSG flood 1 {PAYLOAD_BYTES}\r\n{number:0>PAYLOAD_BYTES$}\r\n"));
        }
        reader.expect_closed();
    });
    let drained = block_on(broker.drain(PATIENCE));
    assert_eq!(drained.given_up(), 0);
    talker.expect_closed();
    drop(talker);
    let report = block_on(nats.ended(Instant::now() + PATIENCE));
    reading.join().unwrap();
    assert_eq!((report.connections_flushed, report.connections_cut), (2, 0));
}

/// A chat server beside it, on the same broker.
fn start_chat(server: &TestServer) -> ChatServer {
    let settings = ChatSettings::default();
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), settings.connections).unwrap();
    let front_end = server.diagnostics.front_end("chat");
    ChatServer::start(listener, &server.broker, &server.tasks, settings, front_end, None)
}

#[test]
fn chat_and_nats_hear_each_other() {
    let server = TestServer::start(|_| {});
    let chat = start_chat(&server);
    let mut person = std::net::TcpStream::connect(chat.local_address()).unwrap();
    person.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut seen = String::new();
    let mut wait_for = |person: &mut std::net::TcpStream, text: &str| {
        let mut buffer = [0; 1024];
        while !seen.contains(text) {
            let bytes = person.read(&mut buffer).unwrap();
            assert!(bytes > 0, "closed after {seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..bytes]));
        }
    };
    wait_for(&mut person, "you are in lobby");
    let mut wire = server.client();
    wire.send("SUB chat.room.lobby 1\r\n");
    wire.sync();
    person.write_all(b"hello from chat\n").unwrap();
    wire.expect("MSG chat.room.lobby 1 15\r\nhello from chat\r\n");
    // A terminal is not to be taken over by what comes from outside.
    wire.send("PUB chat.room.lobby 8\r\nhi\x1b[2J\r\n\r\n");
    wait_for(&mut person, "[lobby] (outside): hi\u{fffd}[2J\n");
}

/// A connection with as many subscriptions to one subject as it may have, which leaves: another
/// front-end, whose people come and go meanwhile, answers as before.
#[test]
fn a_connection_of_very_many_subscriptions_leaves_unnoticed() {
    const UNNOTICED: Duration = Duration::from_millis(250);
    const ATTEMPTS: usize = 5;
    let server = TestServer::start(|_| {});
    let chat = start_chat(&server);
    let mut person = Client::connect(chat.local_address());
    person.wait_for("* you are in lobby");
    let mut stays = server.client();
    stays.send("SUB same 1\r\n");
    stays.sync();
    let before = server.broker.stats().subscriptions;
    // Others may have the processor for that long at times, so a slow answer counts if it is one
    // each time.
    let slowest = (0..ATTEMPTS).map(|_| {
        let mut leaving = server.client();
        for sids in (0..NATS_SUBSCRIPTIONS).collect::<Vec<_>>().chunks(1000) {
            let lines: String = sids.iter().map(|sid| format!("SUB same {sid}\r\n")).collect();
            leaving.send(lines);
        }
        leaving.sync();
        assert_eq!(server.broker.stats().subscriptions, before + NATS_SUBSCRIPTIONS);
        drop(leaving);
        let (left, mut slowest) = (Instant::now(), Duration::ZERO);
        while server.broker.stats().subscriptions > before {
            for (ask, answer) in [("/join other", "* you are in other"), ("/leave", "* you left")] {
                let asked = Instant::now();
                person.say(ask);
                person.wait_for(answer);
                slowest = slowest.max(asked.elapsed());
            }
        }
        (slowest, left.elapsed())
    });
    let mut times = slowest.inspect(|times| println!("slowest answer, and all of it: {times:?}"));
    // Where all takes long, an answer takes a small part of it.
    assert!(
        times.any(|(slowest, all)| slowest <= UNNOTICED.max(all / 4)),
        "each time an answer took longer than {UNNOTICED:?}"
    );
}

#[test]
fn requests_reach_rust_and_its_answers_come_back() {
    let server = TestServer::start(|_| {});
    let mut responder = server.broker.subscribe(&Pattern::parse("help").unwrap()).unwrap();
    let mut wire = server.client();
    wire.send("SUB _INBOX.1 5\r\nPUB help _INBOX.1 2\r\nme\r\nPUB nobody _INBOX.1 0\r\n\r\n");
    let request = responder.recv_blocking().unwrap().message().unwrap();
    assert_eq!(
        (request.payload(), request.reply_to().map(Topic::as_str)),
        (&b"me"[..], Some("_INBOX.1"))
    );
    wire.expect("HMSG _INBOX.1 5 38 38\r\nNATS/1.0 503\r\nNats-Subject: nobody\r\n\r\n\r\n");
    let inbox = request.reply_to().unwrap().clone();
    let _ = server.broker.publisher().publish_blocking(&inbox, ServerMessage::of("here")).unwrap();
    wire.expect("MSG _INBOX.1 5 4\r\nhere\r\n");
    // And the other way round.
    wire.send("SUB ask 6\r\n");
    wire.sync();
    let broker = server.broker.clone();
    let asking = thread::spawn(move || {
        let topic = Topic::parse("ask").unwrap();
        let asked = broker.request(&topic, ServerMessage::of("what"), PATIENCE);
        block_on(asked).unwrap().payload().to_vec()
    });
    let line = wire.line();
    let reply_to = line.strip_prefix("MSG ask 6 ").unwrap().split(' ').next().unwrap().to_owned();
    wire.expect("what\r\n");
    wire.send(format!("PUB {reply_to} 4\r\nthat\r\n"));
    assert_eq!(asking.join().unwrap(), b"that");
}

/// Nobody has to authenticate, so no time to do that may end the handshake.
fn with_tls(is_required: bool) -> TestServer {
    tls_server(|tls| tls.is_required = is_required)
}

fn tls_server(change: impl FnOnce(&mut TlsSettings)) -> TestServer {
    TestServer::start(|settings| {
        settings.authentication_timeout = Duration::ZERO;
        let mut tls = tls_settings();
        change(&mut tls);
        settings.tls = Some(tls);
    })
}

fn tls_settings() -> TlsSettings {
    TlsSettings {
        identity: Identity::read(&tls_certificate(), &tls_key(), None).unwrap(),
        is_required: true,
        handshake_timeout: PATIENCE,
        verifies_clients: false,
        first: HandshakeFirst::Never,
    }
}

pub type TlsClient = rustls::StreamOwned<rustls::ClientConnection, std::net::TcpStream>;

/// Reads the plain INFO, and shakes hands.
fn tls_client(server: &TestServer) -> TlsClient {
    let wire = Wire::connect(server.address);
    tls_over(wire.socket().try_clone().unwrap(), false)
}

pub fn tls_over(socket: std::net::TcpStream, shows_certificate: bool) -> TlsClient {
    use rustls::pki_types::PrivateKeyDer;
    use rustls::pki_types::pem::PemObject;
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(rustls::pki_types::CertificateDer::from_pem_file(tls_certificate()).unwrap())
        .unwrap();
    let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let config = config.with_root_certificates(roots);
    let certificate = rustls::pki_types::CertificateDer::from_pem_file(tls_certificate()).unwrap();
    let config = match shows_certificate {
        true => {
            let key = PrivateKeyDer::from_pem_file(tls_key()).unwrap();
            config.with_client_auth_cert(vec![certificate], key).unwrap()
        }
        false => config.with_no_client_auth(),
    };
    let client =
        rustls::ClientConnection::new(config.into(), "localhost".try_into().unwrap()).unwrap();
    rustls::StreamOwned::new(client, socket)
}

#[test]
fn everything_passes_through_tls() {
    let server = with_tls(true);
    let mut client = tls_client(&server);
    client.write_all(b"CONNECT {\"verbose\":false}\r\nSUB big 1\r\nPING\r\n").unwrap();
    let mut pong = [0; 6];
    client.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"PONG\r\n");
    // More than the kernel takes at once, read late: what is encrypted already must go out by
    // itself.
    let mut talker = tls_client(&server);
    const MESSAGES: u32 = 400;
    let sending = thread::spawn(move || {
        talker.write_all(b"CONNECT {\"verbose\":false}\r\n").unwrap();
        (0..MESSAGES).for_each(|number| talker.write_all(&message("big", number)).unwrap());
        talker
    });
    let mut buffer = vec![0; format!("MSG big 1 {PAYLOAD_BYTES}\r\n").len() + PAYLOAD_BYTES + 2];
    for number in 0..MESSAGES {
        client.read_exact(&mut buffer).unwrap();
        let expected = format!("MSG big 1 {PAYLOAD_BYTES}\r\n{number:0>PAYLOAD_BYTES$}\r\n");
        assert!(buffer == expected.as_bytes(), "message {number}");
    }
    drop((sending.join().unwrap(), client));
    server.assert_nothing_remains();
}

#[test]
fn without_tls_nobody_comes_in_unless_that_is_allowed() {
    let server = with_tls(true);
    let mut wire = Wire::connect(server.address);
    assert_eq!(wire.info["tls_required"], true);
    wire.send("CONNECT {\"verbose\":false}\r\nPING\r\n");
    assert!(!wire.drain().1.contains("PONG"));
    wait_until("it is counted", || server.ended("TLS handshake failed") == 1);
    server.assert_nothing_remains();
    let server = with_tls(false);
    let mut wire = server.client();
    assert_eq!(
        (&wire.info["tls_available"], &wire.info["tls_required"]),
        (&true.into(), &serde_json::Value::Null)
    );
    wire.sync();
    let mut client = tls_client(&server);
    client.write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n").unwrap();
    let mut pong = [0; 6];
    client.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"PONG\r\n");
}

#[test]
fn a_client_that_never_shakes_hands_is_closed_in_time() {
    let server = tls_server(|tls| tls.handshake_timeout = Duration::from_millis(50));
    Wire::connect(server.address).expect_closed();
    server.assert_nothing_remains();
}

#[test]
fn a_slow_handshake_takes_nothing_of_the_time_to_authenticate() {
    let time = Duration::from_secs(4);
    let server = TestServer::start(|settings| {
        settings.authentication.token = Some(Secret::new("t"));
        settings.authentication_timeout = time;
        settings.tls = Some(tls_settings());
    });
    let wire = Wire::connect(server.address);
    // A client that hesitates for longer than it would have to say who it is.
    block_on(Timer::after(time + time / 8));
    let mut client = tls_over(wire.socket().try_clone().unwrap(), false);
    client.write_all(b"CONNECT {\"verbose\":false,\"auth_token\":\"t\"}\r\nPING\r\n").unwrap();
    let mut pong = [0; 6];
    client.read_exact(&mut pong).unwrap();
    assert_eq!(&pong, b"PONG\r\n");
}

#[test]
fn clients_have_to_show_a_certificate_where_that_is_demanded() {
    let server = tls_server(|tls| {
        let authorities = tls_certificate();
        tls.identity = Identity::read(&authorities, &tls_key(), Some(&authorities)).unwrap();
        tls.verifies_clients = true;
    });
    let connect = |shows_certificate| {
        let wire = Wire::connect(server.address);
        assert_eq!(wire.info["tls_verify"], true);
        let mut client = tls_over(wire.socket().try_clone().unwrap(), shows_certificate);
        let mut pong = [0; 6];
        let sent = client.write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n");
        sent.and_then(|()| client.read_exact(&mut pong)).map(|()| pong)
    };
    assert_eq!(&connect(true).unwrap(), b"PONG\r\n");
    assert!(connect(false).is_err());
    wait_until("it is counted", || server.ended("TLS handshake failed") == 1);
}

#[test]
fn the_handshake_may_come_before_info() {
    let soon = Duration::from_millis(50);
    for first in [HandshakeFirst::Always, HandshakeFirst::Within(soon)] {
        let server = tls_server(|tls| tls.first = first);
        // Late or not, such a client says nothing before the handshake.
        let mut client = tls_over(connect(server.address), false);
        if first == HandshakeFirst::Always {
            let mut info = [0; 5];
            client.read_exact(&mut info).unwrap();
            assert_eq!(&info, b"INFO ");
        } else {
            // The others are told first.
            assert_eq!(Wire::connect(server.address).info["tls_required"], true);
            let mut later = tls_client(&server);
            later.write_all(b"CONNECT {\"verbose\":false}\r\nPING\r\n").unwrap();
            let mut pong = [0; 6];
            later.read_exact(&mut pong).unwrap();
            assert_eq!(&pong, b"PONG\r\n");
        }
    }
}

//! Every bound is met with a notice, and none of them costs anybody else anything.

use fanfare_server::chat::ChatSettings;
use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};
use testkit::chat::{Client, TestServer, unhurried};
use testkit::patience::{PATIENCE, wait_until};

fn server(change: impl FnOnce(&mut ChatSettings)) -> TestServer {
    let mut settings = unhurried();
    change(&mut settings);
    TestServer::start(settings)
}

#[test]
fn a_connection_too_many_is_told_and_the_place_is_free_again() {
    let server = server(|settings| settings.connections.total = 2);
    let (first, second) = (server.client(), server.client());
    let mut third = Client::connect(server.address);
    third.expect("! this server is full (2 connections); try again later");
    assert_eq!(third.line(), None);
    drop(first);
    server.wait_for_counts((1, 1, 1));
    let _third = server.client();
    drop(second);
}

#[test]
fn a_connection_too_many_from_one_address_is_told() {
    let server = server(|settings| settings.connections.per_address = 1);
    let _first = server.client();
    Client::connect(server.address)
        .expect("! your address has its 1 connection already; close one first");
}

#[test]
fn no_web_page_says_anything() {
    let server = server(|_| {});
    let mut alice = server.named("alice");
    for path in ["/".to_owned(), format!("/{}", "long".repeat(1_000))] {
        let mut page = server.client();
        page.send(
            format!(
                "POST {path} HTTP/1.1\r\nHost: localhost:7000\r\nOrigin: http://evil.example\r\n\
                 Content-Type: text/plain\r\nContent-Length: 24\r\n\r\n/nick eve\nhello from eve\n"
            )
            .as_bytes(),
        );
        let answer = String::from_utf8(page.rest()).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let mut irc = server.client();
    irc.send(b"NICK eve\r\nUSER eve 0 * :Eve\r\n");
    assert!(String::from_utf8(irc.rest()).unwrap().starts_with("ERROR :"));
    server.wait_for_counts((1, 1, 1));
    let heard = alice.lines_until_pong();
    assert!(heard.iter().all(|line| line.starts_with("* guest")), "{heard:?}");
}

#[test]
fn rooms_and_members_are_bounded() {
    let server = server(|settings| {
        settings.directory.rooms = 3;
        settings.directory.rooms_per_person = 2;
        settings.directory.room_members = 2;
        settings.session.topic_characters = 5;
    });
    let (mut alice, mut bob) = (server.client(), server.client());
    let mut carol = Client::connect(server.address);
    carol.wait_for("! that room is full (2 people)");
    alice.say("/join a");
    alice.wait_for("* you are in a");
    alice.say("/join b");
    alice.wait_for("! you are in 2 rooms");
    bob.say("/join b");
    bob.wait_for("* you are in b");
    assert!(carol.ask("/join c").starts_with("! there are 3 rooms"));
    assert_eq!(bob.ask("/topic 123456"), "! that is too long for a topic; at most 5 characters");
    drop((alice, bob, carol));
    server.assert_nothing_remains();
}

#[test]
fn a_person_who_never_reads_misses_lines_and_delays_nobody() {
    let server = server(|settings| {
        settings.queue_messages = 16;
        settings.writer.buffer_bytes = 4096;
    });
    let (mut talker, mut reader) = (server.named("talker"), server.named("reader"));
    let mut stuck = server.named("stuck");
    reader.wait_for("* guest3 is now stuck");
    // Until the kernel's buffers of both ends, the write buffer and the queue are full.
    let text = "x".repeat(4000);
    let dropped = || server.broker.stats().deliveries.dropped;
    let mut said = 0_u64;
    while dropped() < 100 {
        talker.say(&format!("{said} {text}"));
        // The reader keeps up, so it must get every single line, in order.
        reader.expect(&format!("[lobby] talker: {said} {text}"));
        said += 1;
        assert!(said < 1_000_000, "it takes whatever it is told");
    }
    // It reads again: what it did not get is told, in its place, to the line.
    let (mut received, mut missed, mut next) = (0, 0, 0);
    talker.say("last");
    while received + missed < said + 1 {
        let line = stuck.line().expect("the connection stays");
        if let Some(rest) = line.strip_prefix("[lobby] talker: ") {
            received += 1;
            let number =
                rest.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or(said);
            assert!(number >= next, "line {number} after {next}");
            assert_eq!(number, received + missed - 1, "a gap is told in its place");
            next = number + 1;
        } else if let Some(rest) = line.strip_prefix("* you missed ") {
            missed += rest.split(' ').next().and_then(|count| count.parse::<u64>().ok()).unwrap();
        }
    }
    assert!(missed > 0);
    assert_eq!(received + missed, said + 1);
    drop((talker, reader, stuck));
    server.assert_nothing_remains();
}

#[test]
fn a_client_that_takes_nothing_until_the_deadline_is_closed() {
    let server = server(|settings| settings.writer.deadline = Duration::from_millis(200));
    let mut talker = server.named("talker");
    let stuck = server.named("stuck");
    let text = "x".repeat(4000);
    let end = Instant::now() + PATIENCE;
    let chat = server.chat.as_ref().unwrap();
    // Talk until its buffers are full and it is gone; whoever talks is served all the time.
    while chat.counts().0 > 1 {
        assert!(Instant::now() < end, "still there");
        talker.say(&text);
        talker.lines_until_pong();
    }
    talker.say("/who");
    talker.wait_for("* 1 in lobby: talker");
    drop((talker, stuck));
    server.assert_nothing_remains();
}

#[test]
fn answers_that_nobody_reads_are_bounded_and_hold_up_only_who_asked() {
    let server = server(|settings| settings.writer.deadline = Duration::from_millis(300));
    let mut other = server.named("other");
    let greedy = server.named("greedy");
    greedy.socket().set_write_timeout(Some(Duration::from_millis(100))).unwrap();
    // Ends when the server does not read any more, or has let it go.
    let questions = "/help\n".repeat(1000);
    while greedy.socket().write_all(questions.as_bytes()).is_ok() {}
    other.wait_for("* greedy left");
    drop((other, greedy));
    server.assert_nothing_remains();
}

#[test]
fn a_flood_reaches_who_reads_in_order_and_nobody_else_is_hurt() {
    let server = server(|_| {});
    let mut flooder = server.named("flooder");
    let mut reader = server.named("reader");
    flooder.wait_for("* guest2 is now reader");
    let count = 20_000_u64;
    let writing = {
        let socket = flooder.socket().try_clone().unwrap();
        std::thread::spawn(move || {
            let lines: String = (0..count).map(|number| format!("{number}\n")).collect();
            (&socket).write_all(lines.as_bytes()).unwrap();
        })
    };
    let (mut received, mut missed) = (0, 0);
    while received + missed < count {
        let line = reader.line().unwrap();
        if let Some(number) = line.strip_prefix("[lobby] flooder: ") {
            assert_eq!(number.parse::<u64>().unwrap(), received + missed);
            received += 1;
        } else if let Some(rest) = line.strip_prefix("* you missed ") {
            missed += rest.split(' ').next().unwrap().parse::<u64>().unwrap();
        }
    }
    writing.join().unwrap();
    flooder.lines_until_pong();
}

#[test]
fn a_limit_on_lines_slows_down_and_loses_nothing() {
    let server = server(|settings| settings.lines_per_second = Some(100));
    let (mut hasty, mut reader) = (server.client(), server.client());
    hasty.lines_until_pong();
    let began = Instant::now();
    let lines: String = (0..500).map(|number| format!("{number}\n")).collect();
    hasty.send(lines.as_bytes());
    for number in 0..500 {
        reader.expect(&format!("[lobby] guest1: {number}"));
    }
    // 400 and one pass at once, the others one by one.
    assert!(began.elapsed() >= Duration::from_millis(900), "{:?}", began.elapsed());
    let told = hasty.lines_until_pong();
    let slowed: Vec<_> = told.iter().filter(|line| line.starts_with("* slowed down")).collect();
    assert_eq!(
        slowed,
        ["* slowed down: the server reads 100 lines a second from you; none is lost"]
    );
}

#[test]
fn a_client_that_only_reads_is_pinged_and_stays() {
    let server = server(|settings| settings.writer.idle.interval = Duration::from_millis(20));
    let mut quiet = server.client();
    for _ in 0..10 {
        quiet.expect("* ping");
    }
    server.wait_for_counts((1, 1, 1));
}

#[test]
fn a_client_that_owes_an_answer_is_closed_after_three_pings() {
    let server = server(|settings| {
        settings.writer.idle.interval = Duration::from_millis(50);
        settings.writer.idle.answer_required = true;
    });
    let mut silent = server.client();
    for _ in 0..3 {
        silent.expect("* ping");
    }
    assert_eq!(silent.line(), None);
    server.assert_nothing_remains();
}

#[test]
fn a_silent_connection_holds_nothing_after_it_closes() {
    let server = server(|_| {});
    let silent: Vec<Client> = (0..50).map(|_| server.client()).collect();
    server.wait_for_counts((50, 50, 1));
    for client in &silent {
        client.socket().shutdown(Shutdown::Both).unwrap();
    }
    server.assert_nothing_remains();
}

#[test]
fn history_on_joining_has_no_gap_and_no_repetition_while_others_talk() {
    let server = server(|settings| {
        settings.session.history_lines = 50;
        settings.session.replay_lines = 50;
        settings.wait = PATIENCE;
    });
    let talker = server.named("talker");
    let count = 3_000_u64;
    let talking = {
        let socket = talker.socket().try_clone().unwrap();
        std::thread::spawn(move || {
            for number in 0..count {
                (&socket).write_all(format!("{number}\n").as_bytes()).unwrap();
            }
        })
    };
    // They come while it talks; whatever number comes first, from there on each must come once.
    let mut joiners: Vec<Client> = (0..20).map(|_| server.client()).collect();
    for joiner in &mut joiners {
        let mut expected = None;
        while expected != Some(count) {
            let line = joiner.line().expect("the connection stays");
            let Some(number) = line.strip_prefix("[lobby] talker: ") else { continue };
            let number: u64 = number.parse().unwrap();
            assert_eq!(number, expected.unwrap_or(number));
            expected = Some(number + 1);
        }
    }
    talking.join().unwrap();
    drop((talker, joiners));
    server.assert_nothing_remains();
}

#[test]
fn many_connections_come_and_go_and_nothing_remains() {
    let server = server(|_| {});
    for round in 0..5 {
        let mut clients: Vec<Client> = (0..40).map(|_| server.client()).collect();
        for (number, client) in clients.iter_mut().enumerate() {
            client.send(
                format!("/nick p{number}\n/join room{}\nhi {round}\n", number % 7).as_bytes(),
            );
        }
        for client in clients.iter_mut().step_by(2) {
            client.say("/quit");
            client.wait_for("* goodbye");
        }
    }
    server.assert_nothing_remains();
    wait_until("only the accepting task", || server.tasks.alive() == 1);
}

#[test]
fn dropping_the_server_ends_every_connection() {
    let mut server = server(|_| {});
    let mut clients: Vec<Client> = (0..10).map(|_| server.client()).collect();
    drop(server.chat.take());
    clients.iter_mut().for_each(Client::wait_for_end);
    wait_until("no task", || server.tasks.alive() == 0);
    assert_eq!(server.broker.stats().subscriptions, 0);
}

//! People talking, as with `nc`: what each command does, who reads what, and what mistakes are
//! answered with.

use fanfare::Topic;
use fanfare_server::limits::ROOM_HISTORY_LINES;
use fanfare_server::message::ServerMessage;
use fanfare_server::tasks::BoxedTask;
use futures_lite::future::block_on;
use std::net::Shutdown;
use testkit::chat::{Client, TestServer, unhurried};

fn server() -> TestServer {
    TestServer::start(unhurried())
}

fn two_people_talk(server: &TestServer) {
    let mut alice = Client::connect(server.address);
    alice.expect(
        "* welcome to fanfare; you are guest1. /nick NAME takes a name, /help lists the commands",
    );
    alice.expect("* you are in lobby (1 here)");
    assert_eq!(alice.ask("/nick alice"), "* you are now alice");
    let mut bob = server.client();
    alice.expect("* guest2 joined lobby");
    bob.say("/nick Bob");
    bob.say("hello");
    bob.say("//slash");
    bob.say("/me waves");
    alice.expect("* guest2 is now Bob");
    alice.expect("[lobby] Bob: hello");
    alice.expect("[lobby] Bob: /slash");
    alice.expect("[lobby] * Bob waves");
    bob.expect("* you are now Bob");
    alice.say("hi Bob");
    bob.expect("[lobby] alice: hi Bob");
    bob.say("/quit see you");
    bob.expect("* goodbye");
    assert_eq!(bob.line(), None);
    alice.expect("* Bob left (see you)");
    assert_eq!(alice.lines_until_pong(), Vec::<String>::new());
    drop((alice, bob));
    server.assert_nothing_remains();
}

#[test]
fn two_people_talk_on_async_std() {
    two_people_talk(&server());
}

#[test]
fn two_people_talk_on_tokio() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let handle = runtime.handle().clone();
    two_people_talk(&TestServer::start_on(unhurried(), move |task: BoxedTask| {
        drop(handle.spawn(task))
    }));
}

#[test]
fn rooms_are_apart_and_one_can_be_in_several() {
    let server = server();
    let (mut alice, mut bob, mut eve) =
        (server.named("alice"), server.named("bob"), server.named("eve"));
    for client in [&mut alice, &mut bob] {
        client.wait_for("* guest3 is now eve");
        client.say("/join Rust");
        client.wait_for("* you are in rust");
    }
    alice.wait_for("* bob joined rust");
    alice.say("crabs");
    bob.expect("[rust] alice: crabs");
    eve.say("to the lobby");
    bob.expect("[lobby] eve: to the lobby");
    alice.expect("[lobby] eve: to the lobby");
    alice.say("/join lobby");
    alice.expect("* you now talk in lobby");
    alice.say("back");
    eve.expect("[lobby] alice: back");
    bob.expect("[lobby] alice: back");
    // A rename is told once to somebody who shares two rooms.
    alice.say("/nick alicia");
    bob.expect("* alice is now alicia");
    alice.say("/leave rust");
    bob.expect("* alicia left rust");
    alice.wait_for("* you left rust; you talk in lobby");
    bob.say("alone");
    assert_eq!(alice.lines_until_pong(), Vec::<String>::new());
    eve.expect("* alice is now alicia");
    assert_eq!(eve.lines_until_pong(), Vec::<String>::new());
    drop((alice, bob, eve));
    server.assert_nothing_remains();
}

#[test]
fn lists_topics_history_and_help() {
    let server = server();
    let (mut alice, mut bob) = (server.named("alice"), server.named("bob"));
    alice.wait_for("* guest2 is now bob");
    assert_eq!(alice.ask("/who"), "* 2 in lobby: alice, bob");
    bob.say("/topic what we do");
    bob.expect("* lobby is now about: what we do");
    alice.expect("* bob says lobby is about: what we do");
    assert_eq!(alice.ask("/topic"), "* lobby is about: what we do");
    assert_eq!(alice.ask("/rooms"), "* 1 room:");
    alice.expect("* lobby (2): what we do");
    for text in ["one", "two", "three"] {
        bob.say(text);
        alice.expect(&format!("[lobby] bob: {text}"));
    }
    assert_eq!(bob.ask("/history 2"), "* the last 2 lines of lobby:");
    bob.expect("[lobby] bob: two");
    bob.expect("[lobby] bob: three");
    assert!(bob.ask("/help").starts_with("* a line is said"));
    bob.wait_for("* /quit");
    let mut carol = Client::connect(server.address);
    carol.wait_for("* lobby is about: what we do");
    for text in ["one", "two", "three"] {
        carol.expect(&format!("[lobby] bob: {text}"));
    }
}

#[test]
fn private_messages_reach_one_person_whatever_the_name_became() {
    let server = server();
    let (mut alice, mut bob, mut eve) =
        (server.named("alice"), server.named("bob"), server.named("eve"));
    bob.say("/nick Robert");
    bob.wait_for("* you are now Robert");
    alice.wait_for("* bob is now Robert");
    eve.wait_for("* bob is now Robert");
    assert_eq!(alice.ask("/msg ROBERT psst"), "* Robert was told");
    bob.wait_for("(private) alice: psst");
    assert_eq!(alice.ask("/msg bob psst"), "! nobody here is called bob; /who lists the names");
    assert_eq!(eve.lines_until_pong(), Vec::<String>::new());
}

#[test]
fn a_name_is_unique_visible_and_free_at_once() {
    let server = server();
    let (mut alice, mut other) = (server.named("alice"), server.client());
    assert_eq!(other.ask("/nick ALICE"), "! somebody here is called ALICE; choose another name");
    for name in
        ["al\u{202e}ice", "al\u{200b}ice", "al\u{2066}ice", "al\u{7}ice", "al.ice", "*", "\u{3164}"]
    {
        let answer = other.ask(&format!("/nick {name}"));
        assert!(answer.contains("cannot be in a name"), "{name:?}: {answer}");
    }
    assert!(other.ask(&format!("/nick {}", "x".repeat(25))).starts_with("! that name is too long"));
    // The connection breaks without a goodbye.
    alice.socket().shutdown(Shutdown::Both).unwrap();
    alice.wait_for_end();
    other.expect("* alice left");
    assert_eq!(other.ask("/nick ALICE"), "* you are now ALICE");
}

#[test]
fn wrong_bytes_cost_their_line_alone() {
    let server = server();
    let (mut alice, mut bob) = (server.named("alice"), server.named("bob"));
    alice.wait_for("* guest2 is now bob");
    bob.send(b"ok\nnot \xc3\x28 utf-8\n");
    alice.expect("[lobby] bob: ok");
    bob.expect("! that line is not UTF-8 text (byte 5) and was skipped");
    // Telnet's negotiation, and the escape sequence that clears a screen.
    bob.send(b"\xff\xfb\x18te\xff\xf1xt \x1b[2J\r\n");
    alice.expect("[lobby] bob: text \u{fffd}[2J");
    bob.send(&vec![b'x'; 100_000]);
    bob.expect("! that line is too long and was skipped; at most 4096 bytes fit into one");
    bob.send(b"\nstill here\n");
    alice.expect("[lobby] bob: still here");
    for (mistake, answer) in [
        ("/nosuch", "! there is no /nosuch; /help lists the commands, //nosuch says it"),
        ("/nick", "! write it as /nick NAME"),
        ("/leave nowhere", "! you are not in nowhere"),
    ] {
        assert_eq!(bob.ask(mistake), answer);
    }
    assert_eq!(alice.lines_until_pong(), Vec::<String>::new());
}

#[test]
fn a_script_that_closes_its_writing_side_gets_its_answers_and_its_last_line_through() {
    let server = server();
    let mut alice = server.named("alice");
    let mut script = Client::connect(server.address);
    script.send(b"/nick script\n/ping\nno line end");
    script.socket().shutdown(Shutdown::Write).unwrap();
    script.wait_for("* pong");
    assert_eq!(script.line(), None);
    alice.wait_for("[lobby] script: no line end");
    alice.expect("* script left");
}

#[test]
fn a_message_from_another_front_end_is_shown_as_such() {
    let server = server();
    let mut alice = server.named("alice");
    let lobby = Topic::parse("chat.room.lobby").unwrap();
    let mut publisher = server.broker.publisher();
    let payload = "from elsewhere\n* bob left\n";
    let receipt = block_on(publisher.publish(&lobby, ServerMessage::of(payload))).unwrap();
    assert_eq!(receipt.queued, 1);
    alice.expect("[lobby] (outside): from elsewhere\u{fffd}* bob left");
    // And the other way: whoever subscribes to the topic reads what is said.
    let mut listener = server.broker.subscribe(&"chat.room.*".parse().unwrap()).unwrap();
    alice.say("hello");
    let heard = block_on(listener.recv()).and_then(|delivery| delivery.message()).unwrap();
    assert_eq!((heard.payload(), heard.sender.as_deref()), (&b"hello"[..], Some("alice")));
}

#[test]
fn lines_have_times_for_those_who_ask_also_in_the_history() {
    let server = server();
    let (mut alice, mut bob) = (server.named("alice"), server.named("bob"));
    alice.say("/time iso");
    alice.wait_for("* the times of lines are shown, in UTC");
    bob.say("hello");
    let line = alice.wait_for("[lobby] bob: hello");
    let (time, rest) = line.split_once(' ').unwrap();
    assert_eq!(rest, "[lobby] bob: hello");
    assert!(humantime::parse_rfc3339(time).is_ok(), "{time}");
    alice.say("/history 1");
    assert_eq!(alice.wait_for("bob: hello"), line, "one clock, read once");
    alice.say("/time on");
    alice.say("/history 1");
    alice.wait_for("* the last 1 line of lobby:");
    alice.expect(&format!("* {}", &time[..10]));
    alice.expect(&format!("{} [lobby] bob: hello", &time[11..16]));
    assert_eq!(bob.ask("/history 1"), "* the last 1 line of lobby:");
    bob.expect("[lobby] bob: hello");
}

#[test]
fn a_person_who_was_away_is_told_how_many_lines_there_were() {
    let server = server();
    let (mut alice, mut bob) = (server.named("alice"), server.named("bob"));
    alice.say("one");
    alice.say("two");
    bob.wait_for("alice: two");
    let time = "2026-01-01T00:00:00Z";
    assert_eq!(
        bob.ask(&format!("/since {time}")),
        format!("* 2 lines of lobby since {time}; the last 2:")
    );
    bob.expect("[lobby] alice: one");
    bob.expect("[lobby] alice: two");
    for number in 1..=ROOM_HISTORY_LINES {
        alice.say(&format!("line {number}"));
    }
    alice.lines_until_pong();
    bob.wait_for(&format!("alice: line {}", ROOM_HISTORY_LINES));
    let most = ROOM_HISTORY_LINES;
    let last = format!("* more than {most} lines of lobby since {time}; the last {most}:");
    assert_eq!(bob.ask(&format!("/since {time}")), last);
    bob.lines_until_pong();
    assert_eq!(bob.ask("/since 2100-01-01T00:00:00Z").split(' ').nth(1), Some("0"));
    assert_eq!(bob.ask("/since noon"), "! a time looks like 2026-11-21T17:05:09Z");
}

#[test]
fn an_ignored_person_is_not_shown_and_does_not_notice() {
    let server = server();
    let (mut alice, mut bob) = (server.named("alice"), server.named("bob"));
    alice.ask("/ignore BOB");
    alice.lines_until_pong();
    bob.say("hello");
    assert_eq!(bob.ask("/msg alice psst"), "* alice was told");
    bob.lines_until_pong();
    assert_eq!(alice.lines_until_pong(), Vec::<String>::new());
    assert_eq!(alice.ask("/history"), "* the last 0 lines of lobby:");
    assert_eq!(alice.lines_until_pong(), Vec::<String>::new());
    alice.ask("/unignore bob");
    bob.say("again");
    alice.wait_for("[lobby] bob: again");
}

#[test]
fn a_rooms_history_outlives_its_last_member() {
    let server = server();
    let mut alice = server.named("alice");
    alice.say("for those who come later");
    alice.say("/quit");
    alice.wait_for_end();
    server.assert_nothing_remains();
    server.client().wait_for("[lobby] alice: for those who come later");
}

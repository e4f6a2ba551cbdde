//! What is stored outlives the server, however that ends.

use crate::FANFARE;
use crate::binary::Process;
use std::process::Command;
use testkit::chat::Client;
use testkit::directory::TempDirectory;
use testkit::http::get;
use testkit::patience::wait_until;

fn start(directory: &TempDirectory, more: &[&str]) -> Process {
    let stored = ["--data-dir", directory.text(), "--goodbye-ms", "60000"];
    Process::start(&[&stored[..], more].concat())
}

/// What a person who joins is shown of a room.
fn history(server: &Process, lines: usize) -> Vec<String> {
    let mut client = server.client();
    client.lines_until_pong();
    client.say(&format!("/history {lines}"));
    client.wait_for("* the last ");
    client.lines_until_pong()
}

#[test]
fn a_room_is_as_it_was_when_the_server_begins_again() {
    let directory = TempDirectory::new();
    let mut server = start(&directory, &[]);
    let mut alice = server.client();
    alice.say("/nick alice");
    for number in 0..150 {
        alice.say(&format!("line {number} of many"));
    }
    alice.say("/me waves");
    alice.say("/sync");
    alice.wait_for("* stored");
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.ended().code(), Some(0));

    let server = start(&directory, &[]);
    let mut bob = server.client();
    let replayed = bob.lines_until_pong();
    assert_eq!(replayed.len(), 20);
    assert_eq!(replayed[19], "[lobby] * alice waves");
    // Memory has a hundred of them, the database all.
    let all = history(&server, 1_000);
    assert_eq!(all.len(), 151);
    assert_eq!(all[0], "[lobby] alice: line 0 of many");
    assert_eq!(all[131..], replayed);
    bob.say("/search line 149");
    bob.wait_for("* 1 line of lobby found:");
    bob.wait_for("[lobby] alice: line 149 of many");
    bob.say("/search \u{1f389} *");
    bob.wait_for("! only letters and digits");
}

#[test]
fn without_a_directory_nothing_is_stored() {
    let server = Process::start(&[]);
    let mut client = server.client();
    for asked in ["/sync", "/search word"] {
        assert!(client.ask(asked).starts_with("! nothing is stored here"));
    }
}

#[test]
fn a_directory_that_cannot_be_used_is_one_sentence_and_exit_code_2() {
    let directory = TempDirectory::new();
    let _server = start(&directory, &[]);
    let second = Command::new(FANFARE)
        .args(["--chat", "127.0.0.1:0", "--nats", "off", "--data-dir", directory.text()])
        .output()
        .unwrap();
    let said = String::from_utf8(second.stderr).unwrap();
    assert_eq!(second.status.code(), Some(2), "{said}");
    assert!(said.contains("is in use by another server") && said.lines().count() == 1, "{said}");
}

#[test]
fn lines_that_wait_to_be_stored_are_in_the_metrics() {
    let directory = TempDirectory::new();
    let listeners = ["--chat=127.0.0.1:0", "--admin=127.0.0.1:0", "--nats=off", "--push=off"];
    let mut command = Command::new(FANFARE);
    command.args(listeners).args(["--push-udp=off", "--push-http=off", "--data-dir"]);
    let mut server = Process::of(command.arg(directory.path()));
    let admin = server.listening("admin");
    let mut client = server.client();
    client.say("hello");
    client.say("/sync");
    client.wait_for("* stored");
    let metrics = String::from_utf8(get(admin, "/metrics").body).unwrap();
    for line in ["fanfare_store_lines_total 1", "fanfare_store_queued_lines 0"] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
}

/// Kills the server at random moments while somebody talks. Whatever was acknowledged is there
/// afterwards, in one row without a gap or a repetition. `FANFARE_KILLS=100` kills more often.
#[test]
fn a_history_has_neither_gap_nor_repetition_across_kill_9() {
    let kills = std::env::var("FANFARE_KILLS").map_or(5, |kills| kills.parse().unwrap());
    let directory = TempDirectory::new();
    let mut random = fastrand::Rng::with_seed(kills);
    let mut next = 0;
    for kill in 0..kills {
        let mut server = start(&directory, &[]);
        let mut talker = server.client();
        talker.say("/nick talker");
        let mut acknowledged = next;
        for _ in 0..random.usize(1..6) {
            for _ in 0..random.usize(0..200) {
                talker.say(&next.to_string());
                next += 1;
            }
            talker.say("/sync");
            talker.wait_for("* stored");
            acknowledged = next;
        }
        // These may get lost, all of them or the last.
        for _ in 0..random.usize(0..2_000) {
            talker.say(&next.to_string());
            next += 1;
        }
        if random.bool() {
            talker.say("/sync");
            wait_until("some of it is with the server", || random.u8(..) < 8);
        }
        server.kill();

        let server = start(&directory, &[]);
        let stored = numbers(&history(&server, 1_000));
        let end = stored.last().map_or(0, |last| last + 1);
        let first = stored.first().copied().unwrap_or(0);
        assert_eq!(stored, (first..end).collect::<Vec<u64>>(), "after kill {kill}");
        assert!(first == 0 || stored.len() == 1_000);
        assert!((acknowledged..=next).contains(&end), "{acknowledged}..={next}, but {end}");
        let replayed = numbers(&server.client().lines_until_pong());
        assert_eq!(replayed, stored[stored.len().saturating_sub(20)..]);
        next = end;
    }
}

fn numbers(lines: &[String]) -> Vec<u64> {
    let of_talker = lines.iter().filter_map(|line| line.strip_prefix("[lobby] talker: "));
    of_talker.map(|number| number.parse().unwrap()).collect()
}

/// A crowd talks in several rooms: each reads every line of the others once and in order, while all
/// of it is stored.
#[test]
fn a_crowd_is_stored_line_by_line() {
    let directory = TempDirectory::new();
    let server = start(&directory, &["--chat-queue-messages", "100000", "--chat-wait-ms", "60000"]);
    let lines = 50;
    let mut crowd: Vec<(usize, Client)> = (0..40).map(|number| (number, server.client())).collect();
    for (number, client) in &mut crowd {
        client.say(&format!("/nick p{number}\n/join room{}\n/leave lobby", *number % 4));
        client.wait_for("* you left lobby");
    }
    for line in 0..lines {
        for (_, client) in &mut crowd {
            client.say(&line.to_string());
        }
    }
    for (number, client) in &mut crowd {
        let mut next = [0; 40];
        while (0..40)
            .any(|other| other % 4 == *number % 4 && other != *number && next[other] < lines)
        {
            let line = client.line().expect("the connection stays");
            let prefix = format!("[room{}] p", *number % 4);
            let Some((who, said)) = line.strip_prefix(&prefix).and_then(|it| it.split_once(": "))
            else {
                continue;
            };
            let who: usize = who.parse().unwrap();
            assert_eq!(said.parse::<i32>().unwrap(), next[who], "p{number} reads p{who}");
            next[who] += 1;
        }
    }
    let (_, client) = &mut crowd[0];
    client.say("/history 1000");
    client.wait_for("* the last 500 lines of room0:");
}

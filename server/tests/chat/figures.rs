//! What the chat server tells of its connections: who is there, what they sent, and why they left.

use fanfare_server::diagnostics::JournalEntry;
use std::time::Duration;
use testkit::chat::{TestServer, unhurried};
use testkit::patience::wait_until;

fn entries(server: &TestServer, kind: &str) -> Vec<JournalEntry> {
    let newest = server.diagnostics.journal().newest(0, 1_000);
    newest.into_iter().filter(|entry| entry.kind == kind).collect()
}

#[test]
fn a_connection_counts_what_goes_over_it_and_says_why_it_ended() {
    let server = TestServer::start(unhurried());
    let chat = server.diagnostics.front_end("chat");
    let (mut alice, mut bob) = (server.named("alice"), server.named("bob"));
    alice.say("one");
    alice.say("two");
    bob.wait_for("alice: two");

    let connections = chat.connections(0, 10);
    let [of_alice, of_bob] = &connections[..] else { panic!("{connections:?}") };
    assert_eq!((of_alice.name.as_str(), of_bob.name.as_str()), ("alice", "bob"));
    assert_eq!((of_alice.peer, of_alice.messages_in), (alice.socket().local_addr().unwrap(), 2));
    assert_eq!((of_bob.messages_in, of_bob.subscriptions), (0, 2));
    assert!(of_bob.messages_out >= 2 && of_bob.bytes_out > 0, "{of_bob:?}");
    assert_eq!(of_alice.bytes_in, "/nick alice\none\ntwo\n".len() as u64);

    // First, since a connection that is closed with something unread is a broken one.
    drop(bob);
    wait_until("bob's end is noted", || entries(&server, "ended").len() == 1);
    alice.say("/quit");
    server.wait_for_counts((0, 0, 0));
    wait_until("both are noted", || entries(&server, "ended").len() == 2);
    let figures = chat.figures();
    assert_eq!((figures.accepted, figures.messages_in), (2, 2));
    assert_eq!(figures.ended, [("quit", 1), ("peer closed", 1)].into());
    let reasons: Vec<String> =
        entries(&server, "ended").into_iter().map(|entry| entry.reason).collect();
    assert!(
        reasons.contains(&"quit".to_owned()) && reasons.contains(&"peer closed".to_owned()),
        "{reasons:?}"
    );
    assert_eq!(entries(&server, "connected").iter().map(|entry| entry.times).sum::<u64>(), 2);
}

#[test]
fn refused_clients_are_noted_with_the_reason() {
    let mut settings = unhurried();
    settings.connections.total = 1;
    let server = TestServer::start(settings);
    let _one = server.client();
    let mut two = testkit::chat::Client::connect(server.address);
    two.wait_for("! this server is full");
    let refused = entries(&server, "refused");
    assert_eq!((refused.len(), refused[0].times), (1, 1));
    assert!(refused[0].reason.starts_with("this server is full"), "{refused:?}");
    assert_eq!(server.diagnostics.front_end("chat").figures().refused, 1);
}

#[test]
fn a_client_that_reads_nothing_times_out_as_slow_and_its_losses_are_noted() {
    let mut settings = unhurried();
    // Long enough for more lines than the queue holds, on a busy machine too.
    settings.writer.deadline = Duration::from_secs(2);
    settings.wait = Duration::ZERO;
    settings.queue_messages = 10;
    let server = TestServer::start(settings);
    let chat = server.diagnostics.front_end("chat");
    let stuck = server.named("stuck");
    let mut talker = server.named("talker");
    let line = "x".repeat(4_000);
    let gone = || chat.figures().slow_consumers == 1;
    while !gone() {
        talker.say(&line);
        talker.lines_until_pong();
    }
    wait_until("it is noted", || !entries(&server, "timed out").is_empty());
    let timed_out = entries(&server, "timed out");
    assert_eq!((timed_out.len(), timed_out[0].reason.as_str()), (1, "write time-out"));
    let dropped = entries(&server, "dropped");
    assert!(
        dropped.iter().any(|entry| entry.about == "chat.room.lobby" && entry.messages > 0),
        "{dropped:?}"
    );
    drop(stuck);
}

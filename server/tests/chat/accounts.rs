//! Names that are owned: registered, kept for their owners, and had again.

use crate::FANFARE;
use crate::binary::Process;
use std::io::Write;
use std::process::{Command, Output, Stdio};
use testkit::chat::Client;
use testkit::directory::TempDirectory;
use testkit::tools::program;

fn start(directory: &TempDirectory, more: &[&str]) -> Process {
    Process::start(&[&["--data-dir", directory.text(), "--log", "trace"], more].concat())
}

/// The log of a server that has written all of it.
fn ended_log(server: &mut Process) -> String {
    server.signal(rustix::process::Signal::TERM);
    server.ended();
    server.rest_of_log()
}

/// Registers a name, and gives the recovery code.
fn register(client: &mut Client, name: &str, password: &str) -> String {
    client.say(&format!("/nick {name}"));
    client.wait_for(&format!("* you are now {name}"));
    client.say(&format!("/register {password}"));
    client.wait_for(&format!("* {name} is yours"));
    let told = client.wait_for("* write this down");
    told.split(' ').rev().nth(1).unwrap().to_owned()
}

#[test]
fn a_name_is_its_owners_after_a_restart_too() {
    let directory = TempDirectory::new();
    let mut server = start(&directory, &[]);
    let mut alice = server.client();
    let code = register(&mut alice, "Alice", "correct-horse");
    let mut eve = server.client();
    assert!(eve.ask("/nick alice").starts_with("! Alice is somebody's"));
    let wrong = "! wrong name, password or recovery code";
    assert_eq!(eve.ask("/login alice wrong-horse"), wrong);
    assert_eq!(eve.ask("/login nobody wrong-horse"), wrong);
    assert_eq!(eve.ask(" /login alice x"), "! that has a password in it and was not said");
    server.kill();

    let server = start(&directory, &[]);
    let mut eve = server.client();
    assert!(eve.ask("/nick a1ice").starts_with("! a1ice looks like Alice"));
    let mut alice = server.client();
    alice.say("/login alice correct-horse");
    alice.wait_for("* Alice is yours; you are logged in");
    eve.wait_for("* guest2 is now Alice");
    // From another machine, while the first connection is still there.
    let mut again = server.client();
    again.say("/login ALICE correct-horse");
    again.wait_for("* Alice is yours");
    alice.wait_for("* you logged in elsewhere; goodbye");
    assert_eq!(alice.line(), None);
    eve.wait_for("* Alice left (logged in elsewhere)");
    eve.say("/msg alice which");
    eve.wait_for("* Alice was told");
    again.wait_for("(private) guest1: which");
    again.say("/quit");
    again.wait_for_end();

    let mut forgetful = server.client();
    forgetful.say(&format!("/recover alice {} battery-staple", code.to_uppercase()));
    forgetful.wait_for("* Alice is yours");
    forgetful.say("/quit");
    forgetful.wait_for_end();
    let mut late = server.client();
    late.say("/login alice correct-horse");
    late.wait_for(wrong);
    late.say(&format!("/recover alice {code} another-word"));
    late.wait_for(wrong);
    late.say("/login alice battery-staple");
    late.wait_for("* Alice is yours");
}

#[test]
fn an_account_has_another_password_or_is_gone_and_the_journal_says_so() {
    let directory = TempDirectory::new();
    let mut server = start(&directory, &[]);
    let mut alice = server.client();
    register(&mut alice, "alice", "correct-horse");
    alice.say("/join den");
    alice.wait_for("* you are in den");
    alice.say("/mode slow 1");
    alice.wait_for("* you set slow mode");
    let wrong = "! wrong name, password or recovery code";
    alice.say("/passwd wrong-horse battery-staple");
    alice.wait_for(wrong);
    alice.say("/passwd correct-horse battery-staple");
    alice.wait_for("* your password is changed");
    alice.say("/unregister correct-horse");
    alice.wait_for(wrong);
    alice.say("/unregister battery-staple");
    alice.wait_for("* alice is no longer yours");
    alice.say("/quit");
    alice.wait_for_end();
    let log = ended_log(&mut server);
    for said in ["alice password changed: by its owner", "alice unregistered: by its owner"] {
        assert!(log.contains(said), "{said} in {log}");
    }
    assert!(!log.contains("battery-staple"), "{log}");

    let server = start(&directory, &[]);
    let mut eve = server.client();
    assert_eq!(eve.ask("/rooms"), "* 1 room:", "the den had nobody left to lead it");
    eve.say("/login alice battery-staple");
    eve.wait_for(wrong);
    register(&mut eve, "alice", "another-horse");
}

#[test]
fn a_password_is_nowhere_but_in_its_hash() {
    let directory = TempDirectory::new();
    let mut server = start(&directory, &[]);
    let mut alice = server.client();
    let code = register(&mut alice, "alice", "correct-horse");
    alice.say("/login alice correct-horse");
    alice.say(" /login alice correct-horse");
    alice.say("/sync");
    alice.wait_for("* stored");
    let log = ended_log(&mut server);
    assert!(log.contains("alice registered: was alice"), "{log}");
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("correct-horse") && !text.contains(&code));
    }
    assert!(!log.contains("correct-horse") && !log.contains(&code), "{log}");
}

#[test]
fn a_guesser_is_put_out_and_keeps_nobody_from_talking() {
    let directory = TempDirectory::new();
    let server = start(&directory, &[]);
    let (mut guesser, mut talker, mut reader) = (server.client(), server.client(), server.client());
    guesser.lines_until_pong();
    // All at once: the server may have put it out before it has said them one by one.
    let guesses = (0..10).map(|number| format!("/login alice guess-{number}\n"));
    guesser.send(guesses.collect::<String>().as_bytes());
    talker.say("hello");
    reader.wait_for("[lobby] guest2: hello");
    guesser.wait_for("* too many wrong passwords; goodbye");
    guesser.wait_for_end();
}

#[test]
fn a_closed_server_is_for_those_who_log_in() {
    let directory = TempDirectory::new();
    let server = start(&directory, &["--chat-accounts", "required"]);
    let mut alice = Client::connect(server.address);
    alice.wait_for("! this server is for those who log in");
    assert!(alice.ask("hello?").starts_with("! this server is for those who log in"));
    register(&mut alice, "alice", "correct-horse");
    alice.wait_for("* you are in lobby (1 here)");
    let mut eve = Client::connect(server.address);
    eve.wait_for("! this server is for those who log in");
    alice.say("for us");
    assert_eq!(eve.lines_until_pong(), Vec::<String>::new());
}

#[test]
fn order_in_a_room_outlives_the_server_and_is_in_the_journal() {
    let directory = TempDirectory::new();
    let mut server = start(&directory, &["--chat-operators", "chief, Alice"]);
    let (mut bob, mut eve) = (server.client(), server.client());
    register(&mut bob, "bob", "correct-horse");
    eve.say("/nick eve");
    for client in [&mut bob, &mut eve] {
        client.say("/join garden");
        client.wait_for("* you are in garden");
    }
    bob.say("/topic roses");
    bob.wait_for("* garden is now about: roses");
    bob.say("/ban eve shouting");
    bob.wait_for("* you banned eve from garden (shouting)");
    eve.wait_for("* bob banned eve from garden (shouting)");
    bob.say("not for eve");
    bob.lines_until_pong();
    assert!(!eve.lines_until_pong().iter().any(|line| line.contains("not for eve")));
    bob.say("/mode slow 60");
    bob.wait_for("* you set slow mode");
    let log = ended_log(&mut server);
    assert!(log.contains("eve banned: bob banned eve from garden (shouting)"), "{log}");

    let server = start(&directory, &[]);
    let mut eve = server.client();
    assert_eq!(eve.ask("/rooms"), "* 2 rooms:");
    eve.expect("* garden (0): roses");
    eve.say("/nick eve");
    eve.say("/join garden");
    eve.wait_for("! you are banned from that room");
    let mut mallory = server.client();
    mallory.say("/join garden");
    mallory.wait_for("* garden is about: roses");
    mallory.say("one");
    mallory.say("two");
    mallory.wait_for("! garden is slow; wait");
}

#[test]
fn a_server_with_a_password_and_certificates_is_reached_by_openssl() {
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/tls");
    let [cert, key] = ["cert", "key"].map(|which| format!("--chat-tls-{which}={tls}/{which}.pem"));
    let server = Process::start(&[&cert, &key, "--chat-password", "roses"]);
    let Some(mut openssl) = program("openssl") else { return };
    let address = server.address.to_string();
    let mut client = openssl
        .args(["s_client", "-quiet", "-connect", &address])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    client.stdin.as_mut().unwrap().write_all(b"/password roses\n/quit bye\n").unwrap();
    let output = client.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(said.contains("! this server has a password: /password WORD"), "{said}");
    assert!(said.contains("* you are in lobby (1 here)") && said.contains("* goodbye"), "{said}");
    // The terminal client speaks TLS too, and looks at the certificate.
    let chat = |arguments: &[&str]| {
        let mut client = Command::new(FANFARE)
            .args(["chat", &address])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may be gone already.
        let _ = client.stdin.take().unwrap().write_all(b"/password roses\n/quit bye\n");
        client.wait_with_output().unwrap()
    };
    let talked = chat(&["--tls-ca", &format!("{tls}/cert.pem")]);
    assert!(String::from_utf8_lossy(&talked.stdout).contains("* goodbye"), "{talked:?}");
    let refused = chat(&["--tls-ca", &format!("{tls}/other-cert.pem")]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("cannot connect"), "{refused:?}");
    for plain in [&[][..], &["--nick", "bob"]] {
        let refused = chat(plain);
        let said = String::from_utf8_lossy(&refused.stderr);
        assert!(said.contains("speaks TLS; connect with --tls"), "{refused:?}");
        assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    }
    // Whoever does not speak TLS gets nothing.
    let mut plain = Client::connect(server.address);
    plain.say("/password roses");
    assert!(!String::from_utf8_lossy(&plain.rest()).contains("welcome"));
}

#[test]
fn a_certificate_as_openssl_makes_it_is_trusted_by_its_own_file() {
    let file = |name| format!("{}/../testkit/tls/{name}.pem", env!("CARGO_MANIFEST_DIR"));
    let [cert, key] = ["authority-cert", "authority-key"].map(file);
    let server = Process::start(&["--chat-tls-cert", &cert, "--chat-tls-key", &key]);
    let address = format!("localhost:{}", server.address.port());
    let chat = |address: &str, tls: &[&str]| {
        let mut client = Command::new(FANFARE);
        client.args(["chat", address]).args(tls).stdin(Stdio::piped());
        let mut client = client.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It may be gone already.
        let _ = client.stdin.take().unwrap().write_all(b"/quit\n");
        let Output { stdout, stderr, .. } = client.wait_with_output().unwrap();
        String::from_utf8(stdout).unwrap() + &String::from_utf8(stderr).unwrap()
    };
    let talked = chat(&address, &["--tls-ca", &cert]);
    assert!(talked.contains("* goodbye"), "{talked}");
    for trust in [&["--tls"][..], &["--tls-ca", &file("cert")]] {
        let refused = chat(&address, trust);
        assert!(refused.contains("--tls-ca FILE trusts it"), "{refused}");
    }
    let plain = Process::start(&[]);
    let refused = chat(&format!("localhost:{}", plain.address.port()), &["--tls"]);
    assert!(refused.contains("does not speak TLS there; leave out --tls"), "{refused}");
}

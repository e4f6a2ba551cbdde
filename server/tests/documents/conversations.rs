//! Conversations by `nc`, line by line.

use crate::pages::{CHAT, NATS, PUSH, README, START, block, is_same, missing_line, transcript};
use crate::server::Server;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use testkit::nats::{tls_certificate, tls_key};
use testkit::patience::connect;
use testkit::process::Program;
use testkit::tools::{programs, python_with_clients};

#[test]
fn two_people_talk_as_the_pages_say() {
    let bob = transcript(CHAT, "you are guest2");
    for alice in [transcript(README, "you are guest1"), transcript(CHAT, "you are guest1")] {
        let server = Server::start();
        let before_bob = alice.iter().position(|line| line.contains("guest2")).unwrap();
        let (alone, together) = alice.split_at(before_bob);
        let (together, goodbye) = match together.split_last() {
            Some((last, before)) if last.contains("the server is ending") => (before, Some(last)),
            _ => (together, None),
        };
        let mut at_alice = Talk::with(server.at("chat"), "\n");
        at_alice.go(alone);
        thread::scope(|scope| {
            scope.spawn(|| Talk::with(server.at("chat"), "\n").go(&bob));
            at_alice.go(together);
        });
        if let Some(goodbye) = goodbye {
            server.stop();
            at_alice.go(&[goodbye]);
        }
    }
}

#[test]
fn a_person_owns_a_name_as_the_page_says() {
    let server = Server::start();
    Talk::in_chat(&server).go(&transcript(CHAT, "/register correct-horse"));
}

#[test]
fn lines_have_their_times_as_the_page_says() {
    let server = Server::start();
    let mut bob = Talk::in_chat(&server);
    bob.go(&["< /nick bob", "* you are now bob"]);
    let page = transcript(CHAT, "/time on");
    let (asks, hears) = page.split_at(2);
    let mut alice = Talk::in_chat(&server);
    alice.go(asks);
    let (_, said) = hears[1].split_once("bob: ").unwrap();
    bob.go(&[&format!("< {said}")]);
    let heard = [alice.hears(), alice.hears()].join("\n");
    let missing = missing_line(&heard, &hears.join("\n")).map(str::to_owned);
    assert_eq!(missing, None, "{heard}");
}

#[test]
fn somebody_keeps_order_in_a_room_as_the_page_says() {
    let server = Server::start();
    let [mut alice, mut bob, mut eve] = ["alice", "bob", "eve"].map(|name| {
        let mut talk = Talk::in_chat(&server);
        talk.go(&[&format!("< /nick {name}")]);
        talk.go(&[&format!("< /register {name}-horse")]);
        talk.hears_until(&format!("* {name} is yours; you are logged in"));
        talk
    });
    // What they heard of one another until then.
    alice.hears_until("* guest3 is now eve");
    for line in transcript(CHAT, "/join garden") {
        if let Some(name) = line.strip_prefix("* ").and_then(|it| it.strip_suffix(" joined garden"))
        {
            let newcomer = if name == "bob" { &mut bob } else { &mut eve };
            newcomer.go(&["< /join garden"]);
        }
        alice.go(&[line]);
    }
}

#[test]
fn openssl_is_a_client_of_the_encrypted_chat_as_the_page_says() {
    let Some(_) = programs(["openssl"]) else { return };
    let [cert, key] = [tls_certificate(), tls_key()].map(|file| file.display().to_string());
    let server = Server::with(&["--chat-tls-cert", &cert, "--chat-tls-key", &key]);
    let command = server.put_addresses(block(CHAT, "sh,no_run", "openssl"));
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec {command}")]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut openssl = Program(shell.stderr(Stdio::null()).spawn().unwrap());
    openssl.0.stdin.as_mut().unwrap().write_all(b"/nick alice\n").unwrap();
    let mut said = BufReader::new(openssl.0.stdout.take().unwrap()).lines().map(Result::unwrap);
    for page in ["* welcome...", "* you are in lobby...", "* you are now alice"] {
        let line = said.next().expect("a line");
        assert!(is_same(&line, page), "{line}");
    }
}

#[test]
fn somebody_tries_the_chat_as_the_first_page_says() {
    let server = Server::start();
    Talk::with(server.at("chat"), "\n").go(&transcript(START, "you are guest1"));
}

#[test]
fn people_read_what_the_readme_says_in_python() {
    let Some(mut python) = python_with_clients() else { return };
    let server = Server::start();
    let mut alice = Talk::in_chat(&server);
    let code = server.put_addresses(block(README, "python", "chat.room.lobby"));
    let _python = Program(python.args(["-c", &code]).spawn().unwrap());
    alice.go(&["[lobby] (outside): hello from Python"]);
}

#[test]
fn somebody_speaks_nats_by_hand_as_the_page_says() {
    let server = Server::start();
    for word in ["< SUB chat.room", "< SUB answers"] {
        Talk::with(server.at("nats"), "\r\n").go(&transcript(NATS, word));
    }
}

#[test]
fn a_push_gets_from_one_terminal_to_the_other_as_the_page_says() {
    let Some([_]) = programs(["nc"]) else { return };
    let server = Server::start();
    let listens = transcript(PUSH, "< {\"hello\"");
    let (hello, push) = listens.split_at(2);
    let mut listener = Talk::with(server.at("push"), "\n");
    listener.go(hello);
    let pushes = transcript(PUSH, "ok 1 0");
    let command = PUSH.lines().find_map(|line| line.strip_prefix("$ printf")).unwrap();
    let command = server.put_addresses(&format!("printf{command}"));
    let answer = Command::new("sh").args(["-c", &command]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&answer.stdout).trim_end(), pushes[0]);
    listener.go(push);
}

/// Somebody with `nc`.
struct Talk {
    reader: BufReader<TcpStream>,
    line_end: &'static str,
}

impl Talk {
    fn with(address: &str, line_end: &'static str) -> Self {
        Self { reader: BufReader::new(connect(address.parse().unwrap())), line_end }
    }

    /// Somebody who has been welcomed.
    fn in_chat(server: &Server) -> Self {
        let mut talk = Self::with(server.at("chat"), "\n");
        talk.go(&["* welcome...", "* you are in lobby..."]);
        talk
    }

    /// Says the lines with `<`, each after the answers before it, and hears the others.
    #[track_caller]
    fn go(&mut self, lines: &[&str]) {
        for page in lines {
            if let Some(said) = page.strip_prefix("< ") {
                let said = format!("{said}{}", self.line_end);
                self.reader.get_mut().write_all(said.as_bytes()).unwrap();
                continue;
            }
            let heard = self.hears();
            assert!(is_same(&heard, page), "heard: {heard}\nthe page: {page}");
        }
    }

    /// The next line.
    #[track_caller]
    fn hears(&mut self) -> String {
        let mut heard = String::new();
        assert!(self.reader.read_line(&mut heard).unwrap() > 0, "the connection has ended");
        heard.trim_end().to_owned()
    }

    #[track_caller]
    fn hears_until(&mut self, line: &str) {
        while self.hears() != line {}
    }
}

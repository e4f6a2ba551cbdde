//! `fanfare pub`, `sub`, `request` and `reply` against both servers.

use crate::{FANFARE, start};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use testkit::directory::TempDirectory;
use testkit::nats::server::{Kind, Server};
use testkit::nats::settings::{Settings, User};
use testkit::nats::tls_certificate;
use testkit::patience::PATIENCE;
use testkit::process::Program;

fn command(server: &Server, arguments: &[&str]) -> Command {
    let mut command = Command::new(FANFARE);
    command.args(arguments).arg("--server").arg(server.address.to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(server: &Server, arguments: &[&str]) -> Output {
    command(server, arguments).output().unwrap()
}

/// A command that has subscribed.
fn subscribed(server: &Server, arguments: &[&str]) -> Program {
    let mut child: Child = command(server, arguments).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("Subscribed to "), "{line}");
    Program(child)
}

/// All that it writes until it ends by itself.
fn written(program: &mut Program) -> String {
    let mut written = String::new();
    program.0.stdout.take().unwrap().read_to_string(&mut written).unwrap();
    assert!(program.0.wait().unwrap().success(), "{written}");
    written
}

fn published_messages_are_shown(server: Server) {
    let mut text = subscribed(&server, &["sub", "a.*", "--count", "3"]);
    let mut json = subscribed(&server, &["sub", "a.>", "--count", "3", "--json", "--times"]);
    let mut raw = subscribed(&server, &["sub", "a.b", "--count", "2", "--raw"]);
    let numbered = ["pub", "a.b", "n={{Count}}", "--count", "2", "--rate", "1000"];
    let published = run(&server, &[&numbered[..], &["-H", "Kind: test"]].concat());
    let said = String::from_utf8(published.stderr).unwrap();
    assert!(said.contains("Published 2 messages, 6 bytes, to \"a.b\""), "{said}");
    let mut piped = command(&server, &["pub", "a.c", "--reply", "r"]);
    let mut piped = piped.stdin(Stdio::piped()).spawn().unwrap();
    piped.stdin.take().unwrap().write_all(b"\xff").unwrap();
    assert!(piped.wait().unwrap().success());
    let text = written(&mut text);
    let first = "[#1] Received on \"a.b\"\nKind: test\n\nn=1\n\n";
    assert!(text.starts_with(first), "{text}");
    assert!(text.contains("[#3] Received on \"a.c\" with reply \"r\"\n"), "{text}");
    assert_eq!(written(&mut raw), "n=1\nn=2\n");
    let json = written(&mut json);
    let objects: Vec<Value> =
        json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(
        (&objects[1]["payload"], &objects[1]["headers"]["Kind"]),
        (&"n=2".into(), &"test".into())
    );
    assert_eq!(
        (&objects[2]["payload_base64"], &objects[2]["reply"]),
        (&"/w==".into(), &"r".into())
    );
    assert!(objects[0]["time"].as_str().unwrap().ends_with('Z'), "{json}");
}

fn a_request_is_answered_or_the_reason_said(server: Server) {
    let mut echo = subscribed(&server, &["reply", "ask", "--count", "2"]);
    let answered = run(&server, &["request", "ask", "hello", "--raw"]);
    assert_eq!(String::from_utf8(answered.stdout).unwrap(), "hello\n");
    let answered = run(&server, &["request", "ask", "again", "--json"]);
    let answer: Value = serde_json::from_slice(&answered.stdout).unwrap();
    assert_eq!(answer["payload"], "again");
    assert!(written(&mut echo).contains("[#2] Received on \"ask\" with reply \"_INBOX."));
    let nobody = run(&server, &["request", "nobody", "hello"]);
    let said = String::from_utf8(nobody.stderr).unwrap();
    assert_eq!((nobody.status.code(), said.contains("nobody answers")), (Some(1), true), "{said}");
    let _silent = subscribed(&server, &["sub", "silent"]);
    let late = run(&server, &["request", "silent", "hello", "--timeout-ms", "50"]);
    let said = String::from_utf8(late.stderr).unwrap();
    assert!(said.contains("0 of 1 answers came within 50 ms"), "{said}");
    let wrong = run(&server, &["pub", "a b", "x"]);
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(said.contains("is not a subject"), "{said}");
}

fn a_queue_group_shares_the_messages(server: Server) {
    let mut one = subscribed(&server, &["sub", "q", "--queue", "g", "--raw"]);
    let mut other = subscribed(&server, &["sub", "q", "--queue", "g", "--raw"]);
    let mut all = subscribed(&server, &["sub", "q", "--count", "100", "--raw"]);
    assert!(run(&server, &["pub", "q", "{{Count}}", "--count", "100"]).status.success());
    let expected: Vec<String> = (1..=100).map(|number: u32| number.to_string()).collect();
    let together = written(&mut all);
    assert_eq!(together.lines().collect::<Vec<_>>(), expected);
    let (number, numbers) = mpsc::sync_channel(1_000);
    for member in [&mut one, &mut other] {
        let (lines, number) =
            (BufReader::new(member.0.stdout.take().unwrap()).lines(), number.clone());
        thread::spawn(move || {
            lines.for_each(|line| number.send(line.unwrap().parse::<u32>().unwrap()).unwrap());
        });
    }
    drop(number);
    let next = || numbers.recv_timeout(PATIENCE).unwrap();
    let mut shares: Vec<u32> = std::iter::repeat_with(next).take(100).collect();
    // They end with the server, and nothing comes twice.
    drop(server);
    shares.extend(numbers);
    for member in [&mut one, &mut other] {
        assert_eq!(member.0.wait().unwrap().code(), Some(1));
    }
    shares.sort_unstable();
    assert_eq!(shares, (1..=100).collect::<Vec<_>>());
}

#[test]
fn messages_come_and_go_by_either_server() {
    for kind in Kind::ALL {
        let settings = Settings { newest: true, ..Settings::default() };
        for test in [
            published_messages_are_shown,
            a_request_is_answered_or_the_reason_said,
            a_queue_group_shares_the_messages,
        ] {
            start(kind, &settings).into_iter().for_each(test);
        }
    }
}

/// A key of a user, and its seed.
const KEY: &str = "UDVEU3DD4KOFECV66VIHWEZOYX4ZKR3WV27L464SIIPOU2IUI3JCYSJF";
const SEED: &str = "SUAAOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOBYHA4DQOBZ5FE";

fn they_get_in_by_tls_with_what_they_have(server: Server) {
    let folder = TempDirectory::new();
    let seed = folder.path().join("user.nk");
    std::fs::write(&seed, format!("{SEED}\n")).unwrap();
    let (seed, ca) = (seed.to_str().unwrap(), tls_certificate());
    let (trusting, key) = (["--tls-ca", ca.to_str().unwrap()], ["--nkey", seed]);
    let said = |flags: &[&str]| {
        let output = run(&server, &[&["pub", "a", "x"], flags].concat());
        String::from_utf8(output.stderr).unwrap()
    };
    for login in [&key[..], &["--user", "alice", "--password", "se\"cret"]] {
        let said = said(&[&trusting, login].concat());
        assert!(said.contains("Published 1 message,"), "{login:?}: {said}");
    }
    let mut heard =
        subscribed(&server, &[&["sub", "b", "--count", "1"], &trusting[..], &key].concat());
    let (address, payload) =
        (format!("tls://alice:se%22cret@{}", server.address), "y".repeat(99_999));
    let by_address = Command::new(FANFARE)
        .args(["pub", "b", &payload, "--server", &address, trusting[0], trusting[1]])
        .output();
    assert!(by_address.unwrap().status.success());
    assert!(written(&mut heard).contains(&payload));
    for (flags, problem) in [
        (&trusting[..], "Authorization Violation"),
        // The server asks for TLS, and the system does not know who signed its certificate.
        (&key, "no TLS with "),
        (&["--nkey", trusting[1]], "--nkey "),
        (&["--tls-ca", seed], "--tls-ca "),
    ] {
        assert!(said(flags).contains(problem), "{flags:?}: {}", said(flags));
    }
}

#[test]
fn tls_and_logins_are_those_of_every_nats_server() {
    let users = vec![User::with_nkey(KEY), User::new("alice", "se\"cret")];
    let settings = Settings { tls: true, users, ..Settings::default() };
    for kind in Kind::ALL {
        start(kind, &settings).into_iter().for_each(they_get_in_by_tls_with_what_they_have);
    }
}

#[test]
fn a_server_without_tls_is_not_spoken_to_in_plain_where_tls_is_wanted() {
    for kind in Kind::ALL {
        let Some(server) = start(kind, &Settings::default()) else { continue };
        let said = String::from_utf8(run(&server, &["pub", "a", "x", "--tls"]).stderr).unwrap();
        assert!(said.contains("offers no TLS"), "{said}");
        let first = run(&server, &["pub", "a", "x", "--tls", "--tls-first"]).stderr;
        let said = String::from_utf8(first).unwrap();
        assert!(said.contains("does not speak TLS there; leave out --tls"), "{said}");
    }
}

//! What the gateway keeps in the database outlives the server, however that ends.

use crate::FANFARE;
use fanfare_server::codec::datagram::signed::sign;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::SystemTime;
use testkit::directory::TempDirectory;
use testkit::http::{Http, page};
use testkit::patience::wait_until;
use testkit::process::Program;
use testkit::push::{Client, Sender};

const SECRET: &str = "0123456789abcdef";

/// Keeps everything that a test pushes.
const ALL: [&str; 2] = ["--push-replay=1000", "--push-ttl-s=3600"];

/// The real server, so that it can be killed.
struct Gateway {
    process: Program,
    address: SocketAddr,
    udp: SocketAddr,
    http: SocketAddr,
}

impl Gateway {
    fn start(directory: &TempDirectory, more: &[&str]) -> Self {
        let mut command = Command::new(FANFARE);
        command.args(["--chat=off", "--nats=off", "--admin=off", "--push=127.0.0.1:0"]);
        command.args(["--push-udp=127.0.0.1:0", "--push-http=127.0.0.1:0"]);
        command.args(["--goodbye-ms=60000", "--push-timeout-ms=60000"]);
        let command = command.arg("--data-dir").arg(directory.path()).args(more);
        let mut process = Program(command.stdout(Stdio::piped()).spawn().unwrap());
        let mut output = BufReader::new(process.0.stdout.take().unwrap());
        let mut address = || {
            let mut line = String::new();
            output.read_line(&mut line).unwrap();
            line.trim().rsplit(' ').next().unwrap().parse().unwrap()
        };
        Self { process, address: address(), udp: address(), http: address() }
    }

    /// Ends it as a loss of power would, but for the disk.
    fn kill(mut self) {
        self.process.0.kill().unwrap();
        self.process.0.wait().unwrap();
    }

    fn end(mut self) {
        let id = i32::try_from(self.process.0.id()).unwrap();
        let id = rustix::process::Pid::from_raw(id).unwrap();
        rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
        assert!(self.process.0.wait().unwrap().success());
    }

    fn figures(&self) -> Value {
        page(self.http, "/figures")
    }

    /// What is kept for a user, after the number of the last push seen: numbers and texts.
    fn kept(&self, user: &str, seen: u64) -> Vec<(u64, String)> {
        let mut client = Client::connect(self.address);
        client.say(json!({"hello": {"user": user, "seen": seen}}));
        assert!(client.object()["hello"].is_object());
        let mut kept = Vec::new();
        // Answers come before what is kept, so a push says where that ends. Perhaps it reaches an
        // earlier client too, whose end the server has not seen yet.
        let receipt = self.push(&format!("/push/user:{user}?ttl=0"), "end");
        assert!(receipt["reached"].as_u64().unwrap() > 0, "{receipt}");
        loop {
            let object = client.object();
            let (number, text) = (&object["push"]["n"], &object["push"]["text"]);
            if text == "end" {
                return kept;
            }
            kept.push((number.as_u64().unwrap(), text.as_str().unwrap().to_owned()));
        }
    }

    fn push(&self, path: &str, body: &str) -> Value {
        let answer = Http::connect(self.http).post(path, body);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }
}

/// Pushes to a user, as one request, numbered from `first` on.
fn batch(user: &str, first: usize, count: usize) -> String {
    let push = |number| json!({"to": format!("user:{user}"), "text": format!("{number}")});
    json!((first..first + count).map(push).collect::<Vec<_>>()).to_string()
}

fn now_s() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

/// Kills the server at random moments while somebody pushes. Whatever was acknowledged is there
/// afterwards, once and in order. `FANFARE_KILLS=100` kills more often.
#[test]
fn kept_pushes_have_neither_gap_nor_repetition_across_kill_9() {
    let kills = std::env::var("FANFARE_KILLS").map_or(5, |kills| kills.parse().unwrap());
    let directory = TempDirectory::new();
    let mut random = fastrand::Rng::with_seed(kills);
    let mut last_number = 0;
    let mut server = Gateway::start(&directory, &ALL);
    for kill in 0..kills {
        let user = format!("of-{kill}");
        let mut sender = Http::connect(server.http);
        let (mut next, mut acknowledged) = (0, 0);
        for _ in 0..random.usize(0..5) {
            let count = random.usize(1..60);
            let answer = sender.post("/push", &batch(&user, next, count));
            let receipts: Vec<Value> = serde_json::from_slice(&answer.body).unwrap();
            assert!(receipts.iter().all(|receipt| receipt["unstored"].is_null()), "{receipts:?}");
            next += count;
            acknowledged = next;
        }
        // These may get lost, all of them or the last.
        for _ in 0..random.usize(0..5) {
            let (count, body) = (100, batch(&user, next, 100));
            let length = body.len();
            sender.send(format!(
                "POST /push HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
            ));
            next += count;
        }
        wait_until("some of it is with the server", || random.u8(..) < 8);
        server.kill();

        server = Gateway::start(&directory, &ALL);
        let kept = server.kept(&user, 0);
        let texts: Vec<usize> = kept.iter().map(|(_, text)| text.parse().unwrap()).collect();
        assert_eq!(texts, (0..texts.len()).collect::<Vec<_>>(), "after kill {kill}");
        let most = acknowledged..=next;
        assert!(most.contains(&texts.len()), "{most:?}, but {}", texts.len());
        for (number, _) in &kept {
            assert!(*number > last_number, "numbers go on");
            last_number = *number;
        }
        assert_eq!(server.kept(&user, last_number), []);
        let pushed = server.push(&format!("/push/user:{user}?ttl=0"), "later");
        assert!(pushed["n"].as_u64().unwrap() > last_number);
    }
}

#[test]
fn a_client_back_after_a_restart_is_told_that_pushes_are_no_longer_kept() {
    let directory = TempDirectory::new();
    let settings = ["--push-replay=2", "--push-ttl-s=3600"];
    let server = Gateway::start(&directory, &settings);
    let pushed: Vec<u64> = ["1", "1", "2", "1", "1"]
        .map(|user| server.push(&format!("/push/user:{user}"), "x")["n"].as_u64().unwrap())
        .into();
    server.kill();
    let server = Gateway::start(&directory, &settings);
    let first = |user: &str, seen: u64| {
        let mut client = Client::connect(server.address);
        client.say(json!({"hello": {"user": user, "seen": seen}}));
        assert!(client.object()["hello"].is_object());
        client.object()
    };
    assert_eq!(first("1", pushed[0]), json!({"missed": 0}), "the second, and nobody counted");
    assert_eq!(first("1", pushed[1])["push"]["n"], pushed[3]);
    assert_eq!(first("2", pushed[0])["push"]["n"], pushed[2]);
}

#[test]
fn a_signed_datagram_is_taken_once_whatever_happens_to_the_server() {
    let directory = TempDirectory::new();
    let keys = directory.path().join("keys.toml");
    std::fs::write(&keys, format!("[[key]]\nid = \"shop\"\nsecret = \"{SECRET}\"\n")).unwrap();
    let keys = format!("--push-udp-keys-file={}", keys.display());
    // As long as a test may take.
    let arguments = [keys.as_str(), "--push-signature-age-s=3600"];
    let signed =
        |nonce: &str| sign("shop", SECRET.as_bytes(), now_s(), nonce, b"user:1;reply hello");

    let server = Gateway::start(&directory, &arguments);
    let started_s = now_s();
    wait_until("the second after the start", || now_s() > started_s);
    let first = signed("nonce--1");
    let sender = Sender::to(server.udp);
    assert_eq!(sender.ask(&first), "ok 0 0");
    // It is remembered by now, as what is asked for later is answered after that.
    assert_eq!(sender.ask("user:1;ttl=60;reply hello"), "ok 0 0");
    server.kill();

    let server = Gateway::start(&directory, &arguments);
    let started_s = now_s();
    let sender = Sender::to(server.udp);
    sender.send(&first);
    assert_eq!(sender.ask("user:1;reply later"), "ok 0 0");
    assert_eq!(server.figures()["replayed"], 1);
    wait_until("the second after the start", || now_s() > started_s);
    let (second, third) = (signed("nonce--2"), signed("nonce--3"));
    assert_eq!(sender.ask(&second), "ok 0 0");
    server.end();

    // A server that ended in good order has left all that it took: what was sent before the start
    // is taken if that one did not.
    let server = Gateway::start(&directory, &arguments);
    let sender = Sender::to(server.udp);
    sender.send(&first);
    sender.send(&second);
    assert_eq!(sender.ask(&third), "ok 0 0");
    assert_eq!(server.figures()["replayed"], 2);
    server.kill();

    // One that was killed may have taken anything.
    let server = Gateway::start(&directory, &arguments);
    let fresh = signed("nonce--4");
    let sender = Sender::to(server.udp);
    sender.send(&third);
    sender.send(&fresh[..fresh.len() - 1]);
    assert_eq!(sender.ask("user:1;reply later"), "ok 0 0");
    let figures = server.figures();
    assert_eq!(figures["replayed"].as_u64().unwrap() + figures["stale"].as_u64().unwrap(), 1);
}

#[test]
fn a_full_disk_is_told_and_pushes_arrive_all_the_same() {
    let directory = TempDirectory::new();
    let server = Gateway::start(&directory, &["--data-bytes=1048576", ALL[0]]);
    let mut client = Client::connect(server.address);
    client.say(json!({"hello": {"user": "1"}}));
    assert!(client.object()["hello"].is_object());
    client.settle();
    let text = "x".repeat(60_000);
    let pushed = (0..100).position(|_| {
        let receipt = server.push("/push/user:1?ttl=3600", &text);
        assert_eq!((&receipt["reached"], client.text().len()), (&json!(1), 60_000));
        receipt["unstored"] == true
    });
    assert!(pushed.is_some_and(|pushed| pushed > 3), "{pushed:?}");
    let datagram = format!("user:1;id=a;ttl=3600;reply {}", "x".repeat(8_000));
    wait_until("an answer tells that nothing more is stored", || {
        let answer = Sender::to(server.udp).ask(&datagram);
        assert_eq!(client.text().len(), 8_000);
        assert!(["ok 1 0 a", "unstored 1 0 a"].contains(&answer.as_str()), "{answer}");
        answer == "unstored 1 0 a"
    });
    assert!(server.figures()["unstored"].as_u64().unwrap() > 0);
    server.kill();
    let server = Gateway::start(&directory, &["--data-bytes=1048576", ALL[0]]);
    assert!(server.kept("1", 0).len() > 3);
}

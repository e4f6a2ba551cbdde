//! The memory budget: with stuck readers and unfinished messages on all listeners the server stays
//! within it, and loses nothing for a client that reads.

use crate::FANFARE;
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use testkit::http::{get, page};
use testkit::nats::wire::Wire;
use testkit::patience::{connect, wait_until};
use testkit::process::Program;

const BUDGET_MIB: u64 = 64;

/// What the process takes in RAM beyond the budget: its code, and what the allocator has not given
/// back yet.
const BESIDE_MIB: u64 = 96;

const LISTENERS: [&str; 6] = ["chat", "nats", "push", "push-udp", "push-http", "admin"];

/// The server with all listeners.
struct Server {
    program: Program,
    listeners: HashMap<String, SocketAddr>,
    /// Kept open.
    _output: BufReader<ChildStdout>,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new(FANFARE);
        command.args(LISTENERS.map(|listener| format!("--{listener}=127.0.0.1:0")));
        command.args(["--log", "off", "--chat-lines-per-second", "0"]);
        command.args(["--memory", &format!("{BUDGET_MIB}MiB")]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let program = Program(child);
        let mut listeners = HashMap::new();
        while listeners.len() < LISTENERS.len() {
            let mut line = String::new();
            assert!(output.read_line(&mut line).unwrap() > 0, "it ended; it said {listeners:?}");
            let Some(listening) = line.trim().strip_prefix("listening ") else { continue };
            let (listener, address) = listening.split_once(' ').unwrap();
            let address = address.trim_start_matches("http://").trim_end_matches('/');
            listeners.insert(listener.to_owned(), address.parse().unwrap());
        }
        Self { program, listeners, _output: output }
    }

    fn varz(&self, figure: &str) -> u64 {
        page(self.listeners["admin"], "/varz")[figure].as_u64().unwrap()
    }

    /// The most that the process ever had in RAM.
    fn peak_mib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.program.0.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
    }
}

/// Less what an idle server takes of it.
#[test]
fn without_a_setting_the_budget_is_half_of_what_the_limit_on_addresses_leaves() {
    let limited = format!("ulimit -v {}; exec \"$0\" --print-bounds", 2 << 20);
    let output = Command::new("sh").args(["-c", &limited, FANFARE]).output().unwrap();
    let told = String::from_utf8(output.stdout).unwrap();
    let budget = told.lines().find(|line| line.starts_with("budget ")).unwrap();
    assert!(budget.contains(" 768.00 MiB  --memory"), "{told}");
}

#[test]
fn a_processor_profile_keeps_little_and_the_next_one_nothing() {
    let server = Server::start();
    let profile = || {
        let made = get(server.listeners["admin"], "/debug/pprof/profile?seconds=1");
        assert_eq!(made.status, 200);
        server.varz("mem_allocated") >> 20
    };
    let before_mib = server.varz("mem_allocated") >> 20;
    let (once_mib, twice_mib) = (profile(), profile());
    // The sampler's table of stacks: its crate makes a new one when a profile ends.
    assert!(once_mib < before_mib + 32, "{before_mib} MiB before, {once_mib} after");
    assert!(twice_mib < once_mib + 4, "{once_mib} MiB after one, {twice_mib} after two");
}

/// A connection on which somebody says something and reads nothing. The server may end it.
fn stuck(address: SocketAddr, says: &[u8]) -> TcpStream {
    let mut socket = connect(address);
    let _ = socket.write_all(says);
    socket
}

/// Subscribers that do not read, each with more to come than the whole budget allows.
fn flood_nats(address: SocketAddr) {
    let message = [b"PUB flood 65536\r\n", &[b'x'; 65_536][..], b"\r\n"].concat();
    for _ in 0..6 {
        let _subscriber = stuck(address, b"CONNECT {\"verbose\":false}\r\nSUB flood 1\r\n");
        let mut publisher = connect(address);
        let _ = publisher.write_all(b"CONNECT {\"verbose\":false}\r\n");
        let written = (0..800).try_for_each(|_| publisher.write_all(&message));
        assert!(written.is_ok(), "the publisher holds nothing");
        // The rest has arrived once this is answered.
        publisher.write_all(b"PING\r\n").unwrap();
        let mut lines = BufReader::new(publisher).lines();
        assert!(lines.any(|line| line.unwrap() == "PONG"));
    }
}

/// Messages that are never finished.
fn gather(listeners: &HashMap<String, SocketAddr>) -> Vec<TcpStream> {
    let body = vec![b'y'; 1_000_000];
    let message = [b"PUB a 1048576\r\n", &body[..]].concat();
    let head = b"POST /push HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1048576\r\n\r\n";
    let request = [&head[..], &body].concat();
    let of_nats = (0..60).map(|_| stuck(listeners["nats"], &message));
    of_nats.chain((0..60).map(|_| stuck(listeners["push-http"], &request))).collect()
}

/// People and clients of pushes who do not read.
fn ignore(listeners: &HashMap<String, SocketAddr>) -> Vec<TcpStream> {
    let mut ignoring: Vec<_> = (0..40)
        .map(|user| {
            stuck(listeners["push"], format!("{{\"hello\":{{\"user\":\"u{user}\"}}}}\n").as_bytes())
        })
        .collect();
    let pushes = UdpSocket::bind("127.0.0.1:0").unwrap();
    for number in 0..4_000 {
        let push = format!("user:u{} {}", number % 40, "p".repeat(7_000));
        pushes.send_to(push.as_bytes(), listeners["push-udp"]).unwrap();
    }
    ignoring.extend((0..20).map(|_| stuck(listeners["chat"], b"/join a\n/join b\n")));
    let lines = format!("{}\n", "w".repeat(4_000)).repeat(500);
    ignoring.push(stuck(listeners["chat"], lines.as_bytes()));
    ignoring
}

/// Publishes one number after the other, and expects each.
fn read_well(address: SocketAddr, is_over: &AtomicBool) -> u64 {
    let mut client = Wire::connect(address);
    client.say(r#"CONNECT {"verbose":false}"#);
    client.say("SUB good 1");
    let mut number = 0_u64;
    while !is_over.load(Ordering::Relaxed) {
        let text = format!("{number:08}");
        client.send(format!("PUB good 8\r\n{text}\r\n"));
        client.expect(format!("MSG good 1 8\r\n{text}\r\n"));
        number += 1;
    }
    number
}

#[test]
fn stuck_readers_on_all_listeners_are_ended_before_the_budget_is_used_up() {
    let server = Server::start();
    wait_until("it watches the memory", || server.varz("mem_budget") == BUDGET_MIB << 20);
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| read_well(server.listeners["nats"], &is_over));
        let held = scope.spawn(|| (gather(&server.listeners), ignore(&server.listeners)));
        flood_nats(server.listeners["nats"]);
        let held = held.join().unwrap();
        wait_until("memory is in order again", || server.varz("mem_allocated") < BUDGET_MIB << 20);
        is_over.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 100, "whoever reads is served");
        drop(held);
    });
    assert!(server.varz("shed_connections") > 5);
    let journal = get(server.listeners["admin"], "/journal");
    let journal = journal.text();
    assert!(journal.contains("memory is short") && journal.contains("shed"), "{journal}");
    let peak_mib = server.peak_mib();
    assert!(peak_mib < BUDGET_MIB + BESIDE_MIB, "{peak_mib} MiB");
    let mut newcomer = connect(server.listeners["chat"]);
    assert_eq!(newcomer.read(&mut [0]).unwrap(), 1, "the listeners are open");
}

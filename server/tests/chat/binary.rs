//! The real binary: how it starts, ends, and what it does with a log that nobody reads.

use crate::FANFARE;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};
use testkit::chat::Client;
use testkit::http::get;
use testkit::patience::{PATIENCE, wait_until};
use testkit::ports::own_address;
use testkit::process::listening_only;
use testkit::tools::program;

/// The server with chat alone.
fn chat(arguments: &[&str]) -> Command {
    let mut command = Command::new(FANFARE);
    let unhurried = ["--chat-lines-per-second", "0"];
    command.args(listening_only("--chat", "127.0.0.1:0")).args(unhurried).args(arguments);
    command
}

/// The server as a process; killed if a test fails.
pub struct Process {
    child: Child,
    output: Option<BufReader<ChildStdout>>,
    pub log: Option<ChildStderr>,
    pub address: SocketAddr,
}

impl Process {
    pub fn start(arguments: &[&str]) -> Self {
        Self::of(&mut chat(arguments))
    }

    pub fn of(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        assert!(line.starts_with("listening "), "it said {line:?}");
        let address = line.trim().rsplit(' ').next().unwrap();
        let (address, log) = (address.parse().unwrap(), child.stderr.take());
        Self { child, output: Some(output), log, address }
    }

    pub fn client(&self) -> Client {
        let mut client = Client::connect(self.address);
        client.wait_for("* you are in lobby");
        client
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        let id =
            i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw).unwrap();
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Ends it as a loss of power would, but for the disk.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Where a listener listens. Ask in the order in which the server says so.
    pub fn listening(&mut self, listener: &str) -> SocketAddr {
        let begin = format!("listening {listener} ");
        let mut lines = self.output.as_mut().unwrap().lines().map(Result::unwrap);
        let line = lines.find(|line| line.starts_with(&begin)).unwrap();
        // After `http://` or `https://`, if it is a page.
        let address = line[begin.len()..].trim_end_matches('/').rsplit('/').next().unwrap();
        address.parse().unwrap()
    }

    pub fn ended(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "it goes on");
            std::thread::park_timeout(Duration::from_millis(2));
        }
    }

    fn rest_of_output(&mut self) -> String {
        let mut rest = String::new();
        self.output.take().unwrap().read_to_string(&mut rest).unwrap();
        rest
    }

    pub fn rest_of_log(&mut self) -> String {
        let mut rest = String::new();
        self.log.take().unwrap().read_to_string(&mut rest).unwrap();
        rest
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn run(arguments: &[&str]) -> Output {
    Command::new(FANFARE).args(arguments).env_remove("FANFARE_LOG").output().unwrap()
}

#[test]
fn both_signals_say_goodbye_report_and_end_well() {
    for signal in [rustix::process::Signal::TERM, rustix::process::Signal::INT] {
        let mut server = Process::start(&[]);
        let (mut alice, mut bob) = (server.client(), server.client());
        alice.say("a last word");
        bob.wait_for("[lobby] guest1: a last word");
        server.signal(signal);
        for client in [&mut alice, &mut bob] {
            client.wait_for("* the server is ending; goodbye");
            assert_eq!(client.line(), None);
        }
        assert_eq!(server.ended().code(), Some(0));
        let output = server.rest_of_output();
        assert!(output.starts_with("try it: nc") && output.lines().count() == 1, "{output}");
        let log = server.rest_of_log();
        assert!(log.contains("2 connections") && !log.contains("not flushed"), "{log}");
    }
}

/// With time for clients that do not read, however busy the machine is.
const PATIENT: &str = "--chat-write-deadline-ms=600000";

/// Somebody who never reads, to whom more is said than the kernel takes. Gives the talker too.
fn stuck_client(server: &Process) -> (Client, Client) {
    let (mut talker, stuck) = (server.client(), server.client());
    let text = "x".repeat(4_000);
    // Told until its queue is full, which means that the write buffer and the kernel's are too.
    talker.lines_until_pong();
    // The kernel enlarges its buffers now and then, so once is not enough.
    let end = Instant::now() + PATIENCE;
    let mut refused_in_a_row = 0;
    while refused_in_a_row < 200 {
        assert!(Instant::now() < end, "it takes whatever it is told");
        let was_refused =
            talker.ask(&format!("/msg guest2 {text}")).starts_with("! guest2 is not reading");
        refused_in_a_row = if was_refused { refused_in_a_row + 1 } else { 0 };
    }
    (talker, stuck)
}

#[test]
fn messages_not_flushed_by_the_deadline_are_reported() {
    let mut server = Process::start(&["--goodbye-ms", "2000", PATIENT]);
    let _clients = stuck_client(&server);
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.ended().code(), Some(0));
    let output = server.rest_of_log();
    assert!(output.contains("not flushed: ") && output.contains("1 connection cut"), "{output}");
    // The kernel may have taken a little more meanwhile, so what is left lies in the queue, in the
    // write buffer, or in both.
    let number_after = |words: &str| -> u64 {
        let rest = output.split(words).nth(1).unwrap_or_else(|| panic!("no {words:?} in {output}"));
        rest.split(' ').next().unwrap().parse().unwrap()
    };
    assert!(number_after("not flushed: ") + number_after("cut with ") > 0, "{output}");
}

#[test]
fn a_second_signal_ends_at_once() {
    let mut server = Process::start(&["--goodbye-ms", "3600000", PATIENT]);
    let (mut talker, _stuck) = stuck_client(&server);
    server.signal(rustix::process::Signal::TERM);
    talker.wait_for("* the server is ending; goodbye");
    assert_eq!(server.child.try_wait().unwrap(), None, "the stuck one holds up the first");
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.ended().code(), Some(1));
    assert!(server.rest_of_log().contains("ended at once by a second signal"));
}

#[test]
fn a_mistake_is_one_sentence_and_exit_code_2() {
    let mistakes: [(&[&str], &str); 7] = [
        (&["--nosuch"], "--nosuch"),
        (&["--gopher", "127.0.0.1:0"], "--gopher"),
        (&["serve", "--chat", "nonsense"], "--chat nonsense"),
        (&["--chat-allow-anonymous", "--chat", "192.0.2.1:7000"], "--chat 192.0.2.1:7000"),
        (&["--config", "/nonexistent"], "--config /nonexistent"),
        (&["--chat-line-bytes", "1"], "--chat-line-bytes 1"),
        (&["--log", "loud"], "--log loud"),
    ];
    for (arguments, named) in mistakes {
        let output = run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(
            said.starts_with("fanfare: ") && said.contains(named) && said.lines().count() == 1,
            "{said}"
        );
    }
    let listening = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listening.local_addr().unwrap().to_string();
    for arguments in [["--nats", "off", "--chat", &address], ["--chat", "off", "--nats", &address]]
    {
        let output = run(&arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("{} {address} is in use", arguments[2])), "{said}");
    }
}

#[test]
fn help_is_for_people_and_does_not_mind_being_cut() {
    let output = run(&["--help"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(said.contains("--chat-line-bytes") && said.contains("Usage: fanfare"), "{said}");
}

#[test]
fn what_does_not_fit_on_the_disk_is_no_success() {
    let Ok(full) = File::options().write(true).open("/dev/full") else { return };
    let output = Command::new(FANFARE).arg("--print-config").stdout(full).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("fanfare: cannot write the output: No space left"), "{said}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn closed_outputs_do_not_end_the_server() {
    for format in ["text", "json"] {
        let mut server = Process::start(&["--log", "trace", "--log-format", format]);
        (server.output, server.log) = (None, None);
        for _ in 0..20 {
            let mut client = server.client();
            client.say("/quit");
            client.wait_for("* goodbye");
        }
        server.signal(rustix::process::Signal::TERM);
        assert_eq!(server.ended().code(), Some(0));
    }
}

#[test]
fn a_log_that_nobody_reads_does_not_stall_the_server() {
    for format in ["text", "json"] {
        let mut server = Process::start(&["--log", "trace", "--log-format", format]);
        // A pipe holds 64 KiB, and every connection logs lines at this level.
        let mut talker = server.client();
        for _ in 0..1_500 {
            let mut client = Client::connect(server.address);
            client.say("/quit");
            client.wait_for("* goodbye");
        }
        talker.lines_until_pong();
        server.signal(rustix::process::Signal::TERM);
        assert_eq!(server.ended().code(), Some(0));
    }
}

/// What a server logs while a client comes and goes.
fn logged(arguments: &[&str]) -> String {
    let mut server = Process::of(chat(arguments).env("FANFARE_LOG", "info"));
    drop(server.client());
    server.signal(rustix::process::Signal::TERM);
    server.ended();
    server.rest_of_log()
}

#[test]
fn the_log_is_text_for_people_or_json_for_programs() {
    let text = logged(&["--log-format", "text"]);
    assert!(text.contains(" INFO  chat: 127.0.0.1:") && text.contains(" connected"), "{text}");
    assert!(!text.contains('\x1b'), "there is no terminal: {text}");
    assert!(text.contains(" task=#") && !text.contains("task=none"), "{text}");
    for line in text.lines() {
        let time = line.split(' ').next().unwrap();
        assert!(humantime::parse_rfc3339(time).is_ok(), "{line}");
    }
    for arguments in [&["--log-format", "json"], [].as_slice()] {
        let json = logged(arguments);
        let lines = json.lines().map(|line| serde_json::from_str(line).expect(line));
        let messages: Vec<serde_json::Value> = lines.collect();
        let is_connect = |line: &serde_json::Value| {
            line["level"] == 30 && line["msg"].as_str().unwrap().ends_with(" connected")
        };
        assert!(messages.iter().any(is_connect), "{json}");
    }
}

#[test]
fn a_standard_error_that_nobody_reads_does_not_make_the_server_deaf() {
    let (_reader, writer) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&writer, true).unwrap();
    while (&writer).write(&[b'x'; 1]).is_ok() {}
    rustix::io::ioctl_fionbio(&writer, false).unwrap();
    let mut command = Command::new(FANFARE);
    command.args(listening_only("--nats", "127.0.0.1:0")).stdout(Stdio::piped()).stderr(writer);
    let mut child = command.spawn().unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert!(line.starts_with("listening nats"), "{line}");
    let address = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
    let mut server = Process { child, output: Some(output), log: None, address };
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.ended().code(), Some(0));
}

#[test]
fn a_signal_that_means_nothing_here_is_ignored_with_a_line() {
    let mut server = Process::start(&[]);
    server.signal(rustix::process::Signal::USR1);
    let mut client = server.client();
    client.lines_until_pong();
    server.signal(rustix::process::Signal::TERM);
    assert_eq!(server.ended().code(), Some(0));
    let output = server.rest_of_log();
    assert!(output.contains("SIGUSR1 is ignored"), "{output}");
}

#[test]
fn the_environment_sets_the_level_and_a_flag_wins() {
    assert!(logged(&[]).contains("connected"));
    assert!(!logged(&["--log", "warn"]).contains("connected"));
}

#[test]
fn a_half_open_connection_is_found_out_by_its_ping() {
    let Some(mut python) = program("python3") else { return };
    let server = Process::start(&["--chat-idle-ms", "100"]);
    // A socket in repair mode closes without a word, as when the power goes. That needs a
    // privilege; without it the socket closes with a reset, and the same must come of it.
    let vanish = "
import socket, sys
peer = socket.create_connection(('127.0.0.1', int(sys.argv[1])))
peer.sendall(b'/nick ghost\\n')
while b'you are now ghost' not in peer.recv(4096): pass
try:
    peer.setsockopt(socket.IPPROTO_TCP, 19, 1)
except PermissionError:
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\\1\\0\\0\\0\\0\\0\\0\\0')
peer.close()
";
    let mut witness = server.client();
    let port = server.address.port().to_string();
    let gone = python.args(["-c", vanish, &port]).status().unwrap();
    assert!(gone.success());
    witness.wait_for("* ghost left");
}

#[test]
fn the_client_talks_between_pipes() {
    let server = Process::start(&[]);
    let mut witness = server.client();
    let mut client = Command::new(FANFARE)
        .args(["chat", &server.address.to_string(), "--nick", "piper"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    client.stdin.as_mut().unwrap().write_all(b"hello from a pipe\n").unwrap();
    witness.wait_for("[lobby] piper: hello from a pipe");
    witness.say("hello back");
    let mut output = BufReader::new(client.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("[lobby] guest1: hello back") {
        line.clear();
        assert_ne!(output.read_line(&mut line).unwrap(), 0, "the client ended");
    }
    drop(client.stdin.take());
    assert!(client.wait().unwrap().success());
    witness.wait_for("* piper left");
    let nobody = run(&["chat", "127.0.0.1:1"]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(String::from_utf8(nobody.stderr).unwrap().contains("cannot connect to 127.0.0.1:1"));
}

#[test]
fn listeners_share_the_file_descriptors_and_leave_the_admin_listener_its_own() {
    let listeners = ["--chat", "127.0.0.1:0", "--nats", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
    let off = ["--push", "off", "--push-udp", "off", "--push-http", "off"];
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 256; exec \"$0\" \"$@\"", FANFARE]).args(listeners).args(off);
    let mut server = Process::of(&mut command);
    let mut lines = server.output.as_mut().unwrap().lines().map(Result::unwrap);
    let mut listening = |listener: &str| -> SocketAddr {
        let line = lines.find(|line| line.starts_with(listener)).unwrap();
        let address = line.trim_start_matches(listener).trim_end_matches('/');
        address.trim_start_matches("http://").parse().unwrap()
    };
    let nats = listening("listening nats ");
    let admin = listening("listening admin ");
    let log = BufReader::new(server.log.take().unwrap());
    let mut log = log.lines().map(Result::unwrap);
    let warning = log.find(|line| line.contains("limit on open files")).unwrap();
    assert!(warning.contains("chat 64, nats 64"), "{warning}");
    let open = |address| -> Vec<TcpStream> {
        (0..130).map(|_| TcpStream::connect(address).unwrap()).collect()
    };
    let _crowds = [open(server.address), open(nats)];
    assert_eq!(get(admin, "/healthz").status, 200);
}

#[test]
fn a_script_does_not_speak_under_a_name_that_it_did_not_get() {
    let server = Process::start(&[]);
    let mut witness = server.client();
    witness.ask("/nick alice");
    let mut client = Command::new(FANFARE)
        .args(["chat", &server.address.to_string(), "--nick", "Alice"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may be gone already.
    let _ = client.stdin.take().unwrap().write_all(b"said by nobody\n");
    let output = client.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("refuses the name Alice: somebody here is called Alice"), "{said}");
    witness.wait_for("* guest2 left");
    assert!(!witness.lines_until_pong().iter().any(|line| line.contains("said by nobody")));
}

#[test]
fn a_hostile_server_sends_no_escape_sequences_to_the_terminal() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap().to_string();
    let client = Command::new(FANFARE)
        .args(["chat", &address])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (mut peer, _) = server.accept().unwrap();
    peer.write_all(b"hello\x1b]0;owned\x07 \x9b2J\r\nlast words \x1b[2J").unwrap();
    drop(peer);
    let output = client.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(said, "hello\u{fffd}]0;owned\u{fffd} \u{fffd}2J\nlast words \u{fffd}[2J\n");
    assert!(output.status.success());
}

#[test]
fn every_line_of_a_crowd_is_accounted_for() {
    let Some(mut python) = program("python3") else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/load/chat_load.py");
    let crowd = ["--clients=40", "--rooms=4", "--lines=100", "--stuck=4", "--web-sockets=20"];
    let output = python.arg(script).arg(FANFARE).args(crowd).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("all sums agree; nothing remains"), "{said}");
}

#[test]
fn nothing_is_left_listening_after_the_end() {
    let address = own_address();
    let mut command = Command::new(FANFARE);
    let mut server = Process::of(command.args(listening_only("--chat", &address.to_string())));
    server.signal(rustix::process::Signal::TERM);
    server.ended();
    wait_until("the port is free", || TcpListener::bind(address).is_ok());
}

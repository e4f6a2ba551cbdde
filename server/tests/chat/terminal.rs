//! The terminal client at a terminal of Python's, and a server that goes and comes back.

use crate::FANFARE;
use crate::binary::Process;
use crate::operation::with_socket;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;
use std::time::Instant;
use testkit::chat::Client;
use testkit::directory::TempDirectory;
use testkit::patience::{PATIENCE, wait_until};
use testkit::process::{Program, listening_only};
use testkit::tools::program;

const TERMINAL: &str = "
import os, pty, sys
sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))
";

/// Carol, at a terminal.
fn carol(mut python: Command, address: &str) -> Person {
    python.args(["-c", TERMINAL, FANFARE, "chat", address, "--nick", "carol"]);
    python.env("TERM", "xterm").stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut carol = Person::of(python.spawn().unwrap());
    carol.sees("lobby> ");
    carol
}

/// Somebody at a terminal.
struct Person {
    _program: Program,
    keys: ChildStdin,
    screen: Receiver<Vec<u8>>,
    seen: String,
}

impl Person {
    fn of(mut child: Child) -> Self {
        let (keys, mut output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, screen) = sync_channel(1_024);
        thread::spawn(move || {
            let mut bytes = [0; 4_096];
            while let Ok(read @ 1..) = output.read(&mut bytes) {
                if sender.send(bytes[..read].to_vec()).is_err() {
                    break;
                }
            }
        });
        Self { _program: Program(child), keys, screen, seen: String::new() }
    }

    fn types(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until the screen has shown this, after all that was waited for before. Gives what came
    /// up to there.
    #[track_caller]
    fn sees(&mut self, text: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(place) = self.seen.find(text) {
                let rest = self.seen.split_off(place + text.len());
                return std::mem::replace(&mut self.seen, rest);
            }
            let left = end.saturating_duration_since(Instant::now());
            let more = self.screen.recv_timeout(left);
            let more = more.unwrap_or_else(|_| panic!("no {text} in {:?}", self.seen));
            self.seen += &String::from_utf8_lossy(&more);
        }
    }
}

fn bob(server: &Process) -> Client {
    let mut bob = server.client();
    bob.say("/nick bob");
    bob.wait_for("* you are now bob");
    bob.say("/join rust");
    bob.wait_for("* you are in rust");
    bob
}

#[test]
fn a_person_keeps_its_place_while_the_server_goes_and_comes_back() {
    let Some(python) = program("python3") else { return };
    let directory = TempDirectory::new();
    // The test keeps it, so that nobody else takes the port.
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap().to_string();
    let mut arguments = listening_only("--chat", &address);
    arguments.extend(
        ["--data-dir", directory.text(), "--chat-lines-per-second", "0"].map(str::to_owned),
    );
    let start = || Process::of(&mut with_socket(socket.try_clone().unwrap(), &arguments));
    let mut server = start();
    let mut first_bob = bob(&server);
    let mut carol = carol(python, &address);
    carol.types("/join rust\r");
    carol.sees("rust> ");
    first_bob.say("before");
    carol.sees("[rust] bob: before");
    carol.types("bo\t");
    carol.sees("bob: ");
    carol.types("are you there?\r");
    first_bob.wait_for("[rust] carol: bob: are you there?");
    first_bob.say("/sync");
    first_bob.wait_for("* stored");
    server.kill();
    carol.sees("(the connection is lost; trying again)");
    let server = start();
    let mut second_bob = bob(&server);
    wait_until("carol is back in her room", || {
        second_bob.say("/who rust");
        second_bob.lines_until_pong().iter().any(|line| line.starts_with("* 2 in rust: "))
    });
    second_bob.say("after");
    let between = carol.sees("[rust] bob: after");
    for repeated in ["bob: before", "are you there?", "may be missing", "welcome"] {
        assert!(!between.contains(repeated), "{repeated} in {between:?}");
    }
    carol.types("I am\r");
    second_bob.wait_for("[rust] carol: I am");
    carol.types("/quit\r");
    second_bob.wait_for("* carol left");
}

#[test]
fn the_prompt_names_another_room_as_soon_as_a_person_is_put_out_of_this_one() {
    let Some(python) = program("python3") else { return };
    let directory = TempDirectory::new();
    let server = Process::start(&["--data-dir", directory.text()]);
    let mut bob = server.client();
    bob.say("/nick bob");
    bob.say("/register correct-horse");
    bob.wait_for("* bob is yours");
    bob.say("/join garden");
    bob.wait_for("* you are in garden");
    let mut carol = carol(python, &server.address.to_string());
    carol.types("/join garden\r");
    carol.sees("garden> ");
    carol.types("half a li");
    carol.sees("half a li");
    bob.say("/kick carol");
    carol.sees("* bob removed carol from garden");
    carol.sees("lobby>  half a li");
}

#[test]
fn a_measurement_shows_at_a_terminal_how_far_it_is() {
    let Some(mut python) = program("python3") else { return };
    python.args(["-c", TERMINAL, FANFARE, "bench", "ceiling", "--seconds", "0.2"]);
    let child = python.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut person = Person::of(child);
    person.sees("/0.2 s ceiling");
    person.sees("messages");
}

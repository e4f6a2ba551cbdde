//! The chat and the push page, in a real browser, beside somebody at `nc`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use testkit::browser::Script;
use testkit::chat::Client;
use testkit::directory::TempDirectory;
use testkit::ports::own_address;
use testkit::process::{Program, listening_only};

/// A server with a chat and an HTTP listener, where it can start again.
struct Server {
    _program: Program,
    chat: SocketAddr,
}

impl Server {
    fn start(chat: SocketAddr, http: SocketAddr, data: &TempDirectory) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        let mut arguments = listening_only("--chat", &chat.to_string());
        let place = arguments.iter().position(|argument| argument == "--push-http").unwrap();
        arguments[place + 1] = http.to_string();
        command.args(arguments);
        command.args(["--chat-lines-per-second", "10000", "--data-dir", data.text()]);
        let mut program = Program(command.stdout(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
        for name in ["chat", "push-http"] {
            let start = format!("listening {name} ");
            assert!(lines.any(|line| line.unwrap().starts_with(&start)), "{name}");
        }
        Self { chat, _program: program }
    }

    fn nick(&self) -> Client {
        let mut client = Client::connect(self.chat);
        client.say("/nick nick");
        client.wait_for("you are now nick");
        client
    }
}

#[test]
fn chat_and_pushes_are_pages() {
    let Some(mut script) = Script::of("chat_and_push.js") else { return };
    let (chat, http, elsewhere) = (own_address(), own_address(), own_address());
    let data = TempDirectory::new();
    let server = Server::start(chat, http, &data);
    let mut nick = Some(server.nick());
    let mut running = Some(server);
    script.play(&[&format!("http://{http}")], |wish| {
        match wish.split_once(' ').unwrap_or((wish, "")) {
            ("nc", text) => nick.as_mut().unwrap().say(text),
            ("hears", text) => drop(nick.as_mut().unwrap().wait_for(text)),
            ("many", text) => {
                let nick = nick.as_mut().unwrap();
                let (lines, what) = text.split_once(' ').unwrap();
                for number in 1..=lines.parse().unwrap() {
                    nick.say(&format!("line {number} {what}"));
                }
            }
            ("stop", _) => (nick, running) = (None, None),
            ("start", place) => {
                let http = if place.is_empty() { http } else { elsewhere };
                let server = Server::start(chat, http, &data);
                nick = Some(server.nick());
                running = Some(server);
            }
            other => panic!("asked for {other:?}"),
        }
        String::new()
    });
    drop(running);
}

//! The chat and the push page, in a real browser, beside somebody at `nc`.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use testkit::browser::Script;
use testkit::chat::Client;
use testkit::process::{Program, listening_only};

/// A server with a chat and an HTTP listener.
struct Server {
    _program: Program,
    chat: SocketAddr,
    http: SocketAddr,
}

impl Server {
    fn start(chat: &str, http: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fanfare"));
        let mut arguments = listening_only("--chat", chat);
        let place = arguments.iter().position(|argument| argument == "--push-http").unwrap();
        arguments[place + 1] = http.to_owned();
        command.args(arguments);
        command.args(["--chat-lines-per-second", "1000"]);
        let mut program = Program(command.stdout(Stdio::piped()).spawn().unwrap());
        let mut lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
        let mut address = |name: &str| -> SocketAddr {
            let start = format!("listening {name} ");
            let line = lines.find_map(|line| Some(line.unwrap().strip_prefix(&start)?.to_owned()));
            line.unwrap().parse().unwrap()
        };
        Self { chat: address("chat"), http: address("push-http"), _program: program }
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
    let server = Server::start("127.0.0.1:0", "127.0.0.1:0");
    let (chat, http) = (server.chat.to_string(), server.http.to_string());
    let mut nick = Some(server.nick());
    let mut running = Some(server);
    script.play(&[&format!("http://{http}")], |wish| {
        match wish.split_once(' ').unwrap_or((wish, "")) {
            ("nc", text) => nick.as_mut().unwrap().say(text),
            ("hears", text) => drop(nick.as_mut().unwrap().wait_for(text)),
            ("stop", _) => (nick, running) = (None, None),
            ("start", _) => {
                let server = Server::start(&chat, &http);
                nick = Some(server.nick());
                running = Some(server);
            }
            other => panic!("asked for {other:?}"),
        }
        String::new()
    });
    drop(running);
}

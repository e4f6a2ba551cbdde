//! The chat and the push page, in a real browser, beside somebody at `nc`.

use std::net::SocketAddr;
use testkit::browser::Script;
use testkit::chat::Client;
use testkit::directory::TempDirectory;
use testkit::http::Http;
use testkit::ports::own_address;
use testkit::process::Program;

/// A server with a chat and an HTTP listener, where it can start again.
struct Server {
    _program: Program,
    chat: SocketAddr,
    http: SocketAddr,
}

impl Server {
    fn start(chat: SocketAddr, http: SocketAddr, data: &TempDirectory) -> Self {
        let (program, [chat, http]) = super::start(
            &[("--chat", &chat.to_string()), ("--push-http", &http.to_string())],
            &["--chat-lines-per-second", "10000", "--data-dir", data.text()],
            ["chat", "push-http"],
        );
        Self { chat, http, _program: program }
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
            ("push", text) => {
                let [target, ttl, text] = text.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                    panic!("{text}")
                };
                let mut http = Http::connect(running.as_ref().unwrap().http);
                assert_eq!(http.post(&format!("/push/{target}?ttl={ttl}"), text).status, 200);
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

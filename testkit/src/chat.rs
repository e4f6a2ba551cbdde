//! What the chat tests share: a server in this process on any executor, and clients like `nc`.

use crate::leak_check::LeakCheck;
use crate::patience::{PATIENCE, connect, wait_until};
use fanfare::Broker;
use fanfare_server::chat::{ChatServer, ChatSettings};
use fanfare_server::connection::Listener;
use fanfare_server::diagnostics::Diagnostics;
use fanfare_server::message::ServerMessage;
use fanfare_server::tasks::{BoxedTask, Tasks};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// The default settings without a limit on lines a second, and with time for clients that do not
/// read for a while on a busy machine.
pub fn unhurried() -> ChatSettings {
    let mut settings = ChatSettings { lines_per_second: None, ..ChatSettings::default() };
    settings.writer.deadline = PATIENCE;
    settings
}

/// A chat server in this process.
pub struct TestServer {
    pub broker: Broker<ServerMessage>,
    pub tasks: Tasks,
    pub diagnostics: Diagnostics,
    pub chat: Option<ChatServer>,
    pub address: SocketAddr,
    /// The last field, so that it is dropped after the server.
    _leaks: LeakCheck,
}

impl TestServer {
    /// Starts it on async-std.
    pub fn start(settings: ChatSettings) -> Self {
        Self::start_on(settings, |task: BoxedTask| drop(async_std::task::spawn(task)))
    }

    pub fn start_on(
        settings: ChatSettings,
        spawner: impl Fn(BoxedTask) + Send + Sync + 'static,
    ) -> Self {
        let (pattern, messages) = settings.history().expect("the tests keep a history");
        let broker = Broker::builder().history(pattern, messages).build();
        let tasks = Tasks::new(spawner);
        let listener =
            Listener::bind("127.0.0.1:0".parse().unwrap(), settings.connections).unwrap();
        let limiter = listener.limiter().clone();
        let diagnostics = Diagnostics::new();
        let leaks = LeakCheck::of_server(&tasks, &broker, &limiter, &diagnostics);
        let chat = ChatServer::start(
            listener,
            &broker,
            &tasks,
            settings,
            diagnostics.front_end("chat"),
            None,
        );
        let address = chat.local_address();
        Self { broker, tasks, diagnostics, chat: Some(chat), address, _leaks: leaks }
    }

    /// A client that has read its greeting.
    pub fn client(&self) -> Client {
        let mut client = Client::connect(self.address);
        client.wait_for("* you are in lobby");
        client
    }

    /// A client of that name that has read the answer.
    pub fn named(&self, name: &str) -> Client {
        let mut client = self.client();
        client.say(&format!("/nick {name}"));
        client.wait_for(&format!("* you are now {name}"));
        client
    }

    /// Waits until there are this many connections, people and rooms.
    #[track_caller]
    pub fn wait_for_counts(&self, expected: (usize, usize, usize)) {
        let chat = self.chat.as_ref().expect("the server runs");
        wait_until(&format!("counts {expected:?}"), || chat.counts() == expected);
    }

    /// Waits until nothing of any client is left: no task, name, room or queue.
    #[track_caller]
    pub fn assert_nothing_remains(&self) {
        self.wait_for_counts((0, 0, 0));
        wait_until("no subscription and no publisher", || {
            let stats = self.broker.stats();
            (stats.subscriptions, stats.publishers) == (0, 0)
        });
        let names: Vec<&str> = self.tasks.list().iter().map(|task| task.name).collect();
        assert_eq!(names, ["chat accept"]);
    }
}

/// A person with `nc`.
pub struct Client {
    reader: BufReader<TcpStream>,
    seen: Vec<String>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let socket = connect(address);
        socket.set_nodelay(true).unwrap();
        Self { reader: BufReader::new(socket), seen: Vec::new() }
    }

    pub fn socket(&self) -> &TcpStream {
        self.reader.get_ref()
    }

    pub fn into_socket(self) -> TcpStream {
        self.reader.into_inner()
    }

    pub fn say(&mut self, line: &str) {
        self.send(format!("{line}\n").as_bytes());
    }

    pub fn send(&mut self, bytes: &[u8]) {
        self.socket().write_all(bytes).unwrap();
    }

    /// The next line, without its end; none when the server has closed.
    #[track_caller]
    pub fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => {
                let line = line.trim_end_matches('\n').to_owned();
                self.seen.push(line.clone());
                Some(line)
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("{error}, after {:#?}", self.last_seen()),
        }
    }

    /// Reads up to a line that contains `text`, and returns that.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> String {
        while let Some(line) = self.line() {
            if line.contains(text) {
                return line;
            }
        }
        panic!("closed without {text:?}, after {:#?}", self.last_seen());
    }

    /// Expects this line next.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        assert_eq!(self.line().as_deref(), Some(text), "after {:#?}", self.last_seen());
    }

    /// Sends a line, and returns the first line of the answer.
    #[track_caller]
    pub fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.line().unwrap_or_else(|| panic!("closed instead of an answer to {line}"))
    }

    /// All lines up to the answer to a `/ping`, so everything said to this client before it.
    #[track_caller]
    pub fn lines_until_pong(&mut self) -> Vec<String> {
        let before = self.seen.len();
        self.say("/ping");
        self.wait_for("* pong");
        self.seen[before..self.seen.len() - 1].to_vec()
    }

    fn last_seen(&self) -> Vec<String> {
        let shown = self.seen.iter().skip(self.seen.len().saturating_sub(20));
        shown.map(|line| line.chars().take(100).collect()).collect()
    }

    /// Reads to the end of the connection.
    #[track_caller]
    pub fn wait_for_end(&mut self) {
        while self.line().is_some() {}
    }

    /// Everything up to the end of the connection.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        let _ = self.reader.read_to_end(&mut rest);
        rest
    }
}

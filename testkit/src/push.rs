//! What the push tests share: a gateway in this process, senders of datagrams, and clients.

use crate::patience::{PATIENCE, connect, wait_until};
use crate::ports::rebound;
use fanfare::{Broker, Pattern};
use fanfare_server::connection::{ConnectionLimits, Listener};
use fanfare_server::diagnostics::Diagnostics;
use fanfare_server::http::{HttpServer, HttpSettings};
use fanfare_server::message::ServerMessage;
use fanfare_server::nats::accounts::Accounts;
use fanfare_server::nats::authentication::{Grant, Secret, User};
use fanfare_server::nats::permissions::{Permissions, Rules};
use fanfare_server::nats::{NatsServer, NatsSettings};
use fanfare_server::push::access::Access;
use fanfare_server::push::{DatagramSocket, PushFigures, PushServer, PushSettings};
use fanfare_server::tasks::{BoxedTask, Tasks};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// How a client of [`TestServer::nats`] connects.
pub const NATS_LOGIN: &str =
    r#"CONNECT {"headers":true,"verbose":false,"user":"backend","pass":"secret"}"#;

/// A gateway in this process.
pub struct TestServer {
    pub broker: Broker<ServerMessage>,
    pub tasks: Tasks,
    pub diagnostics: Diagnostics,
    pub push: Option<PushServer>,
    pub address: SocketAddr,
    pub datagram_address: SocketAddr,
    started: Instant,
}

impl TestServer {
    /// Starts it with long deadlines, so that clients need not answer pings.
    pub fn start(change: impl FnOnce(&mut PushSettings)) -> Self {
        Self::start_with(Access::default(), change)
    }

    pub fn start_with(access: Access, change: impl FnOnce(&mut PushSettings)) -> Self {
        let mut settings = PushSettings::default();
        settings.writer.idle.interval = PATIENCE;
        settings.writer.deadline = PATIENCE;
        change(&mut settings);
        let mut broker = Broker::builder();
        for (pattern, messages) in settings.histories() {
            broker = broker.history(pattern, messages);
        }
        let broker = broker.build();
        let tasks = Tasks::new(|task: BoxedTask| drop(async_std::task::spawn(task)));
        let diagnostics = Diagnostics::new();
        let any = "127.0.0.1:0".parse().unwrap();
        let listener = Listener::bind(any, settings.connections).unwrap();
        let datagrams = DatagramSocket::bind(any).unwrap();
        let front_end = diagnostics.front_end("push");
        let with = (settings, Arc::new(access));
        let push = PushServer::start(
            Some(listener),
            Some(datagrams),
            &broker,
            &tasks,
            with,
            front_end,
            None,
        );
        let (address, datagram_address) =
            (push.address().unwrap(), push.datagram_address().unwrap());
        Self {
            broker,
            tasks,
            diagnostics,
            push: Some(push),
            address,
            datagram_address,
            started: Instant::now(),
        }
    }

    /// Starts its HTTP server, for its own pages and those of these origins.
    pub fn http(&self, origins: &[&str]) -> HttpServer {
        self.http_at("127.0.0.1:0".parse().unwrap(), origins)
    }

    pub fn http_at(&self, address: SocketAddr, origins: &[&str]) -> HttpServer {
        let limits = ConnectionLimits::from_anywhere(100);
        let listener = rebound(address, limits);
        let origins = origins.iter().map(|origin| (*origin).to_owned()).collect();
        let service = self.push.as_ref().expect("the server runs").http(origins);
        let front_end = self.diagnostics.front_end("push-http");
        HttpServer::start(listener, &self.tasks, service, HttpSettings::default(), front_end)
    }

    /// A NATS server on the same broker, with one user, which may reach the pushes: see
    /// [`NATS_LOGIN`].
    pub fn nats(&self) -> NatsServer {
        let mut settings = NatsSettings::default();
        let rules = || Rules::new(Some(vec![Pattern::parse("push.>").unwrap()]), Vec::new());
        settings.authentication.users.push(User {
            name: "backend".to_owned(),
            password: Some(Secret::new("secret")),
            grant: Grant::from(Permissions {
                publish: rules(),
                subscribe: rules(),
                responses: None,
            }),
        });
        let listener =
            Listener::bind("127.0.0.1:0".parse().unwrap(), settings.connections).unwrap();
        let front_end = self.diagnostics.front_end("nats");
        let accounts = Accounts::new(&self.broker, settings.total_subscriptions, Broker::new);
        NatsServer::start(listener, &accounts, &self.tasks, settings, front_end)
    }

    pub fn figures(&self) -> PushFigures {
        self.push.as_ref().expect("the server runs").gateway().figures()
    }

    /// The figure in the metrics whose labels have these values.
    #[track_caller]
    pub fn told(&self, family: &str, labels: &[&str]) -> u64 {
        let families = self.diagnostics.front_end("push").families();
        let family =
            families.iter().find(|told| told.name == family).expect("a family of that name");
        let is_it =
            |words: &[(&str, &str)]| words.iter().map(|(_, word)| *word).eq(labels.iter().copied());
        family
            .figures
            .iter()
            .find(|figure| is_it(&figure.labels))
            .expect("a figure with these labels")
            .value
    }

    /// The journal's entries about pushes: kind, target, which, how many; newest first.
    pub fn losses(&self) -> Vec<(&'static str, String, String, u64)> {
        let entries = self.diagnostics.journal().newest(0, 1_000).into_iter();
        let entries =
            entries.filter(|entry| entry.front_end == "push" && entry.reason.starts_with("push"));
        entries.map(|entry| (entry.kind, entry.about, entry.reason, entry.messages)).collect()
    }

    /// The time, in seconds since 1970, for a signed datagram that this server takes: one of its
    /// first second could have been taken by a server before it. Reckoned back from the present
    /// clock, as the server does, since the machine's clock may be set in between.
    #[track_caller]
    pub fn now_s(&self) -> u64 {
        let since_1970 = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        // The server reckons in whole milliseconds.
        let started = || since_1970() - self.started.elapsed() + Duration::from_millis(2);
        wait_until("the second after the start", || since_1970().as_secs() > started().as_secs());
        since_1970().as_secs()
    }

    pub fn client(&self) -> Client {
        Client::connect(self.address)
    }

    /// A client whose hello was answered.
    #[track_caller]
    pub fn user(&self, user: &str) -> Client {
        self.hello(json!({"user": user}))
    }

    #[track_caller]
    pub fn hello(&self, hello: Value) -> Client {
        let mut client = self.client();
        client.say(json!({"hello": hello}));
        let answer = client.object();
        assert!(answer["hello"].is_object(), "{answer}");
        client.settle();
        client
    }

    /// A client whose hello was answered, with the kept pushes still to be read.
    #[track_caller]
    pub fn hello_and_replay(&self, hello: Value) -> Client {
        let mut client = self.client();
        client.say(json!({"hello": hello}));
        assert!(client.object()["hello"].is_object());
        client
    }

    pub fn sender(&self) -> Sender {
        Sender::to(self.datagram_address)
    }

    /// Waits until only the server's own tasks are alive, and no subscription is left.
    #[track_caller]
    pub fn assert_nobody_remains(&self) {
        wait_until("no connection and no subscription", || {
            let push = self.push.as_ref().expect("the server runs");
            push.connections() == 0 && self.broker.stats().subscriptions == 0
        });
        self.assert_only_its_own_tasks();
    }

    #[track_caller]
    pub fn assert_only_its_own_tasks_and_connections(&self) {
        wait_until("no task but the server's own and connections", || {
            let is_expected =
                |name: &str| matches!(name, "push accept" | "push datagrams" | "push connection");
            self.tasks.list().iter().all(|task| is_expected(task.name))
        });
    }

    #[track_caller]
    pub fn assert_only_its_own_tasks(&self) {
        wait_until("the server's own tasks alone", || {
            let mut names: Vec<&str> = self.tasks.list().iter().map(|task| task.name).collect();
            names.sort_unstable();
            names == ["push accept", "push datagrams"]
        });
    }
}

/// A sender of datagrams.
pub struct Sender {
    socket: UdpSocket,
}

impl Sender {
    pub fn to(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { socket }
    }

    pub fn send(&self, datagram: impl AsRef<[u8]>) {
        self.socket.send(datagram.as_ref()).unwrap();
    }

    #[track_caller]
    pub fn answer(&self) -> String {
        let mut buffer = [0; 9000];
        let bytes = self.socket.recv(&mut buffer).expect("an answer");
        String::from_utf8(buffer[..bytes].to_vec()).unwrap()
    }

    /// Sends and waits for the answer.
    #[track_caller]
    pub fn ask(&self, datagram: impl AsRef<[u8]>) -> String {
        self.send(datagram);
        self.answer()
    }
}

/// A client's connection.
pub struct Client {
    reader: BufReader<TcpStream>,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Self {
        let socket = connect(address);
        Self { reader: BufReader::new(socket) }
    }

    pub fn into_socket(self) -> TcpStream {
        self.reader.into_inner()
    }

    pub fn say(&mut self, object: Value) {
        self.send(format!("{object}\n"));
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.reader.get_ref().write_all(bytes.as_ref()).unwrap();
    }

    /// The next line, its end included; empty when the server has closed.
    #[track_caller]
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        match self.reader.read_line(&mut line) {
            Ok(_) => line,
            Err(error) if error.kind() == ErrorKind::ConnectionReset => String::new(),
            Err(error) => panic!("{error}"),
        }
    }

    /// The next object; null at the end of the connection.
    #[track_caller]
    pub fn object(&mut self) -> Value {
        match self.line() {
            line if line.is_empty() => Value::Null,
            line => serde_json::from_str(&line).unwrap_or_else(|error| panic!("{line:?}: {error}")),
        }
    }

    /// The text of the next object, which is a push.
    #[track_caller]
    pub fn text(&mut self) -> String {
        let object = self.object();
        object["push"]["text"].as_str().unwrap_or_else(|| panic!("{object}")).to_owned()
    }

    /// Waits until everything asked before is done. Nothing is on its way then but later pushes.
    #[track_caller]
    pub fn settle(&mut self) {
        self.say(json!({"ping": 4711}));
        let answer = self.object();
        assert_eq!(answer, json!({"pong": 4711}));
    }
}

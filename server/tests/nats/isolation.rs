//! What a client does at one listener leaves the others open, and in time.

use crate::FANFARE;
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use testkit::http::{Http, page};
use testkit::nats::wire::Wire;
use testkit::patience::{connect, wait_until};
use testkit::process::Program;
use testkit::{chat, push};

/// No answer of a listener may take longer, whatever is done at the others. (While pages of the
/// admin listener are asked for: no longer than four of them, if that is longer.)
const LATEST: Duration = Duration::from_millis(250);

/// Pages of the admin listener that list all that there is.
const PAGES: [&str; 3] = ["/metrics", "/connz?subs=1", "/debug/pprof/goroutine?debug=2"];

const LISTENERS: [&str; 5] = ["nats", "chat", "push", "push-http", "admin"];

/// How often each listener is asked during a flood.
const ROUNDS: usize = 8;

/// A server with all listeners.
struct House {
    program: Program,
    chat: SocketAddr,
    nats: SocketAddr,
    push: SocketAddr,
    push_http: SocketAddr,
    admin: SocketAddr,
}

impl House {
    fn start(arguments: &[&str]) -> Self {
        let anywhere = ["--chat", "--nats", "--push", "--push-http", "--admin"];
        let mut command = Command::new(FANFARE);
        command
            .args(anywhere.iter().flat_map(|listener| [*listener, "127.0.0.1:0"]))
            .args(arguments);
        command.args(["--push-udp", "off", "--chat-lines-per-second", "0", "--log", "warn"]);
        let child: Child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut program = Program(child);
        let mut output = BufReader::new(program.0.stdout.take().unwrap());
        let mut listening = |listener: &str| -> SocketAddr {
            let mut line = String::new();
            while !line.starts_with(&format!("listening {listener} ")) {
                line.clear();
                assert_ne!(output.read_line(&mut line).unwrap(), 0, "the server ended");
            }
            let address = line.split_whitespace().nth(2).unwrap();
            address.trim_start_matches("http://").trim_end_matches('/').parse().unwrap()
        };
        let [chat, nats, push, push_http, admin] =
            ["chat", "nats", "push", "push-http", "admin"].map(&mut listening);
        Self { program, chat, nats, push, push_http, admin }
    }

    /// How long a new client of each listener waits for its first answer.
    fn ask(&self, listener: &str) {
        match listener {
            "nats" => Wire::connect(self.nats).sync(),
            "chat" => {
                chat::Client::connect(self.chat).lines_until_pong();
            }
            "push" => {
                let mut client = push::Client::connect(self.push);
                client.say(json!({"hello": {"user": "1"}}));
                client.object();
            }
            "push-http" => {
                Http::connect(self.push_http).post("/push/user:2", "x");
            }
            "admin" => assert_eq!(Http::connect(self.admin).get("/healthz").status, 200),
            _ => panic!("no listener {listener}"),
        }
    }

    /// How long the server kept this waiting: where others load the machine, the time that it has
    /// worked for meanwhile counts.
    fn time(&self, ask: impl FnOnce()) -> Duration {
        let (before, asked) = (self.worked(), Instant::now());
        ask();
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let worked = (self.worked() - before) / u32::try_from(cores).unwrap();
        asked.elapsed().min(worked)
    }

    /// The processor time of all of its threads.
    fn worked(&self) -> Duration {
        let threads = fs::read_dir(format!("/proc/{}/task", self.program.0.id())).unwrap();
        let worked_ns = |thread: fs::DirEntry| -> Option<u64> {
            let figures = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            figures.split(' ').next()?.parse().ok()
        };
        Duration::from_nanos(threads.filter_map(|thread| worked_ns(thread.ok()?)).sum())
    }

    /// Asks all other listeners again and again while `floods` are said at one, each on a
    /// connection.
    fn flooded(&self, at: &str, floods: Vec<(TcpStream, String)>) {
        let alone = |page| self.time(|| drop(Http::connect(self.admin).get(page)));
        let page = PAGES.into_iter().map(alone).max().unwrap();
        let latest = if at == "admin" { LATEST.max(page * 4) } else { LATEST };
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            for (socket, text) in &floods {
                scope.spawn(|| flood(socket, text.as_bytes(), &is_over));
                scope.spawn(|| discard(socket));
            }
            let mut worst = Vec::new();
            for _ in 0..ROUNDS {
                for listener in LISTENERS {
                    if listener != at {
                        worst.push((self.time(|| self.ask(listener)), listener));
                    }
                }
            }
            is_over.store(true, Ordering::Relaxed);
            for (socket, _) in &floods {
                let _ = socket.shutdown(Shutdown::Both);
            }
            worst.sort_unstable();
            println!("{at}: {:?}, a page takes {page:?}", worst.last());
            assert!(worst.last().unwrap().0 < latest, "flooded at {at}: {worst:?}, {page:?}");
        });
    }
}

/// Says it again and again. Whatever the server does to such a client is right.
fn flood(mut socket: &TcpStream, text: &[u8], is_over: &AtomicBool) {
    let texts = text.repeat(1 + 16 * 1024 / text.len());
    while !is_over.load(Ordering::Relaxed) && socket.write_all(&texts).is_ok() {}
}

fn discard(mut socket: &TcpStream) {
    let mut buffer = [0; 64 * 1024];
    loop {
        match socket.read(&mut buffer) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

#[test]
fn the_dearest_operation_at_one_listener_keeps_no_other_waiting() {
    let batch = format!("[{}]", vec![r#"{"to":"all","text":"x"}"#; 1_000].join(","));
    let push = format!("POST /push {batch}");
    let pages = PAGES.map(|page| format!("GET {page} ")).join("\n");
    let floods = |house: &House, at: &str| match at {
        "nats" => nats_floods(house.nats),
        "chat" => chat_floods(house.chat),
        "push" => push_floods(house.push),
        "push-http" => http_floods(house.push_http, &push),
        // As many as have profiles made for them at the same time.
        _ => http_floods(house.admin, &pages).split_off(CLIENTS - 2),
    };
    for at in LISTENERS {
        // Its own server: what a flood leaves in its sockets takes a minute to work off.
        let house = House::start(&["--push-http-per-second", "1000000"]);
        house.flooded(at, floods(&house, at));
    }
}

const CLIENTS: usize = 8;

fn nats_floods(address: SocketAddr) -> Vec<(TcpStream, String)> {
    // Every look at such a pattern takes sixteen steps.
    let prefix = "a.".repeat(15);
    let reply = format!("PUB nobody {prefix}x 0\r\n\r\n");
    let body = r#"{"subject":"nobody"}"#;
    let policy = format!("PUB $FANFARE.POLICY a {}\r\n{body}\r\n", body.len());
    let mut floods = Vec::new();
    for client in 0..3 * CLIENTS {
        let mut wire = Wire::connect(address);
        wire.say(r#"CONNECT {"verbose":false,"headers":true,"no_responders":true}"#);
        for first in (0..SUBSCRIPTIONS).step_by(1_000) {
            let some: String =
                (first..first + 1_000).map(|sid| format!("SUB {prefix}{sid} {sid}\r\n")).collect();
            wire.send(some);
            wire.sync();
        }
        let text = if client % 3 == 0 { &policy } else { &reply };
        floods.push((wire.into_socket(), text.clone()));
    }
    // Topics that are published to more than once, and looked at by whoever subscribes to all.
    let topics: String = (0..1_000).map(|topic| format!("PUB t.{topic} 0\r\n\r\n")).collect();
    for _ in 0..CLIENTS / 2 {
        floods.push((quiet(address).into_socket(), topics.clone()));
        floods.push((quiet(address).into_socket(), "SUB > 1\r\nUNSUB 1\r\n".to_owned()));
    }
    floods
}

const SUBSCRIPTIONS: usize = 12_000;

fn quiet(address: SocketAddr) -> Wire {
    let mut wire = Wire::connect(address);
    wire.say(r#"CONNECT {"verbose":false,"pedantic":false}"#);
    wire
}

fn chat_floods(address: SocketAddr) -> Vec<(TcpStream, String)> {
    let person = |_| {
        (chat::Client::connect(address).into_socket(), "/who\n/rooms\n/join a\n/leave a\n".into())
    };
    (0..CLIENTS).map(person).collect()
}

fn push_floods(address: SocketAddr) -> Vec<(TcpStream, String)> {
    let groups = (0..30).map(|group| {
        format!("{}\n{}\n", json!({"join": group.to_string()}), json!({"leave": group.to_string()}))
    });
    let groups: String = groups.collect();
    let client = |_| {
        let mut client = push::Client::connect(address);
        client.say(json!({"hello": {"user": "3"}}));
        (client.into_socket(), groups.clone())
    };
    (0..CLIENTS).map(client).collect()
}

/// Each line is a method, a path, and a body.
fn http_floods(address: SocketAddr, lines: &str) -> Vec<(TcpStream, String)> {
    let request = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let [method, path, body] = [(); 3].map(|()| words.next().unwrap());
        let length = body.len();
        format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n{body}"
        )
    };
    let requests: String = lines.split('\n').map(request).collect();
    (0..CLIENTS).map(|_| (connect(address), requests.clone())).collect()
}

#[test]
fn tools_of_nats_find_what_they_read() {
    let house = House::start(&["--nats-version", "2.9", "--nats-ping-interval-ms", "5000"]);
    let info = Wire::connect(house.nats).info;
    let page = |path| page(house.admin, path);
    let varz = page("/varz");
    assert_eq!((&varz["version"], &varz["port"]), (&info["version"], &info["port"]));
    assert_eq!((&varz["ping_interval"], &varz["proto"]), (&5_000_000_000_u64.into(), &1.into()));
    assert_eq!((&varz["max_control_line"], &varz["max_pending"]), (&4096.into(), &67108864.into()));
    assert_eq!(page("/healthz"), json!({"status": "ok"}));
    let _client = quiet(house.nats);
    let connections = page("/connz");
    let is_of_admin = |row: &Value| row["front_end"] == "admin";
    assert!(!connections["connections"].as_array().unwrap().iter().any(is_of_admin));
    wait_until("those of the pages before are gone", || {
        page("/connz?front_end=admin")["total"] == 1
    });
    for (path, expected) in [
        ("/routez", json!({"num_routes": 0, "routes": []})),
        ("/gatewayz", json!({"outbound_gateways": {}, "inbound_gateways": {}})),
        ("/accountz", json!({"system_account": "$SYS", "accounts": ["$G", "$SYS"]})),
        ("/jsz", json!({"disabled": true, "streams": 0})),
    ] {
        let told = page(path);
        assert_eq!(told["server_id"], info["server_id"], "{path}");
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&told[name], value, "{path}");
        }
    }
}

#[test]
fn nats_clients_that_have_all_their_subscriptions_leave_the_other_listeners_theirs() {
    let house = House::start(&["--nats-total-subscriptions", "100"]);
    let mut greedy = [quiet(house.nats), quiet(house.nats)];
    let subscriptions: String = (0..60).map(|sid| format!("SUB a.{sid} {sid}\r\n")).collect();
    for wire in &mut greedy {
        wire.send(&subscriptions);
    }
    // Which of them got fewer is a matter of chance.
    let refused = "-ERR 'maximum subscriptions exceeded'";
    let mut refusals = 0;
    for wire in &mut greedy {
        wire.say("PING");
        loop {
            match wire.line().as_str() {
                "PONG" => break,
                line => assert_eq!(line, refused),
            }
            refusals += 1;
        }
    }
    assert_eq!(refusals, 20);
    let [first, _] = &mut greedy;
    first.send("UNSUB 0\r\nSUB b 0\r\nSUB c 100\r\n");
    first.expect(format!("{refused}\r\n"));
    // One that ends by itself makes room too.
    first.send("UNSUB 0 1\r\nPUB b 0\r\n\r\n");
    first.expect("MSG b 0 0\r\n\r\n");
    first.send("SUB c 100\r\n");
    first.sync();
    ["nats", "chat", "push", "push-http", "admin"]
        .into_iter()
        .for_each(|listener| house.ask(listener));
    let mut person = chat::Client::connect(house.chat);
    person.say("/join rust");
    person.wait_for("* you are in rust");
    let [first, _] = greedy;
    drop(first);
    let mut other = quiet(house.nats);
    wait_until("there is room again", || {
        other.send("UNSUB 7\r\nSUB d 7\r\nPING\r\n");
        let answer = other.line();
        answer == "PONG" || {
            other.expect("PONG\r\n");
            false
        }
    });
}

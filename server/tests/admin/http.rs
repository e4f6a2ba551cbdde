//! The HTTP server under every front-end that speaks HTTP: clients that are slow, wrong, too many,
//! or gone.

use fanfare_server::connection::{ConnectionLimits, Listener};
use fanfare_server::diagnostics::{Diagnostics, Ended, FrontEnd};
use fanfare_server::http::{
    Call, HttpServer, HttpSettings, Response, Service, ServiceFuture, Upgraded, bytes, read_body,
    text,
};
use fanfare_server::limits;
use fanfare_server::tasks::{BoxedTask, Tasks};
use futures_lite::future::{block_on, pending};
use hyper::{Method, StatusCode};
use std::future::poll_fn;
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use testkit::http::{Http, get};
use testkit::leak_check::LeakCheck;
use testkit::patience::wait_until;

struct Server {
    http: Option<HttpServer>,
    address: SocketAddr,
    tasks: Tasks,
    front_end: Arc<FrontEnd>,
    state: Arc<State>,
    /// Last, so that it is dropped when the server has been.
    _leaks: LeakCheck,
}

#[derive(Default)]
struct State {
    running: AtomicUsize,
    release: event_listener::Event,
}

/// Counts a handler for as long as it lives.
struct Running(Arc<State>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Running {
    fn new(state: Arc<State>) -> Self {
        state.running.fetch_add(1, Ordering::SeqCst);
        Self(state)
    }
}

const LARGE_BYTES: usize = 64 << 20;
const BODY_BYTES: usize = 1_000;

fn start(settings: HttpSettings) -> Server {
    start_for(limits::ADMIN_CONNECTIONS, settings)
}

fn start_for(connections: usize, settings: HttpSettings) -> Server {
    start_on(connections, settings, |task: BoxedTask| drop(async_std::task::spawn(task)))
}

fn start_on(
    connections: usize,
    settings: HttpSettings,
    spawner: impl Fn(BoxedTask) + Send + Sync + 'static,
) -> Server {
    let tasks = Tasks::new(spawner);
    let limits = ConnectionLimits::from_anywhere(connections);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let limiter = listener.limiter().clone();
    let front_end = Diagnostics::new().front_end("http");
    let state = Arc::new(State::default());
    let (probed, running) = (front_end.clone(), state.clone());
    let leaks = LeakCheck::new(&tasks)
        .also_count("permits", move || limiter.connections())
        .also("connection", move || {
            probed.connections(0, 100).iter().map(|one| format!("{one:?}")).collect()
        })
        .also_count("handlers", move || running.running.load(Ordering::SeqCst));
    let http =
        HttpServer::start(listener, &tasks, Pages(state.clone()), settings, front_end.clone());
    Server {
        address: http.local_address(),
        http: Some(http),
        tasks,
        front_end,
        state,
        _leaks: leaks,
    }
}

struct Pages(Arc<State>);

impl Service for Pages {
    fn call(&self, call: Call) -> ServiceFuture {
        Box::pin(answer(self.0.clone(), call))
    }
}

async fn answer(state: Arc<State>, call: Call) -> Response {
    match (call.request.method(), call.path()) {
        (&Method::POST, _) => {
            let body = call.request.into_body();
            match read_body(body, BODY_BYTES, Duration::from_millis(300)).await {
                Ok(body) => text(StatusCode::OK, format!("{} bytes\n", body.len())),
                Err(error) => error.response(),
            }
        }
        (_, "/large") => bytes(StatusCode::OK, "text/plain", vec![b'x'; LARGE_BYTES]),
        (_, "/hangs") => {
            let _running = Running::new(state);
            pending().await
        }
        (_, "/waits") => {
            let released = state.release.listen();
            let _running = Running::new(state.clone());
            released.await;
            text(StatusCode::OK, "released\n")
        }
        (_, "/echo") => call.upgrade("echo", |upgraded| Box::pin(echo(state, upgraded))),
        (_, "/hesitates") => {
            drop(call.upgrade("echo", |upgraded| Box::pin(echo(state, upgraded))));
            text(StatusCode::OK, "not today\n")
        }
        (_, "/") => text(StatusCode::OK, "hello\n"),
        _ => text(StatusCode::NOT_FOUND, "nothing\n"),
    }
}

/// A protocol that gives back what came, until the client has closed.
async fn echo(state: Arc<State>, upgraded: Upgraded) -> Ended {
    let _running = Running::new(state);
    let (connection, mut bytes) = (upgraded.connection, upgraded.early.to_vec());
    let mut into = [0; 100];
    loop {
        while !bytes.is_empty() {
            let written = poll_fn(|context| connection.poll_write(context, &bytes)).await.unwrap();
            bytes.drain(..written);
        }
        match poll_fn(|context| connection.poll_read(context, &mut into)).await.unwrap() {
            0 => return Ended::Quit,
            read => bytes.extend_from_slice(&into[..read]),
        }
    }
}

fn quick(head_ms: u64, write_ms: u64) -> HttpSettings {
    HttpSettings {
        head_deadline: Duration::from_millis(head_ms),
        write_deadline: Duration::from_millis(write_ms),
        ..HttpSettings::default()
    }
}

#[test]
fn a_request_names_one_host() {
    let server = start(HttpSettings::default());
    for hosts in ["", "Host: localhost\r\nHost: evil.example\r\n", "Host: x\r\nHost: x\r\n"] {
        for version in ["1.0", "1.1"] {
            let mut client = Http::connect(server.address);
            client.send(format!("GET / HTTP/{version}\r\n{hosts}\r\n"));
            assert_eq!(client.answer().unwrap().status, 400, "{version} {hosts}");
        }
    }
}

#[test]
fn a_connection_is_used_for_many_requests() {
    let server = start(HttpSettings::default());
    let mut client = Http::connect(server.address);
    for _ in 0..3 {
        let answer = client.get("/");
        assert_eq!((answer.status, answer.text()), (200, "hello\n"));
        assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    }
    assert_eq!(client.get("/nothing").status, 404);
    let connection = &server.front_end.connections(0, 10)[0];
    assert_eq!((connection.messages_in, connection.messages_out), (4, 4));
    assert!(connection.bytes_in > 100 && connection.bytes_out > 100, "{connection:?}");
    let head = client.head("/");
    assert!(head.contains("content-length: 6") && head.ends_with("\r\n\r\n"), "{head}");
    wait_until("the connection is over", || server.front_end.connection_count() == 0);
}

#[test]
fn it_runs_on_any_executor() {
    let server = start_on(limits::ADMIN_CONNECTIONS, HttpSettings::default(), |task: BoxedTask| {
        std::thread::spawn(move || block_on(task));
    });
    assert_eq!(get(server.address, "/").text(), "hello\n");
}

#[test]
fn a_head_that_comes_byte_by_byte_does_not_hold_its_place() {
    // Long enough for a request, however busy the machine is.
    let server = start(quick(2_000, 10_000));
    let mut slow = Http::connect(server.address);
    slow.send("GET / HTTP/1.1\r\nHost: ");
    let mut idle = Http::connect(server.address);
    assert_eq!(idle.get("/").status, 200);
    // Both are closed: the one in the middle of its head, and the one that asks nothing more.
    slow.rest();
    idle.rest();
    wait_until("both places are free", || server.front_end.connection_count() == 0);
    assert_eq!(server.front_end.figures().ended.get("cut"), None);
}

#[test]
fn bytes_that_are_no_http_are_answered_and_the_connection_closed() {
    let server = start(HttpSettings::default());
    let many_headers: String =
        (0..=limits::HTTP_HEADERS).map(|number| format!("h{number}: x\r\n")).collect();
    let long_header = format!("h: {}\r\n", "x".repeat(limits::HTTP_HEAD_BYTES));
    for (sent, status) in [
        ("\0\x01\x02 nonsense\r\n\r\n".to_owned(), 400),
        ("GET / HTTP/9.9\r\n\r\n".to_owned(), 400),
        (format!("GET / HTTP/1.1\r\n{many_headers}\r\n"), 431),
        (format!("GET / HTTP/1.1\r\n{long_header}\r\n"), 431),
    ] {
        let mut client = Http::connect(server.address);
        client.send(&sent);
        assert_eq!(client.answer().map(|answer| answer.status), Some(status), "{sent:?}");
        assert_eq!(client.rest(), "");
    }
    assert_eq!(get(server.address, "/").status, 200);
}

#[test]
fn one_too_many_is_told_so_and_a_place_is_given_back() {
    let server = start_for(1, HttpSettings::default());
    let mut one = Http::connect(server.address);
    one.get("/");
    let refused = Http::connect(server.address).answer().unwrap();
    assert_eq!((refused.status, refused.headers["connection"].as_str()), (503, "close"));
    assert_eq!(refused.text(), "this server is full (1 connection); try again later\n");
    drop(one);
    wait_until("the place is free", || server.front_end.connection_count() == 0);
    wait_until("it is given to another", || {
        let mut another = Http::connect(server.address);
        another.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        another.answer().is_some_and(|answer| answer.status == 200)
    });
}

#[test]
fn a_client_that_does_not_read_the_answer_is_closed() {
    let server = start(quick(10_000, 300));
    let mut stuck = Http::connect(server.address);
    stuck.send("GET /large HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_until("it is closed", || server.front_end.figures().slow_consumers == 1);
    assert_eq!(server.front_end.figures().ended, [("write time-out", 1)].into());
}

#[test]
fn bodies_have_a_bound_in_bytes_and_in_time() {
    let server = start(HttpSettings::default());
    let post = |length: usize, body: &str| {
        let mut client = Http::connect(server.address);
        client
            .send(format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"));
        let answer = client.answer().unwrap();
        (answer.status, answer.text().to_owned())
    };
    assert_eq!(post(5, "12345"), (200, "5 bytes\n".to_owned()));
    let too_large = "x".repeat(BODY_BYTES + 1);
    let told = (413, format!("the body is too large; at most {BODY_BYTES} bytes\n"));
    assert_eq!(post(too_large.len(), &too_large), told);
    assert_eq!(post(5, "123"), (408, "the body was not there after 300 ms\n".to_owned()));
}

#[test]
fn a_client_that_sends_nothing_more_gets_its_answer() {
    let server = start(HttpSettings::default());
    let mut client = Http::connect(server.address);
    client.send("GET /waits HTTP/1.1\r\nHost: x\r\n\r\n");
    client.socket().shutdown(Shutdown::Write).unwrap();
    wait_until("it runs", || server.state.running.load(Ordering::SeqCst) == 1);
    server.state.release.notify(1);
    assert_eq!(client.answer().map(|answer| answer.status), Some(200));
    assert_eq!(client.rest(), "");
}

#[test]
fn a_handler_ends_with_its_client() {
    let half_closed = Duration::from_millis(100);
    let server = start(HttpSettings { half_closed, ..HttpSettings::default() });
    let mut client = Http::connect(server.address);
    client.send("GET /hangs HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_until("it runs", || server.state.running.load(Ordering::SeqCst) == 1);
    drop(client);
    wait_until("it has ended", || server.state.running.load(Ordering::SeqCst) == 0);
    wait_until("the connection is over", || server.front_end.connection_count() == 0);
}

#[test]
fn a_server_that_stops_gives_the_answers_it_is_at_and_cuts_the_rest() {
    let mut server = start(HttpSettings::default());
    let (mut waits, mut hangs, mut idle) = (
        Http::connect(server.address),
        Http::connect(server.address),
        Http::connect(server.address),
    );
    waits.send("GET /waits HTTP/1.1\r\nHost: x\r\n\r\n");
    hangs.send("GET /hangs HTTP/1.1\r\nHost: x\r\n\r\n");
    idle.get("/");
    wait_until("both run", || server.state.running.load(Ordering::SeqCst) == 2);
    let http = server.http.take().unwrap();
    let stopping =
        std::thread::spawn(move || block_on(http.ended(Instant::now() + Duration::from_secs(5))));
    assert_eq!(idle.rest(), "");
    server.state.release.notify(usize::MAX);
    let answer = waits.answer().unwrap();
    assert_eq!((answer.text(), answer.headers["connection"].as_str()), ("released\n", "close"));
    assert_eq!(hangs.rest(), "");
    stopping.join().unwrap();
    assert_eq!(server.tasks.alive(), 0);
    let ended = server.front_end.figures().ended;
    assert_eq!(ended, [("server stopped", 2), ("cut", 1)].into());
}

#[test]
fn a_connection_can_go_on_in_another_protocol_and_stays_the_servers() {
    let mut server = start(quick(2_000, 10_000));
    let mut client = Http::connect(server.address);
    assert_eq!(client.get("/").status, 200);
    let ask = "Connection: upgrade\r\nUpgrade: echo\r\n";
    client.send(format!("GET /echo HTTP/1.1\r\nHost: x\r\n{ask}\r\nearly, "));
    let answer = client.answer().unwrap();
    assert_eq!((answer.status, answer.headers["upgrade"].as_str()), (101, "echo"));
    wait_until("it runs", || server.state.running.load(Ordering::SeqCst) == 1);
    let connection = &server.front_end.connections(0, 10)[0];
    assert_eq!((connection.name.as_str(), server.tasks.alive()), ("echo", 2));
    client.send("late");
    client.socket().shutdown(Shutdown::Write).unwrap();
    assert_eq!(client.rest(), "early, late");
    wait_until("the connection is over", || {
        server.front_end.figures().ended == [("quit", 1)].into()
    });
    // It lives beyond the deadline of a head, and is cut with the server.
    let mut another = Http::connect(server.address);
    assert_eq!(another.get_with("/echo", ask).status, 101);
    let mut idle = Http::connect(server.address);
    idle.get("/");
    assert_eq!(idle.rest(), "");
    another.send("still there");
    wait_until("it runs", || server.state.running.load(Ordering::SeqCst) == 1);
    server.http = None;
    assert!(another.rest().len() <= "still there".len());
    wait_until("it has ended", || server.state.running.load(Ordering::SeqCst) == 0);
}

#[test]
fn a_client_whose_upgrade_is_refused_stays_with_http() {
    let server = start(HttpSettings::default());
    let mut client = Http::connect(server.address);
    for _ in 0..2 {
        assert_eq!(
            client.get_with("/hesitates", "Connection: upgrade\r\nUpgrade: echo\r\n").text(),
            "not today\n"
        );
    }
    assert_eq!(client.get("/").text(), "hello\n");
    // Without being asked there is nothing to go on from.
    assert_eq!(client.get("/hesitates").text(), "not today\n");
    drop(client);
    wait_until("the connection is over", || {
        server.front_end.figures().ended == [("peer closed", 1)].into()
    });
}

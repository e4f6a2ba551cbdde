//! The push gateway by HTTP: pushes, batches, streams of events, and who may ask.

use fanfare_server::admin::{self, AdminSettings};
use fanfare_server::connection::{ConnectionLimits, LameDuck, Listener, RunningServer};
use fanfare_server::http::HttpServer;
use fanfare_server::push::PushSettings;
use fanfare_server::push::access::{Access, Rights};
use futures_lite::future::block_on;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use testkit::http::{Answer, Http};
use testkit::patience::{PATIENCE, connect, wait_until};
use testkit::push::TestServer;

struct HttpTest {
    server: TestServer,
    http: HttpServer,
    address: SocketAddr,
}

fn start(access: Access, change: impl FnOnce(&mut PushSettings)) -> HttpTest {
    let server = TestServer::start_with(access, change);
    let http = server.http(&["http://page.example"]);
    HttpTest { server, address: http.local_address(), http }
}

impl HttpTest {
    fn ask(&self, method: &str, path: &str, headers: &str, body: &str) -> (u16, Value) {
        let answer = self.ask_whole(method, path, headers, body);
        let body = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        (answer.status, body)
    }

    fn ask_whole(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let mut http = Http::connect(self.address);
        let length = body.len();
        http.send(format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\
             {headers}\r\n{body}"
        ));
        http.answer().expect("an answer")
    }

    fn post(&self, path: &str, body: &str) -> (u16, Value) {
        self.ask("POST", path, "", body)
    }

    /// Pushes until that is too fast, at the second attempt at the latest: after the first, the
    /// server takes nothing for many seconds.
    fn push_too_many(&self) {
        let batch = Value::from(vec![json!({"to": "user:nobody", "text": ""}); 1_000]).to_string();
        assert!([(); 2].into_iter().any(|()| self.post("/push", &batch).0 == 429));
    }

    /// The lines of a stream of events.
    fn events(&self, query: &str, headers: &str) -> Events {
        let mut socket = connect(self.address);
        write!(socket, "GET /events?{query} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").unwrap();
        let mut events = Events { reader: BufReader::new(socket) };
        assert_eq!(events.line(), "HTTP/1.1 200 OK");
        while !events.line().is_empty() {}
        events
    }
}

struct Events {
    reader: BufReader<TcpStream>,
}

impl Events {
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The object of the next event.
    fn object(&mut self) -> Value {
        loop {
            if let Some(data) = self.line().strip_prefix("data: ") {
                return serde_json::from_str(data).unwrap();
            }
        }
    }
}

#[test]
fn a_push_is_answered_with_its_receipt() {
    let test = start(Access::default(), |_| {});
    let mut client = test.server.user("42");
    let (status, receipt) = test.post("/push/user:42?id=o-17&ttl=30&ack", "hello");
    assert_eq!(status, 200);
    assert_eq!(
        (&receipt["id"], &receipt["reached"], &receipt["missed"]),
        (&json!("o-17"), &json!(1), &json!(0))
    );
    let push = client.object();
    assert_eq!((&push["push"]["text"], &push["push"]["ack"]), (&json!("hello"), &json!(true)));
    client.say(json!({"ack": "o-17"}));
    client.settle();
    let (status, fate) = test.ask("GET", "/push/o-17", "", "");
    assert_eq!((status, &fate["reached"], &fate["acknowledged"]), (200, &json!(1), &json!(1)));
    assert_eq!(test.ask("GET", "/push/nosuch", "", "").0, 404);
    assert_eq!(test.ask("GET", "/figures", "", "").1["acknowledged"], 1);
}

#[test]
fn a_receipt_waits_for_acknowledgements_as_long_as_it_is_told() {
    let test = start(Access::default(), |_| {});
    let mut client = test.server.user("42");
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| test.post("/push/user:42?id=o-17&ack_ms=30000", "hello").1);
        assert_eq!(client.object()["push"]["ack"], true);
        client.say(json!({"ack": "o-17"}));
        let receipt = asking.join().unwrap();
        assert_eq!(
            (&receipt["reached"], &receipt["acknowledged"], &receipt["expired"]),
            (&json!(1), &json!(1), &json!(0))
        );
    });
    // In a batch, none waits for another: the last is there before the first is acknowledged.
    std::thread::scope(|scope| {
        let batch = json!([
            {"to": "user:42", "text": "a", "id": "a", "ack_ms": 30_000},
            {"to": "user:42", "text": "b", "id": "b", "ack_ms": 30},
            {"to": "user:42", "text": "c"},
        ]);
        let test = &test;
        let asking = scope.spawn(move || test.post("/push", &batch.to_string()).1);
        assert_eq!(
            (client.text(), client.text(), client.text()),
            ("a".into(), "b".into(), "c".into())
        );
        client.say(json!({"ack": "a"}));
        let outcomes = asking.join().unwrap();
        assert_eq!(outcomes[0]["acknowledged"], 1);
        assert_eq!(
            (&outcomes[1]["acknowledged"], &outcomes[2]["acknowledged"]),
            (&json!(0), &Value::Null)
        );
    });
    assert_eq!(test.post("/push/user:42?ack_ms=30001", "x").0, 400);
}

#[test]
fn nobody_waits_for_acknowledgements_for_a_sender_that_has_left_or_a_server_that_ends() {
    let test = start(Access::default(), |_| {});
    let mut client = test.server.user("42");
    let mut leaving = Http::connect(test.address);
    leaving.send(
        "POST /push/user:42?ack_ms=30000 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
    );
    client.text();
    assert_eq!(test.server.told("push_ack_waits", &[]), 1);
    drop(leaving);
    wait_until("the wait to end", || test.server.told("push_ack_waits", &[]) == 0);
    let mut waiting = Http::connect(test.address);
    waiting.send(
        "POST /push/user:42?ack_ms=30000 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\nx",
    );
    client.text();
    test.server.push.as_ref().unwrap().begin_stop();
    let answer = waiting.answer().expect("an answer");
    let receipt = answer.json();
    assert_eq!((answer.status, &receipt["acknowledged"]), (200, &json!(0)));
}

#[test]
fn monitoring_sees_the_figures_that_pushes_and_their_deliveries_have() {
    let test = start(Access::default(), |settings| settings.http_per_second = 4);
    let limits = ConnectionLimits::from_anywhere(10);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let server = &test.server;
    let settings = AdminSettings::default();
    let admin =
        admin::start(listener, &server.broker, &server.tasks, &server.diagnostics, settings);
    let mut client = server.user("42");
    test.post("/push/user:42?id=a&ack", "x");
    assert_eq!(client.text(), "x");
    client.say(json!({"ack": "a"}));
    client.settle();
    let sender = server.sender();
    assert_eq!(sender.ask("all;reply y"), "ok 1 0");
    sender.send("rubbish");
    wait_until("the rubbish to be read", || server.figures().udp.malformed == 1);
    assert_eq!((test.post("/push/nobody", "").0, test.post("/push", "[").0), (400, 400));
    test.push_too_many();
    let limited = server.figures().http.limited;
    let page = |path: &str| {
        let mut http = Http::connect(admin.local_address());
        http.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        String::from_utf8(http.answer().expect("an answer").body).unwrap()
    };
    let metrics = page("/metrics");
    for expected in [
        "fanfare_push_pushes_total{way=\"udp\",outcome=\"accepted\"} 1".to_owned(),
        "fanfare_push_pushes_total{way=\"http\",outcome=\"malformed\"} 2".to_owned(),
        format!("fanfare_push_pushes_total{{way=\"http\",outcome=\"limited\"}} {limited}"),
        "fanfare_push_deliveries_total{outcome=\"acknowledged\"} 1".to_owned(),
        "fanfare_push_datagrams_total 2".to_owned(),
        "fanfare_push_datagrams_refused_total{reason=\"malformed\"} 1".to_owned(),
        "fanfare_push_signatures_remembered 0.0".to_owned(),
        "fanfare_push_fates 1.0".to_owned(),
    ] {
        assert!(metrics.lines().any(|line| line == expected), "{expected} is not in:\n{metrics}");
    }
    let varz: Value = serde_json::from_str(&page("/varz")).unwrap();
    assert_eq!((&varz["push_accepted_udp"], &varz["push_acknowledged"]), (&json!(1), &json!(1)));
    // They are the same counters.
    let figures = test.ask("GET", "/figures", "", "").1;
    assert_eq!(
        (&figures["udp"]["accepted"], &figures["reached"]),
        (&varz["push_accepted_udp"], &varz["push_reached"])
    );
}

#[test]
fn a_topic_is_published_and_a_batch_is_pushed_in_order() {
    let test = start(Access::default(), |_| {});
    let mut orders =
        test.server.broker.subscribe(&fanfare::Pattern::parse("orders.>").unwrap()).unwrap();
    assert_eq!(test.post("/publish/orders.eu", "two boxes").1["reached"], 1);
    assert!(orders.try_recv().is_ok());
    let mut client = test.server.user("42");
    let batch = json!([
        {"to": "user:42", "text": "a"},
        {"to": "user:4.2", "text": "b"},
        {"to": "all", "base64": "/wA=", "id": "c"},
        {"to": "all"},
        {"to": "user:42", "text": "d", "ttl": 5},
    ]);
    let (status, outcomes) = test.post("/push", &batch.to_string());
    assert_eq!(status, 200);
    assert_eq!((&outcomes[0]["reached"], &outcomes[2]["id"]), (&json!(1), &json!("c")));
    assert!(outcomes[1]["error"].is_string() && outcomes[3]["error"].is_string());
    assert_eq!(client.text(), "a");
    assert_eq!(client.object()["push"]["base64"], "/wA=");
    assert_eq!(client.text(), "d");
}

#[test]
fn mistakes_are_answered_with_what_is_wrong() {
    let test = start(Access::default(), |_| {});
    let large = "x".repeat(65 * 1024);
    let many = Value::from(vec![json!({"to": "all", "text": ""}); 1001]).to_string();
    for (method, path, body, expected) in [
        ("POST", "/push/nobody", "", 400),
        ("POST", "/push/user:a.b", "", 400),
        ("POST", "/push/all?ttl=x", "", 400),
        ("POST", "/push/all?id=%20", "", 400),
        ("POST", "/push/%ff", "", 400),
        ("POST", "/publish/a..b", "", 400),
        ("POST", "/publish/a?ttl=1", "", 400),
        ("POST", "/push", "rubbish", 400),
        ("POST", "/push", "[{\"to\": 1}]", 400),
        ("POST", "/push", &many, 413),
        ("POST", "/push/all", &large, 413),
        ("PUT", "/push/all", "", 405),
        ("GET", "/nosuch", "", 404),
        ("GET", "/events", "", 400),
        ("GET", "/events?user=a.b", "", 400),
    ] {
        let (status, answer) = test.ask(method, path, "", body);
        assert_eq!(status, expected, "{method} {path}: {answer}");
        assert!(answer["error"].is_string(), "{method} {path}");
    }
    assert_eq!(test.server.figures().accepted(), 0);
}

#[test]
fn tokens_say_who_may_push_where() {
    let rights = |token: &str, targets: &[&str]| Rights {
        token: token.into(),
        user: Some("42".into()),
        groups: Vec::new(),
        targets: targets.iter().map(|target| (*target).to_owned()).collect(),
    };
    let tokens = vec![rights("sender", &["user:*"]), rights("reader", &[])];
    let test = start(Access::new(Vec::new(), Some(tokens)).unwrap(), |_| {});
    let push = |token: &str, path: &str| {
        let headers = if token.is_empty() {
            String::new()
        } else {
            format!("Authorization: Bearer {token}\r\n")
        };
        test.ask("POST", path, &headers, "x").0
    };
    assert_eq!((push("", "/push/user:42"), push("wrong", "/push/user:42")), (401, 401));
    assert_eq!((push("sender", "/push/user:42"), push("sender", "/push/all")), (200, 403));
    assert_eq!((push("reader", "/push/user:42"), push("sender", "/publish/user")), (403, 403));
    assert_eq!(test.ask("GET", "/events?user=43&token=reader", "", "").0, 403);
    let mut events = test.events("user=42&token=reader", "");
    assert!(events.object()["hello"].is_object());
    // A client with a token may use any host name.
    let mut http = Http::connect(test.address);
    http.send(
        "GET /figures HTTP/1.1\r\nHost: push.example\r\nAuthorization: Bearer reader\r\n\r\n",
    );
    assert_eq!(http.answer().unwrap().status, 200);
}

#[test]
fn pages_of_other_origins_may_not_ask() {
    let test = start(Access::default(), |_| {});
    let push =
        |origin: &str| test.ask_whole("POST", "/push/all", &format!("Origin: {origin}\r\n"), "x");
    assert_eq!((push("http://evil.example").status, push("null").status), (403, 403));
    assert_eq!(push("http://localhost").status, 200);
    // One whose own name leads here, as its server can arrange.
    let named = |name: &str| {
        let mut http = Http::connect(test.address);
        http.send(format!("GET /figures HTTP/1.1\r\nHost: {name}\r\n\r\n"));
        http.answer().unwrap().status
    };
    assert_eq!((named("evil.example"), named("127.0.0.1:7003"), named("[::1]")), (403, 200, 200));
    // An image, or a link: without an origin, but from another site all the same.
    let asked = |site: &str| {
        let headers = format!("Sec-Fetch-Site: {site}\r\n");
        test.ask_whole("GET", "/figures", &headers, "").status
    };
    assert_eq!((asked("cross-site"), asked("same-site")), (403, 403));
    assert_eq!((asked("same-origin"), asked("none")), (200, 200));
    let allowed = push("http://page.example");
    assert_eq!(allowed.status, 200);
    assert_eq!(
        allowed.headers.get("access-control-allow-origin").map(String::as_str),
        Some("http://page.example")
    );
}

#[test]
fn a_sender_beyond_its_rate_is_told_when_to_try_again() {
    use fanfare::{Pattern, WhenFull};
    let test = start(Access::default(), |settings| {
        settings.http_per_second = 3;
        settings.at_once = 1;
        settings.timeout = PATIENCE;
    });
    let topic = Pattern::parse("orders").unwrap();
    let subscription =
        test.server.broker.subscription(&topic).queue_messages(1).when_full(WhenFull::Block);
    let forgotten = subscription.subscribe().unwrap();
    test.server.sender().send("topic:orders taken");
    test.server.sender().send("topic:orders waits");
    wait_until("a push to wait", || test.server.tasks.alive_by_name().get("push") == Some(&1));
    let busy = test.ask_whole("POST", "/push/all", "", "x");
    assert_eq!(
        (busy.status, busy.headers.get("retry-after").map(String::as_str)),
        (503, Some("1"))
    );
    drop(forgotten);
    wait_until("the push to end", || !test.server.tasks.alive_by_name().contains_key("push"));
    wait_until("one in time to be taken", || test.post("/push/all", "x").0 == 200);
    test.push_too_many();
}

#[test]
fn events_are_the_objects_of_a_client_and_go_on_where_one_left() {
    let test = start(Access::default(), |_| {});
    let mut events = test.events("user=42&group=a&group=b%C3%A9", "");
    assert_eq!(events.object(), json!({"hello": {"user": "42", "groups": ["a", "b\u{e9}"]}}));
    // The subscriptions begin with the stream.
    wait_until("the subscriptions", || test.server.broker.stats().subscriptions >= 4);
    test.post("/push/user:42", "one");
    assert_eq!(events.object()["push"]["text"], "one");
    test.post("/push/group:b%C3%A9", "two");
    let two = events.object();
    assert_eq!(two["push"]["text"], "two");
    drop(events);
    wait_until("the stream to end", || test.server.broker.stats().subscriptions == 0);
    test.post("/push/all", "three");
    let mut events = test.events(
        "user=42&group=a&group=b%C3%A9",
        &format!("Last-Event-ID: {}\r\n", two["push"]["n"]),
    );
    assert!(events.object()["hello"].is_object());
    assert_eq!(events.object()["push"]["text"], "three");
    test.server.broker.close();
    assert_eq!(
        std::iter::repeat_with(|| events.line()).find(|line| line == "0"),
        Some("0".to_owned()),
        "the last chunk"
    );
}

#[test]
fn a_lame_duck_sends_every_client_elsewhere() {
    let test = start(Access::default(), |_| {});
    let (mut by_tcp, mut by_http) = (test.server.user("42"), test.events("user=42", ""));
    let mut idle = Http::connect(test.address);
    assert_eq!(idle.get("/figures").status, 200);
    assert!(by_http.object()["hello"].is_object());
    assert_eq!(test.post("/push/user:42", "last").0, 200);
    let times = LameDuck { grace: Duration::ZERO, duration: Duration::ZERO };
    let servers: [&dyn RunningServer; 2] = [test.server.push.as_ref().unwrap(), &test.http];
    servers.into_iter().for_each(|server| block_on(server.lame_duck(times)));
    assert_eq!(by_tcp.text(), "last");
    assert_eq!(by_http.object()["push"]["text"], "last");
    for bye in [by_tcp.object(), by_http.object()] {
        assert_eq!(bye["bye"], "the server is ending");
    }
    let mut rest = String::new();
    by_http.reader.read_to_string(&mut rest).unwrap();
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
    assert_eq!(idle.rest(), "");
    wait_until("all have left", || {
        test.server.diagnostics.front_ends().iter().all(|it| it.connection_count() == 0)
    });
}

//! The admin listener: pages, metrics and profiles of a chat server, asked for as people, scrapers,
//! NATS tools and `go tool pprof` do.

use crate::FANFARE;
use fanfare_server::admin::{self, AdminSettings};
use fanfare_server::chat::ChatSettings;
use fanfare_server::connection::{ConnectionLimits, Listener};
use fanfare_server::http::HttpServer;
use fanfare_server::limits::{ADMIN_CONNECTIONS, ADMIN_PAGE_ROWS};
use fanfare_server::live::Live;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use testkit::chat::{TestServer, unhurried};
use testkit::http::{Answer, Http, get};
use testkit::patience::{PATIENCE, wait_until};

/// Ends before the chat server, which looks for what is left.
struct Admin {
    _server: HttpServer,
    chat: TestServer,
    address: SocketAddr,
}

fn start() -> Admin {
    start_with(unhurried(), None)
}

fn start_with(settings: ChatSettings, token: Option<&str>) -> Admin {
    let chat = TestServer::start(settings);
    let limits = ConnectionLimits::from_anywhere(ADMIN_CONNECTIONS);
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap(), limits).unwrap();
    let settings = AdminSettings { token: Live::new(token.map(str::to_owned)) };
    let server = admin::start(listener, &chat.broker, &chat.tasks, &chat.diagnostics, settings);
    Admin { address: server.local_address(), _server: server, chat }
}

impl Admin {
    #[track_caller]
    fn json(&self, path: &str) -> Value {
        let answer = get(self.address, path);
        assert_eq!(
            (answer.status, answer.headers["content-type"].as_str()),
            (200, "application/json")
        );
        serde_json::from_slice(&answer.body).unwrap()
    }

    fn html(&self, path: &str) -> Answer {
        Http::connect(self.address).get_with(path, "Accept: text/html,application/xhtml+xml\r\n")
    }

    /// Every sample by its name with labels, after a look at the form of all lines.
    #[track_caller]
    fn metrics(&self) -> BTreeMap<String, f64> {
        let answer = get(self.address, "/metrics");
        let expected = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert_eq!(answer.headers["content-type"], expected);
        let text = answer.text();
        assert!(text.ends_with("\n# EOF\n") && !text.contains("\n\n"), "{text}");
        let mut samples = BTreeMap::new();
        let mut family = "";
        for line in text.lines().take_while(|line| *line != "# EOF") {
            if let Some(typed) = line.strip_prefix("# TYPE ") {
                family = typed.split(' ').next().unwrap();
            } else if !line.starts_with('#') {
                assert!(line.starts_with(family), "{line} is not of {family}");
                let (name, value) = line.rsplit_once(' ').unwrap();
                let is_new = samples.insert(name.to_owned(), value.parse().unwrap()).is_none();
                assert!(is_new, "twice: {name}");
            }
        }
        samples
    }
}

#[test]
fn the_first_page_leads_to_all_others() {
    let admin = start();
    let index = admin.html("/");
    let links: Vec<&str> = index
        .text()
        .split("<li><a href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(links.len() >= 10, "{links:?}");
    for link in links {
        assert_eq!(admin.html(link).status, 200, "{link}");
    }
    assert_eq!(get(admin.address, "/nosuch").status, 404);
    let mut client = Http::connect(admin.address);
    client.send("POST /connz HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n");
    let refused = client.answer().unwrap();
    assert_eq!((refused.status, refused.headers["allow"].as_str()), (405, "GET"));
}

#[test]
fn connections_are_listed_as_nats_tools_read_them() {
    let admin = start();
    let mut alice = admin.chat.named("alice");
    let mut bob = admin.chat.named("bob");
    alice.say("hello");
    bob.wait_for("hello");
    let all = admin.json("/connz?front_end=chat");
    assert_eq!(
        (&all["num_connections"], &all["total"], &all["offset"]),
        (&2.into(), &2.into(), &0.into())
    );
    let of_alice = &all["connections"][0];
    let port = alice.socket().local_addr().unwrap().port();
    assert_eq!(
        (&of_alice["name"], &of_alice["ip"], &of_alice["port"]),
        (&"alice".into(), &"127.0.0.1".into(), &port.into())
    );
    assert_eq!((&of_alice["in_msgs"], &of_alice["subscriptions"]), (&1.into(), &2.into()));
    for field in [
        "cid",
        "lang",
        "version",
        "pending_bytes",
        "out_msgs",
        "in_bytes",
        "out_bytes",
        "uptime",
        "idle",
        "start",
    ] {
        assert!(!of_alice[field].is_null(), "{field} in {of_alice}");
    }
    let varz = admin.json("/varz");
    let ours = (
        &varz["connections"],
        &varz["total_connections"],
        &varz["in_msgs"],
        &varz["subscriptions"],
    );
    assert_eq!(ours, (&2.into(), &2.into(), &1.into(), &4.into()));
    for field in [
        "server_id",
        "server_name",
        "version",
        "out_msgs",
        "in_bytes",
        "out_bytes",
        "slow_consumers",
        "mem",
        "cpu",
    ] {
        assert!(!varz[field].is_null(), "{field} in {varz}");
    }
    for field in ["uptime", "start", "now", "port", "max_connections", "max_payload"] {
        assert!(!varz[field].is_null(), "{field} in {varz}");
    }
    assert_eq!(varz["server_id"], all["server_id"]);
}

#[test]
fn lists_come_in_pages() {
    let admin = start();
    let clients: Vec<_> = (0..5).map(|_| admin.chat.client()).collect();
    let ids = |query: &str| -> Vec<u64> {
        let page = admin.json(&format!("/connz?front_end=chat&{query}"));
        assert_eq!(page["total"], 5);
        page["connections"]
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row["cid"].as_u64().unwrap())
            .collect()
    };
    let all = ids("limit=100");
    assert_eq!(all.len(), 5);
    assert_eq!(
        [ids("limit=2"), ids("offset=2&limit=2"), ids("offset=4&limit=2"), ids("offset=9")]
            .concat(),
        all
    );
    assert_eq!(ids("limit=0").len(), 0);
    assert_eq!(admin.json(&format!("/subsz?limit={}", usize::MAX))["limit"], ADMIN_PAGE_ROWS.1);
    let subscriptions = admin.json("/subsz?offset=9&limit=5");
    assert_eq!(
        (&subscriptions["num_subscriptions"], &subscriptions["total"]),
        (&10.into(), &10.into())
    );
    assert_eq!(subscriptions["subscriptions_list"].as_array().unwrap().len(), 1);
    for wrong in ["limit=x", "limit=-1", "offset=99999999999999999999", "offset="] {
        let answer = get(admin.address, &format!("/connz?{wrong}"));
        assert_eq!(answer.status, 400, "{wrong}");
        assert!(answer.text().contains("has to be a number from 0 on"), "{}", answer.text());
    }
    drop(clients);
}

#[test]
fn a_browser_gets_a_table_in_which_nothing_can_do_harm() {
    let admin = start();
    let front_end = admin.chat.diagnostics.front_end("evil");
    let entry = front_end.connected("10.0.0.1:1".parse().unwrap(), &Default::default());
    entry.figures().set_name("<script>alert(\"1\")</script>");
    let page = admin.html("/connz");
    assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
    assert!(
        page.text().contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;"),
        "{}",
        page.text()
    );
    assert!(!page.text().contains("<script"), "{}", page.text());
}

#[test]
fn the_slowest_are_seen_before_anything_is_lost() {
    let admin = start_with(ChatSettings { wait: Duration::from_secs(3600), ..unhurried() }, None);
    let slow = admin.chat.named("slow");
    let mut talker = admin.chat.named("talker");
    let line = "x".repeat(4_000);
    let slowest = || admin.json("/slowz?limit=1")["subscriptions_list"][0].clone();
    // Its buffers fill first, then its queue. Few lines at a time, so that the queue is far from
    // full when this ends. One look decides: the kernel enlarges its buffers now and then, and what
    // was queued may be there at the next.
    let end = Instant::now() + PATIENCE / 2;
    let row = loop {
        let (row, queued) = (slowest(), admin.metrics()["fanfare_queued_messages"]);
        if row["full_percent"].as_f64() >= Some(20.0) && queued > 0.0 {
            break row;
        }
        assert!(Instant::now() < end, "{row}");
        for _ in 0..5 {
            talker.say(&line);
        }
        talker.lines_until_pong();
    };
    assert_eq!((&row["subject"], &row["dropped"]), (&"chat.room.lobby".into(), &0.into()), "{row}");
    let topics = admin.json("/topicz");
    assert_eq!(topics["topics"][0]["topic"], "chat.room.lobby");
    drop(slow);
}

#[test]
fn the_journal_shows_what_happened_newest_first() {
    let admin = start();
    drop(admin.chat.named("alice"));
    admin.chat.wait_for_counts((0, 0, 0));
    wait_until("it is noted", || admin.json("/journal").to_string().contains("peer closed"));
    let events = admin.json("/journal")["events"].clone();
    let of_chat = events.as_array().unwrap().iter().filter(|event| event["front_end"] == "chat");
    let kinds: Vec<&str> = of_chat.map(|event| event["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["ended", "connected", "listening"]);
}

#[test]
fn metrics_count_what_happens_and_have_a_bounded_set_of_labels() {
    let admin = start();
    let before = admin.metrics();
    let mut alice = admin.chat.named("alice");
    let mut bob = admin.chat.named("bob");
    alice.say("one");
    bob.wait_for("one");
    let after = admin.metrics();
    let grew = |name: &str| after[name] - before.get(name).unwrap_or(&0.0);
    assert_eq!(grew("fanfare_messages_in_total{front_end=\"chat\"}"), 1.0);
    assert!(grew("fanfare_published_total") >= 1.0);
    assert!(grew("fanfare_deliveries_total{outcome=\"queued\"}") >= 1.0);
    assert_eq!(after["fanfare_connections{front_end=\"chat\"}"], 2.0);
    assert_eq!(after["fanfare_tasks{name=\"chat connection\"}"], 2.0);
    assert_eq!(
        after["fanfare_publish_wait_seconds_bucket{le=\"+Inf\"}"],
        after["fanfare_publish_wait_seconds_count"]
    );
    assert!(after.keys().any(|name| {
        name.starts_with("fanfare_dropped_total{policy=\"wait\",reason=\"timed_out\"")
    }));
    assert!(after.keys().any(|name| name.starts_with("fanfare_build_info{version=")));
    #[cfg(target_os = "linux")]
    assert!(after["fanfare_process_resident_memory_bytes"] > 1e6);

    let names = |samples: &BTreeMap<String, f64>| samples.keys().cloned().collect::<BTreeSet<_>>();
    for number in 0..50 {
        let mut client = admin.chat.named(&format!("n{number}"));
        client.ask(&format!("/join room{number}"));
        client.ask("/quit");
        client.wait_for_end();
    }
    wait_until("all have left", || {
        admin.metrics()["fanfare_connections{front_end=\"chat\"}"] == 2.0
    });
    let (known, more) = (names(&after), names(&admin.metrics()));
    let new: Vec<&String> = more.difference(&known).collect();
    assert_eq!(new, ["fanfare_connections_ended_total{front_end=\"chat\",reason=\"quit\"}"]);
}

#[test]
fn it_is_ready_until_the_server_drains_and_healthy_even_then() {
    let admin = start();
    assert_eq!(
        (get(admin.address, "/healthz").status, get(admin.address, "/readyz").status),
        (200, 200)
    );
    admin.chat.broker.close();
    let draining = get(admin.address, "/readyz");
    assert_eq!((draining.status, draining.text()), (503, "draining: the server is ending\n"));
    assert_eq!(get(admin.address, "/healthz").status, 200);
}

#[test]
fn with_a_token_every_request_needs_it() {
    let admin = start_with(unhurried(), Some("secret"));
    let ask = |headers: &str| Http::connect(admin.address).get_with("/varz", headers);
    for wrong in [
        "",
        "Authorization: Bearer secre\r\n",
        "Authorization: Bearer secrets\r\n",
        "Authorization: Basic secret\r\n",
    ] {
        let refused = ask(wrong);
        assert_eq!(
            (refused.status, refused.headers["www-authenticate"].as_str()),
            (401, "Bearer"),
            "{wrong}"
        );
    }
    assert_eq!(ask("Authorization: Bearer secret\r\n").status, 200);
    // Whoever has the token may come under any name.
    let mut other = Http::connect(admin.address);
    other.send(
        "GET /varz HTTP/1.1\r\nHost: fanfare.example\r\nAuthorization: Bearer secret\r\n\r\n",
    );
    assert_eq!(other.answer().unwrap().status, 200);
}

#[test]
fn pages_of_other_sites_may_not_ask() {
    let admin = start();
    let status = |path: &str, site: &str| {
        let mut client = Http::connect(admin.address);
        client.send(format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: {site}\r\n\r\n"
        ));
        client.answer().unwrap().status
    };
    for path in ["/varz", "/debug/pprof/goroutine", "/debug/pprof/profile?seconds=1"] {
        for site in ["cross-site", "same-site"] {
            assert_eq!(status(path, site), 403, "{path} {site}");
        }
    }
    for site in ["same-origin", "none"] {
        assert_eq!(status("/debug/pprof/goroutine", site), 200, "{site}");
    }
}

#[test]
fn without_a_token_a_page_under_another_name_reads_nothing() {
    let admin = start();
    let status = |host: &str| {
        let mut client = Http::connect(admin.address);
        client.send(format!("GET /varz HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        client.answer().unwrap().status
    };
    for host in ["localhost", "LOCALHOST:6060", "127.0.0.1:1", "127.1.2.3", "[::1]", "[::1]:6060"] {
        assert_eq!(status(host), 200, "{host}");
    }
    for host in [
        "evil.example",
        "evil.example:6060",
        "localhost.evil.example",
        "192.0.2.1:6060",
        "[2001:db8::1]",
        "::1]x",
    ] {
        assert_eq!(status(host), 403, "{host}");
    }
}

#[test]
fn tasks_are_shown_in_groups_and_one_by_one() {
    let admin = start();
    let clients: Vec<_> = (0..3).map(|_| admin.chat.client()).collect();
    let grouped = get(admin.address, "/debug/pprof/goroutine?debug=1").text().to_owned();
    let mut lines = grouped.lines();
    assert!(lines.next().unwrap().starts_with("goroutine profile: total "), "{grouped}");
    assert_eq!(lines.next(), Some("3 @ chat connection < chat accept < chat server"), "{grouped}");
    assert!(
        lines.next().unwrap().starts_with("#\tchat connection\tserver/src/connection/acceptor.rs:"),
        "{grouped}"
    );
    wait_until("all wait for the lobby", || {
        let grouped = get(admin.address, "/debug/pprof/goroutine?debug=1").text().to_owned();
        grouped.contains("recv chat.room.lobby (3)")
    });
    let one_by_one = get(admin.address, "/debug/pprof/goroutine?debug=2").text().to_owned();
    assert_eq!(one_by_one.matches("]: chat connection\n").count(), 3, "{one_by_one}");
    assert_eq!(get(admin.address, "/debug/pprof/goroutine?debug=x").status, 400);
    drop(clients);
}

#[test]
fn top_shows_one_frame_to_a_script() {
    let admin = start_with(unhurried(), Some("secret"));
    let _alice = admin.chat.named("alice");
    let top = |arguments: &[&str]| {
        let mut command = std::process::Command::new(FANFARE);
        command
            .args(["top", &format!("http://{}", admin.address), "--once", "--interval-ms", "100"])
            .args(arguments);
        command.env_remove("FANFARE_ADMIN_TOKEN").output().unwrap()
    };
    let refused = top(&[]);
    assert!(!refused.status.success() && refused.stdout.is_empty(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("--token TOKEN"), "{refused:?}");
    let shown = top(&["--token", "secret"]);
    let frame = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.status.success() && frame.contains("connections  1 now, 1 in all"), "{frame}");
    assert!(frame.contains("chat.room.lobby"), "{frame}");
    assert!(
        frame.lines().any(|line| line.starts_with("chat connection") && line.ends_with(" 1")),
        "{frame}"
    );
}

#[test]
fn a_health_check_is_a_command() {
    let server = start();
    let ask = |address: &str| {
        std::process::Command::new(FANFARE).args(["health", address]).output().unwrap()
    };
    assert!(ask(&server.address.to_string()).status.success());
    assert_eq!(ask("127.0.0.1:1").status.code(), Some(1));
}

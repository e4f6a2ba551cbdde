//! The admin listener: pages, metrics and profiles of a chat server, asked for as people, scrapers,
//! NATS tools and `go tool pprof` do.

use crate::FANFARE;
use fanfare::Topic;
use fanfare_server::chat::ChatSettings;
use fanfare_server::diagnostics::FrontEnd;
use fanfare_server::limits::{
    ADMIN_LIVE_MS, ADMIN_PAGE_ROWS, ADMIN_PUBLISH_BYTES, ADMIN_WATCH_MESSAGES,
};
use fanfare_server::message::ServerMessage;
use futures_lite::future::block_on;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use testkit::admin::{Admin, start, start_with};
use testkit::chat::unhurried;
use testkit::http::{Http, get};
use testkit::patience::{PATIENCE, wait_until};

#[test]
fn the_first_page_leads_to_all_others() {
    let admin = start();
    let index = get(admin.address, "/");
    let links: Vec<&str> = index
        .text()
        .split("<li><a href=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert!(links.len() >= 10, "{links:?}");
    for link in links {
        assert_eq!(get(admin.address, link).status, 200, "{link}");
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
    // The NATS exporter for Prometheus panics at a value of another type, and at null.
    let texts = ["kind", "type", "ip", "start", "last_activity", "uptime", "idle", "name"];
    let numbers = ["cid", "port", "pending_bytes", "subscriptions"];
    let counted = ["in_msgs", "out_msgs", "in_bytes", "out_bytes"];
    for row in all["connections"].as_array().unwrap() {
        for field in texts.into_iter().chain(["account", "lang", "version"]) {
            assert!(row[field].is_string(), "{field} in {row}");
        }
        for field in numbers.into_iter().chain(counted) {
            assert!(row[field].is_u64(), "{field} in {row}");
        }
        assert!(row.as_object().unwrap().values().all(|value| !value.is_null()), "{row}");
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
fn names_of_peers_are_never_taken_for_html() {
    let admin = start();
    let front_end = admin.chat.diagnostics.front_end("evil");
    let entry = front_end.connected("10.0.0.1:1".parse().unwrap(), &Default::default());
    entry.figures().set_name("<script>alert(\"1\")</script>");
    let list = get(admin.address, "/connz");
    assert!(list.text().contains("<script>"), "{}", list.text());
    assert_eq!(list.headers["content-type"], "application/json");
    assert_eq!(list.headers["x-content-type-options"], "nosniff");
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
    let end = Instant::now() + PATIENCE;
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
    wait_until("the scrape before has ended", || {
        let ended = "fanfare_connections_ended_total{front_end=\"admin\",reason=\"peer closed\"}";
        admin.metrics().contains_key(ended)
    });
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

/// In a terminal of Python's. What a person at it sees and presses.
#[test]
fn top_takes_another_screen_and_keys() {
    let Some(mut python) = testkit::tools::program("python3") else { return };
    let server = start();
    let person = "
import os, pty, sys, time
seen = b''
child, terminal = pty.fork()
if child == 0:
    os.execv(sys.argv[1], [sys.argv[1], 'top', sys.argv[2], '--interval-ms', '100'])
def wait_for(what):
    global seen
    while what not in seen:
        seen += os.read(terminal, 65536)
    seen = seen[seen.index(what):]
wait_for(b'\\x1b[?1049h')
wait_for(b'SLOWEST (? for the keys)')
os.write(terminal, b'd')
wait_for(b'*DROPPED')
os.write(terminal, b'?')
wait_for(b'those that dropped the most')
os.write(terminal, b'?')
wait_for(b'TASKS')
os.write(terminal, b'q')
wait_for(b'\\x1b[?1049l')
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
";
    let address = server.address.to_string();
    let ended = python.args(["-c", person, FANFARE, &address]).status().unwrap();
    assert!(ended.success());
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

/// What an open stream of events has sent when it has sent `text`.
fn stream_until(client: &mut Http, text: &str) -> String {
    let mut seen = Vec::new();
    let mut bytes = [0; 4_096];
    let end = Instant::now() + PATIENCE;
    while !String::from_utf8_lossy(&seen).contains(text) {
        assert!(Instant::now() < end, "{text} in {}", String::from_utf8_lossy(&seen));
        let read = client.socket().read(&mut bytes).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
        seen.extend_from_slice(&bytes[..read]);
    }
    String::from_utf8(seen).unwrap()
}

fn open(admin: &Admin, path: &str) -> Http {
    let mut client = Http::connect(admin.address);
    client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    client
}

#[test]
fn all_who_look_are_sent_the_same_snapshot_and_told_of_the_end() {
    let admin = start();
    let _alice = admin.chat.named("alice");
    let mut one = open(&admin, "/live");
    let of_one = stream_until(&mut one, "\"waits\":0}\n\n");
    assert!(of_one.contains("content-type: text/event-stream"), "{of_one}");
    let snapshot = |text: &str| text.split("event: snapshot\ndata: ").nth(1).unwrap().to_owned();
    // Two who come within a second of each other.
    wait_until("both are sent the same", || {
        let two = [open(&admin, "/live"), open(&admin, "/live")];
        let [one, other] = two.map(|mut it| snapshot(&stream_until(&mut it, "\"waits\":0}\n\n")));
        one == other
    });
    assert!(of_one.contains("\"name\":\"chat\"") && of_one.contains("\"connections\":1"));
    admin.chat.broker.close();
    let last = stream_until(&mut one, "the server is ending") + &one.rest();
    assert!(last.ends_with("\r\n0\r\n\r\n"), "{last}");
}

#[test]
fn while_nobody_looks_nothing_is_measured() {
    let admin = start();
    let now_ms = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let look = || stream_until(&mut open(&admin, "/live"), "\n\n");
    assert!(look().contains("event: opening"));
    let front_end = admin.chat.diagnostics.front_end("admin");
    wait_until("nobody looks", || front_end.connection_count() == 0);
    let alone_ms = now_ms();
    wait_until("two snapshots would have been made", || now_ms() > alone_ms + 2 * ADMIN_LIVE_MS);
    let opening = look();
    let data = opening.split_once("event: opening\ndata: ").unwrap().1;
    let opening: Value = serde_json::from_str(data.lines().next().unwrap()).unwrap();
    let points = opening["points"].as_array().unwrap();
    let later = points.iter().filter(|point| point["at_ms"].as_u64().unwrap() > alone_ms);
    assert_eq!(later.count(), 1, "the one made for who looks now: {points:?}");
}

#[test]
fn connections_are_listed_by_number_whatever_they_speak() {
    let admin = start();
    let [one, other] = ["one", "other"].map(|name| admin.chat.diagnostics.front_end(name));
    let connect = |to: &Arc<FrontEnd>| to.connected(([127, 0, 0, 1], 1).into(), &Arc::default());
    let connections = [&one, &other, &one].map(connect);
    let numbers = connections.each_ref().map(|entry| json!(entry.figures().id()));
    for (query, expected) in [("limit=2", &numbers[..2]), ("offset=1", &numbers[1..])] {
        let list = admin.json(&format!("/connz?{query}"));
        let rows = list["connections"].as_array().unwrap().iter();
        assert_eq!(rows.map(|row| row["cid"].clone()).collect::<Vec<_>>(), expected, "{query}");
        assert_eq!(list["total"], 3);
    }
}

#[test]
fn connections_are_searched_sorted_and_looked_at_one_by_one() {
    let admin = start();
    let (mut alice, _bob) = (admin.chat.named("alice"), admin.chat.named("bob"));
    alice.say("hello");
    wait_until("it is counted", || {
        admin.json("/connz?search=ALI")["connections"][0]["in_msgs"] == 1
    });
    let names = |query: &str| -> Vec<String> {
        let list = admin.json(&format!("/connz?front_end=chat&{query}"));
        let rows = list["connections"].as_array().unwrap().iter();
        rows.map(|row| row["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("sort=name&reverse"), ["bob", "alice"]);
    assert_eq!(names("sort=msgs_from"), ["alice", "bob"]);
    assert_eq!(names("sort=msgs_from&offset=1"), ["bob"]);
    assert_eq!(names("search=%6Fb"), ["bob"]);
    assert_eq!(names("search=nobody"), [""; 0]);
    let other = admin.chat.diagnostics.front_end("other");
    let address = ([127, 0, 0, 1], 1).into();
    let [zoe, amy] = [(); 2].map(|()| other.connected(address, &Default::default()));
    zoe.figures().set_name("zoe");
    amy.figures().set_user("amy");
    let sorted = admin.json("/connz?front_end=other&sort=name");
    assert_eq!(sorted["connections"][0]["authorized_user"], "amy", "who has no name is sorted too");
    let wrong = get(admin.address, "/connz?sort=colour");
    assert_eq!(wrong.status, 400);
    assert!(wrong.text().starts_with("sort has to be cid, start, name"), "{}", wrong.text());

    let cid = admin.json("/connz?search=alice")["connections"][0]["cid"].clone();
    let detail = || admin.json(&format!("/connz?cid={cid}"))["connections"][0].clone();
    wait_until("it waits for more", || {
        detail()["waits_for"].as_str().is_some_and(|waits| waits.contains("socket read"))
    });
    let detail = detail();
    let subjects: Vec<&str> = detail["queues"]
        .as_array()
        .unwrap()
        .iter()
        .map(|queue| queue["subject"].as_str().unwrap())
        .collect();
    assert!(subjects.contains(&"chat.room.lobby"), "{detail}");
    assert_eq!(admin.json("/connz?cid=999999999")["total"], 0);
    let subscribers = admin.json("/subsz?topic=chat.room.lobby");
    assert_eq!(subscribers["total"], 2, "{subscribers}");
}

#[test]
fn a_connection_is_disconnected_by_who_may_and_the_journal_says_so() {
    let admin = start();
    let mut alice = admin.chat.named("alice");
    let cid = admin.json("/connz?search=alice")["connections"][0]["cid"].clone();
    let path = format!("/disconnect?cid={cid}");
    assert_eq!(get(admin.address, &path).status, 405, "not by a link");
    let ask = |headers: &str| {
        let mut client = Http::connect(admin.address);
        client.send(format!(
            "POST {path} HTTP/1.1\r\nHost: localhost:6060\r\n{headers}Content-Length: 0\r\n\r\n"
        ));
        client.answer().unwrap().status
    };
    for foreign in ["http://evil.example", "http://localhost:7003", "null"] {
        assert_eq!(ask(&format!("Origin: {foreign}\r\n")), 403, "{foreign}");
    }
    assert_eq!(ask("Origin: http://localhost:6060\r\n"), 200);
    alice.wait_for_end();
    wait_until("it is noted", || {
        admin.json("/journal").to_string().contains("disconnected by an administrator")
    });
    assert_eq!(ask(""), 404, "it has gone");
}

#[test]
fn messages_published_by_hand_are_received_by_hand_with_gaps() {
    let admin = start();
    let mut watch = open(&admin, "/subscribe?pattern=demo.%3E");
    stream_until(&mut watch, "event: subscribed\ndata: \"demo.>\"\n\n");
    let mut client = Http::connect(admin.address);
    let receipt = client.post("/publish?topic=demo.a", "<b>");
    assert_eq!(receipt.status, 200, "{}", receipt.text());
    let receipt = receipt.json();
    assert_eq!((&receipt["matched"], &receipt["queued"]), (&1.into(), &1.into()));
    let seen = stream_until(&mut watch, "event: message\n");
    assert!(seen.contains("\"text\":\"<b>\"") && seen.contains("\"topic\":\"demo.a\""), "{seen}");
    let topic = Topic::parse("demo.many").unwrap();
    // In one step, so that no reader is fast enough.
    let mut many: Vec<_> = (0..2 * ADMIN_WATCH_MESSAGES).map(|_| ServerMessage::of("x")).collect();
    let _ = block_on(admin.chat.broker.publisher().publish_batch(&topic, &mut many)).unwrap();
    stream_until(&mut watch, "event: missed\ndata: ");
    for (wrong, status) in [("/publish?topic=a..b", 400), ("/publish", 400)] {
        assert_eq!(client.post(wrong, "x").status, status, "{wrong}");
    }
    let large = client.post("/publish?topic=a", &"x".repeat(ADMIN_PUBLISH_BYTES + 1));
    assert_eq!(large.status, 413);
    assert_eq!(get(admin.address, "/subscribe?pattern=").status, 400);
}

#[test]
fn the_pages_need_no_token_and_let_nothing_of_elsewhere_in() {
    let admin = start_with(ChatSettings::default(), Some("secret"));
    for path in ["/", "/web/style.css", "/web/admin/app.js"] {
        let page = get(admin.address, path);
        assert_eq!(page.status, 200, "{path}");
        let policy = &page.headers["content-security-policy"];
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(page.headers["x-content-type-options"], "nosniff");
    }
    for path in ["/live", "/connz", "/subscribe?pattern=a", "/web/", "/web/../varz"] {
        assert_eq!(get(admin.address, path).status, 401, "{path}");
    }
}

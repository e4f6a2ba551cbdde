//! What is published in one account is unseen by the others.

use crate::{FANFARE, start};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::process::Command;
use testkit::directory::TempDirectory;
use testkit::nats::server::{Kind, Server};
use testkit::nats::settings::{Settings, User};
use testkit::nats::wire::Wire;
use testkit::patience::wait_until;

mod debian {
    use super::*;

    rules!(settings();
        subjects_of_one_account_are_unseen_by_the_others,
        queue_groups_have_members_of_one_account,
        requests_are_answered_within_an_account,
        a_client_says_nothing_of_its_account_itself,
        the_system_account_is_told_of_connects_and_disconnects,
        the_system_account_is_told_how_many_clients_an_account_has,
        the_system_account_is_told_of_clients_that_are_refused,
        the_system_account_asks_the_server_how_it_is,
    );

    rules!(silent();
        clients_that_do_not_say_who_they_are_are_the_user_for_that,
        clients_that_say_who_they_are_are_that,
    );
}

mod newest {
    use super::*;

    rules!(Settings { newest: true, ..settings() };
        subjects_of_one_account_are_unseen_by_the_others,
        queue_groups_have_members_of_one_account,
        requests_are_answered_within_an_account,
        a_client_says_nothing_of_its_account_itself,
        a_client_is_told_its_account,
        the_system_account_is_told_of_connects_and_disconnects,
        the_system_account_is_told_how_many_clients_an_account_has,
        the_system_account_is_told_of_clients_that_are_refused,
        the_system_account_asks_the_server_how_it_is,
        the_system_account_asks_whether_the_server_is_well,
        a_client_asks_who_it_is,
    );

    rules!(Settings { newest: true, ..silent() };
        clients_that_do_not_say_who_they_are_are_the_user_for_that,
        clients_that_say_who_they_are_are_that,
    );
}

pub fn settings() -> Settings {
    let users = [("A", "a"), ("A", "aa"), ("B", "b"), ("SYS", "s")];
    let mut users: Vec<User> =
        users.into_iter().map(|(account, name)| User::of(account, name, "p")).collect();
    users.push(User::new("g", "p"));
    Settings { users, system_account: Some("SYS"), ..Settings::default() }
}

pub fn silent() -> Settings {
    Settings { no_auth_user: Some("a"), ..settings() }
}

fn client(server: &Server, name: &str) -> Wire {
    server.client(&options(name))
}

fn options(name: &str) -> String {
    format!(
        r#""verbose":false,"pedantic":false,"headers":true,"no_responders":true,"lang":"test",
        "version":"1.2","name":"{name} of test","user":"{name}","pass":"p""#
    )
    .replace('\n', "")
}

pub fn subjects_of_one_account_are_unseen_by_the_others(server: Server) {
    let mut second = client(&server, "aa");
    second.send("SUB > 1\r\n");
    second.sync();
    for name in ["a", "b", "g"] {
        let mut wire = client(&server, name);
        wire.send(format!("SUB > 1\r\nPUB x {}\r\n{name}\r\n", name.len()));
        wire.expect(format!("MSG x 1 1\r\n{name}\r\n"));
        wire.sync();
    }
    second.expect("MSG x 1 1\r\na\r\n");
    second.sync();
}

fn queue_groups_have_members_of_one_account(server: Server) {
    let [mut member, mut other] = ["aa", "b"].map(|name| client(&server, name));
    for wire in [&mut member, &mut other] {
        wire.send("SUB jobs group 1\r\n");
        wire.sync();
    }
    let mut publisher = client(&server, "a");
    publisher.send("PUB jobs 1\r\nx\r\n".repeat(9));
    publisher.sync();
    member.expect("MSG jobs 1 1\r\nx\r\n".repeat(9));
    [member, other].iter_mut().for_each(Wire::sync);
}

fn requests_are_answered_within_an_account(server: Server) {
    let [mut asking, mut answering, mut other] = ["a", "aa", "b"].map(|name| client(&server, name));
    other.send("SUB help 1\r\n");
    other.sync();
    asking.send("SUB r.* 1\r\nPUB help r.1 0\r\n\r\n");
    expect_that_nobody_answers(&mut asking);
    answering.send("SUB help 1\r\n");
    answering.sync();
    asking.send("PUB help r.2 0\r\n\r\n");
    answering.expect("MSG help 1 r.2 0\r\n\r\n");
    answering.send("PUB r.2 6\r\ncoming\r\n");
    asking.expect("MSG r.2 1 6\r\ncoming\r\n");
    [asking, answering, other].iter_mut().for_each(Wire::sync);
}

/// The newest names the subject.
fn expect_that_nobody_answers(wire: &mut Wire) {
    assert!(wire.line().starts_with("HMSG r.1 1 "));
    wire.expect("NATS/1.0 503\r\n");
    let mut ends = 0;
    while ends < 2 {
        ends += usize::from(wire.line().is_empty());
    }
}

fn a_client_says_nothing_of_its_account_itself(server: Server) {
    let mut wire = server.connect();
    wire.say(r#"CONNECT {"user":"a","pass":"p","account":"B"}"#);
    wire.expect_last_words("-ERR 'Authorization Violation'\r\n");
}

pub fn clients_that_do_not_say_who_they_are_are_the_user_for_that(server: Server) {
    let [mut same, mut other] = ["aa", "b"].map(|name| client(&server, name));
    for wire in [&mut same, &mut other] {
        wire.send("SUB x 1\r\n");
        wire.sync();
    }
    let mut silent = server.connect();
    assert!(silent.info.get("auth_required").is_none());
    silent.send("SUB x 1\r\nPUB x 1\r\n1\r\n");
    silent.expect("+OK\r\n+OK\r\nMSG x 1 1\r\n1\r\n");
    let mut nameless = server.quiet();
    nameless.send("PUB x 1\r\n2\r\n");
    nameless.sync();
    same.expect("MSG x 1 1\r\n1\r\nMSG x 1 1\r\n2\r\n");
    [same, other].iter_mut().for_each(Wire::sync);
}

pub fn clients_that_say_who_they_are_are_that(server: Server) {
    let mut other = client(&server, "b");
    other.send("SUB x 1\r\nPUB x 1\r\n1\r\n");
    other.expect("MSG x 1 1\r\n1\r\n");
    for wrong in [r#""user":"a""#, r#""user":"b","pass":"x""#, r#""auth_token":"p""#] {
        let mut wire = server.connect();
        wire.say(&format!("CONNECT {{{wrong}}}"));
        wire.expect_last_words("-ERR 'Authorization Violation'\r\n");
    }
    other.sync();
}

pub fn a_client_is_told_its_account(server: Server) {
    for (name, account, is_system) in [("a", "A", false), ("g", "$G", false), ("s", "SYS", true)] {
        let mut wire = server.connect();
        wire.say(&format!("CONNECT {{{},\"protocol\":1}}", options(name)));
        wire.sync();
        let info = wire.read_info();
        assert_eq!(
            (&info["remote_account"], &info["connect_info"]),
            (&account.into(), &true.into())
        );
        assert_eq!(info["acc_is_sys"].as_bool().unwrap_or(false), is_system);
    }
}

pub fn a_client_asks_who_it_is(server: Server) {
    for (name, account) in [("a", "A"), ("g", "$G"), ("s", "SYS")] {
        let mut wire = client(&server, name);
        wire.send("SUB r.* 1\r\nPUB $SYS.REQ.USER.INFO r.1 0\r\n\r\n");
        let (subject, answer) = event(&mut wire);
        let who = json!({ "user": name, "account": account, "account_name": account });
        assert_eq!((subject.as_str(), &answer["data"]), ("r.1", &who));
        assert_eq!(answer["server"]["id"], wire.info["server_id"]);
        // Once.
        wire.sync();
    }
}

/// The next message, which has no headers: its subject and its JSON.
fn event(wire: &mut Wire) -> (String, Value) {
    let head = wire.line();
    let subject = head.strip_prefix("MSG ").and_then(|head| head.split(' ').next()).unwrap();
    (subject.to_owned(), serde_json::from_str(&wire.line()).unwrap())
}

pub fn the_system_account_is_told_of_connects_and_disconnects(server: Server) {
    let mut told = client(&server, "s");
    told.send("SUB $SYS.ACCOUNT.A.* 1\r\nSUB $SYS.ACCOUNT.B.* 2\r\n");
    told.sync();
    let mut unseen = client(&server, "g");
    unseen.send("SUB $SYS.> 1\r\n");
    let guest = client(&server, "a");
    let id = guest.info["client_id"].clone();
    let (subject, connected) = event(&mut told);
    assert_eq!(subject, "$SYS.ACCOUNT.A.CONNECT");
    let mut guest = guest;
    guest.send("SUB x 1\r\nPUB x 3\r\nabc\r\n");
    guest.expect("MSG x 1 3\r\nabc\r\n");
    guest.sync();
    drop(guest);
    let (subject, disconnected) = event(&mut told);
    assert_eq!(subject, "$SYS.ACCOUNT.A.DISCONNECT");
    for (event, what) in [(&connected, "connect"), (&disconnected, "disconnect")] {
        assert_eq!(event["type"], format!("io.nats.server.advisory.v1.client_{what}"));
        assert_eq!(event["server"]["id"], unseen.info["server_id"]);
        assert_eq!(event["server"]["ver"], unseen.info["version"]);
        assert_eq!(event["server"]["host"], unseen.info["host"]);
        for (name, value) in [
            ("acc", "A"),
            ("user", "a"),
            ("name", "a of test"),
            ("lang", "test"),
            ("ver", "1.2"),
            ("host", "127.0.0.1"),
            ("kind", "Client"),
            ("client_type", "nats"),
        ] {
            assert_eq!(event["client"][name], value, "{name} in {event}");
        }
        assert_eq!(event["client"]["id"], id);
        for time in [&event["timestamp"], &event["client"]["start"], &event["server"]["time"]] {
            assert!(time.as_str().is_some_and(|time| time.ends_with('Z')), "{event}");
        }
        assert!(event["id"].is_string() && event["server"]["seq"].is_u64(), "{event}");
    }
    assert_ne!(connected["id"], disconnected["id"]);
    assert_eq!(disconnected["reason"], "Client Closed");
    assert!(disconnected["client"]["stop"].is_string());
    for way in ["sent", "received"] {
        assert_eq!(disconnected[way]["msgs"], 1, "{disconnected}");
    }
    unseen.sync();
    told.sync();
}

fn the_system_account_is_told_how_many_clients_an_account_has(server: Server) {
    for subject in ["$SYS.ACCOUNT.A.SERVER.CONNS", "$SYS.SERVER.ACCOUNT.A.CONNS"] {
        let mut told = client(&server, "s");
        told.say(&format!("SUB {subject} 1"));
        told.sync();
        // It is told again from time to time.
        let mut wait_for = |clients: u64| loop {
            let (_, event) = event(&mut told);
            assert_eq!(event["type"], "io.nats.server.advisory.v1.account_connections");
            assert_eq!(event["acc"], "A");
            assert_eq!(event["leafnodes"], 0);
            if (&event["conns"], &event["total_conns"]) == (&clients.into(), &clients.into()) {
                break;
            }
        };
        let guests = ["a", "aa"].map(|name| client(&server, name));
        wait_for(2);
        drop(guests);
        wait_for(0);
    }
}

fn the_system_account_is_told_of_clients_that_are_refused(server: Server) {
    let mut told = client(&server, "s");
    told.send("SUB $SYS.SERVER.*.CLIENT.AUTH.ERR 1\r\n");
    told.sync();
    let mut refused = server.connect();
    refused.say(r#"CONNECT {"verbose":false,"user":"a","pass":"wrong"}"#);
    refused.expect_last_words("-ERR 'Authorization Violation'\r\n");
    let (subject, event) = event(&mut told);
    let id = refused.info["server_id"].as_str().unwrap();
    assert_eq!(subject, format!("$SYS.SERVER.{id}.CLIENT.AUTH.ERR"));
    assert_eq!(event["type"], "io.nats.server.advisory.v1.client_disconnect");
    assert_eq!(event["reason"], "Authentication Failure");
    assert_eq!(event["client"]["user"], "a");
    assert_eq!(event["client"]["id"], refused.info["client_id"]);
    told.sync();
}

/// The newest also says it as HTTP does, which is what `nats server report health` looks at.
fn the_system_account_asks_whether_the_server_is_well(server: Server) {
    let mut system = client(&server, "s");
    system.send("SUB r 1\r\nPUB $SYS.REQ.SERVER.PING.HEALTHZ r 0\r\n\r\n");
    let (_, answer) = event(&mut system);
    assert_eq!(answer["data"], serde_json::json!({ "status": "ok", "status_code": 200 }));
    system.sync();
}

fn the_system_account_asks_the_server_how_it_is(server: Server) {
    let [mut system, mut other] = ["s", "a"].map(|name| client(&server, name));
    let id = system.info["server_id"].as_str().unwrap().to_owned();
    let check = |answer: &Value| {
        assert_eq!(answer["server"]["id"], id.as_str());
        assert_eq!(
            (&answer["statsz"]["connections"], &answer["statsz"]["active_servers"]),
            (&2.into(), &1.into())
        );
        for figure in ["mem", "cores", "total_connections", "subscriptions", "slow_consumers"] {
            assert!(answer["statsz"][figure].is_u64(), "{figure} in {answer}");
        }
        assert!(answer["statsz"]["cpu"].is_number(), "{answer}");
        assert!(answer["statsz"]["received"]["msgs"].is_u64(), "{answer}");
    };
    for wire in [&mut system, &mut other] {
        wire.send("SUB r.* 1\r\nPUB $SYS.REQ.SERVER.PING r.1 0\r\n\r\n");
    }
    let (subject, answer) = event(&mut system);
    assert_eq!(subject, "r.1");
    check(&answer);
    for asked in ["PING", id.as_str()] {
        system.send(format!("PUB $SYS.REQ.SERVER.{asked}.STATSZ r.2 0\r\n\r\n"));
        let (subject, answer) = event(&mut system);
        assert_eq!(subject, "r.2");
        check(&answer);
    }
    for (what, options, field, value) in [
        ("PING.VARZ", "", "connections", Value::from(2)),
        ("PING.CONNZ", "", "num_connections", 2.into()),
        ("PING.CONNZ", r#"{"acc":"A","subscriptions":true}"#, "num_connections", 1.into()),
        ("PING.SUBSZ", r#"{"limit":7}"#, "limit", 7.into()),
        ("PING.HEALTHZ", "", "status", "ok".into()),
        ("PING.ACCOUNTZ", "", "server_id", id.as_str().into()),
        ("PING.LEAFZ", "", "leafnodes", 0.into()),
        ("PING.ROUTEZ", "", "num_routes", 0.into()),
    ] {
        for asked in [what.to_owned(), what.replace("PING", &id)] {
            let subject = format!("$SYS.REQ.SERVER.{asked}");
            system.send(format!("PUB {subject} r.3 {}\r\n{options}\r\n", options.len()));
            let (_, answer) = event(&mut system);
            assert_eq!(answer["server"]["id"], id.as_str(), "{asked}: {answer}");
            assert_eq!(answer["data"][field], value, "{asked} {options}: {answer}");
        }
    }
    system.send("PUB $SYS.REQ.ACCOUNT.A.CONNZ r.4 0\r\n\r\n");
    let (_, answer) = event(&mut system);
    assert_eq!(answer["data"]["num_connections"], 1, "{answer}");
    system.send("PUB $SYS.REQ.SERVER.PING.VARZ r.5 4\r\njunk\r\n");
    let (_, answer) = event(&mut system);
    assert_eq!(answer["error"]["code"], 400, "{answer}");
    // Another server is meant.
    let others = r#"{"server_name":"none of this name"}"#;
    system.send(format!("PUB $SYS.REQ.SERVER.PING r.6 {}\r\n{others}\r\n", others.len()));
    system.sync();
    // Nobody asks for this.
    system.send("SUB $SYS.SERVER.*.STATSZ 2\r\n");
    let (subject, answer) = event(&mut system);
    assert_eq!(subject, format!("$SYS.SERVER.{id}.STATSZ"));
    check(&answer);
    // No server listens in other accounts.
    expect_that_nobody_answers(&mut other);
    other.sync();
}

#[test]
fn each_account_has_its_share_of_the_subscriptions() {
    // Of four accounts, the global one among them.
    let flags = ["--nats-total-subscriptions", "8"].map(str::to_owned).to_vec();
    let server = start(Kind::Fanfare, &Settings { flags, ..settings() }).unwrap();
    let mut greedy = client(&server, "a");
    greedy.send("SUB a 1\r\nSUB b 2\r\nSUB c 3\r\n");
    greedy.expect("-ERR 'maximum subscriptions exceeded'\r\n");
    let [mut same, mut other] = ["aa", "b"].map(|name| client(&server, name));
    same.send("SUB a 1\r\n");
    same.expect("-ERR 'maximum subscriptions exceeded'\r\n");
    other.send("SUB a 1\r\nSUB b 2\r\n");
    other.sync();
    greedy.send("UNSUB 1\r\n");
    greedy.sync();
    same.send("SUB a 1\r\n");
    same.sync();
}

#[test]
fn a_reload_takes_over_accounts() {
    let folder = TempDirectory::new();
    let file = folder.path().join("users.toml");
    let user = |name: &str, account: &str| {
        format!("[[user]]\nname = {name:?}\npassword = \"p\"\naccount = {account:?}\n")
    };
    std::fs::write(&file, user("a", "A") + &user("b", "A")).unwrap();
    let flags = vec!["--nats-users-file".to_owned(), file.display().to_string()];
    let server = start(Kind::Fanfare, &Settings { flags, ..Settings::default() }).unwrap();
    let mut present = client(&server, "a");
    present.send("SUB x 1\r\n");
    present.sync();
    std::fs::write(&file, user("a", "A") + &user("b", "B") + &user("c", "A")).unwrap();
    server.signal(Signal::HUP);
    wait_until("the new user is known", || {
        let mut wire = server.connect();
        wire.say(&format!("CONNECT {{{}}}", options("c")));
        wire.say("PING");
        wire.line() == "PONG"
    });
    for name in ["b", "c"] {
        let mut wire = client(&server, name);
        wire.send(format!("PUB x 1\r\n{name}\r\n"));
        wire.sync();
    }
    present.expect("MSG x 1 1\r\nc\r\n");
    present.sync();
}

#[test]
fn an_account_or_user_that_there_is_not_is_refused_at_the_start() {
    let folder = TempDirectory::new();
    let file = folder.path().join("users.toml");
    std::fs::write(&file, "[[user]]\nname = \"a\"\npassword = \"p\"\naccount = \"A\"\n").unwrap();
    for (flags, expected) in [
        (["--nats-system-account", "C"].as_slice(), "--nats-system-account C is not the account"),
        (&["--cluster", "127.0.0.1:1", "--cluster-account", "C"], "--cluster-account C is not the"),
        (&["--nats-no-auth-user", "c"], "--nats-no-auth-user c is not a user"),
    ] {
        let mut fanfare = Command::new(FANFARE);
        fanfare.arg("--nats-users-file").arg(&file).arg("--check-config").args(flags);
        let output = fanfare.output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains(expected) && output.status.code() == Some(2), "{said}");
    }
}

//! nats-py and the npm client: a script for each in `tests/clients`, which plays all scenarios and
//! says `ok NAME` to each. When it says `restart`, the server is ended and started again on the
//! same port.

use super::rust::with_users;
use crate::start;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use testkit::nats::server::Kind;
use testkit::nats::settings::Settings;
use testkit::nats::tls_certificate;
use testkit::ports::own_address;
use testkit::tools::{nats_client, program, python_with_clients};

/// What each script has to do.
const SCENARIOS: [&str; 17] = [
    "connect",
    "wildcards",
    "queue_group",
    "request_reply",
    "no_responders",
    "headers",
    "max_payload",
    "max_payload_violation",
    "auto_unsubscribe",
    "drain",
    "large_payloads",
    "order",
    "reconnect",
    "wrong_password",
    "permission_violation",
    "accounts",
    "tls",
];

#[test]
fn python_nats_server() {
    play_all(python(), Kind::NatsServer);
}

#[test]
fn python_fanfare() {
    play_all(python(), Kind::Fanfare);
}

#[test]
fn node_nats_server() {
    play_all(node(), Kind::NatsServer);
}

#[test]
fn node_fanfare() {
    play_all(node(), Kind::Fanfare);
}

#[test]
fn node_floods_itself_nats_server() {
    floods_itself(Kind::NatsServer);
}

#[test]
fn node_floods_itself_fanfare() {
    floods_itself(Kind::Fanfare);
}

/// With more than may wait for a client, which reads nothing while it writes. On a busy machine it
/// may write for longer than a client may take nothing by default.
fn floods_itself(kind: Kind) {
    let Some(mut node) = node_with("load/self_flood.js") else { return };
    let flags = ["--nats-write-deadline-ms", "60000"].map(str::to_owned).into();
    let Some(server) = start(kind, &Settings { flags, ..Settings::default() }) else { return };
    let output = node.args([&server.address.to_string(), "70000"]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

fn python() -> Option<Command> {
    let mut command = python_with_clients()?;
    command.arg(script("clients/python/scenarios.py"));
    Some(command)
}

fn node() -> Option<Command> {
    node_with("clients/node/scenarios.js")
}

fn node_with(name: &str) -> Option<Command> {
    let modules = nats_client("node/node_modules/nats")?;
    let mut command = program("node")?;
    command.arg(script(name)).env("NODE_PATH", modules.parent()?);
    Some(command)
}

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(name)
}

#[track_caller]
fn play_all(command: Option<Command>, kind: Kind) {
    let Some(mut command) = command else { return };
    let settings = Settings::on_port(own_address().port());
    let Some(mut server) = start(kind, &settings) else { return };
    let (users, tls) =
        (start(kind, &with_users()), start(kind, &Settings { tls: true, ..Settings::default() }));
    let (users, tls) = (users.unwrap(), tls.unwrap());
    let addresses = [&server, &users, &tls].map(|server| server.address.to_string());
    command.args(addresses).arg(tls_certificate());
    let mut script = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut done = Vec::new();
    for line in BufReader::new(script.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        println!("{line}");
        if let Some(name) = line.strip_prefix("ok ") {
            done.push(name.to_owned());
        } else if line == "restart" {
            drop(server);
            server = start(kind, &settings).unwrap();
        }
    }
    assert!(script.wait().unwrap().success(), "the script failed, after {done:?}");
    // nats-py needs another package for that.
    done.retain(|name| name != "nkey");
    assert_eq!(done, SCENARIOS);
}

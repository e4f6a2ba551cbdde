//! The dashboard of a server that ten thousand clients are connected to, each with a topic of its
//! own.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::SocketAddr;
use testkit::browser::Script;
use testkit::http::page;
use testkit::nats::wire::Wire;

const CONNECTIONS: usize = 10_000;

#[test]
fn ten_thousand_connections_and_topics_are_listed_without_freezing() {
    let Some(mut script) = Script::of("many.js") else { return };
    // The server inherits the limit. It keeps more for other files than this program needs.
    let limit = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    // They have other things to do than to answer.
    let (server, [nats, admin]) = super::start(
        &[("--nats", "127.0.0.1:0"), ("--admin", "127.0.0.1:0")],
        &["--nats-connections-per-address", "10000", "--nats-ping-interval-ms", "3600000"],
        ["nats", "admin"],
    );
    let allowed = page(admin, "/varz")["max_connections"].as_u64().unwrap() as usize;
    let connections = CONNECTIONS.min(allowed);
    if connections < CONNECTIONS {
        println!("only {connections} connections: the limit on open files allows no more");
    }
    let clients: Vec<Wire> = (0..connections).map(|number| client(nats, number)).collect();
    script.play(&[&format!("http://{admin}"), &connections.to_string()], |wish| {
        panic!("asked for {wish}")
    });
    // It closes first, so that it is the server's port that has to wait.
    drop(server);
    drop(clients);
}

/// A client that subscribes to a topic of its own, and publishes there twice: the second message
/// has the topic listed.
fn client(server: SocketAddr, number: usize) -> Wire {
    let mut wire = Wire::connect(server);
    wire.say(&format!("CONNECT {{\"verbose\":false,\"name\":\"client-{number}\"}}"));
    wire.say(&format!("SUB many.t{number} 1"));
    for _ in 0..2 {
        wire.send(format!("PUB many.t{number} 1\r\nx\r\nPING\r\n"));
        wire.expect(format!("MSG many.t{number} 1 1\r\nx\r\nPONG\r\n"));
    }
    wire
}

//! A page that speaks NATS by WebSocket, in a real browser, beside a client by TCP.

use std::net::SocketAddr;
use testkit::browser::Script;
use testkit::nats::wire::Wire;
use testkit::process::Program;
use testkit::tools::nats_client;

/// A server that lets pages of one origin in, a client of it, and where pages connect.
fn start(origin: &str) -> (Program, Wire, SocketAddr) {
    let (program, [tcp, web_socket]) = super::start(
        &[("--nats", "127.0.0.1:0")],
        &["--nats-websocket", "127.0.0.1:0", "--nats-websocket-origins", origin],
        ["nats", "nats-websocket"],
    );
    let mut wire = Wire::client(tcp);
    wire.send("SUB from.> 1\r\n");
    wire.sync();
    (program, wire, web_socket)
}

#[test]
fn a_page_publishes_and_subscribes() {
    if nats_client("node/node_modules/nats.ws").is_none() {
        return;
    }
    let Some(mut script) = Script::of("nats_web_socket.js") else { return };
    let mut running = None;
    script.play(&[], |wish| {
        let (verb, rest) = wish.split_once(' ').unwrap();
        if verb == "start" {
            let (program, wire, address) = start(rest);
            running = Some((program, wire));
            return address.to_string();
        }
        let (_, wire) = running.as_mut().unwrap();
        match verb {
            "publish" => {
                let (subject, text) = rest.split_once(' ').unwrap();
                wire.send(format!("PUB {subject} {}\r\n{text}\r\n", text.len()));
                String::new()
            }
            "hears" => {
                let head = wire.line();
                assert!(head.starts_with(&format!("MSG {rest} 1 ")), "{head}");
                wire.line()
            }
            other => panic!("asked for {other}"),
        }
    });
}

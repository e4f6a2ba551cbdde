//! What client libraries and their tests expect of a server process.

use crate::start;
use rustix::process::Signal;
use std::time::Instant;
use testkit::nats::server::{Kind, Server};
use testkit::nats::settings::Settings;
use testkit::patience::PATIENCE;
use testkit::ports::own_address;

rules!(Settings::default();
    info_describes_the_server,
    connections_have_ids_of_their_own,
    an_end_on_request,
);

rules!(Settings::on_port(own_address().port()); a_new_start_on_the_same_port_at_once);

rules!(Settings { tls: true, ..Settings::default() };
    info_comes_before_tls,
    nobody_gets_in_without_tls,
);

rules!(Settings {
        lame_duck_duration_ms: Some(30_000),
        lame_duck_grace_ms: Some(10_000),
        ..Settings::default()
    };
    a_lame_duck_says_so_serves_on_and_closes_one_by_one,
);

fn info_describes_the_server(server: Server) {
    let info = server.connect().info;
    for name in ["server_id", "server_name", "version", "go", "host"] {
        assert!(info[name].as_str().is_some_and(|text| !text.is_empty()), "{name} in {info}");
    }
    let version = info["version"].as_str().unwrap();
    let numbers: Result<Vec<u64>, _> = version.split('.').map(str::parse).collect();
    assert_eq!(numbers.map(|numbers| numbers.len()), Ok(3), "{version}");
    assert_eq!(info["proto"], 1);
    assert_eq!(info["port"], server.address.port());
    assert_eq!(info["headers"], true);
    assert_eq!(info["max_payload"], 1 << 20);
    assert_eq!(info["client_ip"], "127.0.0.1");
    for name in ["auth_required", "tls_required", "ldm"] {
        assert!(info.get(name).is_none_or(|value| *value == false), "{name} in {info}");
    }
}

fn connections_have_ids_of_their_own(server: Server) {
    let (first, second) = (server.connect().info, server.connect().info);
    assert!(first["client_id"].is_u64() && second["client_id"].is_u64());
    assert_ne!(first["client_id"], second["client_id"]);
    assert_eq!(first["server_id"], second["server_id"]);
}

fn a_new_start_on_the_same_port_at_once(mut server: Server) {
    let mut client = server.quiet();
    server.signal(Signal::TERM);
    server.ended();
    client.drain();
    // Its connection was closed by the server, so the port is in TIME_WAIT.
    let again = start(server.kind, &Settings::on_port(server.address.port())).unwrap();
    assert_eq!(again.address, server.address);
    again.quiet().sync();
}

fn an_end_on_request(mut server: Server) {
    let mut client = server.quiet();
    let begun = Instant::now();
    server.signal(Signal::TERM);
    let status = server.ended();
    assert!(begun.elapsed() < PATIENCE);
    client.drain();
    match server.kind {
        // Version 2.9.10 gives 1, later ones give 0.
        Kind::NatsServer => assert!(matches!(status.code(), Some(0 | 1)), "{status}"),
        Kind::Fanfare => assert_eq!(status.code(), Some(0)),
    }
}

fn info_comes_before_tls(server: Server) {
    assert_eq!(server.connect().info["tls_required"], true);
}

fn nobody_gets_in_without_tls(server: Server) {
    let mut wire = server.connect();
    wire.send("CONNECT {\"verbose\":false}\r\nPING\r\n");
    let (_, said) = wire.drain();
    assert!(!said.contains("PONG"), "{said:?}");
}

fn a_lame_duck_says_so_serves_on_and_closes_one_by_one(mut server: Server) {
    // Protocol 1 is the word of a client that it understands an INFO at any time.
    let options = r#""verbose":false,"protocol":1"#;
    let mut clients = [server.client(options), server.client(options), server.client(options)];
    server.signal(Signal::USR2);
    for client in &mut clients {
        assert_eq!(client.read_info()["ldm"], true);
    }
    assert!(std::net::TcpStream::connect(server.address).is_err(), "nobody new gets in");
    let [first, second, _] = &mut clients;
    first.send("SUB a 1\r\n");
    first.sync();
    second.send("PUB a 1\r\nx\r\n");
    first.expect("MSG a 1 1\r\nx\r\n");
    for client in &mut clients {
        client.drain();
    }
    assert_eq!(server.ended().code(), Some(0));
}

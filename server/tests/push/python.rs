//! Python's `websockets`, a client that others have written, against the push gateway. `.ci/run`
//! installs it.

use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::time::Instant;
use testkit::patience::PATIENCE;
use testkit::process::Program;
use testkit::push::TestServer;
use testkit::tools::python_with_clients;

#[test]
fn python_plays_every_scenario() {
    let Some(mut python) = python_with_clients() else { return };
    let server = TestServer::start(|_| {});
    let mut http = Some(server.http(&["http://page.example"]));
    let address = http.as_ref().unwrap().local_address().to_string();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/python/web_socket.py");
    python.args([script, &address, &server.datagram_address.port().to_string()]);
    let mut script = Program(python.stdout(Stdio::piped()).spawn().unwrap());
    let mut done = Vec::new();
    for line in BufReader::new(script.0.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.strip_prefix("ok ") {
            Some(name) => done.push(name.to_owned()),
            None => {
                assert_eq!(line, "stop");
                let http = http.take().unwrap();
                http.begin_stop();
                futures_lite::future::block_on(server.broker.drain(PATIENCE));
                let report = futures_lite::future::block_on(http.ended(Instant::now() + PATIENCE));
                assert_eq!(report.connections_cut, 0);
            }
        }
    }
    assert!(script.0.wait().unwrap().success(), "the script failed, after {done:?}");
    assert_eq!(
        done,
        ["pushes", "comes_back", "pieces_and_pings", "long_pushes", "mistakes", "origins", "stops"]
    );
    assert_eq!(server.figures().acknowledged, 1);
}

//! `fanfare bench` against both servers, with little to do: it ends well, and says what it
//! measured.

use crate::{FANFARE, start};
use std::process::{Command, Output};
use testkit::nats::server::{Kind, Server};
use testkit::nats::settings::Settings;
use testkit::nats::tls_certificate;

fn bench(mode: &str, address: &str, more: &[&str]) -> Output {
    let mut command = Command::new(FANFARE);
    let small = ["--seconds", "0.1", "--subscribers", "3", "--format", "csv"];
    command.args(["bench", mode, address]).args(small).args(more).output().unwrap()
}

/// The figure of that name, in the only line of the result.
#[track_caller]
fn figure(output: &Output, name: &str) -> f64 {
    let text = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}{said}");
    // Its progress is for terminals alone.
    assert_eq!(said, "");
    let [names, values] = text.lines().collect::<Vec<_>>()[..] else { panic!("{text}") };
    let mut figures = names.split(',').zip(values.split(','));
    let (_, value) = figures.find(|(column, _)| *column == name).unwrap();
    value.parse().unwrap_or_else(|_| panic!("{name} in {text}"))
}

fn every_mode(server: Server) {
    let address = server.address.to_string();
    for (mode, more) in [
        ("pub", &[][..]),
        ("fan-out", &["--publishers", "2", "--batch", "8"]),
        ("fan-out", &["--batch", "1", "--payload-bytes", "70000"]),
        ("request", &[]),
        ("latency", &["--rate", "200"]),
        ("ceiling", &[]),
    ] {
        assert!(figure(&bench(mode, &address, more), "per_second") > 0.0, "{mode}");
    }
    let latency = bench("latency", &address, &["--rate", "200"]);
    assert!(figure(&latency, "p50_us") <= figure(&latency, "p99_us"));
    assert!(figure(&latency, "p99_us") <= figure(&latency, "max_us"));
}

#[test]
fn every_mode_nats_server() {
    start(Kind::NatsServer, &Settings::default()).into_iter().for_each(every_mode);
}

#[test]
fn every_mode_fanfare() {
    start(Kind::Fanfare, &Settings::default()).into_iter().for_each(every_mode);
}

/// Listens while somebody publishes.
fn listening(server: Server) {
    let address = server.address.to_string();
    let mut publisher = server.quiet();
    let is_over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                publisher.send("PUB orders.new 5\r\nhello\r\n");
                publisher.sync();
            }
        });
        let output = bench("sub", &address, &["--subject", "orders.*"]);
        is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(figure(&output, "per_second") > 0.0);
    });
}

#[test]
fn listening_nats_server() {
    start(Kind::NatsServer, &Settings::default()).into_iter().for_each(listening);
}

#[test]
fn listening_fanfare() {
    start(Kind::Fanfare, &Settings::default()).into_iter().for_each(listening);
}

#[test]
fn it_logs_in() {
    let settings = Settings { user: Some(("alice", "se\"cret")), ..Settings::default() };
    for kind in Kind::ALL {
        let Some(server) = start(kind, &settings) else { continue };
        let address = server.address.to_string();
        let inside = bench("pub", &address, &["--user", "alice", "--password", "se\"cret"]);
        assert!(figure(&inside, "per_second") > 0.0);
        let outside = bench("pub", &address, &["--user", "alice", "--password", "wrong"]);
        let said = String::from_utf8_lossy(&outside.stderr);
        assert_eq!(outside.status.code(), Some(1), "{said}");
        assert!(said.contains("Authorization Violation"), "{said}");
    }
}

#[test]
fn it_measures_by_tls() {
    let settings = Settings { tls: true, ..Settings::default() };
    let certificate = tls_certificate();
    let trusting = ["--tls-ca", certificate.to_str().unwrap()];
    for kind in Kind::ALL {
        let Some(server) = start(kind, &settings) else { continue };
        let address = server.address.to_string();
        for mode in ["pub", "fan-out", "request", "latency"] {
            assert!(figure(&bench(mode, &address, &trusting), "per_second") > 0.0, "{mode}");
        }
    }
}

#[test]
fn a_mistake_is_a_sentence() {
    let nobody = bench("pub", "127.0.0.1:1", &[]);
    assert_eq!(nobody.status.code(), Some(1));
    assert!(
        String::from_utf8_lossy(&nobody.stderr)
            .starts_with("fanfare: no connection to 127.0.0.1:1: ")
    );
    for (flag, value) in
        [("--payload-bytes", "15"), ("--batch", "0"), ("--rate", "0"), ("--format", "xml")]
    {
        let output = bench("pub", "127.0.0.1:1", &[flag, value]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(flag) && said.lines().count() == 1, "{said}");
    }
}

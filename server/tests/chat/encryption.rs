//! TLS on every listener of the real binary, by one pair of settings, and its certificate replaced.

use crate::FANFARE;
use crate::binary::Process;
use crate::operation::reload;
use fanfare_server::transport::{ClientStream, Trust};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use testkit::directory::TempDirectory;
use testkit::patience::PATIENCE;

/// The listeners, with something to say at each, and what the answer has in it.
const LISTENERS: [(&str, &str, &str); 6] = [
    ("chat", "/ping\n", "* pong"),
    ("nats", "CONNECT {\"verbose\":false}\r\nPING\r\n", "PONG"),
    ("nats-websocket", "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 426"),
    ("push", "{\"ping\":7}\n", "\"pong\":7"),
    ("push-http", "GET /none HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 404"),
    ("admin", "GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n", "HTTP/1.1 200"),
];

fn tls_file(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/tls")).join(name)
}

/// Somebody at a listener.
struct Visitor {
    stream: BufReader<Stream>,
    said: &'static str,
    answer: &'static str,
}

struct Stream(ClientStream);

impl std::io::Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        (&self.0).read(into)
    }
}

impl Visitor {
    fn ask(&mut self) {
        (&self.stream.get_ref().0).write_all(self.said.as_bytes()).unwrap();
        let mut line = String::new();
        while !line.contains(self.answer) {
            line.clear();
            assert!(self.stream.read_line(&mut line).unwrap() > 0, "no {} came", self.answer);
        }
    }
}

/// The real binary with every listener that has TLS, and their addresses as a name.
fn server(arguments: &[&str]) -> (Process, Vec<String>) {
    let mut command = Command::new(FANFARE);
    command.args(["--push-udp", "off", "--nats-tls-handshake-first", "true"]).args(arguments);
    command.args(LISTENERS.map(|(listener, _, _)| format!("--{listener}=127.0.0.1:0")));
    let mut server = Process::of(&mut command);
    let mut addresses = vec![format!("localhost:{}", server.address.port())];
    for (listener, _, _) in &LISTENERS[1..] {
        addresses.push(format!("localhost:{}", server.listening(listener).port()));
    }
    (server, addresses)
}

/// One visitor at each listener, by TLS, who believe the authority with this certificate.
fn visitors(addresses: &[String], certificate: &str) -> Vec<std::io::Result<Visitor>> {
    let trust = Trust::read(Some(&tls_file(certificate)), None).unwrap();
    let visit = |(address, (_, said, answer)): (&String, _)| {
        let stream = Stream(ClientStream::connect(address, Some(&trust), PATIENCE)?);
        Ok(Visitor { stream: BufReader::new(stream), said, answer })
    };
    addresses.iter().zip(LISTENERS).map(visit).collect()
}

fn fanfare(arguments: &[&str]) -> Output {
    Command::new(FANFARE).args(arguments).output().unwrap()
}

#[test]
fn every_listener_speaks_tls_and_shows_its_new_certificate_after_a_reload() {
    let directory = TempDirectory::new();
    let [cert, key] = ["cert.pem", "key.pem"].map(|name| directory.path().join(name));
    let install = |which: &str| {
        fs::copy(tls_file(&format!("{which}cert.pem")), &cert).unwrap();
        fs::copy(tls_file(&format!("{which}key.pem")), &key).unwrap();
    };
    install("");
    let flags = ["--tls-cert", cert.to_str().unwrap(), "--tls-key", key.to_str().unwrap()];
    let (mut server, addresses) = server(&flags);
    let mut log = BufReader::new(server.log.take().unwrap());
    let mut old: Vec<Visitor> =
        visitors(&addresses, "cert.pem").into_iter().map(Result::unwrap).collect();
    old.iter_mut().for_each(Visitor::ask);
    assert!(visitors(&addresses, "other-cert.pem").iter().all(Result::is_err));
    install("other-");
    assert!(reload(&server, &mut log).contains("the settings are reloaded"));
    for mut new in visitors(&addresses, "other-cert.pem").into_iter().map(Result::unwrap) {
        new.ask();
    }
    assert!(visitors(&addresses, "cert.pem").iter().all(Result::is_err));
    // Those who were there are served on.
    old.iter_mut().for_each(Visitor::ask);
    // A key of another certificate is a mistake, and changes nothing.
    fs::copy(tls_file("key.pem"), &key).unwrap();
    assert!(reload(&server, &mut log).contains("nothing changes: "));
    let new = visitors(&addresses, "other-cert.pem").remove(0);
    new.unwrap().ask();
    let admin = format!("https://{}", addresses[5]);
    let ca = tls_file("other-cert.pem");
    let healthy = fanfare(&["health", &admin, "--tls-ca", ca.to_str().unwrap()]);
    assert!(healthy.status.success(), "{}", String::from_utf8_lossy(&healthy.stderr));
    assert!(
        !fanfare(&["health", &admin, "--tls-ca", tls_file("cert.pem").to_str().unwrap()])
            .status
            .success()
    );
}

#[test]
fn a_listener_can_have_certificates_of_its_own_or_none() {
    let file = |name: &str| tls_file(name).to_str().unwrap().to_owned();
    let (cert, key) = (format!("--tls-cert={}", file("cert.pem")), file("key.pem"));
    let own = [file("other-cert.pem"), file("other-key.pem")];
    let (_server, addresses) = server(&[
        &cert,
        "--tls-key",
        &key,
        "--push-tls-cert",
        &own[0],
        "--push-tls-key",
        &own[1],
        "--nats-websocket-tls-cert",
        &own[0],
        "--nats-websocket-tls-key",
        &own[1],
        "--admin-tls-cert=off",
    ]);
    let encrypted = |certificate: &str| -> Vec<bool> {
        visitors(&addresses, certificate).iter().map(Result::is_ok).collect()
    };
    assert_eq!(encrypted("cert.pem"), [true, true, false, false, true, false]);
    assert_eq!(encrypted("other-cert.pem"), [false, false, true, true, false, false]);
    let plain = fanfare(&["health", &addresses[4]]);
    let said = String::from_utf8(plain.stderr).unwrap();
    assert!(said.contains("speaks TLS; write https://"), "{said}");
    let admin = fanfare(&["health", &addresses[5]]);
    assert!(admin.status.success(), "{}", String::from_utf8_lossy(&admin.stderr));
}

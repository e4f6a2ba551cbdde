//! What trusted proxies say of their clients: by the PROXY protocol, and in headers of requests.

use crate::FANFARE;
use crate::binary::Process;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use testkit::chat::Client;
use testkit::http::{Http, get};
use testkit::patience::{connect, wait_until};

/// The address of a client that no test has, with its last byte.
fn client_address(last: u8) -> [u8; 4] {
    [192, 0, 2, last]
}

/// A header of version 2 for a client over IPv4, with a detail behind the addresses.
fn header(last: u8) -> Vec<u8> {
    let mut header = b"\r\n\r\n\0\r\nQUIT\n\x21\x11".to_vec();
    let detail = [0x04, 0, 2, 7, 7];
    header.extend((12 + detail.len() as u16).to_be_bytes());
    header.extend(client_address(last));
    header.extend([10, 0, 0, 1]);
    header.extend(4711_u16.to_be_bytes());
    header.extend(7000_u16.to_be_bytes());
    header.extend(detail);
    header
}

struct Listeners {
    server: Process,
    nats: SocketAddr,
    push: SocketAddr,
    push_http: SocketAddr,
    admin: SocketAddr,
}

impl Listeners {
    fn open(arguments: &[&str]) -> Self {
        let mut command = Command::new(FANFARE);
        let listeners = ["chat", "nats", "push", "push-http", "admin"];
        command.args(listeners.map(|listener| format!("--{listener}=127.0.0.1:0")));
        let mut server = Process::of(command.args(["--push-udp", "off"]).args(arguments));
        let [nats, push, push_http, admin] =
            ["nats", "push", "push-http", "admin"].map(|listener| server.listening(listener));
        Self { server, nats, push, push_http, admin }
    }

    /// What the admin listener shows at a path.
    fn shown(&self, path: &str) -> String {
        get(self.admin, path).text().to_owned()
    }

    /// A connection to chat that begins with these bytes.
    fn chat(&self, first: &[u8]) -> Client {
        let mut client = Client::connect(self.server.address);
        client.send(first);
        client
    }
}

/// All that comes until the server closes.
fn rest(mut socket: TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset is a close too.
    let _ = socket.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn a_proxys_client_has_its_own_address_for_limits_and_lists() {
    let limit = "--chat-connections-per-address=1";
    let listeners = Listeners::open(&["--trusted-proxies", "10.0.0.0/8, 127.0.0.1", limit]);
    // Byte by byte, and then another with a line behind it.
    let mut first = listeners.chat(b"");
    header(7).iter().for_each(|&byte| first.send(&[byte]));
    first.wait_for("* you are in lobby");
    let mut second = listeners.chat(b"PROXY TCP4 192.0.2.8 10.0.0.1 4711 7000\r\n/nick bob\n");
    second.wait_for("* you are now bob");
    let listed = listeners.shown("/connz");
    for (address, port) in [("192.0.2.7", 4711), ("192.0.2.8", 4711)] {
        assert!(listed.contains(&format!("\"{address}\"")), "{address}:{port} in {listed}");
    }
    let full = "! your address has its 1 connection already; close one first";
    listeners.chat(&header(7)).wait_for(full);
    let journal = listeners.shown("/journal");
    assert!(journal.contains("\"about\": \"192.0.2.7\""), "{journal}");
    first.say("/quit");
    first.wait_for("* goodbye");
    wait_until("its place is free", || {
        let mut again = listeners.chat(&header(7));
        again.line().is_some_and(|line| line.starts_with("* welcome"))
    });
    // A health check, which is the proxy's own.
    let local = b"\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00";
    listeners.chat(local).wait_for("* you are in lobby");
    listeners.chat(b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n").wait_for("* you are in lobby");
}

#[test]
fn a_proxy_without_a_right_header_is_refused() {
    let listeners = Listeners::open(&["--trusted-proxies", "127.0.0.0/8"]);
    let mut wrong = vec![
        b"/nick alice\n".to_vec(),
        b"PROXY TCP4 192.0.2.8 10.0.0.1 4711\r\n/nick bob\n".to_vec(),
        b"PROXY TCP4 192.0.2.999 10.0.0.1 1 2\r\n".to_vec(),
        b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c".to_vec(),
    ];
    // Longer than any header has to be.
    wrong.push([b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff".as_slice(), &[0; 4_000]].concat());
    for first in wrong {
        for address in [listeners.server.address, listeners.nats, listeners.push] {
            let mut socket = connect(address);
            // It may have been refused already.
            let _ = socket.write_all(&first);
            assert_eq!(rest(socket), "", "{first:?}");
        }
    }
    let journal = listeners.shown("/journal");
    assert!(journal.contains("this proxy has to begin with a PROXY header"), "{journal}");
    assert!(journal.contains("its PROXY header is too long"), "{journal}");
}

#[test]
fn a_header_from_a_stranger_is_bad_input() {
    let listeners = Listeners::open(&["--trusted-proxies", "10.0.0.0/8"]);
    let mut witness = listeners.server.client();
    for first in [header(7), b"PROXY TCP4 192.0.2.8 10.0.0.1 4711 7000\r\n".to_vec()] {
        listeners.chat(&first).wait_for("! you are not one of this server's trusted proxies");
        let refusals = ["-ERR 'Unknown Protocol", "bye", "trusted proxies"];
        for address in [listeners.nats, listeners.push] {
            let mut socket = connect(address);
            socket.write_all(&[&first[..], b"\r\n"].concat()).unwrap();
            let said = rest(socket);
            assert!(refusals.iter().any(|refusal| said.contains(refusal)), "{said}");
        }
    }
    let said = witness.lines_until_pong();
    assert!(!said.iter().any(|line| line.contains("PROXY") || line.contains("QUIT")), "{said:?}");
}

#[test]
fn a_request_by_a_proxy_is_its_clients() {
    let limit = "--push-http-connections-per-address=1";
    let listeners = Listeners::open(&["--trusted-proxies", "127.0.0.1", limit]);
    let ask = |http: &mut Http, headers: &str| http.get_with("/events?user=42", headers);
    let mut http = Http::connect(listeners.push_http);
    // Without tokens, clients on this machine may do everything and others nothing.
    let refused = ask(&mut http, "X-Forwarded-For: 192.0.2.7\r\n");
    assert_eq!(refused.status, 403, "{}", refused.text());
    assert!(listeners.shown("/connz").contains("\"192.0.2.7\""));
    let mut second = Http::connect(listeners.push_http);
    let full = ask(&mut second, "Forwarded: for=192.0.2.7;proto=https\r\n");
    assert_eq!((full.status, full.text().contains("your address has its 1")), (503, true));
    let other = ask(&mut second, "X-Forwarded-For: 1.2.3.4, 192.0.2.8\r\n");
    assert_eq!(other.status, 403);
    let wrong = ask(&mut second, "X-Forwarded-For: unknown\r\n");
    assert_eq!(wrong.status, 400);
    // The word of others is not taken.
    let listeners = Listeners::open(&["--trusted-proxies", "10.0.0.0/8"]);
    let mut http = Http::connect(listeners.push_http);
    let pushed = http.get_with("/none", "X-Forwarded-For: 192.0.2.7\r\n");
    assert_eq!(pushed.status, 404);
    assert!(!listeners.shown("/connz").contains("192.0.2.7"));
}

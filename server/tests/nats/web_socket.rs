//! NATS over WebSockets.

use crate::FANFARE;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use testkit::http::Http;
use testkit::nats::wire::Wire;
use testkit::nats::{tls_certificate, tls_key};
use testkit::process::{Program, listening_only};
use testkit::tools::python_with_clients;
use testkit::web_socket::{BINARY, CLOSE, CONTINUED, FINAL, PING, PONG, UPGRADE, WebSocket};

/// A server that listens by TCP and by WebSocket.
struct Server {
    _program: Program,
    tcp: SocketAddr,
    web_socket: SocketAddr,
}

impl Server {
    fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(FANFARE);
        command.args(listening_only("--nats", "127.0.0.1:0")).args(arguments);
        command.args(["--nats-websocket", "127.0.0.1:0", "--log", "warn"]);
        let mut program = Program(command.stdout(Stdio::piped()).spawn().unwrap());
        let mut output = BufReader::new(program.0.stdout.take().unwrap()).lines();
        let mut listening = |listener: &str| {
            let line = output.next().unwrap().unwrap();
            line.strip_prefix(&format!("listening {listener} ")).unwrap().parse().unwrap()
        };
        let (tcp, web_socket) = (listening("nats"), listening("nats-websocket"));
        Self { _program: program, tcp, web_socket }
    }
}

/// Reads the stream that comes in frames, until it has that many bytes.
fn stream(client: &mut WebSocket, bytes: usize) -> String {
    let mut stream = Vec::new();
    while stream.len() < bytes {
        let (first, payload) = client.frame().expect("a frame");
        assert_eq!(first, BINARY);
        stream.extend(payload);
    }
    String::from_utf8(stream).unwrap()
}

fn expect(client: &mut WebSocket, text: &str) {
    assert_eq!(stream(client, text.len()), text);
}

#[test]
fn a_client_in_frames_is_a_client() {
    let server = Server::start(&[]);
    let mut framed = WebSocket::open(server.web_socket);
    let info = stream(&mut framed, 1);
    let info: Value = serde_json::from_str(info.strip_prefix("INFO ").unwrap()).unwrap();
    assert_eq!(info["headers"], true);
    let connect = r#"CONNECT {"verbose":false,"pedantic":false}"#;
    framed.send(FINAL | BINARY, format!("{connect}\r\nSUB a 1\r\nPING\r\n"));
    expect(&mut framed, "PONG\r\n");
    let mut plain = Wire::connect(server.tcp);
    plain.send(format!("{connect}\r\nSUB b 2\r\n"));
    plain.sync();
    // An operation in the middle of which a frame ends, with a ping of the WebSocket between.
    framed.send(BINARY, "PUB b 5\r\nhe");
    framed.send(FINAL | PING, "still there");
    framed.send(CONTINUED, "");
    framed.send(FINAL | CONTINUED, "llo\r\n");
    plain.expect("MSG b 2 5\r\nhello\r\n");
    assert_eq!(framed.frame().unwrap(), (PONG, b"still there".to_vec()));
    // More than fits into one frame or into what the kernel takes at once.
    let payload = "p".repeat(900_000);
    for _ in 0..10 {
        plain.send(format!("PUB a {}\r\n{payload}\r\n", payload.len()));
    }
    let message = format!("MSG a 1 {}\r\n{payload}\r\n", payload.len());
    let all = message.repeat(10);
    assert!(stream(&mut framed, all.len()) == all);
    framed.send(FINAL | CLOSE, 1000_u16.to_be_bytes());
    assert_eq!(framed.closes().0, 1000);
    let mut broken = WebSocket::open(server.web_socket);
    stream(&mut broken, 1);
    broken.send(FINAL | BINARY | 0x40, "PING\r\n");
    assert_eq!(broken.closes().0, 1002);
    plain.sync();
}

#[test]
fn a_page_may_ask_if_its_origin_is_listed() {
    const POST: &str = "POST / HTTP/1.1\r\nHost: localhost";
    let server = Server::start(&["--nats-websocket-origins", "https://app.example"]);
    let ask = |headers: &str| {
        let headers = format!("{UPGRADE}{headers}");
        Http::connect(server.web_socket).get_with("/", &headers).status
    };
    assert_eq!(ask("Origin: https://evil.example\r\n"), 403);
    assert_eq!(ask("Sec-Fetch-Site: cross-site\r\n"), 403);
    for allowed in ["", "Origin: https://app.example\r\n", "Origin: http://localhost\r\n"] {
        let mut client = WebSocket::open_and_send(server.web_socket, allowed, &[]);
        assert!(stream(&mut client, 1).starts_with("INFO "));
    }
    assert_eq!(Http::connect(server.web_socket).get("/").status, 426);
    for (begin, expected) in [("GET / HTTP/1.1\r\nHost: evil.example", 403), (POST, 400)] {
        let mut http = Http::connect(server.web_socket);
        http.send(format!("{begin}\r\n{UPGRADE}\r\n"));
        assert_eq!(http.answer().unwrap().status, expected);
    }
}

/// nats-py's own transport, with and without TLS.
#[test]
fn a_library_connects_by_web_socket() {
    let Some(mut python) = python_with_clients() else { return };
    let plain = Server::start(&[]);
    let (certificate, key) = (tls_certificate(), tls_key());
    let tls = ["--nats-tls-cert", certificate.to_str().unwrap(), "--nats-tls-key"];
    let secure = Server::start(&[&tls[..], &[key.to_str().unwrap()]].concat());
    let script = "
import asyncio, nats, ssl, sys
async def main():
    context = ssl.create_default_context(cafile=sys.argv[3])
    for url, tls in [(sys.argv[1], None), (sys.argv[2], context)]:
        client = await nats.connect(url, tls=tls, connect_timeout=120)
        subscription = await client.subscribe('a')
        await client.publish('a', b'x' * 100_000)
        message = await subscription.next_msg(120)
        assert message.data == b'x' * 100_000
        await client.drain()
asyncio.run(main())
";
    let urls = [("ws", &plain), ("wss", &secure)]
        .map(|(scheme, server)| format!("{scheme}://localhost:{}", server.web_socket.port()));
    let output = python.args(["-c", script]).args(urls).arg(&certificate).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

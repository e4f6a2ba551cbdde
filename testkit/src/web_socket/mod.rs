//! A WebSocket client that can be as wrong as a test wants.

mod frame;

pub use frame::{BINARY, CLOSE, CONTINUED, FINAL, PING, PONG, TEXT, frame};

use crate::patience::connect;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};

/// The headers that ask for a WebSocket.
pub const UPGRADE: &str = "Connection: keep-alive, Upgrade\r\n\
                           Upgrade: WebSocket\r\n\
                           Sec-WebSocket-Version: 13\r\n\
                           Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// One connection.
pub struct WebSocket {
    socket: TcpStream,
}

impl WebSocket {
    /// Does the handshake.
    #[track_caller]
    pub fn open(address: SocketAddr) -> Self {
        Self::open_and_send(address, "", &[])
    }

    /// Does the handshake with more headers, and sends `early` without waiting for the answer.
    #[track_caller]
    pub fn open_and_send(address: SocketAddr, headers: &str, early: &[u8]) -> Self {
        let mut socket = connect(address);
        let head = format!("GET /socket HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}{headers}\r\n");
        socket.write_all(&[head.as_bytes(), early].concat()).unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo=\r\n"), "{head}");
        assert!(!head.contains("extensions") && !head.contains("sec-websocket-protocol"), "{head}");
        Self { socket }
    }

    /// A client whose hello was answered. Nothing is on its way to it but later pushes.
    #[track_caller]
    pub fn user(address: SocketAddr, user: &str) -> Self {
        let mut client = Self::open(address);
        client.say(json!({"hello": {"user": user}}));
        assert!(client.object()["hello"].is_object());
        client.settle();
        client
    }

    pub fn say(&mut self, object: Value) {
        self.send(FINAL | TEXT, object.to_string());
    }

    pub fn send(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        self.send_bytes(&frame(first, payload.as_ref()));
    }

    pub fn send_bytes(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).unwrap();
    }

    /// The next frame's opcode and payload; `None` at the end of the connection.
    #[track_caller]
    pub fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 2];
        match self.socket.read_exact(&mut head) {
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset
                ) =>
            {
                return None;
            }
            result => result.unwrap(),
        }
        let [first, length] = head;
        assert_eq!(first & 0xf0, FINAL, "whole messages, without an extension");
        let mut extended = [0; 8];
        let length = match length {
            126 => {
                self.socket.read_exact(&mut extended[6..]).map(|()| u64::from_be_bytes(extended))
            }
            127 => self.socket.read_exact(&mut extended).map(|()| u64::from_be_bytes(extended)),
            // With the bit of a mask it would be longer.
            length => Ok(length.into()),
        };
        let mut payload = vec![0; usize::try_from(length.unwrap()).unwrap()];
        self.socket.read_exact(&mut payload).unwrap();
        Some((first & 0x0f, payload))
    }

    /// The next object.
    #[track_caller]
    pub fn object(&mut self) -> Value {
        match self.frame() {
            Some((TEXT, payload)) => serde_json::from_slice(&payload).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// The text of the next object, which is a push.
    #[track_caller]
    pub fn text(&mut self) -> String {
        let object = self.object();
        object["push"]["text"].as_str().unwrap_or_else(|| panic!("{object}")).to_owned()
    }

    /// Expects a close frame with this code and reason, and then the end of the connection.
    #[track_caller]
    pub fn closes(&mut self) -> (u16, String) {
        let Some((CLOSE, payload)) = self.frame() else { panic!("no close frame") };
        assert_eq!(self.frame(), None);
        let (code, reason) = payload.split_first_chunk().unwrap();
        (u16::from_be_bytes(*code), String::from_utf8(reason.to_vec()).unwrap())
    }

    #[track_caller]
    pub fn settle(&mut self) {
        self.say(json!({"ping": 4711}));
        assert_eq!(self.object(), json!({"pong": 4711}));
    }

    /// Closes the sending side.
    pub fn half_close(&self) {
        self.socket.shutdown(Shutdown::Write).unwrap();
    }
}

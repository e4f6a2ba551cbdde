//! A NATS connection that compares every byte.
//!
//! There is one exception: the server's PING can come between any two messages of a long test, so
//! it is answered and skipped where the test does not expect it.

use crate::patience::connect;
use serde_json::Value;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};

const PING: &[u8] = b"PING\r\n";

pub struct Wire {
    socket: TcpStream,
    /// Bytes that were read and not compared yet.
    unread: Vec<u8>,
    answers_pings: bool,
    /// The first line of the server, after `INFO `.
    pub info: Value,
}

impl Wire {
    #[track_caller]
    pub fn connect(address: SocketAddr) -> Self {
        let mut wire = Self::unread(address);
        wire.info = wire.read_info();
        wire
    }

    /// A connection from which nothing is read yet, not even INFO.
    #[track_caller]
    pub fn unread(address: SocketAddr) -> Self {
        let socket = connect(address);
        socket.set_nodelay(true).unwrap();
        Self { socket, unread: Vec::new(), answers_pings: true, info: Value::Null }
    }

    /// A connection that knows headers and is told when nobody can answer.
    #[track_caller]
    pub fn client(address: SocketAddr) -> Self {
        let mut wire = Self::connect(address);
        wire.say(
            r#"CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}"#,
        );
        wire.sync();
        wire
    }

    pub fn socket(&self) -> &TcpStream {
        &self.socket
    }

    pub fn into_socket(self) -> TcpStream {
        self.socket
    }

    /// Treats the server's PING like any other line from here on.
    pub fn without_pongs(mut self) -> Self {
        self.answers_pings = false;
        self
    }

    /// Reads an INFO line.
    #[track_caller]
    pub fn read_info(&mut self) -> Value {
        let line = self.line();
        let text = line.strip_prefix("INFO ").unwrap_or_else(|| panic!("{line:?} instead of INFO"));
        serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {line:?}"))
    }

    /// Sends a line, and its end.
    pub fn say(&mut self, line: &str) {
        self.send(format!("{line}\r\n"));
    }

    /// Sends bytes. An error is ignored: the server may have closed, and what it said tells more.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        if let Err(error) = self.socket.write_all(bytes.as_ref()) {
            assert!(
                matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset),
                "{error}"
            );
        }
    }

    /// Sends the bytes one by one, each in a packet of its own.
    pub fn send_in_bytes(&mut self, bytes: impl AsRef<[u8]>) {
        bytes.as_ref().iter().for_each(|byte| self.send([*byte]));
    }

    /// Expects exactly these bytes next.
    #[track_caller]
    pub fn expect(&mut self, bytes: impl AsRef<[u8]>) {
        let expected = bytes.as_ref();
        loop {
            let agreed = self
                .unread
                .iter()
                .zip(expected)
                .take_while(|(seen, wanted)| seen == wanted)
                .count();
            if agreed == expected.len() {
                self.unread.drain(..agreed);
                return;
            }
            let line = self.beginning_of_line(agreed);
            if self.pass_over_ping(line) {
                continue;
            }
            let is_undecided =
                agreed == self.unread.len() || PING.starts_with(&self.unread[line..]);
            let goes_on = is_undecided && self.read_more();
            assert!(goes_on, "read {:?}, expected {:?}", text(&self.unread), text(expected));
        }
    }

    /// The start of the line that contains `at`, unless that is further back than a PING is long;
    /// then `at`.
    fn beginning_of_line(&self, at: usize) -> usize {
        let is_beginning = |place: &usize| *place == 0 || self.unread[..*place].ends_with(b"\r\n");
        (at.saturating_sub(PING.len())..=at).rev().find(is_beginning).unwrap_or(at)
    }

    /// Answers a PING at the beginning of this line and removes it; returns whether there was one.
    fn pass_over_ping(&mut self, line: usize) -> bool {
        let is_there = self.answers_pings && self.unread[line..].starts_with(PING);
        if is_there {
            self.unread.drain(line..line + PING.len());
            self.say("PONG");
        }
        is_there
    }

    /// Waits until the server has handled everything, and fails if something unexpected has come.
    #[track_caller]
    pub fn sync(&mut self) {
        self.send("PING\r\n");
        self.expect("PONG\r\n");
    }

    /// Expects exactly these bytes, and then the end of the connection.
    #[track_caller]
    pub fn expect_last_words(&mut self, bytes: impl AsRef<[u8]>) {
        self.expect(bytes);
        while self.read_more() || self.pass_over_ping(0) {}
        assert!(self.unread.is_empty(), "more came: {:?}", text(&self.unread));
    }

    /// Expects the end of the connection without another byte.
    #[track_caller]
    pub fn expect_closed(&mut self) {
        self.expect_last_words("");
    }

    /// The next line, without its end.
    #[track_caller]
    pub fn line(&mut self) -> String {
        loop {
            if self.pass_over_ping(0) {
                continue;
            }
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..end + 2).collect();
                return text(&line[..end]);
            }
            assert!(self.read_more(), "closed within a line, after {:?}", text(&self.unread));
        }
    }

    /// Reads until the server closes; returns how many bytes came, and the last of them.
    pub fn drain(&mut self) -> (usize, String) {
        let mut read_bytes = self.unread.len();
        loop {
            let keep = self.unread.len().saturating_sub(100);
            self.unread.drain(..keep);
            let before = self.unread.len();
            if !self.read_more() {
                return (read_bytes, text(&self.unread));
            }
            read_bytes += self.unread.len() - before;
        }
    }

    /// Reads more; false at the end of the connection.
    #[track_caller]
    fn read_more(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        match self.socket.read(&mut buffer) {
            Ok(read_bytes) => {
                self.unread.extend_from_slice(&buffer[..read_bytes]);
                read_bytes > 0
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => self.read_more(),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => false,
            Err(error) => panic!("{error}, after {:?}", text(&self.unread)),
        }
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

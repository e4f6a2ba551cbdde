//! Operations from bytes: each case whole, byte by byte, and split in two at every place.

use super::{Block, Operation, Parser, ParserLimits, ProtocolError, append_message};
use bytes::BytesMut;

/// What a stream of bytes means, as text: an entry for each operation and message, and the error that ended it.
fn parse(parser: &mut Parser, pieces: &[&[u8]]) -> Vec<String> {
    let mut buffer = BytesMut::new();
    let mut seen = Vec::new();
    for piece in pieces {
        buffer.extend_from_slice(piece);
        loop {
            match parser.next(&mut buffer) {
                Ok(None) => break,
                Ok(Some(Operation::Publish(block))) => {
                    seen.extend((0..block.len()).map(|index| message(&block, index)))
                }
                Ok(Some(operation)) => seen.push(plain(operation)),
                Err(error) => {
                    seen.push(format!("{error:?}"));
                    return seen;
                }
            }
        }
    }
    seen
}

fn plain(operation: Operation) -> String {
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    match operation {
        Operation::Connect(json) => format!("CONNECT {}", text(&json)),
        Operation::Info(json) => format!("INFO {}", text(&json)),
        Operation::Subscribe { subject, queue, sid } => {
            format!("SUB {} {:?} {}", text(&subject), queue.map(|queue| text(&queue)), text(&sid))
        }
        Operation::Unsubscribe { sid, max } => format!("UNSUB {} {max:?}", text(&sid)),
        other => format!("{other:?}"),
    }
}

/// As the subscriber with the id 1 is sent it.
fn message(block: &Block, index: usize) -> String {
    let mut out = Vec::new();
    append_message(&mut out, &block.outgoing(index), b"1", true);
    out.escape_ascii().to_string()
}

fn parser() -> Parser {
    let mut parser = Parser::new(ParserLimits { control_line_bytes: 40, payload_bytes: 64 });
    parser.allow_headers(true);
    parser
}

#[track_caller]
fn check_with(parser: impl Fn() -> Parser, bytes: &[u8], expected: &[&str]) {
    let shown = bytes.escape_ascii();
    assert_eq!(parse(&mut parser(), &[bytes]), expected, "{shown}");
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(parse(&mut parser(), &single), expected, "byte by byte: {shown}");
    for at in 1..bytes.len() {
        let (left, right) = bytes.split_at(at);
        assert_eq!(parse(&mut parser(), &[left, right]), expected, "split at {at}: {shown}");
    }
}

#[track_caller]
fn check(bytes: &[u8], expected: &[&str]) {
    check_with(parser, bytes, expected);
}

#[test]
fn each_operation_is_understood() {
    check(b"CONNECT {\"a\": 1}\r\nPING\r\nPONG\r\n", &["CONNECT {\\\"a\\\": 1}", "Ping", "Pong"]);
    check(b"SUB foo 1\r\nSUB foo workers a9-x\r\n", &["SUB foo None 1", "SUB foo Some(\"workers\") a9-x"]);
    check(b"UNSUB 1\r\nUNSUB 1 5\r\n", &["UNSUB 1 None", "UNSUB 1 Some(5)"]);
    check(b"PUB foo 5\r\nhello\r\n", &["MSG foo 1 5\\r\\nhello\\r\\n"]);
    check(b"PUB foo re.ply 5\r\nhello\r\n", &["MSG foo 1 re.ply 5\\r\\nhello\\r\\n"]);
    check(b"HPUB foo 3 5\r\nh\r\npp\r\n", &["HMSG foo 1 3 5\\r\\nh\\r\\npp\\r\\n"]);
    check(b"HPUB foo re.ply 3 5\r\nh\r\npp\r\n", &["HMSG foo 1 re.ply 3 5\\r\\nh\\r\\npp\\r\\n"]);
}

#[test]
fn messages_in_a_row_on_one_subject_are_one_block() {
    let mut buffer =
        BytesMut::from("PUB a 1\r\nx\r\nPUB a r 2\r\nyy\r\nHPUB a 2 2\r\nhh\r\nPUB b 0\r\n\r\nPUB a 1\r\nx\r");
    let mut parser = parser();
    let mut next = || match parser.next(&mut buffer) {
        Ok(Some(Operation::Publish(block))) => Some((block.subject().to_vec(), block.len())),
        Ok(None) => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(next(), Some((b"a".to_vec(), 3)));
    assert_eq!(next(), Some((b"b".to_vec(), 1)));
    assert_eq!(next(), None);
    buffer.extend_from_slice(b"\n");
    assert!(matches!(parser.next(&mut buffer), Ok(Some(Operation::Publish(block))) if block.len() == 1));
    assert!(buffer.is_empty());
}

#[test]
fn an_error_ends_it_for_ever() {
    let mut parser = parser();
    let mut buffer = BytesMut::from("PING\r\nWHAT\r\nPING\r\n");
    assert!(matches!(parser.next(&mut buffer), Ok(Some(Operation::Ping))));
    for _ in 0..3 {
        assert_eq!(parser.next(&mut buffer).unwrap_err(), ProtocolError::UnknownOperation);
    }
}

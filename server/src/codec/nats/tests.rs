//! Operations from bytes: each case whole, byte by byte, and split in two at every place.
//!
//! The cases are those of nats-server 2.9.10, observed.

use super::{Block, Operation, Parser, ParserLimits, ProtocolError, append_message};
use crate::limits::{
    NATS_BATCH_MESSAGES, NATS_CONTROL_LINE_BYTES, NATS_COPIED_BYTES, NATS_PAYLOAD_BYTES,
};
use bytes::{Bytes, BytesMut};

/// The meaning of a stream of bytes as text: an entry for each operation and message, and the error
/// that ended it.
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
        Operation::Subscribe { subject, queue: None, sid } => {
            format!("SUB {} {}", text(&subject), text(&sid))
        }
        Operation::Subscribe { subject, queue: Some(queue), sid } => {
            format!("SUB {} group {} {}", text(&subject), text(&queue), text(&sid))
        }
        Operation::Unsubscribe { sid, max: None } => format!("UNSUB {} now", text(&sid)),
        Operation::Unsubscribe { sid, max: Some(max) } => {
            format!("UNSUB {} after {max}", text(&sid))
        }
        other => format!("{other:?}"),
    }
}

/// As the subscriber with the id 1 is sent it.
fn message(block: &Block, index: usize) -> String {
    let mut out = Vec::new();
    append_message(&mut out, &block.outgoing(index), b"1", true);
    out.escape_ascii().to_string()
}

/// Small limits, so that inputs of every length are quickly split at every place.
const SMALL: ParserLimits = ParserLimits { control_line_bytes: 40, payload_bytes: 64 };

fn small() -> Parser {
    let mut parser = Parser::new(SMALL);
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
    check_with(small, bytes, expected);
}

#[test]
fn each_operation_is_understood() {
    check(b"CONNECT {'a': 1}\r\nPING\r\nPONG\r\n", &["CONNECT {\\'a\\': 1}", "Ping", "Pong"]);
    check(b"SUB foo 1\r\nSUB foo workers 2\r\n", &["SUB foo 1", "SUB foo group workers 2"]);
    check(b"UNSUB 1\r\nUNSUB 1 5\r\n", &["UNSUB 1 now", "UNSUB 1 after 5"]);
    check(b"PUB foo 5\r\nhello\r\n", &[r"MSG foo 1 5\r\nhello\r\n"]);
    check(b"PUB foo re.ply 5\r\nhello\r\n", &[r"MSG foo 1 re.ply 5\r\nhello\r\n"]);
    check(b"HPUB foo 3 5\r\nh\r\npp\r\n", &[r"HMSG foo 1 3 5\r\nh\r\npp\r\n"]);
    check(b"HPUB foo re.ply 3 5\r\nh\r\npp\r\n", &[r"HMSG foo 1 re.ply 3 5\r\nh\r\npp\r\n"]);
}

#[test]
fn verbs_in_any_case_blanks_of_any_number_and_lines_ended_by_lf() {
    check(b"ping\npOnG\nsub a 1\nUnsub 1\n", &["Ping", "Pong", "SUB a 1", "UNSUB 1 now"]);
    check(b"connect {}\nconnect{}\r\nConnect \t {}\n", &["CONNECT {}"; 3]);
    check(
        b"pub \t a  \t 1 \t\nx\r\nhPub\ta r\t0 \t 1\r\ny\r\n",
        &[r"MSG a 1 1\r\nx\r\n", r"MSG a 1 r 1\r\ny\r\n"],
    );
    check(b"SUB  a\tg \t b1 \r\n", &["SUB a group g b1"]);
    check(b"SUB a\rb\r\nUNSUB b\r1\r\n", &["SUB a b", "UNSUB b after 1"]);
    check(b"PUB a\rb 1\r\nx\r\n", &[r"MSG a\rb 1 1\r\nx\r\n"]);
}

#[test]
fn optional_forms_are_accepted() {
    check(b"PING junk\r\nPINGjunk\nPONG junk\r\n", &["Ping", "Ping", "Pong"]);
    check(b"+OK\r\n+ok junk\n+OKjunk\r\n", &["Ok"; 3]);
    check(b"INFO {}\r\ninfo{}\n", &["INFO {}", "INFO {}"]);
    check(b"CONNECT {}\r\nCONNECT {}\r\n", &["CONNECT {}", "CONNECT {}"]);
    // Readers of JSON report what is wrong with it.
    check(
        b"CONNECT\r\nCONNECT \r\nCONNECT what\r\nINFO\r\n",
        &["CONNECT ", "CONNECT ", "CONNECT what", "INFO "],
    );
}

#[test]
fn payloads_and_names_are_any_bytes() {
    check(b"PUB a 4\r\n\r\n\r\n\r\n", &[r"MSG a 1 4\r\n\r\n\r\n\r\n"]);
    check(b"PUB a 0\r\n\r\nPING\r\n", &[r"MSG a 1 0\r\n\r\n", "Ping"]);
    check(b"PUB a 3\r\n\xff\x00\xfe\r\n", &[r"MSG a 1 3\r\n\xff\x00\xfe\r\n"]);
    check(
        "SUB grüße.日本 1\r\n".as_bytes(),
        &[&format!("SUB {} 1", "grüße.日本".as_bytes().escape_ascii())],
    );
    check(
        b"SUB a sid-\xff_9\r\nUNSUB sid-\xff_9\r\n",
        &[r"SUB a sid-\xff_9", r"UNSUB sid-\xff_9 now"],
    );
    check(
        b"PUB fo* 1\r\nx\r\nPUB a..b 1\r\nx\r\n",
        &[r"MSG fo* 1 1\r\nx\r\n", r"MSG a..b 1 1\r\nx\r\n"],
    );
}

#[test]
fn sizes_are_passed_on_as_they_were_written() {
    check(b"PUB a 0000002\r\nxy\r\n", &[r"MSG a 1 0000002\r\nxy\r\n"]);
    check(b"HPUB a 003 00004\r\nhhhp\r\n", &[r"HMSG a 1 003 00004\r\nhhhp\r\n"]);
    check(b"HPUB a 0 02\r\npp\r\n", &[r"MSG a 1 02\r\npp\r\n"]);
    check(b"HPUB a 2 2\r\nhh\r\n", &[r"HMSG a 1 2 2\r\nhh\r\n"]);
}

#[test]
fn unknown_operations_are_known_by_their_first_wrong_byte() {
    let unknown: [&[u8]; 20] = [
        b"X",
        b"\r",
        b"\n",
        b" ",
        b"M",
        b"MSG a 1 1\r\nx\r\n",
        b"HMSG a 1 1 1\r\nx\r\n",
        b"PUX",
        b"PX",
        b"HPUX",
        b"SUX",
        b"UNSUX",
        b"CONNEX",
        b"INX",
        b"+X",
        b"-X",
        b"PUB\r\n",
        b"SUB\n",
        b"UNSUBx",
        b"-ERR\r\n",
    ];
    for bytes in unknown {
        check(bytes, &["UnknownOperation"]);
        check(&[b"PING\r\n", bytes].concat(), &["Ping", "UnknownOperation"]);
        check(&[b"PUB a 1\r\nx\r\n", bytes].concat(), &[r"MSG a 1 1\r\nx\r\n", "UnknownOperation"]);
    }
    assert_eq!(ProtocolError::UnknownOperation.text(), Some("Unknown Protocol Operation"));
}

#[test]
fn a_payload_ends_with_cr_lf_where_its_size_says() {
    for bytes in [
        &b"PUB a 1\r\nxy"[..],
        b"PUB a 1\r\nx\n",
        b"PUB a 1\r\nx\ry",
        b"PUB a 0\r\nPING\r\n",
        b"HPUB a 1 2\r\nxyz",
    ] {
        check(bytes, &["UnterminatedPayload"]);
    }
    check(b"PUB a 1\r\nx\r\nPUB a 1\r\nxy\r\n", &[r"MSG a 1 1\r\nx\r\n", "UnterminatedPayload"]);
    assert_eq!(ProtocolError::UnterminatedPayload.text(), Some("Unknown Protocol Operation"));
}

#[test]
fn a_message_that_is_too_large_is_refused_before_it_arrives() {
    for bytes in [
        "PUB a 65\r\n",
        "PUB a 999999999\r\n",
        "HPUB a 1 65\r\n",
        "HPUB a 65 65\n",
        "HPUB a r 64 65\r\n",
    ] {
        check(bytes.as_bytes(), &["PayloadTooLarge"]);
    }
    let body = "x".repeat(64);
    check(format!("PUB a 64\r\n{body}\r\n").as_bytes(), &[&format!(r"MSG a 1 64\r\n{body}\r\n")]);
    check(
        format!("HPUB a 60 64\r\n{body}\r\n").as_bytes(),
        &[&format!(r"HMSG a 1 60 64\r\n{body}\r\n")],
    );
    assert_eq!(ProtocolError::PayloadTooLarge.text(), Some("Maximum Payload Violation"));
}

#[test]
fn the_limit_of_a_control_line_counts_arguments_alone() {
    let verbs = [
        "PUB",
        "HPUB",
        "SUB",
        "UNSUB",
        "CONNECT",
        "INFO",
        "-ERR",
        "pub \t     ",
        "connect            ",
    ];
    for (verb, end) in
        verbs.iter().flat_map(|verb| [(verb, ""), (verb, "\r\n"), (verb, "\n"), (verb, " 1\r\n")])
    {
        let line = format!("{verb} {}{end}", "x".repeat(SMALL.control_line_bytes + 1));
        check(line.as_bytes(), &["ControlLineTooLong"]);
    }
    let longest = "x".repeat(SMALL.control_line_bytes - 2);
    check(format!("SUB {longest} 1\r\n").as_bytes(), &[&format!("SUB {longest} 1")]);
    check(format!("SUB  \t   \t   {longest} 1\n").as_bytes(), &[&format!("SUB {longest} 1")]);
    check(format!("SUB {longest} 12\r\n").as_bytes(), &["ControlLineTooLong"]);
    // Blanks after them are among the arguments.
    check(
        format!("SUB a 1{}\r\n", " ".repeat(SMALL.control_line_bytes)).as_bytes(),
        &["ControlLineTooLong"],
    );
    check(format!("PING {}\r\n", "x".repeat(200)).as_bytes(), &["Ping"]);
    assert_eq!(ProtocolError::ControlLineTooLong.text(), Some("maximum control line exceeded"));
}

#[test]
fn the_default_limits_are_those_of_nats_server() {
    let outcome =
        |bytes: &str| parse(&mut Parser::new(ParserLimits::default()), &[bytes.as_bytes()]).pop();
    let subject = "a".repeat(NATS_CONTROL_LINE_BYTES - 2);
    assert_eq!(outcome(&format!("SUB {subject} 1\r\n")), Some(format!("SUB {subject} 1")));
    assert_eq!(outcome(&format!("SUB {subject}a 1\r\n")).as_deref(), Some("ControlLineTooLong"));
    assert_eq!(
        outcome(&format!("CONNECT {{{}", "a".repeat(4096))).as_deref(),
        Some("ControlLineTooLong")
    );
    assert_eq!(outcome("PUB a 1048576\r\n"), None);
    assert_eq!(outcome("PUB a 1048577\r\n").as_deref(), Some("PayloadTooLarge"));
}

#[test]
fn wrong_arguments_end_it_without_a_word() {
    let too_few_or_many = [
        "PUB \r\n",
        "PUB a\r\n",
        "PUB a b 1 2\r\n",
        "PUB a b c d e f 1\r\n",
        "HPUB a\r\n",
        "HPUB a 1\r\n",
        "HPUB a b 1 2 3\r\n",
        "SUB \r\n",
        "SUB a\r\n",
        "SUB a b c d\r\n",
        "UNSUB \r\n",
        "UNSUB a 1 2\r\n",
    ];
    for bytes in too_few_or_many {
        check(bytes.as_bytes(), &["WrongArgumentCount"]);
    }
    let sizes = ["-1", "+1", "x", "1x", "0x1", "1.0", "1\r", "1000000000", "0000000001", "١"];
    for size in sizes {
        for line in [
            format!("PUB a {size}\r\n"),
            format!("HPUB a {size} 9\r\n"),
            format!("HPUB a 0 {size}\r\n"),
        ] {
            check(line.as_bytes(), &["InvalidSize"]);
        }
    }
    check(b"HPUB a 3 2\r\n", &["HeadersLargerThanTotal"]);
    check(b"HPUB a 70 2\r\n", &["HeadersLargerThanTotal"]);
    check(b"-ERR 'what'\r\n", &["ErrorFromClient"]);
    check(b"-err \n", &["ErrorFromClient"]);
    use ProtocolError::{
        ErrorFromClient, HeadersLargerThanTotal, HeadersNotNegotiated, InvalidSize,
        WrongArgumentCount,
    };
    for error in [
        WrongArgumentCount,
        InvalidSize,
        HeadersLargerThanTotal,
        HeadersNotNegotiated,
        ErrorFromClient,
    ] {
        assert_eq!(error.text(), None);
    }
}

#[test]
fn unsub_with_something_that_is_no_number_means_now() {
    for max in ["0", "000", "-1", "x", "1000000000"] {
        check(format!("UNSUB 7 {max}\r\n").as_bytes(), &["UNSUB 7 now"]);
    }
    check(b"UNSUB 7 999999999\r\n", &["UNSUB 7 after 999999999"]);
}

#[test]
fn headers_are_refused_at_the_control_line_until_they_are_allowed() {
    check_with(|| Parser::new(SMALL), b"HPUB a 1 2\r\n", &["HeadersNotNegotiated"]);
    let mut parser = Parser::new(SMALL);
    let mut buffer = BytesMut::from("CONNECT {}\r\nHPUB a 1 2\r\nhp\r\n");
    assert!(matches!(parser.next(&mut buffer), Ok(Some(Operation::Connect(_)))));
    parser.allow_headers(true);
    assert!(matches!(
        parser.next(&mut buffer),
        Ok(Some(Operation::Publish(block))) if block.headers(0) == b"h"
    ));
}

#[test]
fn a_stranger_may_say_connect_and_nothing_else() {
    let stranger = || {
        let mut parser = small();
        parser.require_connect(true);
        parser
    };
    for bytes in [
        &b"P"[..],
        b"PING\r\n",
        b"PUB a 1\r\n",
        b"SUB a 1\r\n",
        b"\r\n",
        b"x",
        b"+OK\r\n",
        b"-ERR x\r\n",
    ] {
        check_with(stranger, bytes, &["NotAuthorized"]);
    }
    check_with(stranger, b"connect {}\r\nPING\r\n", &["CONNECT {}", "NotAuthorized"]);
    check_with(stranger, b"CX", &["UnknownOperation"]);
    let mut parser = stranger();
    let mut buffer = BytesMut::from("CONNECT {}\r\nPING\r\n");
    assert!(matches!(parser.next(&mut buffer), Ok(Some(Operation::Connect(_)))));
    parser.require_connect(false);
    assert!(matches!(parser.next(&mut buffer), Ok(Some(Operation::Ping))));
    assert_eq!(ProtocolError::NotAuthorized.text(), Some("Authorization Violation"));
}

#[test]
fn an_error_ends_it_for_ever() {
    let mut parser = small();
    let mut buffer = BytesMut::from("PING\r\nWHAT\r\nPING\r\n");
    assert!(matches!(parser.next(&mut buffer), Ok(Some(Operation::Ping))));
    for _ in 0..3 {
        assert_eq!(parser.next(&mut buffer).unwrap_err(), ProtocolError::UnknownOperation);
        buffer.extend_from_slice(b"PING\r\n");
    }
}

#[test]
fn messages_in_a_row_on_one_subject_are_one_block() {
    let mut buffer = BytesMut::from(
        "PUB a 1\r\nx\r\nPUB a r 2\r\nyy\r\nHPUB a 2 3\r\nhhp\r\nPUB b 0\r\n\r\nPUB a 1\r\nx\r",
    );
    let mut parser = small();
    let blocks = blocks(&mut parser, &mut buffer);
    assert_eq!(
        blocks.iter().map(|block| (block.subject(), block.len())).collect::<Vec<_>>(),
        [(&b"a"[..], 3), (b"b", 1)]
    );
    let first = &blocks[0];
    assert_eq!([0, 1, 2].map(|index| first.reply_to(index)), [None, Some(&b"r"[..]), None]);
    assert_eq!([0, 1, 2].map(|index| first.headers(index)), [&b""[..], b"", b"hh"]);
    assert_eq!([0, 1, 2].map(|index| first.payload(index)), [&b"x"[..], b"yy", b"p"]);
    assert_eq!(first.payload_bytes(2), Bytes::from("p"));
    assert!(matches!(parser.next(&mut buffer), Ok(None)));
    buffer.extend_from_slice(b"\n");
    assert!(
        matches!(parser.next(&mut buffer), Ok(Some(Operation::Publish(block))) if block.len() == 1)
    );
    assert!(buffer.is_empty());
}

/// Those that only their last token tells apart, and that have nothing but a size and a payload.
#[test]
fn answers_in_a_row_are_one_block_where_they_may_be_joined() {
    let lines = [
        ("PUB _INBOX.a.b1 1\r\n1\r\n", 0),
        ("PUB _INBOX.a.b2 1\r\n2\r\n", 0),
        ("PUB _INBOX.a.b10 2\r\n10\r\n", 0),
        ("pub  _INBOX.a.b1 \t2\r\n11\r\n", 0),
        ("PUB _INBOX.a.b2 \t2\r\n12\r\n", 0),
        // Another client's, an old one's, and what is no answer or no inbox.
        ("PUB _INBOX.c.b2 2\r\n12\r\n", 1),
        ("PUB _INBOX.old 2\r\n12\r\n", 2),
        ("PUB _INBOX.older 2\r\n12\r\n", 3),
        ("PUB _INBOX.a.b3 r 2\r\n12\r\n", 4),
        ("HPUB _INBOX.a.b4 2 2\r\nhh\r\n", 5),
        ("PUB _INBOX.a.b5 2\r\n12\r\n", 6),
        ("PUB _INBOX.a.* 2\r\n12\r\n", 7),
        ("PUB _INBOX.a. 2\r\n12\r\n", 8),
        ("PUB _INBOX.a.b6.c 2\r\n12\r\n", 9),
        ("PUB a.b.1 2\r\n12\r\n", 10),
        ("PUB a.b.2 2\r\n12\r\n", 11),
        // The same twice is as any other subject.
        ("PUB _INBOX.a.b7 2\r\n12\r\n", 12),
        ("PUB _INBOX.a.b7 2\r\n12\r\n", 12),
        ("PUB _INBOX.a.b8 2\r\n12\r\n", 13),
        ("PUB _INBOX.a.b9 2\r\n12\r\n", 13),
    ];
    let text: String = lines.iter().map(|(line, _)| *line).collect();
    let subject = |line: &str| line.split_ascii_whitespace().nth(1).unwrap().as_bytes().to_vec();
    let found = |is_joined| {
        let mut parser = small();
        parser.join_answers(is_joined);
        let blocks = blocks(&mut parser, &mut BytesMut::from(&*text));
        let of_block = |(number, block): (usize, &Block)| -> Vec<_> {
            (0..block.len()).map(|index| (block.subject_of(index).to_vec(), number)).collect()
        };
        (blocks.iter().enumerate().flat_map(of_block).collect::<Vec<_>>(), blocks)
    };
    let (joined, blocks) = found(true);
    assert_eq!(joined, lines.map(|(line, number)| (subject(line), number)));
    let with_answers = blocks.iter().map(Block::has_answers).collect::<Vec<_>>();
    assert_eq!((0..14).filter(|index| with_answers[*index]).collect::<Vec<_>>(), [0, 13]);
    assert_eq!([0, 1, 2, 3].map(|index| blocks[0].payload(index)), [&b"1"[..], b"2", b"10", b"11"]);
    let (apart, blocks) = found(false);
    assert!(blocks.iter().all(|block| !block.has_answers()) && apart.last().unwrap().1 > 13);
}

/// A line that is too long is found wherever it comes.
#[test]
fn answers_are_as_long_as_any_control_line_may_be() {
    let longest = SMALL.control_line_bytes - "_INBOX.a. 0".len();
    for (token_bytes, is_right) in [(longest, true), (longest + 1, false)] {
        let mut parser = small();
        parser.join_answers(true);
        let tokens = ["b".repeat(longest), "c".repeat(token_bytes)];
        let lines = tokens.map(|token| format!("PUB _INBOX.a.{token} 0\r\n\r\n"));
        let mut buffer = BytesMut::from(&*lines.concat());
        let Ok(Some(Operation::Publish(block))) = parser.next(&mut buffer) else { panic!() };
        assert_eq!(block.len(), if is_right { 2 } else { 1 });
        assert_eq!(parser.next(&mut buffer).is_ok(), is_right);
    }
}

/// The second and later lines that are the same are not read again.
#[test]
fn messages_in_a_row_with_the_same_line_are_messages_of_their_own() {
    check(
        b"PUB a r 02\r\n11\r\nPUB a r 02\r\n22\r\nPUB a r 02\r\n33\r\n\
          PUB a r 022\r\n0123456789012345678901\r\n",
        &[
            "MSG a 1 r 02\\r\\n11\\r\\n",
            "MSG a 1 r 02\\r\\n22\\r\\n",
            "MSG a 1 r 02\\r\\n33\\r\\n",
            "MSG a 1 r 022\\r\\n0123456789012345678901\\r\\n",
        ],
    );
    let headers = b"HPUB a 1 3\r\nhxx\r\nHPUB a 1 3\r\niyy\r\nHPUB a 1 3\r\njzz\r\n";
    check(
        headers,
        &[
            "HMSG a 1 1 3\\r\\nhxx\\r\\n",
            "HMSG a 1 1 3\\r\\niyy\\r\\n",
            "HMSG a 1 1 3\\r\\njzz\\r\\n",
        ],
    );
    check(
        b"PUB a 1\r\nx\r\nPUB a 1\r\ny\r\nPUB a 1\r\nzz",
        &["MSG a 1 1\\r\\nx\\r\\n", "MSG a 1 1\\r\\ny\\r\\n", "UnterminatedPayload"],
    );
}

#[test]
fn a_block_has_a_bounded_number_of_messages() {
    let mut buffer = BytesMut::from(&b"PUB a 1\r\nx\r\n".repeat(2 * NATS_BATCH_MESSAGES + 1)[..]);
    let lengths: Vec<usize> = blocks(&mut small(), &mut buffer).iter().map(Block::len).collect();
    assert_eq!(lengths, [NATS_BATCH_MESSAGES, NATS_BATCH_MESSAGES, 1]);
}

#[test]
fn a_small_block_lets_go_of_the_read_buffer_and_a_large_one_is_not_copied() {
    for (payload_bytes, is_copied) in [(10, true), (NATS_COPIED_BYTES, false)] {
        let text = format!("PUB a {payload_bytes}\r\n{}\r\n", "x".repeat(payload_bytes));
        let mut buffer = BytesMut::from(text.as_bytes());
        let payload_at = buffer[text.find('x').unwrap()..].as_ptr();
        let block = blocks(&mut Parser::new(ParserLimits::default()), &mut buffer).remove(0);
        assert_eq!(block.payload(0).len(), payload_bytes);
        assert_eq!(block.payload(0).as_ptr() != payload_at, is_copied);
    }
}

/// If the work grew with the square of the length, these would take a day.
#[test]
fn large_things_in_small_pieces_are_not_looked_at_again_and_again() {
    let large =
        ParserLimits { control_line_bytes: NATS_PAYLOAD_BYTES, payload_bytes: NATS_PAYLOAD_BYTES };
    let filler = "x".repeat(NATS_PAYLOAD_BYTES - 2);
    let one_by_one = |text: String| {
        let pieces: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        parse(&mut Parser::new(large), &pieces).len()
    };
    assert_eq!(one_by_one(format!("PUB a {}\r\n{filler}\r\n", filler.len())), 1);
    assert_eq!(one_by_one(format!("SUB {filler} 1\r\n")), 1);
    assert_eq!(one_by_one(format!("SUB {} a 1\r\n", " ".repeat(NATS_PAYLOAD_BYTES))), 1);
    assert_eq!(one_by_one(format!("PING {filler}{filler}\r\n")), 1);
}

#[test]
fn nothing_is_kept_of_endless_blanks_and_endless_pings() {
    for (begin, endless) in
        [("SUB ", " "), ("PUB", "\t"), ("CONNECT", " "), ("PING", "x"), ("+OK ", "\r")]
    {
        let mut parser = small();
        let mut buffer = BytesMut::from(begin);
        for _ in 0..10_000 {
            buffer.extend_from_slice(endless.repeat(10).as_bytes());
            assert!(matches!(parser.next(&mut buffer), Ok(None)));
            assert!(buffer.is_empty(), "{begin} {}", buffer.len());
        }
    }
}

/// Any stream means the same, in however many pieces it comes.
#[test]
fn random_streams_mean_the_same_in_random_pieces() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let mut operations = 0;
    for _ in 0..2_000 {
        let several =
            |random: &mut fastrand::Rng| random_operation(random).repeat(random.usize(1..4));
        let stream: Vec<u8> = (0..random.usize(1..20)).flat_map(|_| several(&mut random)).collect();
        let whole = parse(&mut small(), &[&stream]);
        operations += whole.len();
        for _ in 0..4 {
            let mut pieces = Vec::new();
            let mut rest = &stream[..];
            while !rest.is_empty() {
                let (piece, after) = rest.split_at(random.usize(1..=rest.len().min(40)));
                pieces.push(piece);
                rest = after;
            }
            assert_eq!(parse(&mut small(), &pieces), whole, "{}", stream.escape_ascii());
        }
    }
    assert!(operations > 10_000, "most streams are right: {operations}");
}

/// An operation that is right, but for one in a hundred.
fn random_operation(random: &mut fastrand::Rng) -> Vec<u8> {
    let subject = ["a", "a", "b.c", "日本"][random.usize(..4)];
    let blank = [" ", "\t", "  ", " \t "][random.usize(..4)];
    let end = ["\r\n", "\n"][random.usize(..2)];
    let reply_to = ["", "r "][random.usize(..2)];
    let headers = "h".repeat(random.usize(..9));
    let body = format!("{headers}{}", "\r\n".repeat(random.usize(..9)));
    let text = match random.usize(..10) {
        0 => format!("SUB{blank}{subject}{blank}{}{end}", random.u8(..)),
        1 => format!("UNSUB{blank}7{blank}{}{end}", random.i8(..)),
        2 => format!("ping{blank}{body}{end}"),
        3 => format!("CONNECT{blank}{{}}{end}"),
        4 => format!("+OK{end}Pong{end}"),
        5 | 6 => format!(
            "HPUB{blank}{subject} {reply_to}{} {}{end}{body}\r\n",
            headers.len(),
            body.len()
        ),
        _ => format!("pub{blank}{subject} {reply_to}0{}{end}{body}\r\n", body.len()),
    };
    let mut bytes = text.into_bytes();
    if random.usize(..100) == 0 {
        let at = random.usize(..bytes.len());
        bytes[at] = random.u8(..);
    }
    bytes
}

fn blocks(parser: &mut Parser, buffer: &mut BytesMut) -> Vec<Block> {
    std::iter::from_fn(|| match parser.next(buffer) {
        Ok(Some(Operation::Publish(block))) => Some(block),
        Ok(None) => None,
        other => panic!("{other:?}"),
    })
    .collect()
}

fn of_hub() -> Parser {
    Parser::of_hub(ParserLimits { control_line_bytes: 60, payload_bytes: 64 })
}

/// Each message with the groups that the hub names.
#[test]
fn the_words_of_a_hub_are_understood() {
    let interest = |subject: &str, group: &str, begins| {
        let group = if group.is_empty() { "None".to_owned() } else { format!("Some(b{group:?})") };
        format!("Interest {{ subject: b{subject:?}, group: {group}, begins: {begins} }}")
    };
    check_with(
        of_hub,
        b"LS+ a.>\r\nls+ w  q\t3\r\nLS- w q\r\nLS- a.>\r\n",
        &[
            &interest("a.>", "", true),
            &interest("w", "q", true),
            &interest("w", "q", false),
            &interest("a.>", "", false),
        ],
    );
    check_with(
        of_hub,
        b"INFO {} \r\nPING\r\nPONG\r\n-ERR 'x'\r\n",
        &["INFO {} ", "Ping", "Pong", "Error(b\"'x'\")"],
    );
    check_with(of_hub, b"LMSG a 1\r\nx\r\n", &[r"MSG a 1 1\r\nx\r\n"]);
    check_with(of_hub, b"LMSG a r 1\r\nx\r\n", &[r"MSG a 1 r 1\r\nx\r\n"]);
    check_with(of_hub, b"HMSG a 2 3\r\nhhx\r\n", &[r"HMSG a 1 2 3\r\nhhx\r\n"]);
    check_with(of_hub, b"HMSG a + r q 2 3\r\nhhx\r\n", &[r"HMSG a 1 r 2 3\r\nhhx\r\n"]);
    check_with(of_hub, b"LMSG a + r 1\r\nx\r\n", &[r"MSG a 1 r 1\r\nx\r\n"]);
    for wrong in ["LS+", "LS+ a q", "LS- a q 3", "LMSG a", "LMSG", "HMSG a 1", "LMSG a b c 1"] {
        let line = format!("{wrong} \r\n");
        check_with(of_hub, line.as_bytes(), &["WrongArgumentCount"]);
    }
    for wrong in ["SUB a 1", "PUB a 1", "CONNECT {}", "MSG a 1 1"] {
        check_with(of_hub, format!("{wrong}\r\n").as_bytes(), &["UnknownOperation"]);
    }
}

fn block_of_hub(bytes: &[u8]) -> (Block, BytesMut) {
    let mut buffer = BytesMut::from(bytes);
    let Ok(Some(Operation::Publish(block))) = of_hub().next(&mut buffer) else {
        panic!("{}", bytes.escape_ascii())
    };
    (block, buffer)
}

#[test]
fn messages_for_the_same_groups_are_one_block() {
    let line = b"LMSG a | q1 \t q2 1\r\nx\r\n";
    let (block, rest) = block_of_hub(&[&line[..], line, b"LMSG a | q1 1\r\nx\r\n"].concat());
    assert_eq!(
        (block.len(), block.groups().collect::<Vec<_>>()),
        (2, vec!["q1".into(), "q2".into()])
    );
    assert!(rest.starts_with(b"LMSG a | q1 1"));
    let (plain, _) = block_of_hub(b"LMSG a 1\r\nx\r\nLMSG a | q 1\r\nx\r\n");
    assert_eq!((plain.len(), plain.groups().count()), (1, 0));
}

/// So client libraries find the subject that they asked for, and acknowledge to the right one.
#[test]
fn the_subject_of_what_jet_stream_delivers_is_behind_the_at_of_the_reply() {
    let delivered = |reply: &str| {
        let (block, _) = block_of_hub(format!("LMSG _in.box {reply} 1\r\nx\r\n").as_bytes());
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(block.matched(), b"_in.box");
        (text(block.subject()), text(block.reply_to(0).unwrap_or_default()))
    };
    let as_is = |reply: &str| ("_in.box".to_owned(), reply.to_owned());
    let ack = "$JS.ACK.O.D.1.1.1.123.0";
    assert_eq!(delivered(&format!("{ack}@ord.1")), ("ord.1".to_owned(), ack.to_owned()));
    assert_eq!(delivered(&format!("{ack}@a@b")), ("a@b".to_owned(), ack.to_owned()));
    for other in [ack, "$JS.ACK.O.D@x", "_INBOX.a.b.c.d.e.f.g.h@x"] {
        assert_eq!(delivered(other), as_is(other));
    }
}

#[test]
fn a_hub_reads_what_a_leaf_node_writes() {
    let (block, _) = block_of_hub(b"HMSG a + r q 2 3\r\nhhx\r\n");
    let rendered = |message: &super::Outgoing<'_>, groups: &[&str]| {
        let mut out = Vec::new();
        super::append_to_hub(&mut out, message, groups.iter().copied());
        String::from_utf8(out).unwrap()
    };
    let whole = block.outgoing(0);
    let bare = super::Outgoing { reply_to: None, headers: b"", ..whole };
    assert_eq!(rendered(&whole, &["q"]), "HMSG a + r q 2 3\r\nhhx\r\n");
    assert_eq!(rendered(&whole, &[]), "HMSG a r 2 3\r\nhhx\r\n");
    assert_eq!(rendered(&bare, &["q1", "q2"]), "LMSG a | q1 q2 1\r\nx\r\n");
    assert_eq!(rendered(&bare, &[]), "LMSG a 1\r\nx\r\n");
    let mut out = Vec::new();
    for (group, weight) in [(None, 1), (Some("q"), 3), (Some("q"), 0), (None, 0)] {
        super::append_interest(&mut out, "a.>", group, weight);
    }
    assert_eq!(out, b"LS+ a.>\r\nLS+ a.> q 3\r\nLS- a.> q\r\nLS- a.>\r\n");
}

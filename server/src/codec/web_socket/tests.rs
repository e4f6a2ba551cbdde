//! Each rule of the protocol that a client can break, and what a server answers; split at every
//! byte; and random bytes.

use super::*;
use testkit::web_socket::{BINARY, CLOSE, CONTINUED, FINAL, PING, PONG, TEXT, frame};

/// Everything received when `bytes` come `at_a_time`, and the answers.
fn receive(bytes: &[u8], at_a_time: usize) -> (Vec<Received>, Vec<u8>) {
    let mut decoder = MessageDecoder::new(300);
    let (mut all, mut answers) = (Vec::new(), Vec::new());
    for mut piece in bytes.chunks(at_a_time) {
        while let Some(received) = decoder.decode(&mut piece, &mut answers) {
            let is_last = matches!(received, Received::Closed(_) | Received::Refused(_));
            all.push(received);
            if is_last {
                return (all, answers);
            }
        }
    }
    (all, answers)
}

fn text(text: &str) -> Received {
    Received::Text(text.into())
}

#[track_caller]
fn assert_refused(bytes: &[u8], code: CloseCode) {
    for at_a_time in [1, 3, bytes.len()] {
        let (all, _) = receive(bytes, at_a_time);
        let Some(Received::Refused(frame)) = all.last() else { panic!("{all:?}") };
        assert_eq!(frame.code, code, "{frame:?}");
    }
}

#[test]
fn texts_come_whole_however_they_are_cut() {
    let long = "\u{e9}".repeat(150);
    let bytes = [
        frame(FINAL | TEXT, b"one"),
        // In three frames, cut in the middle of a character, with control frames in between.
        frame(TEXT, b"tw\xc3"),
        frame(FINAL | PING, b"there?"),
        frame(CONTINUED, b""),
        frame(FINAL | PONG, b""),
        frame(FINAL | CONTINUED, b"\xa9"),
        frame(FINAL | TEXT, b""),
        frame(FINAL | TEXT, long.as_bytes()),
    ]
    .concat();
    let expected = [
        text("one"),
        Received::Control,
        Received::Control,
        text("tw\u{e9}"),
        text(""),
        text(&long),
    ]
    .to_vec();
    for at_a_time in 1..=bytes.len() {
        let (all, answers) = receive(&bytes, at_a_time);
        assert_eq!(all, expected, "{at_a_time} at a time");
        assert_eq!(answers, b"\x8a\x06there?");
    }
}

#[test]
fn frames_that_the_protocol_forbids_are_refused() {
    let unmasked = [FINAL | TEXT, 2, b'{', b'}'];
    assert_refused(&unmasked, CloseCode::Protocol);
    // A reserved bit (compression was not agreed on), reserved kinds, a control frame that is long
    // or in parts.
    for bytes in [
        frame(FINAL | 0x40 | TEXT, b"x"),
        frame(FINAL | 3, b"x"),
        frame(FINAL | 11, b"x"),
        frame(FINAL | PING, &[b'x'; 126]),
        frame(PING, b"x"),
        frame(FINAL | CONTINUED, b"x"),
        [frame(TEXT, b"x"), frame(FINAL | TEXT, b"y")].concat(),
        frame(FINAL | CLOSE, b"\x03"),
    ] {
        assert_refused(&bytes, CloseCode::Protocol);
    }
    assert_refused(&frame(FINAL | BINARY, b"{}"), CloseCode::Unsupported);
    assert_refused(
        &[frame(BINARY, b"{"), frame(FINAL | CONTINUED, b"}")].concat(),
        CloseCode::Unsupported,
    );
}

#[test]
fn texts_are_utf8() {
    assert_refused(&frame(FINAL | TEXT, b"\xff"), CloseCode::Invalid);
    assert_refused(&frame(FINAL | TEXT, b"cut \xc3"), CloseCode::Invalid);
    // Said before the rest comes.
    assert_refused(&frame(TEXT, b"\xff"), CloseCode::Invalid);
    assert_refused(&frame(FINAL | CLOSE, b"\x03\xe8\xff"), CloseCode::Invalid);
}

#[test]
fn long_messages_are_refused_before_they_are_there() {
    assert_eq!(receive(&frame(FINAL | TEXT, &[b'x'; 300]), 7).0.len(), 1);
    assert_refused(&frame(FINAL | TEXT, &[b'x'; 301])[..8], CloseCode::Size);
    assert_refused(
        &[&[FINAL | TEXT, 0xff], &u64::MAX.to_be_bytes()[..], &[0; 4]].concat(),
        CloseCode::Size,
    );
    assert_refused(
        &[frame(TEXT, &[b'x'; 200]), frame(CONTINUED, &[b'x'; 101])].concat(),
        CloseCode::Size,
    );
}

#[test]
fn a_close_is_answered_with_its_code() {
    for (payload, code) in [
        (&b""[..], CloseCode::Normal),
        (b"\x03\xe8bye", CloseCode::Normal),
        (b"\x03\xe9", CloseCode::Away),
        (b"\x0f\xa0", CloseCode::Library(4000)),
        // Codes that nobody may send.
        (b"\x03\xed", CloseCode::Protocol),
        (b"\x00\x00", CloseCode::Protocol),
    ] {
        let (all, answers) =
            receive(&[frame(FINAL | CLOSE, payload), frame(FINAL | TEXT, b"more")].concat(), 1000);
        assert_eq!(
            (all, answers),
            (vec![Received::Closed(closing(code, ""))], Vec::new()),
            "{payload:?}"
        );
    }
}

#[test]
fn messages_are_sent_in_frames_of_their_length() {
    for (length, header) in [
        (0, &b"\x81\x00"[..]),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65_536, b"\x81\x7f\0\0\0\0\0\x01\0\0"),
    ] {
        let mut out = b"before".to_vec();
        append_text(&mut out, |out| out.resize(out.len() + length, b'x'));
        assert_eq!(out, [b"before", header, &vec![b'x'; length]].concat());
    }
    let mut out = Vec::new();
    append_close(&mut out, &closing(CloseCode::Away, "the server is ending"));
    assert_eq!(out, b"\x88\x16\x03\xe9the server is ending");
    out.clear();
    append_close(
        &mut out,
        &CloseFrame { code: CloseCode::Policy, reason: "\u{20ac}".repeat(50).into() },
    );
    assert_eq!(out, [b"\x88\x7d\x03\xf0", "\u{20ac}".repeat(41).as_bytes()].concat());
}

#[test]
fn keys_are_answered_as_the_standard_says() {
    assert_eq!(
        accept_key("dGhlIHNhbXBsZSBub25jZQ==").as_deref(),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    );
    for wrong in
        ["", "x", "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZQ== ", "dGhlIHNhbXBsZSBub25jZSEh"]
    {
        assert_eq!(accept_key(wrong), None, "{wrong}");
    }
}

#[test]
fn random_changes_do_no_harm() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let kinds = [
        FINAL | TEXT,
        TEXT,
        CONTINUED,
        FINAL | CONTINUED,
        FINAL | PING,
        FINAL | PONG,
        FINAL | BINARY,
        FINAL | CLOSE,
    ];
    let (mut texts, mut closed) = (0, 0);
    for _ in 0..10_000 {
        let mut bytes = Vec::new();
        for _ in 0..random.usize(1..6) {
            let payload: Vec<u8> =
                (0..random.usize(..140)).map(|_| random.u8(b' '..=b'~')).collect();
            // Whole texts mostly: all else soon ends it.
            let kind =
                if random.bool() { FINAL | TEXT } else { kinds[random.usize(..kinds.len())] };
            bytes.extend(frame(kind, &payload));
        }
        if random.bool() {
            let at = random.usize(..bytes.len());
            bytes[at] ^= 1 << random.u8(..8);
        }
        let (received, is_closed) = fuzz_web_socket(&bytes);
        texts += received;
        closed += usize::from(is_closed);
    }
    assert!(texts > 1_000 && closed > 1_000, "{texts} {closed}");
}

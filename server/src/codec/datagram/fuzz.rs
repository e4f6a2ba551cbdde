//! Random, forged, truncated and oversized datagrams: none is accepted for what it is not, and none
//! does harm.

use super::signed::sign;
use super::{Now, Replays, Signed, parse_push, wants_answer};
use std::time::{Duration, Instant};

const KEY: &[u8] = b"a key that nobody else has";
const NOW_S: u64 = 1_800_000_000;

/// Handles a datagram as the server does. True if it was accepted as signed with our key.
fn fuzz_datagram(datagram: &[u8], replays: &mut Replays, now: Now) -> bool {
    let _ = wants_answer(datagram);
    match Signed::parse(datagram) {
        Ok(Some(signed)) if signed.is_by(KEY) && replays.take(&signed, now).is_ok() => {
            let _ = parse_push(signed.push);
            true
        }
        _ => {
            let _ = parse_push(datagram);
            false
        }
    }
}

#[test]
fn ten_thousand_bad_datagrams_change_nothing() {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let started = Instant::now();
    let mut replays = Replays::new(30, started);
    let now = Now { wall_ms: NOW_S * 1000, instant: started + Duration::from_secs(60) };
    let good = sign("shop", KEY, NOW_S, "12345678", b"user:42;id=o-17;ttl=30;reply hello");
    assert!(fuzz_datagram(&good, &mut replays, now));
    for round in 0..10_000 {
        let datagram = match round % 5 {
            0 => (0..random.usize(..200)).map(|_| random.u8(..)).collect(),
            1 => {
                let mut changed = good.clone();
                let at = random.usize(..changed.len());
                changed[at] ^= 1 << random.u8(..8);
                changed
            }
            2 => good[..random.usize(..good.len())].to_vec(),
            3 => good.clone(),
            _ => {
                // Well formed, but signed with a wrong key.
                let nonce = format!("{:08x}", random.u32(..));
                let payload = vec![b'x'; random.usize(..70_000)];
                sign("shop", b"guessed", NOW_S, &nonce, &[b"all ", &payload[..]].concat())
            }
        };
        // Upper and lower case of a digit are the same MAC, which the replay window finds.
        assert!(!fuzz_datagram(&datagram, &mut replays, now), "{}", datagram.escape_ascii());
    }
    assert_eq!(replays.count(), 1);
}

#[test]
fn random_heads_are_parsed_to_what_they_say_or_refused() {
    let parts = [
        "user:", "group:", "all", "topic:", ";", "id=", "ttl=", "ack", "reply", "42", ".", " ",
        "\u{e9}", "*", "=",
    ];
    let mut random = fastrand::Rng::with_seed(7);
    let mut accepted = 0;
    for _ in 0..20_000 {
        let text: String =
            (0..random.usize(1..9)).map(|_| parts[random.usize(..parts.len())]).collect();
        if let Ok(push) = parse_push(text.as_bytes()) {
            accepted += 1;
            assert!(text.starts_with(&push.target.to_string()), "{text}");
            assert!(text.as_bytes().ends_with(push.payload), "{text}");
            assert_eq!(push.wants_answer, wants_answer(text.as_bytes()), "{text}");
        }
    }
    assert!(accepted > 100, "{accepted}");
}

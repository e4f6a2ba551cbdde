//! The rules for subjects, as byte strings.
//!
//! To NATS, a subject is any bytes but blanks, of any length. Here it becomes a
//! [`Topic`](fanfare::Topic) or a [`Pattern`], which are UTF-8 and bounded. So a subject can be
//! valid for NATS and still be refused here.

use fanfare::Pattern;
use fanfare::limits::{TOPIC_BYTES_MAX, TOPIC_TOKENS_MAX};
use memchr::memchr2;

/// Whether a `SUB` may have this subject: no token is empty, and `>` as a token comes last.
/// (Observed: the error is `'Invalid Subject'`. `fo*` and `fo>` are ordinary tokens.)
pub fn is_valid(subject: &[u8]) -> bool {
    let mut after_rest = false;
    tokens(subject).all(|token| {
        let is_right = !token.is_empty() && !after_rest;
        after_rest = token == b">";
        is_right
    })
}

/// Whether a pedantic client may publish under this subject: it is valid and no token is a
/// wildcard. (Observed: the error is `'Invalid Publish Subject'`, and the message is still
/// delivered.)
pub fn is_valid_literal(subject: &[u8]) -> bool {
    tokens(subject).all(|token| !matches!(token, b"" | b"*" | b">"))
}

/// Whether there is a wildcard token in it. A message published under such a subject reaches those
/// subscriptions that have just these tokens, or wildcards that cover them. (Observed.)
pub fn has_wildcard(subject: &[u8]) -> bool {
    // Nearly no subject has one of these bytes, which is quicker to see than what its tokens are.
    memchr2(b'*', b'>', subject).is_some()
        && tokens(subject).any(|token| matches!(token, b"*" | b">"))
}

/// The subject as text that [`Topic::parse`](fanfare::Topic::parse) accepts. None: nobody can be
/// subscribed to it here, or it has a wildcard.
pub fn topic_text(subject: &[u8]) -> Option<&str> {
    pattern_text(subject).filter(|_| !has_wildcard(subject))
}

/// The subject as text that [`Pattern::parse`](fanfare::Pattern::parse) accepts. None: it is
/// invalid, or more than we take: longer than [`TOPIC_BYTES_MAX`] bytes or [`TOPIC_TOKENS_MAX`]
/// tokens, not UTF-8, or with control characters.
pub fn pattern_text(subject: &[u8]) -> Option<&str> {
    let fits = subject.len() <= TOPIC_BYTES_MAX && tokens(subject).count() <= TOPIC_TOKENS_MAX;
    let text = std::str::from_utf8(subject).ok().filter(|_| fits && is_valid(subject))?;
    let is_clean = subject.iter().all(u8::is_ascii_graphic)
        || !text.chars().any(|c| c.is_whitespace() || c.is_control());
    is_clean.then_some(text)
}

/// Whether everything that `inner` matches is matched by `outer` too.
pub fn covers(outer: &Pattern, inner: &Pattern) -> bool {
    let mut inner = inner.tokens();
    for token in outer.tokens() {
        match (token, inner.next()) {
            (_, None) => return false,
            (">", Some(_)) => return true,
            ("*", Some(other)) if other != ">" => {}
            (token, Some(other)) if token == other => {}
            _ => return false,
        }
    }
    inner.next().is_none()
}

/// Whether there is a topic that both match.
pub fn overlap(one: &Pattern, other: &Pattern) -> bool {
    let (mut one, mut other) = (one.tokens(), other.tokens());
    loop {
        match (one.next(), other.next()) {
            (None, None) => return true,
            (Some(">"), Some(_)) | (Some(_), Some(">")) => return true,
            (Some("*"), Some(_)) | (Some(_), Some("*")) => {}
            (Some(token), Some(same)) if token == same => {}
            _ => return false,
        }
    }
}

/// A queue group's name as text. Two byte strings that differ give texts that differ.
pub fn group_name(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

fn tokens(subject: &[u8]) -> impl Iterator<Item = &[u8]> {
    subject.split(|&byte| byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;
    use fanfare::Topic;

    #[test]
    fn subscriptions_are_judged_as_nats_server_does() {
        for right in ["a", "a.b", "*", ">", "a.*.b", "a.>", "fo*.fo>", "*.>", "a*.>x"] {
            assert!(is_valid(right.as_bytes()), "{right}");
        }
        for wrong in ["", ".", ".a", "a.", "a..b", "a.>.b", ">.>", ">."] {
            assert!(!is_valid(wrong.as_bytes()), "{wrong}");
        }
        assert!(is_valid(b"\xff\x00"));
    }

    #[test]
    fn a_pedantic_publisher_uses_no_wildcards() {
        for right in ["a", "a.b", "fo*", "fo>.>x", "a**"] {
            assert!(
                is_valid_literal(right.as_bytes()) && !has_wildcard(right.as_bytes()),
                "{right}"
            );
        }
        for wrong in ["*", ">", "a.*", "a.*.b", "a.>", ">.a"] {
            assert!(
                !is_valid_literal(wrong.as_bytes()) && has_wildcard(wrong.as_bytes()),
                "{wrong}"
            );
        }
        for wrong in ["", "a.", ".a", "a..b"] {
            assert!(
                !is_valid_literal(wrong.as_bytes()) && !has_wildcard(wrong.as_bytes()),
                "{wrong}"
            );
        }
    }

    /// The functions here accept exactly the texts that topics and patterns accept.
    #[test]
    fn texts_are_what_topics_and_patterns_accept() {
        let pieces: [&[u8]; 14] = [
            b"a",
            b"*",
            b">",
            b".",
            b"..",
            b" ",
            b"\t",
            b"\x7f",
            b"\xff",
            "é".as_bytes(),
            "\u{2028}".as_bytes(),
            b"fo*",
            b"0123456789abcdef",
            b"x.y.z",
        ];
        let seed = fastrand::u64(..);
        println!("seed {seed}");
        let mut random = fastrand::Rng::with_seed(seed);
        let mut accepted = 0;
        for _ in 0..20_000 {
            let subject: Vec<u8> = (0..random.usize(..24))
                .flat_map(|_| pieces[random.usize(..pieces.len())])
                .copied()
                .collect();
            let text = std::str::from_utf8(&subject).ok();
            let pattern = text.filter(|text| Pattern::parse(text).is_ok());
            assert_eq!(pattern_text(&subject), pattern, "{subject:?}");
            assert_eq!(
                topic_text(&subject),
                text.filter(|text| Topic::parse(text).is_ok()),
                "{subject:?}"
            );
            accepted += usize::from(pattern.is_some());
        }
        assert!(accepted > 100);
        let long = vec![b'x'; TOPIC_BYTES_MAX + 1];
        assert_eq!(
            (pattern_text(&long), pattern_text(&long[1..]).map(str::len)),
            (None, Some(TOPIC_BYTES_MAX))
        );
    }

    /// Against what the patterns say of every topic of up to three tokens from a small alphabet.
    #[test]
    fn covering_and_overlapping_are_what_matching_says() {
        let words = ["a", "b", "*", ">"];
        let mut texts: Vec<String> = Vec::new();
        for one in words {
            texts.push(one.to_owned());
            for two in words {
                texts.push(format!("{one}.{two}"));
                texts.extend(words.iter().map(|three| format!("{one}.{two}.{three}")));
            }
        }
        let patterns: Vec<Pattern> =
            texts.iter().filter_map(|text| Pattern::parse(text).ok()).collect();
        // Other tokens stand for all that no pattern names, and a fourth token for all that is
        // longer.
        let mut topics = Vec::new();
        let names = ["a", "b", "c"];
        for one in names {
            topics.push(one.to_owned());
            for two in names {
                topics.push(format!("{one}.{two}"));
                for three in names {
                    topics.push(format!("{one}.{two}.{three}"));
                    topics.extend(names.iter().map(|four| format!("{one}.{two}.{three}.{four}")));
                }
            }
        }
        let topics: Vec<Topic> = topics.iter().map(|text| Topic::parse(text).unwrap()).collect();
        for one in &patterns {
            for other in &patterns {
                let both = topics.iter().any(|topic| one.matches(topic) && other.matches(topic));
                assert_eq!(overlap(one, other), both, "{one} {other}");
                let all = topics.iter().all(|topic| one.matches(topic) || !other.matches(topic));
                assert_eq!(covers(one, other), all, "{one} {other}");
            }
        }
    }
}

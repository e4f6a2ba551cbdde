//! The text of a push: target, options and payload.

use crate::limits::{PUSH_ACK_WAIT_MS_MAX, PUSH_ID_BYTES, PUSH_NAME_BYTES, PUSH_TTL_MAX_S};
use std::fmt;

/// A push as its sender wrote it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Push<'d> {
    /// The target.
    pub target: Target<'d>,
    /// The sender's own id for it.
    pub id: Option<&'d str>,
    /// How many seconds it is kept for clients that are away; `None` for the server's default.
    pub ttl_s: Option<u64>,
    /// Whether clients are asked to acknowledge it.
    pub wants_ack: bool,
    /// How many milliseconds the answer waits for acknowledgements; `None` not to wait.
    pub ack_wait_ms: Option<u64>,
    /// Whether the sender wants an answer.
    pub wants_answer: bool,
    /// The payload: any bytes.
    pub payload: &'d [u8],
}

/// The target of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'d> {
    /// `user:ID`: every connection of that user.
    User(&'d str),
    /// `group:NAME`: every connection in that group.
    Group(&'d str),
    /// `all`: every connection.
    All,
    /// `topic:NAME`: all subscribers of a topic of the broker. The topic is not checked here.
    Topic(&'d str),
}

/// The reason why a push is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushError {
    /// No space ends the target.
    NoSpace,
    /// The part before the payload is not UTF-8.
    NotText,
    /// The target is of no known kind.
    UnknownTarget(String),
    /// The user's id or the group's name is not valid.
    BadName(String),
    /// The option does not exist, has a value it should not have, or lacks one.
    UnknownOption(String),
    /// An option is given twice.
    Twice(&'static str),
    /// The id is too long, empty, or has other characters than an id may have.
    BadId,
    /// The time to live is not a number, or too long.
    BadTtl,
    /// The time to wait for acknowledgements is not a number, or too long.
    BadAck,
}

impl fmt::Display for PushError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSpace => write!(out, "there is no space between target and payload"),
            Self::NotText => write!(out, "the text before the payload is not UTF-8"),
            Self::UnknownTarget(target) => {
                write!(out, "{target:?} is not a target; user:ID, group:NAME, all, or topic:NAME")
            }
            Self::BadName(name) => write!(
                out,
                "{name:?} is not a name; 1 to {PUSH_NAME_BYTES} bytes without white space, \
                 control characters and . * > ;"
            ),
            Self::UnknownOption(option) => {
                write!(
                    out,
                    "{option:?} is not an option; id=ID, ttl=SECONDS, ack, ack=MS, or reply"
                )
            }
            Self::Twice(option) => write!(out, "the option {option} is given twice"),
            Self::BadId => {
                write!(out, "an id has 1 to {PUSH_ID_BYTES} printable ASCII characters")
            }
            Self::BadTtl => {
                write!(out, "a ttl is a number of seconds from 0 to {PUSH_TTL_MAX_S}")
            }
            Self::BadAck => {
                write!(
                    out,
                    "ack waits for a number of milliseconds from 0 to {PUSH_ACK_WAIT_MS_MAX}"
                )
            }
        }
    }
}

impl std::error::Error for PushError {}

/// Parses a push.
pub fn parse_push(datagram: &[u8]) -> Result<Push<'_>, PushError> {
    let (head, payload) = split(datagram).ok_or(PushError::NoSpace)?;
    let head = std::str::from_utf8(head).map_err(|_| PushError::NotText)?;
    let mut parts = head.split(';');
    let target = Target::parse(parts.next().unwrap_or_default())?;
    let mut push = Push::to(target, payload);
    for option in parts {
        push.take_option(option)?;
    }
    Ok(push)
}

/// Whether a push asks for an answer. The push may be malformed; the answer then says what is
/// wrong.
pub fn wants_answer(datagram: &[u8]) -> bool {
    let head = split(datagram).map_or(datagram, |(head, _)| head);
    head.split(|byte| *byte == b';').skip(1).any(|option| option == b"reply")
}

/// Whether a user or a group can have this name. A name is one token of a topic.
pub fn is_name(text: &str) -> bool {
    let is_bad =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '.' | '*' | '>' | ';');
    (1..=PUSH_NAME_BYTES).contains(&text.len()) && !text.contains(is_bad)
}

impl<'d> Target<'d> {
    /// Parses a target.
    ///
    /// # Errors
    /// [`PushError::UnknownTarget`] or [`PushError::BadName`].
    pub fn parse(text: &'d str) -> Result<Self, PushError> {
        let named = |name: &'d str| {
            if is_name(name) { Ok(name) } else { Err(PushError::BadName(shortened(name))) }
        };
        match text.split_once(':') {
            Some(("user", name)) => named(name).map(Target::User),
            Some(("group", name)) => named(name).map(Target::Group),
            Some(("topic", topic)) => Ok(Target::Topic(topic)),
            None if text == "all" => Ok(Target::All),
            _ => Err(PushError::UnknownTarget(shortened(text))),
        }
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::User(id) => write!(out, "user:{id}"),
            Target::Group(name) => write!(out, "group:{name}"),
            Target::All => write!(out, "all"),
            Target::Topic(topic) => write!(out, "topic:{topic}"),
        }
    }
}

impl<'d> Push<'d> {
    /// A push without options.
    pub fn to(target: Target<'d>, payload: &'d [u8]) -> Self {
        Push {
            target,
            id: None,
            ttl_s: None,
            wants_ack: false,
            ack_wait_ms: None,
            wants_answer: false,
            payload,
        }
    }

    fn take_option(&mut self, option: &'d str) -> Result<(), PushError> {
        let set = |flag: &mut bool, name| {
            if std::mem::replace(flag, true) { Err(PushError::Twice(name)) } else { Ok(()) }
        };
        match option.split_once('=') {
            None if option == "ack" => set(&mut self.wants_ack, "ack"),
            None if option == "reply" => set(&mut self.wants_answer, "reply"),
            Some(("id", id)) => {
                self.set_id(id)?;
                Ok(())
            }
            Some(("ttl", seconds)) => self.set_ttl(seconds),
            Some(("ack", ms)) => self.set_ack_wait(ms),
            _ => Err(PushError::UnknownOption(shortened(option))),
        }
    }

    /// Sets the push's id.
    ///
    /// # Errors
    /// [`PushError::BadId`], or [`PushError::Twice`] if it has one.
    pub fn set_id(&mut self, id: &'d str) -> Result<(), PushError> {
        let is_id = (1..=PUSH_ID_BYTES).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_graphic());
        match self.id.replace(id) {
            _ if !is_id => Err(PushError::BadId),
            Some(_) => Err(PushError::Twice("id")),
            None => Ok(()),
        }
    }

    /// Sets the push's time to live.
    ///
    /// # Errors
    /// [`PushError::BadTtl`], or [`PushError::Twice`] if it has one.
    pub fn set_ttl(&mut self, seconds: &str) -> Result<(), PushError> {
        match self.ttl_s.replace(number(seconds, PUSH_TTL_MAX_S).ok_or(PushError::BadTtl)?) {
            Some(_) => Err(PushError::Twice("ttl")),
            None => Ok(()),
        }
    }

    /// Asks clients to acknowledge the push, and makes the answer wait for them.
    ///
    /// # Errors
    /// [`PushError::BadAck`], or [`PushError::Twice`] if it was asked for already.
    pub fn set_ack_wait(&mut self, ms: &str) -> Result<(), PushError> {
        self.ack_wait_ms = Some(number(ms, PUSH_ACK_WAIT_MS_MAX).ok_or(PushError::BadAck)?);
        if std::mem::replace(&mut self.wants_ack, true) {
            Err(PushError::Twice("ack"))
        } else {
            Ok(())
        }
    }
}

/// A number of at most `most`, written only in digits.
fn number(text: &str, most: u64) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_number && *number <= most)
}

/// The parts before and after the first space.
fn split(datagram: &[u8]) -> Option<(&[u8], &[u8])> {
    let space = memchr::memchr(b' ', datagram)?;
    Some((&datagram[..space], &datagram[space + 1..]))
}

/// The beginning of a text, long enough to recognise it.
fn shortened(text: &str) -> String {
    text.chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Push<'_> = Push {
        target: Target::All,
        id: None,
        ttl_s: None,
        wants_ack: false,
        ack_wait_ms: None,
        wants_answer: false,
        payload: b"",
    };

    #[test]
    fn every_target_and_option_is_understood() {
        let hello = Push { payload: b"hello", ..PLAIN };
        for (text, expected) in [
            ("user:42 hello", Push { target: Target::User("42"), ..hello }),
            ("group:news hello", Push { target: Target::Group("news"), ..hello }),
            (
                "topic:chat.room.lobby hello",
                Push { target: Target::Topic("chat.room.lobby"), ..hello },
            ),
            ("all hello", hello),
            ("all ", PLAIN),
            ("all  two  spaces \n", Push { payload: b" two  spaces \n", ..PLAIN }),
            (
                "user:42;id=o-17;ttl=30;ack;reply hello",
                Push {
                    target: Target::User("42"),
                    id: Some("o-17"),
                    ttl_s: Some(30),
                    wants_ack: true,
                    wants_answer: true,
                    ..hello
                },
            ),
            (
                "all;ack=30000;reply hello",
                Push { wants_ack: true, ack_wait_ms: Some(30_000), wants_answer: true, ..hello },
            ),
            ("all;ack=0 hello", Push { wants_ack: true, ack_wait_ms: Some(0), ..hello }),
        ] {
            assert_eq!(parse_push(text.as_bytes()), Ok(expected), "{text}");
        }
        assert_eq!(parse_push(b"all \xff\0 x").unwrap().payload, b"\xff\0 x");
    }

    #[test]
    fn every_mistake_is_named() {
        let long_name = format!("user:{} x", "a".repeat(PUSH_NAME_BYTES + 1));
        for (text, expected) in [
            ("", PushError::NoSpace),
            ("user:42", PushError::NoSpace),
            (" hello", PushError::UnknownTarget(String::new())),
            ("everybody hello", PushError::UnknownTarget("everybody".into())),
            ("all:x hello", PushError::UnknownTarget("all:x".into())),
            ("user: hello", PushError::BadName(String::new())),
            ("user:a.b hello", PushError::BadName("a.b".into())),
            ("group:* hello", PushError::BadName("*".into())),
            (&long_name, PushError::BadName("a".repeat(32))),
            ("all; hello", PushError::UnknownOption(String::new())),
            ("all;reply=1 hello", PushError::UnknownOption("reply=1".into())),
            ("all;id hello", PushError::UnknownOption("id".into())),
            ("all;id= hello", PushError::BadId),
            ("all;id=\u{e9} hello", PushError::BadId),
            ("all;ttl=-1 hello", PushError::BadTtl),
            ("all;ttl=+1 hello", PushError::BadTtl),
            ("all;ttl=86401 hello", PushError::BadTtl),
            ("all;ttl=99999999999999999999 hello", PushError::BadTtl),
            ("all;ack= hello", PushError::BadAck),
            ("all;ack=1s hello", PushError::BadAck),
            ("all;ack=30001 hello", PushError::BadAck),
            ("all;ack;ack=1 hello", PushError::Twice("ack")),
            ("all;ack=1;ack hello", PushError::Twice("ack")),
            ("all;reply;reply hello", PushError::Twice("reply")),
            ("all;ttl=1;ttl=1 hello", PushError::Twice("ttl")),
            ("all;id=a;id=b hello", PushError::Twice("id")),
        ] {
            assert_eq!(parse_push(text.as_bytes()), Err(expected), "{text}");
        }
        assert_eq!(parse_push(b"user:\xff hello"), Err(PushError::NotText));
    }

    #[test]
    fn a_wrong_push_can_still_ask_for_an_answer() {
        assert!(wants_answer(b"nobody;ttl=x;reply hello") && wants_answer(b"all;reply"));
        assert!(
            !wants_answer(b"all hello;reply")
                && !wants_answer(b"reply hello")
                && !wants_answer(b"all;reply=1 x")
        );
    }
}

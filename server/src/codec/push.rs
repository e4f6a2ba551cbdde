//! What push clients and the server say to each other: one JSON object a line, the same over TCP,
//! WebSocket and server-sent events.
//!
//! A client begins with `{"hello": {"user": "42"}}`. Then it gets `{"push": {"n": 7, "id": "o-17",
//! "to": "user:42", "text": "hello"}}`; a payload that is not UTF-8 is in `"base64"` in place of
//! `"text"`.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fmt;

/// An object that a client sends.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum ClientObject {
    /// Says who the client is. Comes first, and once.
    Hello(Hello),
    /// Joins a group.
    Join(String),
    /// Leaves a group.
    Leave(String),
    /// Acknowledges the push with this id.
    Ack(String),
    /// Asks whether the server is there.
    Ping(u64),
    /// Answers the server's ping.
    Pong(u64),
}

/// A client's first line: its identity, and what it wants.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hello {
    /// The user whose pushes it gets.
    pub user: String,
    /// The token that allows this.
    pub token: Option<String>,
    /// The groups that it joins at once.
    #[serde(default)]
    pub groups: Vec<String>,
    /// The last push that it received. Later pushes that are still kept are sent first. Without it,
    /// only new pushes are sent.
    pub seen: Option<Seen>,
}

/// The last push that a client received.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Seen {
    /// The push's number. 0 is before all pushes.
    Number(u64),
    /// The push's id. If no push with this id is kept any more, all kept pushes count as later.
    Id(String),
}

/// An object that the server sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerObject<'o> {
    /// Confirms who the client is.
    Hello {
        /// The user's id.
        user: Cow<'o, str>,
        /// The groups it is in.
        groups: Vec<String>,
    },
    /// A push.
    Push(PushObject<'o>),
    /// This many pushes are missing here, because the client did not read, or was away until they
    /// were no longer kept. 0: nobody knows how many, because the link to a cluster was down or the
    /// client was away for too long.
    Missed(u64),
    /// This many pushes were too old to be delivered here.
    Expired(u64),
    /// The client has joined this group.
    Joined(Cow<'o, str>),
    /// The client has left this group.
    Left(Cow<'o, str>),
    /// Asks whether the client is there.
    Ping(u64),
    /// Answers a ping, with its number.
    Pong(u64),
    /// The client did something wrong.
    Error {
        /// The mistake, for programs.
        code: ErrorCode,
        /// The mistake in words, for people.
        text: Cow<'o, str>,
    },
    /// The connection ends.
    Bye(Cow<'o, str>),
}

/// A client's mistake, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ErrorCode {
    /// It sent something that no client may send.
    Object,
    /// It said hello twice, or something else before hello.
    Hello,
    /// A user's or a group's name is not valid.
    Name,
    /// Its token does not allow that.
    Denied,
    /// It is in too many groups, or not in the one that it leaves.
    Group,
    /// It acknowledged a push that does not wait for an acknowledgement.
    Ack,
}

/// A push as a client gets it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PushObject<'o> {
    /// The push's number: a later push has a larger one. `None` if it did not come through the
    /// gateway.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// The push's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<&'o str>,
    /// The target: `user:42`, `group:news`, `all`.
    pub to: &'o str,
    /// Whether the client is asked to acknowledge it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ack: bool,
    /// The payload.
    #[serde(flatten)]
    pub payload: Payload<'o>,
}

/// The payload of a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Payload<'o> {
    /// UTF-8, as it is.
    Text(&'o str),
    /// Bytes that are not UTF-8.
    Base64(String),
}

impl<'o> From<&'o [u8]> for Payload<'o> {
    fn from(bytes: &'o [u8]) -> Self {
        match std::str::from_utf8(bytes) {
            Ok(text) => Payload::Text(text),
            Err(_) => Payload::Base64(BASE64.encode(bytes)),
        }
    }
}

/// Why a line is not an object that a client may send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectError {
    problem: String,
}

impl fmt::Display for ObjectError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "that is not an object that a client sends: {}", self.problem)
    }
}

impl std::error::Error for ObjectError {}

/// Parses a line.
pub fn parse_object(line: &str) -> Result<ClientObject, ObjectError> {
    serde_json::from_str(line)
        .map_err(|error| ObjectError { problem: error.to_string().chars().take(200).collect() })
}

/// Appends an object as a line.
pub fn append_object(out: &mut Vec<u8>, object: &ServerObject<'_>) {
    #[expect(
        clippy::expect_used,
        reason = "writing to a Vec does not fail, and every key is a string"
    )]
    serde_json::to_writer(&mut *out, object).expect("text and numbers become JSON");
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(object: &ServerObject<'_>) -> String {
        let mut out = Vec::new();
        append_object(&mut out, object);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_object_of_a_client_is_understood() {
        let hello = Hello {
            user: "42".into(),
            token: Some("t".into()),
            groups: vec!["news".into()],
            seen: Some(Seen::Id("o-17".into())),
        };
        let named = Hello { user: "42".into(), ..Hello::default() };
        for (text, expected) in [
            (r#"{"hello": {"user": "42"}}"#, ClientObject::Hello(named.clone())),
            (r#"{"hello": {"user": "42", "seen": 7}}"#, {
                ClientObject::Hello(Hello { seen: Some(Seen::Number(7)), ..named })
            }),
            (
                r#" {"hello":{"seen":"o-17","groups":["news"],"token":"t","user":"42"}} "#,
                ClientObject::Hello(hello),
            ),
            (r#"{"join": "news"}"#, ClientObject::Join("news".into())),
            (r#"{"leave": "news"}"#, ClientObject::Leave("news".into())),
            (r#"{"ack": "o-17"}"#, ClientObject::Ack("o-17".into())),
            (r#"{"ping": 1}"#, ClientObject::Ping(1)),
            (r#"{"pong": 1}"#, ClientObject::Pong(1)),
        ] {
            assert_eq!(parse_object(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_wrong_line_is_told_in_a_short_text() {
        let long = format!(r#"{{"{}": 1}}"#, "x".repeat(4000));
        for text in [
            "",
            "hello",
            "{}",
            "[]",
            "7",
            r#"{"push": 1}"#,
            r#"{"ack": 1}"#,
            r#"{"hello": {}}"#,
            &long,
        ] {
            assert!(parse_object(text).unwrap_err().to_string().len() < 300, "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(parse_object(&deep).is_err());
        assert!(parse_object(r#"{"hello": {"user": "42", "seen": "x", "more": 1}}"#).is_err());
    }

    #[test]
    fn objects_of_the_server_are_lines() {
        let push = |payload: &'static [u8]| {
            ServerObject::Push(PushObject {
                n: Some(7),
                id: Some("o-17"),
                to: "user:42",
                ack: true,
                payload: payload.into(),
            })
        };
        assert_eq!(
            line(&push(b"a \"line\"\n")),
            concat!(
                r#"{"push":{"n":7,"id":"o-17","to":"user:42","ack":true,"#,
                r#""text":"a \"line\"\n"}}"#,
                "\n"
            )
        );
        assert_eq!(
            line(&push(b"\xff\x00")),
            concat!(
                r#"{"push":{"n":7,"id":"o-17","to":"user:42","ack":true,"base64":"/wA="}}"#,
                "\n"
            )
        );
        let bare =
            PushObject { n: None, id: None, to: "all", ack: false, payload: Payload::Text("x") };
        assert_eq!(line(&ServerObject::Push(bare)), "{\"push\":{\"to\":\"all\",\"text\":\"x\"}}\n");
        assert_eq!(line(&ServerObject::Missed(3)), "{\"missed\":3}\n");
        assert_eq!(line(&ServerObject::Missed(0)), "{\"missed\":0}\n");
        assert_eq!(line(&ServerObject::Ping(3)), "{\"ping\":3}\n");
        let error = ServerObject::Error { code: ErrorCode::Object, text: "no".into() };
        assert_eq!(line(&error), "{\"error\":{\"code\":\"object\",\"text\":\"no\"}}\n");
    }
}

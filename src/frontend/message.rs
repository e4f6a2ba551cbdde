//! The one message type of the server, whatever protocol a message came in by.

use crate::broker::Payload;
use bytes::Bytes;
use std::sync::Arc;

/// A message between front-ends. Cloning shares everything.
///
/// A front-end that knows nothing of senders or kinds fills in the payload alone; the others show that sensibly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServerMessage {
    /// The content. Chat takes it for text; others for any bytes.
    pub payload: Bytes,
    /// What the publisher said about it.
    pub headers: Headers,
    /// Who said it, for people to read. None where a protocol has no names.
    pub sender: Option<Arc<str>>,
    /// How to show it.
    pub kind: Kind,
}

/// How a message is to be shown to people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// Somebody said it.
    #[default]
    Said,
    /// Somebody does it: `/me waves`.
    Action,
    /// The server reports it: somebody came, left, or changed a name. Not kept in a history.
    Notice,
}

/// Names and values that travel with a message; none at all costs nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Option<Arc<[Header]>>);

/// A name and a value.
type Header = (Box<str>, Box<str>);

impl ServerMessage {
    /// A message of nobody in particular.
    pub fn of(payload: impl Into<Bytes>) -> ServerMessage {
        ServerMessage { payload: payload.into(), ..ServerMessage::default() }
    }
}

impl Headers {
    /// Headers in the order given. A name may occur more than once.
    pub fn new(entries: impl IntoIterator<Item = Header>) -> Headers {
        let entries: Arc<[_]> = entries.into_iter().collect();
        Headers((!entries.is_empty()).then_some(entries))
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|entries| entries.iter()).map(|(name, value)| (&**name, &**value))
    }

    /// The first value of that name, compared without regard to ASCII case.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find(|(candidate, _)| candidate.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    fn weight_bytes(&self) -> usize {
        self.iter().map(|(name, value)| size_of::<Header>() + name.len() + value.len()).sum()
    }
}

impl Payload for ServerMessage {
    fn weight_bytes(&self) -> usize {
        size_of::<Self>() + self.payload.len() + self.headers.weight_bytes()
    }

    fn is_kept_in_history(&self) -> bool {
        self.kind != Kind::Notice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_weight_counts_what_a_message_holds() {
        let bare = ServerMessage::of("12345");
        assert_eq!(bare.weight_bytes(), size_of::<ServerMessage>() + 5);
        let headers = Headers::new([("Name".into(), "value".into())]);
        assert_eq!(headers.get("name"), Some("value"));
        assert_eq!(headers.get("other"), None);
        let with_headers = ServerMessage { headers, ..bare.clone() };
        assert_eq!(with_headers.weight_bytes(), bare.weight_bytes() + 32 + 9);
        assert_eq!(Headers::new([]), Headers::default());
    }

    #[test]
    fn notices_are_not_kept() {
        assert!(ServerMessage::of("said").is_kept_in_history());
        assert!(!ServerMessage { kind: Kind::Notice, ..ServerMessage::of("came") }.is_kept_in_history());
    }
}

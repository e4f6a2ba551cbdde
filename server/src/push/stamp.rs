//! What the gateway notes on a push: a header of the message, which NATS clients see too.

use crate::message::{Content, ServerMessage};
use fanfare::Topic;
use std::borrow::Cow;

/// The header that carries a [`Stamp`].
pub const STAMP_HEADER: &str = "Fanfare-Push";

/// The note on a push: `NUMBER EXPIRES ACK ID`. `EXPIRES` is 0 if it is not kept, `ACK` is `ack` or
/// `-`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp<'m> {
    /// Of all pushes of a gateway; a later one has a larger number, also after a restart.
    pub number: u64,
    /// When it is too old, in milliseconds since 1970. None: it is for those who are there, and not
    /// kept for others.
    pub expires_ms: Option<u64>,
    /// Whether clients are asked to acknowledge it.
    pub wants_ack: bool,
    /// Its sender's id for it, or its number.
    pub id: &'m str,
}

impl<'m> Stamp<'m> {
    /// The note on a message; none if it did not come through the gateway.
    pub fn of(message: &'m ServerMessage) -> Option<Self> {
        let text = message.content.header(STAMP_HEADER)?;
        let mut fields = text.splitn(4, ' ');
        let number = fields.next()?.parse().ok()?;
        let expires_ms = fields.next()?.parse().ok().filter(|expires_ms| *expires_ms > 0);
        let wants_ack = fields.next()? == "ack";
        Some(Stamp { number, expires_ms, wants_ack, id: fields.next()? })
    }

    /// A message with this note. None if the id holds what no header can.
    pub fn on(&self, payload: &[u8]) -> Option<ServerMessage> {
        let ack = if self.wants_ack { "ack" } else { "-" };
        let text = format!("{} {} {ack} {}", self.number, self.expires_ms.unwrap_or(0), self.id);
        Content::with_headers([(STAMP_HEADER, text.as_str())], payload).ok().map(ServerMessage::of)
    }

    /// Whether it is too old to be delivered.
    pub fn is_expired(&self, now_ms: u64) -> bool {
        self.expires_ms.is_some_and(|expires_ms| expires_ms <= now_ms)
    }
}

/// Whom a topic is for, as a client reads it: `push.user.42` is `user:42`.
pub fn target_of(topic: &Topic) -> Cow<'_, str> {
    match topic.as_str().strip_prefix("push.").map(|target| target.split_once('.').ok_or(target)) {
        Some(Ok((kind, name))) => Cow::Owned(format!("{kind}:{name}")),
        Some(Err(target)) => Cow::Borrowed(target),
        None => Cow::Borrowed(topic.as_str()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_read_as_it_was_written() {
        for stamp in [
            Stamp { number: 7, expires_ms: Some(1000), wants_ack: true, id: "o-17" },
            Stamp { number: u64::MAX, expires_ms: None, wants_ack: false, id: "a:b;c" },
            Stamp { number: 1, expires_ms: None, wants_ack: true, id: "-" },
        ] {
            let message = stamp.on(b"payload").unwrap();
            assert_eq!((Stamp::of(&message), message.payload()), (Some(stamp), &b"payload"[..]));
        }
        assert_eq!(Stamp::of(&ServerMessage::of("plain")), None);
        assert_eq!(
            Stamp { number: 1, expires_ms: None, wants_ack: false, id: "a\r\nb" }.on(b""),
            None
        );
        for bad in ["", "7", "7 0 ack", "x 0 - id"] {
            let content = Content::with_headers([(STAMP_HEADER, bad)], b"").unwrap();
            assert_eq!(Stamp::of(&ServerMessage::of(content)), None, "{bad}");
        }
    }

    #[test]
    fn a_push_expires_when_its_time_has_come() {
        let stamp = Stamp { number: 1, expires_ms: Some(1000), wants_ack: false, id: "1" };
        assert!(!stamp.is_expired(999) && stamp.is_expired(1000));
        assert!(!Stamp { expires_ms: None, ..stamp }.is_expired(u64::MAX));
    }

    #[test]
    fn topics_are_targets() {
        let target = |topic: &str| target_of(&Topic::parse(topic).unwrap()).into_owned();
        assert_eq!(
            (target("push.user.42"), target("push.all"), target("other.x")),
            ("user:42".into(), "all".into(), "other.x".into())
        );
    }
}

//! How objects are written: as lines, messages of a WebSocket, or server-sent events.

use crate::codec::push::{PushObject, ServerObject, append_object};
use crate::codec::web_socket::{CloseCode, CloseFrame, append_close, append_text, closing};
use crate::message::ServerMessage;
use fanfare::Topic;
use std::borrow::Cow;

/// How objects are told apart on a connection. Everything else is the same for all clients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Framing {
    /// Each object is a line.
    #[default]
    Lines,
    /// Each object is a message of a WebSocket.
    Messages,
    /// Each object is a server-sent event. An `EventSource` keeps the number of the last push as
    /// the last event's id, and says it when it comes back.
    Events,
}

impl Framing {
    pub fn append_object(self, out: &mut Vec<u8>, object: &ServerObject<'_>) {
        match self {
            Self::Lines => append_object(out, object),
            Self::Messages => append_text(out, |out| {
                append_object(out, object);
                // The end of the line.
                out.pop();
            }),
            Self::Events => {
                if let ServerObject::Push(PushObject { n: Some(number), .. }) = object {
                    out.extend_from_slice(format!("id: {number}\n").as_bytes());
                }
                out.extend_from_slice(b"data: ");
                append_object(out, object);
                out.push(b'\n');
            }
        }
    }

    /// Appends the frame that says that nothing more will come, where there are frames.
    pub fn append_close(self, out: &mut Vec<u8>, frame: Option<&CloseFrame>) {
        if self == Self::Messages {
            append_close(out, frame.unwrap_or(&closing(CloseCode::Normal, "")));
        }
    }
}

/// A message as a push client gets it.
pub(super) fn push_object<'m>(to: &'m str, message: &'m ServerMessage) -> ServerObject<'m> {
    let header = message.push.as_deref();
    ServerObject::Push(PushObject {
        n: header.map(|header| header.number),
        id: header.map(|header| &*header.id),
        to,
        ack: header.is_some_and(|header| header.wants_ack),
        payload: message.payload().into(),
    })
}

/// Whom a topic is for, as a client reads it: `push.user.42` is `user:42`.
pub(super) fn target_of(topic: &Topic) -> Cow<'_, str> {
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
    fn a_push_is_an_event_with_its_number() {
        let text = |number| {
            let push = PushObject {
                n: number,
                id: None,
                to: "all",
                ack: false,
                payload: (&b"x"[..]).into(),
            };
            let mut out = Vec::new();
            Framing::Events.append_object(&mut out, &ServerObject::Push(push));
            String::from_utf8(out).unwrap()
        };
        let data = "\"to\":\"all\",\"text\":\"x\"}}\n\n";
        assert_eq!(text(Some(17)), format!("id: 17\ndata: {{\"push\":{{\"n\":17,{data}"));
        assert_eq!(text(None), format!("data: {{\"push\":{{{data}"));
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

//! The reading half of a connection: does what the session says of each object.

use super::framing::{Decoder, Said};
use super::gateway::{Gateway, topic_of};
use super::render::Framing;
use super::session::{Action, Session};
use super::writer::{Change, Link};
use crate::codec::datagram::Target;
use crate::codec::push::{ErrorCode, ServerObject, parse_object};
use crate::codec::web_socket::{CloseCode, closing};
use crate::connection::duplex::{Flow, ReadHalf};
use crate::connection::outbound::Position;
use crate::diagnostics::{ConnectionFigures, Ended};
use crate::limits::PUSH_MISTAKES;
use bytes::{Bytes, BytesMut};
use fanfare::Topic;
use std::ops::ControlFlow;

/// One client's reading half.
pub(super) struct Reader<'c> {
    gateway: &'c Gateway,
    link: &'c Link,
    figures: &'c ConnectionFigures,
    session: Session,
    /// Bytes that the client sent before its connection was handed over.
    early: Bytes,
    actions: Vec<Action>,
    mistakes: usize,
    /// Whether the first line is still to come, which shows whether this is a client at all.
    is_first: bool,
}

impl ReadHalf for Reader<'_> {
    type Change = Change;
    type Decoder = Decoder;

    fn decoder(&self) -> Decoder {
        Decoder::new(self.link.framing, self.gateway.settings.line_bytes)
    }

    async fn begin(&mut self, decoder: &mut Decoder) -> Flow {
        // Not kept: it may be a piece of a larger buffer.
        let early = std::mem::take(&mut self.early);
        self.take_all(decoder, &early).await
    }

    async fn take(&mut self, decoder: &mut Decoder, received: &mut BytesMut, at_end: bool) -> Flow {
        if at_end {
            self.link.close_with(closing(CloseCode::Protocol, "no close frame came"));
        }
        let flow = self.take_all(decoder, received).await;
        received.clear();
        flow
    }

    fn say_goodbye(&mut self) {
        self.link.say_goodbye(closing(CloseCode::Away, "the server is ending"));
    }
}

impl<'c> Reader<'c> {
    pub fn new(
        gateway: &'c Gateway,
        link: &'c Link,
        figures: &'c ConnectionFigures,
        (session, early): (Session, Bytes),
    ) -> Self {
        // Over HTTP it has shown that already.
        let is_first = link.framing == Framing::Lines;
        let (actions, mistakes) = (Vec::new(), 0);
        Reader { gateway, link, figures, session, early, actions, mistakes, is_first }
    }

    /// Does everything that the client said in these bytes.
    async fn take_all(&mut self, decoder: &mut Decoder, mut bytes: &[u8]) -> Flow {
        let mut answers = Vec::new();
        loop {
            let said = decoder.decode(&mut bytes, &mut answers);
            if !answers.is_empty() {
                self.link.queue.append(Position::default(), |out| out.append(&mut answers));
            }
            let Some(said) = said else { return ControlFlow::Continue(()) };
            self.take_one(said)?;
            // One read can hold thousands of small objects with answers.
            self.link.queue.has_room().await;
        }
    }

    fn take_one(&mut self, said: Said<'_>) -> Flow {
        let is_first = std::mem::take(&mut self.is_first);
        match said {
            Said::Line(line) if is_first && !line.trim_start().starts_with('{') => {
                return self.send_away();
            }
            Said::Mistake(_) if is_first => return self.send_away(),
            Said::Line(line) => self.take_line(line),
            Said::Message(text) => self.take_line(&text),
            Said::Mistake(error) => self.take_mistake(error.to_string()),
            Said::Nothing => {}
            Said::Goodbye(frame) => {
                self.link.close_with(frame);
                return ControlFlow::Break(Ended::Quit);
            }
            Said::Foreign => return ControlFlow::Break(Ended::Because("another protocol")),
            Said::Refused(frame) => {
                self.link.say_goodbye(frame);
                return ControlFlow::Break(Ended::Because("protocol error"));
            }
        }
        if self.mistakes > PUSH_MISTAKES {
            self.link.say_goodbye(closing(CloseCode::Policy, "too many mistakes"));
            return ControlFlow::Break(Ended::Quit);
        }
        ControlFlow::Continue(())
    }

    /// Ends a connection on which something else is spoken, before anything is done.
    fn send_away(&self) -> Flow {
        self.link.say_goodbye(closing(CloseCode::Policy, "this port takes lines of JSON objects"));
        ControlFlow::Break(Ended::Because("another protocol"))
    }

    fn take_line(&mut self, line: &str) {
        self.figures.received(1);
        match parse_object(line) {
            Ok(object) => self.session.handle(object, &mut self.actions),
            Err(problem) => return self.take_mistake(problem.to_string()),
        }
        let mut actions = std::mem::take(&mut self.actions);
        actions.drain(..).for_each(|action| self.act(action));
        self.actions = actions;
    }

    fn take_mistake(&mut self, problem: String) {
        self.act(Action::Reply(ServerObject::Error {
            code: ErrorCode::Object,
            text: problem.into(),
        }));
    }

    fn act(&mut self, action: Action) {
        match action {
            Action::Reply(object) => {
                self.mistakes += usize::from(matches!(object, ServerObject::Error { .. }));
                self.link.say(&object);
            }
            Action::Begin { user, groups, seen } => {
                self.figures.set_user(&user);
                self.change(Change::Begin(topics_of(&user, &groups), seen));
            }
            Action::Join(group) => self.change_group(&group, Change::Join),
            Action::Leave(group) => self.change_group(&group, Change::Leave),
            Action::Acknowledge(id) => match self.link.acknowledge(&id) {
                Some(number) => self.gateway.acknowledge(number),
                None => self.act(Action::Reply(ServerObject::Error {
                    code: ErrorCode::Ack,
                    text: "no push of that id waits to be acknowledged here".into(),
                })),
            },
        }
    }

    fn change_group(&self, group: &str, change: impl FnOnce(Topic) -> Change) {
        if let Some(topic) = topic(Target::Group(group)) {
            self.change(change(topic));
        }
    }

    fn change(&self, change: Change) {
        self.link.queue.change(Position::default(), change);
    }
}

/// The topics of a user in some groups, whose names the session has checked.
pub(super) fn topics_of(user: &str, groups: &[String]) -> Vec<Topic> {
    let targets = [Target::User(user), Target::All].into_iter();
    targets.chain(groups.iter().map(|group| Target::Group(group))).filter_map(topic).collect()
}

fn topic(target: Target<'_>) -> Option<Topic> {
    topic_of(target).ok()
}

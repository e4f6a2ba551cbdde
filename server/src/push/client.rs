//! One client's connection, to its close, whatever its framing: one task with two halves, polled
//! side by side. One reads what the client says, the other writes what it is pushed.

use super::access::Access;
use super::datagrams::is_local;
use super::framing::{Decoder, Said};
use super::gateway::{Gateway, topic_of};
use super::render::Framing;
use super::session::{Action, Session};
use super::writer::{Change, ClientWriter, Link};
use crate::codec::datagram::Target;
use crate::codec::push::{ErrorCode, ServerObject, parse_object};
use crate::codec::web_socket::{CloseCode, CloseFrame, closing};
use crate::connection;
use crate::connection::ending::{EndCount, Ending, FirstEnd, ReadEnd, ended};
use crate::connection::outbox::WritingEnd;
use crate::diagnostics::{ConnectionEntry, ConnectionFigures, Ended};
use crate::limits::PUSH_MISTAKES;
use crate::transport::{self, Connection, Outcome, Reader};
use bytes::Bytes;
use fanfare::Topic;
use futures_lite::future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

/// What the connections of a server share.
pub(super) struct Shared {
    pub gateway: Arc<Gateway>,
    pub access: Arc<Access>,
    pub ending: Arc<Ending>,
}

/// A client that has come.
pub(super) struct Client {
    pub connection: Connection,
    pub peer: SocketAddr,
    pub framing: Framing,
    /// What it sent before this began.
    pub early: Bytes,
    pub entry: ConnectionEntry,
}

/// Serves a client to the close; gives why it ended.
pub(super) async fn serve(shared: &Shared, client: Client) -> Ended {
    let Client { connection, peer, framing, early, mut entry } = client;
    let link = Arc::new(Link::new(framing));
    let mut writer = match ClientWriter::new(&shared.gateway, &link, entry.figures()) {
        Ok(writer) => writer,
        Err(error) => {
            let mut bye = Vec::new();
            let frame = CloseFrame { code: CloseCode::Again, reason: error.to_string().into() };
            framing.append_object(&mut bye, &ServerObject::Bye(frame.reason.as_str().into()));
            framing.append_close(&mut bye, Some(&frame));
            connection::refuse(connection.socket(), &bye);
            return Ended::Cut;
        }
    };
    let count = EndCount::new(&shared.ending, &connection);
    let mut listener = ClientReader::new(shared, &link, peer, entry.figures());
    let mut writing = Box::pin(transport::write_all_from(
        &mut writer,
        &connection,
        shared.gateway.settings.writer,
    ));
    let first = {
        let decoder = Decoder::new(framing, shared.gateway.settings.line_bytes);
        let reading =
            async { FirstEnd::Reading(listener.read_all(decoder, early, &connection).await) };
        future::or(reading, async { FirstEnd::Writing((&mut writing).await) }).await
    };
    let (outcome, reason, lingers) = match first {
        FirstEnd::Reading(end) => {
            let stops = matches!(end, Ok(ReadEnd::ServerStops));
            link.outbox.end(if stops {
                WritingEnd::AfterMessages
            } else {
                WritingEnd::AfterReplies
            });
            let outcome = (&mut writing).await;
            let reason = match ended(Some(&end), &outcome) {
                Ended::Quit if listener.is_refused => Ended::Because("protocol error"),
                reason => reason,
            };
            (outcome, reason, !matches!(end, Err(_) | Ok(ReadEnd::PeerClosed)))
        }
        FirstEnd::Writing(outcome) => {
            let reason = match outcome {
                // The writer sent it away, while it may still be sending.
                Outcome::Finished => Ended::Because("sent away"),
                _ => ended(None, &outcome),
            };
            (outcome, reason, true)
        }
    };
    // Nothing is kept for somebody who has left.
    drop(writing);
    drop(writer);
    entry.ended(reason);
    count.close(&outcome, lingers).await;
    reason
}

/// The reading half: what a client says.
struct ClientReader<'s> {
    shared: &'s Shared,
    link: &'s Link,
    figures: &'s ConnectionFigures,
    session: Session,
    actions: Vec<Action>,
    mistakes: usize,
    /// It broke the rules of its framing.
    is_refused: bool,
}

impl<'s> ClientReader<'s> {
    fn new(
        shared: &'s Shared,
        link: &'s Link,
        peer: SocketAddr,
        figures: &'s ConnectionFigures,
    ) -> Self {
        let session =
            Session::new(shared.access.clone(), is_local(peer), shared.gateway.settings.groups);
        ClientReader {
            shared,
            link,
            figures,
            session,
            actions: Vec::new(),
            mistakes: 0,
            is_refused: false,
        }
    }

    /// Reads until somebody wants to end it.
    async fn read_all(
        &mut self,
        mut decoder: Decoder,
        early: Bytes,
        connection: &Connection,
    ) -> io::Result<ReadEnd> {
        let mut reader = Reader::new(connection.clone());
        let (ending, link) = (&self.shared.ending, self.link);
        if let Some(end) = self.take(&mut decoder, &early).await {
            return Ok(end);
        }
        // It may be a piece of a larger buffer.
        drop(early);
        loop {
            let read = async {
                link.outbox.has_room().await;
                reader.read().await.map(Some)
            };
            let stop = async {
                ending.begun().await;
                Ok(None)
            };
            let Some(bytes) = future::or(stop, read).await? else {
                link.say_goodbye(closing(CloseCode::Away, "the server is ending"));
                return Ok(ReadEnd::ServerStops);
            };
            if bytes.is_empty() {
                link.close_with(closing(CloseCode::Protocol, "no close frame came"));
                return Ok(ReadEnd::PeerClosed);
            }
            if let Some(end) = self.take(&mut decoder, bytes).await {
                return Ok(end);
            }
        }
    }

    /// Does all that it said in these bytes; gives how it ends, if it does.
    async fn take(&mut self, decoder: &mut Decoder, mut bytes: &[u8]) -> Option<ReadEnd> {
        let mut answers = Vec::new();
        loop {
            let said = decoder.decode(&mut bytes, &mut answers);
            if !answers.is_empty() {
                self.link.outbox.append(|out| out.append(&mut answers));
            }
            match said? {
                Said::Line(line) => self.take_line(line),
                Said::Message(text) => self.take_line(&text),
                Said::Mistake(error) => self.take_mistake(error.to_string()),
                Said::Nothing => {}
                Said::Goodbye(frame) => {
                    self.link.close_with(frame);
                    return Some(ReadEnd::Quit);
                }
                Said::Refused(frame) => {
                    self.is_refused = true;
                    self.link.say_goodbye(frame);
                    return Some(ReadEnd::Quit);
                }
            }
            if self.mistakes > PUSH_MISTAKES {
                self.link.say_goodbye(closing(CloseCode::Policy, "too many mistakes"));
                return Some(ReadEnd::Quit);
            }
            // One read can hold thousands of small objects with answers.
            future::or(self.link.outbox.has_room(), self.shared.ending.begun()).await;
        }
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
                self.link.outbox.change(Change::Begin(topics_of(&user, &groups), seen));
            }
            Action::Join(group) => self.change(&group, Change::Join),
            Action::Leave(group) => self.change(&group, Change::Leave),
            Action::Acknowledge(id) => match self.link.acknowledge(&id) {
                Some(number) => self.shared.gateway.acknowledge(number),
                None => self.act(Action::Reply(ServerObject::Error {
                    code: ErrorCode::Ack,
                    text: "no push of that id waits to be acknowledged here".into(),
                })),
            },
        }
    }

    fn change(&self, group: &str, change: impl FnOnce(Topic) -> Change) {
        if let Some(topic) = topic(Target::Group(group)) {
            self.link.outbox.change(change(topic));
        }
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

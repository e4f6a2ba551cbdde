//! The chat server: accepts connections, and does for each what its [`Session`] says.
//!
//! A connection is one task with two halves, polled side by side: one reads lines and publishes,
//! the other writes (`Feeds`). So a publish that waits for somebody's full queue never keeps its
//! own publisher from reading what the others say, and two people who wait for each other both go
//! on.

use super::names::Name;
use super::outbox::{Change, Feeds, Outbox, Place};
use super::render;
use super::rooms::{Directory, DirectoryLimits};
use super::session::{Action, Session, SessionSettings};
use crate::codec::lines::LineDecoder;
use crate::connection::acceptor::{AcceptedConnection, Acceptor};
use crate::connection::ending::{EndCount, Ending, FirstEnd, ReadEnd, StopReport, ended};
use crate::connection::outbox::WritingEnd;
use crate::connection::{ConnectionLimits, Listener};
use crate::diagnostics::{ConnectionFigures, FrontEnd, Serves};
use crate::limits;
use crate::message::{Kind, ServerMessage};
use crate::tasks::{self, Scope, Tasks, Wait, waiting};
use crate::transport::{self, Connection, Idle, Reader, WriterSettings};
use async_io::Timer;
use fanfare::{Broker, Origin, Pattern, Publisher, SubscribeError, WhenFull};
use futures_lite::future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The room that everybody begins in.
pub const LOBBY: &str = "lobby";

/// Every bound of a chat server. The default is what [`limits`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChatSettings {
    /// Connections in all and per address.
    pub connections: ConnectionLimits,
    /// Rooms and members.
    pub directory: DirectoryLimits,
    /// Names, topics, history.
    pub session: SessionSettings,
    /// Write buffer, write deadline, idle times.
    pub writer: WriterSettings,
    /// Bytes of a line.
    pub line_bytes: usize,
    /// Lines a second that are read from one connection. None: as many as come.
    pub lines_per_second: Option<u32>,
    /// Messages queued for one person from one room.
    pub queue_messages: usize,
    /// Bytes queued for one person from one room.
    pub queue_bytes: usize,
    /// How long a line waits for a reader whose queue is full; zero drops it for that reader at
    /// once.
    pub wait: Duration,
}

impl Default for ChatSettings {
    fn default() -> Self {
        Self {
            connections: ConnectionLimits {
                total: limits::MAX_CONNECTIONS,
                per_address: limits::MAX_CONNECTIONS_PER_ADDRESS,
            },
            directory: DirectoryLimits {
                rooms: limits::ROOMS,
                rooms_per_person: limits::ROOMS_PER_PERSON,
                room_members: limits::ROOM_MEMBERS,
            },
            session: SessionSettings::default(),
            writer: WriterSettings {
                buffer_bytes: limits::WRITE_BUFFER_BYTES,
                deadline: Duration::from_millis(limits::WRITE_DEADLINE_MS),
                idle: Idle {
                    interval: Duration::from_millis(limits::IDLE_MS),
                    misses: limits::IDLE_MISSES,
                    answer_required: false,
                },
            },
            line_bytes: limits::LINE_BYTES,
            lines_per_second: None,
            queue_messages: limits::CHAT_QUEUE_MESSAGES,
            queue_bytes: limits::CHAT_QUEUE_BYTES,
            wait: Duration::from_millis(limits::CHAT_WAIT_MS),
        }
    }
}

impl ChatSettings {
    /// How a broker has to keep rooms' history for chat: the pattern and the number of messages.
    pub fn history(&self) -> Option<(Pattern, usize)> {
        let pattern = Pattern::parse("chat.room.*").ok()?;
        (self.session.history_lines > 0).then_some((pattern, self.session.history_lines))
    }

    fn when_full(&self) -> WhenFull {
        if self.wait.is_zero() { WhenFull::DropNewest } else { WhenFull::Wait(self.wait) }
    }
}

/// A running chat server. Dropping it ends all of its connections at once.
pub struct ChatServer {
    shared: Arc<Shared>,
    local_address: SocketAddr,
    /// Owns the accepting task. Apart from the connections, so that it can end first.
    accepting: Scope,
    connections: Arc<Scope>,
}

struct Shared {
    broker: Broker<ServerMessage>,
    directory: Arc<Directory>,
    settings: ChatSettings,
    front_end: Arc<FrontEnd>,
    ending: Arc<Ending>,
}

impl ChatServer {
    /// Serves what `listener` accepts. All tasks are started through `tasks`; `front_end` is told
    /// of every connection.
    pub fn start(
        listener: Listener,
        broker: &Broker<ServerMessage>,
        tasks: &Tasks,
        settings: ChatSettings,
        front_end: Arc<FrontEnd>,
    ) -> Self {
        let history_of = broker.clone();
        let directory =
            Directory::new(settings.directory, move |room| history_of.forget_history(room.topic()));
        let shared = Arc::new(Shared {
            broker: broker.clone(),
            directory,
            settings,
            front_end,
            ending: Arc::default(),
        });
        let local_address = listener.local_address();
        shared.front_end.listening(Serves {
            address: local_address,
            max_connections: settings.connections.total,
            max_payload_bytes: settings.line_bytes,
        });
        let accepting = tasks.scope("chat server");
        let connections = Arc::new(tasks.scope("chat connections"));
        accepting.spawn("chat accept", accept(listener, shared.clone(), connections.clone()));
        Self { shared, local_address, accepting, connections }
    }

    /// Where it listens.
    pub fn local_address(&self) -> SocketAddr {
        self.local_address
    }

    /// Live connections, people, and rooms.
    pub fn counts(&self) -> (usize, usize, usize) {
        let (people, rooms) = self.shared.directory.counts();
        (self.connections.alive(), people, rooms)
    }

    /// Stops accepting and reading, and says goodbye. Close or drain the broker next: each
    /// connection ends when it has been sent what was queued for it.
    pub fn begin_stop(&self) {
        self.accepting.cancel();
        self.shared.ending.begin();
    }

    /// Waits until every connection has ended, and cuts those that have not at the deadline.
    pub async fn ended(self, deadline: Instant) -> StopReport {
        self.begin_stop();
        self.shared.ending.finish(&self.accepting, &self.connections, deadline).await
    }
}

impl Shared {
    /// After so long without a word from a peer's machine the kernel ends the connection.
    fn unacknowledged(&self) -> Duration {
        let idle = self.settings.writer.idle;
        idle.interval.saturating_mul(idle.misses).max(Duration::from_secs(1))
    }
}

async fn accept(listener: Listener, shared: Arc<Shared>, connections: Arc<Scope>) {
    let acceptor = Acceptor {
        listener,
        front_end: shared.front_end.clone(),
        unacknowledged: shared.unacknowledged(),
    };
    let notice = |_, refusal: &str| format!("! {refusal}\n").into_bytes();
    let serve = |arrival| {
        connections.spawn("chat connection", serve(shared.clone(), arrival));
    };
    acceptor.take_all(notice, serve).await;
}

/// One connection, from the greeting to the close.
async fn serve(
    shared: Arc<Shared>,
    AcceptedConnection { connection, peer, mut entry, permit }: AcceptedConnection,
) {
    let count = EndCount::new(&shared.ending, &connection);
    let outbox = Outbox::default();
    let mut feeds = Feeds::new(&outbox, shared.settings.line_bytes, entry.figures());
    let mut talker = Talker::new(&shared, &outbox, entry.figures());
    let mut writing =
        Box::pin(transport::write_all_from(&mut feeds, &connection, shared.settings.writer));

    let first = {
        let reading = async { FirstEnd::Reading(talker.talk(&connection).await) };
        future::or(reading, async { FirstEnd::Writing((&mut writing).await) }).await
    };
    // Whatever ended it: the name is free now, the rooms are told, and what is owed to the peer
    // still goes out.
    let (outcome, reason, lingers) = match first {
        FirstEnd::Reading(end) => {
            let stops = matches!(end, Ok(ReadEnd::ServerStops));
            outbox.end(if stops { WritingEnd::AfterMessages } else { WritingEnd::AfterReplies });
            let ((), outcome) = future::zip(talker.leave(), &mut writing).await;
            let reason = ended(Some(&end), &outcome);
            (outcome, reason, !matches!(end, Err(_) | Ok(ReadEnd::PeerClosed)))
        }
        FirstEnd::Writing(outcome) => {
            talker.leave().await;
            let reason = ended(None, &outcome);
            (outcome, reason, false)
        }
    };
    log::debug!(task:% = tasks::label(); "chat: {peer} ended: {outcome:?}");
    // Nothing is kept for somebody who has left: neither queues nor places in rooms.
    drop(writing);
    drop(feeds);
    drop(talker);
    entry.ended(reason);
    count.close(&outcome, lingers).await;
    drop(permit);
}

/// The reading half: lines in, publishes and answers out.
struct Talker<'s> {
    shared: &'s Shared,
    outbox: &'s Outbox,
    figures: &'s ConnectionFigures,
    session: Session,
    publisher: Publisher<ServerMessage>,
    origin: Origin,
    actions: Vec<Action>,
    /// What is being said to one room and has not been published yet.
    batch: Vec<ServerMessage>,
    batch_room: Option<Name>,
    pace: Option<Pace>,
    is_over: bool,
}

impl<'s> Talker<'s> {
    fn new(shared: &'s Shared, outbox: &'s Outbox, figures: &'s ConnectionFigures) -> Self {
        let origin = Origin::unique();
        Talker {
            shared,
            outbox,
            figures,
            session: Session::new(&shared.directory, shared.settings.session),
            publisher: shared.broker.publisher_as(origin),
            origin,
            actions: Vec::new(),
            batch: Vec::new(),
            batch_room: None,
            pace: shared.settings.lines_per_second.map(Pace::new),
            is_over: false,
        }
    }

    /// Greets, then reads until somebody wants to end it.
    async fn talk(&mut self, connection: &Connection) -> io::Result<ReadEnd> {
        let mut reader = Reader::new(connection.clone());
        let mut decoder = LineDecoder::new(self.shared.settings.line_bytes);
        self.session.begin(LOBBY, &mut self.actions);
        self.act().await;
        loop {
            let (shared, outbox) = (self.shared, self.outbox);
            let read = async {
                outbox.has_room().await;
                reader.read().await.map(Some)
            };
            let stop = async {
                shared.ending.begun().await;
                Ok(None)
            };
            let Some(mut bytes) = future::or(stop, read).await? else {
                self.outbox.reply("* the server is ending; goodbye");
                return Ok(ReadEnd::ServerStops);
            };
            let at_end = bytes.is_empty();
            while let Some(line) = decoder.decode(&mut bytes) {
                self.take_line(line).await;
                if self.is_over {
                    break;
                }
            }
            if at_end && let Some(line) = decoder.finish() {
                self.take_line(line).await;
            }
            self.flush_batch().await;
            match (self.is_over, at_end) {
                (true, _) => return Ok(ReadEnd::Quit),
                (false, true) => return Ok(ReadEnd::PeerClosed),
                (false, false) => {}
            }
        }
    }

    async fn take_line(&mut self, line: Result<&str, crate::codec::lines::LineError>) {
        if let Some(wait) = self.pace.as_mut().and_then(|pace| pace.next(Instant::now())) {
            // What was said before must not wait with this line.
            self.flush_batch().await;
            if let Some(pace) = &mut self.pace {
                future::or(pace.wait_until(wait), self.shared.ending.begun()).await;
            }
        }
        match line {
            Ok(line) => self.session.handle(line, &mut self.actions),
            Err(error) => self.outbox.reply(&format!("! {error}")),
        }
        self.act().await;
        // One read can hold thousands of small commands with large answers.
        future::or(self.outbox.has_room(), self.shared.ending.begun()).await;
    }

    /// Does what the session said.
    async fn act(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        for action in actions.drain(..) {
            if !matches!(action, Action::Say { .. }) {
                // All else keeps its place among what was said.
                self.flush_batch().await;
            }
            self.do_one(action).await;
        }
        self.actions = actions;
    }

    async fn do_one(&mut self, action: Action) {
        match action {
            Action::Say { room, text, kind } => self.say(room, text, kind).await,
            Action::Reply(line) => self.outbox.reply(&line),
            Action::Notice { rooms, text } => self.announce(&rooms, text).await,
            Action::Tell { to, text } => self.tell(&to, text).await,
            Action::Subscribe(room) => self.subscribe(
                Place::Room(room.clone()),
                &room,
                self.shared.settings.session.replay_lines,
            ),
            Action::Unsubscribe(room) => self.outbox.change(Change::Close(Place::Room(room))),
            Action::Inbox(name) => {
                self.figures.set_name(name.as_str());
                self.subscribe(Place::Inbox, &name, 0);
            }
            Action::History { room, lines } => self.show_history(&room, lines),
            Action::Left(room) => self.session.left(&room),
            Action::End => self.is_over = true,
        }
    }

    async fn say(&mut self, room: Name, text: String, kind: Kind) {
        if self.batch.len() >= limits::CHAT_BATCH_LINES
            || self.batch_room.as_ref().is_some_and(|other| *other != room)
        {
            self.flush_batch().await;
        }
        let message = self.message(text, kind);
        self.batch.push(message);
        self.batch_room = Some(room);
    }

    /// Publishes what was said to one room as one batch.
    async fn flush_batch(&mut self) {
        let Some(room) = self.batch_room.take() else { return };
        self.figures.received(self.batch.len());
        let publish = self.publisher.publish_batch(room.topic(), &mut self.batch);
        match waiting(Wait::PUBLISH, publish).await {
            Ok(receipt) => self.shared.front_end.dropped(room.topic().as_str(), receipt.dropped),
            // A batch of ours is never too long, so the broker is closed.
            Err(_) => {
                self.outbox.reply(&format!(
                    "! the server is ending; {} lines were not said",
                    self.batch.len()
                ));
                self.batch.clear();
            }
        }
    }

    async fn announce(&mut self, rooms: &[Name], text: String) {
        let notice = self.message(text, Kind::Notice);
        for room in rooms {
            if waiting(Wait::PUBLISH, self.publisher.publish(room.topic(), notice.clone()))
                .await
                .is_err()
            {
                // The broker is closed: the server is ending, and everybody is told that.
                return;
            }
        }
    }

    async fn tell(&mut self, to: &Name, text: String) {
        let message = self.message(text, Kind::Said);
        self.figures.received(1);
        let published = waiting(Wait::PUBLISH, self.publisher.publish(to.topic(), message)).await;
        if let Ok(receipt) = &published {
            self.shared.front_end.dropped(to.topic().as_str(), receipt.dropped);
        }
        match published {
            Ok(receipt) if receipt.matched == 0 => {
                self.outbox.reply(&format!("! {to} has just left"))
            }
            Ok(receipt) if receipt.queued == 0 => {
                self.outbox
                    .reply(&format!("! {to} is not reading and did not get it; try again later"));
            }
            Ok(_) => self.outbox.reply(&format!("* {to} was told")),
            Err(_) => self.outbox.reply(&format!("! the server is ending; {to} was not told")),
        }
    }

    fn subscribe(&mut self, place: Place, name: &Name, replay: usize) {
        let settings = &self.shared.settings;
        let subscription = self
            .shared
            .broker
            .subscription(&Pattern::from(name.topic()))
            .queue_messages(settings.queue_messages)
            .queue_bytes(settings.queue_bytes)
            .when_full(settings.when_full())
            .no_echo(self.origin)
            .replay(replay)
            .subscribe();
        match subscription {
            Ok(subscription) => self.outbox.change(Change::Open(place, subscription)),
            Err(SubscribeError::Closed) => {}
            Err(error) => {
                self.outbox.reply(&format!("! you cannot stay: {error}"));
                self.is_over = true;
            }
        }
    }

    fn show_history(&self, room: &Name, lines: usize) {
        let messages = self.shared.broker.history(room.topic(), lines);
        self.outbox.reply(&format!("* the last {} lines of {room}:", messages.len()));
        let prefix = format!("[{room}] ");
        self.outbox.append(|out| {
            for message in &messages {
                render::append_message(out, &prefix, message, self.shared.settings.line_bytes);
            }
        });
    }

    /// Gives the name back and tells the rooms. When the server stops, everybody knows already.
    async fn leave(&mut self) {
        self.actions.clear();
        self.session.end(&mut self.actions);
        if !self.shared.ending.is_stopping() {
            self.act().await;
        }
    }

    fn message(&self, text: String, kind: Kind) -> ServerMessage {
        let sender = Some(self.session.name().shared());
        ServerMessage { sender, kind, ..ServerMessage::of(text) }
    }
}

/// A limit on lines per second: who is faster is read later. Its timer is made once and set again.
struct Pace {
    interval: Duration,
    burst: Duration,
    /// When the next line is due; lies behind by at most the burst.
    next_due: Instant,
    timer: Timer,
}

impl Pace {
    fn new(lines_per_second: u32) -> Self {
        let interval = Duration::from_secs(1) / lines_per_second.max(1);
        let burst = Duration::from_secs(limits::LINE_BURST_SECONDS.into());
        Self { interval, burst, next_due: Instant::now() - burst, timer: Timer::never() }
    }

    /// Counts a line; gives the time until which it has to wait.
    fn next(&mut self, now: Instant) -> Option<Instant> {
        let earliest = now.checked_sub(self.burst).unwrap_or(now);
        let due = self.next_due.max(earliest);
        self.next_due = due + self.interval;
        (due > now).then_some(due)
    }

    async fn wait_until(&mut self, due: Instant) {
        self.timer.set_at(due);
        waiting(Wait::TIMER, &mut self.timer).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_and_then_the_pace_holds() {
        let mut pace = Pace::new(10);
        let now = Instant::now();
        let passed = (0..100).take_while(|_| pace.next(now).is_none()).count();
        assert!((20..=22).contains(&passed), "{passed}");
        let next = pace.next(now).unwrap();
        assert_eq!(pace.next(now), Some(next + Duration::from_millis(100)));
        // Time that nobody used does not add up beyond the burst.
        let later = now + Duration::from_secs(1000);
        let passed = (0..100).take_while(|_| pace.next(later).is_none()).count();
        assert_eq!(passed, 21);
    }

    #[test]
    fn the_default_settings_keep_their_promises() {
        let settings = ChatSettings::default();
        assert!(settings.connections.per_address >= 5_000);
        assert_eq!(settings.when_full(), WhenFull::Wait(Duration::from_millis(5)));
        assert_eq!(
            ChatSettings { wait: Duration::ZERO, ..settings }.when_full(),
            WhenFull::DropNewest
        );
        assert!(settings.history().is_some_and(|(pattern, _)| pattern.as_str() == "chat.room.*"));
    }
}

//! The reading half of a connection: does what the session says about each line.

mod stored;

use super::names::{LOBBY, Name};
use super::render;
use super::rooms::Presence;
use super::session::{Action, Session, SessionSettings};
use super::shared::Chat;
use super::times::TimeFormat;
use super::writer::{Change, Channel, ChatQueue};
use crate::codec::lines::{LineDecoder, LineError};
use crate::connection::duplex::{Flow, ReadHalf};
use crate::connection::outbound::Position;
use crate::connection::rate::RateLimit;
use crate::connection::shutdown::Shutdown;
use crate::counted::counted;
use crate::diagnostics::{ConnectionFigures, Ended};
use crate::limits::{CHAT_BATCH_LINES, LINE_BURST_SECONDS};
use crate::message::{Kind, ServerMessage};
use crate::store::Store;
use crate::tasks::{Wait, waiting};
use crate::time::Timestamp;
use async_io::Timer;
use bytes::BytesMut;
use fanfare::{Origin, Pattern, Publisher, SubscribeError};
use futures_lite::future;
use std::net::IpAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

/// Lines in; publishes, subscriptions and answers out.
pub(super) struct Reader<'s> {
    shared: &'s Chat,
    queue: &'s ChatQueue,
    figures: &'s ConnectionFigures,
    shutdown: &'s Shutdown,
    /// The peer's.
    address: IpAddr,
    session: Session,
    publisher: Publisher<ServerMessage>,
    origin: Origin,
    /// Whether what the person says comes back to its connection, in its place among the others'
    /// lines. Pages count lines, and need all of them.
    hears_itself: bool,
    actions: Vec<Action>,
    /// Lines said to one room that are not published yet.
    batch: Vec<ServerMessage>,
    batch_room: Option<Name>,
    rate: Option<RateLimit>,
    /// Whether the person was told about being slowed down.
    is_told: bool,
    /// Made for the first line that comes too fast, and set again for each.
    pause: Option<Box<Timer>>,
    /// Lines that the database had lost when the person last asked.
    lost_lines: u64,
    /// Why the connection is over, once it is.
    over: Option<Ended>,
}

impl ReadHalf for Reader<'_> {
    type Change = Change;
    type Decoder = LineDecoder;

    fn decoder(&self) -> LineDecoder {
        LineDecoder::new(self.shared.settings.line_bytes)
    }

    async fn begin(&mut self, _decoder: &mut LineDecoder) -> Flow {
        self.session.begin(LOBBY, &mut self.actions);
        self.act().await;
        self.flow()
    }

    async fn take(
        &mut self,
        decoder: &mut LineDecoder,
        received: &mut BytesMut,
        at_end: bool,
    ) -> Flow {
        let mut bytes = &received[..];
        while self.over.is_none()
            && let Some(line) = decoder.decode(&mut bytes)
        {
            self.take_line(line).await;
        }
        if at_end && let Some(line) = decoder.finish() {
            self.take_line(line).await;
        }
        received.clear();
        self.flush_batch().await;
        self.flow()
    }

    fn say_prepare(&mut self) {
        self.reply("* the server will end soon; you will be disconnected");
    }

    fn say_goodbye(&mut self) {
        self.reply("* the server is ending; goodbye");
    }

    /// Gives the name back and tells the rooms. When the server stops, everybody knows already.
    async fn leave(&mut self) {
        self.actions.clear();
        self.session.end(&mut self.actions);
        if !self.shutdown.has_begun() {
            self.act().await;
        }
    }
}

impl<'s> Reader<'s> {
    pub fn new(
        shared: &'s Chat,
        queue: &'s ChatQueue,
        figures: &'s ConnectionFigures,
        shutdown: &'s Shutdown,
        address: IpAddr,
        times: TimeFormat,
    ) -> Self {
        let origin = Origin::unique();
        let rate = shared.settings.lines_per_second.map(|per_second| {
            let burst = per_second.saturating_mul(LINE_BURST_SECONDS);
            RateLimit::new(per_second, burst, Instant::now())
        });
        let password = shared.password.get().as_ref().clone();
        let session = SessionSettings { password, ..shared.settings.session.clone() };
        Reader {
            shared,
            queue,
            figures,
            shutdown,
            address,
            session: Session::new(&shared.accounts.directory, session, times),
            hears_itself: times == TimeFormat::Iso,
            publisher: shared.broker.publisher_as(origin),
            origin,
            actions: Vec::new(),
            batch: Vec::new(),
            batch_room: None,
            rate,
            is_told: false,
            pause: None,
            lost_lines: shared.accounts.store.as_ref().map_or(0, Store::lost_lines),
            over: None,
        }
    }

    /// For the writing half.
    pub fn presence(&self) -> Arc<Presence> {
        self.session.presence().clone()
    }

    /// Whether the session has ended the connection.
    fn flow(&self) -> Flow {
        self.over.map_or(ControlFlow::Continue(()), ControlFlow::Break)
    }

    fn reply(&self, line: &str) {
        self.queue.append(Position::default(), |out| render::append_reply(out, line));
    }

    fn change(&self, change: Change) {
        self.queue.change(Position::default(), change);
    }

    async fn take_line(&mut self, line: Result<&str, LineError>) {
        self.pace().await;
        match line {
            Ok(line) => self.session.handle(line, Instant::now(), &mut self.actions),
            Err(LineError::Foreign(protocol)) => {
                let refusal = protocol.refusal().as_bytes();
                self.queue.append(Position::default(), |out| out.extend_from_slice(refusal));
                self.over = Some(Ended::Because("another protocol"));
            }
            Err(error) => self.reply(&format!("! {error}")),
        }
        self.act().await;
        // One read can hold thousands of small commands with large answers.
        self.queue.has_room().await;
    }

    /// Waits until the next line may be read, where lines are limited.
    async fn pace(&mut self) {
        let (Some(rate), now) = (&mut self.rate, Instant::now()) else { return };
        let (due, is_rested) = (rate.due(1, now), rate.is_rested(now));
        rate.take(1);
        self.is_told &= !is_rested;
        if due > now {
            self.tell_rate();
            // Earlier lines must not wait with this one.
            self.flush_batch().await;
            let pause = self.pause.get_or_insert_with(|| Box::new(Timer::never()));
            pause.set_at(due);
            let pause = waiting(Wait::TIMER, async {
                (&mut **pause).await;
            });
            future::or(pause, self.shutdown.begun()).await;
        }
    }

    /// Tells the person about being slowed down, and not again before they have been quiet.
    fn tell_rate(&mut self) {
        let lines = counted(self.shared.settings.lines_per_second.unwrap_or_default(), "line");
        if !std::mem::replace(&mut self.is_told, true) {
            self.reply(&format!(
                "* slowed down: the server reads {lines} a second from you; none is lost"
            ));
        }
    }

    /// Does what the session said.
    async fn act(&mut self) {
        let mut actions = std::mem::take(&mut self.actions);
        while !actions.is_empty() {
            for action in actions.drain(..) {
                if !matches!(action, Action::Say { .. }) {
                    // All else keeps its place among what was said.
                    self.flush_batch().await;
                }
                self.do_one(action).await;
            }
            // Actions that an answer has led to.
            std::mem::swap(&mut actions, &mut self.actions);
        }
        self.actions = actions;
    }

    async fn do_one(&mut self, action: Action) {
        match action {
            Action::Say { room, text, kind } => self.say(room, text, kind).await,
            Action::Reply(line) => self.reply(&line),
            Action::Notice { rooms, text } => self.announce(&rooms, text).await,
            Action::Tell { to, text } => self.tell(&to, text).await,
            Action::Subscribe(room) => self.subscribe(
                Channel::Room(room.clone()),
                &room,
                self.shared.settings.session.replay_lines,
            ),
            Action::Unsubscribe(room) => self.change(Change::Close(Channel::Room(room))),
            Action::Inbox(name) => {
                self.figures.set_name(name.as_str());
                self.subscribe(Channel::Inbox, &name, 0);
            }
            Action::History { room, lines } => self.show_history(&room, lines).await,
            Action::Since { room, time } => self.show_since(&room, time).await,
            Action::Search { room, words } => self.search(&room, words).await,
            Action::Sync => self.sync().await,
            Action::Account(request) => {
                let answer = Box::pin(self.shared.accounts.answer(request, self.address)).await;
                self.session.answered(answer, &mut self.actions);
            }
            Action::Keep { room, rules } => self.keep(&room, &rules).await,
            Action::Displace(name) => self.wake_displaced(&name).await,
            Action::Note { kind, about, what } => {
                self.shared.front_end.acted(kind, &about, &what);
            }
            Action::Times(format) => self.change(Change::Times(format)),
            Action::Ignored(names) => self.change(Change::Ignored(names)),
            Action::Left(room) => self.session.left(&room),
            Action::End => self.over = Some(Ended::Quit),
        }
    }

    async fn say(&mut self, room: Name, text: String, kind: Kind) {
        if self.batch.len() >= CHAT_BATCH_LINES
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
                self.reply(&format!(
                    "! the server is ending; not said: {}",
                    counted(self.batch.len(), "line")
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

    /// Wakes the writing half of a displaced person, which then sees that.
    async fn wake_displaced(&mut self, name: &Name) {
        let notice = self.message(String::new(), Kind::Notice);
        // A closed broker ends that connection too.
        let _ = waiting(Wait::PUBLISH, self.publisher.publish(name.topic(), notice)).await;
    }

    async fn tell(&mut self, to: &Name, text: String) {
        let message = self.message(text, Kind::Said);
        self.figures.received(1);
        let published = waiting(Wait::PUBLISH, self.publisher.publish(to.topic(), message)).await;
        if let Ok(receipt) = &published {
            self.shared.front_end.dropped(to.topic().as_str(), receipt.dropped);
        }
        match published {
            Ok(receipt) if receipt.matched == 0 => self.reply(&format!("! {to} has just left")),
            Ok(receipt) if receipt.queued == 0 => {
                self.reply(&format!("! {to} is not reading and did not get it; try again later"));
            }
            Ok(_) => self.reply(&format!("* {to} was told")),
            Err(_) => self.reply(&format!("! the server is ending; {to} was not told")),
        }
    }

    fn subscribe(&mut self, channel: Channel, name: &Name, replay: usize) {
        let settings = &self.shared.settings;
        let mut subscription = self
            .shared
            .broker
            .subscription(&Pattern::from(name.topic()))
            .queue_messages(settings.queue_messages)
            .queue_bytes(settings.queue_bytes)
            .when_full(settings.when_full())
            .replay(replay);
        if !self.hears_itself {
            subscription = subscription.no_echo(self.origin);
        }
        match subscription.subscribe() {
            Ok(subscription) => {
                let membership = self.session.membership(name).cloned();
                self.change(Change::Open(channel, subscription, membership));
            }
            Err(SubscribeError::Closed) => {}
            Err(error) => {
                self.reply(&format!("! you cannot stay: {error}"));
                self.over = Some(Ended::Quit);
            }
        }
    }

    fn message(&self, text: String, kind: Kind) -> ServerMessage {
        let sender = Some(self.session.name().shared());
        ServerMessage { sender, kind, time: Timestamp::now(), ..ServerMessage::of(text) }
    }
}

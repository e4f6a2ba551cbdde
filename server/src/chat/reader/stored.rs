//! Answers from what is kept: the last lines, lines with some words, and whether what was said is
//! stored.

use super::Reader;
use crate::chat::names::Name;
use crate::chat::render;
use crate::chat::rooms::rules::Rules;
use crate::chat::times::Times;
use crate::connection::outbound::Position;
use crate::counted::counted;
use crate::limits::{SEARCH_LINES, STORED_HISTORY_LINES};
use crate::message::ServerMessage;
use crate::store::{SYNC_TOPIC, Store, StoreError, lines, rooms};
use crate::tasks::{Wait, waiting};
use crate::time::Timestamp;
use fanfare::{Pattern, Topic};

impl Reader<'_> {
    /// Shows the last lines of a room: from memory if it has them all, otherwise from the database.
    pub(super) async fn show_history(&mut self, room: &Name, lines: usize) {
        let kept = self.shared.broker.history(room.topic(), lines);
        let store = self.shared.accounts.store.as_ref().filter(|_| kept.len() < lines);
        let heading = |lines| format!("* the last {} of {room}:", counted(lines, "line"));
        let Some(store) = store else {
            return self.show(heading, room, kept.iter().map(|message| &**message));
        };
        // Otherwise what was said last would be missing.
        self.synced(store).await;
        let (of_room, lines) = (room.clone(), u32::try_from(lines).unwrap_or(u32::MAX));
        let asked = store.ask(move |connection| lines::last(connection, of_room.as_str(), lines));
        match asked.await {
            Ok(messages) => self.show(heading, room, messages.iter()),
            Err(error) => self.reply(&format!("! {error}")),
        }
    }

    /// Shows the lines of a room from a moment on, as many as fit into one answer, and says how
    /// many there are. So a person who was away knows how many lines are missing.
    pub(super) async fn show_since(&mut self, room: &Name, time: Timestamp) {
        let Some(store) = &self.shared.accounts.store else {
            let most = self.shared.settings.session.history_lines;
            let mut kept = self.shared.broker.history(room.topic(), most);
            let forgot =
                kept.len() == most && kept.first().is_some_and(|oldest| oldest.time >= time);
            kept.retain(|message| message.time >= time);
            let (more, all) = (if forgot { "more than " } else { "" }, counted(kept.len(), "line"));
            let heading = |last| format!("* {more}{all} of {room} since {time}; the last {last}:");
            return self.show(heading, room, kept.iter().map(|message| &**message));
        };
        self.synced(store).await;
        let of_room = room.clone();
        let asked = store.ask(move |connection| {
            lines::since(connection, of_room.as_str(), time, STORED_HISTORY_LINES)
        });
        match asked.await {
            Ok((messages, all)) => {
                let all = counted(all, "line");
                let heading = |last| format!("* {all} of {room} since {time}; the last {last}:");
                self.show(heading, room, messages.iter());
            }
            Err(error) => self.reply(&format!("! {error}")),
        }
    }

    pub(super) async fn search(&mut self, room: &Name, words: String) {
        let Some(store) = &self.shared.accounts.store else { return self.reply(NOT_STORED) };
        self.synced(store).await;
        let of_room = room.clone();
        let asked = store.ask(move |connection| {
            lines::search(connection, of_room.as_str(), &words, SEARCH_LINES)
        });
        match asked.await {
            Ok(messages) => {
                let heading = |lines| format!("* {} of {room} found:", counted(lines, "line"));
                self.show(heading, room, messages.iter());
            }
            Err(error) => self.reply(&format!("! {error}")),
        }
    }

    /// Stores the rules of a room, or says that they are not stored.
    pub(super) async fn keep(&mut self, room: &Name, rules: &Rules) {
        let Some(store) = &self.shared.accounts.store else { return };
        let Ok(text) = serde_json::to_string(rules) else { return };
        let text = rules.are_kept(room).then_some(text);
        let room = room.as_str().to_owned();
        let kept = store.ask(move |connection| rooms::keep(connection, &room, text.as_deref()));
        if let Err(error) = kept.await {
            self.reply(&format!("! that holds until the server ends: {error}"));
        }
    }

    /// Answers once everything that the person has said is stored.
    pub(super) async fn sync(&mut self) {
        let Some(store) = &self.shared.accounts.store else { return self.reply(NOT_STORED) };
        let Some(lost) = self.synced(store).await else {
            return self.reply(&format!("! {}", StoreError::Busy));
        };
        match lost - std::mem::replace(&mut self.lost_lines, lost).min(lost) {
            0 => self.reply("* stored"),
            lost => {
                let lines = counted(lost, "line");
                self.reply(&format!("! {lines}, of all rooms, could not be stored"));
            }
        }
    }

    /// Waits until the database has reached what the person said last: one publisher's messages
    /// arrive in the order published. Returns the number of lines ever lost.
    async fn synced(&mut self, store: &Store) -> Option<u64> {
        // NATS clients may not use the topics of people, so nobody else answers.
        let inbox = Topic::parse(&format!("{}.stored", self.session.name().topic())).ok()?;
        let sync = Topic::parse(SYNC_TOPIC).ok()?;
        let answers = self.shared.broker.subscription(&Pattern::from(&inbox)).queue_messages(1);
        let mut answers = answers.subscribe().ok()?;
        let asked = self.publisher.publish_request(&sync, &inbox, ServerMessage::of(""));
        let receipt = waiting(Wait::PUBLISH, asked).await.ok()?;
        if receipt.queued == 0 {
            return None;
        }
        store.hurry();
        let answered = async { answers.recv().await.map(|_| store.lost_lines()) };
        waiting(Wait::fixed("the database"), answered).await
    }

    /// Shows messages below a heading that says how many lines follow.
    fn show<'m>(
        &self,
        heading: impl FnOnce(usize) -> String,
        room: &Name,
        messages: impl Iterator<Item = &'m ServerMessage>,
    ) {
        let prefix = format!("[{room}] ");
        let mut times = Times::new(self.session.times());
        let is_seen = |message: &&ServerMessage| !self.session.ignores(message.sender.as_deref());
        let seen: Vec<&ServerMessage> = messages.filter(is_seen).collect();
        self.queue.append(Position::default(), |out| {
            render::append_reply(out, &heading(seen.len()));
            for message in seen {
                times.append(out, message.time);
                render::append_message(out, &prefix, message, self.shared.settings.line_bytes);
            }
        });
    }
}

const NOT_STORED: &str = "! nothing is stored here: the server runs without --data-dir";

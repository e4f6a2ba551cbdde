//! Commands about rooms: talk in them, enter and leave them, ask about them.

use super::{Action, NO_ROOM, Session, SessionSettings, refuse, reply};
use crate::chat::names::{Name, NameOf};
use crate::chat::rooms::Listing;
use crate::chat::rooms::rules::Rank;
use crate::counted::counted;
use crate::limits::{LISTED_ENTRIES, STORED_HISTORY_LINES};
use crate::message::Kind;
use crate::time::Timestamp;
use std::time::{Duration, Instant};

impl Session {
    pub(super) fn say(&mut self, text: &str, kind: Kind, now: Instant, actions: &mut Vec<Action>) {
        let Some(room) = self.current.clone() else { return refuse(actions, NO_ROOM) };
        if let Some(membership) = self.person.membership(&room).cloned() {
            if membership.is_muted() {
                return refuse(actions, format_args!("you are muted in {room}"));
            }
            let pause = Duration::from_secs(membership.slow_s().into());
            if !pause.is_zero() && self.person.rank(&room) == Rank::Member {
                let since = self.talked.get(&room).map(|last| now.duration_since(*last));
                if let Some(rest) = since.and_then(|since| pause.checked_sub(since)) {
                    let rest_s = rest.as_secs() + 1;
                    return refuse(actions, format_args!("{room} is slow; wait {rest_s} s"));
                }
                if self.talked.len() > TALKED_ROOMS {
                    self.talked.clear();
                }
                self.talked.insert(room.clone(), now);
            }
        }
        actions.push(Action::Say { room, text: text.to_owned(), kind });
    }

    pub(super) fn join(&mut self, text: &str, password: Option<&str>, actions: &mut Vec<Action>) {
        let Some(room) = self.parse_name(text, NameOf::Room, actions) else { return };
        if self.person.rooms().contains(&room) {
            reply(actions, format!("* you now talk in {room}"));
            self.current = Some(room);
            return;
        }
        let members = match self.person.join(&room, password) {
            Ok(members) => members,
            Err(error) => return refuse(actions, error),
        };
        reply(actions, format!("* you are in {room} ({members} here)"));
        if let Some(topic) = self.person.directory().topic(&room) {
            reply(actions, format!("* {room} is about: {topic}"));
        }
        actions.push(Action::Subscribe(room.clone()));
        let text = format!("{} joined {room}", self.person.name());
        actions.push(Action::Notice { rooms: vec![room.clone()], text });
        self.current = Some(room);
    }

    pub(super) fn leave(&mut self, text: Option<&str>, actions: &mut Vec<Action>) {
        let Some(room) = self.room_named(text, actions) else { return };
        if !self.person.rooms().contains(&room) {
            return refuse(actions, format_args!("you are not in {room}"));
        }
        actions.push(Action::Unsubscribe(room.clone()));
        let text = format!("{} left {room}", self.person.name());
        actions.push(Action::Notice { rooms: vec![room.clone()], text });
        actions.push(Action::Left(room.clone()));
        if self.current.as_ref() == Some(&room) {
            self.current =
                self.person.rooms().iter().rev().find(|joined| **joined != room).cloned();
        }
        reply(actions, self.left_for(&room));
    }

    pub(super) fn list_rooms(&self, actions: &mut Vec<Action>) {
        let Listing { shown, total } =
            self.person.directory().rooms(self.person.id(), LISTED_ENTRIES);
        reply(actions, format!("* {}:", counted(total, "room")));
        for room in &shown {
            let topic = room.topic.as_deref().map(|topic| format!(": {topic}")).unwrap_or_default();
            reply(actions, format!("* {} ({}){topic}", room.name, room.members));
        }
        if total > shown.len() {
            reply(actions, format!("* and {} more", total - shown.len()));
        }
    }

    pub(super) fn who(&self, text: Option<&str>, actions: &mut Vec<Action>) {
        let Some(room) = self.room_named(text, actions) else { return };
        let asker = self.person.id();
        let listing = self.person.directory().members(&room, asker, LISTED_ENTRIES);
        let Some(Listing { shown, total }) = listing else {
            return refuse(actions, format_args!("there is no room {room}; /rooms lists them"));
        };
        let names: Vec<&str> = shown.iter().map(Name::as_str).collect();
        let more = if total > shown.len() {
            format!(" and {} more", total - shown.len())
        } else {
            String::new()
        };
        reply(actions, format!("* {total} in {room}: {}{more}", names.join(", ")));
    }

    pub(super) fn topic(&self, text: Option<&str>, actions: &mut Vec<Action>) {
        let Some(room) = &self.current else { return refuse(actions, NO_ROOM) };
        let directory = self.person.directory();
        let Some(text) = text else {
            return reply(
                actions,
                match directory.topic(room) {
                    Some(topic) => format!("* {room} is about: {topic}"),
                    None => format!("* nobody has said what {room} is about; /topic TEXT does"),
                },
            );
        };
        let max = self.settings.topic_characters;
        if text.chars().count() > max {
            return refuse(
                actions,
                format_args!("that is too long for a topic; at most {max} characters"),
            );
        }
        if self.person.membership(room).is_some_and(|membership| membership.is_muted()) {
            return refuse(actions, format_args!("you are muted in {room}"));
        }
        let rules = self.person.set_topic(room, text).unwrap_or_default();
        actions.push(Action::Keep { room: room.clone(), rules: Box::new(rules) });
        reply(actions, format!("* {room} is now about: {text}"));
        let text = format!("{} says {room} is about: {text}", self.person.name());
        actions.push(Action::Notice { rooms: vec![room.clone()], text });
    }

    pub(super) fn history(&self, lines: Option<usize>, actions: &mut Vec<Action>) {
        let Some(room) = &self.current else { return refuse(actions, NO_ROOM) };
        let &SessionSettings { replay_lines, history_lines, is_stored, .. } = &self.settings;
        let most = if is_stored { STORED_HISTORY_LINES as usize } else { history_lines };
        let lines = lines.unwrap_or(replay_lines).min(most);
        actions.push(Action::History { room: room.clone(), lines });
    }

    pub(super) fn since(&self, time: &str, actions: &mut Vec<Action>) {
        let Some(room) = &self.current else { return refuse(actions, NO_ROOM) };
        match Timestamp::parse(time) {
            Some(time) => actions.push(Action::Since { room: room.clone(), time }),
            None => refuse(actions, "a time looks like 2026-11-21T17:05:09Z"),
        }
    }

    pub(super) fn search(&self, words: &str, actions: &mut Vec<Action>) {
        let Some(room) = &self.current else { return refuse(actions, NO_ROOM) };
        if !words.contains(char::is_alphanumeric) {
            return refuse(actions, "only letters and digits can be searched for, no other signs");
        }
        actions.push(Action::Search { room: room.clone(), words: words.to_owned() });
    }

    /// The room of that name, or the one the person talks in.
    fn room_named(&self, text: Option<&str>, actions: &mut Vec<Action>) -> Option<Name> {
        match text {
            Some(text) => Name::parse(text, NameOf::Room, self.settings.name_characters)
                .map_err(|error| refuse(actions, error))
                .ok(),
            None => {
                if self.current.is_none() {
                    refuse(actions, NO_ROOM);
                }
                self.current.clone()
            }
        }
    }
}

/// Rooms with a slow mode in which a session remembers that its person talked. When hit: it forgets
/// all of them.
const TALKED_ROOMS: usize = 100;

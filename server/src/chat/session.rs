//! One person's session: what a line means here and now. State without I/O: lines go in,
//! [`Action`]s come out, which are to be done in order.

use super::command::{self, Command};
use super::names::{Name, NameOf};
use super::rooms::{Directory, Listing, Person};
use crate::limits::{
    LISTED_ENTRIES, NAME_CHARACTERS, ROOM_HISTORY_LINES, ROOM_REPLAY_LINES, ROOM_TOPIC_CHARACTERS,
};
use crate::message::Kind;
use std::sync::Arc;

/// What a front-end has to do for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answer the person with this line.
    Reply(String),
    /// Publish what the person says in a room.
    Say {
        /// The room, or rooms.
        room: Name,
        /// The text.
        text: String,
        /// Whether it is said or done.
        kind: Kind,
    },
    /// Publish one notice in each of these rooms.
    Notice {
        /// The room, or rooms.
        rooms: Vec<Name>,
        /// The text, without the `* ` before it.
        text: String,
    },
    /// Publish a private message; say so if nobody gets it.
    Tell {
        /// The recipient's name.
        to: Name,
        /// The text.
        text: String,
    },
    /// Subscribe to a room, with its last lines.
    Subscribe(Name),
    /// End the subscription to a room.
    Unsubscribe(Name),
    /// Subscribe to the private messages for this name instead of those for the last one.
    Inbox(Name),
    /// Show the last lines of a room.
    History {
        /// The room.
        room: Name,
        /// The number of lines.
        lines: usize,
    },
    /// Leave the room for good with [`Session::left`], now that everything before this is done.
    Left(Name),
    /// End the connection once the replies have gone out.
    End,
}

/// The bounds of one session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// Characters of a name.
    pub name_characters: usize,
    /// Characters of a room's topic.
    pub topic_characters: usize,
    /// Lines that `/history` without a number shows.
    pub replay_lines: usize,
    /// Lines that `/history` shows at most.
    pub history_lines: usize,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            name_characters: NAME_CHARACTERS,
            topic_characters: ROOM_TOPIC_CHARACTERS,
            replay_lines: ROOM_REPLAY_LINES,
            history_lines: ROOM_HISTORY_LINES,
        }
    }
}

/// One person's state.
pub struct Session {
    person: Person,
    current: Option<Name>,
    settings: SessionSettings,
    /// What was given with `/quit`.
    farewell: Option<String>,
}

impl Session {
    /// Lets somebody in. [`Session::begin`] comes next.
    pub fn new(directory: &Arc<Directory>, settings: SessionSettings) -> Self {
        Self { person: directory.enter(), current: None, settings, farewell: None }
    }

    /// Greets the person and goes to the room named `lobby`.
    pub fn begin(&mut self, lobby: &str, actions: &mut Vec<Action>) {
        actions.push(Action::Inbox(self.person.name().clone()));
        let name = self.person.name();
        reply(
            actions,
            format!(
                "* welcome to fanfare; you are {name}. /nick NAME takes a name, /help lists the \
                 commands"
            ),
        );
        self.join(lobby, actions);
    }

    /// Says what a line means, as actions.
    pub fn handle(&mut self, line: &str, actions: &mut Vec<Action>) {
        match command::parse(line) {
            Err(error) => refuse(actions, error),
            Ok(Command::Nothing) => {}
            Ok(Command::Say(text)) => self.say(text, Kind::Said, actions),
            Ok(Command::Action(text)) => self.say(text, Kind::Action, actions),
            Ok(Command::Nick(name)) => self.rename(name, actions),
            Ok(Command::Join(room)) => self.join(room, actions),
            Ok(Command::Leave(room)) => self.leave(room, actions),
            Ok(Command::Rooms) => self.list_rooms(actions),
            Ok(Command::Who(room)) => self.who(room, actions),
            Ok(Command::Message { to, text }) => self.tell(to, text, actions),
            Ok(Command::Topic(text)) => self.topic(text, actions),
            Ok(Command::History(lines)) => self.history(lines, actions),
            Ok(Command::Ping) => reply(actions, "* pong".to_owned()),
            Ok(Command::Help) => {
                actions.extend(command::HELP.iter().map(|line| Action::Reply(format!("* {line}"))))
            }
            Ok(Command::Quit(text)) => {
                self.farewell = text.map(str::to_owned);
                reply(actions, "* goodbye".to_owned());
                actions.push(Action::End);
            }
        }
    }

    /// Takes the person out of the room for good. Called for [`Action::Left`].
    pub fn left(&mut self, room: &Name) {
        self.person.leave(room);
    }

    /// The connection is over. The name is free at once; the rooms are to be told, and then the
    /// session dropped, which gives back the places.
    pub fn end(&mut self, actions: &mut Vec<Action>) {
        self.person.release_name();
        let name = self.person.name();
        let text = match &self.farewell {
            Some(farewell) => format!("{name} left ({farewell})"),
            None => format!("{name} left"),
        };
        actions.push(Action::Notice { rooms: self.person.rooms().to_vec(), text });
    }

    /// The person's present name.
    pub fn name(&self) -> &Name {
        self.person.name()
    }

    fn say(&self, text: &str, kind: Kind, actions: &mut Vec<Action>) {
        match &self.current {
            Some(room) => {
                actions.push(Action::Say { room: room.clone(), text: text.to_owned(), kind })
            }
            None => refuse(actions, NO_ROOM),
        }
    }

    fn rename(&mut self, text: &str, actions: &mut Vec<Action>) {
        let name = match Name::parse(text, NameOf::Person, self.settings.name_characters) {
            Ok(name) => name,
            Err(error) => return refuse(actions, error),
        };
        let old = self.person.name().clone();
        if name.as_str() == old.as_str() {
            return reply(actions, format!("* you are {name} already"));
        }
        if let Err(error) = self.person.rename(name.clone()) {
            return refuse(actions, error);
        }
        if name != old {
            actions.push(Action::Inbox(name.clone()));
        }
        reply(actions, format!("* you are now {name}"));
        let text = format!("{old} is now {name}");
        actions.push(Action::Notice { rooms: self.person.rooms().to_vec(), text });
    }

    fn join(&mut self, text: &str, actions: &mut Vec<Action>) {
        let room = match Name::parse(text, NameOf::Room, self.settings.name_characters) {
            Ok(room) => room,
            Err(error) => return refuse(actions, error),
        };
        if self.person.rooms().contains(&room) {
            reply(actions, format!("* you now talk in {room}"));
            self.current = Some(room);
            return;
        }
        let members = match self.person.join(&room) {
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

    fn leave(&mut self, text: Option<&str>, actions: &mut Vec<Action>) {
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
        let now = match &self.current {
            Some(current) => format!("you talk in {current}"),
            None => "you are in no room".to_owned(),
        };
        reply(actions, format!("* you left {room}; {now}"));
    }

    fn list_rooms(&self, actions: &mut Vec<Action>) {
        let Listing { shown, total } = self.person.directory().rooms(LISTED_ENTRIES);
        reply(actions, format!("* {total} {}:", if total == 1 { "room" } else { "rooms" }));
        for room in &shown {
            let topic = room.topic.as_deref().map(|topic| format!(": {topic}")).unwrap_or_default();
            reply(actions, format!("* {} ({}){topic}", room.name, room.members));
        }
        if total > shown.len() {
            reply(actions, format!("* and {} more", total - shown.len()));
        }
    }

    fn who(&self, text: Option<&str>, actions: &mut Vec<Action>) {
        let Some(room) = self.room_named(text, actions) else { return };
        let Some(Listing { shown, total }) = self.person.directory().members(&room, LISTED_ENTRIES)
        else {
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

    fn tell(&self, to: &str, text: &str, actions: &mut Vec<Action>) {
        let found = Name::parse(to, NameOf::Person, self.settings.name_characters)
            .ok()
            .and_then(|name| self.person.directory().find(&name));
        match found {
            Some(name) if name == *self.person.name() => {
                refuse(actions, "that is you; /msg is for somebody else")
            }
            Some(to) => actions.push(Action::Tell { to, text: text.to_owned() }),
            None => {
                refuse(actions, format_args!("nobody here is called {to}; /who lists the names"))
            }
        }
    }

    fn topic(&self, text: Option<&str>, actions: &mut Vec<Action>) {
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
        directory.set_topic(room, text);
        reply(actions, format!("* {room} is now about: {text}"));
        let text = format!("{} says {room} is about: {text}", self.person.name());
        actions.push(Action::Notice { rooms: vec![room.clone()], text });
    }

    fn history(&self, lines: Option<usize>, actions: &mut Vec<Action>) {
        let Some(room) = &self.current else { return refuse(actions, NO_ROOM) };
        let lines = lines.unwrap_or(self.settings.replay_lines).min(self.settings.history_lines);
        actions.push(Action::History { room: room.clone(), lines });
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

const NO_ROOM: &str = "you are in no room; /join ROOM first, /rooms lists them";

fn reply(actions: &mut Vec<Action>, line: String) {
    actions.push(Action::Reply(line));
}

fn refuse(actions: &mut Vec<Action>, problem: impl std::fmt::Display) {
    actions.push(Action::Reply(format!("! {problem}")));
}

#[cfg(test)]
mod tests {
    use super::super::rooms::DirectoryLimits;
    use super::*;

    fn directory() -> Arc<Directory> {
        Directory::new(DirectoryLimits { rooms: 10, rooms_per_person: 3, room_members: 10 }, |_| {})
    }

    fn begun(directory: &Arc<Directory>) -> Session {
        let mut session = Session::new(directory, SessionSettings::default());
        session.begin("lobby", &mut Vec::new());
        session
    }

    fn handle(session: &mut Session, line: &str) -> Vec<Action> {
        let mut actions = Vec::new();
        session.handle(line, &mut actions);
        for action in &actions {
            if let Action::Left(room) = action {
                session.left(room);
            }
        }
        actions
    }

    fn replies(actions: &[Action]) -> Vec<&str> {
        let mut lines = Vec::new();
        for action in actions {
            if let Action::Reply(line) = action {
                lines.push(line.as_str());
            }
        }
        lines
    }

    fn room(text: &str) -> Name {
        Name::parse(text, NameOf::Room, 24).unwrap()
    }

    #[test]
    fn one_is_greeted_and_in_the_lobby() {
        let mut actions = Vec::new();
        Session::new(&directory(), SessionSettings::default()).begin("lobby", &mut actions);
        assert!(replies(&actions)[0].contains("you are guest1"));
        assert_eq!(replies(&actions)[1], "* you are in lobby (1 here)");
        assert!(actions.contains(&Action::Subscribe(room("lobby"))));
        let notice =
            Action::Notice { rooms: vec![room("lobby")], text: "guest1 joined lobby".into() };
        assert_eq!(actions.last(), Some(&notice));
    }

    #[test]
    fn a_line_is_said_to_the_room_one_talks_in() {
        let mut session = begun(&directory());
        let said = |room_name: &str, text: &str, kind| {
            vec![Action::Say { room: room(room_name), text: text.into(), kind }]
        };
        assert_eq!(handle(&mut session, "hi"), said("lobby", "hi", Kind::Said));
        handle(&mut session, "/join Rust");
        assert_eq!(handle(&mut session, "//hi"), said("rust", "/hi", Kind::Said));
        assert_eq!(handle(&mut session, "/me waves"), said("rust", "waves", Kind::Action));
        assert_eq!(replies(&handle(&mut session, "/join LOBBY")), ["* you now talk in lobby"]);
        assert_eq!(handle(&mut session, "hi"), said("lobby", "hi", Kind::Said));
        assert_eq!(
            replies(&handle(&mut session, "/leave")),
            ["* you left lobby; you talk in rust"]
        );
        assert_eq!(
            replies(&handle(&mut session, "/leave rust")),
            ["* you left rust; you are in no room"]
        );
        for line in ["hi", "/leave", "/topic", "/history", "/who", "/me x"] {
            assert!(
                replies(&handle(&mut session, line))[0].starts_with("! you are in no room"),
                "{line}"
            );
        }
    }

    #[test]
    fn leaving_tells_the_room_before_the_place_is_given_back() {
        let mut session = begun(&directory());
        let actions = handle(&mut session, "/leave");
        let lobby = room("lobby");
        let expected = [
            Action::Unsubscribe(lobby.clone()),
            Action::Notice { rooms: vec![lobby.clone()], text: "guest1 left lobby".into() },
            Action::Left(lobby),
        ];
        assert_eq!(actions[..3], expected);
    }

    #[test]
    fn a_name_is_taken_once() {
        let directory = directory();
        let (mut one, mut two) = (begun(&directory), begun(&directory));
        let actions = handle(&mut one, "/nick alice");
        assert_eq!(replies(&actions), ["* you are now alice"]);
        assert!(matches!(&actions[0], Action::Inbox(name) if name.as_str() == "alice"));
        assert!(
            matches!(&actions[2], Action::Notice { text, .. } if text == "guest1 is now alice")
        );
        assert_eq!(
            replies(&handle(&mut two, "/nick ALICE")),
            ["! somebody here is called ALICE; choose another name"]
        );
        assert!(
            replies(&handle(&mut two, "/nick a\u{202e}b"))[0].starts_with("! character 2 (U+202E)")
        );
        for (line, problem) in [
            ("/nick \u{430}lice", "! that name mixes letters of several scripts"),
            ("/nick a1ice", "! a1ice looks like alice, who is here"),
            ("/nick Admin", "! nobody is called Admin, or what looks like it"),
        ] {
            assert!(replies(&handle(&mut two, line))[0].starts_with(problem), "{line}");
        }
        one.end(&mut Vec::new());
        assert_eq!(replies(&handle(&mut two, "/nick ALICE")), ["* you are now ALICE"]);
    }

    #[test]
    fn lists_name_people_and_rooms() {
        let directory = directory();
        let (mut one, mut two) = (begun(&directory), begun(&directory));
        handle(&mut one, "/nick alice");
        handle(&mut two, "/join rust");
        handle(&mut two, "/topic crabs");
        assert_eq!(replies(&handle(&mut one, "/who")), ["* 2 in lobby: alice, guest2"]);
        assert_eq!(replies(&handle(&mut one, "/who rust")), ["* 1 in rust: guest2"]);
        assert!(
            replies(&handle(&mut one, "/who nowhere"))[0].starts_with("! there is no room nowhere")
        );
        assert_eq!(
            replies(&handle(&mut one, "/rooms")),
            ["* 2 rooms:", "* lobby (2)", "* rust (1): crabs"]
        );
        assert_eq!(replies(&handle(&mut two, "/topic")), ["* rust is about: crabs"]);
    }

    #[test]
    fn private_messages_go_to_somebody_who_is_here() {
        let directory = directory();
        let (mut one, mut two) = (begun(&directory), begun(&directory));
        handle(&mut two, "/nick Bob");
        assert_eq!(
            handle(&mut one, "/msg bob hi there"),
            vec![Action::Tell { to: two.name().clone(), text: "hi there".into() }]
        );
        assert!(
            replies(&handle(&mut one, "/msg eve hi"))[0].starts_with("! nobody here is called eve")
        );
        assert!(replies(&handle(&mut two, "/msg BOB hi"))[0].starts_with("! that is you"));
    }

    #[test]
    fn quitting_says_goodbye_to_all_rooms_once() {
        let mut session = begun(&directory());
        handle(&mut session, "/join rust");
        assert_eq!(
            handle(&mut session, "/quit see you"),
            vec![Action::Reply("* goodbye".into()), Action::End]
        );
        let mut actions = Vec::new();
        session.end(&mut actions);
        let rooms = vec![room("lobby"), room("rust")];
        assert_eq!(actions, vec![Action::Notice { rooms, text: "guest1 left (see you)".into() }]);
    }
}

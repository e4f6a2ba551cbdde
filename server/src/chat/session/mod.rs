//! One person's session: what a line means here and now. State without I/O: lines go in,
//! [`Action`]s come out, which are to be done in order.

mod accounts;
mod moderation;
mod people;
mod rooms;

use super::accounts::AccountRequest;
use super::command::{self, Command};
use super::names::{Name, NameOf};
use super::password::Secret;
use super::rooms::rules::{Membership, Rules};
use super::rooms::{Directory, Person, Presence};
use super::times::TimeFormat;
use crate::limits::{
    NAME_CHARACTERS, ROOM_HISTORY_LINES, ROOM_REPLAY_LINES, ROOM_TOPIC_CHARACTERS,
};
use crate::message::Kind;
use crate::time::Timestamp;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// An action that a front-end carries out for a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Answer the person with this line.
    Reply(String),
    /// Publish what the person says in a room.
    Say { room: Name, text: String, kind: Kind },
    /// Publish one notice in each of these rooms.
    Notice {
        rooms: Vec<Name>,
        /// The text, without the `* ` before it.
        text: String,
    },
    /// Publish a private message; say so if nobody gets it.
    Tell { to: Name, text: String },
    /// Ask for an account, and hand the answer to [`Session::answered`].
    Account(AccountRequest),
    /// Wake the connection of the displaced person who had this name.
    Displace(Name),
    /// Store the rules of a room.
    Keep { room: Name, rules: Box<Rules> },
    /// Note in the journal what happened.
    Note {
        /// The kind of event, in a word or two.
        kind: &'static str,
        /// The person or room it is about.
        about: String,
        /// The actor and the reason.
        what: String,
    },
    /// Subscribe to a room, with its last lines.
    Subscribe(Name),
    /// End the subscription to a room.
    Unsubscribe(Name),
    /// Subscribe to the private messages for this name instead of those for the last one.
    Inbox(Name),
    /// Show the last lines of a room.
    History { room: Name, lines: usize },
    /// Show the lines of a room from a moment on, and say how many there are.
    Since { room: Name, time: Timestamp },
    /// Show the stored lines of a room with all of these words.
    Search { room: Name, words: String },
    /// Say when everything that the person has said is stored.
    Sync,
    /// Show the times of lines in this form from now on.
    Times(TimeFormat),
    /// Hide what these people say from now on, and nobody else.
    Ignored(Vec<Name>),
    /// Leave the room for good with [`Session::left`], now that everything before this is done.
    Left(Name),
    /// End the connection once the replies have gone out.
    End,
}

/// The bounds of one session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSettings {
    /// Characters of a name.
    pub name_characters: usize,
    /// Characters of a room's topic.
    pub topic_characters: usize,
    /// Lines that `/history` without a number shows.
    pub replay_lines: usize,
    /// Lines that memory keeps of a room, and that `/history` shows at most if nothing is stored.
    pub history_lines: usize,
    /// Whether there is a database, so that `/history` shows more.
    pub is_stored: bool,
    /// Whether only people who have logged in may talk and read.
    pub accounts_required: bool,
    /// The server's password, if it has one.
    pub password: Option<Secret>,
}

impl Default for SessionSettings {
    fn default() -> Self {
        Self {
            name_characters: NAME_CHARACTERS,
            topic_characters: ROOM_TOPIC_CHARACTERS,
            replay_lines: ROOM_REPLAY_LINES,
            history_lines: ROOM_HISTORY_LINES,
            is_stored: false,
            accounts_required: false,
            password: None,
        }
    }
}

/// One person's state.
pub struct Session {
    person: Person,
    current: Option<Name>,
    settings: SessionSettings,
    times: TimeFormat,
    ignored: Vec<Name>,
    /// How many wrong passwords the person has given.
    failures: u32,
    /// Whether the server's password was given, if there is one.
    is_admitted: bool,
    /// When the person last talked in rooms with a slow mode.
    talked: HashMap<Name, Instant>,
    /// The room to go to after logging in.
    waiting_for: Option<String>,
    /// The text given with `/quit`.
    farewell: Option<String>,
}

impl Session {
    /// Creates the session of somebody who sees the times of lines in this form. [`Session::begin`]
    /// comes next.
    pub fn new(directory: &Arc<Directory>, settings: SessionSettings, times: TimeFormat) -> Self {
        let is_admitted = settings.password.is_none();
        Self {
            is_admitted,
            person: directory.enter(),
            current: None,
            settings,
            times,
            ignored: Vec::new(),
            failures: 0,
            talked: HashMap::new(),
            waiting_for: None,
            farewell: None,
        }
    }

    /// Greets the person and goes to the room named `lobby`.
    pub fn begin(&mut self, lobby: &str, actions: &mut Vec<Action>) {
        actions.push(Action::Inbox(self.person.name().clone()));
        self.greet(actions);
        self.waiting_for = Some(lobby.to_owned());
        self.enter_lobby(actions);
    }

    /// Turns a line that came just now into actions.
    pub fn handle(&mut self, line: &str, now: Instant, actions: &mut Vec<Action>) {
        let was_removed = self.notice_removal(actions);
        match command::parse(line) {
            Err(error) => refuse(actions, error),
            // It was meant for the room that the person is no longer in.
            Ok(Command::Say(_) | Command::Action(_)) if was_removed => {
                refuse(actions, "that was not said");
            }
            Ok(Command::Password(password)) => self.admit(password, actions),
            Ok(command) if !self.may(&command) => self.say_what_is_missing(actions),
            Ok(Command::Register(password)) => self.register(password, actions),
            Ok(Command::Login { name, password }) => self.login(name, password, actions),
            Ok(Command::Recover { name, code, password }) => {
                self.recover(name, code, password, actions)
            }
            Ok(Command::ChangePassword { old, new }) => self.change_password(old, new, actions),
            Ok(Command::Unregister(password)) => self.unregister(password, actions),
            Ok(Command::Nothing) => {}
            Ok(Command::Say(text)) => self.say(text, Kind::Said, now, actions),
            Ok(Command::Action(text)) => self.say(text, Kind::Action, now, actions),
            Ok(Command::Nick(name)) => self.rename(name, actions),
            Ok(Command::Join { room, password }) => self.join(room, password, actions),
            Ok(Command::Order { order, name, why }) => self.order(order, name, why, actions),
            Ok(Command::Mode(mode)) => self.mode(mode, actions),
            Ok(Command::Leave(room)) => self.leave(room, actions),
            Ok(Command::Rooms) => self.list_rooms(actions),
            Ok(Command::Who(room)) => self.who(room, actions),
            Ok(Command::Message { to, text }) => self.tell(to, text, actions),
            Ok(Command::Topic(text)) => self.topic(text, actions),
            Ok(Command::History(lines)) => self.history(lines, actions),
            Ok(Command::Since(time)) => self.since(time, actions),
            Ok(Command::Search(words)) => self.search(words, actions),
            Ok(Command::Sync) => actions.push(Action::Sync),
            Ok(Command::Time(format)) => self.show_times(format, actions),
            Ok(Command::Ignore(name)) => self.ignore(name, actions),
            Ok(Command::Unignore(name)) => self.unignore(name, actions),
            Ok(Command::Away(text)) => self.away(text, actions),
            Ok(Command::Whois(name)) => self.whois(name, actions),
            Ok(Command::Greeting) => self.greet(actions),
            Ok(Command::Ping) => reply(actions, "* pong".to_owned()),
            Ok(Command::Help) => {
                reply(actions, format!("* {}", command::HELP_ON_LINES));
                for (usage, what) in command::HELP {
                    reply(actions, format!("* {usage:<28} {what}"));
                }
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

    /// Ends the session, since the connection is over. The name is free at once. Once the rooms
    /// have been told, drop the session, which leaves them.
    pub fn end(&mut self, actions: &mut Vec<Action>) {
        self.person.release_name();
        if self.person.presence().is_displaced() {
            self.farewell = Some("logged in elsewhere".to_owned());
        }
        let name = self.person.name();
        let text = match &self.farewell {
            Some(farewell) => format!("{name} left ({farewell})"),
            None => format!("{name} left"),
        };
        actions.push(Action::Notice { rooms: self.person.rooms().to_vec(), text });
    }

    /// The person as a member of a room.
    pub fn membership(&self, room: &Name) -> Option<&Arc<Membership>> {
        self.person.membership(room)
    }

    /// For the writing half of the connection.
    pub fn presence(&self) -> &Arc<Presence> {
        self.person.presence()
    }

    /// How the person wants to see the times of lines.
    pub fn times(&self) -> TimeFormat {
        self.times
    }

    /// Whether the person wants to see nothing of this sender.
    pub fn ignores(&self, sender: Option<&str>) -> bool {
        sender.is_some_and(|sender| self.ignored.iter().any(|name| name.is_written(sender)))
    }

    /// The person's current name.
    pub fn name(&self) -> &Name {
        self.person.name()
    }

    /// Whether the person may use this command now. Most need the server's password first, and a
    /// login where accounts are required.
    fn may(&self, command: &Command<'_>) -> bool {
        let is_for_all = matches!(
            command,
            Command::Nothing
                | Command::Nick(_)
                | Command::Register(_)
                | Command::Login { .. }
                | Command::Recover { .. }
                | Command::Greeting
                | Command::Ping
                | Command::Help
                | Command::Quit(_)
        );
        let is_known = !self.settings.accounts_required || self.person.account().is_some();
        let is_goodbye = matches!(command, Command::Nothing | Command::Ping | Command::Quit(_));
        is_goodbye || (self.is_admitted && (is_for_all || is_known))
    }

    /// Moves a person who was put out of the current room to another one, and says so. Returns
    /// whether that happened.
    fn notice_removal(&mut self, actions: &mut Vec<Action>) -> bool {
        self.person.drop_removed();
        let rooms = self.person.rooms();
        let Some(lost) = self.current.take_if(|room| !rooms.contains(room)) else { return false };
        self.current = rooms.last().cloned();
        reply(actions, self.left_for(&lost));
        true
    }

    /// The answer to somebody who is no longer in a room.
    fn left_for(&self, room: &Name) -> String {
        match &self.current {
            Some(current) => format!("* you left {room}; you talk in {current}"),
            None => format!("* you left {room}; you are in no room"),
        }
    }

    /// A name as the person wrote it. If it is not valid, the person is told.
    fn parse_name(&self, text: &str, name_of: NameOf, actions: &mut Vec<Action>) -> Option<Name> {
        let name = Name::parse(text, name_of, self.settings.name_characters);
        name.map_err(|error| refuse(actions, error)).ok()
    }

    fn greet(&self, actions: &mut Vec<Action>) {
        let name = self.person.name();
        reply(
            actions,
            format!(
                "* welcome to fanfare; you are {name}. /nick NAME takes a name, /help lists the \
                 commands"
            ),
        );
    }

    fn show_times(&mut self, format: TimeFormat, actions: &mut Vec<Action>) {
        self.times = format;
        actions.push(Action::Times(format));
        let what = match format {
            TimeFormat::Off => "are not shown",
            TimeFormat::Minutes | TimeFormat::Iso => "are shown, in UTC",
        };
        reply(actions, format!("* the times of lines {what}"));
    }
}

const PASSWORD_FIRST: &str = "this server has a password: /password WORD";

const LOG_IN_FIRST: &str = "this server is for those who log in: /login NAME PASSWORD; or take a \
                            name with /nick, and /register PASSWORD";

const NO_ROOM: &str = "you are in no room; /join ROOM first, /rooms lists them";

fn reply(actions: &mut Vec<Action>, line: String) {
    actions.push(Action::Reply(line));
}

fn refuse(actions: &mut Vec<Action>, problem: impl std::fmt::Display) {
    actions.push(Action::Reply(format!("! {problem}")));
}

#[cfg(test)]
mod tests;

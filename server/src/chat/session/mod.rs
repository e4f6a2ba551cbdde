//! One person's session: what a line means here and now. State without I/O: lines go in,
//! [`Action`]s come out, which are to be done in order.

mod accounts;
mod people;
mod rooms;

use super::accounts::AccountRequest;
use super::command::{self, Command};
use super::names::Name;
use super::presence::Presence;
use super::rooms::{Directory, Person};
use super::times::TimeFormat;
use crate::limits::{
    NAME_CHARACTERS, ROOM_HISTORY_LINES, ROOM_REPLAY_LINES, ROOM_TOPIC_CHARACTERS,
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
    /// Ask for an account, and hand the answer to [`Session::answered`].
    Account(AccountRequest),
    /// Wake the connection of somebody of this name, who is displaced.
    Displace(Name),
    /// Note in the journal what happened.
    Note {
        /// In a word or two.
        kind: &'static str,
        /// To whom or what.
        about: String,
        /// By whom, and why.
        what: String,
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
    /// Show the stored lines of a room with all of these words.
    Search {
        /// The room.
        room: Name,
        /// The words.
        words: String,
    },
    /// Say when everything that the person has said is stored.
    Sync,
    /// Show the times of lines in this form from now on.
    Times(TimeFormat),
    /// Show nothing of these people from now on, and of no others less.
    Ignored(Vec<Name>),
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
    /// Lines that memory keeps of a room, and that `/history` shows at most if nothing is stored.
    pub history_lines: usize,
    /// Whether there is a database, so that `/history` shows more.
    pub is_stored: bool,
    /// Whether those alone who have logged in may do anything.
    pub accounts_required: bool,
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
    /// Passwords that were wrong.
    failures: u32,
    /// The room to go to after logging in.
    waiting_for: Option<String>,
    /// What was given with `/quit`.
    farewell: Option<String>,
}

impl Session {
    /// Lets somebody in. [`Session::begin`] comes next.
    pub fn new(directory: &Arc<Directory>, settings: SessionSettings) -> Self {
        Self {
            person: directory.enter(),
            current: None,
            settings,
            times: TimeFormat::Off,
            ignored: Vec::new(),
            failures: 0,
            waiting_for: None,
            farewell: None,
        }
    }

    /// Greets the person and goes to the room named `lobby`.
    pub fn begin(&mut self, lobby: &str, actions: &mut Vec<Action>) {
        actions.push(Action::Inbox(self.person.name().clone()));
        self.greet(actions);
        if self.settings.accounts_required {
            self.waiting_for = Some(lobby.to_owned());
            return refuse(actions, LOG_IN_FIRST);
        }
        self.join(lobby, actions);
    }

    /// Says what a line means, as actions.
    pub fn handle(&mut self, line: &str, actions: &mut Vec<Action>) {
        match command::parse(line) {
            Err(error) => refuse(actions, error),
            Ok(command) if !self.may(&command) => refuse(actions, LOG_IN_FIRST),
            Ok(Command::Register(password)) => self.register(password, actions),
            Ok(Command::Login { name, password }) => self.login(name, password, actions),
            Ok(Command::Recover { name, code, password }) => {
                self.recover(name, code, password, actions)
            }
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
                    reply(actions, format!("* {usage:<17} {what}"));
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

    /// The connection is over. The name is free at once; the rooms are to be told, and then the
    /// session dropped, which gives back the places.
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

    /// The person's present name.
    pub fn name(&self) -> &Name {
        self.person.name()
    }

    /// Whether the person may do this, where those alone who have logged in may do everything.
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
        is_for_all || !self.settings.accounts_required || self.person.account().is_some()
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

const LOG_IN_FIRST: &str = "this server is for those who log in: /login NAME PASSWORD; or take a \
                            name with /nick, and /register PASSWORD";

fn reply(actions: &mut Vec<Action>, line: String) {
    actions.push(Action::Reply(line));
}

fn refuse(actions: &mut Vec<Action>, problem: impl std::fmt::Display) {
    actions.push(Action::Reply(format!("! {problem}")));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chat::accounts::{AccountError, Granted};
    use crate::chat::names::NameOf;
    use crate::chat::rooms::DirectoryLimits;
    use crate::limits::{IGNORED_NAMES, LOGIN_FAILURES};

    fn directory() -> Arc<Directory> {
        Directory::new(DirectoryLimits { rooms: 10, rooms_per_person: 3, room_members: 10 })
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
    fn people_say_that_they_are_away_and_can_be_asked_about() {
        let directory = directory();
        let (mut one, mut two) = (begun(&directory), begun(&directory));
        handle(&mut two, "/nick bob");
        handle(&mut two, "/join rust");
        assert_eq!(replies(&handle(&mut one, "/whois BOB")), ["* bob is in lobby, rust"]);
        assert_eq!(replies(&handle(&mut two, "/away at lunch")), ["* you are away: at lunch"]);
        handle(&mut two, "/nick Robert");
        let whois = ["* Robert is in lobby, rust; away: at lunch"];
        assert_eq!(replies(&handle(&mut one, "/whois robert")), whois);
        assert_eq!(
            replies(&handle(&mut one, "/msg robert hi")),
            ["* Robert is away: at lunch"],
            "told, and told why there is no answer"
        );
        assert_eq!(replies(&handle(&mut two, "/away")), ["* you are not away"]);
        assert_eq!(replies(&handle(&mut one, "/whois robert")), ["* Robert is in lobby, rust"]);
        assert!(replies(&handle(&mut one, "/whois bob"))[0].starts_with("! nobody here is"));
    }

    #[test]
    fn whom_one_ignores_is_a_bounded_list() {
        let directory = directory();
        let mut session = begun(&directory);
        let eve = Name::parse("Eve", NameOf::Person, 24).unwrap();
        let actions = handle(&mut session, "/ignore Eve");
        assert_eq!(actions[0], Action::Ignored(vec![eve]));
        assert_eq!(replies(&actions), ["* you ignore Eve; /unignore Eve ends that"]);
        assert!(session.ignores(Some("EVE")) && !session.ignores(Some("eva")));
        assert!(!session.ignores(None));
        assert_eq!(replies(&handle(&mut session, "/ignore")), ["* you ignore Eve"]);
        assert_eq!(replies(&handle(&mut session, "/unignore eva")), ["! you do not ignore eva"]);
        assert_eq!(handle(&mut session, "/unignore eve")[0], Action::Ignored(vec![]));
        for number in 0..IGNORED_NAMES {
            handle(&mut session, &format!("/ignore name{number}"));
        }
        let refused = handle(&mut session, "/ignore eve");
        assert!(replies(&refused)[0].starts_with("! you ignore 50 names"), "{refused:?}");
    }

    /// As if the password were right.
    fn logged_in(session: &mut Session, name: &str) -> Vec<Action> {
        let mut actions = Vec::new();
        let granted = Granted { shown: name.to_owned(), code: None };
        session.answered(Ok(granted), &mut actions);
        actions
    }

    #[test]
    fn an_owned_name_is_its_owners_whether_there_or_not() {
        let directory = directory();
        let (mut one, mut two) = (begun(&directory), begun(&directory));
        assert!(replies(&handle(&mut one, "/register 12345678"))[0].starts_with("! take a name"));
        handle(&mut one, "/nick Alice");
        assert!(replies(&handle(&mut one, "/register short"))[0].starts_with("! a password has"));
        let asked = handle(&mut one, "/register 12345678");
        assert!(matches!(&asked[..], [Action::Account(AccountRequest::Register { .. })]));
        directory.own(one.name());
        logged_in(&mut one, "Alice");
        handle(&mut one, "/nick other");
        for (name, problem) in [
            ("alice", "! Alice is somebody's; /login Alice PASSWORD if it is yours"),
            ("a1ice", "! a1ice looks like Alice, which is somebody's; choose another name"),
        ] {
            assert_eq!(replies(&handle(&mut two, &format!("/nick {name}"))), [problem]);
        }
        assert_eq!(replies(&handle(&mut one, "/nick alice")), ["* you are now alice"]);
        let again = replies(&handle(&mut one, "/login alice 12345678")).join("");
        assert_eq!(again, "! you are logged in as Alice already");
    }

    #[test]
    fn the_owner_of_a_name_displaces_whoever_has_it() {
        let directory = directory();
        let (mut old, mut new) = (begun(&directory), begun(&directory));
        handle(&mut old, "/nick alice");
        logged_in(&mut old, "alice");
        let actions = logged_in(&mut new, "alice");
        assert_eq!(actions[0], Action::Displace(old.name().clone()));
        assert!(old.presence().is_displaced() && !new.presence().is_displaced());
        let mut actions = Vec::new();
        old.end(&mut actions);
        let rooms = vec![room("lobby")];
        let text = "alice left (logged in elsewhere)".to_owned();
        assert_eq!(actions, [Action::Notice { rooms, text }]);
        drop(old);
        assert_eq!(&directory.find(new.name()).unwrap().name, new.name());
    }

    #[test]
    fn wrong_passwords_are_few() {
        let mut session = begun(&directory());
        for number in 1..=LOGIN_FAILURES {
            let mut actions = Vec::new();
            session.answered(Err(AccountError::Wrong), &mut actions);
            assert_eq!(actions.contains(&Action::End), number == LOGIN_FAILURES);
        }
    }

    #[test]
    fn where_accounts_are_required_one_logs_in_first() {
        let settings = SessionSettings { accounts_required: true, ..SessionSettings::default() };
        let mut session = Session::new(&directory(), settings);
        let mut actions = Vec::new();
        session.begin("lobby", &mut actions);
        assert!(replies(&actions)[1].starts_with("! this server is for those who log in"));
        for line in ["hi", "/join lobby", "/who lobby", "/rooms", "/msg bob hi", "/whois bob"] {
            let refused = handle(&mut session, line);
            assert!(replies(&refused)[0].starts_with("! this server is for"), "{line}");
        }
        assert_eq!(replies(&handle(&mut session, "/nick alice")), ["* you are now alice"]);
        let actions = logged_in(&mut session, "alice");
        assert!(actions.contains(&Action::Subscribe(room("lobby"))), "{actions:?}");
    }

    #[test]
    fn times_are_shown_to_those_who_ask() {
        let mut session = begun(&directory());
        assert_eq!(handle(&mut session, "/time on")[0], Action::Times(TimeFormat::Minutes));
        assert_eq!(session.times(), TimeFormat::Minutes);
        assert_eq!(handle(&mut session, "/time off")[0], Action::Times(TimeFormat::Off));
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

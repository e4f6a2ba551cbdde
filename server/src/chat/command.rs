//! Parses a line: something said, or a command.

use super::times::TimeFormat;
use std::fmt;

/// The meaning of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command<'l> {
    /// An empty line.
    Nothing,
    /// Something to say to the current room. A line that begins with `//` arrives with one slash.
    Say(&'l str),
    /// `/nick NAME`
    Nick(&'l str),
    /// `/join ROOM [PASSWORD]`
    Join { room: &'l str, password: Option<&'l str> },
    /// `/leave [ROOM]`
    Leave(Option<&'l str>),
    /// `/rooms`
    Rooms,
    /// `/who [ROOM]`
    Who(Option<&'l str>),
    /// `/msg NAME TEXT`
    Message { to: &'l str, text: &'l str },
    /// `/me TEXT`
    Action(&'l str),
    /// `/topic [TEXT]`
    Topic(Option<&'l str>),
    /// `/history [N]`
    History(Option<usize>),
    /// `/since TIME`
    Since(&'l str),
    /// `/search WORDS`
    Search(&'l str),
    /// `/sync`
    Sync,
    /// `/kick NAME [WHY]` and the like
    Order { order: Order, name: &'l str, why: Option<&'l str> },
    /// `/mode [MODE]`
    Mode(Option<&'l str>),
    /// `/time`: show times, in this form.
    Time(TimeFormat),
    /// `/password WORD`
    Password(&'l str),
    /// `/register PASSWORD`
    Register(&'l str),
    /// `/login NAME PASSWORD`
    Login { name: &'l str, password: &'l str },
    /// `/recover NAME CODE PASSWORD`
    Recover { name: &'l str, code: &'l str, password: &'l str },
    /// `/passwd OLD NEW`
    ChangePassword { old: &'l str, new: &'l str },
    /// `/unregister PASSWORD`
    Unregister(&'l str),
    /// `/ignore [NAME]`
    Ignore(Option<&'l str>),
    /// `/unignore NAME`
    Unignore(&'l str),
    /// `/away [TEXT]`
    Away(Option<&'l str>),
    /// `/whois NAME`
    Whois(&'l str),
    /// `/motd`
    Greeting,
    /// `/ping`
    Ping,
    /// `/help`
    Help,
    /// `/quit [TEXT]`
    Quit(Option<&'l str>),
}

/// A command of moderation that is aimed at somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// `/kick NAME [WHY]`
    Kick,
    /// `/ban NAME [WHY]`
    Ban,
    /// `/unban NAME`
    Unban,
    /// `/mute NAME`
    Mute,
    /// `/unmute NAME`
    Unmute,
    /// `/invite NAME`
    Invite,
    /// `/op NAME`
    Op,
    /// `/deop NAME`
    Deop,
}

/// Why a line that begins with a slash is not a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandError {
    /// No command has that name.
    Unknown {
        /// The word after the slash.
        name: String,
    },
    /// It has a password in it, but is not a command, so it would be said to the room.
    Secret,
    /// An argument is missing, superfluous, or not a number.
    Usage(&'static str),
}

impl fmt::Display for CommandError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown { name } => {
                write!(out, "there is no /{name}; /help lists the commands, //{name} says it")
            }
            Self::Secret => write!(out, "that has a password in it and was not said"),
            Self::Usage(usage) => write!(out, "write it as {usage}"),
        }
    }
}

impl std::error::Error for CommandError {}

/// How `/mode` is written.
pub(super) const MODE_USAGE: &str = "/mode [private|public|password WORD|open|slow SECONDS]";

/// The answer to `/help`: each command as it is written, and what it does.
pub const HELP: &[(&str, &str)] = &[
    ("/nick NAME", "take a name"),
    ("/password WORD", "come in, where the server has a password"),
    ("/register PASSWORD", "make your name your own"),
    ("/login NAME PASSWORD", "have the name you own"),
    ("/recover NAME CODE PASSWORD", "set a new password, if you forgot yours"),
    ("/passwd OLD NEW", "change your password"),
    ("/unregister PASSWORD", "give up the name you own"),
    (
        "/join ROOM [PASSWORD]",
        "go to a room, which opens if there is none, or talk there if you are in it",
    ),
    ("/leave [ROOM]", "leave a room; also /part"),
    ("/rooms", "list the rooms; also /list"),
    ("/who [ROOM]", "list who is in a room; also /names"),
    ("/whois NAME", "say where somebody is"),
    ("/msg NAME TEXT", "tell one person"),
    ("/me TEXT", "say what you do"),
    ("/away [TEXT]", "say why you do not answer, or that you are back"),
    ("/ignore [NAME]", "hide what somebody says, or list whom you ignore"),
    ("/unignore NAME", "show what somebody says again"),
    ("/topic [TEXT]", "show or set what the room is about"),
    ("/history [N]", "show the room's last lines"),
    ("/since TIME", "show what was said from a time on, such as 2026-11-21T17:05:09Z"),
    ("/search WORDS", "show the room's stored lines with all of these words"),
    ("/sync", "say when what you said is stored"),
    ("/kick NAME [WHY]", "remove somebody from the room"),
    ("/ban NAME [WHY]", "remove somebody for good; /unban NAME ends it"),
    ("/mute NAME [WHY]", "let somebody read but not talk; /unmute NAME ends it"),
    ("/invite NAME", "let somebody in, whatever the room's rules"),
    ("/op NAME", "make somebody an operator of the room; /deop NAME ends it"),
    (MODE_USAGE, "show or set the rules of the room"),
    ("/time on|iso|off", "show when lines were said, in UTC"),
    ("/motd", "show the greeting again"),
    ("/ping", "ask whether the server is there"),
    ("/quit [TEXT]", "leave"),
];

/// The first lines of the answer to `/help`.
pub const HELP_ON_LINES: &str =
    "a line is said to the room you are in; a line that begins with // is said with one slash";

/// Commands with a password in them.
const SECRET_COMMANDS: [&str; 6] =
    ["/password ", "/register ", "/login ", "/recover ", "/passwd ", "/unregister "];

/// Whether a line has a password in it, and so must not be kept.
pub fn is_secret(line: &str) -> bool {
    let line = line.trim_start();
    let begins_with = |command: &&str| {
        line.get(..command.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(command))
    };
    SECRET_COMMANDS.iter().any(begins_with)
}

const REGISTER: &str = "/register PASSWORD, without spaces in it";

/// Parses a line. Commands are case-insensitive.
pub fn parse(line: &str) -> Result<Command<'_>, CommandError> {
    let Some(command) = line.strip_prefix('/') else {
        // A space before the slash would tell everybody a password.
        return match line.trim().is_empty() {
            true => Ok(Command::Nothing),
            false if is_secret(line) => Err(CommandError::Secret),
            false => Ok(Command::Say(line)),
        };
    };
    if command.starts_with('/') {
        return Ok(Command::Say(command));
    }
    let (name, rest) = split_word(command);
    match name.to_ascii_lowercase().as_str() {
        "nick" => one_word(rest, "/nick NAME").map(Command::Nick),
        "join" => {
            let (room, password) = split_word(rest);
            one_word(room, "/join ROOM [PASSWORD]")?;
            let password = at_most_one_word(password, "/join ROOM [PASSWORD]")?;
            Ok(Command::Join { room, password })
        }
        "kick" => order(Order::Kick, rest, "/kick NAME [WHY]"),
        "ban" => order(Order::Ban, rest, "/ban NAME [WHY]"),
        "unban" => order(Order::Unban, rest, "/unban NAME"),
        "mute" => order(Order::Mute, rest, "/mute NAME [WHY]"),
        "unmute" => order(Order::Unmute, rest, "/unmute NAME"),
        "invite" => order(Order::Invite, rest, "/invite NAME"),
        "op" => order(Order::Op, rest, "/op NAME"),
        "deop" => order(Order::Deop, rest, "/deop NAME"),
        "mode" => Ok(Command::Mode(any_text(rest))),
        "leave" | "part" => at_most_one_word(rest, "/leave [ROOM]").map(Command::Leave),
        "rooms" | "list" => nothing(rest, "/rooms").map(|()| Command::Rooms),
        "who" | "names" => at_most_one_word(rest, "/who [ROOM]").map(Command::Who),
        "msg" => {
            let (to, text) = split_word(rest);
            let text = some_text(text, "/msg NAME TEXT")?;
            Ok(Command::Message { to, text })
        }
        "me" => some_text(rest, "/me TEXT").map(Command::Action),
        "topic" => Ok(Command::Topic(any_text(rest))),
        "history" => {
            const USAGE: &str = "/history [N], N being a number of lines";
            let count = at_most_one_word(rest, USAGE)?;
            let count = count
                .map(|count| count.parse().map_err(|_| CommandError::Usage(USAGE)))
                .transpose()?;
            Ok(Command::History(count))
        }
        "since" => one_word(rest, "/since TIME").map(Command::Since),
        "search" => some_text(rest, "/search WORDS").map(Command::Search),
        "sync" => Ok(Command::Sync),
        "time" => match rest.to_ascii_lowercase().as_str() {
            "on" => Ok(Command::Time(TimeFormat::Minutes)),
            "iso" => Ok(Command::Time(TimeFormat::Iso)),
            "off" => Ok(Command::Time(TimeFormat::Off)),
            _ => Err(CommandError::Usage("/time on|iso|off")),
        },
        "password" => one_word(rest, "/password WORD").map(Command::Password),
        "register" => one_word(rest, REGISTER).map(Command::Register),
        "login" => words(rest, "/login NAME PASSWORD")
            .map(|[name, password]| Command::Login { name, password }),
        "recover" => words(rest, "/recover NAME CODE PASSWORD, without spaces in them")
            .map(|[name, code, password]| Command::Recover { name, code, password }),
        "passwd" => words(rest, "/passwd OLD NEW, without spaces in them")
            .map(|[old, new]| Command::ChangePassword { old, new }),
        "unregister" => one_word(rest, "/unregister PASSWORD").map(Command::Unregister),
        "ignore" => at_most_one_word(rest, "/ignore [NAME]").map(Command::Ignore),
        "unignore" => one_word(rest, "/unignore NAME").map(Command::Unignore),
        "away" => Ok(Command::Away(any_text(rest))),
        "whois" => one_word(rest, "/whois NAME").map(Command::Whois),
        "motd" => Ok(Command::Greeting),
        "ping" => Ok(Command::Ping),
        "help" => Ok(Command::Help),
        "quit" => Ok(Command::Quit(any_text(rest))),
        _ => Err(CommandError::Unknown { name: name.to_owned() }),
    }
}

fn order<'l>(
    order: Order,
    rest: &'l str,
    usage: &'static str,
) -> Result<Command<'l>, CommandError> {
    let (name, why) = split_word(rest);
    one_word(name, usage)?;
    Ok(Command::Order { order, name, why: any_text(why) })
}

/// The first word, and the rest without the spaces around it.
fn split_word(text: &str) -> (&str, &str) {
    match text.split_once(char::is_whitespace) {
        Some((word, rest)) => (word, rest.trim()),
        None => (text, ""),
    }
}

fn one_word<'l>(text: &'l str, usage: &'static str) -> Result<&'l str, CommandError> {
    at_most_one_word(text, usage)?.ok_or(CommandError::Usage(usage))
}

fn at_most_one_word<'l>(
    text: &'l str,
    usage: &'static str,
) -> Result<Option<&'l str>, CommandError> {
    match split_word(text) {
        ("", _) => Ok(None),
        (word, "") => Ok(Some(word)),
        _ => Err(CommandError::Usage(usage)),
    }
}

fn words<'l, const N: usize>(
    text: &'l str,
    usage: &'static str,
) -> Result<[&'l str; N], CommandError> {
    let words: Vec<_> = text.split_whitespace().collect();
    words.try_into().map_err(|_| CommandError::Usage(usage))
}

fn any_text(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn some_text<'l>(text: &'l str, usage: &'static str) -> Result<&'l str, CommandError> {
    any_text(text).ok_or(CommandError::Usage(usage))
}

fn nothing(text: &str, usage: &'static str) -> Result<(), CommandError> {
    if text.is_empty() { Ok(()) } else { Err(CommandError::Usage(usage)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_said_as_they_are() {
        assert_eq!(parse("hello  there "), Ok(Command::Say("hello  there ")));
        assert_eq!(parse(" /join x"), Ok(Command::Say(" /join x")));
        assert_eq!(parse("//usr/bin"), Ok(Command::Say("/usr/bin")));
        assert_eq!(parse("//"), Ok(Command::Say("/")));
        assert_eq!(parse(""), Ok(Command::Nothing));
        assert_eq!(parse(" \t"), Ok(Command::Nothing));
    }

    #[test]
    fn every_command_is_understood() {
        let commands = [
            ("/nick bob", Command::Nick("bob")),
            ("/JOIN rust", Command::Join { room: "rust", password: None }),
            ("/join rust word", Command::Join { room: "rust", password: Some("word") }),
            (
                "/kick eve  too loud",
                Command::Order { order: Order::Kick, name: "eve", why: Some("too loud") },
            ),
            ("/op bob", Command::Order { order: Order::Op, name: "bob", why: None }),
            ("/mode slow 10", Command::Mode(Some("slow 10"))),
            ("/leave", Command::Leave(None)),
            ("/leave  rust ", Command::Leave(Some("rust"))),
            ("/part", Command::Leave(None)),
            ("/rooms", Command::Rooms),
            ("/list", Command::Rooms),
            ("/names rust", Command::Who(Some("rust"))),
            ("/passwd old new", Command::ChangePassword { old: "old", new: "new" }),
            ("/unregister word", Command::Unregister("word")),
            ("/who", Command::Who(None)),
            ("/who rust", Command::Who(Some("rust"))),
            ("/msg bob  hi  there", Command::Message { to: "bob", text: "hi  there" }),
            ("/me waves at all", Command::Action("waves at all")),
            ("/topic", Command::Topic(None)),
            ("/topic what else", Command::Topic(Some("what else"))),
            ("/history", Command::History(None)),
            ("/history 5", Command::History(Some(5))),
            ("/since 2026-11-21T17:05:09Z", Command::Since("2026-11-21T17:05:09Z")),
            ("/search two words", Command::Search("two words")),
            ("/sync", Command::Sync),
            ("/time ON", Command::Time(TimeFormat::Minutes)),
            ("/time iso", Command::Time(TimeFormat::Iso)),
            ("/time off", Command::Time(TimeFormat::Off)),
            ("/password secret", Command::Password("secret")),
            ("/register secret", Command::Register("secret")),
            ("/login bob  secret", Command::Login { name: "bob", password: "secret" }),
            (
                "/recover bob code secret",
                Command::Recover { name: "bob", code: "code", password: "secret" },
            ),
            ("/ignore", Command::Ignore(None)),
            ("/ignore bob", Command::Ignore(Some("bob"))),
            ("/unignore bob", Command::Unignore("bob")),
            ("/away", Command::Away(None)),
            ("/away at lunch", Command::Away(Some("at lunch"))),
            ("/whois bob", Command::Whois("bob")),
            ("/motd", Command::Greeting),
            ("/ping", Command::Ping),
            ("/help", Command::Help),
            ("/quit", Command::Quit(None)),
            ("/quit see you", Command::Quit(Some("see you"))),
        ];
        for (line, command) in commands {
            assert_eq!(parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn a_mistake_is_answered_with_what_to_write() {
        for line in [
            "/nick",
            "/nick two words",
            "/join",
            "/msg",
            "/msg bob",
            "/me",
            "/history x",
            "/history -1",
            "/rooms x",
            "/time",
            "/time late",
            "/whois",
            "/register",
            "/login bob",
            "/recover bob code",
        ] {
            assert!(matches!(parse(line), Err(CommandError::Usage(_))), "{line}");
        }
        assert_eq!(parse(" /login bob secret"), Err(CommandError::Secret));
        assert_eq!(parse("\t/LOGIN bob secret"), Err(CommandError::Secret));
        assert_eq!(parse("/nosuch x"), Err(CommandError::Unknown { name: "nosuch".into() }));
        assert_eq!(parse("/"), Err(CommandError::Unknown { name: "".into() }));
    }

    /// Each line of the help is a command as it is written there, and a row of docs/chat.md.
    #[test]
    fn the_help_is_true() {
        let document = include_str!("../../../docs/chat.md");
        for (usage, what) in HELP {
            let line = usage.replace(['[', ']'], "").replace("on|iso|off", "on").replace('N', "1");
            assert!(parse(&line).is_ok(), "{line}");
            let row = format!("| `{}` | ", usage.replace('|', "\\|"));
            assert!(document.contains(&row), "docs/chat.md lacks {row}");
            let aliases = what.split("also ").skip(1);
            assert!(aliases.into_iter().all(|alias| parse(alias).is_ok()), "{what}");
        }
    }
}

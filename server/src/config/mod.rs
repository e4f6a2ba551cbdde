//! Flags, environment and file become one checked [`Config`].
//!
//! A setting has one name, one range and one default, declared in its door's options: as a flag it
//! is `--chat-line-bytes 4096`, in the file `chat-line-bytes = 4096`. A flag wins over the
//! environment, the environment over the file, and the file over the default.
//! `docs/configuration.md` is generated from the same declarations.

mod admin;
mod bounds;
mod chat;
mod file;
mod nats;
mod push;
#[cfg(test)]
mod reference;
mod sources;
mod users;
mod values;

use crate::bench::BenchOptions;
use crate::chat::ChatSettings;
use crate::limits;
use crate::nats::NatsSettings;
use crate::top::TopOptions;
pub use admin::AdminConfig;
use admin::AdminOptions;
use chat::ChatOptions;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Args, Command, CommandFactory, FromArgMatches, Parser, Subcommand};
use file::SettingsFile;
use log::LevelFilter;
use nats::NatsOptions;
pub use push::PushConfig;
use push::PushOptions;
use sources::Sources;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use values::{level, ms};

/// What the program is to do.
#[derive(Debug)]
pub enum Task {
    /// Run the server.
    Serve(Box<Config>),
    /// Run the terminal client.
    Chat(ChatClient),
    /// Measure a server.
    Bench(Box<BenchOptions>),
    /// Watch a server.
    Top(TopOptions),
    /// Print this and exit successfully: `--help`, `--version`.
    Print(String),
}

/// All settings of the server, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where chat listens; `None` if it does not.
    pub chat_address: Option<SocketAddr>,
    /// The bounds of chat.
    pub chat: ChatSettings,
    /// The admin listener.
    pub admin: AdminConfig,
    /// Where NATS listens; `None` if it does not.
    pub nats_address: Option<SocketAddr>,
    /// The bounds of NATS, and who may connect.
    pub nats: NatsSettings,
    /// The push gateway.
    pub push: PushConfig,
    /// The time for goodbyes when the server stops.
    pub goodbye: Duration,
    /// Bytes a second that a client of any door must read to be waited for.
    pub slowest_reader: u32,
    /// What is logged.
    pub log: LevelFilter,
}

/// One sentence that names the flag, or the file and line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl Error for ConfigError {}

/// Understands the command line, and reads the files that it names.
pub fn from_command_line(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Task, ConfigError> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let (command_line, matches) = match parse(CommandLine::command(), &arguments) {
        Ok(parsed) => parsed,
        Err(error)
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            return Ok(Task::Print(error.to_string()));
        }
        Err(error) => return Err(ConfigError(sentence(&error))),
    };
    let serve = match command_line.command {
        Some(SubCommand::Chat(client)) => return Ok(Task::Chat(client)),
        Some(SubCommand::Bench(options)) => return Ok(Task::Bench(options)),
        Some(SubCommand::Top(options)) => return Ok(Task::Top(options)),
        Some(SubCommand::Serve(serve)) => *serve,
        None => command_line.serve,
    };
    let Some(path) = &serve.config else {
        return configure(serve, Sources { matches, file: None });
    };
    // The file's values become the defaults, and the command line is parsed again with them.
    let settings = ServeArguments::augment_args(Command::new("fanfare"));
    let file = SettingsFile::read(path, &settings)?;
    let command = file.as_defaults(CommandLine::command());
    let command = command.mut_subcommand("serve", |serve| file.as_defaults(serve));
    let (command_line, matches) =
        parse(command, &arguments).map_err(|error| ConfigError(sentence(&error)))?;
    let serve = match command_line.command {
        Some(SubCommand::Serve(serve)) => *serve,
        _ => command_line.serve,
    };
    configure(serve, Sources { matches, file: Some(file) })
}

/// What was given, and where each value came from.
fn parse(
    command: Command,
    arguments: &[OsString],
) -> clap::error::Result<(CommandLine, ArgMatches)> {
    let mut matches = command.try_get_matches_from(arguments)?;
    let command_line = CommandLine::from_arg_matches(&matches)?;
    let of_serve = matches.remove_subcommand().map(|(_, matches)| matches);
    Ok((command_line, of_serve.unwrap_or(matches)))
}

/// A publish/subscribe server with bounded delivery: chat, NATS and push.
///
/// Without a command it serves. Try it: start `fanfare`, then `nc 127.0.0.1 7000` in two terminals.
#[derive(Parser, Debug)]
#[command(
    name = "fanfare",
    version,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true
)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<SubCommand>,
    #[command(flatten)]
    serve: ServeArguments,
}

#[derive(Subcommand, Debug)]
enum SubCommand {
    /// Run the server, as without a command
    Serve(Box<ServeArguments>),
    /// Talk: a terminal client for a chat server
    Chat(ChatClient),
    /// Measure a NATS or Redis server. The client counts and checks every message, which takes
    /// about one core
    Bench(Box<BenchOptions>),
    /// Watch a server through its admin listener: rates, slowest subscriptions, tasks, memory
    Top(TopOptions),
}

/// What `fanfare chat` is told.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ChatClient {
    /// Address of the server
    #[arg(value_name = "HOST:PORT", default_value = chat::DEFAULT_ADDRESS)]
    pub server: String,
    /// Name to take
    #[arg(long, value_name = "NAME")]
    pub nick: Option<String>,
}

#[derive(Args, Debug)]
struct ServeArguments {
    /// TOML file with settings: `chat-line-bytes = 4096` there is --chat-line-bytes 4096 here
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print how much memory clients can make each door hold with these settings, and exit
    #[arg(long)]
    print_bounds: bool,
    /// What to log: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info", env = "FANFARE_LOG",
        value_parser = level)]
    log: LevelFilter,
    /// Time for goodbyes and unsent messages when the server stops
    #[arg(long, value_name = "MS", default_value_t = limits::GOODBYE_MS, value_parser = ms(0))]
    goodbye_ms: u64,
    /// Bytes a second that a client must read for publishers to keep to its pace; 0: they never do
    #[arg(long, value_name = "BYTES", default_value_t = limits::SLOWEST_READER_BYTES)]
    slowest_reader: u32,
    #[command(flatten)]
    admin: AdminOptions,
    #[command(flatten)]
    chat: ChatOptions,
    #[command(flatten)]
    nats: NatsOptions,
    #[command(flatten)]
    push: PushOptions,
}

fn configure(serve: ServeArguments, sources: Sources) -> Result<Task, ConfigError> {
    let config = Config {
        chat_address: serve.chat.chat.0,
        chat: serve.chat.settings(&sources)?,
        nats_address: serve.nats.nats.0,
        nats: serve.nats.settings(&sources)?,
        admin: serve.admin.config(&sources)?,
        push: serve.push.config(&sources)?,
        goodbye: Duration::from_millis(serve.goodbye_ms),
        slowest_reader: serve.slowest_reader,
        log: serve.log,
    };
    let push = [config.push.address, config.push.udp_address, config.push.http_address];
    if [config.chat_address, config.nats_address].iter().chain(&push).all(Option::is_none) {
        return Err(sources.error("chat", "off, and all others off, leaves nothing to listen on"));
    }
    Ok(if serve.print_bounds {
        Task::Print(config.bounds())
    } else {
        Task::Serve(Box::new(config))
    })
}

/// What clap has to say, without its usage.
fn sentence(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    // What our own parsers say of a value continues a sentence that begins with it.
    if let (Some(flag), Some(value), Some(problem)) =
        (context(ContextKind::InvalidArg), context(ContextKind::InvalidValue), error.source())
    {
        return format!("{} {value} {problem}", flag.split(' ').next().unwrap_or(flag));
    }
    let text = error.to_string();
    let first: Vec<&str> =
        text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let first = first.join(" ");
    format!("{}; --help lists what there is", first.strip_prefix("error: ").unwrap_or(&first))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::SlowConsumer;

    fn understand(arguments: &[&str]) -> Result<Task, ConfigError> {
        from_command_line(
            std::iter::once("fanfare").chain(arguments.iter().copied()).map(Into::into),
        )
    }

    fn config(arguments: &[&str]) -> Result<Config, String> {
        match understand(arguments).map_err(|error| error.to_string())? {
            Task::Serve(config) => Ok(*config),
            other => panic!("{other:?}"),
        }
    }

    fn file(name: &str, text: &str) -> String {
        let path = std::env::temp_dir().join(format!("fanfare-{}-{name}.toml", std::process::id()));
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    #[test]
    fn serve_is_what_happens_without_a_command() {
        let plain = config(&[]).unwrap();
        assert_eq!(plain.chat_address, Some(chat::DEFAULT_ADDRESS.parse().unwrap()));
        assert_eq!(plain.chat, ChatSettings::default());
        assert_eq!(plain, config(&["serve"]).unwrap());
        let moved = config(&["--chat", "127.0.0.1:0"]).unwrap();
        assert_eq!(moved, config(&["serve", "--chat=127.0.0.1:0"]).unwrap());
        assert_eq!(moved.chat_address.unwrap().port(), 0);
    }

    #[test]
    fn flags_win_over_the_file() {
        let path = file("wins", "chat-line-bytes = 100\nchat-rooms = 7\nlog = \"debug\"\n");
        for command in [[].as_slice(), &["serve"]] {
            let arguments = [command, &["--config", &path, "--chat-rooms", "8"]].concat();
            let config = config(&arguments).unwrap();
            assert_eq!((config.chat.line_bytes, config.chat.directory.rooms), (100, 8));
            assert_eq!(config.log, LevelFilter::Debug);
        }
    }

    #[test]
    fn a_mistake_is_one_sentence_that_names_the_flag() {
        let mistakes: [(&[&str], &str); 12] = [
            (&["--nosuch"], "--nosuch"),
            (&["--chat"], "--chat"),
            (&["--chat", "nonsense"], "--chat nonsense"),
            (&["--chat", "127.0.0.1:99999"], "--chat 127.0.0.1:99999"),
            (
                &["--chat=off", "--nats=off", "--push=off", "--push-udp=off", "--push-http=off"],
                "--chat off",
            ),
            (&["--chat-rooms", "0"], "--chat-rooms 0"),
            (&["--chat-rooms", "many"], "--chat-rooms"),
            (&["--log", "loud"], "--log loud"),
            (&["--admin", "0.0.0.0:6060"], "--admin 0.0.0.0:6060"),
            (&["--admin", "[::]:6060"], "--admin [::]:6060"),
            (&["--admin-token", "two words"], "--admin-token"),
            (&["--chat-queue-bytes", "99"], "--chat-queue-bytes 99"),
        ];
        for (arguments, named) in mistakes {
            let error = config(arguments).unwrap_err();
            assert!(error.contains(named) && error.lines().count() == 1, "{arguments:?}: {error}");
        }
    }

    #[test]
    fn the_admin_listener_is_for_this_machine_unless_there_is_a_token() {
        let plain = config(&[]).unwrap().admin;
        assert_eq!(
            (plain.address, plain.is_asked_for),
            (Some("127.0.0.1:6060".parse().unwrap()), false)
        );
        assert_eq!(config(&["--admin", "off"]).unwrap().admin.address, None);
        assert!(config(&["--admin", "[::1]:1"]).unwrap().admin.is_asked_for);
        let open = config(&["--admin", "0.0.0.0:6060", "--admin-token", "secret"]).unwrap().admin;
        assert_eq!(open.token.as_deref(), Some("secret"));
    }

    #[test]
    fn a_mistake_in_the_file_names_the_line() {
        let mistakes = [
            ("unknown", "chat-rooms = 5\nnosuch = 1\n", "line 2"),
            ("type", "chat-rooms = 5\n\nchat-line-bytes = \"x\"\n", "line 3"),
            ("action", "print-bounds = true\n", "line 1: print-bounds is no setting"),
            ("list", "chat-rooms = [5]\n", "line 1: chat-rooms has to be a text"),
            ("fits", "\nchat-queue-bytes = 99\n", "line 2: chat-queue-bytes = 99 is too small"),
            ("range", "# bounds\nchat-rooms = 0\n", "line 2: chat-rooms = 0 is out of range"),
            ("syntax", "chat-rooms 5\n", "line 1"),
        ];
        for (name, text, expected) in mistakes {
            let error = config(&["--config", &file(name, text)]).unwrap_err();
            assert!(
                error.contains(expected) && error.contains(name) && error.lines().count() == 1,
                "{error}"
            );
        }
        let error = config(&["--config", "/nonexistent/x.toml"]).unwrap_err();
        assert!(error.starts_with("--config /nonexistent/x.toml cannot be read"), "{error}");
    }

    #[test]
    fn bounds_follow_the_settings() {
        let bound = |arguments: &[&str], name: &str| -> f64 {
            let Ok(Task::Print(text)) = understand(arguments) else { panic!("nothing is printed") };
            let line = text
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or_else(|| panic!("{name} in {text}"));
            line.split_whitespace().nth(1).and_then(|mib| mib.parse().ok()).unwrap()
        };
        let all: Vec<f64> =
            ["chat ", "nats ", "push ", "push-udp ", "push-http ", "history ", "all "]
                .map(|name| bound(&["--print-bounds"], name))
                .to_vec();
        assert!((all[..6].iter().sum::<f64>() - all[6]).abs() < 1.0, "{all:?}");
        let halved = bound(&["--print-bounds", "--push-connections", "5000"], "push ");
        assert!((halved * 2.0 - all[2]).abs() < 1.0, "{halved} {all:?}");
        assert!(bound(&["--print-bounds", "--push-queue-bytes", "1048576"], "push ") > all[2]);
        // A WebSocket is a client as any other, and HTTP's besides.
        let large = ["--print-bounds", "--push-queue-bytes", "10485760"];
        assert!(bound(&large, "push-http ") > bound(&large, "push "));
    }

    #[test]
    fn keys_and_tokens_are_read_and_mistakes_in_them_named() {
        let keys = file("keys", "[[key]]\nid = \"shop\"\nsecret = \"0123456789abcdef\"\n");
        assert!(config(&["--push-keys-file", &keys]).unwrap().push.access.key("shop").is_some());
        let short = file("short", "[[key]]\nid = \"shop\"\nsecret = \"x\"\n");
        let wrong = file("wrong", "[[token]]\ntoken = \"t\"\nuser = 7\n");
        for (flag, path, expected) in [
            ("--push-keys-file", short.as_str(), "shorter than 16 bytes"),
            ("--push-keys-file", "/nonexistent", "cannot be read"),
            ("--push-tokens-file", &wrong, "line 3"),
            ("--push-unsigned", "on", "neither loopback nor off"),
        ] {
            let error = config(&[flag, path]).unwrap_err();
            assert!(
                error.starts_with(flag) && error.contains(expected) && error.lines().count() == 1,
                "{error}"
            );
        }
    }

    #[test]
    fn every_setting_of_nats_arrives() {
        let plain = config(&[]).unwrap();
        assert_eq!(
            (plain.nats_address, plain.nats),
            ("127.0.0.1:4222".parse().ok(), NatsSettings::default())
        );
        let numbers = "--nats-max-payload 1 --nats-max-control-line 100 --nats-max-connections 3 \
            --nats-max-connections-per-address 4 --nats-max-subscriptions 5 \
            --nats-ping-interval-ms 6 --nats-ping-max 7 --nats-auth-timeout-ms 8 \
            --nats-max-pending-bytes 999 --nats-max-pending-messages 10 --nats-wait-ms 11 \
            --nats-write-deadline-ms 12 --nats-lame-duck-duration-ms 13 \
            --nats-lame-duck-grace-ms 14 --nats-slow-consumer drop --nats-server-name me \
            --nats-user u --nats-password p --nats-token t";
        let nats = config(&numbers.split_whitespace().collect::<Vec<_>>()).unwrap().nats;
        assert_eq!((nats.parser.payload_bytes, nats.parser.control_line_bytes), (1, 100));
        assert_eq!(
            (nats.connections.total, nats.connections.per_address, nats.subscriptions),
            (3, 4, 5)
        );
        assert_eq!((nats.pending_bytes, nats.pending_messages, nats.ping_max), (999, 10, 7));
        let times =
            [nats.ping_interval, nats.authentication_timeout, nats.wait, nats.write_deadline];
        assert_eq!(times.map(|time| time.as_millis()), [6, 8, 11, 12]);
        assert_eq!(
            (nats.lame_duck_duration.as_millis(), nats.lame_duck_grace.as_millis()),
            (13, 14)
        );
        assert_eq!((nats.slow_consumer, nats.server_name.as_str()), (SlowConsumer::Drop, "me"));
        assert_eq!(
            (nats.authentication.users.len(), nats.authentication.token.is_some()),
            (1, true)
        );
    }

    #[test]
    fn no_door_lets_in_everybody_by_mistake() {
        let error = config(&["--chat", "0.0.0.0:0"]).unwrap_err();
        assert!(error.starts_with("--chat 0.0.0.0:0 lets in everybody"), "{error}");
        assert!(error.ends_with("set chat-allow-anonymous"), "{error}");
        assert!(config(&["--chat", "0.0.0.0:0", "--chat-allow-anonymous"]).is_ok());
        assert!(config(&["--chat", "[::1]:0"]).is_ok());
        let error = config(&["--nats", "0.0.0.0:0"]).unwrap_err();
        assert!(error.starts_with("--nats 0.0.0.0:0 lets in everybody"), "{error}");
        let reasons: [&[&str]; 3] = [
            &["--nats-allow-anonymous"],
            &["--nats-token", "t"],
            &["--nats-user", "u", "--nats-password", "p"],
        ];
        for reason in reasons {
            assert!(config(&[&["--nats", "0.0.0.0:0"], reason].concat()).is_ok(), "{reason:?}");
        }
        let mistakes: [(&[&str], &str); 9] = [
            (
                &["--nats-user", "u", "--nats-password", ""],
                "a value is required for '--nats-password",
            ),
            (&["--nats-token", ""], "a value is required for '--nats-token"),
            (&["--nats-user", "u"], "--nats-user needs"),
            (&["--nats-password", "p"], "--nats-password needs"),
            (&["--nats-tls-cert", "c"], "--nats-tls-cert needs"),
            (&["--nats-tls-required"], "--nats-tls-required needs"),
            (
                &["--nats-tls-cert", "/none", "--nats-tls-key", "/none"],
                "--nats-tls-cert /none cannot be used",
            ),
            (&["--nats-max-pending-bytes", "9"], "--nats-max-pending-bytes 9 is too small"),
            (&["--nats-slow-consumer", "wait"], "--nats-slow-consumer wait is neither"),
        ];
        for (arguments, named) in mistakes {
            let error = config(arguments).unwrap_err();
            assert!(
                error.starts_with(named) && error.lines().count() == 1,
                "{arguments:?}: {error}"
            );
        }
    }

    #[test]
    fn nats_users_come_from_a_file() {
        let path = file(
            "users",
            "[[user]]\nname = \"a\"\npassword = \"x\"\n\n[user.publish]\nallow = [\"a.>\"]\n\
             deny = [\"a.b\"]\n\n\
             [[user]]\nname = \"b\"\npassword = \"y\"\n\n[user.subscribe]\nallow = []\n",
        );
        let users = config(&["--nats-users-file", &path]).unwrap().nats.authentication.users;
        assert_eq!(users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let publish = &users[0].permissions.publish;
        assert!(
            publish.permit_topic(&"a.c".parse().unwrap())
                && !publish.permit_topic(&"a.b".parse().unwrap())
        );
        let of_b = &users[1].permissions;
        assert!(of_b.publish.permit_topic(&"a.b".parse().unwrap()), "left out: everything");
        assert!(!of_b.subscribe.permit_topic(&"a.b".parse().unwrap()), "empty: nothing");
        for (name, text, expected) in [
            ("no-users", "", "names no user"),
            ("empty", "[[user]]\nname = \"a\"\npassword = \"\"\n", "user a: the password is empty"),
            ("no-password", "[[user]]\nname = \"a\"\n", "line 1: missing field `password`"),
            (
                "pattern",
                "[[user]]\nname = \"a\"\npassword = \"x\"\npublish.allow = [\"a..b\"]\n",
                "user a: topic \"a..b\"",
            ),
            (
                "twice",
                "[[user]]\nname = \"a\"\npassword = \"x\"\n[[user]]\nname = \"a\"\n\
                 password = \"x\"\n",
                "twice",
            ),
        ] {
            let error = config(&["--nats-users-file", &file(name, text)]).unwrap_err();
            assert!(error.starts_with("--nats-users-file") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_client_has_its_own_arguments() {
        let Ok(Task::Chat(client)) = understand(&["chat", "example.org:7000", "--nick", "alice"])
        else {
            panic!()
        };
        assert_eq!(
            (client.server.as_str(), client.nick.as_deref()),
            ("example.org:7000", Some("alice"))
        );
        assert!(understand(&["chat", "--chat", "x"]).is_err());
    }
}

//! Flags and file become one checked [`Config`].
//!
//! A setting has the same name as a flag (`--chat-line-bytes 4096`) and in the file
//! (`chat-line-bytes = 4096`). The flag wins, then the environment (for the log level), then the
//! file, then the default.

mod admin;
mod bounds;
mod chat;
mod check;
mod file;
mod nats;
mod push;
mod settings;
mod users;

use crate::bench::BenchOptions;
use crate::chat::ChatSettings;
use crate::limits;
use crate::nats::NatsSettings;
use crate::top::TopOptions;
pub use admin::AdminConfig;
use check::Check;
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use file::SettingsFile;
use log::LevelFilter;
pub use push::PushConfig;
use settings::Settings;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

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
    /// Print this and end well: `--help`, `--version`.
    Print(String),
}

/// All settings of the server, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where chat listens; none if it does not.
    pub chat_address: Option<SocketAddr>,
    /// The bounds of chat.
    pub chat: ChatSettings,
    /// The admin listener.
    pub admin: AdminConfig,
    /// Where NATS listens; none if it does not.
    pub nats_address: Option<SocketAddr>,
    /// The bounds of NATS, and who may come in.
    pub nats: NatsSettings,
    /// The push gateway.
    pub push: PushConfig,
    /// The time for saying goodbye.
    pub goodbye: Duration,
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

impl std::error::Error for ConfigError {}

/// Understands the command line, and reads the file that it names.
pub fn from_command_line(
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
) -> Result<Task, ConfigError> {
    let matches = match CommandLine::command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error)
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            return Ok(Task::Print(error.to_string()));
        }
        Err(error) => return Err(ConfigError(one_sentence(&error))),
    };
    let command_line = CommandLine::from_arg_matches(&matches)
        .map_err(|error| ConfigError(one_sentence(&error)))?;
    match command_line.command {
        Some(SubCommand::Chat(client)) => Ok(Task::Chat(client)),
        Some(SubCommand::Bench(options)) => Ok(Task::Bench(options)),
        Some(SubCommand::Top(options)) => Ok(Task::Top(options)),
        Some(SubCommand::Serve(serve)) => configure(*serve),
        None => configure(command_line.serve),
    }
}

/// A publish/subscribe server in which people talk line by line.
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
    /// Run the server (what happens without a command too)
    Serve(Box<ServeArguments>),
    /// Talk: a terminal client for a chat server
    Chat(ChatClient),
    /// Measure a NATS server (or Redis): the client counts and checks everything, and takes about
    /// one core itself
    Bench(Box<BenchOptions>),
    /// Watch a server: rates, slowest subscriptions, tasks, memory, from its admin listener
    Top(TopOptions),
}

/// What `fanfare chat` is told.
#[derive(Args, Clone, Debug, PartialEq, Eq)]
pub struct ChatClient {
    /// The server
    #[arg(value_name = "HOST:PORT", default_value = DEFAULT_CHAT_ADDRESS)]
    pub server: String,
    /// Take this name
    #[arg(long, value_name = "NAME")]
    pub nick: Option<String>,
}

#[derive(Args, Debug)]
struct ServeArguments {
    /// Read settings from a TOML file: `chat-line-bytes = 4096` is the same as --chat-line-bytes
    /// 4096
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print how much memory each front-end can be made to hold with these settings, and end
    #[arg(long)]
    print_bounds: bool,
    #[command(flatten)]
    settings: Settings,
}

const DEFAULT_CHAT_ADDRESS: &str = "127.0.0.1:7000";
const DEFAULT_NATS_ADDRESS: &str = "127.0.0.1:4222";

fn configure(arguments: ServeArguments) -> Result<Task, ConfigError> {
    let file = arguments.config.as_deref().map(SettingsFile::read).transpose()?;
    let flags = arguments.settings;
    let in_file = file.as_ref().map(|file| file.settings.clone()).unwrap_or_default();
    let check = Check { flags: flags.clone(), file };
    let config = check.config(flags.or(in_file))?;
    Ok(if arguments.print_bounds {
        Task::Print(config.bounds())
    } else {
        Task::Serve(Box::new(config))
    })
}

impl Check {
    fn config(&self, settings: Settings) -> Result<Config, ConfigError> {
        let nats_address =
            self.address("nats", settings.nats.as_deref().unwrap_or(DEFAULT_NATS_ADDRESS))?;
        let config = Config {
            chat_address: self
                .address("chat", settings.chat.as_deref().unwrap_or(DEFAULT_CHAT_ADDRESS))?,
            log: self.level(settings.log.as_deref())?,
            goodbye: self.milliseconds("goodbye_ms", settings.goodbye_ms, limits::GOODBYE_MS, 0)?,
            chat: self.chat(&settings)?,
            admin: self.admin(&settings)?,
            nats_address,
            nats: self.nats(&settings, nats_address)?,
            push: self.push(&settings)?,
        };
        let push = [config.push.address, config.push.udp_address, config.push.http_address];
        if [config.chat_address, config.nats_address].iter().chain(&push).all(Option::is_none) {
            return Err(self.error("chat", "off, and all others off, leaves nothing to listen on"));
        }
        Ok(config)
    }
}

/// What clap has to say, without its usage.
fn one_sentence(error: &clap::Error) -> String {
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
        assert_eq!(plain.chat_address, Some(DEFAULT_CHAT_ADDRESS.parse().unwrap()));
        assert_eq!(plain.chat, ChatSettings::default());
        assert_eq!(plain, config(&["serve"]).unwrap());
        let moved = config(&["--chat", "127.0.0.1:0"]).unwrap();
        assert_eq!(moved, config(&["serve", "--chat=127.0.0.1:0"]).unwrap());
        assert_eq!(moved.chat_address.unwrap().port(), 0);
    }

    #[test]
    fn flags_win_over_the_file() {
        let path = file("wins", "chat-line-bytes = 100\nchat-rooms = 7\nlog = \"debug\"\n");
        let config = config(&["--config", &path, "--chat-rooms", "8"]).unwrap();
        assert_eq!((config.chat.line_bytes, config.chat.directory.rooms), (100, 8));
        assert_eq!(config.log, LevelFilter::Debug);
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
    fn help_names_every_setting_with_its_default() {
        let Ok(Task::Print(help)) = understand(&["--help"]) else { panic!("no help") };
        for default in [
            ("--chat-connections <", limits::MAX_CONNECTIONS),
            ("--chat-connections-per-address <", limits::MAX_CONNECTIONS_PER_ADDRESS),
            ("--chat-line-bytes <", limits::LINE_BYTES),
            ("--chat-queue-messages <", limits::CHAT_QUEUE_MESSAGES),
            ("--chat-queue-bytes <", limits::CHAT_QUEUE_BYTES),
            ("--chat-write-buffer-bytes <", limits::WRITE_BUFFER_BYTES),
            ("--chat-write-deadline-ms <", limits::WRITE_DEADLINE_MS as usize),
            ("--chat-idle-ms <", limits::IDLE_MS as usize),
            ("--chat-history-lines <", limits::ROOM_HISTORY_LINES),
            ("--goodbye-ms <", limits::GOODBYE_MS as usize),
            ("--nats-max-payload <", limits::NATS_PAYLOAD_BYTES),
            ("--nats-max-control-line <", limits::NATS_CONTROL_LINE_BYTES),
            ("--nats-max-connections <", limits::MAX_CONNECTIONS),
            ("--nats-max-connections-per-address <", limits::MAX_CONNECTIONS_PER_ADDRESS),
            ("--nats-max-subscriptions <", limits::NATS_SUBSCRIPTIONS),
            ("--nats-ping-interval-ms <", limits::NATS_PING_INTERVAL_MS as usize),
            ("--nats-ping-max <", limits::NATS_PING_MAX as usize),
            ("--nats-auth-timeout-ms <", limits::NATS_AUTHENTICATION_TIMEOUT_MS as usize),
            ("--nats-max-pending-bytes <", limits::NATS_PENDING_BYTES),
            ("--nats-max-pending-messages <", limits::NATS_PENDING_MESSAGES),
            ("--nats-wait-ms <", limits::NATS_WAIT_MS as usize),
            ("--nats-write-deadline-ms <", limits::NATS_WRITE_DEADLINE_MS as usize),
            ("--nats-lame-duck-duration-ms <", limits::NATS_LAME_DUCK_DURATION_MS as usize),
            ("--nats-lame-duck-grace-ms <", limits::NATS_LAME_DUCK_GRACE_MS as usize),
        ] {
            let after =
                help.split(default.0).nth(1).unwrap_or_else(|| panic!("{} is missing", default.0));
            let said = after.split("[default: ").nth(1).and_then(|rest| rest.split(']').next());
            assert_eq!(said, Some(default.1.to_string().as_str()), "{}", default.0);
        }
    }

    #[test]
    fn the_page_lists_every_setting_with_its_default() {
        let page = include_str!("../../../docs/configuration.md");
        let Ok(Task::Print(help)) = understand(&["--help"]) else { panic!("no help") };
        let flags =
            help.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split(' ').next());
        let flags: Vec<&str> = flags
            .filter(|flag| !["config", "print-bounds", "help", "version"].contains(flag))
            .collect();
        assert!(flags.len() > 70, "{flags:?}");
        for flag in flags {
            let row = page.lines().find_map(|line| line.strip_prefix(&format!("| `{flag}` | ")));
            let row = row.unwrap_or_else(|| panic!("{flag} is not in docs/configuration.md"));
            let begins = |option: &&str| {
                option.strip_prefix(flag).is_some_and(|rest| rest.starts_with([' ', '\n']))
            };
            let after = help.split("      --").find(begins).unwrap();
            let default = after.split("[default: ").nth(1).and_then(|rest| rest.split(']').next());
            let default = default.filter(|default| !default.contains(' ')).unwrap_or_default();
            assert!(
                row.split('|').next().unwrap().contains(default),
                "{flag} = {default} is {row} in docs/configuration.md"
            );
        }
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
            (DEFAULT_NATS_ADDRESS.parse().ok(), NatsSettings::default())
        );
        let numbers = "--nats-max-payload 1 --nats-max-control-line 100 --nats-max-connections 3 \
            --nats-max-connections-per-address 4 --nats-max-subscriptions 5 --nats-ping-interval-ms 6 --nats-ping-max 7 \
            --nats-auth-timeout-ms 8 --nats-max-pending-bytes 999 --nats-max-pending-messages 10 --nats-wait-ms 11 \
            --nats-write-deadline-ms 12 --nats-lame-duck-duration-ms 13 --nats-lame-duck-grace-ms 14 \
            --nats-slow-consumer drop --nats-server-name me --nats-user u --nats-password p --nats-token t";
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
    fn nats_lets_in_nobody_by_mistake() {
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
        let mistakes: [(&[&str], &str); 7] = [
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
            "[[user]]\nname = \"a\"\npassword = \"x\"\n\n[user.publish]\nallow = [\"a.>\"]\ndeny = [\"a.b\"]\n\n\
             [[user]]\nname = \"b\"\npassword = \"y\"\n",
        );
        let users = config(&["--nats-users-file", &path]).unwrap().nats.authentication.users;
        assert_eq!(users.iter().map(|user| user.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
        let publish = &users[0].permissions.publish;
        assert!(
            publish.permit_topic(&"a.c".parse().unwrap())
                && !publish.permit_topic(&"a.b".parse().unwrap())
        );
        assert!(users[1].permissions.publish.permit_topic(&"a.b".parse().unwrap()));
        for (name, text, expected) in [
            ("no-users", "", "names no user"),
            ("no-password", "[[user]]\nname = \"a\"\n", "line 1: missing field `password`"),
            (
                "pattern",
                "[[user]]\nname = \"a\"\npassword = \"x\"\npublish.allow = [\"a..b\"]\n",
                "user a: topic \"a..b\"",
            ),
            (
                "twice",
                "[[user]]\nname = \"a\"\npassword = \"x\"\n[[user]]\nname = \"a\"\npassword = \"x\"\n",
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

//! Flags and file become one checked [`Config`].
//!
//! A setting has the same name as a flag (`--chat-line-bytes 4096`) and in the file (`chat-line-bytes = 4096`). The flag
//! wins, then the environment (for the log level), then the file, then the default.

use clap::error::ErrorKind;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use fanfare::frontend::chat::ChatSettings;
use fanfare::limits;
use log::LevelFilter;
use serde::Deserialize;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the program is to do.
#[derive(Debug)]
pub enum Task {
    /// Run the server.
    Serve(Box<Config>),
    /// Run the terminal client.
    Chat(ChatClient),
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
pub fn from_command_line(arguments: impl IntoIterator<Item = std::ffi::OsString>) -> Result<Task, ConfigError> {
    let matches = match CommandLine::command().try_get_matches_from(arguments) {
        Ok(matches) => matches,
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            return Ok(Task::Print(error.to_string()));
        }
        Err(error) => return Err(ConfigError(one_sentence(&error))),
    };
    let command_line = CommandLine::from_arg_matches(&matches).map_err(|error| ConfigError(one_sentence(&error)))?;
    match command_line.command {
        Some(SubCommand::Chat(client)) => Ok(Task::Chat(client)),
        Some(SubCommand::Serve(serve)) => configure(serve).map(|config| Task::Serve(Box::new(config))),
        None => configure(command_line.serve).map(|config| Task::Serve(Box::new(config))),
    }
}

/// A publish/subscribe server in which people talk line by line.
///
/// Without a command it serves. Try it: start `fanfare`, then `nc 127.0.0.1 7000` in two terminals.
#[derive(Parser, Debug)]
#[command(name = "fanfare", version, args_conflicts_with_subcommands = true, disable_help_subcommand = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<SubCommand>,
    #[command(flatten)]
    serve: ServeArguments,
}

#[derive(Subcommand, Debug)]
enum SubCommand {
    /// Run the server (what happens without a command too)
    Serve(ServeArguments),
    /// Talk: a terminal client for a chat server
    Chat(ChatClient),
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
    /// Read settings from a TOML file: `chat-line-bytes = 4096` is the same as --chat-line-bytes 4096
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    settings: Settings,
}

const DEFAULT_CHAT_ADDRESS: &str = "127.0.0.1:7000";

/// Declares each setting once, for flags, file, merging, and naming in errors.
macro_rules! settings {
    ($( $(#[$attribute:meta])* $field:ident: $type:ty, $value_name:literal; )*) => {
        /// The settings as written, none of them checked.
        #[derive(Args, Clone, Debug, Default, Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields)]
        struct Settings {
            $( $(#[$attribute])* #[arg(long, value_name = $value_name)] $field: Option<$type>, )*
        }

        impl Settings {
            /// What is set here, else what is set there.
            fn or(self, other: Settings) -> Settings {
                Settings { $( $field: self.$field.or(other.$field), )* }
            }

            /// Whether the setting of that name is set here.
            fn sets(&self, name: &str) -> bool {
                match name {
                    $( stringify!($field) => self.$field.is_some(), )*
                    _ => false,
                }
            }
        }
    };
}

settings! {
    /// Where chat listens, or `off`; port 0 takes a free one [default: 127.0.0.1:7000]
    chat: String, "ADDR|off";
    /// What is logged: off, error, warn, info, debug, trace [default: info]
    #[arg(env = "FANFARE_LOG")]
    log: String, "LEVEL";
    /// Milliseconds for goodbyes when the server ends [default: 5000]
    goodbye_ms: u64, "MS";
    /// Chat connections at the same time [default: 10000]
    chat_connections: u64, "N";
    /// Chat connections from one address at the same time [default: 6000]
    chat_connections_per_address: u64, "N";
    /// Bytes of a line [default: 4096]
    chat_line_bytes: u64, "BYTES";
    /// Lines a second that are read from one connection; 0 reads as many as come [default: 0]
    chat_lines_per_second: u64, "N";
    /// Characters of a name [default: 24]
    chat_name_characters: u64, "N";
    /// Characters of a room's topic [default: 300]
    chat_topic_characters: u64, "N";
    /// Rooms at the same time [default: 10000]
    chat_rooms: u64, "N";
    /// Rooms one person is in at the same time [default: 20]
    chat_rooms_per_person: u64, "N";
    /// Members of a room [default: 10000]
    chat_room_members: u64, "N";
    /// Last lines kept of each room [default: 100]
    chat_history_lines: u64, "N";
    /// Last lines shown to somebody who joins [default: 20]
    chat_replay_lines: u64, "N";
    /// Messages queued for one person from one room [default: 1024]
    chat_queue_messages: u64, "N";
    /// Bytes queued for one person from one room [default: 262144]
    chat_queue_bytes: u64, "BYTES";
    /// Milliseconds a line waits for a reader whose queue is full [default: 5]
    chat_wait_ms: u64, "MS";
    /// Bytes rendered for one person that the network has not taken yet [default: 65536]
    chat_write_buffer_bytes: u64, "BYTES";
    /// Milliseconds in which a reader has to take at least one byte of what waits [default: 60000]
    chat_write_deadline_ms: u64, "MS";
    /// Milliseconds of silence after which a peer is pinged [default: 120000]
    chat_idle_ms: u64, "MS";
    /// Pings without a sign of life after which a peer is let go [default: 3]
    chat_idle_misses: u64, "N";
    /// Let a peer go that answers no ping, even if it takes what it is sent [default: false]
    #[arg(num_args = 0..=1, default_missing_value = "true")]
    chat_idle_answer_required: bool, "true|false";
}

fn configure(arguments: ServeArguments) -> Result<Config, ConfigError> {
    let file = arguments.config.as_deref().map(SettingsFile::read).transpose()?;
    let flags = arguments.settings;
    let in_file = file.as_ref().map(|file| file.settings.clone()).unwrap_or_default();
    let check = Check { flags: flags.clone(), file };
    check.config(flags.or(in_file))
}

struct SettingsFile {
    path: PathBuf,
    text: String,
    settings: Settings,
}

impl SettingsFile {
    fn read(path: &Path) -> Result<SettingsFile, ConfigError> {
        let shown = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| ConfigError(format!("--config {shown} cannot be read: {error}")))?;
        let settings = toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let problem = error.message().lines().collect::<Vec<_>>().join(" ");
            ConfigError(format!("{shown} line {line}: {problem}"))
        })?;
        Ok(SettingsFile { path: path.to_owned(), text, settings })
    }

    /// Where a setting is, for an error about its value.
    fn line_of(&self, name: &str) -> usize {
        let is_it = |line: &str| line.split('=').next().is_some_and(|key| key.trim().trim_matches(['"', '\'']) == name);
        self.text.lines().position(is_it).map_or(1, |index| index + 1)
    }
}

/// Checks values, and knows where each came from.
struct Check {
    flags: Settings,
    file: Option<SettingsFile>,
}

impl Check {
    fn config(&self, settings: Settings) -> Result<Config, ConfigError> {
        let config = Config {
            chat_address: self.address("chat", settings.chat.as_deref().unwrap_or(DEFAULT_CHAT_ADDRESS))?,
            log: self.level(settings.log.as_deref())?,
            goodbye: self.milliseconds("goodbye_ms", settings.goodbye_ms, limits::GOODBYE_MS, 0)?,
            chat: self.chat(&settings)?,
        };
        match config.chat_address {
            Some(_) => Ok(config),
            None => Err(self.error("chat", "off leaves nothing to listen on")),
        }
    }

    fn chat(&self, settings: &Settings) -> Result<ChatSettings, ConfigError> {
        let mut chat = ChatSettings::default();
        let number = |name, given, target: &mut usize, range| self.number(name, given, target, range);
        let any = (1, 1 << 30);
        number("chat_connections", settings.chat_connections, &mut chat.gate.connections, any)?;
        number("chat_connections_per_address", settings.chat_connections_per_address, &mut chat.gate.per_address, any)?;
        number("chat_line_bytes", settings.chat_line_bytes, &mut chat.line_bytes, (16, 1 << 20))?;
        let session = &mut chat.session;
        number(
            "chat_name_characters",
            settings.chat_name_characters,
            &mut session.name_characters,
            (8, limits::NAME_BYTES),
        )?;
        number("chat_topic_characters", settings.chat_topic_characters, &mut session.topic_characters, (1, 1 << 20))?;
        number("chat_history_lines", settings.chat_history_lines, &mut session.history_lines, (0, 100_000))?;
        number("chat_replay_lines", settings.chat_replay_lines, &mut session.replay_lines, (0, 100_000))?;
        number("chat_rooms", settings.chat_rooms, &mut chat.directory.rooms, any)?;
        number("chat_rooms_per_person", settings.chat_rooms_per_person, &mut chat.directory.rooms_per_person, any)?;
        number("chat_room_members", settings.chat_room_members, &mut chat.directory.room_members, any)?;
        number(
            "chat_queue_messages",
            settings.chat_queue_messages,
            &mut chat.queue_messages,
            (1, limits::QUEUE_MESSAGES_MAX),
        )?;
        number("chat_queue_bytes", settings.chat_queue_bytes, &mut chat.queue_bytes, (1, limits::QUEUE_BYTES_MAX))?;
        let writer = &mut chat.writer;
        number("chat_write_buffer_bytes", settings.chat_write_buffer_bytes, &mut writer.buffer_bytes, (256, 1 << 30))?;
        let deadline_ms = settings.chat_write_deadline_ms;
        writer.deadline = self.milliseconds("chat_write_deadline_ms", deadline_ms, limits::WRITE_DEADLINE_MS, 1)?;
        writer.idle.interval = self.milliseconds("chat_idle_ms", settings.chat_idle_ms, limits::IDLE_MS, 1)?;
        let mut misses = writer.idle.misses as usize;
        number("chat_idle_misses", settings.chat_idle_misses, &mut misses, (1, 1_000))?;
        writer.idle.misses = misses as u32;
        writer.idle.answer_required = settings.chat_idle_answer_required.unwrap_or(false);
        let mut per_second = 0;
        number("chat_lines_per_second", settings.chat_lines_per_second, &mut per_second, (0, 1_000_000))?;
        chat.lines_per_second = (per_second > 0).then_some(per_second as u32);
        chat.wait = self.milliseconds("chat_wait_ms", settings.chat_wait_ms, limits::CHAT_WAIT_MS, 0)?;
        self.fits_a_line(&chat)?;
        Ok(chat)
    }

    /// A queue that takes not even one line would drop everything.
    fn fits_a_line(&self, chat: &ChatSettings) -> Result<(), ConfigError> {
        let needed_bytes = chat.line_bytes + 256;
        if chat.queue_bytes < needed_bytes {
            let problem = format!("{} is too small for a line; at least {needed_bytes}", chat.queue_bytes);
            let name = if self.is_set("chat_queue_bytes") { "chat_queue_bytes" } else { "chat_line_bytes" };
            return Err(self.error(name, &problem));
        }
        if chat.session.replay_lines > chat.session.history_lines && self.is_set("chat_replay_lines") {
            let problem = format!(
                "{} is more than chat-history-lines keeps ({})",
                chat.session.replay_lines, chat.session.history_lines
            );
            return Err(self.error("chat_replay_lines", &problem));
        }
        Ok(())
    }

    fn address(&self, name: &str, text: &str) -> Result<Option<SocketAddr>, ConfigError> {
        if text == "off" {
            return Ok(None);
        }
        let problem = |why: String| self.error(name, &format!("{text} is no address to listen on: {why}"));
        let mut addresses = text.to_socket_addrs().map_err(|error| match error.kind() {
            std::io::ErrorKind::InvalidInput => problem("write it as HOST:PORT, or off".to_owned()),
            _ => problem(error.to_string()),
        })?;
        addresses.next().map(Some).ok_or_else(|| problem("the name has no address".to_owned()))
    }

    fn level(&self, text: Option<&str>) -> Result<LevelFilter, ConfigError> {
        let Some(text) = text else { return Ok(LevelFilter::Info) };
        let problem = || self.error("log", &format!("{text} is no level; off, error, warn, info, debug or trace"));
        text.parse().map_err(|_| problem())
    }

    fn number(
        &self,
        name: &str,
        given: Option<u64>,
        target: &mut usize,
        range: (usize, usize),
    ) -> Result<(), ConfigError> {
        let Some(given) = given else { return Ok(()) };
        match usize::try_from(given) {
            Ok(value) if (range.0..=range.1).contains(&value) => *target = value,
            _ => return Err(self.error(name, &format!("{given} is out of range; from {} to {}", range.0, range.1))),
        }
        Ok(())
    }

    fn milliseconds(
        &self,
        name: &str,
        given: Option<u64>,
        default_ms: u64,
        least_ms: u64,
    ) -> Result<Duration, ConfigError> {
        let mut value_ms = default_ms as usize;
        self.number(name, given, &mut value_ms, (least_ms as usize, DAY_MS))?;
        Ok(Duration::from_millis(value_ms as u64))
    }

    fn is_set(&self, name: &str) -> bool {
        self.flags.sets(name) || self.file.as_ref().is_some_and(|file| file.settings.sets(name))
    }

    /// One sentence that begins with the flag, or with the file and line.
    fn error(&self, field: &str, problem: &str) -> ConfigError {
        let name = field.replace('_', "-");
        match &self.file {
            Some(file) if !self.flags.sets(field) && file.settings.sets(field) => {
                ConfigError(format!("{} line {}: {name} = {problem}", file.path.display(), file.line_of(&name)))
            }
            _ => ConfigError(format!("--{name} {problem}")),
        }
    }
}

const DAY_MS: usize = 24 * 60 * 60 * 1000;

/// What clap has to say, without its usage.
fn one_sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let first: Vec<&str> = text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let first = first.join(" ");
    format!("{}; --help lists what there is", first.strip_prefix("error: ").unwrap_or(&first))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn understand(arguments: &[&str]) -> Result<Task, ConfigError> {
        from_command_line(std::iter::once("fanfare").chain(arguments.iter().copied()).map(Into::into))
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
        let mistakes: [(&[&str], &str); 9] = [
            (&["--nosuch"], "--nosuch"),
            (&["--chat"], "--chat"),
            (&["--chat", "nonsense"], "--chat nonsense"),
            (&["--chat", "127.0.0.1:99999"], "--chat 127.0.0.1:99999"),
            (&["--chat", "off"], "--chat off"),
            (&["--chat-rooms", "0"], "--chat-rooms 0"),
            (&["--chat-rooms", "many"], "--chat-rooms"),
            (&["--log", "loud"], "--log loud"),
            (&["--chat-queue-bytes", "99"], "--chat-queue-bytes 99"),
        ];
        for (arguments, named) in mistakes {
            let error = config(arguments).unwrap_err();
            assert!(error.contains(named) && error.lines().count() == 1, "{arguments:?}: {error}");
        }
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
            assert!(error.contains(expected) && error.contains(name) && error.lines().count() == 1, "{error}");
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
        ] {
            let after = help.split(default.0).nth(1).unwrap_or_else(|| panic!("{} is missing", default.0));
            let said = after.split("[default: ").nth(1).and_then(|rest| rest.split(']').next());
            assert_eq!(said, Some(default.1.to_string().as_str()), "{}", default.0);
        }
    }

    #[test]
    fn the_client_has_its_own_arguments() {
        let Ok(Task::Chat(client)) = understand(&["chat", "example.org:7000", "--nick", "alice"]) else { panic!() };
        assert_eq!((client.server.as_str(), client.nick.as_deref()), ("example.org:7000", Some("alice")));
        assert!(understand(&["chat", "--chat", "x"]).is_err());
    }
}

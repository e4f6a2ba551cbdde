//! Flags, environment and file become one checked [`Config`].
//!
//! A setting has one name, one range and one default, declared in its door's options (`table.rs`
//! says what comes from that). A flag wins over the environment, the environment over the file, and
//! the file over the default. `docs/configuration.md` and `fanfare.example.toml` are generated from
//! the same declarations.

mod admin;
mod bounds;
mod chat;
mod cluster;
mod data;
mod file;
mod listing;
mod nats;
mod push;
#[cfg(test)]
mod reference;
mod reload;
mod settings;
mod shared;
mod table;
#[cfg(test)]
mod tests;
mod users;
mod values;

use crate::bench::BenchOptions;
use crate::chat::ChatSettings;
use crate::cluster::ClusterSettings;
use crate::limits;
use crate::logging::LogFormat;
use crate::nats::NatsSettings;
use crate::store::StoreSettings;
use crate::top::TopOptions;
pub use admin::AdminConfig;
use admin::AdminOptions;
use chat::ChatOptions;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Parser, Subcommand};
use cluster::ClusterOptions;
use data::DataOptions;
use log::LevelFilter;
use nats::NatsOptions;
pub use push::PushConfig;
use push::PushTables;
pub use reload::{Reread, Source};
use settings::Settings;
use std::error::Error;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use table::Options;
use values::{level, log_format, ms, within};

/// What the program is to do.
#[derive(Debug)]
pub enum Task {
    /// Run the server, with settings that can be read again.
    Serve(Box<Config>, Source),
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
    /// The database; `None` without one.
    pub data: Option<StoreSettings>,
    /// The admin listener.
    pub admin: AdminConfig,
    /// Where NATS listens; `None` if it does not.
    pub nats_address: Option<SocketAddr>,
    /// The bounds of NATS, and who may connect.
    pub nats: NatsSettings,
    /// The push gateway.
    pub push: PushConfig,
    /// The cluster to join; `None` to be alone.
    pub cluster: Option<ClusterSettings>,
    /// The time for goodbyes when the server stops.
    pub goodbye: Duration,
    /// Bytes a second that a client of any door must read to be waited for.
    pub slowest_reader: u32,
    /// What is logged.
    pub log: LevelFilter,
    /// How it looks.
    pub log_format: LogFormat,
    /// Secrets that were set where other users of the machine can see them.
    pub exposed_secrets: Vec<String>,
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
    let command_line = match CommandLine::try_parse_from(&arguments) {
        Ok(command_line) => command_line,
        Err(error)
            if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) =>
        {
            return Ok(Task::Print(error.to_string()));
        }
        Err(error) => return Err(ConfigError(sentence(&error))),
    };
    match command_line.command {
        Some(SubCommand::Chat(client)) => Ok(Task::Chat(client)),
        Some(SubCommand::Bench(options)) => Ok(Task::Bench(options)),
        Some(SubCommand::Top(options)) => Ok(Task::Top(options)),
        Some(SubCommand::Serve(serve)) => serve.task(arguments),
        None => command_line.serve.task(arguments),
    }
}

/// A publish/subscribe server with bounded delivery: chat, NATS and push.
///
/// Without a command it serves. Try it: start `fanfare`, then `nc 127.0.0.1 7000` in two terminals.
#[derive(Parser)]
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
    serve: Serve,
}

#[derive(Subcommand)]
enum SubCommand {
    /// Run the server, as without a command
    Serve(Serve),
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

#[derive(Args)]
struct Serve {
    /// TOML file with settings, a table for each door: `line-bytes = 4096` in `[chat]` there is
    /// --chat-line-bytes 4096 here
    #[arg(long, value_name = "FILE", env = "FANFARE_CONFIG", hide_env = true)]
    config: Option<PathBuf>,
    /// Check the settings and the files that they name, and exit
    #[arg(long)]
    check_config: bool,
    /// Print each setting in force and where it was set, as a settings file, and exit
    #[arg(long)]
    print_config: bool,
    /// Print how much memory clients can make each door hold with these settings, and exit
    #[arg(long)]
    print_bounds: bool,
    #[command(flatten)]
    settings: Settings,
}

/// The server's own settings.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server")]
struct ServerOptions {
    /// What to log: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = level)]
    log: LevelFilter,
    /// How the log looks: `text`, `json`, or `auto`, which is text on a terminal and JSON elsewhere
    #[arg(long, value_name = "auto|text|json", default_value = "auto", value_parser = log_format)]
    log_format: LogFormat,
    /// Time for goodbyes and unsent messages when the server stops
    #[arg(long, value_name = "MS", default_value_t = limits::GOODBYE_MS, value_parser = ms(0))]
    goodbye_ms: u64,
    /// Bytes a second that a client must read for publishers to keep to its pace; 0: they never do
    #[arg(long, value_name = "BYTES", default_value_t = limits::SLOWEST_READER_BYTES,
        value_parser = within::<u32>(0..=u64::from(u32::MAX)))]
    slowest_reader: u32,
}

impl Options for ServerOptions {
    const TABLE: &'static str = "";
    const RELOADED: &'static [&'static str] = &["log"];
}

impl Serve {
    fn task(mut self, arguments: Vec<OsString>) -> Result<Task, ConfigError> {
        self.settings.complete(self.config.as_deref())?;
        let config = Config::new(&self.settings)?;
        Ok(if self.print_bounds {
            Task::Print(config.bounds())
        } else if self.print_config {
            Task::Print(listing::in_force(&self.settings))
        } else if self.check_config {
            Task::Print("the settings can be used\n".to_owned())
        } else {
            Task::Serve(Box::new(config), Source::new(arguments, self.settings))
        })
    }
}

impl Config {
    fn new(settings: &Settings) -> Result<Self, ConfigError> {
        let server: ServerOptions = settings.read()?;
        let (chat_address, chat) = settings.read::<ChatOptions>()?.config(settings)?;
        let (nats_address, nats) = settings.read::<NatsOptions>()?.config(settings)?;
        let push =
            PushTables { tcp: settings.read()?, udp: settings.read()?, http: settings.read()? };
        let push = push.config(settings)?;
        let doors = [chat_address, nats_address, push.address, push.udp_address, push.http_address];
        if doors.iter().all(Option::is_none) {
            return Err(settings.error("chat", "and all others off leaves nothing to listen on"));
        }
        Ok(Self {
            chat_address,
            chat,
            data: settings.read::<DataOptions>()?.config(),
            admin: settings.read::<AdminOptions>()?.config(settings)?,
            nats_address,
            nats,
            push,
            cluster: settings.read::<ClusterOptions>()?.config(settings)?,
            goodbye: Duration::from_millis(server.goodbye_ms),
            slowest_reader: server.slowest_reader,
            log: server.log,
            log_format: server.log_format,
            exposed_secrets: settings.exposed_secrets(),
        })
    }
}

/// What clap has to say, without its usage.
fn sentence(error: &clap::Error) -> String {
    let text = error.to_string();
    let first: Vec<&str> =
        text.lines().take_while(|line| !line.trim().is_empty()).map(str::trim).collect();
    let first = first.join(" ");
    let hint = match suggestion(error) {
        Some(meant) => format!("did you mean {meant}?"),
        None => "--help lists what there is".to_owned(),
    };
    format!("{}; {hint}", first.strip_prefix("error: ").unwrap_or(&first))
}

/// What a mistaken flag or command was probably meant to be.
fn suggestion(error: &clap::Error) -> Option<String> {
    match error.get(ContextKind::SuggestedArg).or(error.get(ContextKind::SuggestedSubcommand))? {
        ContextValue::String(meant) => Some(meant.clone()),
        ContextValue::Strings(meant) => meant.first().cloned(),
        _ => None,
    }
}

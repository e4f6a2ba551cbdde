//! Flags, environment and file become one checked [`Config`].
//!
//! A setting has one name, one range and one default, declared in its front-end's options
//! (`table.rs` says what comes from that). A flag wins over the environment, the environment over
//! the file, and the file over the default. `docs/configuration.md` and `fanfare.example.toml` are
//! generated from the same declarations.

mod admin;
mod bounds;
mod chat;
mod cluster;
mod command_line;
mod data;
mod file;
mod listing;
mod nats;
mod nats_file;
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
use crate::connection::{LameDuck, TrustedProxies};
use crate::limits;
use crate::logging::LogFormat;
use crate::memory::default_budget_bytes;
use crate::messages::MessagesCommand;
use crate::nats::NatsSettings;
use crate::nats::accounts::AccountName;
use crate::store::StoreSettings;
use crate::top::{AdminAddress, TopOptions};
use crate::transport::Identity;
pub use admin::AdminConfig;
use admin::AdminOptions;
use chat::ChatOptions;
use clap::{Arg, Args};
pub use command_line::{ChatClient, from_command_line};
use command_line::{sentence, suggestion};
use data::DataOptions;
use log::LevelFilter;
use nats::NatsOptions;
pub use push::PushConfig;
use push::PushTables;
pub use reload::{Reread, Source};
use settings::Settings;
use shared::CertificateOptions;
use std::error::Error;
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;
use table::Options;
use values::{choice, level, ms, size, trusted_proxies, within};

/// The program's task.
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
    /// Send or receive messages.
    Messages(Box<MessagesCommand>),
    /// Ask a server whether it is healthy.
    Health(AdminAddress),
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
    /// The certificates and key of chat; `None` for no TLS.
    pub chat_tls: Option<Identity>,
    /// The proxies that may say for which client they connect.
    pub proxies: TrustedProxies,
    /// The database; `None` without one.
    pub data: Option<StoreSettings>,
    /// The admin listener.
    pub admin: AdminConfig,
    /// Where NATS listens; `None` if it does not.
    pub nats_address: Option<SocketAddr>,
    /// The bounds of NATS, and its users.
    pub nats: NatsSettings,
    /// The push gateway.
    pub push: PushConfig,
    /// The links to clusters.
    pub clusters: Vec<ClusterSettings>,
    /// The time for goodbyes when the server stops.
    pub goodbye: Duration,
    /// The time that clients have after SIGUSR2 to go to another server.
    pub lame_duck: LameDuck,
    /// The slowest client that publishers wait for, in bytes read a second.
    pub slowest_reader: u32,
    /// Bytes that clients may make the server allocate.
    pub memory_bytes: u64,
    /// The least severe level that is logged.
    pub log: LevelFilter,
    /// The format of the log.
    pub log_format: LogFormat,
    /// Secrets that were set where other users of the machine can see them.
    pub exposed_secrets: Vec<String>,
    /// Settings of nats-server's file that Fanfare ignores, or reads differently.
    pub warnings: Vec<String>,
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

/// The server's own settings.
#[derive(Args, Debug)]
#[command(next_help_heading = "Server")]
struct ServerOptions {
    /// What to log: off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL", default_value = "info", value_parser = level)]
    log: LevelFilter,
    /// Format of the log: `text`, `json`, or `auto`, which is text on a terminal and JSON elsewhere
    #[arg(long, value_name = "auto|text|json", default_value = "auto", value_parser = choice([
        ("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)]))]
    log_format: LogFormat,
    /// Time for goodbyes and unsent messages when the server stops
    #[arg(long, value_name = "MS", default_value_t = limits::GOODBYE_MS, value_parser = ms(0))]
    goodbye_ms: u64,
    /// Time after SIGUSR2 over which connections are closed one by one
    #[arg(long, value_name = "MS", default_value_t = limits::LAME_DUCK_DURATION_MS,
        value_parser = ms(0))]
    lame_duck_duration_ms: u64,
    /// Time between SIGUSR2 and the close of the first connection
    #[arg(long, value_name = "MS", default_value_t = limits::LAME_DUCK_GRACE_MS,
        value_parser = ms(0))]
    lame_duck_grace_ms: u64,
    /// Slowest rate of reading to which publishers slow down, in bytes a second; 0: they slow
    /// down for nobody
    #[arg(long, value_name = "BYTES", default_value_t = limits::SLOWEST_READER_BYTES,
        value_parser = within::<u32>(0..=u64::from(u32::MAX)))]
    slowest_reader: u32,
    #[command(flatten)]
    certificates: CertificateOptions,
    /// Proxies that may say for which client they connect: addresses and networks such as
    /// 10.0.0.0/8, separated by commas. Over TCP they must begin with a PROXY header (version 1 or
    /// 2); over HTTP they send X-Forwarded-For or Forwarded
    #[arg(long, value_name = "NETWORKS", default_value = "", value_parser = trusted_proxies)]
    trusted_proxies: TrustedProxies,
    /// Memory that clients may make the server allocate, such as 512MiB. Near it, the server ends
    /// the heaviest connections that do not read. By default, half of what the machine, the cgroup
    /// or `ulimit -v` allows
    #[arg(long, value_name = "SIZE", value_parser = size(limits::MEMORY_BYTES_MIN))]
    memory: Option<u64>,
}

impl Options for ServerOptions {
    const TABLE: &'static str = "";
    const RELOADED: &'static [&'static [&'static str]] =
        &[&["log", "tls-cert", "tls-key", "trusted-proxies"]];

    fn adapt(shared: Arg) -> Arg {
        match shared.get_id().as_str() {
            "tls_cert" => shared.value_name("FILE").help(
                "PEM file with the server's certificates; turns on TLS on every front-end that has \
                 none of its own, and requires the key",
            ),
            _ => shared,
        }
    }
}

impl Config {
    /// The accounts that the settings name, each once or more often.
    pub fn accounts(&self) -> Vec<AccountName> {
        let of_links = self.clusters.iter().map(|link| link.account.clone());
        self.nats.authentication.accounts().chain(of_links).collect()
    }

    fn new(settings: &Settings) -> Result<Self, ConfigError> {
        let server: ServerOptions = settings.read()?;
        let certificates = &server.certificates;
        let chat = settings.read::<ChatOptions>()?;
        let chat_tls = chat.tls.identity("chat", settings, certificates)?;
        let (chat_address, chat) = chat.config(settings)?;
        let nats = settings.read::<NatsOptions>()?;
        let (nats_address, nats) = nats.config(&settings.read()?, settings, certificates)?;
        let clusters = cluster::links(settings, &nats)?;
        let push =
            PushTables { tcp: settings.read()?, udp: settings.read()?, http: settings.read()? };
        let push = push.config(settings, certificates)?;
        let front_ends =
            [chat_address, nats_address, push.address, push.udp_address, push.http_address];
        if front_ends.iter().all(Option::is_none) {
            return Err(settings.error("chat", "and all others off leaves nothing to listen on"));
        }
        Ok(Self {
            chat_address,
            chat,
            chat_tls,
            data: settings.read::<DataOptions>()?.config(),
            admin: settings.read::<AdminOptions>()?.config(settings, certificates)?,
            nats_address,
            nats,
            push,
            clusters,
            proxies: server.trusted_proxies,
            goodbye: Duration::from_millis(server.goodbye_ms),
            lame_duck: LameDuck {
                grace: Duration::from_millis(server.lame_duck_grace_ms),
                duration: Duration::from_millis(server.lame_duck_duration_ms),
            },
            slowest_reader: server.slowest_reader,
            memory_bytes: server.memory.unwrap_or_else(default_budget_bytes),
            log: server.log,
            log_format: server.log_format,
            exposed_secrets: settings.exposed_secrets(),
            warnings: settings.nats_file().map_or_else(Vec::new, |file| file.warnings.clone()),
        })
    }

    /// The certificates and keys of the front-ends that can have some.
    pub fn identities(&self) -> [(&'static str, Option<&Identity>); 6] {
        [
            ("chat", self.chat_tls.as_ref()),
            ("nats", self.nats.tls.as_ref().map(|tls| &tls.identity)),
            ("nats-websocket", self.nats.web_socket.as_ref().and_then(|it| it.tls.as_ref())),
            ("push", self.push.tls.as_ref()),
            ("push-http", self.push.http_tls.as_ref()),
            ("admin", self.admin.tls.as_ref()),
        ]
    }
}

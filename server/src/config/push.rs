//! The settings of the push gateway.

use super::ConfigError;
use super::file::read_toml;
use super::settings::Settings;
use super::shared::{
    AddressOptions, CertificateOptions, ConnectionOptions, OriginOptions, QueueOptions, TlsOptions,
    WriterOptions,
};
use super::table::Options;
use super::values::{choice, from, ms, within};
use crate::connection::ConnectionLimits;
use crate::limits;
use crate::push::PushSettings;
use crate::push::access::{Access, Key, Rights};
use crate::transport::Identity;
use clap::{Arg, ArgAction, Args};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args, Debug)]
#[command(next_help_heading = "Push")]
pub struct PushOptions {
    #[command(flatten)]
    listen: AddressOptions,
    /// TOML file with tokens: who may receive pushes as whom, and who may push. Without it, clients
    /// on this machine may do everything and others nothing
    #[arg(long, value_name = "FILE")]
    tokens_file: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsOptions,
    #[command(flatten)]
    connections: ConnectionOptions,
    /// Maximum number of groups that one connection can be in
    #[arg(long, value_name = "N", default_value_t = limits::PUSH_GROUPS_PER_CONNECTION,
        value_parser = within::<usize>(0..=1_000))]
    groups: usize,
    /// Pushes kept for each user and group, for clients that reconnect
    #[arg(long, value_name = "N", default_value_t = limits::PUSH_REPLAY,
        value_parser = within::<usize>(0..=100_000))]
    replay: usize,
    /// How long a push is kept unless it says otherwise, in seconds
    #[arg(long, value_name = "S", default_value_t = limits::PUSH_TTL_S,
        value_parser = within::<u64>(0..=limits::PUSH_TTL_MAX_S))]
    ttl_s: u64,
    /// Maximum number of pushes that wait for full queues at once
    #[arg(long, value_name = "N", default_value_t = limits::PUSHES_AT_ONCE,
        value_parser = within::<usize>(1..=1 << 20))]
    at_once: usize,
    /// How long one push may take
    #[arg(long, value_name = "MS", default_value_t = limits::PUSH_TIMEOUT_MS, value_parser = ms(1))]
    timeout_ms: u64,
    #[command(flatten)]
    queue: QueueOptions,
    #[command(flatten)]
    writer: WriterOptions,
}

impl Options for PushOptions {
    const TABLE: &'static str = "push";
    const RELOADED: &'static [&'static [&'static str]] =
        &[&ConnectionOptions::KEYS, &TlsOptions::KEYS, &["tokens-file"]];

    fn adapt(shared: Arg) -> Arg {
        match shared.get_id().as_str() {
            "address" => shared.default_value("127.0.0.1:7002"),
            "queue_messages" => shared.default_value(limits::PUSH_QUEUE_MESSAGES.to_string()),
            "queue_bytes" => shared.default_value(limits::PUSH_QUEUE_BYTES.to_string()),
            "wait_ms" => shared.default_value(limits::PUSH_WAIT_MS.to_string()),
            "idle_ms" => shared.default_value(limits::PUSH_IDLE_MS.to_string()),
            "idle_answer_required" => shared.default_value("true"),
            _ => shared,
        }
    }
}

/// Pushes in datagrams.
#[derive(Args, Debug)]
#[command(next_help_heading = "Push by UDP")]
pub struct PushUdpOptions {
    #[command(flatten)]
    listen: AddressOptions,
    /// TOML file with the keys that sign datagrams
    #[arg(long, value_name = "FILE", alias = "push-keys-file")]
    keys_file: Option<PathBuf>,
    /// Senders whose unsigned datagrams are accepted: `loopback` or `off`
    #[arg(long, value_name = "loopback|off", default_value = "loopback",
        action = ArgAction::Set, alias = "push-unsigned",
        value_parser = choice([("loopback", true), ("off", false)]))]
    unsigned: bool,
    /// How far the time in a signed datagram may be from the server's, in seconds
    #[arg(long, value_name = "S", default_value_t = limits::PUSH_SIGNATURE_AGE_S,
        value_parser = within::<u64>(0..=3_600), alias = "push-signature-age-s")]
    signature_age_s: u64,
}

impl Options for PushUdpOptions {
    const TABLE: &'static str = "push-udp";
    const RELOADED: &'static [&'static [&'static str]] = &[&["keys-file"]];

    fn adapt(shared: Arg) -> Arg {
        match shared.get_id().as_str() {
            "address" => shared.default_value("127.0.0.1:7001"),
            _ => shared,
        }
    }
}

/// Pushes, event streams and WebSockets over HTTP.
#[derive(Args, Debug)]
#[command(next_help_heading = "Push over HTTP")]
pub struct PushHttpOptions {
    #[command(flatten)]
    listen: AddressOptions,
    #[command(flatten)]
    origins: OriginOptions,
    #[command(flatten)]
    tls: TlsOptions,
    #[command(flatten)]
    connections: ConnectionOptions,
    /// Pushes a second that one token may send over HTTP
    #[arg(long, value_name = "N", default_value_t = limits::PUSH_HTTP_PER_SECOND,
        value_parser = from(1))]
    per_second: usize,
}

impl Options for PushHttpOptions {
    const TABLE: &'static str = "push-http";
    const RELOADED: &'static [&'static [&'static str]] =
        &[&ConnectionOptions::KEYS, &TlsOptions::KEYS];

    fn adapt(shared: Arg) -> Arg {
        match shared.get_id().as_str() {
            "address" => shared.default_value("127.0.0.1:7003"),
            "connections_per_address" => shared.default_value(limits::MAX_CONNECTIONS.to_string()),
            _ => shared,
        }
    }
}

/// A queue that cannot take even one push would drop everything.
const QUEUE_BYTES_MIN: usize = 2 * limits::PUSH_PAYLOAD_BYTES;

/// All settings of the push gateway, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushConfig {
    /// The address for clients; `None` if it is off.
    pub address: Option<SocketAddr>,
    /// The certificates and key for that; `None` for no TLS.
    pub tls: Option<Identity>,
    /// The address for datagrams; `None` if it is off.
    pub udp_address: Option<SocketAddr>,
    /// The address for HTTP requests; `None` if it is off.
    pub http_address: Option<SocketAddr>,
    /// The certificates and key for that; `None` for no TLS.
    pub http_tls: Option<Identity>,
    /// The origins of the pages that may use it.
    pub http_origins: Vec<String>,
    /// HTTP connections in all, and per address.
    pub http_connections: ConnectionLimits,
    /// The gateway's bounds.
    pub settings: PushSettings,
    /// The gateway's keys and tokens.
    pub access: Access,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysFile {
    #[serde(default)]
    key: Vec<Key>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokensFile {
    #[serde(default)]
    token: Vec<Rights>,
}

/// The options of the three front-ends, not yet checked against each other.
pub struct PushTables {
    pub tcp: PushOptions,
    pub udp: PushUdpOptions,
    pub http: PushHttpOptions,
}

impl PushTables {
    /// The settings, and the files that they name.
    pub fn config(
        self,
        settings: &Settings,
        of_all: &CertificateOptions,
    ) -> Result<PushConfig, ConfigError> {
        if self.tcp.queue.queue_bytes < QUEUE_BYTES_MIN {
            let problem = format!("is too small for a push; it needs {QUEUE_BYTES_MIN}");
            return Err(settings.error("push-queue-bytes", &problem));
        }
        Ok(PushConfig {
            address: self.tcp.listen.address.0,
            tls: self.tcp.tls.identity("push", settings, of_all)?,
            udp_address: self.udp.listen.address.0,
            http_address: self.http.listen.address.0,
            http_tls: self.http.tls.identity("push-http", settings, of_all)?,
            http_origins: self.http.origins.list(),
            http_connections: self.http.connections.limits(),
            access: self.access(settings)?,
            settings: self.settings(),
        })
    }

    fn settings(&self) -> PushSettings {
        let Self { tcp, udp, http } = self;
        PushSettings {
            connections: tcp.connections.limits(),
            writer: tcp.writer.settings(&tcp.queue),
            groups: tcp.groups,
            queue_messages: tcp.queue.queue_messages,
            queue_bytes: tcp.queue.queue_bytes,
            wait: tcp.queue.wait(),
            timeout: Duration::from_millis(tcp.timeout_ms),
            at_once: tcp.at_once,
            ttl_s: tcp.ttl_s,
            replay: tcp.replay,
            takes_unsigned: udp.unsigned,
            signature_age_s: udp.signature_age_s,
            http_per_second: http.per_second,
            ..PushSettings::default()
        }
    }

    fn access(&self, settings: &Settings) -> Result<Access, ConfigError> {
        let of_keys = |problem: String| settings.error("push-udp-keys-file", &problem);
        let of_tokens = |problem: String| settings.error("push-tokens-file", &problem);
        let keys = self.udp.keys_file.as_deref().map(read_toml::<KeysFile>);
        let keys = keys.transpose().map_err(of_keys)?.map(|file| file.key).unwrap_or_default();
        let tokens = self.tcp.tokens_file.as_deref().map(read_toml::<TokensFile>);
        let tokens = tokens.transpose().map_err(of_tokens)?.map(|file| file.token);
        Access::new(keys.clone(), None)
            .map_err(|problem| of_keys(format!("has a mistake: {problem}")))?;
        // The keys are right, so whatever is wrong now is wrong with the tokens.
        Access::new(keys, tokens).map_err(|problem| of_tokens(format!("has a mistake: {problem}")))
    }
}

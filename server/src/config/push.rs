//! The settings of the push gateway.

use super::ConfigError;
use super::file::read_toml;
use super::sources::Sources;
use super::values::{Listen, from, listen, ms, within};
use crate::connection::ConnectionLimits;
use crate::limits;
use crate::push::PushSettings;
use crate::push::access::{Access, Key, Rights};
use crate::transport::{Idle, WriterSettings};
use clap::{ArgAction, Args};
use fanfare::limits::{QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX};
use serde::Deserialize;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args, Debug)]
#[command(next_help_heading = "Push")]
pub struct PushOptions {
    /// Address for push clients over TCP, or `off`
    #[arg(long, value_name = "ADDR|off", default_value = "127.0.0.1:7002", value_parser = listen)]
    push: Listen,
    /// Address for pushes in UDP datagrams, or `off`
    #[arg(long, value_name = "ADDR|off", default_value = "127.0.0.1:7001", value_parser = listen)]
    push_udp: Listen,
    /// Address for pushes, event streams and WebSockets over HTTP, or `off`
    #[arg(long, value_name = "ADDR|off", default_value = "127.0.0.1:7003", value_parser = listen)]
    push_http: Listen,
    /// Web pages that may use it besides those from the server's own address: origins separated by
    /// commas, or `*` for all
    #[arg(long, value_name = "ORIGINS")]
    push_http_origins: Option<String>,
    /// Maximum number of HTTP connections
    #[arg(long, value_name = "N", default_value_t = limits::MAX_CONNECTIONS,
        value_parser = from(1))]
    push_http_connections: usize,
    /// Pushes a second that one token may send over HTTP
    #[arg(long, value_name = "N", default_value_t = limits::PUSH_HTTP_PER_SECOND,
        value_parser = from(1))]
    push_http_per_second: usize,
    /// TOML file with the keys that sign datagrams
    #[arg(long, value_name = "FILE")]
    push_keys_file: Option<PathBuf>,
    /// TOML file with tokens: who may receive pushes as whom, and who may push. Without it, clients
    /// on this machine may do everything and others nothing
    #[arg(long, value_name = "FILE")]
    push_tokens_file: Option<PathBuf>,
    /// Senders whose unsigned datagrams are accepted: `loopback` or `off`
    #[arg(long, value_name = "loopback|off", default_value = "loopback",
        value_parser = takes_unsigned)]
    push_unsigned: TakesUnsigned,
    /// How far the time in a signed datagram may be from the server's, in seconds
    #[arg(long, value_name = "S", default_value_t = limits::PUSH_SIGNATURE_AGE_S,
        value_parser = within::<u64>(0..=3_600))]
    push_signature_age_s: u64,
    /// Maximum number of push connections
    #[arg(long, value_name = "N", default_value_t = limits::MAX_CONNECTIONS,
        value_parser = from(1))]
    push_connections: usize,
    /// Maximum number of push connections from one address (IPv6: from one /64)
    #[arg(long, value_name = "N", default_value_t = limits::MAX_CONNECTIONS_PER_ADDRESS,
        value_parser = from(1))]
    push_connections_per_address: usize,
    /// Maximum number of groups that one connection is in
    #[arg(long, value_name = "N", default_value_t = limits::PUSH_GROUPS_PER_CONNECTION,
        value_parser = within::<usize>(0..=1_000))]
    push_groups: usize,
    /// Pushes kept of each user and group, for clients that reconnect
    #[arg(long, value_name = "N", default_value_t = limits::PUSH_REPLAY,
        value_parser = within::<usize>(0..=100_000))]
    push_replay: usize,
    /// How long a push is kept unless it says otherwise, in seconds
    #[arg(long, value_name = "S", default_value_t = limits::PUSH_TTL_S,
        value_parser = within::<u64>(0..=limits::PUSH_TTL_MAX_S))]
    push_ttl_s: u64,
    /// Maximum number of pushes that wait for full queues at the same time
    #[arg(long, value_name = "N", default_value_t = limits::PUSHES_AT_ONCE,
        value_parser = within::<usize>(1..=1 << 20))]
    push_at_once: usize,
    /// How long one push may take
    #[arg(long, value_name = "MS", default_value_t = limits::PUSH_TIMEOUT_MS, value_parser = ms(1))]
    push_timeout_ms: u64,
    /// How long a push waits for clients whose queue is full; then they miss it
    #[arg(long, value_name = "MS", default_value_t = limits::PUSH_WAIT_MS, value_parser = ms(0))]
    push_wait_ms: u64,
    /// Maximum number of pushes queued for one connection
    #[arg(long, value_name = "N", default_value_t = limits::PUSH_QUEUE_MESSAGES,
        value_parser = within::<usize>(1..=QUEUE_MESSAGES_MAX as u64))]
    push_queue_messages: usize,
    /// Maximum number of bytes queued for one connection
    #[arg(long, value_name = "BYTES", default_value_t = limits::PUSH_QUEUE_BYTES,
        value_parser = within::<usize>(QUEUE_BYTES_MIN..=QUEUE_BYTES_MAX as u64))]
    push_queue_bytes: usize,
    /// Bytes rendered ahead for one client while the network is not ready for them
    #[arg(long, value_name = "BYTES", default_value_t = limits::WRITE_BUFFER_BYTES,
        value_parser = from(256))]
    push_write_buffer_bytes: usize,
    /// A client that takes none of what waits for it in this time is disconnected
    #[arg(long, value_name = "MS", default_value_t = limits::WRITE_DEADLINE_MS,
        value_parser = ms(1))]
    push_write_deadline_ms: u64,
    /// A client that is silent for this long is sent a ping
    #[arg(long, value_name = "MS", default_value_t = limits::PUSH_IDLE_MS, value_parser = ms(1))]
    push_idle_ms: u64,
    /// Pings without a sign of life after which a client is disconnected
    #[arg(long, value_name = "N", default_value_t = limits::IDLE_MISSES,
        value_parser = within::<u32>(1..=1_000))]
    push_idle_misses: u32,
    /// Disconnect a client that answers no ping even if it takes what it is sent
    #[arg(long, value_name = "true|false", default_value_t = true, action = ArgAction::Set,
        num_args = 0..=1, default_missing_value = "true")]
    push_idle_answer_required: bool,
}

/// A queue that cannot take even one push would drop everything.
const QUEUE_BYTES_MIN: u64 = 2 * limits::PUSH_PAYLOAD_BYTES as u64;

/// Whether unsigned datagrams are accepted, from loopback addresses.
#[derive(Clone, Debug)]
struct TakesUnsigned(bool);

fn takes_unsigned(text: &str) -> Result<TakesUnsigned, String> {
    match text {
        "loopback" => Ok(TakesUnsigned(true)),
        "off" => Ok(TakesUnsigned(false)),
        _ => Err("is neither loopback nor off".to_owned()),
    }
}

/// All settings of the push gateway, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushConfig {
    /// Where clients connect by TCP.
    pub address: Option<SocketAddr>,
    /// Where datagrams go.
    pub udp_address: Option<SocketAddr>,
    /// Where requests go.
    pub http_address: Option<SocketAddr>,
    /// The origins of the pages that may use it.
    pub http_origins: Vec<String>,
    /// Connections by HTTP in all, and per address.
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

impl PushOptions {
    /// The settings, and the files that they name.
    pub fn config(self, sources: &Sources) -> Result<PushConfig, ConfigError> {
        let origins = self.push_http_origins.as_deref().unwrap_or_default();
        let origins = origins.split(',').map(str::trim).filter(|origin| !origin.is_empty());
        Ok(PushConfig {
            address: self.push.0,
            udp_address: self.push_udp.0,
            http_address: self.push_http.0,
            http_origins: origins.map(str::to_owned).collect(),
            http_connections: ConnectionLimits::from_anywhere(self.push_http_connections),
            access: self.access(sources)?,
            settings: self.settings(),
        })
    }

    fn settings(&self) -> PushSettings {
        PushSettings {
            connections: ConnectionLimits {
                total: self.push_connections,
                per_address: self.push_connections_per_address,
            },
            writer: WriterSettings {
                buffer_bytes: self.push_write_buffer_bytes,
                deadline: Duration::from_millis(self.push_write_deadline_ms),
                idle: Idle {
                    interval: Duration::from_millis(self.push_idle_ms),
                    misses: self.push_idle_misses,
                    answer_required: self.push_idle_answer_required,
                },
            },
            groups: self.push_groups,
            queue_messages: self.push_queue_messages,
            queue_bytes: self.push_queue_bytes,
            wait: Duration::from_millis(self.push_wait_ms),
            timeout: Duration::from_millis(self.push_timeout_ms),
            at_once: self.push_at_once,
            ttl_s: self.push_ttl_s,
            replay: self.push_replay,
            takes_unsigned: self.push_unsigned.0,
            signature_age_s: self.push_signature_age_s,
            http_per_second: self.push_http_per_second,
            ..PushSettings::default()
        }
    }

    fn access(&self, sources: &Sources) -> Result<Access, ConfigError> {
        let in_file = |name: &'static str, path: &PathBuf| {
            let path = path.display().to_string();
            move |problem: String| sources.error(name, &format!("{path}: {problem}"))
        };
        let mut keys = Vec::new();
        if let Some(path) = &self.push_keys_file {
            let file: KeysFile =
                read_toml(path).map_err(|problem| sources.error("push-keys-file", &problem))?;
            keys = file.key;
            Access::new(keys.clone(), None).map_err(in_file("push-keys-file", path))?;
        }
        let mut tokens = None;
        if let Some(path) = &self.push_tokens_file {
            let file: TokensFile =
                read_toml(path).map_err(|problem| sources.error("push-tokens-file", &problem))?;
            tokens = Some(file.token);
        }
        // The keys are right, so whatever is wrong now is wrong with the tokens.
        let path = self.push_tokens_file.clone().unwrap_or_default();
        Access::new(keys, tokens).map_err(in_file("push-tokens-file", &path))
    }
}

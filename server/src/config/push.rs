//! The settings of the push gateway.

use super::ConfigError;
use super::check::Check;
use super::file::line_of_mistake;
use super::settings::Settings;
use crate::connection::ConnectionLimits;
use crate::limits;
use crate::push::PushSettings;
use crate::push::access::{Access, Key, Rights};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use std::net::SocketAddr;
use std::path::Path;

const DEFAULT_ADDRESS: &str = "127.0.0.1:7002";
const DEFAULT_HTTP_ADDRESS: &str = "127.0.0.1:7003";
const DEFAULT_UDP_ADDRESS: &str = "127.0.0.1:7001";

/// All settings of the push gateway, checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushConfig {
    /// Where clients connect.
    pub address: Option<SocketAddr>,
    /// Where datagrams go.
    pub udp_address: Option<SocketAddr>,
    /// Where requests go.
    pub http_address: Option<SocketAddr>,
    /// The pages that may ask.
    pub http_origins: Vec<String>,
    /// Connections by HTTP in all, and per address.
    pub http_connections: ConnectionLimits,
    /// Its bounds.
    pub settings: PushSettings,
    /// Its keys and tokens.
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

impl Check {
    /// All of them, checked.
    pub fn push(&self, settings: &Settings) -> Result<PushConfig, ConfigError> {
        let mut http_connections = limits::MAX_CONNECTIONS;
        let given = settings.push_http_connections;
        self.number("push_http_connections", given, &mut http_connections, (1, 1 << 30))?;
        let origins =
            settings.push_http_origins.as_deref().unwrap_or_default().split(',').map(str::trim);
        Ok(PushConfig {
            http_address: self.address(
                "push_http",
                settings.push_http.as_deref().unwrap_or(DEFAULT_HTTP_ADDRESS),
            )?,
            http_origins: origins.filter(|origin| !origin.is_empty()).map(str::to_owned).collect(),
            http_connections: ConnectionLimits::from_anywhere(http_connections),
            address: self.address("push", settings.push.as_deref().unwrap_or(DEFAULT_ADDRESS))?,
            udp_address: self
                .address("push_udp", settings.push_udp.as_deref().unwrap_or(DEFAULT_UDP_ADDRESS))?,
            settings: self.push_settings(settings)?,
            access: self.push_access(settings)?,
        })
    }

    fn push_settings(&self, settings: &Settings) -> Result<PushSettings, ConfigError> {
        let mut push = PushSettings::default();
        let number =
            |name, given, target: &mut usize, range| self.number(name, given, target, range);
        let any = (1, 1 << 30);
        number("push_connections", settings.push_connections, &mut push.connections.total, any)?;
        number(
            "push_connections_per_address",
            settings.push_connections_per_address,
            &mut push.connections.per_address,
            any,
        )?;
        number("push_groups", settings.push_groups, &mut push.groups, (0, 1_000))?;
        number("push_replay", settings.push_replay, &mut push.replay, (0, 100_000))?;
        number(
            "push_http_per_second",
            settings.push_http_per_second,
            &mut push.http_per_second,
            any,
        )?;
        number("push_at_once", settings.push_at_once, &mut push.at_once, (1, 1 << 20))?;
        let queue_messages = (1, fanfare::limits::QUEUE_MESSAGES_MAX);
        number(
            "push_queue_messages",
            settings.push_queue_messages,
            &mut push.queue_messages,
            queue_messages,
        )?;
        // A queue that takes not even one push would drop everything.
        let queue_bytes = (2 * limits::PUSH_PAYLOAD_BYTES, fanfare::limits::QUEUE_BYTES_MAX);
        number("push_queue_bytes", settings.push_queue_bytes, &mut push.queue_bytes, queue_bytes)?;
        push.ttl_s =
            self.seconds("push_ttl_s", settings.push_ttl_s, push.ttl_s, limits::PUSH_TTL_MAX_S)?;
        let age_s = settings.push_signature_age_s;
        push.signature_age_s =
            self.seconds("push_signature_age_s", age_s, push.signature_age_s, 3_600)?;
        let milliseconds = |name, given, default_ms, least_ms| {
            self.milliseconds(name, given, default_ms, least_ms)
        };
        push.timeout =
            milliseconds("push_timeout_ms", settings.push_timeout_ms, limits::PUSH_TIMEOUT_MS, 1)?;
        push.wait = milliseconds("push_wait_ms", settings.push_wait_ms, limits::PUSH_WAIT_MS, 0)?;
        let writer = &mut push.writer;
        number(
            "push_write_buffer_bytes",
            settings.push_write_buffer_bytes,
            &mut writer.buffer_bytes,
            (256, 1 << 30),
        )?;
        let deadline_ms = settings.push_write_deadline_ms;
        writer.deadline =
            milliseconds("push_write_deadline_ms", deadline_ms, limits::WRITE_DEADLINE_MS, 1)?;
        writer.idle.interval =
            milliseconds("push_idle_ms", settings.push_idle_ms, limits::PUSH_IDLE_MS, 1)?;
        let mut misses = writer.idle.misses as usize;
        number("push_idle_misses", settings.push_idle_misses, &mut misses, (1, 1_000))?;
        writer.idle.misses = misses as u32;
        writer.idle.answer_required = settings.push_idle_answer_required.unwrap_or(true);
        push.takes_unsigned = match settings.push_unsigned.as_deref() {
            None | Some("loopback") => true,
            Some("off") => false,
            Some(other) => {
                return Err(
                    self.error("push_unsigned", &format!("{other} is neither loopback nor off"))
                );
            }
        };
        Ok(push)
    }

    fn push_access(&self, settings: &Settings) -> Result<Access, ConfigError> {
        let mut keys = Vec::new();
        if let Some(path) = &settings.push_keys_file {
            keys = self.read_toml::<KeysFile>("push_keys_file", path)?.key;
            Access::new(keys.clone(), None)
                .map_err(|problem| self.in_file("push_keys_file", path, &problem))?;
        }
        let Some(path) = &settings.push_tokens_file else {
            return Access::new(keys, None)
                .map_err(|problem| self.error("push_keys_file", &problem));
        };
        let tokens = self.read_toml::<TokensFile>("push_tokens_file", path)?.token;
        Access::new(keys, Some(tokens))
            .map_err(|problem| self.in_file("push_tokens_file", path, &problem))
    }

    fn read_toml<T: DeserializeOwned>(&self, name: &str, path: &Path) -> Result<T, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| self.in_file(name, path, &format!("it cannot be read: {error}")))?;
        toml::from_str(&text).map_err(|error| {
            let (line, problem) = line_of_mistake(&text, &error);
            self.in_file(name, path, &format!("line {line}: {problem}"))
        })
    }

    fn in_file(&self, name: &str, path: &Path, problem: &str) -> ConfigError {
        self.error(name, &format!("{}: {problem}", path.display()))
    }

    fn seconds(
        &self,
        name: &str,
        given: Option<u64>,
        default_s: u64,
        most_s: u64,
    ) -> Result<u64, ConfigError> {
        let mut value_s = default_s as usize;
        self.number(name, given, &mut value_s, (0, most_s as usize))?;
        Ok(value_s as u64)
    }
}

//! The settings of NATS.

use super::ConfigError;
use super::sources::Sources;
use super::users::users_file;
use super::values::{Listen, from, listen, ms, within};
use crate::codec::nats::ParserLimits;
use crate::connection::ConnectionLimits;
use crate::limits;
use crate::nats::authentication::{Authentication, Secret, User};
use crate::nats::settings::TlsSettings;
use crate::nats::{NatsSettings, SlowConsumer};
use crate::transport::{Identity, IdentityError};
use clap::builder::NonEmptyStringValueParser;
use clap::{ArgAction, Args};
use fanfare::limits::{QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX};
use std::collections::HashSet;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args, Debug)]
#[command(next_help_heading = "NATS")]
pub struct NatsOptions {
    /// Address for NATS, or `off`; port 0 picks a free port
    #[arg(long, value_name = "ADDR|off", default_value = "127.0.0.1:4222", value_parser = listen)]
    pub nats: Listen,
    /// Name that the server gives itself
    #[arg(long, value_name = "NAME", default_value = "fanfare")]
    nats_server_name: String,
    /// Maximum size of a message, including its headers
    #[arg(long, value_name = "BYTES", default_value_t = limits::NATS_PAYLOAD_BYTES,
        value_parser = within::<usize>(0..=PAYLOAD_BYTES_MAX))]
    nats_max_payload: usize,
    /// Maximum length of the arguments on a control line
    #[arg(long, value_name = "BYTES", default_value_t = limits::NATS_CONTROL_LINE_BYTES,
        value_parser = within::<usize>(64..=1 << 20))]
    nats_max_control_line: usize,
    /// Maximum number of NATS connections
    #[arg(long, value_name = "N", default_value_t = limits::MAX_CONNECTIONS,
        value_parser = from(1))]
    nats_max_connections: usize,
    /// Maximum number of NATS connections from one address (IPv6: from one /64)
    #[arg(long, value_name = "N", default_value_t = limits::MAX_CONNECTIONS_PER_ADDRESS,
        value_parser = from(1))]
    nats_max_connections_per_address: usize,
    /// Maximum number of subscriptions of one connection
    #[arg(long, value_name = "N", default_value_t = limits::NATS_SUBSCRIPTIONS,
        value_parser = from(1))]
    nats_max_subscriptions: usize,
    /// A client that is silent for this long is sent a PING
    #[arg(long, value_name = "MS", default_value_t = limits::NATS_PING_INTERVAL_MS,
        value_parser = ms(1))]
    nats_ping_interval_ms: u64,
    /// PINGs that a client may leave unanswered
    #[arg(long, value_name = "N", default_value_t = limits::NATS_PING_MAX,
        value_parser = within::<u32>(0..=1_000))]
    nats_ping_max: u32,
    /// A client that has to authenticate must do so in this time
    #[arg(long, value_name = "MS", default_value_t = limits::NATS_AUTHENTICATION_TIMEOUT_MS,
        value_parser = ms(1))]
    nats_auth_timeout_ms: u64,
    /// Name of a user who may connect; requires nats-password
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    nats_user: Option<String>,
    /// That user's password, or its bcrypt hash
    #[arg(long, value_name = "PASSWORD", value_parser = NonEmptyStringValueParser::new())]
    nats_password: Option<String>,
    /// Token with which any client may connect, or its bcrypt hash
    #[arg(long, value_name = "TOKEN", value_parser = NonEmptyStringValueParser::new())]
    nats_token: Option<String>,
    /// TOML file with users and what each may do
    #[arg(long, value_name = "FILE")]
    nats_users_file: Option<PathBuf>,
    /// Let every client in without credentials on an address that other machines can reach
    #[arg(long, value_name = "true|false", default_value_t = false, action = ArgAction::Set,
        num_args = 0..=1, default_missing_value = "true")]
    nats_allow_anonymous: bool,
    /// PEM file with the server's certificates; turns on TLS and requires nats-tls-key
    #[arg(long, value_name = "FILE")]
    nats_tls_cert: Option<PathBuf>,
    /// PEM file with the key of the first certificate
    #[arg(long, value_name = "FILE")]
    nats_tls_key: Option<PathBuf>,
    /// Refuse clients that do not use TLS; true by default once there is a nats-tls-cert
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true")]
    nats_tls_required: Option<bool>,
    /// Maximum number of bytes queued for one connection
    #[arg(long, value_name = "BYTES", default_value_t = limits::NATS_PENDING_BYTES,
        value_parser = within::<usize>(1..=QUEUE_BYTES_MAX as u64))]
    nats_max_pending_bytes: usize,
    /// Maximum number of messages queued for one connection
    #[arg(long, value_name = "N", default_value_t = limits::NATS_PENDING_MESSAGES,
        value_parser = within::<usize>(1..=QUEUE_MESSAGES_MAX as u64))]
    nats_max_pending_messages: usize,
    /// How long a publish waits for connections whose queue is full; then they count as slow
    #[arg(long, value_name = "MS", default_value_t = limits::NATS_WAIT_MS, value_parser = ms(0))]
    nats_wait_ms: u64,
    /// What happens to a slow connection: `disconnect` it, or `drop` messages and tell it how many
    #[arg(long, value_name = "disconnect|drop", default_value = "disconnect",
        value_parser = slow_consumer)]
    nats_slow_consumer: SlowConsumer,
    /// A client that takes none of what waits for it in this time is disconnected
    #[arg(long, value_name = "MS", default_value_t = limits::NATS_WRITE_DEADLINE_MS,
        value_parser = ms(1))]
    nats_write_deadline_ms: u64,
    /// After SIGUSR2, the time over which connections are closed one by one
    #[arg(long, value_name = "MS", default_value_t = limits::NATS_LAME_DUCK_DURATION_MS,
        value_parser = ms(0))]
    nats_lame_duck_duration_ms: u64,
    /// The time between SIGUSR2 and the first connection that is closed
    #[arg(long, value_name = "MS", default_value_t = limits::NATS_LAME_DUCK_GRACE_MS,
        value_parser = ms(0))]
    nats_lame_duck_grace_ms: u64,
}

/// The largest message that can be allowed. nats-server's sizes have nine digits, and a queue has
/// to take one.
const PAYLOAD_BYTES_MAX: u64 = 256 << 20;

fn slow_consumer(text: &str) -> Result<SlowConsumer, String> {
    match text {
        "disconnect" => Ok(SlowConsumer::Disconnect),
        "drop" => Ok(SlowConsumer::Drop),
        _ => Err("is neither disconnect nor drop".to_owned()),
    }
}

impl NatsOptions {
    /// The settings, if they fit together.
    pub fn settings(self, sources: &Sources) -> Result<NatsSettings, ConfigError> {
        let settings = NatsSettings {
            authentication: self.authentication(sources)?,
            tls: self.tls(sources)?,
            server_name: self.nats_server_name,
            connections: ConnectionLimits {
                total: self.nats_max_connections,
                per_address: self.nats_max_connections_per_address,
            },
            parser: ParserLimits {
                payload_bytes: self.nats_max_payload,
                control_line_bytes: self.nats_max_control_line,
            },
            subscriptions: self.nats_max_subscriptions,
            ping_interval: Duration::from_millis(self.nats_ping_interval_ms),
            ping_max: self.nats_ping_max,
            authentication_timeout: Duration::from_millis(self.nats_auth_timeout_ms),
            pending_messages: self.nats_max_pending_messages,
            pending_bytes: self.nats_max_pending_bytes,
            wait: Duration::from_millis(self.nats_wait_ms),
            slow_consumer: self.nats_slow_consumer,
            write_deadline: Duration::from_millis(self.nats_write_deadline_ms),
            lame_duck_grace: Duration::from_millis(self.nats_lame_duck_grace_ms),
            lame_duck_duration: Duration::from_millis(self.nats_lame_duck_duration_ms),
        };
        fits_a_message(&settings, sources)?;
        let is_guarded = settings.authentication.is_required() || self.nats_allow_anonymous;
        let remedy = "nats-user and nats-password, nats-token or nats-users-file, or \
                      nats-allow-anonymous";
        sources.guard("nats", self.nats, is_guarded, remedy)?;
        Ok(settings)
    }

    fn authentication(&self, sources: &Sources) -> Result<Authentication, ConfigError> {
        let mut users = Vec::new();
        match (&self.nats_user, &self.nats_password) {
            (None, None) => {}
            (Some(name), Some(password)) => users.push(User {
                name: name.clone(),
                password: Secret::new(password.clone()),
                permissions: Default::default(),
            }),
            (Some(_), None) => return Err(sources.error("nats-user", "needs a nats-password")),
            (None, Some(_)) => return Err(sources.error("nats-password", "needs a nats-user")),
        }
        if let Some(path) = &self.nats_users_file {
            let in_file =
                users_file(path).map_err(|problem| sources.error("nats-users-file", &problem))?;
            users.extend(in_file);
        }
        let mut names = HashSet::new();
        if !users.iter().all(|user| names.insert(user.name.as_str())) {
            return Err(sources.error("nats-users-file", "names a user twice"));
        }
        Ok(Authentication { token: self.nats_token.clone().map(Secret::new), users })
    }

    fn tls(&self, sources: &Sources) -> Result<Option<TlsSettings>, ConfigError> {
        let (certificates, key) = match (&self.nats_tls_cert, &self.nats_tls_key) {
            (Some(certificates), Some(key)) => (certificates, key),
            (Some(_), None) => return Err(sources.error("nats-tls-cert", "needs a nats-tls-key")),
            (None, Some(_)) => return Err(sources.error("nats-tls-key", "needs a nats-tls-cert")),
            (None, None) if self.nats_tls_required == Some(true) => {
                let problem = "needs a nats-tls-cert and a nats-tls-key";
                return Err(sources.error("nats-tls-required", problem));
            }
            (None, None) => return Ok(None),
        };
        let identity = Identity::read(certificates, key).map_err(|error| {
            let name = match error {
                IdentityError::Certificates(..) => "nats-tls-cert",
                IdentityError::Key(..) => "nats-tls-key",
            };
            sources.error(name, &error.to_string())
        })?;
        Ok(Some(TlsSettings {
            identity,
            is_required: self.nats_tls_required.unwrap_or(true),
            handshake_timeout: Duration::from_millis(limits::NATS_TLS_HANDSHAKE_MS),
        }))
    }
}

/// A queue that cannot take even one message would drop everything.
fn fits_a_message(settings: &NatsSettings, sources: &Sources) -> Result<(), ConfigError> {
    let (payload, queue) = (settings.parser.payload_bytes, settings.pending_bytes);
    let needed_bytes = payload + settings.parser.control_line_bytes + 256;
    if queue >= needed_bytes {
        return Ok(());
    }
    Err(if sources.is_set("nats-max-pending-bytes") {
        let problem = format!("{queue} is too small for a message; it needs {needed_bytes}");
        sources.error("nats-max-pending-bytes", &problem)
    } else {
        let problem = format!("{payload} does not fit into nats-max-pending-bytes ({queue})");
        sources.error("nats-max-payload", &problem)
    })
}

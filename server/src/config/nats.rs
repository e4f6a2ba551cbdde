//! The settings of NATS.

use super::ConfigError;
use super::settings::Settings;
use super::shared::{
    AddressOptions, CertificateOptions, ConnectionOptions, QueueOptions, TlsOptions, UserOptions,
};
use super::table::Options;
use super::users::users_file;
use super::values::{Listen, from, listen, ms, text, within};
use crate::codec::nats::ParserLimits;
use crate::limits;
use crate::nats::accounts::{AccountName, GLOBAL, SYSTEM};
use crate::nats::authentication::{Authentication, Grant, Secret, User};
use crate::nats::settings::{HandshakeFirst, NatsVersion, TlsSettings, WebSocketSettings};
use crate::nats::{NatsSettings, SlowConsumer};
use clap::builder::NonEmptyStringValueParser;
use clap::{Arg, Args};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Args, Debug)]
#[command(next_help_heading = "NATS")]
pub struct NatsOptions {
    #[command(flatten)]
    listen: AddressOptions,
    /// Configuration file of nats-server, of which what Fanfare has counts too: addresses, limits,
    /// users, accounts, certificates, WebSockets, hubs. What does not is named in the log
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Name that the server gives itself
    #[arg(long, value_name = "NAME", default_value = "fanfare")]
    server_name: String,
    /// Version of nats-server to behave like, where versions differ
    #[arg(long, value_name = "2.9|2.15", default_value = "2.15", value_parser = version)]
    version: NatsVersion,
    /// Maximum size of a message, including its headers
    #[arg(long, value_name = "BYTES", default_value_t = limits::NATS_PAYLOAD_BYTES,
        value_parser = within::<usize>(0..=PAYLOAD_BYTES_MAX))]
    max_payload: usize,
    /// Maximum length of the arguments on a control line
    #[arg(long, value_name = "BYTES", default_value_t = limits::NATS_CONTROL_LINE_BYTES,
        value_parser = within::<usize>(64..=1 << 20))]
    max_control_line: usize,
    /// Maximum number of subscriptions of one connection
    #[arg(long, value_name = "N", default_value_t = limits::NATS_SUBSCRIPTIONS,
        value_parser = from(1))]
    max_subscriptions: usize,
    /// Maximum number of subscriptions of all NATS connections together
    #[arg(long, value_name = "N", default_value_t = limits::NATS_TOTAL_SUBSCRIPTIONS,
        value_parser = from(1))]
    total_subscriptions: usize,
    #[command(flatten)]
    connections: ConnectionOptions,
    /// A client that is silent for this long is sent a PING
    #[arg(long, value_name = "MS", default_value_t = limits::NATS_PING_INTERVAL_MS,
        value_parser = ms(1))]
    ping_interval_ms: u64,
    /// PINGs that a client may leave unanswered
    #[arg(long, value_name = "N", default_value_t = limits::NATS_PING_MAX,
        value_parser = within::<u32>(0..=1_000))]
    ping_max: u32,
    /// A client that has to authenticate must do so in this time
    #[arg(long, value_name = "MS", default_value_t = limits::NATS_AUTHENTICATION_TIMEOUT_MS,
        value_parser = ms(1))]
    auth_timeout_ms: u64,
    #[command(flatten)]
    user: UserOptions,
    /// TOML file with users and what each may do
    #[arg(long, value_name = "FILE")]
    users_file: Option<PathBuf>,
    /// Name of the user that clients are which do not say who they are
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    no_auth_user: Option<String>,
    /// Account that is told of connects and disconnects, and that asks the server how it is
    #[arg(long, value_name = "NAME", default_value = SYSTEM)]
    system_account: String,
    /// Let every client in without credentials on an address that other machines can reach
    #[arg(long)]
    allow_anonymous: bool,
    #[command(flatten)]
    tls: TlsOptions,
    /// The users are those that the certificates of clients name: by mail address, host, URI or
    /// subject; needs a nats-tls-ca
    #[arg(long)]
    tls_verify_and_map: bool,
    /// Refuse clients that do not use TLS; true by default once there is a nats-tls-cert
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true",
        hide_possible_values = true)]
    tls_required: Option<bool>,
    /// Whether the handshake comes before INFO: `true`, `false`, or `auto` for clients that begin
    /// with it
    #[arg(long, value_name = "true|false|auto", default_value = "false",
        value_parser = handshake_first)]
    tls_handshake_first: HandshakeFirst,
    /// The handshake has to be over in this time
    #[arg(long, value_name = "MS", default_value_t = limits::NATS_TLS_HANDSHAKE_MS,
        value_parser = ms(1))]
    tls_timeout_ms: u64,
    /// Where clients connect by WebSocket: HOST:PORT, or `off`. With certificates it speaks TLS
    #[arg(long, value_name = "ADDR|off", default_value = "off", value_parser = listen)]
    websocket: Listen,
    /// Web pages that may connect by WebSocket besides those from the same address: origins
    /// separated by commas, or `*` for all
    #[arg(long, value_name = "ORIGINS")]
    websocket_origins: Option<String>,
    #[command(flatten)]
    queue: QueueOptions,
    /// What happens to a slow connection: `disconnect` it, or `drop` messages and tell it how many
    #[arg(long, value_name = "disconnect|drop", default_value = "disconnect",
        value_parser = slow_consumer)]
    slow_consumer: SlowConsumer,
}

impl Options for NatsOptions {
    const TABLE: &'static str = "nats";
    const RELOADED: &'static [&'static [&'static str]] = &[
        &ConnectionOptions::KEYS,
        &["user", "password", "password-file", "token", "token-file", "users-file", "no-auth-user"],
        &["tls-verify-and-map"],
        // Whether clients have to show a certificate, they are told in the greeting.
        &["tls-cert", "tls-key"],
    ];

    fn adapt(shared: Arg) -> Arg {
        match shared.get_id().as_str() {
            "address" => shared.default_value("127.0.0.1:4222"),
            "connections" => shared.alias("nats-max-connections"),
            "connections_per_address" => shared.alias("nats-max-connections-per-address"),
            "queue_messages" => shared
                .default_value(text(limits::NATS_PENDING_MESSAGES))
                .alias("nats-max-pending-messages"),
            "queue_bytes" => shared
                .default_value(text(limits::NATS_PENDING_BYTES))
                .alias("nats-max-pending-bytes"),
            "wait_ms" => shared.default_value(text(limits::NATS_WAIT_MS)),
            "write_deadline_ms" => shared.default_value(text(limits::NATS_WRITE_DEADLINE_MS)),
            _ => shared,
        }
    }
}

/// The largest message that can be allowed. nats-server's sizes have nine digits, and a queue has
/// to take one.
const PAYLOAD_BYTES_MAX: u64 = 256 << 20;

fn version(text: &str) -> Result<NatsVersion, String> {
    match text {
        "2.9" => Ok(NatsVersion::V2_9),
        "2.15" => Ok(NatsVersion::V2_15),
        _ => Err("is neither 2.9 nor 2.15".to_owned()),
    }
}

fn handshake_first(text: &str) -> Result<HandshakeFirst, String> {
    match text {
        "false" => Ok(HandshakeFirst::Never),
        "true" => Ok(HandshakeFirst::Always),
        "auto" => {
            let time = Duration::from_millis(limits::NATS_TLS_FIRST_MS);
            Ok(HandshakeFirst::Within(time))
        }
        _ => Err("is neither true, false nor auto".to_owned()),
    }
}

fn slow_consumer(text: &str) -> Result<SlowConsumer, String> {
    match text {
        "disconnect" => Ok(SlowConsumer::Disconnect),
        "drop" => Ok(SlowConsumer::Drop),
        _ => Err("is neither disconnect nor drop".to_owned()),
    }
}

impl NatsOptions {
    /// Where NATS listens, and its settings, if they fit together.
    pub fn config(
        self,
        settings: &Settings,
        of_all: &CertificateOptions,
    ) -> Result<(Option<SocketAddr>, NatsSettings), ConfigError> {
        let authentication = self.authentication(settings)?;
        let accounts = authentication.accounts();
        check_account(accounts, "nats-system-account", &self.system_account, settings)?;
        let nats = NatsSettings {
            authentication,
            system_account: self.system_account.clone().into(),
            tls: self.tls(settings, of_all)?,
            web_socket: self.web_socket(settings)?,
            server_name: self.server_name,
            version: self.version,
            connections: self.connections.limits(),
            parser: ParserLimits {
                payload_bytes: self.max_payload,
                control_line_bytes: self.max_control_line,
            },
            subscriptions: self.max_subscriptions,
            total_subscriptions: self.total_subscriptions,
            ping_interval: Duration::from_millis(self.ping_interval_ms),
            ping_max: self.ping_max,
            authentication_timeout: Duration::from_millis(self.auth_timeout_ms),
            pending_messages: self.queue.queue_messages,
            pending_bytes: self.queue.queue_bytes,
            wait: self.queue.wait(),
            slow_consumer: self.slow_consumer,
            write_deadline: self.queue.write_deadline(),
        };
        fits_a_message(&nats, settings)?;
        let is_guarded = nats.authentication.is_required() || self.allow_anonymous;
        let remedy = "nats-user and nats-password, nats-token or nats-users-file, or \
                      nats-allow-anonymous";
        settings.guard("nats", self.listen.address, is_guarded, remedy)?;
        settings.guard("nats-websocket", self.websocket, is_guarded, remedy)?;
        Ok((self.listen.address.0, nats))
    }

    fn web_socket(&self, settings: &Settings) -> Result<Option<WebSocketSettings>, ConfigError> {
        let Some(address) = self.websocket.0 else { return Ok(None) };
        if self.listen.address.0.is_none() {
            return Err(settings.error("nats-websocket", "needs a nats that is not off"));
        }
        let origins = self.websocket_origins.as_deref().unwrap_or_default();
        let origins = origins.split(',').map(str::trim).filter(|origin| !origin.is_empty());
        Ok(Some(WebSocketSettings { address, origins: origins.map(str::to_owned).collect() }))
    }

    fn authentication(&self, settings: &Settings) -> Result<Authentication, ConfigError> {
        let mut users = Vec::new();
        if let Some((name, password)) = self.user.user("nats", settings)? {
            let password = Secret::new(password);
            users.push(User { name, password: Some(password), grant: Grant::default() });
        }
        let mut nkeys = Vec::new();
        if let Some(path) = &self.users_file {
            let (with_password, with_key) =
                users_file(path).map_err(|problem| settings.error("nats-users-file", &problem))?;
            users.extend(with_password);
            nkeys = with_key;
        }
        if let Some(file) = self.config.as_ref().and(settings.nats_file()) {
            users.extend(file.users.iter().cloned());
            nkeys.extend(file.nkeys.iter().cloned());
        }
        let file = if self.users_file.is_some() { "nats-users-file" } else { "nats-config" };
        let mut names = HashSet::new();
        if !users.iter().all(|user| names.insert(user.name.as_str())) {
            return Err(settings.error(file, "names a user twice"));
        }
        let maps_certificates = self.tls_verify_and_map;
        if maps_certificates && !self.tls.verifies_clients() {
            return Err(settings.error("nats-tls-verify-and-map", "needs a nats-tls-ca"));
        }
        let without = users.iter().find(|user| user.password.is_none() && !maps_certificates);
        if let Some(User { name, .. }) = without {
            let problem = format!("user {name}: the password is missing");
            return Err(settings.error(file, &problem));
        }
        let token = self.user.token.clone().map(Secret::new);
        let no_auth_user = self.no_auth_user.clone();
        let authentication =
            Authentication { users, nkeys, maps_certificates, token, no_auth_user };
        if let Some(name) = &authentication.no_auth_user
            && authentication.user(name).is_none()
        {
            return Err(settings.error("nats-no-auth-user", "is no user"));
        }
        Ok(authentication)
    }

    fn tls(
        &self,
        settings: &Settings,
        of_all: &CertificateOptions,
    ) -> Result<Option<TlsSettings>, ConfigError> {
        let Some(identity) = self.tls.identity("nats", settings, of_all)? else {
            if self.tls_required == Some(true) {
                let problem = "needs a nats-tls-cert and a nats-tls-key";
                return Err(settings.error("nats-tls-required", problem));
            }
            return Ok(None);
        };
        Ok(Some(TlsSettings {
            identity,
            is_required: self.tls_required.unwrap_or(true),
            handshake_timeout: Duration::from_millis(self.tls_timeout_ms),
            verifies_clients: self.tls.verifies_clients(),
            first: self.tls_handshake_first,
        }))
    }
}

/// Refuses an account that nobody is in.
pub fn check_account(
    mut accounts: impl Iterator<Item = AccountName>,
    name: &str,
    account: &str,
    settings: &Settings,
) -> Result<(), ConfigError> {
    if [GLOBAL, SYSTEM].contains(&account) || accounts.any(|known| *known == *account) {
        return Ok(());
    }
    Err(settings.error(name, "is no account of a user"))
}

/// A queue that cannot take even one message would drop everything.
fn fits_a_message(nats: &NatsSettings, settings: &Settings) -> Result<(), ConfigError> {
    let queue_bytes = nats.pending_bytes;
    let needed_bytes = nats.parser.payload_bytes + nats.parser.control_line_bytes + 256;
    if queue_bytes >= needed_bytes {
        return Ok(());
    }
    Err(if settings.is_set("nats-queue-bytes") {
        let problem = format!("is too small for a message; it needs {needed_bytes}");
        settings.error("nats-queue-bytes", &problem)
    } else {
        let problem = format!("does not fit into nats-queue-bytes ({queue_bytes})");
        settings.error("nats-max-payload", &problem)
    })
}

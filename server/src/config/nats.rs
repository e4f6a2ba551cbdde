//! The settings of NATS.

use super::ConfigError;
use super::settings::Settings;
use super::shared::{
    AddressOptions, CertificateOptions, ConnectionOptions, OriginOptions, QueueOptions, TlsOptions,
    UserOptions,
};
use super::table::Options;
use super::users::users_file;
use super::values::{choice, from, ms, within};
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
    /// Configuration file of nats-server, from which Fanfare takes addresses, limits, users,
    /// accounts, certificates, WebSockets and hubs. The log names what it does not take
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Name of the server, as clients see it
    #[arg(long, value_name = "NAME", default_value = "fanfare")]
    server_name: String,
    /// Version of nats-server to behave like, where versions differ
    #[arg(long, value_name = "2.9|2.15", default_value = "2.15",
        value_parser = choice([("2.9", NatsVersion::V2_9), ("2.15", NatsVersion::V2_15)]))]
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
    /// Send a PING to a client that is silent for this long
    #[arg(long, value_name = "MS", default_value_t = limits::NATS_PING_INTERVAL_MS,
        value_parser = ms(1))]
    ping_interval_ms: u64,
    /// PINGs that a client may leave unanswered
    #[arg(long, value_name = "N", default_value_t = limits::NATS_PING_MAX,
        value_parser = within::<u32>(0..=1_000))]
    ping_max: u32,
    /// Time in which a client must authenticate
    #[arg(long, value_name = "MS", default_value_t = limits::NATS_AUTHENTICATION_TIMEOUT_MS,
        value_parser = ms(1))]
    auth_timeout_ms: u64,
    #[command(flatten)]
    user: UserOptions,
    /// TOML file with users and what each may do
    #[arg(long, value_name = "FILE")]
    users_file: Option<PathBuf>,
    /// User of clients that give no credentials
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    no_auth_user: Option<String>,
    /// Account that gets events about clients and may ask for monitoring documents
    #[arg(long, value_name = "NAME", default_value = SYSTEM)]
    system_account: String,
    /// Let every client in without credentials on an address that other machines can reach
    #[arg(long)]
    allow_anonymous: bool,
    #[command(flatten)]
    tls: TlsOptions,
    /// Take each client's user from its certificate: mail address, host, URI or subject; needs a
    /// nats-tls-ca
    #[arg(long)]
    tls_verify_and_map: bool,
    /// Refuse clients that do not use TLS; true by default if there is a nats-tls-cert
    #[arg(long, value_name = "true|false", num_args = 0..=1, default_missing_value = "true",
        hide_possible_values = true)]
    tls_required: Option<bool>,
    /// Whether the TLS handshake comes before INFO: `true`, `false`, or `auto`, which lets each
    /// client choose
    #[arg(long, value_name = "true|false|auto", default_value = "false",
        value_parser = choice(HANDSHAKE_FIRST))]
    tls_handshake_first: HandshakeFirst,
    /// Time in which a client must finish the TLS handshake
    #[arg(long, value_name = "MS", default_value_t = limits::NATS_TLS_HANDSHAKE_MS,
        value_parser = ms(1))]
    tls_timeout_ms: u64,
    #[command(flatten)]
    queue: QueueOptions,
    /// What happens to a slow connection: `disconnect` it, or `drop` messages and tell it how many
    #[arg(long, value_name = "disconnect|drop", default_value = "disconnect",
        value_parser = choice(SLOW_CONSUMER))]
    slow_consumer: SlowConsumer,
}

impl Options for NatsOptions {
    const TABLE: &'static str = "nats";
    const RELOADED: &'static [&'static [&'static str]] = &[
        &ConnectionOptions::KEYS,
        &["user", "password", "password-file", "token", "token-file", "users-file", "no-auth-user"],
        &["tls-verify-and-map"],
        // Not tls-ca: the greeting says whether clients must show a certificate.
        &["tls-cert", "tls-key"],
    ];

    fn adapt(shared: Arg) -> Arg {
        match shared.get_id().as_str() {
            "address" => shared.default_value("127.0.0.1:4222"),
            "connections" => shared.alias("nats-max-connections"),
            "connections_per_address" => shared.alias("nats-max-connections-per-address"),
            "queue_messages" => shared
                .default_value(limits::NATS_PENDING_MESSAGES.to_string())
                .alias("nats-max-pending-messages"),
            "queue_bytes" => shared
                .default_value(limits::NATS_PENDING_BYTES.to_string())
                .alias("nats-max-pending-bytes"),
            "wait_ms" => shared.default_value(limits::NATS_WAIT_MS.to_string()),
            "write_deadline_ms" => shared.default_value(limits::NATS_WRITE_DEADLINE_MS.to_string()),
            _ => shared,
        }
    }
}

/// NATS over WebSockets.
#[derive(Args, Debug)]
#[command(next_help_heading = "NATS over WebSockets")]
pub struct NatsWebSocketOptions {
    #[command(flatten)]
    listen: AddressOptions,
    #[command(flatten)]
    origins: OriginOptions,
    #[command(flatten)]
    tls: TlsOptions,
}

impl Options for NatsWebSocketOptions {
    const TABLE: &'static str = "nats-websocket";
    const RELOADED: &'static [&'static [&'static str]] = &[&TlsOptions::KEYS];

    fn adapt(shared: Arg) -> Arg {
        match shared.get_id().as_str() {
            "address" => shared.default_value("off"),
            "tls_cert" => shared.help(
                "PEM file with certificates for WebSockets, in place of those of NATS; `off`: no \
                 TLS here",
            ),
            _ => shared,
        }
    }
}

/// The largest `max_payload`. A size in NATS's protocol has up to nine digits, and a queue must
/// have room for one message.
const PAYLOAD_BYTES_MAX: u64 = 256 << 20;

const HANDSHAKE_FIRST: [(&str, HandshakeFirst); 3] = [
    ("true", HandshakeFirst::Always),
    ("false", HandshakeFirst::Never),
    ("auto", HandshakeFirst::Within(Duration::from_millis(limits::NATS_TLS_FIRST_MS))),
];

const SLOW_CONSUMER: [(&str, SlowConsumer); 2] =
    [("disconnect", SlowConsumer::Disconnect), ("drop", SlowConsumer::Drop)];

impl NatsOptions {
    /// Where NATS listens, and its settings, if they fit together.
    pub fn config(
        self,
        web_socket: &NatsWebSocketOptions,
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
            web_socket: self.web_socket(web_socket, settings, of_all)?,
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
        let message_bytes = nats.parser.payload_bytes + nats.parser.control_line_bytes + 256;
        let message = ("a message", "nats-max-payload", message_bytes);
        self.queue.check_fits(Self::TABLE, message, settings)?;
        let is_guarded = nats.authentication.is_required() || self.allow_anonymous;
        let remedy = "nats-user and nats-password, nats-token or nats-users-file, or \
                      nats-allow-anonymous";
        settings.guard("nats", self.listen.address, is_guarded, remedy)?;
        settings.guard("nats-websocket", web_socket.listen.address, is_guarded, remedy)?;
        Ok((self.listen.address.0, nats))
    }

    fn web_socket(
        &self,
        options: &NatsWebSocketOptions,
        settings: &Settings,
        of_all: &CertificateOptions,
    ) -> Result<Option<WebSocketSettings>, ConfigError> {
        let Some(address) = options.listen.address.0 else { return Ok(None) };
        if self.listen.address.0.is_none() {
            return Err(settings.error("nats-websocket", "needs a nats that is not off"));
        }
        // Read anew even where they are those of NATS, since a reload may change one of the two.
        let own = TlsOptions::KEYS.map(|key| format!("nats-websocket-{key}"));
        let tls = if own.iter().any(|name| settings.is_set(name)) {
            options.tls.identity("nats-websocket", settings, of_all)?
        } else {
            self.tls.identity("nats", settings, of_all)?
        };
        Ok(Some(WebSocketSettings { address, origins: options.origins.list(), tls }))
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
            return Err(settings.error("nats-tls-verify-and-map", "needs nats-tls-ca"));
        }
        // As whom everybody comes in, nobody has to prove to be.
        let needs_password = |user: &&User| self.no_auth_user.as_ref() != Some(&user.name);
        let mut without = users.iter().filter(|user| user.password.is_none());
        let without = without.find(|user| !maps_certificates && needs_password(user));
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
            return Err(settings.error("nats-no-auth-user", "is not a user"));
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
                let problem = "needs nats-tls-cert and nats-tls-key";
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
    Err(settings.error(name, "is not the account of any user"))
}

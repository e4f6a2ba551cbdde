//! Settings that several front-ends have. Each front-end takes them into its own table, with
//! defaults of its own where it needs them.

use super::ConfigError;
use super::settings::Settings;
use super::values::{Listen, from, listed, listen, ms, within};
use crate::connection::ConnectionLimits;
use crate::limits;
use crate::transport::{Identity, IdentityError, Idle, Trust, WriterSettings};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use fanfare::limits::{QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where a front-end listens.
#[derive(Args, Debug)]
pub struct AddressOptions {
    /// Where it listens: HOST:PORT, or `off`; port 0 picks a free port
    #[arg(long, value_name = "ADDR|off", value_parser = listen)]
    pub address: Listen,
}

/// The files that TLS needs.
#[derive(Args, Debug)]
pub struct CertificateOptions {
    /// PEM file with certificates for this front-end alone, in place of tls-cert; `off`: no TLS
    /// here
    #[arg(long, value_name = "FILE|off")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the key of the first certificate
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
}

/// The TLS of a front-end or of a link.
#[derive(Args, Debug)]
pub struct TlsOptions {
    #[command(flatten)]
    own: CertificateOptions,
    /// PEM file with the authorities for the certificates that clients must then show
    #[arg(long, value_name = "FILE")]
    tls_ca: Option<PathBuf>,
}

/// A user with a password, and a token.
#[derive(Args, Debug)]
pub struct UserOptions {
    /// Name of a user who may connect; requires a password
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    user: Option<String>,
    /// That user's password, or its bcrypt hash
    #[arg(long, value_name = "PASSWORD", value_parser = NonEmptyStringValueParser::new(),
        hide_env_values = true)]
    password: Option<String>,
    /// Token with which any client may connect, or its bcrypt hash
    #[arg(long, value_name = "TOKEN", value_parser = NonEmptyStringValueParser::new(),
        hide_env_values = true)]
    pub token: Option<String>,
}

/// The web pages that may use a front-end.
#[derive(Args, Debug)]
pub struct OriginOptions {
    /// Web pages that may connect besides those from the same address: origins separated by
    /// commas, or `*` for all
    #[arg(long, value_name = "ORIGINS")]
    origins: Option<String>,
}

/// How many connections a front-end takes.
#[derive(Args, Debug)]
pub struct ConnectionOptions {
    /// Maximum number of connections
    #[arg(long, value_name = "N", default_value_t = limits::MAX_CONNECTIONS,
        value_parser = from(1))]
    connections: usize,
    /// Maximum number of connections from one address (IPv6: from one /64)
    #[arg(long, value_name = "N", default_value_t = limits::MAX_CONNECTIONS_PER_ADDRESS,
        value_parser = from(1))]
    connections_per_address: usize,
}

/// The bounds of a client's queue, and how long messages and the client may wait.
#[derive(Args, Debug)]
pub struct QueueOptions {
    /// Maximum number of messages queued for one client; in chat, for each of its rooms
    #[arg(long, value_name = "N", value_parser = within::<usize>(1..=QUEUE_MESSAGES_MAX as u64))]
    pub queue_messages: usize,
    /// Maximum number of bytes queued for one client; in chat, for each of its rooms
    #[arg(long, value_name = "BYTES", value_parser = within::<usize>(1..=QUEUE_BYTES_MAX as u64))]
    pub queue_bytes: usize,
    /// How long a message waits for clients whose queues are full; then they miss it, or count as
    /// slow
    #[arg(long, value_name = "MS", value_parser = ms(0))]
    wait_ms: u64,
    /// Disconnect a client that reads nothing of what is queued for it in this time
    #[arg(long, value_name = "MS", default_value_t = limits::WRITE_DEADLINE_MS,
        value_parser = ms(1))]
    write_deadline_ms: u64,
}

/// How the server finds clients that are gone, and how much it renders ahead for each client.
#[derive(Args, Debug)]
pub struct WriterOptions {
    /// Bytes rendered ahead for one client while the network is not ready for them
    #[arg(long, value_name = "BYTES", default_value_t = limits::WRITE_BUFFER_BYTES,
        value_parser = from(256))]
    write_buffer_bytes: usize,
    /// Send a ping to a client that is silent for this long
    #[arg(long, value_name = "MS", default_value_t = limits::IDLE_MS, value_parser = ms(1))]
    idle_ms: u64,
    /// Pings without a sign of life after which a client is disconnected
    #[arg(long, value_name = "N", default_value_t = limits::IDLE_MISSES,
        value_parser = within::<u32>(1..=1_000))]
    idle_misses: u32,
    /// Disconnect a client that answers no ping, even if it reads what it is sent
    #[arg(long)]
    idle_answer_required: bool,
}

impl ConnectionOptions {
    /// Its keys in the file.
    pub const KEYS: [&'static str; 2] = ["connections", "connections-per-address"];

    pub fn limits(&self) -> ConnectionLimits {
        ConnectionLimits { total: self.connections, per_address: self.connections_per_address }
    }
}

impl OriginOptions {
    pub fn list(&self) -> Vec<String> {
        listed(self.origins.as_deref().unwrap_or_default()).map(str::to_owned).collect()
    }
}

impl CertificateOptions {
    /// The files of the certificates and of the key. The names of the settings begin with `prefix`.
    fn pair(
        &self,
        prefix: &str,
        settings: &Settings,
    ) -> Result<Option<(&Path, &Path)>, ConfigError> {
        let names = ["cert", "key"].map(|which| format!("{prefix}tls-{which}"));
        both((self.tls_cert.as_deref(), self.tls_key.as_deref()), names, settings)
    }
}

impl TlsOptions {
    /// The certificates and the key of a table's front-end, its own or those of all front-ends;
    /// `None` for no TLS.
    pub fn identity(
        &self,
        table: &str,
        settings: &Settings,
        of_all: &CertificateOptions,
    ) -> Result<Option<Identity>, ConfigError> {
        if self.own.tls_cert.as_deref() == Some(Path::new("off")) {
            return Ok(None);
        }
        let own = format!("{table}-");
        let (pair, prefix) = match self.own.pair(&own, settings)? {
            Some(pair) => (Some(pair), own.as_str()),
            None => (of_all.pair("", settings)?, ""),
        };
        let Some((certificates, key)) = pair else {
            let problem = format!("needs {table}-tls-cert");
            let lacking = self.tls_ca.as_ref();
            let lacking = lacking.map(|_| settings.error(&format!("{table}-tls-ca"), &problem));
            return lacking.map_or(Ok(None), Err);
        };
        let identity = Identity::read(certificates, key, self.tls_ca.as_deref());
        identity.map(Some).map_err(|error| wrong(&error, (prefix, &own), settings))
    }

    /// The authorities that a table's link trusts, and the certificate that it shows; `None` for no
    /// TLS.
    pub fn trust(&self, table: &str, settings: &Settings) -> Result<Option<Trust>, ConfigError> {
        let own = format!("{table}-");
        let shown = self.own.pair(&own, settings)?;
        let Some(authorities) = &self.tls_ca else {
            let problem = format!("needs {table}-tls-ca");
            let lacking = shown.map(|_| settings.error(&format!("{table}-tls-cert"), &problem));
            return lacking.map_or(Ok(None), Err);
        };
        let trust = Trust::read(Some(authorities), shown);
        trust.map(Some).map_err(|error| wrong(&error, (&own, &own), settings))
    }

    /// Its keys in the file that a reload can change.
    pub const KEYS: [&'static str; 3] = ["tls-cert", "tls-key", "tls-ca"];

    /// Whether clients have to show a certificate.
    pub fn verifies_clients(&self) -> bool {
        self.tls_ca.is_some()
    }
}

/// The names of the settings begin with `of_pair` for the certificates and the key, and with
/// `of_authorities` for the others.
fn wrong(
    error: &IdentityError,
    (of_pair, of_authorities): (&str, &str),
    settings: &Settings,
) -> ConfigError {
    let (prefix, which) = match error {
        IdentityError::Certificates(..) => (of_pair, "cert"),
        IdentityError::Key(..) => (of_pair, "key"),
        IdentityError::Authorities(..) => (of_authorities, "ca"),
    };
    settings.error(&format!("{prefix}tls-{which}"), &error.to_string())
}

impl UserOptions {
    /// The name and the password of a table's user.
    pub fn user(
        &self,
        table: &str,
        settings: &Settings,
    ) -> Result<Option<(String, String)>, ConfigError> {
        let names = ["user", "password"].map(|which| format!("{table}-{which}"));
        both((self.user.clone(), self.password.clone()), names, settings)
    }
}

/// Two settings of these names that need each other.
fn both<T>(
    values: (Option<T>, Option<T>),
    [one, other]: [String; 2],
    settings: &Settings,
) -> Result<Option<(T, T)>, ConfigError> {
    match values {
        (Some(value), Some(its_pair)) => Ok(Some((value, its_pair))),
        (None, None) => Ok(None),
        (Some(_), None) => Err(settings.error(&one, &format!("needs {other}"))),
        (None, Some(_)) => Err(settings.error(&other, &format!("needs {one}"))),
    }
}

impl QueueOptions {
    /// Refuses a queue that cannot take even one message, since it would drop everything. The
    /// message comes with what it is called, the setting that bounds it, and the bytes it needs.
    pub fn check_fits(
        &self,
        table: &str,
        (message, its_setting, needed_bytes): (&str, &str, usize),
        settings: &Settings,
    ) -> Result<(), ConfigError> {
        let (setting, queue_bytes) = (format!("{table}-queue-bytes"), self.queue_bytes);
        if queue_bytes >= needed_bytes {
            Ok(())
        } else if settings.is_set(&setting) {
            let problem = format!("is too small for {message}; it needs {needed_bytes}");
            Err(settings.error(&setting, &problem))
        } else {
            let problem = format!("does not fit into {setting} ({queue_bytes})");
            Err(settings.error(its_setting, &problem))
        }
    }

    pub fn wait(&self) -> Duration {
        Duration::from_millis(self.wait_ms)
    }

    pub fn write_deadline(&self) -> Duration {
        Duration::from_millis(self.write_deadline_ms)
    }
}

impl WriterOptions {
    pub fn settings(&self, queue: &QueueOptions) -> WriterSettings {
        WriterSettings {
            buffer_bytes: self.write_buffer_bytes,
            deadline: queue.write_deadline(),
            idle: Idle {
                interval: Duration::from_millis(self.idle_ms),
                misses: self.idle_misses,
                answer_required: self.idle_answer_required,
            },
        }
    }
}

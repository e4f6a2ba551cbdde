//! The settings of the link to a cluster.

use super::ConfigError;
use super::file::read;
use super::nats::check_account;
use super::settings::Settings;
use super::shared::{QueueOptions, TlsOptions, UserOptions};
use super::table::Options;
use crate::cluster::{ClusterSettings, parse_hubs};
use crate::codec::nats::nkey::Seed;
use crate::codec::nats::{Credentials, ServerAddress};
use crate::limits;
use crate::nats::NatsSettings;
use crate::nats::accounts::GLOBAL;
use clap::{Arg, Args};
use fanfare::Pattern;
use std::path::PathBuf;

#[derive(Args, Debug)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterOptions {
    /// Hubs of a NATS cluster to join as a leaf node, separated by commas:
    /// nats://USER:PASSWORD@HOST:7422
    #[arg(long, value_name = "HUBS", value_parser = hubs)]
    address: Option<Hubs>,
    /// Name of this server in the cluster, which must be unique; by default the host's name and a
    /// random part
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
    #[command(flatten)]
    user: UserOptions,
    /// Seed of the NKEY with which this server answers a hub's challenge
    #[arg(long, value_name = "SEED", value_parser = Seed::parse, hide_env_values = true)]
    nkey_seed: Option<Seed>,
    /// File with a JWT and the seed of its user, as written by nsc
    #[arg(long, value_name = "FILE")]
    creds_file: Option<PathBuf>,
    #[command(flatten)]
    tls: TlsOptions,
    /// Begin with the TLS handshake, for hubs with handshake_first
    #[arg(long)]
    tls_handshake_first: bool,
    /// Subjects to share with the cluster that otherwise stay on this server, separated by commas:
    /// chat.room.lobby,push.group.news
    #[arg(long, value_name = "SUBJECTS", value_parser = patterns)]
    share: Option<Patterns>,
    /// The only subjects whose messages may leave for the cluster
    #[arg(long, value_name = "SUBJECTS", value_parser = patterns)]
    export: Option<Patterns>,
    /// The only subjects whose messages may come from the cluster
    #[arg(long, value_name = "SUBJECTS", value_parser = patterns)]
    import: Option<Patterns>,
    /// Subjects whose messages are numbered between servers, so losses are counted exactly; give
    /// all servers of the cluster the same
    #[arg(long, value_name = "SUBJECTS", value_parser = patterns)]
    sequence: Option<Patterns>,
    /// Account of this server that joins the cluster
    #[arg(long, value_name = "NAME", default_value = GLOBAL)]
    account: String,
    #[command(flatten)]
    queue: QueueOptions,
}

impl Options for ClusterOptions {
    const TABLE: &'static str = "cluster";
    const IS_REPEATED: bool = true;
    const RELOADED: &'static [&'static [&'static str]] = &[
        &["user", "password", "password-file", "token", "token-file"],
        &["nkey-seed", "nkey-seed-file", "creds-file"],
        &TlsOptions::KEYS,
    ];

    fn adapt(shared: Arg) -> Arg {
        match shared.get_id().as_str() {
            "user" => shared.help("User name of this server at hubs whose addresses have none"),
            "password" => shared.help("That user's password"),
            "token" => shared.help("Token of this server at hubs whose addresses have no user"),
            "tls_ca" => shared.help(
                "PEM file with the authorities for the hubs' certificates; turns on TLS, which \
                 every hub must then speak",
            ),
            "tls_cert" => shared.value_name("FILE").help(
                "PEM file with the certificates of this server, for hubs that ask for them; \
                 requires the key",
            ),
            "queue_messages" => shared
                .default_value(limits::CLUSTER_QUEUE_MESSAGES.to_string())
                .help("Maximum number of messages queued for the hub"),
            "queue_bytes" => shared
                .default_value(limits::CLUSTER_QUEUE_BYTES.to_string())
                .help("Maximum number of bytes queued for the hub"),
            "wait_ms" => shared
                .default_value(limits::CLUSTER_WAIT_MS.to_string())
                .help("How long a message waits for a full link; then the cluster misses it"),
            "write_deadline_ms" => shared
                .default_value(limits::CLUSTER_WRITE_DEADLINE_MS.to_string())
                .help("Leave a hub that reads nothing of what is queued for it in this time"),
            _ => shared,
        }
    }
}

/// Settings that need a hub to dial.
const NEED_A_HUB: [&str; 10] = [
    "cluster-name",
    "cluster-user",
    "cluster-password",
    "cluster-token",
    "cluster-nkey-seed",
    "cluster-creds-file",
    "cluster-share",
    "cluster-export",
    "cluster-import",
    "cluster-sequence",
];

#[derive(Clone, Debug)]
struct Hubs(Vec<ServerAddress>);

#[derive(Clone, Debug)]
struct Patterns(Vec<Pattern>);

fn hubs(text: &str) -> Result<Hubs, String> {
    let hubs = parse_hubs(text);
    hubs.map(Hubs).map_err(|problem| format!("names no hubs: {problem}"))
}

fn patterns(text: &str) -> Result<Patterns, String> {
    let patterns = text.split(',').map(|part| Pattern::parse(part.trim()));
    let patterns = patterns.collect::<Result<_, _>>();
    patterns.map(Patterns).map_err(|error| format!("is not a list of subjects: {error}"))
}

/// A name without blanks, which hubs would refuse.
fn name(text: &str) -> Result<String, String> {
    match text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.is_empty() {
        true => Ok(text.to_owned()),
        false => Err("must be one or more visible ASCII characters".to_owned()),
    }
}

/// All links, each in the account of a user. An account may have several links, to different
/// clusters: two links to the same one would bring everything twice.
pub fn links(
    settings: &Settings,
    nats: &NatsSettings,
) -> Result<Vec<ClusterSettings>, ConfigError> {
    let mut links: Vec<ClusterSettings> = Vec::new();
    for settings in settings.each() {
        let options = settings.read::<ClusterOptions>()?;
        let Some(mut link) = options.config(settings)? else { continue };
        let accounts = nats.authentication.accounts();
        check_account(accounts, "cluster-account", &link.account, settings)?;
        let Some(title) = limits::CLUSTER_TITLES.get(links.len()) else {
            let problem = format!("is one link too many; there can be {}", links.len());
            return Err(settings.error("cluster", &problem));
        };
        link.title = title;
        for other in links.iter().filter(|other| other.account == link.account) {
            if link.hubs.iter().any(|hub| other.hubs.iter().any(|it| it.is_same_place(hub))) {
                let problem = "names a hub of another link of the same account";
                return Err(settings.error("cluster", problem));
            }
            if link.name.is_some() && link.name == other.name {
                let problem = "is the name of another link of the same account";
                return Err(settings.error("cluster-name", problem));
            }
        }
        links.push(link);
    }
    Ok(links)
}

impl ClusterOptions {
    /// The link, if there is to be one.
    fn config(self, settings: &Settings) -> Result<Option<ClusterSettings>, ConfigError> {
        let Some(Hubs(hubs)) = &self.address else {
            return match NEED_A_HUB.iter().find(|name| settings.is_set(name)) {
                Some(name) => Err(settings.error(name, "needs a cluster to join: --cluster HUBS")),
                None => Ok(None),
            };
        };
        let tls = self.tls.trust(Self::TABLE, settings)?;
        if tls.is_none() && hubs.iter().any(|hub| hub.needs_tls) {
            return Err(settings.error("cluster", "needs cluster-tls-ca for tls://"));
        }
        if tls.is_none() && self.tls_handshake_first {
            let problem = "needs cluster-tls-ca";
            return Err(settings.error("cluster-tls-handshake-first", problem));
        }
        Ok(Some(ClusterSettings {
            title: limits::CLUSTER_TITLES[0],
            hubs: hubs.clone(),
            credentials: self.credentials(settings)?,
            tls,
            tls_first: self.tls_handshake_first,
            name: self.name,
            account: self.account.into(),
            shared: self.share.map_or_else(Vec::new, |patterns| patterns.0),
            exports: self.export.map(|patterns| patterns.0),
            imports: self.import.map(|patterns| patterns.0),
            numbered: self.sequence.map_or_else(Vec::new, |patterns| patterns.0),
            wait: self.queue.wait(),
            write_deadline: self.queue.write_deadline(),
            queue_messages: self.queue.queue_messages,
            queue_bytes: self.queue.queue_bytes,
        }))
    }

    fn credentials(&self, settings: &Settings) -> Result<Credentials, ConfigError> {
        let user = self.user.user(Self::TABLE, settings)?;
        let by_name = user.is_some() || self.user.token.is_some();
        let creds = match &self.creds_file {
            Some(_) if by_name || self.nkey_seed.is_some() => {
                let problem = "and another way to say who the server is cannot both be set";
                return Err(settings.error("cluster-creds-file", problem));
            }
            Some(file) => {
                let text = read(file).and_then(|text| Credentials::of_creds(&text));
                text.map_err(|problem| settings.error("cluster-creds-file", &problem))?
            }
            None => Credentials { seed: self.nkey_seed.clone(), ..Credentials::default() },
        };
        let (user, password) = user.unzip();
        Ok(Credentials { user, password, token: self.user.token.clone(), ..creds })
    }
}

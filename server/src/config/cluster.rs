//! The settings of the link to a cluster.

use super::ConfigError;
use super::settings::Settings;
use super::table::Options;
use super::values::{ms, within};
use crate::cluster::settings::Credentials;
use crate::cluster::{ClusterSettings, HubAddress};
use crate::limits;
use crate::nats::accounts::GLOBAL;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use fanfare::Pattern;
use fanfare::limits::{QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX};
use std::time::Duration;

#[derive(Args, Debug)]
#[command(next_help_heading = "Cluster")]
pub struct ClusterOptions {
    /// Hubs of a NATS cluster to join as a leaf node, with commas between them:
    /// nats://USER:PASSWORD@HOST:7422
    #[arg(long, value_name = "HUBS", value_parser = hubs)]
    address: Option<Hubs>,
    /// Name of this server in the cluster, which no other may have; by default made of the host's
    /// name and a random part
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: Option<String>,
    /// Name of the user that this server is to a hub whose address names none
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    user: Option<String>,
    /// That user's password
    #[arg(long, value_name = "PASSWORD", value_parser = NonEmptyStringValueParser::new(),
        hide_env_values = true)]
    password: Option<String>,
    /// Token for a hub whose address names no user
    #[arg(long, value_name = "TOKEN", value_parser = NonEmptyStringValueParser::new(),
        hide_env_values = true)]
    token: Option<String>,
    /// Subjects that otherwise stay on this server and are shared with the cluster, with commas
    /// between them: chat.room.lobby,push.group.news
    #[arg(long, value_name = "SUBJECTS", value_parser = patterns)]
    share: Option<Patterns>,
    /// The only subjects whose messages may leave for the cluster
    #[arg(long, value_name = "SUBJECTS", value_parser = patterns)]
    export: Option<Patterns>,
    /// The only subjects whose messages may come from the cluster
    #[arg(long, value_name = "SUBJECTS", value_parser = patterns)]
    import: Option<Patterns>,
    /// Account of this server that joins the cluster
    #[arg(long, value_name = "NAME", default_value = GLOBAL)]
    account: String,
    /// Maximum number of messages queued for the hub
    #[arg(long, value_name = "N", default_value_t = limits::CLUSTER_QUEUE_MESSAGES,
        value_parser = within::<usize>(1..=QUEUE_MESSAGES_MAX as u64))]
    queue_messages: usize,
    /// Maximum number of bytes queued for the hub
    #[arg(long, value_name = "BYTES", default_value_t = limits::CLUSTER_QUEUE_BYTES,
        value_parser = within::<usize>(1..=QUEUE_BYTES_MAX as u64))]
    queue_bytes: usize,
    /// How long a message waits for a full link; then the cluster misses it
    #[arg(long, value_name = "MS", default_value_t = limits::CLUSTER_WAIT_MS,
        value_parser = ms(0))]
    wait_ms: u64,
    /// A hub that takes none of what waits for it in this time is left for another
    #[arg(long, value_name = "MS", default_value_t = limits::CLUSTER_WRITE_DEADLINE_MS,
        value_parser = ms(1))]
    write_deadline_ms: u64,
}

impl Options for ClusterOptions {
    const TABLE: &'static str = "cluster";
}

#[derive(Clone, Debug)]
struct Hubs(Vec<HubAddress>);

#[derive(Clone, Debug)]
struct Patterns(Vec<Pattern>);

fn hubs(text: &str) -> Result<Hubs, String> {
    let hubs = HubAddress::parse_list(text);
    hubs.map(Hubs).map_err(|problem| format!("names no hubs: {problem}"))
}

fn patterns(text: &str) -> Result<Patterns, String> {
    let patterns = text.split(',').map(|part| Pattern::parse(part.trim()));
    let patterns = patterns.collect::<Result<_, _>>();
    patterns.map(Patterns).map_err(|error| format!("is no list of subjects: {error}"))
}

/// Hubs refuse blanks.
fn name(text: &str) -> Result<String, String> {
    match text.bytes().all(|byte| byte.is_ascii_graphic()) && !text.is_empty() {
        true => Ok(text.to_owned()),
        false => Err("must be one or more visible ASCII characters".to_owned()),
    }
}

impl ClusterOptions {
    /// The link, if there is to be one.
    pub fn config(self, settings: &Settings) -> Result<Option<ClusterSettings>, ConfigError> {
        let Some(Hubs(hubs)) = self.address else {
            let without = ["name", "user", "password", "token", "share", "export", "import"];
            let set = without.map(|key| format!("cluster-{key}"));
            return match set.iter().find(|name| settings.is_set(name)) {
                Some(name) => Err(settings.error(name, "needs a cluster to join: --cluster HUBS")),
                None => Ok(None),
            };
        };
        if self.user.is_some() != self.password.is_some() {
            let set = if self.user.is_some() { "cluster-user" } else { "cluster-password" };
            return Err(settings.error(set, "needs both a cluster-user and a cluster-password"));
        }
        Ok(Some(ClusterSettings {
            hubs,
            name: self.name,
            account: self.account.into(),
            credentials: Credentials {
                user: self.user,
                password: self.password,
                token: self.token,
            },
            shared: self.share.map_or_else(Vec::new, |patterns| patterns.0),
            exports: self.export.map(|patterns| patterns.0),
            imports: self.import.map(|patterns| patterns.0),
            queue_messages: self.queue_messages,
            queue_bytes: self.queue_bytes,
            wait: Duration::from_millis(self.wait_ms),
            write_deadline: Duration::from_millis(self.write_deadline_ms),
        }))
    }
}

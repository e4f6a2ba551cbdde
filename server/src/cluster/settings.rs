//! The settings of a link to a cluster.

use crate::codec::nats::{Credentials, GLOBAL, ServerAddress};
use crate::limits;
use crate::transport::{Idle, Trust, WriterSettings};
use fanfare::{Pattern, Topic, WhenFull};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How the server joins a cluster. The default is what [`limits`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The link's name in figures and logs.
    pub title: &'static str,
    /// The hubs to dial. They announce the other hubs of their cluster.
    pub hubs: Vec<ServerAddress>,
    /// The server's name, unique in the cluster. `None`: the host's name and a random part.
    pub name: Option<String>,
    /// The name of this server's account that joins.
    pub account: Arc<str>,
    /// The credentials for hubs whose address has none.
    pub credentials: Credentials,
    /// The authorities whose certificates the server accepts; `None` for a link without TLS.
    pub tls: Option<Trust>,
    /// Whether the TLS handshake comes before the hub says anything.
    pub tls_first: bool,
    /// Topics that are shared with the cluster although they stay at home by default.
    pub shared: Vec<Pattern>,
    /// The only topics whose messages may leave; `None`: all that do not stay at home.
    pub exports: Option<Vec<Pattern>>,
    /// The only topics whose messages may come in; `None`: all that do not stay at home.
    pub imports: Option<Vec<Pattern>>,
    /// Topics whose messages are numbered, so that losses between servers are counted.
    pub numbered: Vec<Pattern>,
    /// Maximum number of messages queued for the hub.
    pub queue_messages: usize,
    /// Maximum number of bytes queued for the hub.
    pub queue_bytes: usize,
    /// How long a publish waits for a full link.
    pub wait: Duration,
    /// How long a hub may read nothing of what is queued for it. Then another is dialled.
    pub write_deadline: Duration,
}

/// The port on which hubs listen for leaf nodes unless told otherwise.
const HUB_PORT: u16 = 7422;

/// Subjects that stay at home unless they are shared: events of the server itself, chat, pushes.
const HOME: [&str; 4] = ["$SYS.>", "fanfare.>", "chat.>", "push.>"];

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            title: limits::CLUSTER_TITLES[0],
            hubs: Vec::new(),
            name: None,
            account: GLOBAL.into(),
            credentials: Credentials::default(),
            tls: None,
            tls_first: false,
            shared: Vec::new(),
            exports: None,
            imports: None,
            numbered: Vec::new(),
            queue_messages: limits::CLUSTER_QUEUE_MESSAGES,
            queue_bytes: limits::CLUSTER_QUEUE_BYTES,
            wait: Duration::from_millis(limits::CLUSTER_WAIT_MS),
            write_deadline: Duration::from_millis(limits::CLUSTER_WRITE_DEADLINE_MS),
        }
    }
}

impl ClusterSettings {
    /// These settings with the credentials and TLS of `new`; `None` if `new` is for another link.
    pub fn renewed(&self, new: &Self) -> Option<Self> {
        let is_same = (&self.hubs, &self.account) == (&new.hubs, &new.account);
        let (credentials, tls) = (new.credentials.clone(), new.tls.clone());
        is_same.then(|| Self { credentials, tls, ..self.clone() })
    }

    /// Whether messages of this topic are numbered.
    pub(super) fn numbers(&self, topic: &Topic) -> bool {
        self.numbered.iter().any(|pattern| pattern.matches(topic))
    }

    /// The topics that stay at home unless they are shared.
    pub(super) fn home() -> Vec<Pattern> {
        HOME.iter().filter_map(|text| Pattern::parse(text).ok()).collect()
    }

    pub(super) fn when_full(&self) -> WhenFull {
        WhenFull::Wait(self.wait)
    }

    pub(super) fn writer(&self) -> WriterSettings {
        WriterSettings {
            buffer_bytes: limits::CLUSTER_WRITE_BUFFER_BYTES,
            deadline: self.write_deadline,
            idle: Idle {
                interval: Duration::from_millis(limits::CLUSTER_PING_INTERVAL_MS),
                misses: limits::CLUSTER_PING_MAX,
                answer_required: true,
            },
        }
    }
}

/// Parses the address of a hub in nats-server's form.
pub fn parse_hub(text: &str) -> Result<ServerAddress, String> {
    ServerAddress::parse(text, HUB_PORT)
}

/// The hub `told`, which `by` has listed. Hubs usually list each other by IP address, so the
/// certificate must then have the name of `by`.
pub(super) fn told_by(told: ServerAddress, by: &ServerAddress) -> ServerAddress {
    let is_address = |hub: &ServerAddress| hub.host.parse::<IpAddr>().is_ok();
    let certificate_name = match is_address(&told) && !is_address(by) {
        true => by.certificate_name.clone(),
        false => told.certificate_name,
    };
    ServerAddress { credentials: by.credentials.clone(), certificate_name, ..told }
}

/// Parses hubs separated by commas.
pub fn parse_hubs(text: &str) -> Result<Vec<ServerAddress>, String> {
    let hubs: Vec<_> = text.split(',').map(str::trim).map(parse_hub).collect::<Result<_, _>>()?;
    match hubs.len() {
        0..=limits::CLUSTER_ADDRESSES_MAX => Ok(hubs),
        many => Err(format!("names {many} hubs; at most {}", limits::CLUSTER_ADDRESSES_MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hubs_are_named_as_nats_names_them() {
        let hub = |text: &str| {
            let hub = parse_hub(text).unwrap();
            let Credentials { user, password, token, .. } = hub.credentials.clone();
            (hub.to_string(), [user, password, token].map(Option::unwrap_or_default))
        };
        let none = [""; 3].map(str::to_owned);
        assert_eq!(hub("nats://hub1:7000"), ("hub1:7000".to_owned(), none.clone()));
        assert_eq!(hub("hub1"), ("hub1:7422".to_owned(), none.clone()));
        assert_eq!(hub("leaf://[::1]:9/"), ("[::1]:9".to_owned(), none.clone()));
        assert_eq!(hub("[::1]"), ("[::1]:7422".to_owned(), none));
        let with_password = ["me", "p@ss", ""].map(str::to_owned);
        assert_eq!(hub("nats://me:p%40ss@hub:1"), ("hub:1".to_owned(), with_password));
        let token = ["t", "", "t"].map(str::to_owned);
        assert_eq!(hub("nats://t@hub:1"), ("hub:1".to_owned(), token));
        for wrong in ["", "nats://", "nats://:1", "hub:", "hub:99999", "http://hub", "a b:1"] {
            assert!(parse_hub(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse_hubs("a:1, nats://b:2").unwrap().len(), 2);
        assert!(parse_hub("tls://a").unwrap().needs_tls);
        let shown = format!("{:?}", parse_hubs("nats://me:secret@a:1"));
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn a_hub_told_by_its_address_has_a_certificate_of_the_same_name() {
        let name = |told: &str, by: &str| {
            let [told, by] = [told, by].map(|text| parse_hub(text).unwrap());
            told_by(told, &by).certificate_name
        };
        assert_eq!(name("10.0.0.2:7422", "u:p@hub.example"), "hub.example");
        assert_eq!(name("other.example:7422", "hub.example"), "other.example");
        assert_eq!(name("10.0.0.2:7422", "10.0.0.1"), "10.0.0.2");
    }
}

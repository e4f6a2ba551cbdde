//! Every bound and interval of a link to a cluster.

use crate::limits;
use crate::transport::{Idle, WriterSettings};
use fanfare::{Pattern, WhenFull};
use percent_encoding::percent_decode_str;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// How the server joins a cluster. The default is what [`limits`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterSettings {
    /// The hubs to dial. Others of the same cluster are found by themselves.
    pub hubs: Vec<HubAddress>,
    /// The server's name in the cluster, where no other has it. `None`: made of the host's name and
    /// a random part.
    pub name: Option<String>,
    /// The account of this server that joins, by its name.
    pub account: Arc<str>,
    /// Who the server is to the hub.
    pub credentials: Credentials,
    /// Topics that otherwise stay at home, and are shared.
    pub shared: Vec<Pattern>,
    /// The only topics whose messages may leave; `None`: all that do not stay at home.
    pub exports: Option<Vec<Pattern>>,
    /// The only topics whose messages may come in; `None`: all that do not stay at home.
    pub imports: Option<Vec<Pattern>>,
    /// Messages queued for the hub.
    pub queue_messages: usize,
    /// Bytes queued for the hub.
    pub queue_bytes: usize,
    /// How long a publish waits for a full link.
    pub wait: Duration,
    /// A hub has to take at least one byte of what waits for it in this time.
    pub write_deadline: Duration,
}

/// Where a hub listens for leaf nodes.
#[derive(Clone, PartialEq, Eq)]
pub struct HubAddress {
    /// Its host, a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Who the server is to this hub, if the address says so.
    pub credentials: Credentials,
}

/// Who the server is to a hub.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The name of a user.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// A token.
    pub token: Option<String>,
}

/// The port on which hubs listen for leaf nodes unless told otherwise.
const HUB_PORT: u16 = 7422;

/// What stays at home unless it is shared: what servers say of themselves, rooms and people of the
/// chat, and pushes.
const HOME: [&str; 4] = ["$SYS.>", "fanfare.>", "chat.>", "push.>"];

impl Default for ClusterSettings {
    fn default() -> Self {
        Self {
            hubs: Vec::new(),
            name: None,
            account: "$G".into(),
            credentials: Credentials::default(),
            shared: Vec::new(),
            exports: None,
            imports: None,
            queue_messages: limits::CLUSTER_QUEUE_MESSAGES,
            queue_bytes: limits::CLUSTER_QUEUE_BYTES,
            wait: Duration::from_millis(limits::CLUSTER_WAIT_MS),
            write_deadline: Duration::from_millis(limits::CLUSTER_WRITE_DEADLINE_MS),
        }
    }
}

impl ClusterSettings {
    /// What stays at home.
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

impl HubAddress {
    /// Reads `[nats://][user[:password]@]host[:port]`, or continues a sentence with what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = match text.split_once("://") {
            Some(("nats" | "nats-leaf" | "leaf", rest)) => rest,
            Some((scheme, _)) => return Err(format!("{scheme}:// cannot be dialled; use nats://")),
            None => text,
        };
        let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        let place = place.strip_suffix('/').unwrap_or(place);
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
            _ => (place, Some(HUB_PORT)),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_host = !host.is_empty() && !host.contains([' ', '/', ',']);
        match port.filter(|_| is_host) {
            Some(port) => {
                Ok(Self { host: host.to_owned(), port, credentials: Credentials::parse(user)? })
            }
            None => Err(format!("{place} is no HOST:PORT")),
        }
    }

    /// Reads several, with commas between them.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        let hubs: Vec<Self> =
            text.split(',').map(str::trim).map(Self::parse).collect::<Result<_, _>>()?;
        match hubs.len() {
            0..=limits::CLUSTER_ADDRESSES_MAX => Ok(hubs),
            many => Err(format!("names {many} hubs; {} will do", limits::CLUSTER_ADDRESSES_MAX)),
        }
    }
}

impl Credentials {
    fn parse(text: &str) -> Result<Self, String> {
        let decoded = |part: &str| {
            let text = percent_decode_str(part).decode_utf8();
            text.map(|text| Some(text.into_owned())).map_err(|_| "is not UTF-8".to_owned())
        };
        Ok(match text.split_once(':') {
            _ if text.is_empty() => Self::default(),
            Some((user, password)) => {
                Self { user: decoded(user)?, password: decoded(password)?, token: None }
            }
            // As nats-server's leaf does: a user without a password may be a token.
            None => Self { user: decoded(text)?, password: None, token: decoded(text)? },
        })
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Without its secrets, so that it can be logged.
impl fmt::Debug for HubAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl fmt::Display for HubAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(out, "[{}]:{}", self.host, self.port),
            false => write!(out, "{}:{}", self.host, self.port),
        }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Credentials of {:?}", self.user)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hubs_are_named_as_nats_names_them() {
        let hub = |text: &str| {
            let hub = HubAddress::parse(text).unwrap();
            let Credentials { user, password, token } = hub.credentials.clone();
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
            assert!(HubAddress::parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(HubAddress::parse_list("a:1, nats://b:2").unwrap().len(), 2);
        let shown = format!("{:?}", HubAddress::parse_list("nats://me:secret@a:1"));
        assert!(!shown.contains("secret"), "{shown}");
    }
}

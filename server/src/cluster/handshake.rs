//! A hub's `INFO`, and a leaf node's `CONNECT`.

use crate::codec::nats::subject::pattern_text;
use crate::codec::nats::{Credentials, GLOBAL, Proof};
use fanfare::Pattern;
use serde::{Deserialize, Serialize};

/// The version of nats-server that the link claims to be, since hubs may require one.
const VERSION: &str = "2.9.10";

/// An `INFO` of a hub. Missing fields have their defaults; fields of later versions are ignored.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub(super) struct HubInfo {
    pub server_id: String,
    pub server_name: String,
    pub version: String,
    pub client_id: u64,
    pub headers: bool,
    pub max_payload: usize,
    pub tls_required: bool,
    /// A challenge for leaf nodes that have a key to sign it with.
    pub nonce: String,
    /// Whether it has streams.
    pub jetstream: bool,
    /// The name of its streams' domain, if they have one.
    pub domain: String,
    /// Whether it answers `CONNECT` with another `INFO`.
    pub info_on_connect: bool,
    /// Whether this is that answer.
    pub connect_info: bool,
    /// The hub's account that the link belongs to.
    pub remote_account: String,
    /// Where the hubs of the cluster listen for leaf nodes.
    pub leafnode_urls: Option<Vec<String>>,
    /// What the link may subscribe to.
    pub import: Option<Rules>,
    /// What the link may publish.
    pub export: Option<Rules>,
}

#[derive(Serialize)]
struct Connect<'a> {
    version: &'a str,
    name: &'a str,
    cluster: &'a str,
    server_id: &'a str,
    headers: bool,
    protocol: u8,
    remote_account: &'a str,
    jetstream: bool,
    #[serde(flatten)]
    proof: Proof<'a>,
}

impl HubInfo {
    /// Parses the JSON of an `INFO`; `None` if it is not one.
    pub fn parse(json: &[u8]) -> Option<Self> {
        serde_json::from_slice(json).ok()
    }

    /// Whether it comes from a port for leaf nodes. Other ports list no addresses for leaf nodes.
    pub fn is_of_a_leafnode_port(&self) -> bool {
        self.client_id != 0 && self.leafnode_urls.as_ref().is_some_and(|urls| !urls.is_empty())
    }

    /// The hub's name, or its id if it has no name.
    pub fn name(&self) -> &str {
        if self.server_name.is_empty() { &self.server_id } else { &self.server_name }
    }

    /// Whether the hub can serve a group that also has members here. Hubs of 2.9 may choose the
    /// sender, and then drop the message.
    pub fn takes_over(&self) -> bool {
        let mut numbers = self.version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let (major, minor) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        (major, minor) >= (2, 10)
    }
}

/// Appends `CONNECT`. Name, cluster and account tell a hub that an old connection of ours is dead.
/// Two leaf nodes with the same `cluster` hear nothing from each other.
pub(super) fn append_connect(
    out: &mut Vec<u8>,
    (name, server_id): (&str, &str),
    credentials: &Credentials,
    nonce: &str,
) {
    let connect = Connect {
        version: VERSION,
        name,
        cluster: name,
        server_id,
        headers: true,
        protocol: 1,
        remote_account: GLOBAL,
        jetstream: false,
        proof: credentials.proof(nonce),
    };
    // Numbers, flags and texts can always be written as JSON.
    let json = serde_json::to_vec(&connect).unwrap_or_default();
    for part in [&b"CONNECT "[..], &json, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

/// The subjects that a leaf node may subscribe to, or publish on.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(default)]
pub(super) struct Rules {
    allow: Option<Vec<String>>,
    deny: Vec<String>,
}

impl Rules {
    /// The allowed patterns; `None`: everything that is not denied.
    pub fn allowed(&self) -> Option<Vec<Pattern>> {
        self.allow.as_ref().map(|allow| patterns(allow))
    }

    pub fn denied(&self) -> Vec<Pattern> {
        patterns(&self.deny)
    }
}

/// The patterns that can match a topic here; longer or deeper ones match none.
fn patterns(texts: &[String]) -> Vec<Pattern> {
    let texts = texts.iter().filter_map(|text| pattern_text(text.as_bytes()));
    texts.filter_map(|text| Pattern::parse(text).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_of_any_version_is_understood() {
        let info = HubInfo::parse(
            br#"{"server_id":"N1","version":"2.15.1","client_id":8,"max_payload":1048576,"new":{},
                "leafnode_urls":["a:1"],"import":{"allow":["a.>"]},"export":{"deny":["b"]}} "#,
        )
        .unwrap();
        assert!(info.is_of_a_leafnode_port() && info.takes_over() && info.name() == "N1");
        assert_eq!(info.import.unwrap().allowed().unwrap().len(), 1);
        assert_eq!(info.export.unwrap().denied().len(), 1);
        let of_clients = HubInfo::parse(br#"{"client_id":8,"version":"2.9.10"}"#).unwrap();
        assert!(!of_clients.is_of_a_leafnode_port() && !of_clients.takes_over());
        assert!(HubInfo::parse(b"what").is_none());
    }

    #[test]
    fn connect_names_the_cluster_after_the_server_and_leaves_out_unset_credentials() {
        let mut line = Vec::new();
        append_connect(&mut line, ("n", "id"), &Credentials::default(), "");
        let line = String::from_utf8(line).unwrap();
        assert!(line.contains(r#""name":"n","cluster":"n","server_id":"id","headers":true"#));
        for unknown in ["user", "auth_token", "nkey", "sig", "jwt"] {
            assert!(!line.contains(unknown), "{line}");
        }
    }
}

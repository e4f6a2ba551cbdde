//! `INFO`: what the server says of itself.

use super::settings::{IN_RUST, NatsSettings};
use crate::codec::nats::append_info;
use serde::Serialize;
use std::net::{IpAddr, SocketAddr};

/// The part of `INFO` that is the same for all connections of a server.
#[derive(Clone, Debug)]
pub struct ServerInfo {
    pub server_id: String,
    pub server_name: String,
    pub version: &'static str,
    pub host: String,
    port: u16,
    max_payload: usize,
    /// Whether it matters who clients are, and whether they have to say it.
    authentication: (bool, bool),
    tls_required: bool,
    tls_available: bool,
    tls_verify: bool,
}

#[derive(Serialize)]
struct Info<'a> {
    server_id: &'a str,
    server_name: &'a str,
    version: &'a str,
    proto: u8,
    /// Clients' tools print it.
    go: &'a str,
    host: &'a str,
    port: u16,
    headers: bool,
    #[serde(skip_serializing_if = "is_false")]
    auth_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_available: bool,
    #[serde(skip_serializing_if = "is_false")]
    tls_verify: bool,
    max_payload: usize,
    client_id: u64,
    client_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    ldm: bool,
    #[serde(skip_serializing_if = "is_false")]
    connect_info: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    remote_account: Option<&'a str>,
    #[serde(skip_serializing_if = "is_false")]
    acc_is_sys: bool,
}

/// The client that it is for.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// The client's number.
    pub client_id: u64,
    /// Where it is.
    pub client_ip: IpAddr,
    /// The nonce that it may sign to authenticate.
    pub nonce: Option<&'a str>,
}

/// The occasion on which `INFO` is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occasion<'a> {
    /// Before anything else.
    Greeting,
    /// The client has connected.
    Connected {
        account: &'a str,
        /// Whether that is the account that is told of connects.
        is_system: bool,
    },
    /// The server is going to end.
    LameDuck,
}

impl ServerInfo {
    /// Makes it for the server with this id that listens at `address`.
    pub fn new(settings: &NatsSettings, address: SocketAddr, server_id: &str) -> Self {
        Self {
            server_id: server_id.to_owned(),
            server_name: settings.server_name.clone(),
            version: settings.version.as_str(),
            host: address.ip().to_string(),
            port: address.port(),
            max_payload: settings.parser.payload_bytes,
            authentication: (
                settings.authentication.is_required(),
                settings.authentication.must_be_given(),
            ),
            tls_required: settings.tls.as_ref().is_some_and(|tls| tls.is_required),
            tls_available: settings.tls.as_ref().is_some_and(|tls| !tls.is_required),
            tls_verify: settings.tls.as_ref().is_some_and(|tls| tls.verifies_clients),
        }
    }

    /// Appends the `INFO` line for one client.
    pub fn append(
        &self,
        out: &mut Vec<u8>,
        Recipient { client_id, client_ip, nonce }: Recipient<'_>,
        occasion: Occasion<'_>,
    ) {
        let (connected_to, acc_is_sys) = match occasion {
            Occasion::Connected { account, is_system } => (Some(account), is_system),
            Occasion::Greeting | Occasion::LameDuck => (None, false),
        };
        let (is_authenticated, must_authenticate) = self.authentication;
        let info = Info {
            server_id: &self.server_id,
            server_name: &self.server_name,
            version: self.version,
            proto: 1,
            go: IN_RUST,
            host: &self.host,
            port: self.port,
            headers: true,
            // Where clients without credentials act as a user, nobody has to authenticate. Once
            // connected, they are told that they have.
            auth_required: must_authenticate || is_authenticated && connected_to.is_some(),
            tls_required: self.tls_required,
            tls_available: self.tls_available,
            tls_verify: self.tls_verify,
            max_payload: self.max_payload,
            client_id,
            client_ip: client_ip.to_string(),
            nonce,
            ldm: occasion == Occasion::LameDuck,
            connect_info: connected_to.is_some(),
            remote_account: connected_to,
            acc_is_sys,
        };
        // Numbers, flags and texts always are JSON.
        let json = serde_json::to_vec(&info).unwrap_or_default();
        append_info(out, &json);
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_false(flag: &bool) -> bool {
    !flag
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nats::authentication::Secret;
    use crate::nats::settings::NatsVersion;
    use serde_json::Value;

    fn info(settings: &NatsSettings, occasion: Occasion<'_>) -> Value {
        let server = ServerInfo::new(settings, "127.0.0.1:4222".parse().unwrap(), "NID");
        let mut line = Vec::new();
        let client_ip = "10.0.0.1".parse().unwrap();
        let recipient = Recipient { client_id: 7, client_ip, nonce: None };
        server.append(&mut line, recipient, occasion);
        let json = line.strip_prefix(b"INFO ").and_then(|line| line.strip_suffix(b"\r\n")).unwrap();
        serde_json::from_slice(json).unwrap()
    }

    #[test]
    fn clients_find_what_they_look_for() {
        let said = info(&NatsSettings::default(), Occasion::Greeting);
        assert_eq!(
            (&said["version"], &said["proto"], &said["headers"]),
            (&NatsVersion::V2_15.as_str().into(), &1.into(), &true.into())
        );
        assert_eq!((&said["host"], &said["port"]), (&"127.0.0.1".into(), &4222.into()));
        assert_eq!((&said["client_id"], &said["client_ip"]), (&7.into(), &"10.0.0.1".into()));
        assert_eq!(
            (&said["max_payload"], &said["server_name"]),
            (&1_048_576.into(), &"fanfare".into())
        );
        assert_eq!(said["server_id"], "NID");
        assert!(said["go"].is_string());
        // Only there when they apply.
        for word in ["auth_required", "ldm", "connect_info", "remote_account"] {
            assert!(said.get(word).is_none(), "{word}");
        }
    }

    #[test]
    fn info_says_what_applies() {
        let mut settings = NatsSettings::default();
        settings.authentication.token = Some(Secret::new("x"));
        settings.version = NatsVersion::V2_9;
        let said = info(&settings, Occasion::LameDuck);
        assert_eq!(said["version"], "2.9.10");
        assert_eq!((&said["auth_required"], &said["ldm"]), (&true.into(), &true.into()));
        settings.authentication.no_auth_user = Some("a".to_owned());
        assert!(info(&settings, Occasion::Greeting).get("auth_required").is_none());
        let connected = Occasion::Connected { account: "A", is_system: true };
        let said = info(&settings, connected);
        assert_eq!((&said["connect_info"], &said["remote_account"]), (&true.into(), &"A".into()));
        assert_eq!((&said["auth_required"], &said["acc_is_sys"]), (&true.into(), &true.into()));
    }
}

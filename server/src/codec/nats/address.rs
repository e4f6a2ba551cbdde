//! The address of a NATS server, with what a client needs to get in.

use super::Credentials;
use std::fmt;

/// Where a server listens, and how to get in.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerAddress {
    /// Its host, a name or an address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The credentials for this server, if the address has them.
    pub credentials: Credentials,
    /// The host name or address that its certificate must have.
    pub certificate_name: String,
    /// Whether the address asks for TLS.
    pub needs_tls: bool,
}

impl ServerAddress {
    /// Reads `[nats://|tls://][user[:password]@]host[:port]`, or continues a sentence with what is
    /// wrong.
    pub fn parse(text: &str, default_port: u16) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or(("nats", text));
        if !["nats", "nats-leaf", "leaf", "tls"].contains(&scheme) {
            return Err(format!("{scheme}:// cannot be dialled; use nats:// or tls://"));
        }
        let (user, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        let place = place.strip_suffix('/').unwrap_or(place);
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => (host, port.parse().ok()),
            _ => (place, Some(default_port)),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let is_host = !host.is_empty() && !host.contains([' ', '/', ',']);
        match port.filter(|_| is_host) {
            Some(port) => Ok(Self {
                host: host.to_owned(),
                port,
                credentials: Credentials::of_address(user)?,
                certificate_name: host.to_owned(),
                needs_tls: scheme == "tls",
            }),
            None => Err(format!("{place} is not HOST:PORT")),
        }
    }

    /// Whether both are the same port of the same host.
    pub fn is_same_place(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }
}

/// Without its secrets, so that it can be logged.
impl fmt::Debug for ServerAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{self}")
    }
}

impl fmt::Display for ServerAddress {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(out, "[{}]:{}", self.host, self.port),
            false => write!(out, "{}:{}", self.host, self.port),
        }
    }
}

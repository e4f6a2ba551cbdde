//! Flags for TLS and credentials, the same for all commands that connect to a server.

use crate::codec::nats::{Credentials, ServerAddress};
use crate::transport::{IdentityError, Trust};
use clap::Args;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// A server and the credentials for it.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// `HOST:PORT`
    pub address: String,
    /// How to log in.
    pub credentials: Credentials,
    /// For TLS; empty until the user or the server asks for it.
    pub trust: OnceLock<Trust>,
    /// Whether the TLS handshake comes before the server says anything.
    pub tls_first: bool,
}

/// TLS with a server.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "TLS")]
pub struct ClientTls {
    /// Speak TLS, and trust the system's certificate authorities
    #[arg(long)]
    tls: bool,
    /// Speak TLS; PEM file with the authorities to trust, in place of the system's
    #[arg(long, value_name = "FILE", aliases = ["ca", "tlsca"])]
    tls_ca: Option<PathBuf>,
    /// Speak TLS; PEM file with the certificates for a server that asks for them
    #[arg(long, value_name = "FILE", requires = "tls_key", alias = "tlscert")]
    tls_cert: Option<PathBuf>,
    /// PEM file with the key of the first certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert", alias = "tlskey")]
    tls_key: Option<PathBuf>,
}

/// A way into a NATS or Redis server.
#[derive(Args, Clone, Debug, Default, PartialEq, Eq)]
#[command(next_help_heading = "Login")]
pub struct Login {
    /// Log in as this user; without a password, this is a token
    #[arg(long, value_name = "NAME", env = "NATS_USER", hide_env_values = true)]
    user: Option<String>,
    /// The user's password
    #[arg(long, value_name = "PASSWORD", env = "NATS_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Log in with this token
    #[arg(long, value_name = "TOKEN", env = "NATS_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Log in with the NKEY whose seed is in this file
    #[arg(long, value_name = "FILE", env = "NATS_NKEY", hide_env_values = true)]
    nkey: Option<PathBuf>,
    /// Log in with the user JWT and seed in this credentials file, as `nsc` writes it
    #[arg(long, value_name = "FILE", env = "NATS_CREDS", hide_env_values = true)]
    creds: Option<PathBuf>,
    #[command(flatten)]
    tls: ClientTls,
    /// Begin with the TLS handshake, for NATS servers that have handshake_first
    #[arg(long, alias = "tlsfirst")]
    tls_first: bool,
}

impl ClientTls {
    /// The authorities to trust and the certificate to show; `None` for no TLS.
    pub fn trust(&self) -> Result<Option<Trust>, String> {
        let shown = self.tls_cert.as_deref().zip(self.tls_key.as_deref());
        if !self.tls && self.tls_ca.is_none() && shown.is_none() {
            return Ok(None);
        }
        let trust = Trust::read(self.tls_ca.as_deref(), shown);
        trust.map(Some).map_err(|error| match &error {
            IdentityError::Certificates(_) => format!("--tls-cert {error}"),
            IdentityError::Key(_) => format!("--tls-key {error}"),
            IdentityError::Authorities(_) => format!("--tls-ca {error}"),
        })
    }
}

impl Login {
    /// Access to the server at `[nats://|tls://][user[:password]@]host[:port]`. Flags override what
    /// the address says.
    pub fn access(&self, server: &str, default_port: u16) -> Result<Access, String> {
        let server = ServerAddress::parse(server, default_port)
            .map_err(|problem| format!("{server} is not a server: {problem}"))?;
        let tls = ClientTls { tls: self.tls.tls || server.needs_tls, ..self.tls.clone() };
        let trust = tls.trust()?;
        if self.tls_first && trust.is_none() {
            return Err("--tls-first needs --tls".to_owned());
        }
        Ok(Access {
            address: server.to_string(),
            credentials: self.credentials()?.unwrap_or(server.credentials),
            trust: trust.map_or_else(OnceLock::new, OnceLock::from),
            tls_first: self.tls_first,
        })
    }

    /// `None` if the flags name none.
    fn credentials(&self) -> Result<Option<Credentials>, String> {
        if let Some(file) = &self.creds {
            return read("--creds", file, Credentials::of_creds).map(Some);
        }
        if let Some(file) = &self.nkey {
            return read("--nkey", file, Credentials::of_nkey).map(Some);
        }
        let by_name = self.user.clone();
        let by_name = by_name.map(|user| Credentials::of_user(user, self.password.clone()));
        Ok(match (by_name, &self.token) {
            (by_name, None) => by_name,
            (by_name, token) => {
                Some(Credentials { token: token.clone(), ..by_name.unwrap_or_default() })
            }
        })
    }
}

fn read(
    flag: &str,
    file: &Path,
    parse: impl Fn(&str) -> Result<Credentials, String>,
) -> Result<Credentials, String> {
    let text = fs::read_to_string(file).map_err(|error| format!("cannot be read: {error}"));
    let parsed = text.and_then(|text| parse(&text));
    parsed.map_err(|problem| format!("{flag} {} {problem}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_count_before_the_address() {
        let access = |login: &Login, server| login.access(server, 4222).unwrap();
        let mut login = Login::default();
        let by_address = access(&login, "nats://me:pw@host");
        assert_eq!(by_address.address, "host:4222");
        assert_eq!(by_address.credentials, Credentials::of_user("me".into(), Some("pw".into())));
        assert!(by_address.trust.get().is_none());
        assert!(access(&login, "tls://host:1").trust.get().is_some());
        login.token = Some("t".into());
        let by_token = Credentials { token: Some("t".into()), ..Credentials::default() };
        assert_eq!(access(&login, "nats://me:pw@host").credentials, by_token);
        login.user = Some("you".into());
        let both = Credentials { user: Some("you".into()), ..by_token };
        assert_eq!(access(&login, "host").credentials, both);
        login.tls_first = true;
        assert!(login.access("host", 4222).is_err(), "no TLS to begin with");
        assert!(login.access("http://host", 4222).is_err());
    }
}

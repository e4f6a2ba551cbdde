//! Asking an admin listener.

use crate::login::ClientTls;
use crate::transport::{ClientStream, Trust, is_tls_alert, with_port};
use serde_json::Value;
use std::io::{Read, Write};
use std::time::Duration;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most bytes of an answer that are read: far more than the pages asked for have.
const ANSWER_BYTES: u64 = 16 << 20;

/// Where an admin listener is, unless told otherwise.
const DEFAULT_PORT: u16 = 6060;

/// An admin listener.
pub struct Admin {
    /// `host:port`
    address: String,
    authorization: String,
    /// For TLS.
    trust: Option<Trust>,
}

impl Admin {
    /// The listener at `http://host:port`; `http://` and the port may be left out. `https://` and
    /// each setting in `tls` turn on TLS.
    pub fn new(url: &str, token: Option<&str>, tls: &ClientTls) -> Result<Self, String> {
        let secure = url.strip_prefix("https://");
        let address = secure.or(url.strip_prefix("http://")).unwrap_or(url).trim_end_matches('/');
        if address.is_empty() || address.contains(['/', ' ', '\r', '\n']) {
            return Err(format!(
                "{url} is not an admin listener; write it as http://HOST:PORT or https://HOST:PORT"
            ));
        }
        let address = with_port(address, DEFAULT_PORT);
        let authorization =
            token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        let trust = match tls.trust()? {
            None if secure.is_some() => {
                Some(Trust::read(None, None).map_err(|error| error.to_string())?)
            }
            trust => trust,
        };
        Ok(Self { address, authorization, trust })
    }

    /// A page as JSON.
    pub fn json(&self, path: &str) -> Result<Value, String> {
        let body = self.text(path)?;
        serde_json::from_str(&body)
            .map_err(|error| format!("{}{path} is not JSON: {error}", self.address))
    }

    /// A page as it is.
    pub fn text(&self, path: &str) -> Result<String, String> {
        let answer = self
            .ask(path)
            .map_err(|error| format!("{} cannot be reached: {error}", self.address))?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        match head.split(' ').nth(1) {
            Some("200") => Ok(body.to_owned()),
            Some("401") => Err(format!("{} requires a token: --token TOKEN", self.address)),
            Some(status) => {
                Err(format!("{}{path} answers {status}: {}", self.address, body.trim()))
            }
            None if is_tls_alert(answer.as_bytes()) => {
                Err(format!("{} speaks TLS; write https://", self.address))
            }
            None => Err(format!("{} does not speak HTTP", self.address)),
        }
    }

    fn ask(&self, path: &str) -> std::io::Result<String> {
        let stream = ClientStream::connect(&self.address, self.trust.as_ref(), PATIENCE)?;
        let (host, authorization) = (&self.address, &self.authorization);
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{authorization}\r\n"
        );
        (&stream).write_all(request.as_bytes())?;
        let mut answer = Vec::new();
        let read = (&stream).take(ANSWER_BYTES).read_to_end(&mut answer);
        // A reset may follow the alert.
        if !is_tls_alert(&answer) {
            read?;
        }
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_leave_out_what_is_usual() {
        let address = |url| Admin::new(url, None, &ClientTls::default()).map(|admin| admin.address);
        for url in
            ["http://127.0.0.1:6060", "http://127.0.0.1:6060/", "127.0.0.1:6060", "127.0.0.1"]
        {
            assert_eq!(address(url), Ok("127.0.0.1:6060".to_owned()), "{url}");
        }
        assert_eq!(address("http://[::1]"), Ok("[::1]:6060".to_owned()));
        for url in ["", "http://", "ftp://host", "host/path", "a b"] {
            assert!(address(url).is_err(), "{url}");
        }
    }
}

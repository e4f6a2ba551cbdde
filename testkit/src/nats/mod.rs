//! What the NATS tests share: the servers that they run, nats-server and Fanfare, and a raw
//! connection to them.

pub mod hub;
pub mod server;
pub mod settings;
pub mod wire;

use crate::tools;
use server::{Kind, Server};
use settings::Settings;
use std::path::{Path, PathBuf};

/// Starts a server of that kind, where `fanfare` is the binary under test. None, and the test is
/// skipped, where nats-server is not installed.
#[track_caller]
pub fn start(kind: Kind, fanfare: &str, settings: &Settings) -> Option<Server> {
    let program = match kind {
        Kind::NatsServer if settings.newest => tools::nats_server_of("2.15")?,
        Kind::NatsServer => tools::nats_server()?,
        Kind::Fanfare => fanfare.into(),
    };
    Some(Server::start(kind, &program, settings))
}

/// The certificate of `localhost` and 127.0.0.1, which signs itself, for the next hundred years.
pub fn tls_certificate() -> PathBuf {
    tls_file("cert.pem")
}

/// The key of [`tls_certificate`].
pub fn tls_key() -> PathBuf {
    tls_file("key.pem")
}

fn tls_file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tls").join(name)
}

//! The doors that the server listens on, opened before anything runs.

use fanfare_server::config::{AdminConfig, Config};
use fanfare_server::connection::{ConnectionLimits, Listener};
use fanfare_server::file_descriptors;
use fanfare_server::limits::ADMIN_CONNECTIONS;
use fanfare_server::push::DatagramSocket;
use std::io;
use std::net::SocketAddr;

/// The listening sockets; `None` where a door is off.
pub struct Doors {
    pub chat: Option<Listener>,
    pub nats: Option<Listener>,
    pub push: Option<Listener>,
    pub push_datagrams: Option<DatagramSocket>,
    pub push_http: Option<Listener>,
    pub admin: Option<Listener>,
    /// What is not as it was asked for, to be logged once the server runs.
    pub warnings: Vec<String>,
}

impl Doors {
    /// Opens all, or says which cannot be opened.
    pub fn open(config: &mut Config) -> Result<Self, String> {
        let mut warnings = Vec::from_iter(fit(config));
        let listener = |flag, address: Option<SocketAddr>, limits| {
            address
                .map(|address| bind(flag, address, || Listener::bind(address, limits)))
                .transpose()
        };
        let datagrams = |address| bind("--push-udp", address, || DatagramSocket::bind(address));
        let push = &config.push;
        Ok(Self {
            chat: listener("--chat", config.chat_address, config.chat.connections)?,
            nats: listener("--nats", config.nats_address, config.nats.connections)?,
            push: listener("--push", push.address, push.settings.connections)?,
            push_datagrams: push.udp_address.map(datagrams).transpose()?,
            push_http: listener("--push-http", push.http_address, push.http_connections)?,
            admin: bind_admin(&config.admin, &mut warnings)?,
            warnings,
        })
    }
}

/// Lowers the numbers of connections to what the system allows, and says which were lowered.
fn fit(config: &mut Config) -> Option<String> {
    let lowered = file_descriptors::fit(config);
    let lowered: Vec<String> =
        lowered.iter().map(|(door, share)| format!("{door} {share}")).collect();
    let lowered = lowered.join(", ");
    let told = "raise it with ulimit -n";
    let warning =
        format!("the limit on open files allows only these connections: {lowered}; {told}");
    (!lowered.is_empty()).then_some(warning)
}

/// Another program may have the admin port. That stops only those who asked for the admin listener.
fn bind_admin(
    config: &AdminConfig,
    warnings: &mut Vec<String>,
) -> Result<Option<Listener>, String> {
    let Some(address) = config.address else { return Ok(None) };
    let limits = ConnectionLimits::from_anywhere(ADMIN_CONNECTIONS);
    match bind("--admin", address, || Listener::bind(address, limits)) {
        Err(problem) if !config.is_asked_for => {
            warnings.push(format!("no admin listener: {problem}"));
            Ok(None)
        }
        bound => bound.map(Some),
    }
}

fn bind<S>(
    flag: &str,
    address: SocketAddr,
    bind: impl FnOnce() -> io::Result<S>,
) -> Result<S, String> {
    bind().map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{flag} {address} is in use by another program; choose another port, or 0")
        }
        _ => format!("{flag} {address} cannot be listened on: {error}"),
    })
}

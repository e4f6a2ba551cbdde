//! Proxies that are trusted to name their clients, and the PROXY header that they do it with.

use crate::limits::PROXY_HEADER_BYTES;
use crate::live::Live;
use crate::tasks::{Wait, waiting};
use crate::transport::Connection;
use ipnet::IpNet;
use ppp::{HeaderResult, PartialResult, v1, v2};
use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};

/// The addresses of trusted proxies. Clones share the list.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies(Live<Vec<IpNet>>);

impl TrustedProxies {
    /// The proxies in these networks.
    pub fn new(networks: Vec<IpNet>) -> Self {
        Self(Live::new(networks))
    }

    /// Whether one of them has this address.
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.get().iter().any(|network| network.contains(&address))
    }

    /// Switches to the list of another.
    pub fn replace_with(&self, other: &Self) {
        self.0.set(other.0.get());
    }
}

impl PartialEq for TrustedProxies {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for TrustedProxies {}

/// Reads a PROXY header of either version, and nothing behind it. Returns the client that it names,
/// or `None` if the proxy speaks for itself, as for a health check.
///
/// # Errors
/// What is wrong with the header.
pub(super) async fn proxied_client(
    connection: &Connection,
) -> Result<Option<SocketAddr>, &'static str> {
    const BROKEN: &str = "this proxy left without a PROXY header";
    let mut header = Vec::new();
    loop {
        // Peeked at first: the bytes behind the header are the client's.
        let taken_bytes = header.len();
        header.resize(PROXY_HEADER_BYTES, 0);
        let peek = connection.socket().peek(&mut header[taken_bytes..]);
        let peeked_bytes = waiting(Wait::SOCKET_READ, peek).await.map_err(|_| BROKEN)?;
        header.truncate(taken_bytes + peeked_bytes);
        let parsed = parse(&header)?;
        let header_bytes = match parsed {
            Some((header_bytes, _)) => header_bytes,
            None if peeked_bytes == 0 => return Err(BROKEN),
            None if header.len() == PROXY_HEADER_BYTES => {
                return Err("its PROXY header is too long");
            }
            None => header.len(),
        };
        take(connection, &mut header[taken_bytes..header_bytes]).await.map_err(|_| BROKEN)?;
        if let Some((_, client)) = parsed {
            return Ok(client);
        }
    }
}

/// The length of the header and the client that it names; `None` if it is incomplete.
fn parse(received: &[u8]) -> Result<Option<(usize, Option<SocketAddr>)>, &'static str> {
    let parsed = HeaderResult::parse(received);
    if parsed.is_incomplete() {
        return Ok(None);
    }
    match parsed {
        HeaderResult::V1(Ok(v1)) => Ok(Some((v1.header.len(), client_of_v1(&v1.addresses)))),
        HeaderResult::V2(Ok(v2)) => Ok(Some((v2.header.len(), client_of_v2(&v2)))),
        HeaderResult::V1(Err(_)) | HeaderResult::V2(Err(_)) => {
            Err("this proxy has to begin with a PROXY header")
        }
    }
}

fn client_of_v1(addresses: &v1::Addresses) -> Option<SocketAddr> {
    match addresses {
        v1::Addresses::Tcp4(of) => Some((of.source_address, of.source_port).into()),
        v1::Addresses::Tcp6(of) => Some(canonical(of.source_address.into(), of.source_port)),
        v1::Addresses::Unknown => None,
    }
}

fn client_of_v2(header: &v2::Header<'_>) -> Option<SocketAddr> {
    match header.addresses {
        _ if header.command == v2::Command::Local => None,
        v2::Addresses::IPv4(of) => Some((of.source_address, of.source_port).into()),
        v2::Addresses::IPv6(of) => Some(canonical(of.source_address.into(), of.source_port)),
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    }
}

/// IPv4 addresses can be written as IPv6 ones.
fn canonical(address: IpAddr, port: u16) -> SocketAddr {
    (address.to_canonical(), port).into()
}

/// Consumes bytes that have arrived.
async fn take(connection: &Connection, mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let taken_bytes = poll_fn(|context| connection.poll_read(context, bytes)).await?;
        if taken_bytes == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        bytes = &mut bytes[taken_bytes..];
    }
    Ok(())
}

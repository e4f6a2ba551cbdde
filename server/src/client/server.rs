//! The chat server that a client talks to.

use crate::transport::{ClientStream, Trust, with_port};
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

/// Where a chat server listens unless told otherwise.
const DEFAULT_PORT: u16 = 7000;

/// How long the server may take to accept the connection, and to answer the request for a name.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// A chat server.
#[derive(Clone)]
pub struct Server {
    pub(super) address: String,
    /// For TLS.
    trust: Option<Trust>,
}

impl Server {
    /// The server at `HOST[:PORT]`, by TLS if it is said whom to trust.
    pub fn new(address: &str, trust: Option<Trust>) -> Self {
        Self { address: with_port(address, DEFAULT_PORT), trust }
    }

    pub(super) fn connect(&self) -> io::Result<Arc<ClientStream>> {
        let stream = ClientStream::connect(&self.address, self.trust.as_ref(), PATIENCE)?;
        stream.set_patience(None)?;
        Ok(Arc::new(stream))
    }
}

/// Sends a line.
pub(super) fn write_line(mut stream: &ClientStream, line: &str) -> io::Result<()> {
    stream.write_all(format!("{line}\n").as_bytes())
}

//! TLS on a connection, between the socket and the reader and writer, which do not notice it.
//!
//! Rustls does the protocol without I/O. This file moves the bytes, without waiting, just as for a
//! plain connection.

use crate::limits::TLS_BUFFER_BYTES;
use crate::live::Live;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
};
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

/// A server's certificates and key. Clones share them.
#[derive(Clone)]
pub struct Identity(Live<ServerConfig>);

impl Identity {
    /// Reads a chain of certificates and the key of the first, both PEM. An error says which file
    /// is wrong, and why. With `authorities`, clients must show a certificate that one of them has
    /// signed.
    pub fn read(
        certificates: &Path,
        key: &Path,
        authorities: Option<&Path>,
    ) -> Result<Self, IdentityError> {
        let (chain, private_key) = read_identity(certificates, key)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = match authorities {
            Some(file) => client_verifier(file, provider.clone())?,
            None => WebPkiClientVerifier::no_client_auth(),
        };
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|config| {
                config.with_client_cert_verifier(verifier).with_single_cert(chain, private_key)
            })
            .map_err(wrong_pair)?;
        Ok(Self(Live::new(config)))
    }

    /// Switches to the certificates and key of another identity, from the next handshake on.
    pub fn replace_with(&self, other: &Self) {
        self.0.set(other.0.get());
    }
}

/// A chain of certificates, and the key of the first.
pub(super) fn read_identity(
    certificates: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), IdentityError> {
    let chain = read_certificates(certificates)
        .map_err(|error| IdentityError::Certificates(error.to_string()))?;
    if chain.is_empty() {
        return Err(IdentityError::Certificates("there is no certificate in it".to_owned()));
    }
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| {
        IdentityError::Key(match error {
            pem::Error::NoItemsFound => "there is no key in it".to_owned(),
            error => error.to_string(),
        })
    });
    Ok((chain, key?))
}

/// Why a chain of certificates and a key are no pair.
pub(super) fn wrong_pair(error: rustls::Error) -> IdentityError {
    IdentityError::Certificates(match error {
        rustls::Error::InconsistentKeys(_) => {
            "its first certificate does not belong to the key".to_owned()
        }
        error => error.to_string(),
    })
}

/// The certificates of the authorities that sign the other side's, and the same for the verifier.
pub(super) fn roots(
    authorities: &Path,
) -> Result<(Vec<CertificateDer<'static>>, RootCertStore), IdentityError> {
    let wrong = |error: &dyn fmt::Display| IdentityError::Authorities(error.to_string());
    let certificates = read_certificates(authorities).map_err(|error| wrong(&error))?;
    let mut roots = RootCertStore::empty();
    for certificate in &certificates {
        roots.add(certificate.clone()).map_err(|error| wrong(&error))?;
    }
    if roots.is_empty() {
        return Err(wrong(&"there is no certificate in it"));
    }
    Ok((certificates, roots))
}

fn read_certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_file_iter(file).and_then(Iterator::collect)
}

fn client_verifier(
    authorities: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn ClientCertVerifier>, IdentityError> {
    let (_, roots) = roots(authorities)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
    verifier.map_err(|error| IdentityError::Authorities(error.to_string()))
}

impl fmt::Debug for Identity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Identity")
    }
}

impl PartialEq for Identity {
    /// Whether both are the same object.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0.get(), &other.0.get())
    }
}

impl Eq for Identity {}

/// Why a file of certificates or keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IdentityError {
    /// The file of certificates, and why.
    Certificates(String),
    /// The file of the key, and why.
    Key(String),
    /// The file of the authorities that sign the other side's certificates, and why.
    Authorities(String),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Certificates(problem) | Self::Key(problem) | Self::Authorities(problem)) = self;
        write!(out, "cannot be used: {problem}")
    }
}

impl std::error::Error for IdentityError {}

/// The TLS of one connection.
pub(super) struct Tls {
    state: Connection,
}

impl Tls {
    /// For a connection that was accepted.
    pub fn accept(identity: &Identity) -> io::Result<Self> {
        let state = ServerConnection::new(identity.0.get()).map_err(io::Error::other)?;
        Ok(Self::new(state.into()))
    }

    /// For a connection that was dialled. The other side's certificate must be for `name`.
    pub fn dial(config: Arc<ClientConfig>, name: &str) -> io::Result<Self> {
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let state = ClientConnection::new(config, name).map_err(io::Error::other)?;
        Ok(Self::new(state.into()))
    }

    fn new(mut state: Connection) -> Self {
        state.set_buffer_limit(Some(TLS_BUFFER_BYTES));
        Self { state }
    }

    /// Continues the handshake; true once it is complete.
    pub fn handshake(&mut self, socket: &TcpStream) -> io::Result<Progress> {
        loop {
            match self.flush(socket) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::WaitsToWrite);
                }
                result => result?,
            }
            if !self.state.is_handshaking() {
                return Ok(Progress::Finished);
            }
            match self.read_more(socket) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return Ok(Progress::WaitsToRead);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The certificate that the other side has shown, if it has.
    pub fn certificate(&self) -> Option<&CertificateDer<'static>> {
        self.state.peer_certificates()?.first()
    }

    pub fn read(&mut self, socket: &TcpStream, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.state.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Many clients end the stream without a TLS goodbye.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            self.read_more(socket)?;
        }
    }

    fn read_more(&mut self, mut socket: &TcpStream) -> io::Result<usize> {
        let bytes = self.state.read_tls(&mut socket)?;
        let processed = self.state.process_new_packets();
        if processed.is_err() {
            // Sends the alert, if the kernel takes it at once.
            let _ = self.flush(socket);
        }
        processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(bytes)
    }

    /// Encrypts, and writes what the kernel takes. The rest goes out with the next write or
    /// [`flush`](Self::flush).
    pub fn write(&mut self, socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.flush(socket)?;
        let bytes = self.state.writer().write_vectored(slices)?;
        match self.flush(socket) {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(bytes),
        }
    }

    /// Writes what is encrypted; `WouldBlock` if the kernel does not take all of it.
    pub fn flush(&mut self, mut socket: &TcpStream) -> io::Result<()> {
        while self.state.wants_write() {
            self.state.write_tls(&mut socket)?;
        }
        Ok(())
    }

    /// Sends the TLS goodbye, if the kernel takes it at once.
    pub fn finish(&mut self, socket: &TcpStream) {
        self.state.send_close_notify();
        let _ = self.flush(socket);
    }
}

/// The state of a handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Finished,
    WaitsToRead,
    WaitsToWrite,
}

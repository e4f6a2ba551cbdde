//! What a connection that is dialled needs for TLS.

use super::tls::{IdentityError, read_identity, roots};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The authorities whose certificates are accepted, and the certificate that is shown. Clones share
/// it.
#[derive(Clone)]
pub struct Trust(pub(super) Arc<ClientConfig>);

impl Trust {
    /// Reads the certificates of those who sign and, if the other side may ask for one, a chain of
    /// certificates and its key. All are PEM. An error says which file is wrong, and why.
    pub fn read(authorities: &Path, shown: Option<(&Path, &Path)>) -> Result<Self, IdentityError> {
        Self::with(roots(authorities)?, shown)
    }

    /// Believes those whose certificates are in a file, or those whom the system believes.
    ///
    /// # Errors
    /// What is wrong with them, in one sentence.
    pub fn of(authorities: Option<&Path>) -> Result<Self, String> {
        let Some(file) = authorities else {
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            let trust = Self::with(roots, None);
            return trust.map_err(|error| format!("the system's authorities: {error}"));
        };
        Self::read(file, None).map_err(|error| format!("--ca {} {error}", file.display()))
    }

    fn with(roots: RootCertStore, shown: Option<(&Path, &Path)>) -> Result<Self, IdentityError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| IdentityError::Authorities(error.to_string()))?
            .with_root_certificates(roots);
        let config = match shown {
            None => config.with_no_client_auth(),
            Some((certificates, key)) => {
                let (chain, key) = read_identity(certificates, key)?;
                let config = config.with_client_auth_cert(chain, key);
                config.map_err(|error| IdentityError::Certificates(error.to_string()))?
            }
        };
        Ok(Self(Arc::new(config)))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Trust")
    }
}

impl PartialEq for Trust {
    /// Whether both are the very same.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Trust {}

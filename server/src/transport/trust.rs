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
    /// Reads the certificates of those who sign, or takes the system's; and if the other side may
    /// ask for one, a chain of certificates and its key. All are PEM. An error says which file is
    /// wrong, and why.
    pub fn read(
        authorities: Option<&Path>,
        shown: Option<(&Path, &Path)>,
    ) -> Result<Self, IdentityError> {
        let roots = authorities.map_or_else(|| Ok(system_roots()), roots)?;
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

/// Those whom the system believes.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
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

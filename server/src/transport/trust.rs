//! What a client needs for TLS: whom to trust, and what to show.

use super::tls::{IdentityError, read_identity, roots};
use rustls::{ClientConfig, RootCertStore};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// The authorities that a client trusts, and the certificate that it shows. Clones share them.
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

/// The authorities that the system trusts.
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
    /// Whether both are the same object.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Trust {}

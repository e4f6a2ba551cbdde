//! A client's TLS: the authorities that it trusts, and the certificate that it shows.

use super::tls::{IdentityError, read_identity, roots, wrong_pair};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, OtherError,
    RootCertStore, SignatureScheme,
};
use std::fmt;
use std::io;
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
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| IdentityError::Authorities(error.to_string()))?;
        let config = match authorities {
            None => config.with_root_certificates(system_roots()),
            Some(file) => {
                let verifier = SignedOrSame::read(file, provider)?;
                config.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
            }
        };
        let config = match shown {
            None => config.with_no_client_auth(),
            Some((certificates, key)) => {
                let (chain, key) = read_identity(certificates, key)?;
                let config = config.with_client_auth_cert(chain, key);
                config.map_err(wrong_pair)?
            }
        };
        Ok(Self(Arc::new(config)))
    }
}

/// Takes what the authorities have signed, as rustls does, and also an authority's own certificate:
/// `openssl req -x509` makes one certificate that is the authority's and the server's. OpenSSL and
/// Go take it too.
#[derive(Debug)]
struct SignedOrSame {
    signed: Arc<WebPkiServerVerifier>,
    authorities: Vec<CertificateDer<'static>>,
}

impl SignedOrSame {
    fn read(authorities: &Path, provider: Arc<CryptoProvider>) -> Result<Self, IdentityError> {
        let (authorities, roots) = roots(authorities)?;
        let signed = WebPkiServerVerifier::builder_with_provider(roots.into(), provider).build();
        let signed = signed.map_err(|error| IdentityError::Authorities(error.to_string()))?;
        Ok(Self { signed, authorities })
    }
}

impl ServerCertVerifier for SignedOrSame {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let signed = self.signed.verify_server_cert(
            end_entity,
            intermediates,
            server_name,
            ocsp_response,
            now,
        );
        match signed {
            // The dates were checked before that was found; the name would be checked last.
            Err(Error::InvalidCertificate(CertificateError::Other(problem)))
                if is_authority(&problem) && self.authorities.contains(end_entity) =>
            {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                Ok(ServerCertVerified::assertion())
            }
            signed => signed,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls12_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed.verify_tls13_signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signed.supported_verify_schemes()
    }
}

/// Whether the only problem is that a server shows an authority's certificate. Rustls has no
/// variant for it, and passes on the name that its verifier, webpki, has for it.
fn is_authority(OtherError(problem): &OtherError) -> bool {
    problem.to_string() == "CaUsedAsEndEntity"
}

/// Whether nobody who is trusted has signed the certificate. (In all cases but the first, somebody
/// trusted has the name of who did, and another key.)
fn is_unsigned(problem: &CertificateError) -> bool {
    matches!(
        problem,
        CertificateError::UnknownIssuer
            | CertificateError::BadSignature
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. }
    )
}

/// Whether this is the other side's word on a certificate that it was shown, or would have been.
fn is_about_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::BadCertificate
            | Alert::CertificateRequired
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
    )
}

fn tls_error(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

/// Says in words what is wrong with the other side's certificate.
pub(super) fn in_words(error: io::Error) -> io::Error {
    let said = match tls_error(&error) {
        Some(Error::InvalidCertificate(CertificateError::Other(problem)))
            if is_authority(problem) =>
        {
            "the server's certificate is an authority's, and not one of those trusted"
        }
        Some(Error::InvalidCertificate(problem)) if is_unsigned(problem) => {
            "nobody who is trusted has signed the server's certificate"
        }
        _ => return error,
    };
    io::Error::new(error.kind(), said)
}

/// Says what to do about TLS that failed, where that is known.
pub(super) fn explained(error: io::Error) -> io::Error {
    let kind = error.kind();
    let remedy = match tls_error(&error) {
        Some(Error::InvalidMessage(_)) => {
            let said = "the server does not speak TLS there; leave out --tls, --tls-ca, tls:// \
                        and https://";
            return io::Error::new(kind, said);
        }
        Some(Error::AlertReceived(alert)) if is_about_certificate(*alert) => {
            let said = "the server wants a certificate that somebody it trusts has signed; \
                        --tls-cert FILE and --tls-key FILE show one";
            return io::Error::new(kind, said);
        }
        Some(Error::InvalidCertificate(CertificateError::Other(problem)))
            if is_authority(problem) =>
        {
            "--tls-ca FILE trusts it, if it is in the file"
        }
        Some(Error::InvalidCertificate(problem)) if is_unsigned(problem) => {
            "--tls-ca FILE trusts those whose certificates are in the file"
        }
        Some(Error::InvalidCertificate(CertificateError::NotValidForNameContext {
            presented,
            ..
        })) if presented.is_empty() => {
            "openssl req -addext subjectAltName=DNS:NAME,IP:ADDRESS names some"
        }
        _ => return error,
    };
    io::Error::new(kind, format!("{}; {remedy}", in_words(error)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn file(name: &str) -> std::path::PathBuf {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../testkit/tls")).join(name)
    }

    /// The result of showing an authority's certificate for localhost where this file is trusted.
    fn shown(trusted: &str, name: &'static str, now_s: u64) -> Result<(), Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let verifier = SignedOrSame::read(&file(trusted), provider).unwrap();
        let (authority, _) = roots(&file("authority-cert.pem")).unwrap();
        let (name, now) = (ServerName::try_from(name).unwrap(), Duration::from_secs(now_s));
        let now = UnixTime::since_unix_epoch(now);
        verifier.verify_server_cert(&authority[0], &[], &name, &[], now).map(drop)
    }

    #[test]
    fn an_authoritys_own_certificate_is_taken_where_it_is_trusted_in_its_time_and_for_its_name() {
        const NOW_S: u64 = 1_800_000_000;
        assert_eq!(shown("authority-cert.pem", "localhost", NOW_S), Ok(()));
        let wrong = |shown: Result<(), Error>| {
            let error = io::Error::new(io::ErrorKind::InvalidData, shown.unwrap_err());
            explained(error).to_string()
        };
        let named = wrong(shown("authority-cert.pem", "example.com", NOW_S));
        assert!(named.contains("not valid for name"), "{named}");
        for time_s in [0, 5_000_000_000] {
            let time = shown("authority-cert.pem", "localhost", time_s);
            assert!(time.is_err(), "{time_s}");
        }
        let other = wrong(shown("cert.pem", "localhost", NOW_S));
        assert!(other.contains("--tls-ca FILE trusts it"), "{other}");
    }

    #[test]
    fn what_rustls_says_of_certificates_becomes_words_and_a_remedy() {
        let said = |error| explained(io::Error::new(io::ErrorKind::InvalidData, error)).to_string();
        for problem in [CertificateError::UnknownIssuer, CertificateError::BadSignature] {
            let unsigned = said(Error::InvalidCertificate(problem));
            let expected = "nobody who is trusted has signed the server's certificate; --tls-ca";
            assert!(unsigned.starts_with(expected), "{unsigned}");
        }
        let refused = said(Error::AlertReceived(AlertDescription::CertificateRequired));
        assert!(refused.contains("--tls-cert FILE"), "{refused}");
        let other = said(Error::AlertReceived(AlertDescription::InternalError));
        assert_eq!(other, "received fatal alert: InternalError");
    }
}

//! How the database server proves itself, as libpq's `sslmode` has it.
//!
//! ```text
//!   authorities   Anybody ────────────────► the server has the certificate's key, whoever it is
//!                 System, File ─ chain ok ─┬─ checks_name ─ the certificate names the server ─► ok
//!                                          └─ otherwise ─────────────────────────────────────► ok
//! ```
//! A file may have the server's own certificate instead of an authority's, as many sites made it.

use std::path::Path;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject as _;

use super::LockError;
use crate::settings::{Authorities, DatabaseTls};

/// The configuration of a connection. Files are read now: renewed ones are seen at the next connection.
pub(super) fn config(tls: &DatabaseTls) -> Result<ClientConfig, LockError> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new(tls, Arc::clone(&provider))?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier));
    let Some((certificate, key)) = &tls.identity else { return Ok(config.with_no_client_auth()) };
    let chain = certificates("sslcert", certificate)?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable("sslkey", key, &error))?;
    config.with_client_auth_cert(chain, private).map_err(|error| unusable("sslkey", key, &error))
}

fn certificates(keyword: &str, file: &Path) -> Result<Vec<CertificateDer<'static>>, LockError> {
    let found = CertificateDer::pem_file_iter(file).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match found {
        Ok(found) if found.is_empty() => Err(unusable(keyword, file, &"no certificate in it")),
        Ok(found) => Ok(found),
        Err(error) => Err(unusable(keyword, file, &error)),
    }
}

fn unusable(keyword: &str, file: &Path, reason: &dyn std::fmt::Display) -> LockError {
    LockError::File {
        what: format!("PostgreSQL.Connection.{keyword} {}", file.display()),
        reason: reason.to_string(),
    }
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    /// `None`: nobody has to vouch for the server.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates that need nobody to vouch for them.
    known: Vec<CertificateDer<'static>>,
    checks_name: bool,
}

impl Verifier {
    fn new(tls: &DatabaseTls, provider: Arc<CryptoProvider>) -> Result<Self, LockError> {
        let (known, place) = match &tls.authorities {
            Authorities::Anybody => {
                return Ok(Self { provider, chain: None, known: Vec::new(), checks_name: false });
            }
            Authorities::System => {
                (dispatch_authorities::load().certs, "the system's and the site's".to_owned())
            }
            Authorities::File(file) => (certificates("sslrootcert", file)?, file.display().to_string()),
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(known.iter().cloned());
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let chain = chain.build().map_err(|error| LockError::File {
            what: format!("{place} certificate authorities"),
            reason: error.to_string(),
        })?;
        Ok(Self { provider, chain: Some(chain), known, checks_name: tls.checks_name })
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let Some(chain) = &self.chain else { return Ok(ServerCertVerified::assertion()) };
        let is_known = self.known.iter().any(|known| known.as_ref() == end_entity.as_ref());
        if !is_known {
            let verdict =
                chain.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
            // The name is looked at last, and below once more.
            verdict.map(drop).or_else(|error| if is_about_the_name(&error) { Ok(()) } else { Err(error) })?;
        }
        if self.checks_name {
            verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

fn is_about_the_name(error: &Error) -> bool {
    matches!(
        error,
        Error::InvalidCertificate(
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }
        )
    )
}

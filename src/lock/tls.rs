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

use dispatch_authorities::{Judge, Shown, Verifier};
use rustls::client::danger::ServerCertVerifier as _;
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use rustls_pki_types::pem::PemObject as _;

use super::LockError;
use crate::settings::{Authorities, DatabaseTls};

/// The configuration of a connection. Files are read now: renewed ones are seen at the next connection.
pub(super) fn config(tls: &DatabaseTls) -> Result<ClientConfig, LockError> {
    let provider = Arc::new(ring::default_provider());
    let server = DatabaseServer::new(tls, &provider)?;
    let verifier = Verifier::new(Arc::clone(&provider), server);
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
struct DatabaseServer {
    /// `None`: nobody has to vouch for the server.
    chain: Option<Arc<WebPkiServerVerifier>>,
    /// Certificates that need nobody to vouch for them.
    known: Vec<CertificateDer<'static>>,
    checks_name: bool,
}

impl DatabaseServer {
    fn new(tls: &DatabaseTls, provider: &Arc<CryptoProvider>) -> Result<Self, LockError> {
        let (known, place) = match &tls.authorities {
            Authorities::Anybody => {
                return Ok(Self { chain: None, known: Vec::new(), checks_name: false });
            }
            Authorities::System => {
                (dispatch_authorities::load().certs, "the system's and the site's".to_owned())
            }
            Authorities::File(file) => (certificates("sslrootcert", file)?, file.display().to_string()),
        };
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(known.iter().cloned());
        let chain = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        let chain = chain.build().map_err(|error| LockError::File {
            what: format!("{place} certificate authorities"),
            reason: error.to_string(),
        })?;
        Ok(Self { chain: Some(chain), known, checks_name: tls.checks_name })
    }
}

impl Judge for DatabaseServer {
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Error> {
        let Some(chain) = &self.chain else { return Ok(()) };
        let Shown { certificate, intermediates, name, ocsp_response, now } = shown;
        let is_known = self.known.iter().any(|known| known.as_ref() == certificate.as_ref());
        if !is_known {
            let verdict = chain.verify_server_cert(certificate, intermediates, name, ocsp_response, *now);
            // The name is looked at last, and below once more.
            verdict.map(drop).or_else(|error| if is_about_the_name(&error) { Ok(()) } else { Err(error) })?;
        }
        if self.checks_name {
            verify_server_name(&ParsedCertificate::try_from(*certificate)?, name)?;
        }
        Ok(())
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

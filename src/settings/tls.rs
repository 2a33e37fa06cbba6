//! The certificate and key of the management API's https listener.

use std::path::{Path, PathBuf};

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use dispatch_core::secret::Secret;

use super::pem;
use super::section::Section;

/// Where a PEM text comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PemSource {
    /// The file itself has it.
    Inline(Secret),
    /// Another file has it; read anew each time.
    File(PathBuf),
}

/// Why certificate or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// One of them is not configured.
    #[error("TLS.Certificate and TLS.Key are both needed for https")]
    Missing,
    /// Its file cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// There is none in the text.
    #[error("no {what} in {place}: PEM is wanted")]
    NotPem {
        /// Certificate or private key.
        what: &'static str,
        /// The file, or the key of the configuration.
        place: String,
    },
}

/// Certificate and key, as configured.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// The chain, the server's own first.
    pub certificate: Option<PemSource>,
    /// Its private key.
    pub key: Option<PemSource>,
}

impl Tls {
    /// Reads both, now: called at start, on SIGHUP and hourly.
    ///
    /// # Errors
    /// If one is missing, unreadable, or not PEM.
    pub fn load(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
        let (Some(certificate), Some(key)) = (&self.certificate, &self.key) else {
            return Err(TlsError::Missing);
        };
        let text = certificate.read()?;
        let chain: Vec<_> = CertificateDer::pem_slice_iter(pem::clean(text.expose()).as_bytes())
            .filter_map(Result::ok)
            .collect();
        if chain.is_empty() {
            return Err(certificate.not_pem("certificate", "TLS.Certificate"));
        }
        let text = key.read()?;
        let text = Secret::new(pem::clean(text.expose()));
        let key = PrivateKeyDer::from_pem_slice(text.expose().as_bytes())
            .map_err(|_| key.not_pem("private key", "TLS.Key"))?;
        Ok((chain, key))
    }
}

impl PemSource {
    /// Tells PEM from a path or `file://` URL; `None` for an empty text.
    pub fn from_text(text: &str) -> Option<Self> {
        if text.trim().is_empty() {
            return None;
        }
        Some(if text.contains("-----BEGIN ") {
            Self::Inline(Secret::new(text))
        } else {
            Self::File(PathBuf::from(text.strip_prefix("file://").unwrap_or(text)))
        })
    }

    fn read(&self) -> Result<Secret, TlsError> {
        match self {
            Self::Inline(text) => Ok(text.clone()),
            Self::File(file) => read_file(file),
        }
    }

    fn not_pem(&self, what: &'static str, key: &str) -> TlsError {
        let place = match self {
            Self::Inline(_) => key.to_owned(),
            Self::File(file) => file.display().to_string(),
        };
        TlsError::NotPem { what, place }
    }
}

fn read_file(file: &Path) -> Result<Secret, TlsError> {
    let unreadable = |source| TlsError::Unreadable { file: file.to_owned(), source };
    std::fs::read_to_string(file).map(Secret::new).map_err(unreadable)
}

/// Reads the section `TLS`; both are tried out at once if something listens with https.
pub fn read(section: &Section<'_>, is_https: bool) -> Tls {
    let tls = Tls {
        certificate: PemSource::from_text(&section.text("Certificate")),
        key: PemSource::from_text(section.secret("Key").expose()),
    };
    if is_https && let Err(error) = tls.load() {
        let key = if tls.certificate.is_none() { "Certificate" } else { "Key" };
        section.fail(key, &error.to_string());
    }
    tls
}

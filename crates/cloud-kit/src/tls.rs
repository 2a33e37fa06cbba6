//! Whom to believe that it is the cloud.
//!
//! ```text
//!   a file is named ─► its authorities and no others
//!   else ────────────► the system's, and the site's (dispatch-authorities)
//! ```

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};

/// Why nobody could be believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
    /// The machine trusts no authority that could vouch for anybody.
    #[error("no certificate authorities on this system: {0}")]
    NoAuthorities(String),
    /// The named file cannot be used.
    #[error("cannot read certificate authorities from {}: {why}", path.display())]
    Bundle {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
}

/// How to speak TLS to a cloud. The files are read anew at each call.
///
/// # Errors
/// If there is no authority.
pub fn config(bundle: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let roots = match bundle {
        Some(path) => of_file(path).map_err(|why| TlsError::Bundle { path: path.to_owned(), why })?,
        None => of_system()?,
    };
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn of_system() -> Result<RootCertStore, TlsError> {
    let found = dispatch_authorities::load();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        let first = found.errors.first().map_or_else(|| "none found".to_owned(), ToString::to_string);
        return Err(TlsError::NoAuthorities(first));
    }
    Ok(roots)
}

/// The whole file must be readable. A certificate in it that is no authority's is left out: sites' bundles are copies of
/// their systems', and those have such.
fn of_file(path: &Path) -> Result<RootCertStore, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(all.map_err(|error| error.to_string())?);
    if roots.is_empty() { Err("no certificate in it".to_owned()) } else { Ok(roots) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: Option<&str>) -> String {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bundle.pem");
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        config(Some(&path)).map(drop).unwrap_err().to_string()
    }

    #[test]
    fn the_named_file_is_believed() {
        let pair = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("bundle.pem");
        std::fs::write(&path, pair.cert.pem().repeat(2)).unwrap();
        config(Some(&path)).unwrap();
        assert_eq!(of_file(&path).unwrap().len(), 2);
    }

    #[test]
    fn a_file_that_is_absent_empty_or_broken_is_refused_by_name() {
        let pair = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        let broken = "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n";
        let half = format!("{}{broken}", pair.cert.pem());
        for text in [None, Some(""), Some("no PEM"), Some(broken), Some(&half)] {
            let told = refused(text);
            assert!(told.contains("bundle.pem"), "{told}");
        }
    }
}

//! The certificate authorities that every TLS client of ours trusts.
//!
//! ```text
//!   SSL_CERT_FILE is set ─► that file, and SSL_CERT_DIR        (whoever sets it means these and no others)
//!   else ─► the system's, or SSL_CERT_DIR ─┬─► both together
//!           /etc/arvados/ca-certificates.crt ┘   (if there is one: all services of a site read it)
//! ```
//! It owns which files are read, and the form of a verifier that asks somebody else whose certificate is accepted
//! ([`Verifier`]). Never does: deciding that, or what follows if no authority is found.

mod verifier;

use std::path::Path;

use rustls_native_certs::{CertificateResult, load_certs_from_paths, load_native_certs};

pub use verifier::{Anybody, Judge, Shown, Verifier};

/// The file in which a site lists the authorities of its own services.
pub const SITE_FILE: &str = "/etc/arvados/ca-certificates.crt";

/// The authorities, and what could not be read. It reads the environment and the files anew at each call.
pub fn load() -> CertificateResult {
    let is_overridden = std::env::var_os("SSL_CERT_FILE").is_some();
    with_site_file(load_native_certs(), Path::new(SITE_FILE), is_overridden)
}

fn with_site_file(mut found: CertificateResult, site: &Path, is_overridden: bool) -> CertificateResult {
    // Most machines have no such file, and that is no error.
    if !is_overridden && site.exists() {
        let own = load_certs_from_paths(Some(site), None);
        found.certs.extend(own.certs);
        found.errors.extend(own.errors);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file with the certificate of a new authority.
    fn file(directory: &tempfile::TempDir, name: &str) -> std::path::PathBuf {
        let pair = rcgen::generate_simple_self_signed([name.to_owned()]).expect("it is a name");
        let path = directory.path().join(name);
        std::fs::write(&path, pair.cert.pem()).expect("it is our directory");
        path
    }

    #[test]
    fn the_sites_file_is_trusted_besides_the_systems_unless_the_environment_names_another() {
        let directory = tempfile::tempdir().expect("there is room");
        let (system, site) = (file(&directory, "system"), file(&directory, "site"));
        let systems = || load_certs_from_paths(Some(&system), None);
        let both = with_site_file(systems(), &site, false).certs;
        let own = load_certs_from_paths(Some(&site), None).certs;
        assert_eq!(both.len(), 2);
        assert!(both.contains(&own[0]) && both.contains(&systems().certs[0]));
        assert_eq!(with_site_file(systems(), &site, true).certs, systems().certs);
    }

    #[test]
    fn a_file_that_is_not_there_is_no_error_and_one_that_cannot_be_read_is() {
        let directory = tempfile::tempdir().expect("there is room");
        let system = file(&directory, "system");
        let systems = || load_certs_from_paths(Some(&system), None);
        let absent = with_site_file(systems(), &directory.path().join("absent"), false);
        assert!(absent.errors.is_empty() && absent.certs.len() == 1);
        let unreadable = with_site_file(systems(), directory.path(), false);
        assert!(!unreadable.errors.is_empty() && unreadable.certs.len() == 1);
    }
}

//! https, and certificates that are renewed without a restart.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arvados_dispatch_cloud::api::CertReloader;
use arvados_dispatch_cloud::settings::{PemSource, Tls};
use awc::error::SendRequestError;
use awc::http::StatusCode;
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};

use crate::silent::{Crowd, address, all_taken};
use crate::support::site::{Options, bearer};
use crate::support::{DEADLINE, Site, eventually};

/// A directory with certificate and key.
pub struct Files {
    directory: tempfile::TempDir,
}

impl Files {
    pub fn new() -> Self {
        Self { directory: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts a new pair there, and returns the certificate.
    pub fn renew(&self) -> CertificateDer<'static> {
        let pair =
            rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        write(&self.path("cert.pem"), &pair.cert.pem());
        write(&self.path("key.pem"), &pair.signing_key.serialize_pem());
        pair.cert.der().clone()
    }

    pub fn reloader(&self) -> CertReloader {
        CertReloader::new(self.tls()).unwrap()
    }

    fn tls(&self) -> Tls {
        let source = |name| PemSource::from_text(&format!("file://{}", self.path(name).display()));
        Tls { certificate: source("cert.pem"), key: source("key.pem") }
    }
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

pub async fn served(reloader: &CertReloader) -> Site {
    Site::with(Options { tls: Some(reloader.server_config()), ..Options::default() }).await
}

/// A client's configuration that trusts that certificate only.
pub fn trusting(certificate: &CertificateDer<'static>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// Asks over a new connection, trusting that certificate only.
async fn ping(site: &Site, trusted: &CertificateDer<'static>) -> Result<StatusCode, SendRequestError> {
    let connector = awc::Connector::new().rustls_0_23(trusting(trusted));
    let connector = connector.timeout(2 * DEADLINE).handshake_timeout(2 * DEADLINE);
    let client = awc::Client::builder().connector(connector).timeout(2 * DEADLINE).finish();
    let request = client.get(format!("{}/_health/ping", site.url)).insert_header(("authorization", bearer()));
    request.send().await.map(|response| response.status())
}

#[actix_web::test]
async fn https_shows_the_configured_certificate() {
    let files = Files::new();
    let certificate = files.renew();
    let site = served(&files.reloader()).await;
    assert_eq!(ping(&site, &certificate).await.unwrap(), 200);
    let other = Files::new().renew();
    assert!(ping(&site, &other).await.is_err(), "another certificate is not trusted");
}

#[actix_web::test]
async fn a_renewed_certificate_is_shown_after_a_reload_without_a_restart() {
    let files = Files::new();
    let old = files.renew();
    let reloader = files.reloader();
    let site = served(&reloader).await;
    let new = files.renew();
    assert_eq!(ping(&site, &old).await.unwrap(), 200, "not before the reload");
    reloader.reload().unwrap();
    assert_eq!(ping(&site, &new).await.unwrap(), 200);
    assert!(ping(&site, &old).await.is_err());
}

#[actix_web::test]
async fn a_bad_renewal_is_an_error_and_the_old_certificate_stays() {
    let files = Files::new();
    let old = files.renew();
    let reloader = files.reloader();
    let site = served(&reloader).await;
    write(&files.path("cert.pem"), "not PEM");
    assert!(reloader.reload().unwrap_err().to_string().contains("no certificate in"));
    files.renew();
    let strangers = Files::new();
    strangers.renew();
    std::fs::copy(strangers.path("key.pem"), files.path("key.pem")).unwrap();
    let error = reloader.reload().unwrap_err().to_string();
    assert!(error.starts_with("cannot use TLS.Certificate with TLS.Key"), "{error}");
    assert_eq!(ping(&site, &old).await.unwrap(), 200);
}

#[actix_web::test]
async fn plain_http_on_an_https_listener_is_not_answered() {
    let files = Files::new();
    files.renew();
    let site = served(&files.reloader()).await;
    let url = site.url.replace("https:", "http:");
    let request = awc::Client::default().get(format!("{url}/_health/ping"));
    assert!(request.insert_header(("authorization", bearer())).send().await.is_err());
}

#[actix_web::test]
async fn clients_that_begin_no_handshake_shut_nobody_out() {
    let files = Files::new();
    let certificate = files.renew();
    let site = served(&files.reloader()).await;
    let half_a_handshake = b"\x16\x03\x01\x02\x00\x01";
    let crowd = Crowd::new(400, address(&site), half_a_handshake);
    all_taken(address(&site)).await;
    for _ in 0..2 {
        assert_eq!(ping(&site, &certificate).await.unwrap(), 200);
        let seen = crowd.sent_away();
        eventually("silent clients are sent away", async || (crowd.sent_away() > seen).then_some(())).await;
    }
}

//! The management API over https, and a certificate that is renewed while it is served.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::generate_simple_self_signed;
use rustix::process::Signal;
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use serde_json::json;

use crate::support::service::{command, finish};
use crate::support::{SOON, Service, Site, until};

/// Makes a certificate, and puts it and its key where the configuration says.
fn renew(site: &Site) -> CertificateDer<'static> {
    let made = generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    std::fs::write(key_file(site), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(certificate_file(site), made.cert.pem()).unwrap();
    made.cert.der().clone()
}

fn certificate_file(site: &Site) -> PathBuf {
    site.path("cert.pem")
}

fn key_file(site: &Site) -> PathBuf {
    site.path("key.pem")
}

/// Whether the service shows a certificate that is trusted if that one is; over a connection of its own.
async fn shows(service: &Service, certificate: &CertificateDer<'static>) -> bool {
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = awc::Connector::new().rustls_0_23(Arc::new(config));
    let client = awc::Client::builder().connector(connector).timeout(Duration::from_secs(10)).finish();
    let answer = client.get(format!("{}/_health/ping", service.url)).send().await;
    // Without a token, but over a connection that was trusted.
    answer.is_ok_and(|answer| answer.status() == 401)
}

#[actix_rt::test]
async fn a_renewed_certificate_is_shown_after_sighup_and_an_unusable_one_never() {
    let mut site = Site::new();
    let first = renew(&site);
    let file = |path: PathBuf| format!("file://{}", path.display());
    let tls = json!({ "Certificate": file(certificate_file(&site)), "Key": file(key_file(&site)) });
    site.cluster()["TLS"] = tls;
    site.cluster()["Services"]["DispatchCloud"]["InternalURLs"] = json!({ "https://127.0.0.1:0": {} });
    let mut service = site.start().await;
    assert!(service.url.starts_with("https://"), "{}", service.url);
    assert!(shows(&service, &first).await);

    let second = renew(&site);
    assert!(!shows(&service, &second).await, "not before it is told");
    service.signal(Signal::HUP);
    until("the new certificate is shown", SOON, async || shows(&service, &second).await.then_some(())).await;
    assert!(!shows(&service, &first).await);

    std::fs::write(certificate_file(&site), "no certificate\n").unwrap();
    service.signal(Signal::HUP);
    service.logged("cannot use the renewed certificate", SOON).await;
    assert!(shows(&service, &second).await, "the old one stays");

    // `health` gives the token to who has the site's certificate, and to nobody else.
    renew(&site);
    service.logged("ready", SOON).await;
    let urls = json!({ service.url.as_str(): {} });
    site.cluster()["Services"]["DispatchCloud"]["InternalURLs"] = urls;
    site.write_config();
    let health = async || finish(&mut command(&site, &["health"], &[]), SOON).await;
    let refused = health().await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("cannot ask") && refused.stderr.contains("certificate"), "{refused:?}");
    service.signal(Signal::HUP);
    let well = until("it is well", SOON, async || Some(health().await).filter(|it| it.code == Some(0))).await;
    assert_eq!(well.stdout, "OK\n");
    assert_eq!(service.stop().await, 0);
}

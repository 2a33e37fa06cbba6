//! Which certificates of the site's services are accepted: those of the system's and the site's authorities or, if the
//! site says so, any.

use std::sync::Arc;

use dispatch_authorities::{Anybody, Verifier};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::{ClientConfig, RootCertStore};

/// This system has no certificate authorities.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no certificate authorities found: {0} (is the package ca-certificates installed?)")]
pub struct NoAuthorities(String);

/// The configuration of TLS connections.
pub(crate) fn config(insecure: bool) -> Result<Arc<ClientConfig>, NoAuthorities> {
    let provider = Arc::new(ring::default_provider());
    let verifier: Arc<dyn ServerCertVerifier> = match insecure {
        // If the server has the key that belongs to it.
        true => Arc::new(Verifier::new(Arc::clone(&provider), Anybody)),
        false => authorities(&provider)?,
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring knows TLS 1.2 and 1.3")
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn authorities(provider: &Arc<CryptoProvider>) -> Result<Arc<WebPkiServerVerifier>, NoAuthorities> {
    let found = dispatch_authorities::load();
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build().map_err(
        |error| {
            let first = found.errors.first().map_or_else(|| error.to_string(), ToString::to_string);
            NoAuthorities(first)
        },
    )
}

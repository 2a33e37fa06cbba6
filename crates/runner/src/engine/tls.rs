//! TLS towards the controller: the system's authorities, which may include the site's own, or any
//! certificate.

use std::sync::Arc;

use dispatch_authorities::{Anybody, Verifier};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

use crate::RunnerError;

/// The TLS configuration. With `insecure` any certificate is accepted, as the site has asked for.
pub(super) fn client_config(insecure: bool) -> Result<Arc<ClientConfig>, RunnerError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| RunnerError::Config(format!("cannot set up TLS: {error}")))?;
    let config = if insecure {
        // Signatures are checked all the same.
        let anything = Arc::new(Verifier::new(provider, Anybody));
        builder.dangerous().with_custom_certificate_verifier(anything).with_no_client_auth()
    } else {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(dispatch_authorities::load().certs);
        builder.with_root_certificates(roots).with_no_client_auth()
    };
    Ok(Arc::new(config))
}

//! Which certificate our own service may show: the one of `TLS.Certificate`, or one that an authority vouches
//! for under the name of the listener, because a renewed certificate is shown an hour late at most.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use dispatch_authorities::{Judge, Shown, Verifier};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier as _;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, Error, RootCertStore};
use url::Url;

use crate::settings::Tls;

/// TLS with that certificate only. `called`: the URL by which others call the service.
pub(crate) fn only(tls: &Tls, called: &Url) -> Result<Arc<ClientConfig>> {
    let (chain, _) = tls.load().context("cannot tell which certificate the service has")?;
    let known = chain.into_iter().next().context("TLS.Certificate is empty")?;
    let service = OurService { known: Some(known), vouched: vouchers(called) };
    config(service)
}

/// TLS with a certificate that an authority vouches for, where the service's own is not known.
pub(crate) fn vouched(called: &Url) -> Result<Arc<ClientConfig>> {
    let vouched =
        vouchers(called).context("no certificate authorities found (is ca-certificates installed?)")?;
    config(OurService { known: None, vouched: Some(vouched) })
}

/// The authorities, and the name that they must vouch for. A system without authorities has nobody who vouches.
fn vouchers(called: &Url) -> Option<Vouchers> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(dispatch_authorities::load().certs);
    let provider = Arc::new(ring::default_provider());
    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build().ok();
    let name = called
        .host_str()
        .and_then(|host| ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).ok());
    authorities.zip(name)
}

fn config(service: OurService) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let verifier = Verifier::new(Arc::clone(&provider), service);
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("ring knows no version of TLS")?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

type Vouchers = (Arc<WebPkiServerVerifier>, ServerName<'static>);

#[derive(Debug)]
struct OurService {
    known: Option<CertificateDer<'static>>,
    vouched: Option<Vouchers>,
}

impl Judge for OurService {
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Error> {
        if self.known.as_ref() == Some(shown.certificate) {
            return Ok(());
        }
        let Some((authorities, name)) = &self.vouched else {
            return Err(Error::InvalidCertificate(CertificateError::UnknownIssuer));
        };
        let Shown { certificate, intermediates, ocsp_response, now, .. } = shown;
        authorities.verify_server_cert(certificate, intermediates, name, ocsp_response, *now).map(drop)
    }
}

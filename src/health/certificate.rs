//! Which certificate our own service may show: the one of `TLS.Certificate`, or one that the system's authorities vouch
//! for under the name of the listener, because a renewed certificate is shown an hour late at most.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use url::Url;

use crate::settings::Tls;

/// TLS with that certificate only. `called`: the URL by which others call the service.
pub(super) fn only(tls: &Tls, called: &Url) -> Result<Arc<ClientConfig>> {
    let provider = Arc::new(ring::default_provider());
    let (chain, _) = tls.load().context("cannot tell which certificate the service has")?;
    let known = chain.into_iter().next().context("TLS.Certificate is empty")?;
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(dispatch_authorities::load().certs);
    let authorities = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    // A system without authorities has nobody who vouches.
    let authorities = authorities.build().ok();
    let name = called
        .host_str()
        .and_then(|host| ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).ok());
    let verifier = Verifier { provider: Arc::clone(&provider), known, vouched: authorities.zip(name) };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .context("ring knows no version of TLS")?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

#[derive(Debug)]
struct Verifier {
    provider: Arc<CryptoProvider>,
    known: CertificateDer<'static>,
    /// The system's authorities, and the name that they must vouch for.
    vouched: Option<(Arc<WebPkiServerVerifier>, ServerName<'static>)>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.known {
            return Ok(ServerCertVerified::assertion());
        }
        match &self.vouched {
            Some((authorities, name)) => {
                authorities.verify_server_cert(end_entity, intermediates, name, ocsp_response, now)
            }
            None => Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

//! Verifies the certificates that servers show, where more has to be decided than whether an authority vouches.
//!
//! ```text
//!   handshake ─┬─ whose certificate is it? ──────────────────────► Judge
//!              └─ has the server the key that belongs to it? ────► always checked, as rustls does
//! ```

use std::fmt::Debug;
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

/// What a server has shown in its handshake.
#[derive(Debug)]
pub struct Shown<'a> {
    /// Its own certificate.
    pub certificate: &'a CertificateDer<'a>,
    /// Those that lead to an authority.
    pub intermediates: &'a [CertificateDer<'a>],
    /// What the server was called.
    pub name: &'a ServerName<'a>,
    /// The authority's word about revocation, if the server has brought it.
    pub ocsp_response: &'a [u8],
    /// When.
    pub now: UnixTime,
}

/// Decides whose certificate is accepted.
pub trait Judge: Debug + Send + Sync {
    /// Accepts it, or says why not.
    ///
    /// # Errors
    /// If it is not accepted.
    fn judge(&self, shown: &Shown<'_>) -> Result<(), Error>;
}

/// Accepts any certificate: that is what a site asks for that says *insecure*.
#[derive(Debug)]
pub struct Anybody;

impl Judge for Anybody {
    fn judge(&self, _: &Shown<'_>) -> Result<(), Error> {
        Ok(())
    }
}

/// A verifier for rustls that asks a [`Judge`].
#[derive(Debug)]
pub struct Verifier<J> {
    provider: Arc<CryptoProvider>,
    judge: J,
}

impl<J: Judge> Verifier<J> {
    /// With the signature algorithms of that provider.
    pub fn new(provider: Arc<CryptoProvider>, judge: J) -> Self {
        Self { provider, judge }
    }
}

impl<J: Judge> ServerCertVerifier for Verifier<J> {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.judge.judge(&Shown { certificate, intermediates, name, ocsp_response, now })?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

//! The certificate of the https listener, renewed without a restart.

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::settings::{Tls, TlsError};

/// Why certificate and key are not used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// They cannot be read.
    #[error(transparent)]
    Unreadable(#[from] TlsError),
    /// They can be read, and do not serve: of an unknown kind, or not each other's.
    #[error("cannot use TLS.Certificate with TLS.Key: {0}")]
    Unusable(#[from] rustls::Error),
}

/// Reads certificate and key again on demand; new connections see the new ones. Cheap to clone.
#[derive(Clone)]
pub struct CertReloader {
    tls: Tls,
    provider: Arc<CryptoProvider>,
    current: Arc<Current>,
}

impl CertReloader {
    /// Reads both for the first time.
    ///
    /// # Errors
    /// If they cannot be read or used.
    pub fn new(tls: Tls) -> Result<Self, CertificateError> {
        let provider = Arc::new(ring::default_provider());
        let current = Arc::new(Current(ArcSwap::from_pointee(load(&tls, &provider)?)));
        Ok(Self { tls, provider, current })
    }

    /// Reads both again.
    ///
    /// # Errors
    /// If they cannot be read or used: the old ones stay in use.
    pub fn reload(&self) -> Result<(), CertificateError> {
        self.current.0.store(Arc::new(load(&self.tls, &self.provider)?));
        Ok(())
    }

    /// A server's configuration that always shows the present certificate.
    pub fn server_config(&self) -> ServerConfig {
        ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .expect("ring has suites for the default versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&self.current) as Arc<dyn ResolvesServerCert>)
    }
}

impl fmt::Debug for CertReloader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CertReloader").field("tls", &self.tls).finish_non_exhaustive()
    }
}

fn load(tls: &Tls, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
    let (chain, key) = tls.load()?;
    Ok(CertifiedKey::from_der(chain, key, provider)?)
}

/// The certificate in use.
#[derive(Debug)]
struct Current(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

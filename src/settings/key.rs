//! `Containers.DispatchPrivateKey`: the key that opens the VMs.

use russh::keys::Algorithm;

use dispatch_core::driver::KeyAlgorithm;
use dispatch_core::secret::Secret;

use super::pem;
use super::section::Section;

const WANTED: &str = "a private key without passphrase (RSA, ECDSA or ED25519; PEM of OpenSSH or PKCS), or file:///path of one";

/// A private key that was understood once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrivateKey {
    /// The PEM text, for the ssh client.
    pub pem: Secret,
    /// Its algorithm.
    pub algorithm: KeyAlgorithm,
    /// The file that it was read from; `None` if it stands in the configuration itself.
    pub file: Option<String>,
}

/// Why a text is not such a key. Never a part of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Its file cannot be read.
    #[error("cannot read the key file {0}")]
    Unreadable(String),
    /// It has a passphrase.
    #[error("the private key in {0} has a passphrase, which nobody could enter: {WANTED}")]
    Encrypted(String),
    /// It is the public half, or a certificate.
    #[error("{0} has a public key where the private one is wanted: {WANTED}")]
    Public(String),
    /// Its lines were joined.
    #[error(
        "the lines of the private key in {0} have been joined, as YAML does with a text without `|`: write `|` after \
         the colon and the key, indented, below"
    )]
    Folded(String),
    /// The text is no private key.
    #[error("no usable private key in {0}: {WANTED}")]
    Unusable(String),
}

impl PrivateKey {
    /// Reads the configured text, or the file that it names.
    ///
    /// # Errors
    /// If the file cannot be read or the key cannot be used.
    pub fn from_text(text: &str) -> Result<Self, KeyError> {
        match text.trim().strip_prefix("file://") {
            None => Self::from_pem(text, None),
            Some(path) => {
                let pem = std::fs::read_to_string(path)
                    .map(Secret::new)
                    .map_err(|error| KeyError::Unreadable(format!("{path}: {error}")))?;
                Self::from_pem(pem.expose(), Some(path))
            }
        }
    }

    fn from_pem(pem: &str, file: Option<&str>) -> Result<Self, KeyError> {
        let place = || file.unwrap_or("the configuration").to_owned();
        let unusable = || KeyError::Unusable(place());
        // OpenSSH refuses a key file whose last line does not end.
        let pem = Secret::new(pem::clean(pem));
        let text = pem.expose();
        if pem::is_folded(text) {
            return Err(KeyError::Folded(place()));
        }
        if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(KeyError::Encrypted(place()));
        }
        if is_public(text) {
            return Err(KeyError::Public(place()));
        }
        let key = russh::keys::decode_secret_key(text, None).map_err(|error| match error {
            russh::keys::Error::KeyIsEncrypted => KeyError::Encrypted(place()),
            _ => unusable(),
        })?;
        let algorithm = match key.algorithm() {
            Algorithm::Rsa { .. } => KeyAlgorithm::Rsa,
            Algorithm::Ecdsa { .. } => KeyAlgorithm::Ecdsa,
            Algorithm::Ed25519 => KeyAlgorithm::Ed25519,
            _ => return Err(unusable()),
        };
        Ok(Self { pem, algorithm, file: file.map(str::to_owned) })
    }
}

fn is_public(text: &str) -> bool {
    let marks = ["PUBLIC KEY-----", "PUBLIC KEY ----", "BEGIN CERTIFICATE-----"];
    let algorithms = ["ssh-", "ecdsa-sha2-", "sk-"];
    !text.contains("PRIVATE KEY")
        && (marks.iter().any(|it| text.contains(it)) || algorithms.iter().any(|it| text.starts_with(it)))
}

/// Reads the key; what is wrong with it is a problem of the report.
pub fn read(containers: &Section<'_>) -> Option<PrivateKey> {
    let text = containers.secret("DispatchPrivateKey");
    let text = text.expose();
    if text.trim().is_empty() {
        containers.missing("DispatchPrivateKey", WANTED);
        return None;
    }
    PrivateKey::from_text(text)
        .map_err(|error| containers.fail("DispatchPrivateKey", &error.to_string()))
        .ok()
}

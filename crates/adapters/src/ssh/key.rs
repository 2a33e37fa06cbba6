//! Checks the private key that we log in with. It is checked once, so that a wrong key gives one clear line
//! at start, and not an authentication failure on every VM.

use dispatch_core::secret::Secret;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey, decode_secret_key};

/// Why a text is not a private key that we can use. The error is one line and contains nothing of the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is empty.
    #[error("private key is empty")]
    Empty,
    /// The text begins like a public key.
    #[error("this is a public key, a private key is wanted")]
    Public,
    /// The key needs a passphrase, and there is no user who could type it.
    #[error("private key is encrypted with a passphrase: remove it with `ssh-keygen -p`")]
    Encrypted,
    /// The text contains no PEM block of a known kind.
    #[error(
        "not a private key: no `-----BEGIN … PRIVATE KEY-----` line of a known kind (OpenSSH, PKCS#1, PKCS#8, SEC1)"
    )]
    NotPem,
    /// The PEM block does not contain what it should.
    #[error("private key cannot be decoded: {0}")]
    Damaged(String),
    /// The key is of a kind that today's ssh servers do not accept.
    #[error("private keys of kind {0} are not supported: use RSA, ECDSA or ED25519")]
    Unsupported(String),
}

/// The part of a private key that may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKeyInfo {
    /// The public key as a line of `authorized_keys`, without a comment.
    pub openssh_public: String,
}

/// Checks a private key (RSA, ECDSA or ED25519; OpenSSH, PKCS#1, PKCS#8 or SEC1; not encrypted).
///
/// # Errors
/// If the text is no private key, or the key is encrypted, damaged or of another kind.
pub fn check_private_key(pem: &str) -> Result<PublicKeyInfo, KeyError> {
    let mut public = parse(pem)?.public_key().clone();
    public.set_comment("");
    let openssh_public = public.to_openssh().map_err(|error| KeyError::Damaged(error.to_string()))?;
    Ok(PublicKeyInfo { openssh_public })
}

/// Converts the key to the one format that every version of the ssh client reads.
pub(super) fn to_openssh(pem: &str) -> Result<Secret, KeyError> {
    let text =
        parse(pem)?.to_openssh(LineEnding::LF).map_err(|error| KeyError::Damaged(error.to_string()))?;
    Ok(Secret::new(text.as_str()))
}

/// Decodes the key. It accepts what configuration files do to keys: indentation, CRLF, and a missing line
/// feed at the end.
pub(super) fn parse(pem: &str) -> Result<PrivateKey, KeyError> {
    // Of its final size from the start: a text that grows leaves copies of the key behind.
    let mut clean = String::with_capacity(pem.len() + 1);
    pem.trim().lines().for_each(|line| clean.extend([line.trim(), "\n"]));
    let clean = Secret::new(clean);
    let pem = clean.expose();
    if pem.is_empty() {
        return Err(KeyError::Empty);
    }
    if ["ssh-", "ecdsa-", "-----BEGIN PUBLIC", "-----BEGIN RSA PUBLIC"].iter().any(|it| pem.starts_with(it)) {
        return Err(KeyError::Public);
    }
    if !pem.contains("PRIVATE KEY-----") {
        return Err(KeyError::NotPem);
    }
    if pem.contains("BEGIN ENCRYPTED") || pem.contains("4,ENCRYPTED") {
        return Err(KeyError::Encrypted);
    }
    let key = decode_secret_key(pem, None).map_err(|error| match error {
        russh::keys::Error::KeyIsEncrypted => KeyError::Encrypted,
        russh::keys::Error::CouldNotReadKey => KeyError::NotPem,
        other => KeyError::Damaged(other.to_string()),
    })?;
    match key.algorithm() {
        Algorithm::Rsa { .. } | Algorithm::Ecdsa { .. } | Algorithm::Ed25519 => Ok(key),
        other => Err(KeyError::Unsupported(other.to_string())),
    }
}

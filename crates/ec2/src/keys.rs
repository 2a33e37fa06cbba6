//! The key pair that new VMs let in: looked up by the fingerprints that EC2 knows it under, imported once if it
//! is not there, and remembered either way.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use dispatch_cloud_kit::{Failure, Meaning};
use md5::Md5;
use sha1::Sha1;
use sha2::Digest;
use slog::Logger;
use spki::der::Encode as _;
use spki::der::asn1::{BitStringRef, UintRef};
use ssh_key::public::{KeyData, RsaPublicKey};
use ssh_key::{HashAlg, PublicKey};
use tokio::sync::OnceCell;

use crate::answer::key_pairs;
use crate::request;
use crate::send::Sender;

const PREFIX: &str = "arvados-dispatch-keypair-";
/// Another dispatcher was faster: under this name it can only be this key.
const DUPLICATE: &str = "InvalidKeyPair.Duplicate";
/// The key has been deleted since.
const GONE: &str = "InvalidKeyPair.NotFound";

/// The name of each public key's pair, as far as it is known. Creates at the same time wait for one look-up.
#[derive(Debug, Default)]
pub(crate) struct Keys(RefCell<BTreeMap<String, Rc<OnceCell<String>>>>);

impl Keys {
    /// The name of that key's pair in EC2.
    pub async fn name_of(&self, public_key: &str, sender: &Sender, log: &Logger) -> Result<String, Failure> {
        let cell = Rc::clone(self.0.borrow_mut().entry(public_key.to_owned()).or_default());
        cell.get_or_try_init(|| find_or_import(public_key, sender, log)).await.cloned()
    }

    /// Takes a create's failure in: a pair that is gone is looked up again.
    pub fn failed(&self, failure: &Failure) {
        if failure.code == GONE {
            self.0.borrow_mut().clear();
        }
    }
}

async fn find_or_import(public_key: &str, sender: &Sender, log: &Logger) -> Result<String, Failure> {
    let fingerprints = fingerprints(public_key)?;
    let question = request::describe_key_pairs(&fingerprints);
    if let Some(name) = sender.call(&question, key_pairs::found).await? {
        return Ok(name);
    }
    let name = format!("{PREFIX}{}", fingerprints[0]);
    let import = request::import_key_pair(&name, public_key);
    match sender.call(&import, key_pairs::imported).await {
        Ok(imported) => {
            slog::info!(log, "public key imported"; "KeyName" => &imported);
            Ok(imported)
        }
        Err(failure) if failure.code == DUPLICATE => Ok(name),
        Err(failure) => Err(failure),
    }
}

/// The fingerprints that EC2 may know a public key by; the first is part of our pair's name.
pub(crate) fn fingerprints(public_key: &str) -> Result<[String; 2], Failure> {
    let refuse = |text: String| Failure::ours(Meaning::Other, "unusable_key", text);
    let key = PublicKey::from_openssh(public_key)
        .map_err(|error| refuse(format!("cannot read the public key: {error}")))?;
    match key.key_data() {
        KeyData::Rsa(rsa) => {
            let der =
                public_key_info(rsa).ok_or_else(|| refuse("cannot encode the public key".to_owned()))?;
            Ok([colon_hex(&Md5::digest(&der)), colon_hex(&Sha1::digest(&der))])
        }
        KeyData::Ed25519(_) => {
            let digest = key.fingerprint(HashAlg::Sha256);
            Ok([STANDARD_NO_PAD.encode(digest.as_bytes()), STANDARD.encode(digest.as_bytes())])
        }
        other => {
            let algorithm = other.algorithm();
            Err(refuse(format!("EC2 imports RSA and ED25519 keys only, this is one of {algorithm}")))
        }
    }
}

/// The key as X.509 has it, DER: what EC2 takes fingerprints of.
fn public_key_info(key: &RsaPublicKey) -> Option<Vec<u8>> {
    let number = |bytes: Option<&'_ [u8]>| bytes.map(<[u8]>::to_vec);
    let (modulus, exponent) = (number(key.n().as_positive_bytes())?, number(key.e().as_positive_bytes())?);
    let inner = pkcs1::RsaPublicKey {
        modulus: UintRef::new(&modulus).ok()?,
        public_exponent: UintRef::new(&exponent).ok()?,
    };
    let inner = inner.to_der().ok()?;
    let subject_public_key = BitStringRef::from_bytes(&inner).ok()?;
    spki::SubjectPublicKeyInfoRef { algorithm: pkcs1::ALGORITHM_ID, subject_public_key }.to_der().ok()
}

fn colon_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ed25519_key_has_one_fingerprint_with_and_without_padding() {
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUsyyuCL52eZXqpTmT1qk1Tnzr2bmbQbDgLxpWAE comment";
        let [bare, padded] = fingerprints(key).unwrap();
        assert_eq!(padded, format!("{bare}="));
        // The value that `ssh-keygen -l` shows.
        assert_eq!(bare, "OKoO1qgHapU3UZNsXnrJ5C1OeOFkUtt2lGvb1wbuM3E");
    }

    #[test]
    fn other_keys_are_refused_with_what_would_do() {
        let ecdsa = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBM14sWAvuD2/5c8wBplRore4/mBat93Dx5efxUZeEHC5HGX6sxkMIPbj1WTOPSX3uu5OKEC2FMadrFfJ9kQOi8Y=";
        for key in [ecdsa, "ssh-rsa AAAA", "", "nonsense"] {
            let failure = fingerprints(key).unwrap_err();
            assert_eq!(failure.code, "unusable_key", "{}", failure.message);
        }
    }
}

//! Calls about key pairs.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Action, Request};

/// The key pairs with one of these fingerprints.
pub(crate) fn describe_key_pairs(fingerprints: &[String]) -> Request {
    let fingerprints = fingerprints.iter().map(String::as_str);
    Request::new(Action::DescribeKeyPairs).with_filter(1, "fingerprint", fingerprints)
}

/// Makes a line of `authorized_keys` known under that name.
pub(crate) fn import_key_pair(name: &str, line: &str) -> Request {
    let material = STANDARD.encode(format!("{}\n", line.trim_end()));
    Request::new(Action::ImportKeyPair).with("KeyName", name).with("PublicKeyMaterial", material)
}

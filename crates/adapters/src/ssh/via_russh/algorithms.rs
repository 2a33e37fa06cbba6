//! What is offered to a server, the preferred first.

use std::borrow::Cow;
use std::str::FromStr;

use dispatch_core::ports::HostKey;
use russh::keys::Algorithm;
use russh::{Preferred, kex};

use crate::ssh::KeyExchange;

/// The one of the crate that withstands a quantum computer. Servers have it from OpenSSH 9.9 on; older ones have only
/// `sntrup761x25519-sha512`, which the crate has not.
const POST_QUANTUM: kex::Name = kex::MLKEM768X25519_SHA256;
/// Diffie-Hellman with big numbers is not offered: it keeps the thread of all connections busy for up to a second, and
/// a server could choose it to do so. Every server of the last ten years has one of these.
const OTHERS: [kex::Name; 5] = [
    kex::CURVE25519,
    kex::CURVE25519_PRE_RFC_8731,
    kex::ECDH_SHA2_NISTP256,
    kex::ECDH_SHA2_NISTP384,
    kex::ECDH_SHA2_NISTP521,
];
/// No algorithms, but what both sides keep to.
const EXTENSIONS: [kex::Name; 2] =
    [kex::EXTENSION_SUPPORT_AS_CLIENT, kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT];

/// The algorithms for a connection to a VM whose host key may be known.
pub(super) fn offered(wanted: KeyExchange, known: Option<&HostKey>) -> Preferred {
    let mut exchanges = OTHERS.to_vec();
    match wanted {
        KeyExchange::PostQuantum => exchanges.insert(0, POST_QUANTUM),
        KeyExchange::Fast => exchanges.push(POST_QUANTUM),
    }
    exchanges.extend(EXTENSIONS);
    Preferred { kex: Cow::Owned(exchanges), key: Cow::Owned(host_keys(known)), ..Preferred::DEFAULT }
}

/// The kinds of host keys. A server that has several shows the known one's, and the VM need not be verified again.
/// Signatures with SHA-1 are not accepted.
fn host_keys(known: Option<&HostKey>) -> Vec<Algorithm> {
    let known = known.and_then(|key| Algorithm::from_str(&key.algorithm).ok());
    let is_known = |algorithm: &Algorithm| {
        known.as_ref().is_some_and(|known| match algorithm {
            Algorithm::Rsa { .. } => matches!(known, Algorithm::Rsa { .. }),
            other => other == known,
        })
    };
    let all = Preferred::DEFAULT.key.iter().filter(|it| **it != Algorithm::Rsa { hash: None });
    let (mut first, others): (Vec<_>, Vec<_>) = all.cloned().partition(is_known);
    first.extend(others);
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(wanted: KeyExchange) -> Vec<String> {
        offered(wanted, None).kex.iter().map(|name| name.as_ref().to_owned()).collect()
    }

    #[test]
    fn what_withstands_a_quantum_computer_is_first_unless_a_fast_one_is_wanted() {
        let slow = names(KeyExchange::PostQuantum);
        assert_eq!(slow[..2], ["mlkem768x25519-sha256", "curve25519-sha256"]);
        let fast = names(KeyExchange::Fast);
        assert_eq!(fast[0], "curve25519-sha256");
        for offered in [slow, fast] {
            assert!(offered.iter().any(|name| name == "mlkem768x25519-sha256"));
            assert!(!offered.iter().any(|name| name.starts_with("diffie-hellman")), "{offered:?}");
            assert!(offered.iter().any(|name| name == "kex-strict-c-v00@openssh.com"));
        }
    }

    #[test]
    fn the_known_kind_of_host_key_is_asked_for_first_and_sha1_never() {
        let first = |algorithm: &str| {
            let key = HostKey { algorithm: algorithm.to_owned(), base64: String::new() };
            offered(KeyExchange::Fast, Some(&key)).key[0].to_string()
        };
        assert_eq!(first("ssh-ed25519"), "ssh-ed25519");
        assert_eq!(first("ecdsa-sha2-nistp521"), "ecdsa-sha2-nistp521");
        assert_eq!(first("ssh-rsa"), "rsa-sha2-512");
        assert_eq!(first("nonsense"), "ssh-ed25519");
        let all = offered(KeyExchange::Fast, None).key;
        assert!(!all.iter().any(|it| it.to_string() == "ssh-rsa"));
    }
}

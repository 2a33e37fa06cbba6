//! Keys of nobody, made for the tests that run now: none lies in the tree.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use ring::rsa::KeyPair;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

/// An RSA key, the same for all tests of a process.
pub(crate) fn rsa_key() -> &'static str {
    static KEY: OnceLock<String> = OnceLock::new();
    KEY.get_or_init(|| {
        let arguments = ["genpkey", "-quiet", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"];
        let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    })
}

/// The other half of the RSA key, PEM.
pub(crate) fn public_key() -> String {
    use std::io::Write as _;
    let mut child = Command::new("openssl")
        .args(["pkey", "-pubout"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("openssl is installed");
    child.stdin.take().unwrap().write_all(rsa_key().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// A key that is no RSA key.
pub(crate) fn ec_key() -> String {
    rcgen::KeyPair::generate().unwrap().serialize_pem()
}

/// The RSA key, to sign.
pub(crate) fn key_pair() -> KeyPair {
    let der = PrivatePkcs8KeyDer::from_pem_slice(rsa_key().as_bytes()).unwrap();
    KeyPair::from_pkcs8(der.secret_pkcs8_der()).unwrap()
}

/// A service account's key whose tokens are asked for there.
pub(crate) fn content(token_uri: &str) -> Value {
    json!({
        "type": "service_account",
        "project_id": "lab",
        "private_key_id": "0123456789",
        "private_key": rsa_key(),
        "client_email": "dispatcher@lab.iam.gserviceaccount.com",
        "client_id": "100000000000000000000",
        "token_uri": token_uri,
        "universe_domain": "googleapis.com",
    })
}

/// The same in a file that only its owner reads.
pub(crate) fn write(directory: &Path, token_uri: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = directory.join("key.json");
    std::fs::write(&path, content(token_uri).to_string()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

//! For tests of whom a TLS client believes. What it believes comes from the environment of its process, so such a test runs
//! itself a second time.
//!
//! ```text
//!   the test ─┬─ Authority ── server(name) ──► serve ◄────────── https ──────────┐
//!             │        └── pem, in a file ──► a variable of the environment ─┐   │
//!             └─ run_again ──► the same test, in a second process ◄───────────┴─► client
//! ```
//! Never does: deciding whom to believe. It panics where a test would.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// An authority that nobody knows who is not told.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What a server shows, and the key that proves it.
struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// Another one each time.
    pub fn new() -> Self {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).expect("a certificate").pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Its certificate, for whoever is to believe it.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    fn vouch_for(&self, name: &str) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        Identity { certificate: params.signed_by(&key, &self.issuer).expect("a certificate"), key }
    }

    /// Certificate and key of a server of that name, in PEM.
    pub fn files(&self, name: &str) -> (String, String) {
        let Identity { certificate, key } = self.vouch_for(name);
        (certificate.pem(), key.serialize_pem())
    }

    /// What a server of that name needs.
    pub fn server(&self, name: &str) -> Arc<ServerConfig> {
        let Identity { certificate, key } = self.vouch_for(name);
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let certificates = vec![CertificateDer::from(certificate)];
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(certificates, key);
        Arc::new(config.expect("they belong together"))
    }
}

/// A call that a server waits for: the text with which it ends, and the body of the answer.
pub type Expected = (&'static str, &'static str);

/// Serves these calls, a connection each: what it was sent, as far as the client believed it. Ends at the first that does
/// not.
pub fn serve(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    expected: Vec<Expected>,
) -> JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut calls = Vec::new();
        for (end, answer) in expected {
            let (socket, _) = listener.accept().expect("a connection");
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&tls)).expect("TLS"), socket);
            let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
            while !String::from_utf8_lossy(&seen).contains(end) {
                match stream.read(&mut buffer) {
                    Ok(count @ 1..) => seen.extend_from_slice(&buffer[..count]),
                    _ => return calls,
                }
            }
            let length = answer.len();
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(format!("{head}{answer}").as_bytes()).expect("whoever asks hears the answer");
            stream.conn.send_close_notify();
            stream.flush().expect("whoever asks hears the answer");
            calls.push(String::from_utf8(seen).expect("text"));
        }
        calls
    })
}

/// Runs that test of this very program once more, by its full name, with these variables in its environment and no others.
///
/// # Panics
/// If it fails.
pub fn run_again(test: &str, environment: &[(&str, &OsStr)]) {
    let output = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", test, "--nocapture"])
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("1 passed"), "there is no test {test}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_runs_again_with_the_variables_that_it_is_given_and_no_others() {
        const SAID: &str = "DISPATCH_TEST_SAID";
        if let Some(said) = std::env::var_os(SAID) {
            assert_eq!((said.as_os_str(), std::env::vars_os().count()), (OsStr::new("yes"), 1));
            return;
        }
        run_again(
            "tests::a_test_runs_again_with_the_variables_that_it_is_given_and_no_others",
            &[(SAID, OsStr::new("yes"))],
        );
    }

    #[test]
    #[should_panic(expected = "there is no test nobody")]
    fn a_test_that_there_is_not_has_not_passed() {
        run_again("nobody", &[]);
    }
}

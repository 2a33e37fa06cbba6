//! Azure by https, as it really is: whom the driver believes. The authorities come from the process's environment, so each
//! test runs itself a second time.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudDriver as _, CloudError, CloudErrorKind};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{driver, params};
use crate::Environment;

/// Set in the second process: the file of endpoints.
const FILE: &str = "DISPATCH_TEST_AZURE_ENVIRONMENT";

/// An authority that nobody knows who is not told.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// What a server of that name needs.
    fn vouch_for(&self, name: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key);
        Arc::new(config.unwrap())
    }
}

/// Serves two calls, the first of which is for a token: what it was sent, as far as the client believed it.
fn serve(listener: TcpListener, tls: Arc<ServerConfig>) -> JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut calls = Vec::new();
        for (end, answer) in [
            ("resource=", "{\"access_token\": \"a-token-by-https\", \"expires_in\": 3600}"),
            ("\r\n\r\n", "{\"value\": []}"),
        ] {
            let (socket, _) = listener.accept().unwrap();
            let mut stream = StreamOwned::new(ServerConnection::new(Arc::clone(&tls)).unwrap(), socket);
            let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
            while !String::from_utf8_lossy(&seen).contains(end) {
                match stream.read(&mut buffer) {
                    Ok(count @ 1..) => seen.extend_from_slice(&buffer[..count]),
                    _ => return calls,
                }
            }
            let length = answer.len();
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n");
            stream.write_all(format!("{head}{answer}").as_bytes()).unwrap();
            stream.conn.send_close_notify();
            stream.flush().unwrap();
            calls.push(String::from_utf8(seen).unwrap());
        }
        calls
    })
}

/// In the second process: lists.
async fn listed() -> Option<Result<(), CloudError>> {
    let cloud_file = Some(std::env::var_os(FILE)?.into());
    let environment = Environment { cloud_file, ..Environment::default() };
    let (driver, _) = driver(params(), environment, Duration::from_secs(30));
    Some(driver.list(&Tags::default()).await.map(drop))
}

/// In the first process: runs that test again, with a server for that name and an authority that is believed; the calls
/// that came to the server.
fn calls_in(test: &str, server: &Authority, name: &str, believed: &Authority) -> Vec<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let directory = tempfile::tempdir().unwrap();
    let (authorities, file) = (directory.path().join("authorities.pem"), directory.path().join("azure.json"));
    std::fs::write(&authorities, &believed.pem).unwrap();
    let endpoints =
        serde_json::json!({"resourceManagerEndpoint": endpoint, "activeDirectoryEndpoint": endpoint});
    std::fs::write(&file, endpoints.to_string()).unwrap();
    let served = serve(listener, server.vouch_for(name));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("tests::https::{test}"), "--nocapture"])
        .env_clear()
        .envs([(FILE, &file), ("SSL_CERT_FILE", &authorities)])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    served.join().unwrap()
}

#[actix_rt::test]
async fn a_server_that_the_systems_authorities_vouch_for_is_called() {
    if let Some(listed) = listed().await {
        return listed.unwrap();
    }
    let authority = Authority::new();
    let test = "a_server_that_the_systems_authorities_vouch_for_is_called";
    let calls = calls_in(test, &authority, "localhost", &authority);
    let [token, list] = &calls[..] else { panic!("{calls:?}") };
    assert!(
        token.starts_with("POST /") && token.contains("/oauth2/token?api-version=1.0 HTTP/1.1"),
        "{token}"
    );
    assert!(list.starts_with("GET /subscriptions/"), "{list}");
    assert!(list.to_lowercase().contains("\r\nauthorization: bearer a-token-by-https\r\n"), "{list}");
}

#[actix_rt::test]
async fn a_server_that_nobody_vouches_for_is_sent_nothing() {
    if let Some(listed) = listed().await {
        let error = listed.unwrap_err();
        let told = (error.kind, error.code.as_str());
        assert_eq!(told, (CloudErrorKind::Other, "connection"), "{}", error.message);
        return;
    }
    let (authority, other) = (Authority::new(), Authority::new());
    let test = "a_server_that_nobody_vouches_for_is_sent_nothing";
    assert_eq!(calls_in(test, &authority, "localhost", &other), [""; 0], "unknown authority");
    assert_eq!(calls_in(test, &authority, "example.com", &authority), [""; 0], "another's certificate");
}

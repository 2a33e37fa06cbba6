//! EC2 by https, as it really is: whom the driver believes. The authorities come from the process's environment, so
//! each test runs itself a second time, as those of [`super::chain`] do.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;

use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudDriver as _, CloudError, CloudErrorKind};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::driver;

/// Set in the second process: where to list.
const ENDPOINT: &str = "DISPATCH_TEST_EC2_ENDPOINT";
const EMPTY: &str = "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>";

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

/// Serves one connection: the head that it was sent, if the client believed it.
fn serve_once(listener: TcpListener, tls: Arc<ServerConfig>) -> JoinHandle<Option<String>> {
    std::thread::spawn(move || {
        let (socket, _) = listener.accept().unwrap();
        let mut stream = StreamOwned::new(ServerConnection::new(tls).unwrap(), socket);
        let (mut seen, mut buffer) = (Vec::new(), [0; 4096]);
        // The form ends with its version.
        while !String::from_utf8_lossy(&seen).contains("Version=2016-11-15") {
            match stream.read(&mut buffer) {
                Ok(count @ 1..) => seen.extend_from_slice(&buffer[..count]),
                _ => return None,
            }
        }
        let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", EMPTY.len());
        stream.write_all(format!("{head}{EMPTY}").as_bytes()).unwrap();
        stream.conn.send_close_notify();
        stream.flush().unwrap();
        Some(String::from_utf8(seen).unwrap())
    })
}

/// In the second process: lists.
async fn listed() -> Option<Result<(), CloudError>> {
    let endpoint = std::env::var(ENDPOINT).ok()?;
    let (cloud, _) = driver(&endpoint, super::params()).await;
    Some(cloud.list(&Tags::default()).await.map(drop))
}

/// In the first process: runs that test again, with a server for that name and an authority that is believed; the
/// head of its call, if it came to one.
fn call_in(test: &str, server: &Authority, name: &str, believed: &Authority) -> Option<String> {
    call_with("SSL_CERT_FILE", test, server, name, believed)
}

/// The same, if that variable names the authority.
fn call_with(
    variable: &str,
    test: &str,
    server: &Authority,
    name: &str,
    believed: &Authority,
) -> Option<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let authorities = std::env::temp_dir().join(format!("dispatch-ec2-{}-{test}.pem", std::process::id()));
    std::fs::write(&authorities, &believed.pem).unwrap();
    let served = serve_once(listener, server.vouch_for(name));
    let output = again(test, &endpoint, variable, &authorities);
    std::fs::remove_file(&authorities).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    served.join().unwrap()
}

fn again(test: &str, endpoint: &str, variable: &str, authorities: &Path) -> std::process::Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("tests::https::{test}"), "--nocapture"])
        .env_clear()
        .env(ENDPOINT, endpoint)
        .env(variable, authorities)
        .output()
        .unwrap()
}

#[actix_rt::test]
async fn a_server_that_the_systems_authorities_vouch_for_is_called() {
    if let Some(listed) = listed().await {
        return listed.unwrap();
    }
    let authority = Authority::new();
    let test = "a_server_that_the_systems_authorities_vouch_for_is_called";
    let head = call_in(test, &authority, "localhost", &authority).expect("it is believed");
    assert!(head.starts_with("POST / HTTP/1.1\r\n") && head.contains("AWS4-HMAC-SHA256"), "{head}");
}

#[actix_rt::test]
async fn a_server_that_nobody_vouches_for_is_sent_nothing() {
    if let Some(listed) = listed().await {
        let error = listed.unwrap_err();
        assert_eq!(
            (error.kind, error.code.as_str()),
            (CloudErrorKind::Other, "connection"),
            "{}",
            error.message
        );
        return;
    }
    let (authority, other) = (Authority::new(), Authority::new());
    let test = "a_server_that_nobody_vouches_for_is_sent_nothing";
    assert_eq!(call_in(test, &authority, "localhost", &other), None, "unknown authority");
    assert_eq!(call_in(test, &authority, "example.com", &authority), None, "another's certificate");
}

#[actix_rt::test]
async fn the_bundle_of_the_aws_environment_is_believed() {
    if let Some(listed) = listed().await {
        return listed.unwrap();
    }
    let authority = Authority::new();
    let test = "the_bundle_of_the_aws_environment_is_believed";
    let head = call_with("AWS_CA_BUNDLE", test, &authority, "localhost", &authority);
    assert!(head.expect("it is believed").contains("AWS4-HMAC-SHA256"));
}

#[actix_rt::test]
async fn a_bundle_without_an_authority_is_refused_by_name() {
    if std::env::var(ENDPOINT).is_ok() {
        let told = crate::Ec2Cloud::check(&super::params()).await.unwrap_err().to_string();
        assert!(told.contains("AWS_CA_BUNDLE") && told.contains(".pem"), "{told}");
        return;
    }
    let test = "a_bundle_without_an_authority_is_refused_by_name";
    let path = std::env::temp_dir().join(format!("dispatch-ec2-{}-{test}.pem", std::process::id()));
    for text in [None, Some(""), Some("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n")] {
        if let Some(text) = text {
            std::fs::write(&path, text).unwrap();
        }
        let output = again(test, "", "AWS_CA_BUNDLE", &path);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::remove_file(&path).unwrap();
}

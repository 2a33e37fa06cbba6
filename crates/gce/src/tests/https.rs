//! Compute Engine by https, as it really is: whom the driver believes. The authorities come from the process's environment,
//! so each test runs itself a second time.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudDriver as _, CloudError, CloudErrorKind};
use dispatch_sim::clouds::gce::GceServer;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::{log, now, params};
use crate::environment::Environment;
use crate::{GceCloud, Options, Params};

/// Set in the second process: where to list.
const ENDPOINT: &str = "DISPATCH_TEST_GCE_ENDPOINT";
const EMPTY: &str = r#"{"kind":"compute#instanceAggregatedList","items":{}}"#;

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

    /// What a server of the name `localhost` needs.
    fn vouch(&self) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
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
        while !seen.windows(4).any(|it| it == b"\r\n\r\n") {
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

/// In the second process: lists, with a token of a metadata server.
async fn listed() -> Option<Result<(), CloudError>> {
    let endpoint = std::env::var(ENDPOINT).ok()?;
    let server = GceServer::start().unwrap();
    let registry = prometheus::Registry::new();
    let options = Options {
        params: Params { endpoint: Some(endpoint), ..params() },
        call_timeout: Duration::from_secs(30),
        now,
        registry: &registry,
        log: log(),
    };
    let environment = Environment { file: None, metadata_host: Some(server.metadata_host().to_owned()) };
    let cloud = GceCloud::open_in(options, environment).await.unwrap();
    Some(cloud.list(&Tags::default()).await.map(drop))
}

/// In the first process: runs that test again, with a server that one authority vouches for where another is believed; the
/// head of its call, if it came to one.
fn call_in(test: &str, server: &Authority, believed: &Authority) -> Option<String> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("https://localhost:{}/compute/v1/", listener.local_addr().unwrap().port());
    let directory = tempfile::tempdir().unwrap();
    let authorities = directory.path().join("authorities.pem");
    std::fs::write(&authorities, &believed.pem).unwrap();
    let served = serve_once(listener, server.vouch());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("tests::https::{test}"), "--nocapture"])
        .env_clear()
        .env(ENDPOINT, endpoint)
        .env("SSL_CERT_FILE", &authorities)
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
    let head = call_in(test, &authority, &authority).expect("it is believed");
    assert!(head.starts_with("GET /compute/v1/projects/lab/aggregated/instances?"), "{head}");
    assert!(head.to_ascii_lowercase().contains("authorization: bearer ya29."), "{head}");
}

#[actix_rt::test]
async fn a_server_that_nobody_vouches_for_is_sent_no_token() {
    if let Some(listed) = listed().await {
        let error = listed.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::Other, "connection"));
        return;
    }
    let test = "a_server_that_nobody_vouches_for_is_sent_no_token";
    assert_eq!(call_in(test, &Authority::new(), &Authority::new()), None);
}

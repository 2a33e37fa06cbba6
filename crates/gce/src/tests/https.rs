//! Compute Engine by https, as it really is: whom the driver believes.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::time::Duration;

use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudDriver as _, CloudError, CloudErrorKind};
use dispatch_sim::clouds::gce::GceServer;
use dispatch_test_https::{Authority, run_again, serve};

use super::{log, now, params};
use crate::environment::Environment;
use crate::{GceCloud, Options, Params};

/// Set in the second process: where to list.
const ENDPOINT: &str = "DISPATCH_TEST_GCE_ENDPOINT";
const CALL: (&str, &str) = ("\r\n\r\n", r#"{"kind":"compute#instanceAggregatedList","items":{}}"#);

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
    std::fs::write(&authorities, believed.pem()).unwrap();
    let served = serve(listener, server.server("localhost"), vec![CALL]);
    let environment = [(ENDPOINT, OsStr::new(&endpoint)), ("SSL_CERT_FILE", authorities.as_os_str())];
    run_again(&format!("tests::https::{test}"), &environment);
    served.join().unwrap().pop()
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

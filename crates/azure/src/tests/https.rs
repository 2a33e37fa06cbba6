//! Azure by https, as it really is: whom the driver believes.

use std::net::TcpListener;
use std::time::Duration;

use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudDriver as _, CloudError, CloudErrorKind};
use dispatch_test_https::{Authority, run_again, serve};

use super::{driver, params};
use crate::Environment;

/// Set in the second process: the file of endpoints.
const FILE: &str = "DISPATCH_TEST_AZURE_ENVIRONMENT";
/// The first call is for a token.
const CALLS: [(&str, &str); 2] = [
    ("resource=", r#"{"access_token": "a-token-by-https", "expires_in": 3600}"#),
    ("\r\n\r\n", r#"{"value": []}"#),
];

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
    std::fs::write(&authorities, believed.pem()).unwrap();
    let endpoints =
        serde_json::json!({"resourceManagerEndpoint": endpoint, "activeDirectoryEndpoint": endpoint});
    std::fs::write(&file, endpoints.to_string()).unwrap();
    let served = serve(listener, server.server(name), CALLS.to_vec());
    let environment = [(FILE, file.as_os_str()), ("SSL_CERT_FILE", authorities.as_os_str())];
    run_again(&format!("tests::https::{test}"), &environment);
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

//! EC2 by https, as it really is: whom the driver believes.

use std::ffi::OsStr;
use std::net::TcpListener;
use std::path::Path;

use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudDriver as _, CloudError, CloudErrorKind};
use dispatch_test_https::{Authority, run_again, serve};

use super::driver;

/// Set in the second process: where to list.
const ENDPOINT: &str = "DISPATCH_TEST_EC2_ENDPOINT";
/// A form ends with its version.
const CALL: (&str, &str) =
    ("Version=2016-11-15", "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>");

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
    std::fs::write(&authorities, believed.pem()).unwrap();
    let served = serve(listener, server.server(name), vec![CALL]);
    again(test, &endpoint, variable, &authorities);
    std::fs::remove_file(&authorities).unwrap();
    served.join().unwrap().pop()
}

fn again(test: &str, endpoint: &str, variable: &str, authorities: &Path) {
    let environment = [(ENDPOINT, OsStr::new(endpoint)), (variable, authorities.as_os_str())];
    run_again(&format!("tests::https::{test}"), &environment);
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
        again(test, "", "AWS_CA_BUNDLE", &path);
    }
    std::fs::remove_file(&path).unwrap();
}

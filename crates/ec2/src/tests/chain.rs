//! Credentials and region that the configuration does not give: found in a process's environment. Each test runs
//! itself a second time, in a process whose environment is what it says and nothing else.

use std::process::Command;

use dispatch_core::instance::Tags;
use dispatch_core::ports::CloudDriver as _;
use dispatch_sim::moto::Moto;
use dispatch_sim::stub::{RawCall, Reply, Stub};

use super::driver;
use super::signature::{Signer, assert_signed};
use crate::Params;

/// Set in the second process: where to list.
const ENDPOINT: &str = "DISPATCH_TEST_EC2_ENDPOINT";
const EMPTY: &str = "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>";

/// In the second process: lists once, by whatever is found.
async fn is_second() -> bool {
    let Ok(endpoint) = std::env::var(ENDPOINT) else { return false };
    let params = Params { access_key_id: String::new(), region: String::new(), ..super::params() };
    let (cloud, _) = driver(&endpoint, params).await;
    cloud.list(&Tags::default()).await.unwrap_or_else(|error| panic!("{error}"));
    true
}

/// In the first process: runs that test again, and says what it called.
fn called_in(test: &str, environment: &[(&str, &str)]) -> RawCall {
    let stub = Stub::start(None).unwrap();
    stub.next("DescribeInstances", Reply::Xml(200, EMPTY.to_owned()));
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("tests::chain::{test}"), "--nocapture"])
        .env_clear()
        .env(ENDPOINT, &stub.endpoint)
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let mut calls = stub.raw_calls();
    assert_eq!(calls.len(), 1, "{}", String::from_utf8_lossy(&output.stdout));
    calls.remove(0)
}

/// How that call was signed.
fn signed_in(test: &str, environment: &[(&str, &str)]) -> String {
    called_in(test, environment).parameters["Authorization"].clone()
}

/// An instance's metadata service that insists on tokens (moto's forgets how long they live).
fn metadata_service() -> Stub {
    let service = Stub::start(None).unwrap();
    let text = |body: &str, header: &str| {
        let head = format!("HTTP/1.1 200 OK\r\n{header}Connection: close\r\nContent-Length: {}", body.len());
        Reply::Raw(format!("{head}\r\n\r\n{body}"))
    };
    let keys = r#"{"Code":"Success","LastUpdated":"2026-11-22T00:00:00Z","Type":"AWS-HMAC","AccessKeyId":"role-key",
        "SecretAccessKey":"role-secret","Token":"role-token","Expiration":"2099-01-01T00:00:00Z"}"#;
    // The chain has a client for the region and one for the keys, each with a token of its own.
    for _ in 0..4 {
        let ttl = "X-Aws-Ec2-Metadata-Token-Ttl-Seconds: 21600\r\n";
        service.next("PUT /latest/api/token", text("the-token", ttl));
        service.next("GET /latest/meta-data/placement/region", text("eu-north-1", ""));
        service.next("GET /latest/meta-data/iam/security-credentials/", text("the-role", ""));
        service.next("GET /latest/meta-data/iam/security-credentials/the-role", text(keys, ""));
    }
    service
}

fn moto() -> &'static str {
    &Moto::shared().unwrap_or_else(|error| panic!("{error}")).site.endpoint
}

#[actix_rt::test]
async fn keys_and_region_of_the_environment_are_used() {
    if is_second().await {
        return;
    }
    let call = called_in(
        "keys_and_region_of_the_environment_are_used",
        &[
            ("AWS_ACCESS_KEY_ID", "env-key"),
            ("AWS_SECRET_ACCESS_KEY", "env-secret"),
            ("AWS_SESSION_TOKEN", "env-token"),
            ("AWS_REGION", "eu-west-1"),
        ],
    );
    let signer =
        Signer { key: "env-key", secret: "env-secret", token: Some("env-token"), region: "eu-west-1" };
    assert_signed(&call, &signer);
}

#[actix_rt::test]
async fn a_web_identity_is_exchanged_for_keys() {
    if is_second().await {
        return;
    }
    let token = std::env::temp_dir().join(format!("dispatch-ec2-web-identity-{}", std::process::id()));
    std::fs::write(&token, "a.web.token").unwrap();
    let signature = signed_in(
        "a_web_identity_is_exchanged_for_keys",
        &[
            ("AWS_WEB_IDENTITY_TOKEN_FILE", token.to_str().unwrap()),
            ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/dispatcher"),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ENDPOINT_URL", moto()),
        ],
    );
    std::fs::remove_file(&token).unwrap();
    assert!(signature.contains("Credential=ASIA"), "temporary keys begin so: {signature}");
}

#[actix_rt::test]
async fn the_instances_role_and_region_are_asked_of_its_metadata_service() {
    if is_second().await {
        return;
    }
    let service = metadata_service();
    let signature = signed_in(
        "the_instances_role_and_region_are_asked_of_its_metadata_service",
        &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &service.endpoint)],
    );
    assert!(
        signature.contains("Credential=role-key/") && signature.contains("/eu-north-1/ec2/"),
        "{signature}"
    );
}

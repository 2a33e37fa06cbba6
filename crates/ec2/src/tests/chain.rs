//! Credentials and region that the configuration does not give: found in a process's environment. Each test runs
//! itself a second time, in a process whose environment is what it says and nothing else.

use std::process::Command;

use dispatch_core::instance::Tags;
use dispatch_core::ports::CloudDriver as _;
use dispatch_sim::moto::Moto;
use dispatch_sim::stub::{RawCall, Reply, Stub};

use super::driver;
use super::signature::{Signer, assert_signed};
use crate::{Ec2Cloud, OpenError, Params};

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

/// A shared configuration of AWS's clients, with that text.
struct Shared(std::path::PathBuf);

impl Shared {
    fn new(test: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("dispatch-ec2-{}-{test}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    fn environment(&self) -> [(&str, &str); 2] {
        // The other file would be that of whoever runs the test.
        [("AWS_CONFIG_FILE", self.0.to_str().unwrap()), ("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")]
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // A file that is left over harms nobody.
        let _ = std::fs::remove_file(&self.0);
    }
}

#[actix_rt::test]
async fn a_credential_process_is_asked_for_keys() {
    if is_second().await {
        return;
    }
    let test = "a_credential_process_is_asked_for_keys";
    let keys = r#"{"Version":1,"AccessKeyId":"process-key","SecretAccessKey":"s","SessionToken":"t"}"#;
    let text = format!("[default]\nregion = eu-west-3\ncredential_process = /bin/echo '{keys}'\n");
    let shared = Shared::new(test, &text);
    let signature = signed_in(test, &shared.environment());
    assert!(
        signature.contains("Credential=process-key/") && signature.contains("/eu-west-3/ec2/"),
        "{signature}"
    );
}

/// In the second process: why there is no driver.
async fn refused(region: &str) -> Option<OpenError> {
    let _ = std::env::var(ENDPOINT).ok()?;
    let region = region.to_owned();
    let params = Params { access_key_id: String::new(), region, ..super::params() };
    Some(Ec2Cloud::check(&params).await.unwrap_err())
}

/// In the first process: that test passes in an environment of its own.
fn passes_in(test: &str, environment: &[(&str, &str)]) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("tests::chain::{test}"), "--nocapture"])
        .env_clear()
        .env(ENDPOINT, "http://127.0.0.1:9/")
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[actix_rt::test]
async fn a_profile_that_only_a_person_can_log_in_with_is_refused_by_its_name() {
    if let Some(error) = refused("us-east-1").await {
        let told = error.to_string();
        assert!(told.contains("profile `people`") && told.contains("credential_process"), "{told}");
        return;
    }
    let test = "a_profile_that_only_a_person_can_log_in_with_is_refused_by_its_name";
    let role = "[profile dispatcher]\nrole_arn = arn:aws:iam::123456789012:role/x\nsource_profile = people\n";
    for word in ["sso_session", "sso_start_url", "login_session"] {
        let shared = Shared::new(test, &format!("{role}[profile people]\n{word} = x\n"));
        for profile in ["people", "dispatcher"] {
            let [config, keys] = shared.environment();
            passes_in(test, &[config, keys, ("AWS_PROFILE", profile)]);
        }
    }
}

/// The environment's switches are looked at also if keys and region are configured.
#[actix_rt::test]
async fn a_misspelt_switch_and_a_second_endpoint_are_refused_by_name() {
    if std::env::var(ENDPOINT).is_ok() {
        let endpoint = Some("http://127.0.0.1:9/".to_owned());
        let told = Ec2Cloud::check(&Params { endpoint, ..super::params() }).await.unwrap_err().to_string();
        assert!(told.contains("AWS_USE_FIPS_ENDPOINT"), "{told}");
        return;
    }
    let test = "a_misspelt_switch_and_a_second_endpoint_are_refused_by_name";
    for text in ["ture", "true"] {
        passes_in(test, &[("AWS_USE_FIPS_ENDPOINT", text)]);
    }
}

#[actix_rt::test]
async fn a_profile_may_ask_for_other_endpoints_and_the_environment_has_the_last_word() {
    if std::env::var(ENDPOINT).is_ok() {
        let params = Params { access_key_id: String::new(), region: String::new(), ..super::params() };
        let endpoint = Ec2Cloud::find(&params).await.unwrap().1;
        assert_eq!(endpoint.url.as_str(), std::env::var("DISPATCH_TEST_WANTED").unwrap());
        return;
    }
    let test = "a_profile_may_ask_for_other_endpoints_and_the_environment_has_the_last_word";
    let text = "[default]\nregion = us-east-2\nuse_fips_endpoint = true\naws_access_key_id = a\n\
        aws_secret_access_key = b\n";
    let shared = Shared::new(test, text);
    for (more, wanted) in [
        (("OTHER", ""), "https://ec2-fips.us-east-2.amazonaws.com/"),
        (("AWS_USE_FIPS_ENDPOINT", "false"), "https://ec2.us-east-2.amazonaws.com/"),
        (("AWS_USE_DUALSTACK_ENDPOINT", "true"), "https://ec2-fips.us-east-2.api.aws/"),
    ] {
        let [config, keys] = shared.environment();
        passes_in(test, &[config, keys, more, ("DISPATCH_TEST_WANTED", wanted)]);
    }
}

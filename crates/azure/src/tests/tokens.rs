//! Tokens: who we say that we are, how long one is kept, and what is told when there is none.

use std::time::Duration;

use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudDriver as _, CloudError, CloudErrorKind};
use dispatch_core::secret::Secret;
use dispatch_sim::clouds::azure::{CLIENT, CLIENT_SECRET, Call, TENANT};
use dispatch_sim::stub::Reply;

use super::{World, driver, nowhere, params};
use crate::{Environment, OpenError, Params};

const TIMEOUT: Duration = Duration::from_secs(30);

fn token_calls(world: &World) -> Vec<Call> {
    let calls = world.azure.with(|arm| arm.calls());
    calls.into_iter().filter(|it| it.path.ends_with("/token")).collect()
}

async fn list(world: &World) -> Result<usize, CloudError> {
    world.driver.list(&Tags::default()).await.map(|it| it.len())
}

fn without_secret(client: &str) -> Params {
    Params {
        client_id: client.to_owned(),
        client_secret: Secret::default(),
        tenant_id: String::new(),
        ..params()
    }
}

#[actix_rt::test]
async fn a_token_serves_many_calls_and_is_renewed_before_its_end() {
    let world = World::new();
    world.azure.with(|arm| arm.knobs.token_seconds = 301);
    list(&world).await.unwrap();
    list(&world).await.unwrap();
    let calls = token_calls(&world);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].path, format!("/{TENANT}/oauth2/token"));
    world.azure.with(|arm| {
        arm.knobs.token_seconds = 299;
        arm.revoke();
    });
    list(&world).await.unwrap_err();
    token_calls(&world);
    // It is valid for less than five minutes, so each call asks for another.
    list(&world).await.unwrap();
    list(&world).await.unwrap();
    assert_eq!(token_calls(&world).len(), 2);
}

#[actix_rt::test]
async fn a_token_that_azure_refuses_is_forgotten_and_the_call_is_not_repeated() {
    let world = World::new();
    list(&world).await.unwrap();
    world.azure.with(|arm| arm.revoke());
    let error = list(&world).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_str()),
        (CloudErrorKind::Unauthorized, "InvalidAuthenticationToken")
    );
    world.called();
    list(&world).await.unwrap();
    assert_eq!(world.called(), ["GET virtualMachines"]);
}

#[actix_rt::test]
async fn a_managed_identity_is_asked_for_without_any_secret() {
    for client in ["", CLIENT] {
        let world = World::with(without_secret(client), TIMEOUT, |_| ());
        list(&world).await.unwrap();
        let calls = token_calls(&world);
        let asked = &calls[0];
        assert_eq!((asked.method.as_str(), asked.header("metadata")), ("GET", Some("true")));
        assert_eq!(asked.query["resource"], world.azure.endpoint);
        assert_eq!(asked.query.get("client_id").map_or("", String::as_str), client);
    }
    let world = World::with(without_secret("somebody-elses"), TIMEOUT, |_| ());
    let error = list(&world).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unauthorized, "{error}");
    assert!(error.message.contains("Identity not found"), "{error}");
}

#[actix_rt::test]
async fn a_workload_identity_reads_its_file_anew_for_each_token() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "assertion-1\n").unwrap();
    let at = file.clone();
    let world = World::with(without_secret(""), TIMEOUT, move |environment| {
        environment.federated_token_file = Some(at);
        environment.tenant_id = Some(TENANT.to_owned());
        environment.client_id = Some(CLIENT.to_owned());
    });
    list(&world).await.unwrap();
    std::fs::write(&file, "assertion-2").unwrap();
    world.azure.with(|arm| arm.revoke());
    list(&world).await.unwrap_err();
    list(&world).await.unwrap();
    let calls = token_calls(&world);
    assert_eq!(calls[0].path, format!("/{TENANT}/oauth2/v2.0/token"));
    let assertions: Vec<_> =
        calls.iter().map(|it| it.text.contains("client_assertion=assertion-2&")).collect();
    assert_eq!(assertions, [false, true]);
    std::fs::remove_file(&file).unwrap();
    world.azure.with(|arm| arm.revoke());
    list(&world).await.unwrap_err();
    let error = list(&world).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unauthorized);
    assert!(error.message.contains("AZURE_FEDERATED_TOKEN_FILE"), "{error}");
}

#[actix_rt::test]
async fn wrong_credentials_are_told_by_microsofts_number_without_any_secret() {
    let other = "99999999-2222-3333-4444-555555555555";
    for (params, words) in [
        (Params { tenant_id: other.to_owned(), ..params() }, "AADSTS90002"),
        (Params { client_id: other.to_owned(), ..params() }, "AADSTS700016"),
        (Params { client_secret: Secret::new("a-wrong-client-secret"), ..params() }, "AADSTS7000215"),
    ] {
        let world = World::with(params, TIMEOUT, |_| ());
        let error = list(&world).await.unwrap_err();
        assert_eq!(error.kind, CloudErrorKind::Unauthorized, "{error}");
        assert!(error.message.contains(words) && !error.message.contains("Trace ID"), "{error}");
        assert!(!error.message.contains("a-wrong-client-secret"), "{error}");
        assert_eq!(world.called(), Vec::<String>::new(), "nothing is called without a token");
    }
}

#[actix_rt::test]
async fn a_secret_that_the_login_repeats_is_not_told() {
    let world = World::new();
    let body =
        format!("{{\"error\": \"invalid_client\", \"error_description\": \"wrong: {CLIENT_SECRET}\"}}");
    world.azure.with(move |arm| arm.next("POST", "/oauth2/", Reply::Other(401, "application/json", body)));
    let error = list(&world).await.unwrap_err();
    assert!(error.message.contains("invalid_client: wrong: (secret)"), "{error}");
}

#[actix_rt::test]
async fn what_is_no_token_is_none_and_leaves_no_order_in_doubt() {
    let ok = |body: &str| Reply::Other(200, "application/json", body.to_owned());
    for (reply, kind, code) in [
        (
            Reply::Other(200, "text/html", "<html>log in</html>".to_owned()),
            CloudErrorKind::Other,
            "malformed",
        ),
        (ok("{}"), CloudErrorKind::Other, "malformed"),
        (ok(r#"{"access_token": "t"}"#), CloudErrorKind::Other, "malformed"),
        (ok(r#"{"access_token": "", "expires_in": 3600}"#), CloudErrorKind::Other, "malformed"),
        (ok(r#"{"access_token": "a\r\nX-Evil: b", "expires_in": 3600}"#), CloudErrorKind::Other, "malformed"),
        (ok(r#"{"access_token": "t", "expires_in": "soon"}"#), CloudErrorKind::Other, "malformed"),
        (ok(r#"{"access_token": "t", "expires_in": 0}"#), CloudErrorKind::Other, "malformed"),
        (ok(r#"{"access_token": "t", "expires_on": "1600000000"}"#), CloudErrorKind::Other, "malformed"),
        (
            Reply::Cut(r#"{"access_token": "t", "expires_in": 3600}"#.to_owned()),
            CloudErrorKind::Other,
            "no_token",
        ),
        (Reply::HangUp, CloudErrorKind::Other, "no_token"),
        (Reply::Other(503, "text/html", "<html>busy</html>".to_owned()), CloudErrorKind::Other, "http_503"),
        (Reply::Other(302, "text/html", String::new()), CloudErrorKind::Other, "http_302"),
        (
            Reply::Other(403, "text/html", "<html>no</html>".to_owned()),
            CloudErrorKind::Unauthorized,
            "http_403",
        ),
    ] {
        let world = World::new();
        let told = format!("{reply:?}");
        world.azure.with(move |arm| arm.next("POST", "/oauth2/", reply));
        let error = world.driver.create(&super::order()).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (kind, code), "{told}: {}", error.message);
        assert_eq!(world.called(), Vec::<String>::new(), "{told}");
    }
}

#[actix_rt::test]
async fn where_nobody_gives_out_tokens_nothing_was_sent() {
    let directory = tempfile::tempdir().unwrap();
    let environment = Environment { cloud_file: Some(nowhere(&directory)), ..Environment::default() };
    let (driver, _) = driver(params(), environment, Duration::from_secs(5));
    let error = driver.create(&super::order()).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::Other, "connection"));
}

#[test]
fn what_the_environment_says_by_halves_or_wrongly_is_refused_before_anything_is_called() {
    let check = |environment: &Environment| {
        crate::AzureCloud::check(
            &Params { cloud_environment: String::new(), ..without_secret("") },
            environment,
        )
    };
    assert!(check(&Environment::default()).is_ok());
    let file = Some("/nowhere".into());
    let half = Environment { federated_token_file: file.clone(), ..Environment::default() };
    assert!(matches!(check(&half), Err(OpenError::HalfWorkloadIdentity)));
    let tenant = |text: &str| Environment {
        tenant_id: Some(text.to_owned()),
        client_id: Some("c".to_owned()),
        ..half.clone()
    };
    assert!(check(&tenant("contoso.example")).is_ok());
    for bad in ["a/b", "..", "x?y"] {
        assert!(matches!(check(&tenant(bad)), Err(OpenError::BadTenant)), "{bad}");
    }
    for host in ["http://evil.example/", "http://169.254.evil.example/", "no url", "ftp://127.0.0.1/"] {
        let environment = Environment { identity_host: Some(host.to_owned()), ..Environment::default() };
        assert!(matches!(check(&environment), Err(OpenError::BadIdentityHost)), "{host}");
    }
    let beside = Some("http://169.254.130.3:8081/".to_owned());
    assert!(check(&Environment { identity_host: beside, ..Environment::default() }).is_ok());
}

/// It becomes a part of the URL that the secret is sent to.
#[test]
fn a_secret_is_sent_to_no_other_host_whatever_the_tenant_is_called() {
    for tenant in ["", "//evil.example", "https://evil.example", "http://[", "..", "a/../b"] {
        let params = Params { cloud_environment: String::new(), tenant_id: tenant.to_owned(), ..params() };
        let checked = crate::AzureCloud::check(&params, &Environment::default());
        assert!(matches!(checked, Err(OpenError::BadTenant)), "{tenant}: {checked:?}");
    }
}

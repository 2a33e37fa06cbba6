//! Tokens: of the metadata server and of a service account's key; kept, renewed, forgotten; and what may go wrong.

use std::time::{Duration, SystemTime};

use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudDriver as _, CloudError, CloudErrorKind};
use dispatch_sim::clouds::gce::{FakeGce, GceServer};
use dispatch_sim::stub::Reply;
use prometheus::Registry;

use super::{cloud, keys, log, now, order, params};
use crate::credentials::{Credentials, Source};
use crate::environment::Environment;
use crate::metadata_server::MetadataServer;
use crate::{GceCloud, OpenError, Options, Params};

async fn open(params: Params, environment: Environment) -> Result<GceCloud, OpenError> {
    let registry = Registry::new();
    let options =
        Options { params, call_timeout: Duration::from_secs(30), now, registry: &registry, log: log() };
    GceCloud::open_in(options, environment).await
}

fn at(server: &GceServer) -> Environment {
    Environment { file: None, metadata_host: Some(server.metadata_host().to_owned()) }
}

fn to(server: &GceServer) -> Params {
    Params { endpoint: Some(server.endpoint()), ..params() }
}

#[actix_rt::test]
async fn one_token_serves_all_calls_and_is_asked_for_anew_shortly_before_its_end() {
    let server = GceServer::start().unwrap();
    let source = Source::Host(MetadataServer::at(Some(server.metadata_host())).unwrap());
    let credentials = Credentials::new(source);
    let given = async |second| {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(second);
        let token = credentials.token(time).await.unwrap();
        token.expose().rsplit('-').next().unwrap().parse::<u64>().unwrap()
    };
    assert_eq!((given(0).await, given(3373).await, given(3375).await), (1, 1, 2));
    credentials.forget();
    assert_eq!(given(3376).await, 3);
}

#[actix_rt::test]
async fn while_no_other_can_be_had_a_token_serves_until_it_expires() {
    let server = GceServer::start().unwrap();
    let credentials =
        Credentials::new(Source::Host(MetadataServer::at(Some(server.metadata_host())).unwrap()));
    let at = |second| SystemTime::UNIX_EPOCH + Duration::from_secs(second);
    credentials.token(at(0)).await.unwrap();
    server.with(|fake| {
        for _ in 0..3 {
            fake.strike("metadata", Reply::HangUp);
        }
    });
    credentials.token(at(3500)).await.unwrap();
    let failure = credentials.token(at(3600)).await.unwrap_err();
    assert_eq!(failure.code, "no_token");
}

#[actix_rt::test]
async fn a_token_that_is_said_to_be_valid_for_ever_is_asked_for_anew_after_a_day() {
    let server = GceServer::start().unwrap();
    let credentials =
        Credentials::new(Source::Host(MetadataServer::at(Some(server.metadata_host())).unwrap()));
    server.with(|fake| fake.tokens.valid_seconds = u64::MAX);
    for (hour, given) in [(0, 1), (23, 1), (24, 2)] {
        credentials.token(SystemTime::UNIX_EPOCH + Duration::from_secs(hour * 3600)).await.unwrap();
        assert_eq!(server.with(|fake| fake.tokens.given()), given, "hour {hour}");
    }
}

#[actix_rt::test]
async fn a_token_that_is_not_taken_any_more_is_forgotten() {
    let (server, cloud, _) = cloud(params()).await;
    cloud.list(&Tags::default()).await.unwrap();
    server.with(|fake| fake.tokens.revoke());
    let error = cloud.list(&Tags::default()).await.unwrap_err();
    assert_eq!((error.kind.clone(), error.code.as_str()), (CloudErrorKind::Unauthorized, "authError"));
    cloud.list(&Tags::default()).await.unwrap();
    assert_eq!(server.with(|fake| fake.tokens.given()), 2);
}

#[actix_rt::test]
async fn what_is_forbidden_makes_no_token_forgotten() {
    let (server, cloud, _) = cloud(params()).await;
    server.with(|fake| fake.strike("instances.aggregatedList", FakeGce::refusal(403, "forbidden", "no")));
    assert_eq!(cloud.list(&Tags::default()).await.unwrap_err().kind, CloudErrorKind::Other);
    cloud.list(&Tags::default()).await.unwrap();
    assert_eq!(server.with(|fake| fake.tokens.given()), 1);
}

#[actix_rt::test]
async fn a_key_signs_claims_for_its_token_uri_and_names_the_project() {
    let server = GceServer::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = keys::write(directory.path(), &server.token_uri());
    let by_parameter = Params { credentials_file: file.clone(), ..to(&server) };
    let by_environment =
        Environment { file: Some(file.into()), metadata_host: Some("127.0.0.1:9".to_owned()) };
    let nowhere = Environment { file: None, metadata_host: Some("127.0.0.1:9".to_owned()) };
    for (params, environment) in [(by_parameter, nowhere), (to(&server), by_environment)] {
        let cloud = open(params, environment).await.unwrap();
        cloud.create(&order()).await.unwrap();
    }
    let assertions = server.with(|fake| fake.tokens.assertions.clone());
    assert_eq!(assertions.len(), 2);
    assert!(assertions.iter().all(|it| !it.contains(keys::rsa_key())));
}

#[actix_rt::test]
async fn without_a_project_or_a_usable_key_nothing_is_opened() {
    let server = GceServer::start().unwrap();
    let told = async |params: Params, environment| {
        open(params, environment).await.err().expect("it is wrong").to_string()
    };
    let nobody = || Environment { file: None, metadata_host: Some("127.0.0.1:9".to_owned()) };
    let none = told(to(&server), nobody()).await;
    assert!(none.starts_with("no project: set DriverParameters.ProjectID ("), "{none}");
    assert!(
        open(Params { project_id: "lab".to_owned(), ..to(&server) }, nobody()).await.is_ok(),
        "not asked for"
    );
    let absent = Params { credentials_file: "/nowhere/key.json".to_owned(), ..to(&server) };
    let absent = told(absent, nobody()).await;
    assert!(absent.contains("service account's key: /nowhere/key.json: cannot read it"), "{absent}");
    let strange = Environment { file: None, metadata_host: Some("http://x".to_owned()) };
    assert!(told(to(&server), strange).await.contains("GCE_METADATA_HOST"));
    for (reply, words) in [
        (Reply::Other(200, "text/html", "<html>log in</html>".to_owned()), "is no metadata server"),
        (flavored(200, "<html>log in</html>"), "is no project's id"),
        (flavored(503, ""), "answers 503"),
        (flavored(404, ""), "has no project/project-id"),
        (Reply::HangUp, "metadata_free"),
    ] {
        let is_silent = words == "metadata_free";
        server.with(move |fake| fake.strike("metadata", reply));
        let told = told(to(&server), at(&server)).await;
        assert!(told.starts_with("no project") && (is_silent || told.contains(words)), "{told}");
    }
}

fn flavored(status: u16, body: &str) -> Reply {
    Reply::Raw(format!(
        "HTTP/1.1 {status} X\r\nMetadata-Flavor: Google\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ))
}

async fn after(fault: &'static str, reply: Reply, with_key: bool) -> CloudError {
    let server = GceServer::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = with_key.then(|| keys::write(directory.path(), &server.token_uri()).into());
    let cloud = open(to(&server), Environment { file, ..at(&server) }).await.unwrap();
    server.with(move |fake| fake.strike(fault, reply));
    let error = cloud.create(&order()).await.unwrap_err();
    assert_eq!(server.with(|fake| fake.calls().len()), 0, "nothing is ordered without a token");
    error
}

#[actix_rt::test]
async fn who_gives_no_token_is_told_and_nothing_is_ordered() {
    let json = |text: &str| Reply::Other(200, "application/json", text.to_owned());
    let refused = r#"{"error":"invalid_grant","error_description":"Invalid JWT Signature."}"#;
    for (reply, words) in [
        (Reply::Other(400, "application/json", refused.to_owned()), "invalid_grant: Invalid JWT Signature."),
        (Reply::Other(502, "text/html", "<html>Bad Gateway</html>".to_owned()), "status 502"),
        (Reply::Other(429, "text/plain", "slow down".to_owned()), "status 429"),
        (Reply::Other(302, "text/html", String::new()), "status 302"),
        (json("<html>log in</html>"), "has no token"),
        (json(r#"{"access_token":7,"expires_in":1}"#), "has no token"),
        (json(r#"{"access_token":"a"#), "has no token"),
        (Reply::HangUp, ""),
        (Reply::Cut("{\"access_token\":\"a\"}".to_owned()), ""),
    ] {
        let error = after("token", reply, true).await;
        assert_eq!(
            (error.kind.clone(), error.code.as_str()),
            (CloudErrorKind::Unauthorized, "no_token"),
            "{words}"
        );
        assert!(
            error.message.contains("no Google credentials: ") && error.message.contains(words),
            "{error}"
        );
    }
}

#[actix_rt::test]
async fn a_wrong_clock_is_told_with_the_refusal_of_claims() {
    let body =
        r#"{"error":"invalid_grant","error_description":"Invalid JWT: Token must be a short-lived token"}"#;
    let reply = Reply::Raw(format!(
        "HTTP/1.1 400 Bad Request\r\nDate: Sun, 01 Jan 2023 00:00:00 GMT\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    let error = after("token", reply, true).await;
    assert!(
        error.message.contains("this host's clock is ") && error.message.contains("dispatcher@lab"),
        "{error}"
    );
}

#[actix_rt::test]
async fn what_gives_a_refusal_back_tells_no_claims_and_no_token() {
    // The project is known, so that the first question is for a token.
    let server = GceServer::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = keys::write(directory.path(), &server.token_uri());
    let cloud = open(Params { credentials_file: file, ..to(&server) }, Environment::default()).await.unwrap();
    cloud.list(&Tags::default()).await.unwrap();
    let token = server.with(|fake| fake.calls().remove(0).token);
    let said = token.clone();
    server.with(move |fake| {
        let text = format!("Token {said} is bad");
        fake.strike("instances.aggregatedList", FakeGce::refusal(401, "authError", &text));
    });
    let error = cloud.list(&Tags::default()).await.unwrap_err();
    assert!(error.message.contains("Token (secret) is bad") && !error.message.contains(&token), "{error}");
}

#[actix_rt::test]
async fn a_metadata_server_that_gives_no_token_is_told_and_nothing_is_ordered() {
    for (reply, words) in [
        (flavored(404, "<html>Not Found</html>"), "has this host a service account?"),
        (flavored(503, ""), "answers 503"),
        (flavored(200, "<html>log in</html>"), "has no token"),
        (flavored(200, r#"{"access_token":"a","expires_in":"soon"}"#), "has no token"),
        (
            Reply::Other(200, "application/json", r#"{"access_token":"a","expires_in":9}"#.to_owned()),
            "is no metadata server",
        ),
        (Reply::HangUp, "no Google credentials"),
        (Reply::Endless, "no Google credentials"),
    ] {
        let error = after("metadata", reply, false).await;
        assert_eq!(
            (error.kind.clone(), error.code.as_str()),
            (CloudErrorKind::Unauthorized, "no_token"),
            "{words}"
        );
        assert!(error.message.contains(words), "{error}");
    }
}

#[actix_rt::test]
async fn a_key_that_everybody_may_read_is_told_when_the_cloud_is_opened() {
    use std::os::unix::fs::PermissionsExt as _;
    let server = GceServer::start().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = keys::write(directory.path(), &server.token_uri());
    for (mode, wanted) in [(0o600, 0), (0o644, 1)] {
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        let (log, told) = super::listener();
        let registry = Registry::new();
        let params = Params { credentials_file: file.clone(), ..to(&server) };
        let options =
            Options { params, call_timeout: Duration::from_secs(30), now, registry: &registry, log };
        GceCloud::open_in(options, Environment::default()).await.unwrap();
        let told: Vec<_> = told.try_iter().collect();
        assert_eq!(told.len(), wanted, "{mode:o}: {told:?}");
        assert!(
            told.iter().all(|it| it == "everybody on this machine may use the key of the cloud"),
            "{told:?}"
        );
    }
}

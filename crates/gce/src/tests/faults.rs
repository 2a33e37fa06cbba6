//! Failures of Compute Engine as it words them: each becomes a kind of error; none is a panic, and none looks like an empty
//! cloud.

use std::time::{Duration, Instant};

use dispatch_core::id::InstanceId;
use dispatch_core::instance::{InstanceType, Tags};
use dispatch_core::ports::{CapacityScope, CloudDriver as _, CloudError, CloudErrorKind};
use dispatch_core::time::since;
use dispatch_sim::clouds::gce::{FakeGce, GceServer};
use dispatch_sim::stub::{Reply, Stub};
use serde_json::json;

use super::{SECRET, cloud, driver, methods, now, order, params, small, value};
use crate::Params;

const PAGE: &str = include_str!("answers/instances.json");

fn one_zone() -> Params {
    Params { zones: vec!["us-central1-a".to_owned()], ..params() }
}

async fn create_after(reply: Reply) -> CloudError {
    let (server, cloud, _) = cloud(one_zone()).await;
    server.with(move |fake| fake.strike("instances.insert", reply));
    let error = cloud.create(&order()).await.unwrap_err();
    assert_eq!(methods(&server), ["instances.insert"], "nothing is tried again");
    error
}

async fn list_after(reply: Reply) -> CloudError {
    let (server, cloud, _) = cloud(one_zone()).await;
    server.with(move |fake| fake.strike("instances.aggregatedList", reply));
    cloud.list(&Tags::default()).await.unwrap_err()
}

#[actix_rt::test]
async fn refusals_of_an_order_have_kind_scope_and_code() {
    for (status, reason, message, kind) in [
        (503, "insufficientCapacity", "no more", CloudErrorKind::Capacity(CapacityScope::Offering)),
        (
            403,
            "quotaExceeded",
            "Quota 'N2_CPUS' exceeded.",
            CloudErrorKind::Capacity(CapacityScope::QuotaGroup),
        ),
        (403, "forbidden", "Required 'compute.instances.create' permission", CloudErrorKind::Other),
        (403, "insufficientPermissions", "Insufficient Permission", CloudErrorKind::Other),
        (
            412,
            "conditionNotMet",
            "Constraint constraints/compute.vmExternalIpAccess violated",
            CloudErrorKind::Other,
        ),
        (401, "authError", "Invalid Credentials", CloudErrorKind::Unauthorized),
        (
            403,
            "accessNotConfigured",
            "Compute Engine API has not been used in project 1",
            CloudErrorKind::Unauthorized,
        ),
        (403, "forbidden", "The project has no billing account", CloudErrorKind::Unauthorized),
        (404, "notFound", "The resource 'projects/lab/global/images/x' was not found", CloudErrorKind::Other),
        (
            404,
            "notFound",
            "The resource 'projects/lab/zones/us-central1-a/instances/x' was not found",
            CloudErrorKind::Other,
        ),
        (400, "invalid", "Invalid value for field 'resource.name'", CloudErrorKind::Other),
        (400, "required", "Required field 'resource' not specified", CloudErrorKind::Other),
        (500, "internalError", "Internal Error", CloudErrorKind::Unknown),
        (503, "backendError", "Backend Error", CloudErrorKind::Unknown),
        (400, "SomethingOfTomorrow", "?", CloudErrorKind::Other),
        (500, "SomethingOfTomorrow", "?", CloudErrorKind::Unknown),
    ] {
        let error = create_after(FakeGce::refusal(status, reason, message)).await;
        assert_eq!((error.kind.clone(), error.code.as_str()), (kind, reason), "{message}");
        assert!(error.message.starts_with(&format!("instances.insert: {reason}: ")), "{error}");
    }
}

fn operation_failed(code: &str, message: &str) -> Reply {
    let errors = json!([{"code": code, "message": message}, {"code": "OTHER"}]);
    let operation = json!({
        "kind": "compute#operation", "name": "operation-1", "status": "DONE", "error": {"errors": errors},
        "httpErrorStatusCode": 503, "httpErrorMessage": "SERVICE UNAVAILABLE",
    });
    Reply::Other(200, "application/json", operation.to_string())
}

#[actix_rt::test]
async fn an_operation_that_has_failed_means_what_its_word_means_and_what_nobody_knows_is_a_refusal() {
    let offering = CloudErrorKind::Capacity(CapacityScope::Offering);
    for (code, kind) in [
        ("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", offering.clone()),
        ("GPU_STOCKOUT", offering.clone()),
        ("UNSUPPORTED_OPERATION", offering),
        ("CONDITION_NOT_MET", CloudErrorKind::Other),
        ("RESOURCE_NOT_FOUND", CloudErrorKind::Other),
        ("INTERNAL_ERROR", CloudErrorKind::Unknown),
        ("SOMETHING_OF_TOMORROW", CloudErrorKind::Other),
    ] {
        let error = create_after(operation_failed(code, "why")).await;
        assert_eq!((error.kind.clone(), error.code.as_str()), (kind, code));
    }
    let strange = create_after(operation_failed("two words", "why")).await;
    assert_eq!((strange.kind, strange.code.as_str()), (CloudErrorKind::Other, "http_400"));
}

fn wait(error: CloudError) -> f64 {
    match error.kind {
        CloudErrorKind::RateLimited { until } => since(until, now()).as_secs_f64(),
        kind => panic!("{kind:?}"),
    }
}

#[actix_rt::test]
async fn a_throttled_call_waits_for_the_next_full_minute_or_as_long_as_it_is_told() {
    // It is the 52nd second.
    for (status, reason) in
        [(403, "rateLimitExceeded"), (403, "userRateLimitExceeded"), (429, "rateLimitExceeded")]
    {
        assert_eq!(wait(create_after(FakeGce::refusal(status, reason, "Rate Limit Exceeded")).await), 8.0);
    }
    assert_eq!(wait(list_after(Reply::Other(429, "text/html", "<html>".to_owned())).await), 8.0);
    assert_eq!(wait(create_after(operation_failed("RESOURCE_OPERATION_RATE_EXCEEDED", "")).await), 8.0);
    let told = |after: &str| {
        Reply::Raw(format!(
            "HTTP/1.1 429 X\r\nRetry-After: {after}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        ))
    };
    assert_eq!(wait(list_after(told("17")).await), 17.0);
    assert_eq!(wait(list_after(told("0")).await), 1.0);
    assert_eq!(wait(list_after(told("soon")).await), 8.0);
}

#[actix_rt::test]
async fn answers_that_break_off_are_unknown_never_an_empty_cloud() {
    let json = |text: &str| Reply::Other(200, "application/json", text.to_owned());
    for reply in [
        Reply::Cut(PAGE.to_owned()),
        Reply::Truncated(PAGE.to_owned()),
        json(""),
        json("{}"),
        json("[]"),
        json("null"),
        json(r#"{"kind":"compute#instanceList","items":[]}"#),
        json(r#"{"kind":"compute#instanceAggregatedList","items":[]}"#),
        json(r#"{"kind":"compute#instanceAggregatedList","items":{"zones/a":{"instances":{}}}}"#),
        json(r#"{"kind":"compute#instanceAggregatedList","items":{},"nextPageToken":7}"#),
        Reply::Other(200, "text/html", "<html><body>Please log in<br></body></html>".to_owned()),
        Reply::HangUp,
    ] {
        let error = list_after(reply.clone()).await;
        assert_eq!(error.kind, CloudErrorKind::Unknown, "{reply:?}: {error}");
    }
    for text in ["", "{}", "<html>", PAGE, r#"{"kind":"compute#operation","name":"a","status":"DONE""#] {
        let error = create_after(json(text)).await;
        assert_eq!(error.kind, CloudErrorKind::Unknown, "the VM may be there: {text}");
    }
}

#[actix_rt::test]
async fn a_gateways_page_is_told_by_its_status() {
    let page = "<html><head><title>502 Bad Gateway</title></head><body><hr>nginx</body></html>";
    for (status, kind, code) in [
        (502, CloudErrorKind::Unknown, "http_502"),
        (503, CloudErrorKind::Unknown, "http_503"),
        (403, CloudErrorKind::Unauthorized, "http_403"),
        (404, CloudErrorKind::Other, "http_404"),
        (302, CloudErrorKind::Other, "http_302"),
    ] {
        let error = list_after(Reply::Other(status, "text/html", page.to_owned())).await;
        assert_eq!((error.kind.clone(), error.code.as_str()), (kind, code));
    }
}

#[actix_rt::test]
async fn silence_and_endless_answers_end_at_the_deadline_or_the_limit() {
    for (reply, codes) in [(Reply::Silence, &["timeout"][..]), (Reply::Endless, &["timeout", "too_long"])] {
        let server = GceServer::start().unwrap();
        let (cloud, _) = driver(&server, one_zone(), Duration::from_millis(1500)).await;
        server.with(move |fake| fake.strike("instances.insert", reply));
        #[expect(clippy::disallowed_methods, reason = "how long it really takes")]
        let began = Instant::now();
        let error = cloud.create(&order()).await.unwrap_err();
        assert_eq!(error.kind, CloudErrorKind::Unknown, "{error}");
        assert!(codes.contains(&error.code.as_str()), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

#[actix_rt::test]
async fn where_nobody_listens_nothing_was_done() {
    let server = GceServer::start().unwrap();
    let closed = Stub::start(None).unwrap().endpoint.clone();
    let registry = prometheus::Registry::new();
    let options = crate::Options {
        params: Params { endpoint: Some(closed), ..one_zone() },
        call_timeout: Duration::from_secs(5),
        now,
        registry: &registry,
        log: super::log(),
    };
    let host = Some(server.metadata_host().to_owned());
    let environment = crate::environment::Environment { file: None, metadata_host: host };
    let cloud = crate::GceCloud::open_in(options, environment).await.unwrap();
    let error = cloud.create(&order()).await.unwrap_err();
    assert_eq!((error.kind.clone(), error.code.as_str()), (CloudErrorKind::Other, "connection"));
}

#[actix_rt::test]
async fn no_redirect_is_followed_with_a_token() {
    let other = Stub::start(None).unwrap();
    let to = format!("{}/compute/v1/", other.endpoint);
    let reply = Reply::Raw(format!(
        "HTTP/1.1 307 X\r\nLocation: {to}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
    ));
    assert_eq!(create_after(reply).await.code, "http_307");
    assert!(other.raw_calls().is_empty());
}

#[actix_rt::test]
async fn ending_what_is_gone_is_a_success_and_what_is_no_id_is_no_call() {
    let (server, cloud, _) = cloud(params()).await;
    cloud.destroy(&InstanceId::new("us-central1-a/arvados-0").unwrap()).await.unwrap();
    assert_eq!(methods(&server), ["instances.delete"]);
    let error = cloud.destroy(&InstanceId::new("i-0aaa").unwrap()).await.unwrap_err();
    assert_eq!((error.kind.clone(), error.code.as_str()), (CloudErrorKind::Other, "bad_id"));
    assert!(methods(&server).is_empty());
    server.with(|fake| fake.strike("instances.delete", Reply::Other(404, "text/html", "<html>".to_owned())));
    let page = cloud.destroy(&InstanceId::new("us-central1-a/arvados-0").unwrap()).await.unwrap_err();
    assert_eq!(page.code, "http_404", "a stranger's page says nothing of a VM");
}

#[actix_rt::test]
async fn no_secret_is_repeated_and_of_one_where_a_long_message_is_cut_nothing_is_left() {
    let error = create_after(FakeGce::refusal(400, "invalid", &format!("Value ({SECRET}) is bad"))).await;
    assert!(error.message.contains("Value ((secret)) is bad"), "{error}");
    for before in [380, 395, 399] {
        let message = format!("{}{SECRET} and so on", ".".repeat(before));
        for reply in [FakeGce::refusal(400, "invalid", &message), operation_failed("INVALID_USAGE", &message)]
        {
            let error = create_after(reply).await;
            assert!(!error.message.contains(&SECRET[..4]) && error.message.len() < 500, "{error}");
        }
    }
}

#[actix_rt::test]
async fn failed_calls_are_counted_by_method_and_word() {
    let (server, cloud, registry) = cloud(params()).await;
    server.with(|fake| fake.strike("instances.aggregatedList", FakeGce::refusal(403, "forbidden", "")));
    cloud.list(&Tags::default()).await.unwrap_err();
    let series = "gce_errors_total{code=\"forbidden\",operation=\"instances.aggregatedList\"}";
    assert_eq!(value(&registry, series), Some(1.0));
}

#[actix_rt::test]
async fn an_attached_disk_is_part_of_what_a_vm_costs() {
    let (_server, cloud, _) = cloud(params()).await;
    cloud.create(&order()).await.unwrap();
    let listed = cloud.list(&Tags::default()).await.unwrap().remove(0);
    let with_disk = InstanceType { added_scratch: 730 << 30, ..InstanceType::clone(&small()) };
    let history = cloud.price_history(&listed, &with_disk);
    assert_eq!(history.len(), 1);
    assert!((history[0].price.per_hour() - (small().price.per_hour() + 0.1)).abs() < 1e-9, "{history:?}");
    assert_eq!(Some(history[0].start_time), listed.launched);
    assert!(cloud.price_history(&listed, &small()).is_empty(), "without one the type's price holds");
}

#[actix_rt::test]
async fn a_project_that_is_not_there_is_no_vm_that_has_ended() {
    let (server, cloud, _) = cloud(Params { project_id: "another".to_owned(), ..params() }).await;
    let id = InstanceId::new("us-central1-a/arvados-0").unwrap();
    let tags = Tags([("a".to_owned(), "b".to_owned())].into());
    let errors = [
        cloud.create(&order()).await.map(drop),
        cloud.list(&Tags::default()).await.map(drop),
        cloud.destroy(&id).await,
        cloud.set_tags(&id, &tags).await,
    ];
    for error in errors {
        let error = error.unwrap_err();
        assert_eq!((error.kind.clone(), error.code.as_str()), (CloudErrorKind::Other, "notFound"), "{error}");
    }
    assert_eq!(server.with(|fake| fake.calls().len()), 4, "no other zone is tried");
}

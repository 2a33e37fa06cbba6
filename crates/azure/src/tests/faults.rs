//! Failures of Azure as it words them: each becomes a kind of error; none is a panic, and none looks like an empty cloud.

use std::time::{Duration, Instant};

use dispatch_core::id::InstanceId;
use dispatch_core::instance::Tags;
use dispatch_core::ports::{CapacityScope, CloudDriver as _, CloudError, CloudErrorKind, QuotaScope};
use dispatch_core::time::since;
use dispatch_sim::clouds::azure::SUBSCRIPTION;
use dispatch_sim::stub::Reply;

use super::{SECRET, World, now, of_set, order, params, value};
use crate::Params;

const VMS: &str = "virtualMachines";
const NICS: &str = "networkInterfaces";

fn id() -> InstanceId {
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/cluster");
    InstanceId::new(&format!("{group}/providers/Microsoft.Compute/virtualMachines/x")).unwrap()
}

fn refusal(status: u16, code: &str, message: &str) -> Reply {
    let body = serde_json::json!({"error": {"code": code, "message": message}}).to_string();
    Reply::Other(status, "application/json", body)
}

async fn create_after(path: &'static str, reply: Reply) -> (CloudError, World) {
    let world = World::new();
    world.azure.with(move |arm| arm.next("PUT", path, reply));
    let error = world.driver.create(&order()).await.unwrap_err();
    (error, world)
}

async fn list_after(path: &'static str, reply: Reply) -> CloudError {
    let world = World::new();
    world.azure.with(move |arm| {
        arm.next("GET", path, reply);
    });
    world.driver.list(&of_set()).await.unwrap_err()
}

#[actix_rt::test]
async fn refusals_of_an_order_have_kind_scope_and_code() {
    let rows = [
        (409, "SkuNotAvailable", CloudErrorKind::Capacity(CapacityScope::Offering)),
        (409, "QuotaExceeded", CloudErrorKind::Quota(QuotaScope::All)),
        (403, "RequestDisallowedByPolicy", CloudErrorKind::Other),
        (403, "AuthorizationFailed", CloudErrorKind::Unauthorized),
        (404, "ResourceNotFound", CloudErrorKind::Other),
        (400, "InvalidParameter", CloudErrorKind::Other),
        (409, "Conflict", CloudErrorKind::Unknown),
        (500, "InternalServerError", CloudErrorKind::Unknown),
        (409, "SomethingOfTomorrow", CloudErrorKind::Other),
    ];
    for (status, code, kind) in rows {
        let (error, world) = create_after(VMS, refusal(status, code, "why")).await;
        assert_eq!((&error.kind, error.code.as_str()), (&kind, code));
        assert!(error.message.starts_with(&format!("PutVirtualMachine: {code}: why")), "{}", error.message);
        let puts = world.called().into_iter().filter(|it| it.starts_with("PUT")).count();
        assert_eq!(puts, 2, "{code}: nothing is tried again");
        // If in doubt the NIC stays: the VM may be there.
        let is_kept = kind == CloudErrorKind::Unknown;
        assert_eq!(world.azure.with(|arm| arm.interfaces.len()), usize::from(is_kept), "{code}");
        let counted = format!("azure_errors_total{{code=\"{code}\",operation=\"PutVirtualMachine\"}}");
        assert_eq!(value(&world.registry, &counted), Some(1.0));
    }
}

#[actix_rt::test]
async fn a_nic_that_cannot_be_had_leaves_no_order_in_doubt() {
    for (reply, kind) in [
        (refusal(400, "SubnetIsFull", "no addresses"), CloudErrorKind::Quota(QuotaScope::All)),
        (refusal(500, "InternalServerError", "?"), CloudErrorKind::Other),
        (refusal(404, "ResourceNotFound", "no subnet"), CloudErrorKind::Other),
        (Reply::HangUp, CloudErrorKind::Other),
        (Reply::Other(200, "text/html", "<html>".to_owned()), CloudErrorKind::Other),
        (Reply::Other(200, "application/json", "{}".to_owned()), CloudErrorKind::Other),
    ] {
        let told = format!("{reply:?}");
        let (error, world) = create_after(NICS, reply).await;
        assert_eq!(error.kind, kind, "{told}: {error}");
        assert_eq!(world.called().len(), 1, "{told}: no VM is ordered");
    }
}

#[actix_rt::test]
async fn an_order_without_a_whole_answer_is_in_doubt() {
    for reply in [
        Reply::HangUp,
        Reply::Cut("{\"name\": \"x\", \"properties\": {}}".to_owned()),
        Reply::Truncated("{\"name\": \"x\", \"properties\": {}}".to_owned()),
        Reply::Other(200, "text/html", "<html>Please log in</html>".to_owned()),
        Reply::Other(201, "application/json", String::new()),
        Reply::Other(201, "application/json", "{\"name\": 7}".to_owned()),
        Reply::Other(502, "text/html", "<html>Bad Gateway</html>".to_owned()),
    ] {
        let told = format!("{reply:?}");
        let (error, world) = create_after(VMS, reply).await;
        assert_eq!(error.kind, CloudErrorKind::Unknown, "{told}: {error}");
        let called = world.called();
        assert!(called.iter().all(|it| it.starts_with("PUT")), "{told}: {called:?}");
    }
}

#[actix_rt::test]
async fn answers_that_are_no_lists_are_errors_never_an_empty_cloud() {
    let json = |body: &str| Reply::Other(200, "application/json", body.to_owned());
    for reply in [
        json(""),
        json("{}"),
        json("[]"),
        json("{\"value\": null}"),
        json("{\"value\": {}}"),
        json("{\"value\": [{\"name\": 1}]}"),
        json("{\"value\": [{\"name\": \"x\"}]}"),
        json("{\"value\": [{\"name\": \"x\", \"tags\": [], \"properties\": {}}]}"),
        Reply::Cut("{\"value\": []}   ".to_owned()),
        Reply::Truncated("{\"value\": []}".to_owned()),
        Reply::Other(200, "text/html", "<html><body>Please log in</body></html>".to_owned()),
        Reply::HangUp,
    ] {
        let told = format!("{reply:?}");
        for path in [VMS, NICS] {
            let error = list_after(path, reply.clone()).await;
            assert_eq!(error.kind, CloudErrorKind::Unknown, "{path}: {told}: {error}");
        }
    }
}

#[actix_rt::test]
async fn a_gateways_page_is_told_by_its_status() {
    for (status, kind, code) in [
        (502, CloudErrorKind::Unknown, "http_502"),
        (403, CloudErrorKind::Unauthorized, "http_403"),
        (404, CloudErrorKind::Other, "http_404"),
        (302, CloudErrorKind::Other, "http_302"),
    ] {
        let page = "<html><body>nginx</body></html>".to_owned();
        let error = list_after(VMS, Reply::Other(status, "text/html", page)).await;
        assert_eq!((error.kind, error.code.as_str()), (kind, code));
    }
}

#[actix_rt::test]
async fn another_version_of_the_api_is_refused_by_name() {
    let error = list_after(
        VMS,
        refusal(
            400,
            "NoRegisteredProviderFound",
            "No registered resource provider found for location 'x' and API version '2024-07-01'",
        ),
    )
    .await;
    assert_eq!(
        (error.kind.clone(), error.code.as_str()),
        (CloudErrorKind::Other, "NoRegisteredProviderFound")
    );
    assert!(error.message.contains("2024-07-01"), "{error}");
}

#[actix_rt::test]
async fn a_next_page_that_leads_elsewhere_or_comes_again_is_refused_and_gets_no_token() {
    let thief = dispatch_sim::stub::Stub::start(None).unwrap();
    for next in [format!("{}/x?api-version=1", thief.endpoint), "/x".to_owned(), "no url".to_owned()] {
        let body = serde_json::json!({"value": [], "nextLink": next}).to_string();
        let error = list_after(VMS, Reply::Other(200, "application/json", body)).await;
        assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::Unknown, "malformed"), "{next}");
    }
    assert!(thief.raw_calls().is_empty());
    let world = World::new();
    let next = format!("{}again", world.azure.endpoint);
    world.azure.with(move |arm| {
        let page = || {
            let body = serde_json::json!({"value": [], "nextLink": next}).to_string();
            Reply::Other(200, "application/json", body)
        };
        arm.next("GET", VMS, page());
        arm.next("GET", "/again", page());
    });
    let error = world.driver.list(&Tags::default()).await.unwrap_err();
    assert!(error.message.contains("a list without end"), "{error}");
}

/// Of both lists that make a listing: a part of either is none.
#[actix_rt::test]
async fn a_later_page_that_fails_fails_the_listing() {
    for list in [VMS, NICS] {
        for reply in [
            refusal(500, "InternalServerError", "?"),
            Reply::HangUp,
            Reply::Other(200, "application/json", "{}".to_owned()),
        ] {
            let world = World::new();
            world.driver.create(&order()).await.unwrap();
            let told = format!("{list}: {reply:?}");
            let next = format!("{}later?api-version=1", world.azure.endpoint);
            world.azure.with(move |arm| {
                let body = serde_json::json!({"value": [], "nextLink": next}).to_string();
                arm.next("GET", list, Reply::Other(200, "application/json", body));
                arm.next("GET", "/later", reply);
            });
            let error = world.driver.list(&of_set()).await.unwrap_err();
            assert_eq!(error.kind, CloudErrorKind::Unknown, "{told}: {error}");
            let called = world.azure.with(|arm| arm.calls());
            assert!(called.iter().any(|it| it.path == "/later"), "{told}");
        }
    }
}

/// The reader's own words repeat what it has read.
#[actix_rt::test]
async fn of_an_answer_that_cannot_be_read_little_is_repeated_and_no_secret() {
    for before in [0, 200, 216, 224, 232, 240, 248, 270, 290] {
        let body = format!("\"{}{SECRET}{}\"", ".".repeat(before), "x".repeat(10_000));
        let (error, _world) = create_after(VMS, Reply::Other(201, "application/json", body)).await;
        assert_eq!(error.code, "malformed");
        assert!(!error.message.contains(&SECRET[..4]), "{error}");
        assert!(error.message.len() < 400, "{} bytes", error.message.len());
    }
    let body = format!("\"{}\"", "x".repeat(100_000));
    let error = list_after(VMS, Reply::Other(200, "application/json", body)).await;
    assert!(error.message.len() < 400, "{} bytes", error.message.len());
}

#[actix_rt::test]
async fn a_vm_that_is_there_already_and_cannot_be_read_is_in_doubt_and_counted() {
    let world = World::new();
    world.driver.create(&order()).await.unwrap();
    world.azure.with(|arm| arm.next("GET", VMS, Reply::Other(200, "application/json", "{}".to_owned())));
    let error = world.driver.create(&order()).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::Unknown, "malformed"));
    assert!(error.message.starts_with("GetVirtualMachine: "), "{}", error.message);
    let counted = "azure_errors_total{code=\"malformed\",operation=\"GetVirtualMachine\"}";
    assert_eq!(value(&world.registry, counted), Some(1.0));
    assert_eq!(world.azure.with(|arm| arm.machines.len()), 1);
}

#[actix_rt::test]
async fn an_operation_that_leads_elsewhere_gets_no_token_and_the_vm_is_left_to_listings() {
    let thief = dispatch_sim::stub::Stub::start(None).unwrap();
    let world = World::new();
    let at = thief.endpoint.clone();
    world.azure.with(move |arm| {
        let body = "{\"name\": \"x\", \"properties\": {\"provisioningState\": \"Creating\"}}";
        let head =
            format!("HTTP/1.1 201 Created\r\nConnection: close\r\nAzure-AsyncOperation: {at}/operations/1");
        arm.next("PUT", VMS, Reply::Raw(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())));
    });
    world.driver.create(&order()).await.unwrap();
    assert!(thief.raw_calls().is_empty());
    let counted = "azure_errors_total{code=\"malformed\",operation=\"GetOperation\"}";
    assert_eq!(value(&world.registry, counted), Some(1.0));
}

#[actix_rt::test]
async fn an_operation_that_cannot_be_asked_for_says_nothing_about_the_vm() {
    for reply in [
        refusal(500, "InternalServerError", "?"),
        Reply::HangUp,
        Reply::Other(200, "text/html", "<html>".to_owned()),
        Reply::Other(200, "application/json", "{\"status\": 3}".to_owned()),
    ] {
        let world = World::new();
        let told = format!("{reply:?}");
        world.azure.with(move |arm| arm.next("GET", "/operations/", reply));
        assert!(world.driver.create(&order()).await.is_ok(), "{told}");
    }
}

fn throttled(headers: &str, code: &str) -> Reply {
    let body = format!("{{\"error\": {{\"code\": \"{code}\", \"message\": \"too many\"}}}}");
    let head = format!("HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\n{headers}");
    Reply::Raw(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()))
}

#[actix_rt::test]
async fn throttled_calls_are_told_when_to_come_again_with_what_is_used_up() {
    let date = "Date: Sun, 22 Nov 2026 21:00:00 GMT\r\nRetry-After: Sun, 22 Nov 2026 21:01:30 GMT\r\n";
    for (headers, code, seconds) in [
        ("Retry-After: 17\r\n", "TooManyRequests", 17.0),
        (date, "SubscriptionRequestsThrottled", 90.0),
        ("", "OperationNotAllowed", 20.0),
        ("Retry-After: nonsense\r\n", "TooManyRequests", 20.0),
        ("", "RetryableErrorDueToAnotherOperation", 1.0),
    ] {
        let (error, _world) = create_after(VMS, throttled(headers, code)).await;
        let CloudErrorKind::RateLimited { until } = error.kind else { panic!("{code}: {error:?}") };
        assert_eq!(since(until, now()).as_secs_f64(), seconds, "{code}");
    }
    let headers = "x-ms-ratelimit-remaining-subscription-writes: 199\r\n\
        x-ms-ratelimit-remaining-resource: Microsoft.Compute/PutVM3Min;12,Microsoft.Compute/PutVM30Min;5\r\n";
    let (error, _world) = create_after(VMS, throttled(headers, "TooManyRequests")).await;
    assert!(error.message.ends_with("; least left: PutVM30Min 5"), "{error}");
}

#[actix_rt::test]
async fn a_subscription_whose_calls_are_used_up_is_left_alone_as_long_as_azure_says() {
    let world = World::new();
    world.azure.with(|arm| arm.knobs.calls_left = Some(1));
    world.driver.list(&Tags::default()).await.unwrap();
    let error = world.driver.list(&Tags::default()).await.unwrap_err();
    assert!(error.message.ends_with("; least left: reads 0"), "{error}");
    let CloudErrorKind::RateLimited { until } = error.kind else { panic!("{error:?}") };
    assert_eq!(since(until, now()).as_secs(), 30);
}

#[actix_rt::test]
async fn each_kind_of_call_is_throttled_on_its_own() {
    let world = World::new();
    world.azure.with(|arm| {
        arm.next("DELETE", VMS, throttled("Retry-After: 7\r\n", "TooManyRequests"));
        arm.next("PATCH", VMS, throttled("", "TooManyRequests"));
    });
    let error = world.driver.destroy(&id()).await.unwrap_err();
    assert!(matches!(error.kind, CloudErrorKind::RateLimited { .. }), "{error:?}");
    let tags = Tags([("a".to_owned(), "b".to_owned())].into());
    let error = world.driver.set_tags(&id(), &tags).await.unwrap_err();
    assert!(matches!(error.kind, CloudErrorKind::RateLimited { .. }), "{error:?}");
    world.driver.list(&Tags::default()).await.unwrap();
}

#[actix_rt::test]
async fn silence_and_endless_answers_end_at_the_deadline_or_the_limit() {
    for (reply, codes) in [(Reply::Silence, &["timeout"][..]), (Reply::Endless, &["timeout", "too_long"])] {
        let world = World::with(params(), Duration::from_millis(1500), |_| ());
        world.azure.with(move |arm| arm.next("PUT", VMS, reply));
        #[expect(clippy::disallowed_methods, reason = "how long it really takes")]
        let began = Instant::now();
        let error = world.driver.create(&order()).await.unwrap_err();
        assert_eq!(error.kind, CloudErrorKind::Unknown, "{error}");
        assert!(codes.contains(&error.code.as_str()), "{error:?}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

#[actix_rt::test]
async fn ending_what_is_gone_is_a_success_and_tagging_it_is_not() {
    let world = World::new();
    world.driver.destroy(&id()).await.unwrap();
    world.azure.with(|arm| arm.refuse("DELETE", VMS, 404, "ResourceNotFound", "gone"));
    world.driver.destroy(&id()).await.unwrap();
    let tags = Tags([("a".to_owned(), "b".to_owned())].into());
    assert_eq!(world.driver.set_tags(&id(), &tags).await.unwrap_err().kind, CloudErrorKind::NotFound);
    world.called();
    world.driver.set_tags(&id(), &Tags::default()).await.unwrap();
    assert_eq!(world.called(), Vec::<String>::new(), "no tags, no call");
}

#[actix_rt::test]
async fn a_page_of_somebody_elses_is_no_proof_that_a_vm_is_gone() {
    let world = World::new();
    let page = Reply::Other(404, "text/html", "<html>Not Found</html>".to_owned());
    world.azure.with(move |arm| arm.next("DELETE", VMS, page));
    assert_eq!(world.driver.destroy(&id()).await.unwrap_err().kind, CloudErrorKind::Other);
}

#[actix_rt::test]
async fn a_subscription_or_a_group_that_is_not_there_is_told() {
    let elsewhere = Params { subscription_id: "00000000-0000-0000-0000-000000000000".to_owned(), ..params() };
    let nowhere = Params { resource_group: "nowhere".to_owned(), ..params() };
    for (params, kind, code) in [
        (elsewhere, CloudErrorKind::Unauthorized, "SubscriptionNotFound"),
        (nowhere, CloudErrorKind::Other, "ResourceGroupNotFound"),
    ] {
        let world = World::with(params, Duration::from_secs(30), |_| ());
        let error = world.driver.list(&of_set()).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (kind, code));
    }
}

#[actix_rt::test]
async fn an_id_of_elsewhere_is_called_for_nothing() {
    let world = World::new();
    for text in ["i-0aaa", "/subscriptions/x/resourceGroups/y/providers/Microsoft.Compute/virtualMachines/z"]
    {
        let error = world.driver.destroy(&InstanceId::new(text).unwrap()).await.unwrap_err();
        assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::Other, "not_ours"));
    }
    assert!(world.azure.with(|arm| arm.calls()).is_empty());
}

#[actix_rt::test]
async fn no_secret_is_repeated_not_even_where_a_long_message_is_cut() {
    for before in [0, 360, 380, 395, 399] {
        let message = format!("{}{SECRET} and so on", ".".repeat(before));
        let (error, _world) = create_after(VMS, refusal(400, "InvalidParameter", &message)).await;
        assert!(!error.message.contains(&SECRET[..4]), "{error}");
        assert!(error.message.len() < 500, "{error}");
    }
}

/// VMs without a NIC, with a NIC that is gone, and with one in another spelling.
#[actix_rt::test]
async fn a_vm_whose_nic_is_not_there_has_no_address_and_is_listed() {
    let world = World::new();
    let made = world.driver.create(&order()).await.unwrap();
    world.azure.with(|arm| arm.knobs.shouts = true);
    assert_eq!(world.driver.list(&of_set()).await.unwrap()[0].address, made.address);
    world.azure.with(|arm| arm.interfaces.clear());
    let listed = world.driver.list(&of_set()).await.unwrap();
    assert_eq!((&listed[0].id, listed[0].address.as_str()), (&made.id, ""));
    world.azure.with(|arm| arm.machines.values_mut().for_each(|it| it.interfaces.clear()));
    assert_eq!(world.driver.list(&of_set()).await.unwrap().len(), 1);
}

#[actix_rt::test]
async fn a_spot_vm_that_is_taken_away_is_listed_no_more() {
    let world = World::new();
    let made = world.driver.create(&order()).await.unwrap();
    let name = made.id.as_str().rsplit('/').next().unwrap().to_owned();
    world.azure.with(move |arm| arm.evict(&name));
    assert!(world.driver.list(&of_set()).await.unwrap().is_empty());
    assert_eq!(world.azure.with(|arm| (arm.interfaces.len(), arm.disks.len())), (0, 0));
}

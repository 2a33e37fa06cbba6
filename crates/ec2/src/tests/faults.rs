//! Failures of EC2 as it words them: each becomes a kind of error; none is a panic, and none looks like an empty cloud.

use std::time::{Duration, Instant};

use dispatch_core::id::InstanceId;
use dispatch_core::instance::{Market, Tags};
use dispatch_core::ports::{
    CapacityScope, CloudDriver as _, CloudError, CloudErrorKind, CreateOrder, QuotaScope,
};
use dispatch_core::time::since;
use dispatch_sim::samples;
use dispatch_sim::stub::{Reply, Stub};
use prometheus::Registry;

use super::{driver, log, now, params, value};
use crate::{Ec2Cloud, Options, Params};

const INSTANCES: &str = include_str!("answers/instances.xml");
const RUN: &str = include_str!("answers/run.xml");
const SECRET: &str = "8c98d2f64d2d4596e23c19fa61eeeffe21223b59";

async fn cloud(params: Params) -> (Ec2Cloud, Stub) {
    let stub = Stub::start(None).unwrap();
    let (cloud, _) = driver(&stub.endpoint, params).await;
    (cloud, stub)
}

fn order() -> CreateOrder {
    samples::order(&samples::instance_type("small", 1), "set", SECRET)
}

fn id() -> InstanceId {
    InstanceId::new("i-0aaa").unwrap()
}

async fn create_after(reply: Reply) -> CloudError {
    let (cloud, stub) = cloud(params()).await;
    stub.next("RunInstances", reply);
    let error = cloud.create(&order()).await.unwrap_err();
    assert_eq!(stub.actions(), ["RunInstances"], "nothing is tried again");
    error
}

async fn list_after(reply: Reply) -> CloudError {
    let (cloud, stub) = cloud(params()).await;
    stub.next("DescribeInstances", reply);
    cloud.list(&Tags::default()).await.unwrap_err()
}

#[actix_rt::test]
async fn refusals_of_an_order_have_kind_scope_and_code() {
    let capacity =
        "We currently do not have sufficient m5.large capacity in the Availability Zone you requested";
    let vcpus = "You have requested more vCPU capacity than your current vCPU limit of 32 allows for the instance bucket";
    let rows = [
        (500, "InsufficientInstanceCapacity", capacity, CloudErrorKind::Capacity(CapacityScope::Offering)),
        (400, "VcpuLimitExceeded", vcpus, CloudErrorKind::Capacity(CapacityScope::QuotaGroup)),
        (
            400,
            "MaxSpotInstanceCountExceeded",
            "Max spot instance count exceeded",
            CloudErrorKind::Capacity(CapacityScope::QuotaGroup),
        ),
        (
            403,
            "AuthFailure.ServiceLinkedRoleCreationNotPermitted",
            "The provided credentials do not have permission to create the service-linked role for EC2 Spot Instances.",
            CloudErrorKind::Quota(QuotaScope::Market(Market::Spot)),
        ),
        (
            400,
            "InstanceLimitExceeded",
            "Your quota allows for 0 more running instance(s)",
            CloudErrorKind::Quota(QuotaScope::All),
        ),
        (400, "InvalidAMIID.NotFound", "The image id '[ami-1]' does not exist", CloudErrorKind::Other),
        (
            401,
            "AuthFailure",
            "AWS was not able to validate the provided access credentials",
            CloudErrorKind::Unauthorized,
        ),
        (
            403,
            "UnauthorizedOperation",
            "You are not authorized to perform this operation.",
            CloudErrorKind::Other,
        ),
        (403, "AuthFailure", "Not authorized for images: [ami-1]", CloudErrorKind::Other),
        (400, "RequestExpired", "Request has expired.", CloudErrorKind::Unauthorized),
        (500, "InternalError", "An internal error has occurred", CloudErrorKind::Unknown),
        (400, "SomethingOfTomorrow", "?", CloudErrorKind::Other),
    ];
    for (status, code, message, kind) in rows {
        let error = create_after(Reply::refusal(status, code, message)).await;
        assert_eq!((error.kind, error.code.as_str()), (kind, code));
        let told = format!("RunInstances: {code}: {message} (request ea966190-");
        assert!(error.message.starts_with(&told), "{}", error.message);
    }
}

#[actix_rt::test]
async fn throttled_calls_are_told_when_to_come_again_each_kind_on_its_own() {
    let (cloud, stub) = cloud(params()).await;
    let refuse =
        |action| stub.next(action, Reply::refusal(503, "RequestLimitExceeded", "Request limit exceeded."));
    let wait = |error: CloudError| match error.kind {
        CloudErrorKind::RateLimited { until } => since(until, now()).as_secs_f64(),
        kind => panic!("{kind:?}"),
    };
    for seconds in [1.0, 2.5, 4.75] {
        refuse("RunInstances");
        assert_eq!(wait(cloud.create(&order()).await.unwrap_err()), seconds);
    }
    refuse("TerminateInstances");
    assert_eq!(wait(cloud.destroy(&id()).await.unwrap_err()), 1.0);
    stub.next("RunInstances", Reply::Xml(200, RUN.to_owned()));
    cloud.create(&order()).await.unwrap();
    refuse("RunInstances");
    assert_eq!(wait(cloud.create(&order()).await.unwrap_err()), 1.0);
}

#[actix_rt::test]
async fn answers_that_break_off_are_unknown_never_an_empty_cloud() {
    for reply in [
        Reply::Cut(INSTANCES.to_owned()),
        Reply::Truncated(INSTANCES.to_owned()),
        Reply::Xml(200, String::new()),
        Reply::Xml(200, "<DescribeInstancesResponse/>".to_owned()),
        Reply::Xml(200, "<DescribeInstancesResponse><reservationSet>".to_owned()),
        Reply::Xml(200, RUN.to_owned()),
        Reply::Other(200, "text/html", "<html><body>Please log in<br></body></html>".to_owned()),
        Reply::HangUp,
    ] {
        let error = list_after(reply.clone()).await;
        assert_eq!(error.kind, CloudErrorKind::Unknown, "{reply:?}: {error}");
    }
    let cut = RUN.to_owned();
    assert_eq!(
        create_after(Reply::Truncated(cut)).await.kind,
        CloudErrorKind::Unknown,
        "the VM may be there"
    );
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
        assert_eq!((error.kind, error.code.as_str()), (kind, code));
    }
}

async fn with_deadline(endpoint: &str, deadline: Duration) -> Ec2Cloud {
    let registry = Registry::new();
    let options = Options {
        params: Params { endpoint: Some(endpoint.to_owned()), ..params() },
        call_timeout: deadline,
        now,
        registry: &registry,
        log: log(),
    };
    Ec2Cloud::open(options).await.unwrap()
}

#[actix_rt::test]
async fn silence_and_endless_answers_end_at_the_deadline_or_the_limit() {
    for (reply, codes) in [(Reply::Silence, &["timeout"][..]), (Reply::Endless, &["timeout", "too_long"])] {
        let stub = Stub::start(None).unwrap();
        stub.next("RunInstances", reply);
        let cloud = with_deadline(&stub.endpoint, Duration::from_millis(1500)).await;
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
    let closed = Stub::start(None).unwrap().endpoint.clone();
    let cloud = with_deadline(&closed, Duration::from_secs(5)).await;
    let error = cloud.create(&order()).await.unwrap_err();
    assert_eq!((error.kind, error.code.as_str()), (CloudErrorKind::Other, "connection"));
}

#[actix_rt::test]
async fn ending_what_is_gone_is_a_success_and_tagging_it_is_not() {
    let (cloud, stub) = cloud(params()).await;
    let gone =
        || Reply::refusal(400, "InvalidInstanceID.NotFound", "The instance ID 'i-0aaa' does not exist");
    stub.next("TerminateInstances", gone());
    cloud.destroy(&id()).await.unwrap();
    stub.next("CreateTags", gone());
    let tags = Tags([("a".to_owned(), "b".to_owned())].into());
    assert_eq!(cloud.set_tags(&id(), &tags).await.unwrap_err().kind, CloudErrorKind::NotFound);
    cloud.set_tags(&id(), &Tags::default()).await.unwrap();
    assert_eq!(stub.actions(), ["TerminateInstances", "CreateTags"], "no tags, no call");
}

#[actix_rt::test]
async fn a_full_subnet_is_left_for_the_next_under_another_token() {
    let two = Params { subnet_ids: ["subnet-1", "subnet-2"].map(str::to_owned).into(), ..params() };
    let stub = Stub::start(None).unwrap();
    let (cloud, registry) = driver(&stub.endpoint, two).await;
    let message = "There are not enough free addresses in subnet 'subnet-1' to satisfy the requested number of instances.";
    stub.next("RunInstances", Reply::refusal(400, "InsufficientFreeAddressesInSubnet", message));
    stub.next("RunInstances", Reply::Xml(200, RUN.to_owned()));
    cloud.create(&order()).await.unwrap();
    stub.next("RunInstances", Reply::Xml(200, RUN.to_owned()));
    cloud.create(&order()).await.unwrap();
    let calls = stub.calls();
    let subnets: Vec<_> = calls.iter().map(|call| call["NetworkInterface.1.SubnetId"].as_str()).collect();
    assert_eq!(subnets, ["subnet-1", "subnet-2", "subnet-2"]);
    assert_ne!(calls[0]["ClientToken"], calls[1]["ClientToken"]);
    assert_eq!(calls[1]["ClientToken"], calls[2]["ClientToken"], "the same order sent twice makes one VM");
    // The order succeeded, so nobody else counts it.
    let failed = "ec2_errors_total{code=\"InsufficientFreeAddressesInSubnet\",operation=\"RunInstances\"}";
    assert_eq!(value(&registry, failed), Some(1.0));
}

#[actix_rt::test]
async fn no_secret_is_repeated() {
    let message = format!("Value ({SECRET}) for parameter Tag is invalid");
    let error = create_after(Reply::refusal(400, "InvalidParameterValue", &message)).await;
    assert!(error.message.contains("Value ((secret)) for") && !error.message.contains(SECRET), "{error}");
}

#[actix_rt::test]
async fn of_a_secret_where_a_long_message_is_cut_nothing_is_left() {
    for before in [360, 380, 395, 399] {
        let message = format!("{}{SECRET} and so on", ".".repeat(before));
        let error = create_after(Reply::refusal(400, "InvalidParameterValue", &message)).await;
        assert!(!error.message.contains(&SECRET[..4]), "{error}");
        assert!(error.message.contains(" (request ea966190-"), "{error}");
        assert!(error.message.len() < 500, "{error}");
    }
}

/// Whoever orders would look for a VM that cannot be there.
#[actix_rt::test]
async fn an_order_whose_key_pair_cannot_be_had_is_not_in_doubt() {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUsyyuCL52eZXqpTmT1qk1Tnzr2bmbQbDgLxpWAE comment";
    let none = "<DescribeKeyPairsResponse><keySet/></DescribeKeyPairsResponse>";
    let broken = || Reply::refusal(500, "InternalError", "An internal error has occurred");
    for found in [broken(), Reply::HangUp, Reply::Xml(200, none.to_owned())] {
        let (cloud, stub) = cloud(params()).await;
        stub.next("DescribeKeyPairs", found);
        stub.next("ImportKeyPair", broken());
        let order = CreateOrder { public_key: Some(key.to_owned()), ..order() };
        let error = cloud.create(&order).await.unwrap_err();
        assert_eq!(error.kind, CloudErrorKind::Other, "{error}");
        assert!(!stub.actions().contains(&"RunInstances".to_owned()));
    }
}

#[actix_rt::test]
async fn an_ecdsa_key_is_refused_before_anything_is_sent() {
    let (cloud, stub) = cloud(params()).await;
    let key = "ecdsa-sha2-nistp256 AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBM14sWAvuD2/5c8wBplRore4/mBat93Dx5efxUZeEHC5HGX6sxkMIPbj1WTOPSX3uu5OKEC2FMadrFfJ9kQOi8Y=";
    let error = cloud.create(&CreateOrder { public_key: Some(key.to_owned()), ..order() }).await.unwrap_err();
    assert_eq!(
        (error.kind, error.code.as_str()),
        (CloudErrorKind::Other, "unusable_key"),
        "{}",
        error.message
    );
    assert!(stub.calls().is_empty());
}

fn ours() -> Tags {
    Tags([("ArvadosInstanceSetID".to_owned(), "ours".to_owned())].into())
}

/// It would show others' instances as ours until the next listing.
#[actix_rt::test]
async fn a_listing_of_everybodys_instances_is_neither_counted_as_ours_nor_priced() {
    let stub = Stub::start(None).unwrap();
    let (cloud, registry) = driver(&stub.endpoint, params()).await;
    stub.next("DescribeInstances", Reply::Xml(200, INSTANCES.to_owned()));
    assert_eq!(cloud.list(&Tags::default()).await.unwrap().len(), 2);
    assert_eq!(stub.actions(), ["DescribeInstances"]);
    let families = registry.gather();
    let shown = families.iter().filter(|it| it.name() == "arvados_dispatchcloud_ec2_instances");
    let counts = shown.flat_map(|it| it.get_metric().iter().map(|it| it.get_gauge().get_value()));
    assert_eq!(counts.sum::<f64>(), 0.0);
}

#[actix_rt::test]
async fn spot_prices_that_cannot_be_had_do_not_hurt_the_listing_and_are_counted() {
    let stub = Stub::start(None).unwrap();
    let (cloud, registry) = driver(&stub.endpoint, params()).await;
    for _ in 0..2 {
        stub.next("DescribeInstances", Reply::Xml(200, INSTANCES.to_owned()));
        stub.next("DescribeSpotPriceHistory", Reply::refusal(403, "UnauthorizedOperation", "no"));
        assert_eq!(cloud.list(&ours()).await.unwrap().len(), 2);
    }
    assert_eq!(stub.actions(), ["DescribeInstances", "DescribeSpotPriceHistory", "DescribeInstances"]);
    let failed = "ec2_errors_total{code=\"UnauthorizedOperation\",operation=\"DescribeSpotPriceHistory\"}";
    assert_eq!(value(&registry, failed), Some(1.0));
}

#[actix_rt::test]
async fn a_listing_waits_ten_seconds_for_prices_and_no_longer() {
    let stub = Stub::start(None).unwrap();
    let (cloud, registry) = driver(&stub.endpoint, params()).await;
    stub.next("DescribeInstances", Reply::Xml(200, INSTANCES.to_owned()));
    stub.next("DescribeSpotPriceHistory", Reply::Silence);
    let listing = actix_rt::spawn(async move { cloud.list(&ours()).await });
    let mut asked = Vec::new();
    while !asked.contains(&"DescribeSpotPriceHistory".to_owned()) {
        assert!(!listing.is_finished(), "{asked:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
        asked.extend(stub.actions());
    }
    // Nothing but time passes now: as fast as it can.
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    assert_eq!(listing.await.unwrap().unwrap().len(), 2);
    assert!((9..=10).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    let failed = "ec2_errors_total{code=\"timeout\",operation=\"DescribeSpotPriceHistory\"}";
    assert_eq!(value(&registry, failed), Some(1.0));
}

fn listing(parts: &str) -> Reply {
    Reply::Xml(
        200,
        format!(
            "<DescribeInstancesResponse><reservationSet>{parts}</reservationSet></DescribeInstancesResponse>"
        ),
    )
}

/// An order that EC2 accepts and ends at once says why as a state reason, and an hour later nowhere.
#[actix_rt::test]
async fn a_vm_that_ends_before_any_listing_shows_it_is_asked_for_and_says_why() {
    let stub = Stub::start(None).unwrap();
    let (cloud, registry) = driver(&stub.endpoint, params()).await;
    stub.next("RunInstances", Reply::Xml(200, RUN.to_owned()));
    let made = cloud.create(&order()).await.unwrap();
    let filter = Tags([("ArvadosInstanceSetID".to_owned(), "set".to_owned())].into());
    stub.next("DescribeInstances", listing(""));
    let over = "<item><instancesSet><item><instanceId>i-0aaa</instanceId><instanceType>m5.large</instanceType>\
         <instanceState><name>terminated</name></instanceState><stateReason><code>Client.InternalError</code>\
         <message>Client.InternalError: Client error on launch</message></stateReason></item></instancesSet></item>";
    stub.next("DescribeInstances", listing(over));
    assert!(cloud.list(&filter).await.unwrap().is_empty());
    let asked = stub.calls().pop().unwrap();
    assert_eq!(
        (asked["Filter.1.Name"].as_str(), asked["Filter.1.Value.1"].as_str()),
        ("instance-id", "i-0aaa")
    );
    assert!(!asked.contains_key("Filter.2.Name"), "in whatever state it is: {asked:?}");
    let reason = "Client.InternalError: Client error on launch";
    assert_eq!(cloud.end_reason(&made.id).as_deref(), Some(reason));
    assert_eq!(value(&registry, "ec2_instance_ends_total{reason=\"Client.InternalError\"}"), Some(1.0));
    stub.next("DescribeInstances", listing(""));
    assert!(cloud.list(&filter).await.unwrap().is_empty());
    assert_eq!(stub.calls().len(), 1, "it is asked for once");
}

#[actix_rt::test]
async fn a_listing_is_as_good_if_nobody_says_why_others_have_ended() {
    let (cloud, stub) = cloud(params()).await;
    stub.next("RunInstances", Reply::Xml(200, RUN.to_owned()));
    let made = cloud.create(&order()).await.unwrap();
    let filter = Tags([("ArvadosInstanceSetID".to_owned(), "set".to_owned())].into());
    stub.next("DescribeInstances", listing(""));
    stub.next("DescribeInstances", Reply::refusal(503, "RequestLimitExceeded", "Request limit exceeded."));
    assert!(cloud.list(&filter).await.unwrap().is_empty());
    assert_eq!(cloud.end_reason(&made.id), None);
    cloud.destroy(&made.id).await.unwrap_err();
    stub.next("TerminateInstances", Reply::Xml(200, "<TerminateInstancesResponse/>".to_owned()));
    cloud.destroy(&made.id).await.unwrap();
    stub.calls();
    stub.next("DescribeInstances", listing(""));
    cloud.list(&filter).await.unwrap();
    assert_eq!(stub.actions(), ["DescribeInstances"], "why it has ended is known");
}

/// The words of the refusal speak of a signature: whoever reads them looks at the keys.
#[actix_rt::test]
async fn a_clock_that_is_wrong_is_named_where_credentials_are_refused() {
    let refuse = |code: &str| {
        let body = format!(
            "<Response><Errors><Error><Code>{code}</Code><Message>no</Message></Error></Errors></Response>"
        );
        let head = "HTTP/1.1 400 Bad Request\r\nDate: Sun, 01 Jan 2023 00:00:00 GMT\r\nConnection: close";
        Reply::Raw(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()))
    };
    for code in ["RequestExpired", "SignatureDoesNotMatch", "AuthFailure"] {
        let message = list_after(refuse(code)).await.message;
        assert!(message.contains("this host's clock is ") && message.contains(" s ahead of"), "{message}");
    }
    let message = list_after(refuse("InvalidParameterValue")).await.message;
    assert!(!message.contains("clock"), "{message}");
}

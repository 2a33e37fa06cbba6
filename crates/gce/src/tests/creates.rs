//! Orders: what they come to, where, and how often they are sent.

use std::time::Duration;

use dispatch_core::instance::Market;
use dispatch_core::ports::{CapacityScope, CloudDriver as _, CloudErrorKind, QuotaScope};
use dispatch_sim::clouds::gce::{FakeGce, GceServer};
use dispatch_sim::samples;
use dispatch_sim::stub::Reply;

use super::{SECRET, ZONES, cloud, methods, order, order_of, params, real, small, value};

/// How many VMs there are in each zone.
fn in_zones(server: &GceServer) -> [usize; 3] {
    server.with(|fake| ZONES.map(|zone| fake.vms().iter().filter(|vm| vm.zone == zone).count()))
}

#[actix_rt::test]
async fn an_order_is_waited_for_and_is_a_vm_with_all_that_was_ordered() {
    let (server, cloud, registry) = cloud(params()).await;
    server.with(|fake| fake.knobs.looks = 1);
    let mut order = order();
    order.tags.insert("Owner", "Lab of J. M.");
    let made = cloud.create(&order).await.unwrap();
    assert!(made.id.as_str().starts_with("us-central1-a/arvados-") && made.address.is_empty());
    assert_eq!((&made.tags, made.provider_type.as_str()), (&order.tags, "n2-standard-4"));
    assert_eq!(methods(&server), ["instances.insert", "zoneOperations.wait", "zoneOperations.wait"]);
    let vm = server.with(|fake| fake.vms().remove(0));
    assert_eq!((vm.status.as_str(), vm.label("owner")), ("RUNNING", "lab_of_j__m_"));
    assert_eq!(vm.label("arvados-instance-set"), "set");
    assert!(vm.metadata("startup-script").contains(SECRET));
    let starts = |success| {
        value(
            &registry,
            &format!("gce_instance_starts_total{{success=\"{success}\",zone=\"us-central1-a\"}}"),
        )
    };
    assert_eq!((starts(1), starts(0)), (Some(1.0), Some(0.0)));
}

#[actix_rt::test]
async fn a_zone_without_such_vms_is_left_for_the_next_and_remembered_for_that_type_and_market() {
    let (server, cloud, registry) = cloud(params()).await;
    server.with(|fake| {
        fake.knobs.exhausted = [(ZONES[0].to_owned(), "n2-standard-4".to_owned())].into();
        fake.knobs.absent = [(ZONES[1].to_owned(), "n2-standard-4".to_owned())].into();
    });
    for secret in ["first-secret", "second-secret"] {
        cloud.create(&order_of(&small(), secret)).await.unwrap();
    }
    let inserts = server
        .with(|fake| fake.calls().into_iter().filter(|it| it.name == "instances.insert").collect::<Vec<_>>());
    let zones: Vec<_> = inserts.iter().map(|it| it.path.split('/').nth(6).unwrap().to_owned()).collect();
    assert_eq!(zones, ["us-central1-a", "us-central1-b", "us-central1-c", "us-central1-c"]);
    let ids: std::collections::BTreeSet<_> = inserts.iter().map(|it| it.query["requestId"].clone()).collect();
    assert_eq!(ids.len(), 4, "another zone is another request");
    assert_eq!(in_zones(&server), [0, 0, 2]);
    let failed = "gce_errors_total{code=\"ZONE_RESOURCE_POOL_EXHAUSTED\",operation=\"instances.insert\"}";
    assert_eq!(value(&registry, failed), Some(1.0));
    // Everything can be had again, and what was noted is of that type on that market alone.
    server.with(|fake| fake.knobs.exhausted.clear());
    for (instance_type, secret, zone) in [
        (small(), "third-secret", ZONES[2]),
        (real(samples::spot_type("small", 1), "n2-standard-4"), "fourth-secret", ZONES[0]),
        (real(samples::instance_type("large", 2), "c3-standard-4"), "fifth-secret", ZONES[0]),
    ] {
        let made = cloud.create(&order_of(&instance_type, secret)).await.unwrap();
        assert!(made.id.as_str().starts_with(zone), "{secret}: {}", made.id);
    }
}

#[actix_rt::test]
async fn where_no_zone_has_any_it_is_a_lack_of_that_type_on_that_market() {
    let (server, cloud, _) = cloud(params()).await;
    server.with(|fake| {
        fake.knobs.exhausted = ZONES.map(|zone| (zone.to_owned(), "n2-standard-4".to_owned())).into()
    });
    let error = cloud.create(&order()).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Capacity(CapacityScope::Offering), "{error}");
    assert!(error.message.contains("does not have enough resources"), "{error}");
    assert_eq!(in_zones(&server), [0, 0, 0], "no VM is left");
}

#[actix_rt::test]
async fn a_quota_is_told_by_what_it_is_of_and_no_other_zone_is_tried() {
    let group = CloudErrorKind::Capacity(CapacityScope::QuotaGroup);
    for (quota, kind) in [
        ("N2_CPUS", group.clone()),
        ("NVIDIA_T4_GPUS", group.clone()),
        ("PREEMPTIBLE_NVIDIA_T4_GPUS", group),
        ("PREEMPTIBLE_CPUS", CloudErrorKind::Quota(QuotaScope::Market(Market::Spot))),
        ("INSTANCES", CloudErrorKind::Quota(QuotaScope::All)),
        ("SSD_TOTAL_GB", CloudErrorKind::Quota(QuotaScope::All)),
    ] {
        let (server, cloud, _) = cloud(params()).await;
        server.with(move |fake| fake.knobs.used_up = Some(quota.to_owned()));
        let error = cloud.create(&order()).await.unwrap_err();
        assert_eq!((error.kind.clone(), error.code.as_str()), (kind.clone(), "QUOTA_EXCEEDED"), "{quota}");
        assert_eq!(methods(&server), ["instances.insert", "zoneOperations.wait"], "{quota}");
        // The same at once, as a word of the answer.
        server.with(move |fake| {
            let text = format!("Quota '{quota}' exceeded. Limit: 24.0 in region us-central1.");
            fake.strike("instances.insert", FakeGce::refusal(403, "quotaExceeded", &text));
        });
        let error = cloud.create(&order_of(&small(), "another-secret")).await.unwrap_err();
        assert_eq!((error.kind.clone(), error.code.as_str()), (kind, "quotaExceeded"), "{quota}");
    }
}

#[actix_rt::test]
async fn an_order_sent_twice_is_one_vm_whether_its_request_is_remembered_or_its_name_is_taken() {
    let (server, cloud, _) = cloud(params()).await;
    let made = cloud.create(&order()).await.unwrap();
    assert_eq!(cloud.create(&order()).await.unwrap().id, made.id);
    server.with(|fake| fake.forget_requests());
    methods(&server);
    let again = cloud.create(&order()).await.unwrap();
    assert_eq!(methods(&server), ["instances.insert", "instances.get"]);
    assert_eq!((again.id, again.tags), (made.id, order().tags));
    assert_eq!(in_zones(&server), [1, 0, 0]);
}

#[actix_rt::test]
async fn a_vm_of_that_name_that_is_not_ours_is_no_success_and_one_that_cannot_be_seen_is_unknown() {
    let one_zone = crate::Params { zones: vec![ZONES[0].to_owned()], ..params() };
    let (server, cloud, _) = cloud(one_zone).await;
    let made = cloud.create(&order()).await.unwrap();
    let name = made.id.as_str().split_once('/').unwrap().1.to_owned();
    server.with(move |fake| {
        fake.forget_requests();
        let items =
            serde_json::json!([{"key": "arvados-tags", "value": "{\"ArvadosInstanceSetID\":\"set\"}"}]);
        fake.vm("us-central1-a", &name).instance["metadata"]["items"] = items;
    });
    let error = cloud.create(&order()).await.unwrap_err();
    assert_eq!((error.kind.clone(), error.code.as_str()), (CloudErrorKind::Other, "alreadyExists"));
    assert!(error.message.contains("none of ours"), "{error}");
    let late = serde_json::json!({
        "kind": "compute#operation", "name": "o", "status": "DONE",
        "error": {"errors": [{"code": "RESOURCE_ALREADY_EXISTS", "message": "it already exists"}]},
    });
    server.with(move |fake| {
        fake.strike("instances.insert", Reply::Other(200, "application/json", late.to_string()))
    });
    assert_eq!(
        cloud.create(&order()).await.unwrap_err().code,
        "RESOURCE_ALREADY_EXISTS",
        "told late, it is the same"
    );
    for reply in
        [Reply::HangUp, FakeGce::refusal(403, "forbidden", "Required 'compute.instances.get' permission")]
    {
        server.with(|fake| fake.strike("instances.get", reply));
        assert_eq!(cloud.create(&order()).await.unwrap_err().kind, CloudErrorKind::Unknown);
    }
    assert_eq!(in_zones(&server), [1, 0, 0]);
}

#[actix_rt::test]
async fn an_unknown_outcome_is_tried_nowhere_else_and_the_next_order_begins_elsewhere() {
    for reply in [Reply::HangUp, FakeGce::refusal(503, "backendError", "Backend error")] {
        let (server, cloud, _) = cloud(params()).await;
        server.with(move |fake| fake.strike("instances.insert", reply));
        let error = cloud.create(&order()).await.unwrap_err();
        assert_eq!(error.kind, CloudErrorKind::Unknown, "{error}");
        assert_eq!(methods(&server), ["instances.insert"]);
        let made = cloud.create(&order_of(&small(), "another-secret")).await.unwrap();
        assert!(made.id.as_str().starts_with(ZONES[1]), "{}", made.id);
    }
}

#[actix_rt::test]
async fn an_operation_that_never_ends_is_looked_at_for_a_while_and_is_a_vm_that_listings_show() {
    let (server, mut cloud, _) = cloud(params()).await;
    cloud.patience = Duration::from_millis(1200);
    // A server that answers at once, and one that waits.
    for waits in [false, true] {
        server.with(move |fake| {
            fake.knobs.looks = u32::MAX;
            if waits {
                fake.strike("zoneOperations.wait", Reply::Silence);
            }
        });
        let made = cloud.create(&order_of(&small(), &format!("secret-{waits}"))).await.unwrap();
        let looks = methods(&server).iter().filter(|it| *it == "zoneOperations.wait").count();
        assert!(if waits { looks == 1 } else { (2..=4).contains(&looks) }, "{looks} looks");
        let listed = cloud.list(&dispatch_core::instance::Tags::default()).await.unwrap();
        assert!(listed.iter().any(|it| it.id == made.id && it.address.is_empty()));
    }
}

#[actix_rt::test]
async fn what_becomes_of_the_look_at_an_operation_says_what_is_known_of_the_vm() {
    let refused = || FakeGce::refusal(403, "forbidden", "Required 'compute.zoneOperations.get' permission");
    for (reply, is_known) in [
        (refused(), true),
        (FakeGce::refusal(429, "rateLimitExceeded", "Rate Limit Exceeded"), true),
        (Reply::HangUp, false),
        (Reply::Other(200, "text/html", "<html>".to_owned()), false),
        (FakeGce::refusal(503, "backendError", ""), false),
    ] {
        let (server, cloud, _) = cloud(params()).await;
        let shown = format!("{reply:?}");
        server.with(move |fake| fake.strike("zoneOperations.wait", reply));
        let made = cloud.create(&order()).await.map_err(|error| error.kind);
        assert_eq!(made.is_ok(), is_known, "{shown}: {made:?}");
        assert!(is_known || made == Err(CloudErrorKind::Unknown), "{shown}");
        assert_eq!(in_zones(&server), [1, 0, 0], "{shown}");
    }
}

#[actix_rt::test]
async fn what_cannot_be_named_is_refused_before_anything_is_sent() {
    let (server, cloud, _) = cloud(params()).await;
    let mut order = order_of(&samples::instance_type("small", 1), SECRET);
    assert_eq!(cloud.create(&order).await.unwrap_err().code, "bad_type");
    order.instance_type = small();
    order.image = "ami 1".to_owned();
    let error = cloud.create(&order).await.unwrap_err();
    assert_eq!((error.kind.clone(), error.code.as_str()), (CloudErrorKind::Other, "bad_image"));
    assert!(methods(&server).is_empty());
}

#[actix_rt::test]
async fn an_image_that_is_not_there_is_told_and_no_other_zone_is_tried() {
    let (server, cloud, _) = cloud(params()).await;
    server.with(|fake| fake.knobs.images = ["projects/lab/global/images/other".to_owned()].into());
    let error = cloud.create(&order()).await.unwrap_err();
    assert_eq!((error.kind.clone(), error.code.as_str()), (CloudErrorKind::Other, "notFound"), "{error}");
    assert_eq!(methods(&server).len(), 1);
}

#[actix_rt::test]
async fn a_zone_that_does_not_exist_is_left_for_the_next() {
    let wrong =
        crate::Params { zones: vec!["us-central1-z".to_owned(), "us-central1-b".to_owned()], ..params() };
    let (_server, cloud, _) = cloud(wrong).await;
    let made = cloud.create(&order()).await.unwrap();
    assert!(made.id.as_str().starts_with("us-central1-b/"), "{}", made.id);
}

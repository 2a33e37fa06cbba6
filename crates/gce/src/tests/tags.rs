//! Tags: merged, all metadata sent again, and nobody else's overwritten.

use dispatch_core::id::InstanceId;
use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudDriver as _, CloudErrorKind};
use dispatch_sim::clouds::gce::{FakeGce, GceServer};
use dispatch_sim::stub::Reply;
use serde_json::json;

use super::{SECRET, ZONES, cloud, methods, order, params};

fn change() -> Tags {
    Tags([("ArvadosIdleBehavior".to_owned(), "hold".to_owned())].into())
}

fn name(id: &InstanceId) -> String {
    id.as_str().split_once('/').unwrap().1.to_owned()
}

#[actix_rt::test]
async fn tags_are_merged_and_everything_else_of_a_vm_stays_as_it_is() {
    let (server, cloud, _) = cloud(params()).await;
    let made = cloud.create(&order()).await.unwrap();
    let (before, vm) = (vm(&server, &made.id), made.id.clone());
    methods(&server);
    cloud.set_tags(&vm, &change()).await.unwrap();
    assert_eq!(methods(&server), ["instances.get", "instances.setMetadata"], "labels are as they were");
    let after = self::vm(&server, &made.id);
    let kept = ["startup-script", "enable-guest-attributes"];
    assert!(
        kept.iter().all(|key| after.metadata(key) == before.metadata(key) && !after.metadata(key).is_empty())
    );
    let mut expected = order().tags;
    expected.merge(&change());
    assert_eq!(crate::tags::of_item(after.metadata("arvados-tags")), Some(expected));
}

fn vm(server: &GceServer, id: &InstanceId) -> dispatch_sim::clouds::gce::Vm {
    let name = name(id);
    server.with(move |fake| fake.vm(ZONES[0], &name).clone())
}

#[actix_rt::test]
async fn a_sites_tag_changes_its_label_and_others_labels_stay() {
    let (server, cloud, _) = cloud(params()).await;
    let made = cloud.create(&order()).await.unwrap();
    let there = name(&made.id);
    server.with(move |fake| fake.vm(ZONES[0], &there).instance["labels"]["theirs"] = json!("x"));
    let change = Tags([("Owner".to_owned(), "Lab".to_owned())].into());
    methods(&server);
    cloud.set_tags(&made.id, &change).await.unwrap();
    assert_eq!(methods(&server), ["instances.get", "instances.setLabels", "instances.setMetadata"]);
    let labels = vm(&server, &made.id).instance["labels"].clone();
    assert_eq!(labels, json!({"arvados-instance-set": "set", "owner": "lab", "theirs": "x"}));
}

#[actix_rt::test]
async fn who_is_too_late_overwrites_nothing_and_is_told() {
    let (server, cloud, _) = cloud(params()).await;
    let made = cloud.create(&order()).await.unwrap();
    let refusal =
        FakeGce::refusal(412, "conditionNotMet", "Supplied fingerprint does not match current fingerprint.");
    server.with(move |fake| fake.strike("instances.setMetadata", refusal));
    let error = cloud.set_tags(&made.id, &change()).await.unwrap_err();
    assert_eq!((error.kind.clone(), error.code.as_str()), (CloudErrorKind::Other, "conditionNotMet"));
    cloud.set_tags(&made.id, &change()).await.unwrap();
}

#[actix_rt::test]
async fn a_change_that_has_failed_already_is_told() {
    let (server, cloud, _) = cloud(params()).await;
    let made = cloud.create(&order()).await.unwrap();
    let failed = json!({
        "kind": "compute#operation", "name": "o", "status": "DONE",
        "error": {"errors": [{"code": "RESOURCE_OPERATION_RATE_EXCEEDED", "message": format!("slow down, {SECRET}")}]},
    });
    server.with(move |fake| {
        fake.strike("instances.setMetadata", Reply::Other(200, "application/json", failed.to_string()))
    });
    let error = cloud.set_tags(&made.id, &change()).await.unwrap_err();
    assert!(matches!(error.kind, CloudErrorKind::RateLimited { .. }), "{error:?}");
    assert!(!error.message.contains(SECRET) && error.message.contains("(secret)"), "{error}");
}

#[actix_rt::test]
async fn what_is_gone_is_not_tagged_and_what_cannot_be_read_is_not_overwritten() {
    let (server, cloud, _) = cloud(params()).await;
    let gone = InstanceId::new("us-central1-a/arvados-0").unwrap();
    assert_eq!(cloud.set_tags(&gone, &change()).await.unwrap_err().kind, CloudErrorKind::NotFound);
    let strange = InstanceId::new("i-0aaa").unwrap();
    assert_eq!(cloud.set_tags(&strange, &change()).await.unwrap_err().kind, CloudErrorKind::NotFound);
    let made = cloud.create(&order()).await.unwrap();
    let there = name(&made.id);
    server.with(move |fake| {
        fake.vm(ZONES[0], &there).instance["metadata"]["items"] =
            json!([{"key": "arvados-tags", "value": "{"}]);
    });
    methods(&server);
    assert_eq!(cloud.set_tags(&made.id, &change()).await.unwrap_err().code, "defaced_tags");
    cloud.set_tags(&made.id, &Tags::default()).await.unwrap();
    assert_eq!(methods(&server), ["instances.get"], "no tags, no call");
}

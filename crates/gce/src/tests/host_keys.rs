//! Host keys: what a VM has published is asked for, once.

use dispatch_core::id::InstanceId;
use dispatch_core::ports::{CloudDriver as _, CloudErrorKind, HostKey, HostKeyVerdict};
use dispatch_sim::clouds::gce::{FakeGce, GceServer};
use dispatch_sim::stub::Reply;

use super::{ZONES, cloud, methods, order, params};
use crate::Params;

fn key(base64: &str) -> HostKey {
    HostKey { algorithm: "ssh-ed25519".to_owned(), base64: base64.to_owned() }
}

fn publish(server: &GceServer, id: &InstanceId) {
    let name = id.as_str().split_once('/').unwrap().1.to_owned();
    server.with(move |fake| {
        fake.vm(ZONES[0], &name).host_keys.insert("ssh-ed25519".to_owned(), "AAAA".to_owned());
    });
}

#[actix_rt::test]
async fn a_published_key_is_genuine_and_another_is_forged() {
    let (server, cloud, _) = cloud(params()).await;
    let made = cloud.create(&order()).await.unwrap();
    publish(&server, &made.id);
    methods(&server);
    for (base64, verdict) in [("AAAA", HostKeyVerdict::Genuine), ("BBBB", HostKeyVerdict::Forged)] {
        for _ in 0..2 {
            assert_eq!(cloud.verify_host_key(&made.id, &key(base64)).await.unwrap(), verdict);
        }
    }
    assert_eq!(methods(&server), ["instances.getGuestAttributes"; 2], "each key once");
}

#[actix_rt::test]
async fn what_is_not_published_yet_or_not_ours_to_read_is_left_to_the_secret() {
    let (server, cloud, _) = cloud(params()).await;
    let made = cloud.create(&order()).await.unwrap();
    assert_eq!(cloud.verify_host_key(&made.id, &key("AAAA")).await.unwrap(), HostKeyVerdict::NotSupported);
    publish(&server, &made.id);
    server.with(|fake| {
        fake.strike(
            "instances.getGuestAttributes",
            FakeGce::refusal(403, "forbidden", "Required 'compute.instances.getGuestAttributes' permission"),
        )
    });
    assert_eq!(cloud.verify_host_key(&made.id, &key("BBBB")).await.unwrap(), HostKeyVerdict::NotSupported);
    server.with(|fake| fake.strike("instances.getGuestAttributes", Reply::HangUp));
    let error = cloud.verify_host_key(&made.id, &key("CCCC")).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unknown, "{error}");
}

#[actix_rt::test]
async fn a_site_that_does_not_want_it_has_no_calls_and_no_attributes() {
    let (server, cloud, _) = cloud(Params { verify_host_keys: false, ..params() }).await;
    let made = cloud.create(&order()).await.unwrap();
    publish(&server, &made.id);
    methods(&server);
    assert_eq!(cloud.verify_host_key(&made.id, &key("AAAA")).await.unwrap(), HostKeyVerdict::NotSupported);
    assert!(methods(&server).is_empty());
    let vm = server.with(|fake| fake.vms().remove(0));
    assert_eq!(vm.metadata("enable-guest-attributes"), "");
}

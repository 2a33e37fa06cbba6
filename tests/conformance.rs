//! Every driver passes the same suite. FakeCloud does in its own crate; here the ones that reach the world.

#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use std::time::Duration;

use dispatch_adapters::loopback::{LoopbackCloud, Params};
use dispatch_core::id::InstanceSetId;
use dispatch_core::instance::TagKeys;
use dispatch_core::instance::Tags;
use dispatch_core::ports::{CloudDriver, CloudErrorKind, QuotaScope};
use dispatch_sim::conformance::{Setup, check_driver};
use dispatch_sim::samples;

const AUTHORIZED: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGPKSUsyyuCL52eZXqpTmT1qk1Tnzr2bmbQbDgLxpWAE";

fn setup() -> Setup {
    Setup {
        instance_type: samples::instance_type("small", 1),
        image: "none".to_owned(),
        set: InstanceSetId::new("conformance").unwrap(),
        other_set: InstanceSetId::new("neighbour").unwrap(),
        tag_keys: TagKeys::new("Arvados"),
        init_command: "true".to_owned(),
        nonce: "0123456789abcdef".to_owned(),
        patience: Duration::from_secs(20),
        interval: Duration::from_millis(20),
    }
}

fn loopback(directory: &tempfile::TempDir, instances: usize) -> LoopbackCloud {
    let params = Params {
        instances,
        boot_delay: Duration::ZERO,
        state_directory: directory.path().to_owned(),
        authorized_key: Some(AUTHORIZED.to_owned()),
    };
    LoopbackCloud::open(params, slog::Logger::root(slog::Discard, slog::o!())).unwrap()
}

#[actix_rt::test]
async fn the_loopback_cloud_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = loopback(&directory, 4);
    let report = check_driver(&cloud, &setup()).await.unwrap_or_else(|violation| panic!("{violation}"));
    assert!(report.steps.len() >= 6, "the suite skipped something: {:?}", report.steps);
    assert!(cloud.list(&Tags::default()).await.unwrap().is_empty(), "it left something behind");
}

#[actix_rt::test]
async fn the_loopback_cloud_refuses_more_than_it_has_as_a_quota_of_all() {
    let directory = tempfile::tempdir().unwrap();
    let cloud = loopback(&directory, 1);
    let setup = setup();
    let order = samples::order(&setup.instance_type, setup.set.as_str(), "a-secret");
    let first = cloud.create(&order).await.unwrap();
    let second = samples::order(&setup.instance_type, setup.set.as_str(), "another-secret");
    let error = cloud.create(&second).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Quota(QuotaScope::All), "{error}");
    cloud.destroy(&first.id).await.unwrap();
}

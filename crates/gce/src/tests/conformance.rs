//! The suite that every driver passes, in a cloud that takes its time.

use std::time::Duration;

use dispatch_core::id::InstanceSetId;
use dispatch_core::instance::{TagKeys, Tags};
use dispatch_core::ports::CloudDriver as _;
use dispatch_sim::conformance::{Setup, check_driver};

use super::{cloud, params, real, small};

fn setup(set: &str, prefix: &str) -> Setup {
    Setup {
        instance_type: small(),
        image: "family/worker".to_owned(),
        set: InstanceSetId::new(set).unwrap(),
        other_set: InstanceSetId::new(&format!("{set}-of-a-neighbour")).unwrap(),
        tag_keys: TagKeys::new(prefix),
        init_command: "true".to_owned(),
        nonce: "0123456789abcdef".to_owned(),
        patience: Duration::from_secs(20),
        interval: Duration::from_millis(10),
    }
}

#[actix_rt::test]
async fn the_driver_conforms_however_its_sets_are_called() {
    for (set, prefix) in [("conformance", "Arvados"), ("Set of user@host", "1.My Lab"), (&"x".repeat(80), "")]
    {
        let (server, cloud, _) = cloud(params()).await;
        server.with(|fake| fake.knobs.looks = 2);
        let report = check_driver(&cloud, &setup(set, prefix)).await;
        let report = report.unwrap_or_else(|violation| panic!("{violation}"));
        assert!(report.steps.len() >= 12, "the suite skipped something: {:?}", report.steps);
        assert!(cloud.list(&Tags::default()).await.unwrap().is_empty(), "it left something behind");
    }
}

#[actix_rt::test]
async fn it_conforms_in_a_list_of_many_pages_and_with_accelerators() {
    let (server, cloud, _) = cloud(params()).await;
    server.with(|fake| {
        fake.knobs.page = 1;
        fake.knobs.empty_first_page = true;
    });
    let setup =
        Setup { instance_type: real(small(), "n1-standard-8+nvidia-tesla-t4:1"), ..setup("set", "Arvados") };
    check_driver(&cloud, &setup).await.unwrap_or_else(|violation| panic!("{violation}"));
}

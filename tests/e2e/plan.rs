//! `plan`, `run --record` and `replay`: what another configuration would change, and what was decided, once more.

use std::os::unix::fs::PermissionsExt as _;

use serde_json::Value;

use crate::support::service::{command, finish};
use crate::support::{Ended, SOON, Service, Site};

async fn client(site: &Site, arguments: &[&str]) -> Ended {
    finish(&mut command(site, arguments, &[]), SOON).await
}

#[actix_rt::test]
async fn another_configuration_is_planned_and_recorded_rounds_come_out_the_same() {
    let mut site = Site::new();
    let directory = tempfile::tempdir().unwrap();
    let records = directory.path().join("rounds");
    site.write_config();
    let mut service = Service::start(&site, &["run", "--record", records.to_str().unwrap()], &[]).await;
    service.logged("ready", SOON).await;
    site.cluster()["Services"]["DispatchCloud"]["InternalURLs"] =
        serde_json::json!({ service.url.as_str(): {} });
    site.write_config();
    site.submit(1).await;
    site.begun(1).await;

    let same = client(&site, &["plan"]).await;
    assert!(same.stdout.contains("This configuration is the service's own"), "{same:?}");
    let other = client(&site, &["plan", "--set", "MaxInstances=77", "--set", "TimeoutProbe=1m"]).await;
    assert_eq!((other.code, other.stderr.as_str()), (Some(0), ""), "{other:?}");
    let said = |text: &str| assert!(other.stdout.contains(text), "{text}: {other:?}");
    said("Containers.CloudVMs.MaxInstances: ");
    said(" -> 77\n");
    said("No plan depends on Containers.CloudVMs.TimeoutProbe; one depends on MaxInstances,");
    said("Each container fares the same.");
    let price = client(&site, &["plan", "--json", "--set", "InstanceTypes.shared.Price=7.5"]).await;
    let price: Value = serde_json::from_str(&price.stdout).unwrap();
    assert_eq!(price["changes"][0]["key"], "InstanceTypes.shared.Price", "{price}");
    assert_eq!(price["changed"]["in_the_end"]["per_hour"], 7.5, "{price}");
    assert_eq!(price["containers"].as_array().map(Vec::len), Some(1), "{price}");

    let reserve = client(&site, &["plan", "--set", "IdleReserve={shared: {Instances: 1}}"]).await;
    assert!(reserve.stdout.contains("1 x shared"), "{reserve:?}");

    for (wrong, expected) in [
        ("IdleReserve.shared.Instances=2", "give all of it"),
        ("MaxInstance=7", "is Containers.CloudVMs.MaxInstances meant?"),
        ("MaxInstances", "KEY=VALUE is wanted"),
        ("MaxInstances=many", "Containers.CloudVMs.MaxInstances"),
    ] {
        let refused = client(&site, &["plan", "--set", wrong]).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{refused:?}");
        assert!(refused.stderr.contains(expected) && refused.stderr.lines().count() == 1, "{refused:?}");
    }

    assert_eq!(service.stop().await, 0);
    for file in std::fs::read_dir(&records).unwrap() {
        assert_eq!(file.unwrap().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let replayed = client(&site, &["replay", records.to_str().unwrap()]).await;
    assert_eq!((replayed.code, replayed.stderr.as_str()), (Some(0), ""), "{replayed:?}");
    assert!(replayed.stdout.contains(" rounds of 1 files come out as recorded"), "{replayed:?}");
    let replayed = client(&site, &["replay", "--json", records.to_str().unwrap()]).await;
    let replayed: Value = serde_json::from_str(&replayed.stdout).unwrap();
    assert!(
        replayed["rounds"].as_u64().is_some_and(|it| it > 2) && replayed["difference"].is_null(),
        "{replayed}"
    );
}

#[actix_rt::test]
async fn what_cannot_be_recorded_or_replayed_is_told_at_once() {
    let site = Site::new();
    site.write_config();
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let refused = client(&site, &["run", "--record", path]).await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains(&format!("cannot record planning rounds in {path}: ")), "{refused:?}");
    for (place, expected) in
        [(path, "no rounds are recorded in"), ("/nowhere/at/all", "cannot read /nowhere/at/all")]
    {
        let refused = client(&site, &["replay", place]).await;
        assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""), "{refused:?}");
        assert!(refused.stderr.contains(expected), "{refused:?}");
    }
    std::fs::write(path, "{\"now\": 7}\n").unwrap();
    let refused = client(&site, &["replay", path]).await;
    assert!(
        refused.code == Some(2) && refused.stderr.contains("line 1: not a recorded round"),
        "{refused:?}"
    );
    let small = client(&site, &["run", "--record", "x", "--record-limit", "1MB"]).await;
    assert!(small.code == Some(2) && small.stderr.contains("at least 64MiB"), "{small:?}");
}

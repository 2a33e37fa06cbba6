//! `health`: what it says of a service that is well, not well, not there, or another's.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_sim::controller::faults::Fault;
use serde_json::json;

use crate::support::service::{command, finish};
use crate::support::{DISPATCHER, Ended, SOON, Service, Site, until};

async fn health(site: &Site, arguments: &[&str]) -> Ended {
    finish(&mut command(site, &[&["health"], arguments].concat(), &[]), SOON).await
}

/// Writes the address that the service was given into its configuration: `health` asks there.
fn settle(site: &mut Site, service: &Service) {
    let urls = json!({ service.url.as_str(): {} });
    site.cluster()["Services"]["DispatchCloud"]["InternalURLs"] = urls;
    site.write_config();
}

/// A busy machine may miss a poll or two.
async fn becomes_well(site: &Site, arguments: &[&str]) {
    let is_well = async || Some(health(site, arguments).await).filter(|ended| ended.code == Some(0));
    let ended = until("it is well", SOON, is_well).await;
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("OK\n", ""));
}

#[track_caller]
fn assert_not_well(ended: &Ended, words: &[&str]) {
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    for word in words {
        assert!(ended.stderr.contains(word), "{word:?} is not in {ended:?}");
    }
}

#[actix_rt::test]
async fn health_tells_whether_the_service_works() {
    let mut site = Site::new();
    let mut service = site.start().await;
    service.logged("ready", SOON).await;
    settle(&mut site, &service);
    becomes_well(&site, &[]).await;
    becomes_well(&site, &["--ready"]).await;

    let token = std::mem::replace(&mut site.cluster()["ManagementToken"], "another".into());
    site.write_config();
    assert_not_well(&health(&site, &[]).await, &["403"]);
    site.cluster()["ManagementToken"] = token;
    site.write_config();

    // No poll succeeds any more: after five intervals that is a fault.
    let outage = |arvados: &mut dispatch_sim::controller::FakeArvados, now| {
        arvados.faults.strike_all(Fault::Unauthorized, now, Duration::from_secs(3600));
    };
    site.controller.with(outage).await.unwrap();
    until("health notices that no poll succeeds", SOON, async || {
        (health(&site, &[]).await.code == Some(1)).then_some(())
    })
    .await;
    assert_not_well(&health(&site, &[]).await, &["no poll of the controller has succeeded"]);
    assert_not_well(&health(&site, &["--ready"]).await, &["no poll of the controller has succeeded"]);
    site.controller.with(|arvados, _| arvados.faults.stop()).await.unwrap();
    until("health notices that polls succeed", SOON, async || {
        (health(&site, &["--ready"]).await.code == Some(0)).then_some(())
    })
    .await;

    assert_eq!(service.stop().await, 0);
    assert_not_well(&health(&site, &[]).await, &["cannot ask", &service.url]);
    assert_not_well(&health(&site, &["--ready"]).await, &["cannot ask", &service.url]);
}

#[actix_rt::test]
async fn health_with_a_wrong_configuration_is_not_well() {
    let site = Site::new();
    let ended = health(&site, &[]).await;
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("cannot read it"), "{ended:?}");
}

#[actix_rt::test]
async fn a_service_without_a_management_token_is_alive_and_tells_no_more() {
    let mut site = Site::new();
    site.cluster()["ManagementToken"] = "".into();
    let mut service = site.start().await;
    settle(&mut site, &service);
    let ended = health(&site, &[]).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    assert!(ended.stdout.starts_with("alive"), "{ended:?}");
    assert_not_well(&health(&site, &["--ready"]).await, &["health"]);
    assert_eq!(service.stop().await, 0);
}

#[actix_rt::test]
async fn nothing_is_created_and_health_says_so_until_the_runner_can_be_read() {
    let mut site = Site::new();
    let runner = site.path("a-runner");
    site.cloud()["DeployRunnerBinary"] = runner.display().to_string().into();
    site.submit(1).await;
    site.runs.open_gate();
    let mut service = site.start().await;
    service.logged("cannot read the runner binary", SOON).await;
    service.logged("ready", SOON).await;
    settle(&mut site, &service);
    let name = runner.display().to_string();
    assert_not_well(&health(&site, &["--ready"]).await, &["cannot read the runner", &name]);
    assert_eq!(service.lines("creating new instance").len(), 0);

    // A copy, and seen whole: the file that is built must not be what is run on the instances.
    let aside = site.path("aside");
    std::fs::copy(DISPATCHER, &aside).unwrap();
    std::fs::rename(aside, runner).unwrap();
    site.reached(1, ContainerState::Complete, 2 * SOON).await;
    becomes_well(&site, &[]).await;
    site.assert_all_ran_once(1).await;
    assert_eq!(service.stop().await, 0);
}

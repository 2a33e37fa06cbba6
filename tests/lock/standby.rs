//! Standing by: alive, not ready, and nothing is touched.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use serde_json::{Value, json};

use crate::proxy::Proxy;
use crate::support::{SOON, Service, Site, processes, until};
use crate::{Postgres, assert_no_password, calls, postgres, site};

/// What clients are answered by a dispatcher that stands by.
async fn assert_answers_as_standby(service: &Service, site: &Site) {
    let ping = service.get(site, "/_health/ping").await;
    assert_eq!(ping, (200, json!({"health": "OK", "standby": true})));
    let (status, ready) = service.get(site, "/_health/ready").await;
    assert_eq!((status, &ready["checks"]["lock_held"]["ok"]), (503, &Value::from(false)));
    let of = |action: &str| format!("/arvados/v1/dispatch/{action}");
    let container = of("container?container_uuid=zzzzz-dz642-000000000000001");
    assert_eq!(service.get(site, &container).await.0, 404);
    for path in ["containers", "instances"] {
        assert_eq!(service.get(site, &of(path)).await.0, 503, "{path}");
    }
    for action in ["hold", "drain", "run", "kill"] {
        let path = of(&format!("instances/{action}?instance_id=i-1"));
        assert_eq!(service.post(site, &path).await.0, 503, "{action}");
    }
    let kill = of("containers/kill?container_uuid=zzzzz-dz642-000000000000001");
    assert_eq!(service.post(site, &kill).await.0, 503);
    assert_eq!(is_active(service, site).await, Some(0.0));
}

/// The gauge.
async fn is_active(service: &Service, site: &Site) -> Option<f64> {
    let (status, metrics) = service.get(site, "/metrics.json").await;
    assert_eq!(status, 200);
    let mut families = metrics.as_array()?.iter();
    let active = families.find(|it| it["name"] == "arvados_dispatchcloud_active")?;
    active["metric"][0]["gauge"]["value"].as_f64()
}

#[actix_rt::test]
async fn while_another_kind_of_program_has_the_lock_it_is_named_and_nothing_is_touched() {
    let (site, postgres) = site().await;
    let other = postgres.other_program("arvados-dispatch-lsf").await;
    other.simple_query("SELECT pg_advisory_lock(10005)").await.unwrap();
    site.submit(1).await;
    let mut service = site.start().await;
    let line = service.logged("waiting for other process to release lock", SOON).await;
    assert_eq!(line["HolderApplication"], "arvados-dispatch-lsf", "{line}");
    assert_eq!(line["HolderUser"], postgres::USER, "{line}");
    assert_eq!(line["HolderAddress"], "127.0.0.1", "{line}");
    let pid = postgres::holder(&other).await.unwrap();
    assert_eq!(line["HolderPID"], pid.to_string(), "{line}");
    assert_answers_as_standby(&service, &site).await;

    // It has asked again, at least once, when this session has been seen waiting at a later time.
    let superuser = postgres.superuser().await;
    let asked = "SELECT query_start::text FROM pg_stat_activity WHERE application_name LIKE 'arvados-dispatch-cloud zzzzz %'";
    let first = postgres::value(&superuser, asked).await.expect("the server's operators see who waits");
    until("it asks again", SOON, async || (postgres::value(&superuser, asked).await? != first).then_some(()))
        .await;
    assert_eq!(calls(&site).await, 0, "the controller has not been asked");
    assert_eq!(processes::instances(&site.state_directory()), 0);
    assert!(!site.state_directory().exists(), "the cloud has not been opened");
    let runtime = std::fs::read_dir(site.path("tmp")).unwrap().count();
    assert_eq!(runtime, 0, "the ssh client's directory has not been made");
    assert_eq!(service.lines("waiting for other process to release lock").len(), 1, "once a minute");

    other.simple_query("SELECT pg_advisory_unlock(10005)").await.unwrap();
    service.logged("lock acquired", Duration::from_secs(10)).await;
    site.reached(1, ContainerState::Running, SOON).await;
    assert_eq!(service.get(&site, "/_health/ping").await, (200, json!({"health": "OK"})));
    until("it is active", SOON, async || (is_active(&service, &site).await? == 1.0).then_some(())).await;
    assert_eq!(service.stop().await, 0);
    assert_no_password(&[&service]);
}

#[actix_rt::test]
async fn told_to_stop_it_ends_soon_with_success() {
    let (site, postgres) = site().await;
    let other = postgres.other_program("other").await;
    other.simple_query("SELECT pg_advisory_lock(10005)").await.unwrap();
    let mut service = site.start().await;
    service.logged("waiting for other process to release lock", SOON).await;
    let began = tokio::time::Instant::now();
    assert_eq!(service.stop().await, 0);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let end = service.log();
    assert_eq!(end.last().unwrap()["msg"], "stopped");
    assert_eq!(service.lines("stopping")[0]["Signal"], "SIGTERM");
}

#[actix_rt::test]
async fn a_database_that_is_not_there_yet_is_waited_for() {
    let (site, mut postgres) = site().await;
    postgres.stop().await;
    let mut service = site.start().await;
    let line = service.logged("cannot ask for the lock", SOON).await;
    assert!(line["error"].as_str().unwrap().contains("Connection refused"), "{line}");
    assert_eq!(service.get(&site, "/_health/ping").await.1["standby"], true);
    assert_eq!(calls(&site).await, 0, "the controller has not been asked");
    postgres.start_again().await;
    let other = postgres.other_program("other").await;
    until("it has the lock", SOON, async || postgres::holder(&other).await).await;
    let locked = tokio::time::Instant::now();
    service.logged("lock acquired", SOON).await;
    // Asked for every 5 s, and 10 s to notice: some 5 s are left for whoever had it before the server was away.
    assert!(locked.elapsed() > Duration::from_secs(1), "a dispatcher that hangs may work yet");
    assert_eq!(service.lines("cannot ask for the lock").len(), 1, "once a minute");
    assert_eq!(service.stop().await, 0);
}

#[actix_rt::test]
async fn wrong_credentials_are_told_and_the_password_is_not() {
    let postgres = Postgres::start().await;
    let mut site = Site::new();
    let mut connection = postgres.connection();
    connection["password"] = "a-wrong-one".into();
    site.cluster()["PostgreSQL"] = json!({ "Connection": connection });
    let mut service = site.start().await;
    let line = service.logged("cannot ask for the lock", SOON).await;
    assert_eq!((&line["Code"], &line["level"]), (&"28P01".into(), &"error".into()), "{line}");
    assert!(line["error"].as_str().unwrap().contains("password authentication failed"), "{line}");
    assert!(line["Hint"].as_str().unwrap().contains("wrong credentials"), "{line}");
    assert_eq!(service.get(&site, "/_health/ready").await.0, 503);
    assert!(!service.log_text().contains("a-wrong-one"));
    assert_eq!(service.stop().await, 0);
}

/// The server grants a session what it holds already: two dispatchers behind such a pooler would both work.
#[actix_rt::test]
async fn a_pooler_that_shares_sessions_is_seen_through() {
    let (mut site, postgres) = site().await;
    let other = postgres.other_program("other").await;
    other.simple_query("SELECT pg_advisory_lock(10005)").await.unwrap();
    let mut proxy = Proxy::before(&postgres, &mut site);
    let mut service = site.start().await;
    service.logged("waiting for other process to release lock", SOON).await;
    other.simple_query("SELECT pg_advisory_unlock(10005)").await.unwrap();
    proxy.inject("SELECT pg_advisory_lock(10005)").await;
    let line = service.logged("cannot ask for the lock", SOON).await;
    assert!(line["error"].as_str().unwrap().contains("pooler shares sessions"), "{line}");
    assert_eq!(service.lines("lock acquired").len(), 0);
    assert_eq!(service.stop().await, 0);
}

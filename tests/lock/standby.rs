//! Standing by: alive, not ready, and nothing is touched.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::proxy::Proxy;
use crate::support::service::{command, finish};
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
    service.logged("lock acquired", SOON).await;
    site.reached(1, ContainerState::Running, SOON).await;
    assert_eq!(service.get(&site, "/_health/ping").await, (200, json!({"health": "OK"})));
    until("it is active", SOON, async || (is_active(&service, &site).await? == 1.0).then_some(())).await;
    assert_eq!(service.stop().await, 0);
    assert_no_password(&[&service]);
}

/// When the holder of the lock has asked what it asked last, in seconds by the server's clock, if it was that.
async fn asked_at(superuser: &Client, words: &str) -> Option<f64> {
    let question = format!(
        "SELECT extract(epoch FROM query_start) FROM pg_locks JOIN pg_stat_activity USING (pid) \
         WHERE locktype = 'advisory' AND objid = 10005 AND granted AND query LIKE '%{words}%'"
    );
    postgres::value(superuser, &question).await?.parse().ok()
}

/// What it has read anew holds when it takes over, and what needs a restart does not.
#[actix_rt::test]
async fn a_configuration_that_is_read_anew_meanwhile_holds_when_it_takes_over() {
    let (mut site, postgres) = site().await;
    let other = postgres.other_program("other").await;
    other.simple_query("SELECT pg_advisory_lock(10005)").await.unwrap();
    let mut service = site.start().await;
    service.logged("waiting for other process to release lock", SOON).await;
    let mut bigger = site.cluster()["InstanceTypes"]["shared"].clone();
    bigger["Price"] = json!(0.05);
    site.cluster()["InstanceTypes"]["bigger"] = bigger;
    site.cluster()["PostgreSQL"]["Connection"]["password"] = json!("another password");
    site.write_config();
    service.signal(Signal::HUP);
    let done = service.logged("configuration reloaded", SOON).await;
    assert_eq!((&done["Changed"], &done["NeedRestart"]), (&json!(2), &json!(1)), "{done}");
    let later = &service.lines("setting needs a restart")[0];
    assert_eq!(
        (&later["Path"], &later["Now"]),
        (&json!("PostgreSQL.Connection.password"), &json!("(secret)"))
    );
    assert!(!service.log_text().contains("another password"));

    other.simple_query("SELECT pg_advisory_unlock(10005)").await.unwrap();
    service.logged("lock acquired", SOON).await;
    site.submit(1).await;
    let created = service.logged("creating new instance", SOON).await;
    assert_eq!(created["InstanceType"], "bigger", "it is the cheaper one now");
    site.reached(1, ContainerState::Running, SOON).await;
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
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
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
    let superuser = postgres.superuser().await;
    // What it asks right after the lock.
    let locked =
        until("it has the lock", SOON, async || asked_at(&superuser, "pg_postmaster_start_time").await).await;
    service.logged("lock acquired", SOON).await;
    // Its epoch was asked for since: whoever looks may only see the next look of the holder, which begins at once.
    let looked = async || asked_at(&superuser, "SELECT EXISTS").await;
    let checked = until("it looks again", SOON, looked).await;
    // Asked for every 5 s, and 10 s to notice: some 5 s are left for whoever had it before the server was away.
    assert!(checked - locked > 4.0, "a dispatcher that hangs may work yet: {} s", checked - locked);
    // Twice if it asks while the server is starting: that is another fault.
    assert!(matches!(service.lines("cannot ask for the lock").len(), 1 | 2), "once a minute");
    assert_eq!(service.stop().await, 0);
}

/// The service manager may start a dispatcher together with its database, after the machine that both are on was
/// restarted: then another machine's may work yet, on a connection that hangs.
#[actix_rt::test]
async fn one_that_starts_right_after_the_server_leaves_the_former_one_time_to_notice() {
    let (site, mut postgres) = site().await;
    postgres.show_its_age().await;
    postgres.stop().await;
    postgres.start_again().await;
    let mut service = site.start().await;
    service.logged("lock acquired", SOON).await;
    let superuser = postgres.superuser().await;
    let age = "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())";
    let age: f64 = postgres::value(&superuser, age).await.unwrap().parse().unwrap();
    assert!(age > 9.9, "acquired when the server was {age} s old, and the other one may take 10 s to notice");
    assert_eq!(service.lines("cannot ask for the lock").len(), 0);
    assert_eq!(service.stop().await, 0);
}

/// What can be known now must not be found out when the other one has failed.
#[actix_rt::test]
async fn one_that_could_not_take_over_does_not_stand_by() {
    let (mut site, postgres) = site().await;
    let other = postgres.other_program("other").await;
    other.simple_query("SELECT pg_advisory_lock(10005)").await.unwrap();
    let cloud = json!({ "Driver": "ec2", "ImageID": "ami-1", "DriverParameters": { "AccessKeyID": "a", "SecretAccessKey": "b" } });
    site.cloud().as_object_mut().unwrap().extend(cloud.as_object().unwrap().clone());
    site.write_config();
    // Nobody tells a region: not the file, not the environment, not a metadata service.
    let nowhere = [("AWS_EC2_METADATA_DISABLED", "true")];
    let ended = finish(&mut command(&site, &["run"], &nowhere), SOON).await;
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let last = ended.stderr.lines().last().unwrap();
    assert!(last.contains("cannot use driver ec2: no region: set DriverParameters.Region"), "{last}");
    assert!(!ended.stderr.contains("waiting for other process to release lock"), "{}", ended.stderr);
    let somewhere = [nowhere[0], ("AWS_REGION", "us-east-1")];
    let mut service = Service::start(&site, &["run"], &somewhere).await;
    service.logged("waiting for other process to release lock", SOON).await;
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

//! SIGHUP: the configuration is read anew.

use rustix::process::Signal;
use serde_json::{Value, json};

use crate::support::service::{command, finish};
use crate::support::{SOON, Service, Site, until};

const DONE: &str = "configuration reloaded";
const REFUSED: &str = "cannot reload the configuration";

/// Writes the configuration, and has it read anew; the line that says what came of it.
async fn reload(site: &Site, service: &mut Service, outcome: &str) -> Value {
    site.write_config();
    read_anew(service, outcome).await
}

async fn read_anew(service: &mut Service, outcome: &str) -> Value {
    let before = service.lines(outcome).len();
    service.signal(Signal::HUP);
    until("it is read", SOON, async || {
        let lines = service.lines(outcome);
        (lines.len() > before).then(|| lines.last().cloned()).flatten()
    })
    .await
}

/// The configured types, as the management API has them.
async fn types(site: &Site, service: &Service) -> Vec<String> {
    let (_, creates) = service.get(site, "/arvados/v1/dispatch/creates").await;
    let items = creates["items"].as_array().unwrap();
    items.iter().map(|it| it["instance_type"].as_str().unwrap().to_owned()).collect()
}

fn told(service: &Service, message: &str) -> Vec<(String, String, String)> {
    let text = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let lines = service.lines(message);
    lines.iter().map(|line| (text(line, "Path"), text(line, "Before"), text(line, "Now"))).collect()
}

#[actix_rt::test]
async fn what_may_change_holds_at_once_what_needs_a_restart_is_named_and_a_wrong_file_changes_nothing() {
    let mut site = Site::new();
    let mut service = site.start().await;
    service.logged("ready", SOON).await;
    assert_eq!(types(&site, &service).await, ["shared"]);

    let mut bigger = site.cluster()["InstanceTypes"]["shared"].clone();
    bigger["Price"] = json!(5);
    site.cluster()["InstanceTypes"]["bigger"] = bigger;
    site.cluster()["Containers"]["CloudVMs"]["MaxInstances"] = json!(7);
    site.cluster()["Containers"]["CloudVMs"]["SSHPort"] = json!("2222");
    let done = reload(&site, &mut service, DONE).await;
    assert_eq!((&done["Changed"], &done["NeedRestart"]), (&json!(3), &json!(1)), "{done}");
    let changed = told(&service, "setting changed");
    let most = ("Containers.CloudVMs.MaxInstances".to_owned(), "2".to_owned(), "7".to_owned());
    assert!(changed.contains(&most) && changed.len() == 2, "{changed:?}");
    assert_eq!(changed.iter().filter(|(path, ..)| path == "InstanceTypes.bigger").count(), 1);
    let later = told(&service, "setting needs a restart");
    assert_eq!(later, [("Containers.CloudVMs.SSHPort".to_owned(), "22".to_owned(), "2222".to_owned())]);
    assert_eq!(types(&site, &service).await, ["shared", "bigger"]);

    // A file that cannot be used, and one that was cut.
    site.write_text("Clusters: {zzzzz: {Containers: {CloudVMs: {MaxInstances: many}}}}\n");
    let refused = read_anew(&mut service, REFUSED).await;
    assert!(refused["error"].as_str().unwrap().contains("config.yml"), "{refused}");
    assert_eq!(types(&site, &service).await, ["shared", "bigger"]);

    // What has needed a restart still does, until it is taken back.
    site.cluster()["Containers"]["CloudVMs"]["SSHPort"] = json!("22");
    site.cluster()["InstanceTypes"].as_object_mut().unwrap().remove("bigger");
    let done = reload(&site, &mut service, DONE).await;
    assert_eq!((&done["Changed"], &done["NeedRestart"]), (&json!(1), &json!(0)), "{done}");
    assert_eq!(types(&site, &service).await, ["shared"]);

    // Whoever reads a pipe that nobody writes waits for ever.
    std::fs::remove_file(site.path("config.yml")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(site.path("config.yml")).status().unwrap();
    assert!(made.success());
    let refused = read_anew(&mut service, REFUSED).await;
    assert!(refused["error"].as_str().unwrap().contains("no regular file"), "{refused}");

    let arguments = ["events", "--last", "200", "--url", &service.url];
    let token = [("ARVADOS_MANAGEMENT_TOKEN", site.management_token.as_str())];
    let events = finish(&mut command(&site, &arguments, &token), SOON).await.stdout;
    assert_eq!((events.matches(DONE).count(), events.contains(REFUSED)), (2, true), "{events}");
    assert_eq!(service.stop().await, 0);
}

#[actix_rt::test]
async fn the_level_of_the_log_is_another_at_once_and_the_metrics_say_which_file_holds() {
    let site = Site::new();
    let mut service = site.start().await;
    service.logged("ready", SOON).await;
    let loaded = async |service: &Service| {
        let (_, metrics) = service.get(&site, "/metrics.json").await;
        let families = metrics.as_array().unwrap().clone();
        let family =
            families.iter().find(|it| it["name"] == "arvados_config_load_timestamp_seconds").unwrap();
        let series = family["metric"].as_array().unwrap();
        assert_eq!(series.len(), 1, "of one file alone: {family}");
        series[0]["label"][0]["value"].as_str().unwrap().to_owned()
    };
    let first = loaded(&service).await;
    let debug_lines = |service: &Service| service.log().iter().filter(|it| it["level"] == "debug").count();
    assert!(debug_lines(&service) > 0);
    let mut quiet = site.config.clone();
    quiet["Clusters"]["zzzzz"]["SystemLogs"]["LogLevel"] = json!("info");
    site.write_text(&quiet.to_string());
    read_anew(&mut service, DONE).await;
    let second = loaded(&service).await;
    assert_ne!(first, second);
    let before = debug_lines(&service);
    for _ in 0..20 {
        service.get(&site, "/arvados/v1/dispatch/instances").await;
    }
    assert_eq!(debug_lines(&service), before, "a request is a line at debug");
    assert_eq!(service.stop().await, 0);
}

//! The series, as dashboards in use rely on them.

use std::collections::{BTreeMap, BTreeSet};

use dispatch_core::time::Timestamp;

use crate::config_support::reference;
use crate::support::site::{recorded, uuid};
use crate::support::{Site, eventually};

/// Types by name of family, and series without values.
#[derive(Debug, Default)]
struct Exposed {
    types: BTreeMap<String, String>,
    series: BTreeSet<(String, BTreeSet<String>)>,
}

/// Reads the text format, values aside. Hashes, statuses and methods differ from run to run.
fn read(text: &str) -> Exposed {
    let mut exposed = Exposed::default();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').unwrap();
            exposed.types.insert(name.to_owned(), kind.to_owned());
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().is_ok(), "{line}");
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = labels.trim_end_matches('}').split(',').filter(|it| !it.is_empty());
            let labels = labels.map(|label| match label.split_once('=').unwrap() {
                (name @ ("sha256" | "code" | "method"), _) => name.to_owned(),
                _ => label.to_owned(),
            });
            exposed.series.insert((name.to_owned(), labels.collect()));
        }
    }
    exposed
}

/// Not ours: the driver's own, and the version that the site's checker compares with its own.
fn is_left_out(name: &str) -> bool {
    name.starts_with("arvados_dispatchcloud_ec2_") || name == "arvados_version_running"
}

#[actix_web::test]
async fn every_recorded_series_is_there_with_its_type_and_labels() {
    let site = Site::start().await;
    let moment = Timestamp::from_second(1_795_381_732).unwrap();
    site.metrics.config_loaded("55a526c5", moment, moment);
    site.world.add(recorded(uuid(1)));
    site.running(uuid(1).as_str()).await;
    let text = std::fs::read_to_string(reference("metrics.txt")).unwrap();
    let theirs = read(&text);
    let ours = read(&site.get("/metrics").await.body);
    for (name, kind) in theirs.types.iter().filter(|(name, _)| !is_left_out(name)) {
        assert_eq!(ours.types.get(name), Some(kind), "{name}");
    }
    for series in theirs.series.iter().filter(|(name, _)| !is_left_out(name)) {
        assert!(ours.series.contains(series), "{series:?}");
    }
    assert!(!ours.types.contains_key("arvados_version_running"));
}

#[actix_web::test]
async fn both_formats_have_the_same_families() {
    let site = Site::start().await;
    site.get("/metrics").await;
    let answer = eventually("first request is counted", async || {
        let answer = site.get("/metrics").await;
        answer.body.contains("request_duration_seconds_count").then_some(answer)
    })
    .await;
    assert!(answer.header("content-type").starts_with("text/plain"));
    let json = site.get("/metrics.json").await;
    assert_eq!(json.header("content-type"), "application/json");
    let names = |text: &str| read(text).types.into_keys().collect::<BTreeSet<_>>();
    let json = json.json();
    let in_json: BTreeSet<_> =
        json.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(in_json, names(&answer.body));
    let active = json.as_array().unwrap().iter().find(|it| it["name"] == "arvados_dispatchcloud_active");
    assert_eq!(active.unwrap()["type"], "GAUGE");
}

#[actix_web::test]
async fn requests_are_counted_by_status_and_method() {
    let site = Site::start().await;
    site.get("/nosuch").await.assert_error(404);
    site.post("/metrics", &[]).await.assert_error(405);
    let strange = awc::http::Method::from_bytes(b"INVENTED").unwrap();
    site.ask(strange, "/metrics", &[], None).await.assert_error(401);
    for series in [
        "request_duration_seconds_count{code=\"404\",method=\"get\"} 1",
        "time_to_status_seconds_count{code=\"405\",method=\"post\"} 1",
        "request_duration_seconds_count{code=\"401\",method=\"other\"} 1",
    ] {
        eventually(series, async || site.get("/metrics").await.body.contains(series).then_some(())).await;
    }
    assert!(!site.get("/metrics").await.body.contains("nvented"));
}

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
    // Some have their first value when something happens: a request must have been answered.
    let ours = eventually("all that is recorded", async || {
        let ours = read(&site.get("/metrics").await.body);
        let missing = missing(&theirs, &ours);
        // Shown if the test fails.
        println!("missing: {missing:?}");
        missing.is_empty().then_some(ours)
    })
    .await;
    assert!(!ours.types.contains_key("arvados_version_running"));
}

/// What is recorded and not exposed: types, and series of these types.
fn missing(theirs: &Exposed, ours: &Exposed) -> Vec<String> {
    let types = theirs.types.iter().filter(|(name, kind)| ours.types.get(*name) != Some(*kind));
    let types = types.filter(|(name, _)| !is_left_out(name)).map(|it| format!("{it:?}"));
    let series = theirs.series.difference(&ours.series).filter(|(name, _)| !is_left_out(name));
    types.chain(series.map(|it| format!("{it:?}"))).collect()
}

#[actix_web::test]
async fn both_formats_have_the_same_families() {
    let site = Site::start().await;
    // A family is shown with its first value, which may come between the two answers.
    let json = eventually("the same in both", async || {
        let text = site.get("/metrics").await;
        assert!(text.header("content-type").starts_with("text/plain"));
        let json = site.get("/metrics.json").await;
        assert_eq!(json.header("content-type"), "application/json");
        let in_text = read(&text.body).types.into_keys().collect::<BTreeSet<_>>();
        let json = json.json();
        let in_json = json.as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned());
        let in_json = in_json.collect::<BTreeSet<_>>();
        println!("only in one: {:?}", in_text.symmetric_difference(&in_json));
        (text.body.contains("request_duration_seconds_count") && in_text == in_json).then_some(json)
    })
    .await;
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

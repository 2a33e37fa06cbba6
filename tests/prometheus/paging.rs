//! A live demo of each scenario raises exactly its alerts in a real Prometheus.
//!
//! The rules are those that are delivered, only faster: what is asked of them lasts as much shorter as the demo's
//! intervals are shorter than a site's. Takes minutes: `scripts/test --long`.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::children::{Demo, Place, Prometheus, until_within};
use crate::support::{alerts, seconds};

/// An alert waits for that much less.
const FASTER: u64 = 120;
/// Windows of rates: no shorter than two of the dispatcher's own pauses, which are a minute for want of capacity.
const WINDOWS: [(&str, &str); 4] =
    [("[1h]", "[300s]"), ("[30m]", "[150s]"), ("[15m]", "[75s]"), ("[5m]", "[25s]")];
/// What is late, by the demo's intervals: of polls a twentieth of the usual, of listings a sixtieth, of probes a tenth.
const LIMITS: [(&str, &str); 3] = [("> 300", "> 15"), ("> 600", "> 10"), ("median > 60", "median > 6")];

/// Prometheus looks for its targets five seconds after its start: what alerts because there is none waits longer, in ms.
const WITHOUT_TARGETS: u64 = 20_000;

/// So many scrapes are a while: a minute.
const WHILE: f64 = 120.0;
const PATIENCE: Duration = Duration::from_secs(300);

/// The rules, faster.
fn faster_rules(place: &Place) -> PathBuf {
    let mut rules = alerts();
    for (usual, faster) in WINDOWS.into_iter().chain(LIMITS) {
        assert!(
            rules.iter().any(|rule| rule["expr"].as_str().unwrap().contains(usual)),
            "no rule has {usual}"
        );
        for rule in &mut rules {
            rule["expr"] = json!(rule["expr"].as_str().unwrap().replace(usual, faster));
        }
    }
    for rule in &mut rules {
        let least = if rule["expr"].as_str().unwrap().contains("absent(") { WITHOUT_TARGETS } else { 0 };
        let waits = 1000 * seconds(rule["for"].as_str().unwrap()) / FASTER;
        rule["for"] = json!(format!("{}ms", waits.max(least)));
    }
    let path = place.path().join("faster.yml");
    std::fs::write(&path, json!({ "groups": [{ "name": "faster", "rules": rules }] }).to_string()).unwrap();
    path
}

fn names(samples: &[(Value, f64)]) -> BTreeSet<String> {
    samples.iter().map(|(labels, _)| labels["alertname"].as_str().unwrap().to_owned()).collect()
}

async fn raises(scenario: &str, wanted: &[&str]) {
    let place = Place::new();
    let demo = Demo::start(&place, scenario).await;
    let prometheus = Prometheus::start(&place, &demo, &faster_rules(&place)).await;
    let wanted: BTreeSet<_> = wanted.iter().map(|name| (*name).to_owned()).collect();
    let ever = "max_over_time(ALERTS{alertstate=\"firing\"}[1h])";
    until_within(
        PATIENCE,
        &format!("{scenario} has raised {wanted:?}, and a while has gone by"),
        async || {
            let (raised, scrapes) =
                (names(&prometheus.query(ever).await), prometheus.query("count_over_time(up[1h])").await);
            let is_over = wanted.is_subset(&raised) && scrapes.iter().any(|(_, count)| *count >= WHILE);
            if is_over { Ok(()) } else { Err(format!("raised: {raised:?}, scraped: {scrapes:?}")) }
        },
    )
    .await;
    assert_eq!(names(&prometheus.query(ever).await), wanted, "{scenario}");
    demo.stop().await;
}

/// A test for each scenario.
macro_rules! each_raises {
    ($($test:ident: $scenario:literal => $alerts:expr;)*) => {$(
        #[actix_rt::test]
        #[ignore = "takes minutes: scripts/test --long"]
        async fn $test() {
            raises($scenario, &$alerts).await;
        }
    )*};
}

each_raises! {
    a_calm_cluster_raises_nothing: "calm" => [];
    a_reached_quota_raises_its_alert: "quota" => ["DispatcherAtQuota"];
    missing_capacity_raises_its_alert: "capacity" => ["DispatcherNoCapacity"];
    vanishing_spot_instances_raise_their_alert: "spot" => ["DispatcherInstancesVanishing"];
    failing_boots_raise_their_alert: "badboot" => ["DispatcherBootsFailing"];
    a_controller_that_is_down_with_its_feed_raises_their_alerts: "outage" => ["DispatcherPollStale", "DispatcherFeedLost"];
    an_overloaded_controller_raises_its_alert: "overload" => ["DispatcherControllerOverloaded"];
}

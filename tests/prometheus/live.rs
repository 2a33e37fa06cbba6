//! A real Prometheus scrapes a real dispatcher: rules, dashboard and dashboards in use have data.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::children::{Demo, Place, Prometheus, delivered_rules, until};
use crate::support::expressions::names;
use crate::support::{alerts, items, promtool, text};

const PREFIX: &str = "arvados_dispatchcloud_";

/// Names that dashboards in use ask for: `promtool check metrics` would have them otherwise. It has no other wish.
const NOT_AS_PROMTOOL_WISHES: [&str; 6] = [
    "boot_outcomes counter metrics should have \"_total\" suffix",
    "driver_operations counter metrics should have \"_total\" suffix",
    "instances_disappeared counter metrics should have \"_total\" suffix",
    "instances_total non-counter metrics should not have \"_total\" suffix",
    "memory_bytes_total non-counter metrics should not have \"_total\" suffix",
    "vcpus_total non-counter metrics should not have \"_total\" suffix",
];

/// The names of all series of a text.
fn exposed(metrics: &str) -> BTreeSet<String> {
    let series = metrics.lines().filter(|line| !line.starts_with('#'));
    series.map(|line| line.split(['{', ' ']).next().unwrap().to_owned()).collect()
}

fn expression_of(rule: &Value) -> String {
    rule["expr"].as_str().unwrap().to_owned()
}

/// The expressions of the panels, with Grafana's variables filled in.
fn dashboard() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&text("config/grafana/dispatcher.json")).unwrap();
    let panels = items(&dashboard["panels"]).iter().filter(|panel| panel["type"] != "row");
    let targets = panels.flat_map(|panel| items(&panel["targets"]));
    let filled = |target: &Value| {
        let expression = target["expr"].as_str().unwrap();
        let expression = expression.replace("$__rate_interval", "10s").replace("$instance", ".+");
        assert!(!expression.contains('$'), "an unknown variable: {expression}");
        expression
    };
    targets.map(filled).collect()
}

/// What dashboards in use ask for, made from the record of it.
fn in_use() -> Vec<String> {
    let text = text("tests/data/reference/dashboard-series.md");
    let names = |part: &str| -> Vec<String> {
        let quoted = part.split('`').skip(1).step_by(2);
        let names = quoted.filter(|it| !["_sum", "_count", PREFIX].contains(it));
        names.map(|name| format!("{PREFIX}{name}")).collect()
    };
    let (plain, rest) = text.split_once("; 10-minute rates").unwrap();
    let (means, delta) = rest.split_once("; 1-minute delta").unwrap();
    assert!(delta.contains("of the last one's `_count`"), "{delta}");
    let means = names(means);
    let last = means.last().unwrap();
    let mut expressions = names(plain);
    assert_eq!((expressions.len(), means.len()), (9, 5), "{text}");
    expressions.push(format!("sum({PREFIX}instances_price)"));
    expressions.push(format!("delta({last}_count[1m])"));
    expressions.extend(means.iter().map(|it| format!("rate({it}_sum[10m]) / rate({it}_count[10m])")));
    expressions
}

#[actix_rt::test]
async fn rules_and_dashboards_have_data_from_a_running_dispatcher() {
    let place = Place::new();
    let demo = Demo::start(&place, "quota").await;
    let prometheus = Prometheus::start(&place, &demo, &delivered_rules()).await;
    an_instance_ends(&demo).await;
    for expression in dashboard().into_iter().chain(in_use()) {
        has_data(&prometheus, &expression).await;
    }
    let metrics = demo.get("metrics").await;
    all_rules_are_evaluated(&prometheus).await;
    only_what_is_exposed_is_asked_for(&metrics);
    promtool_has_no_other_wish(&metrics);
    demo.stop().await;
}

/// It is shut down when its job is done: kill would be seen much later, because the end of a process is doubted.
async fn an_instance_ends(demo: &Demo) {
    let busy = until("an instance works", async || {
        let list: Value = serde_json::from_str(&demo.get("arvados/v1/dispatch/instances").await).unwrap();
        let busy = items(&list["items"]).iter().find(|it| it["worker_state"] == "running");
        busy.map(|it| it["instance"].as_str().unwrap().to_owned()).ok_or_else(|| list.to_string())
    })
    .await;
    demo.post(&format!("arvados/v1/dispatch/instances/drain?instance_id={busy}")).await;
}

/// At least one sample, which is a number.
async fn has_data(prometheus: &Prometheus, expression: &str) {
    until(&format!("`{expression}` has data"), async || {
        let samples = prometheus.query(expression).await;
        let has = samples.iter().any(|(_, value)| value.is_finite());
        if has { Ok(()) } else { Err(format!("{samples:?}")) }
    })
    .await;
}

async fn all_rules_are_evaluated(prometheus: &Prometheus) {
    let loaded = until("all rules are evaluated", async || {
        let rules = prometheus.rules().await;
        let unknown = rules.iter().any(|rule| rule["health"] == "unknown");
        if unknown { Err("some are not yet".to_owned()) } else { Ok(rules) }
    })
    .await;
    let names = |rules: &[Value], key: &str| -> BTreeSet<String> {
        rules.iter().map(|rule| rule[key].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names(&loaded, "name"), names(&alerts(), "alert"));
    for rule in &loaded {
        assert_eq!(rule["health"], "ok", "{rule}");
        assert!(rule["lastError"].is_null(), "{rule}");
    }
}

fn only_what_is_exposed_is_asked_for(metrics: &str) {
    let mut exposed = exposed(metrics);
    exposed.insert("up".to_owned());
    for expression in alerts().iter().map(expression_of).chain(dashboard()) {
        let names = names(&expression);
        assert!(!names.is_empty(), "{expression}");
        let unknown: Vec<_> = names.difference(&exposed).collect();
        assert!(unknown.is_empty(), "nobody exposes {unknown:?}: {expression}");
    }
}

fn promtool_has_no_other_wish(metrics: &str) {
    let output = promtool(&["check", "metrics"], metrics);
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    let mut wishes: Vec<_> = said.lines().collect();
    wishes.sort_unstable();
    let known = NOT_AS_PROMTOOL_WISHES.map(|wish| format!("{PREFIX}{wish}"));
    assert_eq!(wishes, known);
    // A dashboard in use has each of these names.
    let recorded = text("tests/data/reference/metrics.txt");
    for wish in known {
        let name = wish.split(' ').next().unwrap();
        assert!(recorded.contains(&format!("# TYPE {name} ")), "{name} is ours to change");
    }
}

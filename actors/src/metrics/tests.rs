//! What a scrape shows, against the reference's recording.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::id::TypeName;
use dispatch_core::ledger::{Category, Sum};
use dispatch_core::time::Timestamp;
use prometheus::{Registry, TextEncoder};

use super::{GaugeFacts, KnownLabels, Metrics, to_json};

const RECORDED: &str =
    include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/data/reference/metrics.txt"));

/// The types of the recording's site.
fn types() -> Vec<TypeName> {
    let names = [
        "c4.xlarge",
        "g5.xlarge",
        "m4.2xlarge",
        "m4.large",
        "m4.large.scratch",
        "m4.large.spot",
        "m4.xlarge",
        "r4.xlarge",
    ];
    names.iter().map(|name| name.parse().unwrap()).collect()
}

fn metrics() -> (Metrics, Registry) {
    Metrics::new(KnownLabels { types: &types(), unlock_reasons: &["capacity", "requeued"] })
}

fn text(registry: &Registry) -> String {
    TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
}

/// Each `# TYPE` line, and each sample without its value and with its labels in order.
fn shape(text: &str) -> BTreeSet<String> {
    text.lines()
        .filter(|line| !line.starts_with("# HELP"))
        .map(|line| match line.strip_prefix("# TYPE ") {
            Some(kind) => kind.to_owned(),
            None => sample(line.rsplit_once(' ').unwrap().0),
        })
        .collect()
}

fn sample(text: &str) -> String {
    let Some((name, labels)) = text.split_once('{') else { return text.to_owned() };
    let mut labels: Vec<&str> = labels.trim_end_matches('}').split(',').collect();
    labels.sort_unstable();
    format!("{name}{{{}}}", labels.join(","))
}

/// The value behind a sample's name and labels.
fn value(registry: &Registry, wanted: &str) -> f64 {
    let text = text(registry);
    let line = text.lines().find_map(|line| line.strip_prefix(wanted)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {wanted} in {text}")).parse().unwrap()
}

#[test]
fn every_series_of_the_recording_is_there_with_its_type_and_labels() {
    let (metrics, registry) = metrics();
    // Series whose label values nobody knows beforehand.
    let sha256 = "55a526c5aa44f351a849dfb4854379f637edd00d4bfc6eac5969ea6ecaa8eaf3";
    metrics.config_loaded(sha256, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH);
    metrics.requests().status_known(200, "GET", Duration::from_millis(1));
    metrics.requests().finished(200, "GET", Duration::from_millis(1));
    let ours = shape(&text(&registry));
    // The driver's own come with it, the version is another series on purpose.
    let elsewhere = |line: &str| line.contains("_ec2_") || line.starts_with("arvados_version_running");
    let missing: Vec<_> =
        shape(RECORDED).into_iter().filter(|line| !elsewhere(line) && !ours.contains(line)).collect();
    assert_eq!(missing, [""; 0]);
    assert!(!ours.iter().any(|line| line.starts_with("arvados_version_running")));
}

#[test]
fn our_own_series_are_there_from_the_start() {
    let (metrics, registry) = metrics();
    metrics.build_info("0.1.0");
    let ours = shape(&text(&registry));
    for line in [
        "arvados_dispatchcloud_spot_notices_total",
        "arvados_dispatchcloud_spot_interruptions_total{instance_type=\"m4.large\"}",
        "arvados_dispatchcloud_containers_backfilled_total",
        "arvados_dispatchcloud_containers_lost_to_market_total",
        "arvados_dispatchcloud_containers_moved_on_demand_total",
        "arvados_dispatchcloud_event_feed_connected gauge",
        "arvados_dispatchcloud_creates_paused gauge",
        "arvados_dispatchcloud_own_side_fails gauge",
        "arvados_dispatchcloud_instances_not_ending gauge",
        "arvados_dispatchcloud_instances_drifted gauge",
        "arvados_dispatchcloud_instances_renewing gauge",
        "arvados_dispatchcloud_instance_renewals_total{reason=\"drift\"}",
        "arvados_dispatchcloud_cost_total{category=\"hold\",instance_type=\"m4.large\"}",
        "arvados_dispatchcloud_event_feed_events_total{kind=\"container\"}",
        "arvados_dispatchcloud_unlocks_total counter",
        "arvados_dispatchcloud_unlocks_total{reason=\"capacity\"}",
        "arvados_dispatchcloud_last_poll_success_time gauge",
        "arvados_dispatchcloud_last_sync_success_time gauge",
        "arvados_dispatchcloud_active",
        "arvados_dispatchcloud_scheduling_round_seconds histogram",
        "arvados_dispatchcloud_scheduling_round_seconds_count",
        "arvados_dispatchcloud_actor_mailbox_delay_seconds_count{actor=\"worker\"}",
        "arvados_dispatchcloud_instances_run_probe_duration_seconds_count{outcome=\"fail\"}",
        "dispatcher_build_info{version=\"0.1.0\"}",
    ] {
        assert!(ours.contains(line), "{line} is not in {ours:#?}");
    }
}

#[test]
fn work_is_timed_until_its_timer_is_dropped() {
    let (metrics, registry) = metrics();
    let name = "arvados_dispatchcloud_actor_work_seconds_count{actor=\"queue\",work=\"snapshot\"}";
    let working = metrics.working("queue", "snapshot");
    assert_eq!(value(&registry, name), 0.0);
    drop(working);
    assert_eq!(value(&registry, name), 1.0);
}

#[test]
fn open_labels_appear_on_first_use() {
    let (metrics, registry) = metrics();
    assert!(!text(&registry).contains("controller_requests_total"));
    metrics.controller_request("list", "200", Duration::from_millis(20));
    metrics.cloud_error("Create", "quota", "VcpuLimitExceeded");
    let name = "arvados_dispatchcloud_controller_requests_total{call=\"list\",status=\"200\"}";
    assert_eq!(value(&registry, name), 1.0);
    let name = "arvados_dispatchcloud_controller_request_seconds_count{call=\"list\",status=\"200\"}";
    assert_eq!(value(&registry, name), 1.0);
    assert!(
        text(&registry).contains("cloud_errors_total{code=\"VcpuLimitExceeded\",kind=\"quota\",operation")
    );
}

/// The values of one label among a series' samples, with what each counts.
fn by_label(registry: &Registry, series: &str, label: &str) -> BTreeMap<String, f64> {
    let mut found = BTreeMap::new();
    for line in text(registry).lines().filter(|line| line.starts_with(&format!("{series}{{"))) {
        let (_, rest) = line.split_once(&format!("{label}=\"")).unwrap();
        let (name, rest) = rest.split_once('"').unwrap();
        *found.entry(name.to_owned()).or_default() +=
            rest.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap();
    }
    found
}

#[test]
fn of_a_thousand_values_that_others_choose_64_are_shown_and_the_rest_is_other() {
    let (metrics, registry) = metrics();
    let mut facts = GaugeFacts::default();
    for number in 0..1_000 {
        metrics.cloud_error("Create", "other", &format!("Code{number}"));
        metrics.cloud_error("List", "other", &format!("Code{number}"));
        metrics.controller_request("lock", &number.to_string(), Duration::from_millis(1));
        facts.instances.insert((Category::Idle, format!("x{number}")), 2);
    }
    for type_name in types() {
        facts.instances.insert((Category::Idle, type_name.to_string()), 5);
    }
    metrics.set_gauges(&facts);
    metrics.set_gauges(&facts);
    for (series, label, each, all) in [
        ("cloud_errors_total", "code", 2.0, 2_000.0),
        ("controller_requests_total", "status", 1.0, 1_000.0),
        ("controller_request_seconds_count", "status", 1.0, 1_000.0),
    ] {
        let found = by_label(&registry, &format!("arvados_dispatchcloud_{series}"), label);
        assert_eq!(found.len(), 65, "{series}");
        assert_eq!(found.values().sum::<f64>(), all, "{series}: nothing is lost");
        assert_eq!(found["other"], all - 64.0 * each, "{series}");
    }
    let instances = by_label(&registry, "arvados_dispatchcloud_instances_total", "instance_type");
    assert_eq!(instances.len(), 65 + types().len());
    assert_eq!(instances.values().sum::<f64>(), 2_000.0 + 5.0 * types().len() as f64);
    assert_eq!(instances["m4.large.spot"], 5.0, "what is configured always has its own");
}

#[test]
fn driver_operations_count_failures_apart() {
    let (metrics, registry) = metrics();
    metrics.driver_operation("Create", true);
    let name =
        |error| format!("arvados_dispatchcloud_driver_operations{{error=\"{error}\",operation=\"Create\"}}");
    assert_eq!((value(&registry, &name(0)), value(&registry, &name(1))), (0.0, 1.0));
}

#[test]
fn gauges_show_the_facts() {
    let (metrics, registry) = metrics();
    metrics.set_gauges(&GaugeFacts {
        instances: BTreeMap::from([((Category::Inuse, "m4.large".to_owned()), 3)]),
        price: BTreeMap::from([(Category::Inuse, 0.3)]),
        memory_bytes: BTreeMap::from([(Category::Idle, 1 << 33)]),
        queue_entries: BTreeMap::from([((ContainerState::Queued, String::new()), 2)]),
        longest_wait: Duration::from_millis(1500),
        at_quota: true,
        last_503: Some(Timestamp::from_millisecond(1_795_381_732_500).unwrap()),
        active: true,
        drifted: 4,
        renewing: 2,
        ..GaugeFacts::default()
    });
    for (name, expected) in [
        ("instances_total{category=\"inuse\",instance_type=\"m4.large\"}", 3.0),
        ("instances_price{category=\"inuse\"}", 0.3),
        ("memory_bytes_total{category=\"idle\"}", 8_589_934_592.0),
        ("queue_entries{instance_type=\"\",state=\"Queued\"}", 2.0),
        ("containers_longest_wait_time_seconds", 1.5),
        ("at_quota", 1.0),
        ("last_503_time", 1_795_381_732.5),
        ("active", 1.0),
        ("instances_drifted", 4.0),
        ("instances_renewing", 2.0),
    ] {
        assert_eq!(value(&registry, &format!("arvados_dispatchcloud_{name}")), expected, "{name}");
    }
}

#[test]
fn what_is_no_fact_any_more_is_zero_or_gone() {
    let (metrics, registry) = metrics();
    let facts = |name: &str| GaugeFacts {
        instances: BTreeMap::from([((Category::Idle, name.to_owned()), 1)]),
        ..GaugeFacts::default()
    };
    metrics.set_gauges(&facts("m4.large"));
    metrics.set_gauges(&facts("removed.type"));
    let name =
        |name| format!("arvados_dispatchcloud_instances_total{{category=\"idle\",instance_type=\"{name}\"}}");
    assert_eq!(value(&registry, &name("m4.large")), 0.0, "configured: zero");
    assert_eq!(value(&registry, &name("removed.type")), 1.0);
    metrics.set_gauges(&GaugeFacts::default());
    assert!(!text(&registry).contains("removed.type"), "not configured: gone");
    let before = shape(&text(&registry));
    metrics.set_gauges(&GaugeFacts::default());
    assert_eq!(shape(&text(&registry)), before);
}

#[tokio::test(start_paused = true)]
async fn summaries_slide_with_time() {
    let (metrics, registry) = metrics();
    let name = "arvados_dispatchcloud_instances_time_to_ssh_seconds";
    let median = format!("{name}{{quantile=\"0.5\"}}");
    assert!(value(&registry, &median).is_nan(), "nothing seen yet");
    metrics.time_to_ssh.observe(Duration::from_secs(7));
    metrics.run_probe_duration.observe("fail", Duration::from_millis(3));
    assert!(value(&registry, &median).is_nan(), "not published yet");
    metrics.publish();
    assert!((value(&registry, &median) - 7.0).abs() < 0.07);
    tokio::time::sleep(Duration::from_secs(601)).await;
    metrics.publish();
    assert!(value(&registry, &median).is_nan(), "forgotten");
    assert_eq!(value(&registry, &format!("{name}_sum")), 7.0);
    assert_eq!(value(&registry, &format!("{name}_count")), 1.0);
    let probes = "arvados_dispatchcloud_instances_run_probe_duration_seconds_count{outcome=\"fail\"}";
    assert_eq!(value(&registry, probes), 1.0);
}

#[tokio::test(start_paused = true)]
async fn the_oldest_active_request_is_told_until_it_ends() {
    let (metrics, registry) = metrics();
    let requests = metrics.requests();
    let name = "arvados_max_active_request_age_seconds";
    let first = requests.begin();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let second = requests.begin();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(value(&registry, name), 6.0);
    drop(first);
    assert_eq!(value(&registry, name), 1.0);
    drop(second);
    assert_eq!(value(&registry, name), 0.0);
}

#[test]
fn requests_are_timed_from_any_thread() {
    let (metrics, registry) = metrics();
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let requests = metrics.requests();
            std::thread::spawn(move || requests.finished(503, "POST", Duration::from_millis(250)))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    let name = |what| format!("request_duration_seconds_{what}{{code=\"503\",method=\"post\"}}");
    assert_eq!((value(&registry, &name("sum")), value(&registry, &name("count"))), (1.0, 4.0));
}

#[test]
fn json_is_protobufs() {
    let (metrics, registry) = metrics();
    metrics.boot_outcomes.with_label_values(&["success"]).inc();
    metrics.time_to_ready.observe(Duration::from_secs(1));
    metrics.scheduling_round_seconds.observe(1.0);
    let json = to_json(&registry.gather());
    let family = |name: &str| {
        let name = format!("arvados_dispatchcloud_{name}");
        json.as_array().unwrap().iter().find(|family| family["name"] == name.as_str()).unwrap()
    };
    let quota = family("at_quota");
    assert_eq!(quota["type"], "GAUGE");
    assert_eq!(quota["metric"], serde_json::json!([{"gauge": {"value": 0.0}}]));
    let boots = family("boot_outcomes");
    assert_eq!(boots["type"], "COUNTER");
    let success = &boots["metric"][3];
    let expected =
        serde_json::json!({"label": [{"name": "outcome", "value": "success"}], "counter": {"value": 1.0}});
    assert_eq!(success, &expected);
    let ready = &family("instances_time_to_ready_for_container_seconds")["metric"][0]["summary"];
    assert_eq!(ready["sampleCount"], "0", "not published yet; and 64 bits are text");
    assert_eq!(ready["quantile"][0], serde_json::json!({"quantile": 0.5, "value": "NaN"}));
    let round = &family("scheduling_round_seconds")["metric"][0]["histogram"];
    assert_eq!((&round["sampleCount"], &round["sampleSum"]), (&"1".into(), &1.0.into()));
    assert_eq!(round["bucket"][0]["cumulativeCount"], "0");
}

#[test]
fn what_instances_cost_is_shown_by_type_and_category_and_never_shrinks() {
    let (metrics, registry) = metrics();
    let series = |category: &str, name: &str| {
        format!("arvados_dispatchcloud_cost_total{{category=\"{category}\",instance_type=\"{name}\"}}")
    };
    assert_eq!(value(&registry, &series("idle", "m4.large")), 0.0);
    let sum = |name: &str, category, amount| Sum {
        instance_type: TypeName::new(name).ok(),
        category,
        amount,
        per_hour: 1.0,
    };
    let show = |sums: Vec<Sum>| {
        metrics.set_gauges(&GaugeFacts { spent: Arc::new(sums), ..GaugeFacts::default() });
    };
    show(vec![sum("m4.large", Category::Inuse, 0.5), sum("gone", Category::Hold, 1.0)]);
    show(vec![sum("m4.large", Category::Inuse, 0.75), sum("m4.large", Category::Idle, 0.125)]);
    show(vec![sum("m4.large", Category::Inuse, 0.625)]);
    let shown = |name: &str| value(&registry, name);
    assert_eq!(shown(&series("inuse", "m4.large")), 0.75);
    assert_eq!(shown(&series("idle", "m4.large")), 0.125);
    assert_eq!(shown(&series("hold", "gone")), 1.0);
}

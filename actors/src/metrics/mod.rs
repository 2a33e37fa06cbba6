//! What operators' dashboards are made of: one struct, a field a series, all of them there from the start.
//!
//! The core returns facts; actors count and observe them here; gauges are set from snapshots. Nothing
//! here decides anything.
//!
//! ```text
//!   arbiter                                        HTTP threads
//!   Metrics ─ counters, histograms ── atomics ──┐
//!      ├──── observe() → windows ─ publish() ───┼─ snapshots ─▶ Registry::gather() ─▶ text, to_json()
//!      └──── set_gauges(&GaugeFacts) ── atomics ┘                    ▲
//!                                   RequestMetrics ── atomics ───────┘
//! ```
//! Series with open label values (codes, kinds, hashes, types not configured) appear on first use. What others choose,
//! such as the cloud's error codes, is bounded ([`BoundedLabel`]): a series is never given back.

mod cost;
mod gauges;
mod json;
mod requests;
mod summary;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::time::Duration;

use dispatch_core::id::TypeName;
use dispatch_core::label::BoundedLabel;
use dispatch_core::ports::WatchEnd;
use dispatch_core::time::Timestamp;
use dispatch_core::worker::{BootOutcome, Renewal, State};
use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramTimer, HistogramVec, IntCounter,
    IntCounterVec, Opts, Registry, exponential_buckets,
};

use cost::Cost;
pub use gauges::GaugeFacts;
use gauges::{Gauges, seconds_of};
pub use json::to_json;
pub use requests::{ActiveRequest, RequestMetrics};
use summary::Published;
pub use summary::{LabelledSummary, Summary};

/// In front of every name of ours.
pub(crate) const PREFIX: &str = "arvados_dispatchcloud_";

/// Values of `driver_operations{operation}`.
pub const DRIVER_OPERATIONS: [&str; 4] = ["Create", "List", "Destroy", "SetTags"];
/// Values of `event_feed_events_total{kind}`.
pub const FEED_KINDS: [&str; 5] = ["container", "container_request", "other", "ping", "malformed"];
/// Values of `instances_run_probe_duration_seconds{outcome}`.
pub const PROBE_OUTCOMES: [&str; 2] = ["success", "fail"];
/// Values of `actor_mailbox_delay_seconds{actor}`.
pub const ACTORS: [&str; 5] = ["queue", "pool", "worker", "scheduler", "cloud"];

/// Upper bounds of `actor_work_seconds`: as fine as a reader needs who asks what has made a message wait.
const WORK_BUCKETS: [f64; 12] =
    [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0];

/// Label values that are known at the start, but not here.
#[derive(Debug, Clone, Copy, Default)]
pub struct KnownLabels<'a> {
    /// The configured instance types.
    pub types: &'a [TypeName],
    /// Every reason that an unlock can have.
    pub unlock_reasons: &'a [&'a str],
}

/// All series. Lives on the arbiter; cheap to use, not to be cloned: share it as `Rc<Metrics>`.
#[derive(Debug)]
pub struct Metrics {
    /// `boot_outcomes{outcome}`: how instances' boots ended, once an instance.
    pub boot_outcomes: IntCounterVec,
    /// `instances_disappeared{state}`: instances that left the cloud's listing, by the worker's last state.
    pub instances_disappeared: IntCounterVec,
    /// `driver_operations{operation, error}`: calls to the cloud; see [`Metrics::driver_operation`].
    pub driver_operations: IntCounterVec,
    /// `unlocks_total{reason}`: locks given back; each costs a container one of its dispatch attempts.
    pub unlocks: IntCounterVec,
    /// `instance_renewals_total{reason}`: instances that were drained because they are too old or have drifted.
    pub renewals: IntCounterVec,
    /// `spot_notices_total`: instances whose end the cloud has announced to a process there.
    pub spot_notices: IntCounter,
    /// `containers_lost_to_market_total`: containers whose instance the spot market has taken.
    pub containers_lost_to_market: IntCounter,
    /// `containers_moved_on_demand_total`: containers that are placed on demand for that (`SpotRetries`).
    pub containers_moved_on_demand: IntCounter,
    /// `spot_interruptions_total{instance_type}`: spot instances that the market has taken.
    pub spot_interruptions: IntCounterVec,
    /// `containers_backfilled_total`: containers that were let past others that wait for a quota.
    pub containers_backfilled: IntCounter,
    /// `event_feed_connected`: whether the controller's event feed is connected.
    pub event_feed_connected: Gauge,
    /// `event_feed_events_total{kind}`: what the event feed has delivered.
    pub event_feed_events: IntCounterVec,
    /// `watch_hints_total`: ends of processes that a watch on their VM has told, and for which the VM was probed.
    pub watch_hints: IntCounter,
    /// `watch_ends_total{reason}`: watches that have ended other than because nothing was left to be watched.
    pub watch_ends: IntCounterVec,
    /// `controller_requests_total{call, status}`: calls to the controller; see [`Metrics::controller_request`].
    pub controller_requests: IntCounterVec,
    /// `controller_request_seconds{call, status}`: how long they took.
    pub controller_request_seconds: HistogramVec,
    /// `cloud_errors_total{operation, kind, code}`: failed calls to the cloud, by its own code; see
    /// [`Metrics::cloud_error`].
    pub cloud_errors: IntCounterVec,
    /// `scheduling_round_seconds`: how long a scheduling round took.
    pub scheduling_round_seconds: Histogram,
    /// `actor_mailbox_delay_seconds{actor}`: how long a message waited for its actor.
    pub actor_mailbox_delay_seconds: HistogramVec,
    /// `actor_work_seconds{actor, work}`: how long pieces of work took, during which every other message waits; see
    /// [`Metrics::working`].
    actor_work_seconds: HistogramVec,

    /// `instances_time_to_ssh_seconds`: appeared → first connection that reaches verification.
    pub time_to_ssh: Summary,
    /// `instances_time_to_ready_for_container_seconds`: from there to in service.
    pub time_to_ready: Summary,
    /// `instances_time_from_shutdown_request_to_disappearance_seconds`: from the last destroy call.
    pub time_to_disappearance: Summary,
    /// `containers_time_from_queue_to_lock_seconds`: created_at → the controller's answer to our lock.
    pub time_to_lock: Summary,
    /// `containers_time_from_lock_to_crunch_run_seconds`: from there → start command returned.
    pub time_from_lock: Summary,
    /// `containers_time_from_queue_to_crunch_run_seconds`: created_at → start command returned.
    pub time_to_crunch_run: Summary,
    /// `instances_run_probe_duration_seconds{outcome}`: how long `--list` took.
    pub run_probe_duration: LabelledSummary,

    gauges: Gauges,
    cost: Cost,
    summaries: Vec<Published>,
    requests: RequestMetrics,
    config_source: GaugeVec,
    config_load: GaugeVec,
    /// The hash of the loaded configuration, and when it was loaded by our own clock.
    loaded: RefCell<Option<(String, Timestamp)>>,
    build_info: GaugeVec,
    codes: BoundedLabel,
    statuses: BoundedLabel,
}

impl Metrics {
    /// Registers every series at zero. The registry is what HTTP threads gather from.
    pub fn new(known: KnownLabels<'_>) -> (Self, Registry) {
        let registry = Registry::new();
        let register = Register { registry: &registry };
        let mut summaries = Vec::new();
        let metrics = Self {
            boot_outcomes: register.counters("boot_outcomes", "Boot outcomes of instances.", &["outcome"]),
            instances_disappeared: register.counters(
                "instances_disappeared",
                "Instances that disappeared from the cloud, by their worker's last state.",
                &["state"],
            ),
            driver_operations: register.counters(
                "driver_operations",
                "Calls to the cloud.",
                &["operation", "error"],
            ),
            unlocks: register.counters("unlocks_total", "Locks given back to the queue.", &["reason"]),
            renewals: register.counters(
                "instance_renewals_total",
                "Instances that were drained because they are too old or have drifted.",
                &["reason"],
            ),
            spot_notices: register.counter(
                "spot_notices_total",
                "Instances whose end the cloud has announced to a process there.",
            ),
            spot_interruptions: register.counters(
                "spot_interruptions_total",
                "Spot instances that are gone although nobody here has ended them, by type.",
                &["instance_type"],
            ),
            containers_lost_to_market: register.counter(
                "containers_lost_to_market_total",
                "Containers whose instance the spot market has taken while it had a process of theirs.",
            ),
            containers_moved_on_demand: register.counter(
                "containers_moved_on_demand_total",
                "Containers that were placed on demand because the spot market had taken too much from them.",
            ),
            containers_backfilled: register.counter(
                "containers_backfilled_total",
                "Containers put on instances in use, past others that wait for a quota.",
            ),
            event_feed_connected: register
                .gauges(
                    "event_feed_connected",
                    "Whether the controller's event feed is connected; 0 too if the site has none.",
                    &[],
                )
                .with_label_values::<&str>(&[]),
            event_feed_events: register.counters(
                "event_feed_events_total",
                "Messages of the controller's event feed.",
                &["kind"],
            ),
            watch_hints: register.counter(
                "watch_hints_total",
                "Ends of processes that were told by a watch on their instance.",
            ),
            watch_ends: register.counters(
                "watch_ends_total",
                "Watches on instances that have ended by themselves or failed, by reason.",
                &["reason"],
            ),
            controller_requests: register.counters(
                "controller_requests_total",
                "Calls to the controller.",
                &["call", "status"],
            ),
            controller_request_seconds: register.histograms(
                "controller_request_seconds",
                "Duration of calls to the controller.",
                &["call", "status"],
                0.002,
            ),
            cloud_errors: register.counters(
                "cloud_errors_total",
                "Failed calls to the cloud.",
                &["operation", "kind", "code"],
            ),
            scheduling_round_seconds: register
                .histograms("scheduling_round_seconds", "Duration of a scheduling round.", &[], 0.000_05)
                .with_label_values::<&str>(&[]),
            actor_mailbox_delay_seconds: register.histograms(
                "actor_mailbox_delay_seconds",
                "How long messages waited for their actor.",
                &["actor"],
                0.000_05,
            ),
            actor_work_seconds: register.buckets(
                "actor_work_seconds",
                "How long pieces of work took that keep all actors from everything else.",
                &["actor", "work"],
                &WORK_BUCKETS,
            ),
            time_to_ssh: register.summary(
                "instances_time_to_ssh_seconds",
                "Time from an instance's appearance to its first SSH connection.",
                &mut summaries,
            ),
            time_to_ready: register.summary(
                "instances_time_to_ready_for_container_seconds",
                "Time from the first SSH connection to readiness for containers.",
                &mut summaries,
            ),
            time_to_disappearance: register.summary(
                "instances_time_from_shutdown_request_to_disappearance_seconds",
                "Time from the last destroy call to disappearance from the cloud.",
                &mut summaries,
            ),
            time_to_lock: register.summary(
                "containers_time_from_queue_to_lock_seconds",
                "Time from a container's creation to its lock.",
                &mut summaries,
            ),
            time_from_lock: register.summary(
                "containers_time_from_lock_to_crunch_run_seconds",
                "Time from a container's lock to the start of its crunch-run process.",
                &mut summaries,
            ),
            time_to_crunch_run: register.summary(
                "containers_time_from_queue_to_crunch_run_seconds",
                "Time from a container's creation to the start of its crunch-run process.",
                &mut summaries,
            ),
            run_probe_duration: register.labelled_summary(
                "instances_run_probe_duration_seconds",
                "Duration of probes for running containers.",
                ("outcome", &PROBE_OUTCOMES),
                &mut summaries,
            ),
            gauges: Gauges::new(&register, known.types),
            cost: Cost::new(&register, known.types),
            summaries,
            requests: RequestMetrics::new(&register),
            config_source: register.plain_gauges(
                "arvados_config_source_timestamp_seconds",
                "Time of last modification of the loaded configuration file.",
                "sha256",
            ),
            config_load: register.plain_gauges(
                "arvados_config_load_timestamp_seconds",
                "Time of loading of the configuration file.",
                "sha256",
            ),
            loaded: RefCell::default(),
            build_info: register.plain_gauges(
                "dispatcher_build_info",
                "Version of the running dispatcher; always 1.",
                "version",
            ),
            codes: BoundedLabel::default(),
            statuses: BoundedLabel::default(),
        };
        metrics.start_at_zero(known);
        (metrics, registry)
    }

    /// Label values that are known exist from the start: a rate over a series that appears with its first
    /// event misses that event.
    fn start_at_zero(&self, known: KnownLabels<'_>) {
        let zero = |counters: &IntCounterVec, values: &[&str]| {
            for value in values {
                counters.with_label_values(&[*value]);
            }
        };
        zero(&self.boot_outcomes, &BootOutcome::ALL.map(BootOutcome::as_str));
        zero(&self.instances_disappeared, &State::ALL.map(State::as_str));
        zero(&self.unlocks, known.unlock_reasons);
        let types: Vec<_> = known.types.iter().map(TypeName::as_str).collect();
        zero(&self.spot_interruptions, &types);
        zero(&self.renewals, &Renewal::ALL.map(Renewal::as_str));
        for kind in FEED_KINDS {
            self.event_feed_events.with_label_values(&[kind]);
        }
        zero(&self.watch_ends, &WatchEnd::LABELS);
        for operation in DRIVER_OPERATIONS {
            for error in ["0", "1"] {
                self.driver_operations.with_label_values(&[operation, error]);
            }
        }
        for actor in ACTORS {
            self.actor_mailbox_delay_seconds.with_label_values(&[actor]);
        }
        self.publish();
    }

    /// A piece of work begins, during which no actor takes a message: it is timed until the returned value is dropped.
    #[must_use = "dropped at once, it would time nothing"]
    pub fn working(&self, actor: &str, work: &str) -> HistogramTimer {
        self.actor_work_seconds.with_label_values(&[actor, work]).start_timer()
    }

    /// Counts a call to the cloud.
    pub fn driver_operation(&self, operation: &str, failed: bool) {
        self.driver_operations.with_label_values(&[operation, if failed { "1" } else { "0" }]).inc();
    }

    /// Counts a failed call to the cloud; `code` is the cloud's own word.
    pub fn cloud_error(&self, operation: &str, kind: &str, code: &str) {
        self.cloud_errors.with_label_values(&[operation, kind, self.codes.bounded(code)]).inc();
    }

    /// Counts and times a call to the controller; `status` is the HTTP status, or the kind of failure.
    pub fn controller_request(&self, call: &str, status: &str, took: Duration) {
        let status = self.statuses.bounded(status);
        self.controller_requests.with_label_values(&[call, status]).inc();
        self.controller_request_seconds.with_label_values(&[call, status]).observe(took.as_secs_f64());
    }

    /// Sets every gauge from a snapshot of the actors, and publishes the summaries.
    pub fn set_gauges(&self, facts: &GaugeFacts) {
        self.gauges.set(facts);
        self.cost.show(&facts.spent);
        if let Some((sha256, at)) = &*self.loaded.borrow() {
            let shown = crate::clock::shown(*at);
            self.config_load.with_label_values(&[sha256.as_str()]).set(seconds_of(Some(shown)));
        }
        self.publish();
    }

    /// Shows the HTTP threads what the summaries have seen until now.
    pub fn publish(&self) {
        let now = crate::clock::now();
        for summary in &self.summaries {
            summary.publish(now);
        }
    }

    /// Tells which configuration is loaded: the hash of the file's bytes, when it was changed, when loaded.
    pub fn config_loaded(&self, sha256: &str, source: Timestamp, loaded: Timestamp) {
        if let Some((before, _)) = self.loaded.replace(Some((sha256.to_owned(), loaded))) {
            // Of one file alone: the site's health checker compares it with that of other services. It may not be there.
            let _ = self.config_source.remove_label_values(&[&before]);
            let _ = self.config_load.remove_label_values(&[&before]);
        }
        self.config_source.with_label_values(&[sha256]).set(seconds_of(Some(source)));
        self.config_load.with_label_values(&[sha256]).set(seconds_of(Some(loaded)));
    }

    /// Tells which version this is.
    pub fn build_info(&self, version: &str) {
        self.build_info.with_label_values(&[version]).set(1.0);
    }

    /// What HTTP threads count and time requests with.
    pub fn requests(&self) -> RequestMetrics {
        self.requests.clone()
    }
}

/// Makes series and registers them.
struct Register<'a> {
    registry: &'a Registry,
}

impl Register<'_> {
    fn add<C: prometheus::core::Collector + Clone + 'static>(&self, collector: prometheus::Result<C>) -> C {
        let collector = collector.expect("names and labels are constants, and valid");
        self.registry.register(Box::new(collector.clone())).expect("each name is registered once");
        collector
    }

    fn counter(&self, name: &str, help: &str) -> IntCounter {
        self.add(IntCounter::with_opts(Opts::new(format!("{PREFIX}{name}"), help)))
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> IntCounterVec {
        self.add(IntCounterVec::new(Opts::new(format!("{PREFIX}{name}"), help), labels))
    }

    /// From `smallest` on, twelve buckets, each three times the one before.
    fn histograms(&self, name: &str, help: &str, labels: &[&str], smallest: f64) -> HistogramVec {
        let buckets = exponential_buckets(smallest, 3.0, 12).expect("constants, and valid");
        self.buckets(name, help, labels, &buckets)
    }

    fn buckets(&self, name: &str, help: &str, labels: &[&str], buckets: &[f64]) -> HistogramVec {
        let options = HistogramOpts::new(format!("{PREFIX}{name}"), help).buckets(buckets.to_vec());
        self.add(HistogramVec::new(options, labels))
    }

    fn amounts(&self, name: &str, help: &str, labels: &[&str]) -> CounterVec {
        self.add(CounterVec::new(Opts::new(format!("{PREFIX}{name}"), help), labels))
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        self.add(GaugeVec::new(Opts::new(format!("{PREFIX}{name}"), help), labels))
    }

    /// One that is not only ours, and so without our prefix.
    fn plain_gauges(&self, name: &str, help: &str, label: &str) -> GaugeVec {
        self.add(GaugeVec::new(Opts::new(name, help), &[label]))
    }

    fn summary(&self, name: &str, help: &str, published: &mut Vec<Published>) -> Summary {
        let (summary, collector, own) = Summary::new(&format!("{PREFIX}{name}"), help);
        self.add(Ok(collector));
        published.extend(own);
        summary
    }

    fn labelled_summary(
        &self,
        name: &str,
        help: &str,
        label: (&'static str, &[&'static str]),
        published: &mut Vec<Published>,
    ) -> LabelledSummary {
        let (summary, collector, own) = LabelledSummary::new(&format!("{PREFIX}{name}"), help, label);
        self.add(Ok(collector));
        published.extend(own);
        summary
    }
}

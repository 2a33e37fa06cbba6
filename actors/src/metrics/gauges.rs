//! Gauges, all set at once from a snapshot of the actors.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::id::TypeName;
use dispatch_core::label::BoundedLabel;
use dispatch_core::ledger::{Category, Sum};
use dispatch_core::time::Timestamp;
use prometheus::{Gauge, GaugeVec};

use super::Register;

/// The states whose `queue_entries` exist from the start; others appear on first use.
const QUEUE_STATES: [ContainerState; 3] =
    [ContainerState::Queued, ContainerState::Locked, ContainerState::Running];

/// What the gauges are to show. What is not in a map is zero.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GaugeFacts {
    /// How many instances, by category and name of type.
    pub instances: BTreeMap<(Category, String), u64>,
    /// Σ price an hour.
    pub price: BTreeMap<Category, f64>,
    /// Σ CPUs.
    pub vcpus: BTreeMap<Category, u64>,
    /// Σ memory, in bytes.
    pub memory_bytes: BTreeMap<Category, u64>,
    /// Containers with a process, starting ones included.
    pub containers_running: u64,
    /// Containers that an instance is meant for, without a process yet.
    pub containers_allocated_not_started: u64,
    /// Containers that wait because of the quota.
    pub containers_not_allocated_over_quota: u64,
    /// Age of the oldest container that wants to run and has no process.
    pub longest_wait: Duration,
    /// How many containers are in the queue, by state and name of the cheapest eligible type (or "").
    pub queue_entries: BTreeMap<(ContainerState, String), u64>,
    /// Whether the cloud has told us that the quota is reached.
    pub at_quota: bool,
    /// When the controller last answered 503.
    pub last_503: Option<Timestamp>,
    /// The ceiling of containers at a time.
    pub max_concurrent_containers: u64,
    /// The age of the oldest last successful probe of a worker.
    pub probe_age_max: Duration,
    /// The median age of the last successful probes.
    pub probe_age_median: Duration,
    /// When a poll of the controller last succeeded.
    pub last_poll_success: Option<Timestamp>,
    /// When a listing of the cloud last succeeded.
    pub last_sync_success: Option<Timestamp>,
    /// Whether we are the one dispatcher that works.
    pub active: bool,
    /// Whether operators have paused creates, of all or a part, or drained a type.
    pub creates_paused: bool,
    /// Whether our own system calls fail.
    pub own_side_fails: bool,
    /// Instances that are still listed more than five minutes after their end was begun.
    pub not_ending: u64,
    /// Instances that would be made otherwise today.
    pub drifted: u64,
    /// Instances that are being renewed.
    pub renewing: u64,
    /// What was spent, by category and name of type.
    pub spent: Arc<Vec<Sum>>,
}

/// A point in time as gauges show it: seconds since 1970, 0 = never.
pub(super) fn seconds_of(at: Option<Timestamp>) -> f64 {
    at.map_or(0.0, |at| at.as_nanosecond() as f64 / 1e9)
}

/// A gauge with two labels, of which some pairs exist for ever and others as long as they are set.
#[derive(Debug)]
struct Pairs {
    gauge: GaugeVec,
    always: BTreeSet<(&'static str, String)>,
    shown: RefCell<BTreeSet<(&'static str, String)>>,
}

impl Pairs {
    fn new(gauge: GaugeVec, always: BTreeSet<(&'static str, String)>) -> Self {
        for (first, second) in &always {
            gauge.with_label_values(&[*first, second.as_str()]).set(0.0);
        }
        Self { gauge, shown: RefCell::new(always.clone()), always }
    }

    fn set(&self, values: BTreeMap<(&'static str, String), f64>) {
        for (first, second) in self.shown.borrow().iter() {
            let pair = (*first, second.clone());
            if !values.contains_key(&pair) && !self.always.contains(&pair) {
                // It was shown, so it is there.
                let _ = self.gauge.remove_label_values(&[*first, second.as_str()]);
            }
        }
        let wanted: BTreeSet<_> = values.keys().chain(&self.always).cloned().collect();
        for pair in &wanted {
            let value = values.get(pair).copied().unwrap_or(0.0);
            self.gauge.with_label_values(&[pair.0, pair.1.as_str()]).set(value);
        }
        *self.shown.borrow_mut() = wanted;
    }
}

/// A gauge by category.
fn set_categories(gauge: &GaugeVec, value: impl Fn(Category) -> f64) {
    for category in Category::ALL {
        gauge.with_label_values(&[category.as_str()]).set(value(category));
    }
}

#[derive(Debug)]
pub(super) struct Gauges {
    /// `instances_total{category, instance_type}`.
    instances: Pairs,
    /// Values of that label: a type that is not configured stands in a tag, which is the cloud's to show.
    types: BoundedLabel,
    /// `queue_entries{state, instance_type}`.
    queue_entries: Pairs,
    /// `instances_price{category}`.
    price: GaugeVec,
    /// `vcpus_total{category}`.
    vcpus: GaugeVec,
    /// `memory_bytes_total{category}`.
    memory_bytes: GaugeVec,
    containers_running: Gauge,
    containers_allocated_not_started: Gauge,
    containers_not_allocated_over_quota: Gauge,
    longest_wait: Gauge,
    at_quota: Gauge,
    last_503: Gauge,
    max_concurrent_containers: Gauge,
    probe_age_max: Gauge,
    probe_age_median: Gauge,
    last_poll_success: Gauge,
    last_sync_success: Gauge,
    active: Gauge,
    creates_paused: Gauge,
    own_side_fails: Gauge,
    not_ending: Gauge,
    drifted: Gauge,
    renewing: Gauge,
}

impl Gauges {
    pub fn new(register: &Register<'_>, types: &[TypeName]) -> Self {
        let one = |name, help| register.gauges(name, help, &[]).with_label_values::<&str>(&[]);
        let by_category = |name, help| register.gauges(name, help, &["category"]);
        let instances =
            register.gauges("instances_total", "Number of instances.", &["category", "instance_type"]);
        let queue_entries = register.gauges(
            "queue_entries",
            "Containers in the queue, by the cheapest type that fits.",
            &["state", "instance_type"],
        );
        let gauges = Self {
            types: BoundedLabel::with_known(types.iter().map(TypeName::as_str)),
            instances: Pairs::new(instances, pairs(Category::ALL.map(Category::as_str), types)),
            queue_entries: Pairs::new(queue_entries, pairs(QUEUE_STATES.map(ContainerState::as_str), types)),
            price: by_category("instances_price", "Price an hour of instances."),
            vcpus: by_category("vcpus_total", "CPUs of instances."),
            memory_bytes: by_category("memory_bytes_total", "Memory of instances."),
            containers_running: one("containers_running", "Containers with a process."),
            containers_allocated_not_started: one(
                "containers_allocated_not_started",
                "Containers that an instance is meant for, and that have no process yet.",
            ),
            containers_not_allocated_over_quota: one(
                "containers_not_allocated_over_quota",
                "Containers that wait because of the quota.",
            ),
            longest_wait: one(
                "containers_longest_wait_time_seconds",
                "Age of the oldest container that wants to run and has no process.",
            ),
            at_quota: one("at_quota", "Whether the cloud's quota is reached."),
            last_503: one("last_503_time", "When the controller last answered 503."),
            max_concurrent_containers: one("max_concurrent_containers", "Ceiling of containers at a time."),
            probe_age_max: one("probe_age_seconds_max", "Longest time since a worker was probed."),
            probe_age_median: one("probe_age_seconds_median", "Median time since workers were probed."),
            last_poll_success: one("last_poll_success_time", "When a poll of the controller last succeeded."),
            last_sync_success: one("last_sync_success_time", "When a listing of the cloud last succeeded."),
            active: one("active", "Whether this dispatcher holds the lock and works."),
            creates_paused: one(
                "creates_paused",
                "Whether an operator has paused creates, of all or a part, or drained a type.",
            ),
            own_side_fails: one("own_side_fails", "Whether the dispatcher's own system calls fail."),
            not_ending: one(
                "instances_not_ending",
                "Instances that are still listed more than five minutes after they were destroyed.",
            ),
            drifted: one(
                "instances_drifted",
                "Instances that would be made otherwise today: from another image, init command or type.",
            ),
            renewing: one(
                "instances_renewing",
                "Instances that are being renewed because they are too old or have drifted.",
            ),
        };
        gauges.set(&GaugeFacts::default());
        gauges
    }

    pub fn set(&self, facts: &GaugeFacts) {
        let mut instances = BTreeMap::new();
        for ((category, type_name), count) in &facts.instances {
            let key = (category.as_str(), self.types.bounded(type_name).to_owned());
            *instances.entry(key).or_default() += *count as f64;
        }
        self.instances.set(instances);
        let count = |(key, count): (&(ContainerState, String), &u64)| {
            ((key.0.as_str(), key.1.clone()), *count as f64)
        };
        self.queue_entries.set(facts.queue_entries.iter().map(count).collect());
        set_categories(&self.price, |category| facts.price.get(&category).copied().unwrap_or(0.0));
        set_categories(&self.vcpus, |category| facts.vcpus.get(&category).copied().unwrap_or(0) as f64);
        set_categories(&self.memory_bytes, |category| {
            facts.memory_bytes.get(&category).copied().unwrap_or(0) as f64
        });
        self.containers_running.set(facts.containers_running as f64);
        self.containers_allocated_not_started.set(facts.containers_allocated_not_started as f64);
        self.containers_not_allocated_over_quota.set(facts.containers_not_allocated_over_quota as f64);
        self.longest_wait.set(facts.longest_wait.as_secs_f64());
        self.at_quota.set(f64::from(u8::from(facts.at_quota)));
        self.last_503.set(seconds_of(facts.last_503));
        self.max_concurrent_containers.set(facts.max_concurrent_containers as f64);
        self.probe_age_max.set(facts.probe_age_max.as_secs_f64());
        self.probe_age_median.set(facts.probe_age_median.as_secs_f64());
        self.last_poll_success.set(seconds_of(facts.last_poll_success));
        self.last_sync_success.set(seconds_of(facts.last_sync_success));
        self.active.set(f64::from(u8::from(facts.active)));
        self.creates_paused.set(f64::from(u8::from(facts.creates_paused)));
        self.own_side_fails.set(f64::from(u8::from(facts.own_side_fails)));
        self.not_ending.set(facts.not_ending as f64);
        self.drifted.set(facts.drifted as f64);
        self.renewing.set(facts.renewing as f64);
    }
}

fn pairs<const N: usize>(firsts: [&'static str; N], types: &[TypeName]) -> BTreeSet<(&'static str, String)> {
    let with_types = |first| types.iter().map(move |name| (first, name.as_str().to_owned()));
    firsts.into_iter().flat_map(with_types).collect()
}

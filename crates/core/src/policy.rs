//! Every knob, validated once by the settings, passed by reference, and replaced as a whole when the site's configuration
//! is read anew ([`Policy::reloaded`]).

use std::num::NonZeroU32;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::blueprint::Blueprint;
use crate::id::InstanceSetId;
use crate::instance::{Catalog, TagKeys};
use crate::reserve::IdleReserve;

/// What the site wants, one field a configuration key (config/default.yml); `0` = unlimited where a field says so.
#[derive(Debug, Clone, PartialEq)]
pub struct Policy {
    /// The five characters that uuids of this cluster begin with.
    pub cluster_id: String,
    /// How often the queue is polled, at most.
    pub poll_interval: Duration,
    /// How far one poll looks among the waiting containers; no key of the configuration.
    pub poll_window: PollWindow,
    /// How much is done before other messages have their turn; no key of the configuration.
    pub pieces: Pieces,
    /// How often the cloud is listed.
    pub sync_interval: Duration,
    /// How often each worker is probed.
    pub probe_interval: Duration,
    /// How often a worker is probed of which a probe can hardly tell anything new: it is idle, or a watch tells the ends of
    /// its processes. `None` = as any other; no key of the configuration: for simulated days in which nothing fails.
    pub quiet_probe_interval: Option<Duration>,
    /// Probes a second over all workers; `None` = max(10, workers / probe interval).
    pub max_probes_per_second: Option<u32>,
    /// Time between two signals to a process that is to end.
    pub timeout_signal: Duration,
    /// How long a stale run lock is tolerated before the worker is drained.
    pub timeout_stale_run_lock: Duration,
    /// How long a process is signalled before it is given up.
    pub timeout_term: Duration,
    /// How long a worker may be idle before it is shut down.
    pub timeout_idle: Duration,
    /// How long an unknown or booting worker may go without a successful probe.
    pub timeout_booting: Duration,
    /// How long any other worker may go without one.
    pub timeout_probe: Duration,
    /// How long a worker may stay listed after a destroy call before the next.
    pub timeout_shutdown: Duration,
    /// How long placement waits for unknown workers at start.
    pub stale_lock_timeout: Duration,
    /// Driver calls a second; 0 = unlimited.
    pub max_cloud_ops_per_second: u32,
    /// Creates in flight; 0 = unlimited.
    pub max_concurrent_creates: u32,
    /// Instances in any state and creates in flight; 0 = unlimited.
    pub max_instances: u32,
    /// Containers on one instance; 0 = unlimited.
    pub max_containers_per_instance: u32,
    /// Where the ceiling starts; 0 = at `max_instances`.
    pub initial_quota_estimate: u32,
    /// Locks after which the controller cancels a container that is unlocked; it enforces that, we avoid it.
    pub max_dispatch_attempts: u32,
    /// Share of the ceiling that supervisors may take; 0 = no limit.
    pub supervisor_fraction: f64,
    /// How long containers are let past the first that waits for a quota, onto instances in use; 0 = none is.
    pub backfill_patience: Duration,
    /// How many instances of each type are kept without work.
    pub idle_reserve: IdleReserve,
    /// Whether larger types are created if those that wait fill them better.
    pub pack_containers: bool,
    /// How needs are computed from records.
    pub sizing: Sizing,
    /// The instance types.
    pub catalog: Catalog,
    /// How old an instance may become before it is renewed; 0 = as old as it likes.
    pub max_instance_age: Duration,
    /// How many instances may be renewed at a time; 0 = none.
    pub drift_budget: u32,
    /// What instances are made from, apart from their type.
    pub blueprint: Blueprint,
    /// How processes are run on instances.
    pub runner: Runner,
    /// Whose instances these are.
    pub instance_set_id: InstanceSetId,
    /// The names of our tags.
    pub tag_keys: TagKeys,
}

/// How far one poll looks among the waiting containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PollWindow {
    /// As far as what could be placed asks for: what a site has.
    #[default]
    AsNeeded,
    /// To the end of the list, whatever could be placed, and all of it is kept: for measurements of a large queue.
    Whole,
}

/// How much of long work is done before other messages have their turn: some milliseconds each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pieces {
    /// Entries and records that are looked at when a poll is taken in, or the queue is copied.
    pub entries: usize,
    /// Actions of a plan that are sent before their answers are waited for: each makes work for others (Queue, Pool, a
    /// Worker).
    pub actions: usize,
    /// News of a listing, with what Pool makes of them.
    pub news: usize,
}

impl Default for Pieces {
    fn default() -> Self {
        Self { entries: 4_000, actions: 200, news: 500 }
    }
}

/// What a planning round reads of the policy: enough to plan the same round under another configuration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanRules {
    /// [`Policy::catalog`].
    pub catalog: Catalog,
    /// [`Policy::sizing`].
    pub sizing: Sizing,
    /// [`Policy::max_concurrent_creates`].
    pub max_concurrent_creates: u32,
    /// [`Policy::max_instances`].
    pub max_instances: u32,
    /// [`Policy::max_containers_per_instance`].
    pub max_containers_per_instance: u32,
    /// [`Policy::supervisor_fraction`].
    pub supervisor_fraction: f64,
    /// [`Policy::stale_lock_timeout`].
    pub stale_lock_timeout: Duration,
    /// [`Policy::timeout_idle`].
    pub timeout_idle: Duration,
    /// [`Policy::backfill_patience`].
    #[serde(default)]
    pub backfill_patience: Duration,
    /// [`Policy::idle_reserve`].
    #[serde(default)]
    pub idle_reserve: IdleReserve,
    /// [`Policy::pack_containers`].
    #[serde(default)]
    pub pack_containers: bool,
}

impl PlanRules {
    /// These rules with what a reload of the configuration takes up from others ([`Policy::reloaded`]).
    #[must_use]
    pub fn reloaded(&self, new: &Self) -> Self {
        let keep_buffers_per_vcpu = self.sizing.keep_buffers_per_vcpu;
        Self { sizing: Sizing { keep_buffers_per_vcpu, ..new.sizing.clone() }, ..new.clone() }
    }
}

impl From<&Policy> for PlanRules {
    fn from(policy: &Policy) -> Self {
        Self {
            catalog: policy.catalog.clone(),
            sizing: policy.sizing.clone(),
            max_concurrent_creates: policy.max_concurrent_creates,
            max_instances: policy.max_instances,
            max_containers_per_instance: policy.max_containers_per_instance,
            supervisor_fraction: policy.supervisor_fraction,
            stale_lock_timeout: policy.stale_lock_timeout,
            timeout_idle: policy.timeout_idle,
            backfill_patience: policy.backfill_patience,
            idle_reserve: policy.idle_reserve.clone(),
            pack_containers: policy.pack_containers,
        }
    }
}

/// How needs are computed from records (docs/behaviour.md, "Which instance types fit").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sizing {
    /// Bytes added to each container's memory.
    pub reserve_extra_ram: u64,
    /// Storage server buffers a VCPU beside the container; 0 = no such server.
    pub keep_buffers_per_vcpu: u64,
    /// Types up to this many times the cheapest price are eligible.
    pub maximum_price_factor: f64,
    /// How many instances the spot market may take from a container, and from those that were tried before for the same
    /// request, until it is placed on demand; `None` = as many as it likes.
    #[serde(default)]
    pub spot_retries: Option<NonZeroU32>,
}

/// How processes are run on instances (docs/behaviour.md, "Commands on instances").
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Runner {
    /// Shell text; used if nothing is deployed.
    pub command: String,
    /// Further arguments of every start.
    pub arguments: Vec<String>,
    /// `--runtime-engine`.
    pub engine: String,
    /// Shell text that succeeds when a VM has booted; empty = `true`.
    pub boot_probe_command: String,
    /// Directory on instances for the deployed runner; `None` = nothing is deployed.
    pub deploy_directory: Option<String>,
}

impl Policy {
    /// This policy with what may change while we work taken from another one: instance types, limits, intervals and
    /// timeouts, and how needs are computed. What the processes on VMs, tags and the driver were set up with stays.
    #[must_use]
    pub fn reloaded(&self, new: &Self) -> Self {
        Self {
            cluster_id: self.cluster_id.clone(),
            poll_window: self.poll_window,
            pieces: self.pieces,
            quiet_probe_interval: self.quiet_probe_interval,
            initial_quota_estimate: self.initial_quota_estimate,
            sizing: Sizing { keep_buffers_per_vcpu: self.sizing.keep_buffers_per_vcpu, ..new.sizing.clone() },
            blueprint: self.blueprint.clone(),
            runner: self.runner.clone(),
            instance_set_id: self.instance_set_id.clone(),
            tag_keys: self.tag_keys.clone(),
            ..new.clone()
        }
    }

    /// Probes a second for that many workers: a fixed rate, or as many as see each worker once an interval.
    pub fn probe_rate(&self, workers: usize) -> u32 {
        match self.max_probes_per_second {
            Some(rate) => rate.max(1),
            None => {
                let wanted = workers as f64 / self.probe_interval.as_secs_f64().max(0.001);
                (wanted.ceil() as u32).max(10)
            }
        }
    }

    /// The configuration's defaults with no types: the base that tests and the demo vary.
    pub fn with_defaults() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let seconds = Duration::from_secs;
        Self {
            cluster_id: "zzzzz".to_owned(),
            poll_interval: seconds(10),
            poll_window: PollWindow::default(),
            pieces: Pieces::default(),
            sync_interval: minutes(1),
            probe_interval: seconds(10),
            quiet_probe_interval: None,
            max_probes_per_second: None,
            timeout_signal: seconds(5),
            timeout_stale_run_lock: seconds(5),
            timeout_term: minutes(2),
            timeout_idle: minutes(1),
            timeout_booting: minutes(10),
            timeout_probe: minutes(10),
            timeout_shutdown: seconds(10),
            stale_lock_timeout: minutes(1),
            max_cloud_ops_per_second: 10,
            max_concurrent_creates: 1,
            max_instances: 64,
            max_containers_per_instance: 0,
            initial_quota_estimate: 0,
            max_dispatch_attempts: 10,
            supervisor_fraction: 0.5,
            backfill_patience: Duration::ZERO,
            idle_reserve: IdleReserve::default(),
            pack_containers: false,
            sizing: Sizing {
                reserve_extra_ram: 550 << 20,
                keep_buffers_per_vcpu: 1,
                maximum_price_factor: 1.5,
                spot_retries: None,
            },
            catalog: Catalog::default(),
            max_instance_age: Duration::ZERO,
            drift_budget: 0,
            blueprint: Blueprint::new("", ""),
            runner: Runner {
                command: "crunch-run".to_owned(),
                arguments: Vec::new(),
                engine: "docker".to_owned(),
                boot_probe_command: "systemctl is-system-running".to_owned(),
                deploy_directory: Some("/tmp/arvados-crunch-run".to_owned()),
            },
            instance_set_id: InstanceSetId::new("unset").expect("a constant"),
            tag_keys: TagKeys::new("Arvados"),
        }
    }
}

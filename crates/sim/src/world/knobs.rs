//! The settings from which a simulated world is made.

use std::time::Duration;

use dispatch_core::container::{RuntimeConstraints, SchedulingParameters};
use dispatch_core::id::InstanceSetId;
use dispatch_core::instance::{Catalog, InstanceType};
use dispatch_core::policy::Policy;
use slog::Level;

use super::feed::FeedKnobs;
use crate::chance::Span;
use crate::cloud::knobs::CloudKnobs;
use crate::controller::faults::Faults;
use crate::controller::state::ContainerSpec;
use crate::controller::{Settings, Submission};
use crate::samples::instance_type;
use crate::vm::knobs::VmKnobs;

/// The knobs of a whole world.
#[derive(Debug, Clone)]
pub struct WorldKnobs {
    /// The seed of everything that is drawn at random.
    pub seed: u64,
    /// The site's configuration. A later dispatcher may have another one.
    pub policy: Policy,
    /// What users have submitted before the dispatcher starts.
    pub containers: Vec<Submission>,
    /// How the controller is set up.
    pub settings: Settings,
    /// What goes wrong at the controller.
    pub faults: Faults,
    /// How the controller's event feed behaves; `None` = the site has none.
    pub feed: Option<FeedKnobs>,
    /// How late the controller's answers to reads are at most, because a replica gives them; zero = none does.
    pub replica_lag: Duration,
    /// How long a plan takes to be made: others go on meanwhile.
    pub planning: Duration,
    /// How the cloud behaves.
    pub cloud: CloudKnobs,
    /// How VMs and jobs behave.
    pub vms: VmKnobs,
    /// How long a call to the controller takes.
    pub api_latency: Span,
    /// The time from a dispatcher's death to the start of the next.
    pub restart_after: Duration,
    /// The content of the runner's binary; empty = no runner is deployed.
    pub runner: String,
    /// Whether the dispatcher can read the runner's file when it starts.
    pub runner_readable: bool,
    /// The least severe level of the dispatcher's log that is kept; `None` = no log.
    pub log: Option<Level>,
    /// Whether the network between the dispatcher and all VMs may fail.
    pub network_fails: bool,
    /// Whether groups of VMs may fall silent together.
    pub groups_fall_silent: bool,
    /// Whether the invariants are checked at all. A day of a large site that is not to be proven costs much less without.
    pub is_judged: bool,
    /// How often the invariants are checked.
    pub step: Duration,
    /// How many planning rounds are kept as `run --record` writes them, the first ones.
    pub kept_rounds: usize,
}

impl WorldKnobs {
    /// A world without containers in which nothing goes wrong, with two types of 2 and 8 CPUs.
    pub fn new(seed: u64) -> Self {
        let mut policy = Policy::with_defaults();
        policy.catalog = types(&[("small", 2), ("large", 8)]);
        policy.sizing.keep_buffers_per_vcpu = 0;
        policy.instance_set_id = InstanceSetId::new("zzzzz-set").expect("a constant");
        Self {
            seed,
            policy,
            containers: Vec::new(),
            settings: Settings::default(),
            faults: Faults::default(),
            feed: None,
            replica_lag: Duration::ZERO,
            planning: Duration::ZERO,
            cloud: CloudKnobs::default(),
            vms: VmKnobs::default(),
            api_latency: Span::millis(20),
            restart_after: Duration::from_secs(1),
            runner: "the runner".to_owned(),
            runner_readable: true,
            log: None,
            network_fails: false,
            groups_fall_silent: false,
            is_judged: true,
            step: Duration::from_millis(100),
            kept_rounds: 0,
        }
    }

    /// Adds `count` containers, each of that many CPUs and seconds.
    pub fn with_jobs(mut self, count: usize, vcpus: u64, seconds: u64) -> Self {
        self.containers.extend((0..count).map(|_| job(vcpus, seconds)));
        self
    }

    /// Whether VMs may stop answering.
    pub(super) fn vms_may_fall_silent(&self) -> bool {
        let by_rate = !self.vms.ssh_rates.is_empty() || self.vms.hang_rate > 0.0;
        by_rate || self.network_fails || self.groups_fall_silent || self.vms.lasting.silences_some()
    }

    /// Allows at most that many instances.
    pub fn with_instances(mut self, most: u32) -> Self {
        self.policy.max_instances = most;
        self
    }
}

/// On-demand types of these names and CPUs.
pub(super) fn types(wanted: &[(&str, u64)]) -> Catalog {
    Catalog::new(wanted.iter().map(|(name, vcpus)| InstanceType::clone(&instance_type(name, *vcpus))))
}

/// A container of that many CPUs that runs for that many seconds.
pub fn job(vcpus: u64, seconds: u64) -> Submission {
    let runtime_constraints =
        RuntimeConstraints { vcpus, ram: vcpus * (1 << 30), ..RuntimeConstraints::default() };
    Submission::of(ContainerSpec {
        command: vec!["sleep".to_owned(), seconds.to_string()],
        runtime_constraints,
        scheduling: SchedulingParameters::default(),
        ..ContainerSpec::default()
    })
}

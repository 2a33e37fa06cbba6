//! The keys that a planning round depends on, and a service's own configuration with other values in place of some.
//!
//! ```text
//!   PlanRules of a running service ─► a tree, as its file might be ─► overrides ─► read like a file ─► PlanRules
//! ```
//! So `plan --set` works where the service's file is not at hand: on an operator's own machine, and for a demo.

use dispatch_core::policy::{PlanRules, Policy};
use serde_json::{Value, json};

use super::host::{Environment, Host};
use super::report::{Report, SettingsError};
use super::section::Section;
use super::table::{CLOUD_VMS, CONTAINERS};
use super::template;
use super::units::format_duration;
use super::{Override, decode, instance_types, merge, overrides, reserve};

/// Types that a file derives from others are listed among them by a service.
const OF_DERIVED_TYPES: &str = "Containers.PreemptiblePriceFactor";

/// What errors call it.
const NAME: &str = "the service's configuration";

/// A key that a plan depends on: its section, its name, and its value in the rules as a file has it.
pub struct PlanKey {
    section: &'static [&'static str],
    name: &'static str,
    value: fn(&PlanRules) -> Value,
}

const CLOUD: &[&str] = &["Containers", "CloudVMs"];
const JOBS: &[&str] = &["Containers"];

/// All of them but those of instance types.
pub const PLAN_KEYS: [PlanKey; 12] = [
    PlanKey::new(CLOUD, "MaxInstances", |it| it.max_instances.into()),
    PlanKey::new(CLOUD, "MaxConcurrentInstanceCreateOps", |it| it.max_concurrent_creates.into()),
    PlanKey::new(CLOUD, "MaxRunningContainersPerInstance", |it| it.max_containers_per_instance.into()),
    PlanKey::new(CLOUD, "SupervisorFraction", |it| it.supervisor_fraction.into()),
    PlanKey::new(CLOUD, "TimeoutIdle", |it| format_duration(it.timeout_idle).into()),
    PlanKey::new(CLOUD, "BackfillPatience", |it| format_duration(it.backfill_patience).into()),
    PlanKey::new(CLOUD, "IdleReserve", |it| reserve::dump(&it.idle_reserve)),
    PlanKey::new(CLOUD, "PackContainers", |it| it.pack_containers.into()),
    PlanKey::new(CLOUD, "SpotRetries", |it| {
        it.sizing.spot_retries.map_or_else(|| "never".into(), |it| it.get().into())
    }),
    PlanKey::new(JOBS, "StaleLockTimeout", |it| format_duration(it.stale_lock_timeout).into()),
    PlanKey::new(JOBS, "ReserveExtraRAM", |it| it.sizing.reserve_extra_ram.into()),
    PlanKey::new(JOBS, "MaximumPriceFactor", |it| it.sizing.maximum_price_factor.into()),
];

impl PlanKey {
    const fn new(
        section: &'static [&'static str],
        name: &'static str,
        value: fn(&PlanRules) -> Value,
    ) -> Self {
        Self { section, name, value }
    }

    /// Its name alone.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The key, from the cluster on.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section.join("."), self.name)
    }

    /// Its value, as a file has it.
    pub fn of(&self, rules: &PlanRules) -> Value {
        (self.value)(rules)
    }
}

/// A service's rules with other values in place of some.
///
/// # Errors
/// What is wrong with these values, one line each.
pub fn rules_with(rules: &PlanRules, overrides: &[Override]) -> Result<PlanRules, SettingsError> {
    let report = Report::new(NAME.into());
    if let Some(it) = overrides.iter().find(|it| it.key() == OF_DERIVED_TYPES) {
        let why = "what it was derived from is not known here: give the site's file with --config";
        report.problem(None, &it.key(), why.to_owned());
    }
    let tree = overrides::apply(&merge::merge(None, Some(&tree(rules))), overrides);
    let merged = merge::merge(Some(&tree), Some(template::cluster()));
    let cluster = Section::new(&merged, Some(template::cluster()), "Clusters".to_owned(), &report);
    let mut settings = decode::unread("xxxxx", &Environment::default());
    let containers = cluster.section("Containers");
    CONTAINERS.read(&containers, &mut settings);
    CLOUD_VMS.read(&containers.section("CloudVMs"), &mut settings);
    let catalog = instance_types::read(&cluster, None, 0.0, &Host { vcpus: 0, ram: 0, scratch: 0 });
    report.finish()?;
    Ok(PlanRules::from(&Policy { catalog, ..settings.policy }))
}

/// As the service's file might be, as far as a plan depends on it.
fn tree(rules: &PlanRules) -> Value {
    let mut tree = json!({ "InstanceTypes": rules.catalog, "Containers": { "CloudVMs": {} } });
    for key in &PLAN_KEYS {
        let section = key.section.iter().fold(&mut tree, |section, name| &mut section[*name]);
        section[key.name] = key.of(rules);
    }
    tree
}

#[cfg(test)]
mod tests {
    use dispatch_core::plan::RecordedRound;

    use super::*;

    fn recorded() -> PlanRules {
        let text = include_str!("../../crates/core/src/plan/tests/recorded/first_creates.json");
        let round: RecordedRound = serde_json::from_str(text).unwrap();
        (*round.input.rules).clone()
    }

    /// The storage server's buffers are not among them: they need a restart.
    #[test]
    fn a_services_rules_survive_the_way_through_a_file() {
        let rules = recorded();
        assert_eq!(rules.reloaded(&rules_with(&rules, &[]).unwrap()), rules);
    }

    #[test]
    fn values_stand_in_place_of_the_services_own_and_are_checked() {
        let with = |text: &str| rules_with(&recorded(), &[text.parse().unwrap()]);
        assert_eq!(with("MaxInstances=40").unwrap().max_instances, 40);
        assert_eq!(with("TimeoutIdle=3m").unwrap().timeout_idle.as_secs(), 180);
        let small = with("InstanceTypes.small.Price=7").unwrap();
        assert_eq!(small.catalog.get("small").unwrap().price.per_hour(), 7.0);
        assert_eq!(with("InstanceTypes.more.VCPUs=64").unwrap().catalog.types().len(), 3);
        let error = with("MaxInstances=many").unwrap_err().to_string();
        assert!(error.contains("MaxInstances") && error.contains("many"), "{error}");
        let error = with("PreemptiblePriceFactor=0.5").unwrap_err().to_string();
        assert!(error.contains("give the site's file"), "{error}");
    }
}

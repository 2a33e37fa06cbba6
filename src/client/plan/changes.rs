//! Which keys differ between the configuration of a running service and another one, as far as a plan depends on them.

use std::collections::BTreeSet;

use dispatch_core::instance::InstanceType;
use dispatch_core::policy::PlanRules;
use serde::Serialize;
use serde_json::{Value, json};

use crate::settings::{GPU, INSTANCE_TYPE};

/// A key with another value.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Change {
    pub(super) key: String,
    /// `null` = there is none.
    pub(super) present: Value,
    pub(super) changed: Value,
}

/// A key that a plan depends on: its name, and its value in the rules.
type Rule = (&'static str, fn(&PlanRules) -> Value);

const RULES: [Rule; 9] = [
    ("Containers.CloudVMs.MaxInstances", |it| it.max_instances.into()),
    ("Containers.CloudVMs.MaxConcurrentInstanceCreateOps", |it| it.max_concurrent_creates.into()),
    ("Containers.CloudVMs.MaxRunningContainersPerInstance", |it| it.max_containers_per_instance.into()),
    ("Containers.CloudVMs.SupervisorFraction", |it| it.supervisor_fraction.into()),
    ("Containers.CloudVMs.TimeoutIdle", |it| it.timeout_idle.as_secs_f64().into()),
    ("Containers.CloudVMs.BackfillPatience", |it| it.backfill_patience.as_secs_f64().into()),
    ("Containers.StaleLockTimeout", |it| it.stale_lock_timeout.as_secs_f64().into()),
    ("Containers.ReserveExtraRAM", |it| it.sizing.reserve_extra_ram.into()),
    ("Containers.MaximumPriceFactor", |it| it.sizing.maximum_price_factor.into()),
];

/// Whether a plan may come out otherwise for that key.
pub(super) fn matters(key: &str) -> bool {
    const OF_PRICES: &str = "Containers.PreemptiblePriceFactor";
    key.starts_with("InstanceTypes.") || key == OF_PRICES || RULES.iter().any(|(name, _)| *name == key)
}

/// The keys that matter, for people.
pub(super) fn those_that_matter() -> String {
    let names = RULES.iter().map(|(name, _)| name.rsplit('.').next().unwrap_or(name));
    names.chain(["InstanceTypes"]).collect::<Vec<_>>().join(", ")
}

/// What differs. What a reload leaves as it is, is left out before.
pub(super) fn between(present: &PlanRules, changed: &PlanRules) -> Vec<Change> {
    let of_rule = |(key, value): &Rule| {
        let (present, changed) = (value(present), value(changed));
        (present != changed).then(|| Change { key: (*key).to_owned(), present, changed })
    };
    let mut changes: Vec<_> = RULES.iter().filter_map(of_rule).collect();
    let names: BTreeSet<_> = [present, changed]
        .into_iter()
        .flat_map(|it| it.catalog.types())
        .map(|it| it.name.to_string())
        .collect();
    for name in names {
        let of = |rules: &PlanRules| rules.catalog.get(&name).cloned();
        match (of(present), of(changed)) {
            (Some(a), Some(b)) => changes.extend(between_types(&name, &a, &b)),
            (a, b) => {
                let shown = |it: Option<_>| if it.is_some() { json!("configured") } else { Value::Null };
                let key = format!("InstanceTypes.{name}");
                changes.push(Change { key, present: shown(a), changed: shown(b) });
            }
        }
    }
    changes
}

fn between_types(name: &str, present: &InstanceType, changed: &InstanceType) -> Vec<Change> {
    let own = INSTANCE_TYPE.keys.iter().map(|key| (key.name.to_owned(), key));
    let of_gpu = GPU.keys.iter().map(|key| (format!("GPU.{}", key.name), key));
    let change = |(field, key): (String, &crate::settings::Key<InstanceType>)| {
        let (present, changed) = (key.shown(present), key.shown(changed));
        (present != changed).then(|| Change {
            key: format!("InstanceTypes.{name}.{field}"),
            present,
            changed,
        })
    };
    own.chain(of_gpu).filter_map(change).collect()
}

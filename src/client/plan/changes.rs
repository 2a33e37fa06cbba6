//! Which keys differ between the configuration of a running service and another one, as far as a plan depends on them.

use std::collections::BTreeSet;

use dispatch_core::instance::InstanceType;
use dispatch_core::policy::PlanRules;
use serde::Serialize;
use serde_json::{Value, json};

use crate::settings::{GPU, INSTANCE_TYPE, PLAN_KEYS, PlanKey};

/// A key with another value.
#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Change {
    pub(super) key: String,
    /// `null` = there is none.
    pub(super) present: Value,
    pub(super) changed: Value,
}

/// Whether a plan may come out otherwise for that key.
pub(super) fn matters(key: &str) -> bool {
    const OF_PRICES: &str = "Containers.PreemptiblePriceFactor";
    key == "InstanceTypes"
        || key.starts_with("InstanceTypes.")
        || key == OF_PRICES
        || PLAN_KEYS.iter().any(|it| it.path() == key)
}

/// The keys that matter, for people.
pub(super) fn those_that_matter() -> String {
    PLAN_KEYS.iter().map(PlanKey::name).chain(["InstanceTypes"]).collect::<Vec<_>>().join(", ")
}

/// What differs. What a reload leaves as it is, is left out before.
pub(super) fn between(present: &PlanRules, changed: &PlanRules) -> Vec<Change> {
    let of_key = |it: &PlanKey| {
        let (present, changed) = (it.of(present), it.of(changed));
        (present != changed).then(|| Change { key: it.path(), present, changed })
    };
    let mut changes: Vec<_> = PLAN_KEYS.iter().filter_map(of_key).collect();
    let all = present.catalog.types().iter().chain(changed.catalog.types());
    for name in all.map(|it| it.name.as_str()).collect::<BTreeSet<_>>() {
        match (present.catalog.get(name), changed.catalog.get(name)) {
            (Some(a), Some(b)) => changes.extend(between_types(name, a, b)),
            (a, b) => {
                let shown = |is_there: bool| if is_there { json!("configured") } else { Value::Null };
                let (present, changed) = (shown(a.is_some()), shown(b.is_some()));
                changes.push(Change { key: format!("InstanceTypes.{name}"), present, changed });
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

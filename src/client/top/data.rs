//! What the service has said, read once when it comes: the screen is drawn more often than that.

use std::collections::BTreeMap;

use dispatch_core::time::Timestamp;
use serde::Deserialize as _;
use serde_json::Value;

use super::header::Header;
use super::text::{each, plain, short_needs, tidy, width};
use crate::client::instances::Instance;

/// What stands in place of a type's name where the tags of an instance name none.
const NO_TYPE: &str = "type unknown";

/// The answers of the service to all questions, asked at the same time.
#[derive(Debug, Default)]
pub(super) struct Answers {
    pub(super) containers: Vec<Value>,
    pub(super) instances: Vec<Value>,
    pub(super) creates: Value,
    pub(super) cost: Value,
    pub(super) health: Value,
}

/// The cluster at one moment.
#[derive(Debug, Default)]
pub(super) struct Data {
    /// In the order in which they will be started, with those that run.
    pub(super) containers: Vec<Container>,
    /// The instances by type, types in the order of their names.
    pub(super) fleet: Vec<Group>,
    pub(super) header: Header,
    pub(super) widths: Widths,
    /// The types that operators have drained, with who and why.
    pub(super) drained: Value,
    /// The time by the service's clock: ages are told by that, because ours may be wrong.
    pub(super) at: Option<Timestamp>,
}

/// How wide columns of the line must be: the less they take, the more there is for the reason.
#[derive(Debug, Default)]
pub(super) struct Widths {
    pub(super) position: usize,
    pub(super) needs: usize,
    pub(super) expected: usize,
}

impl Widths {
    /// Of all containers, so that columns stay where they are while one scrolls.
    fn of(containers: &[Container]) -> Self {
        let widest = |of: fn(&Container) -> usize, name: &str| {
            containers.iter().map(of).max().unwrap_or_default().clamp(name.len(), 18)
        };
        Self {
            position: widest(|it| it.position.len(), "POS"),
            needs: widest(|it| width(&it.short_needs), "NEEDS"),
            expected: widest(|it| width(&it.expected), "TYPE"),
        }
    }
}

/// A container of the queue.
#[derive(Debug, Default)]
pub(super) struct Container {
    pub(super) uuid: String,
    pub(super) state: String,
    pub(super) priority: String,
    pub(super) position: String,
    pub(super) created: Option<Timestamp>,
    pub(super) reason: String,
    pub(super) evidence: Value,
    pub(super) needs: Value,
    pub(super) short_needs: String,
    /// The type of the instance on which it is expected to run.
    pub(super) expected: String,
    /// Those that have a process of it.
    pub(super) instances: Vec<String>,
}

/// The instances of a type.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) name: String,
    /// The type as `creates` has it; null if it is not configured.
    pub(super) offer: Value,
    pub(super) instances: Vec<Vm>,
}

/// An instance, or a create in progress.
#[derive(Debug, Default)]
pub(super) struct Vm {
    /// Its id; of a create in progress a name that is no id.
    pub(super) key: String,
    pub(super) is: Instance,
    pub(super) appeared: Option<Timestamp>,
    /// How much of its VCPUs or of its RAM is taken, whichever is more, in percent.
    pub(super) full: Option<u64>,
}

impl Data {
    /// As the service has answered, or what is strange about that.
    pub fn of(answers: &Answers) -> Result<Self, String> {
        let containers: Vec<_> = answers.containers.iter().map(Container::of).collect();
        if containers.iter().any(|it| it.uuid.is_empty()) {
            return Err("an item of its list is no container".to_owned());
        }
        let instances = answers.instances.iter().map(Instance::deserialize);
        let instances = instances.collect::<Result<Vec<_>, _>>();
        let instances = instances.map_err(|error| format!("an instance of its list is none: {error}"))?;
        let header = Header::of(answers, &containers, &instances)?;
        let at = date(&answers.cost["at"]);
        let fleet = fleet(instances, &answers.creates, &containers);
        let widths = Widths::of(&containers);
        Ok(Self { containers, fleet, header, widths, drained: answers.creates["drained"].clone(), at })
    }

    /// The instance of that name.
    pub fn instance(&self, key: &str) -> Option<&Vm> {
        self.fleet.iter().flat_map(|group| &group.instances).find(|vm| vm.key == key)
    }
}

impl Container {
    fn of(entry: &Value) -> Self {
        let (container, explain) = (&entry["container"], &entry["explain"]);
        let evidence = explain["evidence"].clone();
        let expected = match evidence["instance_type"].as_str() {
            Some(name) => name.to_owned(),
            None => plain(&entry["instance_types"][0]["Name"]),
        };
        Self {
            uuid: plain(&container["uuid"]),
            state: plain(&container["state"]),
            priority: plain(&container["priority"]),
            position: plain(&explain["position"]),
            created: date(&container["created_at"]),
            reason: plain(&explain["reason"]),
            evidence,
            needs: entry["instance_resources"].clone(),
            short_needs: short_needs(&entry["instance_resources"]),
            expected,
            instances: each(&explain["instances"]).map(plain).collect(),
        }
    }

    /// Whether it stands in the line: it neither runs nor has ended.
    pub fn waits(&self) -> bool {
        !matches!(self.state.as_str(), "Running" | "Complete" | "Cancelled")
    }
}

impl Vm {
    /// Whether it can be told to do something: a create in progress has no id yet.
    pub fn has_id(&self) -> bool {
        !self.is.instance.is_empty()
    }

    /// Who has put it on hold, and why, as far as that is known.
    pub fn held_by(&self) -> String {
        let Instance { idle_behavior_by: by, idle_behavior_reason: reason, .. } = &self.is;
        let by = if by.is_empty() { String::new() } else { format!(" by {by}") };
        let reason = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
        tidy(&format!("{by}{reason}"))
    }

    /// Its state in words, with what an operator wants of it.
    pub fn state(&self) -> String {
        let is_as_usual = matches!(self.is.idle_behavior.as_str(), "run" | "");
        if self.has_id() && is_as_usual {
            tidy(&self.is.worker_state)
        } else if self.has_id() {
            tidy(&format!("{}, {}", self.is.worker_state, self.is.idle_behavior))
        } else {
            "creating".to_owned()
        }
    }
}

/// By type. Configured types are there even if they have no instance.
fn fleet(instances: Vec<Instance>, creates: &Value, containers: &[Container]) -> Vec<Group> {
    let needs: BTreeMap<_, _> = containers.iter().map(|it| (it.uuid.as_str(), &it.needs)).collect();
    let group = |offer: &Value| {
        let name = plain(&offer["instance_type"]);
        (name.clone(), Group { name, offer: offer.clone(), instances: Vec::new() })
    };
    let mut groups: BTreeMap<String, Group> = each(&creates["items"]).map(group).collect();
    for instance in instances {
        let name = tidy(&instance.arvados_instance_type);
        let name = if name.is_empty() { NO_TYPE.to_owned() } else { name };
        let group = groups.entry(name.clone()).or_insert_with(|| Group { name, ..Group::default() });
        let key = match instance.instance.as_str() {
            "" => format!("{} being created, {}", group.name, group.instances.len() + 1),
            id => tidy(id),
        };
        let full = fullness(&instance, &group.offer, &needs);
        let appeared = instance.appeared_at.parse().ok().and_then(known);
        group.instances.push(Vm { key, is: instance, appeared, full });
    }
    groups.into_values().collect()
}

/// `None` if it is not known how large the type is, or what one of the containers takes.
fn fullness(instance: &Instance, offer: &Value, needs: &BTreeMap<&str, &Value>) -> Option<u64> {
    let there = instance.running_container_uuids.iter().map(|uuid| needs.get(uuid.as_str()));
    let there = there.collect::<Option<Vec<_>>>()?;
    let share = |whole: &str, part: &str| {
        let whole = offer[whole].as_u64().filter(|it| *it > 0)?;
        let taken = there.iter().map(|needs| needs[part].as_u64()).sum::<Option<u64>>()?;
        Some(taken.saturating_mul(100) / whole)
    };
    share("vcpus", "VCPUs").max(share("ram", "RAM"))
}

/// A time that somebody has told; the service writes the year 1 where there is none.
pub(super) fn date(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok().and_then(known)
}

fn known(at: Timestamp) -> Option<Timestamp> {
    (at > Timestamp::UNIX_EPOCH).then_some(at)
}

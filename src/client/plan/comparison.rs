//! A service's last round, under its own configuration and under another one.

use std::collections::BTreeMap;

use dispatch_core::container::ContainerState;
use dispatch_core::id::{ContainerUuid, InstanceId, TypeName};
use dispatch_core::plan::{
    Action, Foresight, Plan, PlanInput, PoolAction, QueueAction, RecordedRound, foresee, plan,
};
use dispatch_core::policy::PlanRules;
use dispatch_core::time::Timestamp;
use serde::Serialize;
use serde_json::Value;

use super::changes::{self, Change};

/// The same facts under two configurations.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    /// When the service has planned the round.
    pub(super) planned_at: Timestamp,
    /// What is another value.
    pub(super) changes: Vec<Change>,
    /// Under the service's own configuration.
    pub(super) present: Side,
    /// Under the other one.
    pub(super) changed: Side,
    /// Where each container that has not ended stands in the end.
    pub(super) containers: Vec<Fate>,
}

/// What comes of the facts under one configuration.
#[derive(Debug, Serialize)]
pub(super) struct Side {
    /// What the next round does.
    pub(super) at_once: Steps,
    /// Where the rounds lead, if all goes well and nothing ends.
    pub(super) in_the_end: End,
}

/// What a round does.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Steps {
    pub(super) create: BTreeMap<TypeName, usize>,
    pub(super) shut_down: Vec<InstanceId>,
    pub(super) lock: usize,
    pub(super) unlock: usize,
    pub(super) start: usize,
    /// Their users see an error.
    pub(super) cancel: Vec<ContainerUuid>,
}

/// How it is in the end.
#[derive(Debug, Serialize)]
pub(super) struct End {
    /// Those that exist, and those that would be created.
    pub(super) instances: usize,
    pub(super) created: BTreeMap<TypeName, usize>,
    pub(super) shut_down: usize,
    pub(super) started: usize,
    /// Containers that wait, by the word for the reason.
    pub(super) waiting: BTreeMap<String, usize>,
    /// Cost an hour now, at the configured prices.
    pub(super) per_hour_now: f64,
    /// Cost an hour then.
    pub(super) per_hour: f64,
    /// Instances of types that are not configured: they cost something, and nobody knows what.
    pub(super) without_price: usize,
}

/// What becomes of a container.
#[derive(Debug, Serialize)]
pub(super) struct Fate {
    pub(super) uuid: ContainerUuid,
    pub(super) present: Outcome,
    pub(super) changed: Outcome,
}

/// Whether it runs in the end, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Outcome {
    /// `runs`, or the word for why it waits.
    pub(super) reason: String,
    /// What its user reads.
    pub(super) text: String,
}

impl Comparison {
    /// Plans the round under both.
    pub fn of(round: &RecordedRound, rules: &PlanRules) -> Self {
        let changed = round.under(rules);
        let changes = changes::between(&round.input.rules, &changed.rules);
        let (present, ours) = side(round, &round.input);
        let (changed, theirs) = side(round, &changed);
        let uuids = round.input.queue.entries.iter();
        let open = uuids.filter(|entry| !entry.record.state.is_final()).map(|entry| entry.record.uuid);
        let fate = |uuid| Fate { uuid, present: outcome(&ours, uuid), changed: outcome(&theirs, uuid) };
        let containers = open.map(fate).collect();
        Self { planned_at: round.now, changes, present, changed, containers }
    }

    /// The containers that fare otherwise. Another position in the line is no other fate.
    pub fn differences(&self) -> impl Iterator<Item = &Fate> {
        self.containers.iter().filter(|it| it.present.reason != it.changed.reason)
    }
}

fn side(round: &RecordedRound, input: &PlanInput) -> (Side, Foresight) {
    let next = plan(input, round.now);
    let foresight = foresee(input, round.ceiling, round.now);
    let (per_hour, without_price) = cost(&foresight.input);
    let in_the_end = End {
        instances: foresight.input.fleet.hosts.len() + foresight.input.fleet.creates.len(),
        created: foresight.created.clone(),
        shut_down: foresight.shut_down,
        started: foresight.started,
        waiting: waiting(&foresight),
        per_hour_now: cost(input).0,
        per_hour,
        without_price,
    };
    (Side { at_once: Steps::of(&next), in_the_end }, foresight)
}

/// What instances cost an hour, and how many have no configured type.
fn cost(input: &PlanInput) -> (f64, usize) {
    let hosts = input.fleet.hosts.iter().map(|host| host.instance_type());
    let all = hosts.chain(input.fleet.creates.iter().map(|create| create.instance_type()));
    all.fold((0.0, 0), |(sum, unknown), it| match it {
        Some(it) => (sum + it.price.per_hour(), unknown),
        None => (sum, unknown + 1),
    })
}

fn waiting(foresight: &Foresight) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for entry in &foresight.input.queue.entries {
        let outcome = outcome(foresight, entry.record.uuid);
        if !entry.record.state.is_final() && outcome.reason != RUNS {
            *counts.entry(outcome.reason).or_default() += 1;
        }
    }
    counts
}

/// The word for what has a process, or a place that it can be started on.
const RUNS: &str = "runs";

fn outcome(foresight: &Foresight, uuid: ContainerUuid) -> Outcome {
    let Some(waiting) = foresight.plan.waiting.get(&uuid) else {
        let entry = foresight.input.queue.get(uuid);
        let runs = entry.is_some_and(|entry| entry.record.state == ContainerState::Running);
        let reason = if runs { RUNS } else { "unknown" };
        return Outcome { reason: reason.to_owned(), text: String::new() };
    };
    let word =
        serde_json::to_value(&waiting.reason).ok().and_then(|it| it["reason"].as_str().map(str::to_owned));
    match word.unwrap_or_default().as_str() {
        "allocated" => Outcome { reason: RUNS.to_owned(), text: String::new() },
        word => Outcome { reason: word.to_owned(), text: waiting.text(&foresight.plan.supply.ends) },
    }
}

impl Steps {
    fn of(plan: &Plan) -> Self {
        let mut steps = Self::default();
        for action in &plan.actions {
            match action {
                Action::Pool(PoolAction::CreateInstance(it, _) | PoolAction::CreateSpare(it)) => {
                    *steps.create.entry(it.name.clone()).or_default() += 1;
                }
                Action::Pool(PoolAction::ShutdownInstance(id, _)) => steps.shut_down.push(id.clone()),
                Action::Pool(PoolAction::StartContainer(..)) => steps.start += 1,
                Action::Queue(QueueAction::LockContainer(_)) => steps.lock += 1,
                Action::Queue(QueueAction::UnlockContainer(..)) => steps.unlock += 1,
                Action::Queue(QueueAction::CancelContainer(uuid, ..)) => steps.cancel.push(*uuid),
                // What follows an end: the same under any configuration.
                Action::Queue(
                    QueueAction::RequeueContainer(..)
                    | QueueAction::ForgetContainer(_)
                    | QueueAction::ReadOrphanRecord(_),
                )
                | Action::Pool(
                    PoolAction::KillContainer(..)
                    | PoolAction::NoteSpotNotice(..)
                    | PoolAction::ForgetProcess(..)
                    | PoolAction::ForgetAttempts(_),
                ) => {}
            }
        }
        steps
    }
}

impl Change {
    /// A value of it, for people.
    pub fn shown(value: &Value) -> String {
        match value {
            Value::Null => "not configured".to_owned(),
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

//! I5: no create while as many exist as allowed, no container beyond the ceiling.

use super::facts::Facts;
use super::{Checked, Invariant, require};
use crate::instance::InstanceType;
use crate::plan::{Action, Plan, PoolAction, QueueAction};
use crate::pool::Gate;
use crate::queue::UnlockReason;

/// Each container that is locked, started, or has an instance created counts against the ceiling; each create against
/// the gates and numbers. Beyond the ceiling no lock is given back for others' sake.
pub(super) fn i5_limits(facts: &Facts<'_>, plan: &Plan) -> Checked {
    let ceiling = facts.input.limits.ceiling as usize;
    let mut placed = facts.living();
    let mut created: Vec<&InstanceType> = Vec::new();
    for action in &plan.actions {
        if places(action) {
            placed += 1;
            require(ceiling == 0 || placed <= ceiling, Invariant::Limits, || {
                format!("{action:?} is number {placed} under a ceiling of {ceiling}")
            })?;
        }
        if let Action::Queue(QueueAction::UnlockContainer(_, reason)) = action {
            let for_others = matches!(reason, UnlockReason::OverQuota | UnlockReason::OverSupervisors);
            require(!for_others || ceiling == 0 || placed < ceiling, Invariant::Limits, || {
                format!("{action:?} with {placed} placed under a ceiling of {ceiling}")
            })?;
        }
        if let Action::Pool(PoolAction::CreateInstance(it, _) | PoolAction::CreateSpare(it)) = action {
            let allowed = may_be_created(facts, it, &created);
            require(allowed, Invariant::Limits, || format!("{action:?} is one too many"))?;
            created.push(it);
        }
    }
    Ok(())
}

fn places(action: &Action) -> bool {
    match action {
        Action::Queue(QueueAction::LockContainer(_))
        | Action::Pool(PoolAction::StartContainer(..) | PoolAction::CreateInstance(..)) => true,
        Action::Queue(
            QueueAction::UnlockContainer(..)
            | QueueAction::RequeueContainer(..)
            | QueueAction::CancelContainer(..)
            | QueueAction::ForgetContainer(_)
            | QueueAction::ReadOrphanRecord(_),
        )
        | Action::Pool(
            PoolAction::ShutdownInstance(..)
            | PoolAction::CreateSpare(_)
            | PoolAction::KillContainer(..)
            | PoolAction::ForgetProcess(..)
            | PoolAction::NoteSpotNotice(..)
            | PoolAction::ForgetAttempts(_),
        ) => false,
    }
}

/// Whether one more of that type may be created after those.
fn may_be_created(facts: &Facts<'_>, it: &InstanceType, before: &[&InstanceType]) -> bool {
    let supply = facts.supply;
    let open = supply.gates.get(&it.name) == Some(&Gate::Open);
    let again = before.iter().any(|other| other.name == it.name);
    let second_trial = again && supply.on_trial.contains(&it.name);
    let numbers = [supply.creates_left, supply.instances_left];
    let within = numbers.into_iter().flatten().all(|left| before.len() < left);
    let near = supply
        .near_quota_left
        .iter()
        .filter(|(scope, _)| scope.covers(it.market()))
        .all(|(scope, left)| before.iter().filter(|other| scope.covers(other.market())).count() < *left);
    open && !second_trial && within && near
}

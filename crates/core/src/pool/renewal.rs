//! Which instances are renewed: those that are too old, or that would be made otherwise today, a few at a time.
//!
//! ```text
//!   a listing, a reload ─► due: in use, drifted or older than MaxInstanceAge, and its like could be created now
//!                           └─ oldest first, as many as DriftBudget leaves ─► Renew ─► it drains, and ends when it is empty
//!   DriftBudget − being renewed (told to, draining for it, or ending for it, until it is gone) = what is left
//! ```
//! A renewal takes capacity away until its VM is gone and another is made. So it happens only as long as the other could be
//! made: an image that does not boot, or a cloud that has no more, must not eat the fleet. A quota is no reason to wait,
//! because the VM that goes makes the room for the one that comes.
//!
//! Never does: ending what runs there; touching what somebody holds, drains, or has told to run.

use std::collections::BTreeSet;

use super::{Gate, PauseReason, PoolEffect, Slot, WorkerPool};
use crate::id::{InstanceId, TypeName};
use crate::instance::IdleBehavior;
use crate::policy::Policy;
use crate::time::{Timestamp, since};
use crate::worker::{Command, FenceView, Renewal, TAGS_LAG};

/// An instance that is to be renewed. The oldest comes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Due {
    born: Timestamp,
    id: InstanceId,
    type_name: TypeName,
    why: Renewal,
}

impl WorkerPool {
    /// Has those renewed whose turn it is. O(workers × types) if renewal is on.
    pub(super) fn renew_some(&mut self, now: Timestamp, effects: &mut Vec<PoolEffect>) {
        let budget = self.policy.drift_budget as usize;
        let left = budget.saturating_sub(self.renewals());
        if left == 0 || !self.knows_renewals(now) || self.outage.is_on() {
            return;
        }
        let due = self.due_for_renewal(now);
        for Due { id, why, .. } in first_of(due, left) {
            effects.push(self.command(&id, Command::Renew(why)));
            let number = self.sequence;
            self.change_slot(&id, |slot| slot.renewal_sent = Some(number));
        }
    }

    /// How many are being renewed, those that have not heard of it yet included.
    fn renewals(&self) -> usize {
        self.workers.values().filter(|slot| slot.is_being_renewed()).count()
    }

    /// Whether everything that an earlier dispatcher has begun to renew is known: the tags of the first listing may be old.
    fn knows_renewals(&self, now: Timestamp) -> bool {
        self.first_listing.is_some_and(|first| since(now, first) > TAGS_LAG)
    }

    fn due_for_renewal(&self, now: Timestamp) -> Vec<Due> {
        let due = |slot: &Slot| {
            let why = slot.due(&self.policy, now).filter(|_| slot.may_be_renewed(now))?;
            let it = slot.view.instance_type.as_ref()?;
            // The last container that was meant for it may be on its way.
            let is_meant_for = slot.host.processes.is_empty() && self.reserved.contains(&slot.view.id);
            let (born, id) = (slot.instance.born(slot.view.appeared), slot.view.id.clone());
            (!is_meant_for).then(|| Due { born, id, type_name: it.name.clone(), why })
        };
        let mut all: Vec<_> = self.workers.values().filter_map(due).collect();
        let mut types: BTreeSet<_> = all.iter().map(|due| due.type_name.clone()).collect();
        types.retain(|name| self.could_be_made(name, now));
        all.retain(|due| types.contains(&due.type_name));
        all
    }

    /// Whether another instance of that type could be created, at the latest when one of them is gone. O(workers).
    fn could_be_made(&self, name: &TypeName, now: Timestamp) -> bool {
        let Some(it) = self.policy.catalog.get(name.as_str()) else { return false };
        !self.holds.is_on_trial(it) && lets_replacements_through(self.gate(it, now))
    }
}

/// Whether creates go on behind that gate, or will when an instance is gone.
fn lets_replacements_through(gate: Gate) -> bool {
    match gate {
        Gate::Open | Gate::AtQuota(_) => true,
        Gate::AtCapacity(_) => false,
        Gate::Paused(PauseReason::CreatesInFlight | PauseReason::NearQuota) => true,
        Gate::Paused(
            PauseReason::RateLimit
            | PauseReason::RunnerUnreadable
            | PauseReason::OwnSide
            | PauseReason::BootsFail
            | PauseReason::CreateFailed
            | PauseReason::Operator
            | PauseReason::TypeDrained,
        ) => false,
    }
}

/// The oldest of them, as many as there is room for.
fn first_of(mut due: Vec<Due>, most: usize) -> Vec<Due> {
    due.sort_unstable();
    due.truncate(most);
    due
}

impl Slot {
    /// Whether it counts in `DriftBudget`, which it does until it is gone.
    pub(super) fn is_being_renewed(&self) -> bool {
        self.view.renewal.is_some() || self.renewal_sent.is_some()
    }

    /// Why it should be renewed, if it should.
    fn due(&self, policy: &Policy, now: Timestamp) -> Option<Renewal> {
        if self.view.drifted {
            return Some(Renewal::Drift);
        }
        let (most, born) = (policy.max_instance_age, self.instance.born(self.view.appeared));
        (!most.is_zero() && since(now, born) >= most).then_some(Renewal::Age)
    }

    /// Whether it is in service and in use like any other, and what its tags say of an operator's wish is known. A wish is
    /// never overruled, be it to hold, to drain or to run.
    fn may_be_renewed(&self, now: Timestamp) -> bool {
        let view = &self.view;
        let wishes_are_known = view.ours || since(now, view.appeared) > TAGS_LAG;
        view.state.is_ready()
            && view.behavior == IdleBehavior::Run
            && view.note.is_none()
            && view.fence != FenceView::Anothers
            && self.missing.is_none()
            && self.spot_notice.is_none()
            && !self.is_being_renewed()
            && wishes_are_known
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fixtures::{at, id};

    fn due() -> impl Strategy<Value = Due> {
        let why = prop_oneof![Just(Renewal::Drift), Just(Renewal::Age)];
        (0_i64..5, 0_u32..50, why).prop_map(|(born, number, why)| Due {
            born: at(born),
            id: id(&format!("i-{number}")),
            type_name: "small".parse().unwrap(),
            why,
        })
    }

    proptest! {
        #[test]
        fn the_oldest_are_chosen_in_whatever_order_they_come_and_no_more_than_there_is_room_for(
            all in proptest::collection::vec(due(), 0..30),
            most in 0_usize..10,
        ) {
            let chosen = first_of(all.clone(), most);
            prop_assert_eq!(chosen.len(), all.len().min(most));
            let mut others = all.clone();
            others.reverse();
            prop_assert_eq!(&first_of(others, most), &chosen);
            let mut rest = all;
            for it in &chosen {
                let place = rest.iter().position(|other| other == it);
                rest.remove(place.expect("what is chosen was due"));
            }
            prop_assert!(chosen.iter().all(|it| rest.iter().all(|other| it <= other)));
        }
    }

    #[test]
    fn only_what_an_instance_that_goes_would_end_lets_its_replacement_through() {
        for reason in PauseReason::ALL {
            let expected = matches!(reason, PauseReason::CreatesInFlight | PauseReason::NearQuota);
            assert_eq!(lets_replacements_through(Gate::Paused(reason)), expected, "{reason:?}");
        }
    }
}

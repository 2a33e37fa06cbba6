//! Hold, drain, and what is saved as tags.

use super::effect::{BootOutcome, WorkerEffect, WorkerFact};
use super::fruitless::FruitlessStarts;
use super::reason::DrainReason;
use super::renewal::Renewal;
use super::{Machine, State};
use crate::instance::{IdleBehavior, Instance, Tags};
use crate::note::Note;
use crate::time::{Timestamp, after, since};
use std::time::Duration;

/// For this long after an instance appeared, a listing may show tags that its first one did not show.
pub const TAGS_LAG: Duration = Duration::from_secs(120);

/// What stands in the tags, and what is being saved there.
#[derive(Debug, Clone)]
pub(super) struct SavedTags {
    /// The tags that are being saved.
    pub(super) saving: Option<Tags>,
    /// Saving them failed: tried again then.
    pub(super) retry_at: Option<Timestamp>,
    /// This process has decided the behaviour, or heard the operator say it: no tag says otherwise.
    behavior_is_ours: bool,
    /// Who has asked for the behaviour, and why.
    pub(super) note: Option<Note>,
    /// The note could not be saved: the behaviour is more important, and is saved without it.
    without_note: bool,
    /// It is to end for a reason of its own, whatever an operator wanted before.
    drained_by_us: bool,
    /// That was because a reload has left its type out, and nobody has wanted anything else since.
    drained_for_its_type: bool,
    /// It is drained because it is renewed, and nobody has wanted anything else since.
    pub(super) renewal: Option<Renewal>,
}

impl SavedTags {
    /// Those of an instance that has just appeared; `ours`: created by this process.
    pub(super) fn new(ours: bool, note: Option<Note>, behavior: IdleBehavior) -> Self {
        Self {
            saving: None,
            retry_at: None,
            behavior_is_ours: ours,
            renewal: renewal_in(note.as_ref(), behavior),
            note,
            without_note: false,
            drained_by_us: false,
            drained_for_its_type: false,
        }
    }
}

/// The renewal for which an instance drains, by its tags.
fn renewal_in(note: Option<&Note>, behavior: IdleBehavior) -> Option<Renewal> {
    note.filter(|_| behavior == IdleBehavior::Drain).and_then(Renewal::of_note)
}

/// How much a behaviour protects what runs on the instance: more is greater.
fn protection_level(behavior: IdleBehavior) -> u8 {
    match behavior {
        IdleBehavior::Run => 0,
        IdleBehavior::Drain => 1,
        IdleBehavior::Hold => 2,
    }
}

impl Machine {
    /// Tries to save tags again when that is due.
    pub(super) fn retry_tags_if_due(&mut self, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        if self.state != State::Shutdown && self.tags.retry_at.is_some_and(|at| at <= now) {
            self.tags.retry_at = None;
            self.save_tags_if_needed(effects);
        }
    }

    /// Sets the worker to drain, unless the operator holds it.
    pub(super) fn drain(&mut self, reason: DrainReason, effects: &mut Vec<WorkerEffect>) {
        (self.tags.drained_by_us, self.tags.drained_for_its_type) = (true, false);
        if self.behavior != IdleBehavior::Run {
            return;
        }
        self.behavior = IdleBehavior::Drain;
        self.tags.behavior_is_ours = true;
        self.tags.note = None;
        effects.push(WorkerEffect::Tell(WorkerFact::Draining(reason)));
        if reason == DrainReason::Broken && !self.state.is_ready() {
            self.tell_boot_outcome(BootOutcome::Failure, effects);
        }
        self.save_tags_if_needed(effects);
    }

    /// The cloud will take it away. What runs there may end before that: then nothing is paid for any longer.
    pub(super) fn drain_for_notice(&mut self, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        if self.behavior == IdleBehavior::Run {
            self.drain(DrainReason::SpotNotice, effects);
            self.shut_down_if_due(now, effects);
        }
    }

    /// A reload has left its type out of the configuration.
    pub(super) fn drain_for_its_type(&mut self, effects: &mut Vec<WorkerEffect>) {
        let was_in_use = self.behavior == IdleBehavior::Run;
        self.drain(DrainReason::TypeNotConfigured, effects);
        self.tags.drained_for_its_type = was_in_use;
    }

    /// Its type is configured again: nothing has been wrong with the instance.
    pub(super) fn use_again(&mut self, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        if self.behavior == IdleBehavior::Drain && self.tags.drained_for_its_type {
            self.set_behavior(IdleBehavior::Run, None, now, effects);
        }
    }

    pub(super) fn set_behavior(
        &mut self,
        behavior: IdleBehavior,
        note: Option<Note>,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        self.tags.behavior_is_ours = true;
        (self.tags.drained_by_us, self.tags.drained_for_its_type) = (false, false);
        (self.tags.note, self.tags.renewal) = (note, None);
        self.tags.without_note = false;
        if self.behavior != behavior {
            self.behavior = behavior;
            self.processes.fruitless_starts = FruitlessStarts::default();
            effects.push(WorkerEffect::Tell(WorkerFact::BehaviorSet(behavior)));
        }
        self.save_tags_if_needed(effects);
        self.shut_down_if_due(now, effects);
    }

    /// It drains, and says why.
    pub(super) fn drain_for_renewal(&mut self, why: Renewal, now: Timestamp) {
        self.behavior = IdleBehavior::Drain;
        self.tags.behavior_is_ours = true;
        (self.tags.drained_by_us, self.tags.drained_for_its_type) = (true, false);
        (self.tags.note, self.tags.renewal) = (Some(why.note(now)), Some(why));
        self.tags.without_note = false;
    }

    /// Its type is drained. What somebody holds, or drains himself, is left as it is; so that a hold is not lost which the
    /// tags do not show yet, Pool says this of an instance that was found only when they do.
    pub(super) fn drain_with_type(&mut self, note: Note, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        if self.behavior == IdleBehavior::Run {
            self.set_behavior(IdleBehavior::Drain, Some(note), now, effects);
        }
    }

    /// Its type is used again.
    pub(super) fn run_with_type(&mut self, note: Note, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        let is_ours = self.tags.drained_by_us || self.tags.renewal.is_some();
        if self.behavior == IdleBehavior::Drain && !is_ours {
            self.set_behavior(IdleBehavior::Run, Some(note), now, effects);
        }
    }

    pub(super) fn update(&mut self, instance: Instance, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        let moved = instance.address != self.instance.address;
        self.instance = instance;
        self.look_for_drift();
        self.take_late_wish(now, effects);
        if moved {
            effects.push(WorkerEffect::Retarget(self.instance.clone()));
            self.probe_soon(now);
        }
        self.save_tags_if_needed(effects);
    }

    /// The tags of the first listing may have been stale: what the operator told an earlier dispatcher just before
    /// its end shows in a later one. Taken only if it protects more than the present one: a hold must not be lost.
    fn take_late_wish(&mut self, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        if self.tags.behavior_is_ours || since(now, self.appeared) > TAGS_LAG {
            return;
        }
        let tag = self.instance.tags.get(&self.policy.tag_keys.idle_behavior);
        let shown = tag.and_then(IdleBehavior::from_name).unwrap_or_default();
        if protection_level(shown) > protection_level(self.behavior) {
            self.behavior = shown;
            self.tags.note = self.policy.tag_keys.note_of(&self.instance.tags);
            self.tags.renewal = renewal_in(self.tags.note.as_ref(), shown);
            effects.push(WorkerEffect::Tell(WorkerFact::BehaviorSet(shown)));
        }
    }

    /// Saves type and behaviour if the cloud shows others; one call at a time.
    pub(super) fn save_tags_if_needed(&mut self, effects: &mut Vec<WorkerEffect>) {
        let mut wanted = self.policy.tag_keys.for_saving(self.type_name.as_ref(), self.behavior);
        if !self.tags.without_note {
            self.policy.tag_keys.add_note(self.tags.note.as_ref(), &self.instance.tags, &mut wanted);
        }
        if self.tags.saving.is_none() && !self.instance.tags.matches(&wanted) {
            self.tags.retry_at = None;
            self.tags.saving = Some(wanted.clone());
            effects.push(WorkerEffect::SaveTags(wanted));
        }
    }

    /// Nothing more is saved meanwhile.
    pub(super) fn tags_saved_in_shutdown(&mut self, saved: bool) {
        if let Some(tags) = self.tags.saving.take().filter(|_| saved) {
            self.instance.tags.merge(&tags);
        }
    }

    /// If it failed it is tried again in a while; if the wish has changed meanwhile, at once.
    pub(super) fn tags_saved(&mut self, saved: bool, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        let Some(tags) = self.tags.saving.take() else { return };
        if saved {
            self.instance.tags.merge(&tags);
            self.save_tags_if_needed(effects);
        } else {
            self.tags.without_note = tags.get(&self.policy.tag_keys.idle_note).is_some();
            self.tags.retry_at = Some(after(now, self.policy.sync_interval));
        }
    }
}

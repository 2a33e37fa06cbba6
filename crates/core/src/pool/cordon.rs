//! What operators have forbidden to be created: for a while all types, those of a market, or one; and types that are
//! drained until further notice.
//!
//! ```text
//!   creates pause ─► Pause (scope, end) ─┬─► cause ─► the type's gate is paused; what exists goes on and fills up
//!   type drain ────► Drained ────────────┘            └─ type drained: its instances are drained, too
//! ```
//! Nothing is cancelled for it: containers use other types, or wait.
//!
//! Never does: ending what runs something; forbidding without an end, but for a type, whose containers have alternatives.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::holds::PauseReason;
use super::{PoolEffect, PoolFact, PoolRefusal, Slot, WorkerPool};
use crate::id::{InstanceId, TypeName};
use crate::instance::{IdleBehavior, InstanceType, Market};
use crate::note::{Note, in_tag_form};
use crate::time::{Timestamp, after, shift, since};
use crate::worker::{Command, TAGS_LAG, View};

/// A pause lasts no longer: one that is forgotten would keep work waiting without end.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(7 * 24 * 3600);

/// A tag has room for that much of it, whoever has drained the type.
const LONGEST_PREFIX: usize = 150;

/// Of what nothing is created.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CordonScope {
    /// Every type.
    All,
    /// The types of a market.
    Market(Market),
    /// One type.
    Type(TypeName),
}

impl CordonScope {
    /// Whether it is about that type.
    pub fn covers(&self, it: &InstanceType) -> bool {
        match self {
            Self::All => true,
            Self::Market(market) => *market == it.market(),
            Self::Type(name) => *name == it.name,
        }
    }
}

impl std::fmt::Display for CordonScope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::Market(market) => market.fmt(f),
            Self::Type(name) => f.write_str(name.as_str()),
        }
    }
}

/// A pause of creates.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Of what nothing is created.
    pub scope: CordonScope,
    /// When it ends by itself.
    pub until: Timestamp,
    /// Who has asked for it, when and why.
    pub note: Note,
}

/// All that operators have forbidden to be created. Few, as people make them by hand.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cordons {
    /// The pauses, one for each scope. Some may have ended.
    pub pauses: Vec<Pause>,
    /// The drained types.
    pub drained: BTreeMap<TypeName, Note>,
}

impl Cordons {
    /// Adds a pause; the one of the same scope that there was is replaced.
    pub fn pause(&mut self, pause: Pause) {
        self.pauses.retain(|it| it.scope != pause.scope);
        self.pauses.push(pause);
        self.pauses.sort_by(|one, other| one.scope.cmp(&other.scope));
    }

    /// Ends the pause of that scope; `None` = there was none.
    pub fn resume(&mut self, scope: &CordonScope) -> Option<Pause> {
        let position = self.pauses.iter().position(|it| it.scope == *scope)?;
        Some(self.pauses.remove(position))
    }

    /// Why nothing of that type is created, and until when, if that is known. The longest of several pauses counts.
    pub fn cause(&self, it: &InstanceType, now: Timestamp) -> Option<(PauseReason, Option<Timestamp>)> {
        if self.drained.contains_key(&it.name) {
            return Some((PauseReason::TypeDrained, None));
        }
        let until = self.applying(it, now).map(|pause| pause.until).max()?;
        Some((PauseReason::Operator, Some(until)))
    }

    /// The pauses of that type which have not ended.
    pub fn applying<'a>(
        &'a self,
        it: &'a InstanceType,
        now: Timestamp,
    ) -> impl Iterator<Item = &'a Pause> + 'a {
        self.pauses.iter().filter(move |pause| now < pause.until && pause.scope.covers(it))
    }

    /// Without the pauses that have ended meanwhile. A pause lasts no longer than one that begins now may, whatever the
    /// clock was when it was kept.
    fn within_bounds(mut self, now: Timestamp) -> Self {
        self.expire(now);
        for pause in &mut self.pauses {
            pause.until = pause.until.min(after(now, LONGEST_PAUSE));
        }
        self
    }

    /// Takes out the pauses that have ended.
    pub(super) fn expire(&mut self, now: Timestamp) -> Vec<Pause> {
        let (ended, rest) = std::mem::take(&mut self.pauses).into_iter().partition(|it| it.until <= now);
        self.pauses = rest;
        ended
    }

    /// When the next pause ends.
    pub(super) fn next_end(&self) -> Option<Timestamp> {
        self.pauses.iter().map(|pause| pause.until).min()
    }

    /// Moves every moment by this duration.
    pub(crate) fn shift(&mut self, by: SignedDuration) {
        for pause in &mut self.pauses {
            shift(&mut pause.until, by);
            shift(&mut pause.note.at, by);
        }
        self.drained.values_mut().for_each(|note| shift(&mut note.at, by));
    }
}

impl WorkerPool {
    /// What operators have forbidden to be created.
    pub fn cordons(&self) -> &Arc<Cordons> {
        &self.cordons
    }

    /// Takes what was kept from before a restart. Instances that appear later follow it.
    pub fn restore_cordons(&mut self, cordons: Cordons, now: Timestamp) {
        self.cordons = Arc::new(cordons.within_bounds(now));
    }

    /// Creates nothing of that scope until then.
    ///
    /// # Errors
    /// If it is a type that is not configured.
    pub fn pause_creates(&mut self, pause: Pause) -> Result<Vec<PoolEffect>, PoolRefusal> {
        if let CordonScope::Type(name) = &pause.scope {
            self.policy.catalog.get(name.as_str()).ok_or(PoolRefusal::NoSuchType)?;
        }
        Arc::make_mut(&mut self.cordons).pause(pause);
        Ok(vec![PoolEffect::FleetChanged])
    }

    /// Ends the pause of that scope.
    ///
    /// # Errors
    /// If there is none.
    pub fn resume_creates(&mut self, scope: &CordonScope) -> Result<Vec<PoolEffect>, PoolRefusal> {
        Arc::make_mut(&mut self.cordons).resume(scope).ok_or(PoolRefusal::NoSuchPause)?;
        Ok(vec![PoolEffect::FleetChanged])
    }

    /// Creates nothing of that type any more, and drains its instances, but not those on hold.
    ///
    /// # Errors
    /// If it is not configured.
    pub fn drain_type(&mut self, name: &TypeName, note: Note) -> Result<Vec<PoolEffect>, PoolRefusal> {
        self.policy.catalog.get(name.as_str()).ok_or(PoolRefusal::NoSuchType)?;
        let reason = drain_note(name, &note);
        Arc::make_mut(&mut self.cordons).drained.insert(name.clone(), note);
        let command = Command::DrainWithType(reason);
        let mut effects = self.tell_all_of(name, |_| true, &command);
        effects.push(PoolEffect::FleetChanged);
        Ok(effects)
    }

    /// Uses that type again, and its instances that were drained with it. One that was empty has ended already.
    ///
    /// # Errors
    /// If it is not configured.
    pub fn run_type(&mut self, name: &TypeName, note: &Note) -> Result<Vec<PoolEffect>, PoolRefusal> {
        let was_drained = Arc::make_mut(&mut self.cordons).drained.remove(name).is_some();
        let is_configured = self.policy.catalog.get(name.as_str()).is_some();
        if !is_configured && !was_drained {
            return Err(PoolRefusal::NoSuchType);
        }
        let drained: String = in_tag_form(&drained_with(name)).chars().take(LONGEST_PREFIX).collect();
        let is_drained_with_it = |view: &View| {
            let note = view.note.as_ref().filter(|_| view.behavior == IdleBehavior::Drain);
            // The note may have been read from a tag.
            note.is_some_and(|note| in_tag_form(&note.reason).starts_with(&drained))
        };
        let mut effects = self.tell_all_of(name, is_drained_with_it, &Command::RunWithType(note.clone()));
        effects.push(PoolEffect::FleetChanged);
        Ok(effects)
    }

    /// An instance has appeared: one of a drained type is drained. One that was found may be on hold although its tags do
    /// not show that yet: a later listing decides.
    pub(super) fn drain_if_cordoned(&mut self, id: &InstanceId, effects: &mut Vec<PoolEffect>) {
        let ours = self.workers.get(id).filter(|slot| slot.view.ours);
        let note = ours.and_then(|slot| self.drained_with(slot));
        effects.extend(note.map(|note| self.command(id, Command::DrainWithType(note))));
    }

    /// A listing has ended: instances of drained types that were found by then are drained, too. O(workers) as long as any
    /// type is drained.
    pub(super) fn drain_those_found(&mut self, now: Timestamp, effects: &mut Vec<PoolEffect>) {
        if self.cordons.drained.is_empty() {
            return;
        }
        let is_known = |slot: &&Slot| since(now, slot.view.appeared) > TAGS_LAG;
        let found = self.workers.values().filter(is_known);
        let found = found.filter_map(|slot| Some((slot.view.id.clone(), self.drained_with(slot)?)));
        for (id, note) in found.collect::<Vec<_>>() {
            effects.push(self.command(&id, Command::DrainWithType(note)));
        }
    }

    /// What the tag of an instance says when it is drained with its type; `None` if that is not drained, or somebody wants
    /// otherwise of this instance.
    fn drained_with(&self, slot: &Slot) -> Option<Note> {
        if slot.view.behavior != IdleBehavior::Run || slot.view.note.is_some() {
            return None;
        }
        let (name, note) = self.cordons.drained.get_key_value(slot.view.type_name.as_ref()?)?;
        Some(drain_note(name, note))
    }

    pub(super) fn expire_cordons(&mut self, now: Timestamp, effects: &mut Vec<PoolEffect>) {
        if self.cordons.next_end().is_some_and(|end| end <= now) {
            let ended = Arc::make_mut(&mut self.cordons).expire(now);
            effects.extend(ended.into_iter().map(|pause| PoolEffect::Tell(PoolFact::CreatesResumed(pause))));
            effects.push(PoolEffect::FleetChanged);
        }
    }

    /// Tells those instances of a type. O(workers).
    fn tell_all_of(
        &mut self,
        name: &TypeName,
        is_meant: impl Fn(&View) -> bool,
        command: &Command,
    ) -> Vec<PoolEffect> {
        let of_type = |slot: &Slot| slot.view.type_name.as_ref() == Some(name) && is_meant(&slot.view);
        let ids: Vec<_> =
            self.workers.iter().filter(|(_, slot)| of_type(slot)).map(|(id, _)| id.clone()).collect();
        ids.iter().map(|id| self.command(id, command.clone())).collect()
    }
}

/// What an instance's tag says when it is drained with its type.
fn drain_note(name: &TypeName, note: &Note) -> Note {
    let reason = if note.reason.is_empty() { String::new() } else { format!(": {}", note.reason) };
    Note { reason: format!("{}{reason}", drained_with(name)), ..note.clone() }
}

/// How the reason begins of whatever is drained with its type.
fn drained_with(name: &TypeName) -> String {
    format!("type {name} is drained")
}

//! Renewal: an instance that is too old, or that would be made otherwise today, gives way to a new one.
//!
//! ```text
//!   Pool chooses it ─► Renew ─┬─ in use, and nobody has said otherwise ─► drains, with a note of why ─► empty ─► shut down
//!                             └─ on hold, drained, told to run, or not drifted any more ─► nothing
//!   the operator says run, hold or drain ─► it is the operator's, and no renewal any more
//! ```
//! The note stands in a tag, so the next dispatcher knows that this drain is a renewal and counts it in `DriftBudget`.
//!
//! Never does: ending what runs there. A drained instance is shut down when its list shows that it is empty, as any other.

use serde::Serialize;

use super::Machine;
use super::effect::{WorkerEffect, WorkerFact};
use crate::instance::IdleBehavior;
use crate::note::Note;
use crate::time::{Timestamp, since};

/// Why an instance is renewed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Renewal {
    /// It would be made otherwise today.
    Drift,
    /// It is older than `MaxInstanceAge`.
    Age,
}

impl Renewal {
    /// Each of them, for metrics.
    pub const ALL: [Self; 2] = [Self::Drift, Self::Age];

    /// For lists and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drift => "drift",
            Self::Age => "age",
        }
    }

    /// For the log and the tag, of characters that every cloud takes.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::Drift => "renewed: it would be made otherwise today",
            Self::Age => "renewed: it is older than MaxInstanceAge",
        }
    }

    /// The note of an instance that is drained for it.
    pub fn note(self, now: Timestamp) -> Note {
        Note::new(now, "", self.in_words())
    }

    /// What a note says that we have written; `None` if it is somebody's.
    pub fn of_note(note: &Note) -> Option<Self> {
        Self::ALL.into_iter().find(|it| note.by.is_empty() && note.reason == it.in_words())
    }
}

impl Machine {
    /// Pool wants it renewed. What somebody has said of it meanwhile counts for more, and so does a configuration that it
    /// has learnt of before this command.
    pub(super) fn renew(&mut self, why: Renewal, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        let is_mended = why == Renewal::Drift && !self.drifted;
        if self.behavior != IdleBehavior::Run || self.tags.note.is_some() || is_mended {
            return;
        }
        self.drain_for_renewal(why, now);
        effects.push(WorkerEffect::Tell(WorkerFact::Renewing { why, age: since(now, self.born()) }));
        self.save_tags_if_needed(effects);
        self.shut_down_if_due(now, effects);
    }

    /// Since when it exists.
    pub(super) fn born(&self) -> Timestamp {
        self.instance.born(self.appeared)
    }

    /// Compares what it was made from with what it would be made from today.
    pub(super) fn look_for_drift(&mut self) {
        let policy = &self.policy;
        let tag = self.instance.tags.get(&policy.tag_keys.blueprint);
        let it = self.type_name.as_ref().and_then(|name| policy.catalog.get(name.as_str()));
        self.drifted = it.is_some_and(|it| policy.blueprint.differs_from(tag, it));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::at;

    #[test]
    fn a_note_in_a_tag_says_which_renewal_it_was() {
        for why in Renewal::ALL {
            let read = Note::from_tag(&why.note(at(0)).to_tag());
            assert_eq!(read.as_ref().and_then(Renewal::of_note), Some(why));
        }
        for (by, reason) in [("alice", Renewal::Age.in_words()), ("", "renewed"), ("", "")] {
            assert_eq!(Renewal::of_note(&Note::new(at(0), by, reason)), None);
        }
    }
}

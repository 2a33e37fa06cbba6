//! Whose fault is silence? If at least three workers, and more than half of those that ever answered, are
//! silent at the same time, it is ours (network, key, DNS): none is destroyed until one answers again, or
//! for three times `TimeoutProbe`.

use std::time::Duration;

use super::{Effect, Fact};
use crate::id::InstanceId;
use crate::instance::IdleBehavior;
use crate::time::{Timestamp, since};
use crate::worker::{Silence, State, View};

const AT_LEAST: usize = 3;

/// What is known about an outage of ours.
#[derive(Debug, Default)]
pub(super) struct Outage {
    began: Option<Timestamp>,
    /// Silence counts only if a probe that began after this moment failed.
    forgiven: Option<Timestamp>,
}

impl Outage {
    pub(super) fn is_on(&self) -> bool {
        self.began.is_some()
    }

    /// A worker answered: if there was an outage it is over, and every other worker gets another chance.
    pub(super) fn answered(&mut self, now: Timestamp, effects: &mut Vec<Effect>) {
        if self.began.take().is_some() {
            self.forgiven = Some(now);
            effects.push(Effect::Tell(Fact::OutageEnded));
        }
    }

    /// The workers that are to be shut down for their silence. O(workers) if any is silent.
    pub(super) fn judge<'a>(
        &mut self,
        views: impl Iterator<Item = &'a View> + Clone,
        timeout_probe: Duration,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> Vec<(InstanceId, Silence)> {
        let silent: Vec<_> = views
            .clone()
            .filter(|view| view.state != State::Shutdown && view.behavior != IdleBehavior::Hold)
            .filter_map(|view| view.silence.map(|(silence, probe)| (view, silence, probe)))
            .filter(|(_, _, probe)| self.forgiven.is_none_or(|forgiven| *probe > forgiven))
            .collect();
        if silent.is_empty() {
            return Vec::new();
        }
        if self.is_ours(&silent, views, timeout_probe, now, effects) {
            return Vec::new();
        }
        silent.into_iter().map(|(view, silence, _)| (view.id.clone(), silence)).collect()
    }

    fn is_ours<'a>(
        &mut self,
        silent: &[(&View, Silence, Timestamp)],
        views: impl Iterator<Item = &'a View>,
        timeout_probe: Duration,
        now: Timestamp,
        effects: &mut Vec<Effect>,
    ) -> bool {
        // A worker found after a restart may be as busy as one that has answered us: it counts too.
        let may_be_busy = |view: &View| view.last_success.is_some() || view.state == State::Unknown;
        let concerned = silent.iter().filter(|(view, ..)| may_be_busy(view)).count();
        let of = views.filter(|view| view.state != State::Shutdown && may_be_busy(view)).count();
        if concerned < AT_LEAST || 2 * concerned <= of {
            self.began = None;
            return false;
        }
        let began = *self.began.get_or_insert_with(|| {
            effects.push(Effect::Tell(Fact::OutageBegan { silent: concerned, of }));
            now
        });
        let lasts_too_long = since(now, began) >= 3 * timeout_probe;
        if lasts_too_long {
            effects.push(Effect::Tell(Fact::OutageEnded));
            self.began = None;
        }
        !lasts_too_long
    }
}

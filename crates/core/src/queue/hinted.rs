//! What the answer to a hinted question means to the queue.
//!
//! It asks for a few containers, so only what it shows is evidence. What it does not show may be behind a replica that
//! lags, and is neither dropped nor doubted. Dates decide between it and the pages of polls ([`ContainerQueue::merge`]).

use std::collections::BTreeSet;

use super::hints::{Believed, Hinted};
use super::horizon::{Known, Look, PlacedOn};
use super::poll::{Asked, Sighting};
use super::{ContainerQueue, Entry, QueueFact};
use crate::container::{ContainerState, Record};
use crate::id::ContainerUuid;
use crate::policy::Policy;
use crate::ports::Page;
use crate::time::Timestamp;

/// What an answer has shown.
#[derive(Debug, Default)]
pub(super) struct HintedNews {
    pub(super) facts: Vec<QueueFact>,
    /// The containers of which it shows something new.
    pub(super) of: BTreeSet<ContainerUuid>,
    /// Whether only a poll can tell what it shows.
    pub(super) needs_poll: bool,
}

impl ContainerQueue {
    /// A question is asked now.
    pub(super) fn asks(&self, now: Timestamp) -> Asked {
        Asked { at: now, stamp: self.stamp }
    }

    /// What we have of a container that is hinted at.
    pub(super) fn believed_of(&self, uuid: ContainerUuid) -> Option<Believed> {
        let entry = self.entry(uuid)?;
        Some(Believed { state: entry.record.state, is_changing: entry.operation.is_some() })
    }

    /// Whether everything about all containers is as a later poll would find it, as far as we know: nothing waits for a
    /// poll to tell. O(containers).
    pub(super) fn waits_for_no_poll(&self) -> bool {
        let is_clear = |entry: &Entry| {
            !entry.uncertain
                && entry.absence.is_none()
                && entry.unreadable.is_none()
                && entry.setback.is_none()
        };
        self.horizon.saw_all()
            && !self.has_passed_over
            && self.unreadable.is_empty()
            && self.entries.values().all(|it| is_clear(it))
    }

    /// Takes in what is shown of the containers that were asked for. O(items × log containers).
    pub(super) fn take_hinted(
        &mut self,
        hinted: &Hinted,
        page: Page<Record>,
        asked: Asked,
        policy: &Policy,
        now: Timestamp,
    ) -> HintedNews {
        let mut news = HintedNews::default();
        let mut look = self.horizon.look(now);
        for record in page.items {
            let is_taken = match hinted {
                Hinted::Known(uuids) => {
                    uuids.contains(&record.uuid) && self.entries.contains_key(&record.uuid)
                }
                Hinted::Available { .. } => self.is_wanted(&record, asked, &mut look, policy, now),
            };
            let uuid = record.uuid;
            // Hints come just when we lock and start: a replica that lags a little would have its process killed.
            if is_taken && self.is_step_back(&record) {
                news.needs_poll = true;
                continue;
            }
            if is_taken && self.take_record(Sighting { record, asked }, now, &mut news.facts) {
                news.of.insert(uuid);
            }
        }
        news
    }

    /// Whether a record shows as waiting what we believe to be locked or running.
    fn is_step_back(&self, record: &Record) -> bool {
        let have = self.entry(record.uuid).map(|entry| entry.record.state);
        let is_held = matches!(have, Some(ContainerState::Locked | ContainerState::Running));
        is_held && record.state == ContainerState::Queued
    }

    /// Whether a record is one that was asked for, and is near enough, and no newer poll has told of what is available.
    fn is_wanted(
        &self,
        record: &Record,
        asked: Asked,
        look: &mut Look,
        policy: &Policy,
        now: Timestamp,
    ) -> bool {
        let entry = self.entry(record.uuid);
        let is_left_alone = self.fallen.is_left_alone(record.uuid, now);
        let is_newest = entry.is_some() || self.polled_at.is_none_or(|polled| asked.at > polled);
        let is_available = record.state == ContainerState::Queued && record.priority > 0;
        let moves = self.may_move_some(policy);
        let placed_on = if moves { self.placed_on(record, policy, now) } else { PlacedOn::Wanted };
        is_newest && is_available && look.keeps(record, Known { entry, is_left_alone, placed_on }, policy)
    }
}

//! What a finished poll means to the queue, a piece at a time.

use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;
use std::time::Duration;

use super::entry::Entry;
use super::poll::{Asked, Sighting, following};
use super::{ContainerQueue, DropReason, Fit, Poll, QueueFact, Setback, SetbackCause};
use crate::container::{ContainerState, MountNeeds, Record};
use crate::fit::Resources;
use crate::id::ContainerUuid;
use crate::policy::Policy;
use crate::time::{Timestamp, after};

/// A controller that reads from a replica may show the time before a change for so long.
const REPLICA_LAG: Duration = Duration::from_secs(1);

/// By how much quicker an entry is passed over than compared.
const QUICKER: usize = 4;

/// A poll that is being taken in, a piece at a time: in a large queue one that is taken in at once would keep everything
/// else waiting.
///
/// ```text
///   what is absent is doubted ─► entries that it does not show ─► what it shows ─► ended: the date of the poll
///                                         └ dropped, or kept               └ taken in, unless older
///                                               a piece is so many of these
/// ```
/// What happens between two pieces is newer than the poll, and the local-change rule keeps it.
#[derive(Debug)]
pub struct Merging {
    poll: Poll,
    /// When it was begun: one poll is one moment, whenever its last piece is taken in.
    now: Timestamp,
    stage: MergeStage,
}

#[derive(Debug)]
enum MergeStage {
    /// What is absent is to be doubted.
    Doubting,
    /// Entries up to this one have been compared with what the poll shows.
    Dropping(Option<ContainerUuid>),
    /// What it shows, as far as it is not taken in yet.
    Taking(btree_map::IntoIter<ContainerUuid, Sighting>),
}

impl Merging {
    /// When the poll began.
    pub fn began(&self) -> Timestamp {
        self.poll.began
    }
}

impl ContainerQueue {
    /// Takes a complete poll in, at once. Costs O(containers × log); what has not changed stays where it is, shared
    /// with the snapshots that show it.
    ///
    /// An entry whose picture answers a later question is neither overwritten nor dropped. The local-change rule: nor is
    /// one with an operation in flight, or stamped since the page was asked for; one that was dropped since then does
    /// not come back.
    pub fn merge(&mut self, poll: Poll, now: Timestamp) -> Vec<QueueFact> {
        let mut facts = Vec::new();
        let mut merging = self.begin_merge(poll, now);
        while let Some(under_way) = merging {
            merging = self.go_on_merging(under_way, usize::MAX, &mut facts);
        }
        facts
    }

    /// Begins to take a complete poll in; `None`: a newer one was taken in already.
    pub fn begin_merge(&mut self, poll: Poll, now: Timestamp) -> Option<Merging> {
        // Polls may finish out of order.
        if self.polled_at.is_some_and(|newer| poll.began < newer) {
            return None;
        }
        self.fallen.forget_old(now);
        self.suspects.learn(&poll, now);
        (self.has_passed_over, self.is_merging) = (false, true);
        Some(Merging { poll, now, stage: MergeStage::Doubting })
    }

    /// Looks at no more than that many further entries and records. `None`: the poll is taken in.
    pub fn go_on_merging(
        &mut self,
        mut merging: Merging,
        most: usize,
        facts: &mut Vec<QueueFact>,
    ) -> Option<Merging> {
        let mut left = most;
        while left > 0 {
            let (poll, now) = (&mut merging.poll, merging.now);
            match &mut merging.stage {
                MergeStage::Doubting => {
                    self.doubt_absent(poll, facts);
                    left -= left.min(1 + self.entries.len() / QUICKER);
                    merging.stage = MergeStage::Dropping(None);
                }
                MergeStage::Dropping(after) => {
                    let (looked_at, last) = self.drop_absent(poll, *after, left, now, facts);
                    (left, *after) = (left - looked_at, last);
                    if left > 0 {
                        self.take_unreadable(poll, facts);
                        self.horizon.learn(&poll.look, poll.began);
                        merging.stage = MergeStage::Taking(std::mem::take(&mut poll.seen).into_iter());
                    }
                }
                MergeStage::Taking(seen) => {
                    let Some((_, sighting)) = seen.next() else {
                        self.end_merge(poll, now);
                        return None;
                    };
                    left -= 1;
                    self.take_record(sighting, now, facts);
                }
            }
        }
        Some(merging)
    }

    fn end_merge(&mut self, poll: &Poll, now: Timestamp) {
        self.is_merging = false;
        self.orphans.poll_ended(|uuid| self.entries.contains_key(uuid), now);
        // The look at some orphans is over with this poll.
        self.unreadable = poll.unreadable.clone();
        self.unreadable.extend(self.orphans.unreadable());
        self.dropped.retain(|_, dropped| *dropped > poll.stamp);
        self.first_poll_began.get_or_insert(poll.began);
        self.polled_at = Some(poll.began);
    }

    pub(super) fn is_newer_than(&self, uuid: ContainerUuid, stamp: u64) -> bool {
        let dropped = self.dropped.get(&uuid).is_some_and(|dropped| *dropped > stamp);
        let entry = self.entries.get(&uuid);
        dropped || entry.is_some_and(|entry| entry.operation.is_some() || entry.changed > stamp)
    }

    /// Whether what we have of that container answers a later question than one that was asked then.
    pub(super) fn is_dated_after(&self, uuid: ContainerUuid, asked: Timestamp) -> bool {
        self.asked.get(&uuid).is_some_and(|have| asked < *have)
    }

    /// Whether a replica that lags may show the time before what we know: before our lock or unlock, or before an end that
    /// another answer has shown. A state from which a container does not come to the one that we have is taken in only
    /// from a question that was asked long enough afterwards.
    fn may_be_of_the_past(&self, record: &Record, asked: Timestamp) -> bool {
        let Some(entry) = self.entry(record.uuid) else { return false };
        let known_since = match (entry.record.state, record.state) {
            (ContainerState::Locked | ContainerState::Running, ContainerState::Queued)
            | (ContainerState::Queued, ContainerState::Locked | ContainerState::Running) => entry.changed_at,
            (have, shown) if have.is_final() && !shown.is_final() => self.asked.get(&record.uuid).copied(),
            _ => None,
        };
        known_since.is_some_and(|at| asked < after(at, REPLICA_LAG))
    }

    fn is_passed_over(&mut self, record: &Record, asked: Timestamp) -> bool {
        let is_of_the_past = self.may_be_of_the_past(record, asked);
        self.has_passed_over |= is_of_the_past;
        is_of_the_past
    }

    /// Drops what is believed to be deleted, and what fell off the end of a short answer, of so many entries after that
    /// one. Returns how many there were, and the last of them.
    fn drop_absent(
        &mut self,
        poll: &Poll,
        begin: Option<ContainerUuid>,
        most: usize,
        now: Timestamp,
        facts: &mut Vec<QueueFact>,
    ) -> (usize, Option<ContainerUuid>) {
        let mut gone = Vec::new();
        let piece = self.entries.range(following(begin)).take(most);
        let (mut looked_at, mut last) = (0, begin);
        let compared = piece.inspect(|(uuid, _)| (looked_at, last) = (looked_at + 1, Some(**uuid)));
        for (uuid, entry) in poll.not_shown(begin, compared) {
            let was_absent = |asked: &Asked| !self.is_dated_after(*uuid, asked.at);
            // What has become held since it was doubted has not been absent once.
            let is_believed = entry.absence.map_or(!entry.is_held(), |it| it.is_believed());
            let reason = if poll.absent.get(uuid).is_some_and(was_absent) && is_believed {
                DropReason::Deleted
            } else if entry.record.state == ContainerState::Queued
                && !entry.found_by_process
                && !poll.look.is_complete()
                && !self.is_dated_after(*uuid, poll.began)
            {
                DropReason::BeyondHorizon
            } else {
                // Final, or poisoned without a name: the scheduler, or the next poll, decides.
                continue;
            };
            gone.push((*uuid, entry.record.state, reason));
        }
        for (uuid, state, reason) in gone {
            if !self.is_newer_than(uuid, poll.stamp) {
                if let Some(entry) = self.take_out(uuid) {
                    match reason {
                        DropReason::BeyondHorizon => self.fallen.note(&entry, now),
                        DropReason::Deleted | DropReason::Foreign | DropReason::Forgotten => {
                            self.orphans.note_absence(uuid, entry.absence, now);
                        }
                    }
                }
                facts.push(QueueFact::Dropped { uuid, state, reason });
            }
        }
        (looked_at, last)
    }

    fn take_unreadable(&mut self, poll: &Poll, facts: &mut Vec<QueueFact>) {
        self.unreadable = poll.unreadable.clone();
        self.unreadable.extend(self.orphans.unreadable());
        for (uuid, reason) in &poll.unreadable {
            facts.push(QueueFact::Unreadable { uuid: Some(*uuid), reason: reason.clone() });
            let newer = self.is_newer_than(*uuid, poll.stamp);
            if let Some(entry) = self.entry_mut(*uuid).filter(|_| !newer) {
                entry.unreadable = Some(reason.clone());
                entry.absence = None;
            }
        }
        for reason in &poll.nameless {
            facts.push(QueueFact::Unreadable { uuid: None, reason: reason.clone() });
        }
    }

    /// Takes a record in, unless what we have is newer. True: it tells something new.
    pub(super) fn take_record(
        &mut self,
        sighting: Sighting,
        now: Timestamp,
        facts: &mut Vec<QueueFact>,
    ) -> bool {
        let Sighting { record, asked: Asked { at: asked, stamp } } = sighting;
        let uuid = record.uuid;
        if self.is_newer_than(uuid, stamp)
            || self.is_dated_after(uuid, asked)
            || self.is_passed_over(&record, asked)
        {
            return false;
        }
        if self.is_foreign(&record) {
            let Some(state) = self.entry(uuid).map(|entry| entry.record.state) else { return false };
            self.remove(uuid);
            facts.push(QueueFact::Dropped { uuid, state, reason: DropReason::Foreign });
            return true;
        }
        if self.entries.get(&uuid).is_some_and(|entry| entry.shows(&record)) {
            self.note_asked(uuid, asked);
            self.lift_setback(uuid, asked, now);
            return false;
        }
        self.take_news(record, asked, now, facts)
    }

    fn take_news(
        &mut self,
        record: Record,
        asked: Timestamp,
        now: Timestamp,
        facts: &mut Vec<QueueFact>,
    ) -> bool {
        let uuid = record.uuid;
        match self.entry_mut(uuid) {
            Some(entry) => {
                if entry.record.state != record.state {
                    facts.push(QueueFact::StateChanged { uuid, state: record.state });
                }
                let is_lost = entry.is_cancelled_for_the_market(&record);
                entry.refresh(record);
                self.note_asked(uuid, asked);
                if is_lost {
                    facts.extend(self.lose(uuid, now));
                }
            }
            // Ended, and nobody here knows it: of no interest.
            None if record.state.is_final() => return false,
            None => {
                let entry = self.fallen.recall(Entry::new(record, now));
                self.put_in(entry, asked);
            }
        }
        self.lift_setback(uuid, asked, now);
        true
    }

    /// The poll shows the container: if its back-off is over it has one try.
    fn lift_setback(&mut self, uuid: ContainerUuid, asked: Timestamp, now: Timestamp) {
        let setback = self.entries.get(&uuid).and_then(|entry| entry.setback.as_ref());
        if setback.is_some_and(|setback| setback.is_active())
            && let Some(Entry { setback: Some(setback), .. }) = self.entry_mut(uuid)
        {
            setback.seen_by_poll(asked, now);
        }
    }

    /// Takes mounts in: sizes the containers, and says which are new. Those that were asked for and have
    /// neither an answer nor a reason stay unsized: the next poll decides what became of them.
    pub fn take_mounts(
        &mut self,
        mounts: &BTreeMap<ContainerUuid, Result<MountNeeds, String>>,
        policy: &Policy,
        now: Timestamp,
    ) -> Vec<QueueFact> {
        let mut facts = Vec::new();
        for (uuid, answer) in mounts {
            let Some(entry) = self.entry_mut(*uuid).filter(|entry| entry.wants_sizing()) else { continue };
            match answer {
                Ok(needs) => {
                    entry.setback = entry.setback.take().and_then(|it| it.without(SetbackCause::Mounts));
                    if entry.awaits_requests() {
                        entry.requests.mounts = Some(*needs);
                    } else {
                        facts.extend(self.take_needs(*uuid, *needs, policy, now));
                    }
                }
                Err(reason) => {
                    let (before, cause) = (entry.setback.take(), SetbackCause::Mounts);
                    entry.setback = Some(Setback::after(before.as_ref(), cause, reason.clone(), false, now));
                    facts.push(QueueFact::MountsUnreadable { uuid: *uuid, reason: reason.clone() });
                }
            }
        }
        facts
    }

    /// Sizes a container that is new, or changed: all is known that sizing needs.
    pub(super) fn take_needs(
        &mut self,
        uuid: ContainerUuid,
        mounts: MountNeeds,
        policy: &Policy,
        now: Timestamp,
    ) -> Vec<QueueFact> {
        let spared_until = self.sparing_until(now);
        let Self { entries, losses, type_lists, lacks_requests, .. } = self;
        // One that has ended meanwhile is not sized any more.
        let shared = entries.get_mut(&uuid).filter(|entry| !entry.record.state.is_final());
        let Some(shared) = shared else { return Vec::new() };
        let entry = Arc::make_mut(shared);
        entry.market_losses = losses.of(uuid, entry.requests.all(), now);
        *lacks_requests |= entry.wants_requests();
        entry.size(mounts, &policy.catalog, &policy.sizing, type_lists);
        entry.spared_until = spared_until.filter(|_| entry.types().is_empty());
        let added = QueueFact::Added(Arc::clone(shared));
        [added].into_iter().chain(self.moved(uuid, now)).collect()
    }
}

impl Entry {
    /// Whether that record is no news.
    fn shows(&self, record: &Record) -> bool {
        self.record == *record && !self.uncertain && self.unreadable.is_none() && self.absence.is_none()
    }

    /// A newer good picture. What sizing depends on does not change while a container waits, but if the
    /// server says otherwise the container is sized anew.
    fn refresh(&mut self, record: Record) {
        let same_size = self.record.runtime_constraints == record.runtime_constraints
            && self.record.container_image == record.container_image
            && self.record.scheduling.preemptible == record.scheduling.preemptible;
        if !same_size {
            (self.mounts, self.needs, self.fit) = (None, Resources::default(), Fit::Unsized);
            self.requests.mounts = None;
        }
        self.record = record;
        self.uncertain = false;
        self.unreadable = None;
        self.absence = None;
    }
}

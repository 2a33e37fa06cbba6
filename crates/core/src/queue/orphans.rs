//! Reads of containers that have a process and no entry, so that the plan knows what that process is.
//!
//! ```text
//!   a process without an entry ─► look (one read) ─┬─ ours ──────────────────► an entry; polls keep it fresh
//!                                                  └─ absent, foreign, unreadable, or no answer
//!                                                        └ repeated by a poll after 5 s, doubling to 5 min
//! ```
//! Such a process may be listed for ever, by a VM whose list is wrong, or under a record that nobody can read.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::absence::{AbsentAmong, RecordAbsence};
use super::chain::about;
use super::{ContainerQueue, Entry, LookOutcome, QueueFact};
use crate::container::Record;
use crate::id::ContainerUuid;
use crate::ports::{ApiError, ApiErrorKind};
use crate::time::{Timestamp, after};

const FIRST: Duration = Duration::from_secs(5);
const LONGEST: Duration = Duration::from_secs(300);
/// What was found is forgotten if nobody has asked again for that long.
const KEPT_FOR: Duration = Duration::from_secs(3600);

/// What the last look at a container has found.
#[derive(Debug)]
enum OrphanFound {
    Outcome(LookOutcome),
    /// Where in the JSON, and what is wrong there.
    Unreadable(String),
    /// No answer.
    Nothing,
}

#[derive(Debug)]
struct Orphan {
    found: OrphanFound,
    /// Since when the controller has not shown it.
    absence: Option<RecordAbsence>,
    /// How many looks in a row have not made it an entry.
    looks: u32,
    /// The end of the back-off.
    again: Timestamp,
    /// A poll has ended since then: the next look may begin, and what was found before is shown no more.
    is_due: bool,
}

/// The containers that have a process and no entry. Operations cost O(log n), those over all of them O(n).
#[derive(Debug, Default)]
pub(super) struct Orphans {
    /// Looks in flight.
    looking: BTreeSet<ContainerUuid>,
    looked: BTreeMap<ContainerUuid, Orphan>,
}

impl Orphan {
    /// Whether the controller does not show it, and that is not believed yet.
    fn is_doubted(&self) -> bool {
        self.absence.is_some_and(|absence| !absence.is_believed())
    }
}

impl Orphans {
    fn is_doubted(&self, uuid: ContainerUuid) -> bool {
        self.looked.get(&uuid).is_some_and(Orphan::is_doubted)
    }

    /// Whether a look came to nothing: that is no news to anybody.
    fn has_failed(&self, uuid: ContainerUuid) -> bool {
        self.looked.get(&uuid).is_some_and(|it| matches!(it.found, OrphanFound::Nothing))
    }

    fn may_begin(&self, uuid: ContainerUuid) -> bool {
        self.looked.get(&uuid).is_none_or(|it| it.is_due)
    }

    fn note(&mut self, uuid: ContainerUuid, found: OrphanFound, asked: Timestamp, now: Timestamp) {
        let before = self.looked.get(&uuid);
        let looks = before.map_or(0, |it| it.looks) + 1;
        let absence = before.and_then(|it| it.absence);
        let absence = match &found {
            OrphanFound::Outcome(LookOutcome::Absent) => Some(RecordAbsence::again(absence, asked)),
            OrphanFound::Nothing => absence,
            OrphanFound::Outcome(LookOutcome::Foreign | LookOutcome::Doubted)
            | OrphanFound::Unreadable(_) => None,
        };
        let doubled = FIRST.saturating_mul(2_u32.saturating_pow(looks - 1));
        let again = after(now, doubled.min(LONGEST));
        self.looked.insert(uuid, Orphan { found, absence, looks, again, is_due: false });
    }

    /// An entry was dropped because it was absent: if a process of it is found, what was answered so far counts.
    pub(super) fn note_absence(
        &mut self,
        uuid: ContainerUuid,
        absence: Option<RecordAbsence>,
        now: Timestamp,
    ) {
        if absence.is_some() {
            let orphan = Orphan { found: OrphanFound::Nothing, absence, looks: 0, again: now, is_due: true };
            self.looked.insert(uuid, orphan);
        }
    }

    /// How many are absent, of those whose processes are there now, less those that are believed to be deleted.
    pub(super) fn absent_among(&self) -> AbsentAmong {
        let is_asked_about = |uuid: &ContainerUuid, it: &Orphan| !it.is_due || self.looking.contains(uuid);
        let known = self.looked.iter().filter(|(uuid, it)| is_asked_about(uuid, it));
        let open = known.filter(|(_, it)| !it.absence.is_some_and(|absence| absence.is_believed()));
        let (absent, shown): (Vec<_>, Vec<_>) = open.partition(|(_, it)| it.absence.is_some());
        let new = self.looking.iter().filter(|uuid| !self.looked.contains_key(uuid)).count();
        AbsentAmong { absent: absent.len(), of: absent.len() + shown.len() + new }
    }

    /// Most records are absent at once.
    pub(super) fn are_absent_with_most(&mut self) {
        for absence in self.looked.values_mut().filter_map(|it| it.absence.as_mut()) {
            absence.with_most |= !absence.is_believed();
        }
    }

    /// A poll has ended: looks whose back-off is over may be repeated.
    pub(super) fn poll_ended(&mut self, has_entry: impl Fn(&ContainerUuid) -> bool, now: Timestamp) {
        self.looked.retain(|uuid, it| !has_entry(uuid) && now < after(it.again, KEPT_FOR));
        for orphan in self.looked.values_mut() {
            orphan.is_due |= orphan.again <= now;
        }
    }

    fn shown(&self) -> impl Iterator<Item = (ContainerUuid, &Orphan)> {
        self.looked.iter().filter(|(_, it)| !it.is_due).map(|(uuid, it)| (*uuid, it))
    }

    /// What is known of them.
    pub(super) fn outcomes(&self) -> BTreeMap<ContainerUuid, LookOutcome> {
        let known = |(uuid, it): (ContainerUuid, &Orphan)| match &it.found {
            OrphanFound::Outcome(LookOutcome::Absent) if it.is_doubted() => {
                Some((uuid, LookOutcome::Doubted))
            }
            OrphanFound::Outcome(outcome) => Some((uuid, *outcome)),
            OrphanFound::Unreadable(_) | OrphanFound::Nothing => None,
        };
        self.shown().filter_map(known).collect()
    }

    /// Those whose record cannot be decoded, with the reason.
    pub(super) fn unreadable(&self) -> impl Iterator<Item = (ContainerUuid, String)> {
        self.shown().filter_map(|(uuid, it)| match &it.found {
            OrphanFound::Unreadable(reason) => Some((uuid, reason.clone())),
            OrphanFound::Outcome(_) | OrphanFound::Nothing => None,
        })
    }
}

impl ContainerQueue {
    /// Begins a look at a container that has a process but no entry. False: it is under way, known, or in back-off.
    pub fn begin_look(&mut self, uuid: ContainerUuid) -> bool {
        let may_begin = !self.entries.contains_key(&uuid) && self.orphans.may_begin(uuid);
        may_begin && self.orphans.looking.insert(uuid)
    }

    /// Whether the last look at that container had no answer.
    pub fn has_look_failed(&self, uuid: ContainerUuid) -> bool {
        self.orphans.has_failed(uuid)
    }

    /// Takes the record that a look asked for. Unlike the answer of a lock, it may add an entry: it is a
    /// read of its own, made because a process shows that the container concerns us.
    pub fn looked(
        &mut self,
        uuid: ContainerUuid,
        answer: Result<Record, ApiError>,
        asked: Timestamp,
        now: Timestamp,
    ) -> Vec<QueueFact> {
        self.orphans.looking.remove(&uuid);
        let stamp = self.next_stamp();
        let (found, fact) = match answer.and_then(|record| about(record, uuid)) {
            Ok(record) if self.is_foreign(&record) => (OrphanFound::Outcome(LookOutcome::Foreign), None),
            Ok(record) => {
                let mut entry = self.fallen.recall(Entry::new(record, now));
                (entry.changed, entry.found_by_process) = (stamp, true);
                if !self.entries.contains_key(&uuid) {
                    self.put_in(entry, asked);
                }
                return Vec::new();
            }
            Err(error) if error.kind == ApiErrorKind::NotFound => {
                (OrphanFound::Outcome(LookOutcome::Absent), None)
            }
            Err(error) if error.kind == ApiErrorKind::Malformed => {
                self.unreadable.insert(uuid, error.message.clone());
                let fact = QueueFact::Unreadable { uuid: Some(uuid), reason: error.message.clone() };
                (OrphanFound::Unreadable(error.message), Some(fact))
            }
            Err(_) => (OrphanFound::Nothing, None),
        };
        let was_doubted = self.orphans.is_doubted(uuid);
        self.orphans.note(uuid, found, asked, now);
        let mut facts: Vec<_> = fact.into_iter().collect();
        if !was_doubted && self.orphans.is_doubted(uuid) {
            facts.push(QueueFact::Doubted { uuid });
        }
        // While a poll is taken in, what it shows is still doubted: the next poll, or look, counts.
        if !self.is_merging && (was_doubted || self.orphans.is_doubted(uuid)) {
            self.note_whether_most_are_absent(|_| false, &mut facts);
        }
        facts
    }
}

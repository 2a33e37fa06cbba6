//! Records that the controller does not show any more: missing from a list, or 404. That is weak evidence, because a
//! list that is cut, a database that is being restored, or a wrong token looks the same.
//!
//! ```text
//!   absent ─► doubted ─┬ shown again, if only as undecodable ────────────────► as if nothing had been
//!                      ├ absent again, asked 30 s after the first question ──► believed
//!                      └ once absent together with most of the others ───────► believed after three answers over 2 minutes
//! ```
//! Only records that have a process or a lock are doubted: nothing is killed, unlocked or forgotten for the others'
//! absence.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{ContainerQueue, Poll, QueueFact};
use crate::id::ContainerUuid;
use crate::time::{Timestamp, shift, since};

/// Between the first and the last question to which a record was absent.
const APART: Duration = Duration::from_secs(30);
/// The same if it was absent with most of the others.
const APART_IF_MOST: Duration = Duration::from_secs(120);
/// So many questions at least, if it was absent with most of the others.
const TIMES_IF_MOST: u32 = 3;
/// So many at least are most.
const LEAST_OF_MOST: usize = 3;

/// The questions in a row to which a record was absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordAbsence {
    /// When the first of them was asked.
    pub first: Timestamp,
    /// When the last of them was asked.
    pub last: Timestamp,
    /// How many they are.
    pub times: u32,
    /// Whether most of the others were absent, too, at one of them.
    pub with_most: bool,
}

impl RecordAbsence {
    /// Absent, by a question asked at that moment, after what was before. One that was asked no later tells nothing.
    pub(super) fn again(before: Option<Self>, asked: Timestamp) -> Self {
        match before {
            None => Self { first: asked, last: asked, times: 1, with_most: false },
            Some(before) if asked <= before.last => before,
            Some(before) => Self { last: asked, times: before.times + 1, ..before },
        }
    }

    /// Whether the record is believed to be gone.
    pub(super) fn is_believed(&self) -> bool {
        let apart = since(self.last, self.first);
        match self.with_most {
            true => self.times >= TIMES_IF_MOST && apart >= APART_IF_MOST,
            false => self.times >= 2 && apart >= APART,
        }
    }

    pub(super) fn shift(&mut self, by: SignedDuration) {
        shift(&mut self.first, by);
        shift(&mut self.last, by);
    }
}

/// How many of the records that have a process or a lock are absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct AbsentAmong {
    pub(super) absent: usize,
    pub(super) of: usize,
}

impl AbsentAmong {
    /// Whether so many are absent at once that it speaks of the controller rather than of each of them.
    pub(super) fn are_most(self) -> bool {
        self.absent >= LEAST_OF_MOST && 2 * self.absent > self.of
    }

    pub(super) fn and(self, others: Self) -> Self {
        Self { absent: self.absent + others.absent, of: self.of + others.of }
    }
}

impl ContainerQueue {
    /// Notes which of the records that have a lock the poll has asked for in vain. O(entries).
    pub(super) fn doubt_absent(&mut self, poll: &Poll, facts: &mut Vec<QueueFact>) {
        for (uuid, asked) in &poll.absent {
            let newer = self.is_newer_than(*uuid, asked.stamp) || self.is_dated_after(*uuid, asked.at);
            let Some(entry) = self.entry_mut(*uuid).filter(|it| !newer && it.is_held()) else { continue };
            if entry.absence.is_none() {
                facts.push(QueueFact::Doubted { uuid: *uuid });
            }
            entry.absence = Some(RecordAbsence::again(entry.absence, asked.at));
        }
        self.note_whether_most_are_absent(|uuid| poll.shows(uuid), facts);
    }

    /// Marks all that are absent, if they are most: O(entries); `shown`: is shown by the answer that is being taken in.
    pub(super) fn note_whether_most_are_absent(
        &mut self,
        shown: impl Fn(&ContainerUuid) -> bool,
        facts: &mut Vec<QueueFact>,
    ) {
        let mut among = self.orphans.absent_among();
        for (uuid, entry) in self.entries.iter().filter(|(_, entry)| entry.is_held()) {
            let is_absent = entry.absence.is_some() && !shown(uuid);
            among = among.and(AbsentAmong { absent: usize::from(is_absent), of: 1 });
        }
        if among.are_most() {
            for entry in self.entries.values_mut().filter(|it| it.absence.is_some_and(|it| !it.with_most)) {
                if let Some(absence) = &mut Arc::make_mut(entry).absence {
                    absence.with_most = true;
                }
            }
            self.orphans.are_absent_with_most();
        }
        let before = std::mem::replace(&mut self.most_are_absent, among.are_most());
        match (before, self.most_are_absent) {
            (false, true) => {
                facts.push(QueueFact::MostAreAbsent { absent: among.absent, of: among.of });
            }
            (true, false) => facts.push(QueueFact::MostAreShown),
            (true, true) | (false, false) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::at;

    fn absent(asked: &[i64], with_most: bool) -> RecordAbsence {
        let absence =
            asked.iter().fold(None, |before, second| Some(RecordAbsence::again(before, at(*second))));
        RecordAbsence { with_most, ..absence.unwrap() }
    }

    #[test]
    fn one_is_believed_after_two_questions_half_a_minute_apart_and_most_after_three_over_two_minutes() {
        for (asked, with_most, believed) in [
            (&[0][..], false, false),
            (&[0, 29], false, false),
            (&[0, 30], false, true),
            (&[0, 10, 20, 30], false, true),
            (&[0, 120], true, false),
            (&[0, 60, 119], true, false),
            (&[0, 60, 120], true, true),
        ] {
            assert_eq!(absent(asked, with_most).is_believed(), believed, "{asked:?} {with_most}");
        }
    }

    #[test]
    fn a_question_that_was_asked_no_later_than_the_last_tells_nothing() {
        assert_eq!(absent(&[10, 40, 40, 20], false), absent(&[10, 40], false));
    }

    #[test]
    fn most_are_three_at_least_and_more_than_half() {
        for (absent, of, most) in [(2, 2, false), (3, 3, true), (3, 6, false), (4, 7, true)] {
            assert_eq!(AbsentAmong { absent, of }.are_most(), most, "{absent} of {of}");
        }
    }
}

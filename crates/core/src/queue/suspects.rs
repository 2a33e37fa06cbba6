//! Known containers about which a list fails: one of them must not make every poll fail.
//!
//! ```text
//!   known containers, 20 at once ─ fails ─► one of these: half of them first, in this poll or the next
//!        ├ answered ─► one of the other half: again half of them
//!        └ fails ─► again half of these ─► … ─► one alone fails: a suspect, and the poll goes on without it
//!                                                    └ asked for again after 10 s, doubling to 10 min, alone
//! ```
//! Until it is shown again its record counts as one that cannot be decoded: it is left alone, and nothing waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Poll;
use crate::id::ContainerUuid;
use crate::ports::{ApiError, ApiErrorKind};
use crate::time::{Timestamp, after};

/// How many known containers one question asks for at most.
const MOST_AT_ONCE: usize = 20;
/// A poll in which this many containers fail alone says more about the controller than about them: it fails.
const MOST_ALONE: usize = 4;
const FIRST: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);

/// A container that has failed alone.
#[derive(Debug, Clone)]
struct Suspect {
    error: String,
    pause: Duration,
    until: Timestamp,
}

/// What is remembered from poll to poll.
#[derive(Debug, Default)]
pub(super) struct Suspects {
    among: BTreeSet<ContainerUuid>,
    alone: BTreeMap<ContainerUuid, Suspect>,
}

impl Suspects {
    /// For a poll that begins now. O(suspects).
    pub(super) fn search(&self, now: Timestamp) -> Search {
        let (left_alone, due): (BTreeMap<_, _>, BTreeMap<_, _>) =
            self.alone.iter().partition(|(_, it)| now < it.until);
        Search {
            among: self.among.clone(),
            left_alone: left_alone.into_iter().map(|(uuid, it)| (*uuid, it.error.clone())).collect(),
            due: due.into_keys().copied().collect(),
            alone: BTreeMap::new(),
        }
    }

    /// Takes what a poll has found, whether it has failed or not. O(suspects × log containers).
    pub(super) fn learn(&mut self, poll: &Poll, now: Timestamp) {
        let Search { among, left_alone, alone, .. } = &poll.search;
        self.among = among.clone();
        let is_suspect = |uuid: &ContainerUuid| left_alone.contains_key(uuid) || alone.contains_key(uuid);
        let is_settled =
            |uuid: &ContainerUuid| poll.seen.contains_key(uuid) || poll.absent.contains_key(uuid);
        self.alone.retain(|uuid, it| is_suspect(uuid) || !is_settled(uuid) && now < after(it.until, LONGEST));
        for (uuid, error) in alone {
            let pause = self.alone.get(uuid).map_or(FIRST, |it| (it.pause * 2).min(LONGEST));
            let suspect = Suspect { error: error.clone(), pause, until: after(now, pause) };
            self.alone.insert(*uuid, suspect);
        }
    }
}

/// One poll's search for the containers that make its questions fail.
#[derive(Debug)]
pub(super) struct Search {
    /// A question about these has failed, and they have not been answered since: one of them may be the cause.
    among: BTreeSet<ContainerUuid>,
    /// Suspects that are not asked for yet, and how they have failed.
    pub(super) left_alone: BTreeMap<ContainerUuid, String>,
    /// Suspects that are asked for again: after all others, and each alone.
    due: BTreeSet<ContainerUuid>,
    /// Those that have failed alone in this poll.
    alone: BTreeMap<ContainerUuid, String>,
}

impl Search {
    /// The containers of the next question, of those that are to be asked for.
    pub(super) fn next(&self, to_ask: &BTreeSet<ContainerUuid>) -> Vec<ContainerUuid> {
        let among: Vec<_> = self.among.intersection(to_ask).copied().collect();
        let others: Vec<_> = to_ask.difference(&self.due).take(MOST_AT_ONCE).copied().collect();
        match (&among[..], &others[..]) {
            ([_, ..], _) => among[..among.len().div_ceil(2)].to_vec(),
            ([], [_, ..]) => others,
            ([], []) => to_ask.first().copied().into_iter().collect(),
        }
    }

    /// The question about these containers has failed. `None`: the poll has failed, too.
    pub(super) fn failed(&mut self, asked: &[ContainerUuid], error: &ApiError) -> Option<Narrowing> {
        self.among = asked.iter().copied().collect();
        match asked {
            [alone] if may_be_one(error.kind) && self.alone.len() < MOST_ALONE => {
                let reason = format!("the controller cannot list it: {error}");
                self.among.clear();
                self.alone.insert(*alone, reason.clone());
                Some(Narrowing::Suspect(*alone, reason))
            }
            [_, _, ..] if may_be_one_record(error.kind) => Some(Narrowing::AmongFewer),
            _ => None,
        }
    }

    /// The question about these containers was answered.
    pub(super) fn succeeded(&mut self, asked: &[ContainerUuid]) {
        self.among.retain(|uuid| !asked.contains(uuid));
    }
}

/// What a failed question has shown.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Narrowing {
    /// This container, and how it has failed.
    Suspect(ContainerUuid, String),
    /// It may be one of those that were asked for: fewer of them are asked for next.
    AmongFewer,
}

/// Whether a list may have failed because of one of the records that it asked for.
fn may_be_one(kind: ApiErrorKind) -> bool {
    may_be_one_record(kind) || kind == ApiErrorKind::Timeout
}

/// Whether the controller has said that it cannot answer, maybe because of one record: fewer can be asked for at once.
pub(super) fn may_be_one_record(kind: ApiErrorKind) -> bool {
    matches!(
        kind,
        ApiErrorKind::Malformed
            | ApiErrorKind::Forbidden
            | ApiErrorKind::Refused
            | ApiErrorKind::NotFound
            | ApiErrorKind::Server
    )
}

//! A poll as a chain of questions: pure, so that paging is tested without a server.
//!
//! ```text
//!   Mine (by uuid, until an empty page) ─► Available (by offset, as far as `horizon` says)
//!        ─► Known (what we have and neither showed; by 20, until each is answered or absent) ─► merge
//! ```
//! What each page shows has the date at which that page was asked for: a poll of many pages is no picture of one moment.
//!
//! A call that fails ends the poll, and nothing of it is used: the last good state stays. Only a question about known
//! containers is asked again about fewer of them, because one may have made it fail ([`super::suspects`]).
//!
//! A record that was not asked for is set aside like one that cannot be decoded, because one wrong record must not hide
//! all others; a poll in which most records are of that kind is dropped.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;

use super::horizon::{Known, Look, PlacedOn};
use super::suspects::{Narrowing, Search};
use super::{ContainerQueue, Entry, Fit};
use crate::container::{ContainerState, Record};
use crate::id::{ContainerUuid, TokenUuid};
use crate::policy::Policy;
use crate::ports::{ApiError, ListQuestion, Page};
use crate::time::Timestamp;

/// More wrong records than that, if they are most of all, and the poll is dropped.
const ODD_TOLERATED: usize = 2;
/// A server that sends more than this is not to be believed: nothing of such a poll is used.
const MOST_ITEMS: usize = 200_000;

/// An answer that cannot be true: the whole poll is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// Most items are such as the question does not allow.
    #[error(
        "the controller listed {odd} containers of {received} that were not asked for, the last is {last}"
    )]
    NotAskedFor {
        /// How many.
        odd: usize,
        /// Of how many.
        received: usize,
        /// The last of them, and what is wrong with it.
        last: String,
    },
    /// No end in sight.
    #[error("the controller listed more than {MOST_ITEMS} containers without an end")]
    Endless,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PollStage {
    Mine,
    Available,
    Known,
    Done,
}

/// When a question was asked, by the clock and by our stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) at: Timestamp,
    pub(super) stamp: u64,
}

/// A record, and when the question was asked that it answers.
#[derive(Debug)]
pub(super) struct Sighting {
    pub(super) record: Record,
    pub(super) asked: Asked,
}

/// One poll in progress.
#[derive(Debug)]
pub struct Poll {
    pub(super) began: Timestamp,
    pub(super) stamp: u64,
    /// When the present question was asked.
    asked: Asked,
    pub(super) me: TokenUuid,
    stage: PollStage,
    after: Option<ContainerUuid>,
    /// How far it has looked among the waiting containers.
    pub(super) look: Look,
    pub(super) search: Search,
    received: usize,
    /// How many were not asked for, and the last of them.
    odd: (usize, String),
    pub(super) seen: BTreeMap<ContainerUuid, Sighting>,
    pub(super) unreadable: BTreeMap<ContainerUuid, String>,
    /// Undecodable items that do not even tell whose they are.
    pub(super) nameless: Vec<String>,
    /// Still to be asked for.
    to_ask: BTreeSet<ContainerUuid>,
    /// Asked for, and absent from the answer.
    pub(super) absent: BTreeMap<ContainerUuid, Asked>,
}

impl ContainerQueue {
    /// Begins a poll. `None` until [`ContainerQueue::set_me`].
    pub fn begin_poll(&self, now: Timestamp) -> Option<Poll> {
        Some(Poll {
            began: now,
            stamp: self.stamp,
            asked: Asked { at: now, stamp: self.stamp },
            me: self.me?,
            stage: PollStage::Mine,
            after: None,
            look: self.horizon.look(now),
            search: self.suspects.search(now),
            received: 0,
            odd: (0, String::new()),
            seen: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            nameless: Vec::new(),
            to_ask: BTreeSet::new(),
            absent: BTreeMap::new(),
        })
    }
}

impl Poll {
    /// When it began.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// The next question is asked now.
    pub(super) fn asks(&mut self, queue: &ContainerQueue, now: Timestamp) {
        self.asked = Asked { at: now, stamp: queue.stamp };
    }

    /// The present question was sent then: it had to wait for its turn.
    pub(super) fn was_sent(&mut self, at: Timestamp) {
        self.asked.at = at;
    }

    /// The next question, or `None` when the poll is complete.
    pub fn question(&self) -> Option<ListQuestion> {
        match self.stage {
            PollStage::Mine => Some(ListQuestion::Mine { me: self.me, after: self.after }),
            PollStage::Available => Some(ListQuestion::Available { offset: self.look.offset() }),
            PollStage::Known => Some(ListQuestion::Known { uuids: self.chunk() }),
            PollStage::Done => None,
        }
    }

    /// Whether an answer shows that container, if only as one that cannot be decoded.
    pub(super) fn shows(&self, uuid: &ContainerUuid) -> bool {
        self.seen.contains_key(uuid) || self.unreadable.contains_key(uuid)
    }

    /// Of these entries, which are in order of their uuids and come after `begin`, those that no answer shows. O(entries).
    pub(super) fn not_shown<'a>(
        &'a self,
        begin: Option<ContainerUuid>,
        entries: impl Iterator<Item = (&'a ContainerUuid, &'a Arc<Entry>)>,
    ) -> impl Iterator<Item = (&'a ContainerUuid, &'a Arc<Entry>)> {
        let mut seen = self.seen.range(following(begin)).map(|(uuid, _)| uuid).peekable();
        entries.filter(move |(uuid, _)| {
            while seen.next_if(|it| it < uuid).is_some() {}
            seen.peek() != Some(uuid) && !self.unreadable.contains_key(uuid)
        })
    }

    fn chunk(&self) -> Vec<ContainerUuid> {
        self.search.next(&self.to_ask)
    }

    /// Takes the answer to [`Poll::question`].
    ///
    /// # Errors
    /// If the answer cannot be true: the poll must be dropped.
    pub fn answer(
        &mut self,
        page: Page<Record>,
        queue: &ContainerQueue,
        policy: &Policy,
    ) -> Result<(), PollError> {
        self.received += page.len();
        if self.received > MOST_ITEMS {
            return Err(PollError::Endless);
        }
        match self.stage {
            PollStage::Mine => self.answer_mine(page),
            PollStage::Available => self.answer_available(page, queue, policy),
            PollStage::Known => self.answer_known(page),
            PollStage::Done => {}
        }
        self.check_odd()?;
        if self.stage == PollStage::Known && self.to_ask.is_empty() {
            self.stage = PollStage::Done;
        }
        if self.stage == PollStage::Available && self.look.is_over() {
            self.to_ask = self.missing_from_answers(queue);
            self.leave_suspects_alone();
            self.stage = if self.to_ask.is_empty() { PollStage::Done } else { PollStage::Known };
        }
        Ok(())
    }

    /// Takes a failed answer to [`Poll::question`]. True: the poll goes on with another question.
    pub fn goes_on_after(&mut self, error: &ApiError) -> bool {
        if self.stage != PollStage::Known {
            return false;
        }
        let asked = self.chunk();
        match self.search.failed(&asked, error) {
            None => return false,
            Some(Narrowing::AmongFewer) => {}
            Some(Narrowing::Suspect(uuid, reason)) => {
                self.to_ask.remove(&uuid);
                self.unreadable.insert(uuid, reason);
            }
        }
        if self.to_ask.is_empty() {
            self.stage = PollStage::Done;
        }
        true
    }

    /// A suspect whose pause is not over is not asked for.
    fn leave_suspects_alone(&mut self) {
        for (uuid, reason) in &self.search.left_alone {
            if self.to_ask.remove(uuid) {
                self.unreadable.insert(*uuid, reason.clone());
            }
        }
    }

    fn check_odd(&self) -> Result<(), PollError> {
        let (odd, last) = (self.odd.0, &self.odd.1);
        if odd > ODD_TOLERATED && 2 * odd > self.received {
            return Err(PollError::NotAskedFor { odd, received: self.received, last: last.clone() });
        }
        Ok(())
    }

    fn answer_mine(&mut self, page: Page<Record>) {
        if page.is_empty() {
            self.stage = PollStage::Available;
            return;
        }
        let (floor, me) = (self.after, self.me);
        let last = page.items.iter().map(|record| record.uuid).chain(named(&page)).max();
        self.after = last.max(floor);
        // A page in which no record's uuid can be read, or that shows only what came before, does not say where to
        // go on.
        if self.after == floor {
            self.stage = PollStage::Available;
        }
        self.keep(page, "locked by us, after the last page", |record| {
            record.locked_by == Some(me) && floor.is_none_or(|after| record.uuid > after)
        });
    }

    fn answer_available(&mut self, mut page: Page<Record>, queue: &ContainerQueue, policy: &Policy) {
        let records = page.len();
        let moves = queue.may_move_some(policy);
        let is_left_alone = |uuid| queue.fallen.is_left_alone(uuid, self.began);
        page.items.retain(|record| {
            let entry = queue.entry(record.uuid);
            let placed_on =
                if moves { queue.placed_on(record, policy, self.began) } else { PlacedOn::Wanted };
            let known = Known { entry, is_left_alone: is_left_alone(record.uuid), placed_on };
            self.look.keeps(record, known, policy)
        });
        self.look.page_was_read(records);
        self.keep(page, "queued with a priority above 0", |record| {
            record.state == ContainerState::Queued && record.priority > 0
        });
    }

    fn answer_known(&mut self, page: Page<Record>) {
        let asked = self.chunk();
        self.search.succeeded(&asked);
        if page.is_empty() {
            self.absent.extend(asked.iter().map(|uuid| (*uuid, self.asked)));
            self.to_ask.retain(|uuid| !asked.contains(uuid));
            return;
        }
        let shown: Vec<_> = page.items.iter().map(|it| it.uuid).chain(named(&page)).collect();
        let answered: Vec<_> = shown.into_iter().filter(|uuid| self.to_ask.remove(uuid)).collect();
        if answered.is_empty() {
            // Whichever of these it is that cannot be read, none is absent, and what we have of them is no
            // longer a good picture.
            let hidden = |uuid| (uuid, "hidden among records that cannot be decoded".to_owned());
            self.unreadable
                .extend(asked.iter().filter(|uuid| self.to_ask.contains(uuid)).copied().map(hidden));
            self.to_ask.retain(|uuid| !asked.contains(uuid));
        }
        self.keep(page, "one of the known containers", |record| asked.contains(&record.uuid));
    }

    /// Later answers are later news: they replace earlier ones about the same container. What was not `asked` for is
    /// set aside.
    fn keep(&mut self, page: Page<Record>, question: &str, asked: impl Fn(&Record) -> bool) {
        for record in page.items {
            if asked(&record) {
                self.unreadable.remove(&record.uuid);
                self.seen.insert(record.uuid, Sighting { record, asked: self.asked });
            } else {
                self.set_aside(&record, question);
            }
        }
        for poison in page.undecodable {
            match poison.uuid {
                Some(uuid) => {
                    self.seen.remove(&uuid);
                    self.unreadable.insert(uuid, poison.reason);
                }
                None => self.nameless.push(poison.reason),
            }
        }
    }

    fn set_aside(&mut self, record: &Record, question: &str) {
        let (uuid, state) = (record.uuid, record.state);
        let reason = format!("listed as {state}, although only what is {question} was asked for");
        self.odd = (self.odd.0 + 1, format!("{uuid}, {reason}"));
        if !self.seen.contains_key(&uuid) {
            self.unreadable.insert(uuid, reason);
        }
    }

    /// What we have, is not final, and was in neither answer; less what merely fell off a short answer.
    fn missing_from_answers(&self, queue: &ContainerQueue) -> BTreeSet<ContainerUuid> {
        let absent = self.not_shown(None, queue.entries.iter()).filter(|(_, entry)| {
            let fell_off = !self.look.is_complete()
                && !entry.found_by_process
                && entry.record.state == ContainerState::Queued
                && entry.operation.is_none()
                && !entry.uncertain
                && entry.fit != Fit::Unsized;
            !fell_off && !entry.record.state.is_final()
        });
        absent.map(|(uuid, _)| *uuid).collect()
    }
}

/// All that come after that one.
pub(super) fn following(begin: Option<ContainerUuid>) -> (Bound<ContainerUuid>, Bound<ContainerUuid>) {
    (begin.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded)
}

/// The uuids of the records that cannot be decoded, as far as they can be read.
fn named(page: &Page<Record>) -> impl Iterator<Item = ContainerUuid> + '_ {
    page.undecodable.iter().filter_map(|it| it.uuid)
}

//! A poll as a chain of questions: pure, so that paging is tested without a server.
//!
//! ```text
//!   Mine (by uuid, until an empty page) ─► Available (by offset, until an empty page or 100 seen)
//!        ─► Known (what we have and neither showed; by 20, until answered or proven deleted) ─► merge
//! ```
//! A call that fails ends the poll, and nothing of it is used: the last good state stays.

use std::collections::{BTreeMap, BTreeSet};

use super::{ContainerQueue, Fit};
use crate::container::{ContainerState, Record};
use crate::id::{ContainerUuid, TokenUuid};
use crate::ports::{ListQuestion, Page};
use crate::time::Timestamp;

/// Enough of the waiting containers to keep every instance busy until the next poll.
const HORIZON: usize = 100;
/// A server that sends more than this is not to be believed: nothing of such a poll is used.
const MOST_ITEMS: usize = 200_000;
const KNOWN_AT_ONCE: usize = 20;

/// An answer that cannot be true: the whole poll is dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PollError {
    /// An item that the question does not allow.
    #[error("the controller listed {uuid}, which was not asked for ({question})")]
    NotAskedFor {
        /// The item.
        uuid: ContainerUuid,
        /// Which question.
        question: &'static str,
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

/// One poll in progress.
#[derive(Debug)]
pub struct Poll {
    pub(super) began: Timestamp,
    pub(super) stamp: u64,
    pub(super) me: TokenUuid,
    stage: PollStage,
    after: Option<ContainerUuid>,
    offset: usize,
    not_supervisors: usize,
    received: usize,
    pub(super) seen: BTreeMap<ContainerUuid, Record>,
    pub(super) unreadable: BTreeMap<ContainerUuid, String>,
    /// Undecodable items that do not even tell whose they are.
    pub(super) nameless: Vec<String>,
    /// Whether the second answer reached an empty page.
    pub(super) available_is_complete: bool,
    /// Still to be asked for.
    to_ask: BTreeSet<ContainerUuid>,
    /// Asked for, and proven not to exist.
    pub(super) deleted: BTreeSet<ContainerUuid>,
}

impl ContainerQueue {
    /// Begins a poll. `None` until [`ContainerQueue::set_me`].
    pub fn begin_poll(&self, now: Timestamp) -> Option<Poll> {
        Some(Poll {
            began: now,
            stamp: self.stamp,
            me: self.me?,
            stage: PollStage::Mine,
            after: None,
            offset: 0,
            not_supervisors: 0,
            received: 0,
            seen: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            nameless: Vec::new(),
            available_is_complete: false,
            to_ask: BTreeSet::new(),
            deleted: BTreeSet::new(),
        })
    }
}

impl Poll {
    /// When it began.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// The next question, or `None` when the poll is complete.
    pub fn question(&self) -> Option<ListQuestion> {
        match self.stage {
            PollStage::Mine => Some(ListQuestion::Mine { me: self.me, after: self.after }),
            PollStage::Available => Some(ListQuestion::Available { offset: self.offset }),
            PollStage::Known => Some(ListQuestion::Known { uuids: self.chunk() }),
            PollStage::Done => None,
        }
    }

    fn chunk(&self) -> Vec<ContainerUuid> {
        self.to_ask.iter().copied().take(KNOWN_AT_ONCE).collect()
    }

    /// Takes the answer to [`Poll::question`].
    ///
    /// # Errors
    /// If the answer cannot be true: the poll must be dropped.
    pub fn answer(&mut self, page: Page<Record>, queue: &ContainerQueue) -> Result<(), PollError> {
        self.received += page.len();
        if self.received > MOST_ITEMS {
            return Err(PollError::Endless);
        }
        match self.stage {
            PollStage::Mine => self.answer_mine(page)?,
            PollStage::Available => self.answer_available(page)?,
            PollStage::Known => self.answer_known(page)?,
            PollStage::Done => {}
        }
        if self.stage == PollStage::Known && self.to_ask.is_empty() {
            self.stage = PollStage::Done;
        }
        if self.stage == PollStage::Available && self.available_ends() {
            self.to_ask = self.missing_from_answers(queue);
            self.stage = if self.to_ask.is_empty() { PollStage::Done } else { PollStage::Known };
        }
        Ok(())
    }

    fn answer_mine(&mut self, page: Page<Record>) -> Result<(), PollError> {
        if page.is_empty() {
            self.stage = PollStage::Available;
            return Ok(());
        }
        let floor = self.after;
        for record in &page.items {
            let asked = record.locked_by == Some(self.me) && floor.is_none_or(|after| record.uuid > after);
            require(asked, record.uuid, "locked by us")?;
            self.after = self.after.max(Some(record.uuid));
        }
        self.after = page.undecodable.iter().filter_map(|it| it.uuid).max().max(self.after);
        // A page in which no record's uuid can be read does not say where to go on.
        if self.after == floor {
            self.stage = PollStage::Available;
        }
        self.keep(page);
        Ok(())
    }

    fn answer_available(&mut self, page: Page<Record>) -> Result<(), PollError> {
        if page.is_empty() {
            self.available_is_complete = true;
            return Ok(());
        }
        for record in &page.items {
            let asked = record.state == ContainerState::Queued && record.priority > 0;
            require(asked, record.uuid, "queued with priority > 0")?;
            self.not_supervisors += usize::from(!record.scheduling.supervisor);
        }
        self.offset += page.len();
        self.keep(page);
        Ok(())
    }

    fn available_ends(&self) -> bool {
        self.available_is_complete || self.not_supervisors >= HORIZON
    }

    fn answer_known(&mut self, page: Page<Record>) -> Result<(), PollError> {
        let asked = self.chunk();
        if page.is_empty() {
            self.deleted.extend(&asked);
            self.to_ask.retain(|uuid| !asked.contains(uuid));
            return Ok(());
        }
        let mut progress = false;
        for uuid in
            page.items.iter().map(|it| it.uuid).chain(page.undecodable.iter().filter_map(|it| it.uuid))
        {
            require(asked.contains(&uuid), uuid, "known containers")?;
            progress |= self.to_ask.remove(&uuid);
        }
        if !progress {
            // Nameless poison: whichever of these it is, none is proven deleted, and what we have of
            // them is no longer a good picture.
            let hidden = |uuid| (uuid, "hidden among records that cannot be decoded".to_owned());
            self.unreadable
                .extend(asked.iter().filter(|uuid| self.to_ask.contains(uuid)).copied().map(hidden));
            self.to_ask.retain(|uuid| !asked.contains(uuid));
        }
        self.keep(page);
        Ok(())
    }

    /// Later answers are later news: they replace earlier ones about the same container.
    fn keep(&mut self, page: Page<Record>) {
        for record in page.items {
            self.unreadable.remove(&record.uuid);
            self.seen.insert(record.uuid, record);
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

    /// What we have, is not final, and was in neither answer; less what merely fell off a short answer.
    fn missing_from_answers(&self, queue: &ContainerQueue) -> BTreeSet<ContainerUuid> {
        let absent = queue.entries.values().filter(|entry| {
            let uuid = entry.record.uuid;
            let shown = self.seen.contains_key(&uuid) || self.unreadable.contains_key(&uuid);
            let fell_off = !self.available_is_complete
                && entry.record.state == ContainerState::Queued
                && entry.operation.is_none()
                && !entry.uncertain
                && entry.fit != Fit::Unsized;
            !shown && !fell_off && !entry.record.state.is_final()
        });
        absent.map(|entry| entry.record.uuid).collect()
    }
}

fn require(asked: bool, uuid: ContainerUuid, question: &'static str) -> Result<(), PollError> {
    if asked { Ok(()) } else { Err(PollError::NotAskedFor { uuid, question }) }
}

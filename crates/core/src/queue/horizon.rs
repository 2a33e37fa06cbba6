//! How far polls look among the waiting containers.
//!
//! ```text
//!   nothing can be placed now ─► one page, and once a minute as below: what fits no type at all is cancelled then
//!   otherwise                 ─► the first page, then on from where the last poll stopped, until the list ends, or
//!                                until 100 were seen that may find a place, or for 20 pages
//!   a whole pass found none   ─► one page a poll, for a minute or until more can be placed
//! ```
//! So everything is seen in turn, what cannot be placed hides nothing, and a cluster that is full but for crumbs is no
//! burden to the controller.

use std::sync::Arc;
use std::time::Duration;

use super::{Entry, Openings};
use crate::container::Record;
use crate::policy::{Policy, PollWindow};
use crate::time::{Timestamp, after};

/// Enough of the waiting containers to keep every instance busy until the next poll.
const ENOUGH: usize = 100;
/// The most pages in one poll.
const MOST_PAGES: usize = 20;
/// So many far containers are kept in a poll only to learn what the spot market has taken from them.
const MOST_LEARNT: usize = 20;
/// How long a pass in which nothing was found is not repeated, and how long polls read one page only while nothing can
/// be placed.
const REST: Duration = Duration::from_secs(60);

/// What is kept from one poll to the next.
#[derive(Debug, Default)]
pub(super) struct Horizon {
    /// What could be placed after the last plan; `None` = not known.
    openings: Option<Arc<Openings>>,
    /// The offset at which the next poll goes on after its first page.
    window: usize,
    /// Whether anything that may find a place was seen since the pass began.
    found: bool,
    /// The last pass found nothing while this could be placed: only first pages are read until then.
    rest: Option<(Arc<Openings>, Timestamp)>,
    /// Nothing can be placed, but a poll that begins after that reads on.
    reads_on: Option<Timestamp>,
    /// Whether the last poll that read on has read the whole list.
    saw_all: bool,
    /// Whether each poll reads the whole list.
    window_of_polls: PollWindow,
}

impl Horizon {
    pub(super) fn set_openings(&mut self, openings: Option<Arc<Openings>>) {
        self.openings = openings;
    }

    pub(super) fn set_window(&mut self, window: PollWindow) {
        self.window_of_polls = window;
    }

    /// A poll begins.
    pub(super) fn look(&self, now: Timestamp) -> Look {
        if self.window_of_polls == PollWindow::Whole {
            return Look { reads_all: true, ..Look::default() };
        }
        let openings = self.openings.clone();
        let rests = |open: &Arc<Openings>| {
            let rest = self.rest.as_ref().filter(|(_, until)| now < *until);
            rest.is_some_and(|(before, _)| !open.exceed(before))
        };
        let waits = |open: &Openings| open.are_none() && self.reads_on.is_none_or(|at| now < at);
        let one_page = openings.as_ref().is_some_and(|open| waits(open) || rests(open));
        Look { openings, one_page, window: self.window, ..Look::default() }
    }

    /// Whether no container waits that the last poll has not seen.
    pub(super) fn saw_all(&self) -> bool {
        self.saw_all
    }

    /// A poll that began then has ended.
    pub(super) fn learn(&mut self, look: &Look, began: Timestamp) {
        // Where nothing can be placed one page tells nothing of the others.
        if !look.one_page {
            self.saw_all = look.is_complete();
        }
        let Some(openings) = &look.openings else { return };
        if look.one_page {
            self.reads_on.get_or_insert(after(began, REST));
            return;
        }
        self.reads_on = None;
        self.window = match look.ended {
            true => 0,
            false if look.jumped || look.pages >= MOST_PAGES => look.offset,
            false => 0,
        };
        self.found |= look.placeable > 0;
        if look.ended {
            let is_in_vain = !self.found && (look.jumped || look.pages > 1);
            self.rest = is_in_vain.then(|| (Arc::clone(openings), after(began, REST)));
            self.found = false;
        }
    }
}

/// What the queue knows of a container that a poll shows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known<'a> {
    /// Its entry.
    pub(super) entry: Option<&'a Entry>,
    /// Whether it fell off the end of a list while something kept failing for it, and its back-off goes on.
    pub(super) is_left_alone: bool,
    /// On which market it would be placed.
    pub(super) placed_on: PlacedOn,
}

/// On which market a container would be placed that is not in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PlacedOn {
    /// The one that it wants.
    Wanted,
    /// On demand: the spot market has taken too much from it.
    OnDemand,
    /// That is not known, because its requests are not, and others have lost so much.
    NotKnown,
}

/// How far one poll has looked.
#[derive(Debug, Default)]
pub(super) struct Look {
    openings: Option<Arc<Openings>>,
    /// The whole list is read and kept.
    reads_all: bool,
    /// No more than the first page is read.
    one_page: bool,
    /// Where it goes on after the first page.
    window: usize,
    /// Where the next page begins.
    offset: usize,
    /// Some pages before the window were left out.
    jumped: bool,
    /// How many pages were read.
    pages: usize,
    /// How many were seen that are no supervisors.
    not_supervisors: usize,
    /// How many of these were seen before the present page.
    not_supervisors_before: usize,
    /// How many were seen that may find a place.
    placeable: usize,
    /// How many are kept only to learn what the spot market has taken from them.
    learnt: usize,
    /// An empty page has ended the list.
    ended: bool,
}

impl Look {
    /// Where the next page begins.
    pub(super) fn offset(&self) -> usize {
        self.offset
    }

    /// Whether a record of the present page is kept. Far away only those are kept that may find a place, so that the
    /// queue stays small.
    pub(super) fn keeps(&mut self, record: &Record, known: Known<'_>, policy: &Policy) -> bool {
        let is_near = self.reads_all || self.not_supervisors_before < ENOUGH && !self.jumped;
        self.not_supervisors += usize::from(!record.scheduling.supervisor);
        let suits = self.openings.as_ref().is_some_and(|openings| match known.entry {
            Some(entry) => openings.suit(entry),
            None if known.is_left_alone => false,
            None if known.placed_on == PlacedOn::OnDemand => openings.may_suit_on_demand(record, policy),
            None => openings.may_suit(record, policy),
        });
        self.placeable += usize::from(suits);
        let is_kept = is_near || suits || known.entry.is_some();
        is_kept || self.learns_of(record, known, policy)
    }

    /// Whether one that finds no place on the market that it wants is kept all the same, to learn whether it is placed on
    /// demand: few in a poll, and what was learnt is remembered when it falls off the list again.
    fn learns_of(&mut self, record: &Record, known: Known<'_>, policy: &Policy) -> bool {
        let may = known.placed_on == PlacedOn::NotKnown && !known.is_left_alone && self.learnt < MOST_LEARNT;
        let learns =
            may && self.openings.as_ref().is_some_and(|openings| openings.may_suit_on_demand(record, policy));
        self.learnt += usize::from(learns);
        learns
    }

    /// A page with that many records was read.
    pub(super) fn page_was_read(&mut self, records: usize) {
        if records == 0 {
            self.ended = true;
            return;
        }
        self.pages += 1;
        self.offset += records;
        self.not_supervisors_before = self.not_supervisors;
        if !self.is_over() && self.offset < self.window {
            (self.offset, self.jumped) = (self.window, true);
        }
    }

    /// Whether no further page is read.
    pub(super) fn is_over(&self) -> bool {
        let is_enough = match &self.openings {
            None => !self.reads_all && self.not_supervisors >= ENOUGH,
            Some(_) if self.one_page => self.pages >= 1,
            Some(_) => self.placeable >= ENOUGH || self.pages >= MOST_PAGES,
        };
        self.ended || is_enough
    }

    /// Whether the whole list was read.
    pub(super) fn is_complete(&self) -> bool {
        self.ended && !self.jumped
    }
}

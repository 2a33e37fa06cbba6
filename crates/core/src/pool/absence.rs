//! Listings that lack an instance, and when they are proof that it is gone.

use super::{LISTINGS_KEPT, Slot};
use crate::time::Timestamp;
use crate::worker::{State, View};

/// Consecutive listings that lack an instance, without a sign of life since the first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Absence {
    /// When the first of them began.
    pub since: Timestamp,
    pub listings: usize,
}

impl Absence {
    pub fn seen_again(before: Option<Self>, began: Timestamp, last_answer: Option<Timestamp>) -> Self {
        let goes_on = |it: &Self| began > it.since && last_answer.is_none_or(|at| at <= it.since);
        match before.filter(goes_on) {
            Some(before) => Self { listings: before.listings + 1, ..before },
            None => Self { since: began, listings: 1 },
        }
    }
}

/// How many listings must lack an instance. One in shutdown is asked rarely or not at all, so it gives hardly a sign of
/// life; only the cloud's acknowledgement is a proof that it ends.
pub(super) fn listings_needed(view: &View) -> usize {
    let may_live_on = view.state == State::Shutdown && !view.destroy_acknowledged;
    if may_live_on { LISTINGS_KEPT } else { 2 }
}

/// Whether an instance that listings lack is gone beyond their word: listings may omit one that lives and works. A probe
/// was under way in a pause of this process proves nothing. Where listings have been wrong already, one connection that
/// breaks is no proof either: two in a row are.
pub(super) fn is_proven(lacked: Absence, slot: &Slot, paused_until: Option<Timestamp>) -> bool {
    let view = &slot.view;
    let failed = if slot.omitted_alive { view.failed_afresh_before } else { view.failed_afresh };
    view.destroy_acknowledged || failed > paused_until.max(Some(lacked.since))
}

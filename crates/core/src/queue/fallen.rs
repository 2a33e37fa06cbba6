//! What is remembered of containers that fell off the end of a list, because they may come back.
//!
//! ```text
//!   beyond the horizon ─► only what we have seen of it ourselves is kept, for an hour
//!        ├ its back-off goes on      ─► polls that look far leave it alone
//!        ├ its requests are known    ─► it is not taken in again only to learn them
//!        └ a poll takes it in again  ─► as if it had never been dropped
//! ```
//! Otherwise a container that fails each time would be tried, dropped and taken in again, without any back-off.

use std::collections::BTreeMap;
use std::time::Duration;

use super::market::KnownRequests;
use super::{Entry, Setback, SetbackCause};
use crate::id::ContainerUuid;
use crate::time::{Timestamp, after};

/// Longer than the longest back-off, so that this goes on doubling.
const KEPT_FOR: Duration = Duration::from_secs(3600);

/// More than that are not remembered only for what was learnt of their requests.
const MOST_LEARNT: usize = 20_000;

/// What the controller's record does not tell.
#[derive(Debug)]
struct Past {
    first_seen: Timestamp,
    unlocks: u32,
    attempts_nearly_used: bool,
    setback: Option<Setback>,
    requests: KnownRequests,
    fell: Timestamp,
}

/// Those that have a past worth keeping. All operations cost O(log containers), those over all of them O(containers).
#[derive(Debug, Default)]
pub(super) struct Fallen(BTreeMap<ContainerUuid, Past>);

impl Fallen {
    /// That container is dropped from the queue because no list shows it any more.
    pub(super) fn note(&mut self, entry: &Entry, now: Timestamp) {
        let Entry { first_seen, unlocks, attempts_nearly_used, ref setback, ref requests, .. } = *entry;
        let is_learnt = requests.are_settled() && self.0.len() < MOST_LEARNT;
        if setback.is_some() || unlocks > 0 || is_learnt {
            let requests = if requests.are_settled() { requests.clone() } else { KnownRequests::default() };
            let setback = setback.clone();
            let past = Past { first_seen, unlocks, attempts_nearly_used, setback, requests, fell: now };
            self.0.insert(entry.record.uuid, past);
        }
    }

    /// The entry of a container that is taken in: again, if it is remembered.
    pub(super) fn recall(&mut self, mut entry: Entry) -> Entry {
        if let Some(past) = self.0.remove(&entry.record.uuid) {
            entry.first_seen = past.first_seen;
            entry.unlocks = past.unlocks;
            entry.attempts_nearly_used = past.attempts_nearly_used;
            entry.setback = past.setback;
            entry.requests = past.requests;
        }
        entry
    }

    /// What is known of the requests that it is tried for, if anything is.
    pub(super) fn requests(&self, uuid: ContainerUuid) -> Option<&KnownRequests> {
        self.0.get(&uuid).map(|past| &past.requests).filter(|requests| requests.are_settled())
    }

    /// Whether its back-off goes on.
    pub(super) fn is_left_alone(&self, uuid: ContainerUuid, now: Timestamp) -> bool {
        let setback = self.0.get(&uuid).and_then(|past| past.setback.as_ref());
        setback.is_some_and(|setback| setback.lasts_at(now))
    }

    /// An outage in which such calls failed is over: see [`Setback::outage_is_over`].
    pub(super) fn outage_is_over(&mut self, cause: SetbackCause) {
        let setbacks = self.0.values_mut().filter_map(|past| past.setback.as_mut());
        setbacks.for_each(|setback| setback.outage_is_over(cause));
    }

    /// Forgets those that have not come back for long.
    pub(super) fn forget_old(&mut self, now: Timestamp) {
        self.0.retain(|_, past| now < after(past.fell, KEPT_FOR));
    }
}

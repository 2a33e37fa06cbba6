//! What is known of the requests that a container is tried for.

use std::collections::{BTreeMap, BTreeSet};

use crate::container::MountNeeds;
use crate::id::{ContainerRequestUuid, ContainerUuid};

/// So many of a container's requests count.
const MOST_REQUESTS: usize = 32;
/// After so many answers that do not tell a container's requests they count as unknowable.
const MOST_TRIES: u8 = 3;

/// What is known of the requests that a container is tried for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::queue) struct KnownRequests {
    /// `None`: not known.
    known: Option<Box<[ContainerRequestUuid]>>,
    /// They are being asked for.
    is_asked: bool,
    /// Sizing waits for them.
    is_awaited: bool,
    /// What sizing needs of its mounts, if that was answered first.
    pub(in crate::queue) mounts: Option<MountNeeds>,
    /// How many answers have not told them.
    tries: u8,
}

impl KnownRequests {
    /// Whether the mounts wait for them, once they are there.
    pub(in crate::queue) fn are_awaited(&self) -> bool {
        self.is_awaited
    }

    pub(super) fn are_wanted(&self) -> bool {
        self.known.is_none() && !self.is_asked && self.tries < MOST_TRIES
    }

    pub(super) fn are_asked(&self) -> bool {
        self.is_asked
    }

    pub(in crate::queue) fn all(&self) -> &[ContainerRequestUuid] {
        self.known.as_deref().unwrap_or_default()
    }

    /// Whether nothing more will be learnt of them.
    pub(in crate::queue) fn are_settled(&self) -> bool {
        self.known.is_some() || self.tries >= MOST_TRIES
    }

    /// They are asked for; `awaits`: the container is to be placed, and is not sized before they are known.
    pub(super) fn ask(&mut self, awaits: bool) {
        (self.is_asked, self.is_awaited) = (true, awaits);
    }

    /// They are not waited for any longer; the mounts that wait for them, if any do.
    pub(super) fn stop_waiting(&mut self) -> Option<MountNeeds> {
        self.is_awaited = false;
        self.mounts.take()
    }

    /// They were asked for, and that is what is known now; the mounts that wait for them, if any do.
    pub(super) fn answered(
        &mut self,
        told: Option<Box<[ContainerRequestUuid]>>,
        counts: bool,
    ) -> Option<MountNeeds> {
        self.is_asked = false;
        self.tries += u8::from(told.is_none() && counts);
        self.known = told;
        self.stop_waiting()
    }
}

/// What the controller has answered about the requests of some containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::queue) enum RequestsAnswer {
    /// These, a pair each.
    Told(Vec<(ContainerUuid, ContainerRequestUuid)>),
    /// They cannot be read, maybe because of one of them.
    Unreadable,
    /// The controller is in trouble.
    Unavailable,
}

impl RequestsAnswer {
    /// Each request once.
    pub(super) fn by_container(&self) -> BTreeMap<ContainerUuid, Box<[ContainerRequestUuid]>> {
        let pairs: &[_] = if let Self::Told(pairs) = self { pairs } else { &[] };
        let mut told = BTreeMap::<_, BTreeSet<_>>::new();
        for (uuid, request) in pairs {
            let requests = told.entry(*uuid).or_default();
            if requests.len() < MOST_REQUESTS {
                requests.insert(*request);
            }
        }
        told.into_iter().map(|(uuid, requests)| (uuid, requests.into_iter().collect())).collect()
    }
}

//! One worker in the table: its last view, and what was sent to it and is not confirmed yet.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Host;
use super::absence::Absence;
use super::pacer::Urgency;
use crate::id::ContainerUuid;
use crate::instance::Instance;
use crate::time::Timestamp;
use crate::worker::{ProbeTurn, View};

/// A worker in the table.
#[derive(Debug)]
pub(super) struct Slot {
    pub(super) view: Arc<View>,
    /// What a plan reads of it; follows from the other fields.
    pub(super) host: Arc<Host>,
    pub(super) instance: Arc<Instance>,
    /// Containers whose start was sent and not yet confirmed by a view, with the command's number.
    pub(super) sent: BTreeMap<ContainerUuid, u64>,
    /// The last listings that lack the instance.
    pub(super) missing: Option<Absence>,
    /// Since a listing has shown it last others have lacked it, and it has answered after that: their word is worth less.
    pub(super) omitted_alive: bool,
    /// When the last listing that lacked it began.
    pub(super) last_absent: Option<Timestamp>,
    /// Whether a listing has shown it long after it was first destroyed.
    pub(super) outstays: bool,
    /// Whether nothing is expected to run there any more, although listings show it.
    pub(super) written_off: bool,
    /// Whether the cloud has announced to a process there that it will be taken away.
    pub(super) spot_notice: Option<Arc<str>>,
    /// The number of the command to renew it, until a view takes that into account.
    pub(super) renewal_sent: Option<u64>,
    /// Whether any listing has shown it.
    pub(super) listed: bool,
    /// When its create was sent; `None` = it was found.
    pub(super) ordered: Option<Timestamp>,
    /// When the probe began whose failure made us ask it to shut down for its silence.
    pub(super) shutdown_requested_for_probe: Option<Timestamp>,
}

/// When a worker is to be probed, and how urgent that is.
pub(super) fn wish(view: &View, is_missing: bool) -> Option<(Timestamp, Urgency)> {
    view.next_probe.map(|(at, turn)| match (turn, is_missing) {
        (ProbeTurn::OutOfTurn | ProbeTurn::EndHinted, true) => (at, Urgency::Missing),
        (ProbeTurn::EndHinted, false) => (at, Urgency::EndHinted),
        (ProbeTurn::OutOfTurn, false) => (at, Urgency::OutOfTurn),
        (ProbeTurn::InTurn, _) => (at, Urgency::InTurn),
    })
}

impl Slot {
    /// Makes a new host if what a plan reads has changed; true = it has. An unchanged host is shared with earlier
    /// snapshots, and compared with them by its address.
    pub(super) fn renew_host(&mut self) -> bool {
        let mut host = Host::new(&self.view, self.sent.keys().copied(), self.missing.is_some());
        (host.outstays, host.written_off) = (self.outstays, self.written_off);
        host.spot_notice = self.spot_notice.is_some();
        let is_news = host != *self.host;
        if is_news {
            self.host = Arc::new(host);
        }
        is_news
    }

    /// The containers that count as processes on it.
    pub(super) fn containers(&self) -> BTreeSet<ContainerUuid> {
        let viewed = self.view.processes.iter().map(|process| process.uuid);
        viewed.chain(self.sent.keys().copied()).collect()
    }
}

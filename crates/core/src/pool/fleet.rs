//! What a planning round reads of the pool: the fleet. It holds raw facts and no secrets: limits and
//! holds are as they were noted and types are names. The plan decides what they mean at a moment and under a
//! configuration.
//!
//! ```text
//!   view + starts in flight + listings ─► Host (shared; a new one is made only if one of its facts has changed)
//!                                          └─► Fleet: hosts, creates in flight, ended processes, holds, listings
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::census::Census;
use super::cordon::Cordons;
use super::failed_starts::FailedStarts;
use super::holds::Holds;
use super::snapshot::EndedProcess;
use crate::id::{ContainerUuid, InstanceId, ProviderType, TypeName};
use crate::instance::{Catalog, IdleBehavior, InstanceType};
use crate::time::{Timestamp, shift};
use crate::worker::{FenceView, State, View};

/// A process that counts on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostProcess {
    /// The container.
    pub uuid: ContainerUuid,
    /// When we started or found it; `None`: its start was just sent to the worker.
    #[serde(default)]
    pub since: Option<Timestamp>,
    /// Whether a kill is under way.
    pub killing: bool,
}

/// What a plan reads of a worker. The times of its probes and its address are not part of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The instance.
    pub id: InstanceId,
    /// The type that its tag names; it may not be configured.
    pub type_name: Option<TypeName>,
    /// The cloud's name of its type; `None` = not recorded.
    #[serde(default)]
    pub provider_type: Option<ProviderType>,
    /// The configured type of that name, if the cloud calls it so. Follows from the catalog.
    #[serde(skip)]
    instance_type: Option<Arc<InstanceType>>,
    /// The worker's state.
    pub state: State,
    /// The idle behaviour that the operator, or we, have set.
    pub behavior: IdleBehavior,
    /// Whether this process created it.
    pub ours: bool,
    /// Whether a probe of it has ever succeeded.
    pub has_answered: bool,
    /// Whether its list has shown all that runs there, including what an earlier dispatcher had just started.
    pub processes_known: bool,
    /// When a list came that has shown all of that because the fence lets nothing more come.
    #[serde(default)]
    pub fenced_since: Option<Timestamp>,
    /// Whether nothing can be started there any more, because its fence is not ours.
    #[serde(default)]
    pub lacks_fence: bool,
    /// Whether nothing can be started there any more, because the runner cannot be copied.
    #[serde(default)]
    pub lacks_runner: bool,
    /// Whether it has proven itself before and cannot any more: nothing is started there.
    #[serde(default)]
    pub unproven: bool,
    /// Whether the last listing lacked it.
    pub missing: bool,
    /// Whether a listing has shown it long after it was first destroyed: it may never end.
    #[serde(default)]
    pub outstays: bool,
    /// Whether it is on hold or destroyed and has been silent for half an hour: no start of an earlier dispatcher is
    /// expected to show there any more.
    #[serde(default)]
    pub written_off: bool,
    /// Whether the cloud has announced to a process there that it will be taken away.
    #[serde(default)]
    pub spot_notice: bool,
    /// The processes that count on it, including starts in flight.
    pub processes: Vec<HostProcess>,
    /// Containers whose process is dead while its lock is still held there.
    pub stale: Vec<ContainerUuid>,
}

impl Host {
    /// From a worker's view, the containers whose start was sent and is not in the view yet, and whether the
    /// last listing lacked it. O(processes × log).
    pub fn new(view: &View, sent: impl IntoIterator<Item = ContainerUuid>, missing: bool) -> Self {
        let viewed = view.processes.iter().map(|it| HostProcess {
            uuid: it.uuid,
            since: Some(it.since),
            killing: it.killing,
        });
        let is_viewed =
            |uuid: &ContainerUuid| view.processes.binary_search_by_key(uuid, |it| it.uuid).is_ok();
        let sent = sent.into_iter().filter(|uuid| !is_viewed(uuid));
        let sent = sent.map(|uuid| HostProcess { uuid, since: None, killing: false });
        Self {
            id: view.id.clone(),
            type_name: view.type_name.clone(),
            provider_type: ProviderType::new(&view.provider_type).ok(),
            instance_type: view.instance_type.clone(),
            state: view.state,
            behavior: view.behavior,
            ours: view.ours,
            has_answered: view.last_success.is_some(),
            processes_known: view.processes_known,
            fenced_since: view.fenced_since,
            lacks_runner: view.lacks_runner,
            lacks_fence: view.state.is_ready() && view.fence != FenceView::Ours,
            unproven: view.unproven,
            missing,
            outstays: false,
            written_off: false,
            spot_notice: false,
            processes: viewed.chain(sent).collect(),
            stale: view.stale.clone(),
        }
    }

    /// An instance of that type which this process has created and which is in service: as it may once be.
    pub(crate) fn foreseen(id: &InstanceId, it: &Arc<InstanceType>) -> Self {
        Self {
            id: id.clone(),
            type_name: Some(it.name.clone()),
            provider_type: Some(it.provider_type.clone()),
            instance_type: Some(Arc::clone(it)),
            state: State::Idle,
            behavior: IdleBehavior::Run,
            ours: true,
            has_answered: true,
            processes_known: true,
            fenced_since: None,
            lacks_fence: false,
            lacks_runner: false,
            unproven: false,
            missing: false,
            outstays: false,
            written_off: false,
            spot_notice: false,
            processes: Vec::new(),
            stale: Vec::new(),
        }
    }

    /// The same in service, if it boots now.
    pub(crate) fn once_booted(&self) -> Option<Self> {
        let boots = self.state == State::Booting && !self.missing;
        boots.then(|| Self { state: State::Idle, has_answered: true, processes_known: true, ..self.clone() })
    }

    /// Its configured type, if it has one.
    pub fn instance_type(&self) -> Option<&Arc<InstanceType>> {
        self.instance_type.as_ref()
    }

    /// Whether containers may be placed on it, or reserved for it. Every place in the code asks this function.
    pub fn is_placeable(&self) -> bool {
        self.state != State::Shutdown
            && self.behavior == IdleBehavior::Run
            && self.instance_type.is_some()
            && !self.missing
            && !self.spot_notice
            && !self.lacks_fence
            && !self.lacks_runner
            && !self.unproven
    }

    /// Whether its processes are not known yet. A worker that never answered stays unknown while it is
    /// destroyed, because its processes may live until it is gone.
    pub fn is_unknown(&self) -> bool {
        match self.state {
            // One that cannot be used (it has no fence, and is on hold) may have listed all that runs there.
            State::Unknown => !self.processes_known && !self.written_off,
            State::Shutdown => !self.ours && !self.has_answered && !self.processes_known && !self.written_off,
            State::Booting | State::Idle | State::Running => false,
        }
    }

    /// Whether a start of an earlier dispatcher may still show there.
    pub fn may_show_more(&self) -> bool {
        !self.processes_known && !self.written_off
    }

    /// Whether the cloud has given it for good: it is in service, or the operator holds it. A held instance stays
    /// even if it never becomes ready.
    pub fn is_there_to_stay(&self) -> bool {
        self.state.is_ready() || self.behavior == IdleBehavior::Hold
    }

    /// The containers that count as processes on it.
    pub fn containers(&self) -> impl Iterator<Item = ContainerUuid> + '_ {
        self.processes.iter().map(|process| process.uuid)
    }

    fn under(&self, catalog: &Catalog) -> Self {
        let named = self.type_name.as_ref().and_then(|name| catalog.get(name.as_str()));
        let is_one =
            |it: &&Arc<InstanceType>| self.provider_type.as_ref().is_none_or(|is| *is == it.provider_type);
        Self { instance_type: named.filter(is_one).cloned(), ..self.clone() }
    }
}

/// A create that was sent and has not become a worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateInFlight {
    /// The instance type.
    pub type_name: TypeName,
    /// The configured type of that name. Follows from the catalog.
    #[serde(skip)]
    instance_type: Option<Arc<InstanceType>>,
    /// Whether its outcome is unknown.
    pub is_doubtful: bool,
}

impl CreateInFlight {
    /// A create of this type.
    pub fn new(it: &Arc<InstanceType>, is_doubtful: bool) -> Self {
        Self { type_name: it.name.clone(), instance_type: Some(Arc::clone(it)), is_doubtful }
    }

    /// Its configured type; a create that was sent under another catalog may have none.
    pub fn instance_type(&self) -> Option<&Arc<InstanceType>> {
        self.instance_type.as_ref()
    }

    fn under(&self, catalog: &Catalog) -> Self {
        Self { instance_type: catalog.get(self.type_name.as_str()).cloned(), ..self.clone() }
    }
}

/// What a planning round reads of the pool.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fleet {
    /// All workers, by id.
    pub hosts: Vec<Arc<Host>>,
    /// Creates in flight, oldest first.
    pub creates: Vec<CreateInFlight>,
    /// How many more calls are open whose instance a listing has shown already: it counts as a host.
    #[serde(default)]
    pub shown_before_answer: usize,
    /// Processes that have ended and are not forgotten yet.
    pub ended: BTreeMap<ContainerUuid, EndedProcess>,
    /// The starts of each container that came to nothing.
    pub failed_starts: BTreeMap<ContainerUuid, FailedStarts>,
    /// The holds on creates.
    pub holds: Holds,
    /// When the first complete listing began.
    pub first_listing: Option<Timestamp>,
    /// When the last [`LISTINGS_KEPT`](super::LISTINGS_KEPT) complete listings began, latest last.
    pub listings: Vec<Timestamp>,
    /// How many listings, each begun at least [`LISTINGS_APART`](super::LISTINGS_APART) after the last one that counts,
    /// have ended since the start; no more than [`LISTINGS_KEPT`](super::LISTINGS_KEPT) are counted.
    #[serde(default)]
    pub spaced_listings: usize,
    /// Whether the runner to deploy can be read.
    pub runner_readable: bool,
    /// Whether so many hosts are silent that none is destroyed for it.
    #[serde(default)]
    pub outage: bool,
    /// Whether our own system calls fail.
    #[serde(default)]
    pub own_side_fails: bool,
    /// What operators have forbidden to be created.
    #[serde(default)]
    pub cordons: Arc<Cordons>,
    /// Tenths of an instance a day that the spot market takes of each type of which it takes any.
    #[serde(default)]
    pub interruptions: Arc<BTreeMap<TypeName, u32>>,
}

impl Fleet {
    /// Whether any worker's processes are not known yet. O(workers).
    pub fn has_unknown_hosts(&self) -> bool {
        self.hosts.iter().any(|host| host.is_unknown())
    }

    /// Counts workers and creates. O(workers).
    pub fn census(&self) -> Census {
        let creates = self.creates.iter().filter_map(|create| create.instance_type().map(|it| &**it));
        Census::count(self.hosts.iter().map(|host| &**host), creates)
    }

    /// The same fleet, its types looked up in that catalog.
    #[must_use]
    pub(crate) fn under(&self, catalog: &Catalog) -> Self {
        Self {
            hosts: self.hosts.iter().map(|host| Arc::new(host.under(catalog))).collect(),
            creates: self.creates.iter().map(|create| create.under(catalog)).collect(),
            ..self.clone()
        }
    }

    /// Moves every moment by this duration.
    pub(crate) fn shift(&mut self, by: SignedDuration) {
        self.ended.values_mut().for_each(|ended| shift(&mut ended.at, by));
        self.failed_starts.values_mut().for_each(|failed| shift(&mut failed.at, by));
        self.holds.shift(by);
        Arc::make_mut(&mut self.cordons).shift(by);
        self.first_listing.iter_mut().chain(&mut self.listings).for_each(|at| shift(at, by));
        for host in &mut self.hosts {
            if host.fenced_since.is_some() || !host.processes.is_empty() {
                let host = Arc::make_mut(host);
                let began = host.processes.iter_mut().filter_map(|process| process.since.as_mut());
                began.chain(&mut host.fenced_since).for_each(|at| shift(at, by));
            }
        }
    }
}

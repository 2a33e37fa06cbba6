//! What Pool wants done, and what it tells.

use crate::id::{ContainerUuid, InstanceId, ProviderType, TypeName};
use crate::instance::{Instance, Offering};
use crate::ports::{CapacityScope, CloudError};
use crate::time::Timestamp;
use crate::worker::{self, Command, State};

use super::{CreateId, Pause, StandingHold};

/// What Pool wants done.
#[derive(Debug, Clone, PartialEq)]
pub enum PoolEffect {
    /// Send this create.
    Create(CreateId),
    /// Start a worker for an instance that has appeared; true = this process created it.
    Spawn(Instance, bool),
    /// Send this command to a worker; its views return the number.
    Command(InstanceId, u64, Command),
    /// Stop this worker: its instance is gone.
    Stop(InstanceId),
    /// List the cloud's instances no later than at this moment.
    SyncBy(Timestamp),
    /// Tell the queue that the spot market has taken the instance on which these containers had a process.
    LostToMarket(Vec<ContainerUuid>),
    /// Tell the scheduler to plan again: what a plan reads of the fleet has changed.
    FleetChanged,
    /// Tell the operator.
    Tell(PoolFact),
}

/// What happened, for logs and metrics.
#[derive(Debug, Clone, PartialEq)]
pub enum PoolFact {
    /// A create is sent.
    Creating {
        /// The instance type.
        type_name: TypeName,
        /// The cloud's name of it.
        provider_type: ProviderType,
        /// The container for which it is created; `None` = it is for the reserve.
        container: Option<ContainerUuid>,
    },
    /// A create failed.
    CreateFailed {
        /// The instance type.
        type_name: TypeName,
        /// The error.
        error: CloudError,
    },
    /// Creates within a quota wait until fewer instances exist, or a retry is due. Told once a hold.
    QuotaHold {
        /// The type that was refused.
        type_name: TypeName,
        /// How many instances exist in its scope; creates in flight are none.
        instances: usize,
        /// When one create is tried again.
        retry_at: Timestamp,
        /// The cloud's error.
        error: CloudError,
    },
    /// Creates of this scope wait for a while, because the cloud lacks capacity.
    CapacityHold {
        /// The type that was refused.
        type_name: TypeName,
        /// The scope of the lack of capacity.
        scope: CapacityScope,
        /// The end of the hold.
        until: Timestamp,
        /// The cloud's error.
        error: CloudError,
    },
    /// All creates wait for a while, because the cloud limits the rate.
    RateHold {
        /// The end of the hold.
        until: Timestamp,
        /// The cloud's error.
        error: CloudError,
    },
    /// A hold on creates has ended for good: its time is over, or a create or a boot has succeeded, and for a minute there
    /// was none like it.
    HoldEnded {
        /// Which.
        hold: StandingHold,
        /// When.
        at: Timestamp,
    },
    /// Booting failed too often: creates of that offering are rationed.
    BootsFail {
        /// The offering.
        offering: Offering,
        /// The number of failures in a row.
        failures: u32,
        /// When the next create may be tried.
        until: Timestamp,
    },
    /// This process has not lived for that long.
    Paused(std::time::Duration),
    /// An instance has appeared.
    Appeared {
        /// The instance, with its tags.
        instance: Instance,
        /// Whether this process created it.
        ours: bool,
    },
    /// An instance is gone.
    Disappeared {
        /// The instance.
        instance: InstanceId,
        /// The type that its tag names.
        type_name: Option<TypeName>,
        /// The last state of its worker.
        state: State,
        /// How long after the last destroy call; `None` = none was made.
        after_shutdown: Option<std::time::Duration>,
        /// Why, in the cloud's words, if it has told.
        reason: Option<String>,
    },
    /// An instance that we ordered has ended by itself before it was in service: it counts as a boot that failed.
    EndedWhileBooting {
        /// The instance.
        instance: InstanceId,
        /// The type that its tag names.
        type_name: Option<TypeName>,
        /// How long it was there.
        lived: std::time::Duration,
        /// Why, in the cloud's words, if it has told.
        reason: Option<String>,
    },
    /// A spot instance is gone that nobody here has ended: the market has taken it.
    Interrupted {
        /// The instance.
        instance: InstanceId,
        /// Its type.
        type_name: TypeName,
        /// How long it was there.
        lived: std::time::Duration,
    },
    /// So many workers are silent that the fault must be on our side: none is destroyed.
    OutageBegan {
        /// The number of silent workers.
        silent: usize,
        /// The number of workers that ever answered.
        of: usize,
    },
    /// The outage is over, because one of the silent workers answers, or a new one: silent workers are destroyed again.
    OutageEnded,
    /// The cloud has announced to a process that its instance will be taken away.
    SpotNotice {
        /// The instance.
        instance: InstanceId,
        /// The container of that process.
        container: ContainerUuid,
        /// What it has announced.
        notice: String,
    },
    /// An operator's pause of creates is over, by itself.
    CreatesResumed(Pause),
    /// A worker is to be shut down because it is silent.
    Unresponsive(InstanceId, worker::Silence),
    /// The first complete listing has ended; the number of workers.
    FirstListing(usize),
}

//! Creates in flight. Each is counted once, whether its answer or a listing shows its instance first: both carry
//! the instance's secret.

use std::sync::Arc;
use std::time::Duration;

use super::census::Census;
use super::holds::{Gate, QuotaReason};
use super::inventory::OwnOrder;
use super::supply::CreateLimits;
use super::{PauseReason, PoolEffect, PoolFact, WorkerPool};
use crate::id::ContainerUuid;
use crate::instance::{Instance, InstanceType};
use crate::ports::{CloudError, CloudErrorKind};
use crate::secret::Secret;
use crate::time::{Timestamp, after};

/// A create whose outcome is unknown is given up after a listing that began this long after the failure.
const LISTING_LAG: Duration = Duration::from_secs(60);

/// The number of a create; later creates have greater numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CreateId(pub u64);

/// A create that was sent and has not become a worker.
#[derive(Debug, Clone, PartialEq)]
pub struct PendingCreate {
    /// The instance type.
    pub instance_type: Arc<InstanceType>,
    /// The secret that its instance will carry.
    pub secret: Secret,
    /// When it was sent.
    pub since: Timestamp,
    /// Since when its outcome is unknown.
    pub doubtful: Option<Timestamp>,
}

/// The reasons why a create is not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CreateRefusal {
    /// The gate of its type is not open.
    Gate(Gate),
    /// No such type is configured any more, or it is another now.
    TypeChanged,
}

impl CreateRefusal {
    /// For metrics and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TypeChanged => "instance type is configured otherwise now",
            Self::Gate(Gate::Open) => "gate is open",
            Self::Gate(Gate::Paused(PauseReason::RateLimit)) => "rate limit",
            Self::Gate(Gate::Paused(PauseReason::CreatesInFlight)) => {
                "reached MaxConcurrentInstanceCreateOps"
            }
            Self::Gate(Gate::Paused(PauseReason::RunnerUnreadable)) => "runner cannot be read",
            Self::Gate(Gate::Paused(PauseReason::OwnSide)) => "our own side fails",
            Self::Gate(Gate::Paused(PauseReason::BootsFail)) => "instances of this offering do not boot",
            Self::Gate(Gate::Paused(PauseReason::CreateFailed)) => "the last create failed",
            Self::Gate(Gate::Paused(PauseReason::NearQuota)) => "near the account's limit",
            Self::Gate(Gate::Paused(cause @ (PauseReason::Operator | PauseReason::TypeDrained))) => {
                cause.in_words()
            }
            Self::Gate(Gate::AtQuota(QuotaReason::Account)) => "account limit",
            Self::Gate(Gate::AtQuota(QuotaReason::MaxInstances)) => "MaxInstances reached",
            Self::Gate(Gate::AtCapacity(_)) => "the cloud has no capacity",
        }
    }
}

impl WorkerPool {
    /// Whether an instance of this type may be created now under all limits.
    pub fn gate(&self, it: &InstanceType, now: Timestamp) -> Gate {
        let limits = CreateLimits {
            max_instances: self.policy.max_instances,
            max_concurrent_creates: self.policy.max_concurrent_creates,
            creates_in_flight: self.creates_in_flight(),
            runner_readable: self.runner_readable,
            own_side_fails: self.own_side_fails,
            cordons: &self.cordons,
        };
        limits.gate(it, &self.holds, &self.census(), now)
    }

    /// Creates whose call has not answered. A listing that shows the instance does not end the call.
    pub(super) fn creates_in_flight(&self) -> usize {
        let pending = self.creates.values().filter(|create| create.doubtful.is_none()).count();
        pending + self.shown_before_answer.len()
    }

    /// Instances have appeared, changed or gone. O(1) as long as nothing depends on their number, because thousands
    /// may appear in one listing.
    pub(super) fn recount(&mut self) {
        if self.holds.depend_on_numbers() {
            let census = self.census();
            self.holds.recount(&census);
            self.forget_outgrown_capacities();
        }
    }

    /// Counts workers in any state and pending creates. O(workers).
    pub(super) fn census(&self) -> Census {
        let hosts = self.workers.values().map(|slot| &*slot.host);
        Census::count(hosts, self.creates.values().map(|create| &*create.instance_type))
    }

    /// Sends a create; `secret` is fresh from the system's random source.
    ///
    /// # Errors
    /// If the type's gate is not open, or it is not configured like that.
    pub fn create(
        &mut self,
        it: Arc<InstanceType>,
        container: Option<ContainerUuid>,
        secret: Secret,
        now: Timestamp,
    ) -> Result<Vec<PoolEffect>, CreateRefusal> {
        // It was planned under a configuration that does not hold any more.
        if self.policy.catalog.get(it.name.as_str()) != Some(&it) {
            return Err(CreateRefusal::TypeChanged);
        }
        match self.gate(&it, now) {
            Gate::Open => {}
            gate => return Err(CreateRefusal::Gate(gate)),
        }
        self.sequence += 1;
        let id = CreateId(self.sequence);
        self.holds.sent(&it, now);
        let fact = PoolFact::Creating {
            type_name: it.name.clone(),
            provider_type: it.provider_type.clone(),
            container,
        };
        self.creates.insert(id, PendingCreate { instance_type: it, secret, since: now, doubtful: None });
        Ok(vec![PoolEffect::Tell(fact), PoolEffect::Create(id)])
    }

    /// A create in flight.
    pub fn pending(&self, id: CreateId) -> Option<&PendingCreate> {
        self.creates.get(&id)
    }

    /// Takes a create's answer. If a listing has shown the instance before, the answer tells nothing new.
    pub fn create_finished(
        &mut self,
        id: CreateId,
        answer: Result<Instance, CloudError>,
        now: Timestamp,
    ) -> Vec<PoolEffect> {
        let shown_before = self.shown_before_answer.remove(&id);
        match answer {
            Ok(instance) => {
                let create = self.creates.remove(&id);
                if let Some(create) = &create {
                    self.refusals.forget(&create.instance_type.name, create.since);
                    self.holds.succeeded(&create.instance_type, create.since);
                }
                let shown = OwnOrder { secret: None, sent: shown_before.unwrap_or(now) };
                self.appear(instance, Some(create.map_or(shown, OwnOrder::from)), now)
            }
            Err(error) => self.create_failed(id, &error, now),
        }
    }

    fn create_failed(&mut self, id: CreateId, error: &CloudError, now: Timestamp) -> Vec<PoolEffect> {
        let Some(create) = self.creates.get_mut(&id) else { return Vec::new() };
        let (it, sent) = (Arc::clone(&create.instance_type), create.since);
        let mut effects = Vec::new();
        if error.kind == CloudErrorKind::Unknown {
            create.doubtful = Some(now);
            effects.push(PoolEffect::SyncBy(after(now, LISTING_LAG)));
        } else {
            self.creates.remove(&id);
        }
        self.refusals.note(&it.name, error, now);
        self.observe_capacity(&it, error);
        let census = self.census();
        effects.extend(self.holds.failed(&it, error, &census, sent, now).into_iter().map(PoolEffect::Tell));
        effects
    }

    /// Removes and returns the pending create of an instance with this secret, which becomes a worker.
    pub(super) fn claim(&mut self, secret: Option<&Secret>) -> Option<PendingCreate> {
        let secret = secret?;
        let id = self.creates.iter().find(|(_, create)| create.secret == *secret).map(|(id, _)| *id)?;
        let create = self.creates.remove(&id)?;
        if create.doubtful.is_none() {
            self.shown_before_answer.insert(id, create.since);
        }
        self.holds.succeeded(&create.instance_type, create.since);
        Some(create)
    }

    /// A complete listing that began then has shown every instance: doubtful creates that it lacks have failed.
    pub(super) fn give_up_doubtful(&mut self, listing_began: Timestamp) {
        self.creates.retain(|_, create| {
            create.doubtful.is_none_or(|failed| listing_began < after(failed, LISTING_LAG))
        });
    }
}

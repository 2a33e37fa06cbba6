//! The instances, creates in progress included.

use std::sync::Arc;

use dispatch_core::id::ContainerUuid;
use dispatch_core::instance::{IdleBehavior, InstanceType, Price};
use dispatch_core::ledger::price_now;
use dispatch_core::pool::{PendingCreate, PoolSnapshot, WorkerSnapshot};
use dispatch_core::worker::{Renewal, State};
use serde::Serialize;
use utoipa::ToSchema;

use super::shown;
use crate::api::description::words;
use crate::api::list::Items;

/// An instance as the API shows it. A create in progress has no id yet.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Instance)]
pub struct InstanceView<'a> {
    instance: &'a str,
    address: &'a str,
    /// What it costs now, an hour.
    price: f64,
    arvados_instance_type: &'a str,
    provider_instance_type: &'a str,
    /// Empty if it has had none.
    last_container_uuid: String,
    #[schema(format = DateTime)]
    last_busy: String,
    #[schema(schema_with = words::container_uuids)]
    running_container_uuids: Vec<ContainerUuid>,
    #[schema(schema_with = words::worker_state)]
    worker_state: &'static str,
    #[schema(schema_with = words::idle_behavior)]
    idle_behavior: IdleBehavior,
    /// Who has asked for that, as claimed.
    idle_behavior_by: &'a str,
    /// Why.
    idle_behavior_reason: &'a str,
    /// When; empty if nobody has asked.
    #[schema(schema_with = words::date_or_nothing)]
    idle_behavior_at: String,
    /// When it was first seen, or ordered.
    #[schema(format = DateTime)]
    appeared_at: String,
    /// Since when it exists, by the cloud's clock; empty if the cloud does not tell, or not yet.
    #[schema(schema_with = words::date_or_nothing)]
    launched_at: String,
    /// Whether it would be made otherwise today: from another image, init command or definition of its type.
    drifted: bool,
    /// Why it is being renewed; empty if it is not.
    #[schema(schema_with = words::renewal)]
    renewal: &'static str,
    /// What the cloud has announced to a process there, if it will take the instance away; else empty.
    spot_notice: &'a str,
    /// Whether it is kept for what comes next (`IdleReserve`), although nothing runs there.
    spare: bool,
}

/// All of them, by id: creates in progress, which have none, come first.
pub struct Instances(pub Arc<PoolSnapshot>);

impl Items for Instances {
    fn count(&self) -> usize {
        self.0.pending.len() + self.0.workers.len()
    }

    fn write(&self, place: usize, to: &mut Vec<u8>) -> serde_json::Result<()> {
        let PoolSnapshot { pending, workers, .. } = &*self.0;
        let view = match pending.get(place) {
            Some((_, create)) => InstanceView::pending(create),
            None => InstanceView::of(&workers[place - pending.len()]),
        };
        serde_json::to_writer(to, &view)
    }
}

impl<'a> InstanceView<'a> {
    fn of(worker: &'a WorkerSnapshot) -> Self {
        let view = &worker.view;
        let mut running: Vec<_> = worker.containers().collect();
        running.sort_unstable();
        let note = view.note.as_ref();
        Self {
            instance: view.id.as_str(),
            address: &view.address,
            price: price(worker).per_hour(),
            arvados_instance_type: view.type_name.as_ref().map_or("", |name| name.as_str()),
            provider_instance_type: &view.provider_type,
            last_container_uuid: view.last_container.map(|uuid| uuid.to_string()).unwrap_or_default(),
            last_busy: shown(view.last_busy),
            running_container_uuids: running,
            worker_state: view.state.as_str(),
            idle_behavior: view.behavior,
            idle_behavior_by: note.map_or("", |note| &note.by),
            idle_behavior_reason: note.map_or("", |note| &note.reason),
            idle_behavior_at: note.map(|note| shown(note.at)).unwrap_or_default(),
            appeared_at: shown(view.appeared),
            // Of the cloud's clock, which is not ours to correct.
            launched_at: worker.instance.launched.map(|at| at.to_string()).unwrap_or_default(),
            drifted: view.drifted,
            renewal: view.renewal.map_or("", Renewal::as_str),
            spot_notice: worker.spot_notice.as_deref().unwrap_or_default(),
            spare: view.spare,
        }
    }

    fn pending(create: &'a PendingCreate) -> Self {
        let it: &InstanceType = &create.instance_type;
        Self {
            instance: "",
            address: "",
            price: it.price.per_hour(),
            arvados_instance_type: it.name.as_str(),
            provider_instance_type: it.provider_type.as_str(),
            last_container_uuid: String::new(),
            last_busy: shown(create.since),
            running_container_uuids: Vec::new(),
            worker_state: State::Booting.as_str(),
            idle_behavior: IdleBehavior::Run,
            idle_behavior_by: "",
            idle_behavior_reason: "",
            idle_behavior_at: String::new(),
            appeared_at: shown(create.since),
            launched_at: String::new(),
            drifted: false,
            renewal: "",
            spot_notice: "",
            spare: false,
        }
    }
}

/// What it costs now, an hour: what the cloud says, else what its type costs at most, else unknown.
fn price(worker: &WorkerSnapshot) -> Price {
    price_now(&worker.view, &worker.instance).unwrap_or(Price::ZERO)
}

//! What a round asks of a worker, read once: views are large, and lie all over the memory.

use std::sync::Arc;

use crate::id::{ContainerUuid, InstanceId};
use crate::instance::InstanceType;
use crate::pool::{PoolSnapshot, WorkerSnapshot};
use crate::worker::State;

/// A worker of the round.
#[derive(Clone, Copy)]
pub(super) struct Host<'a> {
    pub(super) id: &'a InstanceId,
    pub(super) state: State,
    /// Whether its list has told of all that runs there.
    pub(super) seen_whole: bool,
    /// Its type, if containers may be placed on it.
    pub(super) placeable: Option<&'a Arc<InstanceType>>,
    /// Containers whose dead process's lock is held there.
    pub(super) stale: &'a [ContainerUuid],
    worker: &'a WorkerSnapshot,
}

/// A process on a worker.
pub(super) struct Found {
    pub(super) uuid: ContainerUuid,
    pub(super) can_be_killed: bool,
}

impl<'a> Host<'a> {
    /// All workers, in the order of the snapshot.
    pub(super) fn all(pool: &'a PoolSnapshot) -> Vec<Self> {
        let host = |worker: &'a WorkerSnapshot| {
            let view = &*worker.view;
            // What cannot be deployed cannot be started either.
            let takes_containers = worker.is_placeable() && pool.runner_readable;
            Self {
                id: &view.id,
                state: view.state,
                seen_whole: view.seen_whole,
                placeable: view.instance_type.as_ref().filter(|_| takes_containers),
                stale: &view.stale,
                worker,
            }
        };
        pool.workers.iter().map(host).collect()
    }

    /// Processes on a worker in shutdown count as alive until the instance is gone.
    pub(super) fn processes(&self) -> impl Iterator<Item = Found> + 'a {
        let Self { worker, state, .. } = *self;
        worker.containers().map(move |uuid| {
            let killing = worker.process(uuid).is_some_and(|process| process.killing);
            Found { uuid, can_be_killed: !killing && state != State::Shutdown }
        })
    }
}

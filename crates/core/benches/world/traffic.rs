//! The cores of queue and pool themselves, filled through their own methods.

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatch_core::container::{ContainerState, MountNeeds, Record};
use dispatch_core::id::ContainerUuid;
use dispatch_core::instance::InstanceType;
use dispatch_core::policy::Policy;
use dispatch_core::pool::WorkerPool;
use dispatch_core::ports::Page;
use dispatch_core::queue::{ContainerQueue, Poll};
use dispatch_core::worker::{Machine, Silence, State, View};

use super::site::{Site, Sizes, at, instance, me};

/// What the controller has: records, and what was read of their mounts.
pub struct Controller {
    policy: Arc<Policy>,
    records: Vec<Record>,
    mounts: BTreeMap<ContainerUuid, Result<MountNeeds, String>>,
}

impl Controller {
    /// Half of the containers are under our lock already.
    pub fn new(site: &mut Site, containers: usize, sizes: Sizes) -> Self {
        let state = |n: usize| [ContainerState::Queued, ContainerState::Locked][n % 2];
        let records: Vec<_> = (0..containers).map(|n| site.record(n, state(n), sizes)).collect();
        let mut mounts = BTreeMap::new();
        for record in &records {
            mounts.insert(record.uuid, Ok(MountNeeds { tmp_bytes: site.scratch(sizes) }));
        }
        Self { policy: Arc::clone(&site.policy), mounts, records }
    }

    /// One container that runs for each worker of that type, and as many more that wait ([`super::Scene::full_of_one`]).
    pub fn with_one_on_each(
        site: &mut Site,
        waiting: usize,
        workers: usize,
        it: &InstanceType,
        halves: bool,
    ) -> Self {
        let (mut records, mut mounts) = (Vec::new(), BTreeMap::new());
        for n in 0..workers + waiting {
            let runs = n < workers;
            let state = if runs { ContainerState::Running } else { ContainerState::Queued };
            let mut record = site.record(n, state, Sizes::Mixed);
            record.scheduling.preemptible = false;
            // What is left differs from worker to worker.
            let (most, some) = (it.ram / 20 * 17 + (n as u64 % 997) * 1_000_003, it.ram / 4);
            let takes_ram = runs && (!halves || n % 2 == 0);
            record.runtime_constraints.ram = if takes_ram {
                most
            } else if runs {
                0
            } else {
                some
            };
            record.runtime_constraints.vcpus = 1;
            let scratch = it.scratch() / 20;
            let takes_scratch = runs && !takes_ram;
            let tmp_bytes = if takes_scratch {
                scratch * 18
            } else if runs {
                0
            } else {
                scratch * 10
            };
            mounts.insert(record.uuid, Ok(MountNeeds { tmp_bytes }));
            records.push(record);
        }
        Self { policy: Arc::clone(&site.policy), mounts, records }
    }

    /// The uuid of the container of that number.
    pub fn uuid(&self, n: usize) -> ContainerUuid {
        self.records[n].uuid
    }

    /// A complete poll, begun at that second.
    pub fn polled(&self, queue: &ContainerQueue, second: i64) -> Poll {
        let mut poll = queue.begin_poll(at(second)).expect("we know who we are");
        let (queued, mine): (Vec<_>, Vec<_>) =
            self.records.iter().cloned().partition(|it| it.state == ContainerState::Queued);
        for items in [mine, vec![], queued, vec![]] {
            if poll.question().is_some() {
                let page = Page { items, undecodable: vec![] };
                poll.answer(page, queue, &self.policy).expect("the controller does not lie");
            }
        }
        assert!(poll.question().is_none(), "it is complete");
        poll
    }

    /// A queue that has polled once and read all mounts.
    pub fn queue(&self) -> ContainerQueue {
        let mut queue = empty_queue();
        let poll = self.polled(&queue, 1);
        queue.merge(poll, at(1));
        queue.take_mounts(&self.mounts, &self.policy, at(1));
        queue
    }
}

/// Never polled.
pub fn empty_queue() -> ContainerQueue {
    let mut queue = ContainerQueue::new(5);
    queue.set_me(me());
    queue
}

/// A pool with that many workers.
pub fn pool(site: &mut Site, workers: usize) -> WorkerPool {
    let mut pool = WorkerPool::new(Arc::clone(&site.policy), BTreeMap::new());
    for n in 0..workers {
        pool.appeared(instance(n, &site.draw_type()), at(0));
    }
    pool
}

/// The views of a pool's workers when none of them has answered for too long, as in an outage on our side.
pub fn silent_views(pool: &mut WorkerPool) -> Vec<Arc<View>> {
    let silent = |view: &Arc<View>| View {
        state: State::Idle,
        last_success: Some(at(1)),
        silence: Some((Silence::Unresponsive, at(700))),
        ..View::clone(view)
    };
    let views: Vec<_> = pool.snapshot().workers.iter().map(|it| Arc::new(silent(&it.view))).collect();
    for view in &views {
        pool.worker_changed(Arc::clone(view), 0, &[], at(701));
    }
    views
}

/// The machines of that many workers.
pub fn machines(site: &mut Site, workers: usize) -> Vec<Machine> {
    let machine = |n| Machine::new(instance(n, &site.draw_type()), false, Arc::clone(&site.policy), at(0)).0;
    (0..workers).map(machine).collect()
}

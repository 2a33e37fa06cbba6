//! Queue and Pool themselves, filled through their own doors.

use std::collections::BTreeMap;
use std::sync::Arc;

use dispatch_core::container::{ContainerState, MountNeeds, Record};
use dispatch_core::policy::Policy;
use dispatch_core::pool::Pool;
use dispatch_core::ports::Page;
use dispatch_core::queue::{Poll, Queue};
use dispatch_core::worker::Machine;

use super::site::{Site, Sizes, at, instance, me};

/// A complete poll that shows those records, begun at that second.
pub fn polled(queue: &Queue, records: &[Record], second: i64) -> Poll {
    let mut poll = queue.begin_poll(at(second)).expect("we know who we are");
    let (queued, mine): (Vec<_>, Vec<_>) =
        records.iter().cloned().partition(|it| it.state == ContainerState::Queued);
    for items in [mine, vec![], queued, vec![]] {
        if poll.question().is_some() {
            let page = Page { items, undecodable: vec![] };
            poll.answer(page, queue).expect("the controller does not lie");
        }
    }
    assert!(poll.question().is_none(), "it is complete");
    poll
}

/// A queue with that many containers, polled once and sized, and their records.
pub fn queue_of(containers: usize, sizes: Sizes) -> (Queue, Vec<Record>) {
    let mut site = Site::new();
    let state = |n: usize| [ContainerState::Queued, ContainerState::Locked][n % 2];
    let records: Vec<_> = (0..containers).map(|n| site.record(n, state(n), sizes)).collect();
    let mut queue = Queue::new(5);
    queue.set_me(me());
    let poll = polled(&queue, &records, 1);
    queue.merge(poll, at(1));
    let mounts: BTreeMap<_, _> =
        records.iter().map(|it| (it.uuid, Ok(MountNeeds { tmp_bytes: site.scratch(sizes) }))).collect();
    queue.take_mounts(&mounts, &site.policy);
    (queue, records)
}

/// A pool with that many workers, and the machines behind them.
pub fn pool_of(workers: usize) -> (Arc<Policy>, Pool, Vec<Machine>) {
    let mut site = Site::new();
    let policy = Arc::clone(&site.policy);
    let mut pool = Pool::new(Arc::clone(&policy), BTreeMap::new());
    let mut machines = Vec::with_capacity(workers);
    for n in 0..workers {
        let instance = instance(n, &site.draw_type());
        pool.appeared(instance.clone(), at(0));
        machines.push(Machine::new(instance, false, Arc::clone(&policy), at(0)).0);
    }
    (policy, pool, machines)
}

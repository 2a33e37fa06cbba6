//! Judges what a world has cost, at its end: VMs, their idle time, calls and starts of each container.
//!
//! The bounds are several times what a hunt of the present dispatcher shows as its maximum
//! (`dispatch-sim --fresh`): they find what goes on without end, and not what could be a little cheaper.

use std::time::Duration;

use dispatch_core::time::since;

use super::Verdict;
use crate::clock;
use crate::cloud::CloudVm;
use crate::world::World;
use crate::world::figures::{Figures, starts};

/// The most starts of one container that reach a VM.
const MOST_STARTS: u64 = 60;
/// The most calls of one kind about one container, and how many more in each virtual hour: the longest back-off
/// is ten minutes, and polls may ask for more.
const MOST_CALLS: u64 = 40;
const MORE_CALLS_AN_HOUR: u64 = 12;
/// And how many more for each dispatcher: it knows nothing of the back-offs of the one before.
const MORE_CALLS_A_DISPATCHER: u64 = 7;
/// How many VMs a world may make: some in any case, more for each container, and more in each virtual hour.
const MOST_VMS: u64 = 30;
const MORE_VMS_FOR_A_CONTAINER: u64 = 6;
const MORE_VMS_AN_HOUR: u64 = 12;
/// The longest time that a VM may be without a process: an operator's hold of an hour, and what follows.
const LONGEST_IDLENESS: Duration = Duration::from_secs(4 * 3600);

/// Whether the world has cost more than it may.
pub(in crate::world) fn judge(world: &World) -> Verdict {
    let hours = since(clock::now(), clock::epoch()).as_secs() / 3600 + 1;
    within("VMs made", (world.vms_made() - taken_away(world)) as u64, most_vms(world, hours))?;
    let longest = Figures::of(world).idle_seconds.max();
    within("seconds without a process on one VM", longest, LONGEST_IDLENESS.as_secs())?;
    for (uuid, starts) in starts(world) {
        within(&format!("starts of {uuid}"), starts, MOST_STARTS)?;
    }
    let arvados = world.arvados.borrow();
    let most = MOST_CALLS + MORE_CALLS_AN_HOUR * hours + MORE_CALLS_A_DISPATCHER * world.incarnations;
    for uuid in arvados.containers().map(|it| it.uuid) {
        let tally = arvados.history().tally(uuid);
        within(&format!("calls to lock {uuid}"), tally.lock_calls.into(), most)?;
        within(&format!("calls to unlock {uuid}"), tally.unlock_calls.into(), most)?;
        within(&format!("calls to cancel {uuid}"), tally.cancel_calls.into(), most)?;
        within(&format!("reads of {uuid}"), tally.reads.into(), most)?;
    }
    Ok(())
}

/// VMs that the world itself has ended. Each had to be replaced, however sparing the dispatcher is.
fn taken_away(world: &World) -> usize {
    let has_ended = |vm: &CloudVm| vm.taken_away && vm.ends_at.is_some_and(|at| at <= clock::now());
    world.cloud.borrow().vms().filter(|vm| has_ended(vm)).count()
}

fn most_vms(world: &World, hours: u64) -> u64 {
    let containers = world.arvados.borrow().containers().count() as u64;
    MOST_VMS + MORE_VMS_FOR_A_CONTAINER * containers + MORE_VMS_AN_HOUR * hours
}

fn within(what: &str, count: u64, most: u64) -> Verdict {
    if count <= most { Ok(()) } else { Err(format!("cost: {count} {what}, {most} allowed")) }
}

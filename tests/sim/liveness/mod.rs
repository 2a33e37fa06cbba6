//! Nothing stops for one: what never heals, and what fails together, harms only what it concerns.
//!
//! Each story has healthy containers beside the fault, and says within which time they finish and how many calls,
//! starts and VMs that may cost.

mod controller;
mod pool;
mod restart;
mod starts;
mod together;

use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::id::ContainerUuid;
use dispatch_sim::controller::facts::Tally;
use dispatch_sim::world::World;

/// Lets time pass until as many containers are Complete.
async fn complete(world: &mut World, count: usize, limit: Duration) {
    let what = format!("{count} are complete");
    world.run_until(&what, limit, |world| world.count(ContainerState::Complete) == count).await;
}

/// How often things happened to that container at the controller.
fn tally(world: &World, uuid: ContainerUuid) -> Tally {
    world.arvados.borrow().history().tally(uuid)
}

/// How many unlocks the dispatcher sent in all.
fn unlock_calls(world: &World) -> u32 {
    world.containers().iter().map(|uuid| tally(world, *uuid).unlock_calls).sum()
}

/// The containers that are not of that priority.
fn others(world: &World, priority: i64) -> Vec<ContainerUuid> {
    let arvados = world.arvados.borrow();
    arvados.containers().filter(|it| it.priority != priority).map(|it| it.uuid).collect()
}

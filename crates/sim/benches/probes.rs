//! How many probes a second a pool of 10,000 VMs grants of the 1,000 that it may, with the machine's own timers.
//!
//! The VMs and the controller are simulated, the actors and the clock are real. Takes about four minutes, most of them
//! until all VMs are there. Ends with a ratio:
//! probes made over probes allowed.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_sim::chance::Span;
use dispatch_sim::vm::facts::CommandKind;
use dispatch_sim::world::{World, WorldKnobs, simulate_in_real_time};

const VMS: usize = 10_000;
const RATE: u64 = 1_000;
const MEASURED: Duration = Duration::from_secs(20);

fn main() {
    let mut knobs = WorldKnobs::new(1).with_jobs(VMS, 2, 3_600).with_instances(VMS as u32);
    let policy = &mut knobs.policy;
    (policy.max_concurrent_creates, policy.max_cloud_ops_per_second) = (0, 0);
    (policy.initial_quota_estimate, policy.max_containers_per_instance) = (0, 1);
    (policy.max_probes_per_second, policy.probe_interval) = (Some(RATE as u32), Duration::from_secs(10));
    knobs.vms.boots_after = Span::between_millis(500, 1_000);
    knobs.step = Duration::from_secs(5);
    let probes = simulate_in_real_time(knobs, async |world| {
        let limit = Duration::from_secs(600);
        world.run_until("all run", limit, |world| world.count(ContainerState::Running) == VMS).await;
        let before = lists(world);
        world.run_for(MEASURED).await;
        lists(world) - before
    });
    let allowed = RATE * MEASURED.as_secs();
    println!("{probes} probes of {VMS} VMs in {} s, {allowed} allowed", MEASURED.as_secs());
    println!("RATIO probes_made_over_allowed = {:.3}", probes as f64 / allowed as f64);
}

fn lists(world: &World) -> u64 {
    world.vms.borrow().history().commands().get(&CommandKind::List).copied().unwrap_or(0)
}

//! Many at once.

use dispatch_core::container::ContainerState;
use dispatch_sim::chance::Span;
use dispatch_sim::world::{WorldKnobs, simulate};

use crate::{minutes, seconds};

#[test]
fn five_thousand_containers_on_five_hundred_vms_all_complete_and_nothing_stays() {
    let mut knobs = WorldKnobs::new(1).with_jobs(5000, 2, 60).with_instances(500);
    // As sites of that size are set up.
    knobs.policy.max_concurrent_creates = 0;
    knobs.policy.max_cloud_ops_per_second = 0;
    knobs.vms.boots_after = Span::between_millis(10_000, 40_000);
    knobs.step = seconds(1);
    simulate(knobs, async |world| {
        // Ten rounds of a minute, and what lies between them.
        world
            .run_until("all done", minutes(30), |world| world.count(ContainerState::Complete) == 5000)
            .await;
        world.drain(minutes(30)).await;
        assert!(world.vms_made() <= 500, "{} VMs", world.vms_made());
        let figures = world.summary();
        assert_eq!((figures.processes, figures.unlocks), (5000, 0), "each ran once, none was put back");
    });
}

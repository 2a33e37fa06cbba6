//! A container of which every start fails.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::id::ContainerUuid;
use dispatch_sim::chance::Span;
use dispatch_sim::group::Group;
use dispatch_sim::vm::facts::VmFact;
use dispatch_sim::vm::knobs::{Crash, Job};
use dispatch_sim::vm::lasting::StartFailure;
use dispatch_sim::world::{World, WorldKnobs, simulate};

use super::{complete, others};
use crate::{minutes, seconds};

/// How many starts of it reached a VM, whatever became of them.
fn starts(world: &World, uuid: ContainerUuid) -> usize {
    let is_start = |fact: &VmFact| match fact {
        VmFact::Started { container, .. } | VmFact::StartFailed { container, .. } => *container == uuid,
        _ => false,
    };
    world.vms.borrow().history().entries().iter().filter(|entry| is_start(&entry.fact)).count()
}

/// Eight healthy containers beside two whose starts fail.
fn two_of_ten(seed: u64) -> WorldKnobs {
    let mut knobs = WorldKnobs::new(seed).with_jobs(10, 2, 60).with_instances(4);
    for it in &mut knobs.containers[..2] {
        it.priority = 900;
    }
    knobs
}

fn exits_at_once(world: &World, uuid: ContainerUuid) {
    let job = Job { running_after: Duration::from_millis(50), crash: Crash::BeforeRunning, ..Job::default() };
    world.vms.borrow_mut().knobs.job_of.insert(uuid, job);
}

fn refuses(failure: StartFailure) -> impl Fn(&World, ContainerUuid) {
    move |world, uuid| {
        world.vms.borrow_mut().knobs.lasting.start_failures.insert(uuid, failure.clone());
    }
}

/// Lets the healthy ones end, and then the others; returns the error that their user reads.
fn errors(seed: u64, poison: impl Fn(&World, ContainerUuid)) -> Vec<String> {
    simulate(two_of_ten(seed), async |world| {
        let poisoned = others(world, 500);
        poisoned.iter().for_each(|uuid| poison(world, *uuid));
        complete(world, 8, minutes(20)).await;
        let in_vain: usize = poisoned.iter().map(|uuid| starts(world, *uuid)).sum();
        assert!(in_vain <= 24, "{in_vain} starts while the others ran");
        world.drain(minutes(180)).await;
        assert_eq!(world.count(ContainerState::Cancelled), 2);
        // Four at a time, and one for each attempt that comes longer than `TimeoutIdle` after the last: of ten
        // attempts these are the last six.
        assert!(world.vms_made() <= 4 + 2 * 6, "{} VMs", world.vms_made());
        for uuid in &poisoned {
            let starts = starts(world, *uuid);
            assert!((2..=32).contains(&starts), "{starts} starts of {uuid}");
        }
        let arvados = world.arvados.borrow();
        let text = |uuid: &ContainerUuid| {
            let record = arvados.container(*uuid).unwrap();
            record.runtime_status.get("error").map_or(String::new(), ToString::to_string)
        };
        poisoned.iter().map(text).collect()
    })
}

#[test]
fn a_runner_that_always_exits_at_once_costs_few_starts_and_no_vms() {
    let texts = errors(1, exits_at_once);
    assert!(texts.iter().all(|text| text.contains("crunch-run ended on instance")), "{texts:?}");
}

#[test]
fn the_user_reads_what_the_runner_said_when_the_last_start_failed() {
    let texts = errors(2, refuses(StartFailure::Says("no such image: arvados/jobs".to_owned())));
    assert!(texts.iter().all(|text| text.contains("no such image: arvados/jobs")), "{texts:?}");
}

#[test]
fn the_user_reads_that_the_runner_said_nothing() {
    let texts = errors(3, refuses(StartFailure::Silent));
    assert!(texts.iter().all(|text| text.contains("and crunch-run wrote nothing")), "{texts:?}");
}

#[test]
fn starts_that_fail_again_and_again_come_less_and_less_often() {
    let mut knobs = two_of_ten(4);
    knobs.settings.max_dispatch_attempts = 1000;
    knobs.policy.max_dispatch_attempts = 1000;
    simulate(knobs, async |world| {
        let poisoned = others(world, 500);
        poisoned.iter().for_each(|uuid| exits_at_once(world, *uuid));
        world.run_for(minutes(20)).await;
        // Two at once, then after 10, 20, 40, 80, 160, and 300 s.
        let starts: Vec<_> = poisoned.iter().map(|uuid| starts(world, *uuid)).collect();
        assert!(starts.iter().all(|count| (4..=14).contains(count)), "{starts:?} starts in 20 minutes");
        assert!(world.vms_made() <= 10, "{} VMs", world.vms_made());
    });
}

/// Its image fills the memory of the VM, say: each start ends a VM before the job is Running. No attempt is used up, and
/// a new VM was made for it as fast as they boot, without end.
#[test]
fn a_job_that_ends_each_of_its_vms_is_tried_less_and_less_often() {
    let mut knobs = WorldKnobs::new(5).with_jobs(1, 2, 60).with_instances(4);
    knobs.vms.jobs.running_after = Span::seconds(3600);
    simulate(knobs, async |world| {
        for _ in 0..12 * 60 {
            world.run_for(seconds(10)).await;
            if !world.busy_vms().is_empty() {
                world.end_together(&Group::Everything);
            }
        }
        assert!(world.vms_made() <= 24, "{} VMs in two hours", world.vms_made());
    });
}

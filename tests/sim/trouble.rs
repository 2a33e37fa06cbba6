//! VMs, and the cloud.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_sim::chance::Span;
use dispatch_sim::clock::now;
use dispatch_sim::cloud::knobs::{CloudCall, CloudFault};
use dispatch_sim::controller::state::Changes;
use dispatch_sim::group::Group;
use dispatch_sim::samples::spot_type;
use dispatch_sim::vm::knobs::{Crash, Helper, Job, Ssh};
use dispatch_sim::world::{WorldKnobs, job, simulate};

use crate::{minutes, seconds};

#[test]
fn vms_that_never_boot_are_replaced() {
    let mut knobs = WorldKnobs::new(1).with_jobs(10, 2, 30).with_instances(5);
    knobs.vms.never_boots_rate = 0.3;
    simulate(knobs, async |world| {
        world.drain(minutes(180)).await;
        assert_eq!(world.count(ContainerState::Complete), 10);
    });
}

#[test]
fn a_bad_image_does_not_cost_for_ever() {
    let mut knobs = WorldKnobs::new(2).with_jobs(10, 2, 30).with_instances(10);
    knobs.vms.never_boots_rate = 1.0;
    knobs.policy.max_concurrent_creates = 0;
    simulate(knobs, async |world| {
        world.run_for(minutes(240)).await;
        let made = world.vms_made();
        assert!(made <= 10 + 15, "{made} VMs in four hours");
        world.stop_faults();
        world.drain(minutes(120)).await;
        assert_eq!(world.count(ContainerState::Complete), 10);
    });
}

#[test]
fn a_vm_that_dies_while_it_runs_something_is_the_end_of_that_attempt_only() {
    let mut knobs = WorldKnobs::new(3);
    knobs.containers = vec![dispatch_sim::controller::Submission { max_attempts: 2, ..job(1, 300) }];
    simulate(knobs, async |world| {
        world.run_until("it runs", minutes(10), |world| world.count(ContainerState::Running) == 1).await;
        let vm = world.busy_vms()[0].clone();
        world.cloud.borrow_mut().take_away(&vm, now());
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Cancelled), 1);
        assert_eq!(world.count(ContainerState::Complete), 1);
    });
}

#[test]
fn spot_vms_that_vanish_are_replaced() {
    let mut knobs = WorldKnobs::new(4).with_jobs(10, 2, 120).with_instances(4);
    knobs.policy.catalog = dispatch_core::instance::Catalog::new([(*spot_type("spot", 2)).clone()]);
    knobs.cloud.spot_taken_rate = 0.5;
    knobs.cloud.spot_taken_after = Span::between_millis(30_000, 300_000);
    for it in &mut knobs.containers {
        it.spec.scheduling.preemptible = true;
        it.max_attempts = 20;
    }
    simulate(knobs, async |world| {
        world.drain(minutes(240)).await;
        assert_eq!(world.count(ContainerState::Complete), 10);
    });
}

/// crunch-run writes what the cloud has told it into the record of its container.
#[test]
fn a_vm_whose_end_was_announced_gets_nothing_new() {
    let mut knobs = WorldKnobs::new(9).with_jobs(1, 1, 300).with_instances(4);
    knobs.policy.max_containers_per_instance = 4;
    simulate(knobs, async |world| {
        world.run_until("it runs", minutes(10), |world| world.count(ContainerState::Running) == 1).await;
        let (first, vm) = (world.containers()[0], world.busy_vms()[0].clone());
        let notice =
            serde_json::json!({ "runtime_status": { "preemptionNotice": "spot interruption at 12:00" } });
        let told = Changes::from_json(&notice).unwrap();
        {
            let mut arvados = world.arvados.borrow_mut();
            let process = arvados.process_with(None);
            arvados.update(first, &told, process, now()).unwrap();
        }
        world.run_for(seconds(20)).await;
        world.submit(job(1, 100));
        world.run_until("both run", minutes(10), |world| world.count(ContainerState::Running) == 2).await;
        assert_eq!(world.busy_vms().len(), 2, "the second has a VM of its own");
        assert!(world.busy_vms().contains(&vm));
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 2);
    });
}

#[test]
fn two_listings_that_omit_three_hundred_busy_vms_that_answer_end_no_job() {
    let mut knobs = WorldKnobs::new(6).with_jobs(300, 2, 1800).with_instances(300);
    knobs.policy.max_concurrent_creates = 0;
    knobs.policy.max_cloud_ops_per_second = 0;
    knobs.policy.max_probes_per_second = Some(10);
    simulate(knobs, async |world| {
        world.run_until("all run", minutes(20), |world| world.count(ContainerState::Running) == 300).await;
        world.omit_together(&Group::Everything);
        world.drain(minutes(60)).await;
        assert_eq!((world.count(ContainerState::Complete), world.summary().processes), (300, 300));
    });
}

#[test]
fn listings_that_omit_a_busy_vm_that_answers_do_no_harm_however_many_they_are() {
    for times in [1, 2, 40] {
        let mut knobs = WorldKnobs::new(5).with_jobs(2, 2, 600);
        knobs.cloud.most_omissions = 40;
        simulate(knobs, async |world| {
            world.run_until("both run", minutes(10), |world| world.count(ContainerState::Running) == 2).await;
            for vm in world.busy_vms() {
                world.cloud.borrow_mut().omit_next(&vm, times);
            }
            world.drain(minutes(30)).await;
            assert_eq!(world.count(ContainerState::Complete), 2);
            assert_eq!(world.summary().processes, 2);
        });
    }
}

/// Found by chaos (seed 42771012). Whenever the one connection that is opened to ask it breaks without a word.
#[test]
fn one_connection_that_breaks_while_listings_omit_a_vm_that_answers_ends_no_job() {
    for after in (0..60_000).step_by(1_000) {
        let mut knobs = WorldKnobs::new(5).with_jobs(1, 2, 600);
        (knobs.cloud.most_omissions, knobs.vms.silent_break_rate) = (40, 1.0);
        simulate(knobs, async move |world| {
            world.run_until("it runs", minutes(10), |world| world.count(ContainerState::Running) == 1).await;
            let vm = world.busy_vms()[0].clone();
            world.cloud.borrow_mut().omit_next(&vm, 40);
            world.run_for(seconds(60) + Duration::from_millis(after)).await;
            world.vms.borrow_mut().cut_connection(&vm);
            world.drain(minutes(30)).await;
            assert_eq!(world.count(ContainerState::Complete), 1, "cut after {after} ms");
        });
    }
}

#[test]
fn a_broken_vm_gets_nothing_more() {
    simulate(WorldKnobs::new(6).with_jobs(10, 2, 60).with_instances(2), async |world| {
        world.run_until("two run", minutes(10), |world| world.count(ContainerState::Running) == 2).await;
        let broken = world.busy_vms()[0].clone();
        world.vms.borrow_mut().behaviour(&broken).unwrap().broken = true;
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 10);
        let vms = world.vms.borrow();
        let started = |entry: &&dispatch_sim::vm::facts::VmEntry| matches!(&entry.fact, dispatch_sim::vm::facts::VmFact::Started { vm, .. } if *vm == broken);
        assert_eq!(vms.history().entries().iter().filter(started).count(), 1);
    });
}

#[test]
fn a_stale_lock_for_ever_does_not_keep_its_vm() {
    simulate(WorldKnobs::new(7).with_jobs(1, 1, 60), async |world| {
        let uuid = world.containers()[0];
        let crashing = Job { crash: Crash::WhileRunning, helper: Helper::KeepsLockForEver, ..Job::default() };
        world.vms.borrow_mut().knobs.job_of.insert(uuid, crashing);
        world.drain(minutes(30)).await;
        assert_eq!(world.count(ContainerState::Cancelled), 1);
    });
}

#[test]
fn a_full_disk_does_not_burn_the_attempts_of_the_queue() {
    let mut knobs = WorldKnobs::new(8).with_jobs(20, 2, 30).with_instances(3);
    knobs.settings.max_dispatch_attempts = 5;
    knobs.policy.max_dispatch_attempts = 5;
    simulate(knobs, async |world| {
        world.run_until("two VMs", minutes(10), |world| world.own_vms().len() >= 2).await;
        let full = world.own_vms()[0].clone();
        world.vms.borrow_mut().behaviour(&full).unwrap().full_disk = true;
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 20);
    });
}

#[test]
fn a_create_whose_answer_is_lost_is_not_paid_twice() {
    let mut knobs = WorldKnobs::new(9).with_jobs(1, 1, 30);
    knobs.cloud.strike_next(CloudCall::Create, CloudFault::LostAnswer);
    simulate(knobs, async |world| {
        world.drain(minutes(30)).await;
        assert_eq!(world.vms_made(), 1);
    });
}

#[test]
fn a_destroy_that_is_lost_or_ignored_is_asked_for_again() {
    let mut knobs = WorldKnobs::new(10).with_jobs(2, 2, 10);
    for fault in [CloudFault::LostCall, CloudFault::IgnoredSilently, CloudFault::Other] {
        knobs.cloud.strike_next(CloudCall::Destroy, fault);
    }
    simulate(knobs, async |world| {
        world.drain(minutes(30)).await;
        assert!(world.own_vms().is_empty());
    });
}

#[test]
fn a_crash_before_running_is_tried_again() {
    simulate(WorldKnobs::new(11).with_jobs(1, 1, 30), async |world| {
        let uuid = world.containers()[0];
        let crashing = Job { crash: Crash::BeforeRunning, ..Job::default() };
        world.vms.borrow_mut().knobs.job_of.insert(uuid, crashing);
        world.run_for(seconds(60)).await;
        world.vms.borrow_mut().knobs.job_of.clear();
        world.drain(minutes(30)).await;
        assert_eq!(world.count(ContainerState::Complete), 1);
    });
}

/// Whoever was being started there has lost nothing: no attempt is used up by a connection that failed.
#[test]
fn an_sshd_that_refuses_for_a_moment_costs_no_attempt() {
    simulate(WorldKnobs::new(45).with_jobs(1, 2, 30).with_instances(1), async |world| {
        world.run_until("one is done", minutes(10), |world| world.count(ContainerState::Complete) == 1).await;
        world.run_for(seconds(20)).await;
        let vm = world.own_vms()[0].clone();
        world.vms.borrow_mut().behaviour(&vm).unwrap().ssh = Ssh::Refused;
        world.vms.borrow_mut().cut_connection(&vm);
        // Idle and silent for a moment: the next one is sent there, and does not get through.
        let next = world.submit(job(2, 30));
        world.run_for(seconds(40)).await;
        world.vms.borrow_mut().behaviour(&vm).unwrap().ssh = Ssh::Fine;
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 2);
        let record = world.arvados.borrow().container(next).unwrap().clone();
        assert_eq!((record.lock_count, world.summary().unlocks), (1, 0));
    });
}

/// A runner of another version says more of a process, a login shell greets, and connections break within a list.
#[test]
fn lists_that_are_strange_or_cut_end_no_job_and_start_none_twice() {
    let mut knobs = WorldKnobs::new(31).with_jobs(8, 2, 900).with_instances(8);
    knobs.vms.strange_list_rate = 1.0;
    simulate(knobs, async |world| {
        world.run_until("all run", minutes(20), |world| world.count(ContainerState::Running) == 8).await;
        world.vms.borrow_mut().knobs.cut_list_rate = 1.0;
        world.run_for(minutes(10)).await;
        assert_eq!(world.count(ContainerState::Running), 8);
        world.restart().await;
        world.run_for(minutes(3)).await;
        world.vms.borrow_mut().knobs.cut_list_rate = 0.0;
        world.drain(minutes(60)).await;
        assert_eq!((world.count(ContainerState::Complete), world.vms_made()), (8, 8));
    });
}

/// A cleaner has removed the copied runner, and the disk is full: another runner says what runs there.
#[test]
fn a_job_ends_well_on_a_vm_to_which_the_runner_cannot_be_copied_any_more() {
    let mut knobs = WorldKnobs::new(31).with_jobs(1, 1, 3600);
    knobs.runner = "#!runner".to_owned();
    knobs.vms.disk_fills_rate = 1.0;
    knobs.vms.runners_removed_rate = 1.0;
    knobs.vms.turns_after = Span::seconds(600);
    simulate(knobs, async |world| {
        world.run_until("it runs", minutes(9), |world| world.count(ContainerState::Running) == 1).await;
        let busy = world.busy_vms();
        world.run_for(minutes(50)).await;
        assert_eq!(world.busy_vms(), busy, "{}", world.history());
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 1);
        assert_eq!(world.summary().processes, 1);
    });
}

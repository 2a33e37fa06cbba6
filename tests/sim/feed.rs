//! The controller's event feed: it makes us ask sooner, and nothing else.

use dispatch_core::container::ContainerState;
use dispatch_core::time::since;
use dispatch_sim::chance::Span;
use dispatch_sim::clock;
use dispatch_sim::controller::faults::CallKind;
use dispatch_sim::world::{FeedKnobs, World, WorldKnobs, job, simulate};

use crate::{minutes, seconds};

/// A site with a feed, and VMs that stay for long.
fn heard(seed: u64, feed: FeedKnobs) -> WorldKnobs {
    let mut knobs = WorldKnobs::new(seed).with_instances(4);
    knobs.policy.timeout_idle = minutes(60);
    knobs.feed = Some(feed);
    knobs
}

/// How long a container that is submitted now waits until its process runs.
async fn latency(world: &mut World) -> f64 {
    let uuid = world.submit(job(2, 5));
    let began = clock::now();
    let is_running = |world: &World| {
        let vms = world.vms.borrow();
        vms.hosts().any(|host| host.containers().any(|it| it == uuid))
    };
    world.run_until("it runs", minutes(30), is_running).await;
    let took = since(clock::now(), began).as_secs_f64();
    world
        .run_until("it ends", minutes(5), |world| world.state_of(uuid).is_some_and(|it| it.is_final()))
        .await;
    took
}

fn polls(world: &World) -> u64 {
    world.arvados.borrow().history().calls_of(CallKind::List)
}

#[test]
fn what_is_submitted_while_a_vm_is_idle_runs_within_a_second() {
    for (feed, most) in [(Some(FeedKnobs::default()), 0.7), (None, 11.0)] {
        let mut knobs = heard(1, FeedKnobs::default());
        knobs.feed = feed;
        simulate(knobs, async |world| {
            latency(world).await;
            for _ in 0..5 {
                world.run_for(seconds(7)).await;
                let took = latency(world).await;
                assert!(took <= most, "{took} s");
            }
        });
    }
}

/// Three a minute without a feed are six of ten questions each: fewer requests is what the site's operators see.
#[test]
fn whole_polls_are_rarer_while_the_feed_tells_and_as_often_as_before_when_it_does_not() {
    let calls_in_ten_minutes = |feed: Option<FeedKnobs>| {
        let mut knobs = heard(2, FeedKnobs::default()).with_jobs(4, 2, 3600);
        knobs.feed = feed;
        simulate(knobs, async |world| {
            world.run_until("all run", minutes(5), |world| world.count(ContainerState::Running) == 4).await;
            world.run_for(minutes(1)).await;
            let before = polls(world);
            for _ in 0..4 {
                world.run_for(seconds(150)).await;
                // The feed has told something within five minutes.
                let uuid = world.submit(job(2, 5));
                world.arvados.borrow_mut().cancel_by_user(uuid, clock::now());
            }
            polls(world) - before
        })
    };
    let (with, without) = (calls_in_ten_minutes(Some(FeedKnobs::default())), calls_in_ten_minutes(None));
    let silent = calls_in_ten_minutes(Some(FeedKnobs { lost_rate: 1.0, ..FeedKnobs::default() }));
    assert!(2 * with < without, "{with} with it, {without} without");
    assert!(silent >= without - 2, "{silent} if it is silent, {without} without");
}

/// A user cancels a job that runs: its process is told at once.
#[test]
fn a_job_that_its_user_cancels_is_ended_at_once() {
    simulate(heard(3, FeedKnobs::default()).with_jobs(1, 2, 3600), async |world| {
        world.run_until("it runs", minutes(5), |world| world.count(ContainerState::Running) == 1).await;
        world.run_for(seconds(33)).await;
        let uuid = world.containers()[0];
        let began = clock::now();
        world.arvados.borrow_mut().cancel_by_user(uuid, began);
        world.run_until("it has ended", minutes(1), |world| world.busy_vms().is_empty()).await;
        let took = since(clock::now(), began).as_secs_f64();
        assert!(took < 5.0, "{took} s");
    });
}

#[test]
fn false_late_and_doubled_hints_end_nothing() {
    let feed = FeedKnobs {
        false_rate: 1.0,
        twice_rate: 1.0,
        delay: Span::between_millis(1, 60_000),
        everything_rate: 0.1,
        cut_after: Some(Span::seconds(47)),
        ..FeedKnobs::default()
    };
    let mut knobs = WorldKnobs::new(4).with_instances(4).with_jobs(40, 2, 30);
    knobs.feed = Some(feed);
    simulate(knobs, async |world| {
        world.drain(minutes(60)).await;
        assert_eq!(world.count(ContainerState::Complete), 40);
        let history = &world.arvados.borrow();
        let locks: u32 = world.containers().iter().map(|it| history.history().tally(*it).locks).sum();
        assert_eq!(locks, 40, "each is locked once");
    });
}

#[test]
fn without_a_single_hint_everything_goes_on_as_before() {
    let feed = FeedKnobs { lost_rate: 1.0, cut_after: Some(Span::seconds(5)), ..FeedKnobs::default() };
    let mut knobs = WorldKnobs::new(5).with_instances(4).with_jobs(20, 2, 30);
    knobs.feed = Some(feed);
    simulate(knobs, async |world| {
        world.drain(minutes(30)).await;
        assert_eq!(world.count(ContainerState::Complete), 20);
    });
}

/// As side by side with the program that we replace, which takes 306 s. Twenty VMs need 240 s.
#[test]
fn three_hundred_jobs_of_15_s_on_twenty_vms_take_no_more_than_255_s_and_few_requests() {
    let mut knobs = heard(6, FeedKnobs::default()).with_instances(20).with_jobs(300, 2, 15);
    knobs.policy.max_concurrent_creates = 0;
    // A runner that needs as little before its job begins as on one machine.
    knobs.vms.jobs.running_after = Span::millis(100);
    simulate(knobs, async |world| {
        let is_in_service = |world: &World| world.busy_vms().len() == 20;
        world.run_until("all VMs run something", minutes(5), is_in_service).await;
        let began = clock::now();
        world
            .run_until("all are done", minutes(10), |world| world.count(ContainerState::Complete) == 300)
            .await;
        let took = since(clock::now(), began).as_secs_f64();
        assert!(took <= 255.0, "{took} s");
        let requests = polls(world) as f64 / 300.0;
        assert!(requests <= 1.0, "{requests} lists for each container");
    });
}

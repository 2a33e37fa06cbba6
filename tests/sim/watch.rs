//! Watches on VMs: an end is seen at once, and whatever they say, nothing ends because of it.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::id::ContainerUuid;
use dispatch_core::time::{Timestamp, since};
use dispatch_sim::vm::facts::{CommandKind, VmFact};
use dispatch_sim::vm::knobs::WatchKnobs;
use dispatch_sim::world::{World, WorldKnobs, simulate};

use crate::minutes;

/// How long each VM stood idle between two processes, in milliseconds, in order.
fn gaps(world: &World) -> Vec<u128> {
    let vms = world.vms.borrow();
    let mut free_since: std::collections::BTreeMap<_, Timestamp> = std::collections::BTreeMap::new();
    let mut gaps = Vec::new();
    for entry in vms.history().entries() {
        match &entry.fact {
            VmFact::Started { vm, .. } => {
                gaps.extend(free_since.remove(vm).map(|free| since(entry.at, free).as_millis()));
            }
            VmFact::Ended { vm, .. } => drop(free_since.insert(vm.clone(), entry.at)),
            _ => {}
        }
    }
    gaps.sort_unstable();
    gaps
}

fn lists(world: &World) -> u64 {
    world.vms.borrow().history().commands().get(&CommandKind::List).copied().unwrap_or(0)
}

/// Lives through such watches; how long VMs stood idle, and how many lists were asked for.
fn with_watches(jobs: usize, seconds: u64, vms: u32, watch: WatchKnobs) -> (Vec<u128>, u64) {
    let mut knobs = WorldKnobs::new(31).with_jobs(jobs, 2, seconds).with_instances(vms);
    knobs.vms.watch = watch;
    simulate(knobs, async |world| {
        world.drain(minutes(120)).await;
        assert_eq!(world.count(ContainerState::Complete), jobs);
        assert_eq!(world.summary().processes, jobs as u64, "each ran once");
        assert_eq!(world.vms.borrow().watches(), 0, "nothing is watched in the end");
        (gaps(world), lists(world))
    })
}

fn p95(sorted: &[u128]) -> u128 {
    sorted[sorted.len() * 95 / 100]
}

#[test]
fn an_end_is_seen_at_once_and_its_place_is_taken_at_once() {
    let (told, _) = with_watches(60, 15, 6, WatchKnobs::default());
    let (asked, _) = with_watches(60, 15, 6, WatchKnobs { supported: false, ..WatchKnobs::default() });
    assert_eq!((told.len(), asked.len()), (54, 54));
    assert!(told[27] <= 300 && p95(&told) <= 1_000, "{told:?}");
    assert!(asked[27] >= 1_000, "else the watch is for nothing: {asked:?}");
}

#[test]
fn a_false_line_ends_nothing_and_costs_a_few_lists() {
    let lies = WatchKnobs {
        false_rate: 1.0,
        garbage_rate: 1.0,
        repeated_rate: 1.0,
        late_rate: 1.0,
        ..WatchKnobs::default()
    };
    let (_, with_lies) = with_watches(10, 900, 10, lies);
    let (_, without) = with_watches(10, 900, 10, WatchKnobs::default());
    // Each of the ten is watched for a quarter of an hour: heard at most twice, and asked for five times then.
    assert!(with_lies > without && with_lies <= without + 10 * 2 * 5, "{with_lies} and {without}");
}

#[test]
fn whatever_befalls_watches_costs_time_only() {
    let fine = WatchKnobs::default();
    for (name, watch) in [
        ("lost", WatchKnobs { lost_rate: 1.0, ..fine }),
        ("late", WatchKnobs { late_rate: 1.0, ..fine }),
        ("flood", WatchKnobs { floods_rate: 1.0, ..fine }),
        ("hang", WatchKnobs { hangs_rate: 1.0, ..fine }),
        ("die", WatchKnobs { dies_rate: 1.0, ..fine }),
        ("refused", WatchKnobs { refused_rate: 1.0, ..fine }),
        ("one session", WatchKnobs { one_session_rate: 1.0, ..fine }),
    ] {
        let (idle, lists) = with_watches(20, 30, 4, watch);
        assert!(p95(&idle) <= 11_000, "{name}: as without a watch: {idle:?}");
        assert!(lists < 2_000, "{name}: {lists}");
    }
}

#[test]
fn a_watch_ends_with_its_dispatcher_and_the_next_one_watches_what_it_finds() {
    let knobs = WorldKnobs::new(32).with_jobs(4, 2, 600).with_instances(4);
    simulate(knobs, async |world| {
        let all_run = |world: &World| world.count(ContainerState::Running) == 4;
        world.run_until("all run", minutes(10), all_run).await;
        assert_eq!(world.vms.borrow().watches(), 4);
        world.kill_dispatcher();
        assert_eq!(world.vms.borrow().watches(), 0);
        world.start_dispatcher();
        world
            .run_until("they are watched again", minutes(2), |world| world.vms.borrow().watches() == 4)
            .await;
        world.drain(minutes(60)).await;
        assert_eq!(world.summary().processes, 4);
    });
}

/// What happens from the end of the first container to the start of the second on the one VM there is.
fn trace(world: &World) -> Vec<(u128, String)> {
    let (mut ended, mut steps) = (None, Vec::new());
    for line in world.history().lines() {
        let Some((at, text)) = line.trim_start().split_once(' ') else { continue };
        let at = Duration::from_secs_f64(at.parse().unwrap_or_default()).as_millis();
        if ended.is_none() && text.contains(" ended, pid ") {
            ended = Some(at);
        }
        if let Some(ended) = ended {
            steps.push((at - ended, text.trim().to_owned()));
            if text.contains(" started, pid ") {
                return steps;
            }
        }
    }
    steps
}

#[test]
fn nothing_from_an_end_to_the_next_start_waits_for_a_timer() {
    let mut knobs = WorldKnobs::new(33).with_jobs(2, 2, 30).with_instances(1);
    knobs.log = Some(slog::Level::Debug);
    let (latency, call) = (20, 20);
    simulate(knobs, async |world| {
        world.drain(minutes(30)).await;
        let steps = trace(world);
        let at = |what: &str| steps.iter().find(|(_, text)| text.contains(what)).map(|(at, _)| *at).unwrap();
        let steps_text: String = steps.iter().map(|(at, text)| format!("{at:6} {text}\n")).collect();
        println!("{steps_text}");
        let told = at("end of a crunch-run process told");
        let listed = at("crunch-run process ended");
        let locked = at("Queued -> Locked");
        let started = at(" started, pid ");
        // Half a round trip; a list; a round and half a call; the other half, a round, and half a command.
        assert!(told <= latency / 2 + 2, "{steps_text}");
        assert!(listed - told <= latency + 5, "{steps_text}");
        assert!(locked - listed <= 10 + call + 5, "{steps_text}");
        assert!(started - locked <= call + 10 + latency + 5, "{steps_text}");
    });
}

/// A container that runs, as its VM says falsely, is neither cancelled nor killed nor started a second time, although
/// every other sign of it is late: the controller answers slowly, and connections break.
#[test]
fn a_line_that_is_false_and_a_controller_that_is_slow_cancel_nobody() {
    let mut knobs = WorldKnobs::new(34).with_jobs(8, 2, 300).with_instances(8);
    knobs.vms.watch = WatchKnobs { false_rate: 1.0, ..WatchKnobs::default() };
    knobs.api_latency = dispatch_sim::chance::Span::between_millis(10, 8_000);
    knobs.vms.cut_after_rate = 0.05;
    simulate(knobs, async |world| {
        world.drain(minutes(120)).await;
        assert_eq!(world.count(ContainerState::Complete), 8);
        let signalled = |uuid: ContainerUuid| {
            let vms = world.vms.borrow();
            let is_signal =
                |fact: &VmFact| matches!(fact, VmFact::Signalled { container, .. } if *container == uuid);
            vms.history().entries().iter().any(|entry| is_signal(&entry.fact))
        };
        assert!(!world.containers().into_iter().any(signalled));
    });
}

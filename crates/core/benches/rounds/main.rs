//! What a planning round costs, by the size of the cluster, and what Queue and Pool spend on polls and
//! snapshots: time on a CPU. Ends with tables and ratios.
//!
//! ```text
//!   burst      all workers idle and empty: every container is locked, started, or has an instance created
//!   burst own  the same, and almost every container has its own RAM and scratch
//!   steady     nothing to do: what has a place runs, the rest waits at `MaxInstances`; every worker was
//!              probed since the last round, and nothing else has happened
//!   all lack RAM, half lack RAM and half scratch
//!              a thousand containers need some of both and find no place
//!   settled    the same, planned from nothing, as the first round after any news is
//! ```

#[path = "../world/mod.rs"]
mod world;

mod cpu_time;
mod figures;

use std::cell::{OnceCell, RefCell};
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use cpu_time::CpuTime;
use criterion::{BatchSize, Bencher, BenchmarkId, Criterion, SamplingMode};
use dispatch_core::plan::Planner;
use dispatch_core::queue::ContainerQueue;
use figures::Figures;
use world::{Controller, Scene, Site, Sizes, at, empty_queue, pool, silent_views};

const CONTAINERS: [usize; 4] = [100, 1_000, 10_000, 100_000];
const WORKERS: [usize; 4] = [10, 100, 1_000, 10_000];

// Groups of rounds, in the order of the table's columns.
const BURST: &str = "burst";
const BURST_OWN: &str = "burst own";
const STEADY: &str = "steady";
const SETTLED: &str = "settled";

// Rounds in which no place has enough of both RAM and scratch.
const LACK_RAM: &str = "all lack RAM";
const LACK_EITHER: &str = "half lack RAM, half scratch";

// Groups of what is done beside the rounds.
const MERGE_NEW: &str = "merge new";
const MERGE_SAME: &str = "merge same";
const QUEUE_SNAPSHOT: &str = "queue snapshot";
const POOL_SNAPSHOT: &str = "pool snapshot";
const SILENT_PROBE: &str = "silent probe";

fn main() {
    let figures = Figures::new();
    let mut criterion = Criterion::default()
        .with_measurement(CpuTime)
        .output_directory(figures.directory())
        .sample_size(10)
        .warm_up_time(Duration::from_millis(50))
        .measurement_time(Duration::from_millis(300))
        .configure_from_args();
    for containers in CONTAINERS {
        for workers in WORKERS {
            rounds(&mut criterion, containers, workers);
        }
    }
    vain_searches(&mut criterion);
    merges(&mut criterion);
    snapshots(&mut criterion);
    silence(&mut criterion);
    criterion.final_summary();
    report(&figures);
}

fn rounds(criterion: &mut Criterion<CpuTime>, containers: usize, workers: usize) {
    for (group, sizes) in [(BURST, Sizes::Mixed), (BURST_OWN, Sizes::Own)] {
        let scene = OnceCell::new();
        round(criterion, group, containers, workers, |bencher| {
            let scene = scene.get_or_init(|| checked(Scene::burst(containers, workers, sizes)));
            bencher.iter(|| black_box(scene.plan()));
        });
    }
    let scene = OnceCell::new();
    let settled = || scene.get_or_init(|| Scene::settled(containers, workers, Sizes::Mixed));
    round(criterion, SETTLED, containers, workers, |bencher| bencher.iter(|| black_box(settled().plan())));
    let probed = OnceCell::new();
    round(criterion, STEADY, containers, workers, |bencher| {
        steady(bencher, [settled(), probed.get_or_init(|| settled().probed())]);
    });
}

/// A thousand containers look for a place in vain among ten thousand workers.
fn vain_searches(criterion: &mut Criterion<CpuTime>) {
    for (group, halves) in [(LACK_RAM, false), (LACK_EITHER, true)] {
        let scene = OnceCell::new();
        round(criterion, group, 1_000, 10_000, |bencher| {
            let scene = scene.get_or_init(|| {
                let scene = checked(Scene::full_of_one(1_000, 10_000, halves));
                assert!(scene.plan().actions.is_empty(), "nothing fits");
                scene
            });
            bencher.iter(|| black_box(scene.plan()));
        });
    }
}

fn checked(scene: Scene) -> Scene {
    scene.check(&scene.plan());
    scene
}

fn round(
    criterion: &mut Criterion<CpuTime>,
    group: &str,
    containers: usize,
    workers: usize,
    measure: impl FnMut(&mut Bencher<'_, CpuTime>),
) {
    let mut group = criterion.benchmark_group(group);
    group.sampling_mode(SamplingMode::Flat);
    group.bench_function(BenchmarkId::from_parameter(size(containers, workers)), measure);
}

/// Rounds from two pairs of snapshots in turn: equal in everything that matters, and sharing no worker's view.
fn steady(bencher: &mut Bencher<'_, CpuTime>, scenes: [&Scene; 2]) {
    let mut planner = Planner::default();
    let first = scenes[1].plan_with(&mut planner);
    assert!(Arc::ptr_eq(&first, &scenes[0].plan_with(&mut planner)), "no news");
    let mut turn = 0;
    bencher.iter(|| {
        turn = 1 - turn;
        black_box(scenes[turn].plan_with(&mut planner))
    });
}

fn merges(criterion: &mut Criterion<CpuTime>) {
    for containers in CONTAINERS {
        let id = BenchmarkId::from_parameter(containers);
        let controller = Controller::new(&mut Site::new(), containers, Sizes::Mixed);
        criterion.benchmark_group(MERGE_NEW).bench_function(id.clone(), |bencher| {
            let begun = || {
                let queue = empty_queue();
                let poll = controller.polled(&queue, 1);
                (queue, poll)
            };
            let merged = |(mut queue, poll): (ContainerQueue, _)| (queue.merge(poll, at(1)), queue);
            bencher.iter_batched(begun, merged, BatchSize::PerIteration);
        });
        criterion.benchmark_group(MERGE_SAME).bench_function(id, |bencher| {
            let queue = RefCell::new(controller.queue());
            // The scheduler holds the last snapshot while the next poll comes in.
            let _held = queue.borrow().snapshot();
            let mut second = 1;
            let begun = || {
                second += 1;
                (controller.polled(&queue.borrow(), second), second)
            };
            let merged = |(poll, second)| queue.borrow_mut().merge(poll, at(second));
            bencher.iter_batched(begun, merged, BatchSize::PerIteration);
        });
    }
}

fn snapshots(criterion: &mut Criterion<CpuTime>) {
    for containers in CONTAINERS {
        let id = BenchmarkId::from_parameter(containers);
        let queue = Controller::new(&mut Site::new(), containers, Sizes::Mixed).queue();
        criterion.benchmark_group(QUEUE_SNAPSHOT).bench_function(id, |bencher| {
            bencher.iter(|| black_box(queue.snapshot()));
        });
    }
    for workers in WORKERS {
        let id = BenchmarkId::from_parameter(workers);
        let pool = pool(&mut Site::new(), workers);
        criterion.benchmark_group(POOL_SNAPSHOT).bench_function(id, |bencher| {
            bencher.iter(|| black_box(pool.snapshot()));
        });
    }
}

/// One worker after the other tells of a failed probe, while all are silent.
fn silence(criterion: &mut Criterion<CpuTime>) {
    for workers in WORKERS {
        let id = BenchmarkId::from_parameter(workers);
        let mut pool = pool(&mut Site::new(), workers);
        let views = silent_views(&mut pool);
        let mut turn = 0;
        criterion.benchmark_group(SILENT_PROBE).bench_function(id, |bencher| {
            bencher.iter(|| {
                turn = (turn + 1) % views.len();
                black_box(pool.worker_changed(Arc::clone(&views[turn]), 0, &[], at(701)))
            });
        });
    }
}

fn size(containers: usize, workers: usize) -> String {
    format!("{containers}x{workers}")
}

/// All times in milliseconds.
fn report(figures: &Figures) {
    println!("\nOne round, in ms{:>28}{:>12}{:>12}{:>12}", BURST, BURST_OWN, STEADY, SETTLED);
    for containers in CONTAINERS {
        for workers in WORKERS {
            let id = size(containers, workers);
            let columns = [BURST, BURST_OWN, STEADY, SETTLED].map(|group| figures.shown(group, &id));
            print!("{containers:>10} queued x {workers:>6} workers");
            println!("{:>10}{:>12}{:>12}{:>12}", columns[0], columns[1], columns[2], columns[3]);
        }
    }
    println!("\nBeside it, in ms");
    for (group, of, sizes) in [
        (MERGE_NEW, "containers that a poll shows first", CONTAINERS),
        (MERGE_SAME, "containers that a poll shows again", CONTAINERS),
        (QUEUE_SNAPSHOT, "containers", CONTAINERS),
        (POOL_SNAPSHOT, "workers", WORKERS),
        (SILENT_PROBE, "workers that are all silent", WORKERS),
    ] {
        for size in sizes {
            println!("{group:>16}{size:>8} {of:<36}{:>9}", figures.shown(group, &size.to_string()));
        }
    }
    println!();
    ratio(figures, "per_container_10000x10000_over_10000x100", (BURST, "10000x10000"), (BURST, "10000x100"));
    ratio(figures, "silent_probe_10000_over_100", (SILENT_PROBE, "10000"), (SILENT_PROBE, "100"));
    ratio(figures, "vain_search_halves_over_best", (LACK_EITHER, "1000x10000"), (LACK_RAM, "1000x10000"));
    ratio(figures, "steady_over_burst", (STEADY, "10000x10000"), (BURST, "10000x10000"));
}

/// Nothing, if not both were measured: a filter was given.
fn ratio(figures: &Figures, name: &str, above: (&str, &str), below: (&str, &str)) {
    if let (Some(above), Some(below)) = (figures.millis(above.0, above.1), figures.millis(below.0, below.1)) {
        println!("RATIO {name} = {:.3}", above / below);
    }
}

//! What a planning round costs, by the size of the cluster, and what Queue and Pool spend on polls and
//! snapshots. Ends with a table and two ratios.
//!
//! ```text
//!   burst      all workers idle and empty: every container is locked, started, or has an instance created
//!   burst own  the same, and almost every container has its own RAM and scratch
//!   steady     nothing to do: everything that has a place runs, the rest waits at `MaxInstances`
//! ```

#[path = "../world/mod.rs"]
mod world;

mod figures;

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, SamplingMode};
use figures::Figures;
use world::{Scene, Sizes, polled, pool_of, queue_of};

const CONTAINERS: [usize; 4] = [100, 1_000, 10_000, 100_000];
const WORKERS: [usize; 4] = [10, 100, 1_000, 10_000];

/// Groups, in the order of the table's columns.
const BURST: &str = "burst";
const BURST_OWN: &str = "burst own";
const STEADY: &str = "steady";
const MERGE_NEW: &str = "merge new";
const MERGE_SAME: &str = "merge same";
const QUEUE_SNAPSHOT: &str = "queue snapshot";
const POOL_SNAPSHOT: &str = "pool snapshot";

fn main() {
    let figures = Figures::new();
    let mut criterion = Criterion::default()
        .output_directory(figures.directory())
        .sample_size(10)
        .warm_up_time(Duration::from_millis(100))
        .measurement_time(Duration::from_millis(400))
        .configure_from_args();
    rounds(&mut criterion, BURST, |containers, workers| Scene::burst(containers, workers, Sizes::Mixed));
    rounds(&mut criterion, BURST_OWN, |containers, workers| Scene::burst(containers, workers, Sizes::Own));
    rounds(&mut criterion, STEADY, |containers, workers| Scene::settled(containers, workers, Sizes::Mixed));
    merges(&mut criterion);
    snapshots(&mut criterion);
    criterion.final_summary();
    report(&figures);
}

fn rounds(criterion: &mut Criterion, name: &str, scene: impl Fn(usize, usize) -> Scene) {
    let mut group = criterion.benchmark_group(name);
    group.sampling_mode(SamplingMode::Flat);
    for containers in CONTAINERS {
        for workers in WORKERS {
            let id = BenchmarkId::from_parameter(size(containers, workers));
            let mut made = None;
            group.bench_function(id, |bencher| {
                let scene = made.get_or_insert_with(|| scene(containers, workers));
                bencher.iter(|| black_box(scene.plan()));
            });
        }
    }
}

fn merges(criterion: &mut Criterion) {
    for name in [MERGE_NEW, MERGE_SAME] {
        let mut group = criterion.benchmark_group(name);
        for containers in CONTAINERS {
            group.bench_function(BenchmarkId::from_parameter(containers), |bencher| {
                let (mut queue, records) = queue_of(containers, Sizes::Mixed);
                let mut second = 1;
                bencher.iter_batched_ref(
                    || {
                        second += 1;
                        if name == MERGE_NEW {
                            queue = queue_of(0, Sizes::Mixed).0;
                        }
                        // The scheduler holds a snapshot while the next poll comes in.
                        (std::mem::replace(&mut queue, queue_of(0, Sizes::Mixed).0), None, None)
                    },
                    |_: &mut (_, Option<()>, Option<()>)| {},
                    BatchSize::PerIteration,
                );
                let _ = (&records, second, polled);
            });
        }
    }
}

fn snapshots(criterion: &mut Criterion) {
    let _ = (criterion, pool_of, QUEUE_SNAPSHOT, POOL_SNAPSHOT);
}

fn size(containers: usize, workers: usize) -> String {
    format!("{containers}x{workers}")
}

fn report(figures: &Figures) {
    println!();
    println!("{:>10} x {:<7} {:>12} {:>12} {:>12}", "queued", "workers", BURST, BURST_OWN, STEADY);
    for containers in CONTAINERS {
        for workers in WORKERS {
            let id = size(containers, workers);
            print!("{containers:>10} x {workers:<7}");
            for group in [BURST, BURST_OWN, STEADY] {
                print!(" {:>9} ms", figures.shown(group, &id));
            }
            println!();
        }
    }
}

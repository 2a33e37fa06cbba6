//! Killed by SIGKILL at a fixed period and started again at once, while the world lives on: how long the work takes.
//!
//! ```text
//!   120 jobs of 8 s ─ controller (503s, lost calls and answers) ◀─ HTTP ─ dispatcher ─ ssh ─▶ 10 VMs, one job each
//!                                                                         └ killed every PERIOD
//! ```
//! These are measurements of minutes. Run them alone, on a quiet machine, one at a time; each prints one JSON line:
//! `cargo test --test e2e killed_again -- --ignored --nocapture --test-threads 1`
//! `DISPATCH_KILL_EVERY=SECONDS` asks for another period (`0`: never), `DISPATCH_BINARY=/PATH` for a binary that was
//! built some other way or at another commit.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_sim::controller::faults::Fault;
use serde_json::json;
use tokio::time::{Instant, sleep_until};

use crate::support::containers::Record;
use crate::support::{Site, processes};

const JOBS: usize = 120;
const SECONDS_OF_A_JOB: u64 = 8;
const VMS: usize = 10;
/// What the work may take, however often the dispatcher is killed. Undisturbed it takes about 100 s.
const LONGEST: Duration = Duration::from_secs(250);
/// When a measurement is given up.
const GIVEN_UP: Duration = Duration::from_secs(1200);
/// How often the records are looked at.
const LOOK: Duration = Duration::from_millis(200);

#[actix_rt::test]
#[ignore = "a measurement of minutes"]
async fn killed_every_20_seconds_nothing_is_lost_or_run_twice_and_the_work_is_done_in_time() {
    measure(20).await;
}

#[actix_rt::test]
#[ignore = "a measurement of minutes"]
async fn killed_every_60_seconds_nothing_is_lost_or_run_twice_and_the_work_is_done_in_time() {
    measure(60).await;
}

/// What the measured run came to.
struct Measured {
    makespan: Duration,
    kills: usize,
    records: Vec<Record>,
}

async fn measure(period: u64) {
    let period = std::env::var("DISPATCH_KILL_EVERY").map_or(period, |text| text.parse().unwrap());
    let site = site().await;
    let measured = work(&site, (period > 0).then(|| Duration::from_secs(period))).await;
    let unfinished = measured.records.iter().filter(|it| !it.state.is_final()).count();
    let lost = measured.records.iter().filter(|it| it.state == ContainerState::Cancelled).count();
    let twice = site.runs.begun().values().filter(|shells| shells.len() > 1).count();
    let attempts: u32 = measured.records.iter().map(|it| it.lock_count).sum();
    let figures = json!({
        "kill_every_seconds": period, "kills": measured.kills, "jobs": measured.records.len(),
        "makespan_seconds": measured.makespan.as_secs_f64(),
        "unfinished": unfinished, "lost": lost, "run_twice": twice, "locks": attempts,
    });
    println!("{figures}");
    assert_eq!(measured.records.len(), JOBS, "a container that was cancelled has been followed by another");
    assert_eq!((unfinished, lost, twice), (0, 0, 0), "{figures}");
    site.assert_begun_once(JOBS).await;
    assert!(measured.makespan <= LONGEST, "{figures}");
}

/// Ten VMs with room for one job each, and a controller that fails now and then.
async fn site() -> Site {
    let mut site = Site::new();
    let cloud = site.cloud();
    cloud["DriverParameters"]["Instances"] = VMS.into();
    cloud["DriverParameters"]["BootDelay"] = "300ms".into();
    cloud["MaxInstances"] = VMS.into();
    cloud["TimeoutIdle"] = "10s".into();
    site.cluster()["InstanceTypes"] = json!({
        "single": { "VCPUs": 1, "RAM": "1GiB", "IncludedScratch": "10GB", "Price": 0.1 },
    });
    site.submit_lasting(JOBS, SECONDS_OF_A_JOB).await;
    let fail = |arvados: &mut dispatch_sim::controller::FakeArvados, _| {
        arvados.faults.rates =
            vec![(Fault::Overloaded, 0.02), (Fault::LostCall, 0.02), (Fault::LostAnswer, 0.03)];
    };
    site.controller.with(fail).await.unwrap();
    site
}

/// Runs the dispatcher until every record is final.
async fn work(site: &Site, period: Option<Duration>) -> Measured {
    let (began, mut kills) = (Instant::now(), 0);
    loop {
        let mut service = site.start().await;
        let end = Instant::now() + period.unwrap_or(GIVEN_UP);
        let records = final_records(site, end).await;
        let counts = processes::runner_counts(&site.state_directory());
        assert!(counts.values().all(|count| *count == 1), "{counts:?}");
        if records.iter().all(|it| it.state.is_final()) || began.elapsed() > GIVEN_UP {
            let makespan = began.elapsed();
            service.stop().await;
            return Measured { makespan, kills, records };
        }
        service.kill().await;
        kills += 1;
    }
}

/// The records, as soon as all are final, or at that time.
async fn final_records(site: &Site, end: Instant) -> Vec<Record> {
    loop {
        let records = site.records().await;
        if records.iter().all(|it| it.state.is_final()) || Instant::now() >= end {
            return records;
        }
        sleep_until(end.min(Instant::now() + LOOK)).await;
    }
}

//! How long messages wait for the actors of a large site: 100,000 containers queued, all of them polled, 10,000 VMs.
//!
//! ```text
//!   thread "arbiter": the five actors ◄── pings, every 10 ms to each ── thread "pings"
//!      ▲         └── ports ──► thread "world": the simulated controller, cloud and VMs, in real time
//!      └── API's threads ◄── HTTP ── thread "clients": ten that fetch the lists, one that scrapes metrics
//! ```
//! The world has threads of its own, so what the actors wait for is their own work, and the CPUs that others use: how
//! much that is, is printed. Two phases are measured: the start, with all VMs found and all containers seen for the
//! first time, and the work, with clients. Takes about three minutes.
#![expect(clippy::unwrap_used, reason = "a measurement whose helper fails has failed")]

mod bridge;
mod clients;
mod cpu;
mod pings;
mod site;
mod world;

use std::time::Duration;

use clients::Clients;
use cpu::Usage;
use pings::Pings;
use site::{Progress, Site, Work};
use tokio::time::{Instant, sleep};
use world::World;

const CONTAINERS: usize = 100_000;
const VMS: usize = 10_000;
const CLIENTS: usize = 10;
/// How long the work is measured.
const MEASURED: Duration = Duration::from_secs(90);
/// How long the start may take.
const PATIENCE: Duration = Duration::from_secs(600);
/// The goal: no more than that, for 99 of 100 messages.
const GOAL: Duration = Duration::from_millis(250);

fn main() {
    // The Linux name of this thread: the actors run on it.
    std::fs::write("/proc/thread-self/comm", "arbiter").unwrap();
    actix_rt::System::new().block_on(measure());
}

async fn measure() {
    println!("{CONTAINERS} containers, {VMS} VMs, {CLIENTS} clients");
    let world = World::start(CONTAINERS, VMS);
    let began = (Instant::now(), Usage::now());
    let site = Site::start(&world).await;
    let pings = Pings::start(site.handles.clone());
    while !site.has_started(VMS).await {
        assert!(began.0.elapsed() < PATIENCE, "the start takes too long");
        sleep(Duration::from_millis(500)).await;
    }
    println!("\nthe start, {:.0} s", began.0.elapsed().as_secs_f64());
    let start = pings.take();
    start.print();
    let started = site.work();
    started.print_since(&Work::default());
    site.progress().await.print_since(&Progress::default());
    Usage::now().print_since(&began.1);

    let (before, usage) = (site.progress().await, Usage::now());
    let clients = Clients::start(&site.url, CLIENTS);
    sleep(MEASURED).await;
    let work = pings.take();
    println!("\nthe work, {} s", MEASURED.as_secs());
    work.print();
    site.work().print_since(&started);
    site.progress().await.print_since(&before);
    clients.end().print();
    Usage::now().print_since(&usage);
    let ratio = |worst: Duration| worst.as_secs_f64() / GOAL.as_secs_f64();
    println!("RATIO mailbox_p99_of_the_start_over_250_ms = {:.3}", ratio(start.worst_p99()));
    println!("RATIO mailbox_p99_over_250_ms = {:.3}", ratio(work.worst_p99()));
}

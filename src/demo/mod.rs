//! `demo`: the whole thing on this machine. The unchanged dispatcher, real HTTP, real SSH, real processes.
//!
//! ```text
//!   world    a temporary directory, a key, a simulated controller with N containers, a config.yml for a
//!            loopback cloud of M instances
//!   faults   what goes wrong on the way, if asked for
//!   living   in place of N containers: jobs that keep coming, and a scenario, until interrupted
//!     scenario   what each scenario is made of
//!   mod      runs the dispatcher against it until every container is final and every instance gone
//!   progress a bar on a terminal, nothing in a pipe
//!   report   what it came to: a table for people, JSON for programs
//! ```

mod faults;
mod living;
mod progress;
mod report;
mod scenario;
mod world;

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use dispatch_actors::lease::Lease;
use dispatch_core::instance::{Instance, Tags};
use dispatch_core::ports::CloudDriver;
use futures_util::future::{Either, select};
use slog::Logger;
use tokio::time::Instant;

use crate::app::{Application, Told};
use crate::cli::{self, Demo};
use crate::run::Signals;
use progress::Progress;
use report::Report;
use world::{Tally, World};

/// When everything is final but instances are left, they get this long to go.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK: Duration = Duration::from_millis(100);

/// How the demo ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Every container is final, every instance gone.
    Done,
    /// Instances were left.
    Leftovers,
    /// Ctrl-C.
    Interrupted,
}

/// Runs the demo. Exit 0 only if every container completed (with faults: is final) and nothing is left.
pub fn run(demo: &Demo) -> ExitCode {
    let system = actix_rt::System::new();
    let outcome = match demo.scenario {
        Some(scenario) => system.block_on(living::run(demo, scenario)),
        None => system.block_on(run_to_the_end(demo)),
    };
    outcome.unwrap_or_else(|error| {
        cli::complain(format!("demo: {error:#}"));
        ExitCode::FAILURE
    })
}

async fn run_to_the_end(demo: &Demo) -> Result<ExitCode> {
    // From now on Ctrl-C cleans up.
    let signals = Signals::new().context("cannot wait for signals")?;
    let world = World::build(demo).await?;
    let (log, guard) = world.logger(slog::Level::Debug)?;
    let report = play(demo, &world, log, signals).await;
    drop(guard);
    // Of a run that failed, not of one that was interrupted, the log stays.
    let is_fine = report.as_ref().is_ok_and(|report| report.is_good(true) || report.was_interrupted());
    world.tear_down(!is_fine).await;
    let report = report?;
    report.print(demo.json);
    Ok(if report.is_good(demo.faults) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn play(demo: &Demo, world: &World, log: Logger, mut signals: Signals) -> Result<Report> {
    let application = Application::build(&world.loaded, Lease::unlimited(), Told::recorded(log)).await?;
    let began = Instant::now();
    let progress = Progress::new(demo, application.url(), &world.management_token);
    let mut faults = faults::Script::new(demo.faults, application.faults());
    let mut interrupted_by = None;
    let ending = {
        let work = pin!(watch(demo, world, &application, &progress, &mut faults));
        match select(pin!(signals.stop()), work).await {
            Either::Left((signal, _)) => {
                interrupted_by = Some(signal);
                Ending::Interrupted
            }
            Either::Right((ending, _)) => ending?,
        }
    };
    progress.finish();
    if let Some(signal) = interrupted_by {
        tell_clean_up(world, signals, signal);
    }
    let took = began.elapsed();
    let created = application.instances_created();
    let driver = application.driver();
    application.stop().await;
    let left = end_instances(&*driver).await?;
    // What Ctrl-C interrupted is ended now, and is no leftover; what outlived everything else is.
    let leftover_instances = if ending == Ending::Interrupted { list(&*driver).await?.len() } else { left };
    drop(driver);
    let leftover_processes = world.leftover_processes();
    let tally = world.tally().await?;
    Ok(Report::new(
        &tally,
        world.log_lines()?,
        report::Ended {
            keep_running: demo.keep_running,
            ending,
            took,
            created,
            leftover_instances,
            leftover_processes,
            faults: faults.struck(),
        },
    ))
}

/// After a signal: what is there is ended now, and that may be ended by the next Ctrl-C.
fn tell_clean_up(world: &World, signals: Signals, signal: &'static str) {
    cli::complain("demo: cleaning up; the next Ctrl-C ends that");
    let left = format!("demo: {} may be left", world.directory());
    actix_rt::spawn(async move { signals.end_at_the_next(signal, &left).await });
}

/// Until every container is final and every instance gone.
async fn watch(
    demo: &Demo,
    world: &World,
    application: &Application,
    progress: &Progress,
    faults: &mut faults::Script,
) -> Result<Ending> {
    let mut final_since = None;
    loop {
        let tally = world.tally().await?;
        let pool = application.pool().await?;
        progress.show(&tally, &pool);
        faults.strike(&tally, &pool, world).await;
        if tally.all_final() && !demo.keep_running {
            let since = *final_since.get_or_insert_with(Instant::now);
            if pool.workers.is_empty() && pool.pending.is_empty() {
                return Ok(Ending::Done);
            }
            if since.elapsed() > PATIENCE {
                return Ok(Ending::Leftovers);
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// What the dispatcher has left is counted, and ended.
async fn end_instances(driver: &dyn CloudDriver) -> Result<usize> {
    let left = list(driver).await?;
    for instance in &left {
        driver.destroy(&instance.id).await.context("cannot end an instance of the demo")?;
    }
    Ok(left.len())
}

async fn list(driver: &dyn CloudDriver) -> Result<Vec<Instance>> {
    driver.list(&Tags::default()).await.context("cannot list the demo's instances")
}

impl Tally {
    fn all_final(&self) -> bool {
        self.containers.iter().all(|container| container.state.is_final())
    }
}

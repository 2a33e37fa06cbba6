//! `cloudtest`: tries the configured cloud with one instance, as the service would use it.
//!
//! ```text
//!   mod      what is to be tried: image, type, set id, subnets; Ctrl-C
//!   trial    one instance in one subnet:
//!              list · list of the set · create · listed with its tags · set tags · address
//!              · log in · boot probe · --command · --pause-before-destroy      │ a failure ends this
//!            ▼ always                                                          ▼
//!              destroy · gone
//!   ending   destroys it, whatever the cloud says to that at first
//!   subject  the same driver, orders and ssh client as the service's
//!   advice   what to check, for each way to fail
//!   report   what it came to: lines for people, one JSON object for programs
//! ```
//! The instance belongs to a set of its own, so that no dispatcher takes it over. A call that may make an
//! instance is never given up half-way: Ctrl-C ends the waiting, and what was made is destroyed.

mod advice;
mod ending;
mod report;
mod subject;
mod trial;

use std::pin::pin;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dispatch_core::id::InstanceSetId;
use dispatch_core::instance::InstanceType;
use futures_util::future::{Either, select};
use slog::Logger;
use tokio::sync::watch;

use crate::cli::{self, Cloudtest, EXIT_USAGE, Options};
use crate::run::Signals;
use crate::settings::{Driver, LogFormat, Logs, Settings};
use crate::telemetry;
use report::{Outcome, Plan, Report, Screen, Step, Trouble};
use subject::Subject;
use trial::{Interrupt, Trial};

/// Tries the cloud. Exit 0 if all went well, 1 if not or interrupted, 2 for a configuration or an option that
/// cannot be used.
pub fn run(options: &Options, cloudtest: &Cloudtest) -> ExitCode {
    let loaded = options.load_with_image(cloudtest.image_id.as_deref());
    let prepared = loaded.map_err(|error| error.to_string()).and_then(|loaded| {
        let plan = prepare(&loaded.settings, cloudtest);
        plan.map(|plan| (loaded.settings, plan)).map_err(|error| format!("cloudtest: {error:#}"))
    });
    let (settings, plan) = match prepared {
        Ok(prepared) => prepared,
        Err(error) => {
            cli::complain(error);
            return ExitCode::from(EXIT_USAGE);
        }
    };
    let logs = Logs { level: slog::Level::Warning, format: LogFormat::Text };
    let (log, _, guard) = telemetry::logger(logs, &settings.policy.cluster_id);
    let outcome = actix_rt::System::new().block_on(play(&settings, plan, cloudtest, &log));
    drop(guard);
    match outcome {
        Ok(report) => finish(&report, cloudtest.json),
        Err(error) => {
            cli::complain(format!("cloudtest: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn finish(report: &Report, json: bool) -> ExitCode {
    if json {
        cli::print(&report.to_json().to_string());
    }
    for line in report.complaints() {
        cli::complain(format!("cloudtest: {line}"));
    }
    if report.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is to be tried.
fn prepare(settings: &Settings, options: &Cloudtest) -> Result<Plan> {
    if options.image_id.as_ref().is_some_and(String::is_empty) {
        bail!("--image-id wants an image's id, such as ami-0123456789abcdef0");
    }
    let instance_type = choose_type(settings, options.instance_type.as_deref())?;
    let wanted = options.instance_set_id.clone().unwrap_or_else(default_set_id);
    let set = InstanceSetId::new(&wanted).context("--instance-set-id")?;
    if set == settings.policy.instance_set_id {
        bail!("--instance-set-id {set} is the dispatcher's own: it would take the instance over");
    }
    Ok(Plan {
        driver: settings.driver.name(),
        image: settings.cloud.image_id.clone(),
        instance_type,
        set,
        subnets: subnets(&settings.driver),
    })
}

/// That type, or the cheapest.
fn choose_type(settings: &Settings, wanted: Option<&str>) -> Result<Arc<InstanceType>> {
    let catalog = &settings.policy.catalog;
    let found = match wanted {
        Some(name) => catalog.get(name),
        None => catalog.types().first(),
    };
    let Some(found) = found else {
        let names: Vec<_> = catalog.types().iter().map(|it| it.name.as_str()).collect();
        match wanted {
            Some(name) => bail!("no instance type {name}: InstanceTypes has {}", names.join(", ")),
            None => bail!("no instance type to try: InstanceTypes is empty"),
        }
    };
    Ok(Arc::clone(found))
}

/// What is tried one after the other; `None` = where the cloud puts it by itself.
fn subnets(driver: &Driver) -> Vec<Option<String>> {
    let places = driver.description.places(&driver.parameters);
    if places.is_empty() { vec![None] } else { places.into_iter().map(Some).collect() }
}

/// `cloudtest-USER@HOST`: two people who try the same account do not meet.
fn default_set_id() -> String {
    let user = ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let user = user.unwrap_or_else(|| rustix::process::geteuid().as_raw().to_string());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("cloudtest-{}@{}", user.trim(), host.trim())
}

/// Tries every subnet; Ctrl-C ends what is under way, and nothing else is begun.
async fn play(settings: &Settings, plan: Plan, options: &Cloudtest, log: &Logger) -> Result<Report> {
    // From now on Ctrl-C cleans up.
    let mut signals = Signals::new().context("cannot wait for signals")?;
    let (interrupt, interrupted) = watch::channel(false);
    let interrupted = Interrupt::new(interrupted);
    let mut work = pin!(try_all(settings, plan, options, &interrupted, log));
    let signal = match select(pin!(signals.stop()), work.as_mut()).await {
        Either::Left((signal, _)) => signal,
        Either::Right((report, _)) => return Ok(report),
    };
    interrupt.send_replace(true);
    cli::complain(format!(
        "cloudtest: {signal}: destroying what was made; the next Ctrl-C ends that, and leaves it"
    ));
    let left = "cloudtest: an instance may be left: run it again with --destroy-existing";
    let ending = actix_rt::spawn(signals.end_at_the_next(signal, left));
    let report = work.await;
    ending.abort();
    Ok(report)
}

async fn try_all(
    settings: &Settings,
    plan: Plan,
    options: &Cloudtest,
    interrupt: &Interrupt,
    log: &Logger,
) -> Report {
    let screen = Rc::new(Screen::new(!options.json));
    let mut report = Report::new(plan);
    screen.plan(&report.plan);
    for subnet in report.plan.subnets.clone() {
        if interrupt.has_come() {
            break;
        }
        let subject = match Subject::open(settings, &report.plan, subnet.clone(), log).await {
            Ok(subject) => subject,
            Err(error) => {
                let trouble = advice::not_opened(settings.driver.advice(), &error);
                report.trials.push(not_opened(subnet, trouble, &screen));
                continue;
            }
        };
        let mut trial = Trial::new(&subject, options, interrupt.clone(), Rc::clone(&screen));
        trial.run().await;
        let outcome = trial.into_outcome();
        // The next subnet would find the same leftovers.
        let goes_on = !outcome.found_leftovers;
        report.trials.push(outcome);
        if !goes_on {
            break;
        }
    }
    report.interrupted = interrupt.has_come();
    screen.verdict(&report);
    report
}

fn not_opened(subnet: Option<String>, trouble: Trouble, screen: &Screen) -> Outcome {
    let step = Step { name: "open the driver", took: Duration::ZERO, result: Err(trouble) };
    screen.step(&step);
    Outcome { steps: vec![step], ..Outcome::new(subnet) }
}

#[cfg(test)]
mod tests;

//! A living cluster to look around in: jobs keep coming, something may be wrong, and it goes on until a signal.

use std::io::Write as _;
use std::path::Path;
use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use dispatch_actors::lease::Lease;
use futures_util::future::{Either, select};
use slog::Logger;

use super::scenario::{Trouble, meaning};
use super::world::World;
use super::{end_instances, tell_clean_up};
use crate::app::{Application, Told};
use crate::cli::{self, Demo, Scenario};
use crate::run::Signals;

/// How often jobs are counted and new ones come.
const STEP: Duration = Duration::from_millis(500);

/// Lives until a signal. Exit 0 if nothing is left then.
pub(super) async fn run(demo: &Demo, scenario: Scenario) -> Result<ExitCode> {
    // From now on Ctrl-C cleans up.
    let signals = Signals::new().context("cannot wait for signals")?;
    let world = World::build(demo).await?;
    // It may go on for days.
    let (log, guard) = world.logger(slog::Level::Info)?;
    let ended = live(demo, scenario, &world, log, signals).await;
    drop(guard);
    world.tear_down(!matches!(ended, Ok(0))).await;
    match ended? {
        0 => Ok(ExitCode::SUCCESS),
        left => {
            cli::complain(format!("demo: {left} processes are left"));
            Ok(ExitCode::FAILURE)
        }
    }
}

/// How many processes are left.
async fn live(
    demo: &Demo,
    scenario: Scenario,
    world: &World,
    log: Logger,
    mut signals: Signals,
) -> Result<usize> {
    let application = Application::build(&world.loaded, Lease::unlimited(), Told::recorded(log)).await?;
    let faults = application.faults().context("the demo's cloud is no loopback cloud")?;
    let trouble = Trouble::begin(scenario, demo.instances, faults, world).await?;
    print_addresses(scenario, demo.instances, world, application.url())?;
    let lived = match select(pin!(signals.stop()), pin!(go_on(trouble, world, &application))).await {
        Either::Left((signal, _)) => Ok(signal),
        Either::Right((Err(error), _)) => Err(error),
        Either::Right((Ok(never), _)) => match never {},
    };
    if let Ok(signal) = lived {
        tell_clean_up(world, signals, signal);
    }
    let driver = application.driver();
    application.stop().await;
    end_instances(&*driver).await?;
    drop(driver);
    lived.map(|_| world.leftover_processes())
}

/// Jobs come whenever fewer are there than are wanted, and trouble takes its course.
async fn go_on(
    mut trouble: Trouble,
    world: &World,
    application: &Application,
) -> Result<std::convert::Infallible> {
    loop {
        let pool = application.pool().await?;
        trouble.step(&pool, world).await;
        let there = world.unfinished().await?;
        let missing = trouble.wanted().saturating_sub(there);
        world.submit_some(missing, trouble.job_seconds()).await?;
        tokio::time::sleep(STEP).await;
    }
}

/// All that is needed to look around, at once in a pipe too.
fn print_addresses(scenario: Scenario, instances: u32, world: &World, url: &str) -> Result<()> {
    let token = world.write_token()?;
    let program = std::env::args_os().next().unwrap_or_else(|| "arvados-dispatch-cloud".into());
    let program = quoted(Path::new(&program));
    let log_in = format!("ARVADOS_MANAGEMENT_TOKEN=$(cat {}) {program}", quoted(&token));
    cli::print(&format!(
        "{}\nmanagement API: {url}\ntoken file:     {}\nlog:            {}\n{log_in} instance list --url {url}\n\
         {log_in} container list --url {url}\n{log_in} top --url {url}\nCtrl-C ends it.",
        meaning(scenario, instances),
        token.display(),
        world.log_path().display(),
    ));
    // Somebody who has gone asks nothing more.
    let _ = std::io::stdout().flush();
    Ok(())
}

/// A path as a word for a shell.
fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+~=@%,:".contains(c);
    match !text.is_empty() && !text.starts_with('~') && text.chars().all(is_plain) {
        true => text,
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_for_a_shell() {
        for (path, word) in
            [("/tmp/a-b.c", "/tmp/a-b.c"), ("/tmp/a b", "'/tmp/a b'"), ("it's", r"'it'\''s'"), ("~", "'~'")]
        {
            assert_eq!(quoted(Path::new(path)), word);
        }
    }
}

//! The commands for a running service: what an operator asks and orders from a shell.
//!
//! ```text
//!   cli::service ─► instances, containers, cost, … ─► place: which URLs, which token
//!                     │        │             http: one request, within its time, to the first that works
//!                     │        └ explain     failure: what went wrong, and what to do
//!                     └─► lists: once, or again when it has changed (watch)
//!                         table: a terminal's table · tab-separated in a pipe · JSON
//!                         screen: where it is shown
//!                     └─► top: all of it on one screen, as it changes
//! ```
//! Results are on stdout, complaints on stderr, one line each. Exit codes: 0 done, 1 failed, 2 wrong usage or
//! configuration.
//!
//! Never does: showing a failed request as an empty list; showing a token, or taking one from the command line; passing
//! control characters on to a terminal.

mod containers;
mod cost;
mod creates;
mod events;
mod explain;
mod failure;
mod http;
mod instances;
mod lists;
mod orders;
mod place;
mod plan;
pub(crate) mod screen;
pub(crate) mod table;
mod top;
mod watch;

use std::process::ExitCode;

use crate::cli::service::{
    ContainerCommand, Cost, CreatesCommand, Events, InstanceCommand, Plan, Top, TypeCommand,
};
use crate::cli::{self, Options};
use failure::Failure;
use orders::Verb;
use screen::Screen;

/// `instance …`.
pub fn instance(options: &Options, command: &InstanceCommand) -> ExitCode {
    let screen = Screen::this();
    block_on(async {
        match command {
            InstanceCommand::List(list) => instances::list(options, list, &screen).await,
            InstanceCommand::Show(show) => instances::show(options, show, &screen).await,
            InstanceCommand::Hold(order) => orders::give(options, Verb::Hold, order).await,
            InstanceCommand::Drain(drain) => {
                let verb = if drain.force { Verb::DrainHeld } else { Verb::Drain };
                orders::give(options, verb, &drain.order).await
            }
            InstanceCommand::Run(order) => orders::give(options, Verb::Run, order).await,
            InstanceCommand::Kill(order) => orders::give(options, Verb::Kill, order).await,
        }
    })
}

/// `container …`.
pub fn container(options: &Options, command: &ContainerCommand) -> ExitCode {
    let screen = Screen::this();
    block_on(async {
        match command {
            ContainerCommand::List(list) => containers::list(options, list, &screen).await,
            ContainerCommand::Show(show) => containers::show(options, show, &screen).await,
            ContainerCommand::Explain(show) => containers::explain(options, show, &screen).await,
            ContainerCommand::Kill(order) => orders::give(options, Verb::KillContainer, order).await,
        }
    })
}

/// `creates …`.
pub fn creates(options: &Options, command: &CreatesCommand) -> ExitCode {
    let screen = Screen::this();
    block_on(async {
        match command {
            CreatesCommand::Pause(order) => creates::give_pause(options, order).await,
            CreatesCommand::Resume(order) => creates::give_resume(options, order).await,
            CreatesCommand::Status(status) => creates::status(options, status, &screen).await,
        }
    })
}

/// `type …`.
pub fn instance_type(options: &Options, command: &TypeCommand) -> ExitCode {
    let screen = Screen::this();
    block_on(async {
        match command {
            TypeCommand::List(list) => creates::list(options, list, &screen).await,
            TypeCommand::Drain(order) => orders::give(options, Verb::DrainType, order).await,
            TypeCommand::Run(order) => orders::give(options, Verb::RunType, order).await,
        }
    })
}

/// `events`.
pub fn events(options: &Options, command: &Events) -> ExitCode {
    let screen = Screen::this();
    block_on(async { events::show(options, command, &screen).await })
}

/// `cost`.
pub fn cost(options: &Options, command: &Cost) -> ExitCode {
    let screen = Screen::this();
    block_on(async { cost::show(options, command, &screen).await })
}

/// `plan`.
pub fn plan(options: &Options, command: &Plan) -> ExitCode {
    let screen = Screen::this();
    block_on(async { plan::show(options, command, &screen).await })
}

/// `top`.
pub fn top(options: &Options, command: &Top) -> ExitCode {
    let screen = Screen::this();
    block_on(async { top::show(options, command, &screen).await })
}

fn block_on(command: impl Future<Output = Result<ExitCode, Failure>>) -> ExitCode {
    match actix_rt::System::new().block_on(command) {
        Ok(code) => code,
        // Whoever reads has gone, as with `| head`: what he wanted he has.
        Err(Failure::NobodyReads) => ExitCode::SUCCESS,
        Err(failure) => {
            cli::complain(&failure);
            failure.exit_code()
        }
    }
}

//! The `arvados-dispatch-cloud` binary.

use std::process::ExitCode;

use arvados_dispatch_cloud::cli::{self, Command, Invocation};

fn main() -> ExitCode {
    match cli::parse(std::env::args_os()) {
        Invocation::Answered(code) => code,
        Invocation::Runner(_) => not_wired("crunch-run"),
        Invocation::Command(options, command) => match command {
            Command::Config(command) => cli::config::run(&options, &command),
            Command::Run => not_wired("run"),
            Command::Demo(_) => not_wired("demo"),
            Command::Health(_) => not_wired("health"),
        },
    }
}

fn not_wired(command: &str) -> ExitCode {
    cli::complain(format!("{command}: not wired yet"));
    ExitCode::FAILURE
}

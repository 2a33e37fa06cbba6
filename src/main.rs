//! The `arvados-dispatch-cloud` binary.

use std::process::ExitCode;

use arvados_dispatch_cloud::cli::{self, Command, Invocation};
use arvados_dispatch_cloud::{client, cloudtest, core_dumps, demo, health, recording, run, simulate};

fn main() -> ExitCode {
    // The runner's personality comes first: it forks, and must be alone in its process.
    match cli::parse(std::env::args_os()) {
        Invocation::Answered(code) => code,
        Invocation::Runner(arguments) => crunch_runner::main(arguments),
        Invocation::Command(options, command) => {
            // Before anything secret is read.
            core_dumps::forbid();
            match command {
                Command::Config(command) => cli::config::run(&options, &command),
                Command::Completions { shell } => cli::generated::completions(shell),
                Command::Man { directory } => cli::generated::man(&directory),
                Command::Version => {
                    cli::print(&format!("arvados-dispatch-cloud {}", arvados_dispatch_cloud::VERSION));
                    ExitCode::SUCCESS
                }
                Command::Run(command) => run::run(&options, &command),
                Command::Demo(options) => demo::run(&options),
                Command::Cloudtest(cloudtest) => cloudtest::run(&options, &cloudtest),
                Command::Health(health) => health::run(&options, &health),
                Command::Instance(command) => client::instance(&options, &command),
                Command::Container(command) => client::container(&options, &command),
                Command::Events(command) => client::events(&options, &command),
                Command::Cost(command) => client::cost(&options, &command),
                Command::Plan(command) => client::plan(&options, &command),
                Command::Replay(command) => recording::replay(&command),
                Command::Simulate(command) => simulate::run(&options, &command),
                Command::Top(command) => client::top(&options, &command),
                Command::Creates(command) => client::creates(&options, &command),
                Command::Type(command) => client::instance_type(&options, &command),
            }
        }
    }
}

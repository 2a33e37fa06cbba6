//! The runner as a program of its own; the dispatcher's binary has the same personality built in.

use std::process::ExitCode;

fn main() -> ExitCode {
    crunch_runner::main(std::env::args_os().skip(1))
}

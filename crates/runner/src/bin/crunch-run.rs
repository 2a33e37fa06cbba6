//! The runner as a program of its own. The dispatcher's binary contains the same code.

use std::process::ExitCode;

fn main() -> ExitCode {
    crunch_runner::main(std::env::args_os().skip(1))
}

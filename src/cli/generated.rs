//! What is made from the description of the command line: completions of shells, and man pages.

use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap::{CommandFactory as _, ValueEnum};
use clap_complete::Shell as Known;

use super::{CommandLine, complain, print};

const NAME: &str = "arvados-dispatch-cloud";

/// Shells whose completions are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Read by `/usr/share/bash-completion/completions`.
    Bash,
    /// Read from `$fpath`, as `_arvados-dispatch-cloud`.
    Zsh,
    /// Read by `/usr/share/fish/vendor_completions.d`.
    Fish,
}

/// Prints the completions.
pub fn completions(shell: Shell) -> ExitCode {
    let known = match shell {
        Shell::Bash => Known::Bash,
        Shell::Zsh => Known::Zsh,
        Shell::Fish => Known::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(known, &mut CommandLine::command(), NAME, &mut script);
    print(mended(&String::from_utf8_lossy(&script)).trim_end());
    ExitCode::SUCCESS
}

/// clap_complete 4.6 calls a program whose name has hyphens differently in the two halves of bash's script, so that
/// nothing would be offered after the first word. Where it agrees with itself, this changes nothing.
fn mended(script: &str) -> String {
    script.replace("arvados__subcmd__dispatch__subcmd__cloud", "arvados__dispatch__cloud")
}

/// Writes a page for each command into a directory, which is made if it is not there. Exit 1 if that fails.
pub fn man(directory: &Path) -> ExitCode {
    match write(directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format!("cannot write the man pages into {}: {error}", directory.display()));
            ExitCode::FAILURE
        }
    }
}

fn write(directory: &Path) -> io::Result<()> {
    std::fs::create_dir_all(directory)?;
    clap_mangen::generate_to(CommandLine::command(), directory)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_contradicts_itself_nowhere() {
        CommandLine::command().debug_assert();
    }
}

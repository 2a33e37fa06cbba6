//! Reads the command line, in all spellings that dispatchers use: `-f=v`, `--f=v`, `--f v`.
//!
//! Unknown arguments are left in place: they may be meant for the real crunch-run, and the site's
//! `CrunchRunArgumentsList` is not checked here. The uuid is the last argument.

use std::ffi::OsString;

use dispatch_core::id::ContainerUuid;
use rustix::process::Signal;

use crate::RunnerError;

/// What the runner is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Start the container's process in the background.
    Detach,
    /// Run the container in this process, as a detached process does.
    Run,
    /// Print which containers have a process here.
    List {
        /// Whether stdin is a price history.
        stdin_prices: bool,
    },
    /// Send a signal to a container's process.
    Kill {
        /// The signal.
        signal: Signal,
        /// The container.
        uuid: ContainerUuid,
    },
}

/// A command line that was read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Invocation {
    /// What the runner is asked to do.
    pub mode: Mode,
    /// The value of `--runtime-engine`; without the flag it is docker, as for crunch-run.
    pub engine: String,
    /// Whether stdin carries the configuration.
    pub stdin_config: bool,
    /// Whether this is the detached process: `--detach` starts it with this flag.
    pub detached: bool,
    /// The last argument, if it does not begin with a dash.
    pub last: Option<String>,
}

/// The flag that `--detach` gives to the process that it starts.
pub(crate) const DETACHED: &str = "--detached";

/// One argument, split into name and value.
#[derive(Debug, Clone, Copy)]
struct Flag<'a> {
    name: &'a str,
    value: Option<&'a str>,
}

impl<'a> Flag<'a> {
    /// Reads `-name` or `--name`, with or without `=value`.
    fn parse(argument: &'a str) -> Option<Self> {
        let body = argument.strip_prefix("--").or_else(|| argument.strip_prefix('-'))?;
        let (name, value) = match body.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (body, None),
        };
        (!name.is_empty()).then_some(Self { name, value })
    }

    /// A flag that needs no value and takes one only after `=`.
    fn switch(&self) -> Result<bool, RunnerError> {
        match self.value {
            None | Some("1" | "t" | "T" | "true" | "TRUE" | "True") => Ok(true),
            Some("0" | "f" | "F" | "false" | "FALSE" | "False") => Ok(false),
            Some(other) => {
                Err(RunnerError::Usage(format!("--{} takes true or false, not `{other}`", self.name)))
            }
        }
    }

    /// A flag with a value, which comes after `=` or is the next argument.
    fn argument(&self, rest: &mut impl Iterator<Item = &'a str>) -> Result<&'a str, RunnerError> {
        self.value
            .or_else(|| rest.next())
            .ok_or_else(|| RunnerError::Usage(format!("--{} needs a value", self.name)))
    }
}

impl Invocation {
    /// Reads the arguments.
    ///
    /// # Errors
    /// If a known flag has a wrong value, or no container is named where one is needed.
    pub fn parse(args: &[OsString]) -> Result<Self, RunnerError> {
        let texts: Vec<&str> = args.iter().filter_map(|argument| argument.to_str()).collect();
        let mut flags = Flags::default();
        let mut rest = texts.iter().copied();
        while let Some(argument) = rest.next() {
            if argument == "--" {
                break;
            }
            if let Some(flag) = Flag::parse(argument) {
                flags.take(flag, &mut rest)?;
            }
        }
        let last = texts.last().filter(|text| !text.starts_with('-')).map(|text| (*text).to_owned());
        flags.into_invocation(last)
    }

    /// The container that is to be run.
    pub fn uuid(&self) -> Result<ContainerUuid, RunnerError> {
        container(self.last.as_deref())
    }
}

fn container(last: Option<&str>) -> Result<ContainerUuid, RunnerError> {
    let text = last.ok_or_else(|| RunnerError::Usage("no container uuid is given".to_owned()))?;
    Ok(text.parse()?)
}

fn signal(text: &str) -> Result<Signal, RunnerError> {
    text.parse()
        .ok()
        .and_then(Signal::from_named_raw)
        .ok_or_else(|| RunnerError::Usage(format!("--kill takes the number of a signal, not `{text}`")))
}

/// The known flags.
#[derive(Debug, Default)]
struct Flags {
    detach: bool,
    detached: bool,
    stdin_config: bool,
    list: bool,
    stdin_prices: bool,
    kill: Option<Signal>,
    engine: Option<String>,
}

impl Flags {
    fn take<'a>(
        &mut self,
        flag: Flag<'a>,
        rest: &mut impl Iterator<Item = &'a str>,
    ) -> Result<(), RunnerError> {
        match flag.name {
            "detach" => self.detach = flag.switch()?,
            "detached" => self.detached = flag.switch()?,
            "stdin-config" => self.stdin_config = flag.switch()?,
            "list" => self.list = flag.switch()?,
            "stdin-prices" => self.stdin_prices = flag.switch()?,
            "kill" => self.kill = Some(signal(flag.argument(rest)?)?),
            "runtime-engine" => self.engine = Some(flag.argument(rest)?.to_owned()),
            _ => {}
        }
        Ok(())
    }

    fn into_invocation(self, last: Option<String>) -> Result<Invocation, RunnerError> {
        let mode = match (self.kill, self.list, self.detach) {
            (Some(signal), _, _) => Mode::Kill { signal, uuid: container(last.as_deref())? },
            (None, true, _) => Mode::List { stdin_prices: self.stdin_prices },
            (None, false, true) => Mode::Detach,
            (None, false, false) => Mode::Run,
        };
        let engine = self.engine.unwrap_or_else(|| "docker".to_owned());
        Ok(Invocation { mode, engine, stdin_config: self.stdin_config, detached: self.detached, last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const UUID: &str = "zzzzz-dz642-000000000000001";

    fn parse(args: &[&str]) -> Result<Invocation, RunnerError> {
        Invocation::parse(&args.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn flags_are_understood_in_all_spellings() {
        for spelling in [
            ["--detach", "--stdin-config", "--runtime-engine=process", UUID].as_slice(),
            ["-detach", "-stdin-config", "-runtime-engine=process", UUID].as_slice(),
            ["--detach=true", "-stdin-config=1", "--runtime-engine", "process", UUID].as_slice(),
            ["-runtime-engine", "process", "--stdin-config=T", "-detach=t", UUID].as_slice(),
        ] {
            let invocation = parse(spelling).unwrap();
            assert_eq!(invocation.mode, Mode::Detach, "{spelling:?}");
            assert_eq!(invocation.engine, "process");
            assert!(invocation.stdin_config);
            assert_eq!(invocation.uuid().unwrap().as_str(), UUID);
        }
    }

    #[test]
    fn the_signal_and_the_container_of_a_kill_are_found_in_all_spellings() {
        for spelling in [["--kill", "15", UUID].as_slice(), &["-kill=15", UUID], &["--kill=15", UUID]] {
            let uuid = UUID.parse().unwrap();
            assert_eq!(parse(spelling).unwrap().mode, Mode::Kill { signal: Signal::TERM, uuid });
        }
    }

    #[test]
    fn unknown_flags_are_ignored() {
        let args =
            ["--detach", "--cgroup-parent-subsystem=memory", "-enable-network=always", "--memory", "1", UUID];
        let invocation = parse(&args).unwrap();
        assert_eq!((invocation.mode, invocation.engine.as_str()), (Mode::Detach, "docker"));
    }

    #[test]
    fn a_flag_switched_off_is_off() {
        assert_eq!(parse(&["--detach=false", "--list"]).unwrap().mode, Mode::List { stdin_prices: false });
        assert!(matches!(parse(&["--list=maybe"]), Err(RunnerError::Usage(_))));
    }

    #[test]
    fn a_wrong_command_line_is_refused_with_what_was_expected() {
        for args in
            [["--kill", "fifteen", UUID].as_slice(), &["--kill", "0", UUID], &["--kill"], &["--kill", "15"]]
        {
            assert_eq!(parse(args).unwrap_err().exit_code(), 2, "{args:?}");
        }
        assert!(parse(&["--detach"]).unwrap().uuid().is_err());
        assert!(parse(&["--detach", "../../etc/passwd"]).unwrap().uuid().is_err());
    }

    #[test]
    fn after_two_dashes_nothing_is_a_flag() {
        assert_eq!(parse(&["--", "--list"]).unwrap().mode, Mode::Run);
    }
}

//! Carries out the commands that arrive at a VM.

use std::time::Duration;

use bytes::Bytes;
use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::ports::{Output, ShellCommand};
use dispatch_core::secret::Secret;
use dispatch_core::time::{Timestamp, after, since};

use super::FakeVms;
use super::facts::{CommandKind, VmFact};
use super::host::{Host, Lock, failed, succeeded};
use super::knobs::CommandFault;
use super::lasting::StartFailure;
use super::shell::{Asked, understand, without_fence};

/// How long a command may hold the lock of a fence.
const LIMIT_WITHIN_LOCK: Duration = Duration::from_secs(20);

/// How long after that a process that was begun still takes to name itself, at most.
const NAMES_ITSELF: Duration = Duration::from_secs(1);

/// What a command does after it has reached its VM.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Execution {
    /// How long it takes on the VM.
    pub takes: Duration,
    /// What it answers at the end of that time.
    pub answer: Answer,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Output(Output),
    /// Status 0 if that process has ended by then, else 1.
    WhetherEnded(u64),
}

impl Execution {
    fn at_once(output: Output) -> Self {
        Self { takes: Duration::ZERO, answer: Answer::Output(output) }
    }
}

impl FakeVms {
    /// The fault that strikes a command of that kind now, if any.
    pub(super) fn strike(&mut self, kind: CommandKind) -> Option<CommandFault> {
        if let Some(position) = self.script.iter().position(|(wanted, _)| *wanted == kind) {
            return self.script.remove(position).map(|(_, fault)| fault);
        }
        let Self { knobs, chance, .. } = self;
        // Nobody believes a late list.
        let late_rate = match kind {
            CommandKind::Start | CommandKind::Claim => knobs.late_rate,
            CommandKind::BootProbe
            | CommandKind::Md5sum
            | CommandKind::Install
            | CommandKind::List
            | CommandKind::Kill
            | CommandKind::ReadSecret
            | CommandKind::ReadJournal
            | CommandKind::Unknown => 0.0,
        };
        let faults = [
            (CommandFault::CutBefore, knobs.cut_before_rate),
            (CommandFault::CutAfter, knobs.cut_after_rate),
            (CommandFault::Late, late_rate),
            (CommandFault::Hang, knobs.hang_rate),
        ];
        faults.into_iter().find(|(_, rate)| chance.hits(*rate)).map(|(fault, _)| fault)
    }

    /// What kind of command it is; the command is not run.
    pub(super) fn kind_of(&self, command: &ShellCommand) -> CommandKind {
        match without_fence(understand(&command.shell)) {
            Asked::Claim { .. } => CommandKind::Claim,
            Asked::Guarded { .. } | Asked::Touched { .. } => CommandKind::Unknown,
            Asked::List { .. } => CommandKind::List,
            Asked::Start { .. } => CommandKind::Start,
            Asked::Kill { .. } => CommandKind::Kill,
            Asked::Md5sum { .. } => CommandKind::Md5sum,
            Asked::Install { .. } => CommandKind::Install,
            Asked::ReadSecret => CommandKind::ReadSecret,
            Asked::ReadJournal => CommandKind::ReadJournal,
            Asked::Other { text } if text == self.knobs.boot_probe || text.is_empty() || text == "true" => {
                CommandKind::BootProbe
            }
            Asked::Other { .. } => CommandKind::Unknown,
        }
    }

    /// Runs a command on a VM; `None` if the VM no longer exists.
    pub(super) fn execute(
        &mut self,
        id: &InstanceId,
        command: &ShellCommand,
        now: Timestamp,
    ) -> Option<Execution> {
        self.advance(now);
        self.history.count_command(self.kind_of(command));
        let host = self.hosts.get_mut(id)?;
        host.expire_locks(now);
        Some(self.carry_out(id, understand(&command.shell), command, now))
    }

    /// What the command comes to, behind a fence or not.
    fn carry_out(
        &mut self,
        id: &InstanceId,
        asked: Asked,
        command: &ShellCommand,
        now: Timestamp,
    ) -> Execution {
        let Some(host) = self.hosts.get_mut(id) else { return Execution::at_once(failed(255, "no such VM")) };
        match asked {
            Asked::Claim { file, number, owner, window } => {
                if !command.stdin.is_empty() {
                    host.secret_copy = Some(Secret::new(String::from_utf8_lossy(&command.stdin)));
                }
                let (takes, output) = host.claim(file, (number, owner), window, now);
                Execution { takes, answer: Answer::Output(output) }
            }
            Asked::Touched { file, command: inner } => {
                host.touch(&file, now);
                self.carry_out(id, *inner, command, now)
            }
            Asked::Guarded { file, number, owner, stdin_bytes, command: inner } => {
                if stdin_bytes.is_some_and(|bytes| bytes != command.stdin.len()) {
                    return Execution::at_once(failed(96, "truncated"));
                }
                if let Some(stopped) = host.stops(&file, number, owner) {
                    return Execution::at_once(stopped);
                }
                let execution = ended_at_limit(self.carry_out(id, *inner, command, now));
                if let Some(host) = self.hosts.get_mut(id) {
                    host.name_soon(after(now, LIMIT_WITHIN_LOCK + NAMES_ITSELF));
                    host.starting_until = host.starting_until.max(after(now, execution.takes));
                }
                execution
            }
            Asked::List { runner } => {
                let missing = host.missing(&runner);
                let list = missing.unwrap_or_else(|| host.list(now));
                Execution::at_once(self.garbled(list))
            }
            Asked::Md5sum { path } => Execution::at_once(host.md5sum(&path)),
            Asked::Install { path, md5 } => Execution::at_once(host.install(path, md5, &command.stdin)),
            Asked::ReadSecret => Execution::at_once(host.read_secret(now)),
            // The runners of these VMs say what they have to say to whoever starts them.
            Asked::ReadJournal => Execution::at_once(succeeded("")),
            Asked::Start { runner, container, stdin_config } => {
                self.start(id, &runner, container, stdin_config.then_some(&command.stdin), now)
            }
            Asked::Kill { runner, signal, container } => self.kill(id, &runner, signal, container, now),
            Asked::Other { text } => match host.boot_probe(&text, &self.knobs.boot_probe, now) {
                Some(output) => Execution::at_once(output),
                None => {
                    let shell = command.shell.clone();
                    self.history.record(now, VmFact::NotUnderstood { vm: id.clone(), shell });
                    Execution::at_once(failed(127, &format!("sh: {text}: command not found")))
                }
            },
        }
    }

    /// The list as it arrives. Only the newline of its last line tells that it is whole.
    fn garbled(&mut self, mut list: Output) -> Output {
        let Self { knobs, chance, .. } = self;
        if list.status != 0 {
            return list;
        }
        if chance.hits(knobs.strange_list_rate) {
            let text = String::from_utf8_lossy(&list.stdout).into_owned();
            let paused = |line: &str| {
                if line.contains(' ') { format!("{line}\n") } else { format!("{line} paused\n") }
            };
            let lines = text.lines().filter(|line| *line != "broken").map(paused);
            list.stdout = format!("Last login: never\n{}", lines.collect::<String>()).into_bytes();
        }
        if chance.hits(knobs.cut_list_rate) && !list.stdout.is_empty() {
            let mut length = chance.below(list.stdout.len());
            length -= usize::from(length > 0 && list.stdout[length - 1] == b'\n');
            list.stdout.truncate(length);
            if length == 0 {
                list.stdout = b"z".to_vec();
            }
        }
        list
    }

    /// `RUNNER --detach`: the process lives from now on. The runner's list shows it once it is detached.
    fn start(
        &mut self,
        id: &InstanceId,
        runner: &str,
        container: ContainerUuid,
        stdin: Option<&Bytes>,
        now: Timestamp,
    ) -> Execution {
        let Some(host) = self.hosts.get(id) else { return Execution::at_once(failed(255, "no such VM")) };
        let refusal = host.missing(runner).or_else(|| refuse_start(host, container, stdin)).or_else(|| {
            let failure = self.knobs.lasting.start_failures.get(&container);
            failure.map(StartFailure::output)
        });
        if let Some(output) = refusal {
            let status = output.status;
            self.history.record(now, VmFact::StartFailed { vm: id.clone(), container, status });
            return Execution::at_once(output);
        }
        let takes = self.chance.draw(self.knobs.detach);
        let pid = self.begin_process(id, container, after(now, takes), now);
        let output = succeeded(&format!("{{\"UUID\":\"{container}\",\"PID\":{pid}}}\n"));
        Execution { takes, answer: Answer::Output(output) }
    }

    /// `RUNNER --kill`: sends one signal, then waits up to 1 s for the process to end.
    fn kill(
        &mut self,
        id: &InstanceId,
        runner: &str,
        signal: u8,
        container: ContainerUuid,
        now: Timestamp,
    ) -> Execution {
        let host = self.hosts.get(id);
        if let Some(output) = host.and_then(|host| host.missing(runner)) {
            return Execution::at_once(output);
        }
        let lock = host.and_then(|host| host.locks.get(&container)).copied();
        let Some(Lock::Process { pid, .. }) = lock else {
            return Execution::at_once(succeeded(""));
        };
        let longest = Duration::from_secs(1);
        let ends_at = self.signal_process(id, container, pid, signal, now);
        let takes = ends_at.map_or(longest, |at| since(at, now).min(longest));
        Execution { takes, answer: Answer::WhetherEnded(pid) }
    }

    /// Sends a signal to a process. Returns when the process ends because of it, if it does.
    pub fn signal_process(
        &mut self,
        id: &InstanceId,
        container: ContainerUuid,
        pid: u64,
        signal: u8,
        now: Timestamp,
    ) -> Option<Timestamp> {
        self.history.record(now, VmFact::Signalled { vm: id.clone(), container, signal });
        self.signal(pid, signal, now)
    }

    pub(super) fn finish(&mut self, answer: Answer, now: Timestamp) -> Output {
        match answer {
            Answer::Output(output) => output,
            Answer::WhetherEnded(pid) => {
                self.advance(now);
                match self.processes.get(&pid) {
                    None => succeeded(""),
                    Some(process) => failed(1, &format!("{}: still alive", process.container)),
                }
            }
        }
    }
}

/// A fenced command is ended at its limit, so that the lock is free again. What it has begun goes on.
fn ended_at_limit(execution: Execution) -> Execution {
    match execution.takes > LIMIT_WITHIN_LOCK {
        true => Execution { takes: LIMIT_WITHIN_LOCK, answer: Answer::Output(failed(137, "Killed")) },
        false => execution,
    }
}

/// Why the VM refuses that start; `None` = it does not.
fn refuse_start(host: &Host, container: ContainerUuid, stdin: Option<&Bytes>) -> Option<Output> {
    let config_is_json = |stdin: &Bytes| serde_json::from_slice::<serde::de::IgnoredAny>(stdin).is_ok();
    if host.behaviour.full_disk {
        Some(failed(1, "crunch-run: open lock file: no space left on device"))
    } else if host.locks.contains_key(&container) {
        Some(failed(1, &format!("crunch-run: {container}: lock is held: resource temporarily unavailable")))
    } else if !stdin.is_none_or(config_is_json) {
        Some(failed(1, "crunch-run: decode stdin: not JSON"))
    } else {
        None
    }
}

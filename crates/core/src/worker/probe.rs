//! A probe as a chain of commands: pure, performed by the Worker actor one command at a time.
//!
//! ```text
//!   [boot probe] ─ok, or unknown worker─► [md5sum ─differs─► install] ─► [claim] ─► --list ─► report
//!        └─fails─► report                          └ whatever they come to ┘
//! ```
//! A copy that fails or a claim that cannot be made hides nothing that runs: the list is asked for all the same, where
//! ours could not be copied with a runner that lies there.
//! The claim of the fence comes right before the list, so that the list shows every start that was let through
//! before. It is made once in a life, and again if the fence has gone or cannot be relied on yet.
//! A busy VM found after a restart may fail its boot probe, and the new dispatcher's runner is not on it
//! yet: without the runner it would look dead. So an unknown worker goes on after a failed boot probe.

use bytes::Bytes;

use super::fence::{ClaimOutcome, Fence};
use super::process_list::ProcessList;
use super::runner::Commands;
use crate::ports::{ExecError, ExecErrorKind, Output, ShellCommand};
use crate::secret::Secret;

/// What a probe has to find out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Whether the boot probe has not passed yet.
    pub boot: bool,
    /// Whether to go on when it fails: nothing is known of this worker.
    pub list_anyway: bool,
    /// Whether the runner may have to be copied first.
    pub deploy: bool,
    /// Prices for the processes there, as JSON.
    pub prices: Option<Bytes>,
    /// Whether a connection is opened for it: one that stands says nothing about where its address leads now.
    pub afresh: bool,
    /// What is to be done about the fence.
    pub fence: FenceWish,
    /// The instance's secret, of which who claims the fence leaves a copy.
    pub secret: Option<Secret>,
}

/// What a probe does about the fence of its VM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FenceWish {
    /// It is claimed; `overtakes`: also if the file has a number that is not smaller than our epoch, because we have
    /// not been there yet.
    Claim {
        /// Whether such a number is overtaken.
        overtakes: bool,
        /// Whether we have made the VM.
        is_new: bool,
    },
    /// It is ours: it is touched.
    Touch,
    /// It is another's by now.
    LeaveAlone,
}

/// How many numbers a first claim overtakes: one that an earlier dispatcher's clock has left, and one more if that
/// dispatcher's own claim came between.
const OVERTAKES: u32 = 3;

/// A command that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandFailure {
    /// The shell text.
    pub command: String,
    /// Its exit status or error, for people.
    pub error: String,
    /// How the executor failed; `None` if the command ended and failed, if its output cannot be understood, or if it was
    /// not sent.
    pub kind: Option<ExecErrorKind>,
    /// The end of its standard output.
    pub stdout: String,
    /// The end of its standard error.
    pub stderr: String,
}

impl CommandFailure {
    /// The command has ended with this output, and that is a failure.
    pub(super) fn of_output(command: &ShellCommand, output: &Output) -> Self {
        Self {
            command: command.shell.clone(),
            error: format!("exit status {}", output.status),
            kind: None,
            stdout: tail(&output.stdout),
            stderr: tail(&output.stderr),
        }
    }

    /// In a sentence, for the user of the container that it was to start; at most some 1,000 characters.
    pub fn for_users(&self) -> String {
        let said =
            [&self.stderr, &self.stdout].into_iter().map(|text| text.trim()).find(|text| !text.is_empty());
        match said {
            Some(text) => format!("{}: {}", self.error, last_chars(text, 1000)),
            None if self.kind.is_none() => format!("{}, and crunch-run wrote nothing", self.error),
            None => self.error.clone(),
        }
    }
}

/// The last characters of a text, at most that many: the cause of a failure stands at its end.
fn last_chars(text: &str, most: usize) -> &str {
    let from = text.char_indices().rev().nth(most.saturating_sub(1)).map_or(0, |(at, _)| at);
    &text[from..]
}

/// What a probe has found out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// The boot probe, if it was run: ok with its output, or why not.
    pub boot: Option<Result<BootOutput, CommandFailure>>,
    /// Whether the runner is there now; `None` if that was not looked at.
    pub deployed: Option<Result<Deployed, CommandFailure>>,
    /// What has come of the claim of the fence, if it was claimed.
    pub claim: Option<ClaimOutcome>,
    /// The list, if it was asked for.
    pub list: Option<Result<ProcessList, CommandFailure>>,
    /// Whether a connection got as far as the verification of the host key.
    pub reached_verification: bool,
    /// Whether a connection was opened for it.
    pub afresh: bool,
}

/// What a passed boot probe wrote.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BootOutput {
    /// The shell text.
    pub command: String,
    /// The end of its standard output.
    pub stdout: String,
    /// The end of its standard error.
    pub stderr: String,
}

/// How the runner came to be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deployed {
    /// It was there.
    Already,
    /// It was copied now.
    Installed,
}

impl Report {
    /// The first thing that went wrong, if anything did.
    pub fn failure(&self) -> Option<&CommandFailure> {
        self.failures().next()
    }

    /// All that went wrong.
    pub(super) fn failures(&self) -> impl Iterator<Item = &CommandFailure> {
        let boot = self.boot.as_ref().and_then(|it| it.as_ref().err());
        let deployed = self.deployed.as_ref().and_then(|it| it.as_ref().err());
        let list = self.list.as_ref().and_then(|it| it.as_ref().err());
        [boot, deployed, list].into_iter().flatten()
    }

    /// The list, if all went well up to it.
    pub fn process_list(&self) -> Option<&ProcessList> {
        self.list.as_ref().and_then(|it| it.as_ref().ok())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProbeStage {
    Boot,
    Md5sum,
    Install,
    /// Above that number, if one was found.
    Claim(Option<u64>),
    List,
    Done,
}

/// A probe in progress.
#[derive(Debug)]
pub struct Probe {
    wanted: Wanted,
    cluster: String,
    commands: std::sync::Arc<Commands>,
    fence: std::sync::Arc<Fence>,
    /// Numbers that were found in the fence.
    overtaken: u32,
    stage: ProbeStage,
    report: Report,
}

impl Probe {
    /// Begins a probe; `cluster` are the five characters that our uuids begin with.
    pub fn new(
        wanted: Wanted,
        cluster: &str,
        commands: std::sync::Arc<Commands>,
        fence: std::sync::Arc<Fence>,
    ) -> Self {
        let mut probe = Self {
            cluster: cluster.to_owned(),
            commands,
            fence,
            overtaken: 0,
            stage: ProbeStage::Boot,
            report: Report { afresh: wanted.afresh, ..Report::default() },
            wanted,
        };
        if !probe.wanted.boot {
            probe.stage = probe.after_boot();
        }
        probe
    }

    /// The next command, or `None` when the probe is over.
    pub fn command(&self) -> Option<ShellCommand> {
        let command = match self.stage {
            ProbeStage::Boot => Some(self.commands.boot_probe()),
            ProbeStage::Md5sum => self.commands.md5sum(),
            ProbeStage::Install => self.commands.install(),
            ProbeStage::Claim(above) => Some(self.claim(above)),
            ProbeStage::List => Some(self.list_command()),
            ProbeStage::Done => None,
        };
        command.map(|command| ShellCommand { afresh: self.wanted.afresh, ..command })
    }

    /// Takes the answer to [`Probe::command`].
    pub fn answer(&mut self, answer: Result<Output, ExecError>) {
        let Some(command) = self.command() else { return };
        // Only the first command that is sent opens a connection.
        self.wanted.afresh &= answer.as_ref().is_err_and(|error| error.kind == ExecErrorKind::NotSent);
        let unreachable = answer.as_ref().is_err_and(|error| error.kind != ExecErrorKind::CommandTimeout);
        self.report.reached_verification |=
            answer.as_ref().map_or_else(|e| e.kind.reached_verification(), |_| true);
        if let ProbeStage::Claim(_) = self.stage {
            self.stage = self.claimed(ClaimOutcome::read(&self.fence, &command, answer), unreachable);
            return;
        }
        let result = success(&command, answer);
        self.stage = match self.stage {
            ProbeStage::Boot => self.booted(&command, result, unreachable),
            ProbeStage::Md5sum => self.compared(result, unreachable),
            ProbeStage::Install => self.installed(result),
            ProbeStage::List => self.listed(result),
            ProbeStage::Claim(_) | ProbeStage::Done => ProbeStage::Done,
        };
    }

    /// What was found out.
    pub fn into_report(self) -> Report {
        self.report
    }

    fn after_boot(&self) -> ProbeStage {
        if self.wanted.deploy && self.commands.deploys() { ProbeStage::Md5sum } else { self.before_list() }
    }

    fn before_list(&self) -> ProbeStage {
        match self.wanted.fence {
            FenceWish::Claim { .. } => ProbeStage::Claim(None),
            FenceWish::Touch | FenceWish::LeaveAlone => ProbeStage::List,
        }
    }

    fn claim(&self, above: Option<u64>) -> ShellCommand {
        let claim = self.fence.claim(above, self.is_new());
        match &self.wanted.secret {
            Some(secret) => self.fence.keep_secret(claim, secret),
            None => claim,
        }
    }

    fn is_new(&self) -> bool {
        matches!(self.wanted.fence, FenceWish::Claim { is_new: true, .. })
    }

    fn list_command(&self) -> ShellCommand {
        let list = match self.report.deployed {
            Some(Err(_)) => self.commands.list_without_ours(),
            Some(Ok(_)) | None => self.commands.list(self.wanted.prices.clone()),
        };
        match self.wanted.fence {
            FenceWish::Touch => self.fence.touch(list),
            FenceWish::Claim { .. } | FenceWish::LeaveAlone => list,
        }
    }

    /// The list is asked for whatever has come of the claim: it needs no fence.
    fn claimed(&mut self, outcome: ClaimOutcome, unreachable: bool) -> ProbeStage {
        let overtakes = matches!(self.wanted.fence, FenceWish::Claim { overtakes: true, .. });
        if let ClaimOutcome::Greater(seen) = outcome
            && overtakes
            && self.overtaken < OVERTAKES
        {
            self.overtaken += 1;
            return ProbeStage::Claim(Some(seen));
        }
        let next = match &outcome {
            // We may not act, and may always ask.
            ClaimOutcome::Failed(failure) if failure.kind == Some(ExecErrorKind::NotSent) => ProbeStage::List,
            ClaimOutcome::Failed(failure) if unreachable => {
                self.report.list = Some(Err(failure.clone()));
                ProbeStage::Done
            }
            ClaimOutcome::Failed(_) | ClaimOutcome::Claimed(_) | ClaimOutcome::Greater(_) => ProbeStage::List,
        };
        self.report.claim = Some(outcome);
        next
    }

    fn booted(
        &mut self,
        command: &ShellCommand,
        result: Result<Output, CommandFailure>,
        unreachable: bool,
    ) -> ProbeStage {
        let failed = result.is_err();
        self.report.boot = Some(result.map(|output| BootOutput {
            command: command.shell.clone(),
            stdout: tail(&output.stdout),
            stderr: tail(&output.stderr),
        }));
        if failed && (unreachable || !self.wanted.list_anyway) { ProbeStage::Done } else { self.after_boot() }
    }

    fn compared(&mut self, result: Result<Output, CommandFailure>, unreachable: bool) -> ProbeStage {
        match result {
            Ok(output) if self.commands.md5_matches(&output.stdout) => {
                self.report.deployed = Some(Ok(Deployed::Already));
                self.before_list()
            }
            // No such file, or another content: copy it.
            Ok(_) => ProbeStage::Install,
            Err(failure) if unreachable => {
                self.report.deployed = Some(Err(failure));
                ProbeStage::Done
            }
            Err(_) => ProbeStage::Install,
        }
    }

    /// It is for new work: if it cannot be copied, for whatever reason, what runs there is asked for all the same. Even
    /// if the connection broke: a path that carries short questions may not carry a large file.
    fn installed(&mut self, result: Result<Output, CommandFailure>) -> ProbeStage {
        self.report.deployed = Some(result.map(|_| Deployed::Installed));
        self.before_list()
    }

    fn listed(&mut self, result: Result<Output, CommandFailure>) -> ProbeStage {
        let list = result.map(|output| ProcessList::read(&output.stdout, &self.cluster));
        self.report.list = Some(list);
        ProbeStage::Done
    }
}

/// Exit status 0, or why not.
///
/// # Errors
/// The status or error, and the last of what the command wrote.
pub fn success(command: &ShellCommand, answer: Result<Output, ExecError>) -> Result<Output, CommandFailure> {
    match answer {
        Ok(output) if output.status == 0 => Ok(output),
        Ok(output) => Err(CommandFailure::of_output(command, &output)),
        Err(error) => Err(CommandFailure {
            error: error.message,
            kind: Some(error.kind),
            ..CommandFailure::of_output(command, &Output::default())
        }),
    }
}

/// The last 1,000 characters, for logs.
fn tail(bytes: &[u8]) -> String {
    let start = bytes.len().saturating_sub(1000);
    String::from_utf8_lossy(&bytes[start..]).trim_end().to_owned()
}

#[cfg(test)]
#[path = "probe_tests.rs"]
mod tests;

//! The worker machine without a VM: stories told by commands and completions, in seconds.

mod excuse;
mod fences;
mod kills;
mod last_output;
mod last_words;
mod lifecycle;
mod odd_lists;
mod probing;
mod proof;
mod properties;
mod reload;
mod renewal;
mod reprieve;
mod runners;
mod shown;
mod starts;
mod watch;
mod watching;

use std::sync::Arc;

use super::fence::{ClaimOutcome, Epoch, Fence};
use super::probe::{BootOutput, CommandFailure, Report};
use super::*;
use crate::fixtures::{at, instance, order, policy, typed, uuid};
use crate::ports::ExecErrorKind;

fn failure(kind: Option<ExecErrorKind>) -> CommandFailure {
    CommandFailure {
        command: "crunch-run --list".to_owned(),
        error: "exit status 1".to_owned(),
        kind,
        stdout: String::new(),
        stderr: "no space left on device".to_owned(),
    }
}

/// A list of these running containers, nothing asked before it.
fn lists(running: &[u64]) -> Report {
    let listing =
        ProcessList { running: running.iter().copied().map(uuid).collect(), ..ProcessList::default() };
    let claim = Some(claims("1 62 settled"));
    Report { claim, list: Some(Ok(listing)), reached_verification: true, ..Report::default() }
}

/// A claim that was answered so: its number, for how many seconds a start may come that is not fenced, and its locks.
/// Most stories are about VMs that no fence was on before.
fn claims(answer: &str) -> ClaimOutcome {
    let fence = Fence::new("/fence", &policy().instance_set_id, Epoch::from_micros(1));
    let stdout = format!("fence-claimed {answer}\n").into_bytes();
    ClaimOutcome::read(
        &fence,
        &fence.claim(None, false),
        Ok(crate::ports::Output { stdout, ..Default::default() }),
    )
}

/// A passed boot probe, and an empty list.
fn boots() -> Report {
    Report { boot: Some(Ok(BootOutput::default())), ..lists(&[]) }
}

fn stale(n: u64) -> Report {
    let listing = ProcessList { stale: vec![uuid(n)], ..ProcessList::default() };
    Report { list: Some(Ok(listing)), ..lists(&[]) }
}

fn broken() -> Report {
    let listing = ProcessList { broken: true, ..ProcessList::default() };
    Report { list: Some(Ok(listing)), ..lists(&[]) }
}

/// The boot probe fails, and nothing else is asked.
fn boot_fails() -> Report {
    Report { boot: Some(Err(failure(None))), reached_verification: true, ..Report::default() }
}

/// The boot probe fails, but the process list is good.
fn boot_fails_but_lists(running: &[u64]) -> Report {
    Report { boot: boot_fails().boot, ..lists(running) }
}

fn silent() -> Report {
    Report {
        list: Some(Err(failure(Some(ExecErrorKind::ConnectTimeout)))),
        afresh: true,
        ..Report::default()
    }
}

fn start(n: u64) -> Command {
    Command::Start(order(uuid(n)))
}

/// What a machine is told: by Pool, or by its own effects.
#[derive(Debug, Clone)]
enum Input {
    Command(Command),
    Completion(Completion),
}

impl From<Command> for Input {
    fn from(command: Command) -> Self {
        Self::Command(command)
    }
}

impl From<Completion> for Input {
    fn from(completion: Completion) -> Self {
        Self::Completion(completion)
    }
}

/// A machine and its clock.
struct Story {
    machine: Machine,
    now: i64,
    done: Vec<WorkerEffect>,
}

impl Story {
    fn with(policy: Policy, ours: bool) -> Self {
        let shown = instance("i-1", &typed(&policy, "big"), "s");
        let (machine, done) = Machine::new(shown, ours, Arc::new(policy), at(0));
        Self { machine, now: 0, done }
    }

    fn booting() -> Self {
        Self::with(policy(), true)
    }

    fn unknown() -> Self {
        Self::with(policy(), false)
    }

    /// In service since second 1.
    fn idle() -> Self {
        let mut story = Self::booting();
        story.probe(0, 1, boots());
        story
    }

    /// With these containers started and confirmed.
    fn running(containers: &[u64]) -> Self {
        let mut story = Self::idle();
        for n in containers {
            story.on(2, start(*n));
            story.on(3, Completion::StartFinished(uuid(*n), StartOutcome::Started));
        }
        story.done.clear();
        story
    }

    /// What the machine does at that second.
    /// The slot of a destroy call has come: whether it is sent.
    fn call_begins(&mut self) -> bool {
        self.machine.may_destroy(at(self.now))
    }

    fn on(&mut self, second: i64, input: impl Into<Input>) -> Vec<WorkerEffect> {
        self.try_on(second, input).0
    }

    fn try_on(
        &mut self,
        second: i64,
        input: impl Into<Input>,
    ) -> (Vec<WorkerEffect>, Result<(), WorkerRefusal>) {
        self.now = second;
        let decided = match input.into() {
            Input::Command(command) => self.machine.on_command(command, at(second)),
            Input::Completion(completion) => Ok(self.machine.on_completion(completion, at(second))),
        };
        let (effects, answer) = match decided {
            Ok(effects) => (effects, Ok(())),
            Err(refusal) => (Vec::new(), Err(refusal)),
        };
        self.done.extend(effects.iter().cloned());
        (effects, answer)
    }

    /// A whole probe that began and ended then.
    fn probe(&mut self, began: i64, ended: i64, report: Report) -> Vec<WorkerEffect> {
        self.on(began, Command::Probe);
        self.on(ended, Completion::ProbeFinished { began: at(began), report })
    }

    /// A probe of now, ended a second later.
    fn probe_now(&mut self, report: Report) -> Vec<WorkerEffect> {
        self.probe(self.now + 1, self.now + 2, report)
    }

    fn view(&self) -> View {
        self.machine.view()
    }

    fn state(&self) -> State {
        self.machine.state()
    }

    fn did(&self, effect: &WorkerEffect) -> usize {
        self.done.iter().filter(|done| *done == effect).count()
    }

    fn told(&self, fact: &WorkerFact) -> usize {
        self.did(&WorkerEffect::Tell(fact.clone()))
    }

    /// When it next wants to be probed, and whether that is out of turn.
    fn wish(&self) -> Option<(i64, bool)> {
        self.view()
            .next_probe
            .map(|(when, turn)| (crate::time::since(when, at(0)).as_secs() as i64, turn != ProbeTurn::InTurn))
    }
}

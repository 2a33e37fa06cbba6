//! The life of a crunch-run process, as far as it can be seen from outside.
//!
//! ```text
//!   started ──running_after──→ PUT Running ──lasts──→ PUT Complete ──→ ended
//!      │ crash                     │ crash, SIGTERM         │ rejected
//!      └──→ ended, lock stale? ←───┘──→ PUT Cancelled ──→ ended
//! ```
//!
//! A call that gets no answer is repeated after 2, 4, 8 … 60 s, for ever.

use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::id::{ContainerUuid, InstanceId, TokenUuid};
use dispatch_core::time::{Timestamp, after};
use serde_json::{Value, json};

use super::facts::Ending;
use super::host::Lock;
use super::knobs::{Crash, Helper, Job, OnTerm};
use super::{Event, FakeVms};
use crate::controller::faults::CallKind;
use crate::controller::state::Changes;

/// How often a supervisor checks whether its children have ended.
const LOOK_AFTER_CHILDREN: Duration = Duration::from_secs(5);

/// A crunch-run process that lives.
#[derive(Debug)]
pub(super) struct Process {
    pub container: ContainerUuid,
    vm: InstanceId,
    /// The token of the dispatcher that started it. The process makes its calls with it.
    token: Option<TokenUuid>,
    job: Job,
    /// When it ends because of a signal.
    term_at: Option<Timestamp>,
    children: Vec<ContainerUuid>,
    retries: u32,
}

/// What a process does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    SetRunning,
    Crash,
    Finish,
    Terminate,
}

/// The result of a call to the controller.
pub(super) enum Reported {
    Done,
    NoAnswer,
    Rejected,
}

impl FakeVms {
    /// Begins a process on a VM. The runner's list shows it from then on.
    pub fn begin_process(
        &mut self,
        vm: &InstanceId,
        container: ContainerUuid,
        listed_from: Timestamp,
        now: Timestamp,
    ) -> u64 {
        let pid = self.next_pid;
        self.next_pid += 1;
        let job = self.job_for(container);
        if let Some(host) = self.hosts.get_mut(vm) {
            host.locks.insert(container, Lock::Process { pid, listed_from });
        }
        self.history.started(now, vm.clone(), container, pid);
        let first = if job.crash == Crash::BeforeRunning { Step::Crash } else { Step::SetRunning };
        let at = after(now, job.running_after);
        let vm = vm.clone();
        let token = self.arvados.borrow().container(container).and_then(|it| it.locked_by);
        let process = Process { container, vm, token, job, term_at: None, children: Vec::new(), retries: 0 };
        self.processes.insert(pid, process);
        self.schedule(at, Event::Process(pid, first));
        pid
    }

    /// The behaviour that was prescribed for that container; otherwise one that is drawn, and lasts as long
    /// as the command says.
    fn job_for(&mut self, container: ContainerUuid) -> Job {
        if let Some(job) = self.knobs.job_of.get(&container) {
            return job.clone();
        }
        let arvados = self.arvados.borrow();
        let command = arvados.container(container).map_or(&[][..], |it| &it.spec.command);
        let Self { knobs, chance, .. } = self;
        let jobs = &knobs.jobs;
        let crash = if chance.hits(jobs.crash_before_running_rate) {
            Crash::BeforeRunning
        } else if chance.hits(jobs.crash_after_running_rate) {
            Crash::WhileRunning
        } else {
            Crash::Never
        };
        let helper = match (chance.hits(jobs.stale_rate), jobs.stale_for) {
            (false, _) => Helper::LetsGo,
            (true, Some(span)) => Helper::KeepsLock(chance.draw(span)),
            (true, None) => Helper::KeepsLockForEver,
        };
        let ignores = chance.hits(jobs.ignores_term_rate);
        Job {
            running_after: chance.draw(jobs.running_after),
            lasts: sleep_of(command).unwrap_or_else(|| chance.draw(jobs.lasts)),
            exit_code: exit_of(command),
            crash,
            helper,
            on_term: match ignores {
                true => OnTerm::Ignores,
                false => OnTerm::EndsAfter(chance.draw(jobs.ends_after_term)),
            },
            children: Vec::new(),
        }
    }

    /// Sends a signal to a process. Returns when the process ends because of it, if it does.
    pub(super) fn signal(&mut self, pid: u64, signal: u8, now: Timestamp) -> Option<Timestamp> {
        if signal != 15 {
            self.end_process(pid, Ending::Crashed, now);
            return Some(now);
        }
        let process = self.processes.get_mut(&pid)?;
        let OnTerm::EndsAfter(delay) = process.job.on_term else { return None };
        if process.term_at.is_none() {
            let at = after(now, delay);
            process.term_at = Some(at);
            self.schedule(at, Event::Process(pid, Step::Terminate));
        }
        self.processes.get(&pid)?.term_at
    }

    pub(super) fn step(&mut self, pid: u64, step: Step, now: Timestamp) {
        let Some(process) = self.processes.get(&pid) else { return };
        if process.term_at.is_some() && matches!(step, Step::SetRunning | Step::Finish) {
            return;
        }
        match step {
            Step::SetRunning => self.set_running(pid, now),
            Step::Crash => self.end_process(pid, Ending::Crashed, now),
            Step::Finish => self.finish_process(pid, now),
            Step::Terminate => self.terminate(pid, now),
        }
    }

    fn set_running(&mut self, pid: u64, now: Timestamp) {
        match self.report(pid, json!({ "state": "Running", "gateway_address": "127.0.0.1:0" }), now) {
            Reported::NoAnswer => self.again(pid, Step::SetRunning, now),
            Reported::Rejected => self.end_process(pid, Ending::Rejected, now),
            Reported::Done => {
                self.submit_children(pid, now);
                let Some(process) = self.processes.get_mut(&pid) else { return };
                process.retries = 0;
                let (next, delay) = match process.job.crash {
                    Crash::WhileRunning => (Step::Crash, process.job.lasts / 2),
                    Crash::Never | Crash::BeforeRunning => (Step::Finish, process.job.lasts),
                };
                self.schedule(after(now, delay), Event::Process(pid, next));
            }
        }
    }

    fn submit_children(&mut self, pid: u64, now: Timestamp) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        let wanted = std::mem::take(&mut process.job.children);
        let mut arvados = self.arvados.borrow_mut();
        process.children.extend(wanted.into_iter().map(|child| arvados.submit(child, now)));
    }

    fn finish_process(&mut self, pid: u64, now: Timestamp) {
        let Some(process) = self.processes.get(&pid) else { return };
        if self.has_children_to_wait_for(process) {
            self.schedule(after(now, LOOK_AFTER_CHILDREN), Event::Process(pid, Step::Finish));
            return;
        }
        let exit_code = process.job.exit_code;
        match self.report(pid, json!({ "state": "Complete", "exit_code": exit_code }), now) {
            Reported::NoAnswer => self.again(pid, Step::Finish, now),
            Reported::Rejected => self.end_process(pid, Ending::Rejected, now),
            Reported::Done => self.end_process(pid, Ending::Completed, now),
        }
    }

    /// Whether the last attempt at any child is neither final, nor deleted, nor cancelled by its user.
    fn has_children_to_wait_for(&self, process: &Process) -> bool {
        let arvados = self.arvados.borrow();
        process.children.iter().any(|child| {
            let latest = arvados.request_of(*child).and_then(|request| request.attempts.last());
            let record = latest.and_then(|latest| arvados.container(*latest));
            record.is_some_and(|record| !record.state.is_final() && record.priority > 0)
        })
    }

    /// Cancels the container, if this process may still do so.
    fn terminate(&mut self, pid: u64, now: Timestamp) {
        let Some(process) = self.processes.get(&pid) else { return };
        let state = self.arvados.borrow().container(process.container).map(|it| it.state);
        let ours = matches!(state, Some(ContainerState::Locked | ContainerState::Running));
        let reported =
            if ours { self.report(pid, json!({ "state": "Cancelled" }), now) } else { Reported::Rejected };
        match reported {
            Reported::NoAnswer => self.again(pid, Step::Terminate, now),
            Reported::Done | Reported::Rejected => self.end_process(pid, Ending::Terminated, now),
        }
    }

    fn again(&mut self, pid: u64, step: Step, now: Timestamp) {
        let Some(process) = self.processes.get_mut(&pid) else { return };
        process.retries += 1;
        let wait = Duration::from_secs(1 << process.retries.min(6)).min(Duration::from_secs(60));
        self.schedule(after(now, wait), Event::Process(pid, step));
    }

    /// One call to the controller, made with the dispatcher's token. Every fault of the controller may strike
    /// it.
    pub(super) fn report(&mut self, pid: u64, asked: Value, now: Timestamp) -> Reported {
        let Some(process) = self.processes.get(&pid) else { return Reported::Rejected };
        let mut arvados = self.arvados.borrow_mut();
        let outcome = arvados.admit(CallKind::Update, now);
        if outcome.fault.is_some_and(|fault| !fault.executes()) {
            return Reported::NoAnswer;
        }
        let changes = Changes::from_json(&asked).expect("crunch-run sends known attributes");
        let caller = arvados.process_with(process.token);
        let result = arvados.update(process.container, &changes, caller, now).map(drop);
        match (outcome.fault, result) {
            (Some(_), _) => Reported::NoAnswer,
            (None, Ok(())) => Reported::Done,
            (None, Err(_)) => Reported::Rejected,
        }
    }

    fn end_process(&mut self, pid: u64, ending: Ending, now: Timestamp) {
        let Some(process) = self.processes.remove(&pid) else { return };
        if let Some(host) = self.hosts.get_mut(&process.vm) {
            host.locks.remove(&process.container);
            let stale = match process.job.helper {
                Helper::KeepsLock(duration) => Some(Lock::Stale { until: Some(after(now, duration)) }),
                Helper::KeepsLockForEver => Some(Lock::Stale { until: None }),
                Helper::LetsGo => None,
            };
            let stale = stale.filter(|_| ending == Ending::Crashed);
            if let Some(stale) = stale {
                host.locks.insert(process.container, stale);
            }
            match stale {
                Some(Lock::Stale { until: None } | Lock::Process { .. }) => {}
                Some(Lock::Stale { until: Some(until) }) => {
                    self.lock_is_freed(&process.vm, process.container, until);
                }
                None => self.lock_is_freed(&process.vm, process.container, now),
            }
        }
        self.history.ended(now, process.vm, process.container, pid, ending);
    }

    pub(super) fn processes_on(&self, vm: &InstanceId) -> Vec<u64> {
        let here = self.processes.iter().filter(|(_, process)| process.vm == *vm);
        here.map(|(pid, _)| *pid).collect()
    }

    pub(super) fn end_processes_on(&mut self, vm: &InstanceId, now: Timestamp) {
        for pid in self.processes_on(vm) {
            self.end_process(pid, Ending::VmGone, now);
        }
    }
}

/// How long `sleep N` takes.
fn sleep_of(command: &[String]) -> Option<Duration> {
    match command {
        [program, seconds] if program == "sleep" => Duration::try_from_secs_f64(seconds.parse().ok()?).ok(),
        _ => None,
    }
}

/// The exit status of `exit N` or `false`; 0 for every other command.
fn exit_of(command: &[String]) -> i64 {
    match command {
        [program, status] if program == "exit" => status.parse().unwrap_or(0),
        [program] if program == "false" => 1,
        _ => 0,
    }
}

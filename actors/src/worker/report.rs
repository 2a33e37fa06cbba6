//! What happened to a worker, in the words of the catalogue.

use std::time::Duration;

use dispatch_core::instance::IdleBehavior;
use dispatch_core::ports::{CloudError, ExecErrorKind};
use dispatch_core::time::since;
use dispatch_core::worker::probe::CommandFailure;
use dispatch_core::worker::{
    DrainReason, Renewal, ShutdownReason, StartOrder, State, WorkerFact, WorkerRefusal,
};

use slog::{Logger, o};

use super::Worker;
use crate::catalogue::{self, Event};
use crate::clock;
use crate::event;

const CLOUDTEST: &str = "try `arvados-dispatch-cloud cloudtest` with this image and instance type";

impl Worker {
    pub(super) fn report(&mut self, fact: WorkerFact) {
        match fact {
            WorkerFact::BootProbeSucceeded(output) => event!(self.log, catalogue::BOOT_PROBE_SUCCEEDED,
                "Command" => &output.command, "stdout" => &output.stdout, "stderr" => &output.stderr),
            WorkerFact::BootProbeFailed { failure, warn } => self.report_boot_probe_failed(&failure, warn),
            WorkerFact::BootFailed(failure) => self.report_boot_failed(failure.as_ref()),
            WorkerFact::RunnerInstalled => {
                let (path, hash) = self.commands.deployed().unwrap_or_default();
                event!(self.log, catalogue::INSTALLING_RUNNER, "Path" => path, "Hash" => hash);
            }
            WorkerFact::RunnerFailed(failure) => self.report_runner_failed(&failure),
            WorkerFact::InService { probe_start, running, since_ssh } => {
                event!(self.log, catalogue::IN_SERVICE,
                    "ProbeStart" => %probe_start, "RunningContainers" => running, "State" => %self.machine.state());
                if self.machine.view().ours {
                    self.parts.metrics.time_to_ready.observe(since_ssh);
                }
            }
            WorkerFact::FirstSsh(after) => self.parts.metrics.time_to_ssh.observe(after),
            WorkerFact::ProbeSucceeded(_) | WorkerFact::ProbeFailed { .. } => self.report_probe(fact),
            WorkerFact::Unproven(failure) => self.report_unproven(&failure),
            WorkerFact::BootOutcome(outcome) => {
                self.boot = Some(outcome);
                self.parts.metrics.boot_outcomes.with_label_values(&[outcome.as_str()]).inc();
            }
            WorkerFact::Draining(reason) => self.report_draining(reason),
            WorkerFact::Renewing { why, age } => self.report_renewing(why, age),
            WorkerFact::BehaviorSet(behavior) => self.report_behavior(behavior),
            WorkerFact::Fenced(_) | WorkerFact::NotFenced(_) | WorkerFact::FencedByAnother => {
                self.report_fence(fact);
            }
            WorkerFact::HeldUnknown => self.report_of_many(&catalogue::HELD_UNKNOWN),
            WorkerFact::WatchBegan | WorkerFact::WatchEnded { .. } | WorkerFact::EndHinted(_) => {
                self.report_watch(&fact);
            }
            WorkerFact::StrangeList(line) => {
                if let Some(n) = self.noted(&catalogue::STRANGE_LIST) {
                    event!(self.log, catalogue::STRANGE_LIST, "Line" => line, "Repeated" => n);
                }
            }
            WorkerFact::Starting(..)
            | WorkerFact::Started { .. }
            | WorkerFact::StartFailed(..)
            | WorkerFact::LastWords(..)
            | WorkerFact::Detected(..)
            | WorkerFact::ProcessEnded(..)
            | WorkerFact::StaleRunLock(..)
            | WorkerFact::Killing(..)
            | WorkerFact::Signalling(..)
            | WorkerFact::KillFailed(..)
            | WorkerFact::GivenUp(..) => self.report_process(fact),
            WorkerFact::ShuttingDown { .. }
            | WorkerFact::Reprieved
            | WorkerFact::RetryingDestroy
            | WorkerFact::NeverEnds { .. } => self.report_end(&fact),
        }
    }

    fn report_unproven(&self, failure: &CommandFailure) {
        if let Some(n) = self.noted(&catalogue::UNPROVEN) {
            event!(self.log, catalogue::UNPROVEN, "error" => &failure.error, "Repeated" => n,
                "Hint" => "nothing new is started there; another machine may have its address, or its secret is lost");
        }
    }

    /// What was ordered by a request can be found by its id.
    fn log_of(&self, request: Option<&str>) -> Logger {
        match request.filter(|id| !id.is_empty()) {
            Some(id) => self.log.new(o!("RequestID" => id.to_owned())),
            None => self.log.clone(),
        }
    }

    fn report_behavior(&self, behavior: IdleBehavior) {
        let view = self.machine.view();
        let (by, reason) = view.note.as_ref().map_or(("", ""), |note| (&*note.by, &*note.reason));
        let log = self.log_of(view.note.as_ref().map(|note| &*note.request));
        event!(log, catalogue::SET_IDLE_BEHAVIOR,
            "IdleBehavior" => %behavior, "By" => by, "Reason" => reason);
    }

    fn report_renewing(&self, why: Renewal, age: Duration) {
        self.parts.metrics.renewals.with_label_values(&[why.as_str()]).inc();
        event!(self.log, catalogue::RENEWING, "Reason" => why.as_str(), "Age" => age.as_secs());
        event!(self.log, catalogue::SET_IDLE_BEHAVIOR,
            "IdleBehavior" => %IdleBehavior::Drain, "Reason" => why.in_words());
    }

    fn report_probe(&mut self, fact: WorkerFact) {
        match fact {
            WorkerFact::ProbeSucceeded(took) => {
                self.parts.metrics.run_probe_duration.observe("success", took);
                self.is_over(&catalogue::PROBE_FAILED);
                event!(self.log, catalogue::PROBE_SUCCEEDED);
            }
            WorkerFact::ProbeFailed { failure, duration, silent_for } => {
                self.parts.metrics.run_probe_duration.observe("fail", duration);
                self.report_failure(&catalogue::PROBE_FAILED, &failure, silent_for);
                self.last_failure = Some(failure);
            }
            _ => {}
        }
    }

    fn report_fence(&mut self, fact: WorkerFact) {
        match fact {
            WorkerFact::Fenced(unfenced) => {
                self.is_over(&catalogue::NOT_FENCED);
                event!(self.log, catalogue::FENCED, "Unfenced" => unfenced.as_secs());
            }
            WorkerFact::NotFenced(failure) => {
                if let Some(n) = self.noted(&catalogue::NOT_FENCED) {
                    event!(self.log, catalogue::NOT_FENCED, "Command" => &failure.command, "error" => &failure.error,
                        "stderr" => &failure.stderr, "Repeated" => n);
                }
                self.last_failure = Some(failure);
            }
            WorkerFact::FencedByAnother => self.report_of_many(&catalogue::FENCED_BY_ANOTHER),
            _ => {}
        }
    }

    fn report_watch(&self, fact: &WorkerFact) {
        let metrics = &self.parts.metrics;
        match fact {
            WorkerFact::WatchBegan => event!(self.log, catalogue::WATCHED),
            WorkerFact::EndHinted(uuid) => {
                metrics.watch_hints.inc();
                event!(self.log, catalogue::END_HINTED, "ContainerUUID" => uuid.as_str());
            }
            WorkerFact::WatchEnded { end, lasted, rests } => {
                metrics.watch_ends.with_label_values(&[end.as_str()]).inc();
                let event = if *rests { &catalogue::NOT_WATCHED } else { &catalogue::WATCH_ENDED };
                event!(self.log, *event, "Reason" => %end, "Duration" => lasted.as_secs_f64());
            }
            _ => {}
        }
    }

    fn report_end(&self, fact: &WorkerFact) {
        match fact {
            WorkerFact::ShuttingDown { reason, from } => self.report_shutdown(reason, *from),
            WorkerFact::Reprieved => event!(self.log, catalogue::REPRIEVED),
            WorkerFact::RetryingDestroy => self.report_of_many(&catalogue::STILL_LISTED),
            WorkerFact::NeverEnds { since, price } => {
                if let Some(n) = self.noted(&catalogue::NEVER_ENDS) {
                    event!(self.log, catalogue::NEVER_ENDS, "Since" => since.as_secs_f64(),
                        "Price" => price.map(|price| price.per_hour()), "Repeated" => n);
                }
            }
            _ => {}
        }
    }

    fn report_process(&mut self, fact: WorkerFact) {
        let log = &self.log;
        match fact {
            WorkerFact::Starting(order) => event!(log, catalogue::STARTING,
                "ContainerUUID" => order.uuid.as_str(), "Priority" => order.priority),
            WorkerFact::Started { order, took } => self.report_started(&order, took),
            WorkerFact::StartFailed(uuid, failure) => {
                if let Some(n) = self.noted_of(&catalogue::START_FAILED, uuid.as_str()) {
                    event!(self.log, catalogue::START_FAILED, "ContainerUUID" => uuid.as_str(),
                        "error" => &failure.error, "stdout" => &failure.stdout, "stderr" => &failure.stderr,
                        "Repeated" => n);
                }
                self.last_failure = Some(failure);
            }
            WorkerFact::LastWords(uuid, words) => {
                if let Some(n) = self.noted_of(&catalogue::LAST_WORDS, uuid.as_str()) {
                    event!(log, catalogue::LAST_WORDS, "ContainerUUID" => uuid.as_str(), "Journal" => words,
                        "Repeated" => n);
                }
            }
            WorkerFact::Detected(uuid) => {
                event!(log, catalogue::PROCESS_DETECTED, "ContainerUUID" => uuid.as_str())
            }
            WorkerFact::ProcessEnded(uuid, lasted) => event!(log, catalogue::PROCESS_ENDED,
                "ContainerUUID" => uuid.as_str(), "Duration" => lasted.as_secs_f64()),
            WorkerFact::StaleRunLock(uuid) => {
                event!(log, catalogue::STALE_LOCK_FOUND, "ContainerUUID" => uuid.as_str())
            }
            WorkerFact::Killing(uuid, reason) => {
                let log = self.log_of(reason.order().map(|it| &*it.request));
                event!(log, catalogue::KILLING, "ContainerUUID" => uuid.as_str(), "Reason" => %reason)
            }
            WorkerFact::Signalling(uuid) => {
                event!(log, catalogue::SIGNALLING, "ContainerUUID" => uuid.as_str(), "Signal" => 15)
            }
            WorkerFact::KillFailed(uuid, failure) => event!(log, catalogue::KILL_UNSUCCESSFUL,
                "ContainerUUID" => uuid.as_str(), "Signal" => 15, "error" => &failure.error,
                "stdout" => &failure.stdout, "stderr" => &failure.stderr),
            WorkerFact::GivenUp(uuid, drained) => {
                let signalled_for = self.machine.policy().timeout_term.as_secs_f64();
                event!(log, catalogue::ABANDONED, "ContainerUUID" => uuid.as_str(), "Duration" => signalled_for);
                if drained {
                    event!(log, catalogue::UNKILLABLE, "ContainerUUID" => uuid.as_str());
                }
            }
            _ => {}
        }
    }

    fn report_started(&self, order: &StartOrder, took: Duration) {
        event!(self.log, catalogue::STARTED,
            "ContainerUUID" => order.uuid.as_str(), "Duration" => took.as_secs_f64());
        let metrics = &self.parts.metrics;
        if let Some(created) = order.created_at {
            metrics.time_to_crunch_run.observe(since(clock::wall_time(), created));
        }
        if let Some(locked) = order.locked_at {
            metrics.time_from_lock.observe(since(clock::now(), locked));
        }
    }

    fn report_boot_probe_failed(&mut self, failure: &CommandFailure, warn: bool) {
        if !warn {
            event!(self.log, catalogue::NOT_BOOTED, "Command" => &failure.command, "error" => &failure.error,
                "stdout" => &failure.stdout, "stderr" => &failure.stderr);
            return;
        }
        let event = match failure.kind {
            Some(ExecErrorKind::Authentication) => &catalogue::AUTHENTICATION_FAILED,
            Some(ExecErrorKind::Verification) => &catalogue::VERIFICATION_FAILED,
            _ => &catalogue::BOOT_PROBE_FAILED,
        };
        let Some(n) = self.noted(event) else { return };
        if event.message == catalogue::BOOT_PROBE_FAILED.message {
            event!(self.log, *event, "Command" => &failure.command, "error" => &failure.error,
                "stdout" => &failure.stdout, "stderr" => &failure.stderr, "Repeated" => n);
        } else {
            event!(self.log, *event, "error" => &failure.error, "Repeated" => n);
        }
    }

    fn report_boot_failed(&self, failure: Option<&CommandFailure>) {
        let Some(n) = self.noted(&catalogue::BOOT_FAILED) else { return };
        let (error, stderr) = failure.map_or(("", ""), |it| (it.error.as_str(), it.stderr.as_str()));
        let took = since(clock::now(), self.machine.view().appeared).as_secs_f64();
        event!(self.log, catalogue::BOOT_FAILED, "Duration" => took, "error" => error, "stderr" => stderr,
            "Hint" => CLOUDTEST, "Repeated" => n);
    }

    fn report_failure(&mut self, event: &Event, failure: &CommandFailure, silent_for: Duration) {
        if let Some(n) = self.noted(event) {
            event!(self.log, *event, "Command" => &failure.command, "error" => &failure.error,
                "stdout" => &failure.stdout, "stderr" => &failure.stderr,
                "Since" => silent_for.as_secs_f64(), "Repeated" => n);
        }
    }

    fn report_shutdown(&self, reason: &ShutdownReason, from: State) {
        let view = self.machine.view();
        let idle = since(clock::now(), view.last_busy).as_secs_f64();
        // What was drained by a request ends for it, some time later.
        let drained_for = view.note.as_ref().filter(|_| *reason == ShutdownReason::Drained);
        let request = reason.order().map(|it| &it.request).or(drained_for.map(|note| &note.request));
        let log = self.log_of(request.map(String::as_str));
        event!(log, catalogue::SHUTDOWN_WORKER, "State" => %from, "IdleBehavior" => %view.behavior,
            "IdleDuration" => idle, "Reason" => %reason);
        if *reason == ShutdownReason::Unresponsive
            && let Some(n) = self.noted(&catalogue::UNRESPONSIVE)
        {
            let last = self.last_failure.as_ref();
            let silent = view.last_success.map_or(0.0, |last| since(clock::now(), last).as_secs_f64());
            event!(self.log, catalogue::UNRESPONSIVE, "Since" => silent,
                "error" => last.map_or("", |it| it.error.as_str()), "stderr" => last.map_or("", |it| it.stderr.as_str()),
                "Hint" => "look at the instance's console and at the network between", "Repeated" => n);
        }
        event!(log, catalogue::SHUTTING_DOWN, "Reason" => %reason);
    }

    fn report_runner_failed(&mut self, failure: &CommandFailure) {
        let (path, _) = self.commands.deployed().unwrap_or_default();
        if let Some(n) = self.noted(&catalogue::INSTALL_FAILED) {
            event!(self.log, catalogue::INSTALL_FAILED, "Path" => path, "error" => &failure.error,
                "stderr" => &failure.stderr, "Repeated" => n);
        }
    }

    fn report_draining(&self, reason: DrainReason) {
        let log = &self.log;
        match reason {
            DrainReason::Broken => event!(log, catalogue::BROKEN),
            DrainReason::StaleRunLock => {
                let stale: Vec<_> = self.machine.view().stale.iter().map(ToString::to_string).collect();
                event!(log, catalogue::STALE_LOCK, "ContainerUUID" => stale.join(","),
                    "Duration" => self.machine.policy().timeout_stale_run_lock.as_secs_f64());
            }
            DrainReason::StartsFail => {
                let last = self.last_failure.as_ref();
                event!(log, catalogue::STARTS_FAIL, "error" => last.map_or("", |it| it.error.as_str()),
                    "stderr" => last.map_or("", |it| it.stderr.as_str()));
            }
            DrainReason::TypeNotConfigured => self.report_of_many(&catalogue::TYPE_NOT_CONFIGURED),
            // Told with the process that it is drained for, and with the notice.
            DrainReason::Unkillable | DrainReason::SpotNotice => {}
        }
        event!(log, catalogue::SET_IDLE_BEHAVIOR, "IdleBehavior" => "drain", "Reason" => reason.as_str());
    }

    /// Whether a fault of this VM is logged now, and how often it was left out: many VMs have the same one at once.
    fn noted(&self, event: &Event) -> Option<u64> {
        self.noted_of(event, self.machine.id().as_str())
    }

    fn noted_of(&self, event: &Event, subject: &str) -> Option<u64> {
        self.parts.repeats.borrow_mut().note(event, subject, clock::now())
    }

    fn is_over(&self, event: &Event) {
        self.parts.repeats.borrow_mut().clear(event, self.machine.id().as_str());
    }

    /// A fault that needs no more words.
    fn report_of_many(&self, event: &Event) {
        if let Some(n) = self.noted(event) {
            event!(self.log, *event, "Repeated" => n);
        }
    }

    pub(super) fn report_call_failed(&mut self, event: &Event, error: &CloudError) {
        if let Some(n) = self.noted(event) {
            event!(self.log, *event, "error" => %error, "Repeated" => n);
        }
    }

    pub(super) fn report_refusal(&self, action: &str, refusal: WorkerRefusal) {
        event!(self.log, catalogue::ACTION_REFUSED, "Action" => action, "Reason" => refusal.as_str());
    }
}

//! Performs the effects that the machine has decided.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{ActorFutureExt, AsyncContext, Context, ResponseFuture, WrapFuture};
use dispatch_core::id::ContainerUuid;
use dispatch_core::instance::Instance;
use dispatch_core::ports::{ExecError, ExecErrorKind, Executor, Output, ShellCommand};
use dispatch_core::time::after;
use dispatch_core::worker::fence::NotRun;
use dispatch_core::worker::probe::{CommandFailure, Probe, Wanted, success};
use dispatch_core::worker::{Completion, DestroyOutcome, KillOutcome, StartOutcome, WorkerEffect, journal};

use super::{Worker, target};
use crate::catalogue;
use crate::clock;
use crate::event;
use crate::messages::cloud::{DestroyAnswer, DestroyInstance, SetTags};
use crate::messages::worker::WorkerCompletion;

/// Executors have deadlines of their own, for connections too; this much beyond a command's is a fault.
const GRACE: Duration = Duration::from_secs(120);

impl Worker {
    pub(super) fn perform(&mut self, effects: Vec<WorkerEffect>, ctx: &mut Context<Self>) {
        for effect in effects {
            match effect {
                WorkerEffect::Probe(wanted) => self.probe(wanted, ctx),
                WorkerEffect::Start(uuid) => self.start_container(uuid, ctx),
                WorkerEffect::Kill(uuid) => self.kill_container(uuid, ctx),
                WorkerEffect::ReadJournal(uuid, age) => self.read_journal(uuid, age, ctx),
                WorkerEffect::Destroy => self.destroy(ctx),
                WorkerEffect::SaveTags(tags) => self.save_tags(tags, ctx),
                WorkerEffect::Retarget(instance) => self.retarget(&instance),
                WorkerEffect::ForgetConnection => self.executor.forget_connection(),
                WorkerEffect::Watch { number, uuids } => self.watch(number, &uuids, ctx),
                WorkerEffect::AddToWatch(uuid) => self.add_to_watch(uuid),
                WorkerEffect::EndWatch => self.end_watch(ctx),
                WorkerEffect::Ended(uuid) => self.ended.push(uuid),
                WorkerEffect::Tell(fact) => self.report(fact),
            }
        }
    }

    fn probe(&mut self, wanted: Wanted, ctx: &mut Context<Self>) {
        let began = clock::now();
        let (commands, fence) = (Arc::clone(&self.commands), Arc::clone(&self.parts.fence));
        let probe = Probe::new(wanted, &self.machine.policy().cluster_id, commands, fence);
        let executor = Rc::clone(&self.executor);
        let me = ctx.address();
        self.spawn(ctx, async move {
            let mut probe = probe;
            while let Some(command) = probe.command() {
                probe.answer(answer_of(&*executor, command).await);
            }
            let completion = Completion::ProbeFinished { began, report: probe.into_report() };
            me.do_send(WorkerCompletion { completion });
        });
        self.watch_connection(ctx);
    }

    fn start_container(&mut self, uuid: ContainerUuid, ctx: &mut Context<Self>) {
        let (Some(instance_type), Some(mark)) = (self.machine.instance_type(), self.machine.held_fence())
        else {
            // Without an answer the container would count as starting here for ever.
            let failure = not_sent("its instance type is not configured, or its fence not ours");
            let completion = Completion::StartFinished(uuid, StartOutcome::Failed(failure));
            return ctx.notify(WorkerCompletion { completion });
        };
        let address = &self.machine.instance().address;
        let stdin = self.parts.start_config.stdin(uuid, instance_type, address);
        let command = self.parts.fence.guard_start(mark, self.commands.start(uuid, stdin));
        let (executor, me) = (Rc::clone(&self.executor), ctx.address());
        self.spawn(ctx, async move {
            let answer = answer_of(&*executor, command.clone()).await;
            let outcome = StartOutcome::of(&command, answer);
            me.do_send(WorkerCompletion { completion: Completion::StartFinished(uuid, outcome) });
        });
    }

    /// Whether the fence is not ours any more in the end, or says that we have stopped.
    pub(super) fn release_fence(&self) -> ResponseFuture<bool> {
        let Some(mark) = self.machine.held_fence() else { return Box::pin(async { true }) };
        let (executor, release) = (Rc::clone(&self.executor), self.parts.fence.release(mark));
        let (log, repeats, id) =
            (self.log.clone(), Rc::clone(&self.parts.repeats), self.machine.id().clone());
        Box::pin(async move {
            let answer = answer_of(&*executor, release.clone()).await;
            let not_run = answer.as_ref().ok().and_then(NotRun::of);
            match success(&release, answer) {
                Ok(_) => true,
                Err(_) if not_run == Some(NotRun::Taken) => true,
                Err(failure) => {
                    let event = &catalogue::FENCE_NOT_RELEASED;
                    let subject = format!("{id} {}", failure.error);
                    let noted = repeats.borrow_mut().note(event, &subject, clock::now());
                    if let Some(n) = noted {
                        event!(log, *event, "error" => &failure.error, "stderr" => &failure.stderr,
                            "Repeated" => n);
                    }
                    false
                }
            }
        })
    }

    fn kill_container(&mut self, uuid: ContainerUuid, ctx: &mut Context<Self>) {
        let kill = match self.machine.lacks_runner() {
            true => self.commands.kill_without_ours(uuid),
            false => self.commands.kill(uuid),
        };
        let mark = self.machine.held_fence();
        let command = match mark {
            Some(mark) => self.parts.fence.guard_kill(mark, kill),
            None => kill,
        };
        let (executor, me) = (Rc::clone(&self.executor), ctx.address());
        self.spawn(ctx, async move {
            let answer = answer_of(&*executor, command.clone()).await;
            let outcome = KillOutcome::of(&command, answer, mark.is_some());
            me.do_send(WorkerCompletion { completion: Completion::KillFinished(uuid, outcome) });
        });
    }

    fn read_journal(&mut self, uuid: ContainerUuid, age: Duration, ctx: &mut Context<Self>) {
        let (executor, me) = (Rc::clone(&self.executor), ctx.address());
        self.spawn(ctx, async move {
            let output = answer_of(&*executor, journal::read(age)).await.ok();
            me.do_send(WorkerCompletion { completion: Completion::JournalRead(uuid, output) });
        });
    }

    fn destroy(&mut self, ctx: &mut Context<Self>) {
        let (id, worker) = (self.machine.id().clone(), ctx.address().recipient());
        let answer = self.parts.destroy.send(DestroyInstance { id, worker }).into_actor(self);
        ctx.spawn(answer.map(|answer, act, ctx| {
            // Without an answer Cloud is gone, and then nothing is sent any more. `None`: it was taken back.
            let Ok(Some(DestroyAnswer { sent, outcome })) = answer else { return };
            if let Err(error) = &outcome {
                act.report_call_failed(&catalogue::DESTROY_FAILED, error);
            }
            let outcome = DestroyOutcome::of(outcome.as_ref().copied());
            act.complete(Completion::DestroyFinished { sent, outcome }, ctx);
        }));
    }

    fn save_tags(&mut self, tags: dispatch_core::instance::Tags, ctx: &mut Context<Self>) {
        let id = self.machine.id().clone();
        let answer = self.parts.set_tags.send(SetTags { id, tags }).into_actor(self);
        ctx.spawn(answer.map(|answer, act, ctx| {
            if let Ok(Err(error)) = &answer {
                act.report_call_failed(&catalogue::TAGS_FAILED, error);
            }
            act.complete(Completion::TagsSaved(matches!(answer, Ok(Ok(())))), ctx);
        }));
    }

    fn retarget(&mut self, instance: &Instance) {
        self.log = super::child_logger(&self.machine, &self.parts.log);
        self.executor.retarget(target(instance, &self.machine.policy().tag_keys, &self.parts));
    }

    /// A connection that breaks is a reason to probe; one that breaks again and again is not: after a
    /// break the next is noticed one `ProbeInterval` later.
    fn watch_connection(&mut self, ctx: &mut Context<Self>) {
        if self.watching || clock::now() < self.watch_from {
            return;
        }
        self.watching = true;
        let executor = Rc::clone(&self.executor);
        let broken = async move { executor.broken().await };
        ctx.spawn(broken.into_actor(self).map(|(), act, ctx| {
            act.watching = false;
            event!(act.log, catalogue::CONNECTION_LOST);
            act.watch_from = after(clock::now(), act.machine.policy().probe_interval);
            act.complete(Completion::ConnectionBroke, ctx);
        }));
    }

    /// Work that dies with the worker.
    fn spawn(&self, ctx: &mut Context<Self>, work: impl Future<Output = ()> + 'static) {
        ctx.spawn(work.into_actor(self));
    }
}

/// What the executor says, or that it says nothing: one hung command must not end a VM's probes for ever.
async fn answer_of(executor: &dyn Executor, command: ShellCommand) -> Result<Output, ExecError> {
    let patience = command.deadline.saturating_add(GRACE);
    tokio::time::timeout(patience, executor.run(command)).await.unwrap_or_else(|_| {
        let message = format!("the executor did not answer within {} s", patience.as_secs());
        Err(ExecError { kind: ExecErrorKind::CommandTimeout, message })
    })
}

fn not_sent(error: &str) -> CommandFailure {
    CommandFailure {
        command: String::new(),
        error: error.to_owned(),
        kind: None,
        stdout: String::new(),
        stderr: String::new(),
    }
}

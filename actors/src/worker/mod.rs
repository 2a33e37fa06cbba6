//! Worker, one per VM: owns its state machine and its SSH executor.
//!
//! ```text
//!   Pool ─► WorkerCommand ─► Machine::on_command ────────────────────┬─► effects ─► perform ─► executor, Cloud
//!                                └─ refused ─► Pool, or the log      │
//!   own WorkerCompletion, calls' answers, timer                      │
//!            └─► Completion ─► Machine::on_completion ───────────────┘
//!   lines of the watch on the VM ─► WorkerCompletion, one at a time
//!   after each: the view, if it has changed ─► WorkerChanged ─► Pool
//! ```
//! Never does: choosing containers; probing without being told (Pool has the rate).

mod perform;
mod report;
mod watch;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use actix::{
    Actor, ActorContext, Addr, AsyncContext, Context, Handler, MessageResult, Recipient, ResponseFuture,
    SpawnHandle,
};
use bytes::Bytes;
use dispatch_core::id::ContainerUuid;
use dispatch_core::instance::{Instance, InstanceType, TagKeys};
use dispatch_core::pool::Unanswered;
use dispatch_core::ports::{Executor, ExecutorFactory, Target};
use dispatch_core::time::{Timestamp, since};
use dispatch_core::worker::fence::Fence;
use dispatch_core::worker::probe::CommandFailure;
use dispatch_core::worker::runner::Commands;
use dispatch_core::worker::{
    BootOutcome, Command, Completion, Machine, MachineState, View, WorkerEffect, WorkerRefusal,
};
use serde::Serialize;
use slog::{Logger, o};

use crate::catalogue::Repeats;
use crate::clock;
use crate::messages::cloud::{DestroyInstance, MayDestroy, SetTags};
use crate::messages::pool::{StartRefused, WorkerChanged};
use crate::messages::worker::{
    NewWorker, ReleaseFence, Stop, UseRunner, WorkerCommand, WorkerCompletion, WorkerHandles, WorkerListeners,
};
use crate::messages::{ActorState, GetState};
use crate::metrics::Metrics;
use watch::OpenWatch;

/// Makes what a start command reads: the environment of the process, and its share of the configuration.
pub trait StartConfig {
    /// The stdin of that container's start on an instance of that type at that address.
    fn stdin(&self, uuid: ContainerUuid, instance_type: &InstanceType, address: &str) -> Bytes;
}

/// What all workers have in common. Cheap to clone.
#[derive(Clone)]
pub struct WorkerParts {
    /// Makes shells on VMs.
    pub executors: Rc<dyn ExecutorFactory>,
    /// Makes the stdin of start commands.
    pub start_config: Rc<dyn StartConfig>,
    /// The user to log in as.
    pub remote_user: String,
    /// The path of the secret on each VM.
    pub secret_path: String,
    /// The fence on each VM, and who we are.
    pub fence: Arc<Fence>,
    /// Ends instances.
    pub destroy: Recipient<DestroyInstance>,
    /// Saves tags.
    pub set_tags: Recipient<SetTags>,
    /// Counters.
    pub metrics: Rc<Metrics>,
    /// Which faults were logged lately. The workers are on one thread, and nothing but the log depends on it.
    pub repeats: Rc<RefCell<Repeats>>,
    /// The log.
    pub log: Logger,
}

/// The actor.
pub struct Worker {
    machine: Machine,
    first_effects: Vec<WorkerEffect>,
    parts: WorkerParts,
    commands: Arc<Commands>,
    pool: WorkerListeners,
    executor: Rc<dyn Executor>,
    log: Logger,
    /// The number of the last command that was seen.
    applied: u64,
    /// The one that Pool was told last.
    told: u64,
    view: Option<View>,
    ended: Vec<ContainerUuid>,
    boot: Option<BootOutcome>,
    timer: Option<(Timestamp, SpawnHandle)>,
    watching: bool,
    /// The command that tells ends of processes.
    watch: Option<OpenWatch>,
    /// The connection is not watched before then.
    watch_from: Timestamp,
    /// The last command that failed: told when the worker is given up for it.
    last_failure: Option<CommandFailure>,
}

impl Worker {
    /// A worker for an instance that has just appeared.
    pub fn new(new: NewWorker, parts: WorkerParts) -> Self {
        let NewWorker { instance, ours, commands, policy, listeners: pool } = new;
        let executor = parts.executors.open(target(&instance, &policy.tag_keys, &parts));
        let (machine, first_effects) = Machine::new(instance, ours, policy, clock::now());
        let log = child_logger(&machine, &parts.log);
        Self {
            machine,
            first_effects,
            parts,
            commands,
            pool,
            executor,
            log,
            applied: 0,
            told: 0,
            view: None,
            ended: Vec::new(),
            boot: None,
            timer: None,
            watching: false,
            watch: None,
            watch_from: clock::now(),
            last_failure: None,
        }
    }

    /// How Pool reaches a worker that runs.
    pub fn handles(worker: &Addr<Self>) -> WorkerHandles {
        WorkerHandles {
            command: worker.clone().recipient(),
            use_runner: worker.clone().recipient(),
            release: worker.clone().recipient(),
            stop: worker.clone().recipient(),
            state: worker.clone().recipient(),
        }
    }

    /// Performs what the machine has decided, and tells Pool the new view; a refusal is handed back.
    fn settle(
        &mut self,
        decided: Result<Vec<WorkerEffect>, WorkerRefusal>,
        ctx: &mut Context<Self>,
    ) -> Option<WorkerRefusal> {
        let (effects, refusal) = match decided {
            Ok(effects) => (effects, None),
            Err(refusal) => (Vec::new(), Some(refusal)),
        };
        self.perform(effects, ctx);
        self.publish();
        self.renew_timer(ctx);
        refusal
    }

    /// Takes the end of an effect or of the timer; the machine decides what follows.
    fn complete(&mut self, completion: Completion, ctx: &mut Context<Self>) {
        let effects = self.machine.on_completion(completion, clock::now());
        self.settle(Ok(effects), ctx);
    }

    /// Lost only if Pool is gone, and then nobody starts anything any more.
    fn refuse_start(&self, uuid: ContainerUuid, number: u64) {
        self.pool.refused.do_send(StartRefused { uuid, instance: self.machine.id().clone(), number });
    }

    /// Probes are spread evenly over time, so they measure it for all commands.
    fn note_mailbox_delay(&self, message: &WorkerCommand) {
        if message.command == Command::Probe {
            let delay = since(clock::now(), message.sent).as_secs_f64();
            self.parts.metrics.actor_mailbox_delay_seconds.with_label_values(&["worker"]).observe(delay);
        }
    }

    /// Tells Pool if there is anything to tell. Lost only if Pool is gone, and then nobody asks any more.
    fn publish(&mut self) {
        let view = self.machine.view();
        let unchanged = self.view.as_ref() == Some(&view);
        if unchanged && self.ended.is_empty() && self.boot.is_none() && self.told == self.applied {
            return;
        }
        self.told = self.applied;
        let last = self.machine.last_failure().filter(|_| view.out_of_reach);
        let unanswered = last.map(|it| Unanswered { kind: it.kind, error: it.error.clone() });
        self.pool.changed.do_send(WorkerChanged {
            view: Arc::new(view.clone()),
            applied: self.applied,
            ended: std::mem::take(&mut self.ended),
            boot: self.boot.take(),
            unanswered,
        });
        self.view = Some(view);
    }

    fn renew_timer(&mut self, ctx: &mut Context<Self>) {
        let now = clock::now();
        let wanted = self.machine.wakes_at();
        if wanted == self.timer.as_ref().map(|(at, _)| *at) {
            return;
        }
        if let Some((_, old)) = self.timer.take() {
            ctx.cancel_future(old);
        }
        if let Some(at) = wanted {
            let handle = ctx.run_later(since(at, now), |act, ctx| {
                act.timer = None;
                act.complete(Completion::Tick, ctx);
            });
            self.timer = Some((at, handle));
        }
    }
}

/// What a worker holds, to be shown to developers.
#[derive(Serialize)]
struct WorkerState {
    #[serde(flatten)]
    machine: MachineState,
    /// The number of the last command that was seen.
    last_command: u64,
    /// The connection is watched: its end would be noticed.
    watching: bool,
}

fn target(instance: &Instance, keys: &TagKeys, parts: &WorkerParts) -> Target {
    Target {
        id: instance.id.clone(),
        address: instance.address.clone(),
        user: parts.remote_user.clone(),
        secret: keys.secret_of(&instance.tags),
        secret_path: parts.secret_path.clone(),
        secret_copy: Some(parts.fence.secret_copy()),
    }
}

/// A logger whose lines name the worker.
fn child_logger(machine: &Machine, log: &Logger) -> Logger {
    let view = machine.view();
    let type_name = view.type_name.as_ref().map_or_else(String::new, ToString::to_string);
    log.new(o!("Instance" => view.id.to_string(), "Address" => view.address, "InstanceType" => type_name))
}

impl Actor for Worker {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(crate::MAILBOX);
        let effects = std::mem::take(&mut self.first_effects);
        self.perform(effects, ctx);
        self.publish();
        self.renew_timer(ctx);
    }
}

impl Handler<WorkerCommand> for Worker {
    type Result = ();

    fn handle(&mut self, message: WorkerCommand, ctx: &mut Context<Self>) {
        self.note_mailbox_delay(&message);
        let WorkerCommand { number, command, .. } = message;
        let (action, starts) = (command.as_str(), command.starts());
        self.applied = number;
        let decided = self.machine.on_command(command, clock::now());
        let refused = self.settle(decided, ctx);
        match (refused, starts) {
            (None, _) => {}
            (Some(_), Some(uuid)) => self.refuse_start(uuid, number),
            (Some(refusal), None) => self.report_refusal(action, refusal),
        }
    }
}

impl Handler<WorkerCompletion> for Worker {
    type Result = ();

    fn handle(&mut self, message: WorkerCompletion, ctx: &mut Context<Self>) {
        self.complete(message.completion, ctx);
    }
}

impl Handler<UseRunner> for Worker {
    type Result = ();

    fn handle(&mut self, message: UseRunner, _: &mut Context<Self>) {
        self.commands = message.commands;
    }
}

impl Handler<MayDestroy> for Worker {
    type Result = bool;

    fn handle(&mut self, _: MayDestroy, _: &mut Context<Self>) -> bool {
        self.machine.may_destroy(clock::now())
    }
}

impl Handler<ReleaseFence> for Worker {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, _: ReleaseFence, _: &mut Context<Self>) -> Self::Result {
        self.release_fence()
    }
}

impl Handler<GetState> for Worker {
    type Result = MessageResult<GetState>;

    fn handle(&mut self, _: GetState, _: &mut Context<Self>) -> Self::Result {
        let machine = self.machine.inspect();
        MessageResult(ActorState::of(WorkerState {
            machine,
            last_command: self.applied,
            watching: self.watching,
        }))
    }
}

impl Handler<Stop> for Worker {
    type Result = ();

    /// Reports the boot outcome and ends its processes; then the executor closes with it.
    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        let effects = self.machine.instance_gone();
        self.perform(effects, ctx);
        ctx.stop();
    }
}

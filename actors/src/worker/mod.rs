//! Worker, one per VM: owns its state machine and its SSH executor.
//!
//! ```text
//!   Pool ─► Probe, StartContainer, KillContainer, SetIdleBehavior, Shutdown, News, │
//!           UseRunner ────────────────────────────────────────────────────────────┤
//!   itself ─► ProbeResult, StartResult, KillResult, timer ─────────────────────────┤
//!                                                                                 ▼
//!                        core::worker::Machine::on(event, now) ─► effects ─► perform ─► executor, Cloud
//!                                                 └─► WorkerChanged ─► Pool
//! ```
//! Never does: choosing containers; probing without being told (Pool has the rate).

mod messages;
mod perform;
mod report;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use actix::{Actor, ActorContext, AsyncContext, Context, Handler, Recipient, SpawnHandle};
use bytes::Bytes;
use dispatch_core::id::ContainerUuid;
use dispatch_core::instance::{Instance, InstanceType};
use dispatch_core::policy::Policy;
use dispatch_core::ports::{Executor, ExecutorFactory, Target};
use dispatch_core::time::{Timestamp, since};
use dispatch_core::worker::probe::CommandFailure;
use dispatch_core::worker::runner::Commands;
use dispatch_core::worker::{BootOutcome, Effect, Event, Machine, Refusal, View};
use slog::{Logger, o};

pub use messages::{
    KillContainer, KillResult, News, Probe, ProbeResult, SetIdleBehavior, Shutdown, StartContainer,
    StartResult, Stop, UseRunner,
};

use crate::catalogue::Repeats;
use crate::clock;
use crate::cloud::{DestroyInstance, SetTags};
use crate::metrics::Metrics;
use crate::pool::{StartRefused, WorkerChanged};

/// Makes what a start command reads: the environment of the process, and its share of the configuration.
pub trait StartConfig {
    /// The stdin of that container's start on an instance of that type at that address.
    fn stdin(&self, uuid: ContainerUuid, instance_type: &InstanceType, address: &str) -> Bytes;
}

/// What all workers have in common. Cheap to clone.
#[derive(Clone)]
pub struct WorkerParts {
    /// The site's wishes.
    pub policy: Arc<Policy>,
    /// The runner's commands.
    pub commands: Arc<Commands>,
    /// Makes shells on VMs.
    pub executors: Rc<dyn ExecutorFactory>,
    /// Makes the stdin of start commands.
    pub start_config: Rc<dyn StartConfig>,
    /// Who to log in as.
    pub remote_user: String,
    /// Where on each VM its secret lies.
    pub secret_path: String,
    /// Ends instances.
    pub destroy: Recipient<DestroyInstance>,
    /// Saves tags.
    pub set_tags: Recipient<SetTags>,
    /// Counters.
    pub metrics: Rc<Metrics>,
    /// The log.
    pub log: Logger,
}

/// Whom a worker tells: Pool.
#[derive(Clone)]
pub struct WorkerListeners {
    /// Its view has changed.
    pub changed: Recipient<WorkerChanged>,
    /// It did not take a start.
    pub refused: Recipient<StartRefused>,
}

/// The actor.
pub struct Worker {
    machine: Machine,
    first_effects: Vec<Effect>,
    parts: WorkerParts,
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
    /// The connection is not watched before then.
    watch_from: Timestamp,
    /// What the log and the metrics say of starts in flight.
    starts: BTreeMap<ContainerUuid, StartFacts>,
    /// The last command that failed: told when the worker is given up for it.
    last_failure: Option<CommandFailure>,
    repeats: Repeats,
}

/// What the log and the metrics say of a start.
struct StartFacts {
    priority: i64,
    created_at: Option<Timestamp>,
    sent: Timestamp,
}

impl Worker {
    /// A worker for an instance that has just appeared; `ours`: created by this process.
    pub fn new(instance: Instance, ours: bool, parts: WorkerParts, pool: WorkerListeners) -> Self {
        let executor = parts.executors.open(target(&instance, &parts));
        let (machine, first_effects) = Machine::new(instance, ours, Arc::clone(&parts.policy), clock::now());
        let log = child_logger(&machine, &parts.log);
        Self {
            machine,
            first_effects,
            parts,
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
            watch_from: clock::now(),
            starts: BTreeMap::new(),
            last_failure: None,
            repeats: Repeats::with_capacity(20),
        }
    }

    /// Message → event, the machine decides, the effects are performed, the view is told.
    fn handle_event(&mut self, event: Event, ctx: &mut Context<Self>) -> Result<(), Refusal> {
        let (effects, answer) = self.machine.on(event, clock::now());
        self.perform(effects, ctx);
        self.publish();
        self.renew_timer(ctx);
        answer
    }

    fn command(&mut self, number: u64, event: Event, ctx: &mut Context<Self>) -> Result<(), Refusal> {
        self.applied = number;
        self.handle_event(event, ctx)
    }

    /// Tells Pool if there is anything to tell. Lost only if Pool is gone, and then nobody asks any more.
    fn publish(&mut self) {
        let view = self.machine.view();
        let unchanged = self.view.as_ref() == Some(&view);
        if unchanged && self.ended.is_empty() && self.boot.is_none() && self.told == self.applied {
            return;
        }
        self.told = self.applied;
        self.pool.changed.do_send(WorkerChanged {
            view: Arc::new(view.clone()),
            applied: self.applied,
            ended: std::mem::take(&mut self.ended),
            boot: self.boot.take(),
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
                act.take_answer(Event::Tick, ctx);
            });
            self.timer = Some((at, handle));
        }
    }

    /// An event that cannot be refused.
    fn take_answer(&mut self, event: Event, ctx: &mut Context<Self>) {
        let answer = self.handle_event(event, ctx);
        debug_assert_eq!(answer, Ok(()), "a completion was refused");
    }
}

fn target(instance: &Instance, parts: &WorkerParts) -> Target {
    Target {
        id: instance.id.clone(),
        address: instance.address.clone(),
        user: parts.remote_user.clone(),
        secret: parts.policy.tag_keys.secret_of(&instance.tags),
        secret_path: parts.secret_path.clone(),
    }
}

/// Every line of a worker tells whose it is.
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

impl Handler<StartContainer> for Worker {
    type Result = ();

    fn handle(&mut self, message: StartContainer, ctx: &mut Context<Self>) {
        let StartContainer { number, uuid, priority, created_at } = message;
        let before = self.starts.insert(uuid, StartFacts { priority, created_at, sent: clock::now() });
        if self.command(number, Event::StartRequested(uuid), ctx).is_err() {
            self.starts.remove(&uuid);
            self.starts.extend(before.map(|facts| (uuid, facts)));
            self.pool.refused.do_send(StartRefused { uuid, instance: self.machine.id().clone(), number });
        }
    }
}

impl Handler<KillContainer> for Worker {
    type Result = ();

    fn handle(&mut self, message: KillContainer, ctx: &mut Context<Self>) {
        let KillContainer { number, uuid, reason } = message;
        let killed = self.command(number, Event::KillRequested(uuid, reason), ctx);
        self.note_refusal("kill", killed);
    }
}

impl Handler<SetIdleBehavior> for Worker {
    type Result = ();

    fn handle(&mut self, message: SetIdleBehavior, ctx: &mut Context<Self>) {
        let set = self.command(message.number, Event::BehaviorSet(message.behavior), ctx);
        self.note_refusal("set idle behavior", set);
    }
}

impl Handler<Shutdown> for Worker {
    type Result = ();

    fn handle(&mut self, message: Shutdown, ctx: &mut Context<Self>) {
        let shut_down = self.command(message.number, Event::ShutdownRequested(message.reason), ctx);
        self.note_refusal("shutdown", shut_down);
    }
}

impl Handler<Probe> for Worker {
    type Result = ();

    fn handle(&mut self, message: Probe, ctx: &mut Context<Self>) {
        let delay = since(clock::now(), message.sent).as_secs_f64();
        self.parts.metrics.actor_mailbox_delay_seconds.with_label_values(&["worker"]).observe(delay);
        let probed = self.command(message.number, Event::ProbeGranted, ctx);
        self.note_refusal("probe", probed);
    }
}

impl Handler<News> for Worker {
    type Result = ();

    fn handle(&mut self, message: News, ctx: &mut Context<Self>) {
        let taken = self.command(message.number, message.event, ctx);
        self.note_refusal("news", taken);
    }
}

impl Handler<ProbeResult> for Worker {
    type Result = ();

    fn handle(&mut self, message: ProbeResult, ctx: &mut Context<Self>) {
        let ProbeResult { began, report } = message;
        self.take_answer(Event::ProbeFinished { began, report }, ctx);
    }
}

impl Handler<StartResult> for Worker {
    type Result = ();

    fn handle(&mut self, message: StartResult, ctx: &mut Context<Self>) {
        let uuid = message.uuid;
        self.take_answer(Event::StartFinished(uuid, message.outcome), ctx);
        // Told by now, unless its process was gone before the answer came.
        self.starts.remove(&uuid);
    }
}

impl Handler<KillResult> for Worker {
    type Result = ();

    fn handle(&mut self, message: KillResult, ctx: &mut Context<Self>) {
        self.take_answer(Event::KillFinished(message.uuid, message.outcome), ctx);
    }
}

impl Handler<UseRunner> for Worker {
    type Result = ();

    fn handle(&mut self, message: UseRunner, _: &mut Context<Self>) {
        self.parts.commands = message.commands;
    }
}

impl Handler<Stop> for Worker {
    type Result = ();

    /// Its last words; then the executor closes with it.
    fn handle(&mut self, _: Stop, ctx: &mut Context<Self>) {
        let effects = self.machine.vanish();
        self.perform(effects, ctx);
        ctx.stop();
    }
}

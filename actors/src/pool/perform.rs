//! Performs the effects that Pool's core has decided.

use std::sync::Arc;

use actix::{ActorFutureExt, AsyncContext, Context, WrapFuture};
use dispatch_core::id::InstanceId;
use dispatch_core::instance::Instance;
use dispatch_core::pool::{CreateId, PoolEffect};
use dispatch_core::worker::runner::Commands;
use dispatch_core::worker::{BootOutcome, Command, View};

use super::Pool;
use crate::clock;
use crate::messages::cloud::{OrderInstance, SyncBy};
use crate::messages::queue::NoteMarketLosses;
use crate::messages::worker::{NewWorker, Stop, UseRunner, WorkerCommand, WorkerListeners};

impl Pool {
    pub(super) fn perform(&mut self, effects: Vec<PoolEffect>, ctx: &mut Context<Self>) {
        for effect in effects {
            match effect {
                PoolEffect::Create(id) => self.create(id, ctx),
                PoolEffect::Spawn(instance, ours) => self.spawn(instance, ours, ctx),
                PoolEffect::Command(id, number, command) => self.command(&id, number, command),
                PoolEffect::Stop(id) => self.stop(&id),
                // Lost only if Cloud is gone, and then nothing is listed any more.
                PoolEffect::SyncBy(at) => self.parts.sync_by.do_send(SyncBy { at }),
                // Lost only if Queue is gone, and then nothing is placed any more.
                PoolEffect::LostToMarket(containers) => {
                    self.parts.losses.do_send(NoteMarketLosses { containers });
                }
                // The handler nudges the scheduler when everything is performed.
                PoolEffect::FleetChanged => {}
                PoolEffect::Tell(fact) => self.report(fact),
            }
        }
    }

    fn create(&mut self, id: CreateId, ctx: &mut Context<Self>) {
        let Some(create) = self.pool.pending(id) else { return };
        let order =
            OrderInstance { instance_type: create.instance_type.clone(), secret: create.secret.clone() };
        let answer = self.parts.create.send(order).into_actor(self);
        ctx.spawn(answer.map(move |answer, act, ctx| {
            // A mailbox error means that Cloud is gone: the create stays pending, as its outcome is unknown.
            if let Ok(answer) = answer {
                let effects = act.pool.create_finished(id, answer, clock::now());
                act.settle(effects, ctx);
            }
        }));
    }

    fn spawn(&mut self, instance: Instance, ours: bool, ctx: &mut Context<Self>) {
        let id = instance.id.clone();
        let me = ctx.address();
        let listeners = WorkerListeners { changed: me.clone().recipient(), refused: me.recipient() };
        let (commands, policy) = (Arc::clone(&self.parts.commands), Arc::clone(&self.parts.policy));
        let worker = (self.parts.spawn)(NewWorker { instance, ours, commands, policy, listeners });
        self.workers.insert(id, worker);
    }

    /// New workers are made with it, and those there are told.
    pub(super) fn use_runner(&mut self, commands: &Arc<Commands>) {
        self.parts.commands = Arc::clone(commands);
        for worker in self.workers.values() {
            worker.use_runner.do_send(UseRunner { commands: Arc::clone(commands) });
        }
    }

    fn stop(&mut self, id: &InstanceId) {
        self.reach.forget(id);
        if let Some(worker) = self.workers.remove(id) {
            worker.stop.do_send(Stop);
        }
    }

    /// Commands are never lost: a worker lives until it is told to stop, and its mailbox is unbounded for `do_send`.
    fn command(&mut self, id: &InstanceId, number: u64, command: Command) {
        if let Some(worker) = self.workers.get(id) {
            worker.command.do_send(WorkerCommand { number, sent: clock::now(), command });
        }
    }

    pub(super) fn note_boot(&mut self, view: &View, boot: Option<BootOutcome>) -> Vec<PoolEffect> {
        match boot {
            Some(BootOutcome::Success) => self.pool.booted(&view.id, true, clock::now()),
            Some(BootOutcome::Failure) => self.pool.booted(&view.id, false, clock::now()),
            Some(BootOutcome::Aborted | BootOutcome::Disappeared) | None => Vec::new(),
        }
    }
}

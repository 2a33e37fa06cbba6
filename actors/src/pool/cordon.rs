//! What operators forbid to be created: taken by the core, and kept for the next start.

use actix::{Context, Handler, MessageResult};
use dispatch_core::pool::{Cordons, PoolEffect, PoolRefusal};

use super::Pool;
use crate::messages::cordon::{DrainType, Kept, PauseCreates, ResumeCreates, RunType};

/// Where what operators have forbidden is kept for the next start.
pub trait KeepCordons {
    /// What was kept.
    fn load(&self) -> Cordons;

    /// Keeps it. It blocks for no longer than a small file takes to be written.
    fn keep(&self, cordons: &Cordons) -> Kept;
}

/// Nothing is kept.
#[derive(Debug, Clone, Copy, Default)]
pub struct KeepsNothing;

impl KeepCordons for KeepsNothing {
    fn load(&self) -> Cordons {
        Cordons::default()
    }

    fn keep(&self, _: &Cordons) -> Kept {
        Kept::No("no directory is configured to keep it in".to_owned())
    }
}

impl Pool {
    fn cordoned(&mut self, effects: Vec<PoolEffect>, ctx: &mut Context<Self>) -> Kept {
        self.settle(effects, ctx);
        self.parts.cordons.keep(self.pool.cordons())
    }

    fn cordoned_if(
        &mut self,
        effects: Result<Vec<PoolEffect>, PoolRefusal>,
        ctx: &mut Context<Self>,
    ) -> Result<Kept, PoolRefusal> {
        effects.map(|effects| self.cordoned(effects, ctx))
    }
}

impl Handler<PauseCreates> for Pool {
    type Result = Result<Kept, PoolRefusal>;

    fn handle(&mut self, message: PauseCreates, ctx: &mut Context<Self>) -> Self::Result {
        let paused = self.pool.pause_creates(message.0);
        self.cordoned_if(paused, ctx)
    }
}

impl Handler<ResumeCreates> for Pool {
    type Result = MessageResult<ResumeCreates>;

    fn handle(&mut self, message: ResumeCreates, ctx: &mut Context<Self>) -> Self::Result {
        let (was_paused, effects) = self.pool.resume_creates(&message.0);
        MessageResult(was_paused.then(|| self.cordoned(effects, ctx)))
    }
}

impl Handler<DrainType> for Pool {
    type Result = Result<Kept, PoolRefusal>;

    fn handle(&mut self, message: DrainType, ctx: &mut Context<Self>) -> Self::Result {
        let drained = self.pool.drain_type(&message.name, message.note);
        self.cordoned_if(drained, ctx)
    }
}

impl Handler<RunType> for Pool {
    type Result = Result<Kept, PoolRefusal>;

    fn handle(&mut self, message: RunType, ctx: &mut Context<Self>) -> Self::Result {
        let used = self.pool.run_type(&message.name, &message.note);
        self.cordoned_if(used, ctx)
    }
}

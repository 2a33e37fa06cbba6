//! What operators forbid to be created: taken by the core, and kept for the next start.

use actix::{Context, Handler};
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
    /// What was accepted is carried out, and kept.
    fn cordoned(
        &mut self,
        effects: Result<Vec<PoolEffect>, PoolRefusal>,
        ctx: &mut Context<Self>,
    ) -> Result<Kept, PoolRefusal> {
        self.settle(effects?, ctx);
        Ok(self.parts.cordons.keep(self.pool.cordons()))
    }
}

impl Handler<PauseCreates> for Pool {
    type Result = Result<Kept, PoolRefusal>;

    fn handle(&mut self, message: PauseCreates, ctx: &mut Context<Self>) -> Self::Result {
        let paused = self.pool.pause_creates(message.0);
        self.cordoned(paused, ctx)
    }
}

impl Handler<ResumeCreates> for Pool {
    type Result = Result<Kept, PoolRefusal>;

    fn handle(&mut self, message: ResumeCreates, ctx: &mut Context<Self>) -> Self::Result {
        let resumed = self.pool.resume_creates(&message.0);
        self.cordoned(resumed, ctx)
    }
}

impl Handler<DrainType> for Pool {
    type Result = Result<Kept, PoolRefusal>;

    fn handle(&mut self, message: DrainType, ctx: &mut Context<Self>) -> Self::Result {
        let drained = self.pool.drain_type(&message.name, message.note);
        self.cordoned(drained, ctx)
    }
}

impl Handler<RunType> for Pool {
    type Result = Result<Kept, PoolRefusal>;

    fn handle(&mut self, message: RunType, ctx: &mut Context<Self>) -> Self::Result {
        let used = self.pool.run_type(&message.name, &message.note);
        self.cordoned(used, ctx)
    }
}

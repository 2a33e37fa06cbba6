//! The pool without a cloud: stories told by answers, listings and views, in seconds.

mod cordons;
mod creating;
mod holding;
mod listing;
mod observed_capacity;
mod processes;
mod rate;
mod reload;
mod renewal;
mod scopes;
mod shown;
mod silence;
mod standing;
mod unknown;

use std::sync::Arc;

use super::*;
use crate::fixtures::{at, id, instance, order, policy, typed, uuid};
use crate::id::TypeName;
use crate::instance::{Instance, InstanceType};
use crate::policy::PlanRules;
use crate::ports::{CapacityScope, CloudError, CloudErrorKind, QuotaScope};
use crate::secret::Secret;
use crate::worker::{AttemptOutcome, FenceView, KeptFor, KillReason, ProbeTurn, ProcessView, Silence};

/// A pool, and what it told and asked for.
struct Story {
    policy: Arc<Policy>,
    pool: WorkerPool,
    told: Vec<PoolFact>,
}

impl Story {
    fn with(policy: Policy) -> Self {
        let policy = Arc::new(policy);
        let groups = policy.catalog.types().iter().map(|it| (it.offering(), "standard".to_owned())).collect();
        Self { pool: WorkerPool::new(Arc::clone(&policy), groups), policy, told: Vec::new() }
    }

    fn new() -> Self {
        Self::with(policy())
    }

    fn typed(&self, name: &str) -> Arc<InstanceType> {
        typed(&self.policy, name)
    }

    fn hear(&mut self, effects: Vec<PoolEffect>) -> Vec<PoolEffect> {
        let fact = |effect: &PoolEffect| match effect {
            PoolEffect::Tell(fact) => Some(fact.clone()),
            _ => None,
        };
        self.told.extend(effects.iter().filter_map(fact));
        effects
    }

    /// Sends a create whose instance will have that secret.
    fn create(&mut self, type_name: &str, secret: &str, second: i64) -> Result<CreateId, CreateRefusal> {
        let it = self.typed(type_name);
        let effects = self.pool.create(it, Some(uuid(1)), Secret::new(secret), at(second))?;
        let sent = effects.iter().find_map(|effect| match effect {
            PoolEffect::Create(id) => Some(*id),
            _ => None,
        });
        self.hear(effects);
        Ok(sent.expect("a create is sent"))
    }

    fn fails(&mut self, create: CreateId, kind: CloudErrorKind, second: i64) -> Vec<PoolEffect> {
        let error = CloudError { kind, code: "E".to_owned(), message: "no".to_owned() };
        let effects = self.pool.create_finished(create, Err(error), at(second));
        self.hear(effects)
    }

    fn answered(
        &mut self,
        create: CreateId,
        name: &str,
        type_name: &str,
        secret: &str,
        second: i64,
    ) -> Vec<PoolEffect> {
        let shown = instance(name, &self.typed(type_name), secret);
        let effects = self.pool.create_finished(create, Ok(shown), at(second));
        self.hear(effects)
    }

    /// A create that succeeds at once.
    fn created(&mut self, name: &str, type_name: &str, second: i64) {
        let create = self.create(type_name, name, second).unwrap();
        self.answered(create, name, type_name, name, second);
    }

    fn refused(&mut self, type_name: &str, kind: CloudErrorKind, second: i64) {
        let create = self.create(type_name, "refused", second).unwrap();
        self.fails(create, kind, second);
    }

    fn listed(&mut self, name: &str, type_name: &str, secret: &str, second: i64) -> Vec<PoolEffect> {
        let shown = instance(name, &self.typed(type_name), secret);
        let effects = self.pool.appeared(shown, at(second));
        self.hear(effects)
    }

    /// A complete listing that lacks these known instances. Whoever is asked for a sign of life gives none.
    fn listing(&mut self, began: i64, lacks: &[&str]) -> Vec<(GoneReply, Vec<PoolEffect>)> {
        let mut gone = Vec::new();
        for name in lacks {
            let (reply, effects) = self.pool.gone(&id(name), Some("Taken: back"), at(began), at(began + 1));
            gone.push((reply, self.hear(effects)));
            if self.pool.workers.get(&id(name)).is_some_and(|slot| slot.missing.is_some()) {
                let before = self.view(name);
                let failed_afresh_before = before.failed_afresh;
                let view = View { failed_afresh: Some(at(began + 1)), failed_afresh_before, ..before };
                self.pool.worker_changed(Arc::new(view), 0, &[], at(began + 1));
            }
        }
        let effects = self.pool.listing_finished(at(began));
        self.hear(effects);
        gone
    }

    fn view(&self, name: &str) -> View {
        View::clone(&self.pool.workers[&id(name)].view)
    }

    /// The worker shows itself changed, having seen all commands.
    fn show(&mut self, second: i64, view: View) -> Vec<PoolEffect> {
        let applied = self.pool.sequence;
        let effects = self.pool.worker_changed(Arc::new(view), applied, &[], at(second));
        self.hear(effects)
    }

    fn in_service(&mut self, name: &str, second: i64) -> Vec<PoolEffect> {
        let view = View {
            state: State::Idle,
            fence: FenceView::Ours,
            last_success: Some(at(second)),
            last_answer: Some(at(second)),
            silence: None,
            out_of_reach: false,
            ..self.view(name)
        };
        self.show(second, view)
    }

    fn silent(&mut self, name: &str, second: i64) -> Vec<PoolEffect> {
        let what = if self.view(name).state.is_ready() { Silence::Unresponsive } else { Silence::NeverReady };
        let view = View { silence: Some((what, at(second))), out_of_reach: true, ..self.view(name) };
        self.show(second, view)
    }

    fn gate(&self, type_name: &str, second: i64) -> Gate {
        self.pool.gate(&self.typed(type_name), at(second))
    }

    fn snapshot(&self, _second: i64) -> PoolSnapshot {
        self.pool.snapshot()
    }

    fn supply(&self, second: i64) -> Supply {
        let fleet = self.pool.snapshot().fleet;
        fleet.supply(&PlanRules::from(&*self.policy), &fleet.census(), at(second))
    }
}

fn process(n: u64) -> ProcessView {
    ProcessView {
        uuid: uuid(n),
        since: at(0),
        unconfirmed: false,
        unsent: false,
        start_failure: None,
        killing: false,
        given_up: false,
    }
}

/// Whom these effects ask to shut down, and why.
fn asked_to_shut_down(effects: &[PoolEffect]) -> Vec<(InstanceId, ShutdownReason)> {
    let asked = |effect: &PoolEffect| match effect {
        PoolEffect::Command(id, _, Command::ShutDown(reason)) => Some((id.clone(), reason.clone())),
        _ => None,
    };
    effects.iter().filter_map(asked).collect()
}

//! Scheduler: owns the ceiling and the last plan.
//!
//! ```text
//!   QueueChanged, PoolChanged, every second ─► round: GetQueue + GetPool ─► plan ─► apply ─► answers
//!                          └ a nudge during a round, or a moment after one, makes one more
//! ```
//! It takes no hints: each round looks at everything, whatever caused it. The next round begins when every
//! action of the last has been answered, so that what is in flight is part of the snapshots.

mod apply;
mod gauges;
mod inspect;
mod receivers;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, MailboxError, MessageResult, Recipient, WrapFuture,
};
use dispatch_core::ceiling::Ceiling;
use dispatch_core::id::InstanceId;
use dispatch_core::invariants;
use dispatch_core::plan::{Limits, PlanInput, Planner};
use dispatch_core::policy::{PlanRules, Policy};
use dispatch_core::queue::Openings;
use dispatch_core::time::Timestamp;
use slog::Logger;

pub use receivers::{PoolReceivers, QueueReceivers, Receivers};

use crate::catalogue;
use crate::clock;
use crate::event;
use crate::messages::pool::PoolView;
use crate::messages::queue::QueueView;
use crate::messages::scheduler::{GetPlan, PlanView, PoolChanged, QueueChanged};
use crate::messages::{GetState, Ping, Quiesce, shown};
use crate::metrics::Metrics;

/// Nudges within this time share a round.
const COALESCE: Duration = Duration::from_millis(10);
const TICK: Duration = Duration::from_secs(1);

/// The actor.
pub struct Scheduler {
    rules: Arc<PlanRules>,
    receivers: Receivers,
    ceiling: Ceiling,
    planner: Planner,
    last: PlanView,
    metrics: Rc<Metrics>,
    log: Logger,
    /// Somebody has nudged since the last round began.
    nudged: bool,
    /// A round is under way since then.
    running: Option<Timestamp>,
    quiescent: bool,
    started: Timestamp,
    ready_told: bool,
    /// What Queue was told last of what could still be placed.
    told_openings: Option<Arc<Openings>>,
    /// What Pool was told last of instances that are not idle.
    told_reserved: Arc<BTreeSet<InstanceId>>,
    repeats: catalogue::Repeats,
    pings: Vec<(&'static str, Recipient<Ping>)>,
}

impl Scheduler {
    /// Plans when nudged; `pings` measure the delay of mailboxes.
    pub fn new(
        policy: Arc<Policy>,
        receivers: Receivers,
        pings: Vec<(&'static str, Recipient<Ping>)>,
        metrics: Rc<Metrics>,
        log: Logger,
    ) -> Self {
        let start = if policy.initial_quota_estimate > 0 {
            policy.initial_quota_estimate
        } else {
            policy.max_instances
        };
        Self {
            planner: Planner::default(),
            rules: Arc::new(PlanRules::from(&*policy)),
            receivers,
            ceiling: Ceiling::new(start),
            last: PlanView { ceiling: start, ..PlanView::default() },
            metrics,
            log,
            nudged: false,
            running: None,
            quiescent: false,
            started: clock::now(),
            ready_told: false,
            told_openings: None,
            told_reserved: Arc::default(),
            repeats: catalogue::Repeats::default(),
            pings,
        }
    }

    fn nudge(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.nudged, true) && self.running.is_none() {
            ctx.run_later(COALESCE, Self::begin_round);
        }
    }

    fn begin_round(&mut self, ctx: &mut Context<Self>) {
        if self.running.is_some() || self.quiescent {
            return;
        }
        self.running = Some(clock::now());
        self.nudged = false;
        let questions = self.receivers.ask().into_actor(self);
        ctx.spawn(questions.map(|answers, act, ctx| act.round(answers, ctx)));
    }

    fn round(&mut self, answers: Result<(QueueView, PoolView), MailboxError>, ctx: &mut Context<Self>) {
        // Queue or Pool is gone: the process is ending.
        let Ok((queue, pool)) = answers else { return };
        if self.quiescent {
            return;
        }
        let _working = self.metrics.working("scheduler", "round");
        let began = clock::now();
        let timer = self.metrics.scheduling_round_seconds.start_timer();
        self.follow_overload(&queue);
        let limits = Limits { ceiling: self.ceiling.limit() };
        let input = PlanInput {
            rules: Arc::clone(&self.rules),
            queue: Arc::clone(&queue.snapshot),
            fleet: Arc::clone(&pool.snapshot.fleet),
            limits,
        };
        let plan = self.planner.plan(&input, began);
        timer.observe_duration();
        debug_assert_eq!(invariants::check_plan(&input, &plan, began), Ok(()), "the plan breaks a rule");
        if !plan.actions.is_empty() {
            event!(self.log, catalogue::SCHEDULED, "Containers" => queue.snapshot.entries.len(),
                "Processes" => plan.facts.with_process, "maxContainers" => limits.ceiling,
                "Actions" => plan.actions.len());
        }
        self.last = PlanView {
            plan,
            input: Some(input),
            planned_at: Some(began),
            queue,
            pool,
            ceiling: limits.ceiling,
        };
        self.tell_ready();
        self.tell_openings();
        self.tell_reserved();
        let answers = self.apply().into_actor(self);
        ctx.spawn(answers.map(|refusals, act, ctx| {
            act.report_refusals(&refusals);
            act.running = None;
            if std::mem::take(&mut act.nudged) {
                act.nudge(ctx);
            }
        }));
    }

    /// A 503 since the last look lowers the ceiling; quiet raises it.
    fn follow_overload(&mut self, queue: &QueueView) {
        let now = clock::now();
        let running = u32::try_from(self.last.plan.facts.living).unwrap_or(u32::MAX);
        match queue.last_overload {
            Some(at) if self.ceiling.last_overload() < Some(at) => self.ceiling.overloaded(running, at),
            _ => self.ceiling.look(running, now),
        }
    }

    fn tell_ready(&mut self) {
        let asked = self.last.queue.snapshot.polled_at.is_some()
            && self.last.pool.snapshot.fleet.first_listing.is_some();
        if asked && !std::mem::replace(&mut self.ready_told, true) {
            let took = dispatch_core::time::since(clock::now(), self.started).as_secs_f64();
            event!(self.log, catalogue::READY, "Duration" => took);
        }
    }

    /// Every second: look again, whatever nudges were missed, and show the operator the numbers.
    fn tick(&mut self, ctx: &mut Context<Self>) {
        self.nudge(ctx);
        self.set_gauges();
        self.ping(ctx);
    }

    fn ping(&self, ctx: &mut Context<Self>) {
        for (name, recipient) in &self.pings {
            let delay = self.metrics.actor_mailbox_delay_seconds.with_label_values(&[name]);
            let sent = tokio::time::Instant::now();
            let answer = recipient.send(Ping).into_actor(self);
            ctx.spawn(answer.map(move |_, _, _| delay.observe(sent.elapsed().as_secs_f64())));
        }
    }
}

impl Actor for Scheduler {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(crate::MAILBOX);
        ctx.run_interval(TICK, Self::tick);
    }
}

impl Handler<QueueChanged> for Scheduler {
    type Result = ();

    fn handle(&mut self, _: QueueChanged, ctx: &mut Context<Self>) {
        self.nudge(ctx);
    }
}

impl Handler<PoolChanged> for Scheduler {
    type Result = ();

    fn handle(&mut self, _: PoolChanged, ctx: &mut Context<Self>) {
        self.nudge(ctx);
    }
}

impl Handler<GetPlan> for Scheduler {
    type Result = MessageResult<GetPlan>;

    fn handle(&mut self, _: GetPlan, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.last.clone())
    }
}

impl Handler<Quiesce> for Scheduler {
    type Result = ();

    fn handle(&mut self, _: Quiesce, _: &mut Context<Self>) {
        self.quiescent = true;
    }
}

impl Handler<GetState> for Scheduler {
    type Result = MessageResult<GetState>;

    fn handle(&mut self, _: GetState, _: &mut Context<Self>) -> Self::Result {
        MessageResult(shown(&self.inspect()))
    }
}

impl Handler<Ping> for Scheduler {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) {}
}

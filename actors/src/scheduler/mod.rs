//! Scheduler: owns the ceiling and the last plan.
//!
//! ```text
//!   QueueChanged, PoolChanged, every second ─► round: GetQueue + GetPool ─► plan ─► apply ─► answers
//!                          └ a nudge during a round, or a moment after one, makes one more
//! ```
//! The plan is made elsewhere ([`LongWork`]), from the snapshots that the round has asked for, and then acted upon: for
//! 100,000 containers it takes a part of a second, in which the actors go on. There is one round at a time.
//!
//! It takes no hints: each round looks at everything, whatever caused it. The next round begins when every
//! action of the last has been answered, so that what is in flight is part of the snapshots.

mod apply;
mod gauges;
mod inspect;
mod receivers;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::future::ready;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix::{
    Actor, ActorFutureExt, AsyncContext, Context, Handler, MailboxError, MessageResult, Recipient,
    ResponseActFuture, WrapFuture,
};
use dispatch_core::ceiling::{Ceiling, CeilingFacts};
use dispatch_core::invariants;
use dispatch_core::plan::{Limits, Memory, PlanInput, Planner};
use dispatch_core::policy::{PlanRules, Policy};
use dispatch_core::queue::Openings;
use dispatch_core::time::Timestamp;
use slog::Logger;

pub use receivers::{PoolReceivers, QueueReceivers, Receivers};

use crate::catalogue;
use crate::clock;
use crate::event;
use crate::long_work::LongWork;
use crate::messages::pool::{KeepInstances, PoolView};
use crate::messages::queue::QueueView;
use crate::messages::scheduler::{GetPlan, PlanView, PoolChanged, QueueChanged, TellRound};
use crate::messages::{ActorState, GetState, Ping, Quiesce, UsePolicy};
use crate::metrics::Metrics;

/// Nudges within this time share a round.
const COALESCE: Duration = Duration::from_millis(10);
const TICK: Duration = Duration::from_secs(1);

/// A plan that was just made, and what it was made from.
struct Planned(PlanView);

/// The actor.
pub struct Scheduler {
    rules: Arc<PlanRules>,
    /// [`dispatch_core::policy::Pieces::actions`].
    actions_at_once: usize,
    receivers: Receivers,
    ceiling: Ceiling,
    /// Where the site wants the ceiling to start; 0 = at `MaxInstances`.
    ceiling_estimate: u32,
    /// Of the rounds so far.
    memory: Memory,
    /// Away while a plan is made.
    planner: Planner,
    last: PlanView,
    long_work: LongWork,
    /// The facts of the last second are still being counted.
    counting: bool,
    metrics: Rc<Metrics>,
    log: Logger,
    /// Somebody has nudged since the last round began.
    nudged: bool,
    /// A round is under way since then.
    running: Option<Timestamp>,
    /// Also read by the future that sends a plan's actions.
    quiescent: Rc<Cell<bool>>,
    started: Timestamp,
    ready_told: bool,
    /// What Queue was told last of what could still be placed.
    told_openings: Option<Arc<Openings>>,
    /// What Pool was told last of instances that are not idle.
    told_kept: KeepInstances,
    repeats: catalogue::Repeats,
    pings: Vec<(&'static str, Recipient<Ping>)>,
    /// Who is told of rounds.
    rounds: Option<TellRound>,
}

impl Scheduler {
    /// Plans when nudged; `pings` measure the delay of mailboxes.
    pub fn new(
        policy: Arc<Policy>,
        receivers: Receivers,
        pings: Vec<(&'static str, Recipient<Ping>)>,
        long_work: LongWork,
        (metrics, log): (Rc<Metrics>, Logger),
    ) -> Self {
        let start = ceiling_at_start(&policy);
        Self {
            planner: Planner::default(),
            rules: Arc::new(PlanRules::from(&*policy)),
            actions_at_once: policy.pieces.actions,
            receivers,
            ceiling: Ceiling::new(start),
            ceiling_estimate: policy.initial_quota_estimate,
            memory: Memory::default(),
            last: PlanView { ceiling: start, ..PlanView::default() },
            long_work,
            counting: false,
            metrics,
            log,
            nudged: false,
            running: None,
            quiescent: Rc::default(),
            started: clock::now(),
            ready_told: false,
            told_openings: None,
            told_kept: KeepInstances::default(),
            repeats: catalogue::Repeats::default(),
            pings,
            rounds: None,
        }
    }

    /// The same, and somebody is told of each round that was planned anew.
    pub fn telling(self, rounds: Option<TellRound>) -> Self {
        Self { rounds, ..self }
    }

    fn nudge(&mut self, ctx: &mut Context<Self>) {
        if !std::mem::replace(&mut self.nudged, true) && self.running.is_none() {
            ctx.run_later(COALESCE, Self::begin_round);
        }
    }

    fn begin_round(&mut self, ctx: &mut Context<Self>) {
        if self.running.is_some() || self.quiescent.get() {
            return;
        }
        self.running = Some(clock::now());
        self.nudged = false;
        let questions = self.receivers.ask().into_actor(self);
        let round = questions.then(|answers, act, _| act.plan(answers));
        ctx.spawn(round.map(|planned, act, ctx| act.planned(planned, ctx)));
    }

    /// Has a plan made of the snapshots; `None` if nothing is to be planned any more.
    fn plan(
        &mut self,
        answers: Result<(QueueView, PoolView), MailboxError>,
    ) -> ResponseActFuture<Self, Option<Planned>> {
        // Queue or Pool is gone: the process is ending.
        let Some((queue, pool)) = answers.ok().filter(|_| !self.quiescent.get()) else {
            return Box::pin(ready(None).into_actor(self));
        };
        let at = clock::now();
        let ceiling_facts = self.follow_overload(&queue);
        let input = PlanInput {
            rules: Arc::clone(&self.rules),
            queue: Arc::clone(&queue.snapshot),
            fleet: Arc::clone(&pool.snapshot.fleet),
            limits: Limits { ceiling: self.ceiling.limit() },
            firsts: self.memory.firsts(),
        };
        let mut planner = std::mem::take(&mut self.planner);
        let timer = self.metrics.scheduling_round_seconds.start_timer();
        let work = self.long_work.run(move || {
            let plan = planner.plan(&input, at);
            timer.observe_duration();
            debug_assert_eq!(invariants::check_plan(&input, &plan, at), Ok(()), "the plan breaks a rule");
            (planner, plan, input)
        });
        Box::pin(work.into_actor(self).map(move |(planner, plan, input), act, _| {
            act.planner = planner;
            let ceiling = input.limits.ceiling;
            let (input, planned_at) = (Some(input), Some(at));
            Some(Planned(PlanView { plan, input, planned_at, queue, pool, ceiling, ceiling_facts }))
        }))
    }

    /// Acts upon the plan. What has changed since its snapshots were taken is known to those who are asked to act.
    fn planned(&mut self, planned: Option<Planned>, ctx: &mut Context<Self>) {
        let Some(Planned(view)) = planned.filter(|_| !self.quiescent.get()) else { return };
        let _working = self.metrics.working("scheduler", "actions");
        if !view.plan.actions.is_empty() {
            event!(self.log, catalogue::SCHEDULED, "Containers" => view.queue.snapshot.entries.len(),
                "Processes" => view.plan.facts.with_process, "maxContainers" => view.ceiling,
                "Actions" => view.plan.actions.len());
        }
        let before = std::mem::replace(&mut self.last, view);
        // What was shared with the round before says nothing new.
        if let Some(tell) = self.rounds.as_mut().filter(|_| !Arc::ptr_eq(&before.plan, &self.last.plan)) {
            tell(&self.last);
        }
        self.long_work.discard(before);
        self.tell_ready();
        self.remember();
        self.tell_openings();
        self.tell_kept();
        let answers = self.apply().into_actor(self);
        ctx.spawn(answers.map(|refusals, act, ctx| {
            act.report_refusals(&refusals);
            act.running = None;
            if std::mem::take(&mut act.nudged) {
                act.nudge(ctx);
            }
        }));
    }

    /// A 503 since the last look lowers the ceiling; quiet raises it. Returns how the ceiling has come about.
    fn follow_overload(&mut self, queue: &QueueView) -> CeilingFacts {
        let now = clock::now();
        let running = u32::try_from(self.last.plan.facts.living).unwrap_or(u32::MAX);
        match queue.last_overload {
            Some(at) if self.ceiling.last_overload() < Some(at) => self.ceiling.overloaded(running, at),
            _ => self.ceiling.look(running, now),
        }
        CeilingFacts::of(&self.ceiling, self.ceiling_estimate, running)
    }

    /// Keeps what the next round is to know of this one, and tells who was let past others.
    fn remember(&mut self) {
        for (uuid, instance) in self.memory.take_in(&self.last.plan, &self.rules, clock::now()) {
            event!(self.log, catalogue::LET_PAST, "ContainerUUID" => uuid.as_str(),
                "Instance" => instance.map_or("", |id| id.as_str()));
            self.metrics.containers_backfilled.inc();
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
        self.set_gauges(ctx);
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

/// Where the ceiling starts: at the site's estimate, else where instances end; 0 = no limit.
fn ceiling_at_start(policy: &Policy) -> u32 {
    if policy.initial_quota_estimate > 0 { policy.initial_quota_estimate } else { policy.max_instances }
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

impl Handler<UsePolicy> for Scheduler {
    type Result = ();

    fn handle(&mut self, message: UsePolicy, ctx: &mut Context<Self>) {
        self.rules = Arc::new(PlanRules::from(&*message.policy));
        self.ceiling_estimate = message.policy.initial_quota_estimate;
        self.ceiling.site_allows(ceiling_at_start(&message.policy));
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
        self.quiescent.set(true);
    }
}

impl Handler<GetState> for Scheduler {
    type Result = MessageResult<GetState>;

    fn handle(&mut self, _: GetState, _: &mut Context<Self>) -> Self::Result {
        MessageResult(ActorState::of(self.inspect()))
    }
}

impl Handler<Ping> for Scheduler {
    type Result = ();

    fn handle(&mut self, _: Ping, _: &mut Context<Self>) {}
}

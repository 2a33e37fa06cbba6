//! The simulated world: the real five actors between a controller, a cloud and VMs that all misbehave.
//!
//! ```text
//!   simulate(knobs, story)                                    one thread, paused time, one seed
//!     └ World ─ FakeArvados, FakeCloud, FakeVms               live on when the dispatcher is killed
//!         ├ Incarnation: the five actors in a LocalSet of their own ── Cable ──→ the three fakes
//!         │     └ killed = the set is dropped, the cable cut; what was on its way may still arrive
//!         ├ Journal: what happened, one line an event, in virtual time
//!         └ Judge: the invariants I1–I11, after every step
//! ```
//! A violation, or a panic of an actor, panics with the seed and the whole history: replay it by its number.

mod alarm;
mod cable;
pub mod chaos;
mod cordons;
mod feed;
mod figures;
mod incarnation;
mod journal;
mod judge;
mod knobs;
mod ourselves;
mod plight;
mod queries;
mod renewals;
mod rounds;
mod summary;
mod together;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use dispatch_actors::messages::pool::{GetStatement, SetIdleBehavior, ShutdownInstance};
use dispatch_actors::messages::queue::QueueView;
use dispatch_actors::messages::scheduler::GetPlan;
use dispatch_actors::system::Handles;
use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::instance::IdleBehavior;
use dispatch_core::ledger::Statement;
use dispatch_core::policy::Policy;
use dispatch_core::time::{Timestamp, after};
use dispatch_core::worker::ShutdownReason;
use tokio::task::LocalSet;

use crate::clock;
use crate::cloud::{FakeCloud, SimCloud};
use crate::controller::replica::Replica;
use crate::controller::{FakeArvados, Submission};
use crate::vm::{self, FakeVms};
pub use cordons::CordonStore;
pub use feed::FeedKnobs;
pub use figures::{Distribution, Figures};
use incarnation::Incarnation;
pub use journal::{Journal, LogLine, Note};
use judge::Judge;
pub use knobs::{WorldKnobs, job};
use rounds::RoundLog;
pub use summary::Summary;

/// A controller, a cloud, its VMs, and a dispatcher that may be killed at any time.
pub struct World {
    /// The knobs that the world was made from.
    pub knobs: WorldKnobs,
    /// The controller.
    pub arvados: Rc<RefCell<FakeArvados>>,
    /// The cloud.
    pub cloud: Rc<RefCell<FakeCloud>>,
    /// The VMs.
    pub vms: Rc<RefCell<FakeVms>>,
    /// Notes of what the fakes cannot know, and the dispatcher's log.
    pub journal: Rc<RefCell<Journal>>,
    /// What operators have forbidden to be created, kept over restarts.
    pub(crate) cordons: Rc<CordonStore>,
    rounds: Rc<RoundLog>,
    set: Rc<LocalSet>,
    dispatcher: Option<Incarnation>,
    beside: Option<Incarnation>,
    incarnations: u64,
    /// VMs on which an operator's hold stays for ever.
    forgotten: BTreeSet<InstanceId>,
    judge: Judge,
}

/// Runs a story in a world made for it, and returns what the story returns.
///
/// # Panics
/// If an invariant is violated, an actor panics, or the story does.
pub fn simulate<T>(knobs: WorldKnobs, story: impl AsyncFnOnce(&mut World) -> T) -> T {
    live_through(knobs, true, story)
}

/// The same with the machine's own time: for benchmarks of what depends on how late timers fire.
///
/// # Panics
/// As [`simulate`] does.
pub fn simulate_in_real_time<T>(knobs: WorldKnobs, story: impl AsyncFnOnce(&mut World) -> T) -> T {
    live_through(knobs, false, story)
}

fn live_through<T>(knobs: WorldKnobs, paused: bool, story: impl AsyncFnOnce(&mut World) -> T) -> T {
    alarm::install();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(paused).build();
    let runtime = runtime.expect("a runtime without I/O needs nothing of the system");
    let set = Rc::new(LocalSet::new());
    let told = runtime.block_on(set.run_until(async {
        clock::begin();
        let mut world = World::build(knobs, Rc::clone(&set));
        world.start_dispatcher();
        let told = story(&mut world).await;
        world.look();
        if world.knobs.is_judged {
            world.judge_whole_state();
        }
        world.kill_dispatcher();
        world.beside = None;
        told
    }));
    // The tasks must end before the runtime that their timers belong to.
    drop(set);
    told
}

impl World {
    fn build(knobs: WorldKnobs, set: Rc<LocalSet>) -> Self {
        let seed = knobs.seed;
        let mut arvados = FakeArvados::new(seed, knobs.settings.clone());
        arvados.faults = knobs.faults.clone();
        arvados.replica = (!knobs.replica_lag.is_zero()).then(|| Replica::new(knobs.replica_lag));
        for submission in &knobs.containers {
            arvados.submit(submission.clone(), clock::now());
        }
        let arvados = Rc::new(RefCell::new(arvados));
        let vms = Rc::new(RefCell::new(FakeVms::new(seed, knobs.vms.clone(), Rc::clone(&arvados))));
        let cloud = FakeCloud::new(seed, knobs.cloud.clone(), Some(Rc::clone(&vms)));
        set.spawn_local(vm::pump(Rc::clone(&vms)));
        Self {
            arvados,
            cloud: Rc::new(RefCell::new(cloud)),
            vms,
            journal: Rc::default(),
            set,
            dispatcher: None,
            beside: None,
            cordons: Rc::default(),
            rounds: RoundLog::new(knobs.kept_rounds),
            incarnations: 0,
            forgotten: BTreeSet::new(),
            judge: Judge::default(),
            knobs,
        }
    }

    // ------------------------------------------------------------ the dispatcher

    /// The present dispatcher's actors.
    ///
    /// # Panics
    /// If there is none at the moment.
    pub fn handles(&self) -> &Handles {
        &self.dispatcher.as_ref().expect("the story has started a dispatcher").handles
    }

    /// Starts a dispatcher, if none runs.
    pub fn start_dispatcher(&mut self) {
        if self.dispatcher.is_none() {
            self.incarnations += 1;
            self.note(Note::Up(self.incarnations));
            self.cloud.borrow_mut().dispatcher_starts();
            self.dispatcher = Some(Incarnation::start(self, self.incarnations));
        }
    }

    /// Kills the dispatcher as SIGKILL would: all at once, between two instructions. What it has sent may
    /// still arrive.
    pub fn kill_dispatcher(&mut self) {
        if let Some(incarnation) = self.dispatcher.take() {
            drop(incarnation);
            self.note(Note::Down(self.incarnations));
        }
    }

    /// Kills the dispatcher, and starts another one after `knobs.restart_after`.
    pub async fn restart(&mut self) {
        self.kill_dispatcher();
        self.run_for(self.knobs.restart_after).await;
        self.start_dispatcher();
    }

    /// Starts another cluster's dispatcher beside the judged one. It has the same account and the same queue,
    /// but a token, an instance set and limits of its own. The judge watches what it does to containers and
    /// VMs.
    pub fn start_beside(&mut self, policy: &Policy) {
        self.beside = Some(Incarnation::beside(self, policy));
    }

    /// Changes the configuration of the next dispatcher. The present one keeps the one that it has.
    pub fn configure(&mut self, change: impl FnOnce(&mut Policy)) {
        change(&mut self.knobs.policy);
    }

    /// Changes the configuration, and has the present dispatcher read it anew.
    pub fn reload(&mut self, change: impl FnOnce(&mut Policy)) {
        let before = self.knobs.policy.clone();
        change(&mut self.knobs.policy);
        let Some(dispatcher) = &self.dispatcher else { return };
        self.note(Note::Reloaded(Box::new(before)));
        let driver = SimCloud::new(Rc::clone(&self.cloud));
        dispatcher.handles.use_policy(&Arc::new(self.knobs.policy.clone()), &driver);
    }

    /// The dispatcher's view of its queue.
    pub async fn queue(&self) -> QueueView {
        let answer = self.handles().queue.send(dispatch_actors::messages::queue::GetQueue).await;
        answer.expect("the queue lives as long as its incarnation")
    }

    /// What the dispatcher knows of what was spent.
    pub async fn statement(&self) -> Statement {
        let answer = self.handles().pool.send(GetStatement).await;
        answer.expect("the pool lives as long as its incarnation")
    }

    /// What the dispatcher planned last, and why containers wait, for people to read.
    async fn last_plan(&self) -> String {
        let Ok(view) = self.handles().scheduler.send(GetPlan).await else { return String::new() };
        let mut text = format!("--- last plan, at {:?}: {:?}\n", view.planned_at, view.plan.actions);
        for (uuid, waiting) in &view.plan.waiting {
            text += &format!("{uuid} waits: {:?}\n", waiting.reason);
        }
        text
    }

    /// The operator asks for that idle behavior of an instance; returns whether the dispatcher accepted it.
    pub async fn operator_sets(&mut self, id: &InstanceId, behavior: IdleBehavior) -> bool {
        let message = SetIdleBehavior { id: id.clone(), wish: behavior.into() };
        // The earlier wish is void from the moment of asking. The new one binds once it is accepted.
        self.note(Note::OperatorAsks(id.clone()));
        let accepted = self.handles().pool.send(message).await.is_ok_and(|answer| answer.is_ok());
        if accepted {
            self.note(Note::Operator(id.clone(), behavior));
        }
        accepted
    }

    /// The operator kills an instance; returns whether the dispatcher accepted it.
    pub async fn operator_kills(&mut self, id: &InstanceId) -> bool {
        // The note comes first, because the kill ends the VM's processes.
        self.note(Note::OperatorKills(id.clone()));
        let message =
            ShutdownInstance { id: id.clone(), reason: ShutdownReason::Operator("simulated".into()) };
        self.handles().pool.send(message).await.is_ok_and(|answer| answer.is_ok())
    }

    // ------------------------------------------------------------ time

    /// Lets time pass.
    pub async fn run_for(&mut self, time: Duration) {
        let until = after(clock::now(), time);
        while clock::now() < until {
            self.step(until).await;
        }
    }

    /// Lets time pass until a condition holds.
    ///
    /// # Panics
    /// If it does not hold within `limit`.
    pub async fn run_until(&mut self, what: &str, limit: Duration, mut is_so: impl FnMut(&Self) -> bool) {
        let until = after(clock::now(), limit);
        while !is_so(self) {
            if clock::now() >= until {
                let plan = self.last_plan().await;
                self.fail(&format!("I3: after {limit:?} still not: {what}\n{plan}"));
            }
            self.step(until).await;
        }
    }

    /// Lets time pass until every container is settled that can be, and every VM is gone that can go (I3, I4).
    pub async fn drain(&mut self, limit: Duration) {
        self.run_until("all containers settled", limit, Self::settled).await;
        self.run_until("all VMs gone", limit, Self::all_vms_are_gone).await;
    }

    async fn step(&mut self, until: Timestamp) {
        let next = after(clock::now(), self.knobs.step).min(until);
        clock::sleep_until(next).await;
        self.look();
    }

    /// Judges what has happened since the last look.
    fn look(&mut self) {
        if let Some(panic) = alarm::take() {
            self.fail(&format!("an actor panicked: {panic}"));
        }
        if !self.knobs.is_judged {
            return;
        }
        let mut judge = std::mem::take(&mut self.judge);
        let verdict = judge.look(self);
        self.judge = judge;
        if let Err(violation) = verdict {
            self.fail(&violation);
        }
        if self.judge.is_whole_state_due(self.events()) {
            self.judge_whole_state();
        }
    }

    /// Judges the whole state, and not only what has changed.
    fn judge_whole_state(&mut self) {
        if let Err(violation) = self.judge.whole_state(self) {
            self.fail(&violation);
        }
    }

    /// Judges what the world has cost so far.
    ///
    /// # Panics
    /// If it is more than it may be.
    pub fn judge_costs(&self) {
        if let Err(violation) = judge::costs::judge(self) {
            self.fail(&violation);
        }
    }

    /// Ends the story and prints everything that is known about it.
    ///
    /// # Panics
    /// Always.
    pub fn fail(&self, what: &str) -> ! {
        panic!(
            "{what}\n{}{}\nseed {} — replay: cargo run -p dispatch-sim -- --seed {} --trace\n{what}",
            self.history(),
            self.state(),
            self.knobs.seed,
            self.knobs.seed
        );
    }

    // ------------------------------------------------------------ changes from outside

    /// A user submits a container request.
    pub fn submit(&mut self, submission: Submission) -> ContainerUuid {
        self.arvados.borrow_mut().submit(submission, clock::now())
    }

    /// Stops all faults: from now on nothing new goes wrong.
    pub fn stop_faults(&mut self) {
        self.note(Note::FaultsStop);
        let now = clock::now();
        self.arvados.borrow_mut().faults.stop();
        self.cloud.borrow_mut().knobs.stop_faults();
        self.vms.borrow_mut().stop_faults(now);
        if let Some(dispatcher) = &self.dispatcher {
            dispatcher.plight.end();
        }
    }

    /// Writes a note into the history.
    pub fn note(&self, note: Note) {
        self.journal.borrow_mut().note(clock::now(), note);
    }
}

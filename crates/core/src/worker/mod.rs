//! One VM, as we see it: a state machine that is told what happens and says what to do.
//!
//! The diagram of its states is at [`State`]. [`Machine::on_command`] and [`Machine::on_completion`] match the
//! state first and the input second, without wildcard arms: a new state, command or completion does not compile
//! until every decision about it is made.
//!
//! ```text
//!   Pool ─► Command ──────► on_command ────┬─► effects: performed in order by the Worker actor
//!                               └─ refused │            (facts for logs and metrics among them)
//!   own effects, timer ─► Completion ─► on_completion
//!
//!   command      what Pool asks or tells; may be refused     completion   what effects have come to
//!   effect       effects and facts                           state, reason
//!   mod          Machine: its fields, and the two matches
//!   probing, excuse, list, starting, killing, keeping, renewal, ending, reprieve, proof   the decisions behind their arms
//!   watch        when it is watched, what a line means        watch_script   the command that watches
//!   probe        a probe as a chain of commands
//!   runner       those commands as shell text      runner_place    who could have put the runner there
//!   journal      the last words of a start that came to nothing
//!   fence        the same behind the fence      fencing   whose it is      passed    whether it let a command through
//!   view         what Pool and `plan` see of it       inspect   what developers see of it
//! ```
//! Never does: I/O, choosing containers, counting against limits (that is Pool and `plan`).

mod boot;
mod command;
mod completion;
mod effect;
mod ending;
mod excuse;
pub mod fence;
mod fencing;
mod fruitless;
mod inspect;
pub mod journal;
mod keeping;
mod killing;
mod list;
mod passed;
pub mod probe;
mod probing;
mod process;
mod process_list;
mod proof;
mod reason;
mod renewal;
mod reprieve;
pub mod runner;
mod runner_place;
mod starting;
mod state;
mod view;
mod watch;
pub mod watch_script;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use command::{AttemptOutcome, Command, StartOrder, WorkerRefusal};
pub use completion::{Completion, DestroyOutcome, KillOutcome, StartOutcome};
pub use effect::{BootOutcome, WorkerEffect, WorkerFact};
pub use ending::OUTSTAYS;
pub use fencing::FenceView;
pub use inspect::MachineState;
pub use keeping::TAGS_LAG;
pub(crate) use probing::silence_allowed;
pub use process::{KeptFor, Kill, Process, ProcessPhase};
pub use process_list::ProcessList;
pub use reason::{DrainReason, KillReason, OperatorOrder, ShutdownReason};
pub use renewal::Renewal;
pub use state::State;
pub use view::{ProbeTurn, ProcessView, Silence, View};

use crate::id::{InstanceId, TypeName};
use crate::instance::{IdleBehavior, Instance, InstanceType};
use crate::policy::Policy;
use crate::time::Timestamp;
use boot::Boot;
use ending::Ending;
use fencing::Fencing;
use keeping::SavedTags;
use probing::Probes;
use process::Processes;
use watch::Watching;

/// The state machine of one worker. Owned by its Worker actor. What is decided together stands together, and each
/// group is changed by the file that defines it.
#[derive(Debug, Clone)]
pub struct Machine {
    policy: Arc<Policy>,
    instance: Instance,
    /// By its tag; may name a type that is not configured.
    type_name: Option<TypeName>,
    instance_type: Option<Arc<InstanceType>>,
    /// The same, or another type that the cloud calls like that: what it has and costs.
    like: Option<Arc<InstanceType>>,
    /// Whether it would be made otherwise today.
    drifted: bool,
    state: State,
    behavior: IdleBehavior,
    appeared: Timestamp,
    /// Whether this process created it.
    ours: bool,
    boot: Boot,
    fencing: Fencing,
    probes: Probes,
    processes: Processes,
    watching: Watching,
    tags: SavedTags,
    ending: Ending,
}

/// Whether two types are ordered alike: the disk that is added, and the market, are what no file can change later.
fn is_ordered_alike(one: &InstanceType, other: &InstanceType) -> bool {
    (one.added_scratch, one.preemptible) == (other.added_scratch, other.preemptible)
}

impl Machine {
    /// A worker for an instance that has just appeared. `ours`: created by this process.
    /// Its first effects are to be performed at once.
    pub fn new(
        instance: Instance,
        ours: bool,
        policy: Arc<Policy>,
        now: Timestamp,
    ) -> (Self, Vec<WorkerEffect>) {
        let keys = &policy.tag_keys;
        let type_name = instance.tags.get(&keys.instance_type).and_then(|name| TypeName::new(name).ok());
        let tagged = instance.tags.get(&keys.idle_behavior).and_then(IdleBehavior::from_name);
        let note = keys.note_of(&instance.tags);
        let mut machine = Self {
            type_name,
            instance_type: None,
            like: None,
            drifted: false,
            state: if ours { State::Booting } else { State::Unknown },
            behavior: tagged.unwrap_or_default(),
            appeared: now,
            ours,
            boot: Boot::default(),
            fencing: Fencing::default(),
            probes: Probes::wanted_at(now),
            processes: Processes::none_yet(ours, now),
            watching: Watching::default(),
            tags: SavedTags::new(ours, note, tagged.unwrap_or_default()),
            ending: Ending::default(),
            instance,
            policy: Arc::clone(&policy),
        };
        machine.take_policy(policy);
        let mut effects = Vec::new();
        if machine.instance_type.is_none() {
            machine.drain(DrainReason::TypeNotConfigured, &mut effects);
        }
        machine.save_tags_if_needed(&mut effects);
        (machine, effects)
    }

    /// The site's wishes, as they were told last.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The configuration says what its type is.
    fn take_policy(&mut self, policy: Arc<Policy>) {
        let provider_type = &self.instance.provider_type;
        let of_name = |name: &TypeName| policy.catalog.of_instance(name.as_str(), provider_type);
        let named = self.type_name.as_ref().and_then(of_name);
        // What it was ordered with is what it has, whatever the file says now. A type of another name says nothing of that.
        let known = self.like.take();
        let ordered = known.filter(|it| self.type_name.as_ref() == Some(&it.name));
        let is_so =
            |it: &&Arc<InstanceType>| ordered.as_ref().is_none_or(|ordered| is_ordered_alike(it, ordered));
        self.instance_type = named.filter(is_so).cloned();
        let like = || ordered.clone().or_else(|| policy.catalog.like(provider_type).cloned());
        self.like = self.instance_type.clone().or_else(like);
        self.policy = policy;
        self.look_for_drift();
    }

    /// The configuration was read anew. An instance whose type is configured no longer, or otherwise, is drained, as after
    /// a restart; if it comes back meanwhile, the instance is used again.
    fn use_policy(&mut self, policy: Arc<Policy>, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        let was_configured = self.instance_type.is_some();
        self.take_policy(policy);
        match (was_configured, self.instance_type.is_some()) {
            (true, false) => self.drain_for_its_type(effects),
            (false, true) => self.use_again(now, effects),
            (true, true) | (false, false) => {}
        }
        self.shut_down_if_due(now, effects);
    }

    /// Takes a command of Pool's, and says what is to be done.
    ///
    /// # Errors
    /// If the worker refuses it. Then nothing has changed.
    pub fn on_command(
        &mut self,
        command: Command,
        now: Timestamp,
    ) -> Result<Vec<WorkerEffect>, WorkerRefusal> {
        let mut effects = match self.state {
            State::Unknown | State::Booting | State::Idle | State::Running => {
                self.on_command_while_living(command, now)?
            }
            State::Shutdown => self.on_command_in_shutdown(command, now)?,
        };
        self.renew_watch(now, &mut effects);
        Ok(effects)
    }

    /// Takes what has come of an effect, and says what is to be done.
    pub fn on_completion(&mut self, completion: Completion, now: Timestamp) -> Vec<WorkerEffect> {
        let mut effects = Vec::new();
        match self.state {
            State::Unknown | State::Booting | State::Idle | State::Running => {
                self.on_completion_while_living(completion, now, &mut effects);
            }
            State::Shutdown => self.on_completion_in_shutdown(completion, now, &mut effects),
        }
        self.renew_watch(now, &mut effects);
        effects
    }

    /// Takes a command while the worker is not being destroyed. Only a worker in service starts containers.
    fn on_command_while_living(
        &mut self,
        command: Command,
        now: Timestamp,
    ) -> Result<Vec<WorkerEffect>, WorkerRefusal> {
        let mut effects = Vec::new();
        match command {
            Command::Start(_) if !self.state.is_ready() => return Err(WorkerRefusal::NotInService),
            Command::Start(_) if self.held_fence().is_none() => return Err(WorkerRefusal::NotFenced),
            Command::Start(_) if self.lacks_runner() => return Err(WorkerRefusal::NoRunner),
            Command::Kill(..) if self.fencing.is_anothers() => return Err(WorkerRefusal::FencedByAnother),
            Command::Start(order) => self.start(order, now, &mut effects)?,
            Command::Kill(uuid, reason) => self.kill(uuid, reason, now, &mut effects)?,
            Command::SetIdleBehavior(behavior, note) => {
                self.set_behavior(behavior, note, now, &mut effects);
            }
            Command::DrainUnlessHeld(_) if self.behavior == IdleBehavior::Hold => {}
            Command::DrainUnlessHeld(note) => {
                self.set_behavior(IdleBehavior::Drain, note, now, &mut effects);
            }
            Command::DrainWithType(note) => self.drain_with_type(note, now, &mut effects),
            Command::RunWithType(note) => self.run_with_type(note, now, &mut effects),
            Command::Renew(why) => self.renew(why, now, &mut effects),
            Command::DrainForNotice => self.drain_for_notice(now, &mut effects),
            Command::ShutDown(reason) => self.shut_down_on_request(reason, now, &mut effects)?,
            Command::Keep(why) => self.keep(why, now),
            Command::Probe => self.begin_probe(now, &mut effects),
            Command::StartJudged { uuid, outcome, failed_elsewhere } => {
                self.judge_start(uuid, outcome, failed_elsewhere, now, &mut effects);
            }
            Command::InstanceUpdated(instance) => self.update(instance, now, &mut effects),
            Command::StillListed(_) => {}
            Command::Missing => self.look_afresh(now),
            Command::Paused => self.paused(now, &mut effects),
            Command::UsePolicy(policy) => self.use_policy(policy, now, &mut effects),
        }
        Ok(effects)
    }

    /// Once the cloud was asked to end it there is no way back: what it still runs counts until it is gone.
    fn on_command_in_shutdown(
        &mut self,
        command: Command,
        now: Timestamp,
    ) -> Result<Vec<WorkerEffect>, WorkerRefusal> {
        let mut effects = Vec::new();
        match command {
            Command::Start(_) | Command::Kill(..) => return Err(WorkerRefusal::ShuttingDown),
            // A hold keeps what the cloud was not asked to end yet.
            Command::SetIdleBehavior(IdleBehavior::Hold, note) if self.return_to_life(now, &mut effects) => {
                self.set_behavior(IdleBehavior::Hold, note, now, &mut effects)
            }
            Command::SetIdleBehavior(behavior, note) => {
                self.behavior = behavior;
                self.tags.note = note;
            }
            Command::DrainUnlessHeld(note) if self.behavior != IdleBehavior::Hold => {
                self.behavior = IdleBehavior::Drain;
                self.tags.note = note;
            }
            // It ends.
            Command::DrainUnlessHeld(_)
            | Command::DrainWithType(_)
            | Command::RunWithType(_)
            | Command::Renew(_)
            | Command::DrainForNotice => {}
            // It is being shut down already; if that was for another's wish now, whatever it still shows.
            Command::ShutDown(reason) => self.note_way_back(&reason, self.ending.returns_to),
            Command::Keep(why) => self.keep(why, now),
            Command::Probe if self.may_show_news_in_shutdown() || self.probes.afresh => {
                self.begin_probe(now, &mut effects)
            }
            Command::Probe | Command::StartJudged { .. } => {}
            Command::InstanceUpdated(instance) => self.instance = instance,
            Command::Paused => effects.push(WorkerEffect::ForgetConnection),
            Command::UsePolicy(policy) => self.take_policy(policy),
            Command::StillListed(began) => self.destroy_again_if_due(began, now, &mut effects),
            // A listing may have omitted it, and the call may have been lost: the cloud is to say that it ends.
            Command::Missing => {
                self.destroy_again_if_unacknowledged(now, &mut effects);
                self.look_afresh(now);
            }
        }
        Ok(effects)
    }

    fn on_completion_while_living(
        &mut self,
        completion: Completion,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        match completion {
            Completion::ProbeFinished { began, report } => self.finish_probe(began, report, now, effects),
            Completion::StartFinished(uuid, outcome) => self.finish_start(uuid, outcome, now, effects),
            Completion::KillFinished(uuid, outcome) => self.finish_kill(uuid, outcome, now, effects),
            Completion::DestroyFinished { .. } => {}
            Completion::TagsSaved(saved) => self.tags_saved(saved, now, effects),
            Completion::WatchBegan(number) => self.watch_began(number, effects),
            Completion::WatchTold(number, uuid) => self.watch_told(number, uuid, now, effects),
            Completion::WatchEnded(number, end) => self.watch_ended(number, end, now, effects),
            Completion::ConnectionBroke => self.probe_soon(now),
            Completion::JournalRead(uuid, output) => self.journal_read(uuid, output.as_ref(), effects),
            Completion::Tick => self.tick(now, effects),
        }
    }

    /// Only what the instance says of its processes still counts.
    fn on_completion_in_shutdown(
        &mut self,
        completion: Completion,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        match completion {
            Completion::ProbeFinished { began, report } if self.is_reprieved(&report, now, effects) => {
                self.finish_probe(began, report, now, effects)
            }
            Completion::ProbeFinished { began, report } => {
                self.finish_probe_in_shutdown(began, &report, now, effects)
            }
            Completion::KillFinished(..)
            | Completion::WatchBegan(_)
            | Completion::WatchTold(..)
            | Completion::WatchEnded(..)
            | Completion::ConnectionBroke => {}
            Completion::JournalRead(uuid, output) => self.journal_read(uuid, output.as_ref(), effects),
            Completion::StartFinished(uuid, _) => self.doubt_start(uuid, now),
            Completion::DestroyFinished { sent, outcome } => self.ending.call_finished(sent, outcome),
            Completion::TagsSaved(saved) => self.tags_saved_in_shutdown(saved),
            Completion::Tick => self.tell_if_it_never_ends(now, effects),
        }
    }

    /// Whether the runner could not be copied there when that was last tried.
    pub fn lacks_runner(&self) -> bool {
        self.probes.lacks_runner
    }

    /// The instance's id.
    pub fn id(&self) -> &InstanceId {
        &self.instance.id
    }

    /// The instance as the cloud last showed it.
    pub fn instance(&self) -> &Instance {
        &self.instance
    }

    /// Its configured type, if it has one.
    pub fn instance_type(&self) -> Option<&Arc<InstanceType>> {
        self.instance_type.as_ref()
    }

    /// Its state.
    pub fn state(&self) -> State {
        self.state
    }
}

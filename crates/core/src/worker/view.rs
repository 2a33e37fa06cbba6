//! What Pool and `plan` see of a worker: immutable, published after every change.

use std::sync::Arc;

use super::fencing::FenceView;
use super::probe::CommandFailure;
use super::process::{KeptFor, ProcessPhase};
use super::renewal::Renewal;
use super::{Machine, State};
use crate::id::{ContainerUuid, InstanceId, TypeName};
use crate::instance::{IdleBehavior, InstanceType};
use crate::note::Note;
use crate::time::Timestamp;

/// A process on a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessView {
    /// The container.
    pub uuid: ContainerUuid,
    /// When we started or found it.
    pub since: Timestamp,
    /// Its start command has not been answered, or it has failed.
    pub unconfirmed: bool,
    /// Its start command was not even sent, or our own side's fault has kept it from its answer: if it does not live,
    /// that was no attempt of the container's.
    pub unsent: bool,
    /// How its start command failed, if it did.
    pub start_failure: Option<String>,
    /// A kill is under way.
    pub killing: bool,
    /// Its kill was given up.
    pub given_up: bool,
}

/// A worker that has not answered for longer than its timeout allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Silence {
    /// It never became ready within `TimeoutBooting`.
    NeverReady,
    /// It was in service, and is silent for `TimeoutProbe`.
    Unresponsive,
}

/// Why a worker wants to be probed at a certain time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeTurn {
    /// It is its turn.
    InTurn,
    /// There is a reason.
    OutOfTurn,
    /// The end of a process there was told: a place may be free.
    EndHinted,
}

/// A worker as others see it.
#[derive(Debug, Clone, PartialEq)]
pub struct View {
    /// The instance.
    pub id: InstanceId,
    /// By its tag; may name a type that is not configured.
    pub type_name: Option<TypeName>,
    /// Its configured type.
    pub instance_type: Option<Arc<InstanceType>>,
    /// The same, or another configured type that the cloud calls like that: what it has and costs.
    pub like: Option<Arc<InstanceType>>,
    /// The cloud's name of its type.
    pub provider_type: String,
    /// Host or host:port; empty while booting.
    pub address: String,
    /// Its state.
    pub state: State,
    /// What the operator, or we, want of it.
    pub behavior: IdleBehavior,
    /// Who has asked for that, and why.
    pub note: Option<Note>,
    /// Why it is being renewed, if it is.
    pub renewal: Option<Renewal>,
    /// Whether it would be made otherwise today.
    pub drifted: bool,
    /// Whether it is kept as a spare one.
    pub spare: bool,
    /// Its processes, by uuid.
    pub processes: Vec<ProcessView>,
    /// Containers whose dead process's lock is held here.
    pub stale: Vec<ContainerUuid>,
    /// The last container that was started or found here.
    pub last_container: Option<ContainerUuid>,
    /// When it last had a process, or came into service.
    pub last_busy: Timestamp,
    /// When it appeared.
    pub appeared: Timestamp,
    /// When the last successful probe began.
    pub last_success: Option<Timestamp>,
    /// The last sign of life: when a probe began that was answered, wholly or in part, or a command was answered.
    pub last_answer: Option<Timestamp>,
    /// The last time that our way there was open: a sign of life, or when a probe began of which some command ran there,
    /// even if it failed.
    pub last_contact: Option<Timestamp>,
    /// Whether the last probe that has ended did not get through to it.
    pub out_of_reach: bool,
    /// When the last probe began that had no answer over a connection opened for it.
    pub failed_afresh: Option<Timestamp>,
    /// When the probe before that began that had no answer over a connection opened for it.
    pub failed_afresh_before: Option<Timestamp>,
    /// Its list has told of all that runs there, what an earlier dispatcher had just started included.
    pub processes_known: bool,
    /// Whose its fence is.
    pub fence: FenceView,
    /// When a list came that has shown all that runs there, because the fence lets nothing more come.
    pub fenced_since: Option<Timestamp>,
    /// The runner cannot be copied there: it gets nothing new.
    pub lacks_runner: bool,
    /// It cannot prove any more that it is this instance: it gets nothing new.
    pub unproven: bool,
    /// Set while it is silent for longer than allowed: Pool decides what becomes of it.
    /// With the moment when the failing probe began.
    pub silence: Option<(Silence, Timestamp)>,
    /// A probe is under way.
    pub probing: bool,
    /// When it wants to be probed next, and why then.
    pub next_probe: Option<(Timestamp, ProbeTurn)>,
    /// The destroy call was acknowledged.
    pub destroy_acknowledged: bool,
    /// When the last destroy call that has ended was sent.
    pub destroy_called: Option<Timestamp>,
    /// When destroy was first decided.
    pub ending_since: Option<Timestamp>,
    /// Whether this process created it.
    pub ours: bool,
}

impl Machine {
    /// The last command that has failed there: why it is out of reach, if it is.
    pub fn last_failure(&self) -> Option<&CommandFailure> {
        self.boot.last_failure.as_ref()
    }

    /// The present view; O(processes on it).
    pub fn view(&self) -> View {
        let processes = self.processes.by_container.iter().map(|(uuid, process)| ProcessView {
            uuid: *uuid,
            since: process.since,
            unconfirmed: process.phase != ProcessPhase::Alive,
            unsent: process.was_not_sent(),
            start_failure: process.start_failure.clone(),
            killing: process.kill.is_some(),
            given_up: process.is_given_up(),
        });
        View {
            id: self.instance.id.clone(),
            type_name: self.type_name.clone(),
            instance_type: self.instance_type.clone(),
            like: self.like.clone(),
            provider_type: self.instance.provider_type.to_string(),
            address: self.instance.address.clone(),
            state: self.state,
            behavior: self.behavior,
            note: self.tags.note.clone(),
            renewal: self.tags.renewal,
            drifted: self.drifted,
            spare: self.processes.kept == Some(KeptFor::Reserve),
            processes: processes.collect(),
            stale: self.processes.stale.keys().copied().collect(),
            last_container: self.processes.last_container,
            last_busy: self.processes.last_busy,
            appeared: self.appeared,
            last_success: self.probes.last_success,
            last_answer: self.probes.last_answer(),
            last_contact: self.probes.last_contact.max(self.probes.last_answer()),
            out_of_reach: self.probes.out_of_reach,
            failed_afresh: self.probes.failed_afresh,
            failed_afresh_before: self.probes.failed_afresh_before,
            processes_known: self.processes.known,
            fence: self.fencing.view(),
            fenced_since: self.fencing.shown_since(),
            lacks_runner: self.probes.lacks_runner,
            unproven: self.is_unproven(),
            silence: self.silence(),
            probing: self.probes.under_way.is_some(),
            next_probe: self.next_probe(),
            destroy_acknowledged: self.ending.destroy_acknowledged,
            destroy_called: self.ending.destroy_called,
            ending_since: self.ending.began,
            ours: self.ours,
        }
    }

    fn silence(&self) -> Option<(Silence, Timestamp)> {
        let silence = match self.state {
            State::Unknown | State::Booting => Silence::NeverReady,
            State::Idle | State::Running => Silence::Unresponsive,
            State::Shutdown => return None,
        };
        self.probes.silent.map(|began| (silence, began))
    }
}

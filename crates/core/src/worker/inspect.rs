//! What a worker's machine holds, to be shown to developers.

use std::collections::BTreeMap;

use serde::Serialize;

use super::probe::CommandFailure;
use super::process::{Process, ProcessPhase};
use super::{Machine, State};
use crate::id::{ContainerUuid, InstanceId, TypeName};
use crate::instance::IdleBehavior;
use crate::time::Timestamp;

/// What a machine holds, and what is in flight since when. Without secrets.
#[derive(Debug, Serialize)]
pub struct MachineState {
    id: InstanceId,
    instance_type: Option<TypeName>,
    address: String,
    tags: BTreeMap<String, String>,
    state: State,
    idle_behavior: IdleBehavior,
    /// Created by this process.
    ours: bool,
    appeared: Timestamp,
    /// The boot probe has passed.
    booted: bool,
    /// The runner is there.
    deployed: bool,
    /// Whose its fence is.
    fence: &'static str,
    /// What is written there, if it is ours.
    fence_mark: Option<String>,
    /// A list has shown all that runs there, because the fence lets nothing more come.
    fenced_since: Option<Timestamp>,
    /// A connection first reached the verification then.
    first_ssh: Option<Timestamp>,
    probe_in_flight_since: Option<Timestamp>,
    last_successful_probe: Option<Timestamp>,
    /// The failing probe that showed it silent for too long began then.
    silent_since: Option<Timestamp>,
    last_failure: Option<FailureState>,
    processes: BTreeMap<ContainerUuid, ProcessState>,
    /// Dead processes whose lock is held, and since when.
    stale_locks: BTreeMap<ContainerUuid, Timestamp>,
    /// Each list begun later than this is news.
    changed: Option<Timestamp>,
    last_busy: Timestamp,
    /// When destroy was first decided.
    ending_since: Option<Timestamp>,
    destroy_called: Option<Timestamp>,
    destroy_acknowledged: bool,
    /// Tags are being saved.
    saving_tags: bool,
    /// It is watched for the ends of processes since then.
    watched_since: Option<Timestamp>,
    /// Watching has failed: it is not tried before then.
    not_watched_before: Option<Timestamp>,
    /// Its timer is set to then.
    wakes_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct FailureState {
    error: String,
    stderr: String,
}

#[derive(Debug, Serialize)]
struct ProcessState {
    phase: &'static str,
    since: Timestamp,
    /// No list that began earlier says whether it runs.
    doubtful_until: Option<Timestamp>,
    kill: Option<KillState>,
}

#[derive(Debug, Serialize)]
struct KillState {
    reason: String,
    since: Timestamp,
    /// `None` = a signal is in flight, or it was given up.
    next_signal: Option<Timestamp>,
    given_up: bool,
}

impl Machine {
    /// What it holds; O(processes on it).
    pub fn inspect(&self) -> MachineState {
        let view = self.view();
        MachineState {
            instance_type: view.type_name,
            address: view.address,
            tags: self.instance.tags.without_secrets(),
            state: view.state,
            idle_behavior: view.behavior,
            ours: view.ours,
            appeared: view.appeared,
            booted: self.boot.passed,
            deployed: self.probes.deployed,
            fence: view.fence.as_str(),
            fence_mark: self.held_fence().map(|mark| mark.to_string()),
            fenced_since: view.fenced_since,
            first_ssh: self.boot.first_ssh,
            probe_in_flight_since: self.probes.under_way,
            last_successful_probe: view.last_success,
            silent_since: view.silence.map(|(_, began)| began),
            last_failure: self.boot.last_failure.as_ref().map(FailureState::of),
            processes: self
                .processes
                .by_container
                .iter()
                .map(|(uuid, it)| (*uuid, ProcessState::of(it)))
                .collect(),
            stale_locks: self.processes.stale.clone(),
            changed: self.processes.last_change,
            last_busy: view.last_busy,
            ending_since: view.ending_since,
            destroy_called: view.destroy_called,
            destroy_acknowledged: view.destroy_acknowledged,
            saving_tags: self.tags.saving.is_some(),
            watched_since: self.watching.since(),
            not_watched_before: self.watching.not_before(),
            wakes_at: self.wakes_at(),
            id: view.id,
        }
    }
}

impl FailureState {
    fn of(failure: &CommandFailure) -> Self {
        Self { error: failure.error.clone(), stderr: failure.stderr.clone() }
    }
}

impl ProcessState {
    fn of(process: &Process) -> Self {
        let (phase, doubtful_until) = match process.phase {
            ProcessPhase::Starting(_) => ("starting", None),
            ProcessPhase::Doubtful { until } => ("doubtful", Some(until)),
            ProcessPhase::Unsent { since } => ("unsent", Some(since)),
            ProcessPhase::Alive => ("alive", None),
        };
        let kill = process.kill.as_ref().map(|kill| KillState {
            reason: kill.reason.to_string(),
            since: kill.since,
            next_signal: kill.next_signal,
            given_up: kill.given_up,
        });
        Self { phase, since: process.since, doubtful_until, kill }
    }
}

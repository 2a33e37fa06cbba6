//! Plays a history: users submit what they have submitted, the real dispatcher runs it, and nothing goes wrong.
//!
//! ```text
//!   a minute ─→ submit, wait, submit … ─→ wait until all jobs and instances have ended ─→ Play
//!                        └ tidy: the controller forgets what ended ten minutes ago
//! ```
//! The dispatcher is up for a minute before the first job comes. If nothing runs and nothing was started for a day, the
//! rest is given up: a configuration may make jobs wait for ever.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use dispatch_core::container::ContainerState;
use dispatch_core::id::{ContainerUuid, InstanceId};
use dispatch_core::policy::Policy;
use dispatch_core::time::{Timestamp, after, since};

use super::history::History;
use super::play::{Fate, Life, Outcome, Play, joined};
use crate::chance::Span;
use crate::clock;
use crate::cloud::knobs::CloudCall;
use crate::controller::facts::Fact;
use crate::vm::facts::{VmEntry, VmFact};
use crate::vm::knobs::Job as Behaviour;
use crate::world::{FeedKnobs, World, WorldKnobs, simulate};

/// The seed of the dispatcher's own random numbers.
const SEED: u64 = 1;
/// How long the dispatcher is up before the first job comes.
const BEFORE: Duration = Duration::from_secs(60);
/// How often it is looked whether all is done.
const LOOK: Duration = Duration::from_secs(60);
/// The controller forgets what ended that long ago: the dispatcher does so much sooner, and lists are quick then.
const FORGETS_AFTER: Duration = Duration::from_secs(600);
/// Nothing that has not moved for that long will.
const PATIENCE: Duration = Duration::from_secs(86_400);
/// How often a VM is probed that is idle or watched. Where nothing fails these probes bring no news, and on a large fleet
/// they are most of the work.
const QUIET: Duration = Duration::from_secs(600);
/// From the start of a process until its container is Running, if it lasts so long.
const RUNNING_AFTER: Duration = Duration::from_secs(1);

/// How quick a cloud is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// How long a call that creates an instance takes.
    pub create: Duration,
    /// From an instance's creation until it can be used.
    pub boot: Duration,
    /// For how long an instance is still listed when it was destroyed.
    pub end: Duration,
}

/// Where a history is played.
#[derive(Debug, Clone, PartialEq)]
pub struct Site {
    /// The configuration.
    pub policy: Policy,
    /// Whether the controller tells of changes by its event feed.
    pub has_feed: bool,
    /// The cloud's pace.
    pub pace: Pace,
}

impl Site {
    /// A world without faults and judges. How the runner comes to the instances, and whose they are, makes no difference
    /// here: that is as in every simulated world.
    fn knobs(&self) -> WorldKnobs {
        let mut knobs = WorldKnobs::new(SEED);
        let usual = knobs.policy.clone();
        knobs.settings.max_dispatch_attempts = self.policy.max_dispatch_attempts;
        knobs.policy = Policy {
            cluster_id: usual.cluster_id,
            runner: usual.runner,
            instance_set_id: usual.instance_set_id,
            tag_keys: usual.tag_keys,
            quiet_probe_interval: Some(QUIET),
            ..self.policy.clone()
        };
        knobs.feed = self.has_feed.then(FeedKnobs::default);
        knobs.cloud.takes.insert(CloudCall::Create, Span::exactly(self.pace.create));
        knobs.cloud.ends_after = Span::exactly(self.pace.end);
        knobs.cloud.unlisted_after = Span::millis(0);
        knobs.vms.ssh_after = Span::exactly(self.pace.boot);
        knobs.vms.secret_after = Span::millis(0);
        knobs.vms.boots_after = Span::exactly(self.pace.boot);
        knobs.is_judged = false;
        knobs.step = LOOK;
        knobs
    }
}

/// Plays a history.
///
/// # Panics
/// If an actor of the dispatcher does.
pub fn play(history: &History, site: &Site) -> Play {
    simulate(site.knobs(), async |world| {
        world.run_for(BEFORE).await;
        let began = clock::now();
        let mut player = Player { world, ended: VecDeque::new(), seen: 0 };
        let jobs = player.submit_all(history, began).await;
        player.wait_for_the_end().await;
        told(player.world, history, &jobs, site.pace.boot, began)
    })
}

struct Player<'a> {
    world: &'a mut World,
    /// What has ended and is not forgotten yet.
    ended: VecDeque<(Timestamp, ContainerUuid)>,
    /// How many of the controller's facts were looked at.
    seen: usize,
}

impl Player<'_> {
    async fn submit_all(&mut self, history: &History, began: Timestamp) -> Vec<ContainerUuid> {
        let mut uuids = Vec::with_capacity(history.jobs().len());
        for job in history.jobs() {
            let at = after(began, since(job.submitted_at, history.began()));
            while clock::now() < at {
                self.pass(since(at, clock::now()).min(LOOK)).await;
            }
            let uuid = self.world.submit(job.submission());
            let running_after = RUNNING_AFTER.min(job.duration);
            let lasts = job.duration.saturating_sub(running_after);
            let behaviour = Behaviour { running_after, lasts, ..Behaviour::default() };
            self.world.vms.borrow_mut().knobs.job_of.insert(uuid, behaviour);
            uuids.push(uuid);
        }
        uuids
    }

    /// Waits until nothing is left that costs or waits, or nothing moves any more.
    async fn wait_for_the_end(&mut self) {
        let mut moved = (clock::now(), 0);
        while !(self.world.settled() && self.world.all_vms_are_gone()) {
            self.pass(LOOK).await;
            let runs = self.starts();
            if runs != moved.1 || !self.world.busy_vms().is_empty() {
                moved = (clock::now(), runs);
            } else if since(clock::now(), moved.0) >= PATIENCE {
                break;
            }
        }
    }

    /// How many processes were started so far.
    fn starts(&self) -> usize {
        let vms = self.world.vms.borrow();
        let started = |entry: &&VmEntry| matches!(entry.fact, VmFact::Started { .. });
        vms.history().entries().iter().filter(started).count()
    }

    /// Lets time pass, and has the controller forget what is long over.
    async fn pass(&mut self, time: Duration) {
        self.world.run_for(time).await;
        let mut arvados = self.world.arvados.borrow_mut();
        for entry in arvados.history().since(self.seen) {
            if let Fact::Changed { uuid, to, .. } = &entry.fact
                && to.is_final()
            {
                self.ended.push_back((entry.at, *uuid));
            }
        }
        self.seen = arvados.history().entries().len();
        let now = clock::now();
        while let Some((_, uuid)) = self.ended.pop_front_if(|(at, _)| since(now, *at) >= FORGETS_AFTER) {
            arvados.delete(uuid, now);
        }
    }
}

/// Reads what has happened from the histories of controller, cloud and VMs.
fn told(world: &World, history: &History, uuids: &[ContainerUuid], boot: Duration, began: Timestamp) -> Play {
    let at = |moment: Timestamp| since(moment, began);
    let now = clock::now();
    let outcomes = outcomes(world);
    let runs = runs(world, now);
    let mut starts: BTreeMap<ContainerUuid, (Timestamp, Timestamp)> = BTreeMap::new();
    let mut busy: BTreeMap<InstanceId, Vec<(Duration, Duration)>> = BTreeMap::new();
    for (vm, container, from, to) in runs {
        starts.entry(container).or_insert((from, to)).1 = to;
        busy.entry(vm).or_default().push((at(from), at(to)));
    }
    let fates = history.jobs().iter().zip(uuids).map(|(job, uuid)| Fate {
        submitted: since(job.submitted_at, history.began()),
        started: starts.get(uuid).map(|run| at(run.0)),
        ended: starts.get(uuid).map(|run| at(run.1)),
        outcome: outcomes.get(uuid).copied().unwrap_or(Outcome::Unfinished),
    });
    let cloud = world.cloud.borrow();
    let mut lives: Vec<Life> = cloud
        .vms()
        .map(|vm| Life {
            instance_type: vm.instance_type.clone(),
            made: at(vm.made_at),
            booted: at(after(vm.made_at, boot)),
            ended: at(vm.destroyed_at.or(vm.ends_at).unwrap_or(now)),
            busy: joined(busy.remove(&vm.id).unwrap_or_default()),
        })
        .collect();
    lives.sort_by_key(|life| life.made);
    Play { began: history.began(), length: at(now), fates: fates.collect(), lives }
}

fn outcomes(world: &World) -> BTreeMap<ContainerUuid, Outcome> {
    let mut outcomes = BTreeMap::new();
    for entry in world.arvados.borrow().history().entries() {
        let Fact::Changed { uuid, to, .. } = &entry.fact else { continue };
        match to {
            ContainerState::Complete => drop(outcomes.insert(*uuid, Outcome::Complete)),
            ContainerState::Cancelled => drop(outcomes.insert(*uuid, Outcome::Cancelled)),
            ContainerState::Queued | ContainerState::Locked | ContainerState::Running => {}
        }
    }
    outcomes
}

type Run = (InstanceId, ContainerUuid, Timestamp, Timestamp);

/// Each process with its VM and its time; one that still lives ends now.
fn runs(world: &World, now: Timestamp) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut living: BTreeMap<u64, usize> = BTreeMap::new();
    for entry in world.vms.borrow().history().entries() {
        match &entry.fact {
            VmFact::Started { vm, container, pid, .. } => {
                living.insert(*pid, runs.len());
                runs.push((vm.clone(), *container, entry.at, now));
            }
            VmFact::Ended { pid, .. } => {
                if let Some(run) = living.remove(pid) {
                    runs[run].3 = entry.at;
                }
            }
            VmFact::Made { .. }
            | VmFact::Gone { .. }
            | VmFact::StartFailed { .. }
            | VmFact::Signalled { .. }
            | VmFact::NotUnderstood { .. } => {}
        }
    }
    runs
}

#[cfg(test)]
mod tests;

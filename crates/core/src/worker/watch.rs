//! Watching a VM: when it is watched, what a line means, and when that is given up
//! (docs/behaviour.md, "Watching a VM").
//!
//! ```text
//!             a process lives there, a connection stands        it has begun
//!   Unwatched ──────────────────────────────────────► Beginning ────────────► Open ── line ─► a probe at once
//!     ▲  ▲                                                │                     │
//!     │  └───── no process is left, or shutdown ──────────┼─────────────────────┤
//!     └──────── it has ended ─────────────────────────────┴─────────────────────┘
//!        └ no connection, or another: begun again after the next answer of the VM
//!        └ by itself at once: after 5 s; the third time, few sessions, a flood, a hang: after ten minutes
//!        └ by itself later: at once
//! ```
//! **A line is a hint.** It makes us ask for the list sooner, and ends nothing; a line of a container that is not watched
//! is dropped, and of each container one is heard in ten minutes, so that a VM that lies cannot keep us busy. That a
//! watch fails is never held against its VM: it is probed as before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::effect::{WorkerEffect, WorkerFact};
use super::process::ProcessPhase;
use super::{Machine, State};
use crate::id::ContainerUuid;
use crate::ports::WatchEnd;
use crate::time::{Timestamp, after, since};

/// A watch that ends by itself within this time has failed at once.
const AT_ONCE: Duration = Duration::from_secs(10);
/// One that failed at once is begun again after this time.
const RETRY: Duration = Duration::from_secs(5);
/// After so many of these in a row it rests.
const TRIES: u32 = 3;
/// For how long a VM is not watched that cannot be, and for how long a line of a container is not heard again.
const REST: Duration = Duration::from_secs(600);

/// What is watched, and what has come of it.
#[derive(Debug, Clone, Default)]
pub(super) struct Watching {
    current: Option<Current>,
    /// The number of the last watch that was begun: what an earlier one still says is dropped.
    number: u64,
    /// How many have failed at once, in a row.
    failures: u32,
    /// None is begun before then.
    not_before: Option<Timestamp>,
    /// None can be begun at all.
    is_unsupported: bool,
    /// None is begun before the VM has answered again: there was no connection, or it has gone.
    needs_answer: bool,
    /// Whose end was told, and when.
    told: BTreeMap<ContainerUuid, Timestamp>,
    /// Of these, whose processes are still asked for.
    awaited: BTreeSet<ContainerUuid>,
}

/// A watch that was begun.
#[derive(Debug, Clone)]
struct Current {
    since: Timestamp,
    /// It has begun on the VM: more containers can be added.
    is_open: bool,
    /// The containers that it was given and that have not ended.
    given: BTreeSet<ContainerUuid>,
}

/// What becomes of a watch that has ended.
enum Sequel {
    /// Begun again when the VM has answered.
    AfterAnswer,
    /// Begun again at once, unless it has failed at once.
    Again,
    /// Not for a while.
    Rest,
    /// Not again.
    Never,
}

impl Sequel {
    fn of(end: WatchEnd) -> Self {
        match end {
            // Whether our own side works again is seen by the same answer.
            WatchEnd::NoConnection | WatchEnd::ConnectionLost | WatchEnd::Local => Self::AfterAnswer,
            WatchEnd::Exited(_) => Self::Again,
            WatchEnd::FewSessions | WatchEnd::Lingering | WatchEnd::TooMuch | WatchEnd::Hangs => Self::Rest,
            WatchEnd::NotSupported => Self::Never,
        }
    }
}

impl Watching {
    /// The VM has answered: a connection stands.
    pub(super) fn note_answer(&mut self) {
        self.needs_answer = false;
    }

    /// That process is gone: what was said of it is not said of the next one of its container.
    pub(super) fn forget(&mut self, uuid: ContainerUuid) {
        self.told.remove(&uuid);
        self.awaited.remove(&uuid);
        if let Some(current) = &mut self.current {
            current.given.remove(&uuid);
        }
    }

    /// Whether a process is asked for again and again because its end was told.
    pub(super) fn awaits_an_end(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Those that are still listed after all these probes live: what was told of them is false.
    pub(super) fn believe_the_lists(&mut self) {
        self.awaited.clear();
    }

    /// Since when it is watched, if it is.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.current.as_ref().filter(|current| current.is_open).map(|current| current.since)
    }

    /// Until when it is not watched, if a watch has failed.
    pub(super) fn not_before(&self) -> Option<Timestamp> {
        self.not_before
    }

    /// Whether no passing of time lets one begin.
    fn must_wait(&self) -> bool {
        self.is_unsupported || self.needs_answer
    }

    fn current(&mut self, number: u64) -> Option<&mut Current> {
        self.current.as_mut().filter(|_| self.number == number)
    }
}

impl Machine {
    /// Begins, extends or ends the watch, so that it fits what runs there. Called after everything that has happened.
    pub(super) fn renew_watch(&mut self, now: Timestamp, effects: &mut Vec<WorkerEffect>) {
        let is_watchable = self.state != State::Shutdown && !self.fencing.is_anothers();
        // Before its start has returned the runner may be about to take the lock that a watch touches.
        let living = self.processes.by_container.iter().filter(|_| is_watchable);
        let mut living =
            living.filter(|(_, it)| it.phase == ProcessPhase::Alive).map(|(uuid, _)| *uuid).peekable();
        let must_wait = self.watching.must_wait();
        match &mut self.watching.current {
            Some(_) if living.peek().is_none() => {
                self.watching.current = None;
                effects.push(WorkerEffect::EndWatch);
            }
            Some(current) if current.is_open => {
                let added = living.filter(|uuid| current.given.insert(*uuid));
                effects.extend(added.map(WorkerEffect::AddToWatch));
            }
            Some(_) => {}
            None if living.peek().is_none() || must_wait => {}
            None if self.watching.not_before.is_some_and(|from| now < from) => {}
            None => {
                let given: BTreeSet<_> = living.collect();
                self.watching.number += 1;
                let number = self.watching.number;
                effects.push(WorkerEffect::Watch { number, uuids: given.iter().copied().collect() });
                self.watching.current = Some(Current { since: now, is_open: false, given });
                self.watching.told.retain(|_, told| since(now, *told) < REST);
            }
        }
    }

    /// When a watch is begun that must not be begun now.
    pub(super) fn watch_due(&self) -> Option<Timestamp> {
        let watching = &self.watching;
        let lives = self.processes.by_container.values().any(|it| it.phase == ProcessPhase::Alive);
        let waits = watching.current.is_none() && !watching.must_wait() && !self.fencing.is_anothers();
        watching.not_before.filter(|_| waits && lives)
    }

    pub(super) fn watch_began(&mut self, number: u64, effects: &mut Vec<WorkerEffect>) {
        if let Some(current) = self.watching.current(number) {
            current.is_open = true;
            effects.push(WorkerEffect::Tell(WorkerFact::WatchBegan));
        }
    }

    /// A watch says that this container's process has ended. It proves nothing: whoever can print a line there can lie.
    pub(super) fn watch_told(
        &mut self,
        number: u64,
        uuid: ContainerUuid,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        let is_watched = self.watching.current(number).is_some_and(|current| current.given.contains(&uuid));
        let was_heard = self.watching.told.get(&uuid).is_some_and(|told| since(now, *told) < REST);
        if !is_watched || was_heard {
            return;
        }
        self.watching.told.insert(uuid, now);
        self.watching.awaited.insert(uuid);
        self.probes.burst = 0;
        self.probes.hinted = true;
        self.probe_soon(now);
        effects.push(WorkerEffect::Tell(WorkerFact::EndHinted(uuid)));
    }

    pub(super) fn watch_ended(
        &mut self,
        number: u64,
        end: WatchEnd,
        now: Timestamp,
        effects: &mut Vec<WorkerEffect>,
    ) {
        let Some(lasted) = self.watching.current(number).map(|current| since(now, current.since)) else {
            return;
        };
        self.watching.current = None;
        let watching = &mut self.watching;
        let has_failed = lasted < AT_ONCE;
        watching.failures = if has_failed { watching.failures } else { 0 };
        let rests = match Sequel::of(end) {
            Sequel::AfterAnswer => {
                watching.needs_answer = true;
                false
            }
            Sequel::Again if !has_failed => {
                watching.not_before = None;
                false
            }
            Sequel::Again => {
                watching.failures += 1;
                watching.not_before = Some(after(now, RETRY));
                watching.failures >= TRIES
            }
            Sequel::Rest => true,
            Sequel::Never => {
                watching.is_unsupported = true;
                false
            }
        };
        if rests {
            (watching.failures, watching.not_before) = (0, Some(after(now, REST)));
        }
        effects.push(WorkerEffect::Tell(WorkerFact::WatchEnded { end, lasted, rests }));
    }
}

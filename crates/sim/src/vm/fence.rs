//! The fences on a VM: files that say which dispatcher may start and end processes there.
//!
//! A claim waits until every start that holds the lock has ended, and a command behind the fence is run only if the
//! file has its mark, as `flock` and the shell of a real VM see to it.

use std::time::Duration;

use dispatch_core::ports::Output;
use dispatch_core::time::{Timestamp, after, since};

use super::host::{Host, Lock, failed};

/// A file that nobody has touched for so long does not say who came last.
const FRESH: Duration = Duration::from_secs(60);

/// What a fence's file holds, and when it was touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FenceFile {
    number: u64,
    owner: u64,
    /// From then on nothing can be started that no fence stands before.
    quiet: Timestamp,
    touched: Timestamp,
}

impl Host {
    /// How long a claim takes, and what it answers.
    pub(super) fn claim(
        &mut self,
        file: String,
        (number, owner): (u64, u64),
        window: Duration,
        now: Timestamp,
    ) -> (Duration, Output) {
        if let Some(status) = self.behaviour.no_fence {
            return (Duration::ZERO, failed(status, "no fence"));
        }
        let takes = since(self.starting_until, now);
        let before = self.fences.get(&file).copied();
        let latest = after(now, window);
        let fresh = before.filter(|before| since(now, before.touched) < FRESH);
        let quiet = fresh.map_or(latest, |before| before.quiet.min(latest));
        let number = match before {
            Some(before) if before.owner == owner => before.number,
            Some(before) if before.number >= number => {
                let stdout = format!("fence-seen {}\n", before.number).into_bytes();
                return (takes, Output { status: 91, stdout, stderr: Vec::new() });
            }
            Some(_) | None => {
                self.fences.insert(file, FenceFile { number, owner, quiet, touched: now });
                number
            }
        };
        let ends = after(now, takes);
        let is_unnamed =
            |lock: &Lock| matches!(lock, Lock::Process { listed_from, .. } if *listed_from > ends);
        let locks = if self.locks.values().any(is_unnamed) { "unsettled" } else { "settled" };
        let left = since(quiet, now).as_secs_f64().ceil();
        let stdout = format!("fence-claimed {number} {left} {locks}\n").into_bytes();
        (takes, Output { status: 0, stdout, stderr: Vec::new() })
    }

    /// Why a command with that mark is not run; `None` = it is.
    pub(super) fn stops(&self, file: &str, number: u64, owner: u64) -> Option<Output> {
        match self.fences.get(file) {
            None => Some(failed(94, "no such file")),
            Some(fence) if (fence.number, fence.owner) == (number, owner) => None,
            Some(fence) if fence.number >= number => Some(failed(91, "fenced")),
            Some(_) => Some(failed(94, "an older mark")),
        }
    }

    /// Whoever started them has ended: processes that live name themselves by then.
    pub(super) fn name_soon(&mut self, by: Timestamp) {
        for lock in self.locks.values_mut() {
            if let Lock::Process { listed_from, .. } = lock {
                *listed_from = by.min(*listed_from);
            }
        }
    }

    pub(super) fn touch(&mut self, file: &str, now: Timestamp) {
        if let Some(fence) = self.fences.get_mut(file) {
            fence.touched = now;
        }
    }
}

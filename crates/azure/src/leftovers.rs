//! What failed orders leave: NICs and disks that no VM has. They are looked for beside listings, at most every five
//! minutes, and never waited for; an error is counted, and the next round tries again.
//!
//! ```text
//!   a listing ─ five minutes since the last ─► round: NICs of that listing ─┐
//!                                                     disks, a list of its own ─┴─ ours, unused, old ─► deleted, few of each
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::rc::Rc;
use std::time::Duration;

use dispatch_cloud_kit::{Failure, Meaning, Method};
use dispatch_core::time::{Timestamp, since};
use tokio::task::JoinHandle;

use crate::answer::{Disk, Interface};
use crate::arm::{Call, Request};
use crate::driver::Core;
use crate::metrics::Leftover;
use crate::name::{NIC, OS_DISK, SCRATCH_DISK, SetNames};
use crate::order::CREATED_AT;
use crate::resource;

/// Time between two rounds.
const EVERY: Duration = Duration::from_secs(300);
/// Azure keeps a NIC for a VM that has failed for three minutes, and an order may be under way as long.
const LEAST_AGE: Duration = Duration::from_secs(180);
/// How many of a kind are deleted in a round: they count among the subscription's calls. The next round begins with
/// others, should Azure keep all of these.
const MOST: usize = 8;

/// Whose leftovers, and what a listing has shown of that set.
pub(crate) struct Seen {
    /// The set's id.
    pub set: String,
    /// The names of all VMs of our group, in lower case.
    pub machines: BTreeSet<String>,
    /// The ids of all NICs that VMs of our group have, in lower case.
    pub used: BTreeSet<String>,
    /// All NICs of our group.
    pub interfaces: Vec<Interface>,
}

/// The rounds.
#[derive(Default)]
pub(crate) struct Leftovers {
    last: Cell<Option<Timestamp>>,
    /// How many have begun.
    rounds: Cell<usize>,
    round: RefCell<Option<JoinHandle<()>>>,
}

impl Leftovers {
    /// Whether the next listing begins a round.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let is_over = self.round.borrow().as_ref().is_none_or(JoinHandle::is_finished);
        is_over && self.last.get().is_none_or(|last| since(now, last) >= EVERY)
    }

    /// Begins one, unless another listing has just begun one. It ends with the driver.
    pub fn begin(&self, core: &Rc<Core>, seen: Seen) {
        let now = (core.now)();
        if !self.is_due(now) {
            return;
        }
        self.last.set(Some(now));
        let before = self.rounds.replace(self.rounds.get().wrapping_add(1));
        let core = Rc::clone(core);
        self.round.replace(Some(tokio::task::spawn_local(async move { clean(&core, &seen, before).await })));
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        if let Some(round) = self.round.get_mut() {
            round.abort();
        }
    }
}

/// `before`: how many rounds have been before this one.
async fn clean(core: &Core, seen: &Seen, before: usize) {
    let age = core.params.delete_dangling_resources_after.max(LEAST_AGE);
    let is_old = |created: Timestamp| since((core.now)(), created) >= age;
    let all = resource::interfaces(&core.params);
    let nics = seen.interfaces.iter().filter(|nic| is_leftover(nic, seen, core, is_old));
    for nic in few(nics.collect(), before) {
        let url = core.arm.url(&format!("{all}/{}", nic.name), resource::NETWORK);
        if delete(core, Call::DeleteInterface, Leftover::Interface, url, &nic.name).await.is_break() {
            return;
        }
    }
    let all = resource::disks(&core.params);
    // A failure is counted; there is nothing more to say of it.
    let listed = core.arm.all::<Disk>(Call::ListDisks, core.arm.url(&all, resource::DISKS)).await;
    let disks = listed.unwrap_or_default();
    for disk in few(disks.iter().filter(|disk| is_unused_disk(disk, seen, is_old)).collect(), before) {
        let url = core.arm.url(&format!("{all}/{}", disk.name), resource::DISKS);
        if delete(core, Call::DeleteDisk, Leftover::Disk, url, &disk.name).await.is_break() {
            return;
        }
    }
}

/// Those that it is the turn of: what Azure keeps for long does not stand before the others for ever.
fn few<T>(mut all: Vec<T>, before: usize) -> Vec<T> {
    let length = all.len().max(1);
    all.rotate_left((before % length) * MOST % length);
    all.truncate(MOST);
    all
}

/// Whether a NIC is ours and nobody's: its name is one of this set's, its tags say the same (whoever gives names and tags by
/// hand could imitate both), it says that no VM has it, no VM says that it has it, no VM of that name is there, and it is
/// older than an order may be.
fn is_leftover(nic: &Interface, seen: &Seen, core: &Core, is_old: impl Fn(Timestamp) -> bool) -> bool {
    let Some(machine) = SetNames::new(&seen.set).machine_of(&nic.name, NIC) else { return false };
    let is_ours = nic.tag(&core.set_tag) == Some(&seen.set);
    let is_used = nic.user().is_some()
        || seen.used.contains(&nic.id.to_ascii_lowercase())
        || seen.machines.contains(&machine);
    let created = nic.tag(CREATED_AT).and_then(|it| it.parse().ok());
    is_ours && !is_used && created.is_some_and(is_old)
}

/// The same of a disk, which has no tags of ours: Azure makes it, and dates it.
fn is_unused_disk(disk: &Disk, seen: &Seen, is_old: impl Fn(Timestamp) -> bool) -> bool {
    let names = SetNames::new(&seen.set);
    let machine = [OS_DISK, SCRATCH_DISK].iter().find_map(|ending| names.machine_of(&disk.name, ending));
    let is_alone = machine.is_some_and(|it| !seen.machines.contains(&it));
    is_alone && disk.unused_since().is_some_and(is_old)
}

/// Whether the round may go on: of a subscription whose calls are used up, nothing more is wanted now.
async fn delete(core: &Core, call: Call, kind: Leftover, url: url::Url, name: &str) -> ControlFlow<()> {
    match core.arm.call(Request::new(call, Method::DELETE, url)).await {
        Ok(_) => {
            core.metrics.deleted(kind);
            slog::info!(core.log, "left-over resource deleted"; "Kind" => kind.as_str(), "Name" => name);
        }
        Err(Failure { meaning: Meaning::NotFound, .. }) => {}
        // Azure may still keep it for somebody: the next round sees.
        Err(failure) => {
            if let Some(left_out) = core.repeats.note(&failure.code, (core.now)()) {
                slog::warn!(core.log, "cannot delete a left-over resource"; "Kind" => kind.as_str(), "Name" => name,
                    "error" => &failure.message, "Code" => &failure.code, "Repeated" => left_out);
            }
            if matches!(failure.meaning, Meaning::Throttled | Meaning::ThrottledFor(_)) {
                return ControlFlow::Break(());
            }
        }
    }
    ControlFlow::Continue(())
}

#[cfg(test)]
mod tests {
    use dispatch_core::time::after;

    use super::*;

    #[actix_rt::test]
    async fn a_round_is_due_at_first_and_then_five_minutes_after_the_last_unless_that_goes_on() {
        let at = |seconds| after(Timestamp::UNIX_EPOCH, Duration::from_secs(seconds));
        let rounds = Leftovers::default();
        assert!(rounds.is_due(at(1000)));
        rounds.last.set(Some(at(1000)));
        assert_eq!([1000, 1299, 1300].map(|second| rounds.is_due(at(second))), [false, false, true]);
        rounds.round.replace(Some(tokio::task::spawn_local(std::future::pending())));
        assert!(!rounds.is_due(at(10_000)));
    }

    #[test]
    fn what_azure_keeps_does_not_stand_before_the_others_for_ever() {
        assert!(few(Vec::<u32>::new(), 3).is_empty());
        assert_eq!(few(vec![1, 2], 1), [1, 2]);
        for count in 0..50 {
            let all: Vec<usize> = (0..count).collect();
            let rounds = count.div_ceil(MOST).max(1);
            let tried: BTreeSet<_> = (7..7 + rounds).flat_map(|before| few(all.clone(), before)).collect();
            assert_eq!(tried.len(), count, "{rounds} rounds of {count}");
            assert!(few(all, usize::MAX).len() <= MOST);
        }
    }
}

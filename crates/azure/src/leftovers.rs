//! What failed orders leave: NICs and disks that no VM has. They are looked for beside listings, at most every five
//! minutes, and never waited for; an error is counted, and the next round tries again.
//!
//! ```text
//!   a listing ─ five minutes since the last ─► round: NICs of that listing ─┐
//!                                                     disks, a list of its own ─┴─ ours, unused, old ─► deleted, few of each
//! ```

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
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
/// How many of a kind are deleted in a round: they count among the subscription's calls.
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
    round: RefCell<Option<JoinHandle<()>>>,
}

impl Leftovers {
    /// Whether the next listing begins a round.
    pub fn is_due(&self, now: Timestamp) -> bool {
        let is_over = self.round.borrow().as_ref().is_none_or(JoinHandle::is_finished);
        is_over && self.last.get().is_none_or(|last| since(now, last) >= EVERY)
    }

    /// Begins one. It ends with the driver.
    pub fn begin(&self, core: &Rc<Core>, seen: Seen) {
        self.last.set(Some((core.now)()));
        let core = Rc::clone(core);
        self.round.replace(Some(tokio::task::spawn_local(async move { clean(&core, &seen).await })));
    }
}

impl Drop for Leftovers {
    fn drop(&mut self) {
        if let Some(round) = self.round.get_mut() {
            round.abort();
        }
    }
}

async fn clean(core: &Core, seen: &Seen) {
    let age = core.params.delete_dangling_resources_after.max(LEAST_AGE);
    let is_old = |created: Timestamp| since((core.now)(), created) >= age;
    let all = resource::interfaces(&core.params);
    for nic in seen.interfaces.iter().filter(|nic| is_leftover(nic, seen, core, is_old)).take(MOST) {
        let url = core.arm.url(&format!("{all}/{}", nic.name), resource::NETWORK);
        delete(core, Call::DeleteInterface, Leftover::Interface, url, &nic.name).await;
    }
    let all = resource::disks(&core.params);
    // A failure is counted; there is nothing more to say of it.
    let listed = core.arm.all::<Disk>(Call::ListDisks, core.arm.url(&all, resource::DISKS)).await;
    let disks = listed.unwrap_or_default();
    for disk in disks.iter().filter(|disk| is_unused_disk(disk, seen, is_old)).take(MOST) {
        let url = core.arm.url(&format!("{all}/{}", disk.name), resource::DISKS);
        delete(core, Call::DeleteDisk, Leftover::Disk, url, &disk.name).await;
    }
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

async fn delete(core: &Core, call: Call, kind: Leftover, url: url::Url, name: &str) {
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
        }
    }
}

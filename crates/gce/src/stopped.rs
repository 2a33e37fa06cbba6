//! VMs of ours that have stopped by themselves: one that powers itself off ends as `TERMINATED`, which here means that it,
//! its disks and its name are still there, and cost.
//!
//! ```text
//!   a listing of our set ─ shows one stopped ─► DELETE, beside the listing, which does not wait for it
//!                                               ten at a time at most, none twice while one is on its way; those that
//!                                               were tried before come last, the one of longest ago first
//! ```
//! What proof there is: the VM has our set's tag, exactly, it is not on hold, and a listing that was whole said that it does
//! not run. What could imitate it: somebody who stops a VM of ours by hand, to look at it, without putting it on hold; its
//! disks are deleted too. Another dispatcher of the same set would do the same, so it does no harm that this one may have lost
//! its lock meanwhile.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use prometheus::IntCounter;
use tokio::task::JoinSet;

use crate::names::Vm;
use crate::send::Sender;

/// How many are deleted at a time.
const MOST: usize = 10;

/// The deletes on their way. They end with the driver.
#[derive(Default)]
pub(crate) struct Stopped {
    tasks: RefCell<JoinSet<()>>,
    on_their_way: Rc<RefCell<BTreeSet<String>>>,
    /// The number of the last try of each that is still there: what cannot be deleted, because somebody protects it, must
    /// not be in the way of what can.
    tries: RefCell<BTreeMap<String, u64>>,
}

impl Stopped {
    /// Begins to delete what has stopped, as many as are allowed; for the others there is the next listing.
    pub fn delete<'a>(
        &self,
        stopped: impl Iterator<Item = &'a Vm>,
        sender: &Rc<Sender>,
        deleted: &IntCounter,
    ) -> Vec<Vm> {
        let mut tasks = self.tasks.borrow_mut();
        while tasks.try_join_next().is_some() {}
        let mut stopped: Vec<_> = stopped.map(|vm| (vm.id().as_str().to_owned(), vm)).collect();
        let mut tries = self.tries.borrow_mut();
        let still_there: BTreeSet<_> = stopped.iter().map(|(id, _)| id.as_str()).collect();
        tries.retain(|id, _| still_there.contains(id.as_str()));
        stopped.sort_by_key(|(id, _)| tries.get(id).copied().unwrap_or(0));
        let mut begun = Vec::new();
        for (id, vm) in stopped {
            if self.on_their_way.borrow().len() >= MOST {
                break;
            }
            if !self.on_their_way.borrow_mut().insert(id.clone()) {
                continue;
            }
            let number = tries.values().max().map_or(1, |last| last + 1);
            tries.insert(id.clone(), number);
            let (sender, vm, deleted) = (Rc::clone(sender), vm.clone(), deleted.clone());
            let on_their_way = Rc::clone(&self.on_their_way);
            begun.push(vm.clone());
            tasks.spawn_local(async move {
                // A failure is counted, as each of a call is; the next listing shows whether it is still there.
                if sender.change(&sender.api.delete(&vm)).await.is_ok() {
                    deleted.inc();
                }
                on_their_way.borrow_mut().remove(&id);
            });
        }
        begun
    }
}

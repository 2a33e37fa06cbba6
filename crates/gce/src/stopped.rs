//! VMs of ours that have stopped by themselves: one that powers itself off ends as `TERMINATED`, which here means that it,
//! its disks and its name are still there, and cost.
//!
//! ```text
//!   a listing of our set ─ shows one stopped ─► DELETE, beside the listing, which does not wait for it
//!                                               ten at a time at most, none twice while one is on its way
//! ```
//! What proof there is: the VM has our set's tag, exactly, and a listing that was whole said that it does not run. What
//! could imitate it: somebody who stops a VM of ours by hand, to look at it; its disks are deleted too. Another dispatcher of
//! the same set would do the same, so it does no harm that this one may have lost its lock meanwhile.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use prometheus::IntCounter;
use tokio::task::JoinSet;

use crate::answer::operation;
use crate::names::Vm;
use crate::send::Sender;

/// How many are deleted at a time.
const MOST: usize = 10;

/// The deletes on their way. They end with the driver.
#[derive(Default)]
pub(crate) struct Stopped {
    tasks: RefCell<JoinSet<()>>,
    on_their_way: Rc<RefCell<BTreeSet<String>>>,
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
        let mut begun = Vec::new();
        for vm in stopped {
            if self.on_their_way.borrow().len() >= MOST {
                break;
            }
            let id = vm.id().as_str().to_owned();
            if !self.on_their_way.borrow_mut().insert(id.clone()) {
                continue;
            }
            let (sender, vm, deleted) = (Rc::clone(sender), vm.clone(), deleted.clone());
            let on_their_way = Rc::clone(&self.on_their_way);
            begun.push(vm.clone());
            tasks.spawn_local(async move {
                // A failure is counted, as each of a call is; the next listing shows whether it is still there.
                if sender.call(&sender.api.delete(&vm), operation::read).await.is_ok() {
                    deleted.inc();
                }
                on_their_way.borrow_mut().remove(&id);
            });
        }
        begun
    }
}

//! Listings: whole or failed, and what is done beside them.
//!
//! ```text
//!   aggregatedList, all pages ─┬─ one is longer than is read ─► no list; the next has half as many VMs on a page
//!                              └─ whole ─► those of our set ─┬─ stopped, and not on hold ─► deleted, beside the listing
//!                                                            └─ all ────────────────────► the list
//! ```

use std::cell::Cell;

use dispatch_cloud_kit::{Failure, pages};
use dispatch_core::instance::{Instance, Tags};

use super::GceCloud;
use crate::answer::instances::{self, Listed};
use crate::tags;

/// The most VMs that Compute Engine puts on a page.
const MOST: u32 = 500;
/// Few enough: a VM has 512 KiB of metadata at most.
const LEAST: u32 = 10;
/// The kit's word for an answer that is longer than is read.
const TOO_LONG: &str = "too_long";

/// How many VMs are asked for on a page. A page has all metadata of its VMs: with a long init command 500 of them may be
/// longer than is read, and would be so each time.
#[derive(Debug)]
pub(super) struct PageSize(Cell<u32>);

impl Default for PageSize {
    fn default() -> Self {
        Self(Cell::new(MOST))
    }
}

impl PageSize {
    fn failed(&self, failure: &Failure) {
        if failure.code == TOO_LONG {
            self.0.set((self.0.get() / 2).max(LEAST));
        }
    }
}

impl GceCloud {
    pub(super) async fn listed(&self, filter: &Tags) -> Result<Vec<Instance>, Failure> {
        let label = tags::filter(filter);
        let page = async |token: Option<String>| {
            let call = self.sender.api.list(label.as_ref(), self.page_size.0.get(), token.as_deref());
            let (listed, next) = self.sender.call(&call, instances::page).await?;
            Ok((listed.into_iter().map(Listed::without_metadata).collect(), next))
        };
        let shown = pages::all("instances.aggregatedList", page).await;
        let shown = shown.inspect_err(|failure| self.page_size.failed(failure))?;
        if label.is_some() {
            self.tell_defaced(&shown);
        }
        let ours: Vec<_> = shown.into_iter().filter(|it| it.instance.tags.matches(filter)).collect();
        // Without a set others' VMs are shown, too: they are neither counted nor deleted here.
        if label.is_some() {
            self.metrics.listed(ours.iter().map(|it| it.vm.zone.as_str()));
            self.delete_stopped(&ours);
        }
        Ok(ours.into_iter().map(|it| it.instance).collect())
    }

    /// A VM with the set's label whose tags cannot be read, or are gone, is nobody's: a person must look at it.
    fn tell_defaced(&self, shown: &[Listed]) {
        for it in shown.iter().filter(|it| it.instance.tags.0.is_empty()) {
            let id = it.instance.id.as_str();
            if let Some(left_out) = self.told.note(id, (self.now)()) {
                slog::warn!(self.log, "tags of an instance cannot be read"; "Instance" => id,
                    "Repeated" => left_out);
            }
        }
    }

    /// What is on hold is kept until told otherwise, whatever it does itself.
    fn delete_stopped(&self, ours: &[Listed]) {
        let stopped = ours.iter().filter(|it| it.is_stopped && !tags::is_held(&it.instance.tags));
        let stopped = stopped.map(|it| &it.vm);
        for vm in self.stopped.delete(stopped, &self.sender, self.metrics.stopped()) {
            let id = vm.id();
            // One that cannot be deleted is tried beside each listing.
            if let Some(left_out) = self.told.note(&format!("stopped {id}"), (self.now)()) {
                slog::info!(self.log, "deleting an instance that has stopped by itself";
                    "Instance" => id.as_str(), "Repeated" => left_out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use dispatch_cloud_kit::Meaning;

    use super::*;

    #[test]
    fn only_a_page_that_was_too_long_makes_pages_shorter_and_not_for_ever() {
        let size = PageSize::default();
        let after = |code: &str| {
            size.failed(&Failure::ours(Meaning::Unknown, code, ""));
            size.0.get()
        };
        assert_eq!(after("timeout"), 500);
        let sizes = [0; 8].map(|_| after("too_long"));
        assert_eq!(sizes, [250, 125, 62, 31, 15, 10, 10, 10]);
    }
}

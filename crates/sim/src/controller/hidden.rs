//! Records that the controller does not show for a while: its lists lack them, and every call of a dispatcher about one
//! of them is answered with 404, as while a database is being restored. Nothing happens to the records themselves.

use std::collections::BTreeSet;

use dispatch_core::id::ContainerUuid;
use dispatch_core::time::Timestamp;

use super::FakeArvados;
use super::errors::Refusal;
use super::facts::Origin;

/// Which records are hidden, and until when.
#[derive(Debug, Clone)]
pub struct Hidden {
    /// `None` = all.
    pub only: Option<BTreeSet<ContainerUuid>>,
    /// From this moment all are shown again.
    pub until: Timestamp,
}

impl FakeArvados {
    /// Whether that record is hidden now.
    pub fn hides(&self, uuid: ContainerUuid, now: Timestamp) -> bool {
        let hidden = self.hidden.as_ref().filter(|hidden| now < hidden.until);
        hidden.is_some_and(|hidden| hidden.only.as_ref().is_none_or(|only| only.contains(&uuid)))
    }

    /// Lets a call about that container go on, unless it is hidden from the caller.
    pub(super) fn find(&self, uuid: ContainerUuid, origin: Origin, now: Timestamp) -> Result<(), Refusal> {
        match origin != Origin::Process && self.hides(uuid, now) {
            true => Err(Refusal::NotFound),
            false => Ok(()),
        }
    }
}

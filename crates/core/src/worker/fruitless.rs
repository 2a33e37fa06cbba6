//! Starts in a row that came to nothing on one worker: the worker's fault, or the container's?
//!
//! ```text
//!   three failures of containers that have failed nowhere else ─► the worker's: it takes no more
//!   failures of three different containers ────────────────────► the worker's
//!   one container that fails wherever it is started ───────────► its own: the worker stays in service
//! ```
//! A full disk must not burn the attempts of a whole queue, and one bad job must not use up one instance after
//! another.

use std::collections::BTreeSet;

use crate::id::ContainerUuid;

const ENOUGH: usize = 3;

/// Starts in a row that came to nothing.
#[derive(Debug, Clone, Default)]
pub(super) struct FruitlessStarts {
    /// Those of containers that have failed on no other instance.
    fresh: usize,
    containers: BTreeSet<ContainerUuid>,
}

impl FruitlessStarts {
    pub(super) fn note(&mut self, uuid: ContainerUuid, failed_elsewhere: bool) {
        self.fresh += usize::from(!failed_elsewhere);
        self.containers.insert(uuid);
    }

    /// Whether the worker is to blame.
    pub(super) fn are_its_fault(&self) -> bool {
        self.fresh >= ENOUGH || self.containers.len() >= ENOUGH
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::uuid;

    fn after(starts: &[(u64, bool)]) -> bool {
        let mut fruitless = FruitlessStarts::default();
        starts.iter().for_each(|(n, elsewhere)| fruitless.note(uuid(*n), *elsewhere));
        fruitless.are_its_fault()
    }

    #[test]
    fn three_failures_of_a_container_that_failed_nowhere_else_are_the_workers_fault() {
        assert!(!after(&[(1, false); 2]));
        assert!(after(&[(1, false); 3]));
    }

    #[test]
    fn a_container_that_failed_elsewhere_is_to_blame_itself() {
        assert!(!after(&[(1, true); 20]));
        assert!(!after(&[(1, true), (2, true), (1, true), (2, true)]));
    }

    #[test]
    fn three_different_containers_are_not_all_to_blame() {
        assert!(after(&[(1, true), (2, true), (3, true)]));
    }
}

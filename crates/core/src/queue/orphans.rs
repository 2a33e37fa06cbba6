//! Reads of containers that have a process and no entry, so that the plan knows what that process is.

use std::sync::Arc;

use super::chain::about;
use super::{ContainerQueue, Entry, LookOutcome, QueueFact};
use crate::container::Record;
use crate::id::ContainerUuid;
use crate::ports::{ApiError, ApiErrorKind};
use crate::time::Timestamp;

impl ContainerQueue {
    /// Begins a look at a container that has a process but no entry. False: it is under way or known.
    pub fn begin_look(&mut self, uuid: ContainerUuid) -> bool {
        let needless = self.entries.contains_key(&uuid)
            || self.looked.contains_key(&uuid)
            || self.look_failed.contains(&uuid);
        !needless && self.looking.insert(uuid)
    }

    /// Whether the last look at that container failed: it is not repeated before the next poll.
    pub fn has_look_failed(&self, uuid: ContainerUuid) -> bool {
        self.look_failed.contains(&uuid)
    }

    /// Takes the record that a look asked for. Unlike the answer of a lock, it may add an entry: it is a
    /// read of its own, made because a process shows that the container concerns us.
    pub fn looked(
        &mut self,
        uuid: ContainerUuid,
        answer: Result<Record, ApiError>,
        now: Timestamp,
    ) -> Vec<QueueFact> {
        self.looking.remove(&uuid);
        let stamp = self.next_stamp();
        match answer.and_then(|record| about(record, uuid)) {
            Ok(record) if self.is_foreign(&record) => {
                self.looked.insert(uuid, LookOutcome::Foreign);
            }
            Ok(record) => {
                let mut entry = self.fallen.recall(Entry::new(record, now));
                (entry.changed, entry.found_by_process) = (stamp, true);
                self.entries.entry(uuid).or_insert(Arc::new(entry));
            }
            Err(error) if error.kind == ApiErrorKind::NotFound => {
                self.looked.insert(uuid, LookOutcome::Absent);
            }
            Err(error) if error.kind == ApiErrorKind::Malformed => {
                self.unreadable.insert(uuid, error.message.clone());
                return vec![QueueFact::Unreadable { uuid: Some(uuid), reason: error.message }];
            }
            // No retry loop: the next poll gives it another chance.
            Err(_) => drop(self.look_failed.insert(uuid)),
        }
        Vec::new()
    }
}

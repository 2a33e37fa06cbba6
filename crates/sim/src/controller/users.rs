//! What users do to the controller's records, and what operators do behind its back.

use std::sync::Arc;

use dispatch_core::container::ContainerState;
use dispatch_core::id::ContainerUuid;
use dispatch_core::time::Timestamp;

use super::events::Deed;
use super::facts::Fact;
use super::state::Container;
use super::{ContainerRequest, FakeArvados, Submission};

impl FakeArvados {
    /// Makes a container request and its first container.
    pub fn submit(&mut self, submission: Submission, now: Timestamp) -> ContainerUuid {
        let request = format!("{}-xvhdp-{}", self.settings.cluster, self.chance.uuid_tail());
        let Submission { spec, priority, max_attempts } = submission;
        let attempts = Vec::new();
        self.requests.insert(request.clone(), ContainerRequest { max_attempts, priority, attempts });
        self.events.note_request(Deed::Create, &request, false, now);
        self.make_container(request, Arc::new(spec), now)
    }

    /// Adds a record as it is, for example a fixture.
    pub fn insert(&mut self, container: Container) {
        self.running += usize::from(container.state == ContainerState::Running);
        let request = self.requests.entry(container.request.clone()).or_insert(ContainerRequest {
            max_attempts: 1,
            priority: container.priority,
            attempts: Vec::new(),
        });
        request.attempts.push(container.uuid);
        let replaced = self.containers.insert(container.uuid, container);
        self.running -= usize::from(replaced.is_some_and(|it| it.state == ContainerState::Running));
    }

    /// A user cancels: the priority becomes 0, and the state stays.
    pub fn cancel_by_user(&mut self, uuid: ContainerUuid, now: Timestamp) {
        self.set_priority(uuid, 0, now);
    }

    /// A user changes the priority.
    pub fn set_priority(&mut self, uuid: ContainerUuid, priority: i64, now: Timestamp) {
        let Some(container) = self.containers.get_mut(&uuid) else { return };
        let before = container.clone();
        let from = std::mem::replace(&mut container.priority, priority);
        container.modified_at = now;
        if let Some(request) = self.requests.get_mut(&container.request) {
            request.priority = priority;
        }
        if from != priority {
            // The request is saved; the container's own priority is recomputed by SQL, and no event tells that.
            self.events.note_request(Deed::Update, &container.request, false, now);
            self.history.record(now, Fact::Prioritised { uuid, from, to: priority });
            self.note_change(uuid, Some(before), now);
        }
    }

    /// Deletes the record from the database.
    pub fn delete(&mut self, uuid: ContainerUuid, now: Timestamp) {
        if let Some(gone) = self.containers.remove(&uuid) {
            self.running -= usize::from(gone.state == ContainerState::Running);
            self.events.note_container(Some(&gone), None, now);
            self.history.record(now, Fact::Deleted { uuid });
            self.note_change(uuid, Some(gone), now);
        }
    }

    /// Gives one attribute of a record any value from now on, so that clients cannot decode the record.
    pub fn poison(&mut self, uuid: ContainerUuid, attribute: &str, value: serde_json::Value) {
        if let Some(container) = self.containers.get_mut(&uuid) {
            container.overrides.insert(attribute.to_owned(), value);
        }
    }

    /// Removes the bad values from a record again. What it has for ever is back with the next read.
    pub fn cure(&mut self, uuid: ContainerUuid) {
        if let Some(container) = self.containers.get_mut(&uuid) {
            container.overrides.clear();
        }
    }
}
